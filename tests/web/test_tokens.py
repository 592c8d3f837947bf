"""API tokens: they open the data and nothing else, are kept as fingerprints, and guessing at them is slowed."""

import os
import re
import sqlite3

import pytest
from flask.testing import FlaskClient

from archive import database, logins, tokens
from tests.web import site
from tests.web.site import NOW, Clock
from tests.web.test_access import routes
from tests.web.test_commands import vigie
from web import access


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = site.filled(str(tmp_path_factory.mktemp("tokens") / "data"), 3)
    site.add_person(path)
    site.add_person(path, "lecteur", "reader")
    return path


@pytest.fixture
def data(filled: str) -> str:
    """The same with no token and no failed try."""
    with logins.writing(filled) as db:
        for one in tokens.every(db):
            tokens.revoke(db, one.name)
        db.execute("DELETE FROM attempt")
    return filled


def make(data: str, name: str = "prometheus") -> str:
    with logins.writing(data) as db:
        return tokens.make(db, name, "admin", NOW)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_a_token_opens_every_data_route_and_nothing_else(data: str) -> None:
    app = site.site(data, VIGIE_READ="login")
    headers = bearer(make(data))
    opened = 0
    for endpoint, address, methods in list(routes(app)):
        door, client = access.door(endpoint), app.test_client()
        assert door is not None
        if "GET" in methods:
            answer = client.get(address, headers=headers, buffered=True)
            if door.token:
                opened += 1
                assert answer.status_code in (200, 404), address
                assert answer.mimetype != "text/html"
            elif door.look is not access.Who.ANYONE:
                assert (answer.status_code, answer.headers["Location"]) == (302, "/login"), address
            assert "Set-Cookie" not in answer.headers or not door.token
        if "POST" in methods:
            assert client.post(address, headers=headers).status_code in (302, 400, 403), address
    assert opened >= 11


def test_no_page_and_no_form_has_a_door_for_tokens(data: str) -> None:
    app = site.site(data)
    client = app.test_client()
    for endpoint, address, methods in list(routes(app)):
        door = access.door(endpoint)
        if door and door.token:
            assert "POST" not in methods, endpoint
            assert client.get(address, buffered=True).mimetype != "text/html", endpoint


def test_only_a_fingerprint_is_kept(data: str) -> None:
    token = make(data)
    assert re.fullmatch(r"vigie_[A-Za-z0-9_-]{43}", token)
    for folder, _folders, names in os.walk(data):
        for name in names:
            with open(os.path.join(folder, name), "rb") as file:
                assert token.encode() not in file.read(), name
    assert make(data, "another") != token


@pytest.mark.parametrize(
    "given",
    [
        "", "x", "vigie_", "vigie_" + "A" * 43, "vigie_" + "A" * 4000, "a b", "\u00e9", "' OR 1=1 --",
    ],
)  # fmt: skip
def test_a_wrong_token_is_a_401_even_where_reading_is_open(data: str, given: str) -> None:
    make(data)
    for environ in ({}, {"VIGIE_READ": "login"}):
        answer = site.site(data, **environ).test_client().get("/metrics", headers={"Authorization": f"Bearer {given}"})
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="Vigie", error="invalid_token"'
        assert answer.content_type == "application/problem+json"
        assert answer.get_json()["status"] == 401
        assert "machine" not in answer.text


def test_without_a_token_a_program_gets_a_401_and_a_browser_the_log_in(data: str) -> None:
    client = site.site(data, VIGIE_READ="login").test_client()
    answer = client.get("/incidents.json")
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, 'Bearer realm="Vigie"')
    assert client.get("/incidents.json", headers={"Accept": "text/html"}).status_code == 302


def test_another_kind_of_authorization_is_a_proxy_s_business(data: str) -> None:
    client = site.site(data).test_client()
    assert client.get("/metrics", headers={"Authorization": "Basic YTpi"}).status_code == 200


def test_the_word_bearer_is_read_in_any_case(data: str) -> None:
    client = site.site(data, VIGIE_READ="login").test_client()
    assert client.get("/metrics", headers={"Authorization": f"bEaReR  {make(data)}"}).status_code == 200


def test_a_revoked_token_opens_nothing_at_once(data: str) -> None:
    token = make(data)
    client = site.site(data, VIGIE_READ="login").test_client()
    assert client.get("/metrics", headers=bearer(token)).status_code == 200
    with logins.writing(data) as db:
        assert tokens.revoke(db, "prometheus")
        assert not tokens.revoke(db, "prometheus")
    assert client.get("/metrics", headers=bearer(token)).status_code == 401


def test_its_last_use_is_noted_to_the_minute(data: str) -> None:
    token, clock = make(data), Clock()
    client = site.site(data, clock).test_client()

    def used_at() -> int | None:
        with logins.reading(data) as db:
            return tokens.every(db)[0].used_at

    assert used_at() is None
    for at, expected in ((NOW, NOW), (NOW + 59, NOW), (NOW + 60, NOW + 60), (NOW - 86_400, NOW - 86_400)):
        clock.at = at
        client.get("/metrics", headers=bearer(token))
        assert used_at() == expected


def test_guessing_is_slowed_never_for_good_and_keeps_no_right_token_out(data: str) -> None:
    right, clock = make(data), Clock()
    client = site.site(data, clock, VIGIE_READ="login").test_client()
    answers = [client.get("/metrics", headers=bearer(f"vigie_{n:043}")).status_code for n in range(30)]
    assert answers == [401] * 20 + [429] * 10
    slowed = client.get("/metrics", headers=bearer("vigie_" + "x" * 43))
    assert 1 <= int(slowed.headers["Retry-After"]) <= 60
    assert client.get("/metrics", headers=bearer(right)).status_code == 200, "a neighbour's mistake is not mine"
    # Another address is not slowed; a new process is.
    there = {"REMOTE_ADDR": "192.0.2.9"}
    assert client.get("/metrics", headers=bearer("x"), environ_base=there).status_code == 401
    fresh = site.site(data, clock, VIGIE_READ="login").test_client()
    assert fresh.get("/metrics", headers=bearer("x")).status_code == 429
    clock.at += 60
    assert fresh.get("/metrics", headers=bearer("x")).status_code == 401


def test_a_slowed_guess_writes_nothing(data: str) -> None:
    client = site.site(data).test_client()
    for number in range(20):
        client.get("/metrics", headers=bearer(f"vigie_{number:043}"))
    with logins.reading(data) as db:
        before = db.execute("SELECT * FROM attempt").fetchall()
    assert client.get("/metrics", headers=bearer("x")).status_code == 429
    with logins.reading(data) as db:
        assert db.execute("SELECT * FROM attempt").fetchall() == before


# --- the page --------------------------------------------------------------------------------------------------------


@pytest.fixture
def administrator(data: str) -> FlaskClient:
    client = site.site(data).test_client()
    site.log_in(client)
    return client


def test_the_page_makes_one_shows_it_once_and_revokes_it(data: str, administrator: FlaskClient) -> None:
    made = site.post(administrator, "/tokens", {"name": "  mon   prometheus "})
    assert made.status_code == 200
    assert made.headers["Cache-Control"] == "no-store"
    (token,) = set(re.findall(r"vigie_[A-Za-z0-9_-]{43}", made.text))
    reader = site.site(data, VIGIE_READ="login").test_client()
    assert reader.get("/status.json", headers=bearer(token)).status_code == 200
    page = administrator.get("/tokens").text
    assert token not in page
    assert "mon prometheus" in page
    again = site.post(administrator, "/tokens", {"name": "mon prometheus"})
    assert again.status_code == 422
    assert "existe déjà" in site.Page(again.text).text
    gone = site.post(administrator, "/tokens/revoke", {"name": "mon prometheus"}, page="/tokens")
    assert gone.status_code == 303
    assert reader.get("/status.json", headers=bearer(token)).status_code == 401
    assert site.post(administrator, "/tokens/revoke", {"name": "mon prometheus"}, page="/tokens").status_code == 404


@pytest.mark.parametrize("name", ["", " ", "a" * 65, "a\x00b", "\u202egnp", "a\x1b[31m"])
def test_a_name_that_cannot_be_used_is_refused_in_words(data: str, administrator: FlaskClient, name: str) -> None:
    answer = site.post(administrator, "/tokens", {"name": name})
    assert answer.status_code == 422
    assert "Donnez au jeton un nom" in site.Page(answer.text).text
    with logins.reading(data) as db:
        assert tokens.every(db) == []


def test_there_is_an_end_to_tokens(data: str) -> None:
    for number in range(tokens.MOST):
        make(data, str(number))
    with pytest.raises(tokens.TokenError, match="50 tokens"):
        make(data, "one more")


def test_a_reader_makes_none(data: str) -> None:
    client = site.site(data).test_client()
    site.log_in(client, "lecteur")
    assert client.get("/tokens").status_code == 403
    given = site.token(client.get("/sessions").text)
    assert client.post("/tokens", data={"name": "x", "csrf_token": given}).status_code == 403


@pytest.mark.sqlite("the file of the version before")
def test_a_log_in_database_of_the_version_before_is_brought_up_by_the_first_look(tmp_path: object) -> None:
    path = site.folder(f"{tmp_path}/data")
    with open(os.path.join(logins.MIGRATIONS, "0001_logins.sql"), encoding="utf-8") as file:
        first = file.read()
    old = sqlite3.connect(os.path.join(path, logins.NAME))
    old.executescript(f"PRAGMA application_id={logins.APPLICATION_ID};\n{first}\nPRAGMA user_version=1;")
    old.execute("INSERT INTO person VALUES ('admin', 'administrator', 'hash', 5)")
    old.commit()
    old.close()
    os.chmod(os.path.join(path, logins.NAME), 0o600)
    with logins.reading(path) as db:
        assert tokens.every(db) == []
        assert logins.has_administrator(db)


# --- the command -----------------------------------------------------------------------------------------------------


def test_the_command_makes_lists_and_revokes(tmp_path: object) -> None:
    path = f"{tmp_path}/data"
    os.mkdir(path, 0o700)
    database.create(path, "u" * 32, "srv", "", NOW)
    made = vigie(path, "token", "add", "prom")
    assert made.returncode == 0, made.stderr
    token = made.stdout.strip()
    assert made.stdout == f"{token}\n", "alone, so that a script can take it"
    assert len(token) == tokens.LENGTH
    with logins.reading(path) as db:
        known = tokens.find(db, token)
    assert known is not None
    assert known.name == "prom"
    twice = vigie(path, "token", "add", "prom")
    assert (twice.returncode, twice.stdout) == (1, "")
    assert "already" in twice.stderr
    listed = vigie(path, "token", "list")
    assert listed.stdout.startswith("prom: made ")
    assert token not in listed.stdout
    assert vigie(path, "token", "revoke", "prom").returncode == 0
    assert vigie(path, "token", "revoke", "prom").returncode == 1
    assert vigie(path, "token", "list").stdout.startswith("There is none")
    assert vigie(path, "token").returncode == 2
