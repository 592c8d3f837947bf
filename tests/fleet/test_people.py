"""One user on many machines: what machines say of users is kept small, summed, paged, and linked to each machine's own page."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive import database, people
from archive.fleet import members, parcel
from archive.fleet import people as fleet_people
from archive.pseudonyms import Names
from tests import cycles
from tests.conftest import NOW
from tests.fleet.fleet import Centre, centre_data, head
from tests.fleet.test_hosts import page
from tests.fleet.test_taking import incident

HOMES = "# TYPE user_home_bytes gauge\n" + "".join(f'user_home_bytes{{user="user{n}"}} {n + 1}e9\n' for n in range(3))


def said(at, count=2, homes=False, **levels):
    """`count` minutes of a machine, the last at `at`; homes in the first of them, as one cycle in fifteen has them."""
    found = []
    for number in range(count):
        then = at - (count - 1 - number) * 60
        sections = cycles.machine(then, **levels)
        if homes and number == 0:
            sections["homes"] = HOMES
        found.append(cycles.spool_text(then, sections))
    return found


@pytest.fixture
def fleet(centre):
    """one: two users, one home each; two: critical, three users; three: silent for an hour."""
    cycles.archive(centre.data, NOW, cycles.machine(NOW, users=1))
    for name, users, at in (("one", 2, NOW), ("two", 3, NOW), ("three", 2, NOW - 3600)):
        token = centre.add(name)
        centre.clock.now = at
        rows = {"incident": [incident()]} if name == "two" else {}
        answer = centre.post(
            token,
            parcel.Parcel(head(name, now=at, rows=rows), said(at - 60, 3, homes=name == "one", users=users)),
        )
        assert answer.json["loaded"] == 3, answer.json
    centre.clock.now = NOW
    return centre


def rows_of(html):
    """{first cell: the row's text}."""
    found = {}
    for row in re.findall(r"<tr>(.*?)</tr>", html, re.DOTALL):
        cells = [re.sub(r"<[^>]+>|\s+", " ", cell).strip() for cell in re.findall(r"<t[hd].*?</t[hd]>", row, re.DOTALL)]
        found[cells[0]] = " | ".join(" ".join(cell.split()) for cell in cells)
    return found


def test_every_name_is_summed_over_the_machines_that_know_it(fleet):
    status, html = page(fleet, "/hosts/users")
    rows = rows_of(html)

    assert status == 200
    assert rows["user0"].startswith("user0 | 3 |")
    assert rows["user2"].startswith("user2 | 2 |")  # runs something on one of them, has a home on the other
    # 0.01 core on each of the two that are not silent; the silent one's does not count.
    assert "| 2% |" in rows["user0"]
    assert "one , two" in rows["user0"]
    assert "three" not in rows["user0"]
    assert "%%" not in html


def test_a_name_is_looked_for_and_sorted_as_asked(fleet):
    names = lambda path: [name for name in rows_of(page(fleet, path)[1]) if name.startswith("user")]  # noqa: E731

    assert names("/hosts/users?sort=user") == ["user0", "user1", "user2"]
    assert names("/hosts/users?text=R2") == ["user2"]
    assert names("/hosts/users?text=%25") == []
    assert names("/hosts/users?sort=machines")[-1] == "user2"
    assert page(fleet, "/hosts/users?sort=nothing")[0] == 400


def test_one_user_stands_on_every_machine_worst_first_with_a_link_to_its_own_page(fleet):
    status, html = page(fleet, "/users/user0")

    assert status == 200
    assert re.findall(r'href="(/hosts/[^"]+/users/user0)"', html) == [
        "/hosts/three/users/user0",
        "/hosts/two/users/user0",
        "/hosts/one/users/user0",
    ]
    assert page(fleet, "/hosts/two/users/user0")[0] == 200
    assert "/hosts/one/users" not in page(fleet, "/hosts/two/users/user0")[1]  # one machine's page is that machine's


def test_a_user_that_the_centre_itself_does_not_know_has_a_page_all_the_same(fleet):
    status, html = page(fleet, "/users/user2")

    assert status == 200
    assert "Not known on the centre itself." in html
    assert page(fleet, "/users/nobody")[0] == 404


def test_a_machine_alone_changes_nothing(centre):
    cycles.archive(centre.data, NOW, cycles.machine(NOW))

    assert "machines of the fleet" not in page(centre, "/users/user0")[1]
    assert page(centre, "/users/nobody")[0] == 404
    assert "./vigie fleet add NAME" in page(centre, "/hosts/users")[1]


def test_a_home_stays_though_one_cycle_in_fifteen_says_it(fleet):
    token_rows = page(fleet, "/users/user1")[1]
    assert "1.86 GiB" in token_rows.replace("\u00a0", " ")

    with database.reader(fleet.data) as db:
        host = members.named(db, "one").host
    with database.writer(fleet.data) as db, database.transaction(db):
        fleet_people.keep(db, host, NOW, {("user_cpu_seconds_total", '{"user":"user1"}'): 0.5}, [], NOW)
    with database.reader(fleet.data) as db:
        seen = {one.machine: one for one in fleet_people.of_one(db, "user1", NOW, 10, 0)}["one"]
    assert (seen.cpu, seen.memory, seen.home, seen.sessions) == (0.5, None, 2e9, 0)


def test_rows_are_written_at_most_every_five_minutes(fleet):
    with database.reader(fleet.data) as db:
        host = members.named(db, "two").host
        assert not fleet_people.due(db, host, NOW + fleet_people.EVERY - 1)
        assert fleet_people.due(db, host, NOW + fleet_people.EVERY)
        assert fleet_people.due(db, host, NOW - 5)  # a clock that was set back


def test_pseudonyms_are_each_machines_own_and_the_page_says_so(centre):
    token = centre.add("one")
    texts = [
        cycles.spool_text(at, {"processes": f'user_memory_bytes{{user="user-0123456789ab"}} {at}\n'})
        for at in (NOW - 60,)
    ]
    centre.post(token, parcel.Parcel(head("one"), texts))

    assert "is a pseudonym (VIGIE_USERS)" in page(centre, "/hosts/users")[1]
    assert "each machine makes its own" in page(centre, "/users/user-0123456789ab")[1]


def test_who_is_forgotten_leaves_these_rows_too(tmp_path):
    centre = Centre(centre_data(str(tmp_path / "centre"), "sqlite"))  # forgetting is SQLite's (docs/fleet.md)
    token = centre.add("one")
    centre.post(token, parcel.Parcel(head("one"), said(NOW - 60, users=2)))
    with database.writer(centre.data) as db, database.transaction(db):
        people.rewrite(db, Names(lambda _name: None, lambda _raw: True), frozenset({"user1"}))
        left = [row[0] for row in db.execute("SELECT name FROM member_user")]

    assert left == ["user0"]


def test_the_list_asks_as_much_of_a_thousand_machines_as_of_one(centre, monkeypatch):
    cycles.archive(centre.data, NOW, cycles.machine(NOW))
    values = {("user_cpu_seconds_total", f'{{"user":"user{n}"}}'): 0.1 for n in range(70)}
    facts = [("login_info", '{"user":"user3"}')]
    with database.writer(centre.data) as db, database.transaction(db):
        for number in range(40):
            members.add(db, f"m{number:03}", "test", NOW)
        for (host,) in db.execute("SELECT host FROM member").fetchall():
            fleet_people.keep(db, host, NOW, values, facts, NOW)
    asked = []
    monkeypatch.setattr(fleet_people, "totals", counting(fleet_people.totals, asked))
    monkeypatch.setattr(fleet_people, "logged_in", counting(fleet_people.logged_in, asked))
    status, html = page(centre, "/hosts/users?sort=user")

    assert (status, len(asked)) == (200, 2)
    assert len(re.findall(r'<th scope="row">', html)) == 50
    assert "skip=50" in html
    assert len(re.findall(r'<th scope="row">', page(centre, "/hosts/users?sort=user&skip=50")[1])) == 20


def counting(function, asked):
    def counted(*arguments):
        asked.append(arguments)
        return function(*arguments)

    return counted


LABELS = st.fixed_dictionaries({"user": st.text(max_size=300)}).map(lambda one: json.dumps(one, sort_keys=True))
METRICS = st.sampled_from(
    [fleet_people.CPU, fleet_people.MEMORY, fleet_people.PROCESSES, fleet_people.HOME, "disk_used_ratio"]
)


@given(
    st.dictionaries(st.tuples(METRICS, LABELS), st.floats(0, 1e15), max_size=30),
    st.lists(st.tuples(st.sampled_from(["login_info", "account_info"]), LABELS), max_size=10),
)
def test_a_row_holds_what_the_cycle_said_of_that_user_and_nothing_else(values, facts):
    rows = fleet_people.by_user(values, facts)

    for (metric, labels), value in values.items():
        name = json.loads(labels)["user"]
        if name in rows and metric in fleet_people._COLUMNS:
            assert value in rows[name][0]
    for name, (figures, sessions) in rows.items():
        assert 0 < len(name) <= fleet_people.LONGEST
        assert any(figure is not None for figure in figures)
        assert sessions == sum(
            metric == "login_info" and json.loads(labels)["user"] == name for metric, labels in facts
        )
