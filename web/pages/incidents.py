"""Incidents: open first, then by day; and the whole story of one."""

from itertools import groupby

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from alerts import evidence, windows
from alerts.words import DAY, HOUR, N_
from archive import evidence as evidence_rows
from archive import incidents, outbox, read, silences
from archive.incidents import Incident, IncidentError
from archive.read import Series
from archive.silences import Silence
from web import asking, logins, moments, sentences, store, works
from web.cards import Card, Reading
from web.levels import Mistake
from web.moments import Twice
from web.planning import Choice
from web.shell import present
from web.words import _, words

bp = Blueprint("incidents", __name__)
PAGE = 50
AROUND = 3 * 3600
MOVES = 12  # transitions shown at once
LARGEST = 2**62
SPANS = {"1h": HOUR, "4h": 4 * HOUR, "24h": DAY, "3d": 3 * DAY, "7d": 7 * DAY}
NO_REASON = N_("Say why, so that the others know.")


@bp.route("/incidents")
def page() -> str:
    """Open ones, then those that are over, by day; `?before=` gives older ones, `?line=` those of one series alone."""
    db, host, now, told = store.db(), store.host_id(), store.now(), words()
    before, line = asking.number("before"), _line()
    metrics = {one.name: one for one in read.metrics(db)}
    found = incidents.recent(db, host, PAGE, before, (line.metric.name, line.labels) if line else None)
    live = [
        one for one in present().open if line is None or (one.metric, one.labels) == (line.metric.name, line.labels)
    ]
    over = [one for one in found if one.state == "resolved"]
    days = [
        (told.day(group[0].opened_at or 0, now), [sentences.story(one, metrics.get(one.metric), told) for one in group])
        for group in (list(rows) for _day, rows in groupby(over, key=lambda one: told.local(one.opened_at or 0).date()))
    ]
    return render_template(
        "incidents.html",
        state=present(),
        stories=[sentences.story(one, metrics.get(one.metric), told) for one in live] if before is None else [],
        days=days,
        older=found[-1].opened_at if len(found) >= PAGE else None,
        line=line,
        name=" · ".join(part for part in (told.metric_name(line.metric), told.line_name(line)) if part) if line else "",
        first=before is None,
        span=lambda incident: sentences.span(incident, now, told),
        now=now,
    )


def _line() -> Series | None:
    """The series that the address names; None without one. 404 for one that is not there."""
    number = asking.number("line")
    if number is None:
        return None
    return next((one for one in read.series(store.db(), store.host_id()) if one.id == number), None) or abort(404)


@bp.route("/incidents/<int:number>")
def one(number: int) -> str:
    return _story(number)


@bp.route("/incidents/<int:number>/acknowledge", methods=["POST"])
def acknowledge(number: int) -> ResponseReturnValue:
    """Someone looks after it, and says why: no reminders until it is over."""
    me = logins.person()
    reason = request.form.get("reason", "")
    _known(number)
    try:
        with store.writing() as db:
            incidents.acknowledge(db, number, me.person, reason, store.now())
    except IncidentError as error:
        return _story(number, _(error.message, **error.values), reason), 422
    flash(_("Acknowledged: no reminders until it is over."))
    return redirect(url_for("incidents.one", number=number), 303)


@bp.route("/incidents/<int:number>/silence", methods=["POST"])
def silence(number: int) -> ResponseReturnValue:
    """Planned work for this line alone: no mail of it until then."""
    me = logins.person()
    found, now = _known(number), store.now()
    reason, until = request.form.get("quiet_reason", "")[: silences.MOST_REASON], request.form.get("until", "")[:60]
    span = request.form.get("span", "")
    quiet = {"span": span, "until": until, "which": request.form.get("until.which", ""), "reason": reason}
    try:
        end = now + SPANS[span] if span in SPANS else moments.parse(until, words(), quiet["which"])
        if not reason.strip():
            raise IncidentError("quiet_reason", NO_REASON)
        wanted = silences.checked(
            Silence(0, store.host_id(), found.metric, found.labels, now, end, "", reason, 0, "", None), now
        )
    except Mistake as mistake:
        wrong = quiet | {"field": "until", "problem": _(mistake.message, **mistake.values)}
        return _story(number, quiet=wrong, twice=mistake if isinstance(mistake, Twice) else None), 422
    except IncidentError as error:
        field = error.field if error.field == "quiet_reason" else "until"
        return _story(number, quiet=quiet | {"field": field, "problem": _(error.message, **error.values)}), 422
    with store.writing() as db:
        silences.plan(db, wanted, me.person, now)
    flash(
        _("No mail about this line until %(when)s; if it is still so then, it is told.", when=words().moment(end, now))
    )
    return redirect(url_for("incidents.one", number=number), 303)


def _known(number: int) -> Incident:
    found = incidents.get(store.db(), number) if number < LARGEST else None
    if found is None or found.opened_at is None:
        abort(404)
    return found


def _story(
    number: int, problem: str = "", reason: str = "", quiet: dict[str, str] | None = None, twice: Twice | None = None
) -> str:
    db, now, told = store.db(), store.now(), words()
    found = _known(number)
    metric = read.metric(db, found.metric)
    administrator = logins.is_administrator()
    proof = (
        [(row, evidence.from_json(row.body)) for row in evidence_rows.of_incident(db, number)] if administrator else []
    )
    return render_template(
        "incident.html",
        story=sentences.story(found, metric, told),
        cause=_caused_by(found),
        graph=_graph(found, now),
        **_moves(incidents.transitions(db, number)),
        value=lambda number: sentences.value(number, found, metric, told),
        proof=proof,
        mails=outbox.of_incident(db, number) if administrator else [],
        span=sentences.span(found, now, told),
        end_reason=_(sentences.ENDS[found.end_reason]) if found.end_reason in sentences.ENDS else "",
        state=present(),
        now=now,
        problem=problem,
        reason=reason,
        quiet=quiet or {},
        twice=Choice(told.full(twice.first), told.full(twice.second)) if twice else None,
        silent=_silent(found),
        can_silence=found.kind in ("threshold", "silent", "forecast") and found.metric != "",
        spans={key: told.duration(seconds) for key, seconds in SPANS.items()},
    )


def _moves(rows: list[incidents.Transition]) -> dict[str, list[tuple[incidents.Transition, str]]]:
    """What happened, in words. Of a line that comes and goes for days: how it began, how it stands; the rest folded away."""
    # A detail that is a word of the machine's own says nothing to a person.
    told = [
        (
            row._replace(detail="" if row.detail in sentences.TRANSITIONS else row.detail),
            _(sentences.TRANSITIONS[row.kind]),
        )
        for row in rows
    ]
    if len(told) <= MOVES:
        return {"transitions": told, "folded": [], "latest": []}
    return {"transitions": told[:3], "folded": told[3 : 3 - MOVES], "latest": told[3 - MOVES :]}


def _silent(found: Incident) -> works.Work | None:
    """The planned work that this line is in now."""
    db, now, zone = store.db(), store.now(), store.settings().timezone
    current = windows.active(silences.silences(db, store.host_id(), now), found.metric, found.labels, now, zone)
    if current is None or found.state == "resolved":
        return None
    return works.work(current, {one.name: one for one in read.metrics(db)}, words(), now, zone)


def _caused_by(found: Incident) -> sentences.Story | None:
    cause = incidents.get(store.db(), found.cause) if found.cause else None
    return sentences.story(cause, read.metric(store.db(), cause.metric), words()) if cause else None


def _graph(found: Incident, now: int) -> Card | None:
    """The line from three hours before to three hours after."""
    if found.series is None:
        return None
    db, host = store.db(), store.host_id()
    line = next((one for one in read.series(db, host, found.metric) if one.id == found.series), None)
    if line is None:
        return None
    newest = present().last_at or now
    end = min(newest, (found.ended_at or newest) + AROUND)
    reading = Reading(db, host, words(), now, present().rhythm, fresh=present().fresh)
    return reading.around(line, found.since_at - AROUND, max(end, found.since_at + 600), found)
