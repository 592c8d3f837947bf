"""What went wrong, said in the site's own shell: which answer, why, what to do. A traceback goes to the log alone."""

import json
import logging
import secrets
import sqlite3

from flask import Flask, Response, g, make_response, render_template
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException

from alerts import reasons
from alerts.words import N_
from archive import database
from web.words import _, words

log = logging.getLogger("vigie.web")

TITLES = {
    400: N_("This request was not understood"),
    401: N_("This takes a log-in or a token"),
    403: N_("This page is not yours to open"),
    404: N_("There is no such page"),
    405: N_("This address does not take that kind of request"),
    413: N_("That was too much at once"),
    429: N_("Too many tries"),
    500: N_("Something went wrong in Vigie"),
    503: N_("Vigie cannot answer at this moment"),
}
ADVICE = {
    400: N_("Go back, load the page again, and try once more."),
    401: N_(
        "An administrator makes tokens on the page “Tokens”, or by ./vigie token add NAME; send one as Authorization: Bearer."
    ),
    403: N_("It takes the administrator’s log-in."),
    404: N_("The address may be old, or hold a slip of the pen. The pages are in the bar above."),
    405: N_("Follow the links and the forms of the pages; nothing was changed."),
    413: N_("At most 64 KiB are taken in one request; nothing was changed."),
    429: N_("Wait a little, then try again."),
    500: N_("The details stand in the dashboard’s log, under this number."),
    503: N_("The figures keep coming in meanwhile; nothing is lost. Load the page again in a minute."),
}
# What a refusal is known by inside (abort's description) and what it says.
REASONS = {
    "host": N_("The dashboard does not answer to this name; set it in VIGIE_TRUSTED_HOSTS if it should."),
    "origin": N_("The form was sent from another site."),
}


def page(code: int, detail: str = "", number: str = "", retry: int = 0) -> ResponseReturnValue:
    """An error page. `detail` is a sentence in words, shown as it is."""
    known = code if code in TITLES else 400 if code < 500 else 500
    title, advice = _(TITLES[known]), _(ADVICE[known])
    if g.get("program"):  # set by web/access.py
        answer = problem(code, title, detail or advice, number)
    else:
        body = render_template("error.html", code=code, title=title, detail=detail, advice=advice, number=number)
        answer = make_response(body, code)
    if retry:
        answer.headers["Retry-After"] = str(retry)
    return answer


def problem(code: int, title: str, detail: str, number: str) -> Response:
    """The same for a program (RFC 9457)."""
    told = {"type": "about:blank", "title": title, "status": code, "detail": detail}
    if number:
        told["number"] = number
    return Response(json.dumps(told, ensure_ascii=False), code, content_type="application/problem+json")


def refused(error: HTTPException) -> ResponseReturnValue:
    code = error.code or 500
    if code < 400:  # a redirect of the router
        return error.get_response()
    reason = REASONS.get(error.description or "")
    if reason == REASONS["host"]:
        g.stranger = True
    if isinstance(error, CSRFError):
        reason = N_("The form had been open too long, or belongs to another session.")
    answer = make_response(page(code, _(reason) if reason else ""))
    for name, value in error.get_headers():
        if name in ("Allow", "Retry-After"):
            answer.headers[name] = value
    return answer


def unreadable(error: Exception) -> ResponseReturnValue:
    """The database is away, locked or damaged: 503, with the reason in words."""
    log.warning("%s", _one_line(error))
    said = reasons.told(str(error), words()) if isinstance(error, database.DatabaseError) else ""
    return page(503, said, retry=30)


def unforeseen(error: Exception) -> ResponseReturnValue:
    number = secrets.token_hex(4)
    log.exception("error %s", number, exc_info=error)
    return page(500, number=number)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def install(app: Flask) -> None:
    app.register_error_handler(HTTPException, refused)
    app.register_error_handler(database.DatabaseError, unreadable)
    app.register_error_handler(sqlite3.Error, unreadable)
    app.register_error_handler(Exception, unforeseen)
