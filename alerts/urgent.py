"""The mail that cannot be recorded: the disk is full, or the database cannot be written. Told from memory, once an hour.

Everything else is written down before it is sent. Here that is what fails, so the mail goes out first and says itself
that it was not recorded. What throttles it is the time of a file that is there already: a full disk takes no new one.
"""

import os

from alerts import mail, outbox, sendmail, smtp
from alerts.outcome import ACCEPTED, Courier, LoginRefused, Unreachable
from alerts.wording import labelled, one_line
from alerts.words import Words
from archive import database
from archive import outbox as rows
from archive.settings import Settings

EVERY = 3600  # seconds between two such mails
DEADLINE = 30.0


def tell(settings: Settings, what: str, now: int) -> str:
    """Mail `what` (one line that says what is wrong) to everybody, straight away. Returns what came of it, for the log.

    '' when it was told within the last hour, or when there is nobody to tell. Never raises.
    """
    who = settings.mail_to
    if not who or not _first_this_hour(settings.data, now):
        return ""
    words = Words(settings.language, settings.timezone)
    try:
        talk = _courier(settings)
        try:
            outcomes = talk.send(outbox.sender(settings), who, _message(settings, words, what, now))
        finally:
            talk.close()
    except (Unreachable, LoginRefused, OSError, ValueError) as problem:
        return f"not recorded and not mailed: {problem}"
    taken = sum(one.state == ACCEPTED for one in outcomes)
    return f"not recorded; mailed to {taken} of {len(who)}"


def _courier(settings: Settings) -> Courier:
    if settings.smtp_host:
        return smtp.connect(settings, deadline=DEADLINE)
    program = sendmail.find()
    if not program:
        raise Unreachable(outbox.NO_SERVER)
    return sendmail.Sendmail(program, DEADLINE)


def _message(settings: Settings, words: Words, what: str, now: int) -> bytes:
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
    return mail.assemble(content, notification, [], settings.mail_to, outbox.sender(settings), settings.host_name, now)


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
