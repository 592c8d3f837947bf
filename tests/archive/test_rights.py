"""Which of the two forms a folder has, and what is made in it."""

import os
import stat
import subprocess
from pathlib import Path

import pytest

from archive import database, rights
from archive.settings import ROOT
from tests.conftest import make_data

FORMS = [
    (0o700, False),
    (0o750, False),
    (0o770, False),
    (0o2770, True),
    (0o2750, False),
    (0o2775, False),
    (0o2777, False),
]


@pytest.mark.parametrize(("mode", "shared"), FORMS)
def test_only_2770_is_the_form_of_two_users(tmp_path: Path, mode: int, shared: bool) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    folder.chmod(mode)

    assert rights.shared(str(folder)) is shared
    assert rights.of_file(f"{folder}/x") == (0o660 if shared else 0o600)
    assert rights.of_folder(f"{folder}/x") == (0o770 if shared else 0o700)
    assert rights.refused(str(folder)) == (0o007 if shared else 0o077)


@pytest.mark.parametrize(("mode", "shared"), FORMS)
def test_the_shells_rule_is_the_same(tmp_path: Path, mode: int, shared: bool) -> None:
    """run_all.sh and its like cannot ask Python; their line is taken out of the file and asked."""
    folder = tmp_path / "data"
    folder.mkdir()
    folder.chmod(mode)
    for name in ("run_all.sh", "archive/run.sh", "alerts/run.sh"):
        with open(os.path.join(ROOT, name), encoding="utf-8") as file:
            line = next(line for line in file if "umask 007" in line)
        script = f"umask 077; data=$1\n{line}\numask"
        said = subprocess.run(["bash", "-c", script, "x", str(folder)], capture_output=True, text=True, check=True)
        assert said.stdout.strip() == ("0007" if shared else "0077"), name


@pytest.mark.parametrize(("mode", "shared"), FORMS)
def test_the_runners_rule_is_the_same(tmp_path: Path, mode: int, shared: bool) -> None:
    """It imports nothing of the archive: what it costs every minute would be dearer than the rule."""
    folder = tmp_path / "data"
    folder.mkdir()
    folder.chmod(mode)
    script = f"import posix, sys; sys.path.insert(0, {ROOT + '/probes'!r}); import run; run.prepare({ROOT + '/probes'!r}); print(posix.umask(0))"
    said = subprocess.run(
        ["/usr/bin/python3", "-I", "-S", "-c", script], env={"VIGIE_DATA": str(folder)}, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert int(said.stdout) == (0o007 if shared else 0o077)


def test_a_folder_that_cannot_be_looked_at_is_one_users_alone() -> None:
    assert not rights.shared("/nonexistent/data")


def test_w33_a_database_made_in_either_form_has_its_modes(tmp_path: Path) -> None:
    for mode, wanted in ((0o700, 0o600), (0o2770, 0o660)):
        folder = tmp_path / f"{mode:o}"
        folder.mkdir()
        folder.chmod(mode)
        before = os.umask(0o077)
        try:
            rights.take(str(folder))
            database.create(str(folder), "0" * 16, "machine", "hash", 1_795_221_000)
            with database.writer(str(folder)) as db:
                db.execute("PRAGMA user_version")
        finally:
            os.umask(before)
        found = {name: stat.S_IMODE(os.stat(folder / name).st_mode) for name in os.listdir(folder)}
        assert set(found.values()) == {wanted}, found


def test_a_lock_that_the_group_may_open_is_refused_where_one_user_is_alone(tmp_path: Path) -> None:
    data = make_data(str(tmp_path / "data"))
    with database.locked(data):
        os.chmod(f"{data}/lock", 0o660)
    with pytest.raises(database.DatabaseError, match="others may open it"), database.locked(data):
        pass
    os.chmod(data, 0o2770)
    with database.locked(data):
        pass
