"""Upkeep: what is done once an hour or once a day, beside the minute's path, in steps that hold nothing up.

Hourly: rollups, the checkpoint, a part of the journal, the reserve. Daily: back up and verify, pack past days, purge, compress the journal,
quick_check. Each step takes the writer's lock for itself and lets the minute's path in between.
"""

import os
import shutil
import sqlite3
import sys
import time

from archive import (
    backup,
    clock,
    database,
    dues,
    engine,
    events,
    evidence,
    load,
    outbox,
    people,
    privacy,
    purge,
    read,
    reserve,
    rollup,
    settings,
    slices,
    timeline,
)
from archive.fleet import keeping

DAY = 86_400
PACK_AFTER = 2 * DAY  # samples younger than this stay as rows: the last hours of any time zone's yesterday
BACKUP_AT = 2 * 3600 + 1800  # seconds after 00:00 UTC
WAL_LIMIT = 64 << 20  # bytes: more than this after a checkpoint, and a reader has been open for days
RESERVE_ROOM = 8 * reserve.RESERVE_BYTES  # the reserve is set aside again when there is so much room


def due(data: str, db: sqlite3.Connection, now: int) -> bool:
    """Whether an hour or a day has passed since the last upkeep."""
    del data  # what is due stands in the database
    return dues.upkeep(db, now)


def run(config: settings.Settings, now: int, host: int = 1) -> list[str]:
    """All that is due. Returns what went wrong, one line each; what can be done is done."""
    errors: list[str] = []
    data = config.data
    with database.writer(data, 30.0) as db:
        _remember(db, "upkeep_at", now, now)
    slices.repeat(data, lambda db, spent: rollup.roll(db, host, now, spent=spent))
    with database.writer(data, 30.0) as db:
        timeline.update(db, host, config.root, config.timezone, now)
    _checkpoint(data, errors)
    purge.journal_of_today(data, now)
    if shutil.disk_usage(data).free > RESERVE_ROOM:
        reserve.make_reserve(data)
    today = (now - BACKUP_AT) // DAY
    if _is_new_day(data, "backup_day", today):
        _back_up(config, now, host, today, errors)
    if _is_new_day(data, "upkeep_day", today):
        slices.pack_days(data, host, now - PACK_AFTER)
        slices.pack_old(data, host, (now - PACK_AFTER) // DAY * DAY, now)
        _purge(data, now, host)
        errors += privacy.upkeep(data, config.backup_dir, now, host)
        with database.reader(data) as db:
            purge.journal(data, now, min(purge.JOURNAL_DAYS, people.days(db)))  # its texts name people
        _quick_check(data, now, errors)
        with database.writer(data, 30.0) as db:
            _remember(db, "upkeep_day", today, now)
    return errors


def _is_new_day(data: str, name: str, today: int) -> bool:
    """Whether this day's work is still to do. A day after tomorrow is not believed: the clock was ahead when it was set."""
    with database.reader(data) as db:
        said = read.setting(db, name)
    last = int(said) if said.isascii() and said.isdigit() else -1
    return not today <= last <= today + 1


def _checkpoint(data: str, errors: list[str]) -> None:
    if engine.url_of(data):
        return  # PostgreSQL makes its own
    with database.writer(data, 30.0) as db:
        db.execute("PRAGMA busy_timeout=500")  # a page being read is not waited for: the minute's path would wait too
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    path = os.path.join(data, f"{database.NAME}-wal")
    size = os.path.getsize(path) if os.path.exists(path) else 0
    if size > WAL_LIMIT:
        errors.append(f"{path}: has {size >> 20} MB; a program has kept the database open for long: see fuser {path!r}")


def _back_up(config: settings.Settings, now: int, host: int, today: int, errors: list[str]) -> None:
    """Tried again an hour later when it fails."""
    if engine.url_of(config.data):
        return  # PostgreSQL's own tools (docs/fleet.md)
    try:
        made = backup.make(config.data, config.backup_dir, now)
    except (backup.BackupError, database.DatabaseError) as error:
        errors.append(str(error))
        with database.writer(config.data, 30.0) as db:
            _remember(db, "backup_error", str(error), now)
        return
    with database.writer(config.data, 30.0) as db, database.transaction(db):
        events.add(db, host, now, "backup", os.path.basename(made.path), str(made.bytes))
        _remember(db, "backup_at", now, now)
        _remember(db, "backup_error", "", now)
        _remember(db, "backup_day", today, now)


def _purge(data: str, now: int, host: int) -> None:
    with database.writer(data, 30.0) as db:
        reason = purge.distrust(db, host, now)
        _remember(db, "purge_refused", reason, now)
        cut = purge.edge(db, host, now)
    if reason:
        return
    removed = 0

    def step(db: sqlite3.Connection, spent: slices.Spent) -> bool:
        nonlocal removed
        done = purge.step(db, host, cut, now, slices.ROWS, spent)
        removed += done.samples + done.packed
        return done.more

    slices.repeat(data, step)
    with database.writer(data, 30.0) as db:
        limit = now - purge.retention_days(db) * DAY
        with database.transaction(db):
            purge.finish(db, host, cut, now, removed)
            outbox.purge(db, limit)
            evidence.purge(db, limit)
    more = True
    while more:
        with database.writer(data, 30.0) as db:
            more = purge.give_back(db)
        if more:
            time.sleep(slices.PAUSE)


def _quick_check(data: str, now: int, errors: list[str]) -> None:
    """Under no lock: a reader's snapshot is whole."""
    with database.reader(data) as db:
        verdict = database.quick_check(db)
    if verdict != "ok":
        errors.append(f"{os.path.join(data, database.NAME)}: {verdict}; type: ./vigie restore")
    with database.writer(data, 30.0) as db:
        _remember(db, "quick_check", verdict, now)


def _remember(db: sqlite3.Connection, name: str, value: int | str, now: int) -> None:
    db.execute(
        "INSERT INTO setting VALUES (?, ?, ?, 'upkeep') ON CONFLICT (name)"
        " DO UPDATE SET value=excluded.value, updated_at=excluded.updated_at",
        (name, str(value), now),
    )


def main() -> int:
    """`python -m archive.upkeep [--load]`: with --load, what waits in the spool is archived first."""
    try:
        config, now = settings.load(), clock.now()
        if "--load" in sys.argv[1:]:
            with database.writer(config.data) as db:
                privacy.settle(db, config.data, config.users, now)
                load.load(config.data, db, now)
        with database.reader(config.data) as db:
            wanted = "--now" in sys.argv[1:] or due(config.data, db, now)
        errors = run(config, now) if wanted else []
        errors += keeping.run(config.data, now) if wanted else []
    except database.Busy:
        return 0
    except (settings.SettingsError, database.DatabaseError, OSError) as error:
        errors = [str(error)]
    for line in errors:
        print(f"vigie: {line}", file=sys.stderr)
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
