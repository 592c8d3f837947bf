"""The state of one round of reading, and what every part of it shares: the time, short writes, when to give up."""

import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import NamedTuple, TypeVar

from archive.certfr.http import Client, FetchError
from archive.database import transaction

T = TypeVar("T")
OpenDb = Callable[[], AbstractContextManager[sqlite3.Connection]]

GIVE_UP = 5  # failures in a row: the site is not well, the next round will see


class Progress(NamedTuple):
    """Told before each request: `stage` is list or publication, `what` a source or a reference."""

    stage: str
    what: str
    done: int
    total: int


class Problem(NamedTuple):
    """What went wrong: `where` is a source or a reference, `what` a sentence in English."""

    where: str
    what: str


class Stop(Exception):
    """The round goes no further; `wait` is the time that the server asked for, in seconds."""

    def __init__(self, wait: int | None = None) -> None:
        super().__init__()
        self.wait = wait


class Round:
    """One round. Times are UTC seconds; `changes` is reference -> the kind of its change (store.Change)."""

    def __init__(
        self, open_db: OpenDb, client: Client, now: int, clock: Callable[[], float], tell: Callable[[Progress], None]
    ) -> None:
        self.open_db, self.client, self.now, self.clock, self.tell = open_db, client, now, clock, tell
        self.began = clock()
        self.sources: list[str] = []
        self.listed = 0
        self.failures = 0  # in a row
        self.errors: list[Problem] = []
        self.changes: dict[str, str] = {}
        self.owed = self.tried = self.read = 0

    def at(self) -> int:
        """The time now: that of the start, plus what the clock says has passed."""
        return self.now + max(0, int(self.clock() - self.began))

    def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """One short transaction; the database is let go of before the network is waited for again."""
        with self.open_db() as db, transaction(db):
            return work(db)

    def named(self, kind: str) -> tuple[str, ...]:
        """The references that changed in this way, in the order they were read."""
        return tuple(reference for reference, change in self.changes.items() if change == kind)

    def count(self, where: str, error: Exception, said: str) -> None:
        """Note a failure, and stop the round where going on would be rude or useless."""
        if isinstance(error, FetchError) and error.kind == "spent":
            raise Stop
        self.errors.append(Problem(where, said[:2000]))
        if isinstance(error, FetchError) and error.retry_after is not None:
            raise Stop(error.retry_after)
        self.failures += 1
        if self.failures >= GIVE_UP:
            self.errors.append(Problem("round", f"{GIVE_UP} failures in a row: given up until the next round"))
            raise Stop
