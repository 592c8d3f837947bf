"""CERT-FR: which publications concern this machine and why, what each says, when the site was last read."""

import json

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from alerts.words import N_
from archive.certfr import machine, offer, publication, safe, schedule
from archive.certfr import rows as publications
from archive.certfr.machine import Kept
from archive.certfr.publication import Publication, PublicationError
from archive.certfr.verdict import reason_text
from web import asking, concerned, machines, readings, store
from web.shell import present
from web.svg import publication as shown
from web.words import _, words

bp = Blueprint("security", __name__)
MOST = 50
KINDS = ("", "alerte", "avis")
# «Concerné», «à vérifier», «non concerné»: not the words of health.
VERDICTS = {"affected": N_("Affected"), "to_check": N_("To check"), "not_affected": N_("Not affected")}
BADGES = {"affected": "critical", "to_check": "unknown", "not_affected": "closed"}
LONGEST_REASON = 500


@bp.route("/security")
def page() -> str:
    """What concerns this machine first, then what is to check, then the rest; filters by verdict, kind, vendor, year and text."""
    kind = asking.one("kind", KINDS, "")
    verdict = asking.one("verdict", ("", *VERDICTS), "")
    text = asking.text("q", 80)
    vendor = asking.text("vendor", 80)
    skip = asking.number("skip", 1_000_000) or 0
    db, host = store.db(), store.host_id()
    years = machine.years(db)
    year = asking.text("year", 4)
    chosen = {"kind": kind, "verdict": verdict, "text": text, "vendor": vendor, "year": year}
    found = machine.publications(db, host, **chosen, most=MOST + 1, skip=skip)
    filtered = any(chosen.values()) or skip > 0
    done, total = publications.first_reading(db)
    reading = schedule.source(db, schedule.ROUND)
    return render_template(
        "security.html",
        kind=kind,
        verdict=verdict,
        text=text,
        vendor=vendor,
        year=year,
        years=years,
        asked={"q" if name == "text" else name: value for name, value in chosen.items() if value},
        more=skip + MOST if len(found) > MOST else None,
        less=max(0, skip - MOST) if skip else None,
        rows=found[:MOST],
        concerning=[] if filtered else current(machine.verdicts(db, host, "affected")),
        to_check=[] if filtered else current(machine.verdicts(db, host, "to_check"))[:10],
        counts=machine.counts(db, host),
        filtered=filtered,
        why=lambda kept: reason_text(kept.as_verdict(), words().language),
        verdicts=VERDICTS,
        badges=BADGES,
        reading=reading,
        failure=readings.problem(reading.error, words()) if reading else "",
        done=done,
        total=total,
        state=present(),
        fleet=machines.any_here() and not machines.name(),
        now=store.now(),
    )


def current(found: list[Kept]) -> list[Kept]:
    """Those that nobody put away, of publications that are in force or were revised lately."""
    return [kept for kept in found if kept.dismissed_at is None]


@bp.route("/security/<reference>")
def one(reference: str) -> str:
    """One publication: whether it concerns this machine, why, what to do; then as CERT-FR wrote it, made safe to show."""
    return _one(reference)


@bp.route("/security/<reference>/dismiss", methods=["POST"])
def dismiss(reference: str) -> ResponseReturnValue:
    """«Not for me», with a reason: remembered until the next revision."""
    reason = " ".join(request.form.get("reason", "").split())
    if not reason or len(reason) > LONGEST_REASON:
        return _one(reference, _("Say why, in at most %(most)s characters.", most=LONGEST_REASON)), 422
    with store.writing() as db:
        known = machine.dismiss(db, store.host_id(), reference, reason, store.now())
    if not known:
        abort(404)
    flash(_("Put away until its next revision."))
    return redirect(url_for("security.one", reference=reference), 303)


def _one(reference: str, problem: str = "") -> str:
    row = publications.row(store.db(), reference) if len(reference) < 64 else None
    if row is None:
        abort(404)
    told = _parsed(row.body)
    mirror = store.settings().certfr_url
    kept = machine.verdict_of(store.db(), store.host_id(), reference)
    return render_template(
        "advisory.html",
        machines_of=concerned.shown(reference) if machines.any_here() and not machines.name() else None,
        row=row,
        told=told,
        kept=kept,
        why=reason_text(kept.as_verdict(), words().language) if kept else "",
        command=offer.command(kept.package) if kept and kept.offered else "",
        verdicts=VERDICTS,
        badges=BADGES,
        problem=problem,
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
