"""Log-in state: people, sessions, failed attempts. Its own small database, `data/logins.db`, with its own lock.

It is written a few times a day by one or two processes, so it keeps SQLite's rollback journal: no WAL, none of its
worries. Every writer still takes a lock, `data/logins.lock`, and begins IMMEDIATE.
"""

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import NamedTuple

from archive import database, engine, rights

NAME = "logins.db"
LOCK = "logins.lock"
APPLICATION_ID = 0x5649474C  # "VIGL"
MIGRATIONS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "migrations_logins")
MOST_ATTEMPTS = 10_000  # rows: a flood of invented names cannot fill the disk


class Person(NamedTuple):
    name: str
    role: str  # administrator, reader
    password: str  # the hash
    changed_at: int

    def __repr__(self) -> str:
        return f"Person(name={self.name!r}, role={self.role!r}, ...)"


class Session(NamedTuple):
    id: int
    person: str
    role: str
    created_at: int
    seen_at: int
    address: str
    agent: str


class Attempts(NamedTuple):
    failures: int
    seen_at: int


@contextmanager
def reading(data: str) -> Iterator[sqlite3.Connection]:
    """A connection that only reads. Raises database.DatabaseError."""
    if engine.url_of(data):
        with database.reader(data) as db:
            yield db
        return
    if not os.path.exists(os.path.join(data, NAME)):
        with writing(data):
            pass
    db = _open(data, "ro")
    if db.execute("PRAGMA user_version").fetchone()[0] < _newest():
        db.close()  # of the version before an upgrade: what is new in this one lacks
        with writing(data):
            pass
        db = _open(data, "ro")
    try:
        yield db
    except sqlite3.DatabaseError as error:
        raise database.DatabaseError(f"{os.path.join(data, NAME)}: {error}") from error
    finally:
        db.close()


@contextmanager
def writing(data: str) -> Iterator[sqlite3.Connection]:
    """One transaction under the log-in lock; makes or migrates the database where needed."""
    if engine.url_of(data):  # of a centre: the tables stand beside the archive's
        with database.writer(data) as db, database.transaction(db):
            yield db
        return
    with database.locked(data, name=LOCK):
        db = _open(data, "rwc")
        try:
            _migrate(db)
            with database.transaction(db):
                yield db
        except sqlite3.DatabaseError as error:
            raise database.DatabaseError(f"{os.path.join(data, NAME)}: {error}") from error
        finally:
            db.close()


def _open(data: str, mode: str) -> sqlite3.Connection:
    path = os.path.join(data, NAME)
    try:
        if mode == "rwc" and not os.path.exists(path):
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            os.close(os.open(path, flags, rights.of_file(path)))
        if stat.S_IMODE(os.lstat(path).st_mode) & 0o007 or os.path.islink(path):
            raise database.DatabaseError(f"{path}: others may open it; type: chmod 600 {path!r}")
        quoted = path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
        db = sqlite3.connect(f"file:{quoted}?mode={mode}", uri=True, isolation_level=None, timeout=10.0)
    except (OSError, sqlite3.Error) as error:
        raise database.DatabaseError(f"{path}: cannot be opened: {error}") from error
    try:
        for pragma in ("foreign_keys=ON", "trusted_schema=OFF", "synchronous=FULL", "secure_delete=ON"):
            db.execute(f"PRAGMA {pragma}")
        if mode == "ro":
            db.execute("PRAGMA query_only=ON")
        found = db.execute("PRAGMA application_id").fetchone()[0]
    except sqlite3.Error as error:
        db.close()
        raise database.DatabaseError(f"{path}: {error}; put it aside, then type: ./vigie first-link") from error
    if found not in (0, APPLICATION_ID):
        db.close()
        raise database.DatabaseError(f"{path}: is not Vigie's; put it aside, then type: ./vigie first-link")
    return db


@cache
def _newest() -> int:
    """The number of the last migration."""
    return max(int(name.partition("_")[0]) for name in os.listdir(MIGRATIONS))


def _migrate(db: sqlite3.Connection) -> None:
    version = db.execute("PRAGMA user_version").fetchone()[0]
    for name in sorted(os.listdir(MIGRATIONS)):
        number = int(name.partition("_")[0])
        if number > version:
            with open(os.path.join(MIGRATIONS, name), encoding="utf-8") as file:
                db.executescript(
                    f"BEGIN IMMEDIATE; PRAGMA application_id={APPLICATION_ID};\n{file.read()}\n"
                    f"PRAGMA user_version={number}; COMMIT;"
                )


def has_administrator(db: sqlite3.Connection) -> bool:
    return db.execute("SELECT 1 FROM person WHERE role='administrator'").fetchone() is not None


def person(db: sqlite3.Connection, name: str) -> Person | None:
    row = db.execute("SELECT name, role, password, changed_at FROM person WHERE name=?", (name,)).fetchone()
    return Person(*row) if row else None


def people(db: sqlite3.Connection) -> list[Person]:
    return [Person(*row) for row in db.execute("SELECT name, role, password, changed_at FROM person ORDER BY name")]


def set_password(db: sqlite3.Connection, name: str, role: str, password: str, now: int) -> None:
    """Keep a password's hash; the person's sessions all end."""
    db.execute(
        "INSERT INTO person VALUES (?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET role=excluded.role,"
        " password=excluded.password, changed_at=excluded.changed_at",
        (name, role, password, now),
    )
    end_all(db, name)


def rehash(db: sqlite3.Connection, name: str, password: str) -> None:
    """The same password by newer costs: no session ends."""
    db.execute("UPDATE person SET password=? WHERE name=?", (password, name))


def remove(db: sqlite3.Connection, name: str) -> bool:
    """Take a person out; their sessions go with them."""
    return db.execute("DELETE FROM person WHERE name=?", (name,)).rowcount > 0


def begin(db: sqlite3.Connection, hashed: str, name: str, now: int, address: str, agent: str) -> None:
    db.execute(
        "INSERT INTO session (hash, person, created_at, seen_at, address, agent) VALUES (?, ?, ?, ?, ?, ?)",
        (hashed, name, now, now, address, agent),
    )


_SESSION = (
    "SELECT s.id, s.person, p.role, s.created_at, s.seen_at, s.address, s.agent"
    " FROM session s JOIN person p ON p.name = s.person"
)


def session(db: sqlite3.Connection, hashed: str) -> Session | None:
    row = db.execute(f"{_SESSION} WHERE s.hash=?", (hashed,)).fetchone()
    return Session(*row) if row else None


def sessions(db: sqlite3.Connection, name: str) -> list[Session]:
    """A person's sessions, the latest used first."""
    return [Session(*row) for row in db.execute(f"{_SESSION} WHERE s.person=? ORDER BY s.seen_at DESC", (name,))]


def seen(db: sqlite3.Connection, ident: int, now: int) -> None:
    db.execute("UPDATE session SET seen_at=? WHERE id=?", (now, ident))


def end(db: sqlite3.Connection, ident: int, name: str) -> bool:
    """End one of this person's sessions."""
    return db.execute("DELETE FROM session WHERE id=? AND person=?", (ident, name)).rowcount > 0


def end_all(db: sqlite3.Connection, name: str, but: int = 0) -> int:
    """End this person's sessions, all or all but one. Returns how many ended."""
    return db.execute("DELETE FROM session WHERE person=? AND id<>?", (name, but)).rowcount


def forget_sessions(db: sqlite3.Connection, created_before: int, seen_before: int) -> None:
    """Sessions past their limits leave the table."""
    db.execute("DELETE FROM session WHERE created_at < ? OR seen_at < ?", (created_before, seen_before))


def attempts(db: sqlite3.Connection, who: str) -> Attempts:
    row = db.execute("SELECT failures, seen_at FROM attempt WHERE who=?", (who,)).fetchone()
    return Attempts(*row) if row else Attempts(0, 0)


def failed(db: sqlite3.Connection, who: str, now: int, forget_before: int) -> None:
    """Count one failure; a count whose last failure is older than `forget_before` begins anew."""
    db.execute(
        "INSERT INTO attempt VALUES (?, 1, ?) ON CONFLICT (who) DO UPDATE SET"
        " failures=CASE WHEN attempt.seen_at < ? THEN 1 ELSE attempt.failures + 1 END, seen_at=excluded.seen_at",
        (who, now, forget_before),
    )
    db.execute("DELETE FROM attempt WHERE seen_at < ?", (forget_before,))
    db.execute(
        "DELETE FROM attempt WHERE who IN (SELECT who FROM attempt ORDER BY seen_at DESC LIMIT -1 OFFSET ?)",
        (MOST_ATTEMPTS,),
    )


def succeeded(db: sqlite3.Connection, who: str) -> None:
    db.execute("DELETE FROM attempt WHERE who=?", (who,))


def unfailed(db: sqlite3.Connection, who: str) -> None:
    """Take one failure back."""
    db.execute("UPDATE attempt SET failures=max(0, failures - 1) WHERE who=?", (who,))
