"""`./vigie user`: who may log in to the dashboard, and what is kept of a person of the machine.

add, list, password, remove, sessions, logout are about log-ins; export and forget about what Vigie keeps of a user of
the machine (docs/privacy.md). Who may write the data folder may do all of it.
"""

import argparse

from alerts.words import N_
from archive import clock, logins, settings
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
    asked = parser.parse_args(argv)
    config, now = settings.load(), clock.now()
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
