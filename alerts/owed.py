"""What is owed to whom, when transitions happen. Writes rows and nothing else, within the cycle's own transaction.

Imported by the path that runs every minute: the standard library only, and little of it. The words, the graph and the
evidence are put together when the mail leaves (alerts/mail.py), so that a late mail tells what is true by then.
"""

import json
import sqlite3
from collections.abc import Sequence

from archive import outbox
from archive.outbox import ENDINGS, Told
from archive.recipients import Recipient

NEVER_TOLD = "the end of what was never accepted here"
ONLY_CRITICAL = "only what is critical is mailed here"


def owe(
    db: sqlite3.Connection, host: int, transitions: Sequence[int], recipients: Sequence[Recipient], url: str, now: int
) -> list[int]:
    """Owe the transitions of one cycle: one mail, or one for each group of recipients that hear different things. Returns
    the mails' numbers.

    1. A beginning (opened, escalated, reminded...) is owed to every recipient who hears of its level.
    2. An end (resolved, gone) is owed to those who accepted a beginning of that incident, or still wait for one, even
       where they are no longer among the recipients set; to nobody else.
    3. Recipients who hear the same in the same language get one mail. Without any recipient the mail is kept without a delivery, and the
       ledger says "no recipient set".

    `url` is the dashboard's address for the links; `now` is UTC seconds.
    """
    told = outbox.transitions(db, transitions)
    if not told:
        return []
    name = _host_name(db, host)
    groups = _groups(db, told, recipients)
    known = [who for whos in groups.values() for who in whos]
    if not groups:
        groups = {("", tuple(one.transition for one in told)): []}
    mails = []
    for number, ((language, part), whos) in enumerate(groups.items()):
        these = [one for one in told if one.transition in part]
        mail = _add(db, host, name, these, url, language, now)
        outbox.queue(db, mail, whos, now)
        mails.append(mail)
        for one in recipients if number == 0 else ():
            if one.address not in known:
                why = NEVER_TOLD if any(one.hears(what.level) for what in told) else ONLY_CRITICAL
                outbox.drop(db, mail, [one.address], why, now)
    return mails


def owe_ready(
    db: sqlite3.Connection,
    host: int,
    kind: str,
    subject: str,
    text: str,
    html: str,
    recipients: Sequence[str],
    now: int,
    *,
    reply_to: str = "",
) -> int:
    """Owe a mail whose words are ready (digest, advisory, test, person). `html` may be ''. Returns its number."""
    words = {"text": text, "html": html} | ({"reply_to": reply_to} if reply_to else {})
    body = json.dumps(words, ensure_ascii=False)
    ident = outbox.new_message_id(_host_name(db, host), kind, now)
    mail = outbox.add(db, host, now, kind, "", ident, subject, body)
    outbox.queue(db, mail, recipients, now)
    return mail


def _groups(
    db: sqlite3.Connection, told: list[Told], recipients: Sequence[Recipient]
) -> dict[tuple[str, tuple[int, ...]], list[str]]:
    """{(language, transitions): the recipients who hear exactly these in it}, in the recipients' order."""
    ends = {one.incident for one in told if one.kind in ENDINGS}
    heard = outbox.heard(db, ends)
    hearers = {
        incident: heard.get(incident, {}).get("accepted", set()) | heard.get(incident, {}).get("queued", set())
        for incident in ends
    }
    # A delivery that was merged into another mail is found there, as accepted or queued.
    listed = {one.address for one in recipients}
    # Who is no longer on the list hears ends alone: of what was accepted there.
    others = [Recipient(who) for who in sorted(set().union(*hearers.values()) - listed)]
    groups: dict[tuple[str, tuple[int, ...]], list[str]] = {}
    for who in [*recipients, *others]:
        begun = {one.incident for one in told if _begins_for(who, one, listed)}
        hears = tuple(
            one.transition
            for one in told
            if _begins_for(who, one, listed)
            or (one.kind in ENDINGS and (one.incident in begun or who.address in hearers[one.incident]))
        )
        if hears:
            groups.setdefault((who.language, hears), []).append(who.address)
    return groups


def _begins_for(who: Recipient, one: Told, listed: set[str]) -> bool:
    return one.kind not in ENDINGS and who.address in listed and who.hears(one.level)


def _add(db: sqlite3.Connection, host: int, name: str, told: list[Told], url: str, language: str, now: int) -> int:
    incidents = list(dict.fromkeys(one.incident for one in told))
    earlier = outbox.first_mails(db, incidents)
    ident = outbox.new_message_id(name, "incident", now)
    mail = outbox.add(
        db, host, now, "incident", earlier[0] if earlier else "", ident, _plain_subject(name, told),
        json.dumps({"url": url, "language": language} if language else {"url": url}),
    )  # fmt: skip
    outbox.tell(db, mail, told)
    return mail


def _plain_subject(name: str, told: list[Told]) -> str:
    """What the ledger shows until the mail is made in the reader's language."""
    first = told[-1]
    more = f" (+{len(told) - 1})" if len(told) > 1 else ""
    labels = " ".join(json.loads(first.labels).values()) if first.labels != "{}" else ""
    return f"[{name}] {first.kind} {first.level}: {first.metric} {labels}".rstrip()[:200] + more


def _host_name(db: sqlite3.Connection, host: int) -> str:
    from archive import read

    return read.host(db, host).name
