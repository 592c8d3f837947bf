"""Texts -> rows. One spool file, one transaction; then the file goes to the journal.

1. Read the oldest spool file; a cut one, or one from the future, goes to quarantine with its reason.
2. In one transaction: the cycle's row (already there: nothing else is done), metrics, series, samples, facts, probes.
3. Counters become rates: the difference to the last raw value over the elapsed /proc/uptime; a new boot id, or a value
   that went down, gives no sample.
4. After the commit the file is renamed into the day's journal. Killed in between, it is loaded again: no change.
"""

import json
import os
import sqlite3
from typing import NamedTuple

from archive import database, events, rollup, spool, text, units
from archive.text import Labels

BOOT = "boot"


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


def load(data: str, db: sqlite3.Connection, now: int, host: int = 1) -> list[Loaded]:
    """Everything that waits, oldest first. `db` is a writing connection."""
    loaded = []
    for name in spool.waiting(data):
        path = os.path.join(data, "spool", name)
        try:
            cycle = spool.parse(spool.read(path))
            if cycle.at > now + spool.FUTURE:
                raise spool.SpoolError(f"its time is {cycle.at - now} seconds ahead of the clock")
        except FileNotFoundError:
            continue
        except (spool.SpoolError, OSError) as error:
            spool.quarantine(data, name, f"{name}: {error}")
            events.add(db, host, now, "quarantine", name, str(error))
            continue
        with database.transaction(db):
            done = Loading(db, host, cycle, now).run()
            rollup.mark_late(db, host, cycle.at, now)
        spool.to_journal(data, name, cycle.at)
        if done:
            loaded.append(done)
    return loaded


class Loading:
    """One cycle on its way into the database, within the caller's transaction."""

    def __init__(self, db: sqlite3.Connection, host: int, cycle: spool.Cycle, now: int) -> None:
        self.db, self.host, self.cycle, self.now = db, host, cycle, now
        self.metrics: dict[str, tuple[int, str]] = {}  # name -> (id, everything said of it)
        self.series: dict[tuple[int, str], int] = {}
        self.raw: dict[str, tuple[float, float]] = {}
        self.fresh: dict[str, tuple[float, float]] = {}  # counters seen now
        self.values: dict[tuple[str, str], float] = {}
        self.rows: list[tuple[int, int, int, int]] = []
        self.reading = ""  # the probe whose section is being read

    def run(self) -> Loaded | None:
        """The rows of this cycle; None when it was loaded before."""
        if self.db.execute("SELECT 1 FROM cycle WHERE host=? AND at=?", (self.host, self.cycle.at)).fetchone():
            return None
        self.recall()
        failed, facts = [], []
        for section in self.cycle.sections:
            self.reading = section.probe
            parsed, reason = self.parsed(section)
            self.probe(section, parsed, reason)
            if parsed is None:
                failed.append(section.probe)
                continue
            for sample in parsed.samples:
                self.sample(parsed.metrics[sample.metric], sample, section.uptime)
            facts += self.facts(section.probe, parsed)
        self.itself()
        self.db.executemany("INSERT INTO sample VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", self.rows)
        self.db.execute(
            "INSERT INTO counter VALUES (?, ?, ?)"
            " ON CONFLICT (host) DO UPDATE SET boot=excluded.boot, raw=excluded.raw",
            (self.host, self.cycle.boot, json.dumps({**self.raw, **self.fresh})),
        )
        self.db.execute(
            "INSERT INTO cycle VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                self.host,
                self.cycle.at,
                self.cycle.boot,
                self.cycle.uptime,
                max(0, self.now - self.cycle.at),
                len(self.cycle.sections),
                len(failed),
                len(self.rows),
            ),
        )
        return Loaded(
            self.host,
            self.cycle.at,
            self.cycle.boot,
            self.cycle.uptime,
            self.values,
            facts,
            len(self.rows),
            failed,
        )

    def recall(self) -> None:
        """What the database already knows: metrics, series, and the counters of this boot."""
        for row in self.db.execute("SELECT name, id, kind, help, help_fr, probe, shipped FROM metric"):
            self.metrics[row[0]] = (row[1], "\n".join(row[2:]))
        for labels, metric, ident in self.db.execute(
            "SELECT labels, metric, id FROM series WHERE host=?", (self.host,)
        ):
            self.series[metric, labels] = ident
        known = self.db.execute("SELECT boot, raw FROM counter WHERE host=?", (self.host,)).fetchone()
        if known and known[0] == self.cycle.boot:
            self.raw = {key: (raw, uptime) for key, (raw, uptime) in json.loads(known[1]).items()}
        elif known:
            events.add(self.db, self.host, self.cycle.at - int(self.cycle.uptime), BOOT, "", "")

    def parsed(self, section: spool.Section) -> tuple[text.ProbeText | None, str]:
        if section.status != "ok":
            return None, section.reason or "failed"
        try:
            return text.parse(section.text), ""
        except text.TextError as error:
            return None, f"its text was refused: {error}"

    def probe(self, section: spool.Section, parsed: text.ProbeText | None, reason: str) -> None:
        state = "failed" if parsed is None else "unavailable" if parsed.unavailable else "ok"
        rejected = parsed.rejected if parsed else 0
        self.db.execute(
            "INSERT INTO probe VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (host, name) DO UPDATE SET"
            " every=CASE WHEN excluded.every = 0 THEN probe.every ELSE excluded.every END,"
            " state=excluded.state, reason=excluded.reason, seconds=excluded.seconds, at=excluded.at,"
            " ok_at=coalesce(excluded.ok_at, probe.ok_at), rejected=excluded.rejected WHERE excluded.at >= probe.at",
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
            ),
        )
        label = (("probe", section.probe),)
        self.add(_SUCCESS, label, 0.0 if parsed is None else 1.0)
        self.add(_SECONDS, label, section.seconds)
        if rejected:
            self.add(_REJECTED, label, float(rejected))

    def itself(self) -> None:
        self.add(_LAG, (), float(max(0, self.now - self.cycle.at)))

    def sample(self, metric: text.Metric, sample: text.Sample, uptime: float) -> None:
        if metric.kind != "counter":
            self.add(metric, sample.labels, sample.value)
            return
        # Known by name and labels, not by series id: a rate that is not there yet makes no series.
        key = metric.name + labels_json(sample.labels)
        self.fresh[key] = (sample.value, uptime)
        before = self.raw.get(key)
        self.metric_id(metric)
        if before is None:
            return
        elapsed, grown = uptime - before[1], sample.value - before[0]
        if elapsed > 0 and grown >= 0:
            self.add(metric, sample.labels, grown / elapsed)

    def add(self, metric: text.Metric, labels: Labels, value: float) -> None:
        stored = units.to_stored(value, metric.unit)
        if stored is None:
            return
        written = labels_json(labels)
        self.rows.append((self.host, self.cycle.at, self.series_id(metric, written), stored))
        self.values[metric.name, written] = value

    def metric_id(self, metric: text.Metric) -> int:
        """The metric's row; what the probe says of it now replaces what it said before."""
        shipped = json.dumps(metric.shipped._asdict()) if metric.shipped else ""
        owner = "vigie" if metric in _OWN else self.reading
        said = "\n".join((metric.kind, metric.help, metric.help_fr, owner, shipped))
        known = self.metrics.get(metric.name)
        if known and known[1] == said:
            return known[0]
        row = (
            metric.name,
            metric.kind,
            metric.unit.name,
            metric.unit.scale,
            metric.help,
            metric.help_fr,
            owner,
            shipped,
        )
        # The unit and scale stay what they were: values already stored are in them.
        self.db.execute(
            "INSERT INTO metric (name, kind, unit, scale, help, help_fr, probe, shipped)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET help=excluded.help, help_fr=excluded.help_fr, probe=excluded.probe,"
            " shipped=excluded.shipped",
            row,
        )
        ident = int(self.db.execute("SELECT id FROM metric WHERE name=?", (metric.name,)).fetchone()[0])
        self.metrics[metric.name] = (ident, said)
        return ident

    def series_id(self, metric: text.Metric, labels: str) -> int:
        key = (self.metric_id(metric), labels)
        if key not in self.series:
            self.db.execute(
                "INSERT INTO series (host, metric, labels, first_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (self.host, *key, self.cycle.at),
            )
            found = self.db.execute(
                "SELECT id FROM series WHERE host=? AND metric=? AND labels=?", (self.host, *key)
            ).fetchone()
            self.series[key] = int(found[0])
        return self.series[key]

    def facts(self, probe: str, parsed: text.ProbeText) -> list[tuple[str, str]]:
        """Facts of one probe: new ones begin, missing ones end. A probe that failed ends nothing."""
        said = {(name, labels_json(labels)) for name, labels in parsed.facts}
        known = {
            (name, labels): ident
            for name, labels, ident in self.db.execute(
                "SELECT m.name, f.labels, m.id FROM fact f JOIN metric m ON m.id = f.metric"
                " WHERE f.host=? AND f.gone_at IS NULL AND m.probe=?",
                (self.host, probe),
            )
        }
        for name, labels in said - known.keys():
            ident = self.metric_id(parsed.metrics[name])
            self.db.execute(
                "INSERT INTO fact VALUES (?, ?, ?, ?, ?, NULL) ON CONFLICT DO NOTHING",
                (self.host, ident, labels, self.cycle.at, self.cycle.at),
            )
        for (name, labels), ident in known.items():
            if (name, labels) not in said:
                self.db.execute(
                    "UPDATE fact SET gone_at=? WHERE host=? AND metric=? AND labels=? AND gone_at IS NULL",
                    (self.cycle.at, self.host, ident, labels),
                )
        return sorted(said)


def labels_json(labels: Labels) -> str:
    """Labels as the database holds them: a JSON object, keys sorted, no spaces."""
    return json.dumps(dict(labels), sort_keys=True, separators=(",", ":"), ensure_ascii=False) if labels else "{}"


def _own(name: str, english: str, french: str, shipped: text.Shipped | None = None) -> text.Metric:
    return text.Metric(name, "gauge", units.unit_of(name, "gauge"), english, french, shipped)


_SUCCESS = _own("probe_success", "Probe succeeded", "Sonde réussie")
_SECONDS = _own("probe_seconds", "Time taken by the probe", "Durée de la sonde")
_REJECTED = _own("probe_rejected_samples", "Samples refused for their value", "Mesures refusées pour leur valeur")
_LAG = _own("cycle_lag_seconds", "Time from a cycle to its archiving", "Délai entre un passage et son archivage")
_OWN = (_SUCCESS, _SECONDS, _REJECTED, _LAG)
