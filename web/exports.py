"""Figures for other programs: CSV (RFC 4180), JSON, OpenMetrics. Pure.

Text that comes from the machine is hostile: a cell that begins like a formula gets an apostrophe, a label is escaped.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from time import gmtime, strftime
from typing import NamedTuple

from archive.read import Metric, Point, Series

FORMULA = ("=", "+", "-", "@", "\t", "\r")
HEAD = ("time", "unix", "metric", "line", "mean", "least", "greatest", "samples")
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
_NAME = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*")  # two underscores in front are kept for Prometheus itself


class Reading(NamedTuple):
    """One line's newest value, for OpenMetrics."""

    metric: Metric
    labels: dict[str, str]
    value: float


def text_cell(text: str) -> str:
    """A text as one CSV cell: never a formula, quoted where it must be."""
    if text.startswith(FORMULA):
        text = f"'{text}"
    # A lone CR or LF inside quotes is allowed, and read back as it was.
    return '"' + text.replace('"', '""') + '"' if any(c in text for c in ',"\r\n') else text


def number_cell(value: float) -> str:
    """A number with a dot; it may begin with a minus, being no text."""
    return f"{value:.10g}"


def row(cells: Iterable[str]) -> str:
    return ",".join(cells) + "\r\n"


def csv_rows(lines: Iterable[tuple[Series, Iterable[Point]]]) -> Iterator[str]:
    """The head, then a row a line and span."""
    yield row(HEAD)
    for line, points in lines:
        name, labels = text_cell(line.metric.name), text_cell(line.labels)
        for point in points:
            yield row(
                (
                    utc(point.at),
                    str(point.at),
                    name,
                    labels,
                    number_cell(point.mean),
                    number_cell(point.least),
                    number_cell(point.greatest),
                    str(point.count),
                )
            )


def utc(at: int) -> str:
    """2026-11-23T17:40:05Z."""
    return strftime("%Y-%m-%dT%H:%M:%SZ", gmtime(at))


def exported_name(metric: Metric) -> str:
    """`vigie_` before, so that it never meets node_exporter's; what is archived as a rate is called one."""
    rate = metric.kind == "counter"
    return f"vigie_{metric.name.removesuffix('_total')}_per_second" if rate else f"vigie_{metric.name}"


# (name, help, [(labels, value)])
Own = tuple[str, str, Sequence[tuple[dict[str, str], float]]]


def openmetrics(readings: Sequence[Reading], own: Sequence[Own]) -> str:
    """The exposition: the newest readings, and what Vigie says of itself."""
    families: dict[str, tuple[str, list[str]]] = {}
    for reading in readings:
        name = exported_name(reading.metric)
        said = reading.metric.help + (" (per second)" if reading.metric.kind == "counter" else "")
        families.setdefault(name, (said, []))[1].append(_sample(name, reading.labels, reading.value))
    for name, said, samples in own:
        families[name] = (said, [_sample(name, labels, value) for labels, value in samples])
    out = []
    for name, (said, lines) in sorted(families.items()):
        out.append(f"# TYPE {name} gauge\n# HELP {name} {_escaped(said)}\n")
        out += sorted(set(lines))
    return "".join(out) + "# EOF\n"


def _sample(name: str, labels: dict[str, str], value: float) -> str:
    inside = ",".join(f'{key}="{_escaped(told)}"' for key, told in labels.items() if _NAME.fullmatch(key))
    return f"{name}{{{inside}}} {value:.10g}\n" if inside else f"{name} {value:.10g}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
