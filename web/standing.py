"""The centre's settings in words: for whom, which level, who mails, and how each stands on the machine itself. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from alerts.words import Words
from archive.fleet import handing, policy
from archive.fleet.members import Member
from archive.fleet.policy import Applied, Key, Scope
from archive.read import Metric
from archive.thresholds import Threshold
from web import editing, history
from web.fleet import MAILS, mails_words, of_scope

BY_CENTRE = "centre"  # as archive/fleet/following.py signs


class Row(NamedTuple):
    """One threshold of the page."""

    metric: str
    labels: str
    title: str
    line: str  # the lines meant, '' for all
    level: str
    scope: Scope
    of: str  # for whom
    note: str  # tags that disagree
    state: str  # held, waiting, own, refused; '' where that is not asked
    told: str  # the same in words
    own_by: str  # who set it on the machine, where that is so; names of people are for administrators
    by: str
    at: int


def heading(scope: Scope, words: Words) -> str:
    if scope.scope == "tag":
        return words.gettext("Thresholds of the tag %(tag)s", tag=scope.name)
    if scope.scope == "host":
        return words.gettext("Thresholds of %(name)s", name=scope.name)
    return words.gettext("Thresholds of all machines")


def row(one: Threshold, scope: Scope, metrics: Mapping[str, Metric], words: Words) -> Row:
    """A threshold as it was set, for whom."""
    metric = metrics.get(one.metric)
    key = history.key_of(metric) if metric else ""
    level = history.level_words(one, editing.line_of(metric, one, words, key), words) if metric else ""
    title = history.metric_title(metric, words) if metric else one.metric
    return Row(
        one.metric, one.labels, title, words.labels_name(one.labels), level, scope, of_scope(scope, words), "", "", "", "",
        one.updated_by, one.updated_at,
    )  # fmt: skip


def ordered(rows: Iterable[Row]) -> list[Row]:
    """By title, all lines before the single ones."""
    return sorted(rows, key=lambda one: (one.title.casefold(), one.metric, one.labels != "{}", one.labels))


def on_machine(
    found: Mapping[Key, Applied],
    said: Mapping[Key, Threshold],
    member: Member,
    tag: str,
    metrics: Mapping[str, Metric],
    words: Words,
) -> list[Row]:
    """What the centre sets for a machine, each with how it stands there. `said`: what the machine says it judges with; `tag`:
    of what it should follow."""
    rows = []
    for key, one in found.items():
        if one.rule.threshold is None:
            continue
        state, told = _stands(one.rule.threshold, said.get(key), member, tag, metrics, words)
        note = ""
        if one.disagree:
            note = words.gettext("the stricter; not so for: %(names)s", names=", ".join(one.disagree))
        own_by = said[key].updated_by if state == "own" else ""
        found_row = row(one.rule.threshold, one.rule.scope, metrics, words)
        rows.append(found_row._replace(state=state, told=told, own_by=own_by, note=note))
    return ordered(rows)


def _stands(
    wanted: Threshold, said: Threshold | None, member: Member, tag: str, metrics: Mapping[str, Metric], words: Words
) -> tuple[str, str]:
    if said is not None and policy.same(said, wanted):
        return "held", words.gettext("judged with there")
    if said is not None and said.updated_by != BY_CENTRE:
        level = row(said, Scope(), metrics, words).level
        return "own", words.gettext("set on the machine, which wins: %(level)s", level=level)
    if not member.policy:
        return "waiting", words.gettext("not fetched yet: its Vigie has not asked")
    if member.policy != tag:
        return "waiting", words.gettext("on its way")
    return "refused", words.gettext("not kept there: ./vigie fleet status on the machine says why")


def its_own(
    found: Mapping[Key, Applied], said: Mapping[Key, Threshold], metrics: Mapping[str, Metric], words: Words
) -> list[Row]:
    """What was set on the machine itself, and nothing here is about."""
    return ordered(row(one, Scope(), metrics, words) for key, one in said.items() if key not in found)


def who_mails(found: Applied | None, words: Words) -> tuple[str, str]:
    """(who, where that is set), in words."""
    if found is None:
        return mails_words(handing.MACHINE, words), words.gettext("as long as nothing is set")
    where = words.gettext("set for %(of)s", of=of_scope(found.rule.scope, words))
    if found.disagree:
        where = words.gettext(
            "both, because the tags %(names)s disagree", names=", ".join([found.rule.scope.name, *found.disagree])
        )
    return mails_words(found.rule.mails, words), where


def choices(words: Words, inherited: str) -> list[tuple[str, str]]:
    """(value, label) of who mails; '' is what holds without a rule of its own."""
    return [
        ("", words.gettext("not set here (%(who)s)", who=inherited)),
        *((key, words.gettext(word)) for key, word in MAILS.items()),
    ]


def tags_of(tags: Sequence[str], scope: Scope) -> list[str]:
    """The tags to choose from: also one that no machine has (any more)."""
    return sorted({*tags, *([scope.name] if scope.scope == "tag" else [])})
