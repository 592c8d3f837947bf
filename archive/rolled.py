"""Rollups of days past, packed: a stretch of one series' spans in one blob, exact.

A row of `rollup` takes about 30 bytes, a span in here about five. A span stands in one of the two tables, never in both:
where a late text touches a packed stretch, it becomes rows again (`unpack`) and is packed anew by the next upkeep.
"""

import sqlite3
import sys
import zlib
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import accumulate, pairwise
from operator import add, mul
from typing import NamedTuple

from archive import columns

FINE, HOUR, DAY = 300, 3600, 86_400
STRETCH = {FINE: DAY, HOUR: 16 * DAY}  # seconds in one blob; days stay rows: a year of a series is 365
# What a blob holds beside its spans, put together already: a graph of a week is by half-hours, one of a month by two hours,
# and to fold six times as many numbers takes longer than all the rest of it.
COARSE = {FINE: 1800, HOUR: 2 * HOUR}
CELL = 8  # bytes of a number
PLAIN, FOLDED = 1, 2  # a blob's first byte; 2: the coarse spans stand before the others


class Spans(NamedTuple):
    """Spans as columns, by time: start, least, greatest, sum, count."""

    at: list[int]
    least: list[int]
    greatest: list[int]
    sum: list[int]
    count: list[int]  # type: ignore[assignment]  # hides tuple.count, which nobody asks of spans


Row = tuple[int, int, int, int, int]  # (at, least, greatest, sum, count)


def encode(rows: list[Row], coarse: int = 0) -> bytes:
    """At least one span; put together by `coarse` seconds as well. The greatest is stored as what it is above the least,
    the sum as what it is above so many leasts: both are small. Raises columns.TooWide."""
    blob = bytearray((FOLDED if coarse else PLAIN,))
    if coarse:
        body = _planes(folded(rows, coarse), coarse)
        for number in (coarse, len(body)):
            columns.varint(blob, number)
        blob += body
    _put(blob, rows)
    return bytes(blob) + zlib.crc32(blob).to_bytes(4, "big")


def _planes(rows: list[Row], coarse: int) -> bytes:
    """Coarse spans so that they are read at one go: all columns as eight bytes a number, the bytes of one rank together,
    deflated. A tenth larger than columns of their own would be, and five times as fast."""
    at, *others = zip(*rows, strict=True)
    starts = [at[0] // coarse, *((b - a) // coarse for a, b in pairwise(at))]
    try:
        cells = array("q", [number for column in (starts, *others) for number in column])
    except OverflowError:  # sums that were cut at the end of an INTEGER
        raise columns.TooWide from None
    if sys.byteorder == "big":
        cells.byteswap()
    raw = cells.tobytes()
    return zlib.compress(b"".join(raw[rank::CELL] for rank in range(CELL)), 9)


def _put(blob: bytearray, rows: list[Row]) -> None:
    at, least, greatest, total, count = (list(column) for column in zip(*rows, strict=True))
    columns.varint(blob, len(rows))
    for column in (
        at,
        least,
        [high - low for low, high in zip(least, greatest, strict=True)],
        [one - low * many for low, one, many in zip(least, total, count, strict=True)],
        count,
    ):
        blob += columns.encode(column)


def folded(rows: list[Row], step: int) -> list[Row]:
    """Spans by time, put together by a coarser step: exact, sums of sums."""
    found: dict[int, Row] = {}
    for at, least, greatest, total, count in rows:
        start = at - at % step
        known = found.get(start)
        found[start] = (start, least, greatest, total, count) if known is None else (
            start, min(known[1], least), max(known[2], greatest), known[3] + total, known[4] + count
        )  # fmt: skip
    return list(found.values())


def decode(blob: bytes) -> Spans:
    """The spans as they went in. Raises sqlite3.DatabaseError for a damaged blob, as for a damaged page."""
    with _damage():
        raw, place = _checked(blob), 1
        if raw[0] == FOLDED:
            _coarse, place = columns.read_varint(raw, place)
            size, place = columns.read_varint(raw, place)
            place += size
        count, place = columns.read_varint(raw, place)
        found = []
        for _ in Spans._fields:
            column, place = columns.decode(raw, place, count)
            found.append(column)
        at, least, above, rest, many = found
        return Spans(at, least, list(map(add, least, above)), list(map(add, map(mul, least, many), rest)), many)


def decode_coarse(blob: bytes) -> Spans | None:
    """The coarse spans of a blob; None where it holds none. Raises sqlite3.DatabaseError for a damaged one."""
    with _damage():
        raw = _checked(blob)
        if raw[0] != FOLDED:
            return None
        coarse, place = columns.read_varint(raw, 1)
        size, place = columns.read_varint(raw, place)
        planes = zlib.decompress(raw[place : place + size])
        count, rest = divmod(len(planes), CELL * len(Spans._fields))
        if rest or not count:
            raise columns.Malformed("its coarse spans are cut")
        body = bytearray(len(planes))
        numbers = count * len(Spans._fields)
        for rank in range(CELL):
            body[rank::CELL] = planes[rank * numbers : (rank + 1) * numbers]
        cells = array("q", bytes(body))
        if sys.byteorder == "big":
            cells.byteswap()
        starts, *others = (cells[first : first + count].tolist() for first in range(0, numbers, count))
        return Spans([number * coarse for number in accumulate(starts)], *others)


def _checked(blob: bytes) -> bytes:
    """The blob without its checksum. Raises Malformed, IndexError."""
    raw = blob[:-4]
    if blob[0] not in (PLAIN, FOLDED) or zlib.crc32(raw).to_bytes(4, "big") != blob[-4:]:
        raise columns.Malformed("its form or its checksum")
    return raw


@contextmanager
def _damage() -> Iterator[None]:
    try:
        yield
    except (columns.Malformed, IndexError, ValueError, OverflowError, zlib.error) as error:
        raise sqlite3.DatabaseError(f"packed rollups are malformed: {error}") from error


def read_by(
    db: sqlite3.Connection, host: int, series: int, step: int, start: int, end: int, by: int
) -> list[tuple[int, Spans]]:
    """The packed spans of [start, end) for a reader who will put them together by `by` seconds: [(seconds of each span,
    spans)], oldest first; the coarse ones wherever they will do."""
    if step not in STRETCH:
        return []
    coarse = COARSE[step]
    found = []
    for at, blob in _blobs(db, host, series, step, start, end):
        # Where this stretch is cut, it must be between two coarse spans.
        whole = all(edge % coarse == 0 for edge in (start, end) if at < edge < at + STRETCH[step])
        folded = decode_coarse(blob) if whole and by % coarse == 0 else None
        spans = _within(folded or decode(blob), start, end)
        if spans.at:
            found.append((coarse if folded else step, spans))
    return found


def read(db: sqlite3.Connection, host: int, series: int, step: int, start: int, end: int) -> list[Spans]:
    """The packed spans that begin in [start, end), oldest first: the first and the last blob are cut to that."""
    if step not in STRETCH:
        return []
    rows = _blobs(db, host, series, step, start, end)
    return [found for _at, blob in rows if (found := _within(decode(blob), start, end)).at]


def _blobs(db: sqlite3.Connection, host: int, series: int, step: int, start: int, end: int) -> list[tuple[int, bytes]]:
    return db.execute(
        "SELECT at, data FROM rolled WHERE host=? AND series=? AND step=? AND at > ? AND at < ? ORDER BY at",
        (host, series, step, start - STRETCH[step], end),
    ).fetchall()


def _within(found: Spans, start: int, end: int) -> Spans:
    if start <= found.at[0] and found.at[-1] < end:
        return found
    first, last = bisect_left(found.at, start), bisect_left(found.at, end)
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
            blob = encode(rows, COARSE[step])
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
                (len(kept.at), encode(list(zip(*kept, strict=True)), COARSE[step]), host, series, step, at),
            )
        else:
            db.execute("DELETE FROM rolled WHERE host=? AND series=? AND step=? AND at=?", (host, series, step, at))
    return removed
