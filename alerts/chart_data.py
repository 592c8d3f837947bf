"""What a graph is made of, before it is drawn: lines, levels, incidents, gaps; and how coarsely to read. Pure."""

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from alerts.words import DAY, HOUR
from archive.read import Point

LANE, LANES = 26, 68  # pixels: one lane of a trial, and all of them with the room over the plot
MOST = 370  # points a line: a year of days fits, and a pixel or two each
STEPS = (
    60,
    300,
    600,
    900,
    1800,
    HOUR,
    2 * HOUR,
    3 * HOUR,
    6 * HOUR,
    12 * HOUR,
    DAY,
    2 * DAY,
    7 * DAY,
    14 * DAY,
    28 * DAY,
)
_HUGE = 1e18


class Size(NamedTuple):
    """Pixels of the whole picture; `parts`: intervals of the value axis."""

    name: str
    width: int
    height: int
    parts: int


CARD = Size("card", 600, 210, 4)
NARROW = Size("narrow", 352, 190, 4)
WIDE = Size("wide", 1140, 300, 5)


class Line(NamedTuple):
    """One line of the graph; points are spans of `Graph.step` seconds, in any order."""

    name: str
    points: Sequence[Point]


class Level(NamedTuple):
    """A threshold: a dashed line. `kind`: warning or critical; `label`: « seuil 85 % »."""

    value: float
    kind: str
    label: str


class Band(NamedTuple):
    """An incident, from its first to its last second; or several that stand too close to be told apart. `kind`: warning or
    critical. `seconds`: of several, how long they lasted together within the graph's period."""

    start: int
    end: int
    kind: str
    count: int = 1  # type: ignore[assignment]  # hides tuple.count, which nobody asks of a band
    seconds: int = 0


class Gap(NamedTuple):
    start: int
    end: int


class Work(NamedTuple):
    """Planned work, during which mails waited."""

    start: int
    end: int


class Trial(NamedTuple):
    """What a threshold would have opened. `lane`: 0 for the proposed one, 1 for the one in force; `kind`: the worst level."""

    lane: int
    start: int
    end: int
    kind: str


class Mark(NamedTuple):
    """An event: a small tick at the foot of the graph."""

    at: int
    label: str


class Forecast(NamedTuple):
    """What is to come: (at, low, expected, high), oldest first."""

    points: Sequence[tuple[int, float, float, float]]


class Graph(NamedTuple):
    """All that a graph shows. Times are UTC seconds, values are in the metric's own unit (archive.units names).

    `every`: seconds between two measures (a probe's rhythm): what is further apart is a gap. `known_from`: before it
    there was nothing to measure, so nothing lacks. `now`: later than it nothing lacks either.
    """

    unit: str
    start: int
    end: int
    step: int
    lines: Sequence[Line]
    now: int
    every: int = 60
    known_from: int = 0
    levels: Sequence[Level] = ()
    incidents: Sequence[Band] = ()
    events: Sequence[Mark] = ()
    works: Sequence[Work] = ()
    trials: Sequence[Trial] | None = None  # None: no lanes; empty lanes say that nothing would have opened
    forecast: Forecast | None = None
    full_scale: bool = False  # a ratio's axis always ends at 100 %


class Name(NamedTuple):
    """What a reader of the screen hears: ids of the page's heading and summary, or the words themselves."""

    labelled_by: str = ""
    described_by: str = ""
    label: str = ""


class Drawing(NamedTuple):
    """`svg`: the cleaned element as text. `shown`: what the legend explains (line, envelope, gap, incident...)."""

    svg: str
    shown: tuple[str, ...]
    gaps: tuple[Gap, ...]


def choose_step(period: int, most: int = MOST) -> int:
    """Seconds a point, so that `period` seconds have at most `most` of them; whole rollups wherever that is coarse."""
    return next((step for step in STEPS if period <= step * most), max(STEPS[-1], -(-period // most // DAY) * DAY))


def drawable(*values: float) -> bool:
    """Finite, and not absurdly large: what an axis can hold."""
    return all(-_HUGE <= value <= _HUGE for value in values)


def sound(points: Iterable[Point]) -> list[Point]:
    """The points that can be drawn, in order of time: finite, and not absurdly large."""
    return sorted(p for p in points if drawable(p.mean, p.least, p.greatest))


def tolerance(step: int, every: int) -> float:
    """Seconds between two points beyond which a measure lacks."""
    return 1.5 * step if every <= step else math.ceil(1.5 * every / step) * step


def runs(points: Sequence[Point], most_apart: float) -> list[list[Point]]:
    """Ordered points, parted where they stand further apart than that."""
    found: list[list[Point]] = []
    for point in points:
        if found and point.at - found[-1][-1].at <= most_apart:
            found[-1].append(point)
        else:
            found.append([point])
    return found


def gaps(graph: Graph, points: Sequence[Point]) -> list[Gap]:
    """Where measures lack: between runs, and from the last one until now. Ordered points, at least one."""
    limit = tolerance(graph.step, graph.every)
    parts = runs(points, limit)
    found = [Gap(a[-1].at + graph.step, b[0].at) for a, b in pairwise(parts)]
    first, last = max(graph.start, graph.known_from), min(graph.end, graph.now)
    if points[0].at - first > limit:
        found.insert(0, Gap(first, points[0].at))
    if last - points[-1].at > limit + graph.step:
        found.append(Gap(points[-1].at + graph.step, last))
    return found


def thinned(points: Sequence[Point], step: int, most: int = MOST) -> tuple[list[Point], int]:
    """At most `most` points and their step: neighbours are joined, nothing of least and greatest is lost."""
    while len(points) > most:
        step *= 2
        joined: dict[int, Point] = {}
        for point in points:
            at = point.at - point.at % step
            before = joined.get(at)
            joined[at] = point._replace(at=at) if before is None else _joined(before, point)
        points = list(joined.values())
    return list(points), step


def _joined(a: Point, b: Point) -> Point:
    count = max(1, a.count + b.count)
    mean = (a.mean * max(1, a.count) + b.mean * max(1, b.count)) / max(count, 2)
    return Point(a.at, mean, min(a.least, b.least), max(a.greatest, b.greatest), count)
