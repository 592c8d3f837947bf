"""Who may see and do what: the table, walked over every route."""

from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.web import site
from web import access
from web.access import Who

VALUES = {"name": "cpu_busy_seconds_total", "number": "1", "metric": "disk_used_ratio", "change": "1",
          "token": "x" * 43, "reference": "CERTFR-2026-ALE-001", "filename": "vigie.css"}  # fmt: skip
CLOSED_BY = [
    {"VIGIE_READ": "login"},
    {"VIGIE_PROXY_HOPS": "1"},
    {"VIGIE_LISTEN": "0.0.0.0:5000"},
    {"VIGIE_LISTEN": "192.0.2.1:5000"},
]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = site.filled(str(tmp_path_factory.mktemp("access") / "data"), 3)
    site.add_person(path)
    site.add_person(path, "lecteur", "reader")
    return path


def routes(app: Flask) -> Iterator[tuple[str, str, set[str]]]:
    """(endpoint, an address of it, its methods)"""
    with app.test_request_context():
        for rule in app.url_map.iter_rules():
            _domain, address = rule.build({name: VALUES[name] for name in rule.arguments}) or ("", "")
            yield rule.endpoint, address, set(rule.methods or ())


def test_w03_every_route_has_a_door(data: str) -> None:
    for endpoint, _address, methods in routes(site.site(data)):
        door = access.door(endpoint)
        assert door is not None, f"{endpoint} is in no table"
        assert ("POST" in methods) == (door.change is not None), endpoint


def test_every_door_has_a_route(data: str) -> None:
    endpoints = {endpoint for endpoint, _address, _methods in routes(site.site(data))}
    assert set(access.DOORS) <= endpoints


def test_a_route_that_is_in_no_table_is_closed(data: str) -> None:
    app = site.site(data)
    app.add_url_rule("/new", "new", lambda: "secret")
    assert app.test_client().get("/new").status_code == 403


@pytest.mark.parametrize("environ", CLOSED_BY)
def test_w03_when_closed_nothing_but_the_log_in_page_healthz_and_files_answers(
    data: str, environ: dict[str, str]
) -> None:
    app = site.site(data, VIGIE_TRUSTED_HOSTS="localhost", **environ)
    client = app.test_client()
    for endpoint, address, methods in routes(app):
        if "GET" not in methods:
            continue
        answer = client.get(address, buffered=True)
        if access.door(endpoint) == access.Door(Who.ANYONE) or endpoint in ("login.page", "login.first_page", "static"):
            assert answer.status_code in (200, 410, 503), address
        elif access.door(endpoint).token:  # a program is told so as programs are; a browser is led to the log-in
            assert answer.status_code == 401, address
            assert answer.headers["WWW-Authenticate"].startswith("Bearer"), address
            assert "machine" not in answer.text
            led = client.get(address, headers={"Accept": "text/html,*/*;q=0.8"})
            assert (led.status_code, led.headers["Location"]) == (302, "/login"), address
        else:
            assert answer.status_code == 302, address
            assert answer.headers["Location"] == "/login", address
            assert "machine" not in answer.text


def test_under_wsgi_nothing_is_open(data: str) -> None:
    assert site.site(data, wsgi=True).test_client().get("/").status_code == 302


def test_reading_is_open_on_loopback(data: str) -> None:
    app = site.site(data)
    client = app.test_client()
    for endpoint, address, methods in routes(app):
        door = access.door(endpoint)
        if "GET" in methods and door and door.look is Who.READING:
            assert client.get(address, buffered=True).status_code in (200, 404), address


def test_a_peers_address_opens_nothing(data: str) -> None:
    client = site.site(data, VIGIE_READ="login").test_client()
    assert client.get("/", environ_base={"REMOTE_ADDR": "127.0.0.1"}).status_code == 302
    assert client.get("/", headers={"X-Forwarded-For": "127.0.0.1"}).status_code == 302


def test_w03_a_reader_reads_everything_and_changes_nothing(data: str) -> None:
    app = site.site(data, VIGIE_READ="login")
    client = app.test_client()
    assert site.log_in(client, "lecteur").status_code == 303
    for endpoint, address, methods in routes(app):
        door = access.door(endpoint)
        assert door is not None
        if "GET" in methods and door.look is Who.ADMINISTRATOR:
            assert client.get(address, buffered=True).status_code == 403, address
        elif "GET" in methods and door.look is Who.READING:
            assert client.get(address, buffered=True).status_code in (200, 404), address
        if "POST" in methods and door.change is Who.ADMINISTRATOR:
            given = site.token(client.get("/sessions").text)
            assert client.post(address, data={"csrf_token": given}).status_code == 403, address


def test_an_administrator_passes_every_door(data: str) -> None:
    app = site.site(data, VIGIE_READ="login")
    client = app.test_client()
    site.log_in(client)
    for endpoint, address, methods in routes(app):
        if "GET" in methods and endpoint not in ("login.first_page", "login.page"):
            assert client.get(address, buffered=True).status_code in (200, 404), address


def test_w02_no_get_changes_anything_and_no_other_method_is_taken(data: str) -> None:
    app = site.site(data)
    client = app.test_client()
    site.log_in(client)
    for endpoint, address, methods in routes(app):
        if "POST" not in methods:
            given = site.token(client.get("/sessions").text)
            assert client.post(address, data={"csrf_token": given}).status_code == 405, (endpoint, address)
        if "GET" not in methods:
            assert client.get(address, buffered=True).status_code == 405, (endpoint, address)
        for method in ("PUT", "DELETE", "PATCH"):
            assert client.open(address, method=method).status_code in (400, 405), (method, address)


def test_what_names_people_s_origins_is_the_administrators(data: str) -> None:
    client: FlaskClient = site.site(data).test_client()
    assert "192.0.2." not in client.get("/users").text
    assert "192.0.2." not in client.get("/users/user0").text
    site.log_in(client)
    assert "192.0.2." in client.get("/users").text


def test_w11_after_the_log_in_one_comes_where_one_wanted_and_nowhere_else(data: str) -> None:
    app = site.site(data)
    client = app.test_client()
    assert client.get("/probes").status_code == 302
    assert site.log_in(client).headers["Location"] == "/probes"
    evil = [
        "//evil.example",
        "/\\evil.example",
        "/%09/evil.example",
        "https:evil.example",
        "javascript:alert(1)",
        "\\\\evil",
    ]
    for place in evil:
        client = app.test_client()
        page = client.get("/login", query_string={"next": place})
        fields = {"name": "admin", "password": site.PASSWORD, "csrf_token": site.token(page.text), "next": place}
        answer = client.post("/login", data=fields, query_string={"next": place})
        assert answer.headers["Location"] == "/", place
