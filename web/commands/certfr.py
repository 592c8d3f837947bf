"""`./vigie certfr refresh|import|judge|tracker|status`: reads CERT-FR now, from files, or decides it for an inventory."""

import argparse
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from alerts.mark import N_
from archive import clock, database, recipients, settings
from archive.certfr import concern, debian, machine, rows
from web.commands import _terminal

if TYPE_CHECKING:
    from archive.certfr import refresh

HELP = N_("read CERT-FR now (refresh), from files (import), or decide it for an inventory (judge)")


def run(argv: list[str]) -> int:
    if argv[:1] == ["judge"]:
        from archive.certfr import judge

        return judge.run(argv[1:])
    if argv == ["refresh", "--quiet"]:
        return _refresh(settings.load(), quiet=True)  # every hour: nothing is loaded that nobody will read
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
    debian = actions.add_parser(
        "tracker", help=_("Debian's own security data: fetch it now, take it from a file, or say how old it is")
    )
    debian.add_argument("what", nargs="?", choices=("status", "fetch", "import"), default="status")
    debian.add_argument("file", nargs="?", metavar="FILE")
    actions.add_parser("status", help=_("when each source was read, and what is known"))
    asked = parser.parse_args(argv)
    config = settings.load()
    if asked.action == "refresh":
        return _refresh(config, asked.quiet)
    if asked.action == "import":
        return _import(config, asked.paths)
    if asked.action == "tracker":
        return _tracker_command(config, asked.what, asked.file)
    return _status(config)


def _refresh(config: settings.Settings, quiet: bool) -> int:
    """One round. By hand it is forced (never more than one at a time); for cron it waits its hour."""
    from archive.certfr import refresh
    from web.__main__ import version

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
    fetched = _tracker_round(config)
    outcome = _concern(config, anew=fetched.changed)
    _machines(config)
    if not quiet:
        _say_round(report, (fetched.error, outcome.error))
    return 1 if report.errors and not report.sources else 0


def _say_round(report: "refresh.Report", errors: tuple[str, ...]) -> None:
    _ = _terminal.words().gettext
    for error in filter(None, errors):
        _terminal.say(_terminal.shown(error))
    if not report.ran:
        _terminal.say(_("Not read: %(reason)s", reason=_terminal.shown(report.reason)))
        return
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


def _tracker_round(config: settings.Settings, *, force: bool = False) -> debian.Outcome:
    """Ask Debian's tracker where the administrator turned that on, once a day; `force`: a person asks now."""
    from archive.certfr import inventory
    from web.__main__ import version

    now = clock.now()
    if config.debian_tracker == "off":
        return debian.Outcome(
            reason="VIGIE_DEBIAN_TRACKER=off: set it to json or debsecan, and Vigie reads it once a day"
        )
    with database.reader(config.data) as db:
        if not force and not debian.due(db, now):
            return debian.Outcome()
    try:
        packages = inventory.read_machine()
    except inventory.InventoryError as error:
        return debian.Outcome(error=str(error))
    return debian.fetch(
        lambda: database.writer(config.data, 60.0),
        config.data,
        config.debian_tracker_url,
        config.debian_tracker,
        packages,
        now,
        force=force,
        version=version(),
    )


def _tracker_command(config: settings.Settings, what: str, file: str | None) -> int:
    from archive.certfr import inventory, schedule, tracker

    words = _terminal.words()
    _ = words.gettext
    if (what == "import") != bool(file):
        _terminal.say(_("Give one file: ./vigie certfr tracker import FILE"))
        return 2
    if what == "status":
        with database.reader(config.data) as db:
            row = schedule.source(db, debian.SOURCE)
        _terminal.say(_("Fetched by Vigie (VIGIE_DEBIAN_TRACKER): %(mode)s", mode=config.debian_tracker))
        kept = debian.kept_path(config.data)
        when = words.moment(int(kept.stat().st_mtime), clock.now()) if debian.kept(config.data) else ""
        _terminal.say(_("Kept: since %(when)s", when=when) if when else _("Nothing of Debian's data is kept."))
        if row and row.error:
            _terminal.say(f"  ! {_terminal.shown(row.error)}")
        return 0
    if what == "fetch":
        found = _tracker_round(config, force=True)
    else:
        try:
            found = debian.take(Path(str(file)), config.data, inventory.read_machine())
        except (tracker.TrackerError, inventory.InventoryError, OSError) as error:
            found = debian.Outcome(error=str(error))
    if found.error or found.reason:
        _terminal.say(_terminal.shown(found.error or found.reason))
        return 1
    if not found.changed:
        _terminal.say(_("Debian's data has not changed since it was last read."))
        return 0
    _terminal.say(
        _("Kept: %(issues)d issues of %(packages)d installed packages.", issues=found.issues, packages=found.packages)
    )
    outcome = _concern(config, anew=True)
    _terminal.say(_("Decided again: %(num)d publications.", num=outcome.decided))
    return 0


def _concern(config: settings.Settings, *, anew: bool = False) -> concern.Outcome:
    """Decide what is undecided for this machine, and owe one mail for what has just come to concern it.

    The past is never mailed: what the first readings bring is shown on the page alone.
    """
    now = clock.now()
    with database.reader(config.data) as db:
        first = not machine.counts(db, 1)
        read, backlog = rows.first_reading(db)
    outcome = concern.decide(lambda: database.writer(config.data, 60.0), config.data, now, anew=anew)
    if outcome.told and not first and read >= backlog:
        from alerts import advisories

        with database.writer(config.data, 60.0) as db, database.transaction(db):
            everyone = recipients.in_force(db, config)
            advisories.owe(db, 1, outcome.told, everyone, config.url, _terminal.words(), now)
    return outcome


def _machines(config: settings.Settings) -> None:
    """At a centre: the same for the machines that send here, from their packages."""
    from archive.fleet import members

    with database.reader(config.data) as db:
        if not members.any_joined(db):
            return
    from archive.fleet import deciding

    deciding.turn(config.data, clock.now(), deciding.kept_tracker(config.data))


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
    outcome = _concern(config)
    _machines(config)
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
