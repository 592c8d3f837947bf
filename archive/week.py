"""What the weekly digest asks of the archive, beside samples and incidents."""

import sqlite3
from typing import NamedTuple

from archive import outbox

NEXT = outbox.DIGEST_AT


class Advisory(NamedTuple):
    """A publication of CERT-FR of the week. Its title is hostile text."""

    reference: str
    kind: str  # alerte, avis
    title: str
    status: str
    verdict: str  # affected, to_check, not_affected, '' not decided


class Backups(NamedTuple):
    made: int  # in the week
    newest_at: int | None  # whenever it was
    error: str  # of the last attempt, '' when it was good


def next_at(db: sqlite3.Connection) -> int | None:
    """When the next digest is due; None before the first was planned."""
    row = db.execute("SELECT value FROM setting WHERE name=?", (NEXT,)).fetchone()
    return int(row[0]) if row and str(row[0]).isdigit() else None


def set_next_at(db: sqlite3.Connection, at: int, now: int) -> None:
    db.execute(
        "INSERT INTO setting VALUES (?, ?, ?, 'vigie') ON CONFLICT (name)"
        " DO UPDATE SET value=excluded.value, updated_at=excluded.updated_at",
        (NEXT, str(at), now),
    )


def advisories(db: sqlite3.Connection, host: int, start: int, end: int, limit: int = 40) -> list[Advisory]:
    """Publications that CERT-FR made or revised in the span: those that concern this machine first, alerts before avis."""
    rows = db.execute(
        "SELECT a.reference, a.kind, a.title, a.status, coalesce(v.verdict, '') FROM advisory a"
        " LEFT JOIN verdict v ON v.advisory = a.id AND v.host=?"
        " WHERE a.last_at >= ? AND a.last_at < ? AND a.title <> ''"
        " ORDER BY CASE coalesce(v.verdict, '') WHEN 'affected' THEN 0 WHEN 'to_check' THEN 1 WHEN '' THEN 2 ELSE 3 END,"
        " a.kind, a.last_at DESC, a.reference LIMIT ?",
        (host, start, end, limit),
    )
    return [Advisory(*row) for row in rows]


def advisory_count(db: sqlite3.Connection, start: int, end: int) -> int:
    """How many publications in the span."""
    row = db.execute("SELECT count(*) FROM advisory WHERE last_at >= ? AND last_at < ?", (start, end)).fetchone()
    return int(row[0])


def backups(db: sqlite3.Connection, host: int, start: int, end: int) -> Backups:
    """Our own backups, by their events."""
    count, newest = db.execute(
        "SELECT count(*) FILTER (WHERE at >= ? AND at < ?), max(at) FROM event WHERE host=? AND kind='backup'",
        (start, end, host),
    ).fetchone()
    row = db.execute("SELECT value FROM setting WHERE name='backup_error'").fetchone()
    return Backups(int(count), newest, str(row[0]) if row else "")
