"""A hundred faults of the system-call sweep, chosen by the commit; tests/full/sweep.py makes them all.

D01, D02 (load), D17 (making), D25 (backup), D27 (restore), P01 (probes), M13 (mail): the same sweep over every step.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cycles import ROOT
from tests.faults import invariants, scenes, sweep
from tests.faults.sweep import Injection

pytestmark = pytest.mark.skipif(not sweep.is_possible(), reason="strace is missing")

OF_EACH = {
    "cycle": 14, "loader": 12, "upkeep": 15, "backup": 11, "restore": 11, "rebuild": 8, "mail": 10, "form": 10, "probes": 9,
}  # fmt: skip


@pytest.fixture(scope="module")
def folder() -> Iterator[str]:
    """In memory where there is room: the order of syncs is tested elsewhere (test_power.py), here only that they may fail."""
    made = tempfile.mkdtemp(prefix="vigie-sweep-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
    scenes.make_base(os.path.join(made, "base"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


def seed() -> str:
    said = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    return said.stdout.strip() or "no commit"


def scene(folder: str, name: str) -> scenes.Scene:
    return scenes.by_name(name)(os.path.join(folder, "base"), scenes.place(os.path.join(folder, name)))


@pytest.mark.ci
@pytest.mark.parametrize("name", OF_EACH)
def test_d01_d02_d25_d27_m13_p01_whatever_call_fails_nothing_is_lost_and_the_next_run_repairs_all(
    folder: str, name: str
) -> None:
    assert sum(OF_EACH.values()) == 100
    log = os.path.join(folder, f"{name}.log")
    wrong: list[str] = []
    met = 0
    with scene(folder, name).open() as opened:
        injections = sweep.sample(opened, log, OF_EACH[name], seed())
        assert len(injections) == OF_EACH[name]
        for injection in injections:
            result = sweep.one(opened, injection, log)
            met += result.met
            wrong += [f"{injection}: {one}" for one in result.wrong]
            if result.silent:
                wrong.append(f"{injection}: I4 the work was not done, and not a word of it")
    assert wrong == []
    assert met >= len(injections) * 0.9


def test_d01_d02_the_loader_is_swept_in_every_run_of_the_tests(folder: str) -> None:
    """Six of them, always the same: one of each fault at the commit and at the rename."""
    log = os.path.join(folder, "loader.log")
    with scene(folder, "loader").open() as opened:
        for call, number in (("fdatasync", 2), ("rename", 1)):
            for fault in sweep.FAULTS:
                result = sweep.one(opened, Injection("loader", call, number, fault), log)
                assert (result.met, result.wrong, result.silent) == (True, (), False), result


# --- The invariants themselves can fail -------------------------------------------------------------------------------


@pytest.fixture
def data(folder: str, tmp_path: Path) -> str:
    scenes.copy(os.path.join(folder, "base"), str(tmp_path / "data"))
    return str(tmp_path / "data")


def spoil_a_row(data: str) -> None:
    _execute(data, "DELETE FROM cycle WHERE at=(SELECT max(at) FROM cycle)")


def spoil_a_sample(data: str) -> None:
    _execute(
        data, "DELETE FROM sample WHERE at=(SELECT max(at) FROM sample) AND series=(SELECT max(series) FROM sample)"
    )


def spoil_a_text(data: str) -> None:
    os.unlink(os.path.join(data, "spool", f"{scenes.AT}.prom"))


def cut_a_text(data: str) -> None:
    os.truncate(os.path.join(data, "spool", f"{scenes.AT}.prom"), 100)


def cut_a_backup(data: str) -> None:
    folder = os.path.join(data, "backups")
    os.truncate(next(os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".db")), 4096)


def open_an_incident_for_nobody(data: str) -> None:
    _execute(
        data,
        "INSERT INTO incident (host, kind, metric, labels, state, level, since_at, opened_at, end_reason, last_at, last_value,"
        " peak, peak_at, flaps, threshold, acknowledged_by, acknowledged_reason)"
        " VALUES (1, 'threshold', 'm', '{}', 'open', 'critical', 1, 1, '', 1, 1, 1, 1, 0, '', '', '')",
    )


def write_over_a_page(data: str) -> None:
    with open(os.path.join(data, "vigie.db"), "r+b") as file:
        file.seek(3 * 4096)
        file.write(os.urandom(8192))


def leave_half_a_file(data: str) -> None:
    with open(os.path.join(data, "spool", ".1.tmp"), "w", encoding="ascii") as file:
        file.write("half")


def tell_the_secret(data: str) -> None:
    with open(os.path.join(data, "log", "web.log"), "w", encoding="ascii") as file:
        file.write(f"token={invariants.SECRET}")


def _execute(data: str, sql: str) -> None:
    import sqlite3

    db = sqlite3.connect(os.path.join(data, "vigie.db"))
    db.execute(sql)
    db.commit()
    db.close()


@pytest.mark.parametrize(
    ("spoil", "which"),
    [
        (write_over_a_page, "I1"), (cut_a_backup, "I1"), (spoil_a_row, "I2"), (spoil_a_sample, "I2"), (spoil_a_text, "I2"),
        (cut_a_text, "I2"), (open_an_incident_for_nobody, "I3"), (tell_the_secret, "I5"), (leave_half_a_file, "I6"),
        (spoil_a_row, "I6"),
    ],
)  # fmt: skip
def test_each_invariant_sees_what_it_is_there_for(data: str, spoil: object, which: str) -> None:
    before = invariants.essence(data)
    wanted = invariants.texts(data)[0]
    rows = [at for at in wanted if scenes.TODAY <= at < scenes.AT - 60]  # older ones are packed, or purged

    def all_of_them() -> list[str]:
        found = invariants.sound(data) + invariants.whole_files(data) + invariants.nothing_lost(data, wanted)
        found += invariants.no_secret(data, "") + invariants.no_leftovers(data)
        if not any(one.startswith("I1 the database") for one in found):
            found += invariants.loaded_once(data, rows) + invariants.mailed_or_owed(data)
            found += invariants.difference(invariants.essence(data), before)
        return found

    assert all_of_them() == []
    spoil(data)  # type: ignore[operator]
    assert [one for one in all_of_them() if one.startswith(which)]


def test_a_step_that_fails_has_to_say_so() -> None:
    assert invariants.worded(0, "", "", False) == []
    assert invariants.worded(1, "", "vigie: the disk is full\n", False) == []
    assert invariants.worded(1, "", "", False)
    assert invariants.worded(1, "", "Traceback (most recent call last):\n  OSError\n", False)
    assert invariants.worded(1, "", "Traceback (most recent call last):\n  ImportError\n", True) == []
    assert invariants.worded(1, "", "a\n" * 5, False)
