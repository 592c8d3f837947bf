"""When a disk will be full: a robust slope (Theil-Sen) over six hours and over fourteen days. Pure.

The slope is the median of the slopes between all pairs of at most 150 points: a third of them may be nonsense (a
backup that comes and goes) without moving it. The range is the confidence interval of that median. Where nothing
sensible can be said, the reason is said instead of a date.
"""

import math
import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

from archive import read

HOUR, DAY = 3600, 86_400
POINTS = 150
RECENT = 7  # of these points the median is the present level
SHORT, LONG = 6 * HOUR, 14 * DAY
DROP = 0.05  # of the disk: a fall this large between two points is a deletion; what was before says nothing
FAR = 365 * DAY  # beyond a year it is not foreseen
SOON = DAY
GATE = 0.6
HELD = HOUR
# What a forecast's incident is judged with: seconds until full, by the more hopeful of the two slopes.
CLEARED = 2 * DAY


class Outlook(NamedTuple):
    """`full_at`, between `early` and `late`; or a `reason` why there is no date: little, deletion, shrinking, steady, far."""

    slope: float  # of the disk, per second
    full_at: int | None
    early: int | None
    late: int | None  # None with a date: more than a year away
    reason: str


class Forecast(NamedTuple):
    short: Outlook  # over six hours
    long: Outlook  # over fourteen days

    @property
    def best(self) -> Outlook:
        """What to show a person: the long view where it has a date, else the short one's."""
        return self.long if self.long.full_at is not None or self.short.full_at is None else self.short


Point = tuple[int, float]  # (time, share of the disk in use, 0 to 1)


def forecast(short: Sequence[Point], long: Sequence[Point], now: int) -> Forecast:
    """`short` covers the last six hours, `long` the last fourteen days; both oldest first."""
    return Forecast(outlook(short, now, SHORT), outlook(long, now, LONG))


def of_line(db: sqlite3.Connection, host: int, line: read.Series, now: int) -> Forecast:
    """The forecast of one mount (a line of disk_used_ratio), read from the archive."""
    return Forecast(view(db, host, line, now, SHORT), view(db, host, line, now, LONG))


def view(db: sqlite3.Connection, host: int, line: read.Series, now: int, window: int) -> Outlook:
    """What one window (SHORT or LONG) says, read from the archive: the one thin edge here."""
    step = 300 if window <= SHORT else HOUR
    points = read.points(db, host, line, now - window, now + 1, step)
    return outlook([(point.at + step // 2, point.mean) for point in points], now, window)


def seconds_left(found: Forecast, used: float, now: int) -> int:
    """The time to act, as both views agree on it: the later of the two dates. FAR where either sees none, or there is room."""
    if used <= GATE or found.short.full_at is None or found.long.full_at is None:
        return FAR
    return max(0, max(found.short.full_at, found.long.full_at) - now)


def outlook(points: Sequence[Point], now: int, window: int) -> Outlook:
    """What one window says at `now`."""
    recent = [point for point in points if now - window <= point[0]]
    kept = _since_deletion(recent)
    if len(kept) < 12 or kept[-1][0] - kept[0][0] < window // 4:
        return Outlook(0.0, None, None, None, "little" if len(kept) == len(recent) else "deletion")
    chosen = _thinned(kept)
    slopes = sorted(
        (later[1] - earlier[1]) / (later[0] - earlier[0])
        for index, earlier in enumerate(chosen)
        for later in chosen[index + 1 :]
        if later[0] > earlier[0]
    )
    slope = _median(slopes)
    least, most = _interval(slopes, len(chosen))
    if slope < 0:
        return Outlook(slope, None, None, None, "shrinking")
    if least <= 0:  # it may as well not grow at all
        return Outlook(slope, None, None, None, "steady")
    level = _level(kept, slope, now)
    full = _date(level, slope, now)
    if full is None:
        return Outlook(slope, None, None, None, "far")
    return Outlook(slope, full, _date(level, most, now), _date(level, least, now), "")


def _date(level: float, slope: float, now: int) -> int | None:
    """When `level` grows to 1; None when it does not within a year."""
    if slope <= 0:
        return None
    left = (1.0 - level) / slope
    return now + max(0, round(left)) if left <= FAR else None


def _since_deletion(points: list[Point]) -> list[Point]:
    """What came after the last large fall. One that is made good at once (a backup's peak) is no deletion."""
    start = 0
    for index in range(1, len(points)):
        before = max(value for _, value in points[max(start, index - 3) : index])
        if before - points[index][1] >= DROP and not _is_peak(points, start, index):
            start = index
    return points[start:]


def _is_peak(points: list[Point], start: int, index: int) -> bool:
    """Whether the fall at `index` only ends a peak: before the rise it stood no higher than after the fall."""
    after = points[index][1]
    low = [value for _, value in points[start:index]]
    top = max(range(len(low)), key=low.__getitem__)
    return top > 0 and min(low[:top], default=1.0) <= after + DROP / 5 and _median(sorted(low)) < after + DROP


def _thinned(points: list[Point]) -> list[Point]:
    """At most POINTS of them, evenly, the newest included."""
    if len(points) <= POINTS:
        return points
    share = (len(points) - 1) / (POINTS - 1)
    return [points[round(index * share)] for index in range(POINTS)]


def _level(points: list[Point], slope: float, now: int) -> float:
    """Where the disk stands now: the median of the newest points, each grown until now; an odd one moves nothing."""
    return min(1.0, _median(sorted(value + slope * (now - at) for at, value in points[-RECENT:])))


def _interval(slopes: list[float], count: int) -> tuple[float, float]:
    """The 95 % confidence interval of the median slope (Sen 1968, without ties)."""
    spread = 1.96 * math.sqrt(count * (count - 1) * (2 * count + 5) / 18)
    low = max(0, math.floor((len(slopes) - spread) / 2))
    high = min(len(slopes) - 1, math.ceil((len(slopes) + spread) / 2))
    return slopes[low], slopes[high]


def _median(ordered: Sequence[float]) -> float:
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
