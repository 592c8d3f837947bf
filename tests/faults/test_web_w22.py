"""W22: no data, one point, nothing but holes, a number that is none, a million points: a picture or its absence in words."""

import sqlite3
import time
from xml.etree import ElementTree

import pytest
from flask.testing import FlaskClient

from archive import database, read, rollup
from tests import cycles
from tests.web import site
from tests.web.site import NOW, Page

NAME = "sensor_value"
FORMS = ("/graphs/{}", "/graphs/{}.svg", "/graphs/{}.csv", "/graphs/{}.json")


def client(path: str) -> FlaskClient:
    return site.site(path).test_client()


def sample(path: str, at: int, value: str) -> None:
    cycles.archive(path, at, {"sensor": f"{NAME} {value}\n"})


def test_w22_without_data_every_page_says_so(tmp_path: object) -> None:
    found = client(site.folder(f"{tmp_path}/data"))
    for address in ("/", "/graphs/", "/users", "/incidents"):
        assert found.get(address).status_code == 200
    assert found.get(f"/graphs/{NAME}").status_code == 404


@pytest.mark.parametrize("period", ["1h", "24h", "7d", "30d", "1y", "all"])
def test_w22_one_point_is_drawn_or_said(tmp_path: object, period: str) -> None:
    path = site.folder(f"{tmp_path}/data")
    sample(path, NOW - 30, "42")
    for form in FORMS:
        answer = client(path).get(form.format(NAME), query_string={"period": period})
        assert answer.status_code == 200, form
        body = answer.data  # read to its end: a file is made while it is sent
        if form.endswith(".svg"):
            ElementTree.fromstring(body)
    assert "42" in Page(client(path).get(f"/graphs/{NAME}", query_string={"period": period}).text).text


def test_w22_a_period_of_nothing_but_holes_is_said_not_drawn(tmp_path: object) -> None:
    path = site.folder(f"{tmp_path}/data")
    sample(path, NOW - 40 * 86_400, "42")
    page = client(path).get(f"/graphs/{NAME}?period=24h")
    assert page.status_code == 200
    assert "<figure" not in page.text or 'role="img"' not in page.text
    assert client(path).get(f"/graphs/{NAME}.svg?period=24h").status_code == 404


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-Inf", "1e300", "-1e300"])
def test_w22_a_number_that_is_none_never_gets_into_the_database(tmp_path: object, value: str) -> None:
    path = site.folder(f"{tmp_path}/data")
    sample(path, NOW - 90, "42")
    sample(path, NOW - 30, value)
    with database.reader(path) as db:
        (line,) = read.series(db, 1, NAME)
        assert [one.value for one in read.samples(db, 1, line, 0, NOW)] == [42.0]
    for form in FORMS:
        assert client(path).get(form.format(NAME)).status_code == 200
    with database.writer(path) as db, pytest.raises(sqlite3.IntegrityError):
        db.execute("INSERT INTO sample VALUES (1, ?, ?, ?)", (NOW, line.id, float("nan")))


@pytest.mark.ci
def test_w22_a_million_points_are_read_down_to_what_a_screen_shows(tmp_path: object) -> None:
    """694 days of minutes. Few rows are drawn, whatever their number; the time has a wide margin."""
    path = site.folder(f"{tmp_path}/data")
    cycles.archive(path, NOW - 1_000_001 * 60, {"sensor": f"{NAME} 42\n"}, uptime=100.0)
    with database.writer(path) as db:
        (line,) = read.series(db, 1, NAME)
        with database.transaction(db):
            db.executemany(
                "INSERT INTO sample VALUES (1, ?, ?, ?)",
                ((NOW - number * 60, line.id, 42_000 + number % 977) for number in range(1_000_000)),
            )
        more = True
        while more:
            with database.transaction(db):
                more = rollup.roll(db, 1, NOW, 2000)
    sample(path, NOW + 60, "42")
    found = client(path)
    for period in ("1h", "7d", "1y", "all"):
        began = time.perf_counter()
        page = found.get(f"/graphs/{NAME}", query_string={"period": period})
        span = time.perf_counter() - began
        assert page.status_code == 200
        assert page.text.count("<tr") < 1500
        assert len(page.data) < 600_000
        assert span < 3, f"{period}: {span:.2f} s"
