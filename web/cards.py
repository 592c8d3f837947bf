"""The cards of the first page: the newest value, its last day drawn, its levels, and when a disk will be full."""

import sqlite3
from typing import NamedTuple

from alerts import chart, forecast
from alerts.chart import Band
from alerts.words import DAY, HOUR, Words
from archive import incidents, read, thresholds
from archive.incidents import Incident
from archive.read import Sample, Series
from archive.thresholds import Threshold
from web import periods, pictures
from web.periods import Period
from web.pictures import Figure

CPU, MEMORY, DISK = "cpu_busy_seconds_total", "memory_used_ratio", "disk_used_ratio"
HOME = "user_home_bytes"
MEMORY_JUDGED = "memory_available_ratio"
DISKS = 6  # cards; further mounts have their graphs
GONE = 3600  # a mount or a home that was not measured for so long is not shown as of now
POINTS = 120  # of a card's graph: it is half a page wide at most
SIZES = (chart.CARD, chart.NARROW)
# What a card draws: the last day, of a disk the last month. A young archive fills a shorter span, and the sentence says
# since when: a day with three minutes of a line in it tells nothing.
SPANS = (900, HOUR, 6 * HOUR, DAY)
DISK_SPANS = (*SPANS, 7 * DAY, 30 * DAY)


class Card(NamedTuple):
    """One figure. `state`: ok, warning, critical, unknown when its newest sample is old, '' where nothing judges it."""

    metric: str
    title: str
    state: str
    share: float  # 0 to 1
    value: str
    note: str  # beside the value: of how much
    marks: tuple[float, ...]  # levels, 0 to 1
    figure: Figure
    outlook: forecast.Outlook | None
    width: str = "half"  # of the page: half or third, so that every row of cards is full


def turned(by: Threshold) -> Threshold:
    """The threshold on what is available of the memory, as one on what is used."""

    def used(level: float | None) -> float | None:
        return None if level is None else 1.0 - level

    return by._replace(
        metric=MEMORY, above=not by.above, warning=used(by.warning), critical=used(by.critical), clear=used(by.clear)
    )


def widths(count: int) -> list[str]:
    """Halves and thirds for so many cards: each row is full, the first cards are the wider ones."""
    if count < 3:
        return ["half"] * count
    thirds = 3 if count % 2 else 6 if count >= 8 else 0
    return ["half"] * (count - thirds) + ["third"] * thirds


class Reading:
    """One page's reading of the rows: newest samples, thresholds and incidents are fetched once."""

    def __init__(self, db: sqlite3.Connection, host: int, words: Words, now: int, rhythm: int, *, fresh: bool) -> None:
        self.db, self.host, self.words, self.now, self.fresh = db, host, words, now, fresh
        self.recent = 3 * rhythm + 60
        self.latest = read.latest(db, host)
        self.newest = max((sample.at for sample in self.latest.values()), default=now)
        known = thresholds.effective(db, host)
        self.thresholds = [*known, *(turned(one) for one in known if one.metric == MEMORY_JUDGED)]
        self.live = incidents.live(db, host)

    def lines(self) -> list[Series]:
        """What the first screen shows: processor, memory, then each disk, the fullest first."""
        lines = [line for name in (CPU, MEMORY) for line in read.series(self.db, self.host, name)]
        disks = [line for line in read.series(self.db, self.host, DISK) if self._is_here(line)]
        disks.sort(key=lambda line: -self.latest[line.id].value)
        return [*lines, *disks[:DISKS]]

    def cards(self) -> list[Card]:
        """Each of them as a card."""
        found = [card for line in self.lines() if (card := self.card(line))]
        return [card._replace(width=width) for card, width in zip(found, widths(len(found)), strict=True)]

    def _is_here(self, line: Series) -> bool:
        return line.id in self.latest and self.latest[line.id].at >= self.newest - GONE

    def card(self, line: Series) -> Card | None:
        """One of the machine's own figures, judged."""
        sample = self.latest.get(line.id)
        if sample is None:
            return None
        by = pictures.threshold(self.thresholds, line)
        outlook = pictures.outlook_of(self.db, self.host, line, sample)
        return Card(
            line.metric.name,
            self.title(line),
            self.state(line, sample),
            min(sample.value, 1.0),
            self.words.value(sample.value, line.metric.unit),
            self._of(line),
            tuple(limit.value for limit in pictures.limits_of(by)),
            self._figure(line, outlook),
            outlook,
        )

    def plain(self, line: Series) -> Card | None:
        """Any line as a card: its newest value and its last day."""
        sample = self.latest.get(line.id)
        figure = self._figure(line)
        if sample is None and not figure.svgs:
            return None
        value = self.words.value(sample.value, line.metric.unit) if sample else "–"
        title = self.words.metric_name(line.metric)
        return Card(line.metric.name, title, "", 0.0, value, "", (), figure, None)

    def around(self, line: Series, start: int, end: int, incident: Incident) -> Card | None:
        """The line between two times, wide, with the incident's own threshold: for its page."""
        asked = {"from": str(max(0, start)), "to": str(end)}
        period = periods.parse(asked, end + 1, start, self.words)
        judged = thresholds.from_json(incident.threshold) if incident.kind == "threshold" else None
        made = pictures.material(
            self.db, self.host, line, period, self.newest, self.words, found=[judged] if judged else []
        )
        figure = pictures.figure(
            made, self.words, self.now, periods.label(period, self.now, self.words), ident=f"around-{line.id}",
            title=self.words.metric_name(line.metric), sizes=pictures.SIZES, rows=False,
        )  # fmt: skip
        if not figure.svgs:
            return None
        return Card(line.metric.name, figure.title, "", 0.0, "", "", (), figure, None)

    def state(self, line: Series, sample: Sample) -> str:
        """An open incident of the line says more than one sample: it has lasted."""
        if not self.fresh or sample.at < self.newest - max(self.recent, GONE if line.metric.name == DISK else 0):
            return "unknown"
        judged = MEMORY_JUDGED if line.metric.name == MEMORY else line.metric.name
        for one in self.live:
            if one.opened_at is not None and one.metric == judged and one.labels == line.labels:
                return one.level
        return "ok"

    def title(self, line: Series) -> str:
        _ = self.words.gettext
        if line.metric.name == CPU:
            return _("Processor")
        if line.metric.name == MEMORY:
            return _("Memory")
        return _("Disk %(mount)s", mount=self.words.line_name(line))

    def _of(self, line: Series) -> str:
        """Of how much: cores, memory, the disk's size."""
        if line.metric.name == CPU:
            cores = self._value("cpu_cores", "{}")
            return self.words.ngettext("of %(num)s core", "of %(num)s cores", int(cores)) if cores else ""
        size = self._value("memory_size_bytes" if line.metric.name == MEMORY else "disk_size_bytes", line.labels)
        return self.words.gettext("of %(size)s", size=self.words.value(size, "bytes")) if size else ""

    def _value(self, metric: str, labels: str) -> float | None:
        for line in read.series(self.db, self.host, metric):
            if line.labels == labels and line.id in self.latest:
                return self.latest[line.id].value
        return None

    def _figure(self, line: Series, outlook: forecast.Outlook | None = None) -> Figure:
        """The last day or month, in two sizes; of a disk, the way to its end too."""
        drawn, told = self._period(line)
        period = periods.coarse(drawn, POINTS)
        ahead = None
        if outlook and outlook.full_at and self.fresh:
            until = min(outlook.full_at, self.newest + period.seconds // 2)
            ahead = pictures.foreseen(outlook, self.latest[line.id], until)
        made = pictures.material(
            self.db, self.host, line, period, self.newest, self.words, forecast=ahead, found=self.thresholds
        )
        # One level is enough here: two stand so close that their words would cover each other.
        made = made._replace(graph=made.graph._replace(levels=made.graph.levels[:1]))
        if line.metric.name == MEMORY:
            made = made._replace(graph=made.graph._replace(incidents=self._memory_bands(period)))
        return pictures.figure(
            made, self.words, self.now, told, ident=f"line-{line.id}",
            title=self.words.metric_name(line.metric), sizes=SIZES, rows=False,
        )  # fmt: skip

    def _period(self, line: Series) -> tuple[Period, str]:
        """The shortest span that holds all there is, or the longest one; and its words."""
        spans = DISK_SPANS if line.metric.name in (DISK, HOME) else SPANS
        age = self.newest - line.first_at
        span = next((one for one in spans if age <= one), spans[-1])
        period = periods.lately(self.newest, span)
        if age < spans[-1]:
            return period, self.words.gettext("Since %(moment)s", moment=self.words.moment(line.first_at, self.now))
        return period, periods.label(period, self.now, self.words)

    def _memory_bands(self, period: Period) -> tuple[Band, ...]:
        return tuple(
            band
            for line in read.series(self.db, self.host, MEMORY_JUDGED)
            for band in pictures.bands_of(self.db, self.host, line, period.start, period.end, self.newest)
        )
