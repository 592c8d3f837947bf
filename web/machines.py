"""Every page for one machine of a fleet: /hosts/NAME/graphs is /graphs of that machine.

The prefix becomes part of the script's name, so that every link of a page stays with its machine and no page knows.
What a machine judges and who acknowledged it is the machine's to change: here its pages are to look at.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlencode

from flask import Flask, abort, g, redirect, request
from flask.typing import ResponseReturnValue

from archive import database
from archive.fleet import members

PREFIX = re.compile(r"(/hosts/([A-Za-z0-9][A-Za-z0-9._-]{0,62}))(/.*)")
NAME = "vigie.machine"
# What shows one machine's rows. Any other page is the centre's own, wherever it is asked from.
ROOMS = ("overview", "graphs", "users", "incidents", "security", "samples", "mails", "static")
# What the centre sets for a machine is not set on the machine's pages, but for it.
SET_FOR_IT = {"thresholds.page": "/fleet/thresholds", "thresholds.one": "/fleet/threshold"}
NOT_HERE = ("overview.live_figures",)
Environ = dict[str, Any]
Start = Callable[..., Any]


class Machines:
    """WSGI: moves the prefix from the path to the script's name."""

    def __init__(self, site: Callable[[Environ, Start], Iterable[bytes]]) -> None:
        self.site = site

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        found = PREFIX.fullmatch(environ.get("PATH_INFO", ""))
        if found:
            environ["SCRIPT_NAME"] = environ.get("SCRIPT_NAME", "") + found[1]
            environ["PATH_INFO"] = found[3]
            environ[NAME] = found[2]
        return self.site(environ, start)


def name() -> str:
    """The machine whose pages these are; '' for the centre's own, and on a machine alone."""
    return str(request.environ.get(NAME, ""))


def outside() -> str:
    """The site's root, whichever machine's page asks."""
    return request.script_root.removesuffix(f"/hosts/{name()}") if name() else request.script_root


def host_id() -> int | None:
    """Its number; None when these are the centre's own pages. 404 for a name that is none."""
    from web import store

    if not name():
        return None
    if "machine" not in g:
        found = members.named(store.db(), name())
        if found is None:
            request.environ[NAME] = ""  # the error is the site's own to say
            abort(404)
        g.machine = found.host
    return int(g.machine)


def any_here() -> bool:
    """Whether machines send here: then the bar has their list."""
    from web import store

    return store.kept("fleet", lambda: members.any_joined(store.db()))


def check() -> ResponseReturnValue | None:
    """After the doors (web/access.py): pages that are no machine's go to the centre's own, and nothing is changed here."""
    if not name() or request.endpoint is None:
        return None
    if request.method not in ("GET", "HEAD", "OPTIONS"):
        abort(405)
    if request.endpoint in SET_FOR_IT:
        asked = {"host": name(), **(request.view_args or {})}
        return redirect(f"{outside()}{SET_FOR_IT[request.endpoint]}?{urlencode(asked)}", 302)
    if request.endpoint.partition(".")[0] not in ROOMS or request.endpoint in NOT_HERE:
        return redirect(outside() + request.full_path.rstrip("?"), 302)
    if request.endpoint != "static":
        try:
            host_id()
        except database.DatabaseError:
            return None  # the page itself says what is wrong
    return None


def install(app: Flask) -> None:
    app.wsgi_app = Machines(app.wsgi_app)  # type: ignore[method-assign,assignment]
    app.context_processor(lambda: {"of_machine": name(), "outside": outside()})
