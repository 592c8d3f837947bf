"""Purge: what is older than the retention goes, and nothing newer, in small steps.

The clock is believed only when the data agree with it: a clock that jumped ten years ahead must delete nothing.
"""

import os
import shutil
import sqlite3
import time
from typing import NamedTuple

from archive import database, events

DAY = 86_400
DEFAULT_RETENTION = 400
FINE_ROLLUPS = 40 * DAY  # 5-minute rollups are kept this long; hours for as long as the samples
AGREE = 3600  # seconds the clock may be ahead of the newest sample
TRUSTED_AFTER = DAY  # seconds of uptime that must agree with the clock
MOST_DAYS = 2  # days' worth that one run removes


class Purge(NamedTuple):
    samples: int
    packed: int
    refused: str  # why nothing was removed, '' when it was not refused


def retention_days(db: sqlite3.Connection) -> int:
    row = db.execute("SELECT value FROM setting WHERE name='retention_days'").fetchone()
    return int(row[0]) if row else DEFAULT_RETENTION


def distrust(db: sqlite3.Connection, host: int, now: int) -> str:
    """Why the clock is not to be believed for deleting, '' when it is.

    The cycles of the last day of this boot must show clock and /proc/uptime advancing together.
    """
    last = db.execute("SELECT at, boot, uptime FROM cycle WHERE host=? ORDER BY at DESC LIMIT 1", (host,)).fetchone()
    if last is None:
        return "there is no sample yet"
    if now > last[0] + AGREE:
        return f"the clock is {(now - last[0]) // 60} minutes ahead of the newest sample"
    then = db.execute(
        "SELECT at, uptime FROM cycle WHERE host=? AND boot=? AND uptime <= ? ORDER BY at DESC LIMIT 1",
        (host, last[1], last[2] - TRUSTED_AFTER),
    ).fetchone()
    if then is None:
        return "the machine has not been up for 24 hours yet"
    if abs((last[0] - then[0]) - (last[2] - then[1])) > 300:
        return "the clock was set during the last 24 hours"
    return ""


def purge(db: sqlite3.Connection, host: int, now: int, *, confirmed: bool = False, batch: int = 20_000) -> Purge:
    """Remove what is older than the retention, at most two days' worth unless `confirmed` in the form.

    Commits by itself after each batch, so that no transaction holds the lock for long.
    """
    reason = distrust(db, host, now)
    if reason:
        return Purge(0, 0, reason)
    cut = (now - retention_days(db) * DAY) // DAY * DAY
    if not confirmed:
        oldest = _oldest(db, host)
        if oldest is None:
            return Purge(0, 0, "")
        cut = min(cut, oldest // DAY * DAY + MOST_DAYS * DAY)
    samples = _batches(db, "sample", "host=? AND at < ?", (host, cut), batch)
    packed = _batches(db, "packed", "host=? AND day < ?", (host, cut - DAY + 1), batch)
    _batches(db, "rollup", "host=? AND at < ?", (host, cut), batch)
    _batches(db, "rollup", "host=? AND step=300 AND at < ?", (host, now - FINE_ROLLUPS), batch)
    _batches(db, "cycle", "host=? AND at < ?", (host, cut), batch)
    _batches(db, "event", "host=? AND at < ?", (host, cut), batch)
    _batches(db, "fact", "host=? AND gone_at < ?", (host, cut), batch)
    if samples or packed:
        with database.transaction(db):
            events.add(db, host, now, "purge", "", f"{samples + packed}")
    db.execute("PRAGMA incremental_vacuum(2000)").fetchall()
    return Purge(samples, packed, "")


def preview(db: sqlite3.Connection, host: int, days: int, now: int) -> tuple[int, int]:
    """(samples, bytes) that a retention of `days` would remove, for the form. Bytes are an estimate from the blobs."""
    cut = (now - days * DAY) // DAY * DAY
    plain = db.execute("SELECT count(*) FROM sample WHERE host=? AND at < ?", (host, cut)).fetchone()[0]
    packed, size = db.execute(
        "SELECT coalesce(sum(count), 0), coalesce(sum(length(data)), 0) FROM packed WHERE host=? AND day < ?",
        (host, cut - DAY + 1),
    ).fetchone()
    return plain + packed, plain * 16 + size


def _oldest(db: sqlite3.Connection, host: int) -> int | None:
    plain = db.execute("SELECT min(at) FROM sample WHERE host=?", (host,)).fetchone()[0]
    packed = db.execute("SELECT min(day) FROM packed WHERE host=?", (host,)).fetchone()[0]
    return min((at for at in (plain, packed) if at is not None), default=None)


def _batches(db: sqlite3.Connection, table: str, where: str, values: tuple[int, ...], batch: int) -> int:
    """Delete in small transactions. `table` and `where` are this module's own words."""
    removed = 0
    key = {"sample": "at", "packed": "day", "rollup": "at", "cycle": "at", "event": "at", "fact": "gone_at"}[table]
    while True:
        edge = db.execute(
            f"SELECT {key} FROM {table} WHERE {where} ORDER BY {key} LIMIT 1 OFFSET ?",
            (*values, batch),
        ).fetchone()
        with database.transaction(db):
            if edge is None:
                removed += db.execute(f"DELETE FROM {table} WHERE {where}", values).rowcount
                return removed
            removed += db.execute(f"DELETE FROM {table} WHERE {where} AND {key} <= ?", (*values, edge[0])).rowcount


def journal(data: str, now: int, days: int = 14, most: int = 64 << 20) -> int:
    """Compress the journal's past days and drop the oldest beyond `days` or `most` bytes. Returns files dropped.

    A day is a folder of texts until it is over, then one .xz of all of them (their end marks and the xz checksum tell
    a damaged one).
    """
    folder = os.path.join(data, "journal")
    try:
        names = sorted(os.listdir(folder))
    except FileNotFoundError:
        return 0
    today = time.strftime("%Y-%m-%d", time.gmtime(now))
    for name in names:
        if os.path.isdir(os.path.join(folder, name)) and name < today:
            _compress(folder, name)
    kept = sorted(name for name in os.listdir(folder) if name.endswith(".xz"))
    oldest = time.strftime("%Y-%m-%d", time.gmtime(now - days * DAY))
    total = sum(os.path.getsize(os.path.join(folder, name)) for name in kept)
    dropped = 0
    for name in kept:
        if name[:10] >= oldest and total <= most:
            break
        total -= os.path.getsize(os.path.join(folder, name))
        os.unlink(os.path.join(folder, name))
        dropped += 1
    return dropped


def _compress(folder: str, day: str) -> None:
    """One day's folder -> one .xz, whole before the folder goes. Texts that came late make a second file."""
    import lzma

    source = os.path.join(folder, day)
    target = os.path.join(folder, f"{day}.txt.xz")
    number = 1
    while os.path.exists(target):
        number += 1
        target = os.path.join(folder, f"{day}.{number}.txt.xz")
    aside = os.path.join(folder, f".{day}.xz.new")
    with lzma.open(aside, "wb", preset=2) as out:
        for name in sorted(os.listdir(source)):
            with open(os.path.join(source, name), "rb") as file:
                shutil.copyfileobj(file, out)
    with open(aside, "rb") as file:
        os.fsync(file.fileno())
    os.rename(aside, target)
    shutil.rmtree(source)
