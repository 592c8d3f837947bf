"""Reading samples: the one door. A caller asks for (series, from, to, step) and need not know what is packed.

Values come back in the metric's own unit (0.9 for 90 %), times in UTC seconds.
"""

import itertools
import json
import sqlite3
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, cast

from archive import pack, past, rolled, rollup, spans
from archive.spans import Span

DAY = 86_400
ROLLED = (rollup.FINE, rollup.HOUR, rollup.DAY)


class Metric(NamedTuple):
    id: int
    name: str
    kind: str  # gauge, counter, info
    unit: str  # archive/units.py
    scale: int
    help: str
    help_fr: str
    probe: str
    shipped: str  # JSON of archive.text.Shipped, or ''


class Series(NamedTuple):
    id: int
    metric: Metric
    labels: str  # JSON as stored: '{"mount":"/"}'
    first_at: int

    def label(self, name: str) -> str:
        return str(json.loads(self.labels).get(name, ""))


class Sample(NamedTuple):
    at: int
    value: float


class Point(NamedTuple):
    """A span of `step` seconds that begins at `at`; only spans that hold samples are given."""

    at: int
    mean: float
    least: float
    greatest: float
    count: int  # type: ignore[assignment]  # hides tuple.count, which nobody asks of a point


# A graph has hundreds of points: what NamedTuple puts around making one takes longer than all the rest.
_POINT = cast(Callable[[tuple[int, float, float, float, int]], Point], partial(tuple.__new__, Point))


class Cycle(NamedTuple):
    at: int
    boot: str
    uptime: float
    lag: int
    probes: int
    failed: int
    samples: int


class Probe(NamedTuple):
    name: str
    every: int
    state: str
    reason: str
    seconds: float
    at: int
    ok_at: int | None
    rejected: int


class Fact(NamedTuple):
    metric: str
    labels: str
    first_at: int
    gone_at: int | None

    def label(self, name: str) -> str:
        return str(json.loads(self.labels).get(name, ""))


class Host(NamedTuple):
    id: int
    uid: str
    name: str
    machine: str
    first_at: int


_CYCLE = "at, boot, uptime, lag, probes, failed, samples"
_METRIC = "m.id, m.name, m.kind, m.unit, m.scale, m.help, m.help_fr, m.probe, m.shipped"


def host(db: sqlite3.Connection, ident: int = 1) -> Host:
    return Host(*db.execute("SELECT id, uid, name, machine, first_at FROM host WHERE id=?", (ident,)).fetchone())


def metrics(db: sqlite3.Connection) -> list[Metric]:
    """Every metric that is not a fact, by name."""
    rows = db.execute(f"SELECT {_METRIC} FROM metric m WHERE m.kind <> 'info' ORDER BY m.name")
    return [Metric(*row) for row in rows]


def metric(db: sqlite3.Connection, name: str) -> Metric | None:
    row = db.execute(f"SELECT {_METRIC} FROM metric m WHERE m.name=?", (name,)).fetchone()
    return Metric(*row) if row else None


def series(db: sqlite3.Connection, host: int, name: str = "") -> list[Series]:
    """The lines of one metric (or of all), by metric and labels."""
    rows = db.execute(
        f"SELECT s.id, s.labels, s.first_at, {_METRIC} FROM series s JOIN metric m ON m.id = s.metric"
        " WHERE s.host=? AND (?='' OR m.name=?) ORDER BY m.name, s.labels",
        (host, name, name),
    )
    return [Series(row[0], Metric(*row[3:]), row[1], row[2]) for row in rows]


def latest(db: sqlite3.Connection, host: int, within: int = 0) -> dict[int, Sample]:
    """The newest sample of each series: {series id: Sample}.

    `within` seconds before the newest cycle; 0: as far back as the rarest probe wants.
    """
    newest = last_cycle(db, host)
    if newest is None:
        return {}
    if not within:
        rarest = db.execute("SELECT coalesce(max(every), 1) FROM probe WHERE host=?", (host,)).fetchone()[0]
        within = (int(rarest) + 3) * rhythm(db, host)
    start = newest.at - within
    scales = dict(
        db.execute(
            "SELECT s.id, m.scale FROM series s JOIN metric m ON m.id = s.metric WHERE s.host=?", (host,)
        ).fetchall()
    )
    # Nearly every line stands in the newest minutes; the rare ones are looked up, each by its last 5-minute rollup.
    found = _newest(db, host, max(start, newest.at - 3 * 60), newest.at)
    if len(found) < len(scales) and start < newest.at - 3 * 60:
        until = min(newest.at + 1, rolled_until(db, host))
        if any(hour >= start - rollup.HOUR for hour in rollup.late_hours(db, host)) or start < newest.at - 2 * DAY:
            until = start  # rollups do not tell
        found = _newest(db, host, max(start, min(until, newest.at - 3 * 60)), newest.at)
        for series in scales.keys() - found.keys() if until > start else ():
            sample = _before(db, host, series, start, until)
            if sample:
                found[series] = sample
    return {series: Sample(at, value / scales[series]) for series, (at, value) in found.items() if series in scales}


def _newest(db: sqlite3.Connection, host: int, start: int, end: int) -> dict[int, tuple[int, int]]:
    """The newest (at, value as stored) of every series that has one in [start, end]."""
    # SQLite gives the other columns of the row that holds the one max().
    rows = db.execute(
        "SELECT series, max(at), value FROM sample WHERE host=? AND at BETWEEN ? AND ? GROUP BY series",
        (host, start, end),
    )
    return {series: (at, value) for series, at, value in rows}


def _before(db: sqlite3.Connection, host: int, series: int, start: int, until: int) -> tuple[int, int] | None:
    """The newest (at, value) of one series in [start, until), all of it rolled up."""
    span = db.execute(
        "SELECT max(at) FROM rollup WHERE host=? AND series=? AND step=? AND at > ? AND at < ?",
        (host, series, rollup.FINE, start - rollup.FINE, until),
    ).fetchone()[0]
    if span is None:
        packed = rolled.read(db, host, series, rollup.FINE, start - rollup.FINE + 1, until)
        span = packed[-1].at[-1] if packed else None
    if span is None:
        return None
    row = db.execute(
        "SELECT at, value FROM sample WHERE host=? AND at BETWEEN ? AND ? AND series=? ORDER BY at DESC LIMIT 1",
        (host, max(start, span), span + rollup.FINE - 1, series),
    ).fetchone()
    return (row[0], row[1]) if row else None


def samples(db: sqlite3.Connection, host: int, line: Series, start: int, end: int) -> list[Sample]:
    """Every sample with start <= at <= end, oldest first, packed days included."""
    found = pack.every(db, host, line.id, start, end)
    return [Sample(at, value / line.metric.scale) for at, value in sorted(found.items())]


def points(db: sqlite3.Connection, host: int, line: Series, start: int, end: int, step: int) -> list[Point]:
    """Least, greatest and mean of each span of `step` seconds in [start, end), oldest first.

    `start` is moved down and `end` up to a multiple of `step`, so that every span is whole. Rolled-up spans are read
    where `step` is a multiple of one; what is not rolled up (yet, or any more) is read from the samples.
    """
    start -= start % step
    end += -end % step
    level = max((span for span in ROLLED if step % span == 0), default=0)
    found: list[Span] = []
    for span, first, last in rollup.pieces(db, host, start, end, level):
        if not span:
            found += spans.of_samples(pack.every(db, host, line.id, first, last - 1), step)
            continue
        found += _summed(db, host, line.id, span, first, last, step)
        for size, packed in rolled.read_by(db, host, line.id, span, first, last, step):
            found += spans.of_packed(packed, size, step)
    scale = line.metric.scale
    return [
        _POINT((at, total / count / scale, least / scale, greatest / scale, count))
        for at, least, greatest, total, count in spans.whole(found)
    ]


def _summed(db: sqlite3.Connection, host: int, series: int, span: int, start: int, end: int, step: int) -> list[Span]:
    """From the rows of rollups of `span` seconds, put together by `step`."""
    if span == step:
        return db.execute(
            "SELECT at, least, greatest, sum, count FROM rollup WHERE host=? AND series=? AND step=?"
            " AND at >= ? AND at < ?",
            (host, series, span, start, end),
        ).fetchall()
    # total(): a sum of sums may pass what an INTEGER holds.
    return db.execute(
        "SELECT min(at) - min(at) % ?6, min(least), max(greatest), total(sum), sum(count) FROM rollup"
        " WHERE host=?1 AND series=?2 AND step=?3 AND at >= ?4 AND at < ?5 GROUP BY at - at % ?6",
        (host, series, span, start, end, step),
    ).fetchall()


def has_cycle(db: sqlite3.Connection, host: int, at: int) -> bool:
    """Whether the cycle of a time is archived, packed or not."""
    row = db.execute("SELECT 1 FROM cycle WHERE host=? AND at=?", (host, at)).fetchone()
    return row is not None or past.at_second(db, host, at) is not None


def rolled_until(db: sqlite3.Connection, host: int) -> int:
    """Samples before this time stand in `rollup` (a multiple of 3600; 0 when nothing was rolled up)."""
    return rollup.until_of(db, host)


def last_cycle(db: sqlite3.Connection, host: int) -> Cycle | None:
    """The machine's last cycle. Told by boot and uptime when it was archived (archive/loading.py), not by the clock
    alone: one that ran ahead and came back leaves rows in the future."""
    row = db.execute(
        f"SELECT {_CYCLE} FROM cycle WHERE host=?1"
        " AND at = (SELECT CAST(json_extract(raw, '$.at') AS INTEGER) FROM counter WHERE host=?1)",
        (host,),
    ).fetchone()
    if row is None:
        row = db.execute(f"SELECT {_CYCLE} FROM cycle WHERE host=? ORDER BY at DESC LIMIT 1", (host,)).fetchone()
    return Cycle(*row) if row else None


def cycles(db: sqlite3.Connection, host: int, start: int, end: int) -> list[int]:
    """Times of the cycles in [start, end], oldest first: where one is missing, there is a gap."""
    rows = db.execute("SELECT at FROM cycle WHERE host=? AND at BETWEEN ? AND ?", (host, start, end))
    return sorted([row[0] for row in rows] + past.times(db, host, start, end))


def rhythm(db: sqlite3.Connection, host: int) -> int:
    """Seconds between cycles, as measured: the median of the last 15 intervals; 60 while there are too few."""
    newest = last_cycle(db, host)
    rows = db.execute(
        "SELECT at FROM cycle WHERE host=? AND at <= ? ORDER BY at DESC LIMIT 16", (host, newest.at if newest else 0)
    ).fetchall()
    gaps = sorted(a[0] - b[0] for a, b in itertools.pairwise(rows))
    # The first two cycles stand a second apart (a first page with figures): not a rhythm.
    gaps = [gap for gap in gaps if gap >= 20]
    return max(60, gaps[len(gaps) // 2]) if len(gaps) > 1 else 60


def probes(db: sqlite3.Connection, host: int) -> list[Probe]:
    rows = db.execute(
        "SELECT name, every, state, reason, seconds, at, ok_at, rejected FROM probe WHERE host=? ORDER BY name",
        (host,),
    )
    return [Probe(row[0], max(1, row[1]), *row[2:]) for row in rows]


def facts(db: sqlite3.Connection, host: int, name: str, *, gone_since: int | None = None) -> list[Fact]:
    """Facts of one metric that hold now; with `gone_since`, also those that ended at or after it."""
    rows = db.execute(
        "SELECT m.name, f.labels, f.first_at, f.gone_at FROM fact f JOIN metric m ON m.id = f.metric"
        " WHERE f.host=? AND m.name=? AND (f.gone_at IS NULL OR f.gone_at >= ?) ORDER BY f.labels, f.first_at",
        (host, name, 2**62 if gone_since is None else gone_since),
    )
    return [Fact(*row) for row in rows]


def setting(db: sqlite3.Connection, name: str, default: str = "") -> str:
    row = db.execute("SELECT value FROM setting WHERE name=?", (name,)).fetchone()
    return str(row[0]) if row else default


def counts(db: sqlite3.Connection) -> dict[str, int]:
    """How many rows each large table holds, for the page about the system."""
    found = {}
    for table in ("sample", "packed", "rollup", "cycle", "series", "incident", "advisory", "notification"):
        found[table] = int(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
    found["packed"] += int(db.execute("SELECT count(*) FROM packed_long").fetchone()[0])
    for table, packed in (("rollup", "rolled"), ("cycle", "packed_cycle")):
        found[table] += int(db.execute(f"SELECT coalesce(sum(count), 0) FROM {packed}").fetchone()[0])
    return found
