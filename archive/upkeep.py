"""Upkeep: what is done once an hour or once a day, beside the minute's path, in steps that hold nothing up.

Hourly: rollups, the checkpoint. Daily: pack past days, purge, compress the journal, back up and verify, quick_check.
"""

import os
import sqlite3
import sys
import time
from collections.abc import Callable

from archive import backup, clock, database, events, load, pack, purge, rollup, settings

Step = Callable[[sqlite3.Connection], bool]

DAY = 86_400
PACK_AFTER = 2 * DAY  # samples younger than this stay as rows: the last hours of any time zone's yesterday
BACKUP_AT = 2 * 3600 + 1800  # seconds after 00:00 UTC


def due(data: str, db: sqlite3.Connection, now: int) -> bool:
    """Whether an hour or a day has passed since the last upkeep. Cheap: asked every minute."""
    del data  # what is due stands in the database
    row = db.execute("SELECT value FROM setting WHERE name='upkeep_at'").fetchone()
    last = int(row[0]) if row else 0
    return now >= last + 3600 or now < last - 3600 or (now - 180) // 3600 > (last - 180) // 3600


def run(config: settings.Settings, now: int, host: int = 1) -> list[str]:
    """All that is due. Returns what went wrong, one line each; what can be done is done."""
    errors: list[str] = []
    with database.writer(config.data, 30.0) as db:
        _remember(db, "upkeep_at", now)
    _repeat(config.data, lambda db: rollup.roll(db, host, now))
    with database.writer(config.data, 30.0) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    with database.reader(config.data) as db:
        last_day = int(_setting(db, "upkeep_day", "0"))
    if (now - BACKUP_AT) // DAY <= last_day:
        return errors
    _daily(config, now, host, errors)
    with database.writer(config.data, 30.0) as db:
        _remember(db, "upkeep_day", (now - BACKUP_AT) // DAY)
    return errors


def _daily(config: settings.Settings, now: int, host: int, errors: list[str]) -> None:
    try:
        made = backup.make(config.data, config.backup_dir, now)
        with database.writer(config.data, 30.0) as db, database.transaction(db):
            events.add(db, host, now, "backup", os.path.basename(made.path), str(made.bytes))
            _remember(db, "backup_at", now)
            _remember(db, "backup_error", "")
    except (backup.BackupError, database.DatabaseError) as error:
        errors.append(str(error))
        with database.writer(config.data, 30.0) as db:
            _remember(db, "backup_error", str(error))
    _repeat(config.data, lambda db: _pack_one(db, host, now))
    with database.writer(config.data, 30.0) as db:
        purged = purge.purge(db, host, now)
        _remember(db, "purge_refused", purged.refused)
        verdict = db.execute("PRAGMA quick_check").fetchone()[0]
        _remember(db, "quick_check", verdict)
        if verdict != "ok":
            errors.append(f"{os.path.join(config.data, database.NAME)}: {verdict}; type: ./vigie restore")
    purge.journal(config.data, now)


def _pack_one(db: sqlite3.Connection, host: int, now: int) -> bool:
    """Pack the oldest day that is due and rolled up. True when it packed one (there may be another)."""
    oldest = db.execute("SELECT min(at) FROM sample WHERE host=?", (host,)).fetchone()[0]
    if oldest is None:
        return False
    day = oldest // DAY * DAY
    rolled = int(_setting(db, f"rolled_until.{host}", "0"))
    if day + DAY > min(now - PACK_AFTER, rolled):
        return False
    pack.pack_day(db, host, day)
    return True


def _repeat(data: str, step: Step) -> None:
    """Run a step until it has no more to do, each time in its own transaction, letting the minute's path in between."""
    more = True
    while more:
        with database.writer(data, 30.0) as db, database.transaction(db):
            more = step(db)
        if more:
            time.sleep(0.05)


def _remember(db: sqlite3.Connection, name: str, value: int | str) -> None:
    db.execute(
        "INSERT INTO setting VALUES (?, ?, ?, 'upkeep') ON CONFLICT (name)"
        " DO UPDATE SET value=excluded.value, updated_at=excluded.updated_at",
        (name, str(value), clock.now()),
    )


def _setting(db: sqlite3.Connection, name: str, default: str) -> str:
    row = db.execute("SELECT value FROM setting WHERE name=?", (name,)).fetchone()
    return str(row[0]) if row else default


def main() -> int:
    """`python -m archive.upkeep [--load]`: with --load, what waits in the spool is archived first."""
    try:
        config, now = settings.load(), clock.now()
        if "--load" in sys.argv[1:]:
            with database.writer(config.data) as db:
                load.load(config.data, db, now)
        with database.reader(config.data) as db:
            wanted = "--now" in sys.argv[1:] or due(config.data, db, now)
        errors = run(config, now) if wanted else []
    except database.Busy:
        return 0
    except (settings.SettingsError, database.DatabaseError, OSError) as error:
        errors = [str(error)]
    for line in errors:
        print(f"vigie: {line}", file=sys.stderr)
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
