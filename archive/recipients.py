"""Who is mailed, and what of it: the rows of the page and of `./vigie recipients`; VIGIE_MAIL_TO while there is none.

The path that runs every minute reads this, so it imports the standard library only, and little of it.
"""

import json
import sqlite3
from collections.abc import Iterable
from typing import NamedTuple

from archive import changes, database
from archive.changes import Change
from archive.refused import Refused
from archive.settings import Settings, address

SUBJECT = "recipient:"  # how a recipient is called in the history of changes
APPRISE = "apprise:"  # how the name of an Apprise URL begins
LEVELS = ("warning", "critical")
LANGUAGES = ("", "fr", "en")
MOST = 200
TAKEN_OFF = "taken off the list of recipients"


class RecipientError(Refused):
    """A recipient that cannot be kept: `field` is address, level or language."""


class Recipient(NamedTuple):
    """`level`: the least that is mailed. `language`: '' for the setting's."""

    address: str
    level: str = "warning"
    digest: bool = True
    language: str = ""

    def hears(self, level: str) -> bool:
        """Whether something of this level is told to this recipient."""
        return self.level == "warning" or level == "critical"


class Row(NamedTuple):
    """A recipient as it is kept."""

    recipient: Recipient
    updated_at: int
    updated_by: str


def rows(db: sqlite3.Connection) -> list[Row]:
    """What is kept, by address."""
    found = db.execute(
        "SELECT address, level, digest, language, updated_at, updated_by FROM recipient ORDER BY address"
    )
    return [
        Row(Recipient(who, level, bool(digest), language), at, by) for who, level, digest, language, at, by in found
    ]


def in_force(db: sqlite3.Connection, settings: Settings) -> tuple[Recipient, ...]:
    """Everybody who is told: the rows' addresses, else VIGIE_MAIL_TO; then the Apprise URLs, by name."""
    kept = [row.recipient for row in rows(db)]
    mails = [one for one in kept if not one.address.startswith(APPRISE)]
    found = mails or [Recipient(who) for who in settings.mail_to]
    if settings.notify_urls:
        known = {one.address: one for one in kept}
        # A week's digest is no chat message: off there until it is asked for.
        names = [apprise_name(url) for url in settings.notify_urls]
        found = found + [known.get(name, Recipient(name, digest=False)) for name in names]
    return tuple(found)


def addresses(settings: Settings) -> tuple[str, ...]:
    """The same as addresses alone, also where the database cannot be read: those that the settings name, then."""
    try:
        with database.reader(settings.data) as db:
            return tuple(one.address for one in in_force(db, settings))
    except (database.DatabaseError, sqlite3.Error):
        return settings.mail_to + tuple(apprise_name(url) for url in settings.notify_urls)


def apprise_name(url: str) -> str:
    """How the outbox and the ledger call an Apprise URL: nothing of it but its kind can be read back."""
    import hashlib  # only where such a URL is set: it costs the minute a millisecond

    kind = "".join(c for c in url.partition("://")[0].lower() if c.isalnum() or c in "+-")[:20]
    return f"{APPRISE}{kind}:{hashlib.sha256(url.encode()).hexdigest()[:8]}"


def save(db: sqlite3.Connection, recipient: Recipient, by: str, now: int) -> None:
    """Add, or change what is there. Within the caller's transaction. Raises RecipientError that names the field."""
    who = recipient.address
    if not who.startswith(APPRISE):
        check_address(who)
    if recipient.level not in LEVELS:
        raise RecipientError("level", "Expected warning or critical, not %(value)s.", value=repr(recipient.level))
    if recipient.language not in LANGUAGES:
        raise RecipientError("language", "Expected fr or en, not %(value)s.", value=repr(recipient.language))
    count = db.execute("SELECT count(*) FROM recipient WHERE address <> ?", (who,)).fetchone()[0]
    if count >= MOST:
        raise RecipientError("address", "There are %(count)s recipients already; take one off first.", count=str(count))
    before = _row(db, who)
    db.execute(
        "INSERT INTO recipient VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (address) DO UPDATE SET level=excluded.level,"
        " digest=excluded.digest, language=excluded.language, updated_at=excluded.updated_at,"
        " updated_by=excluded.updated_by",
        (who, recipient.level, int(recipient.digest), recipient.language, now, by),
    )
    if before is None or before._replace(address=who) != recipient:
        changes.note(db, now, by, "setting", SUBJECT + who, to_json(before), to_json(recipient))


def adopt(db: sqlite3.Connection, settings: Settings, by: str, now: int) -> None:
    """Before the first change: those of VIGIE_MAIL_TO become rows, so that adding one takes nobody off unseen."""
    if not any(not row.recipient.address.startswith(APPRISE) for row in rows(db)):
        for who in settings.mail_to:
            save(db, Recipient(who), by, now)


def check_address(text: str) -> None:
    """Raises RecipientError where this is not exactly one address."""
    try:
        if len(text) > 254:
            raise ValueError
        address(text)
    except ValueError:
        raise RecipientError(
            "address", "Expected one address such as name@example.org, not %(value)s.", value=repr(text[:80])
        ) from None


def remove(db: sqlite3.Connection, who: str, by: str, now: int) -> bool:
    """Take a recipient off the list, and with it what still waits for it: nobody reads there any more. Whether it was there.

    What it had accepted stays: its end is told, wherever it opened.
    """
    before = _row(db, who)
    row = db.execute("DELETE FROM recipient WHERE address=? RETURNING address", (who,)).fetchone()
    if row is None:
        return False
    db.execute(
        "UPDATE delivery SET state='dropped', done_at=?, reply=? WHERE recipient=? AND state IN ('queued', 'held', 'refused')",
        (now, TAKEN_OFF, row[0]),
    )
    changes.note(db, now, by, "setting", SUBJECT + row[0], to_json(before), "")
    return True


def undo(db: sqlite3.Connection, change: Change, by: str, now: int) -> None:
    """What stood before a change stands again, within the caller's transaction. Refused when it was changed again since."""
    if to_json(_row(db, change.subject.removeprefix(SUBJECT))) != change.after:
        raise RecipientError("change", "This recipient was changed again since: undo the newer change first.")
    before = from_json(change.before)
    if before is None:
        remove(db, change.subject.removeprefix(SUBJECT), by, now)
    else:
        save(db, before, by, now)


def to_json(recipient: Recipient | None) -> str:
    return json.dumps(recipient._asdict()) if recipient else ""


def from_json(text: str) -> Recipient | None:
    """A recipient as a change holds it; None for ''."""
    return Recipient(**json.loads(text)) if text else None


def _row(db: sqlite3.Connection, who: str) -> Recipient | None:
    found = db.execute("SELECT address, level, digest, language FROM recipient WHERE address=?", (who,)).fetchone()
    return Recipient(found[0], found[1], bool(found[2]), found[3]) if found else None


def by_language(recipients: Iterable[Recipient], default: str) -> dict[str, list[str]]:
    """{language: addresses}: a mail for each language that somebody reads."""
    found: dict[str, list[str]] = {}
    for one in recipients:
        found.setdefault(one.language or default, []).append(one.address)
    return found
