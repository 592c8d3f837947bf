"""Tables found by their columns, and rows moved from one key to another, on either engine.

Upkeep and people's own wishes only: the minute's path knows its tables by name.
"""

import sqlite3
from typing import TYPE_CHECKING, NamedTuple, cast

if TYPE_CHECKING:
    from archive import postgresql

SCHEMA = "relnamespace = current_schema()::regnamespace"


class Key(NamedTuple):
    """Columns that no two rows have alike; `rows` is the SQL condition of the rows that it holds for, '' for all."""

    columns: tuple[str, ...]
    rows: str


def tables(db: sqlite3.Connection) -> list[str]:
    """The names of the tables that hold rows, by name; the days of `sample` (archive/partitions.py) are one."""
    sql = "SELECT name FROM sqlite_master WHERE type='table' AND name NOT LIKE 'sqlite%' ORDER BY name"
    if not isinstance(db, sqlite3.Connection):
        sql = f"SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition AND {SCHEMA} ORDER BY relname"
    return [row[0] for row in db.execute(sql)]


def columns(db: sqlite3.Connection, table: str) -> list[str]:
    """The table's columns, in order; none when there is no such table."""
    if isinstance(db, sqlite3.Connection):
        return [row[1] for row in db.execute(f'PRAGMA table_info("{table}")')]
    rows = db.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(quote_ident(?)) AND attnum > 0"
        " AND NOT attisdropped ORDER BY attnum",
        (table,),
    )
    return [row[0] for row in rows]


def with_column(db: sqlite3.Connection, column: str) -> list[str]:
    """Tables that have a column of this name, by name."""
    if isinstance(db, sqlite3.Connection):
        return [table for table in tables(db) if column in columns(db, table)]
    rows = db.execute(
        "SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid WHERE c.relkind IN ('r', 'p')"
        f" AND NOT c.relispartition AND c.{SCHEMA} AND a.attname = ? AND NOT a.attisdropped ORDER BY c.relname",
        (column,),
    )
    return [row[0] for row in rows]


def rekey(db: sqlite3.Connection, table: str, column: str, new: object, old: object, *, stays: bool, host: int = 0) -> int:  # fmt: skip
    """Rows whose `column` is `old` get `new`, within the caller's transaction. Returns how many did.

    Where a row has the new key already, that one goes; with `stays`, it is kept and the moving row stays as it is.
    `host`: only this machine's rows.
    """
    where, told = (" AND host=?", (host,)) if host else ("", ())
    if isinstance(db, sqlite3.Connection):
        loser = "IGNORE" if stays else "REPLACE"
        return db.execute(
            f'UPDATE OR {loser} "{table}" SET {column}=? WHERE {column}=?{where}', (new, old, *told)
        ).rowcount
    clash = []
    for key in _keys(db, table, column):
        rest = "".join(f' AND other.{name} = "{table}".{name}' for name in key.columns if name != column)
        rows = f'(SELECT * FROM "{table}" WHERE {key.rows or "true"})'
        clash.append(f"({key.rows or 'true'}) AND EXISTS (SELECT 1 FROM {rows} other WHERE other.{column}=?{rest})")
    if not stays:
        for condition in clash:
            db.execute(f'DELETE FROM "{table}" WHERE {column}=?{where} AND {condition}', (new, *told, old))
        clash = []
    free = "".join(f" AND NOT ({condition})" for condition in clash)
    return db.execute(
        f'UPDATE "{table}" SET {column}=? WHERE {column}=?{where}{free}', (new, old, *told, *[new] * len(clash))
    ).rowcount


def _keys(db: sqlite3.Connection, table: str, column: str) -> list[Key]:
    """The table's keys in which the column stands, on PostgreSQL."""
    rows = db.execute(
        "SELECT i.indexrelid, a.attname, pg_get_expr(i.indpred, i.indrelid) FROM pg_index i"
        " JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)"
        " WHERE i.indrelid = to_regclass(quote_ident(?)) AND i.indisunique ORDER BY i.indexrelid, a.attnum",
        (table,),
    ).fetchall()
    found: dict[int, Key] = {}
    for ident, name, condition in rows:
        known = found.get(ident, Key((), condition or ""))
        found[ident] = known._replace(columns=(*known.columns, name))
    return [key for key in found.values() if column in key.columns]


def shred(db: sqlite3.Connection) -> None:
    """The file again without the pages that rows left free; outside a transaction. On PostgreSQL the tables whose rows hold
    words, each locked for as long as it is written anew; samples are numbers. Its WAL and its backups stay as they are."""
    if isinstance(db, sqlite3.Connection):
        db.execute("VACUUM")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return
    rows = db.execute(
        "SELECT DISTINCT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
        f" WHERE c.relkind = 'r' AND NOT c.relispartition AND c.{SCHEMA} AND a.atttypid = 'text'::regtype"
        " AND a.attnum > 0 AND NOT a.attisdropped ORDER BY c.relname"
    ).fetchall()
    for (table,) in rows:
        cast("postgresql.Connection", db).script(f'VACUUM (FULL) "{table}"')


def wipe_freed(db: sqlite3.Connection) -> None:
    """From now on, this connection overwrites what it removes. PostgreSQL has no such switch: `shred` afterwards."""
    if isinstance(db, sqlite3.Connection):
        db.execute("PRAGMA secure_delete=ON")
