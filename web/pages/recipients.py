"""Who is mailed, and what of it; and the opt-in mail to the person whose doing it is. The administrator's alone."""

from typing import NamedTuple

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from alerts import apprise_kind
from alerts.words import N_
from archive import persons, recipients
from archive.persons import Rule
from archive.recipients import Recipient, RecipientError
from web import logins, store
from web.words import _

bp = Blueprint("recipients", __name__)
LEVELS = {"warning": N_("warnings and critical ones"), "critical": N_("critical ones only")}
LANGUAGES = {"": N_("the setting's language"), "fr": N_("French"), "en": N_("English")}


class Shown(NamedTuple):
    """One recipient as the page shows it; `problem` is said beside what was typed."""

    recipient: Recipient
    kept: bool  # a row of its own; else it comes from settings.env
    fixed: bool  # an Apprise address: it is set in settings.env alone
    problem: str = ""
    field: str = ""


class People(NamedTuple):
    """The second form, as typed."""

    on: bool
    domain: str
    contact: str
    addresses: str
    problem: str = ""
    field: str = ""


@bp.route("/recipients", methods=["GET", "POST"])
def page() -> ResponseReturnValue:
    """The list; a POST adds a recipient or changes one."""
    if request.method == "GET":
        return _page()
    typed = _typed()
    known = request.form.get("known") == "1"
    try:
        with store.writing() as db:
            recipients.adopt(db, store.settings(), logins.person().person, store.now())
            recipients.save(db, typed, logins.person().person, store.now())
    except RecipientError as error:
        return _page(typed, error, known=known), 422
    flash(_("%(address)s is kept; it holds from the next cycle on.", address=typed.address))
    return redirect(url_for("recipients.page"), 303)


@bp.route("/recipients/remove", methods=["POST"])
def remove() -> ResponseReturnValue:
    """Take one off the list, with what still waits for it."""
    who = request.form.get("address", "")[:254]
    with store.writing() as db:
        recipients.adopt(db, store.settings(), logins.person().person, store.now())
        done = recipients.remove(db, who, store.now())
    if not done:
        flash(_("%(address)s was not on the list.", address=who))
    elif not any(not row.recipient.address.startswith(recipients.APPRISE) for row in recipients.rows(store.db())):
        names = ", ".join(store.settings().mail_to) or _("nobody")
        flash(_("The list is empty, so VIGIE_MAIL_TO holds again: %(names)s.", names=names))
    else:
        flash(_("%(address)s is no longer mailed, except the end of what it was told of.", address=who))
    return redirect(url_for("recipients.page"), 303)


@bp.route("/recipients/people", methods=["POST"])
def people() -> ResponseReturnValue:
    """The mail to the person whose doing it is: switched on or off, with the rule of addresses."""
    typed = People(
        "on" in request.form,
        request.form.get("domain", "").strip()[:254].removeprefix("@"),
        request.form.get("contact", "").strip()[:254],
        request.form.get("addresses", "")[:32_000],
    )
    try:
        wanted = Rule(typed.on, typed.domain, typed.contact, persons.parse_addresses(typed.addresses))
        with store.writing() as db:
            persons.save(db, wanted, logins.person().person, store.now())
    except RecipientError as error:
        said = _(error.message, **error.values)
        return _page(people=typed._replace(problem=said, field=error.field)), 422
    flash(
        _("People are written to, at most once a day each.") if typed.on else _("Nobody but the recipients is mailed.")
    )
    return redirect(url_for("recipients.page"), 303)


def _typed() -> Recipient:
    form = request.form
    return Recipient(
        form.get("address", "").strip()[:400],
        form.get("level", "")[:20],
        "digest" in form,
        form.get("language", "")[:20],
    )


def _page(
    typed: Recipient | None = None,
    error: RecipientError | None = None,
    *,
    known: bool = False,
    people: People | None = None,
) -> str:
    db, settings = store.db(), store.settings()
    kept = {row.recipient.address for row in recipients.rows(db)}
    shown = [
        Shown(one, one.address in kept, one.address.startswith(recipients.APPRISE))
        for one in recipients.in_force(db, settings)
    ]
    said = _(error.message, **error.values) if error else ""
    fresh = Shown(typed or Recipient(""), False, False, said, error.field if error else "")
    if known and typed:  # what was typed stands in its own row
        shown = [
            fresh._replace(kept=one.kept, fixed=one.fixed) if one.recipient.address == typed.address else one
            for one in shown
        ]
        fresh = Shown(Recipient(""), False, False)
    rule = persons.rule(db)
    lines = "\n".join(f"{user} = {address}".rstrip() for user, address in rule.addresses)
    lately = sorted(persons.last_told(db, store.host_id()).items(), key=lambda pair: -pair[1])
    return render_template(
        "recipients.html",
        shown=shown,
        fresh=fresh,
        from_settings=bool(shown) and not any(one.kept and not one.fixed for one in shown),
        people=people or People(rule.on, rule.domain, rule.contact, lines),
        possible=settings.users == "names",
        accounts=sorted(persons.accounts(db, store.host_id())),
        lately=lately[:10],
        apprise_missing=bool(settings.notify_urls) and not apprise_kind.installed(),
        way=bool(settings.smtp_host),
        levels=[(name, _(word)) for name, word in LEVELS.items()],
        languages=[(name, _(word)) for name, word in LANGUAGES.items()],
        settings=settings,
        now=store.now(),
    )
