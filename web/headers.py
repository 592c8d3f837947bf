"""What every answer says about itself: pages, errors, files and 304s alike. Also: text is compressed, files are versioned."""

import gzip
import hashlib
import os
from functools import lru_cache

from flask import Flask, Response, g, request

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
ALWAYS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
TEXTS = ("text/", "application/json", "application/javascript", "image/svg+xml", "application/openmetrics-text")
SMALL = 600  # bytes: below, compressing costs more than it saves


@lru_cache(maxsize=64)
def version(folder: str, name: str, changed: float) -> str:
    """A short mark of a file's content: its address changes when it does, so that it can be kept for ever."""
    with open(os.path.join(folder, name), "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()[:10]


def install(app: Flask) -> None:
    folder = str(app.static_folder)

    @app.url_defaults
    def add_version(endpoint: str, values: dict[str, object]) -> None:
        if endpoint == "static" and "v" not in values:
            name = str(values.get("filename", ""))
            path = os.path.join(folder, name)
            if os.path.isfile(path):
                values["v"] = version(folder, name, os.path.getmtime(path))

    # The last to be installed runs first, so the first one here sees what all the others said.
    @app.after_request
    def finish(response: Response) -> Response:
        for name, value in ALWAYS.items():
            response.headers.setdefault(name, value)
        if request.endpoint == "static" and response.status_code in (200, 304) and "v" in request.args:
            response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        else:
            response.headers.setdefault("Cache-Control", "no-store")
            if request.endpoint == "static":
                response.headers["Cache-Control"] = "no-cache"
        if request.is_secure and str(app.config["VIGIE"].url).startswith("https://"):
            response.headers["Strict-Transport-Security"] = "max-age=31536000"
        response.headers.pop("Server", None)
        return _compressed(response)


def _compressed(response: Response) -> Response:
    """gzip for text, but never for a page that holds a form's token beside what the address says (BREACH)."""
    if (
        response.status_code != 200
        or "Content-Encoding" in response.headers
        or not response.content_type.startswith(TEXTS)
        or request.method == "HEAD"
    ):
        return response
    response.vary.add("Accept-Encoding")
    if (
        request.accept_encodings["gzip"] <= 0
        or "csrf_token" in g
        or (response.is_streamed and not response.direct_passthrough)
    ):
        return response
    response.direct_passthrough = False
    body = response.get_data()
    if len(body) > SMALL:
        tag, _weak = response.get_etag()
        response.set_data(gzip.compress(body, 6, mtime=0))
        response.headers["Content-Encoding"] = "gzip"
        if tag is not None:
            response.set_etag(tag, weak=True)
    return response
