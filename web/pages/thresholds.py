"""The thresholds: the original's four first, then every other metric; exceptions; history with undo; what would have been."""

import json
from typing import NamedTuple

from flask import Blueprint, abort, flash, jsonify, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from alerts import backtest
from archive import purge, read, thresholds
from archive.read import Metric, Series
from archive.thresholds import Change, Threshold, ThresholdError
from web import asking, editing, levels, logins, store
from web.editing import Line, Typed
from web.pages.graphs import GROUPS
from web.shell import present
from web.words import _, _n, words

bp = Blueprint("thresholds", __name__)
DAYS = 7
CHANGES = 30


class Past(NamedTuple):
    """A change in words."""

    id: int
    at: int
    by: str
    title: str
    before: str
    after: str


@bp.route("/thresholds", methods=["GET", "POST"])
def page() -> ResponseReturnValue:
    """The form; a POST saves all of it or nothing. `try` tells what would have been, and saves nothing."""
    db, host = store.db(), store.host_id()
    if request.method == "GET":
        form, _wanted = editing.read_form(db, host, None, words())
        return _page(form)
    form, wanted = editing.read_form(db, host, request.form, words())
    if wanted is None:
        return _page(form), 422
    if "try" in request.form:
        return _page(form, [_sentence(one, _title(one)) for one in wanted.thresholds], wanted.retention)
    me = logins.person()
    try:
        with store.writing() as writer:
            for one in wanted.thresholds:
                thresholds.save(writer, one, me.person, store.now())
            if wanted.retention is not None:
                thresholds.set_retention(writer, wanted.retention, me.person, store.now(), host)
    except ThresholdError as error:  # the second wall: the form has checked all of this
        return _page(form, [_(error.message, **error.values)]), 422
    count = len(wanted.thresholds) + (wanted.retention is not None)
    flash(
        _n(
            "%(num)s change saved; it is judged from the next cycle on.",
            "%(num)s changes saved; they are judged from the next cycle on.",
            count,
        )
        if count
        else _("Nothing was changed.")
    )
    return redirect(url_for("thresholds.page"), 303)


def _page(form: editing.Form, trials: list[str] | None = None, retention: int | None = None) -> str:
    groups: dict[str, list[Typed]] = {}
    unjudged = [typed for typed in form.others if not typed.line.exists]
    for typed in form.others:
        if not typed.line.exists:
            continue
        groups.setdefault(typed.line.metric.probe, []).append(typed)
    order = list(GROUPS)
    names = sorted(groups, key=lambda name: (order.index(name) if name in order else len(order), name))
    exceptions: dict[str, int] = {}
    for one in thresholds.effective(store.db(), store.host_id()):
        if one.labels != "{}":
            exceptions[one.metric] = exceptions.get(one.metric, 0) + 1
    return render_template(
        "thresholds.html",
        form=form,
        groups=[(_(GROUPS[name]) if name in GROUPS else name, groups[name]) for name in names],
        unjudged=unjudged,
        unjudged_open=any(typed.errors or typed.warning or typed.critical for typed in unjudged),
        errors=form.errors(),
        exceptions=exceptions,
        trials=trials or [],
        purge=_purge(retention if retention is not None else form.retention),
        changes=_past() if logins.is_administrator() else [],
        sign=sign,
        now=store.now(),
        state=present(),
    )


def sign(metric: Metric) -> str:
    """What stands beside a level's field."""
    found = levels.scale(metric.unit).sign
    return _(found) if found.isalpha() or found == "MiB/s" else found


def _purge(days: int | str) -> str:
    """What a shorter retention would remove, before it does."""
    kept = thresholds.retention_days(store.db())
    wanted = int(days) if isinstance(days, int) or (days.isascii() and days.isdigit() and len(days) < 5) else kept
    if wanted >= kept or wanted < 1:
        return ""
    samples, size = purge.preview(store.db(), store.host_id(), wanted, store.now())
    return _n(
        "Keeping %(span)s removes %(num)s sample and frees about %(size)s.",
        "Keeping %(span)s removes %(num)s samples and frees about %(size)s.",
        samples,
        span=_n("%(num)s day", "%(num)s days", wanted),
        size=words().value(size, "bytes"),
    )


@bp.route("/trial.json")
def trial() -> ResponseReturnValue:
    """What a level would have done in the last days, for the script: the same sentence as the `try` button gives."""
    metric = read.metric(store.db(), request.args.get("metric", "")[:200])
    if metric is None or metric.kind == "info":
        abort(404)
    line = _line(metric, request.args.get("key", "")[:20], _labels(metric))
    asked = {line.name(part): request.args.get(part, "")[:60] for part in ("warning", "critical", "minutes")}
    found, threshold = editing.wanted(editing.typed(line, asked, words())._replace(on=True), words())
    if threshold is None:
        return jsonify(errors=found.errors, sentence="")
    return jsonify(errors={}, sentence=_sentence(threshold))


def _sentence(threshold: Threshold, title: str = "") -> str:
    """« Sur 7 jours : 3 incidents et 7 courriels ; avec le seuil actuel : aucun. »"""
    compared = backtest.compare(store.db(), store.host_id(), threshold._replace(enabled=True), store.now(), DAYS)
    told = _(
        "Over the last %(days)s days: %(proposed)s. As it is now: %(present)s.",
        days=DAYS,
        proposed=_outcome(compared.proposed),
        present=_outcome(compared.in_force),
    )
    return _("%(title)s: %(sentence)s", title=title, sentence=told) if title else told


def _outcome(outcome: backtest.Outcome) -> str:
    if not outcome.incidents:
        return _("no incident")
    return _(
        "%(incidents)s, %(mails)s",
        incidents=_n("%(num)s incident", "%(num)s incidents", outcome.incidents),
        mails=_n("%(num)s mail", "%(num)s mails", outcome.mails),
    )


@bp.route("/thresholds/<metric>", methods=["GET", "POST"])
def one(metric: str) -> ResponseReturnValue:
    """One metric: all its lines, or one of them (`?line=`) as an exception."""
    known = read.metric(store.db(), metric)
    if known is None or known.kind == "info":
        abort(404)
    labels = _labels(known)
    key = next((key for key, name in editing.FIRST.items() if name == metric), "")
    line = _line(known, key, labels)
    if request.method == "GET":
        return _one(line, editing.present(line, words()), labels)
    me = logins.person()
    if "reset" in request.form:
        with store.writing() as db:
            thresholds.delete(db, metric, labels, me.person, store.now())
        flash(_("Back to what was shipped.") if labels == "{}" else _("The exception is gone."))
        return redirect(url_for("thresholds.one", metric=metric), 303)
    found, wanted = editing.wanted(_more(editing.typed(line, request.form, words())), words())
    if wanted is None:
        errors = found.errors or {"warning": _(editing.EMPTY)}
        return _one(line, found._replace(errors=errors), labels), 422
    if "try" in request.form:
        return _one(line, found, labels, _sentence(wanted))
    try:
        with store.writing() as db:
            thresholds.save(db, wanted, me.person, store.now())
    except ThresholdError as error:
        return _one(line, found._replace(errors={"warning": _(error.message, **error.values)}), labels), 422
    flash(_("Saved; it is judged from the next cycle on."))
    return redirect(request.full_path.rstrip("?") if labels != "{}" else url_for("thresholds.one", metric=metric), 303)


def _more(found: Typed) -> Typed:
    """The direction, which only this page lets one choose."""
    direction = request.form.get("direction", "")
    if direction not in ("above", "below") or found.line.inverted:
        return found
    present_one = found.line.present._replace(above=direction == "above")
    if present_one.above != found.line.present.above:
        present_one = present_one._replace(clear=None)
    return found._replace(line=found.line._replace(present=present_one))


def _one(line: Line, found: Typed, labels: str, trial: str = "") -> str:
    db, host = store.db(), store.host_id()
    own = [one for one in thresholds.effective(db, host) if one.metric == line.metric.name and one.labels != "{}"]
    return render_template(
        "threshold.html",
        line=line,
        typed=found,
        labels=labels,
        line_name=words().labels_name(labels),
        series=[one for one in read.series(db, host, line.metric.name) if one.labels != "{}"],
        exceptions=[(one, words().labels_name(one.labels), _level_words(one, line)) for one in own],
        shipped=thresholds.get(db, line.metric.name, labels) is None,
        trial=trial,
        sign=sign(line.metric),
        number_of=_number_of,
        now=store.now(),
    )


def _number_of(labels: str, series: list[Series]) -> int | None:
    return next((one.id for one in series if one.labels == labels), None)


def _labels(metric: Metric) -> str:
    """The labels of `?line=`, or '{}' for all lines."""
    number = asking.number("line")
    if number is None:
        return "{}"
    for one in read.series(store.db(), store.host_id(), metric.name):
        if one.id == number:
            return one.labels
    abort(404)
    return None


def _line(metric: Metric, key: str, labels: str) -> Line:
    """The form's line of a metric; for one line, what judges it now is where its own begins."""
    found = thresholds.effective(store.db(), store.host_id())
    wanted = json.loads(labels)
    judging = next(
        (one for one in found if one.metric == metric.name and json.loads(one.labels).items() <= wanted.items()), None
    )
    key = key if editing.FIRST.get(key) == metric.name else ""
    line = editing.line_of(metric, judging._replace(labels=labels) if judging else None, words(), key)
    return line if judging else line._replace(present=line.present._replace(labels=labels))


@bp.route("/thresholds/undo/<int:change>", methods=["POST"])
def undo(change: int) -> ResponseReturnValue:
    """Bring back what stood before a change."""
    me = logins.person()
    if change >= 2**62:
        abort(404)
    try:
        with store.writing() as db:
            thresholds.undo(db, change, me.person, store.now())
    except ThresholdError as error:
        flash(_(error.message, **error.values))
    else:
        flash(_("The change is undone."))
    return redirect(url_for("thresholds.page"), 303)


def _past() -> list[Past]:
    metrics = {one.name: one for one in read.metrics(store.db())}
    return [
        Past(
            one.id, one.at, one.by, _change_title(one, metrics), _state(one.before, metrics), _state(one.after, metrics)
        )
        for one in thresholds.changes(store.db(), CHANGES)
    ]


def _change_title(change: Change, metrics: dict[str, Metric]) -> str:
    metric = metrics.get(change.metric)
    name = _name(metric) if metric else change.metric
    line = words().labels_name(change.labels)
    return f"{name}, {line}" if line else name


def _name(metric: Metric) -> str:
    key = next((key for key, name in editing.FIRST.items() if name == metric.name), "")
    return _(editing.TITLES[key]) if key else words().metric_name(metric)


def _title(threshold: Threshold) -> str:
    metric = read.metric(store.db(), threshold.metric)
    return _name(metric) if metric else threshold.metric


def _state(threshold: Threshold | None, metrics: dict[str, Metric]) -> str:
    if threshold is None:
        return _("as shipped")
    metric = metrics.get(threshold.metric)
    return _level_words(threshold, editing.line_of(metric, threshold, words(), _key(metric))) if metric else ""


def _key(metric: Metric) -> str:
    return next((key for key, name in editing.FIRST.items() if name == metric.name), "")


def _level_words(threshold: Threshold, line: Line) -> str:
    """« 90 % / 97 %, 15 min », or « off »."""
    if not threshold.enabled:
        return _("off")

    def told(level: float | None) -> str:
        if level is None:
            return "–"
        return words().value(1.0 - level if line.inverted else level, line.metric.unit)

    said = f"{told(threshold.warning)} / {told(threshold.critical)}"
    return f"{said}, {words().duration(threshold.for_seconds)}" if threshold.for_seconds else said
