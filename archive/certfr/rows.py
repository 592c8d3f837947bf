"""What is kept of CERT-FR, read back: rows of `advisory`, their history, what is owed a word, what is owed a reading.

Standard library only. Every function takes a connection, a reader's or a writer's. All times are UTC seconds.
"""

import json
import sqlite3
from typing import NamedTuple

DAY = 86_400
YEAR = 366 * DAY
SETTLED = 26 * 3600  # a day named by the site is over everywhere: a second revision of that day has been written


class Row(NamedTuple):
    """One advisory as it is kept. Texts are hostile still; `status` is open, closed or unknown (an avis has none)."""

    id: int
    reference: str
    kind: str
    title: str
    status: str
    first_at: int | None
    last_at: int | None
    closed_at: int | None
    withdrawn_at: int | None
    url: str
    summary: str
    body: str | None
    origin: str | None
    digest: str
    revision: int
    announced: int
    backlog: int
    seen_at: int
    read_at: int | None
    listed_at: int | None
    unlisted_at: int | None
    tries: int
    problem: str


class Past(NamedTuple):
    """A text before the present one, and what the next one changed."""

    revision: int
    replaced_at: int
    title: str
    status: str
    last_at: int | None
    closed_at: int | None
    canonical: str
    changed: tuple[str, ...]


class Owed(NamedTuple):
    """A publication to read."""

    reference: str
    kind: str


_FIELDS = ", ".join(Row._fields)


def row(db: sqlite3.Connection, reference: str) -> Row | None:
    found = db.execute(f"SELECT {_FIELDS} FROM advisory WHERE reference = :r", {"r": reference}).fetchone()
    return Row(*found) if found else None


def latest(db: sqlite3.Connection, kind: str, most: int) -> list[Row]:
    """Alerts in force first, then by the day of the last revision, newest first; undated ones last."""
    return [
        Row(*found)
        for found in db.execute(
            f"""SELECT {_FIELDS} FROM advisory WHERE kind = :kind
                ORDER BY CASE status WHEN 'open' THEN 0 ELSE 1 END, COALESCE(last_at, listed_at, 0) DESC, reference DESC
                LIMIT :most""",
            {"kind": kind, "most": most},
        )
    ]


def history(db: sqlite3.Connection, reference: str) -> list[Past]:
    """The texts before the present one, newest first."""
    return [
        Past(revision, replaced_at, title, status, last_at, closed_at, text, tuple(json.loads(changed)))
        for revision, replaced_at, title, status, last_at, closed_at, text, changed in db.execute(
            """SELECT v.revision, v.replaced_at, v.title, v.status, v.last_at, v.closed_at, v.canonical, v.changed
               FROM advisory_revision v JOIN advisory a ON a.id = v.advisory
               WHERE a.reference = :r ORDER BY v.revision DESC""",
            {"r": reference},
        )
    ]


def unannounced(db: sqlite3.Connection) -> list[Row]:
    """What is new, or was revised, since it was last told; never the backlog as it was first read."""
    return [
        Row(*found)
        for found in db.execute(f"SELECT {_FIELDS} FROM advisory WHERE revision > announced ORDER BY kind, reference")
    ]


def first_reading(db: sqlite3.Connection) -> tuple[int, int]:
    """(read, to read) of the backlog: the first reading is complete when they are equal and not 0."""
    done, total = db.execute(
        """SELECT COUNT(CASE WHEN read_at IS NOT NULL OR withdrawn_at IS NOT NULL THEN 1 END), COUNT(*)
           FROM advisory WHERE backlog = 1"""
    ).fetchone()
    return done, total


def owed(db: sqlite3.Connection, now: int) -> list[Owed]:
    """What is to be read now: alerts before advisories, newest first.

    Every alert in force, whatever was never read, whatever a list says was revised since; and once more what was read
    before its day was over, because the site's dates have no hour.
    """
    return [
        Owed(*found)
        for found in db.execute(
            """SELECT reference, kind FROM advisory
               WHERE withdrawn_at IS NULL AND (retry_at IS NULL OR retry_at <= :now OR retry_at > :now + :day)
                 AND (read_at IS NULL OR again = 1
                   OR (kind = 'alerte' AND status = 'open')
                   OR (kind = 'alerte' AND status = 'unknown' AND COALESCE(last_at, seen_at) > :now - :year)
                   OR (listed_at > COALESCE(last_at, 0) AND listed_at > COALESCE(read_listed_at, 0))
                   OR (read_at < listed_at + :settled AND listed_at + :settled <= :now))
               ORDER BY kind, COALESCE(listed_at, last_at, seen_at) DESC, reference DESC""",
            {"now": now, "day": DAY, "year": YEAR, "settled": SETTLED},
        )
    ]


def bodies(db: sqlite3.Connection) -> list[tuple[str, str]]:
    """(reference, JSON as served) of every publication that was read, newest revision first."""
    return [
        (reference, body)
        for reference, body in db.execute(
            "SELECT reference, body FROM advisory WHERE body IS NOT NULL ORDER BY last_at DESC, reference DESC"
        )
    ]
