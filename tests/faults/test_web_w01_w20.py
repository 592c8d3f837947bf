"""W01 and W20 over the whole URL map: no POST without its token or from elsewhere, and no answer without the headers."""

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from archive import database
from tests import cycles
from tests.web import site
from tests.web.test_access import routes
from web.headers import ALWAYS


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = site.filled(str(tmp_path_factory.mktemp("walk") / "data"), 20, cpu=0.97)
    site.add_person(path)
    return path


@pytest.fixture(scope="module")
def app(data: str) -> Flask:
    found = site.site(data)

    def fails() -> str:
        raise RuntimeError("failed")

    found.add_url_rule("/fails", "graphs.fails", fails)
    return found


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    found = app.test_client()
    site.log_in(found)
    return found


def posts(app: Flask) -> list[str]:
    return [address for _endpoint, address, methods in routes(app) if "POST" in methods]


def test_w01_every_post_of_the_site_is_refused_without_its_token_or_from_elsewhere(
    app: Flask, client: FlaskClient, data: str
) -> None:
    given = site.token(client.get("/sessions").text)
    other = app.test_client()
    foreign = site.token(other.get("/login").text)
    before = cycles.dump(data)
    assert len(posts(app)) >= 9
    for address in posts(app):
        for fields, headers in (
            ({}, {}),
            ({"csrf_token": ""}, {}),
            ({"csrf_token": f"{given}x"}, {}),
            ({"csrf_token": foreign}, {}),
            ({"csrf_token": given}, {"Origin": "https://evil.example"}),
            ({"csrf_token": given}, {"Sec-Fetch-Site": "cross-site"}),
        ):
            answer = client.post(address, data={**fields, "reason": "x", "cpu": "50", "others": "1"}, headers=headers)
            assert answer.status_code == 400, (address, fields, headers)
    assert cycles.dump(data) == before
    assert client.get("/sessions").status_code == 200


def check(answer: TestResponse, what: str) -> None:
    for name, value in ALWAYS.items():
        if name != "Content-Security-Policy" or not what.endswith(".svg"):
            assert answer.headers.getlist(name) == [value], (what, name)
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy, what
    assert "unsafe" not in policy, what
    assert not any(name in answer.headers for name in ("Server", "X-Powered-By", "Access-Control-Allow-Origin")), what
    assert answer.headers["Cache-Control"], what
    kind = answer.headers.get("Content-Type", "")
    if kind.startswith("text/"):
        assert "charset=utf-8" in kind, what


def test_w20_every_answer_of_every_route_and_method_carries_the_headers(app: Flask, client: FlaskClient) -> None:
    codes: set[int] = set()
    stranger = app.test_client()
    closed = site.site(app.config["VIGIE"].data, VIGIE_READ="login").test_client()
    for _endpoint, address, _methods in routes(app):
        for who in (client, stranger, closed):
            for method in ("GET", "HEAD", "POST", "PUT", "OPTIONS", "TRACE"):
                answer = who.open(address, method=method, buffered=True)
                codes.add(answer.status_code)
                check(answer, address)
    for answer in (
        client.get("/nothing"),
        client.post("/login", data={"x": "5" * 70_000}),
        client.get("/", headers={"Host": "evil.example"}),
        client.get(
            "/static/vigie.css",
            headers={"If-None-Match": client.get("/static/vigie.css", buffered=True).headers["ETag"]},
            buffered=True,
        ),
        client.get("/graphs"),
    ):
        codes.add(answer.status_code)
        check(answer, answer.request.path)
    assert codes >= {200, 302, 304, 308, 400, 403, 404, 405, 413, 500}


def test_w20_a_503_carries_them_too(tmp_path: object) -> None:
    path = site.filled(f"{tmp_path}/data", 2)
    client = site.site(path).test_client()
    import os

    os.unlink(os.path.join(path, database.NAME))
    answer = client.get("/")
    assert answer.status_code == 503
    check(answer, "/")
