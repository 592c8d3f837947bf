"""The days of `sample` on PostgreSQL: one partition a UTC day, made when its first sample comes, dropped when it is packed."""

import sqlite3
import time
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from archive import postgresql

DAY = 86_400
_known: set[tuple[str, int]] = set()


def name_of(day: int) -> str:
    return "sample_" + time.strftime("%Y%m%d", time.gmtime(day))


def have(db: sqlite3.Connection, at: int) -> None:
    """The partition of this time's day, made where there is none, within the caller's transaction. Nothing on SQLite.

    Made beside, then attached: a reader of another day is not held up.
    """
    if isinstance(db, sqlite3.Connection):
        return
    connection = cast("postgresql.Connection", db)
    day = at - at % DAY
    key = (connection.url, day)
    if key in _known:
        return
    if not exists(db, day):
        from archive.postgresql import LOCK_CLASS, SCHEMA

        db.execute("SELECT pg_advisory_xact_lock(?, ?)", (LOCK_CLASS, SCHEMA))
        if not exists(db, day):
            table = name_of(day)
            connection.script(
                f"CREATE TABLE {table} (LIKE sample INCLUDING ALL);"
                f" ALTER TABLE sample ATTACH PARTITION {table} FOR VALUES FROM ({day}) TO ({day + DAY})"
            )
    _known.add(key)


def exists(db: sqlite3.Connection, day: int) -> bool:
    return db.execute("SELECT to_regclass(?)", (name_of(day),)).fetchone()[0] is not None


def days(db: sqlite3.Connection) -> list[int]:
    """The days that have a partition, oldest first."""
    import calendar

    rows = db.execute(
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = to_regclass(?)",
        ("sample",),
    )
    return sorted(calendar.timegm(time.strptime(name[7:], "%Y%m%d")) for (name,) in rows)


def drop(db: sqlite3.Connection, day: int) -> None:
    """The day's samples go, all at once, within the caller's transaction: every one of them is packed, or past keeping."""
    db.execute(f"DROP TABLE {name_of(day)}")
    forget()


def forget() -> None:
    """Ask again which days there are."""
    _known.clear()


def hold(db: sqlite3.Connection, day: int) -> None:
    """Nobody else reads or writes this day until the transaction ends."""
    cast("postgresql.Connection", db).script(f"LOCK TABLE {name_of(day)} IN ACCESS EXCLUSIVE MODE")


def hosts(db: sqlite3.Connection, day: int) -> list[int]:
    """Whose samples are in a day: a look into the index for each, however many samples there are."""
    table = name_of(day)
    rows = db.execute(
        f"WITH RECURSIVE found(host) AS (SELECT min(host) FROM {table} UNION ALL"
        f" SELECT (SELECT min(host) FROM {table} s WHERE s.host > found.host) FROM found WHERE found.host IS NOT NULL)"
        " SELECT host FROM found WHERE host IS NOT NULL"
    )
    return [host for (host,) in rows]
