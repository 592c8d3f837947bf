"""Whose token a program shows: `Authorization: Bearer vigie_...`, on the data routes of web/access.py and nowhere else.

Wrong tokens are counted by address, as wrong passwords are (web/logins.py): after the first few, every further one is
answered 429 without a row being written, for at most a minute at a time. A right token always passes: it cannot be
guessed, so a neighbour with an old one must not keep it out.
"""

import re
from enum import Enum
from typing import NamedTuple

from flask import request

from archive import database, tokens
from archive import logins as rows
from web import logins, store

SEEN_EVERY = 60
_BEARER = re.compile(r"(?i:bearer) +([A-Za-z0-9._~+/=-]+) *")


class Shown(Enum):
    """What came with the request."""

    NOTHING = "nothing"
    RIGHT = "right"
    WRONG = "wrong"
    PAUSED = "paused"


class Answer(NamedTuple):
    shown: Shown
    wait: int = 0  # seconds, when paused


def given() -> bool:
    """Whether the request brings a token. Another kind of Authorization is the business of a proxy in front."""
    return request.headers.get("Authorization", "")[:7].lower() == "bearer "


def check() -> Answer:
    """Look the request's token up, and note that it was used; a wrong one is counted."""
    if not given():
        return Answer(Shown.NOTHING)
    found = _BEARER.fullmatch(request.headers["Authorization"][:500])
    token, now, data = (found[1] if found else ""), store.now(), store.settings().data
    who = logins.counted(f"token:{request.remote_addr}")
    with rows.reading(data) as db:
        known = tokens.find(db, token) if len(token) == tokens.LENGTH else None
        wait = 0 if known else logins.wait(rows.attempts(db, who), logins.FREE_OF_ADDRESS, now)
    if known is None:
        if wait:
            return Answer(Shown.PAUSED, wait)
        with rows.writing(data) as db:
            rows.failed(db, who, now, now - logins.FORGET)
        return Answer(Shown.WRONG)
    if known.used_at is None or abs(now - known.used_at) >= SEEN_EVERY:
        try:
            with rows.writing(data) as db:
                tokens.used(db, known.id, now)
        except database.Busy:
            pass  # the next request will say it
    return Answer(Shown.RIGHT)
