"""Cycles of days past, packed: when each ran, of which boot, how late and how full it was. A row of `cycle` takes 70 bytes,
a cycle in here two or three; what stands here is not in `cycle`.
"""

import sqlite3
import zlib

from archive import columns

DAY = 86_400
KEEP = 15 * DAY  # younger ones stay rows: judging, doctor and the digest look at them
FORM = 1
UPTIME_SCALE = 100  # /proc/uptime has hundredths
Cycle = tuple[int, str, float, int, int, int, int]  # at, boot, uptime, lag, probes, failed, samples

_WHOLE = "at, boot, uptime, lag, probes, failed, samples"


def encode(rows: list[Cycle]) -> bytes | None:
    """Cycles of one boot, by time; None where an uptime has more than hundredths, or numbers are too far apart."""
    uptimes = [round(row[2] * UPTIME_SCALE) for row in rows]
    if any(hundredths / UPTIME_SCALE != row[2] for hundredths, row in zip(uptimes, rows, strict=True)):
        return None
    blob = bytearray((FORM,))
    columns.varint(blob, len(rows))
    try:
        blob += columns.encode([row[0] for row in rows])
        blob += columns.encode(uptimes)
        for part in range(4):
            blob += columns.encode([row[3:][part] for row in rows])
    except columns.TooWide:
        return None
    return bytes(blob) + zlib.crc32(blob).to_bytes(4, "big")


def decode(blob: bytes, boot: str) -> list[Cycle]:
    """As they went in. Raises sqlite3.DatabaseError for a damaged blob, as for a damaged page."""
    raw = blob[:-4]
    try:
        if blob[:1] != bytes((FORM,)) or zlib.crc32(raw).to_bytes(4, "big") != blob[-4:]:
            raise columns.Malformed("its form or its checksum")
        count, place = columns.read_varint(raw, 1)
        found = []
        for _ in range(6):
            column, place = columns.decode(raw, place, count)
            found.append(column)
    except (columns.Malformed, IndexError, ValueError) as error:
        raise sqlite3.DatabaseError(f"packed cycles are malformed: {error}") from error
    return [
        (at, boot, uptime / UPTIME_SCALE, lag, probes, failed, samples)
        for at, uptime, lag, probes, failed, samples in zip(*found, strict=True)
    ]


def pack_one(db: sqlite3.Connection, host: int, before: int) -> bool:
    """Pack the oldest day that is over before a time, within the caller's transaction. False when there is none."""
    since = -1
    while True:
        first = db.execute("SELECT min(at) FROM cycle WHERE host=? AND at > ?", (host, since)).fetchone()[0]
        if first is None or first - first % DAY + DAY > before:
            return False
        day = first - first % DAY
        if _pack_day(db, host, day):
            return True
        since = day + DAY - 1  # these stay rows


def _pack_day(db: sqlite3.Connection, host: int, day: int) -> bool:
    rows: list[Cycle] = db.execute(
        f"SELECT {_WHOLE} FROM cycle WHERE host=? AND at >= ? AND at < ?", (host, day, day + DAY)
    ).fetchall()
    return store(db, host, day, rows)


def store(db: sqlite3.Connection, host: int, day: int, rows: list[Cycle]) -> bool:
    """Cycles of one day, boot by boot, within the caller's transaction; False when none of them could be packed."""
    done = False
    for boot in dict.fromkeys(row[1] for row in rows):
        known = db.execute(
            "SELECT data FROM packed_cycle WHERE host=? AND day=? AND boot=?", (host, day, boot)
        ).fetchone()
        mine = sorted([row for row in rows if row[1] == boot] + (decode(known[0], boot) if known else []))
        blob = encode(mine)
        if blob is None:
            continue
        db.execute(
            "INSERT INTO packed_cycle VALUES (?, ?, ?, ?, ?) ON CONFLICT (host, day, boot)"
            " DO UPDATE SET count=excluded.count, data=excluded.data",
            (host, day, boot, len(mine), blob),
        )
        db.execute("DELETE FROM cycle WHERE host=? AND at >= ? AND at < ? AND boot=?", (host, day, day + DAY, boot))
        done = True
    return done


def at_second(db: sqlite3.Connection, host: int, at: int) -> tuple[str, float] | None:
    """(boot, uptime) of the packed cycle of this very second."""
    rows = db.execute("SELECT boot, data FROM packed_cycle WHERE host=? AND day=?", (host, at - at % DAY))
    return next(((boot, row[2]) for boot, blob in rows for row in decode(blob, boot) if row[0] == at), None)


def knows(db: sqlite3.Connection, host: int, boot: str) -> bool:
    """Whether a packed cycle is of this boot."""
    row = db.execute("SELECT 1 FROM packed_cycle WHERE host=? AND boot=? LIMIT 1", (host, boot)).fetchone()
    return row is not None


def times(db: sqlite3.Connection, host: int, start: int, end: int) -> list[int]:
    """Times of the packed cycles in [start, end], in no order."""
    rows = db.execute(
        "SELECT boot, data FROM packed_cycle WHERE host=? AND day BETWEEN ? AND ?", (host, start - start % DAY, end)
    )
    return [row[0] for boot, blob in rows for row in decode(blob, boot) if start <= row[0] <= end]


def purge(db: sqlite3.Connection, host: int, cut: int) -> None:
    """Days that ended before `cut`, within the caller's transaction."""
    db.execute("DELETE FROM packed_cycle WHERE host=? AND day + ? <= ?", (host, DAY, cut))
