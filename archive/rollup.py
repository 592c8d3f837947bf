"""Rollups: least, greatest, sum and count of 5 minutes, an hour and a day, so that a graph of years reads few rows.

Made once an hour is over, exact (hours are sums of 5 minutes, days of hours), and made again for the hours that a late
text touched. What read.points must know: samples before `until` stand in rollups, but for the late hours; days before
`days_until`; 5-minute rollups before `fine_from` are gone or were never made. Old ones are packed (archive/rolled.py).
"""

import sqlite3
from collections.abc import Callable, Iterable
from typing import NamedTuple

from archive import pack, rolled
from archive.rolled import DAY, FINE, HOUR

__all__ = ["DAY", "FINE", "HOUR", "roll"]
GRACE = 120  # seconds after an hour's end for the texts on their way

# A sum of 60 values near 2^60 does not fit into an INTEGER: sum() would fail for ever, a total is cut instead. Below
# 2^53 it is exact.
_SPANS = "min(value), max(value), CAST(total(value) AS INTEGER), count(*)"
_STORE = (
    " ON CONFLICT (host, series, step, at) DO UPDATE SET"
    " least=excluded.least, greatest=excluded.greatest, sum=excluded.sum, count=excluded.count"
)
_INT64 = 2**63 - 1


def _never() -> bool:
    return False


def roll(db: sqlite3.Connection, host: int, now: int, hours: int = 48, spent: Callable[[], bool] = _never) -> bool:
    """Roll up at most `hours` whole hours, within the caller's transaction. True when there is more to do.

    1. the hours that were rolled up already and have samples that came later, and their days;
    2. from the last hour rolled up to the last whole hour; hours without a sample are stepped over;
    3. the days that are over. `spent` is asked after each hour and day: the time that this step may take is over.
    """
    late = late_hours(db, host)
    fine = fine_from(db, host)
    done = 0
    for start in late[:hours]:
        _roll_again(db, host, start, fine)
        done += 1
        if spent():
            break
    if done:
        _remember_late(db, host, late[done:], now)
    if done < len(late) or done >= hours or (done and spent()):
        return True
    return _roll_on(db, host, now, hours - done, fine, spent) or _roll_days(db, host, now, hours, spent)


def _roll_days(db: sqlite3.Connection, host: int, now: int, most: int, spent: Callable[[], bool]) -> bool:
    """From the last day rolled up on, at most so many days. True when there is more to do."""
    until = before = days_until(db, host)
    end = until_of(db, host) // DAY * DAY
    more = False
    lines = [row[0] for row in db.execute("SELECT id FROM series WHERE host=?", (host,))] if until < end else []
    while until < end:
        first = _first_hour(db, host, lines, until)
        if first is None or first >= end:
            until = end
            break
        if not most or (until > before and spent()):
            more = True
            break
        until = first - first % DAY
        for series in lines:
            _roll_day(db, host, series, until)
        until += DAY
        most -= 1
    if until > before:
        _set(db, f"days_until.{host}", str(until), now)
    return more


def _first_hour(db: sqlite3.Connection, host: int, lines: list[int], since: int) -> int | None:
    """The first hour rolled up at or after a time. By series: the keys begin with it."""
    found = []
    for series in lines:
        for row in (
            db.execute(
                "SELECT min(at) FROM rollup WHERE host=? AND series=? AND step=3600 AND at >= ?", (host, series, since)
            ).fetchone(),
            db.execute(
                "SELECT min(max(at, ?)) FROM rolled WHERE host=? AND series=? AND step=3600 AND at > ?",
                (since, host, series, since - rolled.STRETCH[HOUR]),
            ).fetchone(),
        ):
            if row[0] is not None:
                found.append(int(row[0]))
    return min(found, default=None)


def _roll_day(db: sqlite3.Connection, host: int, series: int, day: int) -> None:
    hours = rolled.rows_of(db, host, series, HOUR, day, day + DAY)
    if not hours:
        return
    total = max(-_INT64, min(_INT64, sum(row[3] for row in hours)))
    least, greatest = min(row[1] for row in hours), max(row[2] for row in hours)
    store(db, host, series, DAY, [(day, least, greatest, total, sum(row[4] for row in hours))])


def _roll_on(db: sqlite3.Connection, host: int, now: int, hours: int, fine: int, spent: Callable[[], bool]) -> bool:
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
        hours = 0 if spent() else hours - 1
    if until > before:
        reached(db, host, until, now)
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


def days_until(db: sqlite3.Connection, host: int) -> int:
    """Samples before this time stand in rollups of days (a multiple of 86,400; 0 when no day was rolled up)."""
    row = db.execute("SELECT value FROM setting WHERE name=?", (f"days_until.{host}",)).fetchone()
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
    touched = [row[0] for row in rows]
    packed = [
        series
        for series in touched
        if db.execute("SELECT 1 FROM packed WHERE host=? AND series=? AND day=?", (host, series, day)).fetchone()
    ]
    for series in touched:
        for step in (FINE, HOUR):
            rolled.unpack(db, host, series, step, start)
    _roll_hour(db, host, start, fine)
    for series in packed:
        found = pack.every(db, host, series, start, start + HOUR - 1)
        for step in (FINE, HOUR):
            if step == HOUR or start >= fine:
                store(db, host, series, step, _spans(found, step))
    if day < days_until(db, host):
        for series in touched:
            _roll_day(db, host, series, day)


def store(db: sqlite3.Connection, host: int, series: int, step: int, rows: list[rolled.Row]) -> None:
    """Rollups that are known already, within the caller's transaction."""
    db.executemany(
        f"INSERT INTO rollup VALUES (?, ?, ?, ?, ?, ?, ?, ?){_STORE}", [(host, series, step, *row) for row in rows]
    )


def reached(db: sqlite3.Connection, host: int, until: int, now: int) -> None:
    """From now on, samples before `until` (a multiple of 3600) are read from the rollups that were stored."""
    _set(db, f"rolled_until.{host}", str(until), now)


def pack_some(
    db: sqlite3.Connection, host: int, before: int, spent: Callable[[], bool] = _never, fine_before: int = 0
) -> bool:
    """Pack the rollups of stretches that ended before a time (the 5-minute ones: before `fine_before`, where it is later)
    and have no late hour, within the caller's transaction, until `spent`. True when there may be more to do."""
    late = late_hours(db, host)
    for (series,) in db.execute("SELECT id FROM series WHERE host=? ORDER BY id", (host,)).fetchall():
        for step in (FINE, HOUR):
            edge = min([max(before, fine_before) if step == FINE else before, until_of(db, host), *late[:1]])
            if step == HOUR:
                edge = min(edge, days_until(db, host))
            while rolled.pack(db, host, series, step, edge):
                if spent():
                    return True
    return False


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


class Edges(NamedTuple):
    """What is rolled up, as until_of, days_until, fine_from and late_hours say: asked for at once, for a graph."""

    until: int
    days_until: int
    fine_from: int
    late: tuple[int, ...]


def edges(db: sqlite3.Connection, host: int) -> Edges:
    names = [f"{name}.{host}" for name in ("rolled_until", "days_until", "fine_from", "late_hours")]
    found = dict(db.execute("SELECT name, value FROM setting WHERE name IN (?, ?, ?, ?)", names).fetchall())
    until, days, fine, late = (found.get(name, "") for name in names)
    return Edges(int(until or 0), int(days or 0), int(fine or 0), tuple(int(hour) for hour in late.split()))


def pieces(db: sqlite3.Connection, host: int, start: int, end: int, level: int) -> list[tuple[int, int, int]]:
    """Where [start, end) is to be read: (span of the rollups, or 0 for the samples; from; to), in no order.

    `level` is the coarsest rollup that will do. What is not good there (not rolled up yet or any more, or late) is read
    one finer: days from hours, the others from the samples.
    """
    return _pieces(edges(db, host), start, end, level) if level else _pieces(Edges(0, 0, 0, ()), start, end, 0)


def _pieces(known: Edges, start: int, end: int, level: int) -> list[tuple[int, int, int]]:
    if not level:
        return [(0, start, end)] if start < end else []
    until = known.until if level != DAY else known.days_until
    first = min(end, max(start, known.fine_from)) if level == FINE else start
    last = max(first, min(end, until))
    grain = DAY if level == DAY else HOUR
    bad = sorted({hour - hour % grain for hour in known.late if first - grain < hour < last})
    below = HOUR if level == DAY else 0
    found = []
    finer = [(start, first), (last, end)]
    for hour in bad:
        found.append((level, first, max(first, hour)))
        finer.append((max(first, hour), min(last, hour + grain)))
        first = max(first, min(last, hour + grain))
    found.append((level, first, last))
    return [piece for piece in found if piece[1] < piece[2]] + [
        piece for since, to in finer if since < to for piece in _pieces(known, since, to, below)
    ]
