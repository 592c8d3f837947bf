"""Incidents and their transitions, as rows.

A row is never removed here and its number never used twice: a breach that did not last (never opened) stays as a
resolved row without `opened_at`, and the next brief breach of that line takes the same row again. Times are UTC seconds.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from archive import database
from archive.refused import Refused


class IncidentError(Refused):
    """What was asked of an incident, or of planned work, cannot be done."""


class Incident(NamedTuple):
    """A row of `incident`; archive/migrations says what each column means."""

    id: int
    host: int
    kind: str  # threshold, silent, forecast, advisory
    metric: str  # for silent: the probe's name, '' for the machine
    labels: str
    series: int | None
    state: str  # pending, open, eased, resolved
    level: str  # warning, critical
    since_at: int
    critical_since_at: int | None
    opened_at: int | None
    eased_at: int | None
    ended_at: int | None
    end_reason: str
    last_at: int
    last_value: float
    peak: float
    peak_at: int
    flaps: int
    cause: int | None
    threshold: str
    reminded_at: int | None
    acknowledged_at: int | None
    acknowledged_by: str
    acknowledged_reason: str


class Transition(NamedTuple):
    id: int
    incident: int
    at: int
    kind: str
    level: str
    value: float | None
    detail: str


_COLUMNS = ", ".join(Incident._fields)


# --- reading ---------------------------------------------------------------------------------------------------------


def live(db: sqlite3.Connection, host: int) -> list[Incident]:
    """Everything that is not over: pending, open, eased; by number."""
    # Left to itself SQLite walks every incident there ever was: it does not know that few are not over.
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM incident INDEXED BY incident_live WHERE host=? AND state <> 'resolved' ORDER BY id",
        (host,),
    )
    return [Incident(*row) for row in rows]


def open_on(db: sqlite3.Connection, hosts: Sequence[int]) -> list[Incident]:
    """What is open on several machines, in one question; by machine, the gravest first, then the oldest."""
    if not hosts:
        return []
    marks = ", ".join("?" * len(hosts))
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM incident INDEXED BY incident_live WHERE host IN ({marks}) AND state <> 'resolved'"
        " AND opened_at IS NOT NULL ORDER BY host, CASE level WHEN 'critical' THEN 0 ELSE 1 END, since_at, id",
        tuple(hosts),
    )
    return [Incident(*row) for row in rows]


def get(db: sqlite3.Connection, ident: int) -> Incident | None:
    row = db.execute(f"SELECT {_COLUMNS} FROM incident WHERE id=?", (ident,)).fetchone()
    return Incident(*row) if row else None


def recent(
    db: sqlite3.Connection, host: int, limit: int = 50, before: int | None = None, line: tuple[str, str] | None = None
) -> list[Incident]:
    """Incidents that opened, newest first, of all lines or of one (metric, labels). `before` is the opened_at of the last
    one of the page before; so those that opened in the same second as the last are all given, above `limit` if need be."""
    of, names = ("", ()) if line is None else (" AND metric=? AND labels=?", line)
    select = f"SELECT {_COLUMNS} FROM incident WHERE host=?{of} AND opened_at"
    edge = 2**62 if before is None else before
    rows = db.execute(f"{select} < ? ORDER BY opened_at DESC, id DESC LIMIT ?", (host, *names, edge, limit)).fetchall()
    if len(rows) == limit:
        last = Incident(*rows[-1])
        rows += db.execute(
            f"{select} = ? AND id < ? ORDER BY id DESC", (host, *names, last.opened_at, last.id)
        ).fetchall()
    return [Incident(*row) for row in rows]


def of_line(db: sqlite3.Connection, host: int, kind: str, metric: str, labels: str) -> list[Incident]:
    """The last incidents of one line: the newest that opened, and the row kept from brief breaches; newest first."""
    found = [
        db.execute(
            f"SELECT {_COLUMNS} FROM incident WHERE host=? AND kind=? AND metric=? AND labels=? AND opened_at IS"
            f" {opened} ORDER BY opened_at DESC, id DESC LIMIT 1",
            (host, kind, metric, labels),
        ).fetchone()
        for opened in ("NOT NULL", "NULL")
    ]
    return [Incident(*row) for row in found if row]


def of_span(
    db: sqlite3.Connection,
    host: int,
    metric: str,
    labels: str,
    kinds: Sequence[str],
    start: int,
    end: int,
    limit: int = -1,
) -> list[Incident]:
    """Incidents of one line, of these kinds, that opened and touch [start, end), or the newest `limit` of them; the oldest first."""
    # Numbers first, from the index alone: a row is wide.
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM incident WHERE id IN (SELECT id FROM incident WHERE {_touching(kinds)}"
        " ORDER BY since_at DESC, id DESC LIMIT ?) ORDER BY since_at, id",
        (host, metric, labels, start, end, *kinds, limit),
    )
    return [Incident(*row) for row in rows]


class Spell(NamedTuple):
    """Incidents of one line and level that began within the same `grain` seconds."""

    level: str
    since_at: int
    until: int  # the last one's end; now while one is not over
    number: int
    seconds: int  # together, from `counted_from` on


def spells(
    db: sqlite3.Connection, host: int, metric: str, labels: str, kinds: Sequence[str], start: int, end: int, *,
    now: int, grain: int, counted_from: int,
) -> list[Spell]:  # fmt: skip
    """The same incidents, all of them, for a picture: at most two a grain, however many there are; the oldest first."""
    rows = db.execute(
        f"SELECT level, min(since_at), max(ifnull(ended_at, ?1)), count(*),"
        " sum(max(0, min(ifnull(ended_at, ?1), ?1) - max(since_at, ?2)))"
        f" FROM incident WHERE {_touching(kinds, 4)} GROUP BY level, since_at / ?3 ORDER BY min(since_at), level",
        (now, counted_from, max(1, grain), host, metric, labels, start, end, *kinds),
    )
    return [Spell(*row) for row in rows]


def _touching(kinds: Sequence[str], first: int = 1) -> str:
    """A condition whose parameters, from number `first` on, are host, metric, labels, start, end and the kinds. What ended
    before the span is not even looked at: the index (incident_line) is ordered by the end."""
    host, metric, labels, start, end = (f"?{first + rank}" for rank in range(5))
    listed = ", ".join(f"?{first + 5 + rank}" for rank in range(len(kinds)))
    line = f"host={host} AND metric={metric} AND labels={labels} AND opened_at IS NOT NULL"
    return f"{line} AND ifnull(ended_at, 4611686018427387904) > {start} AND since_at < {end} AND kind IN ({listed})"


def transitions(db: sqlite3.Connection, incident: int) -> list[Transition]:
    """What happened to one incident, oldest first."""
    rows = db.execute(
        "SELECT id, incident, at, kind, level, value, detail FROM transition WHERE incident=? ORDER BY at, id",
        (incident,),
    )
    return [Transition(*row) for row in rows]


def waiting(db: sqlite3.Connection, ids: Iterable[int]) -> dict[int, Transition]:
    """{incident: its postponed transition that was not told yet}, of these incidents."""
    found = {}
    for ident in ids:
        row = db.execute(
            "SELECT id, incident, at, kind, level, value, detail FROM transition"
            " WHERE incident=? AND kind='postponed' AND detail='waiting' ORDER BY id LIMIT 1",
            (ident,),
        ).fetchone()
        if row:
            found[ident] = Transition(*row)
    return found


def cycles_between(db: sqlite3.Connection, host: int, after: int, until: int) -> int:
    """How many cycles ran in (after, until]."""
    row = db.execute("SELECT count(*) FROM cycle WHERE host=? AND at > ? AND at <= ?", (host, after, until)).fetchone()
    return int(row[0])


def cycle_times(db: sqlite3.Connection, host: int, at: int, limit: int = 16) -> list[int]:
    """Times of the last cycles up to `at`, newest first."""
    rows = db.execute("SELECT at FROM cycle WHERE host=? AND at <= ? ORDER BY at DESC LIMIT ?", (host, at, limit))
    return [row[0] for row in rows]


def cycle_before(db: sqlite3.Connection, host: int, at: int) -> tuple[int, str, float] | None:
    """(at, boot, uptime) of the cycle before `at`."""
    row = db.execute(
        "SELECT at, boot, uptime FROM cycle WHERE host=? AND at < ? ORDER BY at DESC LIMIT 1", (host, at)
    ).fetchone()
    return (row[0], row[1], row[2]) if row else None


def cycles_after(db: sqlite3.Connection, host: int, after: int, limit: int = 3000) -> list[tuple[int, str, float]]:
    """(at, boot, uptime) of the cycles after `after`, oldest first."""
    rows = db.execute(
        "SELECT at, boot, uptime FROM cycle WHERE host=? AND at > ? ORDER BY at LIMIT ?", (host, after, limit)
    )
    return [(row[0], row[1], row[2]) for row in rows]


def cycle_values(db: sqlite3.Connection, host: int, at: int) -> dict[tuple[str, str], float]:
    """{(metric, labels): value} of one cycle, from its rows."""
    rows = db.execute(
        "SELECT m.name, r.labels, s.value, m.scale FROM sample s JOIN series r ON r.id = s.series"
        " JOIN metric m ON m.id = r.metric WHERE s.host=? AND s.at=?",
        (host, at),
    )
    return {(name, labels): value / scale for name, labels, value, scale in rows}


# --- writing (within the caller's transaction) -----------------------------------------------------------------------


def insert(db: sqlite3.Connection, incident: Incident) -> Incident:
    """A new row, whatever its id says; the incident with its number."""
    marks = ", ".join("?" * (len(Incident._fields) - 1))
    row = db.execute(
        f"INSERT INTO incident ({_COLUMNS.removeprefix('id, ')}) VALUES ({marks}) RETURNING id",
        incident[1:],
    ).fetchone()
    return incident._replace(id=int(row[0]))


def update(db: sqlite3.Connection, incident: Incident) -> None:
    """The row of that number becomes this."""
    names = ", ".join(f"{name}=?" for name in Incident._fields[1:])
    db.execute(f"UPDATE incident SET {names} WHERE id=?", (*incident[1:], incident.id))


def add_transition(
    db: sqlite3.Connection, incident: int, at: int, kind: str, level: str, value: float | None, detail: str = ""
) -> int:
    """A transition; its number."""
    row = db.execute(
        "INSERT INTO transition (incident, at, kind, level, value, detail) VALUES (?, ?, ?, ?, ?, ?) RETURNING id",
        (incident, at, kind, level, value, detail),
    ).fetchone()
    return int(row[0])


def set_detail(db: sqlite3.Connection, transition: int, detail: str) -> None:
    db.execute("UPDATE transition SET detail=? WHERE id=?", (detail, transition))


def move_evidence(db: sqlite3.Connection, source: int, target: int) -> None:
    """What was taken for one row belongs to another: it came back before it was forgotten."""
    db.execute("UPDATE evidence SET incident=? WHERE incident=?", (target, source))


def drop_evidence(db: sqlite3.Connection, incident: int, before: int) -> None:
    """Forget what was taken for a brief breach before this time: the row stands for a new one now."""
    db.execute("DELETE FROM evidence WHERE incident=? AND at < ?", (incident, before))


def series_id(db: sqlite3.Connection, host: int, metric: str, labels: str) -> int | None:
    row = db.execute(
        "SELECT s.id FROM series s JOIN metric m ON m.id = s.metric WHERE s.host=? AND m.name=? AND s.labels=?",
        (host, metric, labels),
    ).fetchone()
    return int(row[0]) if row else None


# --- a person's part -------------------------------------------------------------------------------------------------


def acknowledge(db: sqlite3.Connection, ident: int, by: str, reason: str, now: int) -> Incident:
    """Someone looks after it: no reminders until it is over. Raises IncidentError on 'incident' or 'reason'."""
    reason = reason.strip()
    if not reason:
        raise IncidentError("reason", "Say why, so that the others know.")
    if len(reason) > 500:
        raise IncidentError("reason", "The reason has %(length)s characters; at most 500.", length=len(reason))
    with _whole(db):
        incident = get(db, ident)
        if incident is None:
            raise IncidentError("incident", "There is no incident number %(number)s.", number=ident)
        if incident.state == "resolved":
            raise IncidentError("incident", "Incident %(number)s is over.", number=ident)
        done = incident._replace(acknowledged_at=now, acknowledged_by=by, acknowledged_reason=reason)
        update(db, done)
        add_transition(db, ident, now, "acknowledged", incident.level, incident.last_value, f"{by}: {reason}")
    return done


@contextmanager
def _whole(db: sqlite3.Connection) -> Iterator[None]:
    if db.in_transaction:
        yield
    else:
        with database.transaction(db):
            yield
