"""What an incident is, in the reader's words: a title, the figures, since when, and what to do first. Pure."""

from typing import NamedTuple

from alerts import advice
from alerts.words import N_, Words
from archive.incidents import Incident
from archive.read import Metric
from archive.thresholds import from_json

MEMORY_AVAILABLE = "memory_available_ratio"

STATES = {
    "pending": N_("About to open"),
    "open": N_("Open"),
    "eased": N_("Easing"),
    "resolved": N_("Closed"),
}
LEVELS = {"ok": N_("OK"), "warning": N_("Warning"), "critical": N_("Critical"), "unknown": N_("Unknown")}
ENDS = {
    "cleared": N_("back to normal"),
    "gone": N_("the line is no longer measured"),
    "disabled": N_("the threshold was switched off"),
}
TRANSITIONS = {
    "opened": N_("Opened"),
    "escalated": N_("Became critical"),
    "lowered": N_("Back to a warning"),
    "eased": N_("Easing"),
    "returned": N_("Came back"),
    "resolved": N_("Closed"),
    "gone": N_("No longer measured"),
    "acknowledged": N_("Acknowledged"),
    "postponed": N_("Held back"),
    "reminded": N_("Reminder sent"),
}

# What is seen most often, in fewer words than the probe's own. The value is the last one, or the worst once it is over.
SHORT = {
    "cpu_busy_seconds_total": N_("Processor at %(value)s"),
    MEMORY_AVAILABLE: N_("Memory at %(value)s"),
    "memory_used_ratio": N_("Memory at %(value)s"),
    "swap_used_ratio": N_("Swap at %(value)s"),
    "disk_used_ratio": N_("Disk %(line)s at %(value)s"),
    "disk_inodes_used_ratio": N_("Disk %(line)s: %(value)s of its inodes"),
    "user_cpu_seconds_total": N_("%(line)s takes %(value)s of a core"),
    "user_memory_bytes": N_("%(line)s holds %(value)s of memory"),
    "user_memory_ratio": N_("%(line)s holds %(value)s of the memory"),
    "user_home_bytes": N_("The home of %(line)s takes %(value)s"),
    "filesystem_readonly": N_("Disk %(line)s has become read-only"),
    "raid_degraded": N_("The array %(line)s is degraded"),
    "disk_health_failing": N_("The disk %(line)s announces its failure"),
    "clock_synchronised": N_("The clock is not synchronised"),
    "reboot_required": N_("A restart is awaited"),
}


class Story(NamedTuple):
    """One incident, ready to be shown."""

    id: int
    badge: str  # warning, critical, closed, ack
    badge_words: str
    title: str
    figures: str
    advice: str
    incident: Incident


def story(incident: Incident, metric: Metric | None, words: Words) -> Story:
    """`metric`: what the incident's metric is; None when nothing is known of it."""
    badge, told = _badge(incident, words)
    return Story(
        incident.id, badge, told, title(incident, metric, words), figures(incident, metric, words),
        advice.advice(incident.kind, incident.metric, words), incident,
    )  # fmt: skip


def _badge(incident: Incident, words: Words) -> tuple[str, str]:
    if incident.state == "resolved":
        return "closed", words.gettext("Closed")
    return incident.level, words.gettext(LEVELS[incident.level])


def title(incident: Incident, metric: Metric | None, words: Words) -> str:
    """What is the matter, in a few words."""
    _ = words.gettext
    line = words.labels_name(incident.labels)
    if incident.kind == "silent":
        if not incident.metric:
            return _("The machine has gone silent")
        return _("The probe %(probe)s has gone silent", probe=incident.metric)
    if incident.kind == "advisory":
        return incident.metric or line
    if incident.kind == "forecast":
        if incident.state == "resolved":
            return _("Disk %(mount)s was filling up", mount=line)
        return _("Disk %(mount)s is filling up", mount=line)
    at = value(incident.peak if incident.state == "resolved" else incident.last_value, incident, metric, words)
    if incident.metric in SHORT:
        return _(SHORT[incident.metric], line=line, value=at)
    name = _name(incident, metric, words)
    if line:
        return _("%(metric)s, %(line)s: %(value)s", metric=name, line=line, value=at)
    return _("%(metric)s: %(value)s", metric=name, value=at)


def _name(incident: Incident, metric: Metric | None, words: Words) -> str:
    return words.metric_name(metric) if metric else incident.metric.replace("_", " ")


def value(number: float, incident: Incident, metric: Metric | None, words: Words) -> str:
    """A value of the incident's line. What is available of the memory is shown as what is used."""
    if incident.kind == "forecast":
        return words.duration(max(0.0, number))
    if incident.metric == MEMORY_AVAILABLE:
        number = 1.0 - number
    return words.value(number, metric.unit if metric else "count")


def figures(incident: Incident, metric: Metric | None, words: Words) -> str:
    """The last value, the level it passed, the worst so far."""
    _ = words.gettext
    if incident.kind in ("silent", "advisory"):
        return ""
    last = value(incident.last_value, incident, metric, words)
    if incident.kind == "forecast":
        return _("full in about %(span)s at this pace", span=last) if incident.state != "resolved" else ""
    parts = []
    by = from_json(incident.threshold)
    level = (by.critical if incident.level == "critical" else by.warning) if by else None
    if level is not None:
        parts.append(_("threshold %(level)s", level=value(level, incident, metric, words)))
    parts.append(_("worst %(value)s", value=value(incident.peak, incident, metric, words)))
    return " · ".join(parts)


def span(incident: Incident, now: int, words: Words) -> str:
    """« depuis hier 18:40 (19 h) », or « 10:07 → 11:25 (1 h 18) » once it is over."""
    if incident.ended_at is not None:
        return words.gettext(
            "%(start)s → %(end)s (%(span)s)",
            start=words.moment(incident.since_at, now),
            end=words.moment(incident.ended_at, now)
            if words.local(incident.ended_at).date() != words.local(incident.since_at).date()
            else words.clock(incident.ended_at),
            span=words.duration(max(0, incident.ended_at - incident.since_at)),
        )
    return words.gettext(
        "since %(start)s (%(span)s)",
        start=words.moment(incident.since_at, now),
        span=words.duration(max(0, now - incident.since_at)),
    )
