"""Days past, packed: every sample of one series and one UTC day in one blob, lossless.

The blob is zlib over varints: first time and value, then for each further sample the change of the interval and the
change of the value, zigzag-coded. A steady rhythm makes the first a run of zeros.
"""

import sqlite3
import zlib

DAY = 86_400
PART = 40  # series that upkeep packs in one transaction: about a third of a second


def encode(samples: list[tuple[int, int]]) -> bytes:
    """[(at, value), ...] sorted by time -> a blob. Times and values are stored as two columns."""
    times, values = bytearray(), bytearray()
    at = interval = value = 0
    for this_at, this_value in samples:
        _varint(times, this_at - at - interval)
        _varint(values, this_value - value)
        interval, at, value = this_at - at, this_at, this_value
    head = bytearray()
    _varint(head, len(samples))
    _varint(head, len(times))
    return zlib.compress(bytes(head + times + values), 9)


def decode(blob: bytes) -> list[tuple[int, int]]:
    """The samples of a blob, as they went in. Raises sqlite3.DatabaseError for a damaged one, as for a damaged page."""
    try:
        return _decoded(zlib.decompress(blob))
    except (zlib.error, IndexError) as error:
        raise sqlite3.DatabaseError(f"a packed day is malformed: {error}") from error


def _decoded(raw: bytes) -> list[tuple[int, int]]:
    count, position = _read(raw, 0)
    size, position = _read(raw, position)
    value_position = position + size
    samples = []
    at = interval = value = 0
    for _ in range(count):
        change, position = _read(raw, position)
        step, value_position = _read(raw, value_position)
        interval += change
        at += interval
        value += step
        samples.append((at, value))
    return samples


def samples(db: sqlite3.Connection, host: int, series: int, start: int, end: int) -> list[tuple[int, int]]:
    """Packed samples with start <= at <= end, oldest first."""
    rows = db.execute(
        "SELECT data FROM packed WHERE host=? AND series=? AND day BETWEEN ? AND ? ORDER BY day",
        (host, series, start - start % DAY, end),  # a day's name is its first second
    )
    return [sample for (blob,) in rows for sample in decode(blob) if start <= sample[0] <= end]


def every(db: sqlite3.Connection, host: int, series: int, start: int, end: int) -> dict[int, int]:
    """{at: value} of all samples with start <= at <= end, packed or not. What is packed came first, and stays."""
    found = dict(
        db.execute(
            "SELECT at, value FROM sample WHERE host=? AND at BETWEEN ? AND ? AND series=?", (host, start, end, series)
        ).fetchall()
    )
    found.update(samples(db, host, series, start, end))
    return found


def pack_day(db: sqlite3.Connection, host: int, day: int, most: int = 0) -> int:
    """Move one UTC day from `sample` to `packed`, within the caller's transaction. Returns the samples moved.

    A day that was packed before takes in what came late: the two are merged, and the one already packed wins. With
    `most`, only so many series are moved: the caller comes again for the rest.
    """
    moved = 0
    series = db.execute(
        "SELECT DISTINCT series FROM sample WHERE host=? AND at >= ? AND at < ? ORDER BY series", (host, day, day + DAY)
    ).fetchall()
    whole = not 0 < most < len(series)
    found: dict[int, list[tuple[int, int]]] = {row[0]: [] for row in (series if whole else series[:most])}
    last = max(found, default=0)
    for ident, at, value in db.execute(
        "SELECT series, at, value FROM sample WHERE host=? AND at >= ? AND at < ? AND series <= ? ORDER BY at",
        (host, day, day + DAY, last),
    ):
        found[ident].append((at, value))
    for ident, fresh in found.items():
        merged = dict(fresh) | dict(samples(db, host, ident, day, day + DAY - 1))
        ordered = sorted(merged.items())
        db.execute(
            "INSERT INTO packed VALUES (?, ?, ?, ?, ?) ON CONFLICT (host, series, day)"
            " DO UPDATE SET count=excluded.count, data=excluded.data",
            (host, ident, day, len(ordered), encode(ordered)),
        )
        moved += len(fresh)
    db.execute("DELETE FROM sample WHERE host=? AND at >= ? AND at < ? AND series <= ?", (host, day, day + DAY, last))
    return moved


def _varint(into: bytearray, value: int) -> None:
    number = (value << 1) if value >= 0 else ((-value << 1) - 1)
    while number > 0x7F:
        into.append(number & 0x7F | 0x80)
        number >>= 7
    into.append(number)


def _read(raw: bytes, position: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = raw[position]
        position += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
    return (number >> 1) if not number & 1 else -((number + 1) >> 1), position
