"""The database file: who may open it, how, and what to say when it cannot be used.

Rules, each for a reason (SQLite before 3.51.3 can corrupt a WAL database when two processes write or checkpoint at the
same instant, and Debian 12 ships 3.40.1):

1. every writer holds the one lock (`data/lock`) from before the open to after the close;
2. transactions begin IMMEDIATE, so a busy database waits instead of failing half-way;
3. no automatic checkpoint but in the upkeep step and at the last close, both under the lock;
4. readers open `mode=ro`, which cannot checkpoint;
5. never mmap; `synchronous=FULL`.

A reader that may not write the folder (another user's dashboard) and finds no -wal reads the file as it stands, and asks
again when somebody wrote meanwhile.
"""

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from archive import engine, rights
from archive.lock import (
    CALM,
    LOCK,
    NAME,
    Busy,
    DatabaseError,
    changed_apart,
    end_calm,
    locked,
    renew_calm,
)
from archive.reserve import make_reserve

# Said of the file here, defined with the lock that every writer holds.
__all__ = ["CALM", "LOCK", "NAME", "Busy", "DatabaseError", "end_calm", "locked"]

APPLICATION_ID = 0x56494749  # "VIGI"
MIGRATIONS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "migrations")
# Made once beside the database: from then on a missing or empty database is a loss, never a first run.
MARK = "installed"


class Missing(DatabaseError):
    """There is no database: nothing was ever set up, or the file is gone."""


class Damaged(DatabaseError):
    """The file is there and is not a sound Vigie database."""


class Newer(DatabaseError):
    """The database was written by a newer Vigie."""


@contextmanager
def writer(data: str, wait: float = 10.0, lock: int = 0, *, calm: bool = False) -> Iterator[sqlite3.Connection]:
    """The one writing connection, within the lock. Transactions are the caller's (see `transaction`). `calm`: what the shell
    knows of the levels is left in force. `lock`, on PostgreSQL: a machine's number; what it sends waits for nobody else's."""
    if engine.url_of(data):
        # The file's lock is for the spool and the journal, which no other machine's parcel touches.
        with locked(data, wait, calm=calm) if not lock else nullcontext(), _elsewhere(data, "writer", lock) as db:
            yield db
        return
    with locked(data, wait, calm=calm):
        if calm and changed_apart(data):
            end_calm(data)
        db = _open(data, "rw")
        try:
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version < latest_version():
                raise DatabaseError(
                    f"{os.path.join(data, NAME)}: its schema is older ({version}) than this Vigie; type: ./run_all.sh"
                )
            yield db
        except sqlite3.DatabaseError as error:
            raise _worded(data, error) from error
        finally:
            db.close()
            renew_calm(data)


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """All of it or nothing. BEGIN IMMEDIATE: a plain BEGIN fails half-way under contention."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield db
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


@contextmanager
def reader(data: str, *, settled: bool = True) -> Iterator[sqlite3.Connection]:
    """A connection that cannot write. One consistent picture: the whole block is one read transaction. Texts that wait because
    all was calm are archived first, unless the reader asks for nothing of theirs (not `settled`)."""
    if settled:
        settle(data)
    if engine.url_of(data):
        with _elsewhere(data, "reader") as db:
            yield db
        return
    still = _print_of(data) if _must_not_touch(data) else None
    db = _open(data, "ro" if still is None else "ro&immutable=1")
    try:
        db.execute("PRAGMA query_only=ON")
        db.execute("BEGIN")
        yield db
    except sqlite3.DatabaseError as error:
        _check_still(data, still)
        raise _worded(data, error) from error
    finally:
        db.close()
    _check_still(data, still)


def settle(data: str) -> None:
    """Archive the texts that were left waiting because all was calm, if there are any."""
    if os.path.exists(os.path.join(data, "run", CALM)):
        from archive import waiting

        waiting.load(data)


def stamp(data: str) -> tuple[int, ...]:
    """When the database was last written, and how much: any commit changes it. What is kept under a stamp that was taken
    before the rows were read is never older than them."""
    if engine.url_of(data):
        return tuple(_asked(data, "stamp"))
    found: list[int] = []
    for suffix in ("", "-wal"):
        try:
            seen = os.stat(os.path.join(data, NAME + suffix))
        except FileNotFoundError:
            continue
        if seen.st_size:  # a reader makes an empty -wal: nothing was written
            found += [seen.st_ino, seen.st_mtime_ns, seen.st_size]
    return tuple(found)


def _must_not_touch(data: str) -> bool:
    """Whether SQLite could not make the -shm that reading a WAL database takes, and nothing waits in a -wal.

    With a -wal that holds something, the file alone would be a lie: then SQLite says what it lacks.
    """
    path = os.path.join(data, NAME)
    if os.access(data, os.W_OK) and os.access(path, os.W_OK):
        return False
    try:
        return os.path.getsize(f"{path}-wal") == 0
    except OSError:
        return True


def _print_of(data: str) -> tuple[int, ...]:
    """What changes when somebody writes the database."""
    path = os.path.join(data, NAME)
    try:
        found = os.stat(path)
        return (found.st_ino, found.st_size, found.st_mtime_ns, int(os.path.exists(f"{path}-wal")))
    except OSError:
        return ()


def _check_still(data: str, still: tuple[int, ...] | None) -> None:
    if still is not None and _print_of(data) != still:
        raise Busy(f"{os.path.join(data, NAME)}: was written while it was read; ask again")


@contextmanager
def _elsewhere(data: str, what: str, *arguments: int) -> Iterator[sqlite3.Connection]:
    """The same on PostgreSQL (archive/postgresql.py)."""
    from archive import postgresql

    try:
        with getattr(postgresql, what)(data, *arguments) as db:
            yield db
    except sqlite3.DatabaseError as error:
        raise _worded(data, error) from error


def _asked(data: str, what: str) -> Any:
    """One question to PostgreSQL."""
    from archive import postgresql

    try:
        return getattr(postgresql, what)(data)
    except sqlite3.DatabaseError as error:
        raise _worded(data, error) from error


def create(data: str, uid: str, name: str, machine: str, now: int) -> None:
    """Make the database where none was ever made, or bring an older one up to date. Needs no lock held.

    1. a missing file without the mark: a new database, host 1 in it, then the mark;
    2. a missing or empty file with the mark: Missing or Damaged, never a silent new start;
    3. an older schema: `migrate` (the caller has backed it up).
    """
    if engine.url_of(data):
        from archive import postgresql

        try:
            postgresql.create(data, uid, name, machine, now)
        except sqlite3.DatabaseError as error:
            raise _worded(data, error) from error
        with open(os.path.join(data, MARK), "w", encoding="ascii") as file:
            file.write(f"{uid}\n")
        return
    path = os.path.join(data, NAME)
    mark = os.path.join(data, MARK)
    with locked(data):
        if not os.path.lexists(path) and not os.path.exists(mark):
            _make(path, uid, name, machine, now)
        if not os.path.exists(mark):
            with open(mark, "w", encoding="ascii") as file:
                file.write(f"{uid}\n")
        db = _open(data, "rw")
        try:
            migrate(db)
        except sqlite3.Error as error:
            raise _worded(data, error) from error
        finally:
            db.close()
        make_reserve(data)


def _make(path: str, uid: str, name: str, machine: str, now: int) -> None:
    """A whole database or none: built aside, then renamed. WAL comes last: before, all of it is in the one file."""
    aside = f"{path}.new"
    for leftover in (aside, f"{aside}-wal", f"{aside}-shm", f"{aside}-journal"):
        if os.path.exists(leftover):
            os.unlink(leftover)
    db = sqlite3.connect(aside, isolation_level=None)
    try:
        db.execute("PRAGMA auto_vacuum=INCREMENTAL")  # first of all: once a page is written it is too late
        db.execute(f"PRAGMA application_id={APPLICATION_ID}")
        migrate(db)
        db.execute("INSERT INTO host VALUES (1, ?, ?, ?, ?)", (uid, name, machine, now))
        db.execute("PRAGMA journal_mode=WAL")
    except sqlite3.Error as error:
        raise DatabaseError(f"{path}: cannot be made: {error}") from error
    finally:
        db.close()
    os.chmod(aside, rights.of_file(path))
    sync(aside)
    os.rename(aside, path)
    sync(os.path.dirname(path))


def sync(path: str) -> None:
    """A file's bytes, or a folder's names, on the disk."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def migrations() -> list[tuple[int, str]]:
    """(number, path) of every migration, in order; the last number is the schema's version."""
    names = sorted(name for name in os.listdir(MIGRATIONS) if name.endswith(".sql"))
    return [(int(name.partition("_")[0]), os.path.join(MIGRATIONS, name)) for name in names]


def latest_version() -> int:
    """The version of the schema that this code knows."""
    return max(int(name.partition("_")[0]) for name in os.listdir(MIGRATIONS) if name.endswith(".sql"))


def migrate(db: sqlite3.Connection) -> list[int]:
    """Apply what is missing, each file in one transaction with its number. Returns the numbers applied."""
    applied = []
    version = db.execute("PRAGMA user_version").fetchone()[0]
    for number, path in migrations():
        if number > version:
            with open(path, encoding="utf-8") as file:
                # executescript commits first, hence the BEGIN inside the script itself.
                script = f"BEGIN IMMEDIATE;\n{file.read()}\nPRAGMA user_version={number};\nCOMMIT;"
            try:
                db.executescript(script)
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise
            applied.append(number)
    return applied


def pending(data: str) -> bool:
    """Whether the database is older than the code. Opens read-only."""
    if engine.url_of(data):
        return bool(_asked(data, "pending"))
    with reader(data) as db:
        return bool(db.execute("PRAGMA user_version").fetchone()[0] < latest_version())


def _open(data: str, mode: str) -> sqlite3.Connection:
    path = os.path.join(data, NAME)
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        if os.path.exists(os.path.join(data, MARK)):
            raise Missing(
                f"{path}: the database is gone. Texts wait in {os.path.join(data, 'spool')}; type: ./vigie restore"
            ) from None
        raise Missing(f"{path}: there is no database yet; type: ./run_all.sh") from None
    except OSError as error:
        raise DatabaseError(f"{path}: cannot be opened: {error.strerror}") from error
    if stat.S_ISLNK(found.st_mode):
        raise DatabaseError(f"{path}: is a symbolic link; SQLite's locks do not follow it: put the file itself there")
    if found.st_size == 0:
        raise Damaged(f"{path}: the database is empty (0 bytes); type: ./vigie restore")
    try:
        db = sqlite3.connect(f"file:{quoted(path)}?mode={mode}", uri=True, isolation_level=None, timeout=10.0)
    except sqlite3.Error as error:
        raise _worded(data, error) from error
    try:
        db.execute("PRAGMA synchronous=FULL")
        db.execute("PRAGMA wal_autocheckpoint=0")
        db.execute("PRAGMA trusted_schema=OFF")
        application_id = db.execute("PRAGMA application_id").fetchone()[0]
        version = db.execute("PRAGMA user_version").fetchone()[0]
    except sqlite3.Error as error:
        db.close()
        raise _worded(data, error) from error
    if application_id != APPLICATION_ID:
        db.close()
        raise Damaged(f"{path}: is not a database of Vigie; type: ./vigie restore")
    if version > latest_version():
        db.close()
        raise Newer(f"{path}: was written by a newer Vigie (schema {version}); upgrade this one: git pull")
    return db


def quick_check(db: sqlite3.Connection) -> str:
    """'ok', or what is wrong with the file's structure. Reads all of it."""
    if not isinstance(db, sqlite3.Connection):
        return "ok"  # PostgreSQL watches over its own pages (docs/fleet.md: data checksums)
    return str(db.execute("PRAGMA quick_check").fetchone()[0])


def quoted(path: str) -> str:
    """A path inside an SQLite URI."""
    return path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def _worded(data: str, error: sqlite3.Error) -> DatabaseError:
    url = engine.url_of(data)
    path = engine.shown(url) if url else os.path.join(data, NAME)
    text = str(error)
    if url and text.startswith("cannot be reached: "):
        said = text.partition(": ")[2]
        return DatabaseError(f"{path}: PostgreSQL cannot be reached ({said}); type: systemctl status postgresql")
    if "newer Vigie" in text:
        return Newer(f"{path}: {text}")
    if "no database yet" in text:
        return Missing(f"{path}: {text}")
    if "locked" in text or "busy" in text:
        return Busy(f"{path}: is locked by another program; the work waits for the next cycle")
    if "malformed" in text or "not a database" in text or "corrupt" in text:
        if url:
            return Damaged(f"{path}: the database is damaged ({text}); pg_restore a backup (docs/fleet.md, Back-ups)")
        return Damaged(f"{path}: the database is damaged ({text}); type: ./vigie restore")
    return DatabaseError(f"{path}: {text}")
