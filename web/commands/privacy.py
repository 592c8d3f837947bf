"""`./vigie privacy`: what is kept of people and for how long; `--days` sets the retention of what names them."""

import argparse

from alerts.words import N_, Words
from archive import clock, database, events, people, people_old, privacy, pseudonyms, settings
from web.commands import _terminal

HELP = N_("what is kept of people, and how long; --days sets it")
_MODES = {
    "names": N_("users are kept by name"),
    "pseudonyms": N_("users are kept by pseudonym"),
    "off": N_("nothing is kept that says whose it is"),
}


def run(argv: list[str]) -> int:
    """0 well; 1 nothing was changed."""
    words = _terminal.words()
    _ = words.gettext
    parser = argparse.ArgumentParser(prog="vigie privacy", description=_(HELP))
    parser.add_argument("--days", type=int, metavar=_("NUMBER"), help=_("keep what names people for so many days"))
    parser.add_argument("--yes", action="store_true", help=_("do not ask"))
    asked = parser.parse_args(argv)
    config, now = settings.load(), clock.now()
    if asked.days is not None:
        return _set(config, asked.days, now, yes=asked.yes)
    with database.reader(config.data) as db:
        mode, days, oldest, names = pseudonyms.kept(db), people.days(db), people_old.oldest(db), people.known(db)
    _terminal.say(_("VIGIE_USERS=%(mode)s: %(words)s", mode=mode, words=_(_MODES[mode])))
    if mode != config.users:
        _terminal.say(_("From the next cycle on: VIGIE_USERS=%(mode)s", mode=config.users))
        _terminal.say(announced(words, mode, config.users, len(names)))
    _terminal.say(
        words.ngettext(
            "What names people is kept for %(num)s day.", "What names people is kept for %(num)s days.", days
        )
    )
    _terminal.say(words.ngettext("%(num)s name is kept.", "%(num)s names are kept.", len(names)))
    if oldest is not None:
        _terminal.say(_("The oldest is of %(when)s.", when=words.moment(oldest, now)))
    return 0


def announced(words: Words, kept: str, wanted: str, names: int) -> str:
    """What the next cycle will do to what is kept, because VIGIE_USERS was changed: it asks nobody, and it is for good."""
    _ = words.gettext
    if wanted == "names":
        return _("What was hidden cannot be shown again; names are kept of what comes.")
    if not names:
        return _("Nothing that is kept names anybody: only what comes changes.")
    if wanted == "off":
        return words.ngettext(
            "It removes for good what is kept of %(num)s person, backups too. To keep it, put VIGIE_USERS=%(kept)s back before then.",
            "It removes for good what is kept of %(num)s people, backups too. To keep it, put VIGIE_USERS=%(kept)s back before then.",
            names,
            kept=kept,
        )
    return words.ngettext(
        "It puts a pseudonym in the place of %(num)s name for good, in backups too. To keep it, put VIGIE_USERS=%(kept)s back before"
        " then.",
        "It puts pseudonyms in the place of %(num)s names for good, in backups too. To keep them, put VIGIE_USERS=%(kept)s back before"
        " then.",
        names,
        kept=kept,
    )


def _set(config: settings.Settings, days: int, now: int, *, yes: bool) -> int:
    words = _terminal.words()
    _ = words.gettext
    if not people.LEAST_DAYS <= days <= people.MOST_DAYS:
        _terminal.complain(
            _(
                "--days %(days)d: from %(least)d to %(most)d days are taken",
                days=days,
                least=people.LEAST_DAYS,
                most=people.MOST_DAYS,
            )
        )
        return 1
    with database.reader(config.data) as db:
        before, oldest = people.days(db), people_old.oldest(db)
    if days < before and oldest is not None and oldest < now - days * people.DAY:
        _terminal.say(_("What names people and is older than %(days)d days will be removed.", days=days))
        if not _terminal.confirmed(_("Go on?"), yes):
            _terminal.say(_("Nothing was changed. Add --yes to go on without a question."))
            return 1
    with database.writer(config.data) as db, database.transaction(db):
        people.set_days(db, days, "vigie privacy", now)
        events.add(db, 1, now, "setting", people.SETTING, str(days))
    reason = privacy.purge_now(config.data, now)
    if reason:
        _terminal.say(_("It begins once the clock can be trusted: %(reason)s", reason=_(reason)))
    _terminal.say(_("Kept for %(days)d days from now on; the backups follow within a month.", days=days))
    return 0
