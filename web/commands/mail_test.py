"""`./vigie mail-test`: sends a real mail and prints the conversation with the server, the password hidden."""

import argparse

from alerts import apprise_kind, mail, outbox, sendmail, smtp, wording
from alerts.mail import Content
from alerts.outcome import ACCEPTED, Courier, LoginRefused, Outcome, Unreachable
from alerts.words import N_, Words
from archive import clock, database, read, recipients, settings
from archive import outbox as rows
from archive.settings import Settings
from web.commands import _terminal

HELP = N_("send a test mail and show the conversation with the mail server")


def run(argv: list[str]) -> int:
    words = _terminal.words()
    _ = words.gettext
    parser = argparse.ArgumentParser(prog="vigie mail-test", description=_(HELP))
    parser.add_argument("recipient", nargs="*", help=_("addresses; without any, everybody who is mailed"))
    asked = parser.parse_args(argv)
    config, now = settings.load(), clock.now()
    who = tuple(asked.recipient) or recipients.addresses(config)
    if not who:
        _terminal.complain(_("nobody to send to: write VIGIE_MAIL_TO in data/settings.env, or name an address"))
        return 2
    outcomes: list[Outcome] = []
    try:
        for part, talk in _couriers(config, who):
            try:
                outcomes += talk.send(outbox.sender(config), part, _message(config, words, part, now))
            finally:
                talk.close()
    except (Unreachable, LoginRefused) as problem:
        _terminal.complain(_terminal.shown(str(problem)))
        _note(config, who, [Outcome(one, "later", str(problem)) for one in who], now, words)
        return 1
    for one in outcomes:
        sign = "ok" if one.state == ACCEPTED else "!!"
        _terminal.say(f"  {sign}  {_terminal.shown(one.recipient)}  {_terminal.shown(one.reply)}")
    _note(config, who, outcomes, now, words)
    if all(one.state == ACCEPTED for one in outcomes):
        _terminal.say(_("The server has taken it. Look into the mailbox, and into its spam."))
        return 0
    return 1


def _couriers(config: Settings, who: tuple[str, ...]) -> list[tuple[tuple[str, ...], Courier]]:
    """Who goes by which way, the way open."""
    urls = tuple(one for one in who if one.startswith(recipients.APPRISE))
    mails = tuple(one for one in who if one not in urls)
    found: list[tuple[tuple[str, ...], Courier]] = []
    if mails:
        found.append((mails, smtp.connect(config, _log) if config.smtp_host else _sendmail()))
    if urls:
        found.append((urls, apprise_kind.Apprise(config.notify_urls)))
    return found


def _sendmail() -> Courier:
    program = sendmail.find()
    if not program:
        raise Unreachable(outbox.NO_SERVER)
    _log(f"* {program} -i -f FROM -- RECIPIENTS")
    return sendmail.Sendmail(program)


def _log(line: str) -> None:
    _terminal.say(f"  {_terminal.shown(line)}")


def _message(config: Settings, words: Words, who: tuple[str, ...], now: int) -> bytes:
    subject, text = _content(config, words, now)
    ident = rows.new_message_id(config.host_name, "test", now)
    notification = rows.Notification(0, 1, now, "test", ident, ident, subject, "{}")
    return mail.assemble(
        Content(subject, text, ""), notification, [], who, outbox.sender(config), config.host_name, now
    )


def _content(config: Settings, words: Words, now: int) -> tuple[str, str]:
    subject = words.gettext("[%(host)s] Test mail of Vigie", host=config.host_name)
    text = words.gettext(
        "This is a test. If you read it, Vigie on %(host)s can reach you: incidents come the same way.",
        host=config.host_name,
    )
    return wording.one_line(subject), f"{text}\n\n{words.full(now)}\n{config.url}\n"


def _note(config: Settings, who: tuple[str, ...], outcomes: list[Outcome], now: int, words: Words) -> None:
    """In the ledger like any other mail; and a log-in that works again frees what it held. Without a database: nothing."""
    subject = _content(config, words, now)[0]
    try:
        with database.writer(config.data) as db, database.transaction(db):
            ident = rows.new_message_id(read.host(db).name, "test", now)
            number = rows.add(db, 1, now, "test", "", ident, subject, '{"text": "", "html": ""}')
            rows.queue(db, number, who, now)
            for one in outcomes:
                # A test is never sent again later: what did not leave now is over.
                state = "accepted" if one.state == ACCEPTED else "refused"
                rows.mark(db, number, one.recipient, state, 0, now, config.smtp_host, one.reply)
            if any(one.state == ACCEPTED for one in outcomes):
                rows.free_held(db, now)
    except database.DatabaseError as error:
        _terminal.complain(words.gettext("the ledger could not be written: %(why)s", why=str(error)))
