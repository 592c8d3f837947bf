"""The thresholds form: what it shows, what was typed, and the thresholds that come of it.

A line of the form is one metric. The first three carry the names of the original's table Seuil (cpu, memory, ram); its
fourth, temps_limite, is the retention in days. Only what differs from what is in force becomes a row: the shipped
thresholds stay shipped.
"""

import sqlite3
from collections.abc import Mapping
from typing import NamedTuple

from alerts.words import N_, Words
from archive import read, thresholds, units
from archive.read import Metric
from archive.thresholds import Threshold
from web import levels
from web.levels import Mistake

FIRST = {"cpu": "cpu_busy_seconds_total", "memory": "disk_used_ratio", "ram": "memory_available_ratio"}
TITLES = {"cpu": N_("Processor (CPU)"), "memory": N_("Disk"), "ram": N_("RAM")}
# Shown as what is used: its threshold is on what is available.
INVERTED = ("ram",)
RETENTION = "temps_limite"
DAYS = {"d": 1.0, "day": 1.0, "days": 1.0, "j": 1.0, "jour": 1.0, "jours": 1.0}
MOST_MINUTES = thresholds.LONGEST // 60
BELOW = N_("The critical level must not be below the warning level.")
ABOVE = N_("The critical level must not be above the warning level.")
NO_MINUTES = N_("Say for how many minutes; 0 means at once.")
EMPTY = N_("Give a level, or switch this threshold off.")


class Line(NamedTuple):
    """One metric in the form. `key` begins the names of its fields."""

    key: str
    metric: Metric
    title: str
    present: Threshold  # in force for the lines meant by `present.labels`
    exists: bool  # False: nothing judges this metric yet
    centre: bool = False  # the centre of the fleet set it

    @property
    def inverted(self) -> bool:
        return self.key in INVERTED

    @property
    def above(self) -> bool:
        """Whether more is worse, as the form shows it."""
        return self.present.above != self.inverted

    def name(self, part: str) -> str:
        """The name of a field: the warning's is the bare key."""
        return self.key if part == "warning" else f"{self.key}.{part}"


class Typed(NamedTuple):
    """A line's fields as they stand in the page, and what is wrong with them (messages in words)."""

    line: Line
    warning: str
    critical: str
    minutes: str
    on: bool
    errors: dict[str, str]  # part -> message


class Form(NamedTuple):
    first: list[Typed]
    others: list[Typed]
    retention: str
    retention_error: str

    def errors(self) -> list[tuple[str, str, str]]:
        """(field's name, title, message), in the order of the page."""
        found = [
            (typed.line.name(part), typed.line.title, typed.errors[part])
            for typed in self.first
            for part in ("warning", "critical", "minutes")
            if part in typed.errors
        ]
        if self.retention_error:
            found.append((RETENTION, "", self.retention_error))
        return found + [
            (typed.line.name(part), typed.line.title, typed.errors[part])
            for typed in self.others
            for part in ("warning", "critical", "minutes")
            if part in typed.errors
        ]


class Wanted(NamedTuple):
    """What is to be saved."""

    thresholds: list[Threshold]
    retention: int | None  # None: unchanged


def lines(db: sqlite3.Connection, host: int, words: Words) -> tuple[list[Line], list[Line]]:
    """(the original's three, all the others by probe and name): metrics that were ever measured."""
    known = {one.metric: one for one in thresholds.effective(db, host) if one.labels == "{}"}
    metrics = {one.name: one for one in read.metrics(db)}
    first = [line_of(metrics[name], known.get(name), words, key) for key, name in FIRST.items() if name in metrics]
    rest = [one for name, one in metrics.items() if name not in FIRST.values()]
    rest.sort(key=lambda one: (one.probe, one.name))
    return first, [line_of(one, known.get(one.name), words) for one in rest]


def line_of(metric: Metric, present: Threshold | None, words: Words, key: str = "") -> Line:
    title = words.gettext(TITLES[key]) if key in TITLES else words.metric_name(metric)
    blank = Threshold(metric.name, "{}", True, None, None, None, 0, enabled=False)
    centre = present is not None and present.host == thresholds.CENTRE
    if present is not None and centre:
        present = present._replace(host=0)  # what is saved from the form is this machine's own
    return Line(key or f"m.{metric.name}", metric, title, present or blank, present is not None, centre)


def present(line: Line, words: Words) -> Typed:
    """The line as it stands."""
    return Typed(
        line,
        _shown(line, line.present.warning, words),
        _shown(line, line.present.critical, words),
        str(line.present.for_seconds // 60) if line.exists else "",
        line.present.enabled,
        {},
    )


def typed(line: Line, form: Mapping[str, str], words: Words) -> Typed:
    """The line as it was typed; fields that were not sent stand as they are."""
    known = present(line, words)
    texts = {part: form.get(line.name(part), getattr(known, part))[:60] for part in ("warning", "critical", "minutes")}
    on = line.name("on") in form if f"{line.key}.shown" in form else known.on
    # A level typed where there was none is meant to be judged, whatever the box says.
    if not line.exists and (texts["warning"].strip() or texts["critical"].strip()) and f"{line.key}.shown" not in form:
        on = True
    return Typed(line, texts["warning"], texts["critical"], texts["minutes"], on, {})


def wanted(found: Typed, words: Words) -> tuple[Typed, Threshold | None]:
    """The line with its errors, and the threshold it asks for: None when it is wrong, or nothing was asked."""
    line, known, errors = found.line, present(found.line, words), {}
    got: dict[str, float | None] = {}
    for part, before in (("warning", line.present.warning), ("critical", line.present.critical)):
        text = getattr(found, part)
        if text == getattr(known, part):
            got[part] = before  # untouched: not even rounded
            continue
        try:
            got[part] = _level(line, text, words)
        except Mistake as mistake:
            errors[part] = words.gettext(mistake.message, **mistake.values)
    minutes: int | None = 0
    try:
        minutes = levels.whole(found.minutes, 0, MOST_MINUTES, words)
    except Mistake as mistake:
        errors["minutes"] = words.gettext(mistake.message, **mistake.values)
    given = got.get("warning") is not None or got.get("critical") is not None
    if given and minutes is None and "minutes" not in errors and found.minutes != known.minutes:
        errors["minutes"] = words.gettext(NO_MINUTES)
    if not errors:
        errors = _wrong(line, got["warning"], got["critical"], found.on, words)
    if errors:
        return found._replace(errors=errors), None
    if got["warning"] is None and got["critical"] is None:
        return found, None
    span = line.present.for_seconds if found.minutes == known.minutes else 60 * (minutes or 0)
    return found, line.present._replace(
        warning=got["warning"],
        critical=got["critical"],
        clear=cleared(line, got["warning"], got["critical"]),
        for_seconds=span,
        enabled=found.on,
        second_metric=_second(line, got["critical"]),
    )


def _second(line: Line, critical: float | None) -> str:
    """A second condition that was for the critical level goes with it."""
    return "" if critical is None and line.present.second_for == "critical" else line.present.second_metric


def _wrong(line: Line, warning: float | None, critical: float | None, on: bool, words: Words) -> dict[str, str]:
    if warning is None and critical is None:
        return {"warning": words.gettext(EMPTY)} if on or line.exists else {}
    if warning is None or critical is None:
        return {}
    sign = 1 if line.present.above else -1
    if (critical - warning) * sign < 0:
        return {"critical": words.gettext(BELOW if line.above else ABOVE)}
    return {}


def cleared(line: Line, warning: float | None, critical: float | None) -> float | None:
    """The level at which it is over moves with the level at which it opens; None where that leads out of range."""
    clear = line.present.clear
    before = line.present.warning if line.present.warning is not None else line.present.critical
    after = warning if warning is not None else critical
    if clear is None or before is None or after is None:
        return clear if before == after else None
    if before == after:
        return clear
    bounds = units.unit_of(line.metric.name, line.metric.kind)
    moved = float(f"{after - (before - clear):.9g}")
    return moved if bounds.low <= moved <= bounds.high else None


def changed(found: Threshold | None, line: Line) -> bool:
    return found is not None and found != line.present


def _shown(line: Line, level: float | None, words: Words) -> str:
    if level is not None and line.inverted:
        level = 1.0 - level
    return levels.shown(level, line.metric.unit, words.language)


def _level(line: Line, text: str, words: Words) -> float | None:
    found = levels.level(text, line.metric.unit, line.metric.kind, line.metric.name, words)
    # A user may keep several cores busy; the machine as a whole is never busier than wholly.
    if line.key == "cpu" and found is not None and found > 1:
        raise Mistake(levels.OUT_OF_RANGE, value=words.number(100 * found, 6), low="0", high="100")
    return float(f"{1.0 - found:.12g}") if found is not None and line.inverted else found


def read_form(
    db: sqlite3.Connection, host: int, form: Mapping[str, str] | None, words: Words
) -> tuple[Form, Wanted | None]:
    """The whole form, as it stands (`form` None) or as it was typed; what to save when nothing is wrong."""
    first, others = lines(db, host, words)
    days = thresholds.retention_days(db)
    if form is None:
        shown = Form([present(one, words) for one in first], [present(one, words) for one in others], str(days), "")
        return shown, None
    asked: list[Threshold] = []
    parts: list[list[Typed]] = []
    for group in (first, others):
        done = []
        for line in group:
            found, threshold = wanted(typed(line, form, words), words)
            done.append(found)
            if threshold is not None and changed(threshold, line):
                asked.append(threshold)
        parts.append(done)
    text = form.get(RETENTION, str(days))[:60]
    kept, error = days, ""
    try:
        kept = levels.whole(text, 1, thresholds.MAX_RETENTION, words, DAYS, "400") or 0
        if not kept:
            raise Mistake(levels.NOT_A_NUMBER, value=text.strip()[:40], example="400")
    except Mistake as mistake:
        error = words.gettext(mistake.message, **mistake.values)
    shown = Form(parts[0], parts[1], text, error)
    return shown, None if shown.errors() else Wanted(asked, kept if kept != days else None)
