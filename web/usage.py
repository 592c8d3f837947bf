"""The users' page: who used what over a span, with a small line for its course; accounts that nobody uses; homes that grow."""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from alerts.chart_bars import sparkline
from alerts.words import DAY, HOUR, Words
from archive import events, read
from archive.read import Point, Series
from web import people
from web.people import CPU, HOME, MEMORY, PROCESSES, User
from web.svg import Own, picture

# Seconds of each span, and of a step of it: about 60 points, enough for a small line.
SPANS = {"now": DAY, "1h": HOUR, "24h": DAY, "7d": 7 * DAY, "30d": 30 * DAY}
STEPS = {"now": 1800, "1h": 60, "24h": 1800, "7d": 3 * HOUR, "30d": 12 * HOUR}
SORTS = (*people.SORTS, "since")
LEAST_GROWTH = 50 << 20  # bytes a month: less is nothing to speak of
UNUSED = 90 * DAY  # an account that nobody logged in to for so long
WATCHED = 7 * DAY  # before that, nothing is said of who never comes
ORDINARY = 1000  # user ids below it are the system's (login.defs)


class Usage(NamedTuple):
    """A user's row: figures of now, or means over the span; `growth` of the home over the span, in bytes."""

    user: User
    cpu: float | None
    memory: float | None
    processes: float | None
    growth: float | None
    trend: Own  # the processor's course; '' without figures
    since: int | None  # the oldest log-in that is open

    @property
    def name(self) -> str:
        return self.user.name

    @property
    def home(self) -> float | None:
        return self.user.home


class Unused(NamedTuple):
    """An account that nobody logs in to; `last_at` None: never seen."""

    name: str
    last_at: int | None
    home: float | None


class Growing(NamedTuple):
    name: str
    growth: float  # bytes
    size: float
    days: int


def of(
    db: sqlite3.Connection, host: int, everyone: Iterable[User], span: str, newest: int, words: Words
) -> list[Usage]:
    """A row for each user. `newest`: UTC seconds of the last cycle."""
    lines: dict[tuple[str, str], Series] = {
        (metric, line.label("user")): line for metric in people.METRICS for line in read.series(db, host, metric)
    }
    step = STEPS[span]
    end = newest + step - newest % step
    start = end - SPANS[span]

    def course(metric: str, name: str) -> list[Point]:
        line = lines.get((metric, name))
        return read.points(db, host, line, start, end, step) if line else []

    rows = []
    for user in everyone:
        drawn = course(CPU, user.name)
        cpu, memory, processes = user.cpu, user.memory, user.processes
        if span != "now":
            cpu, memory, processes = (
                mean(points) for points in (drawn, course(MEMORY, user.name), course(PROCESSES, user.name))
            )
        svg = sparkline(drawn, words, start, end, step, every=step) if len(drawn) > 1 else None
        begun = [int(one.since) for one in user.sessions if one.since.isascii() and one.since.isdigit()]
        rows.append(Usage(
            user, cpu, memory, processes, change(course(HOME, user.name)), picture(svg or ""), min(begun, default=None)
        ))  # fmt: skip
    return rows


def mean(points: Sequence[Point]) -> float | None:
    """Of all samples of the span; None without any."""
    count = sum(point.count for point in points)
    return sum(point.mean * point.count for point in points) / count if count else None


def change(points: Sequence[Point]) -> float | None:
    """From the first span's mean to the last one's; None where there is no second."""
    return points[-1].mean - points[0].mean if len(points) > 1 else None


def ordered(rows: Iterable[Usage], by: str) -> list[Usage]:
    """By a column, the largest first (names from A to Z, log-ins from the oldest); what is not known comes last."""
    if by == "user":
        return sorted(rows, key=lambda one: one.name.casefold())
    if by == "since":
        return sorted(rows, key=lambda one: (one.since is None, one.since or 0, one.name.casefold()))
    return sorted(rows, key=lambda one: (-_rank(getattr(one, by)), -_rank(one.memory), one.name.casefold()))


def _rank(value: float | None) -> float:
    return -1.0 if value is None else value


def is_system(user: User, *, accounts_known: bool) -> bool:
    """A service's account, or root's: not someone who works here. Whoever is logged in or has a home, does."""
    if user.sessions or user.home is not None or not accounts_known:
        return False
    return user.uid is None or user.uid < ORDINARY


def unused(db: sqlite3.Connection, host: int, everyone: Iterable[User], now: int) -> list[Unused]:
    """Accounts of people that nobody logs in to: never, or not for long; the largest home first."""
    last = {**events.last_of_kind(db, host, "login")}
    for fact in read.facts(db, host, "login_info", gone_since=0):
        name = fact.label("user")
        last[name] = max(last.get(name, 0), fact.gone_at or now)
    found = [
        Unused(one.name, last.get(one.name), one.home)
        for one in everyone
        if one.account and not one.sessions and last.get(one.name, 0) < now - UNUSED and (one.uid or 0) >= ORDINARY
    ]
    return sorted(found, key=lambda one: (-(one.home or 0.0), one.name.casefold()))


def growing(db: sqlite3.Connection, host: int, now: int, most: int = 6) -> list[Growing]:
    """Homes that grew within a month, the fastest first."""
    found = []
    for line in read.series(db, host, HOME):
        points = read.points(db, host, line, now - 30 * DAY, now + 1, DAY)
        grown = change(points)
        if grown is not None and grown > max(LEAST_GROWTH, points[-1].mean / 100):
            days = max(1, round((points[-1].at - points[0].at) / DAY))
            found.append(Growing(line.label("user"), grown, points[-1].mean, days))
    return sorted(found, key=lambda one: -one.growth)[:most]
