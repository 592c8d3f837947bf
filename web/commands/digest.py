"""`./vigie digest`: prints the weekly digest as it would be sent now; `--send` owes it to the recipients."""

import argparse

from alerts import digest, fleet_digest, outbox
from alerts.words import N_
from archive import clock, database, settings
from archive.fleet import members
from web.commands import _terminal

HELP = N_("print the weekly digest as of now; --send mails it")


def run(argv: list[str]) -> int:
    words = _terminal.words()
    _ = words.gettext
    parser = argparse.ArgumentParser(prog="vigie digest", description=_(HELP))
    parser.add_argument("--send", action="store_true", help=_("mail it now"))
    asked = parser.parse_args(argv)
    config, now = settings.load(), clock.now()
    with database.reader(config.data) as db:
        mails = [digest.make(db, config, words, now)]
        if members.any_joined(db) and fleet_digest.wanted(db, now - digest.WEEK, now):
            mails.append(fleet_digest.make(db, config, words, now))
    if not asked.send:
        for ready in mails:
            _terminal.say(f"{ready.subject}\n")
            for line in ready.text.split("\n"):
                _terminal.say(line)
        return 0
    with database.writer(config.data) as db, database.transaction(db):
        count = digest.owe(db, config, now)
    if not count:
        _terminal.complain(_("nobody to send to: write VIGIE_MAIL_TO in data/settings.env, or name an address"))
        return 2
    sent = outbox.run(config, now)
    if sent.reason:
        _terminal.complain(_terminal.shown(sent.reason))
    _terminal.say(words.ngettext("%(num)s mail left.", "%(num)s mails left.", sent.accepted))
    return 0 if sent.accepted and not sent.later else 1
