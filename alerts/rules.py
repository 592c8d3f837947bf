"""The thresholds in force, ready for the judge: which one is for which line, and what to know of its metric."""

import json
import sqlite3
from typing import NamedTuple

from alerts import judge
from archive import read, thresholds
from archive.thresholds import Threshold


class Rule(NamedTuple):
    threshold: Threshold
    limit: judge.Limit


class Rules:
    """Every threshold of one host, by metric; the most precise one for a line wins."""

    def __init__(self, db: sqlite3.Connection, host: int, found: list[Threshold] | None = None) -> None:
        self.metrics = {metric.name: metric for metric in read.metrics(db)}
        self.every = {probe.name: probe.every for probe in read.probes(db, host)}
        self._by_metric: dict[str, list[tuple[dict[str, str], Rule]]] = {}
        self._known: dict[tuple[str, str], Rule | None] = {}
        for one in sorted(thresholds.effective(db, host) if found is None else found, key=_precision):
            if one.metric in self.metrics and (one.warning is not None or one.critical is not None):
                rule = Rule(one, judge.limit(one))
                self._by_metric.setdefault(one.metric, []).append((json.loads(one.labels), rule))

    def watched(self, metric: str) -> bool:
        """Whether any threshold is about this metric."""
        return metric in self._by_metric

    def metrics_watched(self) -> list[str]:
        """The metrics that any threshold is about."""
        return list(self._by_metric)

    def rules_of(self, metric: str) -> list[Rule]:
        """Every rule about a metric, the most precise first; disabled ones too."""
        return [rule for _, rule in self._by_metric.get(metric, [])]

    def of(self, metric: str, labels: str) -> Rule | None:
        """The rule for one line, or None; a threshold that is off gives None for its lines."""
        key = (metric, labels)
        if key not in self._known:
            self._known[key] = self._find(metric, labels)
        return self._known[key]

    def stored(self, metric: str, value: float) -> float:
        """The value as the archive will give it back: the judge and the back-test must see the same."""
        scale = self.metrics[metric].scale
        return round(value * scale) / scale

    def every_of(self, metric: str, labels: str) -> int:
        """How many cycles lie between two samples of a line."""
        return self.every.get(self.probe_of(metric, labels), 1)

    def probe_of(self, metric: str, labels: str) -> str:
        """The probe that says it. What the loader itself adds about a probe comes when that probe ran."""
        probe = self.metrics[metric].probe if metric in self.metrics else ""
        return str(json.loads(labels).get("probe", "")) if probe == "vigie" else probe

    def _find(self, metric: str, labels: str) -> Rule | None:
        mine: dict[str, str] | None = None
        for wanted, rule in self._by_metric.get(metric, []):
            if wanted and mine is None:  # most metrics have one threshold, for all lines: nothing to parse
                mine = json.loads(labels)
            if not wanted or (mine and all(mine.get(name) == value for name, value in wanted.items())):
                return rule if rule.threshold.enabled else None
        return None


def _precision(one: Threshold) -> tuple[int, str]:
    """The most labels first; between equals the order of their text, so that it never depends on arrival."""
    return -len(json.loads(one.labels)), one.labels
