"""Backups: through SQLite's backup API, each opened and compared before an older one goes; and the way back.

`integrity_check` says ok on a 0-byte file and on one with a flipped byte, so a copy is believed only when its id,
schema, counts and newest time equal what the original held in the same snapshot, and its SHA-256 stands beside it.
"""

import hashlib
import os
import shutil
import sqlite3
import time
from typing import NamedTuple

from archive import database

KEEP_DAILY, KEEP_WEEKLY, KEEP_MONTHLY = 7, 4, 12
_COUNTED = ("sample", "packed", "rollup", "cycle", "incident", "transition", "notification", "threshold")


class BackupError(Exception):
    """A copy could not be made, verified or restored: says which and what to do."""


class Backup(NamedTuple):
    path: str
    at: int
    bytes: int
    error: str  # '' when it was verified


class Facts(NamedTuple):
    """What must be equal in the copy."""

    application_id: int
    version: int
    counts: tuple[int, ...]
    newest_at: int | None


def make(data: str, folder: str, now: int) -> Backup:
    """One verified backup, then the rotation. Runs beside readers and a waiting writer.

    1. copy into a hidden file in the same folder, while holding the writer's lock (nothing is written meanwhile);
    2. open the copy: facts equal, integrity_check ok;
    3. fsync, SHA-256 beside it, rename, fsync the folder;
    4. only then may an older one go.
    """
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        _room(data, folder)
    except OSError as error:
        raise BackupError(f"{folder}: cannot be used for backups: {error.strerror or error}") from error
    name = time.strftime("vigie-%Y%m%dT%H%M%SZ.db", time.gmtime(now))
    aside, final = os.path.join(folder, f".{name}.new"), os.path.join(folder, name)
    try:
        with database.locked(data, 30.0), database.reader(data) as source:
            expected = facts(source)
            copy = sqlite3.connect(aside, isolation_level=None)
            try:
                source.backup(copy)
                copy.execute("PRAGMA journal_mode=DELETE")
            finally:
                copy.close()
        os.chmod(aside, 0o600)
        check(aside, expected)
        with open(aside, "rb+") as file:
            os.fsync(file.fileno())
        write_sum(f"{final}.sha256", sha256(aside), name)
        os.rename(aside, final)
        _sync_folder(folder)
    except (OSError, sqlite3.Error) as error:
        _remove(aside)
        raise BackupError(f"{final}: the backup failed: {error}") from error
    except BaseException:
        _remove(aside)
        raise
    rotate(folder)
    return Backup(final, now, os.path.getsize(final), "")


def facts(db: sqlite3.Connection) -> Facts:
    """What identifies the contents, read in one transaction."""
    return Facts(
        db.execute("PRAGMA application_id").fetchone()[0],
        db.execute("PRAGMA user_version").fetchone()[0],
        tuple(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in _COUNTED),
        db.execute("SELECT max(at) FROM cycle").fetchone()[0],
    )


def check(path: str, expected: Facts | None = None) -> Facts:
    """Open a copy and look: its facts. BackupError when it is not a whole Vigie database or differs from `expected`."""
    if os.path.getsize(path) == 0:
        raise BackupError(f"{path}: is empty")
    try:
        db = sqlite3.connect(f"file:{database.quoted(path)}?mode=ro&immutable=1", uri=True, isolation_level=None)
        try:
            if db.execute("PRAGMA application_id").fetchone()[0] != database.APPLICATION_ID:
                raise BackupError(f"{path}: is not a database of Vigie")
            verdict = db.execute("PRAGMA integrity_check").fetchone()[0]
            found = facts(db)
        finally:
            db.close()
    except sqlite3.Error as error:
        raise BackupError(f"{path}: cannot be opened: {error}") from error
    if verdict != "ok":
        raise BackupError(f"{path}: is damaged: {verdict}")
    if expected is not None and found != expected:
        raise BackupError(f"{path}: differs from the database it was made of: {found} instead of {expected}")
    return found


def verify(path: str) -> Facts:
    """A backup as it stands now: its SHA-256 is the one written when it was made, and it opens."""
    try:
        with open(f"{path}.sha256", encoding="ascii") as file:
            written = file.read().split()[0]
    except (OSError, IndexError, UnicodeDecodeError) as error:
        raise BackupError(f"{path}.sha256: is missing or unreadable; the backup cannot be trusted") from error
    if sha256(path) != written:
        raise BackupError(f"{path}: has changed since it was made (its SHA-256 differs); do not restore it")
    return check(path)


def names(folder: str) -> list[str]:
    """Backups, oldest first, as paths."""
    try:
        found = sorted(name for name in os.listdir(folder) if name.startswith("vigie-") and name.endswith(".db"))
    except FileNotFoundError:
        return []
    return [os.path.join(folder, name) for name in found]


def at(path: str) -> int:
    """When a backup was made, from its name. UTC seconds."""
    import calendar

    return calendar.timegm(time.strptime(os.path.basename(path)[:22], "vigie-%Y%m%dT%H%M%S"))


def rotate(folder: str) -> list[str]:
    """Keep the newest of each of 7 days, 4 weeks and 12 months (counted among those there are); remove the rest."""
    newest_first = list(reversed(names(folder)))
    keep: set[str] = set(newest_first[:1])
    for form, most in (("%Y-%m-%d", KEEP_DAILY), ("%G-%V", KEEP_WEEKLY), ("%Y-%m", KEEP_MONTHLY)):
        seen: set[str] = set()
        for path in newest_first:
            span = time.strftime(form, time.gmtime(at(path)))
            if span not in seen and len(seen) < most:
                seen.add(span)
                keep.add(path)
    removed = [path for path in newest_first if path not in keep]
    for path in removed:
        _remove(path)
        _remove(f"{path}.sha256")
    return removed


def restore(data: str, path: str, now: int) -> str:
    """Put a verified backup in the database's place, also under a running system. Returns where the old one went.

    1. the backup must verify; 2. under the writer's lock, the present files (with -wal and -shm) are set aside;
    3. the copy is written beside, synced and renamed into place. Texts archived since then come back from the journal
    by `./vigie rebuild`; those still in the spool are loaded by the next cycle.
    """
    verify(path)
    target = os.path.join(data, database.NAME)
    kept = os.path.join(data, "set-aside", time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now)))
    with database.locked(data, 60.0):
        aside = f"{target}.restore"
        shutil.copyfile(path, aside)
        os.chmod(aside, 0o600)
        db = sqlite3.connect(aside, isolation_level=None)
        try:
            db.execute("PRAGMA journal_mode=WAL")
        finally:
            db.close()
        with open(aside, "rb+") as file:
            os.fsync(file.fileno())
        os.makedirs(kept, mode=0o700, exist_ok=True)
        for suffix in ("-shm", "-wal", ""):
            if os.path.lexists(target + suffix):
                os.rename(target + suffix, os.path.join(kept, database.NAME + suffix))
        os.rename(aside, target)
        _sync_folder(data)
    return kept


def sha256(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_sum(path: str, digest: str, name: str) -> None:
    """The form that `sha256sum -c` reads."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(fd, "w", encoding="ascii") as file:
        file.write(f"{digest}  {name}\n")
        file.flush()
        os.fsync(file.fileno())


def _room(data: str, folder: str) -> None:
    needed = os.path.getsize(os.path.join(data, database.NAME)) * 2
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise BackupError(f"{folder}: {free >> 20} MB are free, a backup wants {needed >> 20} MB; the older ones stay")


def _sync_folder(folder: str) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _remove(path: str) -> None:
    if os.path.lexists(path):
        os.unlink(path)
