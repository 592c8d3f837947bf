"""`./vigie user`: who may log in, as a person types it, and what it does to their sessions."""

import json
import os
import subprocess
import sys

import pytest

from archive import logins as rows
from archive.settings import ROOT
from tests.web import site
from tests.web.site import NOW, PASSWORD
from web import passwords


@pytest.fixture
def data(tmp_path: object) -> str:
    path = site.filled(f"{tmp_path}/data", 2)
    site.add_person(path)
    return path


def vigie(data: str, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", os.path.join(ROOT, "web", "__main__.py"), "user", *arguments],
        env={"PATH": "/usr/bin:/bin", "VIGIE_DATA": data, "VIGIE_LANGUAGE": "en", "VIGIE_NOW": str(NOW)},
        input=given, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def test_a_reader_is_added_reads_and_changes_nothing(data: str) -> None:
    done = vigie(data, "add", "claire", "--role", "reader", given="quatre mots bien choisis\n")
    assert done.returncode == 0, done.stderr
    client = site.site(data, VIGIE_READ="login").test_client()
    assert site.log_in(client, "claire", "quatre mots bien choisis").status_code == 303
    assert client.get("/incidents").status_code == 200
    assert client.get("/probes").status_code == 403
    given = site.token(client.get("/sessions").text)
    assert client.post("/thresholds", data={"cpu": "50", "csrf_token": given}).status_code == 403


def test_the_role_is_reader_unless_said(data: str) -> None:
    vigie(data, "add", "claire", given="quatre mots bien choisis\n")
    vigie(data, "add", "david", "--role", "administrator", given="quatre mots bien choisis\n")
    with rows.reading(data) as db:
        assert {one.name: one.role for one in rows.people(db)} == {
            "admin": "administrator", "claire": "reader", "david": "administrator",
        }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("claire", "short\n", passwords.TOO_SHORT),
        ("claire", "password1234\n", passwords.TOO_PLAIN),
        ("admin", "quatre mots bien choisis\n", "may log in already"),
        (" claire", "quatre mots bien choisis\n", "a name has 1 to 64"),
        ("x" * 65, "quatre mots bien choisis\n", "a name has 1 to 64"),
        ("a\x1bb", "quatre mots bien choisis\n", "a name has 1 to 64"),
        ("", "quatre mots bien choisis\n", "a name has 1 to 64"),
    ],
)
def test_what_cannot_be_added_is_said_and_adds_nobody(data: str, name: str, given: str, said: str) -> None:
    done = vigie(data, "add", name, given=given)
    assert done.returncode == 1
    assert said in done.stderr
    assert "\x1b" not in done.stderr
    with rows.reading(data) as db:
        assert [one.name for one in rows.people(db)] == ["admin"]


def test_w06_a_new_password_keeps_the_role_and_ends_the_sessions(data: str) -> None:
    vigie(data, "add", "claire", given="quatre mots bien choisis\n")
    client = site.site(data).test_client()
    site.log_in(client, "claire", "quatre mots bien choisis")
    assert client.get("/sessions").status_code == 200
    assert vigie(data, "password", "claire", given="cinq mots encore mieux choisis\n").returncode == 0
    assert client.get("/sessions").status_code == 302
    with rows.reading(data) as db:
        found = rows.person(db, "claire")
    assert found is not None
    assert found.role == "reader"
    assert vigie(data, "password", "nobody", given="cinq mots encore mieux choisis\n").returncode == 1


def test_w06_who_is_taken_out_is_out_at_once_and_the_last_administrator_stays(data: str) -> None:
    vigie(data, "add", "claire", given="quatre mots bien choisis\n")
    client = site.site(data).test_client()
    site.log_in(client, "claire", "quatre mots bien choisis")
    assert vigie(data, "remove", "claire").returncode == 0
    assert client.get("/sessions").status_code == 302
    assert vigie(data, "remove", "claire").returncode == 1
    refused = vigie(data, "remove", "admin")
    assert refused.returncode == 1
    assert "the only administrator" in refused.stderr


def test_sessions_are_listed_and_ended_one_person_s_or_all(data: str) -> None:
    vigie(data, "add", "claire", given="quatre mots bien choisis\n")
    app = site.site(data)
    admin, claire = app.test_client(), app.test_client()
    site.log_in(admin, **{"User-Agent": "Firefox\x1b[31m"})  # type: ignore[arg-type]
    site.log_in(claire, "claire", "quatre mots bien choisis")
    listed = vigie(data, "sessions").stdout
    assert listed.count("127.0.0.1") == 2
    assert "\x1b" not in listed
    assert "claire  reader" in vigie(data, "list").stdout
    assert "1 session has ended" in vigie(data, "logout", "claire").stdout
    assert claire.get("/sessions").status_code == 302
    assert admin.get("/sessions").status_code == 200
    assert vigie(data, "logout").returncode == 2
    assert vigie(data, "logout", "claire", "--all").returncode == 2
    vigie(data, "logout", "--all")
    assert admin.get("/sessions").status_code == 302


def test_the_page_of_sessions_ends_all_the_others_at_once(data: str) -> None:
    app = site.site(data)
    here, there, elsewhere = app.test_client(), app.test_client(), app.test_client()
    for client in (here, there, elsewhere):
        site.log_in(client)
    assert "others" in here.get("/sessions").text
    assert site.post(here, "/sessions", {"others": "1"}).status_code == 303
    assert here.get("/sessions").status_code == 200
    assert there.get("/sessions").status_code == 302
    assert elsewhere.get("/sessions").status_code == 302
    assert 'name="others"' not in here.get("/sessions").text


def test_no_password_is_on_a_command_line_or_in_an_answer(data: str) -> None:
    done = vigie(data, "add", "claire", given=f"{PASSWORD}\n")
    assert PASSWORD not in done.stdout + done.stderr
    assert json.dumps(PASSWORD) not in done.stdout
