"""The original system's database: taken over line by line, twice without a change."""

import datetime
import os
import sqlite3
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive import database, original, pack, purge, read, rollup
from archive.original import OriginalError, moment_of, number_of
from tests import cycles
from tests.conftest import NOW
from tests.cycles import dump

DAY = 86_400
TODAY = datetime.datetime.fromtimestamp(NOW, ZoneInfo("Europe/Paris")).date()


def made(path, rows=(), alerts=(), levels=(), name="dataBase"):
    """A database in the original's form, declared as loosely as it was."""
    db = sqlite3.connect(path)
    db.execute(f"CREATE TABLE IF NOT EXISTS {name} (users TEXT, cpu REAL, memory INTEGER, ram, date TEXT)")
    db.execute("CREATE TABLE IF NOT EXISTS cert_alert (date TEXT, reference TEXT, title TEXT, status TEXT)")
    db.execute("CREATE TABLE IF NOT EXISTS Seuil (cpu, memory, ram, temps_limite)")
    db.executemany(f"INSERT INTO {name} VALUES (?, ?, ?, ?, ?)", rows)
    db.executemany("INSERT INTO cert_alert VALUES (?, ?, ?, ?)", alerts)
    db.executemany("INSERT INTO Seuil VALUES (?, ?, ?, ?)", levels)
    db.commit()
    db.close()
    return str(path)


def take(data, path, now=NOW, days=None):
    with database.writer(data) as db, database.transaction(db):
        return original.store(db, 1, path, now, days)


def paris(*parts):
    return int(datetime.datetime(*parts, tzinfo=ZoneInfo("Europe/Paris")).timestamp())


@pytest.mark.parametrize(
    ("words", "parts", "timed"),
    [
        ("9 février 2024", (2024, 2, 9), False),
        ("09 Février 2024", (2024, 2, 9), False),
        ("9 fe\u0301vrier 2024", (2024, 2, 9), False),
        ("1er août 2024", (2024, 8, 1), False),
        ("vendredi 9 février 2024", (2024, 2, 9), False),
        ("le 9 décembre 2024 à 14h05", (2024, 12, 9, 14, 5), True),
        ("2024-02-09", (2024, 2, 9), False),
        ("2024-02-09 14:05:06", (2024, 2, 9, 14, 5, 6), True),
        ("2024-02-09T14:05", (2024, 2, 9, 14, 5), True),
        ("2024-02-09 14:05:06.123456", (2024, 2, 9, 14, 5, 6), True),
        ("09/02/2024 14:05", (2024, 2, 9, 14, 5), True),
        ("  9   février   2024 ", (2024, 2, 9), False),
    ],
)
def test_dates_in_both_forms_are_paris_time(words, parts, timed):
    assert moment_of(words) == (paris(*parts), timed)


def test_summer_and_winter_are_told_apart():
    assert moment_of("2024-07-01")[0] == 1_719_784_800  # 22:00 UTC the day before
    assert moment_of("2024-01-01")[0] == 1_704_063_600  # 23:00 UTC


@pytest.mark.parametrize(
    "words", ["", "hier", "30 février 2024", "9 feb 2024", "2024-13-01", "2024-02-09 25:00", "9 février", "99999-01-01", "0000-01-01", "\x00"]
)  # fmt: skip
def test_a_date_that_is_none_is_none(words):
    assert moment_of(words) is None


@pytest.mark.parametrize(
    ("said", "column", "number"),
    [
        (12, "", 12.0), (12.5, "", 12.5), ("12", "", 12.0), ("12,5", "", 12.5), ("12.5%", "", 12.5), ("1 234,5", "", 1234.5),
        ("1\u202f234", "", 1234.0), ("512 KB", "k", 512.0), ("512 Ko", "k", 512.0), ("2 MB", "k", 2048.0), ("2M", "k", 2048.0),
        ("1G", "m", 1024.0), ("512", "k", 512.0), ("512 MiB", "m", 512.0), ("-1", "", None), (-1, "", None), ("", "", None),
        (None, "", None), ("abc", "", None), ("1e400", "", None), (float("nan"), "", None), (float("inf"), "", None),
        (b"12", "", None), ("0x10", "", None), ("١٢", "", None), (1e15, "", None), ("12 parsecs", "", None),
    ],
)  # fmt: skip
def test_numbers_are_numbers_also_as_text(said, column, number):
    assert number_of(said, column) == number


@given(st.text(max_size=40))
def test_any_words_are_a_date_and_a_number_or_none(words):
    moment_of(words)
    number_of(words)


def test_rows_become_samples_in_our_units(data, tmp_path):
    path = made(
        tmp_path / "old.db", [("alice", 150.0, 2500, "204800", f"{TODAY} 00:10:00"), ("bob", 3, 10, 100, str(TODAY))]
    )

    taken = take(data, path)

    assert (taken.rows, taken.samples, taken.known, taken.too_old, taken.skipped) == (2, 6, 0, 0, [])
    with database.reader(data) as db:
        said = {(s.metric.name, s.label("user")): read.samples(db, 1, s, 0, 2**40) for s in read.series(db, 1)}
    at = paris(TODAY.year, TODAY.month, TODAY.day, 0, 10)
    assert said["user_cpu_seconds_total", "alice"] == [(at, 1.5)]
    assert said["user_home_bytes", "alice"] == [(at, 2.5e9)]
    assert said["user_memory_bytes", "alice"] == [(at, 204800 * 1024)]
    assert said["user_memory_bytes", "bob"] == [(paris(TODAY.year, TODAY.month, TODAY.day), 102400)]


def test_the_probes_own_lines_go_on_where_the_import_ends(data, tmp_path):
    take(data, made(tmp_path / "old.db", [("user0", 1, 1, 1, str(TODAY))]))
    for number in range(2):
        cycles.archive(data, NOW + number * 60, cycles.machine(NOW + number * 60))

    with database.reader(data) as db:
        line = next(s for s in read.series(db, 1, "user_cpu_seconds_total") if s.label("user") == "user0")
        assert len(read.samples(db, 1, line, 0, 2**40)) == 2
        assert line.metric.probe == "processes"
        assert all(probe.state == "ok" for probe in read.probes(db, 1))


def test_twice_changes_nothing(data, tmp_path):
    rows = [("alice", number, 1, 1, f"{TODAY - datetime.timedelta(days=number)}") for number in range(5)]
    path = made(tmp_path / "old.db", rows + rows)
    first = take(data, path)
    before = dump(data)

    second = take(data, path)

    assert (first.samples, second.samples, second.known) == (30, 0, 30)
    assert dump(data) == before


def test_twice_changes_nothing_also_when_it_was_rolled_up_and_packed_between(data, tmp_path):
    rows = [("alice", number, 1, 1, f"{TODAY - datetime.timedelta(days=10)} {number:02}:30:00") for number in range(24)]
    path = made(tmp_path / "old.db", rows)
    cycles.archive(data, NOW - 60, cycles.machine(NOW))
    with database.writer(data) as db, database.transaction(db):
        rollup.roll(db, 1, NOW)
    take(data, path)
    with database.writer(data) as db, database.transaction(db):
        while rollup.roll(db, 1, NOW):
            pass
        for day in range(8, 13):
            pack.pack_day(db, 1, (NOW // DAY - day) * DAY)
    before = dump(data)
    with database.reader(data) as db:
        line = read.series(db, 1, "user_cpu_seconds_total")
        line = next(s for s in line if s.label("user") == "alice")
        points = read.points(db, 1, line, NOW - 12 * DAY, NOW, 3600)
    assert [point.count for point in points] == [1] * 24

    assert take(data, path).samples == 0

    assert dump(data) == before
    grown = made(path, [("alice", 99, 1, 1, f"{TODAY - datetime.timedelta(days=10)} 12:45:00")])
    assert take(data, grown).samples == 3
    with database.writer(data) as db:
        with database.transaction(db):
            rollup.roll(db, 1, NOW)
        again = read.points(db, 1, line, NOW - 12 * DAY, NOW, 3600)
    assert sum(point.count for point in again) == 25


def test_what_is_older_than_the_retention_is_counted_and_taken_only_when_told(data, tmp_path):
    rows = [("alice", 1, 1, 1, "9 février 2024"), ("alice", 1, 1, 1, str(TODAY))]
    path = made(tmp_path / "old.db", rows)

    first = take(data, path)
    assert (first.rows, first.too_old) == (1, 1)

    second = take(data, path, days=1200)
    assert (second.rows, second.samples, second.known, second.too_old) == (2, 3, 3, 0)
    with database.reader(data) as db:
        assert purge.retention_days(db) == 1200


@pytest.mark.parametrize("days", [0, -1, 3651, 10**9])
def test_d19_a_retention_out_of_range_is_refused_and_nothing_is_taken(data, tmp_path, days):
    path = made(tmp_path / "old.db", [("alice", 1, 1, 1, str(TODAY))])
    before = dump(data)

    with pytest.raises(OriginalError, match="1 to 3650 days"):
        take(data, path, days=days)
    assert dump(data) == before


def test_what_cannot_be_read_is_said_line_by_line(data, tmp_path):
    rows = [
        ("", 1, 1, 1, str(TODAY)),
        ("alice", 1, 1, 1, "one day"),
        ("alice", "x", None, "", str(TODAY)),
        ("alice", 1, 1, 1, f"{TODAY + datetime.timedelta(days=3)}"),
        ("alice", "x", 5, None, str(TODAY)),
        ("a\x1b[2J<b>\n", 1, 1, 1, str(TODAY)),
    ]
    taken = take(data, made(tmp_path / "old.db", rows, levels=[("80", "x", 5, None)]))

    assert [(skip.table, skip.line) for skip in taken.skipped] == [
        ("dataBase", 1), ("dataBase", 2), ("dataBase", 3), ("Seuil", 1), ("Seuil", 1), ("dataBase", 4),
    ]  # fmt: skip
    assert [skip.reason for skip in taken.skipped][1] == "the date is not understood: 'one day'"
    assert "lies in the future" in taken.skipped[-1].reason
    assert taken.levels == {"cpu": 80.0, "ram": 5.0}
    with database.reader(data) as db:
        assert {s.label("user") for s in read.series(db, 1)} == {"alice", "a\\x1b[2J<b>\\x0a"}


def test_539_copies_of_one_alert_are_one(data, tmp_path):
    reference = "CERTFR-2024-ALE-003"
    alerts = [("9 février 2024", reference, "Vulnérabilité <b>critique</b>", "Alerte en cours")] * 538
    alerts += [
        ("2024-02-09", f"https://www.cert.ssi.gouv.fr/alerte/{reference}/", "Vulnérabilité", "Clôturée le 3 mars")
    ]
    alerts += [("2024-02-10", "CERTFR-2024-AVI-0100", "Avis", ""), ("x", "no reference", "t", "s")]
    taken = take(data, made(tmp_path / "old.db", alerts=alerts))

    assert [(a.reference, a.open) for a in taken.alerts] == [(reference, False), ("CERTFR-2024-AVI-0100", None)]
    assert taken.alerts[0].date == paris(2024, 2, 9)
    assert [(skip.table, skip.line) for skip in taken.skipped] == [("cert_alert", 541)]
    for new in (2, 0):
        with database.writer(data) as db, database.transaction(db):
            assert original.store_alerts(db, taken.alerts, NOW) == new
    with database.reader(data) as db:
        rows = db.execute(
            "SELECT reference, kind, status, first_at, url, backlog, announced, revision FROM advisory ORDER BY reference"
        ).fetchall()
    assert rows[0][:5] == (
        reference, "alerte", "closed", paris(2024, 2, 9), f"https://www.cert.ssi.gouv.fr/alerte/{reference}/",
    )  # fmt: skip
    assert [row[1] for row in rows] == ["alerte", "avis"]
    assert all(row[5] == 1 for row in rows)


@pytest.mark.parametrize("kind", ["missing", "folder", "text", "other", "empty"])
def test_a_file_that_is_no_such_database_is_refused_in_words(data, tmp_path, kind):
    path = tmp_path / "old.db"
    if kind == "folder":
        path.mkdir()
    elif kind == "text":
        path.write_text("x" * 5000)
    elif kind == "empty":
        path.touch()
    elif kind == "other":
        db = sqlite3.connect(path)
        db.execute("CREATE TABLE songs (a)")
        db.commit()
        db.close()
    why = {"missing": "no such file", "folder": "no such file", "text": "not a readable SQLite database",
           "empty": "it holds: none", "other": "it holds: songs"}[kind]  # fmt: skip

    with pytest.raises(OriginalError, match=why):
        take(data, str(path))


def test_rows_that_wait_in_a_wal_beside_it_are_read_too(data, tmp_path):
    path = tmp_path / "old.db"
    made(path)
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA wal_autocheckpoint=0")
    db.execute("INSERT INTO dataBase VALUES ('alice', 1, 1, 1, ?)", (str(TODAY),))
    try:
        assert take(data, str(path)).rows == 1
    finally:
        db.close()


def test_the_original_itself_is_never_written(data, tmp_path):
    path = made(tmp_path / "old.db", [("alice", 1, 1, 1, str(TODAY))])
    os.chmod(path, 0o400)
    with open(path, "rb") as file:
        before = file.read()
    take(data, path)

    with open(path, "rb") as file:
        assert file.read() == before
    assert os.listdir(tmp_path) == ["old.db"] or sorted(os.listdir(tmp_path)) == ["data", "old.db"]


def test_bytes_that_are_not_text_and_columns_of_its_own_are_read(data, tmp_path):
    path = tmp_path / "old.db"
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE dataBase (id INTEGER PRIMARY KEY, users, cpu, memory, ram, date)")
    db.execute("INSERT INTO dataBase VALUES (1, CAST(x'ff616c' AS TEXT), 1, 1, 1, ?)", (str(TODAY),))
    db.commit()
    db.close()

    assert take(data, str(path)).rows == 1
    with database.reader(data) as db:
        assert read.series(db, 1)[0].label("user") == "\ufffdal"


def test_thirty_thousand_rows_are_all_taken(data, tmp_path):
    rows = [
        (
            f"user{n % 20}",
            n % 100,
            n % 1000,
            n,
            f"{TODAY - datetime.timedelta(days=1 + n // 400)} {n % 24:02}:{n % 60:02}:00",
        )
        for n in range(30_000)
    ]
    path = made(tmp_path / "old.db", rows)

    taken = take(data, path)

    assert taken.rows == 30_000
