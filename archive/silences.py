"""Planned work (windows) as rows: kept, ended early, taken out, and each of these undone. Times are UTC seconds.

What a window does is alerts/windows.py. Writing functions are one transaction, or part of the caller's.
"""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from archive import changes, database
from archive.changes import Change
from archive.incidents import IncidentError

LONGEST = 400 * 86_400  # seconds of one window with dates: more is a slip of the year, or a threshold to switch off
MOST_REASON = 500
KIND = "window"


class Silence(NamedTuple):
    """Planned work: from `from_at` to `to_at` (0: without end); a weekly one only within its hours of that span."""

    id: int
    host: int
    metric: str  # '' for all; several names with a space between
    labels: str  # what a line's labels must contain
    from_at: int
    to_at: int
    weekly: str  # '' or JSON {"days": [0..6, 0 is Monday], "from": "22:00", "to": "06:00"}, local time
    reason: str
    made_at: int
    made_by: str
    ended_at: int | None


_COLUMNS = ", ".join(Silence._fields)


# --- reading ---------------------------------------------------------------------------------------------------------


def silences(db: sqlite3.Connection, host: int, now: int) -> list[Silence]:
    """Planned work that is not over at `now`, by its start."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM silence WHERE host IN (0, ?) AND (to_at = 0 OR to_at > ?)"
        " AND (ended_at IS NULL OR ended_at > ?) ORDER BY from_at, id",
        (host, now, now),
    )
    return [Silence(*row) for row in rows]


def over(db: sqlite3.Connection, host: int, now: int, limit: int = 50) -> list[Silence]:
    """Planned work that is over at `now`, the newest end first."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM silence WHERE host IN (0, ?1) AND ((to_at <> 0 AND to_at <= ?2) OR ended_at <= ?2)"
        " ORDER BY coalesce(ended_at, to_at) DESC, id DESC LIMIT ?3",
        (host, now, limit),
    )
    return [Silence(*row) for row in rows]


def between(db: sqlite3.Connection, host: int, start: int, end: int) -> list[Silence]:
    """Planned work that may have been open within [start, end), by its start."""
    return [one for one in silences(db, host, start) if one.from_at < end]


def get(db: sqlite3.Connection, ident: int) -> Silence | None:
    row = db.execute(f"SELECT {_COLUMNS} FROM silence WHERE id=?", (ident,)).fetchone()
    return Silence(*row) if row else None


# --- writing ---------------------------------------------------------------------------------------------------------


def plan(db: sqlite3.Connection, silence: Silence, by: str, now: int) -> int:
    """Keep planned work; its number. Raises IncidentError that names the field."""
    wanted = checked(silence, now)._replace(made_at=now, made_by=by, ended_at=None)
    with _whole(db):
        kept = _put(db, wanted)
        _note(db, now, by, None, kept)
    return kept.id


def end_plan(db: sqlite3.Connection, ident: int, by: str, now: int) -> None:
    """The work is over early: what was postponed is told by the next cycle, if it is still so."""
    with _whole(db):
        before = get(db, ident)
        if before is None or before.ended_at is not None:
            raise IncidentError("silence", "There is no planned work number %(number)s.", number=ident)
        after = before._replace(ended_at=now)
        _restore(db, after)
        _note(db, now, by, before, after)


def drop_plan(db: sqlite3.Connection, ident: int, by: str, now: int) -> None:
    """Take planned work out, as if it had never been planned."""
    with _whole(db):
        before = get(db, ident)
        if before is None:
            raise IncidentError("silence", "There is no planned work number %(number)s.", number=ident)
        db.execute("DELETE FROM silence WHERE id=?", (ident,))
        _note(db, now, by, before, None)


def undo(db: sqlite3.Connection, change: Change, by: str, now: int) -> None:
    """What stood before a change of planned work stands again. Refused when it was changed again since."""
    before, after = from_json(change.before), from_json(change.after)
    with _whole(db):
        present = get(db, int(change.subject))
        if present != after and not (after is None and present is not None):
            raise IncidentError("change", "This planned work was changed again since: undo the newer change first.")
        if before is None:
            db.execute("DELETE FROM silence WHERE id=?", (int(change.subject),))
        elif present is not None and after is None:
            before = _put(db, before)  # its number has gone to another meanwhile
        else:
            _restore(db, before)
        _note(db, now, by, after, before)


def checked(silence: Silence, now: int) -> Silence:
    """As it is kept. Raises IncidentError that names the field: from_at, to_at, weekly, labels or reason."""
    if silence.to_at and silence.to_at <= silence.from_at:
        raise IncidentError("to_at", "The end must come after the start.")
    if not silence.to_at and not silence.weekly:
        raise IncidentError("to_at", "Say when the work ends.")
    if silence.to_at and not silence.weekly and silence.to_at <= now:
        raise IncidentError("to_at", "The end has passed already.")
    if silence.to_at and not silence.weekly and silence.to_at - silence.from_at > LONGEST:
        raise IncidentError("to_at", "That is longer than %(days)s days: for good, switch the threshold off instead.",
                            days=LONGEST // 86_400)  # fmt: skip
    _check_weekly(silence.weekly)
    return silence._replace(labels=_labels(silence.labels), reason=silence.reason.strip()[:MOST_REASON])


def weekly_json(days: Sequence[int], start: str, end: str) -> str:
    """The stored form of a weekly window. Days: 0 is Monday; times HH:MM, local; an end before the start is the next day."""
    return json.dumps({"days": sorted(set(days)), "from": start, "to": end}, separators=(",", ":"))


def to_json(silence: Silence | None) -> str:
    return json.dumps(silence._asdict()) if silence else ""


def from_json(text: str) -> Silence | None:
    """Planned work as a change holds it; None for ''."""
    found = json.loads(text) if text else {}
    return Silence(**{name: found[name] for name in Silence._fields}) if found else None


def _put(db: sqlite3.Connection, silence: Silence) -> Silence:
    """A new row; the same with its number."""
    marks = ", ".join("?" * (len(Silence._fields) - 1))
    row = db.execute(
        f"INSERT INTO silence ({_COLUMNS.removeprefix('id, ')}) VALUES ({marks}) RETURNING id", silence[1:]
    ).fetchone()
    return silence._replace(id=int(row[0]))


def _restore(db: sqlite3.Connection, silence: Silence) -> None:
    """The row of that number is this, whether it stands there or was taken out."""
    marks = ", ".join("?" * len(Silence._fields))
    names = ", ".join(f"{name}=excluded.{name}" for name in Silence._fields[1:])
    db.execute(f"INSERT INTO silence ({_COLUMNS}) VALUES ({marks}) ON CONFLICT (id) DO UPDATE SET {names}", silence)


def _note(db: sqlite3.Connection, now: int, by: str, before: Silence | None, after: Silence | None) -> None:
    of = after or before
    if of is not None:
        changes.note(db, now, by, KIND, str(of.id), to_json(before), to_json(after))


def _labels(text: str) -> str:
    try:
        found = json.loads(text or "{}")
    except ValueError:
        found = None
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise IncidentError("labels", 'Expected labels such as {"mount":"/"}, not %(value)s.', value=text[:100])
    return json.dumps(found, sort_keys=True, separators=(",", ":"), ensure_ascii=False) if found else "{}"


def _check_weekly(weekly: str) -> None:
    if not weekly:
        return
    try:
        found = json.loads(weekly)
        days, spans = found["days"], (found["from"], found["to"])
        good = days and all(isinstance(day, int) and 0 <= day <= 6 for day in days)
        good = good and spans[0] != spans[1] and all(_is_time(text) for text in spans)
    except (ValueError, KeyError, TypeError, AttributeError):
        good = False
    if not good:
        raise IncidentError("weekly", "Expected at least one day, and two different times such as 22:00 and 06:00.")


def _is_time(text: str) -> bool:
    hours, colon, minutes = text.partition(":")
    whole = len(text) == 5 and bool(colon) and (hours + minutes).isascii() and (hours + minutes).isdigit()
    return whole and int(hours) < 24 and int(minutes) < 60


@contextmanager
def _whole(db: sqlite3.Connection) -> Iterator[None]:
    if db.in_transaction:
        yield
    else:
        with database.transaction(db):
            yield
