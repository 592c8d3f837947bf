"""tests/faults/README.md says of each of the 140 faults where its test stands; what it says is so."""

import os

import pytest

from tests.faults import table

COUNTS = {"P": 30, "D": 31, "M": 24, "C": 20, "W": 35}
FAULTS = [f"{kind}{number:02}" for kind, most in COUNTS.items() for number in range(1, most + 1)]


def test_there_are_140_faults_and_a_row_for_each() -> None:
    assert len(FAULTS) == 140
    assert sorted(table.rows()) == sorted(FAULTS)


@pytest.mark.parametrize("ident", FAULTS)
def test_every_fault_has_a_test_that_carries_its_id_and_the_row_names_where(ident: str) -> None:
    _what, files, result = table.rows()[ident]
    standing = {name.partition("::")[0] for name in table.tests_by_id().get(ident, ())}
    told = {name.strip(" `") for name in files.split(",")}
    assert told == standing, f"{ident}: type python -m tests.faults.table write"
    assert result.startswith(("held", "mended", "partly"))


def test_every_row_names_files_that_are_there_and_hold_a_test_of_its_id() -> None:
    standing = table.tests_by_id()
    for ident, (_what, files, _result) in table.rows().items():
        for name in files.split(","):
            path = name.strip(" `")
            assert os.path.exists(os.path.join(table.ROOT, path)), f"{ident}: {path}"
            assert any(one.startswith(f"{path}::") for one in standing[ident]), f"{ident}: no test of it in {path}"
