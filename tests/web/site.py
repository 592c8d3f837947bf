"""The real application over a real archive, and what a browser does with it: forms, cookies, tokens."""

import os
import re
from collections.abc import Callable
from html import unescape
from html.parser import HTMLParser

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from alerts import cycle
from archive import database, logins, settings
from tests import cycles
from web import create_app, passwords

NOW = 1_795_221_000 // 60 * 60
PASSWORD = "cheval agrafe batterie"


class Clock:
    """The tests' time, set forward and back at will."""

    def __init__(self, at: int = NOW) -> None:
        self.at = at

    def __call__(self) -> int:
        return self.at


def folder(path: str) -> str:
    """An empty data folder with its database."""
    os.makedirs(os.path.join(path, "spool"), mode=0o700)
    os.chmod(path, 0o700)
    database.create(path, "0123456789abcdef", "machine", "hash", NOW - 86_400)
    return path


def filled(path: str, minutes: int = 30, until: int = NOW, **levels: float) -> str:
    """A data folder with the cycles of the last minutes, archived and judged as every minute does it."""
    folder(path)
    judged(path, minutes, until, **levels)
    return path


def judged(path: str, minutes: int, until: int, **levels: float) -> None:
    for number in range(minutes):
        at = until - (minutes - 1 - number) * 60
        cycles.write(path, at, cycles.machine(at, **levels))
    cycle.run(config(path), until)


def config(path: str, **environ: str) -> settings.Settings:
    return settings.load({"VIGIE_DATA": path, "VIGIE_TIMEZONE": "Europe/Paris", **environ})


def site(path: str, clock: Callable[[], int] = lambda: NOW, *, wsgi: bool = False, **environ: str) -> Flask:
    return create_app(config(path, **environ), now=clock, wsgi=wsgi)


def add_person(path: str, name: str = "admin", role: str = "administrator", password: str = PASSWORD) -> None:
    kept = passwords.hashed(password)
    with logins.writing(path) as db:
        logins.set_password(db, name, role, kept, NOW)


def token(html: str) -> str:
    """The form's token, as the page holds it."""
    found = re.search(r'name="csrf_token" value="([^"]+)"', html)
    assert found, "the page holds no form token"
    return unescape(found[1])


def log_in(client: FlaskClient, name: str = "admin", password: str = PASSWORD, **headers: str) -> TestResponse:
    """Through the form, as a person does."""
    page = client.get("/login")
    fields = {"name": name, "password": password, "csrf_token": token(page.text)}
    return client.post("/login", data=fields, headers=headers)


def post(client: FlaskClient, path: str, fields: dict[str, str], page: str = "", **headers: str) -> TestResponse:
    """A POST with the token of the page that holds the form."""
    given = token(client.get(page or path).text)
    return client.post(path, data={**fields, "csrf_token": given}, headers=headers)


def plain(text: str) -> str:
    """The text with every space a plain one: no-break spaces are good typography and hard to compare."""
    return " ".join(text.split())


class Page(HTMLParser):
    """What a test asks of a page: its elements with their attributes, its text, its ids."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return plain(" ".join(self.words))

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def by_id(self, ident: str) -> dict[str, str]:
        return next(attributes for _tag, attributes in self.elements if attributes.get("id") == ident)
