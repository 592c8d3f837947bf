"""The mail about CERT-FR publications that have just come to concern this machine: one for all of a round, never the past.

An alert is told when it becomes *affected*, or is revised while it is; an avis only when an update is there to take.
"""

import sqlite3
from collections.abc import Sequence

from alerts import owed, wording
from alerts.mail import TEMPLATES, environment
from alerts.words import Words
from archive import read, recipients
from archive.certfr import machine, offer
from archive.certfr.machine import Kept
from archive.certfr.verdict import reason_text
from archive.recipients import Recipient


def owe(
    db: sqlite3.Connection,
    host: int,
    told: Sequence[tuple[int, bool]],
    everyone: Sequence[Recipient],
    url: str,
    words: Words,
    now: int,
) -> int | None:
    """Owe what `archive.certfr.machine.store` gave back, one mail a language, within the caller's transaction.

    Who hears only of what is critical hears of alerts, not of avis. `words` is the setting's language. Returns the last
    mail's number; None when nothing is worth one, or nobody is there to read it.
    """
    found = [(kept, revised) for kept, revised in machine.affected(db, host, told) if worth(kept)]
    if not found:
        return None
    mail = None
    grave = any(kept.kind == "alerte" for kept, _ in found)
    hearing = [one for one in everyone if one.hears("critical" if grave else "warning")]
    groups = recipients.by_language(hearing, words.language)
    if not everyone:
        groups = {words.language: []}  # the ledger says that nobody is set
    for language, who in groups.items():
        mail = _owe(db, host, found, who, url, Words(language, words.timezone), now)
    return mail


def _owe(
    db: sqlite3.Connection,
    host: int,
    found: Sequence[tuple[Kept, bool]],
    who: Sequence[str],
    url: str,
    words: Words,
    now: int,
) -> int:
    name = read.host(db, host).name
    first = found[0][0]
    rest = len(found) - 1
    subject = words.gettext(
        "[%(host)s] CERT-FR: %(reference)s concerns this machine", host=name, reference=first.reference
    )
    if rest:
        subject += " " + words.ngettext("(and %(num)s more)", "(and %(num)s more)", rest)
    text, html = compose(name, subject, found, url, words, now)
    return owed.owe_ready(db, host, "advisory", wording.one_line(subject), text, html, who, now)


def worth(kept: Kept) -> bool:
    """Alerts always; an avis when there is something to do about it today."""
    return kept.kind == "alerte" or bool(kept.offered) or kept.reason.key == "kernel_reboot"


def compose(
    name: str, subject: str, found: Sequence[tuple[Kept, bool]], url: str, words: Words, now: int
) -> tuple[str, str]:
    """(text part, HTML part): the same words."""
    items = [
        {
            "kept": kept,
            "revised": revised,
            "why": reason_text(kept.as_verdict(), words.language),
            "command": offer.command(kept.package) if kept.offered else "",
            "restart": kept.reason.key == "kernel_reboot",
            "link": f"{url}/security/{kept.reference}",
        }
        for kept, revised in found
    ]
    footer = (
        words.gettext("Source: CERT-FR / ANSSI (www.cert.ssi.gouv.fr). No finding is no guarantee."),
        words.gettext("All publications: %(url)s", url=f"{url}/security"),
    )
    sheet = {"language": words.language, "subject": subject, "host": name, "when": words.full(now), "footer": footer}
    context = {"sheet": sheet, "items": items}
    text, html = (
        environment(words.language, words.timezone, TEMPLATES, html=kind == "html")
        .get_template(f"mail/advisory.{kind}")
        .render(context)
        for kind in ("txt", "html")
    )
    return text, html
