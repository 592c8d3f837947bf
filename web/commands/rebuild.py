"""`./vigie rebuild`: loads the journal again, after a restore."""

import argparse

from alerts.words import N_
from archive import clock, database, privacy, rebuild, settings
from web.commands import _terminal

HELP = N_("load the text journal again (after a restore): what is known changes nothing")


def run(argv: list[str]) -> int:
    words = _terminal.words()
    _ = words.gettext
    argparse.ArgumentParser(prog="vigie rebuild", description=_(HELP)).parse_args(argv)
    config, now = settings.load(), clock.now()
    with database.writer(config.data, 60.0) as db:
        privacy.settle(db, config.data, config.users, now)
        new, refused = rebuild.replay(config.data, db, now)
    for line in refused:
        _terminal.say(_("skipped: %(reason)s", reason=_terminal.shown(line)))
    _terminal.say(
        words.ngettext("%(num)s cycle came back from the journal.", "%(num)s cycles came back from the journal.", new)
    )
    return 1 if refused else 0
