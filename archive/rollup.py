"""Rollups: least, greatest, sum and count of 5 minutes and of an hour, so that a graph of a year reads few rows.

Made once an hour is over, exact (hours are sums of 5 minutes), and made again for the hours that a late text touched.
What read.points must know: samples before `until` stand in rollups, but for the late hours; 5-minute rollups before
`fine_from` are gone or were never made.
"""

import sqlite3
from collections.abc import Iterable

from archive import pack

FINE, HOUR, DAY = 300, 3600, 86_400
GRACE = 120  # seconds after an hour's end for the texts on their way

# A sum of 60 values near 2^60 does not fit into an INTEGER: sum() would fail for ever, a total is cut instead. Below
# 2^53 it is exact.
_SPANS = "min(value), max(value), CAST(total(value) AS INTEGER), count(*)"
_STORE = (
    " ON CONFLICT (host, series, step, at) DO UPDATE SET"
    " least=excluded.least, greatest=excluded.greatest, sum=excluded.sum, count=excluded.count"
)
_INT64 = 2**63 - 1


def roll(db: sqlite3.Connection, host: int, now: int, hours: int = 48) -> bool:
    """Roll up at most `hours` whole hours, within the caller's transaction. True when there is more to do.

    1. the hours that were rolled up already and have samples that came later;
    2. from the last hour rolled up to the last whole hour; hours without a sample are stepped over.
    """
    late = late_hours(db, host)
    fine = fine_from(db, host)
    for start in late[:hours]:
        _roll_again(db, host, start, fine)
    if late:
        _remember_late(db, host, late[hours:], now)
    if len(late) >= hours:
        return True
    return _roll_on(db, host, now, hours - len(late), fine)


def _roll_on(db: sqlite3.Connection, host: int, now: int, hours: int, fine: int) -> bool:
    """From the last hour rolled up on. True when there is more to do."""
    until = before = until_of(db, host)
    end = (now - GRACE) // HOUR * HOUR
    while hours and until < end:
        first = db.execute("SELECT min(at) FROM sample WHERE host=? AND at >= ?", (host, until)).fetchone()[0]
        if first is None:
            if before == 0 and until == 0:
                return False  # nothing was ever archived
            until = end
            break
        start = max(until, first // HOUR * HOUR)
        if start >= end:
            until = end
            break
        _roll_hour(db, host, start, fine)
        until = start + HOUR
        hours -= 1
    if until > before:
        _set(db, f"rolled_until.{host}", str(until), now)
    return until < end


def mark_late(db: sqlite3.Connection, host: int, at: int, now: int) -> None:
    """Remember that a sample of an hour already rolled up has just come in."""
    if at < until_of(db, host):
        mark_late_hours(db, host, [at], now)


def mark_late_hours(db: sqlite3.Connection, host: int, times: Iterable[int], now: int) -> None:
    """The same for many times at once: one write."""
    until = until_of(db, host)
    known = set(late_hours(db, host))
    hours = known | {at // HOUR * HOUR for at in times if at < until}
    if hours != known:
        _remember_late(db, host, sorted(hours), now)


def late_hours(db: sqlite3.Connection, host: int) -> list[int]:
    """Hours before `until` whose rollups lack a sample that came late, oldest first."""
    row = db.execute("SELECT value FROM setting WHERE name=?", (f"late_hours.{host}",)).fetchone()
    return [int(hour) for hour in row[0].split()] if row else []


def until_of(db: sqlite3.Connection, host: int) -> int:
    """Samples before this time stand in `rollup` (a multiple of 3600; 0 when nothing was rolled up)."""
    row = db.execute("SELECT value FROM setting WHERE name=?", (f"rolled_until.{host}",)).fetchone()
    return int(row[0]) if row else 0


def fine_from(db: sqlite3.Connection, host: int) -> int:
    """5-minute rollups before this time are gone: hours and samples tell what was (a multiple of 3600)."""
    row = db.execute("SELECT value FROM setting WHERE name=?", (f"fine_from.{host}",)).fetchone()
    return int(row[0]) if row else 0


def forget_fine(db: sqlite3.Connection, host: int, before: int, now: int) -> int:
    """From now on, no 5-minute rollup before this time is read or made. Returns the time in force."""
    edge = max(fine_from(db, host), before // HOUR * HOUR)
    _set(db, f"fine_from.{host}", str(edge), now)
    return edge


def _roll_hour(db: sqlite3.Connection, host: int, start: int, fine: int) -> None:
    for step in (FINE, HOUR):
        if step == HOUR or start >= fine:
            db.execute(
                f"INSERT INTO rollup SELECT host, series, {step}, at - at % {step}, {_SPANS} FROM sample"
                f" WHERE host=? AND at >= ? AND at < ? GROUP BY host, series, at - at % {step}{_STORE}",
                (host, start, start + HOUR),
            )


def _roll_again(db: sqlite3.Connection, host: int, start: int, fine: int) -> None:
    """An hour to which a text came late. Where its day is packed, the rows hold what came late and no more.

    A line without a row in this hour keeps its rollups (a day with a late hour is not packed: archive/upkeep.py).
    """
    day = start - start % DAY
    rows = db.execute(
        "SELECT DISTINCT series FROM sample WHERE host=? AND at >= ? AND at < ?", (host, start, start + HOUR)
    )
    packed = [
        series
        for (series,) in rows.fetchall()
        if db.execute("SELECT 1 FROM packed WHERE host=? AND series=? AND day=?", (host, series, day)).fetchone()
    ]
    _roll_hour(db, host, start, fine)
    for series in packed:
        found = pack.every(db, host, series, start, start + HOUR - 1)
        for step in (FINE, HOUR):
            if step == HOUR or start >= fine:
                db.executemany(
                    f"INSERT INTO rollup VALUES (?, ?, {step}, ?, ?, ?, ?, ?){_STORE}",
                    [(host, series, *span) for span in _spans(found, step)],
                )


def _spans(found: dict[int, int], step: int) -> list[tuple[int, int, int, int, int]]:
    """{at: value} -> (start of the span, least, greatest, sum, count), as the database would."""
    spans: dict[int, list[int]] = {}
    for at, value in found.items():
        spans.setdefault(at - at % step, []).append(value)
    return [
        (at, min(values), max(values), max(-_INT64, min(_INT64, sum(values))), len(values))
        for at, values in sorted(spans.items())
    ]


def _remember_late(db: sqlite3.Connection, host: int, hours: list[int], now: int) -> None:
    if hours:
        _set(db, f"late_hours.{host}", " ".join(map(str, hours)), now)
    else:
        db.execute("DELETE FROM setting WHERE name=?", (f"late_hours.{host}",))


def _set(db: sqlite3.Connection, name: str, value: str, now: int) -> None:
    db.execute(
        "INSERT INTO setting VALUES (?, ?, ?, 'upkeep') ON CONFLICT (name)"
        " DO UPDATE SET value=excluded.value, updated_at=excluded.updated_at",
        (name, value, now),
    )
