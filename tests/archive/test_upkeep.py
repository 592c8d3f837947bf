"""Upkeep: the work of the hour and of the day, in steps that hold nothing up, whatever the clock or the disk does."""

import contextlib
import os
import threading
import time

import pytest

from archive import backup, database, dues, pack, read, reserve, rollup, settings, slices, upkeep
from tests import cycles
from tests.conftest import NOW
from tests.cycles import dump
from tests.engines import ON_POSTGRESQL, put_samples, watched

HOUR, DAY = 3600, 86_400
MIDNIGHT = NOW - NOW % DAY
LINE = {"load": "load_average 1\n"}


def config(data: str, **more: str) -> settings.Settings:
    return settings.load({"VIGIE_DATA": data, **more})


def sparse(data: str, first: int, last: int, every: int = HOUR) -> None:
    for at in range(first, last + 1, every):
        cycles.write(data, at, LINE, boot="b", uptime=1000.0 + at - first)
    cycles.load_all(data, last)


def remembered(data: str) -> dict[str, str]:
    return {row[0]: row[1] for row in dump(data, "setting")["setting"]}  # type: ignore[misc]


@pytest.mark.parametrize(
    ("last", "now", "due"),
    [
        (0, NOW, True),
        (NOW, NOW + 60, False),
        (NOW, NOW + 3600, True),
        (MIDNIGHT + 3000, MIDNIGHT + 3600 + 179, False),
        (MIDNIGHT + 3000, MIDNIGHT + 3600 + 180, True),  # an hour is over, and its last texts are in
        (NOW + 3650 * DAY, NOW, True),  # the clock was ahead when it was set
        (NOW + 600, NOW, False),
    ],
)
def test_it_is_due_once_an_hour_a_little_after_the_hour(data, last, now, due):
    with database.writer(data) as db:
        db.execute("INSERT INTO setting VALUES ('upkeep_at', ?, 0, '')", (str(last),))
        assert upkeep.due(data, db, now) is due
        assert dues.upkeep(db, now) is due


def test_a_day_of_upkeep_does_all_of_it(data):
    sparse(data, MIDNIGHT - 5 * DAY, NOW)
    now = MIDNIGHT + 3 * HOUR

    assert upkeep.run(config(data), now) == []

    with database.reader(data) as db:
        assert read.rolled_until(db, 1) == MIDNIGHT + 2 * HOUR
        assert [row[0] for row in db.execute("SELECT DISTINCT day FROM packed ORDER BY 1")] == [
            MIDNIGHT - day * DAY for day in (5, 4, 3, 2)
        ][:3]
        copies = [] if ON_POSTGRESQL else ["backup"]  # PostgreSQL's own tools make them
        assert [row[0] for row in db.execute("SELECT kind FROM event WHERE kind='backup'")] == copies
    assert len(backup.names(config(data).backup_dir)) == len(copies)
    said = remembered(data)
    assert (said["quick_check"], said["upkeep_at"]) == ("ok", str(now))
    assert said.get("backup_error") == ("" if copies else None)
    assert len([name for name in os.listdir(os.path.join(data, "journal")) if name.endswith(".xz")]) == 5


def test_the_days_work_is_done_once_a_day_and_the_hours_each_hour(data, monkeypatch):
    purges, purge = [], upkeep._purge
    monkeypatch.setattr(upkeep, "_purge", lambda *given: (purges.append(given), purge(*given)))

    def days_done() -> int:
        backups = [row for row in dump(data, "event")["event"] if row[3] == "backup"]
        assert len(backups) == (0 if ON_POSTGRESQL else len(purges))
        return len(purges)

    sparse(data, MIDNIGHT - 2 * DAY, NOW)
    for hour in range(24):
        assert upkeep.run(config(data), MIDNIGHT + 3 * HOUR + hour * HOUR) == []
    assert days_done() == 1  # 02:00 is before 02:30

    assert upkeep.run(config(data), MIDNIGHT + 2 * HOUR + DAY) == []
    assert upkeep.run(config(data), MIDNIGHT + 3 * HOUR + DAY) == []
    assert days_done() == 2


def test_d20_after_a_clock_that_was_ten_years_ahead_the_days_work_goes_on(data):
    sparse(data, MIDNIGHT - 2 * DAY, NOW)
    upkeep.run(config(data), NOW + 3650 * DAY)
    before = remembered(data)["upkeep_day"]

    upkeep.run(config(data), NOW)

    assert remembered(data)["upkeep_day"] != before
    newest = [row[2] for row in dump(data, "event")["event"] if row[3] == "backup"]
    assert sorted(newest) == ([] if ON_POSTGRESQL else [NOW, NOW + 3650 * DAY])


@pytest.mark.sqlite("a backup is a copy of the file")
def test_a_backup_that_fails_is_said_kept_in_mind_and_tried_again_in_an_hour(data, tmp_path):
    sparse(data, MIDNIGHT - DAY, NOW)
    bad = config(data, VIGIE_BACKUP_DIR=str(tmp_path / "file" / "x"))
    (tmp_path / "file").touch()

    errors = upkeep.run(bad, NOW)
    assert len(errors) == 1
    assert "cannot be used for backups" in errors[0]
    assert remembered(data)["backup_error"] == errors[0]
    assert remembered(data)["quick_check"] == "ok"

    assert upkeep.run(config(data), NOW + HOUR) == []
    assert remembered(data)["backup_error"] == ""


def test_what_was_not_trusted_is_remembered_for_the_page(data):
    sparse(data, NOW - 2 * HOUR, NOW)
    upkeep.run(config(data), NOW)

    assert remembered(data)["purge_refused"] == "the machine has not been up for 24 hours yet"


def test_a_day_with_a_text_that_came_late_is_rolled_up_again_before_it_is_packed(data):
    sparse(data, MIDNIGHT - 4 * DAY, NOW)
    with database.writer(data) as db, database.transaction(db):
        while rollup.roll(db, 1, NOW):
            pass
    cycles.archive(data, MIDNIGHT - 4 * DAY + 120, LINE, boot="b", uptime=1.0)
    slices.pack_days(data, 1, NOW - 2 * DAY)
    assert dump(data, "packed")["packed"] == []
    upkeep.run(config(data), NOW)

    with database.reader(data) as db:
        line = read.series(db, 1, "load_average")[0]
        assert read.points(db, 1, line, MIDNIGHT - 4 * DAY, MIDNIGHT - 3 * DAY, HOUR)[0].count == 2
        assert db.execute("SELECT count(*) FROM packed").fetchone()[0] > 0


@pytest.mark.sqlite("room kept beside the file")
def test_m22_the_reserve_comes_back_when_there_is_room(data):
    os.unlink(os.path.join(data, reserve.RESERVE))
    cycles.archive(data, NOW, LINE)
    upkeep.run(config(data), NOW)

    assert os.path.getsize(os.path.join(data, reserve.RESERVE)) == reserve.RESERVE_BYTES


@pytest.mark.sqlite("the file is damaged")
def test_damage_is_said_with_the_way_out(data):
    sparse(data, MIDNIGHT - 20 * DAY, NOW)
    with database.writer(data) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        pages = [row[0] for row in db.execute("SELECT rootpage FROM sqlite_master WHERE name IN ('event', 'backup')")]
    with open(os.path.join(data, "vigie.db"), "r+b") as file:
        for page in pages:
            file.seek((page - 1) * 4096)
            file.write(b"\xff" * 4096)
    done = cycles.python(
        "from archive import upkeep\nsys.exit(upkeep.main())", environ={"VIGIE_DATA": data, "VIGIE_NOW": str(NOW)}
    )

    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "./vigie restore" in done.stderr or "the backup failed" in done.stderr


def test_beside_upkeep_the_minutes_path_waits_little(data, capsys):
    """A day of 150 series is rolled up, packed and backed up while another loads."""
    text = "".join(f'a{{n="{n}"}} 1\n' for n in range(150))
    cycles.archive(data, MIDNIGHT - 4 * DAY, {"x": text}, boot="b", uptime=1.0)
    with database.writer(data) as db, database.transaction(db):
        ids = [s.id for s in read.series(db, 1, "a")]
        first = MIDNIGHT - 4 * DAY
        put_samples(db, ((first + minute * 60, ident, minute * 1000) for minute in range(1, 1440) for ident in ids))
    stop = threading.Event()
    waits: list[float] = []
    failures: list[BaseException] = []

    def loading() -> None:
        number = 0
        try:
            while not stop.is_set():
                number += 1
                cycles.write(data, NOW + number, LINE, boot="b", uptime=4.0 * DAY + number)
                began = time.monotonic()
                cycles.load_all(data, NOW + number)
                waits.append(time.monotonic() - began)
                time.sleep(0.05)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=loading)
    thread.start()
    began = time.monotonic()
    errors = upkeep.run(config(data), NOW)
    took = time.monotonic() - began
    stop.set()
    thread.join(30)
    with capsys.disabled():
        print(
            f"\n  upkeep of a day of 150 series took {took:.1f} s; a cycle waited {max(waits):.2f} s at most ({len(waits)})"
        )

    assert errors == []
    assert failures == []
    assert max(waits) < 5


def test_killed_at_any_step_the_next_one_does_the_rest(data):
    sparse(data, MIDNIGHT - 5 * DAY, NOW, every=1800)
    with database.reader(data) as db:
        line = read.series(db, 1, "load_average")[0]
        before = read.samples(db, 1, line, 0, 2**40)
    code = """
import os
from archive import database, upkeep
count, real = int(sys.argv[1]), database.transaction
def dying(db):
    global count
    count -= 1
    if count == 0:
        os.kill(os.getpid(), 9)
    return real(db)
for module in (database, upkeep.database, upkeep.purge.database):
    module.transaction = dying
sys.exit(upkeep.main())
"""
    for count in (1, 2, 3, 4, 5, 6, 8):
        done = cycles.python(code, str(count), environ={"VIGIE_DATA": data, "VIGIE_NOW": str(NOW + count * HOUR)})
        assert done.returncode in (-9, 0), done.stderr
        with database.reader(data) as db:
            assert read.samples(db, 1, line, 0, 2**40) == before
    with database.writer(data) as db:
        db.execute("DELETE FROM setting WHERE name='upkeep_day'")
    assert upkeep.run(config(data), NOW + 12 * HOUR) == []
    with database.reader(data) as db:
        assert read.samples(db, 1, line, 0, 2**40) == before
        hours = read.points(db, 1, line, MIDNIGHT - 5 * DAY, MIDNIGHT, HOUR)
        assert [point.count for point in hours] == [2] * 120
        assert database.quick_check(db) == "ok"


def test_a_busy_archive_is_left_alone_without_a_word(data, monkeypatch):
    monkeypatch.setenv("VIGIE_DATA", data)
    monkeypatch.setattr(upkeep, "run", lambda *_: (_ for _ in ()).throw(database.Busy("x")))
    monkeypatch.setattr(upkeep.sys, "argv", ["upkeep", "--now"])

    assert upkeep.main() == 0


def test_with_load_what_waits_is_archived_first(data):
    cycles.write(data, NOW, LINE)
    done = cycles.python(
        "from archive import upkeep\nsys.argv.append('--load')\nsys.exit(upkeep.main())",
        environ={"VIGIE_DATA": data, "VIGIE_NOW": str(NOW)},
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert len(dump(data, "cycle")["cycle"]) == 1


def test_the_purge_of_the_day_reaches_the_small_tables_too(data):
    sparse(data, MIDNIGHT - 3 * DAY, NOW)
    old = NOW - 500 * DAY
    with database.writer(data) as db:
        db.execute("INSERT INTO event (host, at, kind, subject, detail) VALUES (1, ?, 'x', '', '')", (old,))
        db.execute("INSERT INTO notification (host, at, kind, thread, message_id, subject, body)"
                   " VALUES (1, ?, 'test', '', 'm', '', '{}')", (old,))  # fmt: skip
        db.execute("INSERT INTO delivery (notification, recipient, state, tries, next_at, server, reply)"
                   " VALUES (1, 'a', 'accepted', 1, 0, '', '')")  # fmt: skip
        db.execute("INSERT INTO evidence (incident, at, moment, body) VALUES (1, ?, 'opened', '{}')", (old,))
    upkeep.run(config(data), NOW)

    found = dump(data, "event", "notification", "evidence")
    assert old not in [row[2] for row in found["event"]]
    assert (found["notification"], found["evidence"]) == ([], [])


def busy_days(data: str, days: int, series: int = 60) -> None:
    """So many days of a minute's rhythm, three days ago and before."""
    first = MIDNIGHT - (3 + days) * DAY
    cycles.archive(data, first, {"x": "".join(f'a{{n="{n}"}} 1\n' for n in range(series))}, boot="b", uptime=1.0)
    with database.writer(data) as db, database.transaction(db):
        ids = [s.id for s in read.series(db, 1, "a")]
        told = range(1, days * 1440)
        put_samples(db, ((first + n * 60, ident, n % 97 * 1000 + ident) for n in told for ident in ids))


def test_no_slice_of_upkeep_does_more_than_a_little_once_its_time_is_spent(data, monkeypatch):
    """With no time at all, each slice does its least: an hour, a blob, a batch of rows, a stretch."""
    busy_days(data, 2)
    monkeypatch.setattr(slices, "BUDGET", 0.0)
    monkeypatch.setattr(slices, "budget", lambda: lambda: True)
    monkeypatch.setattr(slices, "PAUSE", 0.0)
    changed: list[tuple[int, int]] = []  # (rows changed, pages in the -wal) a slice
    real = database.transaction

    @contextlib.contextmanager
    def counted(db):
        with watched(db) as seen, real(db):
            yield db
        path = os.path.join(data, f"{database.NAME}-wal")
        changed.append((seen.rows, os.path.getsize(path) // 4096 if os.path.exists(path) else 0))

    monkeypatch.setattr(database, "transaction", counted)
    upkeep.run(config(data), NOW)

    assert len(changed) > 2 * 60 + 48 + 2 * 1440 * 60 // slices.ROWS
    assert max(rows for rows, _ in changed) <= max(slices.ROWS + 60, 13 * 61)
    assert max(pages for _, pages in changed) < 400


def test_a_text_that_comes_late_between_the_slices_is_not_lost(data, monkeypatch):
    """It comes after the day was read and before its rows are removed."""
    busy_days(data, 1, 3)
    with database.writer(data) as db, database.transaction(db):
        while rollup.roll(db, 1, NOW):
            pass
    real, late = slices.repeat, MIDNIGHT - 4 * DAY + 7 * HOUR + 30

    def repeat(where, step):
        monkeypatch.setattr(slices, "repeat", real)
        cycles.archive(data, late, {"x": 'a{n="1"} 77\n'}, boot="b", uptime=2.0)
        return real(where, step)

    monkeypatch.setattr(slices, "repeat", repeat)
    slices.pack_days(data, 1, NOW - 2 * DAY)

    def of_line() -> list[read.Sample]:
        with database.reader(data) as db:
            line = next(one for one in read.series(db, 1, "a") if one.label("n") == "1")
            return read.samples(db, 1, line, 0, 2**40)

    assert read.Sample(late, 77.0) in of_line()
    upkeep.run(config(data), NOW)
    assert read.Sample(late, 77.0) in of_line()
    assert [row for row in dump(data, "sample")["sample"] if row[1] < MIDNIGHT - 3 * DAY] == []


def test_an_older_database_put_back_between_the_slices_keeps_its_rows(data, monkeypatch):
    """The blobs were stored in a file that is gone: the rows of the one in its place stay."""
    busy_days(data, 1, 3)
    with database.writer(data) as db, database.transaction(db):
        while rollup.roll(db, 1, NOW):
            pass
    before = dump(data, "sample")["sample"]
    real = pack.holds

    def holds(db, host, day, counts):
        db.execute("DELETE FROM packed")
        return real(db, host, day, counts)

    monkeypatch.setattr(pack, "holds", holds)
    slices.pack_days(data, 1, NOW - 2 * DAY)

    assert dump(data, "sample")["sample"] == before


def test_what_is_old_is_packed_and_reads_as_before(data):
    """Rollups of days past and cycles of weeks past go into blobs; graphs and gaps are the same."""
    sparse(data, MIDNIGHT - 60 * DAY, NOW, every=1800)
    with database.writer(data) as db, database.transaction(db):
        while rollup.roll(db, 1, NOW):
            pass

    def seen() -> list[object]:
        with database.reader(data) as db:
            line = read.series(db, 1, "load_average")[0]
            found = [read.points(db, 1, line, NOW - 60 * DAY, NOW, step) for step in (300, 900, 3600, 7200, DAY)]
            return [found, read.cycles(db, 1, 0, 2**40), read.counts(db)["cycle"], read.counts(db)["rollup"]]

    before = seen()
    assert upkeep.run(config(data), NOW) == []

    found = dump(data, "rolled", "packed_cycle", "rollup", "cycle")
    assert {row[2] for row in found["rolled"]} == {300, 3600}
    assert min(row[1] for row in found["cycle"]) >= MIDNIGHT - 16 * DAY
    assert len(found["packed_cycle"]) >= 19
    after = seen()
    assert after[:3] == before[:3]
    # 5-minute rollups go after 40 days, whether packed or not.
    assert min(at for _, _, step, at, *_ in found["rolled"] if step == 300) >= NOW - 41 * DAY


def test_a_text_of_a_packed_day_is_known_again(data):
    sparse(data, MIDNIGHT - 60 * DAY, NOW, every=6 * HOUR)
    upkeep.run(config(data), NOW)
    before = dump(data, "sample", "cycle", "packed_cycle", "packed", "event")

    at = MIDNIGHT - 60 * DAY
    cycles.write(data, at, LINE, boot="b", uptime=1000.0)
    cycles.load_all(data, NOW)

    assert dump(data, "sample", "cycle", "packed_cycle", "packed", "event") == before
