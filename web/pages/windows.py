"""Planned work: what runs, what comes, what was; an administrator plans it, ends it early, takes it out."""

import json

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from archive import read, silences, thresholds
from archive.incidents import IncidentError
from web import asking, logins, moments, planning, store, works
from web.planning import Plan
from web.shell import present
from web.words import _, words

bp = Blueprint("windows", __name__)
PAST = 20
LARGEST = 2**62
HOUR = 3600
MOST_LINES = 400  # in the list to choose from: more is no list that a person reads


@bp.route("/windows", methods=["GET", "POST"])
def page() -> ResponseReturnValue:
    """The list and the form; a POST plans one window."""
    if request.method == "GET":
        return _page(_blank())
    db, host, now = store.db(), store.host_id(), store.now()
    me = logins.person()
    known = [one.name for one in read.metrics(db) if one.kind != "info"]
    plan, silence = planning.wanted(
        planning.typed(request.form), words(), now, host, metrics=known, lines=_every_line()
    )
    if silence is None:
        return _page(plan), 422
    try:
        with store.writing() as writer:
            silences.plan(writer, silence, me.person, now)
    except IncidentError as error:  # the second wall: the form has checked all of this
        return _page(plan._replace(errors={"to": _(error.message, **error.values)})), 422
    flash(_("Planned. Nothing is lost: what opens meanwhile and is still so at the end is told then."))
    return redirect(url_for("windows.page"), 303)


@bp.route("/windows/<int:number>/end", methods=["POST"])
def end(number: int) -> ResponseReturnValue:
    """The work is over early."""
    return _change(number, ended=True)


@bp.route("/windows/<int:number>/drop", methods=["POST"])
def drop(number: int) -> ResponseReturnValue:
    """Taken out, as if it had never been planned; the history can bring it back."""
    return _change(number, ended=False)


def _change(number: int, *, ended: bool) -> ResponseReturnValue:
    me = logins.person()
    if number >= LARGEST or silences.get(store.db(), number) is None:
        abort(404)
    try:
        with store.writing() as db:
            change = silences.end_plan if ended else silences.drop_plan
            change(db, number, me.person, store.now())
    except IncidentError as error:
        flash(_(error.message, **error.values))
    else:
        flash(
            _("Ended. What was postponed and is still so is told by the next cycle.")
            if ended
            else _("Taken out. The history of changes can bring it back.")
        )
    return redirect(url_for("windows.page"), 303)


def _blank() -> Plan:
    """An empty form: from now for two hours; for the metric and line that the address names."""
    now, told = store.now(), words()
    start = now - now % 300
    plan = Plan(start=moments.shown(start, told), end=moments.shown(start + 2 * HOUR, told))
    plan = plan._replace(opens="22:00", closes="06:00")
    name = asking.text("metric", 200)
    if not name:
        return plan
    metric = read.metric(store.db(), name)
    if metric is None or metric.kind == "info":
        abort(404)
    number = asking.number("line")
    line = next((one for one in read.series(store.db(), store.host_id(), name) if one.id == number), None)
    if number is not None and line is None:
        abort(404)
    return plan._replace(everything=False, metrics=(name,), labels=line.labels if line else "{}")


def _every_line() -> list[str]:
    return planning.known_lines(read.series(store.db(), store.host_id()))


def _page(plan: Plan) -> str:
    db, host, now, told = store.db(), store.host_id(), store.now(), words()
    zone = store.settings().timezone
    metrics = {one.name: one for one in read.metrics(db) if one.kind != "info"}
    current = [works.work(one, metrics, told, now, zone) for one in silences.silences(db, host, now)]
    current.sort(key=lambda one: one.span.start if one.span else LARGEST)
    judged = {one.metric for one in thresholds.effective(db, host) if one.enabled} | set(plan.metrics)
    every = _every_line()
    simple = [labels for labels in every if len(json.loads(labels)) == 1][:MOST_LINES]
    return render_template(
        "windows.html",
        plan=plan,
        now_running=[one for one in current if one.state == "now"],
        coming=[one for one in current if one.state == "coming"],
        past=[works.work(one, metrics, told, now, zone) for one in silences.over(db, host, now, PAST)],
        metrics=sorted(
            ((name, told.metric_name(metrics[name])) for name in judged if name in metrics), key=lambda p: p[1]
        ),
        lines=planning.line_choices(simple, told, plan.labels if plan.labels in every else "{}"),
        days=works.days(told),
        zone=zone,
        state=present(),
        now=now,
    )
