"""The commands that care for the rows, where these are on PostgreSQL: each does its work or says what does it there."""

import json
import os
import subprocess
import sys

import pytest

from archive import database, engine, people, read
from tests import conftest, cycles, engines
from tests.conftest import NOW
from tests.cycles import ROOT
from tests.fleet.fleet import centre_data


@pytest.fixture
def data(tmp_path):
    found = centre_data(str(tmp_path / "centre"), "postgresql")
    cycles.fill(found, NOW - 3600, 60)
    return found


def vigie(data, *arguments, module="", **more):
    call = ["-m", module] if module else ["-I", os.path.join(ROOT, "web", "__main__.py")]
    environ = {"PATH": "/usr/bin:/bin", "VIGIE_DATA": data, "VIGIE_DATABASE_URL": engine.url_of(data), "VIGIE_LANGUAGE": "en",
               "VIGIE_NOW": str(NOW)}  # fmt: skip
    return subprocess.run(
        [sys.executable, *call, *arguments], env=environ | more, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True,
        text=True, check=False, timeout=120,
    )  # fmt: skip


@pytest.mark.parametrize(
    "command", [("backups",), ("backups", "--now"), ("restore", "--yes"), ("restore", "x", "--yes")]
)
def test_backups_and_restore_say_in_one_line_what_does_it_there(data, command):
    done = vigie(data, *command)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    for words in ("pg_dump", "pg_restore", "pg_basebackup", "docs/fleet.md, Back-ups"):
        assert words in done.stderr
    assert not os.path.exists(os.path.join(data, "backups"))
    with open(os.path.join(ROOT, "docs", "fleet.md"), encoding="utf-8") as file:
        assert "\n### Back-ups\n" in file.read()


def test_a_dump_comes_back_whole_goes_on_and_the_journal_fills_what_came_since(data, tmp_path):
    path = str(tmp_path / "vigie.dump")
    engines.dump(data, path)
    before = cycles.dump(data)
    for number in range(5):
        cycles.archive(data, NOW + number * 60, cycles.machine(NOW + number * 60, users=9))
    newest = cycles.dump(data, "cycle")["cycle"]
    engine.use(data, "")
    engines.restore(data, path)
    assert cycles.dump(data) == before

    done = vigie(data, "rebuild", VIGIE_NOW=str(NOW + 300))

    assert done.returncode == 0, done.stderr
    assert "5 cycles came back" in done.stdout
    assert [row[:4] for row in cycles.dump(data, "cycle")["cycle"]] == [row[:4] for row in newest]
    with database.reader(data) as db:
        assert "user8" in people.known(db), "a line that came after the dump has a number of its own"


def findings(data, **more):
    done = vigie(data, "doctor", "--json", **more)
    assert done.stderr == ""
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_doctor_speaks_of_postgresql_and_of_no_file(data):
    found = findings(data)
    said = "\n".join(f"{one['what']} {one['fix']}" for one in found)

    assert "PostgreSQL 1" in said
    assert "PostgreSQL's own tools make the backups see docs/fleet.md" in said
    for words in ("SQLite", "vigie restore", "vigie backups", "write-ahead"):
        assert words not in said


def test_doctor_and_a_page_say_that_it_cannot_be_reached_and_what_to_type(data):
    with engines.away(data):
        found = findings(data)
        french = findings(data, VIGIE_LANGUAGE="fr")
        status = vigie(data, "status")

    mend = [one for one in found if one["fix"] == "systemctl status postgresql"]
    assert len(mend) == 1
    assert mend[0]["level"] == "mend"
    assert "PostgreSQL cannot be reached" in mend[0]["what"]
    assert any("PostgreSQL ne répond pas" in one["what"] for one in french)
    assert status.returncode == 3
    assert status.stderr.count("\n") == 1
    assert "systemctl status postgresql" in status.stderr


def test_upkeep_does_the_days_work_and_asks_for_no_backup(data):
    done = vigie(data, "--now", module="archive.upkeep")

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    with database.reader(data) as db:
        assert read.setting(db, "upkeep_day")
        assert read.setting(db, "backup_error") == ""


def test_forgetting_a_person_leaves_no_byte_in_the_tables_files(data):
    assert b"user7" in engines.bytes_of(data)

    done = vigie(data, "user", "forget", "user7", "--yes")

    assert done.returncode == 0, done.stderr
    assert b"user7" not in engines.bytes_of(data)
    with database.reader(data) as db:
        assert "user6" in people.known(db)


def test_an_empty_database_says_what_makes_its_tables(tmp_path):
    folder = str(tmp_path / "centre")
    os.makedirs(folder, mode=0o700)
    conftest.use_postgresql(folder, "template0")

    for opened in (database.reader, database.writer):
        with pytest.raises(database.DatabaseError, match=r"no database yet; type: \./run_all\.sh"), opened(folder):
            pass


def test_a_day_whose_making_was_undone_is_made_again(data):
    """The partition of a day is gone with the transaction that made it; the next text of that day must not look for it."""
    at = NOW + 40 * 86_400

    def fail_half_way(db):
        engines.put_samples(db, [(at, 1, 5)])
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), database.writer(data) as db, database.transaction(db):
        fail_half_way(db)

    assert [one.at for one in cycles.archive(data, at, {"load": "load_average 1\n"})] == [at]
