"""Every POST carries a token of its session and comes from our own pages."""

from urllib.parse import urlsplit

from flask import Flask, abort, request
from flask_wtf.csrf import CSRFProtect

UNSAFE = ("POST", "PUT", "PATCH", "DELETE")


def same_origin() -> bool:
    """Whether the browser says that this request was made by one of our pages.

    Our pages are `no-referrer`, so browsers write `Origin: null` on their own forms; Sec-Fetch-Site then tells (it is
    sent to https and to localhost, and no page can forge it). The token is required in any case.
    """
    site = request.headers.get("Sec-Fetch-Site", "")
    if site and site not in ("same-origin", "none"):
        return False
    origin = request.headers.get("Origin", "")
    if origin in ("", "null"):
        return True
    told = urlsplit(origin)
    return (told.scheme, told.netloc.lower()) == (request.scheme, request.host.lower())


def install(app: Flask) -> None:
    # The Referer that Flask-WTF would ask for under TLS is never sent (Referrer-Policy); same_origin stands in its place.
    app.config.update(WTF_CSRF_SSL_STRICT=False, WTF_CSRF_TIME_LIMIT=None)

    @app.before_request
    def refuse_strangers() -> None:
        if request.method in UNSAFE and not same_origin():
            abort(400, "origin")

    CSRFProtect(app)  # type: ignore[no-untyped-call]
