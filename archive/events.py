"""What happened beside the figures: boots, log-ins, new accounts, package changes, our own backups and purges."""

import sqlite3
from typing import NamedTuple


class Event(NamedTuple):
    at: int
    kind: str  # boot, login, account, package, backup, purge, restore, setting, quarantine, spool, loss
    subject: str
    detail: str


def add(db: sqlite3.Connection, host: int, at: int, kind: str, subject: str, detail: str) -> bool:
    """Keep an event; the same one twice changes nothing. Whether it was new."""
    done = db.execute(
        "INSERT INTO event (host, at, kind, subject, detail) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (host, at, kind, subject, detail),
    )
    return done.rowcount == 1


def between(db: sqlite3.Connection, host: int, start: int, end: int, limit: int = 200) -> list[Event]:
    """Events of a span, oldest first."""
    rows = db.execute(
        "SELECT at, kind, subject, detail FROM event WHERE host=? AND at BETWEEN ? AND ? ORDER BY at LIMIT ?",
        (host, start, end, limit),
    )
    return [Event(*row) for row in rows]


def last_of_kind(db: sqlite3.Connection, host: int, kind: str) -> dict[str, int]:
    """When each subject of a kind was last seen: {subject: at}."""
    rows = db.execute("SELECT subject, max(at) FROM event WHERE host=? AND kind=? GROUP BY subject", (host, kind))
    return {str(row[0]): int(row[1]) for row in rows}
