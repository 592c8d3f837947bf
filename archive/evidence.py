"""Evidence as rows: what was running when a line crossed its threshold. The body is JSON (alerts/evidence.py)."""

import sqlite3
from typing import NamedTuple


class Row(NamedTuple):
    id: int
    incident: int
    at: int
    moment: str  # pending, opened
    body: str


class Line(NamedTuple):
    """What an incident is about, as far as evidence needs it."""

    incident: int
    host: int
    kind: str
    metric: str
    labels: str
    state: str


def lines(db: sqlite3.Connection, incidents: list[int]) -> list[Line]:
    """The incidents of these numbers; unknown ones are left out."""
    found = []
    for ident in incidents:
        row = db.execute("SELECT id, host, kind, metric, labels, state FROM incident WHERE id=?", (ident,)).fetchone()
        if row:
            found.append(Line(*row))
    return found


def last_at(db: sqlite3.Connection, line: Line) -> int | None:
    """When evidence was last taken for this line, whatever the incident; None when never."""
    row = db.execute(
        "SELECT max(e.at) FROM evidence e JOIN incident i ON i.id = e.incident"
        " WHERE i.host=? AND i.kind=? AND i.metric=? AND i.labels=?",
        (line.host, line.kind, line.metric, line.labels),
    ).fetchone()
    return None if row[0] is None else int(row[0])


def add(db: sqlite3.Connection, incident: int, at: int, moment: str, body: str) -> None:
    """Keep evidence with its incident."""
    db.execute("INSERT INTO evidence (incident, at, moment, body) VALUES (?, ?, ?, ?)", (incident, at, moment, body))


def of_incident(db: sqlite3.Connection, incident: int, limit: int = 10) -> list[Row]:
    """The evidence of one incident, newest first."""
    rows = db.execute(
        "SELECT id, incident, at, moment, body FROM evidence WHERE incident=? ORDER BY at DESC, id DESC LIMIT ?",
        (incident, limit),
    )
    return [Row(*row) for row in rows]


def purge(db: sqlite3.Connection, before: int) -> int:
    """Forget evidence older than this. Returns how many rows."""
    return db.execute("DELETE FROM evidence WHERE at < ?", (before,)).rowcount
