"""What a test does with a database itself, on whichever engine its data folder is (TESTS_ENGINE, tests/conftest.py)."""

import os
import sqlite3
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from archive import database, engine, partitions
from tests import conftest

ON_POSTGRESQL = conftest.ENGINE == "postgresql"
WAY_OUT = "pg_restore" if ON_POSTGRESQL else r"\./vigie restore"  # of damage, as a pattern

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# The beginning of a child's code whose first argument is a data folder: it finds its rows where the test does.
CHILD = f"""
import os, sys
sys.path.insert(0, {ROOT!r})
from archive import engine
engine.use(sys.argv[1], os.environ.get("VIGIE_DATABASE_URL", ""))
"""


def put_samples(db: sqlite3.Connection, rows: Iterable[tuple[int, int, int]], host: int = 1) -> None:
    """(at, series, value) straight into the table, within the caller's transaction; what is there already stays."""
    kept = list(rows)
    for day in {at // partitions.DAY for at, _series, _value in kept}:
        partitions.have(db, day * partitions.DAY)
    sql = "INSERT INTO sample VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
    db.executemany(sql, [(host, *row) for row in kept])


@contextmanager
def scratch() -> Iterator[sqlite3.Connection]:
    """An empty archive for one example of many: in memory, or on PostgreSQL the one of this process, in a transaction that
    is undone. Transactions of its own are not for the test."""
    if not ON_POSTGRESQL:
        db = sqlite3.connect(":memory:", isolation_level=None)
        try:
            database.migrate(db)
            yield db
        finally:
            db.close()
        return
    folder = "/scratch"
    if not engine.url_of(folder):
        conftest.keep_postgresql(folder)
    from archive import postgresql

    with postgresql.writer(folder) as db:
        db.execute("BEGIN IMMEDIATE")
        try:
            yield db
        finally:
            db.execute("ROLLBACK")


# What is said of a database that is `away`: a page's, a terminal's.
AWAY = "systemctl status postgresql" if ON_POSTGRESQL else "./vigie restore"
AWAY_PLAIN = "cannot be reached" if ON_POSTGRESQL else "is gone"


@contextmanager
def away(data: str) -> Iterator[None]:
    """The database cannot be reached meanwhile: its file is elsewhere, its server lets nobody in."""
    url = engine.url_of(data)
    if not url:
        path = os.path.join(data, database.NAME)
        os.rename(path, f"{path}.away")
        try:
            yield
        finally:
            os.rename(f"{path}.away", path)
        return
    from archive import postgresql

    name = url.split("/")[3].split("?")[0]
    server = conftest.cluster()
    postgresql.forget(url)
    server.sql(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false")
    server.sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    try:
        yield
    finally:
        server.sql(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true")


@contextmanager
def unreadable(data: str) -> Iterator[None]:
    """The rows cannot be read: the file is overwritten, for good; or the server lets nobody in meanwhile."""
    if ON_POSTGRESQL:
        with away(data):
            yield
        return
    with open(os.path.join(data, database.NAME), "r+b") as file:
        file.write(b"no database" * 1000)
    yield


def bytes_of(data: str, beside: str = "") -> bytes:
    """What the files of a database on PostgreSQL hold; on SQLite, what the file of this name in the data folder does."""
    url = engine.url_of(data)
    if not url:
        if not beside:
            return b""
        with open(os.path.join(data, beside), "rb") as file:
            return file.read()
    server = conftest.cluster()
    name = url.split("/")[3].split("?")[0]
    server.sql("CHECKPOINT")
    folder = os.path.join(server.data, "base", server.sql(f"SELECT oid FROM pg_database WHERE datname = '{name}'"))
    found = b""
    for each in os.scandir(folder):
        with open(each.path, "rb") as file:
            found += file.read()
    return found


class Watch:
    """What a connection was asked: every statement, and how many rows they wrote."""

    def __init__(self) -> None:
        self.statements: list[str] = []
        self.rows = 0


@contextmanager
def watched(db: Any) -> Iterator[Watch]:
    """Look over a connection's shoulder meanwhile; `rows` is there at the end."""
    found = Watch()
    if isinstance(db, sqlite3.Connection):
        before = db.total_changes
        db.set_trace_callback(found.statements.append)
        try:
            yield found
        finally:
            db.set_trace_callback(None)
            found.rows = db.total_changes - before
        return
    real = db._run

    def run(text: str, *more: Any) -> Any:
        given = more[0] if more else None
        found.statements.append(text if given is None else db.raw.cursor().mogrify(text, given))
        cursor = real(text, *more)
        if (cursor.statusmessage or "").startswith(("INSERT", "UPDATE", "DELETE")):
            found.rows += cursor.rowcount
        return cursor

    db._run = run
    try:
        yield found
    finally:
        del db._run


def plan(db: Any, statement: str) -> list[str]:
    """How the engine would find the rows, a line a step; walking all of a table only where no key serves."""
    if isinstance(db, sqlite3.Connection):
        return [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {statement}")]
    db.script("SET LOCAL enable_seqscan = off")  # in a table of a few rows it is the quickest
    return [row[0] for row in db._run(f"EXPLAIN {statement}", None).fetchall()]


def dump(data: str, path: str) -> None:
    """A database on PostgreSQL into a file, by its own tool."""
    program = os.path.join(conftest.cluster().bin, "pg_dump")
    subprocess.run([program, "-Fc", "-f", path, engine.url_of(data)], check=True, timeout=120)


def restore(data: str, path: str) -> None:
    """That file as a data folder's database, in this process's PostgreSQL."""
    url = conftest.use_postgresql(data, "template0")
    program = os.path.join(conftest.cluster().bin, "pg_restore")
    subprocess.run([program, "-d", url, path], check=True, timeout=120)


def analyze(db: Any) -> None:
    """What autovacuum does by itself where it runs: after many rows, PostgreSQL counts them anew. SQLite's plans need none."""
    if not isinstance(db, sqlite3.Connection):
        db.script("ANALYZE")
