"""W17, W18: whatever an address or a form says, over every route of the URL map: an answer, never a failure."""

import re
import time
from collections import Counter

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from werkzeug.routing import Rule

from archive import database
from tests.web import site
from web import create_app

PARAMETERS = ["sort", "kind", "before", "line", "lang", "period", "from", "to", "metric", "warning", "critical", "minutes", "key",
              "raw", "q", "next", "state", "page", "level"]  # fmt: skip
FIELDS = ["reason", "session", "others", "try", "reset", "name", "password", "again", "present", "cpu", "memory", "ram",
          "temps_limite", "retention", "warning", "critical", "clear", "minutes", "direction", "second"]  # fmt: skip
ODD = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        [
            "",
            "0",
            "-1",
            "1",
            "9" * 40,
            "1e309",
            "NaN",
            "inf",
            "\x00",
            "' OR 1=1--",
            "../../etc/passwd",
            "%s%n",
            "\u202e",
            "24h",
            "10000000000d",
            "1,5",
            "٣",
            "9223372036854775808",
            "a" * 3000,
            "[]",
            "{}",
            "\udc80",
        ]
    ),
)
GOOD = {"name": ["cpu_busy_seconds_total", "user0"], "metric": ["disk_used_ratio"], "number": ["1"], "change": ["1"],
        "reference": ["CERTFR-2026-ALE-001"], "token": ["x" * 43]}  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = site.filled(str(tmp_path_factory.mktemp("fuzz") / "data"), 20, cpu=0.97, home=3e9)
    site.add_person(path)
    site.add_person(path, "other")
    return path


@pytest.fixture(scope="module")
def app(data: str) -> Flask:
    return create_app(site.config(data), now=lambda: site.NOW)


@pytest.fixture(scope="module")
def client(app: Flask) -> FlaskClient:
    found = app.test_client()
    assert site.log_in(found).status_code == 303
    return found


def rules(app: Flask, method: str) -> list[Rule]:
    return [one for one in app.url_map.iter_rules() if method in (one.methods or ()) and one.endpoint != "static"]


def address(draw: st.DataObject, rule: Rule) -> str:
    """The rule's path with its parts filled in, good or odd: what a router must take from anybody."""

    def part(found: re.Match[str]) -> str:
        good = GOOD.get(found[1].rpartition(":")[2], [])
        text = draw.draw(st.one_of(st.sampled_from(good), ODD) if good else ODD)
        return (
            text.encode("utf-8", "surrogatepass").hex() if "\udc80" in text else text.replace("?", "").replace("#", "")
        )

    return re.sub(r"<([^>]+)>", part, rule.rule)


def pairs(names: list[str]) -> st.SearchStrategy[list[tuple[str, str]]]:
    """Names and values, a name sometimes twice, a name sometimes unknown."""
    name = st.one_of(st.sampled_from(names), st.text(max_size=10))
    return st.lists(st.tuples(name, ODD.map(lambda text: text.replace("\udc80", "\ufffd"))), max_size=5)


def ask(client: FlaskClient, app: Flask, draw: st.DataObject) -> str:
    """One odd GET. Returns the endpoint."""
    rule = draw.draw(st.sampled_from(rules(app, "GET")), label="rule")
    path = address(draw, rule)
    query = draw.draw(pairs(PARAMETERS), label="query")
    answer = client.get(path, query_string=query, buffered=True)
    assert answer.status_code < 500 or (rule.endpoint == "about.healthz" and answer.status_code == 503)
    return str(rule.endpoint)


def send(app: Flask, data: str, draw: st.DataObject) -> str:
    """One odd form, by somebody who is logged in and has a token."""
    rule = draw.draw(st.sampled_from(rules(app, "POST")), label="rule")
    path = address(draw, rule)
    fields = draw.draw(pairs(FIELDS), label="fields")
    client = app.test_client()
    if rule.endpoint not in ("login.page", "login.first_page"):
        with client.session_transaction() as kept:
            kept["id"] = _session(data)
    page = client.get("/sessions" if rule.endpoint != "login.page" else "/login")
    given_token = site.token(page.text) if "csrf_token" in page.text else ""
    body: dict[str, list[str]] = {"csrf_token": [given_token]}
    for name, value in fields:
        body.setdefault(name, []).append(value)
    answer = client.post(path, data=body)
    assert answer.status_code < 500, (path, fields)
    return str(rule.endpoint)


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(draw=st.data())
def test_w18_no_route_ever_fails(client: FlaskClient, app: Flask, draw: st.DataObject) -> None:
    ask(client, app, draw)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(draw=st.data())
def test_w18_no_form_of_any_route_ever_fails(app: Flask, data: str, draw: st.DataObject) -> None:
    send(app, data, draw)


@pytest.mark.ci
def test_w18_a_minute_of_odd_requests_at_every_route(client: FlaskClient, app: Flask, data: str) -> None:
    end, rounds = time.monotonic() + 60, 0
    seen: Counter[str] = Counter()
    while time.monotonic() < end:

        @seed(rounds)
        @settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(draw=st.data())
        def both(draw: st.DataObject) -> None:
            if draw.draw(st.integers(0, 3)):
                seen[ask(client, app, draw)] += 1
            else:
                seen[send(app, data, draw)] += 1

        both()
        rounds += 1
    everywhere = {str(one.endpoint) for method in ("GET", "POST") for one in rules(app, method)}
    assert set(seen) == everywhere, everywhere - set(seen)


def _session(data: str) -> str:
    """A session made by hand, so that no example pays for a password."""
    import hashlib

    from archive import logins

    token = "s" * 43
    with logins.writing(data) as db:
        logins.end_all(db, "other")
        logins.begin(db, hashlib.sha256(token.encode()).hexdigest(), "other", site.NOW, "127.0.0.1", "x")
    return token


SQL = [
    "' OR '1'='1",
    "1; DROP TABLE sample;--",
    '" OR ""="',
    "') UNION SELECT password FROM person--",
    "%' ESCAPE '\\",
    "1/**/OR/**/1=1",
]


PLAIN: dict[tuple[str, str], int] = {}  # what an unknown text is answered with


@pytest.mark.ci
@pytest.mark.parametrize("payload", SQL)
def test_w17_sql_in_any_parameter_reads_as_any_other_unknown_text(
    client: FlaskClient, app: Flask, data: str, payload: str
) -> None:
    tables = _rows(data)
    for rule in rules(app, "GET"):
        path = re.sub(r"<(?:\w+:)?(\w+)>", lambda found: GOOD[found[1]][0], rule.rule)
        assert client.get("/sessions").status_code == 200
        for name in PARAMETERS:
            evil = client.get(path, query_string={name: payload}, buffered=True)
            if (path, name) not in PLAIN:
                PLAIN[path, name] = client.get(path, query_string={name: "xxxxxxxxxx"}, buffered=True).status_code
            assert evil.status_code == PLAIN[path, name], (path, name)
        if rule.arguments:
            spelled = payload.replace("/", "_")
            path = re.sub(r"<(?:\w+:)?(\w+)>", lambda _found: spelled, rule.rule)  # noqa: B023 used at once
            answer = client.get(path, buffered=True)
            assert answer.status_code in (404, 410), path
    assert _rows(data) == tables


def _rows(data: str) -> dict[str, int]:
    with database.reader(data) as db:
        names = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type='table'")]
        return {name: db.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in names}
