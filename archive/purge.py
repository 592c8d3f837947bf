"""Purge: what is older than the retention goes, and nothing newer, in small steps.

The clock is believed only when the data agree with it: a clock that jumped ten years ahead must delete nothing.
"""

import contextlib
import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from typing import NamedTuple

from archive import database, events, pack, past, read, rolled, rollup

DAY = 86_400
DEFAULT_RETENTION = 400
MOST_RETENTION = 3650
FINE_ROLLUPS = 40 * DAY  # 5-minute rollups are kept this long; hours for as long as the samples
QUARTER = 360  # texts of a quarter of a day
AGREE = 3600  # seconds the clock may be ahead of the newest sample
TRUSTED_AFTER = DAY  # seconds of uptime that must agree with the clock
TRUSTED_DAYS = 3  # or, where the machine never runs that long: so many days of the last week with cycles
KEPT_PAGES, GIVEN_PAGES = 256, 512  # of 4 KB: free ones that stay in the file, and most that one slice gives back
JOURNAL_DAYS = 14
MOST_DAYS = 2  # days' worth that one run removes
ALLOWED = "purge_allowed"  # a setting: UTC seconds


class Purge(NamedTuple):
    samples: int
    packed: int
    refused: str  # why nothing was removed, '' when it was not refused


class Removed(NamedTuple):
    """What one step removed, and whether another may follow."""

    samples: int
    packed: int
    more: bool


def retention_days(db: sqlite3.Connection) -> int:
    """How long samples are kept. What is not a number of days from 1 to 3650 counts as the default: never less."""
    row = db.execute("SELECT value FROM setting WHERE name='retention_days'").fetchone()
    said = str(row[0]) if row else ""
    days = int(said) if said.isascii() and said.isdigit() and len(said) < 6 else 0
    return days if 1 <= days <= MOST_RETENTION else DEFAULT_RETENTION


def distrust(db: sqlite3.Connection, host: int, now: int) -> str:
    """Why the clock is not to be believed for deleting, '' when it is.

    Clock and /proc/uptime must have advanced together: for a day of this boot, or, on a machine that is switched off
    at night, in every boot of the last week, on three days at least.
    """
    last = read.last_cycle(db, host)
    if last is None:
        return "there is no sample yet"
    if now > last.at + AGREE:
        return f"the clock is {(now - last.at) // 60} minutes ahead of the newest sample"
    week = db.execute(
        "SELECT at, boot, uptime FROM cycle WHERE host=? AND at BETWEEN ? AND ?", (host, last.at - 7 * DAY, last.at)
    ).fetchall()
    boots: dict[str, list[tuple[float, int]]] = {}
    for at, boot, uptime in week:
        boots.setdefault(boot, []).append((uptime, at))
    this = boots[last.boot]
    before = max((pair for pair in this if pair[0] <= last.uptime - TRUSTED_AFTER), default=None)
    if before is not None:
        return "" if _together([before, (last.uptime, last.at)]) else "the clock was set during the last 24 hours"
    if len({at // DAY for at, _, _ in week}) < TRUSTED_DAYS:
        return "the machine has not been up for 24 hours yet"
    return "" if all(_together(pairs) for pairs in boots.values()) else "the clock was set during the last 24 hours"


def _together(pairs: list[tuple[float, int]]) -> bool:
    """Whether clock and uptime advanced together from the first to the last of one boot's (uptime, at)."""
    first, last = min(pairs), max(pairs)
    return abs((last[1] - first[1]) - (last[0] - first[0])) <= 300


def purge(db: sqlite3.Connection, host: int, now: int, *, confirmed: bool = False, batch: int = 20_000) -> Purge:
    """Remove what is older than the retention, at most two days' worth unless `confirmed` in the form.

    Commits by itself after each batch. Who must not hold the writer's lock for as long calls `edge` and `step`.
    """
    reason = distrust(db, host, now)
    if reason:
        return Purge(0, 0, reason)
    cut = edge(db, host, now, confirmed=confirmed)
    samples = packed = 0
    more = True
    while more:
        with database.transaction(db):
            removed = step(db, host, cut, now, batch)
        samples, packed, more = samples + removed.samples, packed + removed.packed, removed.more
    with database.transaction(db):
        finish(db, host, cut, now, samples + packed)
    while give_back(db):
        pass
    return Purge(samples, packed, "")


def edge(db: sqlite3.Connection, host: int, now: int, *, confirmed: bool = False) -> int:
    """Everything before this time may go: the retention's limit, but at most two days' worth at a time.

    More goes at once where somebody was shown what, and said yes (`allow`): up to the limit that was shown, no further.
    """
    cut = kept_from(retention_days(db), now)
    oldest = _oldest(db, host)
    if confirmed or oldest is None:
        return cut
    return min(cut, max(oldest // DAY * DAY + MOST_DAYS * DAY, allowed(db)))


def kept_from(days: int, now: int) -> int:
    """The first time that a retention of so many days keeps: 00:00 UTC of a day."""
    return (now - days * DAY) // DAY * DAY


def allow(db: sqlite3.Connection, cut: int, by: str, now: int) -> None:
    """Everything before `cut` may go at once; 0 takes that back. Within the caller's transaction."""
    remember(db, ALLOWED, str(cut), by, now)


def allowed(db: sqlite3.Connection) -> int:
    """The time before which everything may go at once; 0 for none."""
    said = read.setting(db, ALLOWED)
    return int(said) if said.isascii() and said.isdigit() and len(said) < 12 else 0


def remember(db: sqlite3.Connection, name: str, value: str, by: str, now: int) -> None:
    """A row of `setting`, within the caller's transaction."""
    db.execute(
        "INSERT INTO setting VALUES (?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET value=excluded.value,"
        " updated_at=excluded.updated_at, updated_by=excluded.updated_by",
        (name, value, now, by),
    )


def step(
    db: sqlite3.Connection,
    host: int,
    cut: int,
    now: int,
    batch: int = 20_000,
    spent: Callable[[], bool] = lambda: False,
) -> Removed:
    """One batch of what lies before `cut`, within the caller's transaction: samples first, then the rest. It ends early
    when `spent` says so, but not before something is gone."""
    fine = rollup.forget_fine(db, host, now - FINE_ROLLUPS, now)
    last = db.execute(
        "SELECT at FROM sample WHERE host=? AND at < ? ORDER BY at LIMIT 1 OFFSET ?", (host, cut, batch)
    ).fetchone()
    before = min(cut, last[0] + 1) if last else cut
    samples = db.execute("DELETE FROM sample WHERE host=? AND at < ?", (host, before)).rowcount
    if last:
        return Removed(samples, 0, True)
    lines = [row[0] for row in db.execute("SELECT id FROM series WHERE host=?", (host,))]
    for series in lines:
        while pack.unpack_stretch(db, host, series, cut):
            if spent():
                return Removed(samples, 0, True)
    packed = db.execute(
        "DELETE FROM packed WHERE (host, series, day) IN"
        " (SELECT host, series, day FROM packed WHERE host=? AND day + ? <= ? LIMIT ?)",
        (host, DAY, cut, max(1, batch // 20)),
    ).rowcount
    if packed >= max(1, batch // 20):
        return Removed(samples, packed, True)
    left = batch
    # By series: the key begins with it, so each of these reads only what it removes.
    for series in lines:
        for span, limit in ((rollup.FINE, max(cut, fine)), (rollup.HOUR, cut), (rollup.DAY, cut)):
            removed = rolled.purge(db, host, series, span, limit)
            removed += db.execute(
                "DELETE FROM rollup WHERE (host, series, step, at) IN (SELECT host, series, step, at FROM rollup"
                " WHERE host=? AND series=? AND step=? AND at < ? LIMIT ?)",
                (host, series, span, limit, left),
            ).rowcount
            left -= removed
            if left <= 0 or (removed and spent()):
                return Removed(samples, packed, True)
    return Removed(samples, packed, False)


def finish(db: sqlite3.Connection, host: int, cut: int, now: int, removed: int) -> None:
    """The small tables, and lines of which nothing is left; within the caller's transaction."""
    for table, key in (("cycle", "at"), ("event", "at"), ("fact", "gone_at")):
        db.execute(f"DELETE FROM {table} WHERE host=? AND {key} < ?", (host, cut))
    past.purge(db, host, cut)
    present = {row[0] for row in db.execute("SELECT DISTINCT series FROM sample WHERE host=?", (host,))}
    for series, first_at in db.execute("SELECT id, first_at FROM series WHERE host=?", (host,)).fetchall():
        if series not in present and first_at < cut and not _kept(db, host, series):
            db.execute("DELETE FROM series WHERE id=?", (series,))
    if removed:
        events.add(db, host, now, "purge", "", f"{removed}")


def give_back(db: sqlite3.Connection) -> bool:
    """Free pages back to the disk, 2 MB at most; outside a transaction. True when there are more worth giving.

    What the next days' rows will fill again stays in the file.
    """
    if not isinstance(db, sqlite3.Connection):
        return False
    free = int(db.execute("PRAGMA freelist_count").fetchone()[0]) - KEPT_PAGES
    if free <= 0:
        return False
    # A script is stepped to its end; execute() would stop after the first page.
    db.executescript(f"PRAGMA incremental_vacuum({min(free, GIVEN_PAGES)})")
    return free > GIVEN_PAGES


def _kept(db: sqlite3.Connection, host: int, series: int) -> bool:
    """Whether anything still speaks of a line. An incident keeps it: its id must not pass to another."""
    row = db.execute(
        "SELECT 1 FROM packed WHERE host=?1 AND series=?2 UNION ALL SELECT 1 FROM rollup WHERE host=?1 AND series=?2"
        " UNION ALL SELECT 1 FROM packed_long WHERE host=?1 AND series=?2"
        " UNION ALL SELECT 1 FROM rolled WHERE host=?1 AND series=?2"
        " UNION ALL SELECT 1 FROM incident WHERE series=?2 LIMIT 1",
        (host, series),
    ).fetchone()
    return row is not None


def preview(db: sqlite3.Connection, host: int, days: int, now: int) -> tuple[int, int]:
    """(samples, bytes) that a retention of `days` would remove, for the form. Bytes are an estimate from the blobs."""
    cut = kept_from(days, now)
    plain = db.execute("SELECT count(*) FROM sample WHERE host=? AND at < ?", (host, cut)).fetchone()[0]
    packed, size = db.execute(
        "SELECT coalesce(sum(count), 0), coalesce(sum(length(data)), 0) FROM packed WHERE host=? AND day < ?",
        (host, cut - DAY + 1),
    ).fetchone()
    for at, count, bytes_ in db.execute(
        "SELECT at, count, length(data) FROM packed_long WHERE host=? AND at < ?", (host, cut)
    ):
        share = min(1.0, (cut - at) / pack.STRETCH)  # of a stretch that is cut, about so much goes
        packed, size = packed + round(count * share), size + round(bytes_ * share)
    return plain + packed, plain * 16 + size


def _oldest(db: sqlite3.Connection, host: int) -> int | None:
    plain = db.execute("SELECT min(at) FROM sample WHERE host=?", (host,)).fetchone()[0]
    packed = db.execute("SELECT min(day) FROM packed WHERE host=?", (host,)).fetchone()[0]
    old = db.execute("SELECT min(at) FROM packed_long WHERE host=?", (host,)).fetchone()[0]
    return min((at for at in (plain, packed, old) if at is not None), default=None)


def journal(data: str, now: int, days: int = JOURNAL_DAYS, most: int = 64 << 20) -> int:
    """Compress the journal's past days; keep the newest `days` of those there are, and `most` bytes. Returns files dropped.

    A day is a folder of texts until it is over, then one .xz of all of them (their end marks and the xz checksum tell
    a damaged one). Days are counted, not dated: a clock that jumped ahead makes none of them old.
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
    kept = sorted((name for name in os.listdir(folder) if name.endswith(".xz")), reverse=True)
    kept = [name for name in kept if not name.startswith(".")]
    newest = sorted({name[:10] for name in kept}, reverse=True)[:days]
    total = dropped = 0
    for name in kept:
        total += os.path.getsize(os.path.join(folder, name))
        if name[:10] not in newest or total > most:
            os.unlink(os.path.join(folder, name))
            dropped += 1
    return dropped


def journal_of_today(data: str, now: int) -> bool:
    """Compress what there is of the day that is not over, once it is a quarter of a day: raw, a day of sixty series takes as
    much room as two months of them packed. A text that is in both is loaded once."""
    folder, today = os.path.join(data, "journal"), time.strftime("%Y-%m-%d", time.gmtime(now))
    try:
        full = len(os.listdir(os.path.join(folder, today))) >= QUARTER
    except FileNotFoundError:
        return False
    if full:
        _compress(folder, today, over=False)
    return full


def _compress(folder: str, day: str, *, over: bool = True) -> None:
    """One day's folder -> one .xz, whole before the texts go. Texts that came later make a second file. The folder stays
    while its day is not `over`: the minute's path may be about to put a text there."""
    import lzma

    source = os.path.join(folder, day)
    names = sorted(os.listdir(source))
    target = os.path.join(folder, f"{day}.txt.xz")
    number = 1
    while os.path.exists(target):
        number += 1
        target = os.path.join(folder, f"{day}.{number}.txt.xz")
    if names:
        aside = os.path.join(folder, f".{day}.xz.new")
        with lzma.open(aside, "wb", preset=2) as out:
            for name in names:
                with open(os.path.join(source, name), "rb") as file:
                    shutil.copyfileobj(file, out)
        database.sync(aside)
        os.rename(aside, target)
        database.sync(folder)
    for name in names:
        os.unlink(os.path.join(source, name))
    if not over:
        return
    with contextlib.suppress(OSError):  # a text came in meanwhile: it is compressed next time
        os.rmdir(source)
