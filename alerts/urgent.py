"""The mail that cannot be recorded: the disk is full, or the database cannot be written. Told from memory, once an hour.

Everything else is written down before it is sent. Here that is what fails, so the mail goes out first and says itself
that it was not recorded. What throttles it is the time of a file that is there already: a full disk takes no new one.
"""

import os
from collections.abc import Sequence

from alerts import mail, outbox, sendmail, smtp
from alerts.apprise_kind import Apprise
from alerts.outcome import ACCEPTED, Courier, LoginRefused, Unreachable
from alerts.wording import labelled, one_line
from alerts.words import Words
from archive import database, recipients
from archive import outbox as rows
from archive.settings import Settings

EVERY = 3600  # seconds between two such mails
DEADLINE = 30.0


def tell(settings: Settings, what: str, now: int) -> str:
    """Mail `what` (one line that says what is wrong) to everybody, straight away. Returns what came of it, for the log.

    '' when it was told within the last hour, or when there is nobody to tell. Never raises.
    """
    who = recipients.addresses(settings)
    if not who or not _first_this_hour(settings.data, now):
        return ""
    words = Words(settings.language, settings.timezone)
    urls = [one for one in who if one.startswith(recipients.APPRISE)]
    mails = [one for one in who if one not in urls]
    taken = 0
    problems: list[str] = []
    for part in (part for part in (mails, urls) if part):
        try:
            talk = _courier(settings) if part is mails else Apprise(settings.notify_urls, DEADLINE)
            taken += _send(talk, settings, part, _message(settings, words, what, part, now))
        except (Unreachable, LoginRefused, OSError, ValueError) as problem:
            problems.append(str(problem))
    if not taken and problems:
        return f"not recorded and not mailed: {'; '.join(problems)}"
    return f"not recorded; mailed to {taken} of {len(who)}"


def _send(talk: Courier, settings: Settings, who: Sequence[str], message: bytes) -> int:
    """How many took it."""
    try:
        outcomes = talk.send(outbox.sender(settings), who, message)
    finally:
        talk.close()
    return sum(one.state == ACCEPTED for one in outcomes)


def _courier(settings: Settings) -> Courier:
    if settings.smtp_host:
        return smtp.connect(settings, deadline=DEADLINE)
    program = sendmail.find()
    if not program:
        raise Unreachable(outbox.NO_SERVER)
    return sendmail.Sendmail(program, DEADLINE)


def _message(settings: Settings, words: Words, what: str, who: Sequence[str], now: int) -> bytes:
    title = words.gettext("Vigie cannot write")
    subject = one_line(f"[{settings.host_name}] {labelled(words.gettext('CRITICAL'), title, words)}")
    text = "\n\n".join(
        (
            words.gettext("Vigie on %(host)s cannot write what it measures:", host=one_line(settings.host_name)),
            f"  {one_line(what, 400)}",
            words.gettext(
                "This mail comes from memory; it is not recorded, and neither are the measures since. The texts of the"
                " probes wait as long as there is room for them. Make room, then everything goes on by itself."
            ),
            f"{words.full(now)}\n{settings.url}",
        )
    )
    ident = rows.new_message_id(settings.host_name, "urgent", now)
    notification = rows.Notification(0, 0, now, "urgent", ident, ident, subject, "{}")
    content = mail.Content(subject, text, "")
    return mail.assemble(content, notification, [], who, outbox.sender(settings), settings.host_name, now)


def _first_this_hour(data: str, now: int) -> bool:
    """Whether none was sent within the hour; from now on one was."""
    path = os.path.join(data, database.MARK)
    try:
        if 0 <= now - os.stat(path).st_mtime < EVERY:
            return False
        os.utime(path, (now, now))
    except OSError:
        # Read-only, or nothing there at all: the first minutes of each hour must do.
        return now % EVERY < 300
    return True
