"""Apprise URLs as an optional kind of delivery: a real webhook on 127.0.0.1 where the package is there."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from alerts import apprise_kind, outbox, owed
from alerts.outcome import LATER, REFUSED
from archive import recipients
from tests.alerts import post
from tests.alerts.post import NOW
from web.commands import mail_test

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # apprise's own
needs_apprise = pytest.mark.skipif(not apprise_kind.installed(), reason="needs the optional package apprise")
MAIL = b"Subject: =?utf-8?q?caf=C3=A9?=\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nbonjour\r\n"


@contextmanager
def webhook(status: int = 200) -> Iterator[tuple[int, list[dict[str, str]]]]:
    got: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server.server_port, got
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_url_is_known_by_a_name_that_holds_no_secret() -> None:
    name = recipients.apprise_name("mailto://user:canary@example.org")
    assert name.startswith("apprise:mailto:")
    assert "canary" not in name
    assert recipients.apprise_name("evil name\n://x").isprintable()


def test_an_address_that_is_no_longer_set_is_refused() -> None:
    assert apprise_kind.Apprise([]).send("v@x", ["apprise:json:00000000"], MAIL)[0].state == REFUSED


def test_without_the_package_it_is_tried_again_and_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apprise_kind, "installed", lambda: False)
    url = "json://127.0.0.1"
    (outcome,) = apprise_kind.Apprise([url]).send("v@x", [recipients.apprise_name(url)], MAIL)
    assert outcome.state == LATER
    assert "requirements-apprise.txt" in outcome.reply


@needs_apprise
def test_a_webhook_gets_subject_and_text() -> None:
    with webhook() as (port, got):
        url = f"json://127.0.0.1:{port}/"
        (outcome,) = apprise_kind.Apprise([url]).send("v@x", [recipients.apprise_name(url)], MAIL)
    assert outcome.state == "accepted"
    assert (got[0]["title"], got[0]["message"].strip()) == ("café", "bonjour")


@needs_apprise
def test_a_webhook_that_fails_is_tried_again_and_mails_go_their_own_way(tmp_path: Path) -> None:
    data = post.make_archive(tmp_path / "data")
    with webhook(500) as (port, got):
        url = f"json://127.0.0.1:{port}/"
        config = post.settings(data, mail_to="", notify_urls=url)
        with post.writing(data) as db:
            number = post.incident(db)
            owed.owe(db, 1, [post.transition(db, number)], recipients.in_force(db, config), "http://x", NOW)
        assert outbox.run(config, NOW).later == 1
    assert got
    assert post.states(data) == [(recipients.apprise_name(url), "queued")]


@needs_apprise
def test_mail_test_goes_there_too_and_shows_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = post.make_archive(tmp_path / "data")
    with webhook() as (port, got):
        url = f"json://user:canary@127.0.0.1:{port}/"
        for name, value in {"DATA": str(data), "NOW": str(NOW), "LANGUAGE": "en", "NOTIFY_URLS": url}.items():
            monkeypatch.setenv(f"VIGIE_{name}", value)
        assert mail_test.run([]) == 0
    assert "this is a test" in got[0]["message"].lower()
    said = capsys.readouterr()
    assert recipients.apprise_name(url) in said.out
    assert "canary" not in said.out + said.err
    assert post.states(data) == [(recipients.apprise_name(url), "accepted")]


@needs_apprise
def test_an_unknown_kind_is_refused() -> None:
    url = "nosuchkind://x"
    (outcome,) = apprise_kind.Apprise([url]).send("v@x", [recipients.apprise_name(url)], MAIL)
    assert outcome.state == REFUSED
