"""Sessions, passwords, the first link, and the slow-down of guessing."""

import os
import re
import threading
import time

import pytest
from flask.testing import FlaskClient

from archive import logins as rows
from tests import engines
from tests.web import site
from tests.web.site import NOW, PASSWORD, Clock
from web import first, logins, passwords, secret
from web.logins import pause


@pytest.fixture
def data(tmp_path: object) -> str:
    path = site.filled(f"{tmp_path}/data", 2)
    site.add_person(path)
    return path


def is_in(client: FlaskClient) -> bool:
    return client.get("/sessions").status_code == 200


# --- the first link ---------------------------------------------------------------------------------------------------


def test_the_first_link_sets_a_password_once(tmp_path: object) -> None:
    path = site.filled(f"{tmp_path}/data", 2)
    config = site.config(path)
    link = first.first_link(config, NOW)
    assert link is not None
    assert link.startswith("http://localhost:5000/first/")
    assert os.stat(f"{path}/first-link").st_mode & 0o777 == 0o600
    assert first.first_link(config, NOW + 60) == link  # printed again, the same
    client = site.site(path).test_client()
    address = link.removeprefix("http://localhost:5000")
    assert client.get(address).status_code == 200  # looking uses nothing
    fields = {"name": "admin", "password": PASSWORD, "again": PASSWORD}
    assert site.post(client, address, fields).status_code == 303
    assert is_in(client)
    assert not os.path.exists(f"{path}/first-link")
    assert client.get(address).status_code == 410
    assert first.first_link(config, NOW) is None


def test_the_first_link_expires_after_a_day_even_when_the_clock_goes_back(tmp_path: object) -> None:
    path = site.filled(f"{tmp_path}/data", 2)
    link = first.first_link(site.config(path), NOW)
    assert link
    token = link.rpartition("/")[2]
    assert first.valid(path, token, NOW + 24 * 3600 - 1)
    assert not first.valid(path, token, NOW + 24 * 3600)
    assert not first.valid(path, token, NOW - 3600)
    assert first.first_link(site.config(path), NOW + 24 * 3600) != link


@pytest.mark.parametrize("token", ["", "x", "x" * 43, "../../etc/passwd", "é" * 43])
def test_a_wrong_first_link_opens_nothing(tmp_path: object, token: str) -> None:
    path = site.filled(f"{tmp_path}/data", 2)
    first.first_link(site.config(path), NOW)
    assert not first.valid(path, token, NOW)


def test_two_at_once_make_one_administrator(tmp_path: object) -> None:
    path = site.filled(f"{tmp_path}/data", 2)
    link = first.first_link(site.config(path), NOW)
    assert link
    address = link.removeprefix("http://localhost:5000")
    app = site.site(path)
    codes = []
    # Both have the form before either sends it.
    forms = {}
    for name in ("one", "two"):
        client = app.test_client()
        forms[name] = client, site.token(client.get(address).text)

    def claim(name: str) -> None:
        client, token = forms[name]
        fields = {"name": name, "password": PASSWORD, "again": PASSWORD, "csrf_token": token}
        codes.append(client.post(address, data=fields).status_code)

    page_first = [threading.Thread(target=claim, args=(name,)) for name in ("one", "two")]
    for one in page_first:
        one.start()
    for one in page_first:
        one.join()
    with rows.reading(path) as db:
        assert len(rows.people(db)) == 1


@pytest.mark.parametrize(
    ("password", "expected"),
    [
        ("court", passwords.TOO_SHORT),
        ("x" * 300, passwords.TOO_LONG),
        ("password1234", passwords.TOO_PLAIN),
        ("motdepasse2026!", passwords.TOO_PLAIN),
        ("aaaaaaaaaaaaaa", passwords.TOO_PLAIN),
        ("123456789012", passwords.TOO_PLAIN),
        ("azertyuiopqs", passwords.TOO_PLAIN),
        ("adminadmin2026", passwords.TOO_PLAIN),
        (PASSWORD, None),
        ("é" * 6 + "à bientôt demain", None),
        (" leading and trailing ", None),
        ("x7ab" * 5 + "w9" * 60, None),
    ],
)
def test_passwords_are_long_and_not_the_first_that_one_tries(password: str, expected: str | None) -> None:
    assert passwords.mistake(password, "admin") == expected


def test_a_password_is_taken_whole() -> None:
    kept = passwords.hashed("a" * 128 + "b")
    assert kept.startswith("$argon2id$")
    assert not passwords.verify("a" * 128 + "c", kept)
    assert passwords.verify("a" * 128 + "b", kept)


# --- sessions ---------------------------------------------------------------------------------------------------------


def test_w04_a_log_in_gives_a_new_session_and_a_new_token(data: str) -> None:
    client = site.site(data).test_client()
    before_token = site.token(client.get("/login").text)
    before = client.get_cookie("vigie")
    site.log_in(client)
    after = client.get_cookie("vigie")
    assert before
    assert after
    assert before.value != after.value
    assert client.post("/logout", data={"csrf_token": before_token}).status_code == 400


def test_w05_after_the_log_out_the_old_cookie_opens_nothing(data: str) -> None:
    client = site.site(data).test_client()
    site.log_in(client)
    old = client.get_cookie("vigie")
    assert old
    assert is_in(client)
    site.post(client, "/logout", {})
    assert not is_in(client)
    client.set_cookie("vigie", old.value)
    assert not is_in(client)


def test_w06_a_change_of_password_ends_every_other_session(data: str) -> None:
    app = site.site(data)
    here, there = app.test_client(), app.test_client()
    site.log_in(here)
    site.log_in(there)
    new = "quatre mots tout neufs"
    fields = {"present": PASSWORD, "password": new, "again": new}
    assert site.post(here, "/password", fields).status_code == 303
    assert is_in(here)
    assert not is_in(there)
    assert site.log_in(there).status_code == 403
    assert site.log_in(there, password=new).status_code == 303


def test_w06_a_person_who_is_taken_out_is_out_at_once(data: str) -> None:
    site.add_person(data, "bob", "reader")
    client = site.site(data).test_client()
    site.log_in(client, "bob")
    assert is_in(client)
    with rows.writing(data) as db:
        assert rows.remove(db, "bob")
    assert not is_in(client)


def test_a_session_can_be_ended_from_the_list_and_only_by_its_owner(data: str) -> None:
    site.add_person(data, "bob", "reader")
    app = site.site(data)
    here, there, bob = app.test_client(), app.test_client(), app.test_client()
    site.log_in(here, **{"User-Agent": "here"})
    site.log_in(there, **{"User-Agent": "<b>there</b>"})
    site.log_in(bob, "bob")
    page = here.get("/sessions").text
    assert "&lt;b&gt;there&lt;/b&gt;" in page
    numbers = re.findall(r'name="session" value="(\d+)"', page)
    assert len(numbers) == 1
    assert site.post(bob, "/sessions", {"session": numbers[0]}).status_code == 404
    assert is_in(there)
    assert site.post(here, "/sessions", {"session": numbers[0]}).status_code == 303
    assert not is_in(there)


def test_sessions_end_when_idle_and_after_a_week(data: str) -> None:
    clock = Clock()
    client = site.site(data, clock).test_client()
    site.log_in(client)
    clock.at = NOW + logins.IDLE - 60
    assert is_in(client)
    clock.at += logins.IDLE - 1
    assert is_in(client)
    clock.at += logins.IDLE
    assert not is_in(client)
    clock.at = NOW
    site.log_in(client)
    for hours in range(0, 7 * 24, 4):
        clock.at = NOW + hours * 3600
        assert is_in(client)
    clock.at = NOW + logins.ABSOLUTE
    assert not is_in(client)


@pytest.mark.parametrize("jump", [-10 * 365 * 86_400, -3600, 400 * 86_400])
def test_w35_a_jump_of_the_clock_makes_no_session_immortal_and_breaks_nothing(data: str, jump: int) -> None:
    clock = Clock()
    client = site.site(data, clock).test_client()
    site.log_in(client)
    clock.at = NOW + jump
    assert client.get("/sessions").status_code == 302
    assert site.log_in(client).status_code == 303
    assert is_in(client)


@pytest.mark.parametrize(
    "value", ["", "x", "eyJpZCI6IngifQ.aaaa.bbbb", "." * 3000, "é", "\x7f", '{"id": 1}', "x" * 100_000]
)
def test_w07_a_made_up_cookie_is_nobody(data: str, value: str) -> None:
    client = site.site(data).test_client()
    answer = client.get("/", headers={"Cookie": f"vigie={value}"})
    assert answer.status_code == 200
    assert client.get("/probes", headers={"Cookie": f"vigie={value}; vigie-device={value}"}).status_code == 302


def test_w07_a_cut_cookie_is_nobody_and_an_older_key_still_opens(data: str) -> None:
    client = site.site(data).test_client()
    site.log_in(client)
    cookie = client.get_cookie("vigie")
    assert cookie
    other = site.site(data).test_client()
    for cut in (1, len(cookie.value) // 2, len(cookie.value) - 1):
        other.set_cookie("vigie", cookie.value[:cut])
        assert not is_in(other)
    with open(f"{data}/secret-key", encoding="ascii") as file:
        old = file.read().strip()
    with open(f"{data}/secret-key", "w", encoding="ascii") as file:
        file.write(f"{'ab' * 32}\n{old}\n")
    rotated = site.site(data).test_client()
    rotated.set_cookie("vigie", cookie.value)
    assert is_in(rotated)
    with open(f"{data}/secret-key", "w", encoding="ascii") as file:
        file.write(f"{'ab' * 32}\n")
    replaced = site.site(data).test_client()
    replaced.set_cookie("vigie", cookie.value)
    assert not is_in(replaced)


def test_cookies_hold_no_name_and_are_guarded(data: str) -> None:
    client = site.site(data).test_client()
    answer = site.log_in(client)
    for header in answer.headers.getlist("Set-Cookie"):
        assert "HttpOnly" in header
        assert "SameSite=Lax" in header
    stored = engines.bytes_of(data, "logins.db")
    token = re.findall(rb"[A-Za-z0-9_-]{43}", stored)
    cookie = client.get_cookie("vigie")
    assert cookie
    assert not any(one.decode() in cookie.value for one in token)


# --- guessing ---------------------------------------------------------------------------------------------------------


def test_pauses_grow_to_a_minute_and_no_further() -> None:
    assert [pause(number) for number in range(13)] == [0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60]
    assert pause(10**9) == 60


def test_w08_guessing_is_slowed_survives_a_restart_and_never_locks(data: str) -> None:
    clock = Clock()
    client = site.site(data, clock).test_client()
    codes = [site.log_in(client, password=f"wrong guess {number}").status_code for number in range(8)]
    assert codes == [403] * 5 + [429] * 3
    again = site.site(data, clock).test_client()  # another process
    assert site.log_in(again).status_code == 429  # even the right one waits
    waited = 0
    for _try in range(1000):
        clock.at += 1
        waited += 1
        if site.log_in(again).status_code == 303:
            break
    assert waited <= logins.LONGEST_PAUSE + 1


def test_w08_a_thousand_guesses_are_refused_before_anything_is_computed(
    data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed = []

    def count(password: str, known: str | None) -> bool:
        computed.append(password)
        return False

    monkeypatch.setattr(passwords, "verify", count)
    client = site.site(data).test_client()
    fields = {"csrf_token": site.token(client.get("/login").text)}
    for number in range(300):
        client.post("/login", data={**fields, "name": "admin", "password": str(number)})
    assert len(computed) == logins.FREE
    computed.clear()
    for number in range(300):  # many names from one address
        client.post("/login", data={**fields, "name": f"user{number}", "password": "x"})
    assert len(computed) <= logins.FREE_OF_ADDRESS


def test_w08_a_stranger_who_hammers_does_not_keep_the_owner_out(data: str) -> None:
    clock = Clock()
    app = site.site(data, clock)
    owner, stranger = app.test_client(), app.test_client()
    site.log_in(owner)
    site.post(owner, "/logout", {})
    for number in range(40):
        site.log_in(stranger, password=f"wrong guess {number}")
    assert site.log_in(stranger).status_code == 429
    assert site.log_in(owner).status_code == 303  # a browser that has logged in before has a count of its own


def test_a_clock_that_went_back_does_not_lengthen_the_wait(data: str) -> None:
    clock = Clock()
    client = site.site(data, clock).test_client()
    for number in range(12):
        site.log_in(client, password=f"wrong guess {number}")
    clock.at = NOW - 10 * 86_400
    assert site.log_in(client).status_code == 303


def test_w09_a_wrong_name_reads_and_takes_the_same(data: str) -> None:
    client = site.site(data).test_client()
    texts, spans = [], []
    for name in ("admin", "nobody"):
        began = time.thread_time()  # of this thread alone: whatever else the machine does
        answer = site.log_in(client, name, "wrong password")
        spans.append(time.thread_time() - began)
        texts.append(re.sub(r'value="[^"]*"', "", answer.text))
    assert texts[0] == texts[1]
    assert max(spans) < 8 * min(spans)


def test_w10_at_most_two_passwords_are_computed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = passwords.hashed(PASSWORD)
    running, most, busy = [0], [0], [0]
    lock = threading.Lock()

    class Slow:
        def verify(self, _hash: str, _password: str) -> bool:
            with lock:
                running[0] += 1
                most[0] = max(most[0], running[0])
            time.sleep(0.2)
            with lock:
                running[0] -= 1
            return True

    monkeypatch.setattr(passwords, "_hasher", Slow)

    def guess() -> None:
        try:
            passwords.verify("x", kept)
        except passwords.Busy:
            busy[0] += 1

    threads = [threading.Thread(target=guess) for _ in range(50)]
    began = time.perf_counter()
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert most[0] <= passwords.AT_ONCE
    assert busy[0] > 30
    assert time.perf_counter() - began < 3


def test_the_table_of_attempts_does_not_grow_without_end(data: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "MOST_ATTEMPTS", 50)
    with rows.writing(data) as db:
        for number in range(200):
            rows.failed(db, f"who{number}", NOW + number, NOW - 1000)
        assert db.execute("SELECT count(*) FROM attempt").fetchone()[0] == 50
        rows.failed(db, "late", NOW + 10**6, NOW + 10**6 - 10)
        assert db.execute("SELECT count(*) FROM attempt").fetchone()[0] == 1


# --- the key ----------------------------------------------------------------------------------------------------------


def test_w30_the_key_is_made_private_and_refused_when_it_is_not(tmp_path: object) -> None:
    path = site.folder(f"{tmp_path}/data")
    assert len(secret.keys(path)[0]) == 64
    assert os.stat(f"{path}/secret-key").st_mode & 0o777 == 0o600
    assert secret.keys(path) == secret.keys(path)
    os.chmod(f"{path}/secret-key", 0o644)
    with pytest.raises(secret.SecretError, match="others may read it"):
        secret.keys(path)
    os.chmod(f"{path}/secret-key", 0o600)
    for text in ("", "short\n", "\n\n"):
        with open(f"{path}/secret-key", "w", encoding="ascii") as file:
            file.write(text)
        with pytest.raises(secret.SecretError, match="shorter than"):
            secret.keys(path)


@pytest.mark.sqlite("the file's rights")
def test_w30_a_log_in_database_that_others_may_open_is_refused(data: str) -> None:
    from archive import database

    os.chmod(f"{data}/logins.db", 0o644)
    with pytest.raises(database.DatabaseError, match="chmod 600"), rows.reading(data):
        pass


def test_w31_no_password_stands_in_a_page_a_repr_or_a_log(data: str, caplog: pytest.LogCaptureFixture) -> None:
    canary = "canari jaune en cage"
    client = site.site(data).test_client()
    answer = site.log_in(client, password=canary)
    assert canary not in answer.text
    with rows.reading(data) as db:
        person = rows.person(db, "admin")
    assert person
    assert "argon2" not in repr(person)
    assert canary not in caplog.text
