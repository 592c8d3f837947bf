"""Planned work: while a window is open for a line, what happens to it is postponed, never dropped. Pure."""

import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from archive.incidents import Silence


def active(silences: Iterable[Silence], metric: str, labels: str, at: int, timezone: str) -> Silence | None:
    """The window that covers this line now, or None. `timezone` is the machine's, for the weekly ones."""
    return next((one for one in silences if covers(one, metric, labels) and is_open(one, at, timezone)), None)


def covers(silence: Silence, metric: str, labels: str) -> bool:
    """Whether the window is for this line: for all metrics or this one, and its labels among the line's."""
    if silence.metric and silence.metric != metric:
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
