"""Planned work: while a window is open for a line, what happens to it is postponed, never dropped. Pure."""

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

from archive.silences import Silence

DAY = 86_400
AHEAD = 8 * DAY  # a weekly window opens again within a week; a day more for the change of clocks


class Span(NamedTuple):
    """[start, end) during which a window is open, UTC seconds."""

    start: int
    end: int


def active(silences: Iterable[Silence], metric: str, labels: str, at: int, timezone: str) -> Silence | None:
    """The window that covers this line now, or None. `timezone` is the machine's, for the weekly ones."""
    return next((one for one in silences if covers(one, metric, labels) and is_open(one, at, timezone)), None)


def covers(silence: Silence, metric: str, labels: str) -> bool:
    """Whether the window is for this line: for all metrics or this one, and its labels among the line's."""
    if silence.metric and metric not in silence.metric.split():
        return False
    if silence.labels == "{}":
        return True
    mine = json.loads(labels)
    return all(mine.get(name) == value for name, value in json.loads(silence.labels).items())


def is_open(silence: Silence, at: int, timezone: str) -> bool:
    """Whether it is open at this time: from its start, up to and without its end."""
    if at < silence.from_at or (silence.to_at and at >= silence.to_at):
        return False
    if silence.ended_at is not None and at >= silence.ended_at:
        return False
    return not silence.weekly or _in_week(silence.weekly, at, timezone)


def spans(silence: Silence, start: int, end: int, timezone: str) -> list[Span]:
    """When it is open within [start, end), clipped to it, in order: as `is_open` says it of every second."""
    start, end = max(start, silence.from_at), min(end, silence.to_at or end)
    if silence.ended_at is not None:
        end = min(end, silence.ended_at)
    if start >= end:
        return []
    if not silence.weekly:
        return [Span(start, end)]
    edges = sorted(
        {start, end, *(at for at in _edges(silence.weekly, start, end, _zone(timezone)) if start < at < end)}
    )
    found: list[Span] = []
    for left, right in pairwise(edges):
        if not _in_week(silence.weekly, left, timezone):
            continue
        if found and found[-1].end == left:
            found[-1] = Span(found[-1].start, right)
        else:
            found.append(Span(left, right))
    return found


def present(silence: Silence, at: int, timezone: str) -> Span | None:
    """The opening that it is in at this time, whole; None while it is closed."""
    if not is_open(silence, at, timezone):
        return None
    reach = AHEAD if silence.weekly else 10 * 366 * DAY
    return next((one for one in spans(silence, at - reach, at + reach, timezone) if one.start <= at < one.end), None)


def following(silence: Silence, at: int, timezone: str) -> Span | None:
    """The first opening that begins after this time, None when there is none."""
    first = max(at, silence.from_at)
    reach = AHEAD if silence.weekly else 10 * 366 * DAY
    return next((one for one in spans(silence, first - DAY, first + reach, timezone) if one.start > at), None)


def _edges(weekly: str, start: int, end: int, zone: ZoneInfo) -> Iterator[int]:
    """Times at which a weekly window may open or close: its hours on every day, and each change of clocks."""
    found = json.loads(weekly)
    hours = [(int(text[:2]), int(text[3:])) for text in (found["from"], found["to"])]
    day = datetime.fromtimestamp(start, zone).date() - timedelta(days=1)
    last = datetime.fromtimestamp(end, zone).date() + timedelta(days=1)
    while day <= last:
        for hour, minute in hours:
            for fold in (0, 1):
                local = datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone, fold=fold)
                yield int(local.timestamp())
        midnight = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
        yield from _changes(midnight - DAY // 2, midnight + DAY + DAY // 2, zone)
        day += timedelta(days=1)


def _changes(left: int, right: int, zone: ZoneInfo) -> Iterator[int]:
    """The first second of a new offset within (left, right], when there is one; no zone changes twice in two days."""
    before = datetime.fromtimestamp(left, zone).utcoffset()
    if before == datetime.fromtimestamp(right, zone).utcoffset():
        return
    while right - left > 1:
        middle = (left + right) // 2
        if datetime.fromtimestamp(middle, zone).utcoffset() == before:
            left = middle
        else:
            right = middle
    yield right


def _in_week(weekly: str, at: int, timezone: str) -> bool:
    """Between two local times on the days it begins; an end at or before the start is the next day's."""
    found = json.loads(weekly)
    local = datetime.fromtimestamp(at, _zone(timezone))
    clock = f"{local:%H:%M}"
    start, end = found["from"], found["to"]
    if start < end:
        return local.weekday() in found["days"] and start <= clock < end
    yesterday = (local - timedelta(days=1)).weekday()
    return (local.weekday() in found["days"] and clock >= start) or (yesterday in found["days"] and clock < end)


def _zone(timezone: str) -> ZoneInfo:
    try:
        return ZoneInfo(timezone)
    except (ValueError, OSError, KeyError):  # an unknown zone must not stop the judging
        return ZoneInfo("UTC")
