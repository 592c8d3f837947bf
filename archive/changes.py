"""The history of what people changed: who, when, from what to what. Rows only; undoing stands in archive/undoing.py."""

import sqlite3
from typing import NamedTuple


class Change(NamedTuple):
    id: int
    at: int
    by: str
    kind: str  # threshold, setting, window
    subject: str  # the metric, the setting's name, the number of the planned work
    labels: str
    before: str  # '' when there was nothing of its own
    after: str


_COLUMNS = "id, at, by, kind, subject, labels, before, after"


def note(
    db: sqlite3.Connection,
    at: int,
    by: str,
    kind: str,
    subject: str,
    before: str,
    after: str,
    labels: str = "{}",
) -> None:
    """Keep a change, within the caller's transaction."""
    db.execute(
        "INSERT INTO change (at, by, kind, subject, labels, before, after) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (at, by, kind, subject, labels, before, after),
    )


def recent(db: sqlite3.Connection, limit: int = 50, kind: str = "") -> list[Change]:
    """Newest first; of one kind, or of all."""
    rows = db.execute(f"SELECT {_COLUMNS} FROM change WHERE ?1 IN ('', kind) ORDER BY id DESC LIMIT ?2", (kind, limit))
    return [Change(*row) for row in rows]


def get(db: sqlite3.Connection, ident: int) -> Change | None:
    row = db.execute(f"SELECT {_COLUMNS} FROM change WHERE id=?", (ident,)).fetchone()
    return Change(*row) if row else None
