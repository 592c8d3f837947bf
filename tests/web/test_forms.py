"""Every POST carries its session's token and comes from our own pages; what is too large is refused in words."""

import pytest
from flask.testing import FlaskClient

from archive import thresholds
from tests.web import site


@pytest.fixture
def data(tmp_path: object) -> str:
    path = site.filled(f"{tmp_path}/data", 3)
    site.add_person(path)
    return path


@pytest.fixture
def client(data: str) -> FlaskClient:
    found = site.site(data).test_client()
    site.log_in(found)
    return found


def level(data: str) -> float | None:
    from archive import database

    with database.reader(data) as db:
        known = {one.metric: one for one in thresholds.effective(db, 1)}
    return known["cpu_busy_seconds_total"].warning


def test_w01_a_post_without_a_token_changes_nothing(client: FlaskClient, data: str) -> None:
    for fields in ({"cpu": "50"}, {"cpu": "50", "csrf_token": "x"}, {"cpu": "50", "csrf_token": ""}):
        answer = client.post("/thresholds", data=fields)
        assert answer.status_code == 400
        assert "formulaire" in answer.text
    assert level(data) == 0.9


def test_w01_another_sessions_token_changes_nothing(client: FlaskClient, data: str) -> None:
    other = site.site(data).test_client()
    site.log_in(other)
    given = site.token(other.get("/thresholds").text)
    assert client.post("/thresholds", data={"cpu": "50", "csrf_token": given}).status_code == 400
    assert level(data) == 0.9


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "http://localhost.evil.example"},
        {"Origin": "http://localhost:81"},
        {"Origin": "https://localhost"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
    ],
)
def test_w01_a_post_from_another_site_changes_nothing(client: FlaskClient, data: str, headers: dict[str, str]) -> None:
    answer = site.post(client, "/thresholds", {"cpu": "50"}, **headers)
    assert answer.status_code == 400
    assert level(data) == 0.9


@pytest.mark.parametrize(
    "headers",
    [{}, {"Origin": "http://localhost"}, {"Origin": "null", "Sec-Fetch-Site": "same-origin"}, {"Origin": "null"}],
)
def test_our_own_pages_are_let_through(client: FlaskClient, data: str, headers: dict[str, str]) -> None:
    assert site.post(client, "/thresholds", {"cpu": "50"}, **headers).status_code == 303
    assert level(data) == 0.5


def test_w25_what_is_too_large_is_refused(client: FlaskClient, data: str) -> None:
    given = site.token(client.get("/thresholds").text)
    large = {"csrf_token": given, "cpu": "5" * 70_000}
    assert client.post("/thresholds", data=large).status_code == 413
    many = {"csrf_token": given} | {f"f{number}": "1" for number in range(20_000)}
    assert client.post("/thresholds", data=many).status_code == 413
    parts = {"csrf_token": given} | {f"f{number}": "1" for number in range(1200)}
    assert client.post("/thresholds", data=parts, content_type="multipart/form-data").status_code == 413
    assert level(data) == 0.9


def test_w25_a_body_of_a_gigabyte_is_not_waited_for(client: FlaskClient) -> None:
    answer = client.post("/login", data=b"", headers={"Content-Length": str(1 << 30)})
    assert answer.status_code in (400, 413)
