"""What other programs read: incidents and publications as CSV and JSON, /metrics, the feed, and their description.

The figures of one metric are in web/pages/samples.py. web/data_routes.py has a line for each; web/access.py says who may.
Lists are sent as they are read, never held whole.
"""

import json
from collections.abc import Iterator
from itertools import count

from flask import Blueprint, Response, current_app, render_template, request, url_for
from flask.typing import ResponseReturnValue

from alerts.words import DAY, N_
from archive import chronicle, incidents, read
from archive.certfr import index, machine
from archive.certfr.machine import Listed
from archive.certfr.safe import SITE
from archive.incidents import Incident
from archive.read import Sample, Series
from web import access, asking, atom, data_routes, exports, files, glance, openapi, openmetrics, periods, sentences
from web.access import Who
from web.exports import Object, dumped
from web.pages import graphs, security
from web.periods import PeriodError
from web.shell import version
from web.store import db, host_id, now
from web.words import _, words

bp = Blueprint("data", __name__)
PAGE = 500  # publications read at once
FEED = 50  # entries
INCIDENT = (
    "id", "title", "kind", "metric", "labels", "unit", "state", "level", "since_time", "since_at", "opened_time",
    "opened_at", "ended_time", "ended_at", "end_reason", "last_value", "peak", "peak_time", "peak_at", "cause",
    "acknowledged_time", "acknowledged_at",
)  # fmt: skip
PUBLICATION = (
    "reference", "kind", "title", "status", "last_time", "last_at", "verdict", "package", "installed", "offered",
    "fixed_time", "fixed_at", "dismissed_time", "dismissed_at", "url",
)  # fmt: skip


# --- for people ------------------------------------------------------------------------------------------------------


@bp.route("/data")
def page() -> str:
    """What there is to read, with an example of each."""
    listed = [route for route in data_routes.TABLE if route.listed]
    return render_template(
        "data.html",
        routes=[(route, _(route.about), _example(route.example)) for route in listed],
        site=_site(),
        closed=not current_app.config["VIGIE_OPEN"],
    )


def _site() -> str:
    return url_for("overview.page", _external=True).rstrip("/")


def _example(path: str) -> str:
    return _site() + path if path else ""


@bp.route("/openapi.json")
def openapi_json() -> Response:
    """All of this for programs."""
    return _json(openapi.document(data_routes.TABLE, version(), _site(), _opened_by))


def _opened_by(endpoint: str) -> tuple[bool, bool]:
    found = access.door(endpoint)
    return (found.look is Who.ANYONE, found.token) if found else (False, False)


def _json(found: object) -> Response:
    return Response(dumped(found), content_type=exports.JSON)


# --- the machine now -------------------------------------------------------------------------------------------------


@bp.route("/status.json")
def status() -> Response:
    """What `./vigie status --json` prints."""
    return _json(glance.as_json(glance.take(db(), host_id(), words(), now())))


@bp.route("/metrics")
def metrics() -> Response:
    """The newest values for Prometheus. What has not come for three of its rhythms is left out."""
    newest, rhythm = read.latest(db(), host_id()), read.rhythm(db(), host_id())
    probes = {probe.name: probe.every for probe in read.probes(db(), host_id())}
    readings = []
    for line in read.series(db(), host_id()):
        sample = newest.get(line.id)
        every = probes.get(line.metric.probe) or probes.get(line.label("probe")) or 1
        if sample and now() - sample.at <= 3 * rhythm * every:
            readings.append(openmetrics.Reading(line.metric, json.loads(line.labels), sample.value))
    # Of two forms the one that was asked for; curl asks for neither and gets what every Prometheus reads.
    modern = "application/openmetrics-text" in request.headers.get("Accept", "")
    text = openmetrics.exposition([*_own(), *openmetrics.families(readings)], openmetrics=modern)
    answer = Response(text, content_type=openmetrics.OPENMETRICS if modern else openmetrics.PLAIN)
    answer.vary.add("Accept")
    return answer


def _own() -> list[openmetrics.Family]:
    """What Vigie says of itself; its names cannot be taken by a probe's."""
    last = read.last_cycle(db(), host_id())
    opened = [one.level for one in incidents.live(db(), host_id()) if one.opened_at is not None]
    levels = [({"level": level}, float(opened.count(level))) for level in ("warning", "critical")]
    found = [openmetrics.Family("vigie_incidents_open", "Incidents that are not over", levels)]
    if last:
        told = "When the newest figures were taken"
        found.append(openmetrics.Family("vigie_last_cycle_timestamp_seconds", told, [({}, float(last.at))]))
    return found


@bp.route("/metrics.json")
def metrics_list() -> Response:
    """Every metric with its lines and their newest values."""
    newest, lines = read.latest(db(), host_id()), dict[int, list[Series]]()
    for line in read.series(db(), host_id()):
        lines.setdefault(line.metric.id, []).append(line)
    found = [
        {**exports.metric(one), "lines": [_line(line, newest.get(line.id)) for line in lines[one.id]]}
        for one in read.metrics(db())
        if one.id in lines
    ]
    return _json({"host": _host(), "metrics": found})


def _line(line: Series, sample: Sample | None) -> dict[str, object]:
    value = sample.value if sample else None
    return {
        "id": line.id,
        "labels": json.loads(line.labels),
        "value": value,
        **exports.when("value", sample.at if sample else None),
    }


def _host() -> str:
    return read.host(db(), host_id()).name


# --- incidents -------------------------------------------------------------------------------------------------------


@bp.route("/incidents.csv")
def incidents_csv() -> ResponseReturnValue:
    """Every incident of a span, the newest first."""
    try:
        found = _incidents()
    except PeriodError as error:
        return graphs.refused(error)
    return files.sent(exports.csv_objects(INCIDENT, found), exports.CSV, "incidents", "csv")


@bp.route("/incidents.json")
def incidents_json() -> ResponseReturnValue:
    """The same as JSON."""
    try:
        found = _incidents()
    except PeriodError as error:
        return graphs.refused(error)
    rows = exports.json_list({"host": _host()}, "incidents", (dumped(one) for one in found))
    return files.sent(rows, exports.JSON, "incidents", "json")


def _incidents() -> Iterator[Object]:
    """As asked. Raises PeriodError before anything is sent."""
    asked = {name: periods.one(request.args.getlist(name), name) for name in ("from", "to")}
    start = periods.moment(asked["from"], "from", words()) if asked["from"] else 0
    end = periods.moment(asked["to"], "to", words()) if asked["to"] else now() + DAY
    state = asking.one("state", ("", *data_routes.STATES), "")
    if start >= end:
        raise PeriodError(N_("“from” must come before “to”."))
    return _told(start, end, state)


def _told(start: int, end: int, state: str) -> Iterator[Object]:
    """Asks the database once it is being sent: the connection that the view had is closed by then (web/files.py)."""
    found = chronicle.opened_between(db(), host_id(), start, end, state)
    metrics = {one.name: one for one in read.metrics(db())}
    for one in found:
        metric = metrics.get(one.metric)
        yield exports.incident(one, sentences.title(one, metric, words()), glance.unit(one, metric))


@bp.route("/incidents.atom")
def incidents_atom() -> Response:
    """The last incidents as a feed."""
    told, host = words(), read.host(db(), host_id())
    found = incidents.recent(db(), host_id(), FEED)
    changed = chronicle.changed_at(db(), (one.id for one in found))
    metrics = {one.name: one for one in read.metrics(db())}
    entries = []
    for one in found:
        opened = one.opened_at or one.since_at
        story = sentences.story(one, metrics.get(one.metric), told)
        # When it was told must not change its words: dates in full, nothing that counts from now.
        span = told.full(one.since_at) + (f" → {told.full(one.ended_at)}" if one.ended_at else "")
        parts = [story.badge_words, span, "" if one.ended_at is None else story.figures, story.advice]
        entries.append(
            atom.Entry(
                one.id,
                story.title if one.ended_at is not None else _opening(one, metrics.get(one.metric)),
                " · ".join(part for part in parts if part),
                opened,
                max(changed.get(one.id, 0), opened),
                one.level,
                url_for("incidents.one", number=one.id, _external=True),
            )
        )
    feed = atom.Feed(
        host.uid,
        _("Incidents of %(host)s", host=host.name),
        f"Vigie · {host.name}",
        url_for("data.incidents_atom", _external=True),
        url_for("incidents.page", _external=True),
        told.language,
        host.first_at,
        entries,
    )
    answer = Response(atom.written(feed), content_type=data_routes.ATOM)
    answer.add_etag()
    answer.make_conditional(request.environ)
    return answer


def _opening(one: Incident, metric: read.Metric | None) -> str:
    """The title while it lasts, by its worst value: the last one moves every minute, and a feed would never be the same."""
    return sentences.title(one if one.kind == "forecast" else one._replace(last_value=one.peak), metric, words())


# --- CERT-FR ---------------------------------------------------------------------------------------------------------


@bp.route("/security.csv")
def security_csv() -> Response:
    """Publications with their verdicts, filtered as on the page."""
    return files.sent(exports.csv_objects(PUBLICATION, _publications()), exports.CSV, "security", "csv")


@bp.route("/security.json")
def security_json() -> Response:
    """The same as JSON."""
    rows = exports.json_list({"host": _host()}, "publications", (dumped(one) for one in _publications()))
    return files.sent(rows, exports.JSON, "security", "json")


def _publications() -> Iterator[Object]:
    kind = asking.one("kind", security.KINDS, "")
    verdict = asking.one("verdict", ("", *security.VERDICTS), "")
    return _pages(kind, verdict, asking.text("q", 80))


def _pages(kind: str, verdict: str, text: str) -> Iterator[Object]:
    for skip in count(0, PAGE):
        found = machine.publications(db(), host_id(), kind=kind, verdict=verdict, text=text, most=PAGE, skip=skip)
        yield from (_publication(one) for one in found)
        if len(found) < PAGE:
            return


def _publication(one: Listed) -> Object:
    return {
        "reference": one.reference,
        "kind": one.kind,
        "title": one.title,
        "status": one.status,
        **exports.when("last", one.last_at),
        "verdict": one.verdict,
        "package": one.package,
        "installed": one.installed,
        "offered": one.offered,
        **exports.when("fixed", one.fixed_at),
        **exports.when("dismissed", one.dismissed_at),
        "url": index.url_of(SITE, one.reference),
    }
