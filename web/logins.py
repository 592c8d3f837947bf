"""Who is asking: sessions that the server can end, and the slow-down of guessing.

The browser holds a random id in a signed cookie; the server keeps its SHA-256 only. A session ends by log-out, by a
change of password, after 8 hours without use or 7 days in all, and when the clock has gone back behind it.

Guessing is slowed by account and by address, kept over restarts, and never for longer than a minute: nobody is locked
out for good. A browser that has logged in before carries a signed mark and has a count of its own, so that
a stranger who hammers an account does not keep its owner out.
"""

import hashlib
import secrets
from enum import Enum
from typing import cast

from flask import Flask, Response, abort, current_app, g, request, session
from itsdangerous import BadSignature, URLSafeSerializer

from archive import database, logins
from web import passwords, secret, store

IDLE = 8 * 3600
ABSOLUTE = 7 * 24 * 3600
SEEN_EVERY = 60
CLOCK_BACK = 300  # a session from further in the future than this is not believed
FREE, LONGEST_PAUSE, FORGET = 5, 60, 24 * 3600
FREE_OF_ADDRESS = 20  # several people may share one
DEVICE = "vigie-device"  # with the prefix __Host- behind TLS
DEVICE_LIFE = 180 * 24 * 3600


class Outcome(Enum):
    IN = "in"
    WRONG = "wrong"
    PAUSED = "paused"
    BUSY = "busy"


def pause(failures: int, free: int = FREE) -> int:
    """Seconds to wait after this many failures: 0 for the first ones, then doubling to a minute."""
    return 0 if failures < free else min(2 ** min(failures - free, 10), LONGEST_PAUSE)


def current() -> logins.Session | None:
    """The session of this request, once its limits are checked."""
    if "person" not in g:
        g.person = _read()
    return cast(logins.Session | None, g.person)


def person() -> logins.Session:
    """The one who is logged in, for views that access.check lets nobody else into."""
    found = current()
    if found is None:
        abort(403)
    return found


def is_administrator() -> bool:
    found = current()
    return found is not None and found.role == "administrator"


def _read() -> logins.Session | None:
    token = session.get("id")
    if not isinstance(token, str) or not token:
        return None
    now, data = store.now(), store.settings().data
    with logins.reading(data) as db:
        found = logins.session(db, _hash(token))
    if found is None or not alive(found, now):
        session.pop("id", None)
        return None
    if now - found.seen_at >= SEEN_EVERY:
        try:
            with logins.writing(data) as db:
                logins.seen(db, found.id, now)
        except database.Busy:
            pass  # the next request will say it
    return found


def alive(found: logins.Session, now: int) -> bool:
    """Whether a session is within its limits, by the server's clock."""
    if max(found.seen_at, found.created_at) > now + CLOCK_BACK:
        return False
    return now - found.seen_at < IDLE and now - found.created_at < ABSOLUTE


def log_in(name: str, password: str) -> tuple[Outcome, int]:
    """Check a name and password; on success the session begins. Returns the outcome and seconds to wait.

    1. Paused accounts, addresses or browsers are refused before anything is computed.
    2. The failure is counted before the check, so that a hundred at once count a hundred times.
    3. An unknown name takes as long as a wrong password, and reads the same.
    4. On success the count is taken back and a session with a new id begins.
    """
    now, data = store.now(), store.settings().data
    device = known_device(name)
    counts = (
        [(f"device:{device}", FREE)]
        if device
        else [(f"account:{name.casefold()}", FREE), (f"address:{request.remote_addr}", FREE_OF_ADDRESS)]
    )
    keys = [(counted(who), free) for who, free in counts]
    with logins.writing(data) as db:
        seconds = max(wait(logins.attempts(db, who), free, now) for who, free in keys)
        if seconds:
            return Outcome.PAUSED, seconds
        for who, _free in keys:
            logins.failed(db, who, now, now - FORGET)
        person = logins.person(db, name)
    try:
        right = passwords.verify(password, person.password if person else None)
    except passwords.Busy:
        return Outcome.BUSY, 2
    if not right or person is None:
        return Outcome.WRONG, 0
    fresh = passwords.hashed(password) if passwords.outdated(person.password) else None
    with logins.writing(data) as db:
        logins.succeeded(db, keys[0][0])
        for who, _free in keys[1:]:
            logins.unfailed(db, who)
        if fresh:
            logins.rehash(db, name, fresh)
        logins.forget_sessions(db, now - ABSOLUTE, now - IDLE)
    begin(person.name)
    return Outcome.IN, 0


def wait(attempts: logins.Attempts, free: int, now: int) -> int:
    """Seconds until the next try. A failure from the future (the clock went back) does not lengthen it."""
    if not attempts.failures or attempts.seen_at < now - FORGET or attempts.seen_at > now + LONGEST_PAUSE:
        return 0
    return max(0, min(attempts.seen_at, now) + pause(attempts.failures, free) - now)


def begin(name: str) -> None:
    """A new session with a new id; whatever the cookie held before is gone (no fixation, a new form token)."""
    token = secrets.token_urlsafe(32)
    session.clear()
    session["id"] = token
    agent = "".join(c for c in request.headers.get("User-Agent", "") if c.isprintable())[:200]
    with logins.writing(store.settings().data) as db:
        logins.begin(db, _hash(token), name, store.now(), str(request.remote_addr or ""), agent)
        g.person = logins.session(db, _hash(token))
    g.new_device = name


def log_out() -> None:
    """End this session on the server; the cookie that remains opens nothing."""
    found = current()
    if found:
        with logins.writing(store.settings().data) as db:
            logins.end(db, found.id, found.person)
    session.clear()
    g.person = None


def change_password(name: str, role: str, password: str) -> None:
    """Set it, end every session of that person, and begin a new one for this browser. Raises passwords.Busy."""
    kept = passwords.hashed(password)
    with logins.writing(store.settings().data) as db:
        logins.set_password(db, name, role, kept, store.now())
    begin(name)


def counted(who: str) -> str:
    """The key that the failures of an account, a browser or an address are counted by: no name stands in the table."""
    return _hash(who)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _signer() -> URLSafeSerializer:
    return URLSafeSerializer(secret.keys(store.settings().data)[::-1], salt="device")


def known_device(name: str) -> str:
    """This browser's mark, where it has logged in as `name` before; '' otherwise."""
    try:
        told = _signer().loads(request.cookies.get(current_app.config["VIGIE_DEVICE"], "")[:500])
    except BadSignature:
        return ""
    if isinstance(told, list) and len(told) == 2 and told[0] == name.casefold():
        return str(told[1])
    return ""


def _mark_device(response: Response) -> Response:
    name = g.pop("new_device", None)
    if name and not known_device(name):
        response.set_cookie(
            current_app.config["VIGIE_DEVICE"],
            _signer().dumps([name.casefold(), secrets.token_hex(16)]),
            max_age=DEVICE_LIFE,
            httponly=True,
            samesite="Lax",
            secure=current_app.config["SESSION_COOKIE_SECURE"],
        )
    return response


def install(app: Flask) -> None:
    settings = app.config["VIGIE"]
    tls = settings.url.startswith("https://")
    present, *older = secret.keys(settings.data)
    app.config.update(
        VIGIE_DEVICE=f"__Host-{DEVICE}" if tls else DEVICE,
        SECRET_KEY=present,
        SECRET_KEY_FALLBACKS=older,
        SESSION_COOKIE_NAME="__Host-vigie" if tls else "vigie",
        SESSION_COOKIE_SECURE=tls,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_PATH="/",
    )
    app.after_request(_mark_device)
    app.context_processor(lambda: {"person": current(), "is_administrator": is_administrator()})
