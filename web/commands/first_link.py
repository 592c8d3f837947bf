"""`./vigie first-link`: the one-time link that sets the first administrator's password."""

import argparse

from alerts.words import N_
from archive import clock, settings
from web import first
from web.commands import _terminal

HELP = N_("print the one-time link that sets the first administrator’s password")


def run(argv: list[str]) -> int:
    """0 with the link; 1 when there is an administrator already."""
    _ = _terminal.words().gettext
    argparse.ArgumentParser(prog="vigie first-link", description=_(HELP)).parse_args(argv)
    link = first.first_link(settings.load(), clock.now())
    if link is None:
        _terminal.complain(_("there is an administrator already; ./vigie password sets a new password"))
        return 1
    _terminal.say(link)
    return 0
