"""`./vigie password`: set a password, or take a person out. Who may write the data folder needs no old one."""

import argparse
import getpass
import sys

from alerts.words import N_
from archive import clock, logins, settings
from web import first, passwords
from web.commands import _terminal

HELP = N_("set someone’s password; --reader for one who may only look, --remove to take one out")


def run(argv: list[str]) -> int:
    words = _terminal.words()
    _ = words.gettext
    parser = argparse.ArgumentParser(prog="vigie password", description=_(HELP))
    parser.add_argument("name", nargs="?", default="", help=_("whose; the only administrator when left out"))
    parser.add_argument("--reader", action="store_true", help=_("may look where log-in is needed, and change nothing"))
    parser.add_argument("--remove", action="store_true", help=_("take this person out; their sessions end"))
    asked = parser.parse_args(argv)
    data, now = settings.load().data, clock.now()
    with logins.reading(data) as db:
        people = logins.people(db)
    administrators = [one.name for one in people if one.role == "administrator"]
    name = asked.name or (administrators[0] if len(administrators) == 1 else "" if administrators else "admin")
    if not name:
        _terminal.complain(_("there are several administrators; say which: %(names)s", names=", ".join(administrators)))
        return 2
    if asked.remove:
        return _remove(data, name, administrators)
    password = _asked(_("Password of %(name)s: ", name=name), _("The same again: "))
    if password is None:
        _terminal.complain(_("The two are not the same."))
        return 1
    mistake = passwords.mistake(password, name)
    if mistake:
        _terminal.complain(_(mistake))
        return 1
    kept = passwords.hashed(password)
    role = "reader" if asked.reader else "administrator"
    if role == "reader" and administrators == [name]:
        _terminal.complain(_("%(name)s is the only administrator, and stays one", name=name))
        return 1
    with logins.writing(data) as db:
        logins.set_password(db, name, role, kept, now)
        if role == "administrator":
            first.forget(data)
    _terminal.say(_("The password of %(name)s is set; their sessions have ended.", name=name))
    return 0


def _asked(question: str, again: str) -> str | None:
    """Twice at a terminal, without showing it; one line from a pipe."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    password = getpass.getpass(question)
    return password if getpass.getpass(again) == password else None


def _remove(data: str, name: str, administrators: list[str]) -> int:
    _ = _terminal.words().gettext
    if administrators == [name]:
        _terminal.complain(_("%(name)s is the only administrator, and stays one", name=name))
        return 1
    with logins.writing(data) as db:
        gone = logins.remove(db, name)
    if not gone:
        _terminal.complain(_("there is nobody named %(name)s", name=name))
        return 1
    _terminal.say(_("%(name)s is taken out.", name=name))
    return 0
