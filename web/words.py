"""The reader's language and time zone: the cookie's choice, then the browser's wish, then the setting."""

from functools import lru_cache
from typing import cast

from flask import Flask, Response, g, request

from alerts.words import Words
from web import store

LANGUAGES = ("fr", "en")
COOKIE = "vigie-language"
YEAR = 365 * 24 * 3600


def language() -> str:
    """`fr` or `en` for this request. `?lang=en` chooses, and is remembered by `remember`."""
    chosen = request.args.get("lang", "")
    if chosen in LANGUAGES:
        return chosen
    remembered = request.cookies.get(COOKIE, "")
    if remembered in LANGUAGES:
        return remembered
    # In the browser's own order; `en-GB` is English. What is refused (q=0) does not stand in the list.
    for wish, quality in request.accept_languages:
        primary = wish.partition("-")[0].lower()
        if quality > 0 and primary in LANGUAGES:
            return primary
        if wish == "*":
            break
    return store.settings().language


def words() -> Words:
    """The words of this request."""
    if "words" not in g:
        g.words = spoken(language(), store.settings().timezone)
    return cast(Words, g.words)


@lru_cache(maxsize=8)
def spoken(language: str, timezone: str) -> Words:
    """One for all requests: words never change, and what is kept by them (web/pictures.py) is found again."""
    return Words(language, timezone)


def _(message: str, **values: object) -> str:
    """A message in the reader's language, its %(name)s filled in."""
    return words().gettext(message, **values)


def _n(one: str, many: str, number: int, **values: object) -> str:
    """The same, singular or plural; %(num)s is the number as the reader writes it."""
    return words().ngettext(one, many, number, **values)


def remember(response: Response) -> Response:
    """Keep a language that was chosen by a link. A preference, not a secret: readable without log-in, never a state."""
    chosen = request.args.get("lang", "")
    if chosen in LANGUAGES and chosen != request.cookies.get(COOKIE):
        response.set_cookie(COOKIE, chosen, max_age=YEAR, httponly=True, samesite="Lax", secure=request.is_secure)
    return response


def install(app: Flask) -> None:
    """Jinja's `_` and `ngettext` in the reader's language, and `words` for numbers and times."""
    app.jinja_env.add_extension("jinja2.ext.i18n")
    app.jinja_env.install_gettext_callables(_plain, _plural, newstyle=True)  # type: ignore[attr-defined]
    app.context_processor(lambda: {"words": words(), "language": words().language})
    app.after_request(remember)


def _plain(message: str) -> str:
    return words().gettext(message)


def _plural(one: str, many: str, number: int) -> str:
    return words().ngettext(one, many, number)
