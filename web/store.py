"""What a request reads and writes: one read-only connection a request, and a short writer for forms.

A page is one consistent picture: the connection's one read transaction begins at its first use and ends with the request.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import cast

from flask import Flask, current_app, g

from archive import database
from archive.settings import Settings
from web import machines

HOST = 1  # this machine


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
        stack = ExitStack()
        g.db = stack.enter_context(database.reader(settings().data))
        g.db_stack = stack
    return cast(sqlite3.Connection, g.db)


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
    if stack is not None:
        stack.close()


def install(app: Flask) -> None:
    app.teardown_appcontext(close)
