"""The advanced part of a threshold's form: when it is over, and the second condition. Fields that were not sent stand."""

from collections.abc import Mapping
from typing import NamedTuple

from alerts.words import N_, Words
from archive import thresholds
from archive.read import Metric
from archive.thresholds import Threshold
from web import levels
from web.editing import Line
from web.levels import Mistake

PARTS = ("clear", "clear_minutes", "second_metric", "second_side", "second_level", "second_for")
MOST_MINUTES = thresholds.LONGEST // 60
CLEAR_ABOVE = N_("The clear level must not be above the level at which it opens.")
CLEAR_BELOW = N_("The clear level must not be below the level at which it opens.")
NO_SUCH_METRIC = N_("There is no metric named %(value)s.")
NO_LEVEL = N_("The second condition needs a level.")
NO_CRITICAL = N_("The second condition is for a critical level, and there is none.")


class Extra(NamedTuple):
    """The fields as they stand in the page, and what is wrong with them (messages in words)."""

    clear: str
    clear_minutes: str
    second_metric: str
    second_side: str  # above or below
    second_level: str
    second_for: str  # critical or both
    errors: Mapping[str, str] = {}

    def as_present(self, other: "Extra") -> bool:
        return self._replace(errors={}) == other._replace(errors={})


def present(line: Line, words: Words, metrics: Mapping[str, Metric]) -> Extra:
    """As the threshold stands."""
    one = line.present
    clear = 1.0 - one.clear if one.clear is not None and line.inverted else one.clear
    second = metrics.get(one.second_metric)
    return Extra(
        levels.shown(clear, line.metric.unit, words.language),
        str(one.clear_seconds // 60),
        one.second_metric,
        "above" if one.second_above else "below",
        levels.shown(one.second_level, second.unit, words.language) if second else "",
        one.second_for,
    )


def typed(line: Line, form: Mapping[str, str], words: Words, metrics: Mapping[str, Metric]) -> Extra:
    known = present(line, words, metrics)
    found = known._replace(**{part: form.get(part, getattr(known, part))[:200] for part in PARTS})
    return found._replace(
        second_side="above" if found.second_side == "above" else "below",
        second_for="both" if found.second_for == "both" else "critical",
    )


def turned(line: Line, direction: str) -> Line:
    """The line with the direction, which only a metric's own page lets one choose."""
    if direction not in ("above", "below") or line.inverted or line.present.above == (direction == "above"):
        return line
    return line._replace(present=line.present._replace(above=direction == "above", clear=None))


def seconds(line: Line, metrics: Mapping[str, Metric], words: Words) -> list[tuple[str, str]]:
    """(name, title) of every metric that a second condition may be about, by title."""
    found = (
        (one.name, words.metric_name(one))
        for one in metrics.values()
        if one.kind != "info" and one.name != line.metric.name and one.probe != "vigie"
    )
    return sorted(found, key=lambda pair: pair[1].casefold())


def wanted(
    extra: Extra, line: Line, threshold: Threshold, words: Words, metrics: Mapping[str, Metric]
) -> tuple[Extra, Threshold | None]:
    """The fields with their errors, and `threshold` (from the first part of the form) with what they ask for."""
    known, errors = present(line, words, metrics), {}
    clear, span = threshold.clear, threshold.clear_seconds
    try:
        if extra.clear != known.clear:  # untouched it has moved with the level that opens
            clear = levels.level(extra.clear, line.metric.unit, line.metric.kind, line.metric.name, words)
            clear = float(f"{1.0 - clear:.12g}") if clear is not None and line.inverted else clear
    except Mistake as mistake:
        errors["clear"] = words.gettext(mistake.message, **mistake.values)
    try:
        if extra.clear_minutes != known.clear_minutes:
            span = 60 * (levels.whole(extra.clear_minutes, 0, MOST_MINUTES, words) or 0)
    except Mistake as mistake:
        errors["clear_minutes"] = words.gettext(mistake.message, **mistake.values)
    asked = threshold._replace(clear=clear, clear_seconds=span)
    first = asked.warning if asked.warning is not None else asked.critical
    known_both = clear is not None and first is not None and "clear" not in errors
    if known_both and (clear - first) * (1 if asked.above else -1) > 0:  # type: ignore[operator]
        errors["clear"] = words.gettext(CLEAR_ABOVE if line.above else CLEAR_BELOW)
    asked = _second(extra, known, asked, errors, words, metrics)
    return extra._replace(errors=errors), None if errors else asked


def _second(
    extra: Extra, known: Extra, asked: Threshold, errors: dict[str, str], words: Words, metrics: Mapping[str, Metric]
) -> Threshold:
    parts = ("second_metric", "second_side", "second_level", "second_for")
    if all(getattr(extra, part) == getattr(known, part) for part in parts):
        return asked
    if not extra.second_metric:
        return asked._replace(second_metric="", second_level=None, second_above=False, second_for="critical")
    metric = metrics.get(extra.second_metric)
    if metric is None or metric.kind == "info" or metric.name == asked.metric:
        errors["second_metric"] = words.gettext(NO_SUCH_METRIC, value=extra.second_metric[:100])
        return asked
    level = asked.second_level
    if extra.second_level != known.second_level or extra.second_metric != known.second_metric:
        try:
            level = levels.level(extra.second_level, metric.unit, metric.kind, metric.name, words)
        except Mistake as mistake:
            errors["second_level"] = words.gettext(mistake.message, **mistake.values)
    if level is None and "second_level" not in errors:
        errors["second_level"] = words.gettext(NO_LEVEL)
    if extra.second_for == "critical" and asked.critical is None:
        errors["second_for"] = words.gettext(NO_CRITICAL)
    return asked._replace(
        second_metric=metric.name, second_level=level, second_above=extra.second_side == "above",
        second_for=extra.second_for,
    )  # fmt: skip
