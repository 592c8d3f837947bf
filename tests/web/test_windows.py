"""Planned work on the pages: planned, seen, ended, taken out, undone; a line silenced from its incident; the command."""

import json
import re
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from flask.testing import FlaskClient

from archive import changes, database, incidents, outbox, silences
from archive.silences import Silence
from tests.web import site
from tests.web.site import NOW, Page
from tests.web.test_commands import vigie

ZONE = ZoneInfo("Europe/Paris")
DISK, CPU = "disk_used_ratio", "cpu_busy_seconds_total"


@pytest.fixture
def data(tmp_path: object) -> str:
    path = site.filled(f"{tmp_path}/data", 30, cpu=0.6)
    site.add_person(path)
    return path


@pytest.fixture
def client(data: str) -> FlaskClient:
    found = site.site(data).test_client()
    site.log_in(found)
    return found


def typed(at: int) -> str:
    return f"{datetime.fromtimestamp(at, ZONE):%Y-%m-%dT%H:%M}"


ONCE = {
    "kind": "once",
    "from": typed(NOW),
    "to": typed(NOW + 7200),
    "scope": "all",
    "labels": "{}",
    "reason": "onduleur",
}


def kept(data: str) -> list[Silence]:
    with database.reader(data) as db:
        rows = db.execute("SELECT id FROM silence ORDER BY id").fetchall()
        return [one for (number,) in rows if (one := silences.get(db, number))]


def plan(data: str, **given: object) -> int:
    base = Silence(0, 1, "", "{}", NOW - 600, NOW + 3600, "", "onduleur", 0, "", None)
    with database.writer(data) as db:
        return silences.plan(db, base._replace(**given), "admin", NOW - 600)  # type: ignore[arg-type]


def test_work_is_planned_and_seen_where_people_look(client: FlaskClient, data: str) -> None:
    assert site.post(client, "/windows", ONCE).status_code == 303
    [one] = kept(data)
    assert (one.metric, one.labels, one.from_at, one.to_at, one.weekly) == ("", "{}", NOW, NOW + 7200, "")
    assert (one.reason, one.made_by, one.host) == ("onduleur", "admin", 1)
    until = f"Travaux prévus jusqu’à {datetime.fromtimestamp(NOW + 7200, ZONE):%H:%M}"
    for path in ("/", "/fragment", "/thresholds"):
        assert site.plain(f"{until} : onduleur (tout)") in Page(client.get(path).text).text, path
    page = Page(client.get("/windows").text).text
    assert "En cours" in page
    assert "rien ne se perd" in page
    later = site.site(data, lambda: NOW + 7200).test_client()
    assert until not in Page(later.get("/").text).text
    assert "Terminer maintenant" not in later.get("/windows").text


def test_what_opens_meanwhile_waits_and_is_told_at_the_end(data: str) -> None:
    """The page's window is the judge's: no mail while it is open, one when it is over."""
    client = site.site(data).test_client()
    site.log_in(client)
    assert site.post(client, "/windows", ONCE | {"to": typed(NOW + 1800)}).status_code == 303
    site.judged(data, 25, NOW + 1500, cpu=0.97)
    with database.reader(data) as db:
        assert [one.metric for one in incidents.recent(db, 1)] == [CPU]
        assert outbox.ledger(db, 10) == []
    site.judged(data, 7, NOW + 1920, cpu=0.97)
    with database.reader(data) as db:
        assert len(outbox.ledger(db, 10)) == 1


def test_weekly_work_for_chosen_metrics_of_one_disk(client: FlaskClient, data: str) -> None:
    fields = ONCE | {
        "kind": "weekly", "days": "6", "opens": "22h", "closes": "06:00", "scope": "some", "metric": DISK,
        "labels": '{"mount":"/srv"}', "from": "", "to": "",
    }  # fmt: skip
    assert site.post(client, "/windows", fields).status_code == 303
    [one] = kept(data)
    assert json.loads(one.weekly) == {"days": [6], "from": "22:00", "to": "06:00"}
    assert (one.metric, one.labels, one.to_at) == (DISK, '{"mount":"/srv"}', 0)
    page = Page(client.get("/windows").text).text
    assert "chaque dimanche de 22:00 à 06:00 le lendemain" in page
    assert "– /srv" in page


WRONG = [
    ({"to": ""}, "to", "Donnez une date et une heure"),
    ({"to": "demain"}, "to", "« demain » n’est pas une date avec son heure"),
    ({"to": typed(NOW - 60), "from": typed(NOW - 600)}, "to", "déjà passée"),
    ({"to": typed(NOW), "from": typed(NOW + 600)}, "to", "après le début"),
    ({"to": "2029-01-01T10:00"}, "to", "400 jours"),
    ({"from": "2027-03-28T02:30"}, "from", "02:30 n’existe pas le 28 mars 2027"),
    ({"reason": "  "}, "reason", "pourquoi"),
    ({"scope": "some"}, "metric", "au moins une métrique"),
    ({"labels": '{"mount":"/nowhere"}'}, "labels", "n’existe plus"),
    ({"labels": "<script>"}, "labels", "n’existe plus"),
    ({"kind": "weekly", "opens": "22:00", "closes": "06:00"}, "days", "au moins un jour"),
    ({"kind": "weekly", "days": "1", "opens": "22:00", "closes": "22:00"}, "closes", "les mêmes"),
    ({"kind": "weekly", "days": "1", "opens": "soir", "closes": "22:00"}, "opens", "« soir »"),
]


@pytest.mark.parametrize(("fields", "name", "message"), WRONG)
def test_a_wrong_field_is_told_beside_it_the_rest_stays_and_nothing_is_planned(
    client: FlaskClient, data: str, fields: dict[str, str], name: str, message: str
) -> None:
    answer = site.post(client, "/windows", ONCE | fields)
    assert answer.status_code == 422
    page = Page(answer.text)
    assert site.plain(message) in page.text
    assert f'id="{name}-error"' in answer.text
    assert 'role="alert"' in answer.text
    focused = [one.get("id") for _tag, one in page.elements if "autofocus" in one]
    assert focused == [name]
    if "reason" not in fields:
        assert page.by_id("reason")["value"] == "onduleur"
    assert kept(data) == []


def test_a_time_that_comes_twice_is_asked_about_and_the_answer_is_taken(data: str) -> None:
    before = int(datetime(2027, 10, 30, 12, tzinfo=ZONE).timestamp())
    client = site.site(data, lambda: before).test_client()
    site.log_in(client)
    fields = ONCE | {"from": typed(before), "to": "2027-10-31T02:30"}
    asked = site.post(client, "/windows", fields)
    assert asked.status_code == 422
    page = Page(asked.text)
    assert "02:30 revient deux fois le 31 octobre 2027" in page.text
    assert "(UTC+2)" in page.text
    assert "(UTC+1)" in page.text
    assert page.by_id("to-which")["name"] == "to.which"
    assert site.post(client, "/windows", fields | {"to.which": "second"}).status_code == 303
    [one] = kept(data)
    assert one.to_at == int(datetime(2027, 10, 31, 2, 30, tzinfo=ZONE, fold=1).timestamp())


def test_it_is_ended_early_taken_out_and_brought_back(client: FlaskClient, data: str) -> None:
    number = plan(data)
    assert site.post(client, f"/windows/{number}/end", {}, "/windows").status_code == 303
    assert kept(data)[0].ended_at == NOW
    assert "Travaux prévus jusqu’à" not in Page(client.get("/").text).text
    # Ended twice: said, not an error page.
    assert site.post(client, f"/windows/{number}/end", {}, "/windows").status_code == 303
    assert site.post(client, f"/windows/{number}/drop", {}, "/windows").status_code == 303
    assert kept(data) == []
    page = client.get("/thresholds")
    assert "Travaux prévus – onduleur" in Page(page.text).text
    undo = re.search(r"/thresholds/undo/(\d+)", page.text)
    assert undo
    assert site.post(client, f"/thresholds/undo/{undo[1]}", {}, "/thresholds").status_code == 303
    assert [one.id for one in kept(data)] == [number]
    for path in (f"/windows/{number + 9}/end", f"/windows/{2**63}/drop"):
        assert site.post(client, path, {}, "/windows").status_code == 404


def test_only_an_administrator_plans(data: str) -> None:
    number = plan(data)
    site.add_person(data, "lecteur", "reader")
    reader = site.site(data).test_client()
    site.log_in(reader, "lecteur")
    page = reader.get("/windows")
    assert page.status_code == 200
    assert "onduleur" in page.text
    assert "<form" not in page.text.split("<main")[1]
    given = site.token(reader.get("/password").text)
    for path in ("/windows", f"/windows/{number}/end", f"/windows/{number}/drop", "/incidents/1/silence"):
        assert reader.post(path, data=ONCE | {"csrf_token": given}).status_code == 403
    assert kept(data)[0].ended_at is None


def test_hostile_words_stay_words(client: FlaskClient) -> None:
    site.post(client, "/windows", ONCE | {"reason": "<img src=x onerror=alert(1)>"})
    for path in ("/windows", "/", "/thresholds"):
        text = client.get(path).text
        assert "<img" not in text
        assert "&lt;img" in text


@pytest.mark.parametrize(
    "query", ["metric=nothing", "metric=a&metric=b", f"metric={DISK}&line=99999", "metric=" + "x" * 300]
)
def test_a_made_up_address_is_refused_in_words(client: FlaskClient, query: str) -> None:
    assert client.get(f"/windows?{query}").status_code in (400, 404)


def test_the_form_begins_with_the_metric_and_line_of_the_page_before(client: FlaskClient, data: str) -> None:
    with database.reader(data) as db:
        from archive import read

        line = next(one for one in read.series(db, 1, DISK) if one.label("mount") == "/srv")
    assert f"/windows?metric={DISK}&amp;line={line.id}" in client.get(f"/thresholds/{DISK}?line={line.id}").text
    page = Page(client.get(f"/windows?metric={DISK}&line={line.id}").text)
    assert [one["value"] for one in page.all("input") if one.get("name") == "metric" and "checked" in one] == [DISK]
    assert [one["value"] for one in page.all("option") if "selected" in one] == ['{"mount":"/srv"}']


def test_a_graph_shows_when_work_was_planned(client: FlaskClient, data: str) -> None:
    plan(data, metric=CPU)
    drawn = client.get(f"/graphs/{CPU}?period=1h").text
    assert drawn.count('class="v-work"') == 4  # three sizes, and the legend
    assert "travaux prévus" in drawn
    assert 'class="v-work"' not in client.get("/graphs/memory_available_ratio?period=1h").text


# --- from an incident -------------------------------------------------------------------------------------------------


@pytest.fixture
def troubled(tmp_path: object) -> str:
    path = site.filled(f"{tmp_path}/troubled", 30, cpu=0.97)
    site.add_person(path)
    return path


@pytest.fixture
def admin(troubled: str) -> FlaskClient:
    found = site.site(troubled).test_client()
    site.log_in(found)
    return found


def test_a_line_is_silenced_from_its_incident(admin: FlaskClient, troubled: str) -> None:
    assert "Faire taire cette ligne" in admin.get("/incidents/1").text
    fields = {"span": "4h", "until": "", "quiet_reason": "compilation"}
    assert site.post(admin, "/incidents/1/silence", fields, "/incidents/1").status_code == 303
    [one] = kept(troubled)
    assert (one.metric, one.labels, one.from_at, one.to_at) == (CPU, "{}", NOW, NOW + 4 * 3600)
    page = Page(admin.get("/incidents/1").text).text
    assert "Aucun courriel à ce sujet jusqu’à" in page
    assert "compilation" in page
    assert "Faire taire cette ligne" not in page


def test_until_a_date(admin: FlaskClient, troubled: str) -> None:
    fields = {"span": "date", "until": typed(NOW + 86_400), "quiet_reason": "compilation"}
    assert site.post(admin, "/incidents/1/silence", fields, "/incidents/1").status_code == 303
    assert kept(troubled)[0].to_at == NOW + 86_400


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"span": "date", "until": ""}, "until"),
        ({"span": "date", "until": "demain"}, "until"),
        ({"span": "date", "until": typed(NOW - 3600)}, "until"),
        ({"span": "99y", "until": ""}, "until"),
        ({"quiet_reason": ""}, "quiet_reason"),
    ],
)
def test_a_wrong_silence_is_told_and_what_was_typed_stays(
    admin: FlaskClient, troubled: str, fields: dict[str, str], name: str
) -> None:
    answer = site.post(admin, "/incidents/1/silence", {"span": "1h", "quiet_reason": "ici"} | fields, "/incidents/1")
    assert answer.status_code == 422
    page = Page(answer.text)
    assert page.by_id(name)["aria-invalid"] == "true"
    assert "autofocus" in page.by_id(name)
    assert f'id="{name}-error"' in answer.text
    assert page.by_id("quiet_reason")["value"] == fields.get("quiet_reason", "ici")
    assert "open" in next(one for one in page.all("details") if one.get("class") == "quiet")
    assert kept(troubled) == []


def test_an_acknowledgement_says_who_and_why_and_ends_with_the_incident(admin: FlaskClient, troubled: str) -> None:
    assert site.post(admin, "/incidents/1/acknowledge", {"reason": "je compile"}, "/incidents/1").status_code == 303
    assert "je compile" in admin.get("/incidents/1").text
    site.judged(troubled, 15, NOW + 900, cpu=0.2)
    site.judged(troubled, 17, NOW + 900 + 17 * 60, cpu=0.97)
    with database.reader(troubled) as db:
        again = incidents.get(db, 1)
    assert again is not None
    assert (again.state, again.acknowledged_at) == ("open", None)  # come back: nobody looks after it any more


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_command_plans_lists_and_ends(data: str) -> None:
    environ = {"VIGIE_NOW": str(NOW), "VIGIE_TIMEZONE": "Europe/Paris"}
    assert "No work is planned" in vigie(data, "windows", **environ).stdout
    done = vigie(
        data,
        "windows",
        "add",
        "--to",
        typed(NOW + 3600),
        "--metric",
        DISK,
        "--line",
        "mount=/srv",
        "--reason",
        "fsck",
        **environ,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "/srv" in done.stdout
    [one] = kept(data)
    assert (one.metric, one.labels, one.from_at, one.to_at) == (DISK, '{"mount":"/srv"}', NOW, NOW + 3600)
    weekly = vigie(data, "windows", "add", "--days", "sun", "--hours", "22:00-06:00", "--reason", "backup", **environ)
    assert "every Sunday from 22:00 to 06:00 the next day" in weekly.stdout
    listed = vigie(data, "windows", "list", **environ).stdout
    assert "Running" in listed
    assert "fsck" in listed
    assert vigie(data, "windows", "end", str(one.id), **environ).returncode == 0
    assert kept(data)[0].ended_at == NOW
    with database.reader(data) as db:
        assert len(changes.recent(db)) == 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["add"], "--to"),
        (["add", "--to", "2027-03-28T02:30", "--reason", "x"], "does not exist"),
        (["add", "--to", "2027-10-31T02:30", "--reason", "x"], "comes twice"),
        (["add", "--days", "someday", "--hours", "1:00-2:00", "--reason", "x"], "som"),
        (["add", "--days", "sun", "--hours", "22:00", "--reason", "x"], "--hours"),
        (["add", "--to", "2027-01-01T10:00", "--metric", "nothing", "--reason", "x"], "nothing"),
        (["add", "--to", "2027-01-01T10:00", "--line", "mount=/nowhere", "--reason", "x"], "--line"),
        (["end", "77"], "77"),
    ],
)
def test_the_command_refuses_in_one_line_that_names_the_option(data: str, arguments: list[str], said: str) -> None:
    done = vigie(data, "windows", *arguments, VIGIE_NOW=str(NOW), VIGIE_TIMEZONE="Europe/Paris")
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert kept(data) == []
