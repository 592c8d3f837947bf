"""Bars, one a person or a disk, by pygal's horizontal bars; and the small line that fits into a table's cell. Pure."""

from collections.abc import Sequence
from math import isfinite
from typing import Any, NamedTuple
from xml.etree.ElementTree import SubElement, tostring

from alerts.chart import CHART_STYLE, Name, framed, named
from alerts.chart_data import Graph, Line, Size, sound, thinned
from alerts.chart_filter import cleaned, text
from alerts.chart_layers import Layers
from alerts.chart_pygal import HorizontalBar
from alerts.chart_ticks import Axis
from alerts.words import Words
from archive.read import Point

MOST_BARS = 20
ROW, EDGE = 28, 6  # pixels


class Bar(NamedTuple):
    """`value` gives the length, `words` stand at its end. Values at or below zero have no length."""

    name: str
    value: float
    words: str


def bars(
    rows: Sequence[Bar], name: Name, *, width: int = 600, second: bool = False, alone: tuple[str, str] | None = None
) -> str | None:
    """The rows as given, at most MOST_BARS; None without one. `second`: the other colour, for the other quantity."""
    shown = [row for row in rows if isfinite(row.value)][:MOST_BARS]
    if not shown:
        return None
    size = Size("bars", width, len(shown) * ROW + 2 * EDGE + (56 if alone else 0), 0)
    chart = _Bars(shown, size, "v-bar v-bar-2" if second else "v-bar", top=EDGE + (56 if alone else 0))
    root = cleaned(chart.render_tree())  # type: ignore[no-untyped-call]
    named(root, size, name, "", alone)
    return tostring(root, "unicode")


class _Bars(HorizontalBar):
    """pygal places the rows and their names; the words at a bar's end are written here."""

    def __init__(self, rows: Sequence[Bar], size: Size, kind: str, *, top: int) -> None:
        self.rows, self.kind = list(reversed(rows)), kind  # pygal builds from the bottom up
        most = max(row.value for row in rows)
        room = max(len(row.words) for row in rows) * 7 + 14
        letters = max(6, (size.width // 3) // 7)
        super().__init__(  # type: ignore[no-untyped-call]
            width=size.width,
            height=size.height,
            style=CHART_STYLE,
            strict=True,
            js=[],
            show_legend=False,
            show_y_guides=False,
            show_x_guides=False,
            # The axes are exchanged: x is the axis of the values, which stand at the bars' ends.
            show_x_labels=False,
            show_y_labels=True,
            truncate_label=-1,
            x_labels=[text(row.name, letters) for row in self.rows],
            range=(0.0, 1.0),
            margin_top=top,
            margin_bottom=EDGE,
            margin_left=10,
            margin_right=min(room, size.width // 3),
            spacing=6,
        )
        shares = [max(0.0, row.value / most) if most > 0 else 0.0 for row in self.rows]
        self.add("", shares)  # type: ignore[no-untyped-call]

    def _bar(self, serie: Any, parent: Any, x: float, y: float, i: int, zero: float, secondary: bool = False) -> Any:
        place = super()._bar(serie, parent, x, y, i, zero, secondary)  # type: ignore[no-untyped-call]
        if len(parent):
            parent[-1].set("class", self.kind)
            parent[-1].set("rx", "2")
        return place

    def _tooltip_and_print_values(
        self, serie_node: Any, serie: Any, parent: Any, i: int, val: Any, metadata: Any,
        x: float, y: float, width: float, height: float,
    ) -> None:  # fmt: skip
        end = max(y, y + height)
        middle = x + width / 2
        node = SubElement(parent, "text", {"class": "v-bar-value", "x": str(end + 6), "y": str(middle + 4)})
        node.text = self.rows[i].words


def sparkline(
    points: Sequence[Point], words: Words, start: int, end: int, step: int, *, every: int = 60, full_scale: bool = False
) -> str | None:
    """A line of 120 x 28 without axes; decoration, for the numbers stand beside it. None without a point."""
    kept, step = thinned(sound(points), step, 60)
    if not kept or end <= start:
        return None
    low, high = min(0.0, *(p.mean for p in kept)), max(p.mean for p in kept)
    if full_scale:
        low, high = min(low, 0.0), max(high, 1.0)
    flat = [Point(p.at, p.mean, p.mean, p.mean, p.count) for p in kept]
    axis = Axis(low, high if high > low else low + 1.0, ())
    layers = Layers(Graph("", start, end, step, [Line("", flat)], end, every), [flat], [], [], axis, words)
    return framed(layers, Size("spark", 120, 28, 0), Name(), top=2, bare=True)
