"""What a centre sets for its machines: thresholds, and who mails. Pure: which rule applies to a machine, and its text.

The most precise wins: a machine's own rule, else that of a tag, else that of all. Two tags of one machine that disagree:
the stricter threshold (judged before not judged, then the level that opens first, then the shorter time, then the tag's
name; of opposite directions, the tag's name alone); of who mails, both. A rule is of one metric and one set of labels:
what is set for one line alone is another rule than what is set for all lines.

What travels: JSON {"format": 1, "mails", "kinds": {metric: kind}, "thresholds": [{field: value}...]}, known by its `tag`,
a digest of that very text. Whatever a machine is given is hostile until it has passed `parse`.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from archive.fleet.handing import BOTH, MACHINE, TELLERS
from archive.thresholds import Threshold

FORMAT = 1
SCOPES = ("all", "tag", "host")
MOST = 300  # thresholds of one scope
MOST_THRESHOLDS = 1_000  # that a machine takes
MOST_BYTES = 1 << 20
LONGEST_LABELS = 1_000
_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]{0,199}")
_KINDS = ("gauge", "counter")
MAILS = ("", "{}")  # the key of who mails
Key = tuple[str, str]  # metric, labels


class PolicyError(Exception):
    """This is no policy: says why."""


class Scope(NamedTuple):
    """Which machines: all, those with a tag, or one."""

    scope: str = "all"
    name: str = ""


class Rule(NamedTuple):
    """One thing that an administrator set at the centre: a threshold, or (with none) who mails."""

    scope: Scope
    threshold: Threshold | None
    mails: str = ""
    updated_at: int = 0
    updated_by: str = ""

    @property
    def key(self) -> Key:
        return (self.threshold.metric, self.threshold.labels) if self.threshold else MAILS


class Applied(NamedTuple):
    """A rule that holds for a machine; `disagree`: names of other tags of it that say otherwise, and lost."""

    rule: Rule
    disagree: tuple[str, ...] = ()


class Policy(NamedTuple):
    """All that holds for one machine, as it travels. `kinds`: gauge or counter, of every metric that is named."""

    mails: str
    thresholds: tuple[Threshold, ...]
    kinds: Mapping[str, str]


# --- what applies ----------------------------------------------------------------------------------------------------


def applied(rules: Iterable[Rule], name: str, tags: Sequence[str]) -> dict[Key, Applied]:
    """What holds for the machine of this name and these tags, by metric and labels; who mails under MAILS."""
    found: dict[Key, dict[str, list[Rule]]] = {}
    for rule in rules:
        if rule.scope.scope == "all" or (rule.scope.name == name and rule.scope.scope == "host"):
            found.setdefault(rule.key, {}).setdefault(rule.scope.scope, []).append(rule)
        elif rule.scope.scope == "tag" and rule.scope.name in tags:
            found.setdefault(rule.key, {}).setdefault("tag", []).append(rule)
    return {key: _most_precise(by_scope) for key, by_scope in sorted(found.items())}


def _most_precise(by_scope: Mapping[str, list[Rule]]) -> Applied:
    if "host" in by_scope:
        return Applied(by_scope["host"][0])
    if "tag" in by_scope:
        return _of_tags(by_scope["tag"])
    return Applied(by_scope["all"][0])


def _of_tags(rules: list[Rule]) -> Applied:
    rules = sorted(rules, key=lambda rule: rule.scope.name)
    first = rules[0]
    judged = [(rule, rule.threshold) for rule in rules if rule.threshold]
    if not judged:
        if len({rule.mails for rule in rules}) > 1:
            return Applied(first._replace(mails=BOTH), tuple(rule.scope.name for rule in rules[1:]))
        return Applied(first)
    if len({one.above for _, one in judged}) == 1:
        first = min(judged, key=lambda pair: (*_leniency(pair[1]), pair[0].scope.name))[0]
    said = _plain(first.threshold)
    return Applied(first, tuple(rule.scope.name for rule in rules if _plain(rule.threshold) != said))


def _leniency(one: Threshold) -> tuple[bool, float, int]:
    """The smaller, the stricter; of thresholds in the same direction."""
    first = one.warning if one.warning is not None else one.critical
    level = float("inf") if first is None else first if one.above else -first
    return not one.enabled, level, one.for_seconds


def _plain(threshold: Threshold | None) -> Threshold | None:
    return threshold and threshold._replace(host=0, updated_at=0, updated_by="")


def same(one: Threshold, other: Threshold) -> bool:
    """Whether two thresholds judge alike, whoever set them and when."""
    return _plain(one) == _plain(other)


def of_machine(found: Mapping[Key, Applied], kinds: Mapping[str, str]) -> Policy:
    """What `applied` found, as it travels; a metric of which the kind is not known is left out."""
    said = found.get(MAILS)
    thresholds = [one.rule.threshold for one in found.values() if one.rule.threshold]
    kept = tuple(
        one for one in thresholds if one.metric in kinds and (not one.second_metric or one.second_metric in kinds)
    )
    named = {name for one in kept for name in (one.metric, one.second_metric) if name}
    return Policy(said.rule.mails if said else MACHINE, kept, {name: kinds[name] for name in sorted(named)})


# --- as text ---------------------------------------------------------------------------------------------------------

_LEFT_OUT = ("host", "updated_at", "updated_by")
_FIELDS = tuple(name for name in Threshold._fields if name not in _LEFT_OUT)


def text(policy: Policy) -> str:
    said = {
        "format": FORMAT,
        "mails": policy.mails,
        "kinds": dict(policy.kinds),
        "thresholds": [{name: getattr(one, name) for name in _FIELDS} for one in policy.thresholds],
    }
    return json.dumps(said, ensure_ascii=True, sort_keys=True, separators=(",", ":"))


def tag(written: str) -> str:
    """By what one policy is told from another."""
    return hashlib.sha256(written.encode("utf-8", "replace")).hexdigest()[:16]


def parse(raw: bytes) -> Policy:
    """Raises PolicyError. Levels, spans and labels are checked as the form does when they are kept."""
    try:
        said = json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError):
        raise PolicyError("is not JSON") from None
    if not isinstance(said, dict) or said.get("format") != FORMAT:
        raise PolicyError(f"is not of format {FORMAT}: upgrade the older of the two Vigies")
    if said.get("mails") not in TELLERS:
        raise PolicyError("mails: expected machine, centre or both")
    kinds, listed = said.get("kinds"), said.get("thresholds")
    if not isinstance(kinds, dict) or not all(_METRIC.fullmatch(n) and k in _KINDS for n, k in kinds.items()):
        raise PolicyError("kinds: expected gauge or counter of each metric")
    if not isinstance(listed, list) or len(listed) > MOST_THRESHOLDS:
        raise PolicyError(f"thresholds: expected a list of at most {MOST_THRESHOLDS}")
    found = tuple(_threshold(number, one) for number, one in enumerate(listed))
    if len({(one.metric, one.labels) for one in found}) != len(found):
        raise PolicyError("thresholds: two are about the same lines")
    return Policy(str(said["mails"]), found, kinds)


def _threshold(number: int, said: object) -> Threshold:
    if not isinstance(said, dict) or set(said) != set(_FIELDS):
        raise PolicyError(f"thresholds: {number}: expected {', '.join(_FIELDS)}")
    for name in ("above", "second_above", "enabled"):
        if not isinstance(said[name], bool):
            raise PolicyError(f"thresholds: {number}: {name}: expected true or false")
    for name in ("metric", "labels", "second_metric", "second_for"):
        if not isinstance(said[name], str) or len(said[name]) > LONGEST_LABELS:
            raise PolicyError(f"thresholds: {number}: {name}: expected a text of at most {LONGEST_LABELS} characters")
    if not _METRIC.fullmatch(said["metric"]) or not (
        said["second_metric"] == "" or _METRIC.fullmatch(said["second_metric"])
    ):
        raise PolicyError(f"thresholds: {number}: metric: expected a metric's name")
    return Threshold(**said)
