"""A graph in a sentence or three, equal to its rows: mean, peak and when, the threshold, what lacks. Pure."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from alerts.chart_data import Band, Gap, runs, tolerance
from alerts.words import DAY, MINUTE, Words
from archive.read import Point


class Facts(NamedTuple):
    """What the points say. `mean` weighs each span by its samples; the first of equal peaks counts."""

    mean: float
    least: float
    least_at: int
    greatest: float
    greatest_at: int


class Limit(NamedTuple):
    """A level to tell about. `kind`: warning or critical."""

    value: float
    above: bool
    kind: str


class Excess(NamedTuple):
    """How often the mean line went beyond a level, and for how long together."""

    times: int
    seconds: int


def facts(points: Sequence[Point]) -> Facts | None:
    """None without a point. Points are ordered and finite (chart_data.sound)."""
    if not points:
        return None
    count = math.fsum(max(1, point.count) for point in points)
    mean = math.fsum(point.mean * max(1, point.count) for point in points) / count
    least = min(points, key=lambda point: (point.least, point.at))
    greatest = min(points, key=lambda point: (-point.greatest, point.at))
    # Rounding must not put the mean outside of its own samples.
    mean = min(max(mean, least.least), greatest.greatest)
    return Facts(mean, least.least, least.at, greatest.greatest, greatest.at)


def excess(points: Sequence[Point], limit: Limit, step: int, every: int) -> Excess:
    """Spans whose mean is beyond the level, as the drawn line is: one after another they are one time."""
    beyond = [point for point in points if (point.mean > limit.value if limit.above else point.mean < limit.value)]
    # Two spans beyond with one between that is not are two times: neighbours stand a span apart.
    near = {point.at: index for index, point in enumerate(points)}
    times = [run for part in runs(beyond, tolerance(step, every)) for run in _neighbours(part, near)]
    return Excess(len(times), sum(run[-1].at - run[0].at + max(step, every) for run in times))


def _neighbours(part: Sequence[Point], place: dict[int, int]) -> list[list[Point]]:
    found: list[list[Point]] = []
    for point in part:
        if found and place[point.at] == place[found[-1][-1].at] + 1:
            found[-1].append(point)
        else:
            found.append([point])
    return found


def sentence(
    words: Words,
    unit: str,
    period: str,
    points: Sequence[Point],
    step: int,
    now: int,
    *,
    every: int = 60,
    limits: Sequence[Limit] = (),
    fine: Sequence[Point] | None = None,
    incidents: Sequence[Band] = (),
    gaps: Sequence[Gap] = (),
) -> str:
    """« 24 heures : moyenne 26 %, maximum 87 % (hier vers 20:38). Seuil 85 % dépassé 1 fois (1 h 18). »

    `period` is in the reader's words. How often a threshold was exceeded is told from single samples alone (`fine`, or
    the points themselves where a span is a minute): a mean of a day would say "never" of an hour at 100 %. Without
    them the incidents of the period are told. Without a point: that there was no measure.
    """
    found = facts(points)
    if found is None:
        return words.gettext("%(period)s: no measure.", period=period)
    low = bool(limits) and not limits[0].above
    parts = [_first(words, unit, period, found, step, now, low=low)]
    single = fine if fine is not None else points if step <= MINUTE else None
    if single is not None:
        passed = [(limit, excess(single, limit, MINUTE, every)) for limit in limits]
        # The first level always; the others only where they were passed.
        parts += [_limit(words, unit, limit, how) for rank, (limit, how) in enumerate(passed) if rank == 0 or how.times]
    elif limits:
        parts.append(_incidents(words, incidents, points[0].at, now))
    lacking = sum(gap.end - gap.start for gap in gaps)
    if lacking >= MINUTE:
        # Of long spans only whole ones without a sample are seen: the first and the last hold a part of the gap.
        lack = words.duration(lacking)
        parts.append(
            words.gettext("No measure for %(span)s.", span=lack)
            if step <= 5 * MINUTE
            else words.gettext("No measure for at least %(span)s.", span=lack)
        )
    return " ".join(parts)


def _incidents(words: Words, incidents: Sequence[Band], start: int, now: int) -> str:
    """How many, and how long together within the period."""
    if not incidents:
        return words.gettext("No incident.")
    span = sum(
        max(0, min(band.end, now) - max(band.start, start)) if band.count == 1 else band.seconds for band in incidents
    )
    count = sum(band.count for band in incidents)
    return words.ngettext(
        "%(num)s incident (%(span)s).", "%(num)s incidents (%(span)s).", count, span=words.duration(span)
    )


def _first(words: Words, unit: str, period: str, found: Facts, step: int, now: int, *, low: bool) -> str:
    mean = words.value(found.mean, unit)
    if words.value(found.least, unit) == words.value(found.greatest, unit):
        return words.gettext("%(period)s: %(mean)s throughout.", period=period, mean=mean)
    value, at = (found.least, found.least_at) if low else (found.greatest, found.greatest_at)
    values = {"period": period, "mean": mean, "peak": words.value(value, unit), "when": when(words, at, step, now)}
    if low:
        return words.gettext("%(period)s: mean %(mean)s, minimum %(peak)s (%(when)s).", **values)
    return words.gettext("%(period)s: mean %(mean)s, maximum %(peak)s (%(when)s).", **values)


def when(words: Words, at: int, step: int, now: int) -> str:
    """As exact as the span is short: a minute, about a time, or the day that holds most of the span."""
    if step >= DAY:
        return words.day(at + step // 2, now)
    if step <= MINUTE:
        return words.moment(at, now)
    clock = words.gettext("about %(clock)s", clock=words.clock(at + step // 2))
    return clock if words.day(at, now) == words.day(now, now) else f"{words.day(at, now)} {clock}"


def _limit(words: Words, unit: str, limit: Limit, passed: Excess) -> str:
    level = words.value(limit.value, unit)
    if limit.kind == "critical":
        level = words.gettext("critical %(level)s", level=level)
    if not passed.times:
        if limit.above:
            return words.gettext("Threshold %(level)s never exceeded.", level=level)
        return words.gettext("Never below the threshold %(level)s.", level=level)
    span = words.duration(passed.seconds)
    if limit.above:
        return words.ngettext(
            "Threshold %(level)s exceeded %(num)s time (%(span)s).",
            "Threshold %(level)s exceeded %(num)s times (%(span)s).",
            passed.times,
            level=level,
            span=span,
        )
    return words.ngettext(
        "Below the threshold %(level)s %(num)s time (%(span)s).",
        "Below the threshold %(level)s %(num)s times (%(span)s).",
        passed.times,
        level=level,
        span=span,
    )
