"""Upkeep's work in slices: the writer's lock is held for a tenth of a second at a time, and then let go for longer than a
waiting cycle sleeps between two tries.

A slice ends by the clock, not by a count: the same step may have 60 series or 5,000, on a server or on an SD card. What
one slice does at least (one hour rolled up, one blob stored, one batch removed) is small.
"""

import sqlite3
import time
from collections.abc import Callable

from archive import database, pack, past, purge, read, rollup

BUDGET = 0.06  # seconds of work in a slice; the commit and the checkpoint at the close come on top
PAUSE = 0.05
ROWS = 3_000  # removed at a time
DAY = 86_400

Spent = Callable[[], bool]
Step = Callable[[sqlite3.Connection, Spent], bool]


def repeat(data: str, step: Step) -> int:
    """Run a step until it has no more to do, each time under the lock and in a transaction of its own, letting the
    minute's path in between. A step does a little, asks `spent`, and says whether there is more. Returns the slices."""
    count = 0
    while True:
        with database.writer(data, 30.0) as db, database.transaction(db):
            more = step(db, budget())
        count += 1
        if not more:
            return count
        time.sleep(PAUSE)


def budget(seconds: float = BUDGET) -> Spent:
    """A question that is answered with yes once so many seconds have passed."""
    until = time.monotonic() + seconds
    return lambda: time.monotonic() >= until


def pack_days(data: str, host: int, before: int) -> None:
    """Every day that ended before a time and is rolled up: its samples are packed, the oldest day first.

    1. read and encode the day, under no lock; 2. store the blobs; 3. remove the rows, but only while no text has come
    late to that day and every blob is there (a restore may have come in between). Killed or stopped in between, samples
    stand in both tables: readers take the packed one, and the next upkeep does the day again.
    """
    while (day := _due(data, host, before)) is not None and _pack(data, host, day):
        pass


def _due(data: str, host: int, before: int) -> int | None:
    """The oldest day with unpacked samples, where it is to be packed now."""
    with database.reader(data) as db:
        oldest = db.execute("SELECT min(at) FROM sample WHERE host=?", (host,)).fetchone()[0]
        if oldest is None:
            return None
        day = int(oldest) // DAY * DAY
        if day + DAY > min(before, read.rolled_until(db, host)) or _late(db, host, day):
            return None  # rolled up first: the next upkeep packs it
        return day


def _late(db: sqlite3.Connection, host: int, day: int) -> bool:
    return any(day <= hour < day + DAY for hour in rollup.late_hours(db, host))


def _pack(data: str, host: int, day: int) -> bool:
    """One day. False when it has to be left for the next time."""
    with database.reader(data) as db:
        lines = pack.series_of(db, host, day)
    counts: dict[int, int] = {}
    for first in range(0, len(lines), pack.GROUP):
        with database.reader(data) as db:
            rows = pack.blobs(db, host, day, pack.gather(db, host, day, lines[first : first + pack.GROUP]))
        counts |= {row[1]: row[3] for row in rows}
        rows.reverse()

        def store(db: sqlite3.Connection, spent: Spent, rows: list[pack.Packed] = rows) -> bool:
            while rows:
                pack.put(db, rows.pop())
                if spent():
                    break
            return bool(rows)

        repeat(data, store)
    left = False

    def remove(db: sqlite3.Connection, spent: Spent) -> bool:
        nonlocal left
        left = _late(db, host, day) or not pack.holds(db, host, day, counts)
        while not left:
            if not pack.drop(db, host, day, ROWS):
                return False
            if spent():
                return True
        return False

    repeat(data, remove)
    return not left


def pack_old(data: str, host: int, before: int, now: int) -> None:
    """Samples and rollups of stretches that ended before a time, and cycles of weeks past."""
    with database.reader(data) as db:
        kept = now - purge.retention_days(db) * DAY  # an older stretch is being made days again, to be removed
        lines = [row[0] for row in db.execute("SELECT id FROM series WHERE host=? ORDER BY id DESC", (host,))]

    def stretches(db: sqlite3.Connection, spent: Spent) -> bool:
        while lines:
            while pack.pack_stretch(db, host, lines[-1], kept, before):
                if spent():
                    return True
            lines.pop()
        return False

    repeat(data, stretches)
    # Yesterday's 5-minute spans at once: a graph of a week then reads rows of today alone.
    repeat(data, lambda db, spent: rollup.pack_some(db, host, before, spent, now // DAY * DAY))

    def cycles(db: sqlite3.Connection, spent: Spent) -> bool:
        while past.pack_one(db, host, now - past.KEEP):
            if spent():
                return True
        return False

    repeat(data, cycles)
