"""The opt-in mail to a person who fills the disk or holds the processor: the administrator's rule, and who was told when.

Off until an administrator switches it on. Times are UTC seconds; writing functions stand within the caller's transaction.
"""

import sqlite3
from collections.abc import Mapping
from typing import NamedTuple

from archive import read
from archive.recipients import RecipientError, check_address

DAY = 86_400
SWITCH, DOMAIN, CONTACT = "person_mail", "person_mail.domain", "person_mail.contact"
FIRST_UID, NOBODY = 1000, 65_534
MOST = 500


class Rule(NamedTuple):
    """`domain`: alice is written to at alice@domain; '' for nobody but those with an address of their own."""

    on: bool = False
    domain: str = ""
    contact: str = ""  # whom to write to; '' for the first recipient
    addresses: tuple[tuple[str, str], ...] = ()  # (user, address); '' means never

    def address_of(self, user: str) -> str:
        """Where this person is written to; '' for nowhere."""
        own = dict(self.addresses)
        found = own.get(user, f"{user}@{self.domain}" if self.domain else "")
        try:
            check_address(found)
        except RecipientError:
            return ""
        return found


class Account(NamedTuple):
    user: str
    home: str


def rule(db: sqlite3.Connection) -> Rule:
    """What the administrator set."""
    found = db.execute("SELECT user, address FROM person_address ORDER BY user").fetchall()
    return Rule(
        read.setting(db, SWITCH) == "on", read.setting(db, DOMAIN), read.setting(db, CONTACT),
        tuple((str(user), str(address)) for user, address in found),
    )  # fmt: skip


def save(db: sqlite3.Connection, wanted: Rule, by: str, now: int) -> None:
    """Keep the rule, all of it or nothing. Raises RecipientError: its field is domain, contact or addresses."""
    _check(wanted)
    for name, value in ((SWITCH, "on" if wanted.on else ""), (DOMAIN, wanted.domain), (CONTACT, wanted.contact)):
        db.execute(
            "INSERT INTO setting VALUES (?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET value=excluded.value,"
            " updated_at=excluded.updated_at, updated_by=excluded.updated_by",
            (name, value, now, by),
        )
    db.execute("DELETE FROM person_address")
    db.executemany("INSERT INTO person_address VALUES (?, ?)", wanted.addresses)


def parse_addresses(text: str) -> tuple[tuple[str, str], ...]:
    """`alice = alice@lab.example`, one a line; nothing after the = means never. Raises RecipientError that names the line."""
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        user, equals, address = (part.strip() for part in line.partition("="))
        if not equals or not user or len(user) > 64 or any(c.isspace() or not c.isprintable() for c in user):
            raise RecipientError(
                "addresses", "Line %(number)s: expected name = address, not %(value)s.",
                number=str(number), value=repr(line.strip()[:80]),
            )  # fmt: skip
        if user in found:
            raise RecipientError(
                "addresses", "Line %(number)s: %(user)s stands there already.", number=str(number), user=user
            )
        found[user] = address
    return tuple(sorted(found.items()))


def accounts(db: sqlite3.Connection, host: int) -> dict[str, Account]:
    """{name: account} of real people: those that can log in, with a number of 1000 or more."""
    found = {}
    for fact in read.facts(db, host, "account_info"):
        uid = fact.label("uid")
        if uid.isascii() and uid.isdigit() and len(uid) < 11 and int(uid) >= FIRST_UID and int(uid) != NOBODY:
            found[fact.label("user")] = Account(fact.label("user"), fact.label("home"))
    return found


def told_lately(db: sqlite3.Connection, host: int, user: str, now: int) -> bool:
    """Whether this person was written to within a day, whatever the clock did since."""
    row = db.execute("SELECT at FROM person_told WHERE host=? AND user=?", (host, user)).fetchone()
    return row is not None and abs(now - int(row[0])) < DAY


def note_told(db: sqlite3.Connection, host: int, user: str, incident: int, now: int) -> None:
    db.execute(
        "INSERT INTO person_told VALUES (?, ?, ?, ?) ON CONFLICT (host, user)"
        " DO UPDATE SET at=excluded.at, incident=excluded.incident",
        (host, user, now, incident),
    )


def last_told(db: sqlite3.Connection, host: int) -> Mapping[str, int]:
    """{user: when last written to}."""
    return {str(user): int(at) for user, at in db.execute("SELECT user, at FROM person_told WHERE host=?", (host,))}


def _check(wanted: Rule) -> None:
    if wanted.domain:
        try:
            check_address(f"name@{wanted.domain}")
        except RecipientError:
            raise RecipientError(
                "domain", "Expected a domain such as example.org, not %(value)s.", value=repr(wanted.domain[:80])
            ) from None
    if wanted.contact:
        try:
            check_address(wanted.contact)
        except RecipientError as error:
            raise RecipientError("contact", error.message, **error.values) from None
    if len(wanted.addresses) > MOST:
        raise RecipientError("addresses", "There are %(count)s lines; at most %(most)s are kept.",
                             count=str(len(wanted.addresses)), most=str(MOST))  # fmt: skip
    for _, address in wanted.addresses:
        if address:
            try:
                check_address(address)
            except RecipientError as error:
                raise RecipientError("addresses", error.message, **error.values) from None
    if wanted.on and not wanted.domain and not any(address for _, address in wanted.addresses):
        raise RecipientError("domain", "Give a domain, or an address for at least one person.")
