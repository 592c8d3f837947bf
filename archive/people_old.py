"""What names people has a retention of its own: per-user lines, log-ins and accounts, evidence, incidents of a user."""

import sqlite3

from archive.people import DAY, name_of, with_column
from archive.pseudonyms import LABEL

STRETCH = 16 * DAY  # the longest that one packed row of a line spans


def oldest(db: sqlite3.Connection) -> int | None:
    """The oldest time for which a row names somebody; None when none does."""
    found: list[int] = []
    for column, tables in (("at", with_column(db, "at")), ("day", with_column(db, "day"))):
        for table in tables:
            if table in with_column(db, "series") and table != "incident":
                lines = _lines(db)
                found += [
                    row[0]
                    for line in lines
                    if (row := db.execute(f'SELECT min("{column}") FROM "{table}" WHERE host=1 AND series=?', (line,)).fetchone())
                    and row[0] is not None
                ]  # fmt: skip
    for sql in (
        "SELECT min(gone_at) FROM fact WHERE gone_at IS NOT NULL AND labels LIKE '%\"user\"%'",
        "SELECT min(at) FROM event WHERE kind IN ('login', 'account')",
        "SELECT min(at) FROM evidence",
    ):
        row = db.execute(sql).fetchone()
        found += [row[0]] if row[0] is not None else []
    return min(found, default=None)


def _lines(db: sqlite3.Connection) -> list[int]:
    rows = db.execute(f"SELECT id, labels FROM series WHERE labels LIKE '%\"{LABEL}\"%'").fetchall()
    return [ident for ident, labels in rows if name_of(labels)]


def purge(db: sqlite3.Connection, before: int) -> int:
    """Remove what names people and is older than `before`, within the caller's transaction. Returns the rows removed.

    Packed rows go by the whole UTC day. An incident that ended before goes with its story.
    """
    count = 0
    lines = _lines(db)
    for table in with_column(db, "series"):
        if table == "incident":
            continue
        columns = {row[1] for row in db.execute(f'PRAGMA table_info("{table}")')}
        column = "day" if "day" in columns else "at"
        # A stretch that is packed whole goes when its last day may; 16 days is the longest there is.
        limit = before - DAY if column == "day" else before - STRETCH if "data" in columns else before
        for line in lines:
            count += db.execute(
                f'DELETE FROM "{table}" WHERE series=? AND "{column}" < ?',
                (line, limit if column == "at" else limit + 1),
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
