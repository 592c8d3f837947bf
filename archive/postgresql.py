"""The same rows on PostgreSQL: a connection that answers as sqlite3's does, kept open between uses.

Only where VIGIE_DATABASE_URL is set (archive/engine.py). Differences, each in one place:

- one lock a database becomes an advisory lock a transaction: lock 0 for forms and upkeep, a host's own number for what it
  sends, so that machines never wait for each other (and a pooler in transaction mode may stand in between);
- a reader is a REPEATABLE READ, READ ONLY transaction: one picture, as in SQLite;
- arguments are put into the text here, by psycopg: no statement is prepared on a server that a pooler may change;
- errors are worded as sqlite3's kinds and archive.database's.
"""

import importlib
import os
import re
import select
import sqlite3
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

from archive import adapters, dialect, engine, partitions

Raw = Any  # psycopg.Connection and psycopg.Cursor: psycopg is installed at a centre only
Cursor = Any
HERE = os.path.dirname(os.path.abspath(__file__))
ARCHIVE, LOGINS = os.path.join(HERE, "migrations"), os.path.join(HERE, "migrations_logins")
LOCK_CLASS = 0x5649  # "VI": our advisory locks among those of other programs
GENERAL = 0  # forms, upkeep: one at a time, as in SQLite
SCHEMA = 0x7FFFFFFF  # whoever makes or changes tables
CONNECT_SECONDS = 5
STATEMENT = "60s"
MOST_IDLE = 16
UNREACHED = "cannot be reached: "  # archive.database says it in words

_idle: dict[str, list[Raw]] = {}
_guard = threading.Lock()


def driver() -> Any:
    """psycopg, also in a Python that was started without its packages (the minute's `-S`)."""
    try:
        return importlib.import_module("psycopg")
    except ImportError:
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        sys.path.append(os.path.join(os.path.dirname(os.path.dirname(sys.executable)), "lib", version, "site-packages"))
    try:
        return importlib.import_module("psycopg")
    except ImportError as error:
        raise sqlite3.OperationalError(
            "VIGIE_DATABASE_URL is set, but psycopg is not installed:"
            " .venv/bin/python -m pip install --require-hashes -r requirements-fleet.txt"
        ) from error


class Connection:
    """What the archive uses of sqlite3.Connection. `lock`: the advisory lock of its transactions."""

    def __init__(self, raw: Raw, url: str, lock: int = GENERAL) -> None:
        self.raw, self.url, self.lock = raw, url, lock

    @property
    def in_transaction(self) -> bool:
        return bool(self.raw.info.transaction_status)  # 0: idle

    def execute(self, sql: str, parameters: Sequence[object] | Mapping[str, object] = ()) -> Cursor:
        if sql == "BEGIN IMMEDIATE":
            return self._run(
                f"BEGIN; SET LOCAL statement_timeout = '{STATEMENT}'; SET LOCAL lock_timeout = '30s';"
                f" SELECT pg_advisory_xact_lock({LOCK_CLASS}, {self.lock})",
                None,
            )
        if sql == "BEGIN":
            return self._run(
                f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = '{STATEMENT}'", None
            )
        if sql == "PRAGMA user_version":
            return self._run("SELECT number FROM schema_version WHERE name = 'archive'", None)
        if sql == "ROLLBACK":
            partitions.forget()  # a day that this transaction made is gone with it
        statement = dialect.statement(sql)
        return self._run(statement.text, _arguments(statement, parameters))

    def executemany(self, sql: str, rows: Iterable[Sequence[object]]) -> Cursor:
        """Many rows of one INSERT go as few statements; anything else one after the other, in one message."""
        statement = dialect.statement(sql)
        kept = list(rows)
        cursor = self.raw.cursor()
        mogrify = cursor.mogrify
        for first in range(0, len(kept), dialect.INSERT_PART):
            part = kept[first : first + dialect.INSERT_PART]
            # PostgreSQL does not change one row twice in one statement.
            once = not statement.updates or len({tuple(row[: statement.updates]) for row in part}) == len(part)
            if statement.values and once:
                start, end = statement.values
                one = statement.text[start:end]
                whole = statement.text[:start] + ",".join(mogrify(one, tuple(map(_text, row))) for row in part)
                self._run(whole + statement.text[end:].replace("%%", "%"), None, cursor)
            else:
                self._run("; ".join(mogrify(statement.text, _arguments(statement, row)) for row in part), None, cursor)
        return cursor

    def script(self, sql: str) -> None:
        """Statements of PostgreSQL's own, without arguments."""
        self._run(sql, None)

    def _run(self, text: str, parameters: object, cursor: Any = None) -> Cursor:
        psycopg = driver()
        cursor = cursor or self.raw.cursor()
        try:
            cursor.execute(text, parameters)
        except psycopg.Error as error:
            raise kind_of(error) from error
        return cursor

    def close(self) -> None:
        """Back among the idle ones; what was begun and not ended is undone."""
        _give_back(self.url, self.raw)


def _arguments(statement: dialect.Statement, given: Sequence[object] | Mapping[str, object]) -> object:
    if isinstance(given, Mapping):
        return {name: _text(value) for name, value in given.items()}
    if statement.numbered:
        return {f"p{number}": _text(value) for number, value in enumerate(given, 1)}
    return tuple(map(_text, given))


def _text(value: object) -> object:
    """No text of PostgreSQL holds a NUL: whoever asks for a name with one asks for one that is not there."""
    return value.replace("\0", "\ufffd") if isinstance(value, str) and "\0" in value else value


def kind_of(error: Exception) -> sqlite3.Error:
    """The same mishap in sqlite3's kinds, which the archive knows."""
    psycopg = driver()
    words = re.sub(r"\s+", " ", str(error)).strip()
    if isinstance(error, psycopg.IntegrityError):
        return sqlite3.IntegrityError(words)
    if isinstance(error, (psycopg.errors.LockNotAvailable, psycopg.errors.QueryCanceled)):
        return sqlite3.OperationalError(f"database is locked: {words}")
    if isinstance(error, psycopg.errors.DiskFull):
        return sqlite3.OperationalError(f"database or disk is full: {words}")
    if isinstance(error, psycopg.OperationalError):
        return sqlite3.OperationalError(words)
    return sqlite3.DatabaseError(words)


# --- connections -----------------------------------------------------------------------------------------------------


def take(url: str, lock: int = GENERAL) -> Connection:
    """An idle connection, or a new one. Raises sqlite3.OperationalError."""
    while True:
        with _guard:
            kept = _idle.setdefault(url, [])
            raw = kept.pop() if kept else None
        if raw is None:
            return Connection(connect(url), url, lock)
        if _lives(raw):
            return Connection(raw, url, lock)
        raw.close()


def _lives(raw: Raw) -> bool:
    """An idle connection has nothing to read: where there is something, the server has said good-bye."""
    if raw.closed or raw.broken:
        return False
    waiting = select.poll()
    waiting.register(raw.fileno(), select.POLLIN)
    return not waiting.poll(0)


def connect(url: str) -> Raw:
    psycopg = driver()
    try:
        raw = psycopg.connect(
            url, autocommit=True, cursor_factory=psycopg.ClientCursor, prepare_threshold=None,
            connect_timeout=CONNECT_SECONDS, application_name="vigie",
        )  # fmt: skip
    except psycopg.Error as error:
        words = re.sub(r"\s+", " ", str(error)).strip()
        raise sqlite3.OperationalError(f"{UNREACHED}{words}") from error
    adapters.fit(raw, psycopg)
    return raw


def _give_back(url: str, raw: Raw) -> None:
    psycopg = driver()
    try:
        if raw.closed or raw.info.transaction_status != 0:
            partitions.forget()  # what was not committed
        if not raw.closed and raw.info.transaction_status != 0:
            raw.execute("ROLLBACK")
        usable = not raw.closed and raw.info.transaction_status == 0
    except psycopg.Error:
        usable = False
    with _guard:
        kept = _idle.setdefault(url, [])
        if usable and len(kept) < MOST_IDLE:
            kept.append(raw)
            return
    raw.close()


def forget(url: str) -> None:
    """Close what is idle."""
    with _guard:
        kept = _idle.pop(url, [])
    for raw in kept:
        raw.close()


# --- archive.database, on this engine --------------------------------------------------------------------------------


@contextmanager
def writer(data: str, lock: int = GENERAL) -> Iterator[sqlite3.Connection]:
    """As database.writer. Transactions are the caller's; each takes the advisory lock."""
    url = engine.url_of(data)
    with _open(url, lock) as db:
        version = _known_version(db)
        if version < _latest(ARCHIVE):
            raise sqlite3.OperationalError(f"its schema is older ({version}) than this Vigie; type: ./run_all.sh")
        yield cast(sqlite3.Connection, db)


@contextmanager
def reader(data: str) -> Iterator[sqlite3.Connection]:
    """As database.reader: one picture."""
    with _open(engine.url_of(data), GENERAL) as db:
        _known_version(db)
        db.execute("BEGIN")
        yield cast(sqlite3.Connection, db)


@contextmanager
def _open(url: str, lock: int) -> Iterator[Connection]:
    db = take(url, lock)
    try:
        yield db
    finally:
        db.close()


def _known_version(db: Connection) -> int:
    """The schema's number, where this code can read it."""
    version = _version(db, "archive")
    if not version:
        raise sqlite3.OperationalError("there is no database yet; type: ./run_all.sh")
    if version > _latest(ARCHIVE):
        raise sqlite3.OperationalError(f"was written by a newer Vigie (schema {version}); upgrade this one: git pull")
    return version


_seen: dict[tuple[str, str], int] = {}


def _version(db: Connection, name: str) -> int:
    """The schema's number; asked once a process where it is the newest."""
    if (db.url, name) in _seen:
        return _seen[db.url, name]
    if db.execute("SELECT to_regclass(?)", ("schema_version",)).fetchone()[0] is None:
        return 0
    row = db.execute("SELECT number FROM schema_version WHERE name=?", (name,)).fetchone()
    found = int(row[0]) if row else 0
    if found >= _latest(ARCHIVE if name == "archive" else LOGINS):
        _seen[db.url, name] = found
    return found


def _latest(folder: str) -> int:
    return max(int(name.partition("_")[0]) for name in os.listdir(folder) if name.endswith(".sql"))


def stamp(data: str) -> tuple[int, ...]:
    """As database.stamp: which transactions are over. Every commit changes it."""
    with _open(engine.url_of(data), GENERAL) as db:
        said = db.execute("SELECT CAST(pg_current_snapshot() AS text)").fetchone()[0]
    return tuple(int(part) for part in re.split("[:,]", said) if part)


def pending(data: str) -> bool:
    with _open(engine.url_of(data), GENERAL) as db:
        return _version(db, "archive") < _latest(ARCHIVE)


def create(data: str, uid: str, name: str, machine: str, now: int) -> None:
    """Make the tables where there are none, or bring them up to date: each migration in one transaction. Host 1 is the
    centre's own machine."""
    url = engine.url_of(data)
    with _open(url, SCHEMA) as db:
        migrate(db, "archive", ARCHIVE)
        migrate(db, "logins", LOGINS)
        db.execute("INSERT INTO host VALUES (1, ?, ?, ?, ?) ON CONFLICT DO NOTHING", (uid, name, machine, now))


def migrate(db: Connection, name: str, folder: str) -> None:
    """Apply what is missing of one folder of migrations."""
    db.execute("BEGIN IMMEDIATE")  # the lock first: two machines of one centre may start at once
    if db.execute("SELECT to_regclass(?)", ("schema_version",)).fetchone()[0] is None:
        db.script(dialect.FUNCTIONS)
        db.script('CREATE TABLE schema_version (name TEXT COLLATE "C" PRIMARY KEY, number BIGINT NOT NULL)')
    version = _version(db, name)
    if version > _latest(folder):
        raise sqlite3.OperationalError(f"was written by a newer Vigie (schema {version}); upgrade this one: git pull")
    for file_name in sorted(os.listdir(folder)):
        number = int(file_name.partition("_")[0]) if file_name.endswith(".sql") else 0
        if number > version:
            with open(os.path.join(folder, file_name), encoding="utf-8") as file:
                db.script(dialect.schema(file.read()))
            db.execute(
                "INSERT INTO schema_version VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET number=excluded.number",
                (name, number),
            )
    db.execute("COMMIT")


def size(db: sqlite3.Connection) -> int:
    """Bytes that the tables and indexes take."""
    return int(db.execute("SELECT pg_database_size(current_database())").fetchone()[0])


def server(db: sqlite3.Connection) -> str:
    """The version of the server that answers, as it says it."""
    return str(db.execute("SELECT current_setting(?)", ("server_version",)).fetchone()[0])
