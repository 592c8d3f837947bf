"""Days past, packed: every sample of one series and one UTC day in one blob, lossless; later, of sixteen days.

A blob's first byte is its form. Form 2: a count, the times as one column, the values as another (archive/columns.py), and
their CRC-32. Form 1, which older versions wrote (its first byte is zlib's own, 0x78): zlib over varints, first time and
value, then the change of the interval and of the value, zigzag-coded; still what holds values too far apart for a column.
"""

import sqlite3
import zlib
from array import array
from bisect import bisect_left, bisect_right

from archive import columns

DAY = 86_400
FORM = 2
STRETCH = 16 * DAY
INT64 = 2**63
GROUP = 500  # series gathered at a time: a day of minutes of each is 12 MB

Columns = tuple["array[int]", "array[int]"]  # times and values of one series, by time
Packed = tuple[int, int, int, int, bytes]  # a row of `packed`


def encode(samples: list[tuple[int, int]]) -> bytes:
    """[(at, value), ...] sorted by time -> a blob. Times and values are stored as two columns."""
    if not samples:
        return _encoded_by_varints(samples)
    try:
        return _encoded([at for at, _ in samples], [value for _, value in samples])
    except columns.TooWide:
        return _encoded_by_varints(samples)


def _encoded(times: list[int], values: list[int]) -> bytes:
    blob = bytearray((FORM,))
    columns.varint(blob, len(times))
    blob += columns.encode(times)
    blob += columns.encode(values)
    return bytes(blob) + zlib.crc32(blob).to_bytes(4, "big")


def _encoded_by_varints(samples: list[tuple[int, int]]) -> bytes:
    times, values = bytearray(), bytearray()
    at = interval = value = 0
    for this_at, this_value in samples:
        columns.varint(times, columns.zigzag(this_at - at - interval))
        columns.varint(values, columns.zigzag(this_value - value))
        interval, at, value = this_at - at, this_at, this_value
    head = bytearray()
    columns.varint(head, columns.zigzag(len(samples)))
    columns.varint(head, columns.zigzag(len(times)))
    return zlib.compress(bytes(head + times + values), 9)


def decode(blob: bytes) -> list[tuple[int, int]]:
    """The samples of a blob, as they went in. Raises sqlite3.DatabaseError for a damaged one, as for a damaged page."""
    try:
        if blob[:1] == bytes((FORM,)):
            return _decoded(blob)
        return _decoded_varints(zlib.decompress(blob))
    except (zlib.error, columns.Malformed, IndexError, ValueError) as error:
        raise sqlite3.DatabaseError(f"a packed day is malformed: {error}") from error


def _decoded(blob: bytes) -> list[tuple[int, int]]:
    raw = blob[:-4]
    if zlib.crc32(raw).to_bytes(4, "big") != blob[-4:]:
        raise columns.Malformed("its checksum differs")
    count, place = columns.read_varint(raw, 1)
    times, place = columns.decode(raw, place, count)
    values, _ = columns.decode(raw, place, count)
    return list(zip(times, values, strict=True))


def _decoded_varints(raw: bytes) -> list[tuple[int, int]]:
    def read(place: int) -> tuple[int, int]:
        number, place = columns.read_varint(raw, place)
        return columns.unzigzag(number), place

    count, place = read(0)
    size, place = read(place)
    value_place = place + size
    samples = []
    at = interval = value = 0
    for _ in range(count):
        change, place = read(place)
        step, value_place = read(value_place)
        interval += change
        at += interval
        value += step
        samples.append((at, value))
    return samples


def samples(db: sqlite3.Connection, host: int, series: int, start: int, end: int) -> list[tuple[int, int]]:
    """Packed samples with start <= at <= end, oldest first."""
    rows = db.execute(
        "SELECT data FROM packed_long WHERE host=? AND series=? AND at > ? AND at <= ? ORDER BY at",
        (host, series, start - STRETCH, end),
    )
    found = [sample for (blob,) in rows for sample in _within(decode(blob), start, end)]
    rows = db.execute(
        "SELECT data FROM packed WHERE host=? AND series=? AND day BETWEEN ? AND ? ORDER BY day",
        (host, series, start - start % DAY, end),  # a day's name is its first second
    )
    days = [sample for (blob,) in rows for sample in _within(decode(blob), start, end)]
    if not found or not days or found[-1][0] < days[0][0]:
        return found + days
    return sorted((dict(days) | dict(found)).items())  # a text came late to a stretch


def _within(found: list[tuple[int, int]], start: int, end: int) -> list[tuple[int, int]]:
    """Those with start <= at <= end, of samples sorted by time."""
    if not found or (start <= found[0][0] and found[-1][0] <= end):
        return found
    return found[bisect_left(found, (start, -INT64)) : bisect_right(found, (end, INT64))]


def every(db: sqlite3.Connection, host: int, series: int, start: int, end: int) -> dict[int, int]:
    """{at: value} of all samples with start <= at <= end, packed or not. What is packed came first, and stays."""
    # From minute to minute, for the key begins with the time: all the lines' rows of a day are eighty times as many.
    found: dict[int, int] = dict(
        db.execute(
            "WITH RECURSIVE minute(at) AS ("
            "SELECT min(at) FROM sample WHERE host=?1 AND at BETWEEN ?2 AND ?3 UNION ALL"
            " SELECT (SELECT min(at) FROM sample WHERE host=?1 AND at > minute.at AND at <= ?3)"
            " FROM minute WHERE minute.at IS NOT NULL)"
            " SELECT s.at, s.value FROM minute CROSS JOIN sample s ON s.host=?1 AND s.at=minute.at AND s.series=?4",
            (host, start, end, series),
        ).fetchall()
    )
    found.update(samples(db, host, series, start, end))
    return found


def pack_day(db: sqlite3.Connection, host: int, day: int, most: int = 0) -> int:
    """Move one UTC day from `sample` to `packed`, within the caller's transaction. Returns the samples moved.

    A day that was packed before takes in what came late: the two are merged, and the one already packed wins. With
    `most`, only so many series are moved: the caller comes again for the rest. Upkeep does the same in slices:
    `gather` and `blobs` while it holds no lock, `put`, and only then `drop`.
    """
    lines = series_of(db, host, day)
    chosen = lines[:most] if 0 < most < len(lines) else lines
    if not chosen:
        return 0
    found = gather(db, host, day, chosen)
    for row in blobs(db, host, day, found):
        put(db, row)
    db.execute(
        "DELETE FROM sample WHERE host=? AND at >= ? AND at < ? AND series <= ?", (host, day, day + DAY, chosen[-1])
    )
    return sum(len(times) for times, _ in found.values())


def series_of(db: sqlite3.Connection, host: int, day: int) -> list[int]:
    """Ids of the series that have samples of this day that are not packed."""
    rows = db.execute(
        "SELECT DISTINCT series FROM sample WHERE host=? AND at >= ? AND at < ? ORDER BY series", (host, day, day + DAY)
    )
    return [row[0] for row in rows]


def gather(db: sqlite3.Connection, host: int, day: int, series: list[int]) -> dict[int, Columns]:
    """The day's samples of some series, ids in order and without one between that is not wanted."""
    found: dict[int, Columns] = {ident: (array("q"), array("q")) for ident in series}
    for ident, at, value in db.execute(
        "SELECT series, at, value FROM sample WHERE host=? AND at >= ? AND at < ? AND series BETWEEN ? AND ? ORDER BY at",
        (host, day, day + DAY, series[0], series[-1]),
    ):
        times, values = found[ident]
        times.append(at)
        values.append(value)
    return found


def blobs(db: sqlite3.Connection, host: int, day: int, found: dict[int, Columns]) -> list[Packed]:
    """The rows that hold these samples and those that were packed before."""
    rows = []
    for ident, (times, values) in found.items():
        merged = dict(zip(times, values, strict=True)) | dict(samples(db, host, ident, day, day + DAY - 1))
        ordered = sorted(merged.items())
        rows.append((host, ident, day, len(ordered), encode(ordered)))
    return rows


def put(db: sqlite3.Connection, row: Packed) -> None:
    """Into `packed`, within the caller's transaction."""
    db.execute(
        "INSERT INTO packed VALUES (?, ?, ?, ?, ?) ON CONFLICT (host, series, day)"
        " DO UPDATE SET count=excluded.count, data=excluded.data",
        row,
    )


def holds(db: sqlite3.Connection, host: int, day: int, counts: dict[int, int]) -> bool:
    """Whether every one of these series has so many samples of that day in `packed`."""
    for series, count in counts.items():
        row = db.execute("SELECT count FROM packed WHERE host=? AND series=? AND day=?", (host, series, day)).fetchone()
        if row is None or row[0] != count:
            return False
    return True


def drop(db: sqlite3.Connection, host: int, day: int, most: int) -> int:
    """Remove up to about `most` of a day's rows, all of which are packed; returns how many (0: none is left)."""
    last = db.execute(
        "SELECT at FROM sample WHERE host=? AND at >= ? AND at < ? ORDER BY at LIMIT 1 OFFSET ?",
        (host, day, day + DAY, most),
    ).fetchone()
    before = max(last[0], _first(db, host, day) + 1) if last else day + DAY
    return db.execute("DELETE FROM sample WHERE host=? AND at >= ? AND at < ?", (host, day, before)).rowcount


def _first(db: sqlite3.Connection, host: int, day: int) -> int:
    return int(db.execute("SELECT min(at) FROM sample WHERE host=? AND at >= ?", (host, day)).fetchone()[0])


def pack_stretch(db: sqlite3.Connection, host: int, series: int, since: int, before: int) -> bool:
    """Put a series' packed days of the oldest whole stretch in [since, before) into one blob, within the caller's
    transaction. False when there is none."""
    since += -since % STRETCH
    first = db.execute(
        "SELECT min(day) FROM packed WHERE host=? AND series=? AND day >= ?", (host, series, since)
    ).fetchone()[0]
    if first is None or first - first % STRETCH + STRETCH > before:
        return False
    start = first - first % STRETCH
    found = samples(db, host, series, start, start + STRETCH - 1)
    db.execute(
        "INSERT INTO packed_long VALUES (?, ?, ?, ?, ?) ON CONFLICT (host, series, at)"
        " DO UPDATE SET count=excluded.count, data=excluded.data",
        (host, series, start, len(found), encode(found)),
    )
    db.execute(
        "DELETE FROM packed WHERE host=? AND series=? AND day >= ? AND day < ?", (host, series, start, start + STRETCH)
    )
    return True


def unpack_stretch(db: sqlite3.Connection, host: int, series: int, before: int) -> bool:
    """Make days again of a series' oldest stretch, where it began before a time. False when there is none."""
    row = db.execute(
        "SELECT at FROM packed_long WHERE host=? AND series=? AND at < ? ORDER BY at LIMIT 1", (host, series, before)
    ).fetchone()
    if row is None:
        return False
    start = int(row[0])
    for day in range(start, start + STRETCH, DAY):
        found = samples(db, host, series, day, day + DAY - 1)
        if found:
            put(db, (host, series, day, len(found), encode(found)))
    db.execute("DELETE FROM packed_long WHERE host=? AND series=? AND at=?", (host, series, start))
    return True
