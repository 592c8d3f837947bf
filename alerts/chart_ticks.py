"""Where an axis has its marks: round values in the unit's own rhythm, and round hours of the reader's clock. Pure.

Days have 23, 24 or 25 hours: marks are found on the local clock, then turned into UTC seconds.
"""

import math
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

from alerts.words import Words, short_day

HOUR, DAY = 3600, 86_400
LETTER = 6.7  # width of a letter of the labels, in pixels


class Tick(NamedTuple):
    """`at`: UTC seconds, or a value in the metric's unit. `major`: a new day among hours, a new year among months."""

    at: float
    label: str
    major: bool


class Axis(NamedTuple):
    """Values from `low` to `high`; `low < high`, both finite."""

    low: float
    high: float
    ticks: tuple[Tick, ...]

    def share(self, value: float) -> float:
        """A value's height on the axis, 0 to 1; what lies beyond stands at the edge."""
        return min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))


_DECIMAL = (1.0, 2.0, 2.5, 5.0, 10.0)
_BINARY = (1.0, 2.0, 4.0, 5.0, 8.0, 10.0, 16.0, 20.0, 32.0, 50.0, 64.0, 100.0, 128.0, 200.0, 256.0, 500.0, 512.0)
_SPANS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, HOUR, 2 * HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR)


def value_axis(unit: str, low: float, high: float, parts: int, words: Words) -> Axis:
    """An axis that holds [low, high] with about `parts` intervals. Zero is on it, but for temperatures."""
    floor = low if unit == "celsius" and low > 0 else min(0.0, low)
    if unit == "celsius":
        floor -= 2
    # A flat line stands in the middle of its axis, not on its edge.
    top = high if high > floor else floor + (abs(floor) or 1.0)
    step = _step(unit, (top - floor) / parts)
    first, last = math.floor(floor / step + 1e-9), math.ceil(top / step - 1e-9)
    marks = [index * step for index in range(first, max(last, first + 1) + 1)]
    return Axis(marks[0], marks[-1], tuple(Tick(mark, _value(mark, unit, step, words), mark == 0) for mark in marks))


def _step(unit: str, least: float) -> float:
    """The smallest round step that is at least `least` (or a hair less)."""
    least = max(least * 0.95, 1e-6)
    if unit in ("bytes", "bytes_rate"):
        power = max(0, int(math.log(max(least, 1.0), 1024)))
        rounds = [part * 1024.0**level for level in (power, power + 1) for part in _BINARY]
    elif unit == "seconds" and least > 1:
        rounds = [float(span) for span in _SPANS] + [part * DAY * 10**level for level in range(8) for part in (1, 2, 5)]
    else:
        power = math.floor(math.log10(least))
        rounds = [part * 10.0**power for part in _DECIMAL]
    return next((part for part in rounds if part >= least), least)


def _value(mark: float, unit: str, step: float, words: Words) -> str:
    """A label with the decimals that the step needs (`number` leaves out zeros at the end)."""
    if unit in ("bytes", "bytes_rate", "seconds"):
        return words.value(mark, unit) if mark else "0"
    if unit == "ratio":
        return words.percent(mark, max(0, 1 - math.floor(math.log10(step * 100))))
    text = words.number(mark, max(0, 1 - math.floor(math.log10(step))))
    return f"{text}/s" if unit == "count_rate" and mark else text


def time_ticks(start: int, end: int, width: float, words: Words) -> tuple[Tick, ...]:
    """Marks in [start, end] that fit on `width` pixels, at round times of the reader's clock."""
    if end <= start:
        return ()
    pixel = width / (end - start)
    for ticks in _rhythms(start, end, int(width / 40), words):
        room = max((len(tick.label) for tick in ticks), default=1) * LETTER + 12
        gap = min((b.at - a.at for a, b in pairwise(ticks)), default=end - start)
        if gap * pixel >= room:
            return _kept(ticks, start, end, pixel)
    return ()


def _kept(ticks: list[Tick], start: int, end: int, pixel: float) -> tuple[Tick, ...]:
    """Without the marks whose label would be cut at the right edge (the left one has the room of the values)."""
    return tuple(t for t in ticks if start <= t.at and (end - t.at) * pixel >= len(t.label) * LETTER / 2 - 14)


def _rhythms(start: int, end: int, most: int, words: Words) -> Iterator[list[Tick]]:
    """Marks ever further apart; a rhythm that would give over `most` is not tried."""
    span = end - start
    for minutes in (5, 10, 15, 30, 60, 120, 180, 240, 360, 720):
        if span <= minutes * 60 * most:
            yield list(_hours(start, end, minutes, words))
    for days in (1, 2, 7, 14):
        if span <= days * DAY * most:
            yield list(_days(start, end, days, words))
    for months in (1, 2, 3, 6, 12, 24, 60, 120, 1200):
        if span <= months * 31 * DAY * most:
            yield list(_months(start, end, months, words))


def _hours(start: int, end: int, minutes: int, words: Words) -> Iterator[Tick]:
    # Clocks differ from UTC by quarters of an hour, so a round local time is among the quarters (or fives) of UTC.
    grain = (15 if minutes >= 15 else 5) * 60
    for at in range(start + -start % grain, end + 1, grain):
        local = words.local(at)
        if (local.hour * 60 + local.minute) % minutes:
            continue
        midnight = local.hour == local.minute == 0
        # The hour that is lived twice gets one mark at its first turn, where the rhythm is wide.
        if local.fold and minutes > 60:
            continue
        label = short_day("Ed", local.date(), words.language) if midnight else f"{local:%H:%M}"
        yield Tick(at, label, midnight)


def _days(start: int, end: int, days: int, words: Words) -> Iterator[Tick]:
    day = words.local(start).date()
    last = words.local(end).date()
    near = (last - day).days <= 15
    while day <= last:
        # Weeks begin on Monday; every second day counts from a fixed one, so that marks stay when the page is moved.
        if days == 1 or (days % 7 == 0 and day.weekday() == 0 and day.toordinal() // 7 % (days // 7) == 0):
            keep = True
        else:
            keep = days == 2 and day.toordinal() % 2 == 0
        if keep:
            at = _midnight(day, words)
            if start <= at <= end:
                yield Tick(at, short_day("Ed" if near else "MMMd", day, words.language), day.day == 1)
        day += timedelta(days=1)


def _months(start: int, end: int, months: int, words: Words) -> Iterator[Tick]:
    first, last = words.local(start).date(), words.local(end).date()
    index, stop = first.year * 12 + first.month - 1, last.year * 12 + last.month - 1
    while index <= min(stop, 9999 * 12 - 1):
        if index % months == 0:
            day = date(index // 12, index % 12 + 1, 1)
            at = _midnight(day, words)
            if start <= at <= end:
                january = day.month == 1
                yield Tick(at, str(day.year) if january else short_day("MMM", day, words.language), january)
        index += 1


def _midnight(day: date, words: Words) -> int:
    """UTC seconds of the day's first minute; where midnight is skipped, of the first that exists."""
    local = datetime(day.year, day.month, day.day, tzinfo=words.zone)
    return int(local.astimezone(UTC).timestamp())
