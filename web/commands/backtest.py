"""`./vigie backtest METRIC ...`: what a threshold would have done over the last days, before it is saved."""

import argparse
import json

from alerts import backtest
from alerts.words import N_, Words
from archive import clock, database, settings, thresholds
from archive.thresholds import Threshold, ThresholdError
from web.commands import _terminal

HELP = N_("what a threshold would have opened and mailed over the last days")
SHOWN = 20


def run(argv: list[str]) -> int:
    """0 well; 2 when the threshold could not be saved as it is, with the reason."""
    asked = _parser().parse_args(argv)
    config = settings.load()
    words = _terminal.words()
    with database.reader(config.data) as db:
        try:
            proposed = thresholds.checked(db, _proposed(thresholds.effective(db, 1), asked))
        except ThresholdError as error:
            _terminal.complain(f"{error.field}: {words.gettext(error.message, **error.values)}")
            return 2
        found = backtest.compare(db, 1, proposed, clock.now(), asked.days)
    _terminal.say("\n".join([*_counts(words, found, asked.days), *_marks(words, found.proposed)]))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="vigie backtest", description=HELP)
    parser.add_argument("metric", help="for example disk_used_ratio")
    parser.add_argument("--labels", default="", metavar="mount=/", help="only these lines; several with commas")
    for name in ("warning", "critical", "clear"):
        parser.add_argument(f"--{name}", type=_level, metavar="LEVEL", help="in the metric's unit, or 90%%")
    parser.add_argument("--for", type=_minutes, dest="span", metavar="MIN", help="every sample for that many minutes")
    parser.add_argument("--below", action="store_true", help="the level is a lower one")
    parser.add_argument("--days", type=_days, default=backtest.DAYS, help="how far back, 1 to 400 (30)")
    return parser


def _proposed(present: list[Threshold], asked: argparse.Namespace) -> Threshold:
    """The threshold in force for these labels, with what was asked instead. New levels replace the old ones."""
    labels = _labels(asked.labels)
    near = [one for one in present if one.metric == asked.metric and one.labels in (labels, "{}")]
    base = near[0] if near else Threshold(asked.metric, labels, not asked.below, None, None, None, 0)
    given = {
        name: getattr(asked, name) for name in ("warning", "critical", "clear") if getattr(asked, name) is not None
    }
    if given:
        kept = base.critical if "warning" in given and _fits(base, given["warning"]) else None
        second = base.second_metric if given.get("critical", kept) is not None else ""
        base = base._replace(warning=None, critical=kept, clear=None, second_metric=second)._replace(**given)
    if asked.span is not None:
        base = base._replace(for_seconds=asked.span * 60)
    return base._replace(labels=labels, above=base.above and not asked.below, enabled=True)


def _fits(base: Threshold, warning: float) -> bool:
    """Whether the critical level in force still stands on the bad side of a new warning level."""
    if base.critical is None:
        return False
    return base.critical >= warning if base.above else base.critical <= warning


def _counts(words: Words, found: backtest.Comparison, days: int) -> list[str]:
    def counted(outcome: backtest.Outcome) -> dict[str, str]:
        return {
            "incidents": words.ngettext("%(num)s incident", "%(num)s incidents", outcome.incidents),
            "mails": words.ngettext("%(num)s mail", "%(num)s mails", outcome.mails),
        }

    span = words.ngettext("Over the last %(num)s day:", "Over the last %(num)s days:", days)
    return [
        span,
        words.gettext(
            "  this threshold would have opened %(incidents)s and sent %(mails)s;", **counted(found.proposed)
        ),
        words.gettext("  the one in force: %(incidents)s, %(mails)s.", **counted(found.in_force)),
    ]


def _marks(words: Words, outcome: backtest.Outcome) -> list[str]:
    """The newest incidents, one a line."""
    levels = {"warning": words.gettext("warning"), "critical": words.gettext("critical")}
    lines = []
    for one in outcome.marks[-SHOWN:]:
        end = words.gettext("still open") if one.end is None else words.full(one.end)
        name = _terminal.shown(words.labels_name(one.labels))
        lines.append(f"  {words.full(one.start)} → {end}  {levels[one.level]}" + (f"  {name}" if name else ""))
    hidden = len(outcome.marks) - SHOWN
    if hidden > 0:
        lines.insert(0, words.ngettext("  (%(num)s earlier one)", "  (%(num)s earlier ones)", hidden))
    return lines


def _labels(text: str) -> str:
    found = {}
    for part in text.split(",") if text else []:
        name, equals, value = part.partition("=")
        if not equals or not name.strip():
            raise ThresholdError("labels", 'expected labels such as {"mount":"/"}, not %(value)s', value=text[:100])
        found[name.strip()] = value
    return json.dumps(found, sort_keys=True, separators=(",", ":"), ensure_ascii=False) if found else "{}"


def _level(text: str) -> float:
    percent = text.endswith("%")
    value = float(text.rstrip("%").replace(",", "."))
    return value / 100 if percent else value


def _minutes(text: str) -> int:
    value = int(text)
    if not 0 <= value <= thresholds.LONGEST // 60:
        raise ValueError
    return value


def _days(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 400:
        raise ValueError
    return value
