"""Packed rollups: exact, in one table or the other, and rows again where a late text asks for it."""

import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archive import columns, database, past, read, rolled, rollup
from tests import cycles
from tests.conftest import NOW
from tests.cycles import dump
from tests.engines import watched

HOUR, DAY = 3600, 86_400
MIDNIGHT = NOW - NOW % DAY
SPAN = st.tuples(st.integers(-(2**40), 2**40), st.integers(0, 2**30), st.integers(1, 60))
ROWS = st.lists(SPAN, min_size=1, max_size=40).map(
    lambda found: [(MIDNIGHT + n * 300, low, low + more, low * count + more, count)
                   for n, (low, more, count) in enumerate(found)]
)  # fmt: skip


@given(ROWS)
def test_spans_come_back_as_they_went_in(rows):
    assert list(zip(*rolled.decode(rolled.encode(rows)), strict=True)) == rows


@given(ROWS, st.integers(0, 400), st.integers(1, 255))
def test_damaged_spans_are_damage(rows, place, change):
    blob = bytearray(rolled.encode(rows))
    blob[place % len(blob)] ^= change
    with pytest.raises(sqlite3.DatabaseError, match="malformed"):
        rolled.decode(bytes(blob))


@settings(deadline=None)
@given(ROWS, st.sampled_from([1800, 7200]))
def test_the_coarse_spans_of_a_blob_are_sums_of_its_own(rows, coarse):
    blob = rolled.encode(rows, coarse)
    wanted: dict[int, list[tuple[int, ...]]] = {}
    for row in rows:
        wanted.setdefault(row[0] - row[0] % coarse, []).append(row)

    assert list(zip(*rolled.decode(blob), strict=True)) == rows
    assert list(zip(*rolled.decode_coarse(blob), strict=True)) == [
        (at, min(r[1] for r in some), max(r[2] for r in some), sum(r[3] for r in some), sum(r[4] for r in some))
        for at, some in sorted(wanted.items())
    ]
    assert rolled.decode_coarse(rolled.encode(rows)) is None  # as older versions wrote


@settings(deadline=None)
@given(ROWS, st.integers(0, 600), st.integers(1, 255))
def test_damaged_coarse_spans_are_damage(rows, place, change):
    blob = bytearray(rolled.encode(rows, 1800))
    blob[place % len(blob)] ^= change
    for read_it in (rolled.decode, rolled.decode_coarse):
        with pytest.raises(sqlite3.DatabaseError, match="malformed"):
            read_it(bytes(blob))


@given(
    st.lists(
        st.tuples(st.integers(0, 10**9), st.integers(0, 9), st.integers(0, 30), st.integers(0, 5), st.integers(0, 2000)),
        min_size=1, max_size=40,
    )
)  # fmt: skip
def test_cycles_come_back_as_they_went_in(found):
    rows = [(NOW + n * 60, "boot", hundredths / 100, *rest) for n, (hundredths, *rest) in enumerate(found)]
    blob = past.encode(rows)
    assert blob is not None
    assert past.decode(blob, "boot") == rows


def test_an_uptime_that_hundredths_do_not_hold_stays_a_row(data):
    cycles.archive(data, NOW - 60 * DAY, {"load": "load_average 1\n"}, uptime=4.0)
    cycles.archive(data, NOW, {"load": "load_average 1\n"}, uptime=9.0)
    with database.writer(data) as db, database.transaction(db):
        db.execute("UPDATE cycle SET uptime=0.123456 WHERE at < ?", (NOW,))
        assert not past.pack_one(db, 1, NOW - 40 * DAY)

    assert len(dump(data, "cycle")["cycle"]) == 2


def fill(data: str, hours: int) -> read.Series:
    for number in range(hours):
        cycles.write(data, MIDNIGHT + number * HOUR + 60, {"load": f"load_average {number}\n"})
        cycles.write(data, MIDNIGHT + number * HOUR + 1200, {"load": f"load_average {2 * number}\n"})
    cycles.load_all(data, MIDNIGHT + 40 * DAY)
    with database.writer(data) as db, database.transaction(db):
        while rollup.roll(db, 1, MIDNIGHT + 40 * DAY):
            pass
        return read.series(db, 1, "load_average")[0]


def points(data: str, line: read.Series) -> list[list[read.Point]]:
    with database.reader(data) as db:
        return [
            read.points(db, 1, line, MIDNIGHT - DAY, MIDNIGHT + 40 * DAY, step)
            for step in (300, 600, 1800, HOUR, 2 * HOUR, 6 * HOUR, DAY, 7 * DAY)
        ]


def pack(data: str) -> None:
    with database.writer(data) as db, database.transaction(db):
        while rollup.pack_some(db, 1, MIDNIGHT + 40 * DAY, lambda: True):
            pass


def test_packed_spans_read_as_rows_did_and_stand_once(data):
    line = fill(data, 30 * 24)
    before, rows = points(data, line), sorted(row[1:] for row in dump(data, "rollup")["rollup"])
    pack(data)

    assert points(data, line) == before
    left = dump(data, "rollup", "rolled")
    unpacked = [row[1:] for row in left["rollup"]]
    for _, series, step, _at, count, blob in left["rolled"]:
        spans = list(zip(*rolled.decode(blob), strict=True))
        assert len(spans) == count
        unpacked += [(series, step, *span) for span in spans]
    assert sorted(unpacked) == rows


def test_a_week_reads_half_hours_and_a_cut_within_one_reads_spans(data):
    """Whatever the edges, what is read is what the rows said."""
    line = fill(data, 30 * 24)
    edges = [
        (MIDNIGHT + first * 300, MIDNIGHT + last * 300) for first, last in ((0, 2016), (6, 504), (7, 504), (6, 505))
    ]

    def seen() -> list[list[read.Point]]:
        with database.reader(data) as db:
            return [read.points(db, 1, line, *edge, step) for edge in edges for step in (300, 600, 1800, HOUR)]

    before = seen()
    pack(data)
    assert seen() == before
    with database.reader(data) as db:
        sizes = [{size for size, _ in rolled.read_by(db, 1, line.id, 300, *edge, 1800)} for edge in edges]
        # A text an hour and twenty minutes apart: two spans an hour, each in a half-hour of its own.
        assert all(found.at for _, found in rolled.read_by(db, 1, line.id, 300, *edges[0], 1800))
    assert sizes == [{1800}, {1800}, {300, 1800}, {300, 1800}]


def test_the_newest_value_of_a_rare_line_is_found_where_its_spans_are_packed(data):
    cycles.archive(data, MIDNIGHT - 9 * HOUR, {"load": "load_average 1\n", "rare": "# EVERY 1440\nrare_bytes 7\n"})
    for minute in range(3):
        cycles.archive(data, MIDNIGHT + 4 * HOUR + minute * 60, {"load": "load_average 2\n"})
    with database.writer(data) as db, database.transaction(db):
        while rollup.roll(db, 1, MIDNIGHT + 5 * HOUR):
            pass
        rare = read.series(db, 1, "rare_bytes")[0].id
        before = read.latest(db, 1, 26 * HOUR)
        while rollup.pack_some(db, 1, MIDNIGHT - 2 * DAY, lambda: True, MIDNIGHT):
            pass
        assert db.execute("SELECT count(*) FROM rolled WHERE series=? AND step=300", (rare,)).fetchone() == (1,)
        assert before[rare] == (MIDNIGHT - 9 * HOUR, 7.0)
        assert read.latest(db, 1, 26 * HOUR) == before


def test_days_are_sums_of_hours(data):
    line = fill(data, 3 * 24)
    with database.reader(data) as db:
        days = db.execute(
            "SELECT at, least, greatest, sum, count FROM rollup WHERE series=? AND step=86400", (line.id,)
        )
        assert days.fetchall()[1] == (MIDNIGHT + DAY, 24_000, 94_000, 3 * sum(range(24, 48)) * 1000, 48)
        with watched(db) as seen:
            year = read.points(db, 1, line, MIDNIGHT, MIDNIGHT + 3 * DAY, DAY)
    assert [point.count for point in year] == [48, 48, 48]
    assert [text for text in seen.statements if "FROM sample" in text and "BETWEEN" not in text] == []


def test_a_late_text_makes_rows_of_the_stretch_and_the_next_packing_a_blob(data):
    line = fill(data, 30 * 24)
    pack(data)
    cycles.archive(data, MIDNIGHT + 5 * DAY + 120, {"load": "load_average 9000\n"})
    with database.writer(data) as db, database.transaction(db):
        while rollup.roll(db, 1, MIDNIGHT + 40 * DAY):
            pass
    after = points(data, line)
    assert max(point.greatest for point in after[0]) == 9000
    assert max(point.greatest for point in after[6]) == 9000
    assert sum(point.count for point in after[6]) == 2 * 30 * 24 + 1
    blobs = len(dump(data, "rolled")["rolled"])
    pack(data)

    assert points(data, line) == after
    assert len(dump(data, "rolled")["rolled"]) > blobs


def test_a_purge_cuts_a_stretch_where_the_retention_ends(data):
    line = fill(data, 30 * 24)
    pack(data)
    cut = MIDNIGHT + 10 * DAY
    with database.writer(data) as db, database.transaction(db):
        assert rolled.purge(db, 1, line.id, HOUR, cut) > 0
        hours = rolled.rows_of(db, 1, line.id, HOUR, 0, 2**40)
        assert rolled.purge(db, 1, line.id, HOUR, cut) == 0

    assert hours[0][0] == cut
    assert len(hours) == 20 * 24


def test_sums_that_were_cut_stay_rows(data):
    line = fill(data, 30 * 24)
    with database.writer(data) as db, database.transaction(db):
        for hour, count in ((7, 60), (11, 59), (30, 41)):
            db.execute("UPDATE rollup SET count=?, sum=?, least=?, greatest=? WHERE series=? AND step=3600 AND at=?",
                       (count, 2**63 - 1, -(2**62), 2**62, line.id, MIDNIGHT + hour * HOUR))  # fmt: skip
        rows = rolled.rows_of(db, 1, line.id, HOUR, 0, 2**40)
        with pytest.raises(columns.TooWide):
            rolled.encode(rows[:384])
        while rollup.pack_some(db, 1, MIDNIGHT + 40 * DAY, lambda: True):
            pass
        assert rolled.rows_of(db, 1, line.id, HOUR, 0, 2**40) == rows
