"""What a threshold would have done: the sentence of the form, and its marks on the graph beside those of the one in force."""

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

from alerts import backtest
from alerts.backtest import Comparison, Mark
from alerts.chart import Trial
from alerts.words import DAY, Words
from archive import read
from archive.read import Series
from archive.thresholds import Threshold
from web import periods, pictures
from web.pictures import Figure

DAYS = backtest.DAYS
# Lines times days that a form waits for: about a second of CPU (docs/alerts.md).
MOST = 300
GRAPHS = 2
SHOWN = 8


class Opening(NamedTuple):
    """One incident that would have been, in words."""

    level: str  # warning, critical
    when: str
    line: str


class Picture(NamedTuple):
    """One line's graph with both lanes, and the same in words."""

    title: str
    figure: Figure


class Tried(NamedTuple):
    sentence: str
    pictures: tuple[Picture, ...]
    proposed: tuple[Opening, ...]  # newest first, SHOWN at most
    in_force: tuple[Opening, ...]


def compare(db: sqlite3.Connection, host: int, threshold: Threshold, now: int) -> Comparison:
    """Over the last 30 days; over fewer where very many lines reach a level."""
    return backtest.compare(db, host, threshold._replace(enabled=True), now, DAYS, MOST)


def sentence(found: Comparison, words: Words, first_at: int = 0) -> str:
    """« Sur les 30 derniers jours, ce seuil aurait ouvert 14 incidents et envoyé 17 courriels ; celui en vigueur en a ouvert 2. »

    `first_at`: when the figures begin; said where that is later than the days do.
    """
    days = round((found.end - found.start) / DAY)
    span = words.ngettext("Over the last day", "Over the last %(num)s days", days)
    if found.proposed.incidents:
        told = words.gettext(
            "this would have opened %(incidents)s and sent %(mails)s",
            incidents=words.ngettext("%(num)s incident", "%(num)s incidents", found.proposed.incidents),
            mails=words.ngettext("%(num)s mail", "%(num)s mails", found.proposed.mails),
        )
    else:
        told = words.gettext("this would have opened no incident")
    if found.in_force.incidents:
        present = words.ngettext(
            "the one in force opened %(num)s", "the one in force opened %(num)s", found.in_force.incidents
        )
    else:
        present = words.gettext("the one in force opened none")
    text = words.gettext("%(span)s, %(told)s; %(present)s.", span=span, told=told, present=present)
    if first_at > found.start + DAY:
        text += " " + words.gettext("The figures begin on %(day)s.", day=words.date(first_at))
    return text


def first_at(db: sqlite3.Connection, host: int, metric: str) -> int:
    """When the oldest line of a metric was first measured; 0 for none."""
    return min((line.first_at for line in read.series(db, host, metric)), default=0)


def trial(db: sqlite3.Connection, host: int, threshold: Threshold, now: int, words: Words) -> Tried:
    """Everything that the page of one threshold shows after `try`."""
    found = compare(db, host, threshold, now)
    lines = {line.labels: line for line in read.series(db, host, threshold.metric)}
    chosen = _chosen(found, list(lines.values()), threshold)
    return Tried(
        sentence(found, words, first_at(db, host, threshold.metric)),
        tuple(_picture(db, host, line, found, threshold, now, words) for line in chosen),
        _openings(found.proposed.marks, now, words),
        _openings(found.in_force.marks, now, words),
    )


def _chosen(found: Comparison, lines: Sequence[Series], threshold: Threshold) -> list[Series]:
    """The lines with the most marks; without any, the first that the threshold is for."""
    counts: dict[str, int] = {}
    for mark in (*found.proposed.marks, *found.in_force.marks):
        counts[mark.labels] = counts.get(mark.labels, 0) + 1
    mine = [line for line in lines if backtest.contains(line.labels, threshold.labels)]
    mine.sort(key=lambda line: -counts.get(line.labels, 0))
    return [line for line in mine[:GRAPHS] if line.labels in counts] or mine[:1]


def _picture(
    db: sqlite3.Connection, host: int, line: Series, found: Comparison, threshold: Threshold, now: int, words: Words
) -> Picture:
    asked = {"from": str(found.start), "to": str(found.end)}
    period = periods.parse(asked, now + 1, found.start, words)
    made = pictures.material(db, host, line, period, now, words, found=[threshold])
    both = ((0, found.proposed.marks), (1, found.in_force.marks))
    trials = tuple(
        Trial(lane, mark.start, mark.end or found.end, mark.level)
        for lane, marks in both
        for mark in marks
        if mark.labels == line.labels
    )
    made = made._replace(graph=made.graph._replace(trials=trials, incidents=()), incidents=())
    spoken = periods.label(period, now, words)
    figure = pictures.figure(
        made, words, now, spoken, ident=f"trial-{line.id}", title=words.line_name(line) or spoken, rows=False
    )  # fmt: skip
    return Picture(figure.title, figure)


def _openings(marks: Sequence[Mark], now: int, words: Words) -> tuple[Opening, ...]:
    found = []
    for mark in sorted(marks, key=lambda one: -one.start)[:SHOWN]:
        end = words.gettext("still open") if mark.end is None else words.moment(mark.end, now)
        found.append(Opening(mark.level, f"{words.moment(mark.start, now)} → {end}", words.labels_name(mark.labels)))
    return tuple(found)
