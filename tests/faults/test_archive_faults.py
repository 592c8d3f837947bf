"""Faults of the archive that no single module owns (D), by id."""

import contextlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import threading

import pytest

from archive import database, settings, upkeep
from tests import cycles
from tests.conftest import NOW
from tests.cycles import ROOT, archive, load_all, machine


def test_d04_a_text_that_changes_while_it_is_read_is_loaded_whole_or_set_aside(data: str) -> None:
    """A writer that does not keep the contract: it writes over a text that waits, again and again."""
    whole = cycles.spool_text(NOW, machine(NOW))
    path = os.path.join(data, "spool", f"{NOW}.prom")
    stop = threading.Event()

    def scribble() -> None:
        while not stop.is_set():
            with open(path, "wb") as file:
                file.write(whole[: len(whole) // 2])
                file.flush()
                file.write(whole[len(whole) // 2 :])

    writer = threading.Thread(target=scribble)
    writer.start()
    try:
        for _ in range(40):
            load_all(data, NOW)
    finally:
        stop.set()
        writer.join()
    cycles.write(data, NOW, machine(NOW))
    load_all(data, NOW)
    with database.reader(data) as db:
        assert db.execute("SELECT count(*) FROM cycle").fetchone() == (1,)
        counted, said = db.execute("SELECT (SELECT count(*) FROM sample), samples FROM cycle").fetchone()
        assert counted == said
    assert os.listdir(os.path.join(data, "spool")) == []


def test_d12_a_wal_removed_after_a_crash_is_a_loss_that_is_said_once_and_the_journal_gives_it_back(data: str) -> None:
    """A page is open, so the last close does not empty the -wal; then power is lost, and a tidy hand removes `vigie.db-wal`."""
    environ = {"VIGIE_DATA": data, "VIGIE_LANGUAGE": "en", "VIGIE_WEB": "0"}

    def minute(at: int) -> "subprocess.CompletedProcess[str]":
        cycles.write(data, at, machine(at))
        return run("-I", "-S", "alerts/cycle.py", at=at)

    def run(*argv: str, at: int) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, *argv], cwd=ROOT, env={"PATH": "/usr/bin:/bin", **environ, "VIGIE_NOW": str(at)},
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip

    for number in range(5):
        assert minute(NOW + number * 60).stderr == ""
    with database.reader(data) as page:
        page.execute("SELECT count(*) FROM sample").fetchone()
        for number in range(5, 8):
            assert minute(NOW + number * 60).stderr == ""
        assert os.path.getsize(os.path.join(data, "vigie.db-wal")) > 0
        shutil.copyfile(os.path.join(data, "vigie.db"), os.path.join(data, "cut"))
    os.rename(os.path.join(data, "cut"), os.path.join(data, "vigie.db"))
    for name in ("vigie.db-wal", "vigie.db-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(data, name))

    after = minute(NOW + 480)
    assert after.returncode == 0
    assert after.stderr.count("\n") == 1
    assert "cycles that were archived are missing" in after.stderr
    assert "./vigie rebuild" in after.stderr
    assert minute(NOW + 540).stderr == "", "said once"
    doctor = run("-I", "web/__main__.py", "doctor", "--json", at=NOW + 540)
    (found,) = [
        one for one in map(json.loads, doctor.stdout.splitlines()) if "missing from the database" in one["what"]
    ]
    assert (found["level"], found["fix"]) == ("mend", "./vigie rebuild")

    assert run("-I", "web/__main__.py", "rebuild", at=NOW + 540).returncode == 0
    with database.reader(data) as db:
        assert [row[0] for row in db.execute("SELECT at FROM cycle ORDER BY at")] == [NOW + n * 60 for n in range(10)]
    doctor = run("-I", "web/__main__.py", "doctor", "--json", at=NOW + 540)
    assert "missing from the database" not in doctor.stdout


@pytest.mark.parametrize("kind", ["header", "page", "cut", "empty", "foreign", "picture"])
def test_d08_d09_d10_d28_a_database_that_is_none_is_kept_the_texts_wait_and_restore_and_rebuild_bring_all_back(
    data: str, kind: str
) -> None:
    """From the damage to the last row: never overwritten, never made anew in silence, set aside byte for byte."""
    path = os.path.join(data, "vigie.db")

    def run(*argv: str, at: int) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, *argv], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
            env={"PATH": "/usr/bin:/bin", "VIGIE_DATA": data, "VIGIE_LANGUAGE": "en", "VIGIE_NOW": str(at)},
        )  # fmt: skip

    for number in range(8):
        archive(data, NOW + number * 60, machine(NOW + number * 60))
        if number == 4:
            assert run("-I", "web/__main__.py", "backups", "--now", at=NOW + 240).returncode == 0
    whole = cycles.dump(data)["cycle"]
    with open(path, "rb") as file:
        raw = file.read()
    if kind == "foreign":
        os.unlink(path)
        other = sqlite3.connect(path)
        other.execute("CREATE TABLE notes (words)")
        other.commit()
        other.close()
    else:
        bad = {
            "header": b"no database here" + raw[16:], "page": raw[:16384] + os.urandom(16384) + raw[32768:], "cut": raw[: len(raw) // 2],
            "empty": b"", "picture": b"\xff\xd8\xff\xe0" + os.urandom(5000),
        }[kind]  # fmt: skip
        with open(path, "wb") as file:
            file.write(bad)
    with open(path, "rb") as file:
        damaged = file.read()

    at = NOW + 480
    cycles.write(data, at, machine(at))
    done = run("-I", "-S", "alerts/cycle.py", at=at)
    if done.returncode == 0:  # a page that this minute did not read: the daily check does
        assert kind == "page"
    else:
        assert done.stderr.count("\n") == 1
        assert "./vigie restore" in done.stderr
        assert os.listdir(os.path.join(data, "spool")) == [f"{at}.prom"], "the texts wait"
        with open(path, "rb") as file:
            assert file.read() == damaged, "left as it is, for a person"

    restored = run("-I", "web/__main__.py", "restore", "--yes", at=at)
    assert restored.returncode == 0, restored.stderr
    (kept,) = os.listdir(os.path.join(data, "set-aside"))
    if done.returncode:
        with open(os.path.join(data, "set-aside", kept, "vigie.db"), "rb") as file:
            assert file.read() == damaged
    assert run("-I", "web/__main__.py", "rebuild", at=at).returncode == 0
    assert run("-I", "-S", "alerts/cycle.py", at=at).returncode == 0
    after = cycles.dump(data)["cycle"]
    assert [row[1] for row in after] == [*(row[1] for row in whole), at]
    assert os.listdir(os.path.join(data, "spool")) == []


def test_d29_nothing_ever_copies_the_whole_database_to_make_it_smaller(data: str) -> None:
    """A VACUUM needs twice the room. Upkeep gives pages back a few at a time instead, so no room is asked for."""
    archive(data, NOW, machine(NOW))
    said: list[str] = []
    real = sqlite3.connect

    def watched(*args: object, **more: object) -> sqlite3.Connection:
        found: sqlite3.Connection = real(*args, **more)  # type: ignore[call-overload]
        found.set_trace_callback(said.append)
        return found

    sqlite3.connect = watched  # type: ignore[assignment]
    try:
        assert upkeep.run(settings.load({"VIGIE_DATA": data}), NOW + 86_400) == []
    finally:
        sqlite3.connect = real
    assert len(said) > 20
    assert [one for one in said if re.match(r"\s*VACUUM\b", one, re.I)] == []
    for folder, _, names in os.walk(os.path.join(ROOT, "archive")):
        for name in names:
            if name.endswith((".py", ".sql")):
                with open(os.path.join(folder, name), encoding="utf-8") as file:
                    text = file.read()
                # Forgetting a person makes the file (catalog.shred), and a copy of each backup (privacy.py), anew: what is
                # removed must not stay in free pages. Nothing else may.
                assert name in ("catalog.py", "privacy.py") or not re.search(r"execute\(\"VACUUM(?! INTO)", text), name
                assert name == "person.py" or "catalog.shred(" not in text, name
