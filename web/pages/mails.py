"""The ledger of mails: what was owed to whom, and what each server said."""

from flask import Blueprint, render_template

from alerts.words import N_
from archive import outbox
from web import asking, store
from web.words import _

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
    """Newest first; `?before=` gives older ones."""
    before = asking.number("before")
    entries = outbox.ledger(store.db(), PAGE, before)
    return render_template(
        "mails.html",
        entries=entries,
        summary=outbox.summary(store.db()),
        older=entries[-1].notification.id if len(entries) == PAGE else None,
        settings=store.settings(),
        now=store.now(),
    )


def install_words() -> dict[str, str]:
    """State -> the reader's word for it."""
    return {name: _(word) for name, word in STATES.items()}


@bp.app_context_processor
def states() -> dict[str, object]:
    return {"mail_states": install_words}
