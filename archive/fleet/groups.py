"""What the centre shows of a machine or of a group beside its pages: the fate of its mails, and what is open in a group."""

import sqlite3

from archive.incidents import Incident
from archive.outbox import Delivery, Entry, Notification


def mails(db: sqlite3.Connection, host: int, limit: int, before: int | None = None) -> list[Entry]:
    """The mails that a machine itself sends, newest first; `before` is the number (its own) of the last one before."""
    rows = db.execute(
        "SELECT DISTINCT mail, at, kind, subject FROM member_mail WHERE host=? AND mail < ? ORDER BY mail DESC LIMIT ?",
        (host, 2**62 if before is None else before, limit),
    ).fetchall()
    found = []
    for mail, at, kind, subject in rows:
        deliveries = db.execute(
            "SELECT recipient, state, 0, 0, done_at, server, reply FROM member_mail WHERE host=? AND mail=?"
            " ORDER BY recipient",
            (host, mail),
        )
        of = Notification(mail, host, at, kind, "", "", subject, "")
        found.append(Entry(of, (), tuple(Delivery(*row) for row in deliveries)))
    return found


def _like(tag: str) -> str:
    escaped = tag.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"% {escaped} %"


def open_incidents(db: sqlite3.Connection, tag: str, most: int) -> list[tuple[str, Incident]]:
    """(machine, incident) of what is open on the machines in service with a tag: critical first, then the oldest."""
    columns = ", ".join(f"i.{name}" for name in Incident._fields)
    rows = db.execute(
        f"SELECT o.name, {columns} FROM member o JOIN incident i ON i.host = o.host"
        " WHERE o.tags LIKE ? ESCAPE '\\' AND o.joined_at IS NOT NULL AND o.revoked_at IS NULL AND o.retired_at IS NULL"
        " AND i.state <> 'resolved' AND i.opened_at IS NOT NULL"
        " ORDER BY CASE i.level WHEN 'critical' THEN 0 ELSE 1 END, i.since_at, i.id LIMIT ?",
        (_like(tag), most),
    )
    return [(row[0], Incident(*row[1:])) for row in rows]
