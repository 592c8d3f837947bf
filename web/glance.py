"""The first screen as figures: what `./vigie status` draws in a terminal, and one JSON object for scripts.

The JSON's shape is told once, in web/schemas.py (STATUS), and stands in /openapi.json. Fields are only ever added:
`format` changes when one is taken away or means something else.
"""

import json
import sqlite3
from typing import NamedTuple

from alerts import evidence
from alerts.forecast import Outlook
from alerts.words import Words
from archive import evidence as evidence_rows
from archive import incidents, outbox, read
from archive.certfr import machine, schedule
from archive.certfr.machine import Kept
from archive.incidents import Incident
from archive.read import Metric, Sample, Series
from web import exports, people, pictures, sentences, state
from web.cards import Reading
from web.people import User
from web.state import State

FORMAT = 1
EXIT = {"ok": 0, "warning": 1, "critical": 2, "unknown": 3, "empty": 3}  # as monitoring plugins have it
MOST_CONCERNING = 20


class Figure(NamedTuple):
    """Processor, memory or a disk: its newest value, judged."""

    line: Series
    title: str
    sample: Sample
    state: str  # ok, warning, critical, unknown
    outlook: Outlook | None  # of a disk, while figures are fresh


class Trouble(NamedTuple):
    """An open incident with what explains it."""

    story: sentences.Story
    unit: str
    cause: str  # the incident that it comes with, in words
    who: str  # who took most when it began, as the evidence has it: the administrator's to see


class Glance(NamedTuple):
    host: str
    now: int
    state: State
    troubles: tuple[Trouble, ...]
    figures: tuple[Figure, ...]
    users: tuple[User, ...]  # logged in, or running something; the busiest first
    concerning: tuple[Kept, ...]
    to_check: int
    certfr_read_at: int | None
    certfr_failed: bool
    mail_waits_since: int | None


def take(db: sqlite3.Connection, host: int, words: Words, now: int) -> Glance:
    """The first screen at `now`, from the rows."""
    found = state.now_of(db, host, now)
    metrics = {one.name: one for one in read.metrics(db)}
    reading = Reading(db, host, words, now, found.rhythm, fresh=found.fresh)
    counts, source = machine.counts(db, host), schedule.source(db, schedule.ROUND)
    affected = [one for one in machine.verdicts(db, host, "affected", 200) if one.dismissed_at is None]
    return Glance(
        read.host(db, host).name,
        now,
        found,
        tuple(_trouble(db, one, metrics, words) for one in found.open),
        tuple(_figure(reading, line) for line in reading.lines() if line.id in reading.latest),
        tuple(people.active(people.users(db, host, reading.recent))),
        tuple(affected[:MOST_CONCERNING]),
        counts.get("to_check", 0),
        source.ok_at if source else None,
        bool(source and source.error),
        outbox.summary(db).oldest_at,
    )


def _figure(reading: Reading, line: Series) -> Figure:
    sample = reading.latest[line.id]
    outlook = pictures.outlook_of(reading.db, reading.host, line, sample) if reading.fresh else None
    return Figure(line, reading.title(line), sample, reading.state(line, sample), outlook)


def _trouble(db: sqlite3.Connection, one: Incident, metrics: dict[str, Metric], words: Words) -> Trouble:
    cause = incidents.get(db, one.cause) if one.cause else None
    metric = metrics.get(one.metric)
    return Trouble(
        sentences.story(one, metric, words),
        unit(one, metric),
        sentences.title(cause, metrics.get(cause.metric), words) if cause else "",
        _who(db, one, words),
    )


def unit(one: Incident, metric: Metric | None) -> str:
    """Of an incident's values; '' when nothing is known of its metric."""
    return "seconds" if one.kind == "forecast" else metric.unit if metric else ""


def _who(db: sqlite3.Connection, one: Incident, words: Words) -> str:
    """« firefox (alice) : 3,2 Gio » : the first process, or the folder that grew, of the evidence taken last."""
    rows = evidence_rows.of_incident(db, one.id, 1)
    found = evidence.from_json(rows[0].body) if rows else evidence.Evidence()
    if one.metric.startswith("disk_"):
        return words.gettext(
            "%(what)s: %(value)s", what=found.grown[0].path, value=words.value(found.grown[0].bytes, "bytes")
        ) if found.grown else ""  # fmt: skip
    by_memory = one.metric.startswith(("memory_", "swap_", "user_memory_"))
    processes = found.memory if by_memory else found.cpu
    if one.kind != "threshold" or not processes:
        return ""
    first = processes[0]
    value = words.value(first.memory, "bytes") if by_memory else words.percent(first.cores)
    what = words.gettext("%(command)s of %(user)s", command=first.command, user=first.user)
    return words.gettext("%(what)s: %(value)s", what=what, value=value)


def as_json(found: Glance) -> dict[str, object]:
    """For scripts: times in seconds since 1970 and ISO 8601, values in the unit named beside them."""
    told = found.state
    return {
        "format": FORMAT,
        "host": found.host,
        **exports.when("now", found.now),
        "state": told.word,
        "exit": EXIT[told.word],
        **exports.when("since", told.since),
        **exports.when("last", told.last_at),
        "rhythm_seconds": told.rhythm,
        "incidents": [
            {**exports.incident(one.story.incident, one.story.title, one.unit), "advice": one.story.advice}
            for one in found.troubles
        ],
        "figures": [_figure_json(one) for one in found.figures],
        "users": [
            {
                "user": one.name,
                "logged_in": bool(one.sessions),
                "cpu_cores": one.cpu,
                "memory_bytes": one.memory,
                "processes": one.processes,
                "home_bytes": one.home,
            }
            for one in found.users
        ],
        "certfr": {
            **exports.when("read", found.certfr_read_at),
            "failed": found.certfr_failed,
            "to_check": found.to_check,
            "concerning": [
                {
                    "reference": one.reference,
                    "title": one.title,
                    "status": one.status,
                    "package": one.package,
                    "installed": one.installed,
                    "offered": one.offered,
                }
                for one in found.concerning
            ],
        },
        **exports.when("mail_waits_since", found.mail_waits_since),
    }


def _figure_json(one: Figure) -> dict[str, object]:
    return {
        "metric": one.line.metric.name,
        "labels": json.loads(one.line.labels),
        "unit": one.line.metric.unit,
        "value": one.sample.value,
        **exports.when("value", one.sample.at),
        "state": one.state,
        **exports.when("full", one.outlook.full_at if one.outlook else None),
    }
