"""`./vigie user`: who may log in to the dashboard, and what is kept of a person of the machine.

add, list, password, remove, sessions, logout are about log-ins; export and forget about what Vigie keeps of a user of
the machine (docs/privacy.md). Who may write the data folder may do all of it.
"""

import argparse
import os
import sys

from alerts.words import N_
from archive import clock, database, logins, person, settings
from web.commands import _terminal, password
from web.logins import alive

HELP = N_("who may log in: add, list, password, remove, sessions, logout; a person’s data: export, forget")
LONGEST_NAME = 64
ROLES = {"administrator": N_("administrator"), "reader": N_("reader")}


def run(argv: list[str]) -> int:
    """0 well; 1 nothing was done, with the reason; 2 the words of the call are off."""
    _ = _terminal.words().gettext
    parser = argparse.ArgumentParser(prog="vigie user", description=_(HELP))
    actions = parser.add_subparsers(dest="action", required=True)
    add = actions.add_parser("add", help=_("let somebody log in; asks for the password"))
    add.add_argument("name")
    add.add_argument("--role", choices=sorted(ROLES), default="reader", help=_("reader may look, administrator change"))
    actions.add_parser("list", help=_("who may log in, and as what"))
    renew = actions.add_parser("password", help=_("set a new password; every session of that person ends"))
    renew.add_argument("name")
    out = actions.add_parser("remove", help=_("take this person out; their sessions end"))
    out.add_argument("name")
    where = actions.add_parser("sessions", help=_("who is logged in, since when, from where"))
    where.add_argument("name", nargs="?", default="")
    end = actions.add_parser("logout", help=_("end every session of a person, or with --all of everybody"))
    end.add_argument("name", nargs="?", default="")
    end.add_argument("--all", action="store_true", help=_("everybody's"))
    given = actions.add_parser("export", help=_("everything that is kept of a person of this machine, as JSON"))
    given.add_argument("name")
    given.add_argument("--out", metavar=_("FILE"), default="", help=_("a new file, yours alone; else standard output"))
    forgotten = actions.add_parser("forget", help=_("remove a person of this machine from everything that is kept"))
    forgotten.add_argument("name")
    forgotten.add_argument("--dry-run", action="store_true", help=_("say what would go, and change nothing"))
    forgotten.add_argument("--yes", action="store_true", help=_("do not ask"))
    asked = parser.parse_args(argv)
    config, now = settings.load(), clock.now()
    if asked.action == "export":
        return _export(config, asked.name, asked.out, now)
    if asked.action == "forget":
        return _forget(config, asked.name, dry=asked.dry_run, yes=asked.yes)
    if asked.action == "add":
        return _add(config.data, asked.name, asked.role, now)
    if asked.action == "list":
        return _list(config.data, now)
    if asked.action == "password":
        return _password(config.data, asked.name, now)
    if asked.action == "remove":
        return password.remove(config.data, asked.name)
    if asked.action == "sessions":
        return _sessions(config.data, asked.name, now)
    if bool(asked.name) == asked.all:
        parser.error(_("say whose sessions: a name, or --all"))
    return _log_out(config.data, asked.name)


def _add(data: str, name: str, role: str, now: int) -> int:
    _ = _terminal.words().gettext
    if not name.strip() or name != name.strip() or not name.isprintable() or len(name) > LONGEST_NAME:
        _terminal.complain(
            _(
                "%(name)s: a name has 1 to %(most)d visible characters and no space at its ends",
                name=ascii(name[:80]),
                most=LONGEST_NAME,
            )
        )
        return 1
    with logins.reading(data) as db:
        known = logins.person(db, name)
    if known:
        _terminal.complain(
            _("%(name)s may log in already; ./vigie user password %(name)s sets a new password", name=name)
        )
        return 1
    return password.put(data, name, role, now)


def _list(data: str, now: int) -> int:
    words = _terminal.words()
    _ = words.gettext
    with logins.reading(data) as db:
        people = [(one, sum(alive(each, now) for each in logins.sessions(db, one.name))) for one in logins.people(db)]
    if not people:
        _terminal.say(_("Nobody may log in yet: ./vigie first-link"))
    for one, open_sessions in people:
        told = words.ngettext("%(num)s session", "%(num)s sessions", open_sessions)
        since = _("password of %(when)s", when=words.moment(one.changed_at, now))
        _terminal.say(f"{_terminal.shown(one.name)}  {_(ROLES[one.role])}  {since}  {told}")
    return 0


def _password(data: str, name: str, now: int) -> int:
    _ = _terminal.words().gettext
    with logins.reading(data) as db:
        known = logins.person(db, name)
    if known is None:
        _terminal.complain(_("there is nobody named %(name)s", name=_terminal.shown(name)))
        return 1
    return password.put(data, name, known.role, now)


def _sessions(data: str, name: str, now: int) -> int:
    words = _terminal.words()
    _ = words.gettext
    with logins.reading(data) as db:
        names = [one.name for one in logins.people(db) if name in ("", one.name)]
        found = [each for one in names for each in logins.sessions(db, one) if alive(each, now)]
    for one in found:
        agent = _terminal.shown(one.agent) or _("unnamed browser")
        seen = _("last used %(ago)s", ago=words.ago(one.seen_at, now))
        since = words.moment(one.created_at, now)
        _terminal.say(f"{_terminal.shown(one.person)}  {since}  {seen}  {_terminal.shown(one.address)}  {agent}")
    if not found:
        _terminal.say(_("Nobody is logged in."))
    return 0


def _log_out(data: str, name: str) -> int:
    words = _terminal.words()
    with logins.writing(data) as db:
        names = [name] if name else [one.name for one in logins.people(db)]
        count = sum(logins.end_all(db, one) for one in names)
    _terminal.say(words.ngettext("%(num)s session has ended.", "%(num)s sessions have ended.", count))
    return 0


def _export(config: settings.Settings, name: str, out: str, now: int) -> int:
    with database.reader(config.data) as db:
        pieces = person.export(db, config.data, name, now)
        if not out:
            for piece in pieces:
                sys.stdout.write(piece)
            return 0
        with open(
            os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "w", encoding="utf-8"
        ) as file:
            for piece in pieces:
                file.write(piece)
    _terminal.say(_terminal.words().gettext("Written: %(path)s", path=out))
    return 0


def _forget(config: settings.Settings, name: str, *, dry: bool, yes: bool) -> int:
    """First what would go, then the question, then it goes."""
    words = _terminal.words()
    _ = words.gettext
    planned = person.forget(config.data, config.backup_dir, name, dry=True)
    shown = _terminal.shown(name)
    rows = planned.rows
    if not (rows.any or planned.journal or planned.backups):
        _terminal.say(_("Nothing is kept of %(name)s.", name=shown))
        return 0 if dry else 1
    _terminal.say(
        _(
            "Of %(name)s: %(lines)d lines of figures, %(facts)d log-ins or accounts, %(incidents)d incidents, %(events)d"
            " events, %(others)d other rows; %(journal)d files of the journal, %(backups)d backups.",
            name=shown,
            lines=rows.series,
            facts=rows.facts,
            incidents=rows.incidents,
            events=rows.events,
            others=rows.others,
            journal=len(planned.journal),
            backups=len(planned.backups),
        )
    )
    if planned.comes_back:
        _terminal.say(
            _(
                "The account is still there: the next cycle names it again. Remove the account first, or set"
                " VIGIE_USERS=pseudonyms or off."
            )
        )
    if dry:
        return 0
    if not _terminal.confirmed(_("Remove all of it, for good, from the backups too?"), yes):
        _terminal.say(_("Nothing was changed. Add --yes to go on without a question."))
        return 1
    done = person.forget(config.data, config.backup_dir, name, dry=False)
    for problem in done.problems:
        _terminal.complain(_terminal.shown(problem))
    _terminal.say(_("%(name)s is forgotten.", name=shown) if not done.problems else _("What could be changed is."))
    return 1 if done.problems else 0
