"""Planned work in the reader's words: what it is for, when, whether it runs. Nothing is read here but what is given."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from babel.dates import get_day_names

from alerts import windows
from alerts.windows import Span
from alerts.words import N_, Words
from archive.read import Metric
from archive.silences import Silence

NAMED = 3  # metrics that are named; the others are counted
STATES = {"now": N_("Running"), "coming": N_("To come"), "over": N_("Over")}


class Work(NamedTuple):
    """One window, ready to be shown."""

    silence: Silence
    state: str  # now, coming, over
    scope: str  # « tout », « Disque, /srv »
    when: str  # « 25 nov. 18:00 → 20:00 », « chaque dimanche de 22:00 à 06:00 »
    span: Span | None  # the opening that it is in, or the next one

    @property
    def id(self) -> int:
        return self.silence.id


def work(silence: Silence, metrics: Mapping[str, Metric], words: Words, now: int, timezone: str) -> Work:
    """`timezone` is the machine's: weekly hours are read in it, by the judge too."""
    ended = silence.ended_at is not None and silence.ended_at <= now
    past = ended or (silence.to_at != 0 and silence.to_at <= now)
    present = windows.present(silence, now, timezone)
    span = None if past else present or windows.following(silence, now, timezone)
    state = "over" if past else "now" if present else "coming"
    return Work(silence, state, scope(silence, metrics, words), when(silence, words, now), span)


def running(
    silences: Iterable[Silence], metrics: Mapping[str, Metric], words: Words, now: int, timezone: str
) -> list[Work]:
    """What runs now, the first to end first."""
    found = [work(one, metrics, words, now, timezone) for one in silences if windows.is_open(one, now, timezone)]
    return sorted(found, key=lambda one: one.span.end if one.span else 0)


def scope(silence: Silence, metrics: Mapping[str, Metric], words: Words) -> str:
    """What it is for."""
    names = silence.metric.split()
    told = [words.metric_name(metrics[name]) if name in metrics else words.gettext("probe %(name)s", name=name)
            for name in names[:NAMED]]  # fmt: skip
    if len(names) > NAMED:
        told.append(words.ngettext("%(num)s more", "%(num)s more", len(names) - NAMED))
    line = words.labels_name(silence.labels)
    if not told:
        return words.gettext("everything about %(line)s", line=line) if line else words.gettext("everything")
    return f"{', '.join(told)} – {line}" if line else ", ".join(told)


def when(silence: Silence, words: Words, now: int) -> str:
    """Its dates, or its days and hours."""
    if silence.weekly:
        return weekly(silence.weekly, words)
    end = silence.to_at if silence.ended_at is None else min(silence.to_at or silence.ended_at, silence.ended_at)
    same = words.local(silence.from_at).date() == words.local(end).date()
    return f"{words.moment(silence.from_at, now)} → {words.clock(end) if same else words.moment(end, now)}"


def weekly(text: str, words: Words) -> str:
    """« chaque dimanche de 22:00 à 06:00 (le lendemain) »."""
    found = json.loads(text)
    names = days(words)
    values = {"days": listed([names[day] for day in found["days"]], words), "start": found["from"], "end": found["to"]}
    over_night = found["to"] <= found["from"]
    if len(found["days"]) == 7:
        if over_night:
            return words.gettext("every day from %(start)s to %(end)s the next day", **values)
        return words.gettext("every day from %(start)s to %(end)s", **values)
    if over_night:
        return words.gettext("every %(days)s from %(start)s to %(end)s the next day", **values)
    return words.gettext("every %(days)s from %(start)s to %(end)s", **values)


def days(words: Words) -> list[str]:
    """Names of the days, Monday first."""
    names = get_day_names("wide", locale=words.locale)
    return [str(names[day]) for day in range(7)]


def listed(names: Sequence[str], words: Words) -> str:
    """« lundi, mardi et mercredi »."""
    if len(names) < 2:
        return "".join(names)
    return words.gettext("%(first)s and %(last)s", first=", ".join(names[:-1]), last=names[-1])
