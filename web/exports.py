"""Figures for other programs: CSV (RFC 4180) and JSON, as streams of text. Pure.

Text that comes from the machine is hostile: a cell that begins like a formula gets an apostrophe, so that no
spreadsheet runs it. Every time stands twice: `..._time` (ISO 8601, UTC) for people, `..._at` (seconds since 1970) for
programs. A list is never held whole: rows come as they are read.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from time import gmtime, strftime

from archive.incidents import Incident
from archive.read import Metric, Point, Series

FORMULA = ("=", "+", "-", "@", "\t", "\r")
CSV = "text/csv; charset=utf-8; header=present"
JSON = "application/json"
HEAD = ("time", "at", "metric", "unit", "line", "mean", "least", "greatest", "samples")

Cell = str | float | None
Object = Mapping[str, object]


def text_cell(text: str) -> str:
    """A text as one CSV cell: never a formula, quoted where it must be."""
    if text.startswith(FORMULA):
        text = f"'{text}"
    # A lone CR or LF inside quotes is allowed, and read back as it was.
    return '"' + text.replace('"', '""') + '"' if any(c in text for c in ',"\r\n') else text


def number(value: float) -> str:
    """A number with a dot, to its last digit: read back it is the same."""
    return str(int(value)) if value == int(value) and abs(value) < 2**53 else repr(float(value))


def cell(value: Cell) -> str:
    """Any cell; nothing for what is not known. A number may begin with a minus, being no text."""
    return "" if value is None else text_cell(value) if isinstance(value, str) else number(value)


def row(cells: Iterable[str]) -> str:
    return ",".join(cells) + "\r\n"


def csv(head: Iterable[str], rows: Iterable[Iterable[Cell]]) -> Iterator[str]:
    """The head, then the rows."""
    yield row(head)
    for cells in rows:
        yield row(cell(value) for value in cells)


def csv_rows(lines: Iterable[tuple[Series, Iterable[Point]]]) -> Iterator[str]:
    """The same for lines of figures: a row a line and span."""
    yield row(HEAD)
    for line, points in lines:
        told = ",".join(text_cell(text) for text in (line.metric.name, line.metric.unit, line.labels))
        for point in points:
            yield row(
                (
                    utc(point.at),
                    str(point.at),
                    told,
                    number(point.mean),
                    number(point.least),
                    number(point.greatest),
                    str(point.count),
                )
            )


def csv_objects(names: Iterable[str], objects: Iterable[Object]) -> Iterator[str]:
    """A row an object, by the names of its fields; what is an object itself (labels) is one cell of JSON."""
    names = tuple(names)
    return csv(names, ([_flat(one[name]) for name in names] for one in objects))


def _flat(value: object) -> Cell:
    if value is None or isinstance(value, (str, int, float)):
        return value
    return dumped(value)


def dumped(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def json_list(head: Object, name: str, objects: Iterable[str | Iterable[str]]) -> Iterator[str]:
    """`head` with a list under `name`, which comes last; each object as JSON text, whole or in pieces."""
    before = dumped(head)[:-1]
    yield f'{before}{"," if head else ""}"{name}":['
    for place, one in enumerate(objects):
        if place:
            yield ","
        if isinstance(one, str):
            yield one
        else:
            yield from one
    yield "]}"


def json_points(points: Iterable[Point]) -> Iterator[str]:
    for p in points:
        yield dumped(
            {
                "time": utc(p.at),
                "at": p.at,
                "mean": p.mean,
                "least": p.least,
                "greatest": p.greatest,
                "samples": p.count,
            }
        )


def utc(at: int) -> str:
    """2026-11-23T17:40:05Z."""
    return strftime("%Y-%m-%dT%H:%M:%SZ", gmtime(at))


def when(name: str, at: int | None) -> dict[str, object]:
    """A time as both of its fields."""
    return {f"{name}_time": None if at is None else utc(at), f"{name}_at": at}


def metric(one: Metric) -> dict[str, object]:
    """What a metric is."""
    return {name: getattr(one, name) for name in ("name", "kind", "unit", "help", "help_fr", "probe")}


def incident(one: Incident, title: str, unit: str) -> dict[str, object]:
    """An incident's fields. Values are in `unit`, as measured."""
    return {
        "id": one.id,
        "title": title,
        "kind": one.kind,
        "metric": one.metric,
        "labels": json.loads(one.labels or "{}"),
        "unit": unit,
        "state": one.state,
        "level": one.level,
        **when("since", one.since_at),
        **when("opened", one.opened_at),
        **when("ended", one.ended_at),
        "end_reason": one.end_reason,
        "last_value": one.last_value,
        "peak": one.peak,
        **when("peak", one.peak_at),
        "cause": one.cause,
        **when("acknowledged", one.acknowledged_at),
    }
