"""What a threshold would have done: the judge of every minute, run over the archive.

It is the same pure judge (alerts/judge.py) on the same stored values, with the same rules for gaps, lines that went
away and reminders, so it agrees with what is really opened. It leaves out what depends on other incidents (held back
under a cause) and planned work.
"""

import sqlite3
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from typing import NamedTuple

from alerts import judge, reminders, silent
from alerts.judge import State
from alerts.rules import Rule, Rules
from archive import load, read, thresholds
from archive.read import Sample
from archive.thresholds import Threshold

DAY = 86_400
DAYS = 30
_BEGINNINGS = ("opened", "escalated", "returned")


class Moment(NamedTuple):
    at: int
    kind: str  # as of a transition
    level: str
    told: bool


class Mark(NamedTuple):
    """One incident that would have been: for the graph, and to compare with what was."""

    labels: str
    since: int  # first sample beyond
    start: int  # when it would have opened
    end: int | None  # None: still open
    level: str  # the worst
    moments: tuple[Moment, ...]


class Outcome(NamedTuple):
    incidents: int  # opened within the days
    mails: int  # opened, escalated, returned, resolved and reminders; what falls on one cycle is one mail
    marks: tuple[Mark, ...]  # those, and what was open when the days began


class Comparison(NamedTuple):
    start: int
    end: int
    proposed: Outcome
    in_force: Outcome


def compare(
    db: sqlite3.Connection, host: int, proposed: Threshold, now: int, days: int = DAYS, most: int = 0
) -> Comparison:
    """The proposed threshold beside the one in force, over the same lines. `now` is UTC seconds.

    `most`: lines times days that may be replayed (0: no end). Where more lines reach a level the days are fewer, one at
    least: a form must answer. The comparison's start says how many there were.
    """
    present = thresholds.effective(db, host)
    others = [one for one in present if (one.metric, one.labels) != (proposed.metric, proposed.labels)]
    before = _before([proposed, *present], proposed.metric)
    archive = _Archive(db, host, now - days * DAY, now, before)
    lines = [line for line in read.series(db, host, proposed.metric) if contains(line.labels, proposed.labels)]
    both = [Rules(db, host, found) for found in ([proposed, *others], present)]
    lines = [line for line in lines if any(archive.reaches(line, rules) for rules in both)]
    if most and len(lines) * days > most:
        archive = _Archive(db, host, now - max(1, most // len(lines)) * DAY, now, before)
    outcomes = [_outcome(archive, lines, rules) for rules in both]
    return Comparison(archive.start, now, *outcomes)


def in_force(db: sqlite3.Connection, host: int, metric: str, now: int, days: int = DAYS) -> Outcome:
    """What the thresholds in force would have done to every line of a metric."""
    archive = _Archive(db, host, now - days * DAY, now, _before(thresholds.effective(db, host), metric))
    return _outcome(archive, read.series(db, host, metric), Rules(db, host))


def _before(found: list[Threshold], metric: str) -> int:
    """How long before the days a replay begins: long enough to know what was open already."""
    return max([DAY, *(2 * one.for_seconds for one in found if one.metric == metric)])


class _Archive:
    """What a replay reads, each once and only when it is needed. Samples begin before the days do, to know what was open."""

    def __init__(self, db: sqlite3.Connection, host: int, start: int, end: int, before: int) -> None:
        self.db, self.host, self.start, self.end = db, host, start, end
        self.first = start - before
        self._samples: dict[int, list[Sample]] = {}
        self._ends: dict[int, tuple[float, float] | None] = {}
        self._runs: dict[str, list[tuple[int, bool]]] = {}
        self._cycles: list[int] | None = None

    def samples(self, line: read.Series) -> list[Sample]:
        if line.id not in self._samples:
            self._samples[line.id] = read.samples(self.db, self.host, line, self.first, self.end)
        return self._samples[line.id]

    def reaches(self, line: read.Series, rules: Rules) -> bool:
        """Whether any sample lies beyond the line's first level: the hours' rollups say it, a hundredth of the reading."""
        rule = rules.of(line.metric.name, line.labels)
        if rule is None:
            return False
        if line.id not in self._ends:
            hours = read.points(self.db, self.host, line, self.first, self.end + 1, 3600)
            ends = (min(hour.least for hour in hours), max(hour.greatest for hour in hours)) if hours else None
            self._ends[line.id] = ends
        found = self._ends[line.id]
        if found is None:
            return False
        return found[1] > rule.limit.first if rule.limit.above else found[0] < rule.limit.first

    def line(self, metric: str, labels: str) -> list[Sample]:
        for line in read.series(self.db, self.host, metric):
            if line.labels == labels:
                return self.samples(line)
        return []

    def cycles(self) -> list[int]:
        if self._cycles is None:
            self._cycles = read.cycles(self.db, self.host, self.first, self.end)
        return self._cycles

    def rhythm(self, at: int) -> int:
        """As it was measured at that time."""
        end = bisect_right(self.cycles(), at)
        return judge.rhythm(self.cycles()[max(0, end - 16) : end][::-1])

    def gone_at(self, probe: str, last_at: int, before: int, every: int) -> int | None:
        """When a line last seen at `last_at` was gone, before its next sample at `before`."""
        cycles = self.cycles()
        between = cycles[bisect_right(cycles, last_at) : bisect_left(cycles, before)]
        if probe and probe not in self._runs:
            samples = self.line("probe_success", load.labels_json((("probe", probe),)))
            self._runs[probe] = [(sample.at, sample.value > 0) for sample in samples]
        runs = self._runs[probe] if probe else [(at, True) for at in between]
        here = runs[bisect_right(runs, (last_at, True)) : bisect_left(runs, (before, False))]
        return silent.gone_at(last_at, here, between, every)


def _outcome(archive: _Archive, lines: list[read.Series], rules: Rules) -> Outcome:
    marks: list[Mark] = []
    for line in lines:
        rule = rules.of(line.metric.name, line.labels)
        if rule is not None and archive.reaches(line, rules):
            marks += _Replay(archive, line, rule, rules).run()
    shown = sorted((one for one in marks if one.end is None or one.end >= archive.start), key=lambda one: one.start)
    told = {moment.at for mark in shown for moment in mark.moments if moment.told and moment.at >= archive.start}
    return Outcome(sum(one.start >= archive.start for one in shown), len(told), tuple(shown))


class _Replay:
    """One line under one rule."""

    def __init__(self, archive: _Archive, line: read.Series, rule: Rule, rules: Rules) -> None:
        self.archive, self.line, self.limit = archive, line, rule.limit
        self.probe = rules.probe_of(line.metric.name, line.labels)
        self.every = rules.every_of(line.metric.name, line.labels)
        self.second = _second(archive, line, rule, rules)
        self.state: State | None = None
        self.previous: State | None = None  # the last one that ended
        self.ended_at: int | None = None
        self.end_reason = ""
        self.moments: list[Moment] = []
        self.marks: list[Mark] = []
        self.reminded_at: int | None = None
        self.remind_at = 0

    def run(self) -> list[Mark]:
        samples = self.archive.samples(self.line)
        above, first = self.limit.above, self.limit.first
        for at, value in samples:
            if self.state is None:
                if value > first if above else value < first:
                    self.step(at, value)
            else:
                self.until(at)
                if self.state is not None or (value > first if above else value < first):
                    self.step(at, value)
        if self.state is not None:
            self.until(self.archive.end + 1)
        if self.state is not None and self.state.state != "pending":
            self.mark(self.state, None)
        elif self.moments and self.previous is not None:
            self.mark(self.previous, self.ended_at)
        return self.marks

    def step(self, at: int, value: float) -> None:
        before, every = self.state, self.every
        broken = before is not None and judge.broken(at - before.last_at, every, lambda: self.archive.rhythm(at))
        after, kinds = judge.step(self.limit, before, at, value, self.second(at) if self.second else None, broken)
        if not kinds:
            self.state = after
            return
        if "opened" in kinds and after is not None:
            after, kinds = self.opened(after, kinds)
        self.state = after
        if after is not None:
            self.note(after, at, kinds)
            if after.state == "resolved":
                self.end(after, at, "cleared")

    def opened(self, after: State, kinds: judge.Kinds) -> tuple[State, judge.Kinds]:
        """A new incident, or the last one come back."""
        self.reminded_at = None
        if self.previous is not None and judge.came_back(self.ended_at, self.end_reason, after.since_at):
            return judge.merged(self.previous, after, self.limit.above), ("returned", *kinds[1:])
        if self.previous is not None:
            self.mark(self.previous, self.ended_at)
        return after, kinds

    def note(self, state: State, at: int, kinds: judge.Kinds) -> None:
        for kind in kinds:
            detail = "resolved" if kind == "returned" and self.ended_at is not None else ""
            earlier = [(one.at, one.level) for one in self.moments if one.told and one.kind in _BEGINNINGS]
            told = judge.worth_telling(kind, detail, state.level, at, earlier)
            self.moments.append(Moment(at, kind, state.level, told))
            if told and state.opened_at is not None:
                after_opening = reminders.next_at(state.opened_at, self.reminded_at)
                self.remind_at = max(after_opening, at + reminders.FIRST_SECONDS)
        if state.state != "resolved":
            self.ended_at = None

    def until(self, at: int) -> None:
        """What happens between the last sample and the one at `at`: reminders, and the line's going away."""
        state = self.state
        if state is None:
            return
        gone = None
        if at - state.last_at > 120 * self.every:
            gone = self.archive.gone_at(self.probe, state.last_at, at, self.every)
        end = at if gone is None else gone
        if state.state == "open":
            self.remind(state, end)
        if gone is not None:
            self.state = None
            if state.opened_at is not None:
                self.moments.append(Moment(gone, "gone", state.level, True))
                self.end(state._replace(state="resolved"), gone, "gone")

    def remind(self, state: State, end: int) -> None:
        while self.remind_at < end:
            cycles = self.archive.cycles()
            index = bisect_left(cycles, max(self.remind_at, state.last_at))
            if index == len(cycles) or cycles[index] >= end:
                return
            self.reminded_at = cycles[index]
            self.moments.append(Moment(cycles[index], "reminded", state.level, True))
            self.remind_at = cycles[index] + reminders.NEXT_SECONDS

    def end(self, state: State, at: int, reason: str) -> None:
        self.previous, self.ended_at, self.end_reason, self.state = state, at, reason, None

    def mark(self, state: State, end: int | None) -> None:
        levels = [one.level for one in self.moments if one.kind in _BEGINNINGS]
        worst = judge.CRITICAL if judge.CRITICAL in levels else judge.WARNING
        start = self.moments[0].at
        self.marks.append(Mark(self.line.labels, state.since_at, start, end, worst, tuple(self.moments)))
        self.moments = []


def _second(archive: _Archive, line: read.Series, rule: Rule, rules: Rules) -> Callable[[int], float | None] | None:
    """The second condition's sample at a time, as the minute's step finds it; None without a second condition."""
    metric = rule.threshold.second_metric
    if rule.limit.second_level is None or metric not in rules.metrics:
        return None
    found = [archive.line(metric, labels) for labels in dict.fromkeys((line.labels, "{}"))]
    exact = [dict(samples) for samples in found]
    every = rules.every_of(metric, line.labels)

    def at_time(at: int) -> float | None:
        for known in exact:
            if at in known:
                return known[at]
        since = at - int(judge.PATIENCE * every * archive.rhythm(at))
        for samples in found:
            index = bisect_right(samples, (at, float("inf"))) - 1
            if index >= 0 and samples[index].at >= since:
                return samples[index].value
        return None

    return at_time


def contains(labels: str, wanted: str) -> bool:
    import json

    mine = json.loads(labels)
    return all(mine.get(name) == value for name, value in json.loads(wanted).items())
