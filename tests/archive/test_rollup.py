"""Rollups: exact, made once, and made again where a text came late, packed days too."""

import pytest

from archive import database, pack, read, rollup
from tests import cycles
from tests.conftest import NOW
from tests.cycles import archive, dump
from tests.engines import put_samples, watched

HOUR, DAY = 3600, 86_400
MIDNIGHT = NOW - NOW % DAY


def roll(data: str, now: int, hours: int = 48) -> int:
    """Roll until there is no more to do; how many times it took."""
    times, more = 0, True
    while more:
        with database.writer(data) as db, database.transaction(db):
            more = rollup.roll(db, 1, now, hours)
        times += 1
    return times


def load_line(data: str, numbers: "range | list[int]", start: int = MIDNIGHT) -> None:
    for number in numbers:
        cycles.write(data, start + number * 60, {"load": f"load_average {number}\n"})
    cycles.load_all(data, start + 30 * DAY)


def rows(data: str, step: int) -> list[tuple[int, float, float, float, int]]:
    """(at, least, greatest, sum, count) of load_average."""
    with database.reader(data) as db:
        line = read.series(db, 1, "load_average")[0]
        found = db.execute(
            "SELECT at, least, greatest, sum, count FROM rollup WHERE series=? AND step=? ORDER BY at", (line.id, step)
        ).fetchall()
    return [(at, least / 1000, greatest / 1000, total / 1000, count) for at, least, greatest, total, count in found]


def test_hours_are_sums_of_five_minutes_and_both_are_exact(data):
    load_line(data, range(150))
    roll(data, MIDNIGHT + 2 * HOUR + 120)

    assert rows(data, HOUR) == [
        (MIDNIGHT, 0, 59, sum(range(60)), 60), (MIDNIGHT + HOUR, 60, 119, sum(range(60, 120)), 60),
    ]  # fmt: skip
    fine = rows(data, 300)
    assert len(fine) == 24
    assert fine[0] == (MIDNIGHT, 0, 4, 10, 5)
    assert sum(row[3] for row in fine) == sum(row[3] for row in rows(data, HOUR))


def test_an_hour_is_rolled_once_it_is_over_with_two_minutes_of_grace(data):
    load_line(data, range(60))
    roll(data, MIDNIGHT + HOUR + 119)
    assert rows(data, HOUR) == []

    roll(data, MIDNIGHT + HOUR + 120)
    assert len(rows(data, HOUR)) == 1


def test_rolling_twice_changes_nothing(data):
    load_line(data, range(150))
    roll(data, MIDNIGHT + DAY)
    before = dump(data, "rollup")

    roll(data, MIDNIGHT + DAY)

    assert dump(data, "rollup") == before


def test_a_text_that_came_late_is_rolled_in(data):
    load_line(data, [n for n in range(120) if n not in (30, 31)])
    roll(data, MIDNIGHT + DAY)
    load_line(data, [30, 31])
    roll(data, MIDNIGHT + DAY)

    assert rows(data, HOUR)[0] == (MIDNIGHT, 0, 59, sum(range(60)), 60)
    assert rows(data, 300)[6] == (MIDNIGHT + 1800, 30, 34, sum(range(30, 35)), 5)
    with database.reader(data) as db:
        assert rollup.late_hours(db, 1) == []


def test_a_text_that_came_late_to_a_packed_day_is_rolled_in_and_loses_nothing(data):
    load_line(data, [n for n in range(120) if n not in (30, 31)])
    roll(data, MIDNIGHT + DAY)
    with database.writer(data) as db, database.transaction(db):
        pack.pack_day(db, 1, MIDNIGHT)
    load_line(data, [30])
    roll(data, MIDNIGHT + DAY)

    assert rows(data, HOUR)[0] == (MIDNIGHT, 0, 59, sum(range(60)) - 31, 59)
    assert rows(data, 300)[6] == (MIDNIGHT + 1800, 30, 34, sum(range(30, 35)) - 31, 4)
    assert rows(data, HOUR)[1] == (MIDNIGHT + HOUR, 60, 119, sum(range(60, 120)), 60)


def test_a_line_of_a_late_text_that_is_new_in_a_packed_day_is_rolled_too(data):
    load_line(data, range(60))
    roll(data, MIDNIGHT + DAY)
    with database.writer(data) as db, database.transaction(db):
        pack.pack_day(db, 1, MIDNIGHT)
    archive(data, MIDNIGHT + 90, {"new": "other 5\n", "load": "load_average 0\n"})
    roll(data, MIDNIGHT + DAY)

    with database.reader(data) as db:
        line = read.series(db, 1, "other")[0]
        assert read.points(db, 1, line, MIDNIGHT, MIDNIGHT + HOUR, HOUR) == [(MIDNIGHT, 5, 5, 5, 1)]
    assert rows(data, HOUR)[0][4] == 61


def test_a_very_old_first_sample_does_not_roll_hour_by_hour_through_the_years(data):
    archive(data, 1000 * HOUR, {"load": "load_average 1\n"}, uptime=5)
    archive(data, MIDNIGHT, {"load": "load_average 2\n"}, uptime=9)

    assert roll(data, MIDNIGHT + DAY) == 1

    assert [row[0] for row in rows(data, HOUR)] == [1000 * HOUR, MIDNIGHT]
    with database.reader(data) as db:
        assert read.rolled_until(db, 1) == (MIDNIGHT + DAY - 120) // HOUR * HOUR


def test_one_step_rolls_a_bounded_number_of_hours(data):
    load_line(data, range(0, 60 * 30, 30))
    with database.writer(data) as db, database.transaction(db):
        assert rollup.roll(db, 1, MIDNIGHT + 3 * DAY, 10)
    assert len(rows(data, HOUR)) == 10

    assert roll(data, MIDNIGHT + 3 * DAY, 10) == 3
    assert len(rows(data, HOUR)) == 30


def test_thousands_of_late_hours_are_rolled_a_few_at_a_time(data):
    archive(data, MIDNIGHT + 400 * DAY, {"load": "load_average 1\n"})
    roll(data, MIDNIGHT + 401 * DAY)
    with database.writer(data) as db, database.transaction(db):
        line = read.series(db, 1, "load_average")[0]
        times = [MIDNIGHT + number * HOUR for number in range(2000)]
        put_samples(db, [(at, line.id, 1000) for at in times])
        rollup.mark_late_hours(db, 1, times, NOW)

    assert roll(data, MIDNIGHT + 401 * DAY) >= 2000 // 48

    assert len(rows(data, HOUR)) == 2001


def test_values_whose_sum_passes_an_integer_do_not_stop_the_rolling(data):
    for number in range(120):
        cycles.write(data, MIDNIGHT + number * 60, {"a": f"x_bytes {2**60}\nload_average {number}\n"})
    cycles.load_all(data, MIDNIGHT + DAY)
    roll(data, MIDNIGHT + DAY)
    with database.writer(data) as db, database.transaction(db):
        pack.pack_day(db, 1, MIDNIGHT)
    archive(data, MIDNIGHT + 90, {"a": f"x_bytes {2**60}\nload_average 1\n"})
    roll(data, MIDNIGHT + DAY)

    with database.reader(data) as db:
        line = read.series(db, 1, "x_bytes")[0]
        hours = read.points(db, 1, line, MIDNIGHT, MIDNIGHT + 2 * HOUR, HOUR)
        year = read.points(db, 1, line, MIDNIGHT, MIDNIGHT + 2 * HOUR, DAY)
    assert [point.greatest for point in hours] == [2**60, 2**60]
    assert year[0].count == 121
    assert len(rows(data, HOUR)) == 2


def test_a_clock_that_ran_ahead_does_not_hide_the_hours_that_follow(data):
    load_line(data, range(60))
    roll(data, MIDNIGHT + 3650 * DAY)
    load_line(data, range(60, 180))

    with database.reader(data) as db:
        line = read.series(db, 1, "load_average")[0]
        hours = read.points(db, 1, line, MIDNIGHT, MIDNIGHT + 3 * HOUR, HOUR)
    assert [point.count for point in hours] == [60, 60, 60]
    roll(data, MIDNIGHT + 4 * HOUR)
    with database.reader(data) as db:
        assert read.points(db, 1, line, MIDNIGHT, MIDNIGHT + 3 * HOUR, HOUR) == hours


def test_a_late_text_writes_its_mark_once_an_hour_not_once_a_minute(data):
    load_line(data, range(60))
    roll(data, MIDNIGHT + DAY)
    load_line(data, [60, 61])
    with database.writer(data) as db:
        with watched(db) as written:
            rollup.mark_late(db, 1, MIDNIGHT + HOUR + 120, NOW)
        assert written.rows == 0


@pytest.mark.parametrize("now", [0, 3600, NOW])
def test_an_empty_archive_has_nothing_to_roll(data, now):
    assert roll(data, now) == 1
