"""What every answer says about itself."""

import gzip
import os
import re

import pytest
from flask import Flask, Response, request
from flask.testing import FlaskClient

from archive import database
from archive.settings import ROOT
from tests.web import site

PAGES = ["/", "/fragment", "/live.json", "/users", "/incidents", "/security", "/thresholds", "/about", "/healthz", "/login",
         "/graphs/", "/graphs/cpu_busy_seconds_total", "/static/vigie.css", "/static/vigie.js", "/nothing", "/probes",
         "/static/nothing", "/incidents/999", "/first/x"]  # fmt: skip
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = site.filled(str(tmp_path_factory.mktemp("headers") / "data"), 3)
    site.add_person(path)
    return path


@pytest.fixture(scope="module")
def app(data: str) -> Flask:
    found = site.site(data)

    def fails() -> str:
        raise RuntimeError("the secret of the machine")

    found.add_url_rule("/fails", "graphs.fails", fails)
    return found


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.mark.parametrize("address", [*PAGES, "/fails"])
def test_w20_every_answer_carries_the_header_set(client: FlaskClient, address: str) -> None:
    answer = client.get(address, buffered=True)
    assert answer.headers["Content-Security-Policy"] == POLICY
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Permissions-Policy"] == "camera=(), microphone=(), geolocation=()"
    assert "Server" not in answer.headers
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert "Strict-Transport-Security" not in answer.headers
    if not address.startswith("/static/v"):
        assert answer.headers["Cache-Control"] == "no-store" or address.startswith("/static/")


@pytest.mark.parametrize("path", ["/fleet/v1/cycles", "/fleet/v1/join", "/fleet/v1/nothing"])
def test_w20_the_door_for_machines_carries_it_too(client: FlaskClient, path: str) -> None:
    for method in ("GET", "POST"):
        answer = client.open(path, method=method)
        assert answer.status_code in (401, 404, 405)
        assert answer.headers["Content-Security-Policy"] == POLICY
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["Cache-Control"] == "no-store"


def test_a_stranger_at_the_door_for_machines_does_not_take_the_writers_lock(client: FlaskClient, data: str) -> None:
    with database.locked(data):
        assert client.post("/fleet/v1/cycles", headers={"Authorization": "Bearer x"}).status_code == 401


def test_w20_a_refused_post_and_a_304_carry_it_too(client: FlaskClient) -> None:
    assert client.post("/login").headers["Content-Security-Policy"] == POLICY
    tag = client.get("/fragment").headers["ETag"]
    unchanged = client.get("/fragment", headers={"If-None-Match": tag})
    assert unchanged.status_code == 304
    assert unchanged.data == b""
    assert unchanged.headers["Content-Security-Policy"] == POLICY


def test_static_files_are_kept_for_ever_under_an_address_that_changes_with_them(client: FlaskClient) -> None:
    addresses = re.findall(r'(?:href|src)="(/static/[^"]+)"', client.get("/").text)
    assert len(addresses) >= 4
    for address in addresses:
        assert re.search(r"\?v=[0-9a-f]{10}$", address), address
        assert "immutable" in client.get(address, buffered=True).headers["Cache-Control"]
    assert client.get("/static/vigie.css", buffered=True).headers["Cache-Control"] == "no-cache"


def test_behind_tls_cookies_are_bound_to_the_host_and_hsts_is_on(data: str) -> None:
    client = site.site(data, VIGIE_URL="https://vigie.example.org", VIGIE_PROXY_HOPS="1").test_client()
    headers = {"Host": "vigie.example.org", "X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.7"}
    page = client.get("/login", headers=headers, base_url="http://vigie.example.org")
    assert page.headers["Strict-Transport-Security"] == "max-age=31536000"
    cookie = page.headers["Set-Cookie"]
    assert cookie.startswith("__Host-vigie=")
    assert all(part in cookie for part in ("Secure", "HttpOnly", "Path=/", "SameSite=Lax"))
    assert "Domain" not in cookie


def test_text_is_compressed_but_never_beside_a_forms_token(client: FlaskClient) -> None:
    wanted = {"Accept-Encoding": "gzip"}
    page = client.get("/", headers=wanted)
    assert page.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(page.data).decode().startswith("<!doctype html>")
    assert "Accept-Encoding" in page.headers["Vary"]
    assert "Content-Encoding" not in client.get("/login", headers=wanted).headers
    assert "Content-Encoding" not in client.get("/", headers={"Accept-Encoding": "gzip;q=0"}).headers


def test_w27_a_failure_shows_a_number_and_nothing_else(client: FlaskClient, caplog: pytest.LogCaptureFixture) -> None:
    answer = client.get("/fails")
    assert answer.status_code == 500
    assert "secret of the machine" not in answer.text
    assert "Traceback" not in answer.text
    number = re.search(r"<code>([0-9a-f]{8})</code>", answer.text)
    assert number
    assert number[1] in caplog.text
    assert "secret of the machine" in caplog.text


def test_w27_debugging_is_never_on(data: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLASK_DEBUG", "1")
    app = site.site(data)
    assert not app.debug
    app.add_url_rule("/fails", "graphs.fails", lambda: 1 / 0)
    answer = app.test_client().get("/fails")
    assert answer.status_code == 500
    assert "ZeroDivisionError" not in answer.text


@pytest.mark.parametrize("host", ["evil.example", "", "localhost:5000@evil", "localhost.evil.example", "127.0.0.1.evil", "localhost.",
                                  "[::1]evil", "localhost:80x", "localhost, evil", "169.254.169.254", "0.0.0.0", "[::2]"])  # fmt: skip
def test_w13_a_strange_host_is_refused_and_told_nothing(client: FlaskClient, host: str) -> None:
    answer = client.get("/", headers={"Host": host})
    assert answer.status_code == 400
    assert "machine" not in re.sub(r"cette machine", "", answer.text).replace("Vigie surveille", "")


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:5000", "localhost:8080", "127.0.0.1:5000", "[::1]:5000", "LOCALHOST:80"]
)
def test_w13_the_names_of_loopback_are_answered_with_any_port(client: FlaskClient, host: str) -> None:
    assert client.get("/", headers={"Host": host}).status_code == 200


def test_w13_a_missing_host_is_refused(app: Flask) -> None:
    from werkzeug.test import EnvironBuilder, run_wsgi_app

    environ = EnvironBuilder("/").get_environ()
    environ.pop("HTTP_HOST", None)
    _body, status, _headers = run_wsgi_app(app, environ, buffered=True)
    assert status.startswith("400")


def test_w13_names_that_are_set_are_answered(data: str) -> None:
    client = site.site(
        data, VIGIE_TRUSTED_HOSTS="srv.example.org, autre", VIGIE_URL="https://vigie.example.org"
    ).test_client()
    for host, code in (("srv.example.org", 200), ("autre:80", 200), ("vigie.example.org", 200), ("example.org", 400)):
        assert client.get("/healthz", headers={"Host": host}).status_code == code, host


def test_w14_forwarded_headers_are_ignored_unless_a_proxy_is_declared(data: str) -> None:
    forged = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https",
              "X-Forwarded-Prefix": "/evil", "Forwarded": "for=203.0.113.9;host=evil.example"}  # fmt: skip
    client = site.site(data).test_client()
    page = client.get("/", headers=forged)
    assert page.status_code == 200
    assert "evil" not in page.text
    assert "Strict-Transport-Security" not in page.headers


def test_w34_behind_a_proxy_at_a_sub_path_links_carry_it(data: str) -> None:
    client = site.site(data, VIGIE_URL="https://example.org/vigie", VIGIE_PROXY_HOPS="1").test_client()
    headers = {
        "Host": "example.org",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Prefix": "/vigie",
        "X-Forwarded-For": "192.0.2.1",
    }
    page = client.get("/login", headers=headers, base_url="http://example.org")
    assert 'action="/vigie/login"' in page.text
    assert 'href="/vigie/static/vigie.css' in page.text
    assert client.get("/", headers=headers, base_url="http://example.org").headers["Location"] == "/vigie/login"


@pytest.mark.parametrize(
    ("hops", "address"), [(0, "127.0.0.1"), (1, "198.51.100.1"), (2, "192.0.2.7"), (4, "127.0.0.1")]
)
def test_w14_a_proxys_headers_are_believed_for_exactly_the_declared_number(data: str, hops: int, address: str) -> None:
    """203.0.113.9 is what the client made up; 192.0.2.7 is the client as the outer proxy saw it, 198.51.100.1 the outer proxy."""
    app = site.site(data, VIGIE_URL="https://vigie.example.org", VIGIE_PROXY_HOPS=str(hops))
    client = app.test_client()
    seen = []

    @app.after_request
    def look(response: Response) -> Response:
        seen.append(request.remote_addr)
        return response

    headers = {"Host": "vigie.example.org", "X-Forwarded-For": "203.0.113.9, 192.0.2.7, 198.51.100.1"}
    client.get("/login", headers=headers, environ_base={"REMOTE_ADDR": "127.0.0.1"})
    assert seen == [address]


def test_w34_the_path_is_the_settings_and_never_a_headers(data: str) -> None:
    forged = {
        "Host": "example.org",
        "X-Forwarded-Prefix": "//evil.example",
        "X-Script-Name": "/evil",
        "X-Forwarded-Proto": "https",
    }
    for url, path in (("https://example.org/vigie/", "/vigie"), ("https://example.org", "")):
        client = site.site(data, VIGIE_URL=url, VIGIE_PROXY_HOPS="1").test_client()
        page = client.get("/login", headers=forged, base_url="http://example.org")
        assert f'action="{path}/login"' in page.text
        assert "evil" not in page.text


@pytest.mark.parametrize("path", ["/static/..%2f..%2fREADME.md", "/static/%2e%2e/README.md", "/static//etc/passwd", "/static/%00",
                                  "/static/../web/__init__.py", "/static/....//README.md", "/static/%c0%ae"])  # fmt: skip
def test_w12_nothing_outside_of_static_is_served(client: FlaskClient, path: str) -> None:
    answer = client.get(path, buffered=True)
    assert answer.status_code in (301, 308, 404)
    assert "flask" not in answer.text


def test_w12_no_file_of_static_is_a_link_out_of_it() -> None:
    """A link in the folder would be followed, so there is none."""
    for folder, folders, names in os.walk(os.path.join(ROOT, "static")):
        for name in (*folders, *names):
            assert not os.path.islink(os.path.join(folder, name)), name
