"""Rollups of days past, packed: a stretch of one series' spans in one blob, exact.

A row of `rollup` takes about 30 bytes, a span in here about five. A span stands in one of the two tables, never in both:
where a late text touches a packed stretch, it becomes rows again (`unpack`) and is packed anew by the next upkeep.
"""

import sqlite3
import zlib
from typing import NamedTuple

from archive import columns

FINE, HOUR, DAY = 300, 3600, 86_400
STRETCH = {FINE: DAY, HOUR: 16 * DAY}  # seconds in one blob; days stay rows: a year of a series is 365
FORM = 1


class Spans(NamedTuple):
    """Spans as columns, by time: start, least, greatest, sum, count."""

    at: list[int]
    least: list[int]
    greatest: list[int]
    sum: list[int]
    count: list[int]  # type: ignore[assignment]  # hides tuple.count, which nobody asks of spans


Row = tuple[int, int, int, int, int]  # (at, least, greatest, sum, count)


def encode(rows: list[Row]) -> bytes:
    """At least one span. The greatest is stored as what it is above the least, the sum as what it is above so many
    leasts: both are small. Raises columns.TooWide."""
    at, least, greatest, total, count = (list(column) for column in zip(*rows, strict=True))
    blob = bytearray((FORM,))
    columns.varint(blob, len(rows))
    for column in (
        at,
        least,
        [high - low for low, high in zip(least, greatest, strict=True)],
        [one - low * many for low, one, many in zip(least, total, count, strict=True)],
        count,
    ):
        blob += columns.encode(column)
    return bytes(blob) + zlib.crc32(blob).to_bytes(4, "big")


def decode(blob: bytes) -> Spans:
    """The spans as they went in. Raises sqlite3.DatabaseError for a damaged blob, as for a damaged page."""
    raw = blob[:-4]
    try:
        if blob[:1] != bytes((FORM,)) or zlib.crc32(raw).to_bytes(4, "big") != blob[-4:]:
            raise columns.Malformed("its form or its checksum")
        count, place = columns.read_varint(raw, 1)
        found = []
        for _ in Spans._fields:
            column, place = columns.decode(raw, place, count)
            found.append(column)
    except (columns.Malformed, IndexError, ValueError) as error:
        raise sqlite3.DatabaseError(f"packed rollups are malformed: {error}") from error
    at, least, above, rest, many = found
    return Spans(
        at,
        least,
        [low + more for low, more in zip(least, above, strict=True)],
        [low * one + more for low, one, more in zip(least, many, rest, strict=True)],
        many,
    )


def read(db: sqlite3.Connection, host: int, series: int, step: int, start: int, end: int) -> list[Spans]:
    """The packed spans that begin in [start, end), oldest first: the first and the last blob are cut to that."""
    if step not in STRETCH:
        return []
    rows = db.execute(
        "SELECT data FROM rolled WHERE host=? AND series=? AND step=? AND at > ? AND at < ? ORDER BY at",
        (host, series, step, start - STRETCH[step], end),
    )
    return [found for (blob,) in rows if (found := _within(decode(blob), start, end)).at]


def _within(found: Spans, start: int, end: int) -> Spans:
    if start <= found.at[0] and found.at[-1] < end:
        return found
    first = next((place for place, at in enumerate(found.at) if at >= start), len(found.at))
    last = next((place for place, at in enumerate(found.at) if at >= end), len(found.at))
    return Spans(*(column[first:last] for column in found))


def rows_of(db: sqlite3.Connection, host: int, series: int, step: int, start: int, end: int) -> list[Row]:
    """Every span of a series that begins in [start, end), packed or not, oldest first."""
    found = db.execute(
        "SELECT at, least, greatest, sum, count FROM rollup WHERE host=? AND series=? AND step=? AND at >= ? AND at < ?",
        (host, series, step, start, end),
    ).fetchall()
    for spans in read(db, host, series, step, start, end):
        found += zip(*spans, strict=True)
    return sorted(found)


def pack(db: sqlite3.Connection, host: int, series: int, step: int, before: int) -> bool:
    """Pack one series' oldest whole stretch that ends at `before` or earlier. False when there is none.

    What cannot be packed (sums cut at the end of an INTEGER) stays rows; the stretch after it is looked at.
    """
    span = STRETCH[step]
    begin = -1
    while True:
        first = db.execute(
            "SELECT min(at) FROM rollup WHERE host=? AND series=? AND step=? AND at > ?", (host, series, step, begin)
        ).fetchone()[0]
        if first is None or first - first % span + span > before:
            return False
        start = first - first % span
        rows = rows_of(db, host, series, step, start, start + span)
        try:
            blob = encode(rows)
        except columns.TooWide:
            begin = start + span - 1
            continue
        db.execute(
            "INSERT INTO rolled VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (host, series, step, at)"
            " DO UPDATE SET count=excluded.count, data=excluded.data",
            (host, series, step, start, len(rows), blob),
        )
        db.execute(
            "DELETE FROM rollup WHERE host=? AND series=? AND step=? AND at >= ? AND at < ?",
            (host, series, step, start, start + span),
        )
        return True


def unpack(db: sqlite3.Connection, host: int, series: int, step: int, at: int) -> None:
    """The stretch of a series that holds `at`, as rows again."""
    start = at - at % STRETCH[step]
    key = (host, series, step, start)
    row = db.execute("SELECT data FROM rolled WHERE host=? AND series=? AND step=? AND at=?", key).fetchone()
    if row is None:
        return
    db.executemany(
        "INSERT INTO rollup VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [(host, series, step, *span) for span in zip(*decode(row[0]), strict=True)],
    )
    db.execute("DELETE FROM rolled WHERE host=? AND series=? AND step=? AND at=?", key)


def purge(db: sqlite3.Connection, host: int, series: int, step: int, before: int) -> int:
    """Remove a series' packed spans that begin before a time. Returns how many."""
    removed = 0
    for at, count, blob in db.execute(
        "SELECT at, count, data FROM rolled WHERE host=? AND series=? AND step=? AND at < ?",
        (host, series, step, before),
    ).fetchall():
        kept = _within(decode(blob), before, 2**62)
        if len(kept.at) == count:
            continue
        removed += count - len(kept.at)
        if kept.at:
            db.execute(
                "UPDATE rolled SET count=?, data=? WHERE host=? AND series=? AND step=? AND at=?",
                (len(kept.at), encode(list(zip(*kept, strict=True))), host, series, step, at),
            )
        else:
            db.execute("DELETE FROM rolled WHERE host=? AND series=? AND step=? AND at=?", (host, series, step, at))
    return removed
