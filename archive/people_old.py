"""What names people has a retention of its own: per-user lines, log-ins and accounts, evidence, incidents of a user."""

import sqlite3

from archive import catalog
from archive.people import DAY, name_of
from archive.pseudonyms import LABEL

STRETCH = 16 * DAY  # the longest that one packed row of a line spans


def oldest(db: sqlite3.Connection) -> int | None:
    """The oldest time for which a row names somebody; None when none does. Of what is packed, when its last moment was: it goes
    as a whole."""
    found: list[int] = []
    lines = _lines(db)
    for table, column, span in _tables(db):
        for host, line in lines:
            row = db.execute(
                f'SELECT min("{column}" + {span}) FROM "{table}" WHERE host=? AND series=?', (host, line)
            ).fetchone()
            found += [row[0]] if row[0] is not None else []
    for sql in (
        "SELECT min(gone_at) FROM fact WHERE gone_at IS NOT NULL AND labels LIKE '%\"user\"%'",
        "SELECT min(at) FROM event WHERE kind IN ('login', 'account')",
        "SELECT min(at) FROM evidence",
    ):
        row = db.execute(sql).fetchone()
        found += [row[0]] if row[0] is not None else []
    return min(found, default=None)


def _tables(db: sqlite3.Connection) -> list[tuple[str, str, str]]:
    """(table, its column of time, the seconds that one of its rows spans as SQL) of every table of a line's figures."""
    found = []
    for table in catalog.with_column(db, "series"):
        if table == "incident":
            continue
        columns = catalog.columns(db, table)
        if "day" in columns:
            found.append((table, "day", str(DAY)))
        elif "data" in columns:
            span = f"CASE WHEN step < 3600 THEN {DAY} ELSE {STRETCH} END" if "step" in columns else str(STRETCH)
            found.append((table, "at", span))
        else:
            found.append((table, "at", "1"))
    return found


def _lines(db: sqlite3.Connection) -> list[tuple[int, int]]:
    """(host, id) of each line that names somebody."""
    rows = db.execute(f"SELECT host, id, labels FROM series WHERE labels LIKE '%\"{LABEL}\"%'").fetchall()
    return [(host, ident) for host, ident, labels in rows if name_of(labels)]


def purge(db: sqlite3.Connection, before: int) -> int:
    """Remove what names people and is older than `before`, within the caller's transaction. Returns the rows removed.

    Packed rows go as a whole, once their last moment may: a day, or a stretch of sixteen. An incident that ended before goes with its story.
    """
    count = 0
    lines = _lines(db)
    for table, column, span in _tables(db):
        for host, line in lines:
            count += db.execute(
                f'DELETE FROM "{table}" WHERE host=? AND series=? AND "{column}" + {span} <= ?', (host, line, before)
            ).rowcount
    count += db.execute("DELETE FROM fact WHERE gone_at < ? AND labels LIKE '%\"user\"%'", (before,)).rowcount
    count += db.execute("DELETE FROM event WHERE kind IN ('login', 'account') AND at < ?", (before,)).rowcount
    count += db.execute("DELETE FROM evidence WHERE at < ?", (before,)).rowcount
    over = db.execute(
        "SELECT id, labels FROM incident WHERE state='resolved' AND ended_at < ? AND labels LIKE '%\"user\"%'",
        (before,),
    ).fetchall()
    for ident, labels in over:
        if name_of(labels):
            for table in ("transition", "evidence", "told"):
                db.execute(f'DELETE FROM "{table}" WHERE incident=?', (ident,))
            db.execute("UPDATE incident SET cause=NULL WHERE cause=?", (ident,))
            count += db.execute("DELETE FROM incident WHERE id=?", (ident,)).rowcount
    return count
