"""Rollups: least, greatest, sum and count of 5 minutes and of an hour, so that a graph of a year reads few rows.

Made once an hour is over, exact (hours are sums of 5 minutes), and made again for the hours that a late text touched.
"""

import sqlite3

HOUR = 3600


def roll(db: sqlite3.Connection, host: int, now: int, hours: int = 48) -> bool:
    """Roll up at most `hours` whole hours, within the caller's transaction. True when there is more to do.

    1. from the last hour rolled up to the last whole hour (two minutes of grace for the texts on their way);
    2. the hours that were rolled up already and have samples that came later.
    """
    until = _until(db, host)
    last_whole = (now - 120) // HOUR * HOUR
    if until == 0:
        first = db.execute("SELECT min(at) FROM sample WHERE host=?", (host,)).fetchone()[0]
        if first is None:
            return False
        until = first // HOUR * HOUR
    end = min(last_whole, until + hours * HOUR)
    for start in late_hours(db, host):
        if start < until:
            _roll_hour(db, host, start)
    for start in range(until, end, HOUR):
        _roll_hour(db, host, start)
    if end > until:
        _set(db, f"rolled_until.{host}", str(end), now)
    db.execute("DELETE FROM setting WHERE name=?", (f"late_hours.{host}",))
    return end < last_whole


def mark_late(db: sqlite3.Connection, host: int, at: int, now: int) -> None:
    """Remember that a sample of an hour already rolled up has just come in."""
    if at >= _until(db, host):
        return
    hours = set(late_hours(db, host)) | {at // HOUR * HOUR}
    _set(db, f"late_hours.{host}", " ".join(map(str, sorted(hours))), now)


def late_hours(db: sqlite3.Connection, host: int) -> list[int]:
    row = db.execute("SELECT value FROM setting WHERE name=?", (f"late_hours.{host}",)).fetchone()
    return [int(hour) for hour in row[0].split()] if row else []


def _roll_hour(db: sqlite3.Connection, host: int, start: int) -> None:
    db.execute(
        "INSERT INTO rollup SELECT host, series, 300, at - at % 300, min(value), max(value), sum(value), count(*)"
        " FROM sample WHERE host=? AND at >= ? AND at < ? GROUP BY host, series, at - at % 300"
        " ON CONFLICT (host, series, step, at) DO UPDATE SET"
        " least=excluded.least, greatest=excluded.greatest, sum=excluded.sum, count=excluded.count",
        (host, start, start + HOUR),
    )
    db.execute(
        "INSERT INTO rollup SELECT host, series, 3600, ?, min(value), max(value), sum(value), count(*)"
        " FROM sample WHERE host=? AND at >= ? AND at < ? GROUP BY host, series"
        " ON CONFLICT (host, series, step, at) DO UPDATE SET"
        " least=excluded.least, greatest=excluded.greatest, sum=excluded.sum, count=excluded.count",
        (start, host, start, start + HOUR),
    )


def _until(db: sqlite3.Connection, host: int) -> int:
    row = db.execute("SELECT value FROM setting WHERE name=?", (f"rolled_until.{host}",)).fetchone()
    return int(row[0]) if row else 0


def _set(db: sqlite3.Connection, name: str, value: str, now: int) -> None:
    db.execute(
        "INSERT INTO setting VALUES (?, ?, ?, 'upkeep') ON CONFLICT (name)"
        " DO UPDATE SET value=excluded.value, updated_at=excluded.updated_at",
        (name, value, now),
    )
