"""Who uses what over a span: means, order, services apart, accounts that nobody uses, homes that grow."""

import re

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from archive import database
from archive.read import Point
from tests.web import site, year
from tests.web.site import Page
from web import people, usage
from web.people import User
from web.usage import Usage


def a_user(name: str, **fields: object) -> User:
    known: dict[str, object] = {
        "cpu": None, "memory": None, "processes": None, "home": None, "home_at": None, "at": None, "sessions": (),
        "account": True, "uid": 1000,
    }  # fmt: skip
    return User(name=name, **{**known, **fields})  # type: ignore[arg-type]


def a_row(name: str, cpu: float | None = None, since: int | None = None) -> Usage:
    return Usage(a_user(name), cpu, None, None, None, Markup(""), since)


@pytest.fixture(scope="module")
def client(a_year: str) -> FlaskClient:
    client = site.site(a_year, lambda: year.NOW + 20).test_client()
    site.log_in(client)
    return client


@given(st.lists(st.tuples(st.floats(0, 1e9), st.integers(1, 100)), min_size=1, max_size=30))
def test_a_mean_of_spans_is_the_mean_of_their_samples(spans: list[tuple[float, int]]) -> None:
    points = [Point(n, value, value, value, count) for n, (value, count) in enumerate(spans)]
    every = [value for value, count in spans for _ in range(count)]
    assert usage.mean(points) == pytest.approx(sum(every) / len(every))


def test_nothing_measured_is_not_zero() -> None:
    assert usage.mean([]) is None
    assert usage.change([Point(0, 1.0, 1.0, 1.0, 1)]) is None


@given(
    st.lists(
        st.tuples(st.text("abc", min_size=1, max_size=4), st.none() | st.floats(0, 64), st.none() | st.integers(0, 99))
    )
)
def test_every_order_keeps_everybody_and_puts_the_unknown_last(
    rows: list[tuple[str, float | None, int | None]],
) -> None:
    made = [a_row(*row) for row in rows]
    for by in usage.SORTS:
        assert sorted(map(repr, usage.ordered(made, by))) == sorted(map(repr, made))
    cpu = [one.cpu for one in usage.ordered(made, "cpu")]
    assert cpu == sorted(cpu, key=lambda value: (value is None, -(value or 0.0)))


@pytest.mark.parametrize(
    ("user", "is_system"),
    [
        (a_user("www-data", account=False, uid=None, cpu=0.1, at=1), True),
        (a_user("root", uid=0, at=1), True),
        (a_user("root", uid=0, at=1, sessions=(people.Session("pts/0", "1", ""),)), False),
        (a_user("alice", at=1), False),
        (a_user("ldap", account=False, uid=None, at=1, home=1e9), False),
    ],
)
def test_services_are_told_from_people(user: User, is_system: bool) -> None:
    assert usage.is_system(user, accounts_known=True) is is_system
    assert not usage.is_system(user, accounts_known=False)  # where no list of accounts was read, nobody is put apart


def names(html: str, ident: str) -> list[str]:
    part = html[html.index(f'aria-labelledby="{ident}"') :]
    return re.findall(r'href="/users/([^"?]+)"', part[: part.index("</section>")])


def test_services_stand_apart_and_empty_accounts_are_not_in_the_table(client: FlaskClient) -> None:
    html = client.get("/users").text
    assert set(names(html, "h-system")) == set(year.SERVICES)
    assert set(names(html, "h-everyone")) == set(year.PEOPLE)


def test_accounts_that_nobody_uses_are_named(client: FlaskClient) -> None:
    html = client.get("/users").text
    # ines came 200 days ago, david and the two others never; root is no person's account
    assert set(names(html, "h-never")) == {"ines", "david", *year.NEVER}
    assert "vu pour la dernière fois il y a" in Page(html).text


def test_homes_that_grow_are_named_the_fastest_first(client: FlaskClient) -> None:
    assert names(client.get("/users").text, "h-growing")[:2] == ["chloe", "farid"]


def test_in_its_first_week_nothing_is_said_of_accounts(tmp_path: object) -> None:
    path = site.filled(f"{tmp_path}/data", 5)
    with database.writer(path) as db:
        db.execute("UPDATE host SET first_at = ?", (site.NOW - 300,))
    assert "Connu au bout d’une semaine" in Page(site.site(path).test_client().get("/users").text).text


def test_links_keep_both_the_order_and_the_span(client: FlaskClient) -> None:
    html = client.get("/users?period=7d&sort=home").text
    assert 'href="/users?period=7d&amp;sort=cpu"' in html
    assert 'href="/users?period=30d&amp;sort=home"' in html
    assert 'aria-sort="descending"' in html
    assert client.get("/users?period=2d").status_code == 400


def test_where_they_come_from_and_what_they_ran_is_the_administrators_to_see(client: FlaskClient, a_year: str) -> None:
    stranger = site.site(a_year, lambda: year.NOW + 20).test_client()
    for address, secret in (("/users", "192.0.2.4"), ("/users/alice", "cc1plus")):
        assert secret in client.get(address).text
        assert secret not in stranger.get(address).text


def test_a_home_keeps_its_newest_figure_though_it_is_measured_seldom(client: FlaskClient) -> None:
    assert re.search(r"Dossier personnel.*?class=\"value\">13[78]", client.get("/users/chloe").text, re.S)
