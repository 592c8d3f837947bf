"""Values between Python and PostgreSQL, as the archive knows them from SQLite. For archive/postgresql.py."""

from functools import cache
from typing import Any


def fit(raw: Any, psycopg: Any) -> None:
    """Make a psycopg connection give and take values as sqlite3 does."""
    raw.adapters.register_loader("numeric", _number(psycopg))
    raw.adapters.register_dumper(bool, _truth(psycopg))


@cache
def _number(psycopg: Any) -> Any:
    """numeric -> int or float, as SQLite gives them: sum() of integers is numeric here."""
    base = psycopg.adapt.Loader

    class Number(base):  # type: ignore[misc,valid-type]
        def load(self, data: Any) -> int | float:
            text = bytes(data).decode("ascii")
            return float(text) if "." in text or "N" in text else int(text)

    return Number


@cache
def _truth(psycopg: Any) -> Any:
    """bool -> 0 or 1: the columns are integers."""
    base = psycopg.adapt.Dumper

    class Truth(base):  # type: ignore[misc,valid-type]
        oid = 20

        def dump(self, obj: bool) -> bytes:
            return b"1" if obj else b"0"

        def quote(self, obj: bool) -> bytes:
            return self.dump(obj)

    return Truth
