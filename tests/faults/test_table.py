"""tests/faults/README.md says of each fault where its test stands; what it says is so."""

import os

import pytest

from tests.faults import table

WEB = [f"W{number:02}" for number in range(1, 36)]


@pytest.mark.parametrize("ident", WEB)
def test_every_fault_of_the_web_has_a_row_and_a_test_that_carries_its_id(ident: str) -> None:
    _what, files, result = table.rows()[ident]
    standing = {name.partition("::")[0] for name in table.tests_by_id()[ident]}
    told = {name.strip(" `") for name in files.split(",")}
    assert told == standing, f"{ident}: write {', '.join(f'`{name}`' for name in sorted(standing))}"
    assert result.startswith(("held", "mended", "partly"))


def test_every_row_names_files_that_are_there_and_hold_a_test_of_its_id() -> None:
    standing = table.tests_by_id()
    for ident, (_what, files, result) in table.rows().items():
        if result.startswith("cannot be tested"):
            continue
        for name in files.split(","):
            path = name.strip(" `")
            assert os.path.exists(os.path.join(table.ROOT, path)), f"{ident}: {path}"
            assert any(one.startswith(f"{path}::") for one in standing[ident]), f"{ident}: no test of it in {path}"
