"""Days past in blobs: lossless, small, and patient with what comes late."""

import math
import random
import sqlite3
import zlib

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from archive import database, pack, read
from tests import cycles
from tests.conftest import NOW
from tests.cycles import dump
from tests.engines import WAY_OUT, put_samples, scratch

DAY = 86_400
MIDNIGHT = NOW - NOW % DAY
INT64 = 2**63 - 1


@settings(max_examples=300)
@given(st.dictionaries(st.integers(0, 2**40), st.integers(-INT64, INT64), max_size=60).map(lambda d: sorted(d.items())))
@example([])
@example([(0, INT64), (1, -INT64), (2**40, INT64)])
@example([(5, 0)])
def test_what_is_packed_comes_back(samples):
    assert pack.decode(pack.encode(samples)) == samples


@given(st.integers(0, 200), st.integers(1, 255))
def test_d09_a_damaged_day_is_damage_never_other_numbers(place, change):
    whole = [(MIDNIGHT + n * 60, n * n % 97) for n in range(200)]
    blob = bytearray(pack.encode(whole))
    blob[place % len(blob)] ^= change

    try:
        found = pack.decode(bytes(blob))
    except sqlite3.DatabaseError:
        return
    assert found == whole  # a bit that carries nothing


def test_d09_a_damaged_day_is_said_with_the_way_out(data):
    cycles.archive(data, MIDNIGHT, {"load": "load_average 1\n"})
    pack_it(data)
    with database.writer(data) as db:
        db.execute("UPDATE packed SET data=?", (b"\0",))

    with pytest.raises(database.Damaged, match=WAY_OUT):
        lines(data)


def year_like(seed: int, kind: str) -> list[tuple[int, int]]:
    """One day of one series of a real rhythm: a cycle a minute, a second late now and then, some missing."""
    chance = random.Random(seed)
    level, found = 0.3, []
    for minute in range(1440):
        if chance.random() < 0.002:
            continue
        at = MIDNIGHT + minute * 60 + (chance.random() < 0.02)
        level = min(1.0, max(0.0, level + chance.gauss(0, 0.01)))
        wave = 0.5 + 0.4 * math.sin(minute / 1440 * 2 * math.pi)
        found.append((at, {
            "busy": round((0.7 * wave + 0.3 * level) * 10_000),
            "memory": round(8e9 * level) // 4096 * 4096,
            "disk": 4213 + minute // 300,
            "processes": (180 + int(20 * wave) + chance.randrange(5)) * 1000,
            "success": 10_000,
        }[kind]))  # fmt: skip
    return found


def test_a_realistic_day_takes_few_bytes_a_value(capsys):
    sizes = {}
    for kind in ("busy", "memory", "disk", "processes", "success"):
        days = [year_like(seed, kind) for seed in range(10)]
        sizes[kind] = sum(len(pack.encode(day)) for day in days) / sum(len(day) for day in days)
    with capsys.disabled():
        print("\n  bytes a value, packed: " + ", ".join(f"{kind} {size:.2f}" for kind, size in sizes.items()))

    assert sizes["success"] < 0.08
    assert sizes["disk"] < 0.2
    assert max(sizes.values()) < 2.4


def lines(data: str) -> dict[tuple[str, str], list[read.Sample]]:
    with database.reader(data) as db:
        return {(s.metric.name, s.labels): read.samples(db, 1, s, 0, 2**40) for s in read.series(db, 1)}


def pack_it(data: str, day: int = MIDNIGHT, most: int = 0) -> int:
    with database.writer(data) as db, database.transaction(db):
        return pack.pack_day(db, 1, day, most)


def test_a_packed_day_reads_as_before(data):
    cycles.fill(data, MIDNIGHT - 600, 40)
    before = lines(data)

    moved = pack_it(data)

    assert moved > 0
    assert lines(data) == before
    assert all(row[1] < MIDNIGHT for row in dump(data, "sample")["sample"])


def test_packing_twice_changes_nothing(data):
    cycles.fill(data, MIDNIGHT, 20)
    pack_it(data)
    before = dump(data, "packed", "sample")

    assert pack_it(data) == 0

    assert dump(data, "packed", "sample") == before


def test_a_day_packed_in_parts_is_the_same_day(data, tmp_path):
    from tests.conftest import make_data

    other = make_data(str(tmp_path / "other"))
    for folder in (data, other):
        cycles.fill(folder, MIDNIGHT, 20)
    pack_it(data)
    parts = 0
    while pack_it(other, most=7):
        parts += 1

    assert parts > 5
    assert dump(other, "packed", "sample") == dump(data, "packed", "sample")


def test_samples_that_come_late_join_their_packed_day(data):
    for number in range(20):
        if number not in (7, 8):
            cycles.archive(data, MIDNIGHT + number * 60, {"load": f"load_average {number}\n"})
    pack_it(data)
    for number in (8, 7):
        cycles.archive(data, MIDNIGHT + number * 60, {"load": f"load_average {number}\n"})
    before = lines(data)
    pack_it(data)

    assert lines(data) == before
    assert [s.value for s in lines(data)["load_average", "{}"]] == list(range(20))
    assert dump(data, "sample")["sample"] == []


def test_what_is_packed_wins_over_a_second_telling(data):
    cycles.archive(data, MIDNIGHT, {"load": "load_average 1\n"})
    with database.reader(data) as db:
        line = read.series(db, 1, "load_average")[0]
    pack_it(data)
    with database.writer(data) as db:
        put_samples(db, [(MIDNIGHT, line.id, 9000)])
    assert lines(data)["load_average", "{}"] == [(MIDNIGHT, 1)]

    pack_it(data)

    assert lines(data)["load_average", "{}"] == [(MIDNIGHT, 1)]


def test_a_failed_packing_leaves_the_rows(data):
    cycles.fill(data, MIDNIGHT, 10)
    before = dump(data, "sample", "packed")

    class Stop(Exception):
        pass

    try:
        with database.writer(data) as db, database.transaction(db):
            pack.pack_day(db, 1, MIDNIGHT)
            raise Stop
    except Stop:
        pass

    assert dump(data, "sample", "packed") == before


def as_version_one(samples: list[tuple[int, int]]) -> bytes:
    """As Vigie wrote a day before columns, told anew from its description."""

    def varint(number: int) -> bytes:
        number = number * 2 if number >= 0 else -number * 2 - 1
        found = b""
        while number >= 128:
            found += bytes([number % 128 + 128])
            number //= 128
        return found + bytes([number])

    times, values, at, interval, value = b"", b"", 0, 0, 0
    for when, what in samples:
        times += varint(when - at - interval)
        values += varint(what - value)
        interval, at, value = when - at, when, what
    return zlib.compress(varint(len(samples)) + varint(len(times)) + times + values, 9)


@pytest.mark.parametrize("kind", ["busy", "memory", "disk", "success"])
def test_what_an_older_version_packed_is_read_and_takes_in_what_comes_late(data, kind):
    cycles.archive(data, MIDNIGHT + 30, {"load": "load_average 1\n"})
    old = year_like(3, kind)
    assert pack.decode(as_version_one(old)) == old
    with database.writer(data) as db, database.transaction(db):
        line = read.series(db, 1, "load_average")[0]
        db.execute("INSERT INTO packed VALUES (1, ?, ?, ?, ?)", (line.id, MIDNIGHT, len(old), as_version_one(old)))
        pack.pack_day(db, 1, MIDNIGHT)
        blob = db.execute("SELECT data FROM packed WHERE series=?", (line.id,)).fetchone()[0]

    assert blob[0] == pack.FORM
    assert pack.decode(blob) == sorted([*old, (MIDNIGHT + 30, 1000)])


def stretches(data: str, days: int) -> read.Series:
    """So many packed days of one series, the first at a stretch's beginning."""
    cycles.archive(data, STRETCH, {"load": "load_average 1\n"})
    with database.writer(data) as db, database.transaction(db):
        line = read.series(db, 1, "load_average")[0]
        db.execute("DELETE FROM sample")
        for number in range(days):
            day = STRETCH + number * DAY
            found = [(day + n * 600, n % 7 * 1000 + number) for n in range(144)]
            pack.put(db, (1, line.id, day, len(found), pack.encode(found)))
    return line


STRETCH = MIDNIGHT - MIDNIGHT % pack.STRETCH


def test_days_of_a_stretch_in_one_blob_read_as_before(data):
    line = stretches(data, 20)
    with database.writer(data) as db, database.transaction(db):
        before = read.samples(db, 1, line, 0, 2**40)
        assert len(before) == 20 * 144
        assert pack.pack_stretch(db, 1, line.id, 0, 2**40)
        assert not pack.pack_stretch(db, 1, line.id, 0, STRETCH + 20 * DAY)  # the second one is not over
        assert read.samples(db, 1, line, 0, 2**40) == before
        for start, end in (
            (STRETCH + 600, STRETCH + 1800),
            (STRETCH - 5, STRETCH),
            (STRETCH + 15 * DAY, STRETCH + 17 * DAY),
        ):
            assert read.samples(db, 1, line, start, end) == [one for one in before if start <= one.at <= end]
    found = dump(data, "packed", "packed_long")
    assert (len(found["packed"]), [row[3] for row in found["packed_long"]]) == (4, [16 * 144])


def test_a_text_late_for_a_stretch_is_read_packed_and_taken_in(data):
    line = stretches(data, 16)
    with database.writer(data) as db, database.transaction(db):
        pack.pack_stretch(db, 1, line.id, 0, 2**40)
        # The second is told twice: the first stays.
        put_samples(db, [(STRETCH + 90, line.id, 5000), (STRETCH + 600, line.id, 9)])
        found = read.samples(db, 1, line, 0, 2**40)
        assert len(found) == 16 * 144 + 1
        assert (found[1], found[2].value) == ((STRETCH + 90, 5.0), 1.0)
        pack.pack_day(db, 1, STRETCH)
        assert read.samples(db, 1, line, 0, 2**40) == found
        assert pack.pack_stretch(db, 1, line.id, 0, 2**40)
        assert read.samples(db, 1, line, 0, 2**40) == found
        assert db.execute("SELECT count(*) FROM packed").fetchone()[0] == 0


def test_a_stretch_that_is_too_old_is_days_again(data):
    line = stretches(data, 32)
    with database.writer(data) as db, database.transaction(db):
        before = read.samples(db, 1, line, 0, 2**40)
        while pack.pack_stretch(db, 1, line.id, 0, 2**40):
            pass
        assert pack.unpack_stretch(db, 1, line.id, STRETCH + DAY)
        assert not pack.unpack_stretch(db, 1, line.id, STRETCH + DAY)
        assert not pack.pack_stretch(db, 1, line.id, STRETCH + DAY, 2**40)
        assert read.samples(db, 1, line, 0, 2**40) == before
        assert db.execute("SELECT count(*) FROM packed").fetchone()[0] == 16


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 16 * DAY - 1), st.integers(-(2**40), 2**40)), min_size=1, max_size=60))
def test_any_samples_survive_day_stretch_and_day_again(found):
    ordered = sorted(dict(found).items())
    with scratch() as db:
        put_samples(db, [(at, 1, value) for at, value in ordered])
        for day in range(0, pack.STRETCH, DAY):
            pack.pack_day(db, 1, day)
        pack.pack_stretch(db, 1, 1, 0, pack.STRETCH)
        assert pack.samples(db, 1, 1, 0, pack.STRETCH) == ordered
        pack.unpack_stretch(db, 1, 1, pack.STRETCH)
        assert pack.samples(db, 1, 1, 0, pack.STRETCH) == ordered
        assert db.execute("SELECT count(*) FROM packed_long").fetchone()[0] == 0
    db.close()
