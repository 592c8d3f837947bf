"""Who uses what: one row a user, from the newest samples and the facts about log-ins and accounts."""

import sqlite3
from collections.abc import Iterable
from typing import NamedTuple

from archive import read
from archive.read import Fact, Sample, Series

CPU, MEMORY, PROCESSES, HOME = "user_cpu_seconds_total", "user_memory_bytes", "user_processes", "user_home_bytes"
PROBE = "processes"
METRICS = (CPU, MEMORY, PROCESSES, HOME)
HOMES_MAY_BE = 26 * 3600  # homes are measured about once an hour, slowly
SORTS = ("user", "cpu", "memory", "processes", "home")


class Session(NamedTuple):
    """One log-in, as the probe said it."""

    tty: str
    since: str
    origin: str  # where from: the administrator's alone to see


class User(NamedTuple):
    """None: not measured, which is not 0. `cpu` is in cores (1 = one wholly busy)."""

    name: str
    cpu: float | None
    memory: float | None  # bytes
    processes: float | None
    home: float | None  # bytes
    home_at: int | None
    at: int | None  # of CPU and memory
    sessions: tuple[Session, ...]
    account: bool  # may log in
    idle: bool = False  # looked for, and nothing of theirs runs
    uid: int | None = None  # None: no account that is known


def users(db: sqlite3.Connection, host: int, recent: int) -> list[User]:
    """Every account, and whoever runs something; the busiest first. `recent`: samples older than this many seconds
    before the newest cycle are of someone who is gone (homes excepted)."""
    last = read.last_cycle(db, host)
    looked = any(one.name == PROBE and one.state == "ok" for one in read.probes(db, host))
    lines = [line for name in METRICS for line in read.series(db, host, name)]
    return joined(
        lines,
        read.latest(db, host, HOMES_MAY_BE),
        read.facts(db, host, "login_info"),
        read.facts(db, host, "account_info"),
        (last.at if last else 0) - recent,
        looked=looked,
    )


def joined(
    lines: Iterable[Series],
    latest: dict[int, Sample],
    logins: list[Fact],
    accounts: list[Fact],
    since: int,
    *,
    looked: bool,
) -> list[User]:
    """The rows; `since`: samples of CPU, memory and processes before it do not count. `looked`: who has none, runs
    nothing."""
    figures: dict[str, dict[str, Sample]] = {}
    for line in lines:
        sample = latest.get(line.id)
        if sample and (line.metric.name == HOME or sample.at >= since):
            figures.setdefault(line.label("user"), {})[line.metric.name] = sample
    sessions: dict[str, list[Session]] = {}
    for fact in logins:
        sessions.setdefault(fact.label("user"), []).append(
            Session(fact.label("tty"), fact.label("since"), fact.label("from"))
        )
    known = {fact.label("user"): _uid(fact) for fact in accounts}
    names = (set(figures) | set(sessions) | set(known)) - {""}
    found = [_user(name, figures.get(name, {}), tuple(sessions.get(name, ())), name in known) for name in names]
    return ordered([one._replace(idle=looked and one.at is None, uid=known.get(one.name)) for one in found], "cpu")


def _uid(account: Fact) -> int | None:
    said = account.label("uid")
    return int(said) if said.isascii() and said.isdigit() and len(said) < 12 else None


def _user(name: str, figures: dict[str, Sample], sessions: tuple[Session, ...], account: bool) -> User:
    def value(metric: str) -> float | None:
        return figures[metric].value if metric in figures else None

    at = max((figures[metric].at for metric in (CPU, MEMORY, PROCESSES) if metric in figures), default=None)
    home_at = figures[HOME].at if HOME in figures else None
    return User(name, value(CPU), value(MEMORY), value(PROCESSES), value(HOME), home_at, at, sessions, account)


def ordered(found: list[User], by: str) -> list[User]:
    """By a column, the largest first; names from A to Z. What is not measured comes last."""
    if by == "user":
        return sorted(found, key=lambda one: one.name.casefold())
    return sorted(found, key=lambda one: (-_rank(one, by), -(one.memory or 0.0), one.name.casefold()))


def _rank(one: User, by: str) -> float:
    value = {"cpu": one.cpu, "memory": one.memory, "processes": one.processes, "home": one.home}[by]
    return -1.0 if value is None else value


def active(found: Iterable[User]) -> list[User]:
    """Those worth a line on the first page: logged in, or running something."""
    return [one for one in found if one.sessions or one.cpu is not None or one.memory is not None]
