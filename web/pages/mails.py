"""The ledger of mails: what was owed to whom, and what each server said."""

from flask import Blueprint, abort, flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from alerts.words import N_
from archive import outbox, read, recipients
from archive.fleet import following, groups, members, policy, wishes
from web import asking, ledger, machines, standing, store
from web.words import _, _n, words

bp = Blueprint("mails", __name__)
PAGE = 50
STATES = {
    "queued": N_("In the queue"),
    "accepted": N_("Accepted"),
    "refused": N_("Refused"),
    "held": N_("Held"),
    "dropped": N_("Told otherwise"),
}


@bp.route("/mails")
def page() -> str:
    """Newest first; `?before=` gives older ones. Of a machine of the fleet: what it sent, and what the centre sent about it."""
    before = asking.number("before")
    if machines.name():
        return _of_machine(before)
    entries = outbox.ledger(store.db(), PAGE, before)
    return render_template(
        "mails.html",
        entries=entries,
        summary=outbox.summary(store.db()),
        older=entries[-1].notification.id if len(entries) == PAGE else None,
        everybody=[one.address for one in recipients.in_force(store.db(), store.settings())],
        centre=_centre(),
        now=store.now(),
    )


def _centre() -> str:
    """Who mails, where the centre of a fleet has set that; ''."""
    found = following.followed(store.db())
    if not found.tag or found.mails == "machine":
        return ""
    if found.away:
        return _(
            "The centre is set to mail about this machine's incidents, and has not answered for a while: it mails itself."
        )
    if found.mails == "both":
        return _("The centre mails about this machine's incidents as well.")
    return _(
        "The centre mails about this machine's incidents. A mail waits here until the centre has taken it over, for a"
        " quarter of an hour at most."
    )


def _of_machine(before: int | None) -> str:
    db, host = store.db(), store.host_id()
    its_own = groups.mails(db, host, PAGE, before)
    member = members.get(db, host)
    found = policy.applied(wishes.every(db), machines.name(), member.tags.split() if member else [])
    return render_template(
        "mails_machine.html",
        entries=its_own,
        centres=outbox.ledger(db, PAGE, host=host) if before is None else [],
        older=its_own[-1].notification.id if len(its_own) == PAGE else None,
        name=machines.name(),
        who=standing.who_mails(found.get(policy.MAILS), words()),
        now=store.now(),
    )


@bp.route("/mails/retry", methods=["POST"])
def retry() -> ResponseReturnValue:
    """Queue again what was held or refused: one mail, or all of them. The next cycle sends it."""
    given = request.form.get("number", "")
    if given and not (given.isascii() and given.isdigit() and len(given) < 16):
        abort(400)
    with store.writing() as db:
        count = outbox.retry(db, store.now(), int(given) if given else None)
    flash(_n("%(num)s is tried again by the next cycle.", "%(num)s are tried again by the next cycle.", count))
    return redirect(url_for("mails.page"), 303)


def install_words() -> dict[str, str]:
    """State -> the reader's word for it."""
    return {name: _(word) for name, word in STATES.items()}


def subject(written: str) -> str:
    """A mail's subject in the reader's words, also before it was made."""
    if "metrics_by_name" not in g:
        g.metrics_by_name = {one.name: one for one in read.metrics(store.db())}
    return ledger.subject(written, g.metrics_by_name, words())


@bp.app_context_processor
def states() -> dict[str, object]:
    return {"mail_states": install_words, "mail_subject": subject}
