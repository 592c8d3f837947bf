"""Every page: what it shows, how it is built, what hostile names do to it (nothing), what odd addresses get."""

import json
import os
import re
import sqlite3

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from alerts.words import Words
from archive import database, evidence, incidents, outbox, read
from archive.settings import ROOT
from tests import cycles, engines
from tests.web import site
from tests.web.site import NOW, Page
from web import people

FR = Words("fr", "Europe/Paris")
OPEN = ["/", "/users", "/users/user0", "/incidents", "/incidents/1", "/security", "/security?kind=avis", "/thresholds",
        "/thresholds/disk_used_ratio", "/about", "/data", "/login", "/graphs/"]  # fmt: skip
ADMIN = ["/probes", "/mails", "/recipients", "/tokens", "/sessions", "/password", "/logout"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = site.filled(str(tmp_path_factory.mktemp("pages") / "data"), 40, cpu=0.97, home=3e9)
    site.add_person(path)
    return path


@pytest.fixture(scope="module")
def app(data: str) -> Flask:
    return site.site(data)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def administrator(app: Flask) -> FlaskClient:
    found = app.test_client()
    site.log_in(found)
    return found


# --- how every page is built ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["fr", "en"])
@pytest.mark.parametrize("address", OPEN + ADMIN)
def test_every_page_is_well_built(administrator: FlaskClient, address: str, language: str) -> None:
    answer = administrator.get(address, headers={"Accept-Language": language})
    if address == "/login":
        answer = administrator.application.test_client().get(address, headers={"Accept-Language": language})
    assert answer.status_code == 200
    page = Page(answer.text)
    assert page.all("html")[0]["lang"] == language
    assert len(page.all("h1")) == 1
    ids = [attributes["id"] for _tag, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids)), [one for one in ids if ids.count(one) > 1]
    for tag, attributes in page.elements:
        assert tag != "style"
        assert "style" not in attributes, (tag, attributes)
        assert not any(name.startswith("on") for name in attributes), (tag, attributes)
        for name in ("src", "href", "action"):
            value = attributes.get(name, "")
            if tag != "a":
                assert not re.match(r"(https?:)?//", value), (tag, value)
            assert not value.lower().startswith(("javascript:", "data:")), (tag, value)
        if tag == "script":
            assert "src" in attributes or attributes.get("type") == "application/json"
        if tag == "use":
            assert f'id="{attributes["href"][1:]}"' in answer.text, attributes
        for name in ("aria-labelledby", "aria-describedby", "for"):
            for one in attributes.get(name, "").split():
                assert one in ids, (tag, name, one)
        if tag == "input" and attributes.get("type") not in ("hidden", "checkbox"):
            assert "id" in attributes or "aria-labelledby" in attributes or "aria-label" in attributes, attributes
    for link in page.all("a"):
        if link["href"].startswith("#"):
            assert link["href"][1:] in ids, link
    assert "None" not in page.words
    assert "%(" not in page.text


@pytest.mark.parametrize("address", OPEN)
def test_english_is_whole(client: FlaskClient, address: str) -> None:
    text = Page(client.get(address, headers={"Accept-Language": "en"}).text).text
    for french in ("Aperçu", "Seuils", "depuis ", "Utilisateurs", "Connecté"):
        assert french not in text


def test_w16_templates_hold_no_unsafe_construct() -> None:
    for folder, _folders, names in os.walk(os.path.join(ROOT, "templates")):
        if folder.endswith("mail"):
            continue
        for name in names:
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                text = file.read()
            bare = re.sub(r"\{[%{#].*?[%}#]\}", "", text, flags=re.S)
            for bad in (r"\|\s*safe", r"Markup\(", r"autoescape", r"<style", r"\sstyle=", r"\son[a-z]+="):
                assert not re.search(bad, text), (name, bad)
            assert not re.search(r"\s[a-z-]+=\{\{", text), f"{name}: an attribute without quotes"
            assert not re.search(r"https?://", bare.replace("http://www.w3.org", "")), name


def test_w32_odd_languages_fall_back(client: FlaskClient) -> None:
    for wish, expected in (("", "fr"), ("*", "fr"), ("de", "fr"), ("en-GB,fr;q=0.5", "en"), ("\x00;;q=9", "fr"), ("en;q=abc", "fr"),
                           ("fr;q=0,en", "en"), ("a" * 5000, "fr")):  # fmt: skip
        answer = client.get("/incidents", headers={"Accept-Language": wish.replace("\x00", "")})
        assert f'<html lang="{expected}">' in answer.text, wish


def test_a_language_that_was_chosen_is_remembered(client: FlaskClient) -> None:
    assert '<html lang="en">' in client.get("/?lang=en").text
    # the link keeps all that was asked
    link = 'href="?period=7d&amp;line=1&amp;lang=fr"'
    assert link in client.get("/graphs/cpu_busy_seconds_total?period=7d&line=1").text
    assert '<html lang="en">' in client.get("/").text
    assert '<html lang="fr">' in client.get("/?lang=fr").text
    client.set_cookie("vigie-language", "<script>")
    assert '<html lang="fr">' in client.get("/").text


# --- what the pages show ----------------------------------------------------------------------------------------------


def test_users_are_sorted_as_asked_and_equal_the_rows(client: FlaskClient, data: str) -> None:
    for sort in people.SORTS:
        names = re.findall(r'<th scope="row"><a href="/users/([^"]+)"', client.get(f"/users?sort={sort}").text)
        assert len(names) == 8
        if sort == "memory":
            assert names[0] == "user7"
        if sort == "user":
            assert names == sorted(names)
    with database.reader(data) as db:
        line = next(one for one in read.series(db, 1, "user_cpu_seconds_total") if one.label("user") == "user7")
        value = read.latest(db, 1)[line.id].value
    row = re.search(r'/users/user7".*?data-label="CPU[^"]*">([^<]+)<', client.get("/users").text, re.S)
    assert row
    assert row[1] == FR.value(value, "ratio")


def test_a_user_s_page_shows_their_own_history(client: FlaskClient) -> None:
    html = client.get("/users/user0").text
    assert html.count('class="graph"') >= 3
    assert "user0" in Page(html).text
    assert client.get("/users/nobody").status_code == 404
    assert client.get("/users/" + "x" * 300).status_code == 404


def test_users_who_left_are_not_of_now(tmp_path: object) -> None:
    path = site.folder(f"{tmp_path}/data")
    cycles.fill(path, NOW - 3600, 10, users=8)
    cycles.fill(path, NOW - 600, 10, users=3)
    with database.reader(path) as db:
        active = people.active(people.users(db, 1, 240))
    assert sorted(one.name for one in active) == ["user0", "user1", "user2"]


def test_an_incident_tells_its_story_and_names_processes_to_the_administrator_alone(
    client: FlaskClient, administrator: FlaskClient, data: str
) -> None:
    proof = {
        "at": NOW, "processes": 42, "logins": [{"user": "bob", "tty": "pts/1", "origin": "192.0.2.77", "since": NOW}],
        "cpu": [{"pid": 7, "user": "bob", "unit": "", "command": "minage-secret", "arguments": "", "cores": 1.5, "memory": 1 << 30,
                 "read": None, "written": 2.0}],
    }  # fmt: skip
    with database.writer(data) as db:
        evidence.add(db, 1, NOW, "opened", json.dumps(proof))
    told = client.get("/incidents/1").text
    assert "Processeur à 97" in Page(told).text
    assert "Ce qui s’est passé" in told
    assert 'class="graph"' in told
    assert "minage-secret" not in told
    assert "192.0.2.77" not in told
    told = administrator.get("/incidents/1").text
    assert "minage-secret" in told
    assert "192.0.2.77" in told
    assert "42 processus" in Page(told).text


def test_an_incident_is_acknowledged_with_a_reason(administrator: FlaskClient, data: str) -> None:
    address = "/incidents/1/acknowledge"
    empty = site.post(administrator, address, {"reason": "  "}, "/incidents/1")
    assert empty.status_code == 422
    assert 'aria-invalid="true"' in empty.text
    assert site.post(administrator, address, {"reason": "x" * 501}, "/incidents/1").status_code == 422
    assert site.post(administrator, address, {"reason": "<i>je</i> regarde"}, "/incidents/1").status_code == 303
    with database.reader(data) as db:
        found = incidents.get(db, 1)
    assert found is not None
    assert (found.acknowledged_by, found.acknowledged_reason) == ("admin", "<i>je</i> regarde")
    assert "&lt;i&gt;je&lt;/i&gt; regarde" in administrator.get("/incidents/1").text


@pytest.mark.parametrize(
    "address", ["/incidents/0", "/incidents/99999", "/incidents/99999999999999999999", "/incidents/x", "/incidents/-1"]
)
def test_an_incident_that_is_not_there_is_a_404(client: FlaskClient, address: str) -> None:
    assert client.get(address).status_code == 404


def test_the_ledger_of_mails_says_what_each_server_said(tmp_path: object) -> None:
    path = site.filled(f"{tmp_path}/data", 3)
    site.add_person(path)
    with database.writer(path) as db, database.transaction(db):
        for number, (state, reply) in enumerate(
            (("accepted", "250 ok <b>"), ("refused", "550 no such user"), ("queued", ""))
        ):
            mail = outbox.add(db, 1, NOW, "incident", "", f"<{number}@x>", f"Sujet {number} <script>", "{}")
            outbox.queue(db, mail, ["ops@example.org"], NOW)
            outbox.mark(db, mail, "ops@example.org", state, NOW + 60, NOW, "mx.example.org", reply)
    client = site.site(path).test_client()
    site.log_in(client)
    text = client.get("/mails").text
    assert "250 ok &lt;b&gt;" in text
    assert "Sujet 0 &lt;script&gt;" in text
    for word in ("Accepté", "Refusé", "En attente"):
        assert word in text


def test_the_probes_page_shows_texts_and_errors(administrator: FlaskClient, data: str, tmp_path: object) -> None:
    os.makedirs(f"{data}/probes", exist_ok=True)
    with open(f"{data}/probes/cpu.prom", "w", encoding="utf-8") as file:
        file.write("cpu_cores 4 # <script>\n")
    html = administrator.get("/probes").text
    assert "cpu_cores 4 # &lt;script&gt;" in html
    assert html.index("probes") > 0


def test_a_probe_s_name_reads_no_file_elsewhere(data: str, app: Flask) -> None:
    from web.pages import probes

    with app.test_request_context():
        for name in ("../../../etc/passwd", "/etc/passwd", "..", ".", "", ".hidden", "a/b"):
            assert probes._text(name) == ""
    os.makedirs(f"{data}/probes", exist_ok=True)
    os.symlink("/etc/passwd", f"{data}/probes/link.prom")
    with app.test_request_context():
        assert probes._text("link") == ""


def test_about_names_no_server_to_strangers(tmp_path: object) -> None:
    path = site.filled(f"{tmp_path}/data", 3)
    site.add_person(path)
    client = site.site(
        path, VIGIE_SMTP_HOST="mx.secret.example", VIGIE_PING_URL="https://ping.secret.example/x"
    ).test_client()
    assert "secret.example" not in client.get("/about").text
    site.log_in(client)
    assert "mx.secret.example" in client.get("/about").text


# --- what goes wrong --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address", ["/nothing", "/users/nobody/", "/graphs/nothing", "/security/CERTFR-1", "/thresholds/nothing"]
)
def test_an_error_is_told_in_the_same_shell(client: FlaskClient, address: str) -> None:
    answer = client.get(address)
    assert answer.status_code == 404
    page = Page(answer.text)
    assert len(page.all("nav")) >= 1
    assert any(attributes.get("role") == "alert" for _tag, attributes in page.elements)


def test_w28_a_database_that_is_gone_is_a_503_in_words(tmp_path: object) -> None:
    path = site.filled(f"{tmp_path}/data", 3)
    client = site.site(path).test_client()
    with engines.away(path):
        for address in ("/", "/users", "/graphs/"):
            answer = client.get(address)
            assert answer.status_code == 503, address
            assert engines.AWAY in answer.text
            assert answer.headers["Retry-After"]
        assert client.get("/healthz").status_code == 503
        # At a centre, who may log in stands beside the rest.
        assert client.get("/login").status_code == (503 if engines.ON_POSTGRESQL else 200)
    assert client.get("/").status_code == 200


@pytest.mark.sqlite("the file is damaged")
def test_w28_a_damaged_or_foreign_database_is_a_503_in_words(tmp_path: object) -> None:
    path = site.filled(f"{tmp_path}/data", 3)
    client = site.site(path).test_client()
    for suffix in ("-wal", "-shm"):
        if os.path.exists(f"{path}/vigie.db{suffix}"):
            os.unlink(f"{path}/vigie.db{suffix}")
    with open(f"{path}/vigie.db", "wb") as file:
        file.write(b"not a database at all" * 1000)
    assert client.get("/").status_code == 503
    os.unlink(f"{path}/vigie.db")
    foreign = sqlite3.connect(f"{path}/vigie.db")
    foreign.execute("CREATE TABLE t (x)")
    foreign.close()
    assert client.get("/").status_code == 503


ODD = ["sort=x", "sort=cpu&sort=user", "sort=%00", "kind=x", "before=x", "before=-1", "before=9" * 40, "period=10000000000d",
       "period=1h&period=24h", "from=x", "line='%20OR%201=1--", "lang=xx", "lang=%ff", "%ff=%fe", "a" * 3000, "before=%F0%9F%98%80"]  # fmt: skip


@pytest.mark.parametrize("query", ODD)
def test_w17_w18_odd_parameters_are_refused_or_ignored(administrator: FlaskClient, query: str) -> None:
    for address in (*OPEN, *ADMIN, "/graphs/cpu_busy_seconds_total", "/fragment", "/live.json", "/trial.json"):
        joined = f"{address}{'&' if '?' in address else '?'}{query}"
        assert administrator.get(joined).status_code in (200, 302, 303, 304, 400, 404), joined


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=st.sampled_from(
        ["/", "/users/", "/incidents/", "/security/", "/thresholds/", "/graphs/", "/first/", "/static/"]
    ),
    rest=st.text(max_size=40),
    query=st.dictionaries(
        st.sampled_from(["sort", "kind", "before", "line", "lang", "period", "from", "to", "metric", "warning", "key"]),
        st.text(max_size=30),
        max_size=4,
    ),
)
@example(path="/", rest="/\x80", query={})
def test_w18_no_address_ever_fails(client: FlaskClient, path: str, rest: str, query: dict[str, str]) -> None:
    # With its scheme and host: a client would take what follows a leading // for a host, and refuse names that are none.
    address = f"http://localhost{path}{rest}".replace("?", "").replace("#", "")
    answer = client.get(address, query_string=query, buffered=True)
    assert answer.status_code < 500


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fields=st.dictionaries(st.sampled_from(["cpu", "memory", "ram", "temps_limite", "cpu.minutes", "m.load_average"]),
                              st.text(max_size=80)))  # fmt: skip
def test_w18_no_form_ever_fails(administrator: FlaskClient, fields: dict[str, str]) -> None:
    assert site.post(administrator, "/thresholds", {**fields, "try": "1"}).status_code in (200, 422)


def test_a_bar_names_each_room_once(client: FlaskClient) -> None:
    from web import shell

    for rooms in (shell.ROOMS, shell.SYSTEM):
        assert len({endpoint for _label, endpoint in rooms}) == len(rooms)
