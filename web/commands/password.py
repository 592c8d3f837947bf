"""`./vigie password`: set a password, or take a person out. Who may write the data folder needs no old one.

`./vigie user` does the same by subcommands; its steps stand here.
"""

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
    administrators = administrators_of(data)
    name = asked.name or (administrators[0] if len(administrators) == 1 else "" if administrators else "admin")
    if not name:
        _terminal.complain(_("there are several administrators; say which: %(names)s", names=", ".join(administrators)))
        return 2
    if asked.remove:
        return remove(data, name)
    return put(data, name, "reader" if asked.reader else "administrator", now)


def administrators_of(data: str) -> list[str]:
    with logins.reading(data) as db:
        return [one.name for one in logins.people(db) if one.role == "administrator"]


def put(data: str, name: str, role: str, now: int) -> int:
    """Ask for a password and keep it with this role; the person's sessions end. Returns the exit status."""
    _ = _terminal.words().gettext
    password = _asked(_("Password of %(name)s: ", name=name), _("The same again: "))
    if password is None:
        _terminal.complain(_("The two are not the same."))
        return 1
    mistake = passwords.mistake(password, name)
    if mistake:
        _terminal.complain(_(mistake))
        return 1
    kept = passwords.hashed(password)
    if role == "reader" and administrators_of(data) == [name]:
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


def remove(data: str, name: str) -> int:
    """Take a person out; their sessions end. Returns the exit status."""
    _ = _terminal.words().gettext
    if administrators_of(data) == [name]:
        _terminal.complain(_("%(name)s is the only administrator, and stays one", name=name))
        return 1
    with logins.writing(data) as db:
        gone = logins.remove(db, name)
    if not gone:
        _terminal.complain(_("there is nobody named %(name)s", name=name))
        return 1
    _terminal.say(_("%(name)s is taken out.", name=name))
    return 0
