"""What the centre sets for its machines: thresholds for all, a tag or one machine, and who mails."""

from typing import NamedTuple

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from archive import changes, read, recipients, thresholds, undoing
from archive.fleet import members, policy, wishes
from archive.fleet.members import Member
from archive.fleet.policy import Applied, Key, Rule, Scope
from archive.read import Metric
from archive.refused import Refused
from archive.thresholds import Threshold, ThresholdError
from web import asking, conditions, editing, history, levels, logins, standing, store
from web.conditions import Extra
from web.editing import Line, Typed
from web.fleet import of_scope
from web.standing import Row
from web.words import _, words

bp = Blueprint("fleet", __name__)
SHOWN = 30  # changes
ELSEWHERE = 200  # tags and machines that have settings of their own
LOOKED_AT = 300  # of all changes, for those


class Machine(NamedTuple):
    """One machine of the page."""

    member: Member
    rows: list[Row]
    own: list[Row]


@bp.route("/fleet/thresholds")
def page() -> str:
    """`?tag=` or `?host=` for those machines; all of them without."""
    db, scope = store.db(), _scope()
    rules = wishes.every(db)
    metrics = _metrics()
    here = standing.ordered(
        standing.row(one.threshold, scope, metrics, words()) for one in rules if one.scope == scope and one.threshold
    )
    member = members.named(db, scope.name) if scope.scope == "host" else None
    machine = _machine(rules, member, metrics) if member else None
    own = wishes.get(db, scope, *policy.MAILS)
    found = _applied(rules, scope)
    others = sorted(
        {one.scope for one in rules if one.scope != scope}, key=lambda one: (policy.SCOPES.index(one.scope), one.name)
    )
    who, where = standing.who_mails(found.get(policy.MAILS), words())
    return render_template(
        "fleet_thresholds.html",
        scope=scope,
        heading=standing.heading(scope, words()),
        rows=machine.rows if machine else here,
        machine=machine,
        inherited=[] if machine else _inherited(rules, scope, metrics),
        others=[(one, of_scope(one, words()), sum(rule.scope == one for rule in rules)) for one in others[:ELSEWHERE]],
        tags=standing.tags_of(members.tags(db), scope),
        mails=own.mails if own else "",
        choices=standing.choices(
            words(), standing.who_mails(_applied(rules, scope, own=False).get(policy.MAILS), words())[0]
        ),
        nobody=not recipients.in_force(db, store.settings()),
        who=who,
        where=where,
        metrics=sorted(
            ((one.name, history.metric_title(one, words())) for one in metrics.values() if one.kind != "info"),
            key=lambda pair: (pair[0] not in editing.FIRST.values(), pair[1].casefold()),
        ),
        changes=_changes() if logins.is_administrator() else [],
        arguments=_arguments,
        now=store.now(),
    )


def _machine(rules: list[Rule], member: Member, metrics: dict[str, Metric]) -> Machine:
    db = store.db()
    found = _applied(rules, Scope("host", member.name))
    said = {
        (one.metric, one.labels): one for one in thresholds.effective(db, member.host) if one.updated_by or one.host
    }
    tag = wishes.said(db, member).tag
    return Machine(
        member,
        standing.on_machine(found, said, member, tag, metrics, words()),
        standing.its_own(found, said, metrics, words()),
    )


def _applied(rules: list[Rule], scope: Scope, *, own: bool = True) -> dict[Key, Applied]:
    """What holds for a machine; for those of a tag, or for all, without what is set for other tags or single machines. `own`:
    with what is set for the scope itself."""
    name, tags = "", [scope.name] if scope.scope == "tag" else []
    if scope.scope == "host":
        member = members.named(store.db(), scope.name)
        name, tags = scope.name, member.tags.split() if member else []
    return policy.applied((one for one in rules if own or one.scope != scope), name, tags)


def _inherited(rules: list[Rule], scope: Scope, metrics: dict[str, Metric]) -> list[Row]:
    """What holds for a tag's machines because it is set for all."""
    return standing.ordered(
        standing.row(one.rule.threshold, one.rule.scope, metrics, words())
        for one in _applied(rules, scope).values()
        if one.rule.threshold and one.rule.scope != scope
    )


def _changes() -> list[history.Past]:
    found = [one for one in changes.recent(store.db(), LOOKED_AT, "setting") if one.subject.startswith(wishes.SUBJECT)]
    return history.told(store.db(), found[:SHOWN], words(), store.now())


def _scope() -> Scope:
    """For whom. A machine that there is none of: 404; both, or an odd tag: 400."""
    tag, host = asking.text("tag", 63), asking.text("host", 63)
    if (tag and host) or (tag and not members.SLUG.fullmatch(tag)):
        abort(400)
    if host and members.named(store.db(), host) is None:
        abort(404)
    return Scope("host", host) if host else Scope("tag", tag) if tag else Scope()


def _arguments(scope: Scope) -> dict[str, str]:
    return {scope.scope: scope.name} if scope.name else {}


def _back(scope: Scope) -> ResponseReturnValue:
    return redirect(address(scope), 303)


def address(scope: Scope) -> str:
    """Of the page for these machines."""
    if scope.scope == "host":
        return url_for("fleet.page", host=scope.name)
    return url_for("fleet.page", tag=scope.name or None)


def _metrics() -> dict[str, Metric]:
    return {one.name: one for one in read.metrics(store.db())}


# --- one threshold ---------------------------------------------------------------------------------------------------


@bp.route("/fleet/threshold", methods=["GET", "POST"])
def one() -> ResponseReturnValue:
    """One metric, for `?tag=`, `?host=` or all machines; all its lines, or those with the labels of `?line=`. Of none: the list."""
    scope, name = _scope(), asking.text("metric", 200)
    if not name and request.method == "GET":
        return page()
    metric = read.metric(store.db(), name)
    if metric is None or metric.kind == "info":
        abort(404)
    labels = _labels(asking.text("line", policy.LONGEST_LABELS))
    line = _line(metric, scope, labels)
    if request.method == "GET":
        return _one(line, scope, editing.present(line, words()), labels)
    me = logins.person()
    if "reset" in request.form:
        with store.writing() as db:
            wishes.remove(db, scope, metric.name, labels, me.person, store.now())
        flash(_("Taken out; machines learn of it with what they send next."))
        return _back(scope)
    line = conditions.turned(line, request.form.get("direction", ""))
    metrics = _metrics()
    extra = conditions.typed(line, request.form, words(), metrics)
    found, first = editing.wanted(editing.typed(line, request.form, words()), words())
    wanted: Threshold | None = None
    if first is not None:
        extra, wanted = conditions.wanted(extra, line, first, words(), metrics)
    elif not found.errors:
        found = found._replace(errors={"warning": _(editing.EMPTY)})
    if wanted is None:
        return _one(line, scope, found, labels, extra), 422
    try:
        with store.writing() as db:
            wishes.save(db, scope, wanted, me.person, store.now())
    except ThresholdError as error:  # the second wall
        return _one(
            line, scope, found._replace(errors={"warning": _(error.message, **error.values)}), labels, extra
        ), 422
    flash(_("Saved; machines fetch it with what they send next, and judge with it from then on."))
    return _back(scope)


def _labels(given: str) -> str:
    try:
        return thresholds.labels_text(given)
    except ThresholdError:
        abort(400)


def _line(metric: Metric, scope: Scope, labels: str) -> Line:
    """The form's line: what is set for these machines, else what holds for them otherwise, else what was shipped."""
    rules = [one for one in wishes.every(store.db()) if one.key[0] == metric.name]
    own = next((one.threshold for one in rules if one.scope == scope and one.key[1] == labels), None)
    found = _applied(rules, scope)
    shipped = next((one for one in thresholds.shipped(store.db()) if one.metric == metric.name), None)
    holding = next(
        (found[key].rule.threshold for key in ((metric.name, labels), (metric.name, "{}")) if key in found), None
    )
    present = own or holding or shipped
    line = editing.line_of(
        metric, present._replace(labels=labels) if present else None, words(), history.key_of(metric)
    )
    return line if present else line._replace(present=line.present._replace(labels=labels))


def _one(line: Line, scope: Scope, found: Typed, labels: str, extra: Extra | None = None) -> str:
    db, metrics = store.db(), _metrics()
    standing_extra = conditions.present(line, words(), metrics)
    extra = extra or standing_extra
    own = wishes.get(db, scope, line.metric.name, labels)
    return render_template(
        "fleet_threshold.html",
        scope=scope,
        of=of_scope(scope, words()),
        heading=standing.heading(scope, words()),
        line=line,
        typed=found,
        extra=extra,
        extra_open=bool(extra.errors) or not extra.as_present(standing_extra),
        first_error=next((name for name in (*found.errors, *extra.errors)), ""),
        labels=labels,
        line_name=words().labels_name(labels),
        own=own,
        lines=[(one, words().labels_name(one)) for one in wishes.lines(db, line.metric.name)],
        seconds=conditions.seconds(line, metrics, words()),
        sign=levels.scale(line.metric.unit).sign,
        arguments=_arguments(scope),
        now=store.now(),
    )


# --- who mails, and the past -----------------------------------------------------------------------------------------


@bp.route("/fleet/mails", methods=["POST"])
def mails() -> ResponseReturnValue:
    """Who mails, for `?tag=`, `?host=` or all machines; nothing: what is set less precisely holds."""
    scope = _scope()
    try:
        with store.writing() as db:
            wishes.set_mails(db, scope, request.form.get("mails", "")[:40], logins.person().person, store.now())
    except ThresholdError as error:
        flash(_(error.message, **error.values))
    else:
        flash(_("Saved; machines fetch it with what they send next. Nothing that is owed is lost meanwhile."))
    return _back(scope)


@bp.route("/fleet/undo/<int:change>", methods=["POST"])
def undo(change: int) -> ResponseReturnValue:
    """Bring back what stood before a change of these settings."""
    past = changes.get(store.db(), change) if change < 2**62 else None
    if past is None or past.kind != "setting" or not past.subject.startswith(wishes.SUBJECT):
        abort(404)
    try:
        with store.writing() as db:
            undoing.undo(db, change, logins.person().person, store.now())
    except Refused as error:
        flash(_(error.message, **error.values))
    else:
        flash(_("The change is undone."))
    return _back(wishes.from_change(past)[0] if _is_there(past) else Scope())


def _is_there(past: changes.Change) -> bool:
    scope = wishes.from_change(past)[0]
    return scope.scope != "host" or members.named(store.db(), scope.name) is not None
