"""Who may see and do what: one table, default deny. A test walks the URL map and compares.

READING is open without log-in only while the dashboard listens on loopback with neither proxy nor WSGI server in front,
and VIGIE_READ is open; decided from the settings alone, never from a peer's address.
"""

from enum import IntEnum
from typing import NamedTuple

from flask import Flask, abort, current_app, redirect, request, session, url_for
from flask.typing import ResponseReturnValue

from archive.settings import LOOPBACK, Settings
from web import logins


class Who(IntEnum):
    """Each level includes the ones below it."""

    ANYONE = 0
    READING = 1
    PERSON = 2  # logged in, whatever the role
    ADMINISTRATOR = 3


class Door(NamedTuple):
    """Who may look, and who may change; None: nothing can be changed there."""

    look: Who
    change: Who | None = None


READ = Door(Who.READING)
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
    "probes.page": Door(Who.ADMINISTRATOR),
    "mails.page": Door(Who.ADMINISTRATOR),
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
    if request.endpoint is None:
        # Even what does not exist is not told to strangers where everything is closed.
        return None if request.routing_exception and allowed(Who.READING) else _to_log_in()
    found = door(request.endpoint)
    changing = request.method not in ("GET", "HEAD", "OPTIONS")
    who = (found.change if changing else found.look) if found else None
    if who is None:
        abort(405 if found else 403)
    if allowed(who):
        return None
    if logins.current() is not None:
        abort(403)
    return _to_log_in()


def _to_log_in() -> ResponseReturnValue:
    # Where to go afterwards is ours, kept in the signed cookie: an address in the query could lead anywhere.
    if request.endpoint and request.method == "GET" and request.endpoint != "overview.fragment":
        session["next"] = url_for(request.endpoint, **(request.view_args or {}))
    return redirect(url_for("login.page"), 302)


def install(app: Flask) -> None:
    app.config["VIGIE_OPEN"] = reading_is_open(app.config["VIGIE"], wsgi=app.config["VIGIE_WSGI"])
    app.before_request(check)
