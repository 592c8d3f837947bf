"""The form of planned work: what was typed, what is wrong with it, and the window that comes of it."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from alerts.words import N_, Words
from archive import silences
from archive.incidents import IncidentError
from archive.read import Series
from archive.silences import Silence
from web import moments
from web.levels import Mistake
from web.moments import Twice

if TYPE_CHECKING:
    from werkzeug.datastructures import MultiDict

ONCE, WEEKLY = "once", "weekly"
NO_DAY = N_("Choose at least one day.")
NO_REASON = N_("Say why, so that the others know.")
SAME_HOURS = N_("The two times are the same: give two different ones.")
NO_METRIC = N_("Choose at least one metric, or everything.")
NO_LINE = N_("There is no such line any more: choose one of the list.")
FIELDS = ("from", "to", "days", "opens", "closes", "metric", "labels", "reason")


class Choice(NamedTuple):
    """The two moments that a local time may be, in words: to choose from."""

    first: str
    second: str


class Plan(NamedTuple):
    """The form's fields as they stand in the page; `errors` by field, in words."""

    kind: str = ONCE
    start: str = ""
    end: str = ""
    which: tuple[str, str] = ("", "")  # first or second, of the start and of the end
    choices: Mapping[str, Choice] = {}  # field -> where its time comes twice
    days: tuple[int, ...] = ()
    opens: str = ""
    closes: str = ""
    everything: bool = True
    metrics: tuple[str, ...] = ()
    labels: str = "{}"
    reason: str = ""
    errors: Mapping[str, str] = {}

    @property
    def first_error(self) -> str:
        return next((name for name in FIELDS if name in self.errors), "")


def typed(form: "MultiDict[str, str]") -> Plan:
    """The form as it was sent."""

    def text(name: str, most: int = 60) -> str:
        return form.get(name, "")[:most]

    return Plan(
        kind=WEEKLY if form.get("kind") == WEEKLY else ONCE,
        start=text("from"),
        end=text("to"),
        which=(text("from.which"), text("to.which")),
        days=tuple(sorted({int(day) for day in form.getlist("days") if day in tuple("0123456")})),
        opens=text("opens"),
        closes=text("closes"),
        everything=form.get("scope") != "some",
        metrics=tuple(dict.fromkeys(name[:200] for name in form.getlist("metric")))[:200],
        labels=text("labels", 2000) or "{}",
        reason=form.get("reason", "")[: silences.MOST_REASON],
    )


def wanted(
    plan: Plan, words: Words, now: int, host: int, *, metrics: Sequence[str], lines: Sequence[str]
) -> tuple[Plan, Silence | None]:
    """The form with its errors, and the window it asks for. `metrics` and `lines` (labels) are those that there are."""
    errors: dict[str, str] = {}
    choices: dict[str, Choice] = {}

    def say(field: str, mistake: Mistake | IncidentError) -> None:
        errors.setdefault(field, words.gettext(mistake.message, **mistake.values))

    start, end, weekly = now, 0, ""
    if plan.kind == ONCE:
        for field, given, which in (("from", plan.start, plan.which[0]), ("to", plan.end, plan.which[1])):
            try:
                at = now if field == "from" and not given.strip() else moments.parse(given, words, which)
                start, end = (at, end) if field == "from" else (start, at)
            except Twice as twice:
                choices[field] = Choice(words.full(twice.first), words.full(twice.second))
                say(field, twice)
            except Mistake as mistake:
                say(field, mistake)
    else:
        weekly = _weekly(plan, errors, words)
    if not plan.everything and not plan.metrics:
        errors["metric"] = words.gettext(NO_METRIC)
    if plan.labels not in ("{}", *lines):
        errors["labels"] = words.gettext(NO_LINE)
    if not plan.reason.strip():
        errors["reason"] = words.gettext(NO_REASON)
    chosen = "" if plan.everything else " ".join(name for name in plan.metrics if name in metrics)
    silence = Silence(0, host, chosen, plan.labels, start, end, weekly, plan.reason, 0, "", None)
    if not errors:
        try:
            silence = silences.checked(silence, now)
        except IncidentError as error:
            say({"to_at": "to", "from_at": "from", "weekly": "days"}.get(error.field, error.field), error)
    plan = plan._replace(errors=errors, choices=choices)
    return plan, None if errors else silence


def _weekly(plan: Plan, errors: dict[str, str], words: Words) -> str:
    if not plan.days:
        errors["days"] = words.gettext(NO_DAY)
    hours = []
    for field, text in (("opens", plan.opens), ("closes", plan.closes)):
        try:
            hours.append(moments.clock(text))
        except Mistake as mistake:
            errors[field] = words.gettext(mistake.message, **mistake.values)
    if len(hours) == 2 and hours[0] == hours[1]:
        errors["closes"] = words.gettext(SAME_HOURS)
    return "" if errors else silences.weekly_json(plan.days, hours[0], hours[1])


def known_lines(found: Iterable[Series]) -> list[str]:
    """Labels of every line, and each label of them by itself: « /srv » is a disk's every metric."""
    kept: dict[str, None] = {}
    for one in found:
        if one.metric.probe != "vigie":
            for name, value in json.loads(one.labels).items():
                kept[json.dumps({name: value}, separators=(",", ":"), ensure_ascii=False)] = None
            kept[one.labels] = None
    return list(kept)


def line_choices(found: Sequence[str], words: Words, more: str = "{}") -> list[tuple[str, str, list[tuple[str, str]]]]:
    """Lines to choose from, one group a label: (label, its title, [(labels, name)]). `more` is offered too."""
    groups: dict[str, dict[str, str]] = {}
    for labels in (*found, more):
        known = json.loads(labels)
        if len(known) == 1:
            groups.setdefault(next(iter(known)), {})[labels] = words.labels_name(labels)
        elif known:
            groups.setdefault("", {})[labels] = words.labels_name(labels)
    titles = {name: words.gettext(TITLES[name]) if name in TITLES else name for name in groups}
    order = list(TITLES)
    names = sorted(groups, key=lambda name: (order.index(name) if name in order else len(order), name))
    return [(name, titles[name], sorted(groups[name].items(), key=lambda pair: pair[1])) for name in names]


TITLES = {"mount": N_("Disks"), "user": N_("Users"), "device": N_("Devices"), "": N_("This line alone")}
