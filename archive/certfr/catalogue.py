"""What the site's lists name, kept: rows to read, revisions to look at, alerts that are closed or gone.

Every function takes a connection and leaves the transaction to its caller. All times are UTC seconds.
"""

import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from archive.certfr.dates import plausible_seconds
from archive.certfr.index import IndexEntry, year_of
from archive.certfr.rows import DAY, YEAR
from archive.certfr.store import insert

MAX_NEW = 5_000  # rows that one list may add; twelve months are about 1,500
SHRUNK = 10  # a list that lacks more than a tenth of what is known is not believed on that


class Taken(NamedTuple):
    """What a list brought: rows added, alerts that it says are closed now, and a sentence when it is doubtful."""

    added: tuple[str, ...]
    closed: tuple[str, ...]
    doubt: str


def take(
    db: sqlite3.Connection,
    kind: str,
    entries: Sequence[IndexEntry],
    now: int,
    *,
    complete: bool,
    backlog: bool,
) -> Taken:
    """Keep what a list says. `complete`: it is the whole history (the JSON index), not the newest part of it.

    1. what is known: the day of its last revision, its state, whether it is still listed;
    2. what is not: a row to read, when it is of the last twelve months, in force, or in a list of the newest;
    3. from a complete list: what it no longer names is to be looked at again (`fail` closes it when it is gone).

    `backlog`: this list comes before the first complete reading, so what it adds is not news.
    """
    known = {
        found[0]: found
        for found in db.execute(
            "SELECT reference, status, title, listed_at, unlisted_at, withdrawn_at, read_at FROM advisory WHERE kind = :kind",
            {"kind": kind},
        )
    }
    closed: list[str] = []
    wanted: list[tuple[int, IndexEntry]] = []
    for entry in entries:
        found = known.get(entry.reference)
        if found is not None:
            if _update(db, entry, found, now, feed=not complete):
                closed.append(entry.reference)
        elif _in_scope(entry, now, complete=complete):
            wanted.append((plausible_seconds(entry.last_revision or entry.published, now) or 0, entry))
    wanted.sort(key=lambda pair: (pair[0], pair[1].reference), reverse=True)
    for _day, entry in wanted[:MAX_NEW]:
        insert(
            db,
            entry.reference,
            kind,
            now,
            url=entry.url,
            title=entry.title or "",
            status=entry.status or "unknown",
            closed_at=plausible_seconds(entry.closed_at, now),
            listed_at=plausible_seconds(entry.last_revision, now),
            backlog=backlog,
        )
    doubt = ""
    if len(wanted) > MAX_NEW:
        doubt = f"the list names {len(wanted)} publications to read; the newest {MAX_NEW} were taken"
    if complete:
        doubt = _unlist(db, set(known) - {entry.reference for entry in entries}, len(known), now) or doubt
    return Taken(tuple(entry.reference for _day, entry in wanted[:MAX_NEW]), tuple(closed), doubt)


def _in_scope(entry: IndexEntry, now: int, *, complete: bool) -> bool:
    since = now - YEAR
    ended = plausible_seconds(entry.closed_at, now)
    if entry.status == "open":
        return True
    if ended is not None and ended < since:
        return False
    if not complete:
        return True
    day = plausible_seconds(entry.last_revision or entry.published, now)
    return year_of(entry.reference) >= datetime.fromtimestamp(since, UTC).year if day is None else day >= since


def _update(db: sqlite3.Connection, entry: IndexEntry, found: Sequence[object], now: int, *, feed: bool) -> bool:
    """What a list says of a known publication; True when it says that an alert in force is closed."""
    _reference, status, title, listed_at, unlisted_at, withdrawn_at, read_at = found
    day = plausible_seconds(entry.last_revision, now)
    closes = entry.status == "closed" and status != "closed"
    opens = entry.status == "open" and status != "open"
    # A feed holds what was touched last, and does not say when: once a day it is worth a look.
    stale = feed and entry.status is None and isinstance(read_at, int) and read_at < now - DAY
    back = withdrawn_at is not None
    if not (
        closes or opens or stale or back or unlisted_at or (day and day != listed_at) or (entry.title and not title)
    ):
        return False
    db.execute(
        """UPDATE advisory SET title = CASE WHEN title = '' THEN :title ELSE title END,
             listed_at = COALESCE(:listed_at, listed_at), unlisted_at = NULL, withdrawn_at = NULL,
             status = :status, closed_at = COALESCE(:closed_at, closed_at),
             again = CASE WHEN :again = 1 THEN 1 ELSE again END
           WHERE reference = :reference""",
        {
            "title": entry.title or "",
            "listed_at": day,
            # "In force" of what was closed is believed only when its own text says so.
            "status": "closed" if closes else "open" if opens and status == "unknown" else status,
            "closed_at": plausible_seconds(entry.closed_at, now) if closes else None,
            "again": int(closes or opens or stale or back),
            "reference": entry.reference,
        },
    )
    return closes and status == "open"


def _unlist(db: sqlite3.Connection, missing: set[str], known: int, now: int) -> str:
    """Mark what the complete list lacks; or the sentence that says why it is not believed."""
    if len(missing) > max(3, known // SHRUNK):
        return (
            f"the list lacks {len(missing)} of {known} known publications, too many to be withdrawn: kept as they are"
        )
    for reference in sorted(missing):
        db.execute(
            "UPDATE advisory SET unlisted_at = :now, again = 1 WHERE reference = :r AND unlisted_at IS NULL",
            {"now": now, "r": reference},
        )
    return ""
