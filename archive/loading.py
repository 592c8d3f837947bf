"""One cycle on its way into the database: what load.py stores, in one transaction, and what it compares it with.

Which cycle is the machine's last is told by boot and uptime, not by the clock alone: a clock that jumped ten years ahead
and came back leaves rows in the future, and they must not be taken for the present.
"""

import json
import sqlite3
from functools import lru_cache
from typing import NamedTuple

from archive import events, partitions, past, pseudonyms, spool, text, units
from archive.text import Labels

BOOT = "boot"
MAX_SERIES = 20_000  # lines of one machine: labels that change at every cycle must not fill the archive
FORGOTTEN = 8 * 86_400  # seconds of uptime after which a counter that is not printed any more is forgotten


class Loaded(NamedTuple):
    """One cycle that has just become rows. `values` are in the metric's own unit."""

    host: int
    at: int
    boot: str
    uptime: float
    values: dict[tuple[str, str], float]  # (metric, labels as JSON) -> value
    facts: list[tuple[str, str]]
    samples: int
    failed: list[str]


class Known(NamedTuple):
    """A metric as the archive has it. Its kind and scale never change: the values stored are in them."""

    id: int
    kind: str
    scale: int
    said: tuple[str, str, str, str]  # help, help_fr, probe, shipped: what a probe may say anew


class Loading:
    """One cycle on its way into the database, within the caller's transaction.

    `now` is when it is archived; None when that is not known any more (a rebuild): then there is no lag. `before`: the
    cycle loaded just before within the same transaction, whose metrics and series need not be read again.
    """

    def __init__(
        self, db: sqlite3.Connection, host: int, cycle: spool.Cycle, now: int | None, before: "Loading | None" = None
    ) -> None:
        self.db, self.host, self.cycle = db, host, cycle
        self.lag = None if now is None else max(0, now - cycle.at)
        self.newest = True  # no later cycle of this machine is archived yet
        self.metrics: dict[str, Known] = before.metrics if before else {}
        self.series: dict[tuple[int, str], int] = before.series if before else {}
        self.raw: dict[str, tuple[float, float]] = {}
        self.fresh: dict[str, tuple[float, float]] = {}  # counters seen now
        self.values: dict[tuple[str, str], float] = {}
        self.rows: list[tuple[int, int, int, int]] = []
        self.open_facts: dict[tuple[str, str], int] | None = None
        self.fact_owner: dict[str, str] = {}  # the probe that said this fact in this cycle
        self.reading = ""  # the probe whose section is being read
        self.probes: list[tuple[object, ...]] = []
        self.refused = 0  # its samples that would make too many series
        self.people = self.people_of()

    def people_of(self) -> pseudonyms.Names | None:
        return pseudonyms.of(self.db)

    def run(self) -> Loaded | None:
        """The rows of this cycle; None when it was loaded before."""
        if not self.free_second():
            return None
        self.recall()
        failed, facts = [], []
        for section in self.cycle.sections:
            self.reading, self.refused = section.probe, 0
            parsed, reason = self.parsed(section)
            if parsed is None:
                failed.append(section.probe)
            else:
                for sample in parsed.samples:
                    self.sample(parsed.metrics[sample.metric], sample, section.uptime)
                facts += self.facts(section.probe, parsed)
            self.probe(section, parsed, reason)
        self.db.executemany(_PROBE, self.probes)
        if self.lag is not None:
            self.add(_LAG, (), float(self.lag))
        partitions.have(self.db, self.cycle.at)
        self.db.executemany("INSERT INTO sample VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", self.rows)
        self.remember()
        self.db.execute(
            "INSERT INTO cycle VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (self.host, self.cycle.at, self.cycle.boot, self.cycle.uptime, self.lag or 0, len(self.cycle.sections), len(failed),
             len(self.rows)),
        )  # fmt: skip
        return Loaded(
            self.host, self.cycle.at, self.cycle.boot, self.cycle.uptime, self.values, facts, len(self.rows), failed
        )  # fmt: skip

    def free_second(self) -> bool:
        """False when this very cycle is archived already.

        The clock was set back: another cycle has this time. Then the next free second is taken, as the runner does.
        """
        at = self.cycle.at
        while row := self.db.execute(
            "SELECT boot, uptime FROM cycle WHERE host=? AND at=?", (self.host, at)
        ).fetchone() or past.at_second(self.db, self.host, at):
            if (row[0], row[1]) == (self.cycle.boot, self.cycle.uptime):
                return False
            at += 1
        self.cycle = self.cycle._replace(at=at)
        return True

    def recall(self) -> None:
        """What the database already knows: metrics, series, and the counters of this boot."""
        if not self.metrics:
            self.recall_metrics()
            self.recall_series()
        self.recall_counters()

    def recall_metrics(self) -> None:
        for row in self.db.execute("SELECT name, id, kind, scale, help, help_fr, probe, shipped FROM metric"):
            self.metrics[row[0]] = Known(row[1], row[2], row[3], row[4:])

    def recall_series(self) -> None:
        for labels, metric, ident in self.db.execute(
            "SELECT labels, metric, id FROM series WHERE host=?", (self.host,)
        ):
            self.series[metric, labels] = ident

    def recall_counters(self) -> None:
        row = self.db.execute("SELECT boot, raw FROM counter WHERE host=?", (self.host,)).fetchone()
        if row is None:
            return
        last = json.loads(row[1])
        if row[0] == self.cycle.boot:
            self.newest = self.cycle.uptime > last["uptime"] or self.cycle.at > last["at"]
            if self.cycle.uptime > last["uptime"]:  # else the machine started anew without telling its boots apart
                self.raw = {key: (raw, uptime) for key, (raw, uptime) in last["raw"].items()}
            return
        seen = self.db.execute(
            "SELECT 1 FROM cycle WHERE host=? AND boot=? LIMIT 1", (self.host, self.cycle.boot)
        ).fetchone() or past.knows(self.db, self.host, self.cycle.boot)
        self.newest = self.cycle.at > last["at"] or not seen
        if not seen:
            events.add(self.db, self.host, self.cycle.at - int(self.cycle.uptime), BOOT, "", "")

    def remember(self) -> None:
        """The counters, for the next cycle, and which cycle was the machine's last (read.last_cycle).

        A text that comes late changes neither. A counter that nobody prints any more is forgotten after a week.
        """
        if not self.newest:
            return
        oldest = self.cycle.uptime - FORGOTTEN
        raw = {key: pair for key, pair in self.raw.items() if pair[1] >= oldest} | self.fresh
        last = {"at": self.cycle.at, "uptime": self.cycle.uptime, "raw": raw}
        self.db.execute(
            "INSERT INTO counter VALUES (?, ?, ?)"
            " ON CONFLICT (host) DO UPDATE SET boot=excluded.boot, raw=excluded.raw",
            (self.host, self.cycle.boot, json.dumps(last, separators=(",", ":"))),
        )

    def parsed(self, section: spool.Section) -> tuple[text.ProbeText | None, str]:
        if section.status != "ok":
            return None, section.reason or "failed"
        try:
            parsed = pseudonyms.applied(text.parse(section.text), self.people)
            for metric in parsed.metrics.values():
                self.check(metric)
        except text.TextError as error:
            # An error quotes the line, and the line may name somebody.
            told = str(error).partition(":")[0] if self.people else str(error)
            return None, f"its text was refused: {told}"
        return parsed, ""

    def check(self, metric: text.Metric) -> None:
        """What one text alone cannot know. Raises TextError."""
        if metric.name in _OWN_NAMES:
            raise text.TextError(f"{metric.name}: is a name of Vigie's own; give it another")
        known = self.metrics.get(metric.name)
        if known and known.kind != metric.kind:
            raise text.TextError(
                f"{metric.name}: is archived as {known.kind}, this text says {metric.kind}; give it another name"
            )
        if metric.kind == "info" and self.fact_owner.setdefault(metric.name, self.reading) != self.reading:
            raise text.TextError(f"{metric.name}: the probe {self.fact_owner[metric.name]} says it already")

    def probe(self, section: spool.Section, parsed: text.ProbeText | None, reason: str) -> None:
        """What the probe said last (unless this text came late), and its own samples."""
        state = "failed" if parsed is None else "unavailable" if parsed.unavailable else "ok"
        rejected = parsed.rejected + self.refused if parsed else 0
        if self.newest:
            self.probes.append(
                (
                    self.host,
                    section.probe,
                    parsed.every if parsed else 0,
                    state,
                    text.clean(reason or (parsed.unavailable if parsed else "")),
                    section.seconds,
                    self.cycle.at,
                    self.cycle.at if parsed else None,
                    rejected,
                )
            )
        label = (("probe", section.probe),)
        self.add(_SUCCESS, label, 0.0 if parsed is None else 1.0)
        self.add(_SECONDS, label, section.seconds)
        if rejected:
            self.add(_REJECTED, label, float(rejected))

    def sample(self, metric: text.Metric, sample: text.Sample, uptime: float) -> None:
        if metric.kind != "counter":
            self.add(metric, sample.labels, sample.value)
            return
        # Known by name and labels, not by series id: a rate that is not there yet makes no series.
        key = metric.name + labels_json(sample.labels)
        self.fresh[key] = (sample.value, uptime)
        before = self.raw.get(key)
        self.metric(metric)
        if before is None:
            return
        elapsed, grown = uptime - before[1], sample.value - before[0]
        if elapsed > 0 and grown >= 0:
            self.add(metric, sample.labels, grown / elapsed)

    def add(self, metric: text.Metric, labels: Labels, value: float) -> None:
        known = self.metric(metric)
        # The scale is the archive's: what is stored already is in it.
        stored = units.to_stored(value, metric.unit._replace(scale=known.scale))
        if stored is None:
            self.refused += 1
            return
        written = labels_json(labels)
        series = self.series_id(known, written)
        if series is None:
            self.refused += 1
            return
        self.rows.append((self.host, self.cycle.at, series, stored))
        self.values[metric.name, written] = value

    def metric(self, metric: text.Metric) -> Known:
        """The metric's row; what the probe says of it now replaces what it said before."""
        known = self.metrics.get(metric.name)
        owner = "vigie" if metric.name in _OWN_NAMES else self.reading
        if known and known.said[:3] == (metric.help, metric.help_fr, owner) and known.said[3] == _shipped(metric):
            return known
        said = (metric.help, metric.help_fr, owner, _shipped(metric))
        if known and not self.newest:
            return known
        self.db.execute(
            "INSERT INTO metric (name, kind, unit, scale, help, help_fr, probe, shipped)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET"
            " help=excluded.help, help_fr=excluded.help_fr, probe=excluded.probe, shipped=excluded.shipped",
            (metric.name, metric.kind, metric.unit.name, metric.unit.scale, *said),
        )
        row = self.db.execute("SELECT id, kind, scale FROM metric WHERE name=?", (metric.name,)).fetchone()
        self.metrics[metric.name] = Known(row[0], row[1], row[2], said)
        return self.metrics[metric.name]

    def series_id(self, known: Known, labels: str) -> int | None:
        """The line's id, made where there is none; None when the machine has too many lines already."""
        key = (known.id, labels)
        if key not in self.series:
            if len(self.series) >= MAX_SERIES:
                return None
            found = self.db.execute(
                "INSERT INTO series (host, metric, labels, first_at) VALUES (?, ?, ?, ?) RETURNING id",
                (self.host, *key, self.cycle.at),
            ).fetchone()
            self.series[key] = int(found[0])
        return self.series[key]

    def facts(self, probe: str, parsed: text.ProbeText) -> list[tuple[str, str]]:
        """Facts of one probe: new ones begin, missing ones end. A probe that failed ends nothing; nor does a late text."""
        said = {(name, labels_json(labels)) for name, labels in parsed.facts}
        if not self.newest:
            return sorted(said)
        if self.open_facts is None:
            self.open_facts = {
                (name, labels): ident
                for name, labels, ident in self.db.execute(
                    "SELECT m.name, f.labels, m.id FROM fact f JOIN metric m ON m.id = f.metric"
                    " WHERE f.host=? AND f.gone_at IS NULL",
                    (self.host,),
                )
            }
        # Whose facts end here is decided before this text may take a metric over.
        mine = {name for name, known in self.metrics.items() if known.said[2] == probe} | {name for name, _ in said}
        for name, labels in sorted(said - self.open_facts.keys()):
            ident = self.metric(parsed.metrics[name]).id
            self.open_facts[name, labels] = ident
            self.db.execute(
                "INSERT INTO fact VALUES (?, ?, ?, ?, ?, NULL) ON CONFLICT (host, metric, labels, first_at)"
                " DO UPDATE SET gone_at=NULL",
                (self.host, ident, labels, self.cycle.at, self.cycle.at),
            )
        for name, labels in [key for key in self.open_facts if key[0] in mine and key not in said]:
            self.db.execute(
                "UPDATE fact SET gone_at=max(first_at, ?) WHERE host=? AND metric=? AND labels=? AND gone_at IS NULL",
                (self.cycle.at, self.host, self.open_facts.pop((name, labels)), labels),
            )
        return sorted(said)


_PROBE = (
    "INSERT INTO probe VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (host, name) DO UPDATE SET"
    " every=CASE WHEN excluded.every = 0 THEN probe.every ELSE excluded.every END,"
    " state=excluded.state, reason=excluded.reason, seconds=excluded.seconds, at=excluded.at,"
    " ok_at=coalesce(excluded.ok_at, probe.ok_at), rejected=excluded.rejected"
)


@lru_cache(4096)
def _shipped(metric: text.Metric) -> str:
    return json.dumps(metric.shipped._asdict()) if metric.shipped else ""


@lru_cache(4096)
def labels_json(labels: Labels) -> str:
    """Labels as the database holds them: a JSON object, keys sorted, no spaces."""
    return json.dumps(dict(labels), sort_keys=True, separators=(",", ":"), ensure_ascii=False) if labels else "{}"


def _own(name: str, english: str, french: str, shipped: text.Shipped | None = None) -> text.Metric:
    return text.Metric(name, "gauge", units.unit_of(name, "gauge"), english, french, shipped)


_SUCCESS = _own("probe_success", "Probe succeeded", "Sonde réussie")
_SECONDS = _own("probe_seconds", "Time taken by the probe", "Durée de la sonde")
_REJECTED = _own("probe_rejected_samples", "Samples refused for their value", "Mesures refusées pour leur valeur")
_LAG = _own("cycle_lag_seconds", "Time from a cycle to its archiving", "Délai entre un passage et son archivage")
_OWN_NAMES = frozenset(metric.name for metric in (_SUCCESS, _SECONDS, _REJECTED, _LAG))
