"""CERT-FR: its alerts and advisories, what each says, when the site was last read."""

import json

from flask import Blueprint, abort, render_template

from archive.certfr import publication, safe, schedule
from archive.certfr import rows as publications
from archive.certfr.publication import Publication, PublicationError
from web import asking, store
from web.shell import present
from web.svg import publication as shown
from web.words import words

bp = Blueprint("security", __name__)
MOST = {"alerte": 60, "avis": 60}
KINDS = ("alerte", "avis")


@bp.route("/security")
def page() -> str:
    """Alerts in force first; `?kind=avis` for the advisories."""
    kind = asking.one("kind", KINDS, "alerte")
    rows = publications.latest(store.db(), kind, MOST[kind])
    done, total = publications.first_reading(store.db())
    return render_template(
        "security.html",
        kind=kind,
        in_force=[row for row in rows if row.status == "open"],
        rows=[row for row in rows if row.status != "open"],
        reading=schedule.source(store.db(), schedule.ROUND),
        done=done,
        total=total,
        state=present(),
        now=store.now(),
    )


@bp.route("/security/<reference>")
def one(reference: str) -> str:
    """One publication, as CERT-FR wrote it, made safe to show; and what changed in it since."""
    row = publications.row(store.db(), reference) if len(reference) < 64 else None
    if row is None:
        abort(404)
    told = _parsed(row.body)
    mirror = store.settings().certfr_url
    return render_template(
        "advisory.html",
        row=row,
        told=told,
        summary=shown(safe.to_html(told.summary if told else row.summary, mirror=mirror)),
        content=shown(safe.to_html(told.content, mirror=mirror)) if told else "",
        systems_note=shown(safe.to_html(told.systems_note, mirror=mirror, markdown=False)) if told else "",
        history=publications.history(store.db(), reference),
        link=row.url if safe.is_link(row.url, mirror) or row.url.startswith(f"{mirror}/") else "",
        words=words(),
        now=store.now(),
    )


def _parsed(body: str | None) -> Publication | None:
    """What was kept, by today's parser; None where only a list named it."""
    try:
        return publication.parse(json.loads(body or ""))
    except (ValueError, RecursionError, PublicationError, AttributeError):
        return None
