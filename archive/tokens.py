"""API tokens as rows of `data/logins.db`: a name, the token's SHA-256, when it was made and last used. They read only.

A token is 256 random bits, so a plain hash keeps it: there is nothing to guess, and a slow one would cost every request.
Times are UTC seconds; writing functions stand within the caller's transaction (archive.logins.writing).
"""

import hashlib
import secrets
import sqlite3
from typing import NamedTuple

from archive.refused import Refused

PREFIX = "vigie_"  # so that one that was pasted where it should not be is found
LENGTH = len(PREFIX) + 43
LONGEST_NAME = 64
MOST = 50


class TokenError(Refused):
    """A token that cannot be made, or is not there."""


class Token(NamedTuple):
    id: int
    name: str
    made_at: int
    made_by: str
    used_at: int | None


_COLUMNS = ", ".join(Token._fields)


def hashed(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def make(db: sqlite3.Connection, name: str, by: str, now: int) -> str:
    """A new token, which is kept nowhere: whoever asked shows it once. Raises TokenError."""
    name = " ".join(name.split())
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise TokenError(
            "name", "Give the token a name of 1 to %(most)s characters, such as prometheus.", most=LONGEST_NAME
        )
    if db.execute("SELECT 1 FROM token WHERE name=?", (name,)).fetchone():
        raise TokenError(
            "name", "There is a token named “%(name)s” already: revoke it first, or take another name.", name=name
        )
    if db.execute("SELECT count(*) FROM token").fetchone()[0] >= MOST:
        raise TokenError("name", "There are %(most)s tokens already: revoke one that is not used any more.", most=MOST)
    token = PREFIX + secrets.token_urlsafe(32)
    db.execute(
        "INSERT INTO token (name, hash, made_at, made_by, used_at) VALUES (?, ?, ?, ?, NULL)",
        (name, hashed(token), now, by),
    )
    return token


def every(db: sqlite3.Connection) -> list[Token]:
    """By name."""
    return [Token(*row) for row in db.execute(f"SELECT {_COLUMNS} FROM token ORDER BY name")]


def find(db: sqlite3.Connection, token: str) -> Token | None:
    """The row of a token that was shown to us; None when it is not one of ours."""
    row = db.execute(f"SELECT {_COLUMNS} FROM token WHERE hash=?", (hashed(token),)).fetchone()
    return Token(*row) if row else None


def used(db: sqlite3.Connection, ident: int, now: int) -> None:
    db.execute("UPDATE token SET used_at=? WHERE id=?", (now, ident))


def revoke(db: sqlite3.Connection, name: str) -> bool:
    """It opens nothing from now on. False when there is none of that name."""
    return db.execute("DELETE FROM token WHERE name=?", (" ".join(name.split()),)).rowcount > 0
