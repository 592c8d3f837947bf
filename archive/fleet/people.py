"""Users across machines: what each machine last said of each user, kept small enough to be asked for all machines at once.

Samples tell who used what, and when, for ever; asked of a thousand machines for their newest, they would take seconds. So
a parcel's newest figures by user are kept in one row a user and machine (`member_user`), written at most every EVERY
seconds a machine. Figures are the machine's, names too: with VIGIE_USERS=pseudonyms the same person has another name on
each machine. `heard` is the centre's clock, `at` and `home_at` the machine's; UTC seconds.
"""

import json
import re
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from archive.fleet import members

CPU, MEMORY, PROCESSES, HOME = "user_cpu_seconds_total", "user_memory_bytes", "user_processes", "user_home_bytes"
EVERY = 300  # seconds between two writings of one machine
RECENT = 900  # older figures are not summed: they are of a machine that is silent, or of someone who left
DAY = 86_400
KEPT = 90 * DAY  # without a word of a user, the row goes
MOST = 1_000  # users of one machine
LONGEST = 256
_COLUMNS = {CPU: 0, MEMORY: 1, PROCESSES: 2, HOME: 3}
_PSEUDONYM = re.compile(r"user-[0-9a-f]{12}")
SORTS = ("machines", "cpu", "memory", "home", "user")
Values = Mapping[tuple[str, str], float]  # (metric, labels as JSON) -> value


class Total(NamedTuple):
    """One name over all machines. None: measured nowhere."""

    name: str
    machines: int
    cpu: float | None  # cores
    memory: float | None
    home: float | None
    sessions: int


class Seen(NamedTuple):
    """One name on one machine."""

    machine: str
    rank: int  # of members.RANKS
    cpu: float | None
    memory: float | None
    processes: float | None
    home: float | None
    sessions: int
    at: int
    recent: bool


# --- writing: within the caller's transaction --------------------------------------------------------------------------


def due(db: sqlite3.Connection, host: int, now: int) -> bool:
    """Whether a machine's rows are old enough to be written anew."""
    last = db.execute("SELECT max(heard_at) FROM member_user WHERE host=?", (host,)).fetchone()[0]
    return last is None or not 0 <= now - last < EVERY


def keep(
    db: sqlite3.Connection, host: int, at: int, values: Values, facts: Iterable[tuple[str, str]], now: int
) -> None:
    """The figures of one cycle. A home that was not measured in it stays as it was; whoever has no figure at all and was
    known keeps the old row, which says since when."""
    rows = by_user(values, facts)
    db.executemany(
        "INSERT INTO member_user (host, name, cpu, memory, processes, home, home_at, sessions, at, heard_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (host, name) DO UPDATE SET cpu=excluded.cpu,"
        " memory=excluded.memory, processes=excluded.processes, home=coalesce(excluded.home, member_user.home),"
        " home_at=coalesce(excluded.home_at, member_user.home_at), sessions=excluded.sessions, at=excluded.at,"
        " heard_at=excluded.heard_at",
        [
            (host, name, *figures, None if figures[3] is None else at, sessions, at, now)
            for name, (figures, sessions) in sorted(rows.items())
        ],
    )
    db.execute("DELETE FROM member_user WHERE host=? AND heard_at < ?", (host, now - KEPT))


def by_user(
    values: Values, facts: Iterable[tuple[str, str]]
) -> dict[str, tuple[tuple[float | None, float | None, float | None, float | None], int]]:
    """{name: ((cpu, memory, processes, home), log-ins)} of a cycle; at most MOST of them. Pure."""
    figures: dict[str, list[float | None]] = {}
    for (metric, labels), value in values.items():
        if metric in _COLUMNS:
            figures.setdefault(_user(labels), [None] * 4)[_COLUMNS[metric]] = value
    sessions: dict[str, int] = {}
    for metric, labels in facts:
        if metric == "login_info":
            name = _user(labels)
            sessions[name] = sessions.get(name, 0) + 1
    known = [name for name in sorted(figures) if name and len(name) <= LONGEST][:MOST]
    return {name: ((*figures[name],), sessions.get(name, 0)) for name in known}  # type: ignore[misc]  # four


def _user(labels: str) -> str:
    return str(json.loads(labels).get("user", ""))


# --- reading -----------------------------------------------------------------------------------------------------------

_SUMS = (
    "SELECT u.name AS name, count(*) AS machines, sum(CASE WHEN u.heard_at >= :recent THEN u.cpu END) AS cpu,"
    " sum(CASE WHEN u.heard_at >= :recent THEN u.memory END) AS memory, sum(u.home) AS home,"
    " sum(CASE WHEN u.heard_at >= :recent THEN u.sessions ELSE 0 END) AS sessions"
    " FROM member_user u WHERE u.host IN (SELECT host FROM member WHERE retired_at IS NULL)"
    " AND (:text = '' OR u.name LIKE :like ESCAPE '\\') GROUP BY u.name"
)
# What is not measured comes last.
_ORDER = {
    "machines": "machines DESC, coalesce(cpu, -1) DESC, name",
    "cpu": "coalesce(cpu, -1) DESC, name",
    "memory": "coalesce(memory, -1) DESC, name",
    "home": "coalesce(home, -1) DESC, name",
    "user": "name",
}


def totals(db: sqlite3.Connection, now: int, sort: str, text: str, most: int, skip: int) -> list[Total]:
    """Every name, `most` at a time; `sort` is one of SORTS, `text` a part of the name."""
    rows = db.execute(
        f"SELECT name, machines, cpu, memory, home, sessions FROM ({_SUMS}) t ORDER BY {_ORDER[sort]}"
        " LIMIT :most OFFSET :skip",
        {"recent": now - RECENT, "text": text, "like": f"%{members.escaped(text)}%", "most": most, "skip": skip},
    )
    return [Total(*row) for row in rows]


def logged_in(db: sqlite3.Connection, now: int, names: Sequence[str]) -> dict[str, list[str]]:
    """{name: machines where it is logged in}, of these names."""
    if not names:
        return {}
    marks = ", ".join("?" * len(names))
    found: dict[str, list[str]] = {}
    for name, machine in db.execute(
        "SELECT u.name, m.name FROM member_user u JOIN member m ON m.host = u.host WHERE u.sessions > 0 AND u.heard_at >= ?"
        f" AND m.retired_at IS NULL AND u.name IN ({marks}) ORDER BY u.name, m.name",
        (now - RECENT, *names),
    ):
        found.setdefault(name, []).append(machine)
    return found


def of_one(db: sqlite3.Connection, name: str, now: int, most: int, skip: int) -> list[Seen]:
    """The machines that know a name, the worst first (as /hosts has them), then by what is used there."""
    rows = db.execute(
        f"SELECT m.name, {members.RANK}, u.cpu, u.memory, u.processes, u.home, u.sessions, u.at, u.heard_at"
        " FROM member_user u JOIN member m ON m.host = u.host WHERE u.name = :name AND m.retired_at IS NULL"
        " ORDER BY 2 DESC, coalesce(u.cpu, -1) DESC, coalesce(u.memory, -1) DESC, m.name LIMIT :most OFFSET :skip",
        {"name": name, "now": now, "most": most, "skip": skip},
    )
    return [Seen(*(*row[:-1], row[-1] >= now - RECENT)) for row in rows]


def total_of(db: sqlite3.Connection, name: str, now: int) -> Total | None:
    """One name over all machines; None where no machine knows it."""
    row = db.execute(
        f"SELECT name, machines, cpu, memory, home, sessions FROM ({_SUMS}) t WHERE name = :name",
        {"recent": now - RECENT, "text": "", "like": "%", "name": name},
    ).fetchone()
    return Total(*row) if row else None


def is_pseudonym(name: str) -> bool:
    """Whether it is what a machine puts in a name's place: then it says nothing about another machine's."""
    return bool(_PSEUDONYM.fullmatch(name))
