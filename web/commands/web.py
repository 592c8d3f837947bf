"""`./vigie web`: the dashboard in the foreground."""

import argparse

from alerts.words import N_
from web import serve
from web.commands import _terminal

HELP = N_("run the dashboard in the foreground; Ctrl-C stops it")


def run(argv: list[str]) -> int:
    _ = _terminal.words().gettext
    argparse.ArgumentParser(prog="vigie web", description=_(HELP)).parse_args(argv)
    return serve.main()
