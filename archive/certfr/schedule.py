"""When the site may be read, and how each of its sources was last read: the table `reading`.

Standard library only: the minute's path asks `due`. Every function takes a connection and leaves the transaction to
its caller. All times are UTC seconds.
"""

import sqlite3
from typing import NamedTuple

ROUND = "round"
EVERY = 3600  # seconds from the start of a round to the start of the next
MOST = 4 * 3600  # the longest back-off: 1 h, 2 h, 4 h, 4 h, ...
STALE = 900  # a round takes six minutes at most: one claimed for longer has died

_COLUMNS = (
    "source, url, etag, last_modified, digest, listed, read_at, ok_at, first_ok_at, error, next_at, backoff, wait_until,"
    " claimed_at, done, total"
)


class Source(NamedTuple):
    """One row of `reading`: how one source of the site was read. `error` is that of the last attempt, "" when good."""

    source: str
    url: str
    etag: str
    last_modified: str
    digest: str
    listed: int
    read_at: int | None
    ok_at: int | None
    first_ok_at: int | None
    error: str
    next_at: int | None
    backoff: int
    wait_until: int | None
    claimed_at: int | None
    done: int
    total: int


def source(db: sqlite3.Connection, name: str) -> Source | None:
    row = db.execute(f"SELECT {_COLUMNS} FROM reading WHERE source = :name", {"name": name}).fetchone()
    return Source(*row) if row else None


def sources(db: sqlite3.Connection) -> list[Source]:
    """Every source that was ever asked; the row `round` is the whole."""
    return [Source(*row) for row in db.execute(f"SELECT {_COLUMNS} FROM reading ORDER BY source")]


def due(db: sqlite3.Connection, now: int) -> bool:
    """Whether a round may begin: an hour after the last began, later after failures, never while one is at work.

    A time set in a future further than any back-off was written by a wrong clock, and counts for nothing.
    """
    row = source(db, ROUND)
    if row is None:
        return True
    if _at_work(row, now):
        return False
    return row.next_at is None or not now < row.next_at <= now + MOST


def _at_work(row: Source, now: int) -> bool:
    return row.claimed_at is not None and row.claimed_at <= now < row.claimed_at + STALE


def claim(db: sqlite3.Connection, now: int, *, force: bool = False) -> str:
    """Take the round: "" when it is ours, else why it is not, in words. Within a write transaction: one of two gets it.

    `force` is a person who asks now: the hour is not waited for; a server that asked for time is given it all the same.
    """
    row = source(db, ROUND)
    if row is not None and _at_work(row, now):
        return "another reading is at work"
    if row is not None and row.wait_until is not None and now < row.wait_until <= now + EVERY:
        return f"the site asked not to be read before {row.wait_until} (UTC seconds)"
    if row is not None and not force and not due(db, now):
        return f"the next reading is at {row.next_at} (UTC seconds)"
    _touch(db, ROUND, "")
    db.execute(
        "UPDATE reading SET claimed_at = :now, read_at = :now, next_at = :next, done = 0, total = 0 WHERE source = :name",
        {"now": now, "next": now + EVERY, "name": ROUND},
    )
    return ""


def finish(db: sqlite3.Connection, began: int, now: int, *, error: str, failed: bool, wait: int | None) -> int:
    """End the round; returns when the next may begin. `failed`: nothing could be listed. `wait`: what the server asked."""
    row = source(db, ROUND)
    backoff = min(MOST, max(EVERY, 2 * row.backoff if row else 0)) if failed else 0
    next_at = max(began + max(EVERY, backoff), now + (wait or 0))
    db.execute(
        """UPDATE reading SET claimed_at = NULL, error = :error, backoff = :backoff, next_at = :next,
             wait_until = :wait, ok_at = CASE WHEN :failed = 1 THEN ok_at ELSE :now END,
             first_ok_at = CASE WHEN :failed = 1 THEN first_ok_at ELSE COALESCE(first_ok_at, :now) END
           WHERE source = :name""",
        {
            "error": error[:1000],
            "wait": now + wait if wait else None,
            "backoff": backoff,
            "next": next_at,
            "failed": int(failed),
            "now": now,
            "name": ROUND,
        },
    )
    return next_at


def progress(db: sqlite3.Connection, done: int, total: int) -> None:
    """How far the round is, for the page and for `status`."""
    db.execute(
        "UPDATE reading SET done = :done, total = :total WHERE source = :name",
        {"done": done, "total": total, "name": ROUND},
    )


def good(
    db: sqlite3.Connection,
    name: str,
    url: str,
    now: int,
    *,
    etag: str = "",
    last_modified: str = "",
    digest: str = "",
    listed: int = 0,
) -> None:
    """The source was read whole. In the transaction that keeps its entries: validators without entries would hide them."""
    _touch(db, name, url)
    db.execute(
        """UPDATE reading SET url = :url, etag = :etag, last_modified = :modified, digest = :digest, listed = :listed,
             read_at = :now, ok_at = :now, first_ok_at = COALESCE(first_ok_at, :now), error = '' WHERE source = :name""",
        {
            "url": url,
            "etag": etag,
            "modified": last_modified,
            "digest": digest,
            "listed": listed,
            "now": now,
            "name": name,
        },
    )


def unchanged(db: sqlite3.Connection, name: str, now: int) -> None:
    """The source says what it said before."""
    db.execute(
        "UPDATE reading SET read_at = :now, ok_at = :now, error = '' WHERE source = :name",
        {"now": now, "name": name},
    )


def bad(db: sqlite3.Connection, name: str, url: str, now: int, error: str) -> None:
    """The source could not be read; what it said last stays, with its age."""
    _touch(db, name, url)
    db.execute(
        "UPDATE reading SET read_at = :now, error = :error WHERE source = :name",
        {"now": now, "error": error[:1000], "name": name},
    )


def _touch(db: sqlite3.Connection, name: str, url: str) -> None:
    db.execute(
        """INSERT INTO reading (source, url, etag, last_modified, digest, listed, error, backoff, done, total)
           VALUES (:name, :url, '', '', '', 0, '', 0, 0, 0) ON CONFLICT (source) DO NOTHING""",
        {"name": name, "url": url},
    )
