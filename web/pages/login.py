"""Log-in, the one-time first link, log-out, password, and the list of sessions."""

from flask import Blueprint, abort, flash, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue

from archive import logins as rows
from web import browsers, first, logins, passwords, store
from web.logins import Outcome
from web.words import _, _n, words

bp = Blueprint("login", __name__)
LONGEST_NAME = 64


@bp.route("/login", methods=["GET", "POST"])
def page() -> ResponseReturnValue:
    """The log-in form. One text for a wrong name and a wrong password."""
    if request.method == "GET":
        if logins.current():
            return redirect(url_for("overview.page"), 303)
        with rows.reading(store.settings().data) as db:
            return render_template("login.html", name="", problem="", installed=rows.has_administrator(db))
    name = request.form.get("name", "").strip()[:LONGEST_NAME]
    place = session.get("next")
    outcome, wait = logins.log_in(name, request.form.get("password", ""))
    if outcome is Outcome.IN:
        # Only access.check writes it, from an address of ours that the router had matched.
        return redirect(place if isinstance(place, str) else url_for("overview.page"), 303)
    problem, status = {
        Outcome.WRONG: (_("The name or the password is not right."), 403),
        Outcome.PAUSED: (
            _("Too many tries. Wait %(span)s, then try again.", span=words().duration(wait)),
            429,
        ),
        Outcome.BUSY: (_("Many people are logging in at this moment. Try again in a few seconds."), 503),
    }[outcome]
    body = render_template("login.html", name=name, problem=problem, installed=True)
    return body, status, {"Retry-After": str(wait)} if wait else {}


@bp.route("/first/<token>", methods=["GET", "POST"])
def first_page(token: str) -> ResponseReturnValue:
    """The link that the first run printed: sets the first administrator's password, once. Looking at it uses nothing."""
    data, now = store.settings().data, store.now()
    with rows.reading(data) as db:
        taken = rows.has_administrator(db)
    if taken or not first.valid(data, token, now):
        return render_template("first_over.html", taken=taken), 410
    if request.method == "GET":
        return render_template("first.html", name="admin", problems={}, token_of_link=token)
    name = request.form.get("name", "").strip()[:LONGEST_NAME]
    problems = _problems(name, request.form.get("password", ""), request.form.get("again", ""))
    if problems:
        return render_template("first.html", name=name, problems=problems, token_of_link=token), 422
    try:
        kept = passwords.hashed(request.form["password"])
    except passwords.Busy:
        abort(503)
    with rows.writing(data) as db:
        # Two at once: the second finds an administrator and is told so.
        if rows.has_administrator(db) or not first.valid(data, token, now):
            return render_template("first_over.html", taken=True), 410
        rows.set_password(db, name, "administrator", kept, now)
        first.forget(data)
    logins.begin(name)
    flash(_("The password is set, and you are logged in."))
    return redirect(url_for("overview.page"), 303)


@bp.route("/logout", methods=["GET", "POST"])
def logout() -> ResponseReturnValue:
    """A page with a button (looking changes nothing); the button ends the session on the server."""
    if request.method == "GET":
        return render_template("logout.html")
    logins.log_out()
    flash(_("You are logged out."))
    return redirect(url_for("login.page"), 303)


@bp.route("/password", methods=["GET", "POST"])
def password() -> ResponseReturnValue:
    """Change one's own password; every session of that person ends but this one, which gets a new id."""
    me = logins.person()
    if request.method == "GET":
        return render_template("password.html", problems={})
    problems = _problems(me.person, request.form.get("password", ""), request.form.get("again", ""))
    try:
        with rows.reading(store.settings().data) as db:
            known = rows.person(db, me.person)
        if not passwords.verify(request.form.get("present", ""), known.password if known else None):
            problems = {"present": _("This is not your present password.")} | problems
        if problems:
            return render_template("password.html", problems=problems), 422
        logins.change_password(me.person, me.role, request.form["password"])
    except passwords.Busy:
        abort(503)
    flash(_("The password is changed. Every other session has ended."))
    return redirect(url_for("login.sessions"), 303)


@bp.route("/sessions", methods=["GET", "POST"])
def sessions() -> ResponseReturnValue:
    """Where one is logged in, each with a button that ends it, and one for all the others."""
    me = logins.person()
    data = store.settings().data
    if request.method == "POST":
        if "others" in request.form:
            with rows.writing(data) as db:
                count = rows.end_all(db, me.person, but=me.id)
            flash(
                _n("%(num)s other session has ended.", "%(num)s other sessions have ended.", count)
                if count
                else _("There was no other session.")
            )
            return redirect(url_for("login.sessions"), 303)
        wanted = request.form.get("session", "")
        if not (wanted.isascii() and wanted.isdigit() and len(wanted) < 19):
            abort(400)
        with rows.writing(data) as db:
            ended = rows.end(db, int(wanted), me.person)
        if not ended:
            abort(404)
        flash(_("That session has ended."))
        return redirect(url_for("login.sessions"), 303)
    with rows.reading(data) as db:
        found = [one for one in rows.sessions(db, me.person) if logins.alive(one, store.now())]
    return render_template("sessions.html", sessions=found, mine=me.id, browser=browsers.name, now=store.now())


def _problems(name: str, password: str, again: str) -> dict[str, str]:
    """Field -> what is wrong with it."""
    problems = {}
    if not name or not name.isprintable():
        problems["name"] = _("Give a name, such as admin.")
    mistake = passwords.mistake(password, name)
    if mistake:
        problems["password"] = _(mistake)
    elif password != again:
        problems["again"] = _("The two are not the same.")
    return problems
