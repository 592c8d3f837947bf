"""Which names the site answers to, and how far a proxy is believed.

A page of another site can make its own name point at 127.0.0.1 (DNS rebinding), and then reads what is open there; so a
request whose Host is not one of ours is refused before anything else looks at it.
"""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flask import Flask, abort, request

from archive.settings import LOOPBACK, Settings

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_HOST = re.compile(r"(\[[0-9a-fA-F:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(?::([0-9]{1,5}))?")


def names(settings: Settings) -> frozenset[str]:
    """The host names answered, lower case, without a port, an IPv6 address without its brackets."""
    found = {name.lower().removeprefix("[").removesuffix("]") for name in settings.trusted_hosts}
    found.add((urlsplit(settings.url).hostname or "").lower())
    if settings.listen[0] in LOOPBACK:
        found |= set(LOOPBACK)
    elif settings.listen[0] not in ("0.0.0.0", "::"):  # noqa: S104 compared, not bound
        found.add(settings.listen[0].lower())
    return frozenset(found - {""})


def known(host: str, answered: frozenset[str]) -> bool:
    """Whether a Host header, any port, is one of the names."""
    found = _HOST.fullmatch(host)
    return bool(found) and found[1].lower().removeprefix("[").removesuffix("]") in answered  # type: ignore[index]


class Below:
    """The application under the path that VIGIE_URL names, which the proxy has taken off before asking.

    The path is a setting and no header: X-Forwarded-Prefix passes through a proxy that does not know it, so a client could
    choose where the page's links and forms lead.
    """

    def __init__(self, app: "WSGIApplication", path: str) -> None:
        self.app, self.path = app, path

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        environ["SCRIPT_NAME"] = self.path
        return self.app(environ, start_response)


def install(app: Flask) -> None:
    settings: Settings = app.config["VIGIE"]
    answered = names(settings)
    if settings.proxy_hops:
        from werkzeug.middleware.proxy_fix import ProxyFix

        hops = settings.proxy_hops
        path = urlsplit(settings.url).path.rstrip("/")
        app.wsgi_app = ProxyFix(Below(app.wsgi_app, path), hops, hops, hops, 0, 0)  # type: ignore[method-assign]

    @app.before_request
    def refuse_strange_hosts() -> None:
        if not known(request.environ.get("HTTP_HOST", ""), answered):
            abort(400, "host")
