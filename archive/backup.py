"""Backups: through SQLite's backup API, each opened and compared before an older one goes; and the way back.

`integrity_check` says ok on a 0-byte file and on one with a flipped byte, so a copy is believed only when its id,
schema, counts and newest time equal what the original held in the same snapshot, and its SHA-256 stands beside it.
"""

import contextlib
import hashlib
import os
import re
import shutil
import sqlite3
import time
from typing import NamedTuple

from archive import database, engine, rights

KEEP_DAILY, KEEP_WEEKLY, KEEP_MONTHLY = 7, 4, 12
LOCK = "backup.lock"  # one backup at a time; the writer's lock is not needed, a reader's snapshot is whole
# Only names of this form are ours to count and to remove.
_NAME = re.compile(r"vigie-[0-9]{8}T[0-9]{6}Z\.db")
_OURS = re.compile(r"\.?vigie-[0-9]{8}T[0-9]{6}Z\.db(\.new(-journal|-wal|-shm)?|\.sha256)")


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
    counts: tuple[tuple[str, int], ...]  # every table, by name
    newest_at: int | None


def make(data: str, folder: str, now: int) -> Backup:
    """One verified backup, then the rotation. Holds up neither readers nor the writer.

    1. remove what a killed backup left half-way;
    2. copy one snapshot into a hidden file in the same folder;
    3. open the copy: facts equal, integrity_check ok;
    4. fsync, SHA-256 beside it, rename, fsync the folder;
    5. only then may an older one go.
    """
    only_here(data)
    try:
        os.makedirs(folder, mode=rights.of_folder(folder), exist_ok=True)
    except OSError as error:
        raise BackupError(f"{folder}: cannot be used for backups: {error.strerror or error}") from error
    with database.locked(data, 30.0, LOCK):
        try:
            _clear(folder)
            _room(data, folder)
            while os.path.lexists(final := os.path.join(folder, name(now))):
                now += 1
            _copy(data, final)
        except (OSError, sqlite3.Error) as error:
            raise BackupError(f"{folder}: the backup failed: {error}; the older ones stay") from error
        rotate(folder)
    return Backup(final, now, os.path.getsize(final), "")


def only_here(data: str) -> None:
    """Copies are made of a file, by SQLite's means. Raises BackupError that says what to do where the rows are on PostgreSQL."""
    if url := engine.url_of(data):
        raise BackupError(
            f"{engine.shown(url)}: the rows are on PostgreSQL, whose own tools copy them and bring them back:"
            " pg_dump and pg_restore, or pg_basebackup with its WAL (docs/fleet.md, Back-ups)"
        )


def name(now: int) -> str:
    """The file name of a backup made at this second."""
    return time.strftime("vigie-%Y%m%dT%H%M%SZ.db", time.gmtime(now))


def _copy(data: str, final: str) -> None:
    folder, name = os.path.split(final)
    aside = os.path.join(folder, f".{name}.new")
    try:
        # Made by us, closed to others, before a byte is in it.
        _new_file(aside)
        with database.reader(data) as source:
            expected = facts(source)
            copy = sqlite3.connect(aside, isolation_level=None)
            try:
                source.backup(copy)
                copy.execute("PRAGMA journal_mode=DELETE")
            except sqlite3.Error as error:  # here, lest it be taken for the database's own
                raise BackupError(f"{final}: the backup failed: {error}; the older ones stay") from error
            finally:
                copy.close()
        check(aside, expected)
        database.sync(aside)
        write_sum(f"{final}.sha256", sha256(aside), name)
        os.rename(aside, final)
        database.sync(folder)
    finally:
        for leftover in (aside, f"{aside}-journal"):
            _remove(leftover)


def _clear(folder: str) -> None:
    """What a killed backup left: a copy without its name, a checksum without its copy."""
    for name in os.listdir(folder):
        if _OURS.fullmatch(name) and not (
            name.endswith(".sha256") and os.path.exists(os.path.join(folder, name.removesuffix(".sha256")))
        ):
            _remove(os.path.join(folder, name))


def facts(db: sqlite3.Connection) -> Facts:
    """What identifies the contents, read in one transaction. Counts every table: an older schema has fewer."""
    tables = [
        row[0]
        for row in db.execute(
            "SELECT name FROM sqlite_master WHERE type='table' AND name NOT LIKE 'sqlite%' ORDER BY 1"
        )
    ]
    return Facts(
        db.execute("PRAGMA application_id").fetchone()[0],
        db.execute("PRAGMA user_version").fetchone()[0],
        tuple((name, db.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]) for name in tables),
        db.execute("SELECT max(at) FROM cycle").fetchone()[0],
    )


def check(path: str, expected: Facts | None = None) -> Facts:
    """Open a copy and look: its facts. BackupError when it is not a whole Vigie database or differs from `expected`."""
    try:
        if os.path.getsize(path) == 0:
            raise BackupError(f"{path}: is empty")
    except OSError as error:
        raise BackupError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        db = sqlite3.connect(f"file:{database.quoted(path)}?mode=ro&immutable=1", uri=True, isolation_level=None)
        try:
            if db.execute("PRAGMA application_id").fetchone()[0] != database.APPLICATION_ID:
                raise BackupError(f"{path}: is not a database of Vigie")
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version > database.latest_version():
                raise BackupError(f"{path}: is of a newer Vigie (schema {version}); upgrade this one: git pull")
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
    _check_sum(path, path)
    return check(path)


def _check_sum(path: str, backup: str) -> None:
    """`path` must have the SHA-256 that stands beside `backup`."""
    try:
        with open(f"{backup}.sha256", encoding="ascii") as file:
            written = file.read(200).split()[0]
    except (OSError, IndexError, UnicodeDecodeError) as error:
        check(path)  # a wrong file altogether: better said than a missing checksum
        raise BackupError(f"{backup}.sha256: is missing or unreadable; the backup cannot be trusted") from error
    try:
        found = sha256(path)
    except OSError as error:
        raise BackupError(f"{path}: cannot be read: {error.strerror}") from error
    if found != written:
        raise BackupError(f"{backup}: has changed since it was made (its SHA-256 differs); do not restore it")


def names(folder: str) -> list[str]:
    """Backups, oldest first, as paths."""
    try:
        found = sorted(name for name in os.listdir(folder) if _NAME.fullmatch(name))
    except FileNotFoundError:
        return []
    return [os.path.join(folder, name) for name in found]


def at(path: str) -> int:
    """When a backup was made, from its name. UTC seconds."""
    import calendar

    return calendar.timegm(time.strptime(os.path.basename(path)[:21], "vigie-%Y%m%dT%H%M%S"))


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

    1. the backup must verify; 2. under the writer's lock, it is copied beside, the copy compared, synced; 3. the present
    files are set aside, the database first: killed in between, it is missing (and said to be), never without its -wal;
    4. the copy is renamed into place. Texts archived since then come back from the journal by `./vigie rebuild`; those
    still in the spool are loaded by the next cycle.
    """
    only_here(data)
    verify(path)
    target = os.path.join(data, database.NAME)
    aside = f"{target}.restore"
    with database.locked(data, 60.0):
        try:
            _put_beside(path, aside)
            kept = _new_folder(os.path.join(data, "set-aside"), now)
            for suffix in ("", "-wal", "-shm"):
                if os.path.lexists(target + suffix):
                    os.rename(target + suffix, os.path.join(kept, database.NAME + suffix))
            os.rename(aside, target)
            database.sync(data)
        except (OSError, sqlite3.Error) as error:
            raise BackupError(f"{target}: the backup was not put in place: {error}") from error
        finally:
            _remove(aside)
    return kept


def _put_beside(path: str, aside: str) -> None:
    for leftover in (aside, f"{aside}-wal", f"{aside}-shm", f"{aside}-journal"):
        _remove(leftover)
    copied(path, aside)
    db = sqlite3.connect(aside, isolation_level=None)
    try:
        db.execute("PRAGMA journal_mode=WAL")
    finally:
        db.close()
    database.sync(aside)


def copied(path: str, aside: str) -> None:
    """A backup's bytes in a new file of ours, compared with its SHA-256. `aside` must not be there."""
    _new_file(aside)
    shutil.copyfile(path, aside)
    _check_sum(aside, path)


def _new_file(path: str) -> None:
    """An empty file of ours, where there was none."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    os.close(os.open(path, flags, rights.of_file(path)))


def _new_folder(parent: str, now: int) -> str:
    """A folder of this second's name that was not there."""
    os.makedirs(parent, mode=rights.of_folder(parent), exist_ok=True)
    name = path = os.path.join(parent, time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now)))
    number = 1
    while os.path.lexists(path):
        number += 1
        path = f"{name}-{number}"
    os.mkdir(path, rights.of_folder(path))
    return path


def sha256(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_sum(path: str, digest: str, name: str) -> None:
    """The form that `sha256sum -c` reads."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, rights.of_file(path))
    with open(fd, "w", encoding="ascii") as file:
        file.write(f"{digest}  {name}\n")
        file.flush()
        os.fsync(file.fileno())


def _room(data: str, folder: str) -> None:
    path = os.path.join(data, database.NAME)
    needed = os.path.getsize(path) + (16 << 20)
    with contextlib.suppress(FileNotFoundError):  # the last connection that closes takes it away
        needed += os.path.getsize(f"{path}-wal")
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise BackupError(f"{folder}: {free >> 20} MB are free, a backup wants {needed >> 20} MB; the older ones stay")


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
