"""W15, W19, W21: every payload through every outlet.

Each page is fetched (every route of the URL map, every line, incident, publication and user) from a machine of evil
names and from its harmless twin: an element, or an attribute of an element, that only the first has came from a name.
"""

import csv
import functools
import io
import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit
from xml.etree import ElementTree

import pytest
from flask import url_for
from flask.testing import FlaskClient

from alerts import digest, mail
from alerts.words import Words
from archive import database, outbox, read
from archive.settings import ROOT
from tests.faults import evil
from tests.faults.evil import PAYLOADS, REFERENCES, Machine
from tests.web import site
from tests.web.site import NOW, Page
from web.logs import OneEntry

CONTROLS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
MISSING = "a page that is not there"
GRAPH_TAGS = {"svg", "g", "path", "rect", "text", "line", "style"}


parsed = functools.cache(Page)  # each page is parsed once for all the payloads that are looked for in it


class Outlets(NamedTuple):
    """What came out of one machine. `pages`: endpoint and address -> text."""

    pages: dict[tuple[str, str], str]
    files: dict[tuple[str, str], tuple[str, str]]  # the others: (content type, text)


def addresses(machine: Machine, client: FlaskClient) -> Iterator[tuple[str, str]]:
    """(endpoint, address) of everything that can be looked at, by the URL map."""
    with database.reader(machine.path) as db:
        metrics = [metric.name for metric in read.metrics(db)]
        numbers = [str(row[0]) for row in db.execute("SELECT id FROM incident WHERE opened_at IS NOT NULL")]
        lines = [line.id for line in read.series(db, 1, "disk_used_ratio")]
    # A name that a path cannot hold has no page of its own: it is asked for all the same, and answered 404.
    values = {
        "name": {"users.one": machine.shown, "": metrics},
        "number": {"": numbers},
        "metric": {"": metrics},
        "reference": {"": REFERENCES},
        "token": {"": ["x" * 43]},
        "change": {"": ["1"]},
    }
    with client.application.test_request_context():
        for rule in client.application.url_map.iter_rules():
            if "GET" not in (rule.methods or ()) or rule.endpoint == "static":
                continue
            if not rule.arguments:
                yield rule.endpoint, url_for(rule.endpoint)
                continue
            (argument,) = rule.arguments
            assert argument in values, f"{rule}: say here what {argument} may be"
            for value in values[argument].get(rule.endpoint, values[argument][""]):
                yield rule.endpoint, quote(str(rule.build({argument: value})[1]), safe="/%:=&?")  # type: ignore[index]
        yield MISSING, "/users/nobody"
        for line in lines:
            yield "graphs.one", url_for("graphs.one", name="disk_used_ratio", line=line)
            yield "thresholds.one", url_for("thresholds.one", metric="disk_used_ratio", line=line)


def fetch(machine: Machine) -> Outlets:
    """All of it, as the administrator sees it."""
    client = site.site(machine.path).test_client()
    assert site.log_in(client, machine.person).status_code == 303
    pages, files = {}, {}
    for endpoint, address in addresses(machine, client):
        if endpoint == "login.page":
            continue  # one is in; the failed name has a test of its own
        answer = client.get(address, buffered=True)
        assert answer.status_code in (200, 404, 410), (endpoint, address, answer.status_code)
        kind = answer.content_type
        if kind.startswith("text/html"):
            pages[endpoint, address] = answer.text
        else:
            files[endpoint, address] = kind, answer.text
    return Outlets(pages, files)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    return evil.build(str(tmp_path_factory.mktemp("evil") / "data"), hostile=True)


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    return evil.build(str(tmp_path_factory.mktemp("twin") / "data"), hostile=False)


@pytest.fixture(scope="module")
def out(machine: Machine) -> Outlets:
    return fetch(machine)


@pytest.fixture(scope="module")
def harmless(twin: Machine) -> Outlets:
    return fetch(twin)


def shapes(text: str) -> set[tuple[str, str]]:
    """Every (element, attribute) of a page; ('p', '') for the element itself."""
    found = set()
    for tag, attributes in parsed(text).elements:
        found |= {(tag, ""), *((tag, name) for name in attributes)}
    return found


def known(outlets: Outlets) -> dict[str, set[tuple[str, str]]]:
    """By endpoint, what its pages may hold; a name with a slash has no page: what is said of one that is not there."""
    missing = next(text for (endpoint, _address), text in outlets.pages.items() if endpoint == MISSING)
    found: dict[str, set[tuple[str, str]]] = {}
    for (endpoint, _address), text in outlets.pages.items():
        found.setdefault(endpoint, shapes(missing)).update(shapes(text))
    return found


# --- pages ------------------------------------------------------------------------------------------------------------


def test_w15_every_route_was_looked_at(out: Outlets, machine: Machine) -> None:
    seen = {endpoint for endpoint, _address in [*out.pages, *out.files]}
    app = site.site(machine.path)
    wanted = {rule.endpoint for rule in app.url_map.iter_rules() if "GET" in (rule.methods or ())}
    assert wanted - seen == {"static", "login.page"}, "a route that no payload was led through"


def test_w15_no_page_has_an_element_or_attribute_that_its_harmless_twin_has_not(
    out: Outlets, harmless: Outlets
) -> None:
    allowed = known(harmless)
    foreign = {
        (endpoint, address): shapes(text) - allowed[endpoint]
        for (endpoint, address), text in out.pages.items()
        if shapes(text) - allowed[endpoint]
    }
    assert foreign == {}


def test_w15_no_address_in_a_page_leads_elsewhere(out: Outlets) -> None:
    for (_endpoint, page), text in out.pages.items():
        for tag, attributes in parsed(text).elements:
            for name in ("href", "src", "action", "formaction"):
                target = urlsplit(attributes.get(name, ""))
                own = (target.scheme, target.netloc) == ("http", "localhost")
                site = (target.scheme, target.netloc) in (("", ""), ("https", "www.cert.ssi.gouv.fr"))
                assert own or site, (page, tag, attributes)


def test_w15_nothing_of_a_page_was_run_as_a_template(out: Outlets) -> None:
    for address, text in out.pages.items():
        assert not [word for word in parsed(text).words if word.strip() in ("49", "{49}", "$49")], address


@pytest.mark.parametrize("number", range(len(PAYLOADS)), ids=[ascii(name)[:30] for name in PAYLOADS])
def test_w15_a_payload_reaches_the_pages_as_text_and_as_an_attribute(
    out: Outlets, machine: Machine, number: int
) -> None:
    """Were it not there, the tests above would prove nothing of it."""
    shown = machine.shown[number]
    texts = {address for address, text in out.pages.items() if shown[:60] in "".join(parsed(text).words)}
    assert {endpoint for endpoint, _address in texts} >= {"users.page", "graphs.one", "security.page"} - (
        # CERT-FR's titles are cleaned in a way of their own.
        {"security.page"} if shown != PAYLOADS[number] or len(shown) > 300 or number in (2, 20) else set()
    )
    attributes = [
        value
        for (endpoint, _address), text in out.pages.items()
        if endpoint in ("graphs.one", "users.page", "overview.page")
        for tag, found in parsed(text).elements
        for value in found.values()
        if shown[:40] in unquote(value)
    ]
    assert attributes


def test_w15_a_failed_log_in_s_name_is_only_text(machine: Machine) -> None:
    app = site.site(machine.path)
    plain = shapes(site.log_in(app.test_client(), "someone", "x").text)
    for number, payload in enumerate(PAYLOADS):
        client = app.test_client()
        answer = client.post(
            "/login",
            data={"name": payload, "password": "x", "csrf_token": site.token(client.get("/login").text)},
            environ_base={"REMOTE_ADDR": f"192.0.2.{number}"},
        )
        assert answer.status_code == 403, payload
        assert shapes(answer.text) <= plain, payload


def test_w15_an_address_that_does_not_exist_is_not_repeated_as_markup(machine: Machine) -> None:
    client = site.site(machine.path).test_client()
    plain = shapes(client.get("/nothing").text) | shapes(client.get("/users/nobody").text)
    for payload in PAYLOADS:
        for path in (
            f"/{quote(payload, safe='')}",
            f"/users/{quote(payload + '-', safe='')}",
            f"/graphs/?q={quote(payload)}",
        ):
            answer = client.get(path)
            assert answer.status_code in (200, 308, 404), path
            if answer.status_code == 404:
                assert shapes(answer.text) <= plain, path


# --- graphs -----------------------------------------------------------------------------------------------------------


def svgs(outlets: Outlets) -> Iterator[str]:
    for (_endpoint, _address), (kind, text) in outlets.files.items():
        if kind.startswith("image/svg+xml"):
            yield text
    for (endpoint, _address), text in outlets.pages.items():
        if endpoint.startswith(("graphs", "users", "overview", "incidents")):
            yield from re.findall(r'<svg [^>]*role="img".*?</svg>', text, re.S)


def test_w21_every_graph_holds_a_graph_s_elements_and_nothing_that_acts(out: Outlets) -> None:
    count = 0
    for text in svgs(out):
        root = ElementTree.fromstring(text)
        count += 1
        for node in root.iter():
            tag = str(node.tag).rpartition("}")[2]
            assert tag in GRAPH_TAGS, tag
            for name, value in node.attrib.items():
                assert not name.startswith("on"), (tag, name)
                assert name.rpartition("}")[2] not in ("href", "style", "src"), (tag, name)
                assert "javascript:" not in value or "javascript:alert(1)" in value
                assert not re.search(r"url\(|https?://(?!www\.w3\.org/2000/svg)", value), (tag, name, value)
    assert count > 60


def test_w21_a_graph_opened_alone_may_run_nothing(machine: Machine) -> None:
    client = site.site(machine.path).test_client()
    for name in ("evil_ratio", "disk_used_ratio", "user_memory_bytes"):
        answer = client.get(f"/graphs/{name}.svg")
        allowed = answer.headers["Content-Security-Policy"]
        assert re.fullmatch(r"default-src 'none'; style-src 'sha256-[A-Za-z0-9+/=]+'; sandbox", allowed)
        assert "<script" not in answer.text


# --- files ------------------------------------------------------------------------------------------------------------


def test_w15_json_is_json_and_named_so(out: Outlets) -> None:
    found = [(address, *told) for address, told in out.files.items() if "json" in told[0]]
    assert len(found) > 10
    for address, kind, text in found:
        assert kind.partition(";")[0] == "application/json", address
        json.loads(text)


def test_w15_data_inside_a_page_cannot_end_its_element(out: Outlets, machine: Machine) -> None:
    count = 0
    for text in out.pages.values():
        for found in re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', text, re.S):
            json.loads(found)
            assert not set("<>&") & set(found)
            count += 1
    assert count > 20


NUMBERS = ("time", "at", "mean", "least", "greatest", "samples")


def test_w19_every_csv_reads_back_and_no_cell_is_a_formula(out: Outlets, machine: Machine) -> None:
    told: set[str] = set()
    files = [text for kind, text in out.files.values() if kind.startswith("text/csv")]
    assert len(files) > 10
    for text in files:
        rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
        for row in rows:
            assert None not in row, "a cell was torn in two"
            for name, value in row.items():
                if name not in NUMBERS:
                    assert not value.startswith(("=", "+", "-", "@", "\t", "\r")), value
                else:
                    assert re.fullmatch(r"-?[0-9.e+-]*|\d{4}-\d\d-\d\dT[\d:+Z]+", value), (name, value)
            line = row.get("line", "")
            told |= set(json.loads(line).values()) if line.startswith("{") else set()
    assert set(machine.shown) <= told


def test_w15_the_exposition_is_one_line_a_sample(out: Outlets, machine: Machine) -> None:
    (text,) = [text for (endpoint, _), (_kind, text) in out.files.items() if endpoint == "data.metrics"]
    told = set()
    for line in text.split("\n"):
        assert not CONTROLS.search(line)
        for value in re.findall(r'user="((?:[^"\\]|\\.)*)"', line):
            told.add(re.sub(r"\\(.)", lambda found: {"n": "\n"}.get(found[1], found[1]), value))
        assert not line or line.startswith(("# ", "vigie_")), line
    assert set(machine.shown) <= told


# --- mails ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def owed(machine: Machine) -> outbox.Notification:
    """The mail that the evil machine owes for its incidents."""
    return longest(machine)


def longest(machine: Machine) -> outbox.Notification:
    """The mail that tells of the most incidents."""
    with database.reader(machine.path) as db:
        entries = outbox.ledger(db, 500)
        return max((entry.notification for entry in entries), key=lambda one: len(outbox.told(db, one.id)))


@pytest.fixture(scope="module")
def twins_mail(twin: Machine) -> EmailMessage:
    return made(twin, longest(twin), "name")


def made(machine: Machine, notification: outbox.Notification, name: str) -> EmailMessage:
    """The mail as a client reads it, from a machine that calls itself `name`."""
    with database.writer(machine.path) as db, database.transaction(db):
        db.execute("UPDATE host SET name=?", (name,))
    raw = mail.make(site.config(machine.path), notification, ["a@example.org"], "v@example.org", NOW).data
    assert all(len(line) <= 998 for line in raw.split(b"\r\n"))
    found = message_from_bytes(raw, policy=policy.default)
    assert isinstance(found, EmailMessage)
    return found


@pytest.mark.parametrize("name", PAYLOADS, ids=[ascii(name)[:30] for name in PAYLOADS])
def test_w15_a_mail_s_headers_and_both_bodies_hold_text_only(
    machine: Machine, owed: outbox.Notification, twins_mail: EmailMessage, name: str
) -> None:
    message = made(machine, owed, name)
    assert set(message.keys()) == set(twins_mail.keys())
    assert not message.defects
    for header, value in message.items():
        assert not CONTROLS.search(str(value).replace("\t", "")), (header, value)
    plain, rich = message.get_body(("plain",)), message.get_body(("html",))
    assert plain is not None
    assert rich is not None
    assert not CONTROLS.search(str(plain.get_content()).replace("\r\n", "\n"))
    twins = twins_mail.get_body(("html",))
    assert twins is not None
    assert shapes(str(rich.get_content())) <= shapes(str(twins.get_content()))
    for tag, attributes in Page(str(rich.get_content())).elements:
        for attribute in ("href", "src"):
            target = attributes.get(attribute, "")
            assert not target or target.startswith(("http://localhost:5000/", "cid:")), (tag, attributes)


def test_w15_the_mail_tells_of_the_evil_mounts(machine: Machine, owed: outbox.Notification) -> None:
    body = made(machine, owed, "x").get_body(("plain",))
    assert body is not None
    text = " ".join(str(body.get_content()).split())
    assert sum(" ".join(name.split()) in text for name in machine.shown) > 20


def test_w15_the_weekly_mail_holds_text_only(machine: Machine, twin: Machine) -> None:
    ready = []
    for one in (machine, twin):
        config = site.config(one.path)
        with database.reader(one.path) as db:
            ready.append(digest.make(db, config, Words("fr", "Europe/Paris"), NOW + 60))
    evil_one, harmless_one = ready
    assert shapes(evil_one.html) <= shapes(harmless_one.html)
    assert not CONTROLS.search(evil_one.text.replace("\n", ""))
    assert not CONTROLS.search(evil_one.subject)


# --- log and terminal -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("payload", PAYLOADS, ids=[ascii(name)[:30] for name in PAYLOADS])
def test_w15_a_payload_forges_no_line_of_the_log(
    machine: Machine, caplog: pytest.LogCaptureFixture, payload: str
) -> None:
    """In an address, in a browser's name, in the words of an error."""
    app = site.site(machine.path)

    def fails() -> str:
        raise RuntimeError(payload)

    app.add_url_rule("/fails", "graphs.fails", fails)
    client = app.test_client()
    agent = "".join(c for c in payload if c.isprintable() and ord(c) < 256)
    with caplog.at_level(logging.WARNING):
        assert client.get("/fails", query_string={"q": payload}, headers={"User-Agent": agent}).status_code == 500
        client.get(f"/{quote(payload, safe='')}")
    assert caplog.records
    for record in caplog.records:
        written = OneEntry().format(record)
        assert not CONTROLS.search(written.replace("\n", ""))
        assert all(line.startswith("    ") for line in written.split("\n")[1:])


COMMANDS = [["status"], ["status", "--json"], ["doctor"], ["doctor", "--json"], ["mails", "-n", "100"], ["backups", "--now"],
            ["backups"], ["certfr", "status"], ["digest"], ["backtest", "disk_used_ratio", "--warning", "90%"],
            ["rebuild"], ["user", "list"], ["user", "sessions"]]  # fmt: skip


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_w15_a_terminal_is_told_nothing_that_it_would_obey(machine: Machine, arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-I", os.path.join(ROOT, "web", "__main__.py"), *arguments],
        env={"PATH": "/usr/bin:/bin", "VIGIE_DATA": machine.path, "VIGIE_NOW": str(NOW + 60), "VIGIE_LISTEN": "127.0.0.1:9"},
        capture_output=True, check=False, timeout=120, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.stdout
    assert b"Traceback" not in done.stderr
    for said in (done.stdout, done.stderr):
        assert not CONTROLS.search(said.decode().replace("\n", "")), arguments


def test_w15_status_names_the_evil_users(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    """Were they not there, the test above would prove nothing."""
    from web.commands import status

    run: Callable[[list[str]], int] = status.run
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIGIE_DATA", machine.path)
        patch.setenv("VIGIE_NOW", str(NOW))
        run(["--json"])
    told = json.loads(capsys.readouterr().out)
    assert {one["user"] for one in told["users"]} >= set(machine.shown)
