"""The history of changes in words: thresholds, the retention, planned work. Who, when, from what to what."""

import sqlite3
from collections.abc import Mapping
from typing import NamedTuple

from alerts.words import Words
from archive import changes, read, silences, thresholds
from archive.changes import Change
from archive.read import Metric
from archive.silences import Silence
from archive.thresholds import Threshold
from web import editing, works
from web.editing import Line

SHOWN = 30


class Past(NamedTuple):
    """A change in words."""

    id: int
    at: int
    by: str
    title: str
    before: str
    after: str


def recent(db: sqlite3.Connection, words: Words, now: int) -> list[Past]:
    """What was changed, newest first."""
    metrics = {one.name: one for one in read.metrics(db)}
    return [_past(one, metrics, words, now) for one in changes.recent(db, SHOWN)]


def _past(one: Change, metrics: Mapping[str, Metric], words: Words, now: int) -> Past:
    if one.kind == "window":
        before, after = silences.from_json(one.before), silences.from_json(one.after)
        about = after or before
        title = words.gettext("Planned work")
        if about is not None and about.reason:
            title += f" – {about.reason}"
        return Past(one.id, one.at, one.by, title, _work(before, words, now), _work(after, words, now))
    if one.kind == "setting":
        title = words.gettext("Retention") if one.subject == thresholds.RETENTION else one.subject
        return Past(one.id, one.at, one.by, title, _days(one.before, words), _days(one.after, words))
    metric = metrics.get(one.subject)
    name = metric_title(metric, words) if metric else one.subject
    line = words.labels_name(one.labels)
    return Past(
        one.id, one.at, one.by, f"{name}, {line}" if line else name,
        _threshold(thresholds.from_json(one.before), metric, words),
        _threshold(thresholds.from_json(one.after), metric, words),
    )  # fmt: skip


def metric_title(metric: Metric, words: Words) -> str:
    """As the form calls it."""
    key = key_of(metric)
    return words.gettext(editing.TITLES[key]) if key else words.metric_name(metric)


def key_of(metric: Metric) -> str:
    return next((key for key, name in editing.FIRST.items() if name == metric.name), "")


def level_words(threshold: Threshold, line: Line, words: Words) -> str:
    """« 90 % / 97 %, 15 min », or « off »."""
    if not threshold.enabled:
        return words.gettext("off")

    def told(level: float | None) -> str:
        if level is None:
            return "–"
        return words.value(1.0 - level if line.inverted else level, line.metric.unit)

    said = f"{told(threshold.warning)} / {told(threshold.critical)}"
    return f"{said}, {words.duration(threshold.for_seconds)}" if threshold.for_seconds else said


def _threshold(one: Threshold | None, metric: Metric | None, words: Words) -> str:
    if one is None:
        return words.gettext("as shipped")
    return level_words(one, editing.line_of(metric, one, words, key_of(metric)), words) if metric else ""


def _work(one: Silence | None, words: Words, now: int) -> str:
    if one is None:
        return words.gettext("none")
    told = works.when(one, words, now)
    if one.ended_at is not None and one.weekly:
        told += f", {words.gettext('ended %(when)s', when=words.moment(one.ended_at, now))}"
    return told


def _days(text: str, words: Words) -> str:
    return words.ngettext("%(num)s day", "%(num)s days", int(text)) if text.isdigit() else text
