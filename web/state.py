"""The state of the machine in one word, since when, and why. Pure but for the one reading function.

The five seconds at three in the morning are decided here: old numbers are never green.
"""

import sqlite3
from typing import NamedTuple

from archive import incidents, read
from archive.incidents import Incident

STALE_AFTER = 3  # rhythms without a cycle


class State(NamedTuple):
    word: str  # ok, warning, critical, unknown (stale), empty (nothing yet)
    since: int | None  # UTC seconds: of the worst incident, of the silence, or of the calm
    last_at: int | None  # the newest cycle
    rhythm: int  # seconds between cycles, as measured
    open: tuple[Incident, ...]  # worst first

    @property
    def fresh(self) -> bool:
        return self.word not in ("unknown", "empty")


def judge(
    last_at: int | None, rhythm: int, live: list[Incident], ended_at: int | None, first_at: int, now: int
) -> State:
    """`live`: incidents that are not over. `ended_at`: when the last one ended. `first_at`: when the watch began."""
    shown = tuple(sorted((one for one in live if one.opened_at is not None), key=_order))
    if last_at is None:
        return State("empty", None, None, rhythm, shown)
    if now - last_at > STALE_AFTER * rhythm:
        return State("unknown", last_at, last_at, rhythm, shown)
    if not shown:
        return State("ok", max(ended_at or 0, first_at), last_at, rhythm, ())
    return State(shown[0].level, shown[0].since_at, last_at, rhythm, shown)


def _order(one: Incident) -> tuple[bool, bool, bool, bool, bool, int]:
    """Critical first; figures before a probe's silence; consequences after their cause; easing and looked after last."""
    return (
        one.level != "critical",
        one.kind == "silent" and one.metric != "",
        one.cause is not None,
        one.state == "eased",
        one.acknowledged_at is not None,
        one.since_at,
    )


class Rows(NamedTuple):
    """What the state is judged from; it changes with the rows, not with the clock."""

    host: str  # its name
    last_at: int | None
    rhythm: int
    live: list[Incident]
    ended_at: int | None
    first_at: int


def rows(db: sqlite3.Connection, host: int) -> Rows:
    last, machine = read.last_cycle(db, host), read.host(db, host)
    ended = [one.ended_at for one in incidents.recent(db, host, 20) if one.ended_at is not None]
    return Rows(
        machine.name,
        last.at if last else None,
        read.rhythm(db, host),
        incidents.live(db, host),
        max(ended, default=None),
        machine.first_at,
    )


def of_rows(found: Rows, now: int) -> State:
    return judge(found.last_at, found.rhythm, found.live, found.ended_at, found.first_at, now)


def now_of(db: sqlite3.Connection, host: int, now: int) -> State:
    """The state at `now`, from the rows."""
    return of_rows(rows(db, host), now)
