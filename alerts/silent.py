"""When a probe, a line or the whole machine says nothing any more. Pure.

A probe is silent when it failed three times running, or when it did not run for three times its own EVERY, counted in
cycles that did run: while the machine was off, nobody was silent but the machine. A probe that says UNAVAILABLE ran.
A probe that was taken out of its folder is silent once; after an hour without it the incident ends as gone, because
then it was meant.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from alerts import judge
from alerts.judge import State

MISSED = 3
GONE_SECONDS = 3600
CALM_SECONDS = 600  # a probe that works again must work for this long, so that one that flaps is one incident
FEWEST_CYCLES = 4  # before that no rhythm is known: the time between set-up and the first line of cron is no silence


class Passed(NamedTuple):
    """A cycle, as far as silence goes."""

    at: int
    boot: str
    uptime: float


class Gap(NamedTuple):
    """The machine said nothing between two cycles."""

    start: int  # the last cycle before
    end: int
    rebooted: bool


def probe(
    before: State | None, at: int, ran: bool | None, overdue: bool, period: int
) -> tuple[State | None, judge.Kinds]:
    """One probe at one cycle. `ran`: well, failed, or None when it did not run; `period`: seconds between its runs.

    `overdue` says that it did not run for three periods. The state's value is the count of failures running.
    """
    if before is not None and at <= before.last_at:
        return before, ()
    if ran is None:
        return _absent(before, at, overdue, period)
    if ran:
        return _well(before, at, period)
    if before is None:
        return State("pending", judge.WARNING, at, None, None, None, at, 1.0, 1.0, at, 0), ()
    count = 1.0 if before.state == "eased" else before.last_value + 1.0
    now = before._replace(last_at=at, last_value=count, peak=max(count, before.peak), peak_at=at)
    if before.state == "eased":
        return now._replace(state="open", eased_at=None, flaps=before.flaps + 1), ("returned",)
    if before.state == "pending" and count >= MISSED:
        return now._replace(state="open", opened_at=at), ("opened",)
    return now, ()


def gap(before: Passed | None, now: Passed, earlier: Sequence[int]) -> Gap | None:
    """The machine's silence that ends with this cycle: three cycles missed. `earlier`: times up to `before`, newest first.

    A clock that was put forward is no silence: on the same boot, /proc/uptime tells how much time really passed.
    """
    if before is None or len(earlier) < FEWEST_CYCLES:
        return None
    longest = judge.PATIENCE * judge.rhythm(list(earlier))
    same_boot = before.boot == now.boot
    passed = min(now.at - before.at, now.uptime - before.uptime + 1) if same_boot else now.at - before.at
    return Gap(before.at, now.at, not same_boot) if passed > longest else None


def gone_at(last_at: int, runs: Iterable[tuple[int, bool]], cycles: Iterable[int], every: int) -> int | None:
    """When a line that was last seen at `last_at` counts as gone: at the third good run of its probe without it.

    Where the probe itself does not run any more: after three of its periods, counted in cycles, and an hour. `runs`
    (time, well) and `cycles` are those after `last_at`, oldest first.
    """
    good, first_run = 0, None
    by_runs = by_absence = None
    for at, well in runs:
        first_run = at if first_run is None else first_run
        good += well
        if good == MISSED:
            by_runs = at
            break
    for number, at in enumerate(cycles, 1):
        if first_run is not None and at >= first_run:
            break
        if number >= MISSED * every and at - last_at >= GONE_SECONDS:
            by_absence = at
            break
    found = [at for at in (by_runs, by_absence) if at is not None]
    return min(found, default=None)


def _absent(before: State | None, at: int, overdue: bool, period: int) -> tuple[State | None, judge.Kinds]:
    if before is None or before.state == "pending":
        if not overdue:
            return before, ()
        since = before.since_at if before else at - MISSED * period
        return State("open", judge.WARNING, since, None, at, None, at, float(MISSED), float(MISSED), at, 0), ("opened",)
    if overdue and at - max(before.opened_at or before.since_at, before.last_at) >= GONE_SECONDS:
        return before._replace(state="resolved"), ("gone",)
    return before, ()


def _well(before: State | None, at: int, period: int) -> tuple[State | None, judge.Kinds]:
    if before is None or before.state == "pending":
        return None, ()
    since = before.eased_at if before.state == "eased" and before.eased_at is not None else at
    now = before._replace(state="eased", eased_at=since, last_at=at, last_value=0.0)
    if period >= CALM_SECONDS or at - since >= CALM_SECONDS:
        return now._replace(state="resolved"), ("resolved",)
    return now, () if before.state == "eased" else ("eased",)
