"""The database again, from a backup and the journal, or from the journal alone."""

import os

import pytest

from archive import backup, database, load, purge, read, rebuild, rollup
from tests import cycles
from tests.conftest import NOW, make_data
from tests.cycles import Failed, archive, machine
from tests.engines import ON_POSTGRESQL

DAY = 86_400
MIDNIGHT = NOW - NOW % DAY


def rows(data: str) -> dict[str, list[tuple[object, ...]]]:
    """What the archive says, by names and not by ids, but for the lag: when a text was archived is not in it."""
    with database.reader(data) as db:
        names = {s.id: (s.metric.name, s.labels) for s in read.series(db, 1)}
        metrics = {row[0]: row[1:] for row in db.execute("SELECT * FROM metric")}
        return {
            "sample": sorted((names[s], at, v) for _, at, s, v in db.execute("SELECT * FROM sample")
                             if names[s][0] != "cycle_lag_seconds"),
            "metric": sorted(row for row in metrics.values() if row[0] != "cycle_lag_seconds"),
            "cycle": db.execute("SELECT at, boot, uptime, probes, failed FROM cycle ORDER BY at").fetchall(),
            "fact": sorted((metrics[m][0], *rest) for _, m, *rest in db.execute("SELECT * FROM fact")),
            "probe": db.execute("SELECT * FROM probe ORDER BY name").fetchall(),
            "counter": db.execute("SELECT * FROM counter").fetchall(),
            "event": db.execute("SELECT host, at, kind, subject FROM event WHERE kind='boot' ORDER BY at").fetchall(),
        }  # fmt: skip


def a_long_life(data: str, start: int, count: int) -> None:
    """Failures, facts that end, a boot, a refused text, a late one."""
    for number in range(count):
        at = start + number * 60
        said = dict(machine(at, load=number % 5, users=8 if number % 3 else 6))
        if number % 10 == 4:
            said["disk"] = Failed("timed out after 10 s")
        if number % 10 == 5:
            said["load"] = "load_average x\n"
        if number != 7:
            cycles.write(data, at, said, boot="one" if number < count // 2 else "two", uptime=1000.0 + number * 60)
    cycles.load_all(data, start + count * 60)
    archive(data, start + 7 * 60, machine(start + 7 * 60), boot="one", uptime=1000.0 + 7 * 60)


def replayed(data: str, now: int) -> tuple[int, list[str]]:
    with database.writer(data) as db:
        return rebuild.replay(data, db, now)


def test_from_the_journal_alone_every_row_comes_back(data, tmp_path):
    a_long_life(data, MIDNIGHT - 3000, 100)
    purge.journal(data, NOW)
    other = make_data(str(tmp_path / "other"))
    os.rmdir(os.path.join(other, "journal"))
    os.symlink(os.path.join(data, "journal"), os.path.join(other, "journal"))

    assert replayed(other, NOW + 5 * DAY) == (100, [])

    # The text that came late stands in its place in the journal: its counters give the rates that its absence cost.
    mine, theirs = rows(data), rows(other)
    late, since = MIDNIGHT - 3000 + 420, MIDNIGHT - 3000 + 480
    steady = [row for row in mine["sample"] if row[1] not in (late, since)]
    assert [row for row in theirs["sample"] if row[1] not in (late, since)] == steady
    assert {row[:2] for row in mine["sample"]} <= {row[:2] for row in theirs["sample"]}
    for table in ("metric", "cycle", "probe", "counter", "event"):
        assert theirs[table] == mine[table], table
    now_true = [row for row in mine["fact"] if row[4] is None]
    assert [row[:2] for row in theirs["fact"] if row[4] is None] == [row[:2] for row in now_true]


def test_row_by_row_a_life_in_order_comes_back_the_same(data, tmp_path):
    for number in range(90):
        archive(
            data, MIDNIGHT - 2400 + number * 60, machine(MIDNIGHT - 2400 + number * 60, users=8 if number % 3 else 6)
        )
    purge.journal(data, NOW)
    other = make_data(str(tmp_path / "other"))
    os.rmdir(os.path.join(other, "journal"))
    os.symlink(os.path.join(data, "journal"), os.path.join(other, "journal"))
    replayed(other, NOW)

    assert rows(other) == rows(data)


@pytest.mark.sqlite("a backup is a copy of the file")
def test_onto_a_backup_only_what_is_newer_comes_back(data, tmp_path):
    a_long_life(data, NOW - 3600, 30)
    made = backup.make(data, str(tmp_path / "backups"), NOW)
    for number in range(30):
        archive(data, NOW + number * 60, machine(NOW + number * 60), boot="two", uptime=9000.0 + number * 60)
    before = rows(data)
    backup.restore(data, made.path, NOW + 3600)

    assert replayed(data, NOW + 3600) == (30, [])

    assert rows(data) == before
    assert replayed(data, NOW + 3600) == (0, [])


def test_what_comes_back_is_rolled_up_again(data, tmp_path):
    cycles.fill(data, MIDNIGHT - 7200, 120)
    if not ON_POSTGRESQL:
        made = backup.make(data, str(tmp_path / "backups"), NOW)
        backup.restore(data, made.path, NOW)
    with database.writer(data) as db:
        with database.transaction(db):
            db.execute("DELETE FROM cycle WHERE at >= ?", (MIDNIGHT - 3600,))
            db.execute("DELETE FROM sample WHERE at >= ?", (MIDNIGHT - 3600,))
            rollup.roll(db, 1, NOW)
        rebuild.replay(data, db, NOW)
        with database.transaction(db):
            rollup.roll(db, 1, NOW)
        line = read.series(db, 1, "uptime_seconds")[0]
        hours = read.points(db, 1, line, MIDNIGHT - 7200, MIDNIGHT, 3600)
    assert [point.count for point in hours] == [60, 60]


@pytest.mark.parametrize("bad", ["cut", "garbage", "folder", "link", "huge"])
def test_one_bad_text_in_the_journal_stops_nothing_and_is_named(data, bad):
    cycles.fill(data, NOW, 5)
    day = os.path.join(data, "journal", "2026-11-21")
    path = os.path.join(day, f"{NOW + 60}.prom")
    os.rename(path, path + ".real")
    os.rename(path + ".real", os.path.join(day, "zzz"))
    if bad == "cut":
        with open(os.path.join(day, "zzz"), "rb") as whole, open(path, "wb") as file:
            file.write(whole.read()[:-20])
    elif bad == "garbage":
        with open(path, "wb") as file:
            file.write(os.urandom(500))
    elif bad == "folder":
        os.mkdir(path)
    elif bad == "link":
        os.symlink("/dev/zero", path)
    else:
        with open(path, "wb") as file:
            file.truncate(1 << 30)

    new, refused = replayed(data, NOW)

    assert new == 0
    assert len(refused) == 1
    assert path in refused[0]


def test_a_cycle_without_sections_does_not_swallow_the_next(data, tmp_path):
    for number, said in enumerate([{}, {"load": "load_average 1\n"}, {}, {}, {"load": "load_average 2\n"}]):
        archive(data, MIDNIGHT - 600 + number * 60, said)
    purge.journal(data, NOW)

    assert [text.problem for text in rebuild.texts(data)] == [""] * 5
    assert replayed(data, NOW) == (0, [])


def test_no_journal_is_nothing_to_load(tmp_path, data):
    os.rmdir(os.path.join(data, "journal"))
    assert replayed(data, NOW) == (0, [])


def test_a_rebuild_invents_no_lag(data, tmp_path):
    archive(data, NOW, machine(NOW))
    with database.writer(data) as db:
        for table in ("cycle", "sample"):
            db.execute(f"DELETE FROM {table}")
        rebuild.replay(data, db, NOW + 5 * DAY)
        assert read.samples(db, 1, read.series(db, 1, "cycle_lag_seconds")[0], 0, 2**40) == []
        assert read.last_cycle(db, 1).lag == 0


def test_labels_are_written_one_way():
    assert load.labels_json(()) == "{}"
    assert load.labels_json((("b", "é"), ("a", '"'))) == '{"a":"\\"","b":"é"}'
