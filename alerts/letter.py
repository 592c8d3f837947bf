"""What a mail is made of, read from the archive when it leaves: the one thin edge between rows and words."""

import json
import sqlite3
from typing import NamedTuple

from alerts import chart_data, forecast
from alerts import evidence as seen
from alerts.evidence import Evidence
from alerts.forecast import Forecast
from archive import evidence as evidence_rows
from archive import incidents, outbox, read, thresholds
from archive.events import Event, between
from archive.outbox import ENDINGS, Notification, Told
from archive.thresholds import Threshold

CENTRE = 1  # the host of a machine alone, and of a centre's own machine
FULL = 3  # incidents told with graph and evidence
SHORT = 30  # told with their figures
LINES = 150  # told in one line each; the rest is counted
LEAST_SPAN, MOST_SPAN = 6 * 3600, 8 * 86_400  # what a graph shows


class Consequence(NamedTuple):
    """A line whose own mail is held back, because this incident explains it."""

    metric: read.Metric | None
    labels: str


class Story(NamedTuple):
    """One incident, and what this mail tells of it."""

    told: tuple[Told, ...]  # oldest first, all of one incident
    incident: incidents.Incident | None
    threshold: Threshold | None
    metric: read.Metric | None
    series: read.Series | None = None
    start: int = 0  # what the graph shows
    end: int = 0
    step: int = 60
    every: int = 60
    points: tuple[read.Point, ...] = ()
    events: tuple[Event, ...] = ()
    evidence: Evidence | None = None
    forecast: Forecast | None = None
    consequences: tuple[Consequence, ...] = ()
    reason: str = ""  # a silent probe's own words
    host: str = ""  # the machine, where the mail is about several
    url: str = ""  # of that machine's pages, likewise

    @property
    def first(self) -> Told:
        return self.told[0]

    @property
    def last(self) -> Told:
        return self.told[-1]

    @property
    def over(self) -> bool:
        """Whether its end is told here."""
        return self.last.kind in ENDINGS

    @property
    def began(self) -> bool:
        """Whether a beginning is told here too."""
        return any(one.kind not in ENDINGS for one in self.told)


class Letter(NamedTuple):
    """A mail's content. `stories`: the gravest first; `brief`: more incidents, in a line each; `uncounted`: the rest."""

    host: str
    kind: str
    url: str
    at: int  # when it was owed
    stories: tuple[Story, ...]
    brief: tuple[Story, ...]
    uncounted: int
    sender: str = ""  # the centre, where it mails about another machine


def read_letter(db: sqlite3.Connection, notification: Notification, now: int) -> Letter:
    """Everything that this mail says. `db` is a reading connection."""
    by_incident: dict[int, list[Told]] = {}
    for one in outbox.told(db, notification.id):
        by_incident.setdefault(one.incident, []).append(one)
    groups = sorted(by_incident.values(), key=_order)
    if notification.kind == "summary":
        groups.sort(key=lambda told: (told[0].at, told[0].transition))  # oldest first: it tells what was missed
    cache: dict[str, read.Metric | None] = {}
    stories = [
        _story(db, notification.host, told, now, cache, full=number < FULL)
        for number, told in enumerate(groups[:SHORT])
    ]
    brief = [_story(db, notification.host, told, now, cache, full=False) for told in groups[SHORT:LINES]]
    url = outbox.body_of(notification).get("url", "")
    name = read.host(db, notification.host).name
    centre = read.host(db, CENTRE).name if notification.host != CENTRE else ""
    if len({one.incident.host for one in stories + brief if one.incident}) > 1:
        name, centre = read.host(db, CENTRE).name, ""
        stories, brief = ([_of_machine(db, one, url) for one in part] for part in (stories, brief))
        url = _root(url)
    return Letter(
        name,
        notification.kind,
        url,
        notification.at,
        tuple(stories),
        tuple(brief),
        max(0, len(groups) - LINES),
        centre,
    )


def _of_machine(db: sqlite3.Connection, story: Story, url: str) -> Story:
    """A story that says which machine it is of, and where its pages are."""
    if story.incident is None:
        return story
    from archive.fleet import members

    member = members.get(db, story.incident.host)
    place = f"{_root(url)}/hosts/{member.name}" if member and url else _root(url)
    return story._replace(host=read.host(db, story.incident.host).name, url=place)


def _root(url: str) -> str:
    """The site's address, of a machine's pages there."""
    return url.partition("/hosts/")[0]


def _order(told: list[Told]) -> tuple[int, int, int]:
    last = told[-1]
    return (last.kind in ENDINGS, last.level != "critical", last.transition)


def _story(
    db: sqlite3.Connection, host: int, told: list[Told], now: int, cache: dict[str, read.Metric | None], *, full: bool
) -> Story:
    first = told[0]
    if first.metric not in cache:
        cache[first.metric] = read.metric(db, first.metric)
    incident = incidents.get(db, first.incident)
    story = Story(tuple(told), incident, _threshold(first.threshold), cache[first.metric])
    return _filled(db, incident.host if incident else host, story, now) if full else story


def _filled(db: sqlite3.Connection, host: int, story: Story, now: int) -> Story:
    """With its samples, its evidence, its forecast and what it explains."""
    first, last = story.first, story.last
    line = None
    if first.incident_kind != "silent":  # its metric is a probe's name, or '' for the machine, which would be any line
        line = next((one for one in read.series(db, host, first.metric) if one.labels == first.labels), None)
    end = min(now, last.at + 3600) if story.over else now
    if not 0 <= now - last.at < MOST_SPAN:
        end = last.at  # a mail that waited long shows its own time
    start = end - min(MOST_SPAN, max(LEAST_SPAN, 2 * (end - first.since_at)))
    if line:  # not five empty hours before the first sample
        start = max(start, min(line.first_at - 60, end - 3600))
    step = chart_data.choose_step(end - start)
    story = story._replace(
        series=line,
        start=start,
        end=end,
        step=step,
        every=read.rhythm(db, host) * _every(db, host, line),
        points=tuple(read.points(db, host, line, start, end + 1, step)) if line else (),
        events=tuple(between(db, host, start, end)),
        evidence=_evidence(db, first.incident, first.since_at),
        consequences=tuple(
            Consequence(read.metric(db, one.metric), one.labels)
            for one in incidents.live(db, host)
            if one.cause == first.incident
        ),
    )
    if first.incident_kind == "silent" and not story.over:
        story = story._replace(
            reason=next((probe.reason for probe in read.probes(db, host) if probe.name == first.metric), "")
        )
    if line and first.metric == "disk_used_ratio" and not story.over:
        story = story._replace(forecast=forecast.of_line(db, host, line, now))
    return story


def _every(db: sqlite3.Connection, host: int, line: read.Series | None) -> int:
    """A probe's own EVERY, in cycles."""
    return next((probe.every for probe in read.probes(db, host) if line and probe.name == line.metric.probe), 1)


def _evidence(db: sqlite3.Connection, incident: int, since: int) -> Evidence | None:
    """The newest evidence of the present run of this incident."""
    rows = [row for row in evidence_rows.of_incident(db, incident) if row.at >= since - 600]
    return seen.from_json(rows[0].body) if rows else None


def _threshold(text: str) -> Threshold | None:
    """The threshold as it was at opening; None where the row holds none that is understood."""
    try:
        return thresholds.from_json(text)
    except (ValueError, TypeError, AttributeError):
        return None


def labels_of(told: Told) -> dict[str, str]:
    """A line's labels; {} where they are not understood."""
    try:
        found = json.loads(told.labels)
    except ValueError:
        return {}
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}
