"""`./vigie recipients`: lists who is mailed; `add ADDRESS` adds or changes one, `remove ADDRESS` takes one off."""

import argparse
import sqlite3

from alerts.words import N_, Words
from archive import clock, database, recipients, settings
from archive.recipients import Recipient, RecipientError
from web.commands import _terminal

HELP = N_("list who is mailed; add ADDRESS, remove ADDRESS")
BY = "./vigie"


def run(argv: list[str]) -> int:
    words = _terminal.words()
    _ = words.gettext
    parser = argparse.ArgumentParser(prog="vigie recipients", description=_(HELP))
    parser.add_argument("what", nargs="?", choices=("list", "add", "remove"), default="list")
    parser.add_argument("address", nargs="*", help=_("one address or several"))
    parser.add_argument("--critical", action="store_true", help=_("only what is critical"))
    parser.add_argument("--no-digest", action="store_true", help=_("without the weekly digest"))
    parser.add_argument("--language", choices=("fr", "en"), default="")
    asked = parser.parse_args(argv)
    config, now = settings.load(), clock.now()
    if asked.what == "list":
        return _list(config, words)
    if not asked.address:
        _terminal.complain(
            _("which address? For example: ./vigie recipients %(what)s name@example.org", what=asked.what)
        )
        return 2
    try:
        with database.writer(config.data) as db, database.transaction(db):
            recipients.adopt(db, config, BY, now)
            missing = [who for who in asked.address if not _one(db, asked, who, now)]
    except RecipientError as error:
        _terminal.complain(_(error.message, **error.values))
        return 2
    for who in missing:
        _terminal.complain(_("%(address)s was not on the list.", address=_terminal.shown(who)))
    _list(config, words)
    return 1 if missing else 0


def _one(db: sqlite3.Connection, asked: argparse.Namespace, who: str, now: int) -> bool:
    """Add or remove one; False when it was not there."""
    if asked.what == "remove":
        return recipients.remove(db, who, now)
    level = "critical" if asked.critical else "warning"
    recipients.save(db, Recipient(who, level, not asked.no_digest, asked.language), BY, now)
    return True


def _list(config: settings.Settings, words: Words) -> int:
    _ = words.gettext
    with database.reader(config.data) as db:
        found = recipients.in_force(db, config)
        kept = {row.recipient.address for row in recipients.rows(db)}
    for one in found:
        parts = [_("critical ones only") if one.level == "critical" else _("warnings and critical ones")]
        if one.digest:
            parts.append(_("weekly digest"))
        parts += [one.language] if one.language else []
        parts += [] if one.address in kept else [_("from data/settings.env")]
        _terminal.say(f"{_terminal.shown(one.address)}  {', '.join(parts)}")
    if not found:
        _terminal.say(_("Nobody is mailed: ./vigie recipients add name@example.org"))
    return 0
