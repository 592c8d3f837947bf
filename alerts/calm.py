"""What the judge leaves behind while all is well, so that the next cycles may wait: `data/run/calm`.

Each new text is held against it (alerts/still.py), and archived only when something could have changed, or when a quarter
of an hour of texts wait. The file stands only while it holds: whoever takes the writer's lock removes it
(archive/database.py), so that a saved form, a mail or a restore is followed by a judging at once.

    calm 1 <time of the last judged cycle> <boot> <until: when something is due>
    level <metric> above|below <bound>            the first value that could be beyond, for any line of the metric
    line <line as a probe writes it> above|below|off <bound>     a line whose own threshold differs
    probe <name> <when its silence would be judged> <how long after it was last seen; 0: then, whatever is seen>
    end <version>

Fields are separated by tabs. No file: something is live, or due, or the archive's own samples are watched.
"""

import json
import math
import os
from collections.abc import Callable, Iterator

from alerts import silent
from alerts.judge import Limit
from alerts.minute import Minutes
from alerts.still import STEP
from alerts.telling import JUDGED
from archive import incidents
from archive.load import Loaded

NAME = "calm"
VERSION = "calm 1"
_SLOWEST = 900  # seconds between cycles at most


def text(minutes: Minutes, cycle: Loaded, due: Callable[[int], object], now: int) -> str:
    """The file's text after `cycle`, the newest, was judged; '' when nothing may wait. `due`: is a step due at a time."""
    if any(one.kind in JUDGED for one in incidents.live(minutes.db, minutes.host)):
        return ""
    if due(now):
        return ""
    until = now + STEP
    if due(until):  # what is due stays due: only then is it asked since when
        until = next((now + ahead for ahead in range(60, STEP, 60) if due(now + ahead)), until)
    lines = [f"calm\t1\t{cycle.at}\t{cycle.boot}\t{until}"]
    for metric in minutes.rules.metrics_watched():
        if minutes.rules.metrics[metric].probe == "vigie":
            return ""
        lines += _levels(minutes, cycle, metric)
    lines += _probes(minutes, now)
    return "\n".join([*lines, f"end\t{VERSION}", ""])


def _levels(minutes: Minutes, cycle: Loaded, metric: str) -> Iterator[str]:
    rules = minutes.rules.rules_of(metric)
    scale = minutes.rules.metrics[metric].scale
    limits = [rule.limit for rule in rules if rule.threshold.enabled]
    for above in (True, False):
        bounds = [bound(limit, scale) for limit in limits if limit.above == above]
        if bounds:
            yield f"level\t{metric}\t{_side(above)}\t{min(bounds) if above else max(bounds)!r}"
    if len(rules) > 1 and limits:
        for name, labels in cycle.values:
            if name == metric:
                found = minutes.rules.of(metric, labels)
                how = f"{_side(found.limit.above)}\t{bound(found.limit, scale)!r}" if found else "off\t0"
                yield f"line\t{metric}{_written(labels)}\t{how}"


def bound(limit: Limit, scale: int) -> float:
    """The first value that, rounded as the archive rounds, is beyond the level; rather a little before it than after."""
    level = limit.first * scale
    edge = math.floor(level) + 0.5 if limit.above else math.ceil(level) - 0.5
    return edge / scale - abs(edge / scale) * 1e-12 * (1 if limit.above else -1)


def _side(above: bool) -> str:
    return "above" if above else "below"


def _written(labels: str) -> str:
    """Labels as probes usually write them; of another writing the metric's level holds."""
    found = json.loads(labels)
    inside = ",".join(
        f'{name}="{value}"' for name, value in found.items() if not any(c in '\\"\n\t' for c in str(value))
    )
    return f"{{{inside}}}" if found else ""


def _probes(minutes: Minutes, now: int) -> Iterator[str]:
    for probe, last_run in minutes.last_runs.items():
        every = minutes.rules.every.get(probe, 1)
        # alerts/minute.py judges silence from this age on, and not of what was gone for more than a day.
        span = silent.MISSED * every * 50
        deadline = last_run + span
        if minutes.was_never_well(probe) or now - last_run > silent.MISSED * every * _SLOWEST + 86_400:
            deadline, span = now + 2 * STEP, 0
        yield f"probe\t{probe}\t{deadline}\t{span}"


def path(data: str) -> str:
    return os.path.join(data, "run", NAME)
