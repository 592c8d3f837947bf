"""The history of changes in words: thresholds, the retention, planned work, recipients, what a centre sets. Who, when, from what
to what."""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from alerts.words import Words
from archive import changes, read, recipients, silences, thresholds
from archive.changes import Change
from archive.fleet import handing, wishes
from archive.read import Metric
from archive.recipients import Recipient
from archive.silences import Silence
from archive.thresholds import Threshold
from web import editing, fleet, works
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
    fixed: bool = False  # a centre did it: it is undone there


def recent(db: sqlite3.Connection, words: Words, now: int) -> list[Past]:
    """What was changed, newest first."""
    return told(db, changes.recent(db, SHOWN), words, now)


def told(db: sqlite3.Connection, found: Sequence[Change], words: Words, now: int) -> list[Past]:
    """These changes."""
    metrics = {one.name: one for one in read.metrics(db)}
    return [_past(one, metrics, words, now) for one in found]


def _past(one: Change, metrics: Mapping[str, Metric], words: Words, now: int) -> Past:
    if one.kind == "window":
        before, after = silences.from_json(one.before), silences.from_json(one.after)
        about = after or before
        title = words.gettext("Planned work")
        if about is not None and about.reason:
            title += f" – {about.reason}"
        return Past(one.id, one.at, one.by, title, _work(before, words, now), _work(after, words, now))
    if one.kind == "setting" and one.subject.startswith(recipients.SUBJECT):
        title = words.gettext("Recipient %(address)s", address=one.subject.removeprefix(recipients.SUBJECT))
        before_row, after_row = recipients.from_json(one.before), recipients.from_json(one.after)
        return Past(one.id, one.at, one.by, title, _recipient(before_row, words), _recipient(after_row, words))
    if one.kind == "setting" and one.subject.startswith(wishes.SUBJECT):
        return _wish(one, metrics, words)
    if one.kind == "setting" and one.subject == handing.MAILS:
        title = words.gettext("Who mails about this machine")
        return Past(
            one.id,
            one.at,
            one.by,
            title,
            fleet.mails_words(one.before, words),
            fleet.mails_words(one.after, words),
            True,
        )
    if one.kind == "setting":
        title = words.gettext("Retention") if one.subject == thresholds.RETENTION else one.subject
        return Past(one.id, one.at, one.by, title, _days(one.before, words), _days(one.after, words))
    metric = metrics.get(one.subject)
    name = metric_title(metric, words) if metric else one.subject
    line = words.labels_name(one.labels)
    before_one, after_one = thresholds.from_json(one.before), thresholds.from_json(one.after)
    return Past(
        one.id, one.at, one.by, f"{name}, {line}" if line else name, _threshold(before_one, metric, words),
        _threshold(after_one, metric, words),
        any(each is not None and each.host == thresholds.CENTRE for each in (before_one, after_one)),
    )  # fmt: skip


def _wish(one: Change, metrics: Mapping[str, Metric], words: Words) -> Past:
    """What an administrator set here for the machines of a fleet."""
    scope, name, *rules = wishes.from_change(one)
    of, unset = fleet.of_scope(scope, words), words.gettext("not set")
    if not name:
        said = [fleet.mails_words(each.mails, words) if each else unset for each in rules]
        return Past(one.id, one.at, one.by, words.gettext("Who mails (%(of)s)", of=of), said[0], said[1])
    metric, line = metrics.get(name), words.labels_name(one.labels)
    title = f"{metric_title(metric, words) if metric else name}{f', {line}' if line else ''} ({of})"
    said = [_threshold(each.threshold, metric, words) if each else unset for each in rules]
    return Past(one.id, one.at, one.by, title, said[0], said[1])


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


def _recipient(one: Recipient | None, words: Words) -> str:
    if one is None:
        return words.gettext("none")
    told = (
        words.gettext("critical ones only") if one.level == "critical" else words.gettext("warnings and critical ones")
    )
    return f"{told}, {words.gettext('weekly digest')}" if one.digest else told


def _days(text: str, words: Words) -> str:
    return words.ngettext("%(num)s day", "%(num)s days", int(text)) if text.isdigit() else text
