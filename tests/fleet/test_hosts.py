"""/hosts: the worst first, what is odd about a machine in words, and every page for one machine. On both engines."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive import database
from archive.fleet import members, parcel, rows
from tests import cycles
from tests.conftest import NOW
from tests.fleet.fleet import head
from tests.fleet.test_taking import incident, texts
from web import store
from web.pages import hosts


@pytest.fixture
def fleet(centre):
    """one: well; two: critical; three: silent for an hour; four: added and never heard; the centre's own figures, too."""
    cycles.archive(centre.data, NOW, cycles.machine(NOW))
    for name, tags in (("one", "web paris"), ("two", "web"), ("three", "")):
        rows = {"incident": [incident()]} if name == "two" else {}
        token = centre.add(name, tags)
        centre.clock.now = NOW - 3600 if name == "three" else NOW
        at = centre.clock.now - 60
        answer = centre.post(token, parcel.Parcel(head(name, now=centre.clock.now, rows=rows), texts(2, at)))
        assert answer.json["loaded"] == 2
    centre.clock.now = NOW
    centre.add("four")
    return centre


def page(centre, path):
    answer = centre.app.test_client().get(path, headers={"Host": "127.0.0.1", "Accept-Language": "en"})
    return answer.status_code, answer.get_data(as_text=True)


def names(html):
    return re.findall(r'<th scope="row"><a href="/hosts/([^/"]+)/">', html)


def test_the_worst_machine_comes_first_and_those_not_in_service_are_apart(fleet):
    status, html = page(fleet, "/hosts")

    assert status == 200
    assert names(html) == ["three", "two", "one"]
    assert names(page(fleet, "/hosts?state=away")[1]) == ["four"]


@pytest.mark.parametrize(
    ("query", "found"),
    [("state=critical", ["two"]), ("state=silent", ["three"]), ("state=ok", ["one"]), ("tag=web", ["two", "one"]),
     ("tag=paris", ["one"]), ("text=e", ["three", "one"]), ("tag=we", []), ("text=%25", []), ("state=warning", [])],
)  # fmt: skip
def test_filters_keep_what_they_say(fleet, query, found):
    status, html = page(fleet, f"/hosts?{query}")

    assert (status, names(html)) == (200, found)


@pytest.mark.parametrize("query", ["state=x", "skip=-1", "skip=x", "tag=" + "x" * 64, "state=ok&state=ok"])
def test_an_odd_question_is_a_400(fleet, query):
    assert page(fleet, f"/hosts?{query}")[0] == 400


def test_each_row_says_how_the_machine_is(fleet):
    html = page(fleet, "/hosts")[1]

    assert "nothing since" in html
    assert "Critical" in html
    assert html.count('class="v-mini"') == 2 * 3  # the second rate of a counter is the first that is one
    assert re.search(r"71\s?%", html)


def test_every_page_of_one_machine_shows_that_machine_and_its_links_stay_with_it(fleet):
    for path in ("", "graphs/", "users", "incidents", "security"):
        status, html = page(fleet, f"/hosts/two/{path}")
        assert status == 200, path
        assert '<span class="brand-host">two</span>' in html
        assert 'href="/hosts/two/incidents"' in html
        assert 'href="/hosts"' in html
    assert "critical" in page(fleet, "/hosts/two/incidents")[1].lower()
    assert page(fleet, "/hosts/two")[0] == 302
    assert page(fleet, "/hosts/none/")[0] == page(fleet, "/hosts/none")[0] == 404


def test_what_is_the_centres_own_is_shown_there_and_nothing_of_a_machine_is_changed(fleet):
    client = fleet.app.test_client()
    answer = client.get("/hosts/two/windows?x=1", headers={"Host": "127.0.0.1"})

    assert (answer.status_code, answer.headers["Location"]) == (302, "/windows?x=1")
    assert client.post("/hosts/two/incidents/1/acknowledge", headers={"Host": "127.0.0.1"}).status_code in (
        302,
        400,
        405,
    )
    assert page(fleet, "/hosts/two/live.json")[0] == 302


def test_what_the_centre_sets_for_a_machine_is_one_click_from_its_pages(fleet):
    client = fleet.app.test_client()
    for path, place in (
        ("thresholds", "/fleet/thresholds?host=two"),
        ("thresholds/disk_used_ratio", "/fleet/threshold?host=two&metric=disk_used_ratio"),
    ):
        answer = client.get(f"/hosts/two/{path}", headers={"Host": "127.0.0.1"})
        assert (answer.status_code, answer.headers["Location"]) == (302, place)
    assert 'href="/hosts/two/thresholds"' in page(fleet, "/hosts/two/incidents")[1]
    assert 'href="/fleet/thresholds"' in page(fleet, "/hosts")[1]


def test_the_page_of_a_group_shows_its_own_counts_and_what_is_open_in_it_the_worst_first(fleet):
    rows = [incident(1, metric="memory_used_ratio", labels="{}"), incident(2)]
    rows[0][5] = "warning"
    fleet.post(fleet.add("five", "web"), parcel.Parcel(head("five", rows={"incident": rows}), texts(1)))
    html = page(fleet, "/hosts?tag=web")[1]
    group = html[html.index("Open in this group") :]

    assert "3 machines in this group." in html
    assert 'href="/hosts?state=critical&amp;tag=web"' in html
    assert re.findall(r'<a href="/hosts/(\w+)/incidents/\d+">([^<]+)', group) == [
        ("two", "Disk / at 99%"), ("five", "Disk / at 99%"), ("five", "Memory at 99%"),
    ]  # fmt: skip
    assert "Open in this group" not in page(fleet, "/hosts?tag=paris")[1]
    assert "Open in this group" not in page(fleet, "/hosts")[1]


def test_a_machine_alone_has_no_list_in_its_bar(centre):
    cycles.archive(centre.data, NOW, cycles.machine(NOW))

    assert 'href="/hosts"' not in page(centre, "/")[1]
    assert "./vigie fleet add NAME" in page(centre, "/hosts")[1]


def test_p30_what_is_odd_about_a_machine_is_said_in_words(centre):
    for name, uid, machine, now in (("a", "u1", "m1", NOW), ("b", "u2", "m1", NOW), ("c", "u3", "m3", NOW + 3 * 3600)):
        token = centre.add(name)
        centre.post(token, parcel.Parcel(head("srv", uid=uid, machine=machine, now=now), texts(1)))
    html = page(centre, "/hosts")[1]

    assert "has the machine-id of b" in html
    assert "calls itself like a, b" in html
    assert "its clock is 10800 s ahead" in html


def test_ten_thousand_machines_are_listed_by_few_statements(centre, monkeypatch):
    """Not one a machine: what a page of fifty asks does not grow with the fleet."""
    with database.writer(centre.data) as db, database.transaction(db):
        for number in range(300):
            members.add(db, f"m{number:03}", "test", NOW)
        db.execute("UPDATE member SET joined_at=?, fresh_at=?", (NOW, NOW))
    cycles.archive(centre.data, NOW, cycles.machine(NOW))
    asked = []
    if hasattr(database, "engine") and database.engine.url_of(centre.data):
        from archive import postgresql

        run = postgresql.Connection._run
        monkeypatch.setattr(postgresql.Connection, "_run", lambda self, *a: asked.append(a[0]) or run(self, *a))
        status, html = page(centre, "/hosts")
        assert len(asked) < 40
    else:
        status, html = page(centre, "/hosts")

    assert (status, len(names(html))) == (200, 50)
    assert "skip=50" in html
    assert len(names(page(centre, "/hosts?skip=250")[1])) == 50


@given(st.lists(st.none() | st.floats(0, 1) | st.floats(-5, 5), max_size=80))
def test_a_line_stays_in_its_box_and_breaks_where_nothing_was_measured(values):
    path = hosts.path_of(values)
    numbers = [float(number) for number in re.findall(r"-?\d+\.\d+", path)]

    assert all(0 <= x <= hosts.WIDTH for x in numbers[::2])
    assert all(0 <= y <= hosts.HEIGHT for y in numbers[1::2])
    assert path == "" or path[0] == "M"


def test_which_machines_a_publication_concerns_is_one_click_from_it(fleet):
    reference = "CERTFR-2026-ALE-001"
    with database.writer(fleet.data) as db, database.transaction(db):
        db.execute(
            "INSERT INTO advisory (reference, kind, title, status, url, digest, revision, announced, backlog, seen_at, again,"
            " tries, problem, summary) VALUES (?, 'alerte', 'A hole', 'open', '', '', 1, 1, 0, ?, 0, 0, '', '')",
            (reference, NOW),
        )
    tokens = {name: fleet.add(name) for name in ("five", "six")}
    for name, verdict in (("five", "affected"), ("six", "to_check")):
        row = [reference, verdict, "openssl", "3.0", '["x", []]', "[]", "", NOW, None, "3.1", None]
        answer = fleet.post(tokens[name], parcel.Parcel(head(name, rows={"verdict": [row]}), texts(1)))
        assert (answer.json["rows"], answer.json["unknown"]) == ("", [])

    assert names(page(fleet, f"/hosts?advisory={reference}")[1]) == ["five"]
    status, html = page(fleet, f"/security/{reference}")
    assert status == 200
    assert "It concerns 1 machine of the fleet." in html
    assert f'href="/hosts?advisory={reference}"' in html
    assert names(page(fleet, "/hosts?advisory=x")[1]) == []


class Counting:
    """A connection that counts what it is asked."""

    def __init__(self, db):
        self.db, self.asked = db, []

    def execute(self, sql, *given):
        self.asked.append(sql)
        return self.db.execute(sql, *given)


def test_a_page_asks_as_much_of_fifty_machines_with_incidents_as_of_one(centre, monkeypatch):
    with database.writer(centre.data) as db, database.transaction(db):
        for number in range(60):
            members.add(db, f"m{number:03}", "test", NOW)
            host = members.named(db, f"m{number:03}").host
            rows.apply(db, host, {"incident": [incident(1), incident(2, labels='{"mount":"/srv"}')]}, NOW)
        db.execute("UPDATE member SET joined_at=?, fresh_at=?, opened=2, worst=2", (NOW, NOW))
    page(centre, "/hosts")  # what the bar shows is kept from one page to the next
    asked = {}
    real = store.db
    for query in ("text=m001", ""):
        with monkeypatch.context() as patched:
            counting = []

            def counted(counting=counting):
                if not counting or counting[-1].db is not real():
                    counting.append(Counting(real()))
                return counting[-1]

            patched.setattr(hosts.store, "db", counted)
            status, html = page(centre, f"/hosts?{query}")
            asked[query] = sum(len(one.asked) for one in counting)
        assert status == 200
    assert html.count("and 1 more") == 50
    assert asked[""] == asked["text=m001"] < 16
