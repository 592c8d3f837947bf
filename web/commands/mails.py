"""`./vigie mails`: the ledger of mails; `--retry` puts what was held or refused back in the queue."""

import argparse

from alerts.words import N_, Words
from archive import clock, database, outbox, recipients, settings
from archive.outbox import Delivery, Entry
from web.commands import _terminal

HELP = N_("list every mail and what its server said; --retry queues again what was held or refused")
_STATES = {
    "queued": N_("In the queue"), "accepted": N_("Accepted"), "refused": N_("Refused"), "held": N_("Held"),
    "dropped": N_("Told otherwise"),
}  # fmt: skip
_COLOURS = {"accepted": "32", "queued": "33", "held": "31;1", "refused": "31;1", "dropped": "2"}


def run(argv: list[str]) -> int:
    words = _terminal.words()
    _ = words.gettext
    parser = argparse.ArgumentParser(prog="vigie mails", description=_(HELP))
    parser.add_argument("-n", type=int, default=20, metavar=_("NUMBER"), help=_("how many, newest first"))
    parser.add_argument("--retry", nargs="?", const=0, type=int, metavar=_("NUMBER"), help=_("queue again, one or all"))
    asked = parser.parse_args(argv)
    config, now = settings.load(), clock.now()
    if asked.retry is not None:
        with database.writer(config.data) as db, database.transaction(db):
            count = outbox.retry(db, now, asked.retry or None)
        _terminal.say(
            words.ngettext(
                "%(num)s is tried again by the next cycle.", "%(num)s are tried again by the next cycle.", count
            )
        )
        return 0
    with database.reader(config.data) as db:
        entries = outbox.ledger(db, max(1, min(asked.n, 10_000)))
        summary = outbox.summary(db)
        everybody = recipients.in_force(db, config)
    colour = _terminal_has_colour()
    for entry in reversed(entries):
        for line in lines(entry, words, now, colour):
            _terminal.say(line)
    _terminal.say(totals(summary, words, now))
    if not everybody:
        _terminal.say(_("Nobody is set to receive mails: write VIGIE_MAIL_TO in data/settings.env."))
    return 1 if summary.held or (summary.oldest_at is not None and now - summary.oldest_at > outbox.LATE) else 0


def lines(entry: Entry, words: Words, now: int, colour: bool = False) -> list[str]:
    """One mail: its number, time and subject; below, each recipient with its state and the server's words."""
    mail = entry.notification
    found = [f"{mail.id:>5}  {words.moment(mail.at, now)}  {_terminal.shown(mail.subject)}"]
    if not entry.deliveries:
        found.append(f"       {words.gettext('No recipient set')}")
    return found + [f"       {_delivery(one, words, now, colour)}" for one in entry.deliveries]


def totals(summary: outbox.Summary, words: Words, now: int) -> str:
    """The outbox in a line."""
    counts = (
        ("queued", summary.queued),
        ("accepted", summary.accepted),
        ("refused", summary.refused),
        ("held", summary.held),
    )
    text = ", ".join(f"{words.gettext(_STATES[state])} {words.number(count)}" for state, count in counts if count)
    if summary.oldest_at is not None:
        text += "; " + words.gettext("the oldest unsent is from %(when)s", when=words.ago(summary.oldest_at, now))
    return text or words.gettext("No mail was owed yet.")


def _delivery(one: Delivery, words: Words, now: int, colour: bool) -> str:
    state = words.gettext(_STATES[one.state])
    if colour:
        state = f"\033[{_COLOURS[one.state]}m{state}\033[0m"
    parts = [f"{_terminal.shown(one.recipient)}  {state}"]
    if one.done_at is not None and one.state == "accepted":
        parts.append(words.moment(one.done_at, now))
    if one.state == "queued" and one.tries:
        tries = words.ngettext("%(num)s try", "%(num)s tries", one.tries)
        parts.append(f"{tries}, {words.gettext('next %(when)s', when=words.ago(one.next_at, now))}")
    if one.reply:
        parts.append(_terminal.shown(one.reply))
    return "  ".join(parts)


def _terminal_has_colour() -> bool:
    import os
    import sys

    return sys.stdout.isatty() and "NO_COLOR" not in os.environ
