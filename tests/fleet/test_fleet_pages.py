"""What the administrator sets at the centre, through the pages; and what a machine's own pages say of it. On both engines."""

import re
from html import unescape

import pytest

from archive import database, thresholds
from archive.fleet import following, members, parcel, policy, wishes
from archive.fleet.policy import Scope
from archive.thresholds import Threshold
from tests import cycles
from tests.conftest import NOW
from tests.fleet.fleet import head
from tests.fleet.test_taking import texts
from tests.web import site
from web import create_app

DISK = "disk_used_ratio"
SET = Threshold(DISK, "{}", True, 0.5, 0.6, 0.45, 300)
FORM = {f"m.{DISK}": "50", f"m.{DISK}.critical": "60", f"m.{DISK}.minutes": "5", f"m.{DISK}.shown": "1", f"m.{DISK}.on": "on",
        "clear": "45"}  # fmt: skip
FORM = {name.replace(f"m.{DISK}", "memory"): value for name, value in FORM.items()}  # as the first form calls the disk


@pytest.fixture
def fleet(centre):
    """one (web, paris) and two (db) have sent a cycle; an administrator and a reader may log in."""
    cycles.archive(centre.data, NOW, cycles.machine(NOW))
    site.add_person(centre.data)
    site.add_person(centre.data, "lecteur", "reader")
    centre.tokens = {"one": centre.add("one", "web paris"), "two": centre.add("two", "db")}
    for name, token in centre.tokens.items():
        assert centre.post(token, parcel.Parcel(head(name), texts(2, NOW - 60))).status_code == 200
    return centre


@pytest.fixture
def admin(fleet):
    client = fleet.app.test_client()
    assert site.log_in(client).status_code in (302, 303)
    return client


def set_for(centre, scope, threshold):
    with database.writer(centre.data) as db, database.transaction(db):
        wishes.save(db, scope, threshold, "ada", NOW)


def rules(centre):
    with database.reader(centre.data) as db:
        return {(one.scope, one.key): one for one in wishes.every(db)}


def text(client, path):
    answer = client.get(path, headers={"Accept-Language": "en"})
    assert answer.status_code == 200, path
    return (
        unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.text))).replace("\u202f", " ").replace("\xa0", " ")
    )


@pytest.mark.parametrize(
    ("query", "scope"), [("", Scope()), ("&tag=web", Scope("tag", "web")), ("&host=one", Scope("host", "one"))]
)
def test_a_threshold_is_set_changed_and_taken_out_through_the_form(fleet, admin, query, scope):
    path = f"/fleet/threshold?metric={DISK}{query}"
    assert site.post(admin, path, FORM).status_code == 303
    kept = rules(fleet)[scope, (DISK, "{}")]
    assert (kept.threshold.warning, kept.threshold.critical, kept.threshold.clear, kept.updated_by) == (
        0.5,
        0.6,
        0.45,
        "admin",
    )
    assert kept.threshold.for_seconds == 300

    site.post(admin, path, FORM | {"memory": "55"})
    assert rules(fleet)[scope, (DISK, "{}")].threshold.warning == 0.55
    site.post(admin, path, {"reset": "1"})
    assert rules(fleet) == {}


def test_one_line_is_set_by_itself(fleet, admin):
    site.post(admin, f'/fleet/threshold?metric={DISK}&line={{"mount":"/"}}', FORM)

    assert list(rules(fleet)) == [(Scope(), (DISK, '{"mount":"/"}'))]
    assert "Disk /" in text(admin, "/fleet/thresholds")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [({"memory": "150"}, "out of range"), ({"memory": "a lot"}, "not a number"), ({"memory.critical": "40"}, "must not be below"),
     ({"memory.minutes": "99999999"}, "out of range"), ({"clear": "70"}, "must not be above"), ({"memory": "", "memory.critical": ""}, "Give a level"),
     ({"second_metric": "nothing"}, "no metric named")],
)  # fmt: skip
def test_what_cannot_be_used_is_said_and_nothing_is_saved(fleet, admin, wrong, words):
    answer = site.post(admin, f"/fleet/threshold?metric={DISK}", FORM | wrong, **{"Accept-Language": "en"})

    assert answer.status_code == 422
    assert words in site.plain(answer.text)
    assert rules(fleet) == {}


def test_who_may_look_and_who_may_change(fleet):
    reader, stranger = fleet.app.test_client(), fleet.app.test_client()
    site.log_in(reader, "lecteur")
    for client, status in ((reader, 403), (stranger, 302)):
        for path in ("/fleet/thresholds", f"/fleet/threshold?metric={DISK}&tag=web"):
            assert client.get(path).status_code == 200
            assert "csrf_token" not in client.get(path).text
        token = (
            site.token(client.get("/login").text) if client is stranger else site.token(client.get("/password").text)
        )
        for path in (f"/fleet/threshold?metric={DISK}", "/fleet/mails", "/fleet/undo/1"):
            assert client.post(path, data={**FORM, "csrf_token": token}).status_code == status, path
    assert rules(fleet) == {}


def test_a_form_without_its_token_changes_nothing(fleet, admin):
    for path in (f"/fleet/threshold?metric={DISK}", "/fleet/mails", "/fleet/undo/1"):
        assert admin.post(path, data=FORM | {"mails": "centre"}).status_code == 400
    assert rules(fleet) == {}


@pytest.mark.parametrize(
    ("path", "status"),
    [("/fleet/thresholds?host=nobody", 404), ("/fleet/thresholds?tag=a%20b", 400), ("/fleet/thresholds?tag=web&host=one", 400),
     ("/fleet/threshold", 200), ("/fleet/threshold?metric=nothing", 404), (f"/fleet/threshold?metric={DISK}&line=x", 400),
     (f"/fleet/threshold?metric={DISK}&line=[[", 400), ("/fleet/threshold?metric=login_info", 404), ("/fleet/mails", 405)],
)  # fmt: skip
def test_an_odd_question_is_no_500(fleet, admin, path, status):
    assert admin.get(path).status_code == status


def test_who_mails_is_set_for_all_a_tag_and_a_machine_and_said_with_where_it_comes_from(fleet, admin):
    where = "/fleet/thresholds?host=one"
    assert "Now: the machine itself (as long as nothing is set)" in text(admin, where)
    site.post(admin, "/fleet/mails", {"mails": "centre"}, "/fleet/thresholds")
    assert "Now: the centre (set for all machines)" in text(admin, where)
    site.post(admin, "/fleet/mails?tag=web", {"mails": "machine"}, "/fleet/thresholds")
    site.post(admin, "/fleet/mails?tag=paris", {"mails": "centre"}, "/fleet/thresholds")
    assert "both, because the tags paris, web disagree" in text(admin, where)
    site.post(admin, "/fleet/mails?host=one", {"mails": "both"}, "/fleet/thresholds")
    assert "Now: the machine and the centre (set for one)" in text(admin, where)
    site.post(admin, "/fleet/mails?host=one", {"mails": ""}, "/fleet/thresholds")
    site.post(admin, "/fleet/mails?host=one", {"mails": "the devil"}, "/fleet/thresholds")
    assert (Scope("host", "one"), policy.MAILS) not in rules(fleet)


def test_the_page_of_a_machine_says_how_each_stands_there(fleet, admin):
    set_for(fleet, Scope(), SET)
    set_for(fleet, Scope("tag", "web"), SET._replace(warning=0.4, clear=None))
    set_for(fleet, Scope("tag", "paris"), SET._replace(warning=0.45))
    where = "/fleet/thresholds?host=one"
    assert "not fetched yet" in text(admin, where)
    assert "the stricter; not so for: paris" in text(admin, where)

    def says(tag, *rows):
        said = [[DISK, "{}", 1, level, 0.6, None, 300, 600, "", 0, None, "critical", 1, NOW, by] for level, by in rows]
        answer = fleet.post(fleet.tokens["one"], parcel.Parcel(head("one", rows={"threshold": said}, policy=tag), []))
        assert answer.json["rows"] == ""
        return answer.json["policy"]

    tag = says("an older one")
    assert "on its way" in text(admin, where)
    says(tag, (0.4, "centre"))
    assert "judged with there" in text(admin, where)
    says(tag, (0.2, "eve"))
    assert "set on the machine, which wins: 20% / 60%, 5 min (eve)" in text(admin, where)
    anybody = text(fleet.app.test_client(), where)  # who may look is told no person's name
    assert "set on the machine, which wins: 20% / 60%, 5 min" in anybody
    assert "eve" not in anybody.replace("every", "").replace("never", "")
    assert "ada" not in anybody
    says(tag, (0.5, "centre"))
    assert "not kept there" in text(admin, where)
    with database.writer(fleet.data) as db, database.transaction(db):
        for scope in (Scope(), Scope("tag", "web"), Scope("tag", "paris")):
            wishes.remove(db, scope, DISK, "{}", "ada", NOW)
    says("x", (0.2, "eve"))
    assert "Set on the machine itself, and not from here" in text(admin, where)


def test_a_change_is_undone_from_the_page_and_a_newer_one_protects_it(fleet, admin):
    site.post(admin, "/fleet/mails", {"mails": "centre"}, "/fleet/thresholds")
    site.post(admin, f"/fleet/threshold?metric={DISK}&tag=web", FORM)
    html = admin.get("/fleet/thresholds").text
    newest, oldest = re.findall(r'action="/fleet/undo/(\d+)"', html)
    for number in (newest, oldest):
        assert site.post(admin, f"/fleet/undo/{number}", {}, "/fleet/thresholds").status_code == 303
    assert rules(fleet) == {}
    assert site.post(admin, f"/fleet/undo/{newest}", {}, "/fleet/thresholds").status_code == 303  # refused, in words
    assert rules(fleet) == {}
    assert site.post(admin, "/fleet/undo/99999", {}, "/fleet/thresholds").status_code == 404
    assert "Who mails" in text(admin, "/thresholds")  # one history


def test_the_centres_own_thresholds_are_another_matter(fleet, admin):
    set_for(fleet, Scope(), SET)

    with database.reader(fleet.data) as db:
        assert next(one for one in thresholds.effective(db, 1) if one.metric == DISK).warning != 0.5
    assert "from the centre" not in text(admin, "/thresholds")


def test_the_mails_of_a_machine_are_on_a_page_of_its_own_for_the_administrator_alone(fleet, admin):
    row = [4, "ops@example.org", NOW, "incident", "[one] Warning: / at 97 %", "refused", "mx", NOW, "550 no such user"]
    fleet.post(fleet.tokens["one"], parcel.Parcel(head("one", rows={"mail": [row]}), []))

    said = text(admin, "/hosts/one/mails")
    assert "Warning: / at 97 % Refused ops@example.org · 550 no such user" in said
    assert "550" not in text(admin, "/hosts/two/mails")
    assert "550" not in text(admin, "/mails")
    assert "Try again" not in said  # that is the machine's to do
    assert fleet.app.test_client().get("/hosts/one/mails").status_code == 302
    assert admin.get("/hosts/one/mails?before=4").status_code == 200
    assert "550" not in text(admin, "/hosts/one/mails?before=4")


# --- a machine's own pages -------------------------------------------------------------------------------------------


@pytest.fixture
def follower(machine):
    """A machine that follows: the disk's threshold comes from its centre, which mails."""
    here = machine()
    here.cycle(NOW)
    site.add_person(here.data)
    with database.writer(here.data) as db, database.transaction(db):
        assert following.follow(db, policy.Policy("centre", (SET,), {DISK: "gauge"}), "t", NOW) == []
    here.app = create_app(here.settings, now=lambda: NOW + 30)
    here.client = here.app.test_client()
    site.log_in(here.client)
    return here


def own(here):
    with database.reader(here.data) as db:
        return thresholds.get(db, DISK)


def test_a_machine_says_what_comes_from_the_centre_and_saving_the_rest_takes_none_of_it(follower):
    said = text(follower.client, "/thresholds")
    assert "1 of these comes from the centre." in said
    assert said.count("from the centre") == 2  # the note, and the line itself
    site.post(follower.client, "/thresholds", {"cpu": "80", "memory": "50"})

    assert own(follower) is None
    with database.reader(follower.data) as db:
        assert thresholds.get(db, "cpu_busy_seconds_total").warning == 0.8
        assert next(one for one in thresholds.effective(db, 1) if one.metric == DISK).warning == 0.5


def test_a_value_of_the_machines_own_stands_above_it_and_goes_back_to_it(follower):
    path = f"/thresholds/{DISK}"
    assert "The centre sets it." in text(follower.client, path)
    site.post(follower.client, path, FORM | {"memory": "30", "clear": "25"})
    assert (own(follower).warning, own(follower).host) == (0.3, 0)
    assert "The centre would have it: 50% / 60%, 5 min." in text(follower.client, path)
    assert "Back to what the centre sets" in text(follower.client, path)
    site.post(follower.client, path, {"reset": "1"})

    assert own(follower) is None
    assert "The centre sets it." in text(follower.client, path)


def test_the_history_says_centre_and_offers_no_undo_of_it(follower):
    html = follower.client.get("/thresholds", headers={"Accept-Language": "en"}).text
    past = html[html.index('id="history"') :]

    assert past.count("· centre") == 2  # the threshold, and who mails
    assert "Who mails about this machine" in past
    assert "/thresholds/undo/" not in past
    with database.reader(follower.data) as db:
        (change,) = thresholds.changes(db)
    site.post(follower.client, f"/thresholds/undo/{change.id}", {}, f"/thresholds/{DISK}")
    with database.reader(follower.data) as db:
        assert next(one for one in thresholds.effective(db, 1) if one.metric == DISK).warning == 0.5


def test_the_mails_page_says_that_the_centre_mails_and_when_it_is_away(follower):
    assert "has not answered for a while: it mails itself" in text(follower.client, "/mails")
    with database.writer(follower.data) as db, database.transaction(db):
        following.set_away(db, NOW, away=False)
    assert "A mail waits here until the centre has taken it over" in text(follower.client, "/mails")


def test_after_leaving_the_page_says_that_the_values_stay(follower):
    with database.writer(follower.data) as db, database.transaction(db):
        following.leave(db, NOW)

    assert "from a centre that this machine has left: it stays until you change it" in text(
        follower.client, "/thresholds"
    )
    assert "centre" not in text(follower.client, "/mails")


def test_a_retired_machine_keeps_its_page(fleet, admin):
    with database.writer(fleet.data) as db, database.transaction(db):
        members.retire(db, "one", NOW)

    assert admin.get("/fleet/thresholds?host=one").status_code == 200
