"""Where machines post what they have: POST /fleet/v1/cycles and /fleet/v1/join, for programs alone; and where each asks what
the centre sets for it: GET /fleet/v1/policy.

Not a page of the site: no cookie, no form, no language. A token (archive/fleet/members.py) is all that opens it, and all
that it opens: its own machine's rows, to write, and its own policy, to read. So it stands before the site's application, and costs no more than it
must: a centre of ten thousand machines is asked 170 times a second.

Answers are JSON: {"taken", "refused", "loaded", "rows", "unknown", "told", "policy"} after the commit, or {"error": words}.
"""

import json
import logging
import re
import sqlite3
import threading
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from flask import Flask

from archive import database
from archive.fleet import members, parcel, taking, wishes
from archive.settings import Settings
from web.headers import ALWAYS

log = logging.getLogger("vigie.intake")

PREFIX = "/fleet/v1/"
METHODS = {"cycles": "POST", "join": "POST", "policy": "GET"}
AT_ONCE = 6  # of the server's eight threads: pages are still answered while ten thousand machines come back
LONGEST_JOIN = 4096
_BEARER = re.compile(r"(?i:bearer) +(vigief_[A-Za-z0-9_-]{43}) *")
Environ = dict[str, Any]
Start = Callable[..., Any]
_REASONS = {200: "OK", 304: "Not Modified", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 405: "Method Not Allowed",
            409: "Conflict", 411: "Length Required", 413: "Content Too Large", 429: "Too Many Requests",
            503: "Service Unavailable"}  # fmt: skip


class Said(NamedTuple):
    """An answer. `wait`: seconds for Retry-After, 0 for none."""

    status: int
    body: dict[str, object] | str
    wait: int = 0
    tag: str = ""  # for ETag


class Intake:
    """WSGI in front of the site's own."""

    def __init__(self, site: Callable[[Environ, Start], Iterable[bytes]], settings: Settings, now: Callable[[], int]):
        self.site, self.settings, self.data, self.now = site, settings, settings.data, now
        self.places = threading.BoundedSemaphore(AT_ONCE)

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        if not environ.get("PATH_INFO", "").startswith(PREFIX):
            return self.site(environ, start)
        said = self.answer(environ)
        text = said.body if isinstance(said.body, str) else json.dumps(said.body, ensure_ascii=False)
        body = text.encode("utf-8", "replace")
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body))),
                   ("Cache-Control", "no-store"), *ALWAYS.items()]  # fmt: skip
        if said.tag:
            headers.append(("ETag", f'"{said.tag}"'))
        if said.wait:
            headers.append(("Retry-After", str(said.wait)))
        if said.status == 401:
            headers.append(("WWW-Authenticate", 'Bearer realm="Vigie fleet"'))
        start(f"{said.status} {_REASONS[said.status]}", headers)
        return [body]

    def answer(self, environ: Environ) -> Said:
        what = environ["PATH_INFO"].removeprefix(PREFIX)
        if what not in METHODS:
            return Said(404, {"error": "there is no such address; upgrade the older of the two Vigies"})
        if environ.get("REQUEST_METHOD") != METHODS[what]:
            return Said(405, {"error": f"this address takes {METHODS[what]}"})
        if not self.places.acquire(blocking=False):
            return Said(503, {"error": "too many machines at once"}, 5)
        try:
            return self.taken(environ, what)
        except members.MemberError as error:
            return Said(409, {"error": str(error)})
        except parcel.ParcelError as error:
            return Said(400, {"error": f"the parcel {error}"})
        except (database.DatabaseError, sqlite3.Error) as error:
            log.error("%s: %s", what, error)
            return Said(503, {"error": "the centre's database cannot be written now"}, 60)
        finally:
            self.places.release()

    def taken(self, environ: Environ, what: str) -> Said:
        found = _BEARER.fullmatch(environ.get("HTTP_AUTHORIZATION", "")[:200])
        member = None
        if found:  # who shows none is not worth the lock
            with database.writer(self.data, lock=1) as db:
                member = members.by_token(db, found[1])
                if member is not None and what == "policy":
                    return _policy(wishes.said(db, member), environ.get("HTTP_IF_NONE_MATCH", ""))
        if member is None:
            return Said(401, {"error": "this token opens nothing: it was revoked, or is not whole"})
        body = _body(environ, LONGEST_JOIN if what == "join" else parcel.MOST_BYTES)
        if isinstance(body, Said):
            return body
        unpacked = parcel.unpack(body)
        now = self.now()
        if what == "join":
            head = unpacked.head
            with database.writer(self.data, lock=member.host) as db, database.transaction(db):
                members.join(db, member, head.uid, head.name, head.machine, head.version, now)
            return Said(200, {"name": member.name})
        answer = taking.take(self.data, member, unpacked, now, self.settings)
        told: dict[str, object] = answer._asdict()
        told["refused"] = [f"text {place}: {why}" for place, why in answer.refused[:20]]
        return Said(429 if answer.wait else 200, told, answer.wait)


def _policy(found: wishes.Said, known: str) -> Said:
    if known.strip() == f'"{found.tag}"':
        return Said(304, "", tag=found.tag)
    return Said(200, found.text, tag=found.tag)


def _body(environ: Environ, most: int) -> bytes | Said:
    length = environ.get("CONTENT_LENGTH") or ""
    if not (length.isascii() and length.isdigit()):
        return Said(411, {"error": "the length of the parcel is missing"})
    if len(length) > 12 or int(length) > most:
        return Said(413, {"error": f"the parcel has {length[:20]} bytes; at most {most} are taken"})
    body: bytes = environ["wsgi.input"].read(int(length))
    if len(body) != int(length):
        return Said(400, {"error": "the parcel was cut on its way"})
    return body


def install(app: Flask) -> None:
    settings: Settings = app.config["VIGIE"]
    app.wsgi_app = Intake(app.wsgi_app, settings, app.config["VIGIE_CLOCK"])  # type: ignore[method-assign,assignment]
