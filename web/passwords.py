"""Passwords: what is accepted, and Argon2id. At most two are computed at once, so that a flood cannot eat the machine."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from alerts.words import N_

SHORTEST, LONGEST = 12, 256
AT_ONCE = 2
PATIENCE = 0.5  # seconds: a waiting log-in must not hold a thread that a page needs

TOO_SHORT = N_("Choose at least 12 characters; four or five words make a good password.")
TOO_LONG = N_("256 characters are the most that is taken.")
TOO_PLAIN = N_("This one is among the first that an attacker tries; choose another.")

# What lists of leaked passwords hold at 12 characters and more, without their digits at the end; the name is added.
_LISTED = """
    password passwordpassword motdepasse motdepassemotdepasse administrateur administrator administration azertyuiop
    azertyuiopqsdfghjklm qwertyuiop qwertyuiopasdfghjkl qwertyazerty azertyqwerty iloveyou jetaime letmein welcome
    bienvenue changeme changemenow supervision monitoring surveillance vigie vigievigie secretsecret adminadmin
    adminadminadmin rootroot rootrootroot passwordadmin adminpassword superpassword correcthorsebatterystaple
    unknownpassword defaultpassword temporarypassword
"""
_COMMON = frozenset(_LISTED.split())
_ROWS = (
    "01234567890123456789",
    "abcdefghijklmnopqrstuvwxyz",
    "azertyuiopqsdfghjklmwxcvbn",
    "qwertyuiopasdfghjklzxcvbnm",
)


class Busy(Exception):
    """Too many passwords are being checked at this moment."""


_hashing = threading.BoundedSemaphore(AT_ONCE)


@cache
def _hasher() -> PasswordHasher:
    return PasswordHasher()  # RFC 9106's second choice: 64 MiB, 3 passes


@cache
def _nobody() -> str:
    """The hash that an unknown name is checked against: it takes as long as a known one."""
    return _hasher().hash("nobody has this password")


@contextmanager
def _turn() -> Iterator[None]:
    if not _hashing.acquire(timeout=PATIENCE):
        raise Busy
    try:
        yield
    finally:
        _hashing.release()


def mistake(password: str, name: str) -> str | None:
    """Why this password is not accepted, as a message to translate; None when it is."""
    if len(password) < SHORTEST:
        return TOO_SHORT
    if len(password) > LONGEST:
        return TOO_LONG
    lowered = password.casefold()
    letters = lowered.strip("0123456789!?.*_- ")
    plain = (
        len(set(lowered)) < 5
        or letters in _COMMON
        or (name and letters in {name.casefold() * times for times in range(1, 9)})
        or any(lowered in row or lowered in row[::-1] for row in _ROWS)
    )
    return TOO_PLAIN if plain else None


def hashed(password: str) -> str:
    """Raises Busy."""
    with _turn():
        return _hasher().hash(password)


def verify(password: str, known: str | None) -> bool:
    """Whether the password is the one behind `known`; None (no such person) takes as long and is False. Raises Busy."""
    with _turn():
        try:
            _hasher().verify(known or _nobody(), password[: LONGEST + 1])
        except (VerificationError, InvalidHashError):
            return False
        return known is not None


def outdated(known: str) -> bool:
    """Whether a hash was made with other costs than today's."""
    return _hasher().check_needs_rehash(known)
