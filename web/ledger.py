"""A mail of the ledger in the reader's words: until it leaves, its subject is the minute's own plain one, in English."""

import re
from collections.abc import Mapping

from alerts.words import Words
from archive.read import Metric
from web.sentences import LEVELS, TRANSITIONS

# As alerts/owed.py writes it: "[host] opened warning: disk_used_ratio /home (+2)".
_PLAIN = re.compile(
    rf"(?P<host>\[[^\]]*\]) (?P<kind>{'|'.join(TRANSITIONS)}) (?P<level>warning|critical): (?P<metric>\S+)"
    r"(?P<line> .*?)?(?P<more> \(\+\d+\))?",
    re.DOTALL,
)


def subject(written: str, metrics: Mapping[str, Metric], words: Words) -> str:
    """The subject as it is shown; one that was made for its reader, or by a person, is shown as it is."""
    found = _PLAIN.fullmatch(written)
    if not found:
        return written
    metric = metrics.get(found["metric"])
    what = words.metric_name(metric) if metric else found["metric"]
    kind, level = TRANSITIONS[found["kind"]], LEVELS[found["level"]]
    told = words.gettext(
        "%(kind)s (%(level)s): %(what)s",
        kind=words.gettext(kind),
        level=words.gettext(level).lower(),
        what=f"{what}{found['line'] or ''}",
    )
    return f"{found['host']} {told}{found['more'] or ''}"
