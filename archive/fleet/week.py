"""What the week of a fleet was, for its digest: machines that came and went, incidents by machine, the fullest disks, mails that
did not leave. Of machines that are not retired, unless it says otherwise. Times are UTC seconds, spans [start, end).
"""

import json
import sqlite3
from typing import NamedTuple

DISK = "disk_used_ratio"


class Troubled(NamedTuple):
    """One machine's incidents of the span."""

    host: int
    name: str
    opened: int
    ended: int
    going: int  # open now
    worst: int  # of those open now: 0 none, 1 warning, 2 critical


class Disk(NamedTuple):
    host: int
    name: str
    used: float  # 0 to 1, of the fullest one
    foretold: int  # 1: a forecast of it is an open incident


class Unsent(NamedTuple):
    """Mails of one machine that did not leave, or were refused."""

    name: str
    mails: int
    oldest_at: int
    reply: str  # the server's own words, of one of them; hostile


def joined(db: sqlite3.Connection, start: int, end: int) -> list[str]:
    """Machines whose first word came in the span."""
    rows = db.execute(
        "SELECT name FROM member WHERE joined_at >= ? AND joined_at < ? AND retired_at IS NULL ORDER BY name",
        (start, end),
    )
    return [row[0] for row in rows]


def retired(db: sqlite3.Connection, start: int, end: int) -> list[str]:
    """Those that were retired, or whose token was revoked, in the span."""
    rows = db.execute(
        "SELECT name FROM member WHERE coalesce(retired_at, revoked_at) >= ? AND coalesce(retired_at, revoked_at) < ?"
        " ORDER BY name",
        (start, end),
    )
    return [row[0] for row in rows]


def troubled(db: sqlite3.Connection, start: int, end: int) -> list[Troubled]:
    """Machines with an incident that opened, ended or goes on, the worst first. Silence is told apart, and is none here."""
    rows = db.execute(
        "SELECT m.host, m.name, sum(CASE WHEN i.opened_at >= ? THEN 1 ELSE 0 END),"
        " sum(CASE WHEN i.state = 'resolved' THEN 1 ELSE 0 END), sum(CASE WHEN i.state <> 'resolved' THEN 1 ELSE 0 END),"
        " max(CASE WHEN i.state = 'resolved' THEN 0 WHEN i.level = 'critical' THEN 2 ELSE 1 END)"
        " FROM incident i JOIN member m ON m.host = i.host WHERE m.retired_at IS NULL AND i.opened_at IS NOT NULL"
        " AND i.opened_at < ? AND NOT (i.kind = 'silent' AND i.metric = '') AND (i.state <> 'resolved' OR i.ended_at >= ?)"
        " GROUP BY m.host, m.name ORDER BY 6 DESC, 5 DESC, 3 DESC, m.name",
        (start, end, start),
    )
    return [Troubled(*row) for row in rows]


def disks(db: sqlite3.Connection, most: int) -> list[Disk]:
    """The machines to look at: those whose disk is foretold to be full, then the fullest. Figures are as last sent."""
    foretold = {
        row[0]
        for row in db.execute("SELECT DISTINCT host FROM incident WHERE kind = 'forecast' AND state <> 'resolved'")
    }
    found = []
    for host, name, text in db.execute(
        "SELECT m.host, m.name, f.figures FROM member m JOIN member_figures f ON f.host = m.host"
        " WHERE m.joined_at IS NOT NULL AND m.revoked_at IS NULL AND m.retired_at IS NULL"
    ):
        values = [value for value in json.loads(text).get(DISK, []) if value is not None]
        if values:
            found.append(Disk(host, name, float(values[-1]), int(host in foretold)))
    return sorted(found, key=lambda one: (-one.foretold, -one.used, one.name))[:most]


def unsent(db: sqlite3.Connection, start: int, end: int) -> list[Unsent]:
    """Mails of the machines' own that were refused or given up in the span, or are still held."""
    rows = db.execute(
        "SELECT m.name, count(*), min(x.at), max(x.reply) FROM member_mail x JOIN member m ON m.host = x.host"
        " WHERE m.retired_at IS NULL AND ((x.state IN ('refused', 'dropped') AND coalesce(x.done_at, x.at) >= ?) OR"
        " x.state = 'held') AND x.at < ? GROUP BY m.name ORDER BY 2 DESC, m.name",
        (start, end),
    )
    return [Unsent(*row) for row in rows]


def tags_of(db: sqlite3.Connection, reference: str) -> dict[str, int]:
    """{tag: machines that a publication concerns}, the most first; '' is those without a tag."""
    found: dict[str, int] = {}
    for tags, count in db.execute(
        "SELECT m.tags, count(*) FROM fleet_verdict v JOIN member m ON m.host = v.host"
        " WHERE v.advisory = (SELECT id FROM advisory WHERE reference = ?) AND v.verdict = 'affected' AND v.dismissed_at IS NULL AND m.joined_at IS NOT NULL"
        " AND m.revoked_at IS NULL AND m.retired_at IS NULL GROUP BY m.tags",
        (reference,),
    ):
        for word in tags.split() or [""]:
            found[word] = found.get(word, 0) + count
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))
