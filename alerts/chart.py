"""Graphs over time, laid out by pygal on epoch seconds: one layout, two skins. Pure: same data, same bytes.

1. `choose_step` says how coarsely to read, so that no graph has over MOST points.
2. The caller reads points and makes a `Graph`: lines, levels, incidents, events, forecast.
3. `draw` splits the lines where measures lack, finds the axes, and lets pygal draw them; `Timeline` adds the layers.
4. chart_filter keeps what a strict policy allows. On a page static/chart.css dresses it; alone, chart_skin does.

No finite point at all: None, and the page says so in words. Never a NaN.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple
from xml.etree.ElementTree import Element, SubElement, tostring

from alerts.chart_data import (
    CARD,
    LANES,
    MOST,
    NARROW,
    WIDE,
    Band,
    Drawing,
    Forecast,
    Gap,
    Graph,
    Level,
    Line,
    Mark,
    Name,
    Size,
    Trial,
    Work,
    choose_step,
    drawable,
    gaps,
    sound,
    thinned,
)
from alerts.chart_filter import cleaned, text
from alerts.chart_layers import Foreseen, Layers
from alerts.chart_pygal import XY, Margin, Style, View
from alerts.chart_skin import STYLE
from alerts.chart_ticks import Axis, Tick, time_ticks, value_axis
from alerts.words import Words
from archive.read import Point

__all__ = [
    "CARD", "MOST", "NARROW", "WIDE", "Band", "Drawing", "Forecast", "Gap", "Graph", "Level", "Line", "Mark", "Name",
    "Point", "Size", "Trial", "Work", "choose_step", "draw",
]  # fmt: skip


def draw(graph: Graph, words: Words, size: Size, name: Name, *, alone: tuple[str, str] | None = None) -> Drawing | None:
    """The graph as an SVG element, or None when it has no point.

    `alone`: (heading, note) drawn inside, with its own colours: for mails and for an SVG opened at its own address.
    """
    lines = []
    for line in graph.lines[:2]:
        points, step = thinned(sound(line.points), graph.step)
        if points:
            lines.append(points)
            graph = graph._replace(step=max(graph.step, step))
    if not lines or graph.end <= graph.start:
        return None
    forecast = [p for p in graph.forecast.points if drawable(*p)] if graph.forecast else []
    graph = graph._replace(levels=[level for level in graph.levels if drawable(level.value)])
    axis = _axis(graph, lines, forecast, size, words)
    missing = gaps(graph, lines[0])
    layers = Layers(graph, lines, forecast, missing, axis, words)
    lanes = LANES if graph.trials is not None else 0
    size = size._replace(height=size.height + lanes)
    svg = framed(layers, size, name, top=(14 if alone is None else 62) + lanes, alone=alone)
    return Drawing(svg, tuple(layers.shown), tuple(missing))


def framed(
    layers: Layers, size: Size, name: Name, *, top: int, alone: tuple[str, str] | None = None, bare: bool = False
) -> str:
    """The layers inside pygal's frame (margins, axes, labels), which graphs of one period and one axis share."""
    graph, axis = layers.graph, layers.axis
    letters = max((len(tick.label) for tick in axis.ticks), default=0)
    ticks = () if bare else time_ticks(graph.start, graph.end, size.width - letters * 7 - 40, layers.words)
    marks = tuple((axis.share(tick.at), tick.label) for tick in axis.ticks)
    frame = frame_of(size, graph.start, graph.end, ticks, marks, top, bare)
    plot = Element("g")
    layers.draw(plot, frame.left, frame.top, frame.width, frame.height)
    root = Element(frame.root.tag, dict(frame.root.attrib))  # the frame is shared: never changed
    root.extend(frame.root)
    named(root, size, name, "" if bare else layers.box, alone)
    if bare:
        root.attrib.pop("role")
        root.set("aria-hidden", "true")
        root.set("focusable", "false")
    before, _, after = tostring(root, "unicode").partition(PLACE)
    return before + "".join(tostring(node, "unicode") for node in plot) + after


class Frame(NamedTuple):
    """pygal's part of a picture, cleaned; `root` holds one empty element where the layers go. Never changed."""

    root: Element
    left: int
    top: int
    width: float
    height: float


@lru_cache(maxsize=64)
def frame_of(
    size: Size,
    start: int,
    end: int,
    ticks: tuple[Tick, ...],
    marks: tuple[tuple[float, str], ...],
    top: int,
    bare: bool,
) -> Frame:
    """Drawing it is two thirds of a graph's time; the cards of a page and the lines of an index have the same one."""
    chart = Timeline(size, start, end, ticks, marks, top=top, bare=bare)
    root = cleaned(chart.render_tree())  # type: ignore[no-untyped-call]
    return Frame(root, *chart.places[0])


def _axis(
    graph: Graph,
    lines: Sequence[Sequence[Point]],
    forecast: Sequence[Foreseen],
    size: Size,
    words: Words,
) -> Axis:
    """The value axis: all of the data, and the levels that do not crush it."""
    low = min(point.least for line in lines for point in line)
    high = max(point.greatest for line in lines for point in line)
    high = max([high, *(point[2] for point in forecast)])
    levels = [level.value for level in graph.levels]
    if graph.unit == "ratio" and high <= 1 and low >= 0 and (graph.full_scale or max([high, *levels]) > 0.4):
        marks = (0.0, 0.25, 0.5, 0.75, 1.0)
        return Axis(0.0, 1.0, tuple(Tick(mark, words.percent(mark), mark == 0) for mark in marks))
    near = [level for level in levels if abs(level) <= 3 * max(abs(high), abs(low)) or high == low == 0]
    low, high = min([low, *near]), max([high, *near])
    return value_axis(graph.unit, low, high, size.parts, words)


def named(root: Element, size: Size, name: Name, plot: str, alone: tuple[str, str] | None) -> None:
    """Size, role and names; alone, also the colours and the words that a page would have around it."""
    for attribute in ("id", "class"):
        root.attrib.pop(attribute, None)
    root.set("class", f"v-chart v-{size.name}")
    root.set("width", str(size.width))
    root.set("height", str(size.height))
    root.set("role", "img")
    for attribute, value in (
        ("aria-labelledby", name.labelled_by),
        ("aria-describedby", name.described_by),
        ("aria-label", text(name.label, 300)),
    ):
        if value:
            root.set(attribute, value)
    if plot:
        root.set("data-plot", plot)
    if alone is None:
        root.attrib.pop("xmlns", None)
        return
    root.set("aria-label", text(". ".join(alone), 400))
    style, page = Element("style"), Element("rect", {"class": "v-page", "width": "100%", "height": "100%"})
    style.text = STYLE
    root[:0] = [style, page]
    for y, kind, words in ((24, "v-heading", alone[0]), (44, "v-note", alone[1])):
        SubElement(root, "text", {"class": kind, "x": "12", "y": str(y)}).text = text(words, size.width // 7)


PLACE = '<line class="v-layers" />'  # where the layers go; no text can hold it: there < is &lt;
CHART_STYLE = Style(label_font_size=12, major_label_font_size=12, font_family="sans-serif")  # type: ignore[no-untyped-call]


class Timeline(XY):
    """pygal finds margins, projection, axes and labels; where its plot begins, an empty element holds the layers' place.

    Values are projected to 0..1 first, so that no magnitude of theirs reaches pygal's arithmetic.
    """

    def __init__(
        self,
        size: Size,
        start: int,
        end: int,
        ticks: Sequence[Tick],
        marks: Sequence[tuple[float, str]],
        *,
        top: int,
        bare: bool = False,
    ) -> None:
        # One entry once it is drawn. A list, for pygal forgets what is assigned while it draws.
        self.places: list[tuple[int, int, float, float]] = []  # left, top, width, height of the plot
        super().__init__(  # type: ignore[no-untyped-call]
            width=size.width,
            height=size.height,
            style=CHART_STYLE,
            strict=True,
            js=[],
            show_legend=False,
            show_dots=False,
            show_x_labels=bool(ticks),
            show_y_labels=not bare,
            truncate_label=-1,
            xrange=(start, end),
            # A hair above 1: pygal leaves out a label at the very top.
            range=(0.0, 1.002),
            x_labels=[{"value": tick.at, "label": tick.label} for tick in ticks],
            x_labels_major=[tick.label for tick in ticks if tick.major],
            y_labels=[{"value": share, "label": label} for share, label in marks],
            margin_top=top,
            margin_right=1 if bare else 16,
            margin_bottom=1 if bare else 4,
            margin_left=1 if bare else 10,
            spacing=6,
        )
        self.add("", [(start, 0.0), (end, 1.0)])  # type: ignore[no-untyped-call]

    def _set_view(self) -> None:
        # The plot begins and ends with the period: no padding, and a cursor needs no correction.
        self._box.margin = 0
        self.view = View(self.width - self.margin_box.x, self.height - self.margin_box.y, self._box)  # type: ignore[no-untyped-call]

    def _plot(self) -> None:
        margin: Margin = self.margin_box
        view: Any = self.view
        # pygal places its plot at whole pixels.
        self.places.append((int(margin.left), int(margin.top), float(view.width), float(view.height)))
        SubElement(self.nodes["plot"], "line", {"class": "v-layers"})
