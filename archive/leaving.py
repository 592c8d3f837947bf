"""Leaving the outbox: which deliveries wait, who holds the lease of which, and what came of each try.

Used by the sender alone (alerts/outbox.py), a few short transactions a mail; never while it talks to a server.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from archive.outbox import ENDINGS, LEASED, add, drop, notification, queue


class Waiting(NamedTuple):
    """A delivery that has not had its last word."""

    notification: int
    recipient: str
    at: int  # when it was owed
    kind: str
    state: str  # queued, or held with a time to try again
    tries: int
    next_at: int
    server: str  # '' while no server was ever reached; LEASED while a sender holds it
    incidents: frozenset[int]
    ends: frozenset[int]  # incidents of which this mail tells nothing but the end


def nearer(db: sqlite3.Connection, now: int, longest: int) -> int:
    """After a jump of the clock: no try further away than `longest` seconds from now. Returns the rows moved."""
    return db.execute(
        "UPDATE delivery SET next_at=? WHERE state IN ('queued', 'held') AND next_at > ?",
        (now + longest, now + longest),
    ).rowcount


def waiting(db: sqlite3.Connection) -> list[Waiting]:
    """Every delivery without its last word, oldest mail first."""
    rows = db.execute(
        "SELECT d.notification, d.recipient, n.at, n.kind, d.state, d.tries, d.next_at, d.server"
        " FROM delivery d JOIN notification n ON n.id = d.notification"
        " WHERE d.state='queued' OR (d.state='held' AND d.next_at > 0) ORDER BY n.at, n.id, d.recipient"
    ).fetchall()
    about: dict[int, tuple[frozenset[int], frozenset[int]]] = {}
    for ident in {row[0] for row in rows}:
        begun: set[int] = set()
        all_of: set[int] = set()
        for incident, kind in db.execute(
            "SELECT o.incident, t.kind FROM told o JOIN transition t ON t.id = o.transition WHERE o.notification=?",
            (ident,),
        ):
            all_of.add(incident)
            if kind not in ENDINGS:
                begun.add(incident)
        about[ident] = (frozenset(all_of), frozenset(all_of - begun))
    return [
        Waiting(ident, recipient, at, kind, state, tries, next_at, server, *about[ident])
        for ident, recipient, at, kind, state, tries, next_at, server in rows
    ]


def sent_since(db: sqlite3.Connection, since: int, until: int) -> dict[str, list[int]]:
    """When mails were accepted, by recipient, oldest first: what the hourly cap counts."""
    found: dict[str, list[int]] = {}
    for recipient, at in db.execute(
        "SELECT recipient, done_at FROM delivery WHERE state='accepted' AND done_at BETWEEN ? AND ? ORDER BY done_at",
        (since, until),
    ):
        found.setdefault(recipient, []).append(at)
    return found


def lease(db: sqlite3.Connection, notification: int, recipients: Iterable[str], now: int, until: int) -> list[str]:
    """Take these deliveries: nobody else tries them before `until`. Returns those that were still free.

    The guard is in the UPDATE itself: of two senders at once, one gets the row.
    """
    got = []
    for recipient in recipients:
        changed = db.execute(
            "UPDATE delivery SET state='queued', tries=tries+1, next_at=?, server=? WHERE notification=? AND recipient=?"
            " AND (state='queued' OR (state='held' AND next_at > 0)) AND next_at <= ?",
            (until, LEASED, notification, recipient, now),
        ).rowcount
        if changed == 1:
            got.append(recipient)
    return got


def free(db: sqlite3.Connection, notification: int, recipients: Iterable[str], now: int) -> None:
    """May be tried now: the server answers again, or a mail of the same incident leaves. A lease is not touched."""
    db.executemany(
        "UPDATE delivery SET next_at=? WHERE notification=? AND recipient=? AND state='queued' AND next_at > ?"
        " AND server <> ?",
        [(now, notification, recipient, now, LEASED) for recipient in recipients],
    )


def addressed(db: sqlite3.Connection, notification: int) -> list[str]:
    """Everybody whom one mail is for, whether it has reached them or not: its To header, the same at every try."""
    rows = db.execute(
        "SELECT recipient FROM delivery WHERE notification=? AND state <> 'dropped' ORDER BY recipient", (notification,)
    )
    return [row[0] for row in rows]


def fresh_openings(db: sqlite3.Connection, since: int) -> list[int]:
    """Incidents with a beginning at or after `since` of which a mail waits that was never tried."""
    rows = db.execute(
        "SELECT DISTINCT o.incident FROM delivery d JOIN told o ON o.notification = d.notification"
        " JOIN transition t ON t.id = o.transition JOIN incident i ON i.id = o.incident"
        " WHERE d.state='queued' AND d.tries = 0 AND t.at >= ? AND t.kind='opened' AND i.kind <> 'silent'",
        (since,),
    )
    return [row[0] for row in rows]


def merge(
    db: sqlite3.Connection, notifications: Sequence[int], recipients: Iterable[str], message_id: str, now: int
) -> int:
    """One mail instead of several, for these recipients: the others are dropped with its Message-ID. Its number."""
    first = notification(db, notifications[0])
    merged = add(db, first.host, first.at, "summary", first.thread, message_id, first.subject, first.body)
    marks = ",".join("?" * len(notifications))
    db.execute(
        "INSERT INTO told SELECT ?, transition, incident FROM told"
        f" WHERE notification IN ({marks}) ON CONFLICT DO NOTHING",
        (merged, *notifications),
    )
    names = list(recipients)
    queue(db, merged, names, now)
    for ident in notifications:
        drop(db, ident, names, f"told in {message_id}", now)
    return merged


def set_subject(db: sqlite3.Connection, notification: int, subject: str) -> None:
    """The subject in the reader's words, known once the mail is made."""
    db.execute("UPDATE notification SET subject=? WHERE id=?", (subject, notification))
