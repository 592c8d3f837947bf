"""A centre's upkeep: rollups and packed days of every machine; a day's partition goes only when all of it is packed."""

from archive import database, engine, partitions, read
from archive.fleet import keeping, parcel
from tests import cycles
from tests.conftest import NOW
from tests.fleet.fleet import head

DAY = 86_400
MIDNIGHT = NOW - NOW % DAY


def send(centre, token, name, times):
    texts = [cycles.spool_text(at, cycles.machine(at)) for at in times]
    for first in range(0, len(texts), 100):
        answer = centre.post(token, parcel.Parcel(head(name, now=times[-1]), texts[first : first + 100]))
        assert answer.json["loaded"] == len(texts[first : first + 100])


def samples(centre, name, metric="cpu_busy_seconds_total"):
    with database.reader(centre.data) as db:
        host = centre.member(name).host
        return [tuple(s) for line in read.series(db, host, metric) for s in read.samples(db, host, line, 0, 2**40)]


def days(centre):
    if not engine.url_of(centre.data):
        rows = cycles.dump(centre.data, "sample")["sample"]
        return sorted({row[1] // DAY * DAY for row in rows})
    with database.reader(centre.data) as db:
        return partitions.days(db)


def test_days_past_are_packed_and_their_rows_are_gone_and_nothing_is_lost(centre):
    centre.clock.now = MIDNIGHT + 3 * DAY
    times = [MIDNIGHT + n * 900 for n in range(2 * 96)]
    for name in ("one", "two"):
        send(centre, centre.add(name), name, times)
    before = {name: samples(centre, name) for name in ("one", "two")}
    assert days(centre) == [MIDNIGHT, MIDNIGHT + DAY]

    assert keeping.run(centre.data, centre.clock.now) == []

    assert days(centre) == []
    assert {name: samples(centre, name) for name in ("one", "two")} == before
    assert len(before["one"]) == len(times) - 1
    with database.reader(centre.data) as db:
        host = centre.member("one").host
        (line,) = read.series(db, host, "memory_used_ratio")
        points = read.points(db, host, line, MIDNIGHT, MIDNIGHT + 2 * DAY, 3600)
    assert (len(points), {point.count for point in points}) == (48, {4})


def test_a_text_that_comes_after_its_day_was_packed_is_kept_and_packed_too(centre):
    centre.clock.now = MIDNIGHT + 3 * DAY
    token = centre.add("one")
    send(centre, token, "one", [MIDNIGHT + n * 900 for n in range(96)])
    keeping.run(centre.data, centre.clock.now)
    late = MIDNIGHT + 450
    centre.post(token, parcel.Parcel(head(), [cycles.spool_text(late, cycles.machine(late))]))
    assert len(samples(centre, "one", "memory_used_ratio")) == 97

    keeping.run(centre.data, centre.clock.now + DAY)

    assert days(centre) == []
    assert len(samples(centre, "one", "memory_used_ratio")) == 97


def test_a_day_that_another_process_dropped_is_made_again_for_the_text_in_hand(centre):
    """Upkeep runs in a process of its own: the web workers do not see that it dropped a day."""
    centre.clock.now = MIDNIGHT + 3 * DAY
    token = centre.add("one")
    send(centre, token, "one", [MIDNIGHT + n * 900 for n in range(96)])
    known = set(partitions._known)
    keeping.run(centre.data, centre.clock.now)
    partitions._known.update(known)  # as the worker's own still are
    late = MIDNIGHT + 450

    answer = centre.post(token, parcel.Parcel(head(), [cycles.spool_text(late, cycles.machine(late))]))

    assert (answer.status_code, answer.json["loaded"]) == (200, 1)
    assert late in [at for at, _value in samples(centre, "one", "memory_used_ratio")]


def test_a_day_that_is_not_over_for_long_stays_as_rows(centre):
    centre.clock.now = MIDNIGHT + DAY + 3600
    send(centre, centre.add("one"), "one", [MIDNIGHT + n * 900 for n in range(96)])

    keeping.run(centre.data, centre.clock.now)

    assert days(centre) == [MIDNIGHT]


def test_what_is_past_keeping_goes(centre):
    centre.clock.now = MIDNIGHT + 3 * DAY
    send(centre, centre.add("one"), "one", [MIDNIGHT + n * 900 for n in range(96)])
    keeping.run(centre.data, centre.clock.now)

    keeping.run(centre.data, MIDNIGHT + 450 * DAY)

    assert samples(centre, "one") == []
    assert cycles.dump(centre.data, "packed", "packed_long", "rolled") == {
        "packed": [],
        "packed_long": [],
        "rolled": [],
    }
