"""The mail about CERT-FR publications that have just come to concern this machine: one for all of a round, never the past.

An alert is told when it becomes *affected*, or is revised while it is; an avis only when an update is there to take.
"""

import sqlite3
from collections.abc import Sequence

from jinja2 import Environment, FileSystemLoader

from alerts import owed, wording
from alerts.words import Words
from archive import read
from archive.certfr import machine, offer
from archive.certfr.machine import Kept
from archive.certfr.verdict import reason_text
from archive.settings import ROOT


def owe(
    db: sqlite3.Connection,
    host: int,
    told: Sequence[tuple[int, bool]],
    recipients: tuple[str, ...],
    url: str,
    words: Words,
    now: int,
) -> int | None:
    """Owe one mail for what `archive.certfr.machine.store` gave back, within the caller's transaction.

    Returns the mail's number; None when nothing is worth one.
    """
    found = [(kept, revised) for kept, revised in machine.affected(db, host, told) if worth(kept)]
    if not found:
        return None
    name = read.host(db, host).name
    first = found[0][0]
    rest = len(found) - 1
    subject = words.gettext(
        "[%(host)s] CERT-FR: %(reference)s concerns this machine", host=name, reference=first.reference
    )
    if rest:
        subject += " " + words.ngettext("(and %(num)s more)", "(and %(num)s more)", rest)
    text, html = compose(name, subject, found, url, words, now)
    return owed.owe_ready(db, host, "advisory", wording.one_line(subject), text, html, recipients, now)


def worth(kept: Kept) -> bool:
    """Alerts always; an avis when there is something to do about it today."""
    return kept.kind == "alerte" or bool(kept.offered)


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
            "link": f"{url}/security/{kept.reference}",
        }
        for kept, revised in found
    ]
    env = Environment(loader=FileSystemLoader(f"{ROOT}/templates"), autoescape=True)
    words.install(env)
    plain = env.overlay(autoescape=False)
    footer = (
        words.gettext("Source: CERT-FR / ANSSI (www.cert.ssi.gouv.fr). No finding is no guarantee."),
        words.gettext("All publications: %(url)s", url=f"{url}/security"),
    )
    sheet = {"language": words.language, "subject": subject, "host": name, "when": words.full(now), "footer": footer}
    context = {"sheet": sheet, "items": items}
    return (
        plain.get_template("mail/advisory.txt").render(context),
        env.get_template("mail/advisory.html").render(context),
    )
