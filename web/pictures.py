"""A line of the archive as a figure of a page: three sizes of one graph, its sentence, its rows, and data for the cursor.

1. read the points of the period; 2. find the threshold that holds for this line, its incidents, the events;
3. lay out (alerts/chart.py) and say (alerts/summary.py). The template `graphs/figure.html` shows it.
"""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from alerts import chart, summary, windows
from alerts import forecast as forecasts
from alerts.chart import Band, Forecast, Graph, Level, Line, Mark, Name, Point, Work
from alerts.chart_data import gaps, sound, thinned
from alerts.forecast import Outlook
from alerts.words import DAY, HOUR, MINUTE, N_, Words
from archive import events, incidents, read, silences, thresholds
from archive.events import Event
from archive.incidents import Incident
from archive.read import Sample, Series
from archive.thresholds import Threshold
from web.periods import Period
from web.svg import Own, data, picture

DISK = "disk_used_ratio"
FINE = 26 * HOUR  # up to here the samples themselves are read for the sentence: 1 ms a line
KEPT = 4096  # spans in words: those of a few graphs and of the first page in both languages; each takes half a KiB
MOST_INCIDENTS = 20  # listed under a graph; the others have their own page
BANDS = 300  # of incidents on a graph, of either level: a band is three pixels wide at least
JUDGED = ("threshold", "forecast")  # the kinds of incidents that are drawn in a graph
MOST_NIGHTS = 92 * DAY  # weekly windows are drawn on periods up to this
SIZES = (chart.WIDE, chart.CARD, chart.NARROW)
EVENT_WORDS = {  # the kinds of events that are ticks
    "boot": N_("The machine started"),
    "package": N_("Packages changed"),
    "account": N_("Accounts changed"),
    "login": N_("Somebody logged in"),
    "backup": N_("A backup was made"),
    "purge": N_("Old figures were removed"),
    "restore": N_("A backup was restored"),
}
# In the order of a legend; each has a class of static/chart.css.
LEGEND = {
    "line": N_("mean"),
    "envelope": N_("minimum to maximum"),
    "level-warning": N_("warning threshold"),
    "level": N_("critical threshold"),
    "warning-band": N_("incident (warning)"),
    "incident": N_("incident (critical)"),
    "work": N_("planned work"),
    "forecast": N_("forecast"),
    "cone": N_("margin of the forecast"),
    "gap": N_("no measure"),
    "event": N_("event"),
}


class Row(NamedTuple):
    """A span in words."""

    at: int
    when: str
    mean: str
    least: str
    greatest: str
    samples: int


class Figure(NamedTuple):
    """All that the template needs; `svgs` is empty where there was no measure."""

    ident: str
    heading: str  # ids of the headings that name it
    title: str
    summary: str
    svgs: tuple[Own, ...]
    legend: tuple[tuple[str, str], ...]
    cursor: Own
    rows: tuple[Row, ...]
    ranged: bool  # whether least and greatest differ from the mean anywhere


class Material(NamedTuple):
    """What a graph of one line is made of."""

    line: Series
    graph: Graph
    limits: tuple[summary.Limit, ...]
    incidents: tuple[Incident, ...]  # the newest of the period, the oldest first
    incident_count: int  # all of the period
    events: tuple[Event, ...]
    every: int
    fine: tuple[Point, ...] | None  # minute by minute, where the period is short enough


def every(db: sqlite3.Connection, host: int, line: Series, points: Sequence[Point], step: int) -> int:
    """Seconds between two measures of a line: the probe's rhythm, or what the points show where that is slower."""
    probes = {probe.name: probe for probe in read.probes(db, host)}
    probe = probes.get(line.metric.probe) or probes.get(line.label("probe"))
    said = read.rhythm(db, host) * (probe.every if probe else 1)
    apart = sorted(b.at - a.at for a, b in pairwise(points))
    # A quarter from the least: where only a few points are known, the gaps between them are no rhythm.
    seen = apart[(len(apart) - 1) // 4] if apart else step
    return max(said, seen if seen > step else 0)


def threshold(found: Iterable[Threshold], line: Series) -> Threshold | None:
    """The one that is judged for this line; None when there is none or it is switched off."""
    labels = json.loads(line.labels)
    for one in found:  # the most precise first
        if one.metric == line.metric.name and json.loads(one.labels).items() <= labels.items():
            return one if one.enabled else None
    return None


def limits_of(found: Threshold | None) -> tuple[summary.Limit, ...]:
    """The levels, warning first."""
    if found is None:
        return ()
    levels = ((found.warning, "warning"), (found.critical, "critical"))
    return tuple(summary.Limit(value, found.above, kind) for value, kind in levels if value is not None)


def bands_of(
    db: sqlite3.Connection, host: int, line: Series, start: int, end: int, now: int, first: int | None = None
) -> tuple[Band, ...]:
    """Incidents of a line that touch [start, end), oldest first: where there are many, those too close to be told apart
    as one. `first`: from when on their seconds count."""
    found = incidents.spells(
        db, host, line.metric.name, line.labels, JUDGED, start, end,
        now=now, grain=(end - start) // BANDS, counted_from=start if first is None else first,
    )  # fmt: skip
    return tuple(Band(one.since_at, one.until, one.level, one.number, one.seconds) for one in found)


def works_of(db: sqlite3.Connection, host: int, line: Series, start: int, end: int, timezone: str) -> tuple[Work, ...]:
    """When planned work for this line was, or will be, open within [start, end); nights of a whole year would be a haze."""
    found = silences.between(db, host, start, end)
    kept = [
        one
        for one in found
        if windows.covers(one, line.metric.name, line.labels) and not (one.weekly and end - start > MOST_NIGHTS)
    ]
    return tuple(Work(*span) for one in kept for span in windows.spans(one, start, end, timezone))


def material(
    db: sqlite3.Connection,
    host: int,
    line: Series,
    period: Period,
    now: int,
    words: Words,
    *,
    forecast: Forecast | None = None,
    found: Sequence[Threshold] | None = None,
) -> Material:
    """Reads everything that one graph shows. `forecast` may reach beyond the period: the axis then ends where it does."""
    points = sound(read.points(db, host, line, period.start, period.end, period.step))
    limits = limits_of(threshold(thresholds.effective(db, host) if found is None else found, line))
    bands = bands_of(db, host, line, period.start, period.end, now, points[0].at if points else None)
    count = sum(band.count for band in bands)
    mine = incidents.of_span(
        db, host, line.metric.name, line.labels, JUDGED, period.start, period.end, MOST_INCIDENTS
    ) if count else []  # fmt: skip
    happened = tuple(one for one in events.between(db, host, period.start, period.end) if one.kind in EVENT_WORDS)
    rhythm = every(db, host, line, points, period.step)
    end = max([period.end, *(point[0] for point in forecast.points)]) if forecast else period.end
    graph = Graph(
        unit=line.metric.unit,
        start=period.start,
        end=end,
        step=period.step,
        lines=(Line(words.line_name(line), points),),
        now=now,
        every=rhythm,
        known_from=line.first_at,
        levels=tuple(Level(one.value, one.kind, level_words(one, line.metric.unit, words)) for one in limits),
        incidents=bands,
        works=works_of(db, host, line, period.start, period.end, words.timezone),
        events=tuple(Mark(one.at, one.kind) for one in happened),
        forecast=forecast,
        full_scale=line.metric.unit == "ratio" and line.metric.kind == "gauge",
    )
    fine = None
    if limits and period.step > MINUTE and period.seconds <= FINE:
        fine = tuple(sound(read.points(db, host, line, period.start, period.end, MINUTE)))
    return Material(line, graph, limits, tuple(mine), count, happened, rhythm, fine)


def outlook_of(db: sqlite3.Connection, host: int, line: Series, newest: Sample | None) -> Outlook | None:
    """When the disk of this line will be full, as its newest sample sees it; None for any other metric."""
    if line.metric.name != DISK or newest is None:
        return None
    return forecasts.of_line(db, host, line, newest.at).best


def foreseen(found: Outlook | None, newest: Sample, until: int) -> Forecast | None:
    """The way from the newest sample to the full disk, drawn until `until`; None where there is no date."""
    if found is None or found.full_at is None or found.full_at <= newest.at or until <= newest.at:
        return None
    ends = [end for end in (found.early, found.full_at, found.late) if end is not None and newest.at < end < until]

    def level(at: int, full: int | None) -> float:
        if full is None:
            return newest.value
        passed = 1.0 if full <= newest.at else (at - newest.at) / (full - newest.at)
        return min(1.0, newest.value + (1 - newest.value) * passed)

    return Forecast(
        [
            (
                at,
                level(at, found.late),
                level(at, found.full_at),
                level(at, found.early) if at > newest.at else newest.value,
            )
            for at in sorted({newest.at, until, *ends})
        ]
    )


def level_words(limit: summary.Limit, unit: str, words: Words) -> str:
    """The label of a dashed line."""
    level = words.value(limit.value, unit)
    if limit.kind == "critical":
        return words.gettext("critical %(level)s", level=level)
    return words.gettext("threshold %(level)s", level=level)


def figure(
    made: Material,
    words: Words,
    now: int,
    period: str,
    *,
    ident: str,
    title: str,
    heading: str = "",
    sizes: Sequence[chart.Size] = SIZES,
    rows: bool = True,
) -> Figure:
    """`period` is in words, for the sentence. `ident` is unique on the page: ids begin with it; `heading` is the id of a heading above."""
    graph = made.graph
    points = list(graph.lines[0].points)
    name = Name(f"{heading} {ident}-title".strip(), f"{ident}-summary")
    drawings = [drawing for size in sizes if (drawing := chart.draw(graph, words, size, name))]
    said = sentence(made, words, now, period)
    if not drawings:
        return Figure(ident, name.labelled_by, title, said, (), (), data([]), (), False)
    shown = {kind for drawing in drawings for kind in drawing.shown}
    legend = tuple((kind, words.gettext(told)) for kind, told in LEGEND.items() if kind in shown)
    told = spans(points, graph, words, now)
    ranged = any(point.least < point.greatest for point in points)
    return Figure(
        ident,
        name.labelled_by,
        title,
        said,
        tuple(picture(drawing.svg) for drawing in drawings),
        legend,
        cursor(told, graph, words, ranged=ranged),
        tuple(told) if rows else (),
        ranged,
    )


def sentence(made: Material, words: Words, now: int, period: str) -> str:
    """The graph's summary."""
    graph = made.graph
    points = list(graph.lines[0].points)
    missing = gaps(graph, points) if points else []
    return summary.sentence(
        words,
        graph.unit,
        period,
        points,
        graph.step,
        now,
        every=made.every,
        limits=made.limits,
        fine=made.fine,
        incidents=graph.incidents,
        gaps=missing,
    )


def spans(points: Sequence[Point], graph: Graph, words: Words, now: int) -> list[Row]:
    """The drawn points in words, oldest first."""
    kept, step = thinned(points, graph.step)
    # No zone is off by less than a quarter of an hour: within one, it is the same day for every reader.
    quarter = now - now % 900
    return [
        Row(
            point.at,
            _when(words, point.at, step, quarter),
            *_said(words, graph.unit, point.mean, point.least, point.greatest),
            point.count,
        )
        for point in kept
    ]


# From one cycle to the next all of a graph's spans but one or two are the same; to write them takes longer than to draw.
@lru_cache(maxsize=KEPT)
def _when(words: Words, at: int, step: int, now: int) -> str:
    return words.day(at + step // 2, now) if step >= DAY else words.moment(at, now)


@lru_cache(maxsize=KEPT)
def _said(words: Words, unit: str, mean: float, least: float, greatest: float) -> tuple[str, str, str]:
    return words.value(mean, unit), words.value(least, unit), words.value(greatest, unit)


def cursor(rows: Sequence[Row], graph: Graph, words: Words, *, ranged: bool) -> Own:
    """For static/chart.js: [[place from 0 to 1, when, value, range]], as JSON that may stand inside a page."""
    width = graph.end - graph.start
    places = []
    for row in rows:
        place = round((row.at + graph.step / 2 - graph.start) / width, 4)
        entry: list[object] = [place, row.when, row.mean]
        if ranged and row.least != row.greatest:
            entry.append(f"{row.least} – {row.greatest}")
        places.append(entry)
    return data(places)
