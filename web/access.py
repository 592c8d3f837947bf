"""Who may see and do what: one table, default deny. A test walks the URL map and compares.

READING is open without log-in only while the dashboard listens on loopback with neither proxy nor WSGI server in front,
and VIGIE_READ is open; decided from the settings alone, never from a peer's address. What is marked DATA is for programs,
too: an API token (web/tokens.py) opens it, and nothing else.
"""

from enum import IntEnum
from typing import NamedTuple

from flask import Flask, abort, current_app, g, redirect, request, session, url_for
from flask.typing import ResponseReturnValue

from archive.settings import LOOPBACK, Settings
from web import logins, machines, mistakes, tokens
from web.tokens import Shown
from web.words import _


class Who(IntEnum):
    """Each level includes the ones below it."""

    ANYONE = 0
    READING = 1
    PERSON = 2  # logged in, whatever the role
    ADMINISTRATOR = 3


class Door(NamedTuple):
    """Who may look, and who may change; None: nothing can be changed there. `token`: an API token may look as well."""

    look: Who
    change: Who | None = None
    token: bool = False


READ = Door(Who.READING)
DATA = Door(Who.READING, token=True)
ADMIN = Door(Who.ADMINISTRATOR, Who.ADMINISTRATOR)

# Endpoint -> door. What names processes, origins of log-ins, mails or probe texts is the administrator's.
DOORS: dict[str, Door] = {
    "static": Door(Who.ANYONE),
    "about.healthz": Door(Who.ANYONE),
    "login.page": Door(Who.ANYONE, Who.ANYONE),
    "login.first_page": Door(Who.ANYONE, Who.ANYONE),
    "login.logout": Door(Who.PERSON, Who.PERSON),
    "login.password": Door(Who.PERSON, Who.PERSON),
    "login.sessions": Door(Who.PERSON, Who.PERSON),
    "overview.page": READ,
    "overview.fragment": READ,
    "overview.live_figures": READ,
    "users.page": READ,
    "users.one": READ,
    "incidents.page": READ,
    "incidents.one": READ,
    "incidents.acknowledge": ADMIN,
    "incidents.silence": ADMIN,
    "security.page": READ,
    "security.one": READ,
    "security.dismiss": ADMIN,
    "thresholds.page": Door(Who.READING, Who.ADMINISTRATOR),
    "thresholds.one": Door(Who.READING, Who.ADMINISTRATOR),
    "thresholds.trial": READ,
    "thresholds.undo": ADMIN,
    "windows.page": Door(Who.READING, Who.ADMINISTRATOR),
    "windows.end": ADMIN,
    "windows.drop": ADMIN,
    "about.page": READ,
    "data.page": READ,
    "data.openapi_json": DATA,
    "data.status": DATA,
    "data.metrics": DATA,
    "data.metrics_list": DATA,
    "samples.csv": DATA,
    "samples.as_json": DATA,
    "data.incidents_csv": DATA,
    "data.incidents_json": DATA,
    "data.incidents_atom": DATA,
    "data.security_csv": DATA,
    "data.security_json": DATA,
    "hosts.page": READ,
    "hosts.one": READ,
    "fleet.page": READ,
    "fleet.one": Door(Who.READING, Who.ADMINISTRATOR),
    "fleet.mails": ADMIN,
    "fleet.undo": ADMIN,
    "everywhere.users": READ,
    "everywhere.security": READ,
    "tokens.page": ADMIN,
    "tokens.revoke": ADMIN,
    "probes.page": Door(Who.ADMINISTRATOR),
    "mails.page": Door(Who.ADMINISTRATOR),
    "mails.retry": ADMIN,
    "recipients.page": ADMIN,
    "recipients.remove": ADMIN,
    "recipients.people": ADMIN,
}
# Every endpoint of these blueprints shows samples and nothing else.
BLUEPRINTS: dict[str, Door] = {"graphs": READ}


def reading_is_open(settings: Settings, *, wsgi: bool) -> bool:
    """Whether pages of figures are shown without log-in."""
    return settings.read == "open" and settings.listen[0] in LOOPBACK and settings.proxy_hops == 0 and not wsgi


def door(endpoint: str) -> Door | None:
    return DOORS.get(endpoint) or BLUEPRINTS.get(endpoint.partition(".")[0])


def allowed(who: Who) -> bool:
    """Whether the one who asks may pass."""
    if who is Who.ANYONE:
        return True
    if who is Who.READING and current_app.config["VIGIE_OPEN"]:
        return True
    found = logins.current()
    if found is None:
        return False
    return who is not Who.ADMINISTRATOR or found.role == "administrator"


def check() -> ResponseReturnValue | None:
    """Before every request: the door of its endpoint, or the log-in page, or no."""
    g.program = False
    if request.endpoint is None:
        # Even what does not exist is not told to strangers where everything is closed.
        return None if request.routing_exception and allowed(Who.READING) else _to_log_in()
    found = door(request.endpoint)
    changing = request.method not in ("GET", "HEAD", "OPTIONS")
    who = (found.change if changing else found.look) if found else None
    if who is None:
        abort(405 if found else 403)
    if found and found.token and not changing:
        # A program is answered as one: a status and a few words of JSON, no page and no way to the log-in form.
        g.program = tokens.given() or "text/html" not in request.headers.get("Accept", "")
        told = tokens.check()
        if told.shown is Shown.RIGHT:
            return None
        if told.shown is not Shown.NOTHING:
            return _no_token(told)
    if allowed(who):
        return None
    if logins.current() is not None:
        abort(403)
    return _no_token(tokens.Answer(Shown.NOTHING)) if g.get("program") else _to_log_in()


def _no_token(told: tokens.Answer) -> ResponseReturnValue:
    if told.shown is Shown.PAUSED:
        return mistakes.page(429, retry=told.wait)
    wrong = told.shown is Shown.WRONG
    detail = _("This token opens nothing: it was revoked, or is not whole.") if wrong else ""
    answer = current_app.make_response(mistakes.page(401, detail))
    answer.headers["WWW-Authenticate"] = 'Bearer realm="Vigie"' + (', error="invalid_token"' if wrong else "")
    return answer


def _to_log_in() -> ResponseReturnValue:
    # Where to go afterwards is ours, kept in the signed cookie: an address in the query could lead anywhere.
    if request.endpoint and request.method == "GET" and request.endpoint != "overview.fragment":
        session["next"] = url_for(request.endpoint, **(request.view_args or {}))
    return redirect(url_for("login.page"), 302)


def install(app: Flask) -> None:
    app.config["VIGIE_OPEN"] = reading_is_open(app.config["VIGIE"], wsgi=app.config["VIGIE_WSGI"])
    app.before_request(check)
    app.before_request(machines.check)
