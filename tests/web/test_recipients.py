"""The page of recipients and its command: the administrator's alone; what is typed is kept or refused in words."""

import pytest
from flask.testing import FlaskClient

from alerts import owed
from archive import database, outbox, persons, recipients
from archive.recipients import Recipient
from tests.web import site
from tests.web.site import NOW, Page
from web.commands import recipients as command

URL = "ntfys://user:canary@ntfy.example.org/vigie"


@pytest.fixture
def data(tmp_path: object) -> str:
    path = site.filled(f"{tmp_path}/data", 3)
    site.add_person(path)
    return path


@pytest.fixture
def client(data: str) -> FlaskClient:
    found = site.site(data, VIGIE_MAIL_TO="first@example.org", VIGIE_NOTIFY_URLS=URL).test_client()
    site.log_in(found)
    return found


def kept(data: str) -> list[Recipient]:
    with database.reader(data) as db:
        return [row.recipient for row in recipients.rows(db)]


def test_the_page_shows_those_of_the_settings_and_no_secret(client: FlaskClient) -> None:
    text = client.get("/recipients").text
    assert "first@example.org" in text
    assert recipients.apprise_name(URL) in text
    assert "canary" not in text


def test_a_reader_and_a_stranger_see_nothing_of_it(data: str) -> None:
    site.add_person(data, "reader", "reader")
    app = site.site(data, VIGIE_MAIL_TO="first@example.org")
    stranger, reader = app.test_client(), app.test_client()
    site.log_in(reader, "reader")
    assert stranger.get("/recipients").status_code == 302
    assert reader.get("/recipients").status_code == 403
    assert "first@example.org" not in reader.get("/about").text


def test_adding_one_keeps_those_of_the_settings(client: FlaskClient, data: str) -> None:
    fields = {"address": " new@example.org ", "level": "critical", "language": "en"}
    assert site.post(client, "/recipients", fields).status_code == 303
    assert kept(data) == [Recipient("first@example.org"), Recipient("new@example.org", "critical", False, "en")]
    assert "new@example.org est enregistré" in Page(client.get("/recipients").text).text


def test_one_is_changed_in_its_row_and_an_apprise_address_too(client: FlaskClient, data: str) -> None:
    name = recipients.apprise_name(URL)
    for who in ("first@example.org", name):
        fields = {"address": who, "known": "1", "level": "critical", "language": "", "digest": "on"}
        assert site.post(client, "/recipients", fields).status_code == 303
    assert kept(data) == [Recipient(name, "critical"), Recipient("first@example.org", "critical")]


@pytest.mark.parametrize(
    "fields",
    [
        {"address": ""},
        {"address": "a@b, c@d"},
        {"address": "<script>@x"},
        {"address": "a@x.org", "level": "none"},
        {"address": "a@x.org", "language": "de"},
    ],
)
def test_a_bad_recipient_is_a_422_in_words_and_nothing_is_kept(
    client: FlaskClient, data: str, fields: dict[str, str]
) -> None:
    answer = site.post(client, "/recipients", {"level": "warning", "language": "", **fields})
    assert answer.status_code == 422
    page = Page(answer.text)
    assert page.by_id("problem-new")
    assert page.by_id("address").get("value", "") == fields["address"]
    assert kept(data) == []


def test_taking_off_drops_what_waits_and_the_last_one_brings_the_setting_back(client: FlaskClient, data: str) -> None:
    with database.writer(data) as db, database.transaction(db):
        number = owed.owe_ready(db, 1, "digest", "s", "t", "", ["first@example.org"], NOW)
    site.post(client, "/recipients", {"address": "b@x.org", "level": "warning", "language": ""})
    assert site.post(client, "/recipients/remove", {"address": "first@example.org"}, "/recipients").status_code == 303
    assert kept(data) == [Recipient("b@x.org", digest=False)]
    with database.reader(data) as db:
        assert [one.state for one in outbox.ledger(db)[0].deliveries] == ["dropped"], number
    site.post(client, "/recipients/remove", {"address": "b@x.org"}, "/recipients")
    assert kept(data) == []
    assert "VIGIE_MAIL_TO s’applique de nouveau" in Page(client.get("/recipients").text).text


def test_the_mail_to_people_is_switched_on_with_its_rule(client: FlaskClient, data: str) -> None:
    fields = {
        "on": "on",
        "domain": "@lab.example",
        "contact": "help@lab.example",
        "addresses": "bob =\r\neve = e@x.org",
    }
    assert site.post(client, "/recipients/people", fields, "/recipients").status_code == 303
    with database.reader(data) as db:
        assert persons.rule(db) == persons.Rule(
            True, "lab.example", "help@lab.example", (("bob", ""), ("eve", "e@x.org"))
        )
    page = client.get("/recipients").text
    assert "eve = e@x.org" in page
    assert "checked" in page[page.index('name="on"') :][:30]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"on": "on"}, "domain"),
        ({"domain": "no domain"}, "domain"),
        ({"domain": "x.org", "contact": "nobody"}, "contact"),
        ({"domain": "x.org", "addresses": "alice"}, "addresses"),
        ({"domain": "x.org", "addresses": "alice = <b>"}, "addresses"),
    ],
)
def test_a_bad_rule_is_a_422_at_its_field_with_what_was_typed(
    client: FlaskClient, data: str, fields: dict[str, str], field: str
) -> None:
    answer = site.post(client, "/recipients/people", fields, "/recipients")
    assert answer.status_code == 422
    assert Page(answer.text).by_id(field)["aria-invalid"] == "true"
    assert "<b>" not in answer.text
    with database.reader(data) as db:
        assert persons.rule(db) == persons.Rule()


def test_where_names_are_hidden_the_page_says_that_nobody_can_be_written_to(data: str) -> None:
    client = site.site(data, VIGIE_USERS="pseudonyms").test_client()
    site.log_in(client)
    assert "VIGIE_USERS masque les noms" in client.get("/recipients").text


# --- mails that wait --------------------------------------------------------------------------------------------------


def held(data: str, at: int = NOW) -> int:
    with database.writer(data) as db, database.transaction(db):
        number = owed.owe_ready(db, 1, "digest", "Sujet", "t", "", ["a@x.org"], at)
        outbox.mark(db, number, "a@x.org", "held", 0, at, "mx", "550 no")
    return number


def test_a_held_mail_is_tried_again_by_the_administrator(client: FlaskClient, data: str) -> None:
    first, second = held(data), held(data)
    assert site.post(client, "/mails/retry", {"number": str(second)}, "/mails").status_code == 303
    with database.reader(data) as db:
        assert [entry.deliveries[0].state for entry in outbox.ledger(db)[:2]] == ["queued", "held"]
    assert site.post(client, "/mails/retry", {}, "/mails").status_code == 303
    with database.reader(data) as db:
        assert outbox.summary(db).held == 0, first
    for odd in ("x", "-1", "9" * 30):
        assert site.post(client, "/mails/retry", {"number": odd}, "/recipients").status_code == 400


@pytest.mark.parametrize(("age", "said"), [(900, False), (901, True)])
def test_m01_a_mail_that_has_not_left_for_15_minutes_is_said_on_the_first_page(data: str, age: int, said: bool) -> None:
    held(data, NOW - age)
    client = site.site(data).test_client()
    for address in ("/", "/fragment"):
        assert ("courriel n’est pas parti" in client.get(address).text) is said


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.fixture
def typed(data: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"DATA": data, "NOW": str(NOW), "LANGUAGE": "en", "MAIL_TO": "first@example.org"}.items():
        monkeypatch.setenv(f"VIGIE_{name}", value)


def test_the_command_lists_adds_and_takes_off(typed: None, data: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.run([]) == 0
    assert (
        "first@example.org  warnings and critical ones, weekly digest, from data/settings.env"
        in capsys.readouterr().out
    )
    assert command.run(["add", "b@x.org", "c@x.org", "--critical", "--no-digest", "--language", "en"]) == 0
    assert kept(data)[0] == Recipient("b@x.org", "critical", False, "en")
    assert command.run(["remove", "b@x.org", "first@example.org"]) == 0
    assert kept(data) == [Recipient("c@x.org", "critical", False, "en")]
    assert command.run(["remove", "b@x.org"]) == 1
    assert "b@x.org was not on the list" in capsys.readouterr().err


def test_the_command_refuses_in_words_and_keeps_nothing(
    typed: None, data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.run(["add"]) == 2
    assert command.run(["add", "good@x.org", "bad one"]) == 2
    assert "'bad one'" in capsys.readouterr().err
    assert kept(data) == []
