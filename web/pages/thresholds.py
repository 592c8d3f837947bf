"""The thresholds: the original's four first, then every other metric; exceptions; history with undo; what would have been."""

import json
from typing import NamedTuple

from flask import Blueprint, abort, flash, jsonify, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from archive import changes, purge, read, silences, thresholds, undoing
from archive.fleet import following
from archive.read import Metric, Series
from archive.refused import Refused
from archive.thresholds import Threshold, ThresholdError
from web import asking, conditions, editing, history, levels, logins, store, trials, works
from web.conditions import Extra
from web.editing import Line, Typed
from web.pages.graphs import GROUPS
from web.shell import present
from web.trials import Tried
from web.words import _, _n, words

bp = Blueprint("thresholds", __name__)


class Removal(NamedTuple):
    """What a shorter retention would remove."""

    days: int
    samples: int
    told: str


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
    if "keep" in request.form:  # the confirmation was refused: the rest is saved, the retention stands
        wanted = wanted._replace(retention=None)
    removal = _removal(wanted.retention)
    if "try" in request.form:
        return _page(form, [_sentence(one, _title(one)) for one in wanted.thresholds], removal)
    if removal is not None and request.form.get("confirm") != str(removal.days):
        return _page(form, removal=removal, confirm=True)
    me = logins.person()
    try:
        with store.writing() as writer:
            for one in wanted.thresholds:
                thresholds.save(writer, one, me.person, store.now())
            if wanted.retention is not None:
                thresholds.set_retention(
                    writer, wanted.retention, me.person, store.now(), host, confirmed=removal is not None
                )
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
    if removal is not None:
        flash(_("What is older goes tonight; until then, undoing the change keeps it."))
    return redirect(url_for("thresholds.page"), 303)


def _page(
    form: editing.Form, told: list[str] | None = None, removal: Removal | None = None, *, confirm: bool = False
) -> str:
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
        followed=following.followed(store.db()),
        from_centre=sum(typed.line.centre for typed in (*form.first, *form.others)),
        trials=told or [],
        removal=removal,
        confirm=confirm,
        kept=thresholds.retention_days(store.db()),
        changes=history.recent(store.db(), words(), store.now()) if logins.is_administrator() else [],
        running=works.running(
            silences.silences(store.db(), store.host_id(), store.now()),
            {one.name: one for one in read.metrics(store.db())},
            words(),
            store.now(),
            store.settings().timezone,
        ),
        sign=sign,
        now=store.now(),
        state=present(),
    )


def sign(metric: Metric) -> str:
    """What stands beside a level's field."""
    return levels.scale(metric.unit).sign


def _removal(days: int | None) -> Removal | None:
    """What keeping samples for so many days removes; None when that is nothing."""
    if days is None or days >= thresholds.retention_days(store.db()):
        return None
    samples, size = purge.preview(store.db(), store.host_id(), days, store.now())
    if not samples:
        return None
    told = _n(
        "Keeping %(span)s deletes %(num)s sample and frees about %(size)s.",
        "Keeping %(span)s deletes %(num)s samples and frees about %(size)s.",
        samples,
        span=_n("%(num)s day", "%(num)s days", days),
        size=words().value(size, "bytes"),
    )
    return Removal(days, samples, told)


@bp.route("/trial.json")
def trial() -> ResponseReturnValue:
    """What a level would have done in the last days, for the script: the same sentence as the `try` button gives."""
    metric = read.metric(store.db(), request.args.get("metric", "")[:200])
    if metric is None or metric.kind == "info":
        abort(404)
    line = _line(metric, request.args.get("key", "")[:20], _labels(metric))
    line = conditions.turned(line, request.args.get("direction", ""))
    asked = {line.name(part): request.args.get(part, "")[:60] for part in ("warning", "critical", "minutes")}
    found, threshold = editing.wanted(editing.typed(line, asked, words())._replace(on=True), words())
    if threshold is None:
        return jsonify(errors=found.errors, sentence="")
    metrics = _metrics()
    extra = conditions.typed(line, request.args, words(), metrics)
    extra, threshold = conditions.wanted(extra, line, threshold, words(), metrics)
    if threshold is None:
        return jsonify(errors=extra.errors, sentence="")
    return jsonify(errors={}, sentence=_sentence(threshold))


def _sentence(threshold: Threshold, title: str = "") -> str:
    """The back-test in a sentence."""
    compared = trials.compare(store.db(), store.host_id(), threshold, store.now())
    told = trials.sentence(compared, words(), trials.first_at(store.db(), store.host_id(), threshold.metric))
    return _("%(title)s: %(sentence)s", title=title, sentence=told) if title else told


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
        back = _("Back to what the centre sets.") if _centre(line, labels) else _("Back to what was shipped.")
        flash(back if labels == "{}" else _("The exception is gone."))
        return redirect(url_for("thresholds.one", metric=metric), 303)
    line = conditions.turned(line, request.form.get("direction", ""))
    metrics = _metrics()
    extra = conditions.typed(line, request.form, words(), metrics)
    found, first = editing.wanted(editing.typed(line, request.form, words()), words())
    wanted = None
    if first is not None:
        extra, wanted = conditions.wanted(extra, line, first, words(), metrics)
    elif not found.errors:
        found = found._replace(errors={"warning": _(editing.EMPTY)})
    if wanted is None:
        return _one(line, found, labels, extra), 422
    if "try" in request.form:
        tried = trials.trial(store.db(), store.host_id(), wanted, store.now(), words())
        return _one(line, found, labels, extra, tried)
    try:
        with store.writing() as db:
            thresholds.save(db, wanted, me.person, store.now())
    except ThresholdError as error:  # the second wall
        return _one(line, found._replace(errors={"warning": _(error.message, **error.values)}), labels, extra), 422
    flash(_("Saved; it is judged from the next cycle on."))
    return redirect(request.full_path.rstrip("?") if labels != "{}" else url_for("thresholds.one", metric=metric), 303)


def _metrics() -> dict[str, Metric]:
    return {one.name: one for one in read.metrics(store.db())}


def _one(line: Line, found: Typed, labels: str, extra: Extra | None = None, tried: Tried | None = None) -> str:
    db, host, metrics = store.db(), store.host_id(), _metrics()
    own = [one for one in thresholds.effective(db, host) if one.metric == line.metric.name and one.labels != "{}"]
    standing = conditions.present(line, words(), metrics)
    extra = extra or standing
    series = [one for one in read.series(db, host, line.metric.name) if one.labels != "{}"]
    return render_template(
        "threshold.html",
        line=line,
        typed=found,
        extra=extra,
        extra_open=bool(extra.errors) or not extra.as_present(standing),
        first_error=next((name for name in (*found.errors, *extra.errors)), ""),
        labels=labels,
        line_name=words().labels_name(labels),
        line_id=_number_of(labels, series),
        series=series,
        seconds=conditions.seconds(line, metrics, words()),
        exceptions=[(one, words().labels_name(one.labels), history.level_words(one, line, words())) for one in own],
        shipped=thresholds.get(db, line.metric.name, labels) is None,
        centre=_centre(line, labels),
        tried=tried,
        sign=sign(line.metric),
        now=store.now(),
    )


def _centre(line: Line, labels: str) -> str:
    """What the centre sets for these very lines, in words; '' for nothing."""
    one = thresholds.get(store.db(), line.metric.name, labels, thresholds.CENTRE)
    return history.level_words(one, editing.line_of(line.metric, one, words(), line.key), words()) if one else ""


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
    past = changes.get(store.db(), change)
    if past is not None and past.kind == "setting" and past.before.isdigit():
        removal = _removal(int(past.before))
        if removal is not None:
            flash(_("%(told)s Type that number of days in the form: it asks before it deletes.", told=removal.told))
            return redirect(url_for("thresholds.page"), 303)
    try:
        with store.writing() as db:
            undoing.undo(db, change, me.person, store.now(), store.host_id())
    except Refused as error:
        flash(_(error.message, **error.values))
    else:
        flash(_("The change is undone."))
    return redirect(url_for("thresholds.page"), 303)


def _title(threshold: Threshold) -> str:
    metric = read.metric(store.db(), threshold.metric)
    return history.metric_title(metric, words()) if metric else threshold.metric
