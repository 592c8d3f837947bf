"""The newest values as a text that Prometheus reads: OpenMetrics 1.0 where it asks for that, else its older format. Pure.

The two differ in little: OpenMetrics tells units, ends with `# EOF` and escapes quotes in a help; the older format
would refuse that escape. What is archived as a rate is exported as one, so every family is a gauge.
"""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from archive.read import Metric
from web.exports import number

OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
PLAIN = "text/plain; version=0.0.4; charset=utf-8"
UNITS = ("ratio", "bytes", "seconds", "celsius")
_LABEL = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*")  # two underscores in front are kept for Prometheus itself

Labels = dict[str, str]


class Reading(NamedTuple):
    """One line's newest value."""

    metric: Metric
    labels: Labels
    value: float


class Family(NamedTuple):
    """What stands under one name: samples by their labels, in order."""

    name: str
    help: str
    samples: Sequence[tuple[Labels, float]]


def exported_name(metric: Metric) -> str:
    """`vigie_` before, so that it never meets node_exporter's; what is archived as a rate is called one."""
    rate = metric.kind == "counter"
    return f"vigie_{metric.name.removesuffix('_total')}_per_second" if rate else f"vigie_{metric.name}"


def families(readings: Iterable[Reading]) -> list[Family]:
    """Readings by name."""
    found: dict[str, tuple[str, list[tuple[Labels, float]]]] = {}
    for reading in readings:
        said = reading.metric.help or reading.metric.name.replace("_", " ").capitalize()
        said += " (per second)" if reading.metric.kind == "counter" else ""
        found.setdefault(exported_name(reading.metric), (said, []))[1].append((reading.labels, reading.value))
    return [Family(name, said, samples) for name, (said, samples) in found.items()]


def exposition(found: Iterable[Family], *, openmetrics: bool) -> str:
    """All of it. A family or a set of labels that comes twice (a probe that calls its metric as we call ours) is told once."""
    out: dict[str, str] = {}
    for family in found:
        if family.name not in out:
            out[family.name] = _head(family, openmetrics=openmetrics) + _body(family)
    return "".join(text for _name, text in sorted(out.items())) + ("# EOF\n" if openmetrics else "")


def _head(family: Family, *, openmetrics: bool) -> str:
    said = family.help.replace("\\", "\\\\").replace("\n", "\\n")
    if openmetrics:
        said = said.replace('"', '\\"')
    unit = family.name.rpartition("_")[2]
    told = f"# UNIT {family.name} {unit}\n" if openmetrics and unit in UNITS else ""
    return f"# HELP {family.name} {said}\n# TYPE {family.name} gauge\n{told}"


def _body(family: Family) -> str:
    lines: dict[str, str] = {}
    for labels, value in family.samples:
        inside = ",".join(f'{key}="{_escaped(told)}"' for key, told in sorted(labels.items()) if _LABEL.fullmatch(key))
        lines.setdefault(f"{{{inside}}}" if inside else "", number(value))
    return "".join(f"{family.name}{labels} {value}\n" for labels, value in sorted(lines.items()))


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
