"""One round of reading: lists first, then the publications that are owed a reading, politely and within five minutes.

1. Take the round (`schedule.claim`): one an hour, one at a time.
2. For alerts, then advisories: the JSON index; when it fails the feed; when that fails the list pages.
   Once a day the first list page of alerts too: it alone names every alert in force, however old.
3. Read each publication that is owed one (`rows.owed`): its JSON, else its page. What the round has no time for stays
   owed: the first reading takes several rounds, newest first, and goes on where it stopped.
4. End the round: when the next may begin.

The network is never waited for inside a transaction: `open_db` is entered for each short write and left again. Whatever
fails, what is known stays. The last revision day of each publication tells what changed, so the history is never re-read.
"""

import sqlite3
import time
from collections.abc import Callable
from typing import NamedTuple

from archive.certfr import rows, schedule
from archive.certfr.document import read_files
from archive.certfr.http import BUDGET, DEADLINE, PAUSE, Client
from archive.certfr.index import KINDS
from archive.certfr.listing import list_kind, list_open
from archive.certfr.reading import publications
from archive.certfr.round import OpenDb, Problem, Progress, Round, Stop
from archive.certfr.schedule import due

__all__ = ["Limits", "Problem", "Progress", "Report", "due", "read_files", "refresh"]


class Limits(NamedTuple):
    """Seconds: for one answer, for the whole round, between two requests."""

    deadline: float = DEADLINE
    budget: float = BUDGET
    pause: float = PAUSE


POLITE = Limits()


class Report(NamedTuple):
    """What a round did. `ran` False: it was not begun, and `reason` says why. References are sorted as they came."""

    ran: bool
    reason: str = ""
    began_at: int = 0
    ended_at: int = 0
    next_at: int | None = None
    sources: tuple[str, ...] = ()  # the lists that were read or had not changed, such as alerte/json, avis/feed
    listed: int = 0  # publications that those lists name
    requests: int = 0
    owed: int = 0  # publications to read when the lists had been read
    read: int = 0
    left: int = 0  # not tried for want of time: the next round goes on with them
    new: tuple[str, ...] = ()
    revised: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()
    reopened: tuple[str, ...] = ()
    withdrawn: tuple[str, ...] = ()
    errors: tuple[Problem, ...] = ()
    first_reading: tuple[int, int] = (0, 0)  # (read, to read) of what was there at the first reading


def refresh(
    open_db: OpenDb,
    base_url: str,
    now: int,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
    progress: Callable[[Progress], None] | None = None,
    limits: Limits = POLITE,
    force: bool = False,
    version: str = "0",
    contact: str = "monitor",
    ca_file: str = "",
) -> Report:
    """Read the site now, if a round is due (or `force`: a person asks). Never raises for what the network does.

    `open_db` gives a writing connection with no transaction; `now` is UTC seconds; `clock` and `sleep` are the round's own
    time. Raises `FetchError` for a base address that may not be asked, and whatever `open_db` raises.
    """
    tell = progress or (lambda _progress: None)
    with Client(
        base_url,
        version=version,
        contact=contact,
        ca_file=ca_file,
        deadline=limits.deadline,
        budget=limits.budget,
        pause=limits.pause,
        clock=clock,
        sleep=sleep,
    ) as client:
        work = Round(open_db, client, now, clock, tell)
        if reason := work.write(lambda db: schedule.claim(db, now, force=force)):
            return Report(ran=False, reason=reason)
        wait: int | None = None
        try:
            read = [list_kind(work, kind) for kind in KINDS]
            if any(read):
                list_open(work)
                publications(work)
        except Stop as stop:
            wait = stop.wait
        return work.write(lambda db: _end(db, work, wait))


def _end(db: sqlite3.Connection, work: Round, wait: int | None) -> Report:
    """Close the round in the database, and say what it did."""
    at = work.at()
    failed = not work.sources
    next_at = schedule.finish(
        db,
        work.now,
        at,
        error=work.errors[-1].what if work.errors and failed else "",
        failed=failed,
        wait=wait,
    )
    return Report(
        ran=True,
        began_at=work.now,
        ended_at=at,
        next_at=next_at,
        sources=tuple(work.sources),
        listed=work.listed,
        requests=work.client.requests,
        owed=work.owed,
        read=work.read,
        left=work.owed - work.tried,
        new=work.named("new"),
        revised=work.named("revised"),
        closed=work.named("closed"),
        reopened=work.named("reopened"),
        withdrawn=work.named("withdrawn"),
        errors=tuple(work.errors),
        first_reading=rows.first_reading(db),
    )
