"""The one door to samples: whatever is packed, rolled up or late, the answer is that of a plain count."""

import tempfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archive import database, pack, purge, read, rollup
from tests import cycles
from tests.conftest import NOW, make_data
from tests.cycles import Failed, archive, machine
from tests.engines import put_samples, scratch

HOUR, DAY = 3600, 86_400
MIDNIGHT = NOW - NOW % DAY
SPAN = 3 * DAY


def naive(samples: dict[int, int], start: int, end: int, step: int) -> dict[int, tuple[float, int, int, int]]:
    """{span: (mean, least, greatest, count)}, by counting."""
    start -= start % step
    end += -end % step
    spans: dict[int, list[int]] = {}
    for at, value in samples.items():
        if start <= at < end:
            spans.setdefault(at - at % step, []).append(value)
    return {at: (sum(v) / len(v), min(v), max(v), len(v)) for at, v in spans.items()}


@pytest.fixture(scope="module")
def plain():
    """A database with one line and nothing in it; each example works in a transaction that is undone."""
    with tempfile.TemporaryDirectory() as folder:
        data = make_data(f"{folder}/data")
        archive(data, MIDNIGHT - 30 * DAY, {"x": "load_average 1\n"})
        with database.writer(data) as db:
            db.execute("DELETE FROM sample")
            yield db, read.series(db, 1, "load_average")[0]


_AT = st.integers(MIDNIGHT, MIDNIGHT + SPAN - 1)
_SAMPLES = st.dictionaries(_AT, st.integers(-(2**62), 2**62) | st.integers(0, 10_000), max_size=25)
_STEP = st.sampled_from([1, 60, 90, 300, 600, 900, 1800, 3600, 7200, 21_600, 86_400, 604_800, 301])


@settings(max_examples=250, deadline=None)
@given(
    first=_SAMPLES,
    later=_SAMPLES,
    more=_SAMPLES,
    rolled=st.integers(0, SPAN // HOUR),
    packed=st.sets(st.integers(0, 2)),
    again=st.booleans(),
    fine=st.integers(0, SPAN // HOUR),
    window=st.tuples(_AT, _AT),
    step=_STEP,
)
def test_points_are_what_a_plain_count_gives(plain, first, later, more, rolled, packed, again, fine, window, step):
    db, line = plain
    start, end = min(window), max(window) + 1
    db.execute("BEGIN IMMEDIATE")
    try:
        _check_points(db, line, first, later, more, rolled, packed, again, fine, start, end, step)
    finally:
        db.execute("ROLLBACK")


def _check_points(db, line, first, later, more, rolled, packed, again, fine, start, end, step):
    known: dict[int, int] = {}

    def store(samples):
        for at, value in samples.items():
            if at not in known:
                put_samples(db, [(at, line.id, value)])
                known[at] = value
                rollup.mark_late(db, 1, at, NOW)

    store(first)
    while rollup.roll(db, 1, MIDNIGHT + rolled * HOUR + 120, 7):
        pass
    rollup.forget_fine(db, 1, MIDNIGHT + fine * HOUR, NOW)
    purge.step(db, 1, 0, MIDNIGHT + fine * HOUR + purge.FINE_ROLLUPS)
    for day in packed:
        if MIDNIGHT + (day + 1) * DAY <= read.rolled_until(db, 1):
            pack.pack_day(db, 1, MIDNIGHT + day * DAY)
    store(later)
    if again:
        while rollup.roll(db, 1, MIDNIGHT + rolled * HOUR + 120, 7):
            pass
    store(more)

    found = read.points(db, 1, line, start, end, step)
    plainly = read.samples(db, 1, line, start, end)

    wanted = naive(known, start, end, step)
    scale = line.metric.scale
    assert [point.at for point in found] == sorted(wanted)
    for point in found:
        mean, least, greatest, count = wanted[point.at]
        assert point.mean == pytest.approx(mean / scale, rel=1e-9, abs=1e-6 * max(1, abs(least), abs(greatest)) / scale)
        assert (point.least, point.greatest, point.count) == (least / scale, greatest / scale, count)
    assert [(s.at, s.value) for s in plainly] == [
        (at, value / scale) for at, value in sorted(known.items()) if start <= at <= end
    ]


def test_a_window_that_cuts_a_span_gives_the_whole_span_rolled_or_not(data):
    cycles.fill(data, MIDNIGHT, 120)
    with database.writer(data) as db:
        line = read.series(db, 1, "uptime_seconds")[0]
        raw = read.points(db, 1, line, MIDNIGHT + 100, MIDNIGHT + 1000, 600)
        with database.transaction(db):
            rollup.roll(db, 1, MIDNIGHT + DAY)
        assert read.points(db, 1, line, MIDNIGHT + 100, MIDNIGHT + 1000, 600) == raw
    assert [(point.at, point.count) for point in raw] == [(MIDNIGHT, 10), (MIDNIGHT + 600, 10)]


def test_a_year_of_hours_is_read_quickly(data):
    import time

    archive(data, MIDNIGHT, {"x": "load_average 1\n"})
    with database.writer(data) as db:
        line = read.series(db, 1, "load_average")[0]
        with database.transaction(db):
            db.executemany(
                "INSERT INTO rollup VALUES (1, ?, 3600, ?, 1, 3, 120, 60)",
                [(line.id, MIDNIGHT - number * HOUR) for number in range(1, 366 * 24)],
            )
            db.execute("INSERT INTO setting VALUES ('rolled_until.1', ?, 0, 'x')", (str(MIDNIGHT),))
        began = time.perf_counter()
        found = read.points(db, 1, line, MIDNIGHT - 365 * DAY, MIDNIGHT, DAY)
    assert len(found) == 365
    assert time.perf_counter() - began < 0.2


def test_the_latest_sample_of_each_line_is_the_newest_one(data):
    cycles.fill(data, NOW, 5)
    archive(data, NOW + 300, {"load": 'load_average{window="1m"} 7\n'})

    with database.reader(data) as db:
        latest = read.latest(db, 1)
        ids = {(s.metric.name, s.labels): s.id for s in read.series(db, 1)}
    assert latest[ids["load_average", '{"window":"1m"}']] == (NOW + 300, 7)
    assert latest[ids["uptime_seconds", "{}"]].at == NOW + 240


def test_a_rare_probe_is_still_the_latest_and_a_dead_one_is_not(data):
    archive(data, NOW, {"rare": "# EVERY 5\na 1\n", "dead": "b 1\n"})
    for number in range(1, 12):
        said = {"load": "load_average 1\n"}
        if number % 5 == 0:
            said["rare"] = "# EVERY 5\na 2\n"
        archive(data, NOW + number * 60, said)

    with database.reader(data) as db:
        latest = read.latest(db, 1)
        names = {s.id: s.metric.name for s in read.series(db, 1)}
    shown = {names[ident]: sample for ident, sample in latest.items()}
    assert shown["a"] == (NOW + 600, 2)
    assert "b" not in shown


@pytest.mark.parametrize(("every", "measured"), [(60, 60), (300, 300), (900, 900), (1, 60)])
def test_the_rhythm_is_measured(data, every, measured):
    for number in range(8):
        archive(data, NOW + number * every, {"load": "load_average 1\n"}, uptime=100.0 + number)

    with database.reader(data) as db:
        assert read.rhythm(db, 1) == measured


def test_an_empty_archive_answers_with_nothing(data):
    with database.reader(data) as db:
        assert read.latest(db, 1) == {}
        assert read.last_cycle(db, 1) is None
        assert read.rhythm(db, 1) == 60
        assert read.metrics(db) == []
        assert read.series(db, 1) == []
        assert read.probes(db, 1) == []
        assert read.cycles(db, 1, 0, NOW) == []
        assert read.metric(db, "nothing") is None
        assert read.setting(db, "nothing", "x") == "x"
        assert read.host(db).name == "machine"
        assert set(read.counts(db).values()) == {0}


def test_cycles_show_their_gap(data):
    for number in (0, 1, 2, 5, 6):
        archive(data, NOW + number * 60, {"load": "load_average 1\n"})

    with database.reader(data) as db:
        assert read.cycles(db, 1, NOW, NOW + 360) == [NOW + n * 60 for n in (0, 1, 2, 5, 6)]


def test_a_series_and_a_fact_tell_their_labels(data):
    archive(data, NOW, {"disk": 'disk_used_ratio{mount="/srv/é\\"x"} 0.5\nx_info{a="b"} 1\n', "bad": Failed("no")})

    with database.reader(data) as db:
        line = read.series(db, 1, "disk_used_ratio")[0]
        assert (line.label("mount"), line.label("other"), line.first_at) == ('/srv/é"x', "", NOW)
        assert read.facts(db, 1, "x_info")[0].label("a") == "b"
        assert [m.name for m in read.metrics(db)].count("x_info") == 0
        assert read.probes(db, 1)[0] == ("bad", 1, "failed", "no", 1.0, NOW, None, 0)
        assert read.last_cycle(db, 1)[4:] == (2, 1, 6)


def test_a_read_is_one_picture_while_others_write(data):
    archive(data, NOW, machine(NOW))
    with database.reader(data) as db:
        first = read.counts(db)
        archive(data, NOW + 60, machine(NOW + 60))
        assert read.counts(db) == first
    with database.reader(data) as db:
        assert read.counts(db)["cycle"] == 2


@given(
    rows=st.sets(st.tuples(st.integers(0, 1500), st.integers(1, 5)), max_size=60),
    rolled_hours=st.integers(-2, 26),
    late=st.booleans(),
    within=st.sampled_from([60, 3600, 26 * HOUR]),
)
def test_the_newest_values_are_those_of_a_plain_search(rows, rolled_hours, late, within):
    """Whatever is rolled up: found by rollups, or by reading back."""
    newest = MIDNIGHT + 25 * HOUR
    with scratch() as db:
        db.execute("INSERT INTO metric VALUES (1, 'm', 'gauge', 'count', 1, '', '', '', '')")
        for series in range(1, 6):
            db.execute("INSERT INTO series VALUES (?, 1, 1, ?, 0)", (series, f'{{"n":"{series}"}}'))
        db.execute("INSERT INTO cycle VALUES (1, ?, 'b', 1, 0, 1, 0, 1)", (newest,))
        put_samples(db, [(MIDNIGHT + minute * 60, series, minute) for minute, series in rows])
        while rollup.roll(db, 1, MIDNIGHT + rolled_hours * HOUR + 120):
            pass
        if late:
            rollup.mark_late_hours(db, 1, [MIDNIGHT + 3 * HOUR], NOW)

        wanted = {}
        for minute, series in sorted(rows):
            if newest - within <= MIDNIGHT + minute * 60 <= newest:
                wanted[series] = (MIDNIGHT + minute * 60, minute)
        assert read.latest(db, 1, within) == wanted
