"""Who mails about a machine's incidents, transition by transition: the machine, its centre, or both. Rows of both ends.

On the machine (`handed`): a mail that the centre is to send is owed here as well, and held back until the centre has said
that it tells every transition of it; then it is dropped. Where the centre does not say so in time, it leaves from here.
At the centre (`member_tell`): what was taken over in the transaction that acknowledged it, until the mail is owed there
(alerts/tellers.py). So nothing is told by nobody, and each teller tells a transition once.

The path that runs every minute imports this. Writing functions stand within the caller's transaction.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from archive.outbox import ENDINGS, LEASED

MACHINE, CENTRE, BOTH = "machine", "centre", "both"
TELLERS = (MACHINE, CENTRE, BOTH)
MAILS, AWAY, TAG = "fleet_mails", "fleet_away", "fleet_policy"  # settings of a machine
HELD = 900  # seconds: as long as a mail waits for the centre, and as old as an acknowledgement may be
WAITS, TOLD = "waits for the centre, which mails about this machine", "the centre mails about it"
DAY = 86_400
KEPT = 400 * DAY
MOST_AN_HOUR = 60  # transitions of one machine that a centre takes over; past that the machine mails itself
SHIFT = 32


# --- on the machine --------------------------------------------------------------------------------------------------


def teller(db: sqlite3.Connection) -> str:
    """Who mails about what happens now; '' on a machine that follows no centre."""
    rows = db.execute("SELECT name, value FROM setting WHERE name IN (?, ?, ?)", (MAILS, AWAY, TAG))
    found = dict(rows.fetchall())
    if not found.get(TAG):
        return ""
    wanted = found.get(MAILS, MACHINE)
    return MACHINE if wanted == CENTRE and found.get(AWAY, "1") != "0" else wanted


def told_here(db: sqlite3.Connection, transitions: Sequence[int]) -> set[int]:
    """Of these, the ends of what was told from here, or is being told: they are told from here, whoever mails now."""
    marks = ", ".join("?" * len(transitions))
    rows = db.execute(
        "SELECT DISTINCT e.id FROM transition e JOIN told o ON o.incident = e.incident"
        " JOIN transition t ON t.id = o.transition JOIN delivery d ON d.notification = o.notification"
        " LEFT JOIN handed h ON h.notification = o.notification AND h.transition = o.transition"
        f" WHERE e.id IN ({marks}) AND e.kind IN (?, ?) AND t.kind NOT IN (?, ?) AND (d.state = 'accepted'"
        " OR (d.state = 'queued' AND coalesce(h.teller, 'machine') <> 'centre'))",
        (*transitions, *ENDINGS, *ENDINGS),
    )
    return {row[0] for row in rows}


def hand(db: sqlite3.Connection, notifications: Iterable[int], who: str, now: int) -> None:
    """These mails, just owed, are for `who` to tell; those of the centre alone are held back."""
    for number in notifications:
        db.execute(
            "INSERT INTO handed SELECT notification, transition, ?, NULL FROM told WHERE notification=?"
            " ON CONFLICT DO NOTHING",
            (who, number),
        )
        if who == CENTRE:
            # As if a sender held it: neither due nor merged with others until then.
            db.execute(
                "UPDATE delivery SET server=?, next_at=?, reply=? WHERE notification=? AND state='queued'",
                (LEASED, now + HELD, WAITS, number),
            )


def release(db: sqlite3.Connection, now: int) -> int:
    """What is held back leaves from here, now. Returns how many deliveries."""
    count = db.execute(
        "UPDATE delivery SET server='', next_at=?, reply='' WHERE state='queued' AND server=? AND tries=0 AND notification IN"
        " (SELECT notification FROM handed WHERE teller='centre' AND settled_at IS NULL)",
        (now, LEASED),
    ).rowcount
    db.execute("UPDATE handed SET teller='machine' WHERE teller='centre' AND settled_at IS NULL")
    return int(count)


def settle(db: sqlite3.Connection, transitions: Sequence[int], now: int) -> int:
    """The centre tells these. Mails of which it tells all are dropped here, unless they are leaving. Returns how many."""
    marks = ", ".join("?" * len(transitions))
    db.execute(
        f"UPDATE handed SET settled_at=? WHERE settled_at IS NULL AND transition IN ({marks})", (now, *transitions)
    )
    return int(
        db.execute(
            "UPDATE delivery SET state='dropped', done_at=?, server='', reply=? WHERE state='queued' AND server=? AND tries=0"
            f" AND notification IN (SELECT notification FROM handed WHERE teller='centre' AND transition IN ({marks}))"
            " AND notification NOT IN (SELECT notification FROM handed WHERE settled_at IS NULL)",
            (now, TOLD, LEASED, *transitions),
        ).rowcount
    )


def offered(db: sqlite3.Connection, since: int) -> list[list[object]]:
    """[transition, its time, teller] of the mails owed since, for the centre. What has left from here, or is leaving, is told
    here."""
    rows = db.execute(
        "SELECT h.transition, t.at, min(CASE WHEN h.teller = 'centre' AND EXISTS (SELECT 1 FROM delivery d"
        " WHERE d.notification = h.notification AND (d.state IN ('accepted', 'refused', 'held') OR d.tries > 0"
        " OR d.reply LIKE 'told in %')) THEN 'machine' ELSE h.teller END)"
        " FROM handed h JOIN notification n ON n.id = h.notification JOIN transition t ON t.id = h.transition"
        " WHERE n.at >= ? GROUP BY h.transition, t.at"
        " ORDER BY h.transition",
        (since,),
    )
    return [list(row) for row in rows]


def tidy(db: sqlite3.Connection) -> None:
    """Rows of mails that are no longer kept."""
    db.execute("DELETE FROM handed WHERE notification NOT IN (SELECT id FROM notification)")


# --- at the centre ---------------------------------------------------------------------------------------------------


class Tell(NamedTuple):
    """A transition that the centre mails about."""

    host: int
    transition: int
    incident: int
    taken_at: int


def take(db: sqlite3.Connection, host: int, offers: Sequence[Sequence[object]], mails: str, now: int) -> list[int]:
    """The machine's own numbers of the transitions that the centre tells, whether since now or since before.

    Taken over: what the machine leaves to the centre, where the centre is set to mail about it; and the end of what the
    centre has told, whoever mails now.
    """
    told = []
    (count,) = db.execute(
        "SELECT count(*) FROM member_tell WHERE host=? AND taken_at > ?", (host, now - 3600)
    ).fetchone()
    for number, at, who in offers:
        ident = (host << SHIFT) + int(str(number))
        row = db.execute(
            "SELECT t.incident, t.kind, t.at FROM transition t JOIN incident i ON i.id = t.incident WHERE t.id=? AND i.host=?",
            (ident, host),
        ).fetchone()
        if row is None or row[2] != at:  # a machine that was restored gives numbers a second time
            continue
        if db.execute("SELECT 1 FROM member_tell WHERE host=? AND transition=?", (host, ident)).fetchone():
            told.append(int(str(number)))
            continue
        ends = row[1] in ENDINGS
        wanted = MACHINE not in (who, mails) or (ends and _begun(db, host, row[0]))
        if not wanted or count >= MOST_AN_HOUR:
            continue
        db.execute("INSERT INTO member_tell VALUES (?, ?, ?, ?, ?, NULL)", (host, ident, row[0], int(not ends), now))
        count += 1
        told.append(int(str(number)))
    return told


def _begun(db: sqlite3.Connection, host: int, incident: int) -> bool:
    row = db.execute(
        "SELECT 1 FROM member_tell WHERE host=? AND incident=? AND begins=1 LIMIT 1", (host, incident)
    ).fetchone()
    return row is not None


def due(db: sqlite3.Connection) -> list[Tell]:
    """What is to be told, by machine, oldest first."""
    rows = db.execute(
        "SELECT host, transition, incident, taken_at FROM member_tell WHERE told_at IS NULL ORDER BY host, transition"
    )
    return [Tell(*row) for row in rows]


def has_evidence(db: sqlite3.Connection, tell: Tell) -> bool:
    """Whether what was running has arrived, or is not to be waited for: an end, a silence."""
    row = db.execute(
        "SELECT 1 FROM transition t JOIN incident i ON i.id = t.incident WHERE t.id=? AND t.kind='opened' AND i.kind <> 'silent'"
        " AND NOT EXISTS (SELECT 1 FROM evidence e WHERE e.incident = t.incident)",
        (tell.transition,),
    ).fetchone()
    return row is None


def done(db: sqlite3.Connection, tells: Iterable[Tell], now: int) -> None:
    db.executemany(
        "UPDATE member_tell SET told_at=? WHERE host=? AND transition=?",
        [(now, one.host, one.transition) for one in tells],
    )


def forget(db: sqlite3.Connection, now: int) -> None:
    """What was told long ago; an incident that lasts longer ends untold."""
    db.execute("DELETE FROM member_tell WHERE told_at < ?", (now - KEPT,))
