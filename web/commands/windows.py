"""`./vigie windows [list|add|end]`: planned work, during which mails wait."""

import argparse
import getpass
import json

from alerts.words import N_, Words
from archive import clock, database, read, silences
from archive import settings as settings_kept
from archive.incidents import IncidentError
from web import planning, works
from web.commands import _terminal
from web.planning import Plan

HELP = N_("planned work: list it, add some, end it early; mails wait meanwhile and nothing is dropped")
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
# The form's fields, as they are called here.
OPTIONS = {"from": "--from", "to": "--to", "days": "--days", "opens": "--hours", "closes": "--hours",
           "metric": "--metric", "labels": "--line", "reason": "--reason"}  # fmt: skip


def run(argv: list[str]) -> int:
    """0 well; 2 when what was asked cannot be planned, with the reason."""
    words = _terminal.words()
    asked = _parser(words).parse_args(argv)
    config, now = settings_kept.load(), clock.now()
    if asked.what == "add":
        return _add(config.data, asked, words, now)
    if asked.what == "end":
        return _end(config.data, asked.number, words, now)
    return _list(config, words, now)


def _parser(words: Words) -> argparse.ArgumentParser:
    _ = words.gettext
    parser = argparse.ArgumentParser(prog="vigie windows", description=_(HELP))
    parts = parser.add_subparsers(dest="what", metavar="list|add|end")
    parts.add_parser("list", help=_("what runs, what comes, what was"))
    add = parts.add_parser("add", help=_("plan work"))
    add.add_argument(
        "--from", dest="start", default="", metavar="TIME", help=_("for example 2026-11-25T18:00; now without it")
    )
    add.add_argument("--to", dest="end", default="", metavar="TIME", help=_("until when"))
    add.add_argument("--which", choices=("first", "second"), default="", help=_("of a time that comes twice when the clocks go back"))  # fmt: skip
    add.add_argument("--days", default="", metavar="mon,sun", help=_("every week, on these days"))
    add.add_argument("--hours", default="", metavar="22:00-06:00", help=_("every week, between these hours"))
    add.add_argument("--metric", action="append", default=[], metavar="METRIC", help=_("only this metric; may be repeated"))  # fmt: skip
    add.add_argument("--line", default="", metavar="mount=/srv", help=_("only this disk, user or device"))
    add.add_argument("--reason", default="", metavar="WORDS", help=_("why, for the others"))
    end = parts.add_parser("end", help=_("end it early"))
    end.add_argument("number", type=int, metavar="NUMBER", help=_("as the list gives it"))
    return parser


def _list(config: settings_kept.Settings, words: Words, now: int) -> int:
    with database.reader(config.data) as db:
        metrics = {one.name: one for one in read.metrics(db)}
        found = [*silences.silences(db, 1, now), *silences.over(db, 1, now, 5)]
        for one in found:
            told = works.work(one, metrics, words, now, config.timezone)
            state = words.gettext(works.STATES[told.state])
            _terminal.say(f"{one.id:>4}  {state:<9} {told.when}  {_terminal.shown(told.scope)}")
            _terminal.say(f"      {_terminal.shown(one.reason)} ({_terminal.shown(one.made_by)})")
    if not found:
        _terminal.say(words.gettext("No work is planned: every mail leaves at once."))
    return 0


def _add(data: str, asked: argparse.Namespace, words: Words, now: int) -> int:
    weekly = bool(asked.days or asked.hours)
    opens, _dash, closes = asked.hours.partition("-")
    named = [day.strip().lower()[:3] for day in asked.days.split(",") if day.strip()]
    unknown = [day for day in named if day not in DAYS]
    if unknown:
        _terminal.complain(
            words.gettext("--days: “%(value)s” is no day: expected %(known)s", value=unknown[0], known=",".join(DAYS))
        )
        return 2
    line = asked.line.partition("=")
    labels = json.dumps({line[0]: line[2]}, separators=(",", ":"), ensure_ascii=False) if asked.line else "{}"
    plan = Plan(
        kind=planning.WEEKLY if weekly else planning.ONCE, start=asked.start, end=asked.end,
        which=(asked.which, asked.which), days=tuple(sorted({DAYS.index(day) for day in named})),
        opens=opens, closes=closes, everything=not asked.metric, metrics=tuple(asked.metric), labels=labels,
        reason=asked.reason,
    )  # fmt: skip
    with database.reader(data) as db:
        metrics = {one.name: one for one in read.metrics(db) if one.kind != "info"}
        lines = planning.known_lines(read.series(db, 1))
    strange = next((name for name in asked.metric if name not in metrics), None)
    if strange is not None:
        _terminal.complain(f"--metric: {words.gettext('There is no metric named %(value)s.', value=strange[:100])}")
        return 2
    plan, wanted = planning.wanted(plan, words, now, 1, metrics=list(metrics), lines=lines)
    if wanted is None:
        for field, message in plan.errors.items():
            _terminal.complain(f"{OPTIONS.get(field, field)}: {message}")
        return 2
    with database.writer(data) as db:
        number = silences.plan(db, wanted, _who(), now)
    told = f"{works.when(wanted, words, now)}, {_terminal.shown(works.scope(wanted, metrics, words))}"
    _terminal.say(words.gettext("Planned work %(number)s: %(told)s.", number=number, told=told))
    return 0


def _end(data: str, number: int, words: Words, now: int) -> int:
    try:
        with database.writer(data) as db:
            silences.end_plan(db, number, _who(), now)
    except IncidentError as error:
        _terminal.complain(words.gettext(error.message, **error.values))
        return 2
    _terminal.say(words.gettext("Ended. What was postponed and is still so is told by the next cycle."))
    return 0


def _who() -> str:
    """The account that types, as it stands in the history."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an account without a name
        return "-"
