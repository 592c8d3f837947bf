"""Mails owed, as rows: who is owed what, what each server said, and what has left.

A `notification` is one mail with its Message-ID, fixed when it is owed. `told` names the transitions it tells. A
`delivery` is that mail for one recipient, and ends in a last word:

- queued: waits, or is tried again at `next_at`;
- accepted: the server took it for this recipient (`reply` holds its words);
- refused: the server refused this recipient for good, and took others;
- held: refused for all, or the log-in failed; shown in red. `next_at` 0 means until a person asks again;
- dropped: never silently: it was told in another mail, or is the end of something this recipient was never told.

Times are UTC seconds. Writing functions stand within the caller's transaction.
"""

import json
import os
import sqlite3
from collections.abc import Iterable, Sequence
from typing import NamedTuple

HELD_FOR_GOOD = 0
LATE = 900  # seconds: a mail that has not left by then is said on the first page
LEASED = "(being sent)"  # stands for the server while a sender holds the row
DIGEST_AT = "digest_next_at"  # the setting that archive/week.py keeps
# Beginnings are what a person hears of first; an end is told only to those who heard of one.
ENDINGS = ("resolved", "gone")


class Notification(NamedTuple):
    id: int
    host: int
    at: int
    kind: str  # incident, summary, digest, test, advisory
    thread: str  # Message-ID of the thread's first mail
    message_id: str
    subject: str
    body: str  # JSON


class Delivery(NamedTuple):
    recipient: str
    state: str
    tries: int
    next_at: int
    done_at: int | None
    server: str
    reply: str


class Entry(NamedTuple):
    """One mail of the ledger with everything that was said of it."""

    notification: Notification
    incidents: tuple[int, ...]
    deliveries: tuple[Delivery, ...]


class Told(NamedTuple):
    """One transition with its incident, as a mail tells it. Values in the metric's own unit."""

    transition: int
    at: int
    kind: str
    level: str
    value: float | None
    detail: str
    incident: int
    incident_kind: str
    metric: str
    labels: str
    series: int | None
    since_at: int
    opened_at: int | None
    ended_at: int | None
    end_reason: str
    peak: float
    peak_at: int
    flaps: int
    threshold: str


class Summary(NamedTuple):
    """The outbox in a line, for banners and for `./vigie status`."""

    queued: int
    accepted: int
    refused: int
    held: int
    oldest_at: int | None  # of what is queued or held


_TOLD = (
    "SELECT t.id, t.at, t.kind, t.level, t.value, t.detail, i.id, i.kind, i.metric, i.labels, i.series, i.since_at,"
    " i.opened_at, i.ended_at, i.end_reason, i.peak, i.peak_at, i.flaps, i.threshold"
    " FROM transition t JOIN incident i ON i.id = t.incident"
)
_NOTIFICATION = "n.id, n.host, n.at, n.kind, n.thread, n.message_id, n.subject, n.body"


# --- owing -----------------------------------------------------------------------------------------------------------


def transitions(db: sqlite3.Connection, ids: Sequence[int]) -> list[Told]:
    """The transitions of these numbers, oldest first; unknown numbers are left out."""
    found: list[Told] = []
    for part in _parts(ids):
        found += [Told(*row) for row in db.execute(f"{_TOLD} WHERE t.id IN ({','.join('?' * len(part))})", part)]
    return sorted(found, key=lambda told: (told.at, told.transition))


def told(db: sqlite3.Connection, notification: int) -> list[Told]:
    """What one mail tells, oldest first."""
    rows = db.execute(
        f"{_TOLD} JOIN told o ON o.transition = t.id WHERE o.notification=? ORDER BY t.at, t.id",
        (notification,),
    )
    return [Told(*row) for row in rows]


def heard(db: sqlite3.Connection, incidents: Iterable[int]) -> dict[int, dict[str, set[str]]]:
    """Who was told of a beginning: {incident: {state of the delivery: recipients}}."""
    found: dict[int, dict[str, set[str]]] = {}
    for part in _parts(incidents):
        rows = db.execute(
            "SELECT DISTINCT o.incident, d.state, d.recipient FROM told o JOIN transition t ON t.id = o.transition"
            " JOIN delivery d ON d.notification = o.notification"
            f" WHERE o.incident IN ({','.join('?' * len(part))}) AND t.kind NOT IN (?, ?)",
            (*part, *ENDINGS),
        )
        for incident, state, recipient in rows:
            found.setdefault(incident, {}).setdefault(state, set()).add(recipient)
    return found


def first_mails(db: sqlite3.Connection, incidents: Iterable[int]) -> list[str]:
    """Message-IDs of the first mail of each incident, each once, oldest first."""
    found: set[int] = set()
    for part in _parts(incidents):
        rows = db.execute(
            f"SELECT min(notification) FROM told WHERE incident IN ({','.join('?' * len(part))}) GROUP BY incident",
            part,
        )
        found.update(row[0] for row in rows)
    return [notification(db, ident).message_id for ident in sorted(found)]


def _parts(numbers: Iterable[int]) -> list[tuple[int, ...]]:
    """Numbers in parts of 500: a query for each part, not for each number."""
    whole = tuple(numbers)
    return [whole[start : start + 500] for start in range(0, len(whole), 500)]


def references(db: sqlite3.Connection, notification: Notification) -> list[str]:
    """What this mail answers: the first mail of each incident it tells of, itself left out; at most 20."""
    incidents = db.execute(
        "SELECT DISTINCT incident FROM told WHERE notification=? ORDER BY incident LIMIT 200", (notification.id,)
    ).fetchall()
    found = first_mails(db, [row[0] for row in incidents])
    if notification.thread not in found:
        found.insert(0, notification.thread)
    return [ident for ident in found if ident != notification.message_id][:20]


def new_message_id(name: str, kind: str, now: int) -> str:
    """A Message-ID that nobody else makes: kind, time and 64 random bits, at the machine's name."""
    kept = "".join(c for c in name.lower() if c.isascii() and (c.isalnum() or c in "-.")).strip("-.")[:100]
    return f"<{kind}.{now}.{os.urandom(8).hex()}@{kept or 'vigie.invalid'}>"


def add(
    db: sqlite3.Connection, host: int, at: int, kind: str, thread: str, message_id: str, subject: str, body: str
) -> int:
    """A mail owed; its number. `thread` '' begins a thread."""
    row = db.execute(
        "INSERT INTO notification (host, at, kind, thread, message_id, subject, body) VALUES (?, ?, ?, ?, ?, ?, ?)"
        " RETURNING id",
        (host, at, kind, thread or message_id, message_id, subject, body),
    ).fetchone()
    return int(row[0])


def tell(db: sqlite3.Connection, notification: int, what: Iterable[Told]) -> None:
    """This mail tells these transitions."""
    db.executemany(
        "INSERT INTO told VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        [(notification, one.transition, one.incident) for one in what],
    )


def queue(db: sqlite3.Connection, notification: int, recipients: Iterable[str], now: int) -> None:
    """This mail is owed to these recipients, from now on."""
    db.executemany(
        "INSERT INTO delivery VALUES (?, ?, 'queued', 0, ?, NULL, '', '') ON CONFLICT DO NOTHING",
        [(notification, recipient, now) for recipient in recipients],
    )


def drop(db: sqlite3.Connection, notification: int, recipients: Iterable[str], why: str, now: int) -> None:
    """This mail is not owed to these recipients (any more), and why: the ledger says so."""
    db.executemany(
        "INSERT INTO delivery VALUES (?, ?, 'dropped', 0, ?, ?, '', ?) ON CONFLICT (notification, recipient)"
        " DO UPDATE SET state='dropped', done_at=excluded.done_at, reply=excluded.reply",
        [(notification, recipient, now, now, why) for recipient in recipients],
    )


def mark(
    db: sqlite3.Connection,
    notification: int,
    recipient: str,
    state: str,
    next_at: int,
    done_at: int | None,
    server: str,
    reply: str,
) -> None:
    """What came of a try. `reply` is the server's own words, in one line."""
    db.execute(
        "UPDATE delivery SET state=?, next_at=?, done_at=?, server=?, reply=? WHERE notification=? AND recipient=?",
        (state, next_at, done_at, server, reply, notification, recipient),
    )


# --- waiting ---------------------------------------------------------------------------------------------------------


def due(db: sqlite3.Connection, now: int, longest: int = 3600) -> bool:
    """Whether something waits to be sent now, or the weekly digest is due. Cheap enough for every cycle.

    A time further away than the longest pause is not believed (the clock was set back), so it counts as due.
    """
    planned = db.execute("SELECT CAST(value AS INTEGER) FROM setting WHERE name=?", (DIGEST_AT,)).fetchone()
    if planned is None or not now < planned[0] <= now + 8 * 86_400:
        return True
    row = db.execute(
        "SELECT 1 FROM delivery WHERE state='queued' AND (next_at <= ? OR next_at > ?) UNION ALL"
        " SELECT 1 FROM delivery WHERE state='held' AND next_at > 0 AND (next_at <= ? OR next_at > ?) LIMIT 1",
        (now, now + longest, now, now + longest),
    ).fetchone()
    return row is not None


def retry(db: sqlite3.Connection, now: int, notification: int | None = None) -> int:
    """What is held or refused is queued again, because a person asked. Returns how many deliveries."""
    return db.execute(
        "UPDATE delivery SET state='queued', tries=0, next_at=?, done_at=NULL"
        " WHERE state IN ('held', 'refused') AND (? IS NULL OR notification=?)",
        (now, notification, notification),
    ).rowcount


def free_held(db: sqlite3.Connection, now: int) -> int:
    """The log-in works again: what waited for it is tried now. Returns how many deliveries."""
    return db.execute("UPDATE delivery SET next_at=? WHERE state='held' AND next_at > ?", (now, now)).rowcount


def purge(db: sqlite3.Connection, before: int) -> int:
    """Forget mails owed before this time of which every delivery has ended well. What did not leave is never purged."""
    gone = [
        row[0]
        for row in db.execute(
            "SELECT n.id FROM notification n WHERE n.at < ? AND NOT EXISTS (SELECT 1 FROM delivery d"
            " WHERE d.notification = n.id AND d.state IN ('queued', 'held', 'refused'))",
            (before,),
        )
    ]
    for table in ("told", "delivery"):
        db.executemany(f"DELETE FROM {table} WHERE notification=?", [(ident,) for ident in gone])
    db.executemany("DELETE FROM notification WHERE id=?", [(ident,) for ident in gone])
    return len(gone)


# --- reading ---------------------------------------------------------------------------------------------------------


def notification(db: sqlite3.Connection, ident: int) -> Notification:
    """One mail. Raises LookupError that names the number."""
    row = db.execute(f"SELECT {_NOTIFICATION} FROM notification n WHERE n.id=?", (ident,)).fetchone()
    if row is None:
        raise LookupError(f"there is no mail number {ident}")
    return Notification(*row)


def last_of_kind(db: sqlite3.Connection, host: int, kind: str) -> Notification | None:
    """The newest mail of a kind (by the time it was owed)."""
    row = db.execute(
        f"SELECT {_NOTIFICATION} FROM notification n WHERE n.host=? AND n.kind=? ORDER BY n.at DESC, n.id DESC LIMIT 1",
        (host, kind),
    ).fetchone()
    return Notification(*row) if row else None


def ledger(db: sqlite3.Connection, limit: int = 50, before: int | None = None, host: int | None = None) -> list[Entry]:
    """Mails, about one host or about all, newest first; `before` is the number of the last one of the page before."""
    of, names = ("", ()) if host is None else (" AND n.host=?", (host,))
    rows = db.execute(
        f"SELECT {_NOTIFICATION} FROM notification n WHERE n.id < ?{of} ORDER BY n.id DESC LIMIT ?",
        (2**62 if before is None else before, *names, limit),
    ).fetchall()
    return [_entry(db, Notification(*row)) for row in rows]


def of_incident(db: sqlite3.Connection, incident: int, limit: int = 50) -> list[Entry]:
    """The mails that told of one incident, oldest first."""
    rows = db.execute(
        f"SELECT {_NOTIFICATION} FROM notification n WHERE n.id IN"
        " (SELECT notification FROM told WHERE incident=?) ORDER BY n.id LIMIT ?",
        (incident, limit),
    ).fetchall()
    return [_entry(db, Notification(*row)) for row in rows]


def oldest_unsent(db: sqlite3.Connection) -> int | None:
    """When the oldest mail was owed that is queued or held; None when nothing waits."""
    row = db.execute(
        "SELECT min(n.at) FROM delivery d JOIN notification n ON n.id = d.notification"
        " WHERE d.state IN ('queued', 'held')"
    ).fetchone()
    return None if row[0] is None else int(row[0])


def summary(db: sqlite3.Connection) -> Summary:
    """How many deliveries stand in each state, and since when the oldest waits."""
    counts = dict(db.execute("SELECT state, count(*) FROM delivery GROUP BY state").fetchall())
    return Summary(
        counts.get("queued", 0), counts.get("accepted", 0), counts.get("refused", 0), counts.get("held", 0),
        oldest_unsent(db),
    )  # fmt: skip


def _entry(db: sqlite3.Connection, mail: Notification) -> Entry:
    deliveries = db.execute(
        "SELECT recipient, state, tries, next_at, done_at, server, reply FROM delivery WHERE notification=?"
        " ORDER BY recipient",
        (mail.id,),
    )
    incidents = db.execute(
        "SELECT DISTINCT incident FROM told WHERE notification=? ORDER BY incident LIMIT 200", (mail.id,)
    )
    return Entry(mail, tuple(row[0] for row in incidents), tuple(Delivery(*row) for row in deliveries))


def body_of(mail: Notification) -> dict[str, str]:
    """The body's fields; an unreadable one is empty, so that one bad row stops nothing."""
    try:
        found = json.loads(mail.body)
    except ValueError:
        return {}
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}
