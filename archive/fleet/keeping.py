"""Upkeep of a centre: what archive/upkeep.py does for one machine, for all of them, each under its own lock.

Hourly: rollups. Daily: days that are over are packed, old stretches too, and what is past keeping goes. On PostgreSQL a
day's partition of `sample` is dropped once all of it is packed: nothing is deleted row by row, nothing is left to vacuum.
"""

import sqlite3

from archive import database, engine, pack, partitions, past, purge, read, rollup
from archive.fleet import members

DAY = 86_400
PACK_AFTER = DAY  # seconds after a day's end; a machine that comes back later is packed again
UPKEEP = "fleet_upkeep_day"


def run(data: str, now: int) -> list[str]:
    """All that is due. Returns what went wrong, one line each."""
    with database.reader(data) as db:
        hosts = members.hosts(db)
        said = read.setting(db, UPKEEP)
    if not hosts:
        return []
    for host in hosts:
        roll(data, host, now)
    today = now // DAY
    if said == str(today):
        return []
    errors = []
    for host in hosts:
        try:
            pack_host(data, host, now)
        except (database.DatabaseError, sqlite3.Error) as error:
            errors.append(f"host {host}: {error}")
    if engine.url_of(data) and not errors:
        drop_days(data, now)
    with database.writer(data, 30.0) as db:
        purge.remember(db, UPKEEP, str(today), "upkeep", now)
    return errors


def roll(data: str, host: int, now: int) -> None:
    """Hours that are over, a few at a time, so that what the machine sends is not held up for long."""
    more = True
    while more:
        with database.writer(data, 30.0, lock=host) as db, database.transaction(db):
            more = rollup.roll(db, host, now, hours=6)


def pack_host(data: str, host: int, now: int) -> None:
    """One machine's days past; then what is past keeping goes."""
    while (day := _due(data, host, now)) is not None:
        with database.writer(data, 30.0, lock=host) as db, database.transaction(db):
            _pack_day(db, host, day)
    before = (now - PACK_AFTER) // DAY * DAY
    with database.writer(data, 30.0, lock=host) as db, database.transaction(db):
        kept = purge.kept_from(purge.retention_days(db), now)
        for (series,) in db.execute("SELECT id FROM series WHERE host=?", (host,)).fetchall():
            while pack.pack_stretch(db, host, series, kept, before):
                pass
        while rollup.pack_some(db, host, before):
            pass
        while past.pack_one(db, host, now - past.KEEP):
            pass
    more = True
    while more:
        with database.writer(data, 30.0, lock=host) as db, database.transaction(db):
            more = purge.step(db, host, kept, now).more
            if not more:
                purge.finish(db, host, kept, now, 0)


def _due(data: str, host: int, now: int) -> int | None:
    """The oldest day of this machine that is over, rolled up, and not wholly packed."""
    with database.reader(data) as db:
        until = min(now - PACK_AFTER, read.rolled_until(db, host))
        late = rollup.late_hours(db, host)
        at = 0
        while True:
            row = db.execute("SELECT min(at) FROM sample WHERE host=? AND at >= ?", (host, at)).fetchone()
            if row[0] is None:
                return None
            day = int(row[0]) // DAY * DAY
            if day + DAY > until or any(day <= hour < day + DAY for hour in late):
                return None
            if not _is_packed(db, host, day):
                return day
            at = day + DAY


def _is_packed(db: sqlite3.Connection, host: int, day: int) -> bool:
    """Whether every sample of the day that stands as a row stands packed as well. By what is there, not by a note of it:
    a text may have come after the day was packed, or even dropped."""
    rows = db.execute(
        "SELECT series, count(*), sum(at) FROM sample WHERE host=? AND at >= ? AND at < ? GROUP BY series",
        (host, day, day + DAY),
    ).fetchall()
    for series, count, total in rows:
        packed = {at for at, _ in pack.samples(db, host, series, day, day + DAY - 1)}
        if (len(packed), sum(packed)) == (count, total):
            continue
        times = db.execute(
            "SELECT at FROM sample WHERE host=? AND at >= ? AND at < ? AND series=?", (host, day, day + DAY, series)
        )
        if not packed.issuperset(at for (at,) in times):
            return False
    return True


def _pack_day(db: sqlite3.Connection, host: int, day: int) -> None:
    if isinstance(db, sqlite3.Connection):
        pack.pack_day(db, host, day)
        return
    lines = pack.series_of(db, host, day)
    for first in range(0, len(lines), pack.GROUP):
        for row in pack.blobs(db, host, day, pack.gather(db, host, day, lines[first : first + pack.GROUP])):
            pack.put(db, row)


def drop_days(data: str, now: int) -> list[int]:
    """Partitions all of whose samples are packed, or that are past keeping. Returns their days."""
    gone = []
    with database.reader(data) as db:
        days = [day for day in partitions.days(db) if day + DAY + PACK_AFTER <= now]
    for day in days:
        with database.writer(data, 30.0) as db, database.transaction(db):
            partitions.hold(db, day)  # nobody writes to it from here to the end
            hosts = partitions.hosts(db, day)
            if all(_is_packed(db, host, day) and not _is_late(db, host, day) for host in hosts):
                partitions.drop(db, day)
                gone.append(day)
    return gone


def _is_late(db: sqlite3.Connection, host: int, day: int) -> bool:
    return any(day <= hour < day + DAY for hour in rollup.late_hours(db, host))
