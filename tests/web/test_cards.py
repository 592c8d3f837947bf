"""The cards of the first page: full rows, spans that a young archive fills, the way a disk takes."""

import json
import re

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from alerts.words import Words
from archive import database, read
from tests import cycles
from tests.web import site
from tests.web.site import NOW, Page
from web import cards, pictures
from web.cards import Reading

FR = Words("fr", "Europe/Paris")


@given(st.integers(2, 12))
def test_every_row_of_cards_is_full(count: int) -> None:
    """On six columns a half takes three and a third two; no row has a hole."""
    row = 0
    for width in cards.widths(count):
        row += 3 if width == "half" else 2
        assert row <= 6
        row %= 6
    assert row == 0


def test_one_card_is_no_row() -> None:
    assert cards.widths(1) == ["half"]
    assert cards.widths(0) == []


@pytest.mark.parametrize(("minutes", "seconds"), [(4, 900), (15, 900), (40, 3600), (200, 6 * 3600), (400, 86_400)])
def test_a_young_archive_fills_the_span_that_is_drawn(tmp_path: object, minutes: int, seconds: int) -> None:
    path = site.folder(f"{tmp_path}/data")
    cycles.fill(path, NOW - minutes * 60, minutes // 4 + 1, 240)
    with database.reader(path) as db:
        reading = Reading(db, 1, FR, NOW, 240, fresh=True)
        line = next(line for line in read.series(db, 1, cards.MEMORY))
        period, told = reading._period(line)
    assert seconds <= period.seconds <= seconds + 2 * period.step
    assert period.start <= line.first_at
    assert told == f"Depuis {FR.moment(line.first_at, NOW)}"


def test_after_three_minutes_the_first_page_shows_a_line_and_says_since_when(tmp_path: object) -> None:
    path = site.filled(f"{tmp_path}/data", 4)
    html = site.site(path).test_client().get("/").text
    assert f"Depuis {FR.clock(NOW - 180)}" in Page(html).text
    assert "24 heures" not in Page(html).text
    places = [entry[0] for entry in json.loads(re.findall(r'class="graph-data">(.*?)</script>', html, re.S)[1])]
    assert max(places) - min(places) > 0.15  # a day would show it on two thousandths of its width


def test_a_disk_that_fills_shows_the_way_ahead(a_year: str) -> None:
    from tests.web import year

    client: FlaskClient = site.site(a_year, lambda: year.NOW + 20).test_client()
    html = client.get("/").text
    home = html[html.index("Disque /home") :]
    home = home[: home.index("</section>")]
    assert "v-forecast" in home
    assert "30 jours" in home
    resting = html[html.index("Disque /srv") :]
    assert "v-forecast" not in resting[: resting.index("</section>")]


def test_two_stretches_of_a_few_points_are_not_joined(tmp_path: object) -> None:
    """A machine that ran for a quarter of an hour, was off, and runs again: the hours between are no rhythm."""
    path = site.folder(f"{tmp_path}/data")
    start = NOW - 6 * 3600
    times = [start, *(start + 3600 + 60 * turn for turn in range(9)), NOW - 120, NOW - 60]
    for at in times:
        text = "# TYPE cpu_busy_ratio gauge\ncpu_busy_ratio 0.5\n"
        cycles.archive(path, at, {"cpu": text}, boot="b", uptime=1000.0 + at - start)
    with database.reader(path) as db:
        line = read.series(db, 1, "cpu_busy_ratio")[0]
        points = read.points(db, 1, line, NOW - 86_400, NOW, 300)
        assert len(points) in (4, 5), "an odd or even few, with a gap in the middle"
        assert pictures.every(db, 1, line, points, 300) <= 300
