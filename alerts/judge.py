"""When an incident opens, eases and ends. Pure: a threshold, what was known, one sample -> what is known now.

One line (a metric with its labels) has at most one state at a time:

1. pending: the samples are beyond the level; every one must be, for the threshold's duration, or it is forgotten;
2. open, as a warning or critical. Beyond the critical level for the duration: escalated. Below it for the clear
   duration: lowered;
3. eased: on the good side of the clear level. Every sample must be, for the clear duration; then it is resolved. Beyond
   the level before that: returned, the same incident with one more flap;
4. resolved. Beyond again for the whole duration within half an hour: the same incident returns, with one more flap.

Each flap doubles the clear duration, up to an hour: what flaps is told once, not twenty times. Between the clear level
and the warning level nothing opens and nothing clears. Times are UTC seconds, levels in the metric's own unit.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

from archive.thresholds import Threshold

WARNING, CRITICAL = "warning", "critical"
RETURN_SECONDS = 1800
LONGEST_CLEAR = 3600
QUIET_SECONDS = 4 * 3600  # a level reached twice within this time is told once
# Samples further apart than this many rhythms restart a duration: three may be late or missing, no more.
PATIENCE = 3.5


class Limit(NamedTuple):
    """A threshold made ready for judging: `clear` and the level that opens are always there."""

    above: bool
    warning: float | None
    critical: float | None
    first: float  # the level that opens: the warning, or the critical one where there is no warning
    clear: float
    for_seconds: int
    clear_seconds: int
    second_above: bool
    second_level: float | None  # None: no second condition
    second_opens: bool  # the second condition is needed to open at all, not only to be critical


class State(NamedTuple):
    """What is known of a line that is not well. `critical_since_at` and `eased_at` are None outside of such a run.

    While open and critical, `eased_at` is the first sample of the present run below the critical level.
    """

    state: str  # pending, open, eased, resolved
    level: str
    since_at: int
    critical_since_at: int | None
    opened_at: int | None
    eased_at: int | None
    last_at: int
    last_value: float
    peak: float
    peak_at: int
    flaps: int


Kinds = tuple[str, ...]


def limit(threshold: Threshold) -> Limit:
    first = threshold.warning if threshold.warning is not None else threshold.critical
    if first is None:
        raise ValueError(f"{threshold.metric}: a threshold without a level")
    clear = threshold.clear
    if clear is None or (clear > first if threshold.above else clear < first):
        clear = first
    needs_second = bool(threshold.second_metric) and threshold.second_level is not None
    return Limit(
        threshold.above,
        threshold.warning,
        threshold.critical,
        first,
        clear,
        threshold.for_seconds,
        threshold.clear_seconds,
        threshold.second_above,
        threshold.second_level if needs_second else None,
        needs_second and (threshold.second_for == "both" or threshold.warning is None),
    )


def rank(by: Limit, value: float, second: float | None) -> int:
    """0: not beyond; 1: beyond the warning level; 2: beyond the critical one. A level itself is not beyond."""
    warning, critical = by.warning, by.critical
    if by.above:
        warns, crits = warning is not None and value > warning, critical is not None and value > critical
    else:
        warns, crits = warning is not None and value < warning, critical is not None and value < critical
    if by.second_level is not None and (warns or crits) and not _second_holds(by, second):
        crits = False
        warns = warns and not by.second_opens
    return 2 if crits else 1 if warns else 0


def step(  # noqa: PLR0912 the whole machine of states stands in one place
    by: Limit, before: State | None, at: int, value: float, second: float | None, broken: bool
) -> tuple[State | None, Kinds]:
    """One sample. `before` is None for a line that was well; the answer's state is None when it is.

    `second` is the second condition's sample (None: not known, so not met); `broken` says that the samples before
    are too long ago for a duration to go on. A sample at or before the last one judged changes nothing.
    """
    if before is not None:
        if at <= before.last_at:
            return before, ()
        if second is None and by.second_opens:
            return before, ()  # undecided: as if the sample were missing
    found = rank(by, value, second)
    if before is None:
        if not found:
            return None, ()
        level = CRITICAL if found == 2 else WARNING
        begun = State("pending", level, at, at if found == 2 else None, None, None, at, value, value, at, 0)
        return _confirmed(by, begun, at)
    if before.state == "pending":
        return _pending(by, before, at, value, found, broken)
    # Written out: `_replace` is four times as slow, and a back-test steps through a month of minutes.
    name, level, since, critical_since, opened, eased, _, _, peak, peak_at, flaps = before
    if value > peak if by.above else value < peak:
        peak, peak_at = value, at
    if found < 2:
        critical_since = None
    elif broken or critical_since is None:
        critical_since = at
    now = State(name, level, since, critical_since, opened, eased, at, value, peak, peak_at, flaps)
    clear = not found and ((value <= by.clear if by.above else value >= by.clear) or _second_ends(by, second))
    if before.state == "open":
        if clear:
            return _eased(by, now._replace(state="eased", eased_at=at), at, ("eased",))
        return _open(by, now, at, found, broken)
    if found:
        below = at if now.level == CRITICAL and found < 2 else None
        back, more = _open(by, now._replace(state="open", flaps=now.flaps + 1, eased_at=below), at, found, False)
        return back, ("returned", *more)
    if not clear:
        return now._replace(eased_at=None), ()
    if broken or now.eased_at is None:
        now = now._replace(eased_at=at)
    return _eased(by, now, at, ())


def came_back(previous_end: int | None, end_reason: str, since_at: int) -> bool:
    """Whether a line that is confirmed beyond since `since_at` is the incident that ended at `previous_end`."""
    return previous_end is not None and end_reason in ("cleared", "gone") and since_at - previous_end <= RETURN_SECONDS


def merged(previous: State, opened: State, above: bool) -> State:
    """The incident that ended, open again: its own start and peak, one more flap."""
    worse = opened.peak > previous.peak if above else opened.peak < previous.peak
    return opened._replace(
        since_at=previous.since_at,
        opened_at=previous.opened_at,
        peak=opened.peak if worse else previous.peak,
        peak_at=opened.peak_at if worse else previous.peak_at,
        flaps=previous.flaps + 1,
    )


def rebased(state: State, at: int) -> State:
    """The clock went back: what was judged at a time still to come counts as judged just before `at`."""

    def by_then(time: int | None) -> int | None:
        return None if time is None else min(time, at - 1)

    return state._replace(
        since_at=min(state.since_at, at - 1),
        critical_since_at=by_then(state.critical_since_at),
        opened_at=by_then(state.opened_at),
        eased_at=by_then(state.eased_at),
        last_at=min(state.last_at, at - 1),
    )


def clear_seconds(by: Limit, flaps: int) -> int:
    """How long a line must be well: doubled by each flap, up to an hour."""
    return max(by.clear_seconds, min(LONGEST_CLEAR, by.clear_seconds << min(flaps, 12)))


def worth_telling(kind: str, detail: str, level: str, at: int, told: list[tuple[int, str]]) -> bool:
    """Whether a transition is a mail. `told` is the (time, level) of what was told of this incident before.

    A return while it was only eased is not: nobody was told that it was over. A level that was told within four
    hours is not told again, or a value that hovers around the critical level would be a mail an hour.
    """
    if kind == "escalated":
        return not any(before == level and at - then < QUIET_SECONDS for then, before in told)
    return kind in ("opened", "resolved", "gone", "reminded") or (kind == "returned" and detail == "resolved")


def broken(gap: int, every: int, rhythm: Callable[[], int]) -> bool:
    """Whether samples `gap` seconds apart are too far apart. The rhythm is asked only when it matters."""
    return gap > PATIENCE * every * 60 and gap > PATIENCE * every * rhythm()


def rhythm(times: list[int]) -> int:
    """Seconds between cycles: the median of the last 15 intervals (times newest first); 60 while there are too few."""
    gaps = sorted(a - b for a, b in pairwise(times[:16]) if a - b >= 20)
    return max(60, gaps[len(gaps) // 2]) if len(gaps) > 1 else 60


def _pending(by: Limit, before: State, at: int, value: float, found: int, broken: bool) -> tuple[State | None, Kinds]:
    if not found:
        return None, ()
    worse = value > before.peak if by.above else value < before.peak
    critical_since = (
        None if found < 2 else at if broken or before.critical_since_at is None else before.critical_since_at
    )
    now = State(
        "pending",
        CRITICAL if found == 2 else WARNING,
        at if broken else before.since_at,
        critical_since,
        None,
        None,
        at,
        value,
        value if worse else before.peak,
        at if worse else before.peak_at,
        0,
    )
    return _confirmed(by, now, at)


def _confirmed(by: Limit, now: State, at: int) -> tuple[State, Kinds]:
    """Open it when every sample was beyond for long enough."""
    if at - now.since_at < by.for_seconds:
        return now, ()
    critical = now.critical_since_at is not None and at - now.critical_since_at >= by.for_seconds
    return now._replace(state="open", level=CRITICAL if critical else WARNING, opened_at=at), ("opened",)


def _open(by: Limit, now: State, at: int, found: int, broken: bool) -> tuple[State, Kinds]:
    if now.level == WARNING:
        since = now.critical_since_at
        if since is not None and at - since >= by.for_seconds:
            return now._replace(level=CRITICAL, eased_at=None), ("escalated",)
        return now, ()
    if found == 2 or by.warning is None:
        return now._replace(eased_at=None), ()
    since = at if broken or now.eased_at is None else now.eased_at
    if at - since >= clear_seconds(by, now.flaps):
        return now._replace(level=WARNING, eased_at=None), ("lowered",)
    return now._replace(eased_at=since), ()


def _eased(by: Limit, now: State, at: int, kinds: Kinds) -> tuple[State, Kinds]:
    since = at if now.eased_at is None else now.eased_at
    if at - since >= clear_seconds(by, now.flaps):
        return now._replace(state="resolved"), (*(kind for kind in kinds if kind != "eased"), "resolved")
    return now, kinds


def _second_holds(by: Limit, second: float | None) -> bool:
    level = by.second_level
    if level is None or second is None:
        return level is None
    return second > level if by.second_above else second < level


def _second_ends(by: Limit, second: float | None) -> bool:
    """The second condition alone ends it, where nothing opens without it."""
    return by.second_opens and second is not None and not _second_holds(by, second)
