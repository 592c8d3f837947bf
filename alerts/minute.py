"""One cycle, judged: latest values + thresholds + live incidents -> rows, transitions and the mail owed.

1. Every line that is beyond a level, or has a live incident, takes one step of the judge (alerts/judge.py).
2. Live incidents whose line is missing, or whose threshold was switched off, end.
3. Probes and the machine itself: silent or not (alerts/silent.py). Every 15 minutes: when disks will be full.
4. In ONE transaction: the incident rows, their transitions, and the mail owed for what is worth telling: not what a
   cause holds back, not what planned work postpones.

While all is well nothing is read but the live incidents, and nothing is written. Each cycle is judged at its own time,
so a backlog gives the same incidents as the minutes would have.
"""

import sqlite3

from alerts import judge, silent
from alerts.judge import Limit, State
from alerts.rules import Rule, Rules
from alerts.telling import JUDGED, Context, Move, Telling
from archive import incidents, read, thresholds
from archive.incidents import Incident
from archive.load import Loaded, labels_json

FORECAST_EVERY = 900
FORECAST_METRIC = "disk_used_ratio"
_PROBE_SUCCESS = "probe_success"


class Minutes:
    """Judges cycles, oldest first. `evidence` collects the incidents of which evidence should be taken."""

    def __init__(self, context: Context, last_runs: dict[str, int]) -> None:
        self.context = context
        self.db, self.host = context.db, context.host
        self.rules = Rules(context.db, context.host)
        self.last_runs = last_runs  # probe -> time of its last run before the first cycle judged here
        self.evidence: list[int] = []
        self._success: dict[str, tuple[str, str]] = {}
        self._seen: set[str] = set()  # labels of probe_success
        self._never_well = {probe.name for probe in read.probes(context.db, context.host) if probe.ok_at is None}

    def judge(self, cycle: Loaded, clock_went_back: bool = False) -> None:
        """One cycle. Judged twice, it changes nothing: every state remembers its last sample."""
        minute = _Minute(self, cycle, clock_went_back)
        minute.lines()
        minute.missing()
        minute.probes()
        minute.machine()
        minute.forecasts()
        minute.write()

    def meet(self, labels: str, at: int) -> None:
        """A probe that ran: known from now on."""
        if labels not in self._seen:
            self._seen.add(labels)
            self.last_runs.setdefault(self.rules.probe_of(_PROBE_SUCCESS, labels), at)

    def success_key(self, probe: str) -> tuple[str, str]:
        if probe not in self._success:
            self._success[probe] = (_PROBE_SUCCESS, labels_json((("probe", probe),)))
        return self._success[probe]

    def was_never_well(self, probe: str) -> bool:
        return probe in self._never_well


class _Minute:
    def __init__(self, run: Minutes, cycle: Loaded, clock_went_back: bool) -> None:
        self.run, self.db, self.host, self.rules = run, run.db, run.host, run.rules
        self.at, self.values, self.cycle = cycle.at, cycle.values, cycle
        self.clock_went_back = clock_went_back
        found = incidents.live(run.db, run.host)
        if clock_went_back:
            found = [
                _with(one, judge.rebased(_state(one), self.at)) if one.last_at >= self.at else one for one in found
            ]
        self.live = {(one.kind, one.metric, one.labels): one for one in found}
        self.moves: list[Move] = []
        self.before = incidents.cycle_before(run.db, run.host, cycle.at)
        self._rhythm = 0

    # --- the steps ---

    def lines(self) -> None:
        """Lines beyond a level, and lines with a live incident."""
        for (metric, labels), raw in self.values.items():
            if not self.rules.watched(metric):
                continue
            rule = self.rules.of(metric, labels)
            if rule is None:
                continue
            before = self.live.get(("threshold", metric, labels))
            value = self.rules.stored(metric, raw)
            first = rule.limit.first
            if before is None and not (value > first if rule.limit.above else value < first):
                continue
            every = self.rules.every_of(metric, labels)
            broken = before is not None and judge.broken(self.at - before.last_at, every, self.rhythm)
            second = self._second(rule, labels)
            after, kinds = judge.step(
                rule.limit, _state(before) if before else None, self.at, value, second, broken
            )  # fmt: skip
            self._settle(
                "threshold", metric, labels, before, after, kinds, rule.limit, thresholds.to_json(rule.threshold)
            )

    def missing(self) -> None:
        """Live incidents of lines that are not there, or that no threshold is about any more."""
        for (kind, metric, labels), before in self.live.items():
            if kind not in ("threshold", "forecast"):
                continue
            if self.rules.of(metric, labels) is None and (kind == "threshold" or self.rules.watched(metric)):
                self._end(before, "disabled")
            elif (metric, labels) not in self.values and self._is_gone(before):
                self._end(before, "gone")

    def probes(self) -> None:
        """Each probe: ran well, failed, or did not run."""
        for metric, labels in self.values:
            if metric == _PROBE_SUCCESS:
                self.run.meet(labels, self.at)
        for probe, last_run in self.run.last_runs.items():
            outcome = self.values.get(self.run.success_key(probe))
            ran = None if outcome is None else outcome > 0
            before = self.live.get(("silent", probe, "{}"))
            if ran is not None:
                self.run.last_runs[probe] = self.at
            if ran and before is None:
                continue
            every = self.rules.every.get(probe, 1)
            overdue = ran is None and self._is_overdue(probe, last_run, every, before)
            if ran is None and before is None and not overdue:
                continue
            period = every * self.rhythm()
            after, kinds = silent.probe(_state(before) if before else None, self.at, ran, overdue, period)
            self._settle("silent", probe, "{}", before, after, kinds, None, "{}")

    def machine(self) -> None:
        """The time without a cycle that ends with this one: opened and closed at once, in one mail."""
        before = self.before
        if before is None or self.at - before[0] <= judge.PATIENCE * 60:
            return
        earlier = incidents.cycle_times(self.db, self.host, before[0])
        now = silent.Passed(self.at, self.cycle.boot, self.cycle.uptime)
        gap = silent.gap(silent.Passed(*before), now, earlier)
        if gap is None or any(one.last_at >= self.at for one in self._of_line("silent", "", "{}")):
            return
        length = float(gap.end - gap.start)
        state = State(
            "resolved", judge.WARNING, gap.start, None, self.at, None, self.at, length, length, self.at, 0
        )  # fmt: skip
        detail = "rebooted" if gap.rebooted else ""
        self.moves.append(Move(self._new("silent", "", "{}", state, "{}"), ("opened", "resolved"), detail))

    def forecasts(self) -> None:
        """Every quarter of an hour: mounts that fill, and mounts with a live forecast."""
        lines = [key for key in self.values if key[0] == FORECAST_METRIC]
        if not lines or not self._quarter_begins():
            return
        from alerts import forecast

        by = Limit(
            False,
            forecast.SOON,
            None,
            forecast.SOON,
            forecast.CLEARED,
            forecast.HELD,
            forecast.HELD,
            False,
            None,
            False,
        )
        known = {line.labels: line for line in read.series(self.db, self.host, FORECAST_METRIC)}
        for metric, labels in lines:
            before = self.live.get(("forecast", metric, labels))
            used = self.values[metric, labels]
            meant = self.rules.watched(metric) and self.rules.of(metric, labels) is None
            if meant or labels not in known or (before is None and used <= forecast.GATE):
                continue
            short = forecast.view(self.db, self.host, known[labels], self.at, forecast.SHORT)
            if before is None and (short.full_at is None or short.full_at - self.at >= forecast.SOON):
                continue  # the last hours see no danger: the long view is not asked, it costs five times as much
            long = forecast.view(self.db, self.host, known[labels], self.at, forecast.LONG)
            found = forecast.Forecast(short, long)
            left = float(forecast.seconds_left(found, used, self.at))
            if before is None and left >= forecast.SOON:
                continue
            gap = self.at - before.last_at if before else 0
            broken = gap > judge.PATIENCE * max(FORECAST_EVERY, self.rhythm())
            after, kinds = judge.step(by, _state(before) if before else None, self.at, left, None, broken)
            self._settle("forecast", metric, labels, before, after, kinds, by, "{}")

    def write(self) -> None:
        """All of it in one transaction, or nothing at all when nothing moved."""
        standing = [one for one in self.live.values() if one.opened_at is not None and one.kind in JUDGED]
        if self.moves or standing:
            telling = Telling(self.run.context, self.at, self.moves, standing)
            telling.write()
            self.run.evidence += telling.evidence

    # --- what a step needs to know ---

    def rhythm(self) -> int:
        if not self._rhythm:
            self._rhythm = judge.rhythm(incidents.cycle_times(self.db, self.host, self.at))
        return self._rhythm

    def _second(self, rule: Rule, labels: str) -> float | None:
        """The second condition's sample: of the same line, else of the metric without labels; a recent one will do."""
        metric = rule.threshold.second_metric
        if rule.limit.second_level is None or metric not in self.rules.metrics:
            return None
        for line in dict.fromkeys((labels, "{}")):
            if (metric, line) in self.values:
                return self.rules.stored(metric, self.values[metric, line])
        every = self.rules.every_of(metric, labels)
        for line in dict.fromkeys((labels, "{}")):
            found = next((one for one in read.series(self.db, self.host, metric) if one.labels == line), None)
            if found is None:
                continue
            since = self.at - int(judge.PATIENCE * every * self.rhythm())
            recent = read.samples(self.db, self.host, found, since, self.at)
            if recent:
                return recent[-1].value
        return None

    def _is_gone(self, incident: Incident) -> bool:
        every = self.rules.every_of(incident.metric, incident.labels)
        if self.at - incident.last_at < 120 * every:
            return False
        probe = self.rules.probe_of(incident.metric, incident.labels)
        if self.values.get(self.run.success_key(probe)) == 0:
            return False  # it failed: it says nothing about its lines
        start = incident.last_at + 1
        cycles = read.cycles(self.db, self.host, start, self.at)
        runs = success_runs(self.db, self.host, probe, start, self.at) if probe else [(at, True) for at in cycles]
        gone = silent.gone_at(incident.last_at, runs, cycles, every)
        return gone is not None and gone <= self.at

    def _is_overdue(self, probe: str, last_run: int, every: int, before: Incident | None) -> bool:
        age = self.at - last_run
        if age < silent.MISSED * every * 50 or self.run.was_never_well(probe):
            return False
        live = before is not None and before.state != "pending"
        if not live and age > silent.MISSED * every * self.rhythm() + 86_400:
            return False
        if incidents.cycles_between(self.db, self.host, last_run, self.at) < silent.MISSED * every:
            return False
        told = () if live else self._of_line("silent", probe, "{}")
        return not any(one.opened_at is not None and one.opened_at > last_run for one in told)

    def _quarter_begins(self) -> bool:
        before = self.before
        return before is None or before[0] // FORECAST_EVERY != self.at // FORECAST_EVERY

    def _of_line(self, kind: str, metric: str, labels: str) -> list[Incident]:
        return incidents.of_line(self.db, self.host, kind, metric, labels)

    # --- from states to rows ---

    def _settle(
        self,
        kind: str,
        metric: str,
        labels: str,
        before: Incident | None,
        after: State | None,
        kinds: tuple[str, ...],
        by: Limit | None,
        threshold: str,
    ) -> None:
        if before is None:
            if after is not None:
                self._begin(kind, metric, labels, after, kinds, by, threshold)
            return
        if after is None:
            # It did not last: nobody was told, and nothing is left but the row for the next time.
            self.moves.append(Move(before._replace(state="resolved", ended_at=self.at, last_at=self.at), ()))
            return
        if after == _state(before):
            return
        now = _with(before, after)
        if "opened" in kinds:
            self._open(now._replace(threshold=threshold), kinds, by, before.id)
        elif after.state == "resolved":
            self.moves.append(Move(now._replace(ended_at=self.at, end_reason=_reason(kinds)), kinds))
        else:
            self.moves.append(Move(now, kinds))

    def _begin(
        self,
        kind: str,
        metric: str,
        labels: str,
        state: State,
        kinds: tuple[str, ...],
        by: Limit | None,
        threshold: str,
    ) -> None:
        line = self._of_line(kind, metric, labels)
        if any(one.last_at >= self.at for one in line) and not self.clock_went_back:
            return  # judged before: a cycle judged twice changes nothing
        incident = self._new(kind, metric, labels, state, threshold)
        kept = next((one for one in line if one.opened_at is None), None)
        if "opened" in kinds:
            self._open(incident._replace(id=kept.id) if kept else incident, kinds, by, 0)
        else:
            self.moves.append(Move(incident._replace(id=kept.id) if kept else incident, kinds))

    def _open(self, incident: Incident, kinds: tuple[str, ...], by: Limit | None, pending: int) -> None:
        """A confirmed breach: a new incident, or the one of half an hour ago come back. `pending` is its row until now."""
        line = self._of_line(incident.kind, incident.metric, incident.labels)
        previous = next((one for one in line if one.opened_at is not None), None)
        if previous is None or not judge.came_back(previous.ended_at, previous.end_reason, incident.since_at):
            self.moves.append(Move(incident, kinds))
            return
        above = by.above if by else True
        back = _with(previous, judge.merged(_state(previous), _state(incident), above))._replace(
            ended_at=None, end_reason="", cause=None, threshold=incident.threshold,
            reminded_at=None, acknowledged_at=None, acknowledged_by="", acknowledged_reason="",
        )  # fmt: skip
        if pending:
            brief = incident._replace(state="resolved", opened_at=None, ended_at=self.at)
            self.moves.append(Move(brief, ()))
        self.moves.append(Move(back, ("returned", *kinds[1:]), "resolved", pending))

    def _end(self, before: Incident, reason: str) -> None:
        ended = before._replace(state="resolved", ended_at=self.at, end_reason=reason)
        if before.opened_at is None:
            self.moves.append(Move(ended._replace(end_reason="", last_at=self.at), ()))
        else:
            self.moves.append(Move(ended, ("gone" if reason == "gone" else "resolved",), reason))

    def _new(self, kind: str, metric: str, labels: str, state: State, threshold: str) -> Incident:
        over = state.state == "resolved"
        return Incident(
            0, self.host, kind, metric, labels,
            incidents.series_id(self.db, self.host, metric, labels) if kind != "silent" else None,
            state.state, state.level, state.since_at, state.critical_since_at, state.opened_at, state.eased_at,
            self.at if over else None, "cleared" if over else "", state.last_at, state.last_value, state.peak,
            state.peak_at, state.flaps, None, threshold, None, None, "", "",
        )  # fmt: skip


def success_runs(db: sqlite3.Connection, host: int, probe: str, start: int, end: int) -> list[tuple[int, bool]]:
    """(time, well) of every run of a probe in [start, end], oldest first."""
    wanted = labels_json((("probe", probe),))
    for line in read.series(db, host, _PROBE_SUCCESS):
        if line.labels == wanted:
            return [(at, value > 0) for at, value in read.samples(db, host, line, start, end)]
    return []


def _reason(kinds: tuple[str, ...]) -> str:
    return "gone" if "gone" in kinds else "cleared"


def _state(incident: Incident) -> State:
    return State(
        incident.state, incident.level, incident.since_at, incident.critical_since_at, incident.opened_at,
        incident.eased_at, incident.last_at, incident.last_value, incident.peak, incident.peak_at, incident.flaps,
    )  # fmt: skip


def _with(incident: Incident, state: State) -> Incident:
    return incident._replace(**state._asdict())
