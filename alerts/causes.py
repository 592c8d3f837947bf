"""What is only the consequence of something else: told inside the other's incident, not as another mail. Pure.

A consequence is held back while its cause is not over. When the cause ends and the consequence stays, it is told after
a while of grace: a load average needs some minutes to come down.
"""

import json
from collections.abc import Iterable
from typing import NamedTuple

from archive.incidents import Incident

GRACE_SECONDS = 900


class Rule(NamedTuple):
    """`labels` must be among the consequence's own; `same` asks the cause to be of the same line (mount...)."""

    metric: str
    labels: tuple[tuple[str, str], ...]
    cause: str
    kind: str = "threshold"  # of the consequence
    cause_kind: str = "threshold"
    same: bool = False
    pending: bool = True  # a cause that is about to open holds back too
    warning_only: bool = False  # a critical consequence is told all the same


_MEMORY = ("memory_available_ratio", "memory_used_ratio", "memory_available_bytes", "memory_used_bytes")
_CPU = "cpu_busy_seconds_total"
_PRESSURE = "pressure_waiting_seconds_total"

RULES: tuple[Rule, ...] = (
    *(Rule("swap_used_ratio", (), cause) for cause in _MEMORY),
    *(Rule("swap_used_bytes", (), cause) for cause in _MEMORY),
    *(Rule("load_average", (), cause) for cause in (_CPU, *_MEMORY)),
    Rule(_PRESSURE, (("resource", "cpu"),), _CPU),
    *(Rule(_PRESSURE, (("resource", resource),), cause) for resource in ("memory", "io") for cause in _MEMORY),
    # Who it is stands in the mail of the machine's own incident.
    *(Rule("user_memory_ratio", (), cause) for cause in _MEMORY),
    Rule("user_cpu_seconds_total", (), _CPU),
    # A disk on its way to being full is one problem: whichever was told first speaks for the other.
    Rule("disk_used_ratio", (), "disk_used_ratio", cause_kind="forecast", same=True, pending=False, warning_only=True),
    Rule("disk_used_ratio", (), "disk_used_ratio", kind="forecast", same=True, pending=False),
)  # fmt: skip
_BY_METRIC: dict[tuple[str, str], list[Rule]] = {}
for _rule in RULES:
    _BY_METRIC.setdefault((_rule.kind, _rule.metric), []).append(_rule)


def cause_of(incident: Incident, others: Iterable[Incident]) -> int | None:
    """The number of the live incident that holds this one back, or None. The order of `others` does not matter."""
    rules = _BY_METRIC.get((incident.kind, incident.metric))
    if not rules:
        return None
    labels = json.loads(incident.labels)
    wanted = {(rule.cause_kind, rule.cause) for rule in rules}
    found = [
        other.id
        for other in others
        if (other.kind, other.metric) in wanted
        and other.id != incident.id
        and other.state != "resolved"
        and other.cause is None  # only what is told itself can speak for another
        and any(_holds(rule, incident, labels, other) for rule in rules)
    ]
    return min(found, default=None)


def _holds(rule: Rule, incident: Incident, labels: dict[str, str], other: Incident) -> bool:
    return (
        other.kind == rule.cause_kind
        and other.metric == rule.cause
        and (rule.pending or other.state != "pending")
        and (not rule.same or other.labels == incident.labels)
        and all(labels.get(name) == value for name, value in rule.labels)
        and not (rule.warning_only and incident.level == "critical")
    )
