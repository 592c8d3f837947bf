"""The layers of a graph over time, back to front: gaps, incidents, band, line, forecast, levels, events. Pure.

Each is one element with a class that says what it means; colours are the skin's.
"""

from collections.abc import Iterable, Sequence
from xml.etree.ElementTree import Element, SubElement

from alerts.chart_data import LANE, LANES, Band, Gap, Graph, Trial, runs, tolerance
from alerts.chart_filter import number, text
from alerts.chart_ticks import Axis
from alerts.words import Words
from archive.read import Point

# (at, low, expected, high)
Foreseen = tuple[int, float, float, float]
_Where = Iterable[Iterable[tuple[float, float]]]


FEW = 30  # bands that are drawn one by one


class Layers:
    """What is drawn inside the axes. After `draw`: `shown` (what a legend explains) and `box` (the plot, for a cursor)."""

    def __init__(
        self,
        graph: Graph,
        lines: Sequence[Sequence[Point]],
        forecast: Sequence[Foreseen],
        missing: Sequence[Gap],
        axis: Axis,
        words: Words,
    ) -> None:
        self.graph, self.lines, self.forecast, self.missing = graph, lines, forecast, missing
        self.axis, self.words = axis, words
        self.shown: dict[str, None] = {}  # a set that keeps its order
        self.box = ""

    def draw(self, parent: Element, left: int, top: int, width: float, height: float) -> None:
        """Into `parent`, whose origin stands at (left, top) of the picture."""
        self.parent, self.width, self.height = parent, width, height
        self.box = " ".join(number(v) for v in (left, top, width, height))
        for gap in self.missing:
            self.band("gap", "v-gap", gap.start, gap.end)
        self.works()
        for band in self.parted(self.graph.incidents):
            self.incident(band)
        for rank, line in enumerate(self.lines):
            self.line_of(line, rank)
        self.future()
        self.levels()
        self.events()
        if self.graph.trials is not None:
            self.trials(self.graph.trials)

    def x(self, at: float) -> float:
        start, end = self.graph.start, self.graph.end
        return self.width * (min(max(at, start), end) - start) / (end - start)

    def y(self, value: float) -> float:
        return self.height * (1 - self.axis.share(value))

    def node(self, tag: str, kind: str, **attributes: float | str) -> Element:
        told = {
            name.replace("_", "-"): value if isinstance(value, str) else number(value)
            for name, value in attributes.items()
        }
        return SubElement(self.parent, tag, {"class": kind} | told)

    def path(self, kind: str, parts: _Where, *, close: bool = False) -> None:
        d = "".join(_trail(part) + "Z" * close for part in parts)
        if d:
            self.node("path", kind, d=d)

    def band(self, shown: str, kind: str, start: float, end: float) -> tuple[float, float] | None:
        """A band over the whole height, at least two pixels wide; None when it lies outside."""
        if end < self.graph.start or start > self.graph.end:
            return None
        left, right = self.x(start), self.x(end)
        right = max(right, left + 2)
        self.node("rect", kind, x=left, y=0.0, width=right - left, height=self.height)
        self.shown[shown] = None
        return left, right

    def parted(self, bands: Sequence[Band]) -> Sequence[Band]:
        """Bands that the eye can tell apart: a year may have thousands of incidents, a picture has a thousand pixels.

        Those of one kind that would touch are one. A few are left as they are.
        """
        if len(bands) <= FEW:
            return bands
        apart = 4 * (self.graph.end - self.graph.start) / max(self.width, 1.0)  # seconds in four pixels
        found: list[Band] = []
        for kind in dict.fromkeys(band.kind for band in bands):
            last: Band | None = None
            for band in sorted(band for band in bands if band.kind == kind):
                if last and band.start - last.end < apart:
                    last = last._replace(end=max(last.end, band.end))
                    found[-1] = last
                else:
                    last = band
                    found.append(band)
        return found

    def incident(self, band: Band) -> None:
        critical = band.kind == "critical"
        kind = "v-incident" if critical else "v-warning-band"
        sides = self.band("incident" if critical else "warning-band", kind, band.start, band.end)
        if sides:
            edge = "v-incident-edge" if critical else "v-warning-edge"
            self.path(edge, [[(x, 0.0), (x, self.height)] for x in sides])

    def works(self) -> None:
        for work in self.graph.works:
            sides = self.band("work", "v-work", work.start, work.end)
            if sides:
                self.path("v-work-edge", [[(x, 0.0), (x, self.height)] for x in sides])

    def trials(self, found: Sequence[Trial]) -> None:
        """Two lanes above the plot: what each threshold would have opened; a triangle stands at each opening."""
        for lane, label in enumerate(
            (self.words.gettext("threshold proposed"), self.words.gettext("threshold in force"))
        ):
            foot = -LANES + (lane + 1) * LANE
            self.node("text", "v-lane-label", x=0, y=foot - 11, text_anchor="start").text = label
            self.path("v-lane", [[(0.0, foot), (self.width, foot)]])
            for one in found:
                if one.lane == lane and one.start <= self.graph.end and one.end >= self.graph.start:
                    kind = f"v-trial v-trial-{lane} v-trial-{one.kind}"
                    left = self.x(one.start)
                    right = max(self.x(one.end), left + 2)
                    self.node("rect", kind, x=left, y=foot - 5, width=right - left, height=5.0)
                    self.path(kind, [[(left - 4, foot - 9), (left + 4, foot - 9), (left, foot - 2)]], close=True)

    def line_of(self, points: Sequence[Point], rank: int) -> None:
        """The mean; the first line also has its band from least to greatest."""
        half = self.graph.step / 2
        parts = runs(points, tolerance(self.graph.step, self.graph.every))
        # A band thinner than the line says nothing: what hardly varies is a surface instead.
        thin = 0.02 * (self.axis.high - self.axis.low)
        if rank == 0 and any(point.greatest - point.least > thin for point in points):
            self.shown["envelope"] = None
            self.path("v-envelope", [self._around(part, half) for part in parts if len(part) > 1], close=True)
        elif rank == 0 and self.axis.low == 0:  # a filled surface says "so much of nothing": only from zero up
            foot = self.y(0.0)
            area = [[(self.x(p.at + half), self.y(p.mean)) for p in part] for part in parts if len(part) > 1]
            self.path("v-area", [[(a[0][0], foot), *a, (a[-1][0], foot)] for a in area], close=True)
        means = []
        for part in parts:
            if len(part) > 1:
                means.append([(self.x(p.at + half), self.y(p.mean)) for p in part])
            else:
                # One measure alone: a dash as wide as its span, for a line needs two points.
                middle, y = self.x(part[0].at + half), self.y(part[0].mean)
                wide = max(1.5, (self.x(part[0].at + self.graph.step) - self.x(part[0].at)) / 2)
                means.append([(middle - wide, y), (middle + wide, y)])
        self.path("v-line v-line-2" if rank else "v-line", means)
        self.shown["line-2" if rank else "line"] = None

    def _around(self, part: Sequence[Point], half: float) -> list[tuple[float, float]]:
        over = [(self.x(p.at + half), self.y(p.greatest)) for p in part]
        return over + [(self.x(p.at + half), self.y(p.least)) for p in reversed(part)]

    def future(self) -> None:
        """The forecast's cone and dots, and the line of now."""
        if not self.forecast:
            return
        over = [(self.x(at), self.y(high)) for at, _low, _mean, high in self.forecast]
        under = [(self.x(at), self.y(low)) for at, low, _mean, _high in reversed(self.forecast)]
        self.path("v-cone", [over + under], close=True)
        self.path("v-forecast", [[(self.x(at), self.y(mean)) for at, _low, mean, _high in self.forecast]])
        now = self.x(self.graph.now)
        self.path("v-now", [[(now, 0.0), (now, self.height)]])
        late = now > self.width - 90
        anchor = "end" if late else "start"
        label = self.node("text", "v-now-label", x=now, y=-4, text_anchor=anchor)
        label.text = text(self.words.gettext("today"))
        self.shown |= {"forecast": None, "cone": None}

    def levels(self) -> None:
        """Dashed lines, their words above them: the room over the plot holds those of the highest."""
        taken: list[float] = []
        for level in sorted(self.graph.levels, key=lambda level: level.value):
            if not self.axis.low <= level.value <= self.axis.high:
                continue
            y, warning = self.y(level.value), level.kind == "warning"
            extra = "-warning" if warning else ""
            self.path(f"v-level v-level{extra}" if extra else "v-level", [[(0.0, y), (self.width, y)]])
            # Two labels close together: the second stands at the right end, or in the middle where today's word is there.
            crowded = any(abs(y - other) < 14 for other in taken)
            kind = f"v-level-label v-level-label{extra}" if extra else "v-level-label"
            aside = ("middle", self.width / 2) if self.forecast else ("end", self.width - 6)
            anchor, x = aside if crowded else ("start", 6.0)
            label = self.node("text", kind, x=x, y=y - 4, text_anchor=anchor)
            label.text = text(level.label)
            taken.append(y)
            self.shown["level-warning" if warning else "level"] = None

    def events(self) -> None:
        """A tick for each event; those that would touch are one."""
        foot = self.height
        drawn: list[float] = []
        for mark in sorted(self.graph.events):
            if self.graph.start <= mark.at <= self.graph.end:
                x = self.x(mark.at)
                if not drawn or x - drawn[-1] >= 4:
                    drawn.append(x)
        if drawn:
            self.path(
                "v-event", [[(x - 3.5, foot + 0.5), (x, foot - 7), (x + 3.5, foot + 0.5)] for x in drawn], close=True
            )
            self.shown["event"] = None


def _trail(points: Iterable[tuple[float, float]]) -> str:
    """A path through the points, each told by its distance from the one before: a third fewer bytes."""
    d, before = [], (0, 0)
    for x, y in points:
        # Whole tenths of a pixel, so that the distances add up to the places they should.
        place = (round(x * 10), round(y * 10))
        across, down = place[0] - before[0], place[1] - before[1]
        d.append(f"{_tenths(across)}{' ' if down >= 0 else ''}{_tenths(down)}")
        before = place
    joined = "".join(part if part.startswith("-") else f" {part}" for part in d[1:])
    return f"M{d[0]}l{joined.lstrip()}" if joined else ""


def _tenths(count: int) -> str:
    whole, rest = divmod(abs(count), 10)
    sign = "-" if count < 0 else ""
    return f"{sign}{whole}.{rest}" if rest else f"{sign}{whole}"
