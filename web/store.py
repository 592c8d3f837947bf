"""What a request reads and writes: one read-only connection a request, and a short writer for forms.

A page is one consistent picture: the connection's one read transaction begins at its first use and ends with the request.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TypeVar, cast

from flask import Flask, current_app, g

from archive import database
from archive.settings import Settings
from web import machines

Kept = TypeVar("Kept")
HOST = 1  # this machine
MOST_KEPT = 500


def settings() -> Settings:
    """The settings that the application was made with."""
    return cast(Settings, current_app.config["VIGIE"])


def now() -> int:
    """UTC seconds, the same throughout one request."""
    if "now" not in g:
        g.now = cast(Callable[[], int], current_app.config["VIGIE_CLOCK"])()
    return int(g.now)


def db() -> sqlite3.Connection:
    """The request's read-only connection. Raises archive.database.DatabaseError when there is nothing to read."""
    if "db" not in g:
        stamp()  # what is kept of these rows is kept under a time before them
        stack = ExitStack()
        g.db = stack.enter_context(database.reader(settings().data))
        g.db_stack = stack
    return cast(sqlite3.Connection, g.db)


def stamp() -> tuple[int, ...]:
    """What any writing of the database changes, the same throughout one request. Texts that wait are archived first."""
    if "stamp" not in g:
        database.settle(settings().data)
        g.stamp = database.stamp(settings().data)
    return cast(tuple[int, ...], g.stamp)


def kept(name: str, make: Callable[[], Kept]) -> Kept:
    """What `make` reads from the rows, for every reader the same, until a row is written. Nothing of a person, a language
    or a moment may be in it."""
    known: dict[tuple[str, int], tuple[object, object]] = current_app.extensions.setdefault("rows", {})
    here, key = stamp(), (name, host_id())
    found = known.get(key)
    if found is None or found[0] != here:
        if len(known) >= MOST_KEPT:  # of the machines of a fleet
            known.clear()
        found = known[key] = (here, make())
    return cast(Kept, found[1])


def host_id() -> int:
    """The host whose rows the pages show: this machine, or the one whose name leads the address (web/machines.py)."""
    return machines.host_id() or HOST


@contextmanager
def writing(wait: float = 10.0) -> Iterator[sqlite3.Connection]:
    """One transaction under the one lock, for a form. The reader is put away first: what follows reads what was written."""
    close()
    with database.writer(settings().data, wait) as connection, database.transaction(connection):
        yield connection


def close(_error: BaseException | None = None) -> None:
    """End the request's reading."""
    stack = g.pop("db_stack", None)
    g.pop("db", None)
    g.pop("stamp", None)
    if stack is not None:
        stack.close()


def install(app: Flask) -> None:
    app.teardown_appcontext(close)
