"""API tokens: which there are, a new one (shown once), and an end to one. The administrator's."""

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from archive import logins as rows
from archive import tokens
from archive.tokens import TokenError
from web import logins, store
from web.words import _

bp = Blueprint("tokens", __name__)


@bp.route("/tokens", methods=["GET", "POST"])
def page() -> ResponseReturnValue:
    """The list and the form. A new token stands in the answer to the form, and in no other page ever."""
    if request.method == "GET":
        return _page()
    name = request.form.get("name", "")
    try:
        with rows.writing(store.settings().data) as db:
            token = tokens.make(db, name, logins.person().person, store.now())
    except TokenError as error:
        return _page(name=name, problem=_(error.message, **error.values)), 422
    return _page(made=(" ".join(name.split()), token))


@bp.route("/tokens/revoke", methods=["POST"])
def revoke() -> ResponseReturnValue:
    """From now on it opens nothing."""
    name = request.form.get("name", "")
    with rows.writing(store.settings().data) as db:
        known = tokens.revoke(db, name)
    if not known:
        abort(404)
    flash(_("The token %(name)s opens nothing any more.", name=name))
    return redirect(url_for("tokens.page"), 303)


def _page(name: str = "", problem: str = "", made: tuple[str, str] | None = None) -> str:
    with rows.reading(store.settings().data) as db:
        found = tokens.every(db)
    example = url_for("data.status", _external=True)
    return render_template(
        "tokens.html", tokens=found, name=name, problem=problem, made=made, example=example, now=store.now()
    )
