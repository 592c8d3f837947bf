"""`./vigie certfr refresh|import|judge|status`: reads CERT-FR now, from files, or decides it for an inventory."""

import argparse
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from alerts.words import N_, Words
from archive import clock, database, recipients, settings
from archive.certfr import concern, machine, rows
from web.commands import _terminal

HELP = N_("read CERT-FR now (refresh), from files (import), or decide it for an inventory (judge)")


def run(argv: list[str]) -> int:
    if argv[:1] == ["judge"]:
        from archive.certfr import judge

        return judge.run(argv[1:])
    words = _terminal.words()
    _ = words.gettext
    parser = argparse.ArgumentParser(prog="vigie certfr", description=_(HELP))
    actions = parser.add_subparsers(dest="action", required=True)
    refresh = actions.add_parser("refresh", help=_("read www.cert.ssi.gouv.fr now and say what it did"))
    refresh.add_argument(
        "--quiet", action="store_true", help=_("for cron: only when a round is due; says nothing when all is well")
    )
    load = actions.add_parser("import", help=_("load publications from files: JSON, JSON lines, saved pages"))
    load.add_argument("paths", nargs="+", metavar="PATH")
    actions.add_parser("judge", help=_("decide publications for an inventory; see --help there"))
    actions.add_parser("status", help=_("when each source was read, and what is known"))
    asked = parser.parse_args(argv)
    config = settings.load()
    if asked.action == "refresh":
        return _refresh(config, asked.quiet)
    if asked.action == "import":
        return _import(config, asked.paths)
    return _status(config)


def _refresh(config: settings.Settings, quiet: bool) -> int:
    """One round. By hand it is forced (never more than one at a time); for cron it waits its hour."""
    from archive.certfr import refresh
    from web.__main__ import version

    words = _terminal.words()
    _ = words.gettext

    @contextmanager
    def open_db() -> Iterator[sqlite3.Connection]:
        with database.writer(config.data, 60.0) as db:
            yield db

    def progress(step: refresh.Progress) -> None:
        if not quiet and sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[K{_terminal.shown(str(step.what))[:70]}  {step.done}/{step.total}")
            sys.stderr.flush()

    report = refresh.refresh(
        open_db,
        config.certfr_url,
        clock.now(),
        progress=progress,
        force=not quiet,
        version=version(),
        contact="monitor",
    )
    if not quiet and sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
    outcome = _concern(config, words)
    if outcome.error and not quiet:
        _terminal.say(_terminal.shown(outcome.error))
    if not report.ran:
        if not quiet:
            _terminal.say(_("Not read: %(reason)s", reason=_terminal.shown(report.reason)))
        return 0
    if not quiet:
        _terminal.say(
            _(
                "Read %(read)d of %(owed)d publications owed, in %(requests)d requests; %(left)d wait for the next round.",
                read=report.read,
                owed=report.owed,
                requests=report.requests,
                left=report.left,
            )
        )
        for name, found in (("new", report.new), ("revised", report.revised), ("closed", report.closed)):
            if found:
                _terminal.say(f"  {_(name)}: {', '.join(found[:20])}{' …' if len(found) > 20 else ''}")
        for problem in report.errors:
            _terminal.say(f"  ! {_terminal.shown(problem.what)}")
    return 1 if report.errors and not report.sources else 0


def _concern(config: settings.Settings, words: Words) -> concern.Outcome:
    """Decide what is undecided for this machine, and owe one mail for what has just come to concern it.

    The past is never mailed: what the first readings bring is shown on the page alone.
    """
    from alerts import advisories

    now = clock.now()
    with database.reader(config.data) as db:
        first = not machine.counts(db, 1)
        read, backlog = rows.first_reading(db)
    outcome = concern.decide(lambda: database.writer(config.data, 60.0), config.data, now)
    if outcome.told and not first and read >= backlog:
        with database.writer(config.data, 60.0) as db, database.transaction(db):
            everyone = recipients.in_force(db, config)
            advisories.owe(db, 1, outcome.told, everyone, config.url, words, now)
    return outcome


def _import(config: settings.Settings, paths: list[str]) -> int:
    """Files -> rows. What cannot be read is named with its reason; the rest is taken."""
    from archive.certfr import document, store

    words = _terminal.words()
    _ = words.gettext
    now, taken, bad = clock.now(), 0, 0
    with database.writer(config.data, 60.0) as db, database.transaction(db):
        for found in document.read_files(paths):
            if isinstance(found, document.Document):
                store.put(db, found, now, told=True)
                taken += 1
            else:
                bad += 1
                _terminal.say(_("skipped: %(reason)s", reason=_terminal.shown(str(found))))
    _terminal.say(words.ngettext("%(num)s publication taken.", "%(num)s publications taken.", taken))
    outcome = _concern(config, words)
    if outcome.error:
        _terminal.say(_terminal.shown(outcome.error))
    with database.reader(config.data) as db:
        totals = machine.counts(db, 1)
    _terminal.say(
        _(
            "This machine: %(affected)d concern it, %(check)d are to check, %(rest)d do not concern it.",
            affected=totals.get("affected", 0),
            check=totals.get("to_check", 0),
            rest=totals.get("not_affected", 0),
        )
    )
    return 1 if bad else 0


def _status(config: settings.Settings) -> int:
    from archive.certfr import schedule

    words = _terminal.words()
    _ = words.gettext
    now = clock.now()
    with database.reader(config.data) as db:
        sources = schedule.sources(db)
        read, owed = rows.first_reading(db)
    if not sources:
        _terminal.say(_("CERT-FR was never read: %(why)s", why=_("the first reading comes with the next cycles")))
    for source in sources:
        good = words.moment(source.ok_at, now) if source.ok_at else "-"
        _terminal.say(f"  {source.source:<12} {good:<24} {_terminal.shown(source.error)}")
    if owed > read:
        _terminal.say(_("First reading: %(read)d of %(owed)d publications.", read=read, owed=owed))
    return 0
