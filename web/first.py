"""The one-time link that sets the first administrator's password. There is no default one.

`data/first-link` (0600) holds the token and its end. It works once, for 24 hours, and only while there is no
administrator: who can read that file could read the database too.
"""

import contextlib
import hmac
import json
import os
import secrets

from archive import logins, rights
from archive.settings import Settings

NAME = "first-link"
LIFE = 24 * 3600


def first_link(settings: Settings, now: int) -> str | None:
    """The link to open, made anew where the last one has expired; None when there is an administrator already."""
    with logins.writing(settings.data) as db:
        if logins.has_administrator(db):
            forget(settings.data)
            return None
        token = _token(settings.data, now) or _make(settings.data, now)
    return f"{settings.url}/first/{token}"


def valid(data: str, token: str, now: int) -> bool:
    """Whether this token opens the door now."""
    known = _token(data, now)
    return known is not None and hmac.compare_digest(known.encode(), token.encode())


def forget(data: str) -> None:
    """The link was used, or is no longer needed."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(data, NAME))


def _token(data: str, now: int) -> str | None:
    try:
        fd = os.open(os.path.join(data, NAME), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    with open(fd, encoding="utf-8", errors="replace") as file:
        if os.fstat(fd).st_mode & 0o007:
            return None
        try:
            told = json.loads(file.read(1024))
            token, made_at = str(told["token"]), int(told["made_at"])
        except (ValueError, KeyError, TypeError):
            return None
    # A clock that went back does not make the link live longer than a day after it was made.
    return token if made_at - 300 <= now < made_at + LIFE and len(token) >= 40 else None


def _make(data: str, now: int) -> str:
    token = secrets.token_urlsafe(32)
    path = os.path.join(data, NAME)
    aside = f"{path}.{os.getpid()}"
    fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, rights.of_file(path))
    with open(fd, "w", encoding="utf-8") as file:
        json.dump({"token": token, "made_at": now}, file)
    os.rename(aside, path)
    return token
