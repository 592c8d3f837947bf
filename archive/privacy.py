"""What names people, wherever it is kept: the database, the journal's texts, the backups, what was set aside.

Everything here is done by the upkeep step or by a person at a terminal, never by the minute's path. A changed copy is
whole and compared before the one that it replaces goes.
"""

import lzma
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from archive import backup, database, people, people_old, pseudonyms, purge, rebuild, rights
from archive.people import DAY, Touched
from archive.pseudonyms import Names

LATE = 31 * DAY  # a backup is written anew for age once what names people in it is so much too old
JOURNAL_DONE = "journal_names"  # the mode in which the journal's texts are
Change = Callable[[sqlite3.Connection], int]


def settle(db: sqlite3.Connection, data: str, mode: str, now: int) -> Touched | None:
    """Bring the rows into the mode that VIGIE_USERS asks for. None when they are. Outside a transaction.

    What was hidden cannot be shown again: going back to `names` holds for what comes.
    """
    if pseudonyms.kept(db) == mode:
        return None
    with database.transaction(db):
        touched = people.rewrite(db, pseudonyms.rule(mode, data)) if mode != "names" else Touched(0, 0, 0, 0, 0)
        people.remember(db, pseudonyms.MODE, mode, "settings", now)
    return touched


def upkeep(data: str, folder: str, now: int, host: int = 1) -> list[str]:
    """Once a day: what names people and is too old goes; journal and backups follow. Returns what went wrong.

    A clock that is not believed deletes nothing, and one run at most two days' worth, as archive/purge.py has it.
    """
    problems: list[str] = []
    with database.writer(data, 30.0) as db:
        mode, kept = pseudonyms.kept(db), people.days(db)
        trusted = not purge.distrust(db, host, now)
        before = (now - kept * DAY) // DAY * DAY
        oldest = people_old.oldest(db) if trusted else None
        if oldest is not None and oldest < before:
            with database.transaction(db):
                people_old.purge(db, min(before, oldest // DAY * DAY + purge.MOST_DAYS * DAY))
        done = db.execute("SELECT value FROM setting WHERE name=?", (JOURNAL_DONE,)).fetchone()
    if mode != "names" and (not done or done[0] != mode):
        names = pseudonyms.rule(mode, data)
        problems += journal(data, names)
        with database.writer(data, 30.0) as db:
            people.remember(db, JOURNAL_DONE, mode, "upkeep", now)
    try:
        copies = backup.names(folder)
    except OSError:
        return problems  # the backup step has said why
    for path in copies:
        change = _wanted(path, data, mode, before if trusted else None)
        if change:
            try:
                rewritten(path, change)
            except (backup.BackupError, OSError, sqlite3.Error) as error:
                problems.append(str(error))
    return problems


def purge_now(data: str, now: int, host: int = 1) -> str:
    """All that is too old at once, because a person has just said so. Returns why not, '' when it is done."""
    with database.writer(data, 30.0) as db:
        reason = purge.distrust(db, host, now)
        if not reason:
            with database.transaction(db):
                people_old.purge(db, (now - people.days(db) * DAY) // DAY * DAY)
    return reason


def _wanted(path: str, data: str, mode: str, before: int | None) -> Change | None:
    """What is to be changed in a backup; None: nothing, or it cannot be read (./vigie backups says why)."""
    try:
        with _opened(path) as db:
            hide = mode != "names" and pseudonyms.kept(db) != mode
            oldest = people_old.oldest(db) if before is not None and not hide else None
    except sqlite3.Error:
        return None
    if not hide and (oldest is None or before is None or oldest >= before - LATE):
        return None

    def change(db: sqlite3.Connection) -> int:
        count = 0
        if hide:
            count += sum(people.rewrite(db, pseudonyms.rule(mode, data)))
            people.remember(db, pseudonyms.MODE, mode, "upkeep", 0)
        return count + (people_old.purge(db, before) if before is not None else 0)

    return change


@contextmanager
def _opened(path: str) -> Iterator[sqlite3.Connection]:
    db = sqlite3.connect(f"file:{database.quoted(path)}?mode=ro&immutable=1", uri=True, isolation_level=None)
    try:
        yield db
    finally:
        db.close()


# --- backups -----------------------------------------------------------------------------------------------------------


def rewritten(path: str, change: Change) -> str:
    """A backup with `change` done to it, whole and checked, in the place of the one before. Returns its path.

    It gets the name of the next free second: a copy and its checksum are never changed under one name, so that a kill
    in between leaves two sound backups and not one that seems damaged.
    """
    backup.verify(path)
    folder = os.path.dirname(path)
    at = backup.at(path) + 1
    while os.path.lexists(final := os.path.join(folder, backup.name(at))):
        at += 1
    aside = os.path.join(folder, f".{os.path.basename(final)}.new")
    try:
        backup.copied(path, aside)
        db = sqlite3.connect(aside, isolation_level=None)
        try:
            db.execute("PRAGMA secure_delete=ON")
            with database.transaction(db):
                if not change(db):
                    return path
            db.execute("VACUUM")
            expected = backup.facts(db)
        finally:
            db.close()
        backup.check(aside, expected)
        database.sync(aside)
        backup.write_sum(f"{final}.sha256", backup.sha256(aside), os.path.basename(final))
        os.rename(aside, final)
        database.sync(folder)
    finally:
        for leftover in (aside, f"{aside}-journal"):
            if os.path.lexists(leftover):
                os.unlink(leftover)
    for old in (path, f"{path}.sha256"):
        os.unlink(old)
    return final


def named_in(path: str) -> frozenset[str]:
    """Whom a backup names. Raises sqlite3.Error."""
    with _opened(path) as db:
        return people.known(db)


# --- the journal -------------------------------------------------------------------------------------------------------


def journal(data: str, names: Names, *, dry: bool = False) -> list[str]:
    """Every text of the journal as `names` wants it. Returns what could not be done. `dry`: the files that would change."""
    folder = os.path.join(data, "journal")
    told: list[str] = []
    for day in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        path = os.path.join(folder, day)
        if day.endswith(".xz") and not day.startswith("."):
            told += _archive(path, names, dry=dry)
        elif os.path.isdir(path):
            for name in sorted(os.listdir(path)):
                told += _text(os.path.join(path, name), names, dry=dry)
    return told


def texts(folder: str, names: Names, *, dry: bool = False) -> list[str]:
    """The same for texts that wait (spool)."""
    found = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    return [
        line
        for name in found
        if not name.startswith(".") and not name.endswith(".reason")
        for line in _text(os.path.join(folder, name), names, dry=dry)
    ]


def _text(path: str, names: Names, *, dry: bool) -> list[str]:
    from archive import spool

    try:
        if not dry:
            pseudonyms.cover(path, names)
            return []
        raw = spool.read(path)
        return [path] if pseudonyms.covered(raw, names) != raw else []
    except (spool.SpoolError, OSError) as error:
        return [f"{path}: {error}"]


def _archive(path: str, names: Names, *, dry: bool) -> list[str]:
    raw, problem = rebuild.unpacked(path)
    if problem:
        return [f"{path}: {problem}; its names were not changed: remove it if they must go"]
    parts = [pseudonyms.covered(one, names) for one in rebuild.split(raw)]
    new = b"".join(parts)
    if new == raw:
        return []
    if dry:
        return [path]
    folder, name = os.path.split(path)
    aside = os.path.join(folder, f".{name}.new")
    with lzma.open(aside, "wb", preset=2) as out:
        out.write(new)
    os.chmod(aside, rights.of_file(aside))
    database.sync(aside)
    os.rename(aside, path)
    database.sync(folder)
    return []
