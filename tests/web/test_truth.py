"""What the pages say equals the rows: sentences, tables, the cursor's values and the users' means, computed here a second
time from single samples; days of 23 and of 25 hours."""

import json
import re
from datetime import datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest
from flask.testing import FlaskClient

from alerts.words import Words
from archive import database, read
from tests.web import site, year
from tests.web.site import Page, plain
from web import usage

FR = Words("fr", "Europe/Paris")
PARIS = ZoneInfo("Europe/Paris")
HOUR, DAY = 3600, 86_400


class Span(NamedTuple):
    at: int
    mean: float
    least: float
    greatest: float


@pytest.fixture(scope="module")
def client(a_year: str) -> FlaskClient:
    return site.site(a_year, lambda: year.NOW + 20).test_client()


def samples(path: str, metric: str, label: str, start: int, end: int) -> list[tuple[int, float]]:
    """Every single sample with start <= at < end; no page reads them so: theirs come as spans, from rollups."""
    with database.reader(path) as db:
        line = next(one for one in read.series(db, 1, metric) if one.labels == year.as_json(label))
        return [(at, value) for at, value in read.samples(db, 1, line, start, end - 1)]


def spans(rows: list[tuple[int, float]], step: int) -> list[Span]:
    by_start: dict[int, list[float]] = {}
    for at, value in rows:
        by_start.setdefault(at // step * step, []).append(value)
    return [Span(at, sum(v) / len(v), min(v), max(v)) for at, v in sorted(by_start.items())]


def nearly(mean: float, unit: str) -> set[str]:
    """A mean in words: 5.65 may become 5.6 or 5.7, as the sum was taken."""
    return {FR.value(mean * (1 + way * 1e-12), unit) for way in (-1, 0, 1)}


def cursor(html: str) -> list[list[object]]:
    """The first graph's data for the cursor."""
    found = re.search(r'class="graph-data">(.*?)</script>', html, re.S)
    assert found
    return json.loads(found[1])


def table(html: str) -> list[tuple[str, ...]]:
    rows = re.findall(r'<tr><th scope="row">([^<]+)</th>((?:<td class="num">[^<]+</td>)+)', html)
    return [(when, *re.findall(r">([^<]+)<", cells)) for when, cells in rows]


@pytest.mark.parametrize(
    ("metric", "label", "unit", "period"),
    [
        ("cpu_busy_seconds_total", "", "ratio", "24h"),
        ("cpu_busy_seconds_total", "", "ratio", "30d"),
        ("disk_used_ratio", 'mount="/home"', "ratio", "7d"),
        ("user_memory_bytes", 'user="chloe"', "bytes", "1y"),
        ("temperature_celsius", 'sensor="coretemp"', "celsius", "1h"),
    ],
)
def test_table_cursor_and_sentence_equal_the_samples(
    client: FlaskClient, a_year: str, metric: str, label: str, unit: str, period: str
) -> None:
    with database.reader(a_year) as db:
        line = db.execute(
            "SELECT s.id FROM series s JOIN metric m ON m.id = s.metric WHERE m.name=? AND s.labels=?",
            (metric, year.as_json(label)),
        ).fetchone()[0]
    html = client.get(f"/graphs/{metric}?period={period}&line={line}").text
    shown = table(html)
    assert len(shown) > 5
    told = json.loads(client.get(f"/graphs/{metric}.json?period={period}&line={line}").text)["period"]
    every = samples(a_year, metric, label, told["from"], told["to"])
    rows = spans(every, told["step"])
    ranged = len(shown[0]) > 2
    assert len(shown) == len(rows)
    for row, cells, entry in zip(rows, reversed(shown), cursor(html), strict=True):
        assert cells[0] == FR.moment(row.at, year.NOW + 20) or told["step"] >= DAY
        assert cells[1] == entry[2]
        assert cells[1] in nearly(row.mean, unit)
        assert cells[2:4] == ((FR.value(row.least, unit), FR.value(row.greatest, unit)) if ranged else ())
    assert ranged or all(row.least == row.greatest for row in rows)
    values = [value for _at, value in every]
    mean, most = sum(values) / len(values), max(values)
    sentence = plain(Page(html).text)
    assert plain(f"moyenne {FR.value(mean, unit)}, maximum {FR.value(most, unit)}") in sentence


@pytest.mark.parametrize("period", ["24h", "7d", "30d"])
def test_means_of_users_equal_the_samples(client: FlaskClient, a_year: str, period: str) -> None:
    html = client.get(f"/users?period={period}").text
    row = re.search(r'/users/chloe".*?</tr>', html, re.S)
    assert row
    cells = [plain(cell) for cell in re.findall(r'<td class="num" data-label="[^"]*">([^<]+)<', row[0])]
    step = usage.STEPS[period]
    end = year.NOW // step * step + step
    start = end - usage.SPANS[period]
    cpu, memory = (
        [value for _at, value in samples(a_year, metric, 'user="chloe"', start, end)]
        for metric in ("user_cpu_seconds_total", "user_memory_bytes")
    )
    assert cells[:2] == [plain(FR.percent(sum(cpu) / len(cpu))), plain(FR.size(sum(memory) / len(memory)))]
    homes = spans(samples(a_year, "user_home_bytes", 'user="chloe"', start, end), step)
    assert plain(f"+{FR.size(homes[-1].mean - homes[0].mean)}") in plain(row[0])


@pytest.mark.parametrize(("day", "hours"), [("2026-10-25", 25), ("2026-03-29", 23), ("2026-11-10", 24)])
def test_a_day_of_the_calendar_is_whole_and_so_are_those_beside_it(client: FlaskClient, day: str, hours: int) -> None:
    first = datetime.fromisoformat(day).replace(tzinfo=PARIS)
    edges = [int((first + timedelta(days=n)).timestamp()) for n in (-1, 0, 1, 2)]
    assert edges[2] - edges[1] == hours * HOUR
    ask = f"/graphs/memory_used_ratio?from={day}&to={(first + timedelta(days=1)).date()}"
    html = client.get(ask).text
    beside = {
        way: [int(part) for part in re.findall(r"(?:from|to)=(\d+)", link)]
        for link, way in re.findall(r'href="([^"]+)" rel="(prev|next)"', html)
    }
    assert beside == {"prev": [edges[0], edges[1]], "next": [edges[2], edges[3]]}
    period = json.loads(client.get(ask.replace("?", ".json?")).text)["period"]
    assert (period["from"], period["to"]) == (edges[1], edges[2])
    # the axis: midnights of the calendar, and the last mark before the end
    labels = re.findall(r"<text[^>]*>(\d\d:\d\d|[^<]*\d)</text>", html)
    assert any(label.startswith(("sam.", "dim.", "lun.", "mar.")) for label in labels), labels


def test_the_overview_names_who_is_behind_an_incident(client: FlaskClient, a_year: str) -> None:
    """More than half of what all use, by the newest samples; asked for here on its own."""
    used = {}
    with database.reader(a_year) as db:
        for labels, value in db.execute(
            "SELECT s.labels, l.value * 1.0 / m.scale FROM sample l JOIN series s ON s.id = l.series JOIN metric m ON m.id = s.metric"
            " WHERE m.name='user_cpu_seconds_total' AND l.at=(SELECT max(at) FROM sample)"
        ):
            used[json.loads(labels)["user"]] = value
    who = max(used, key=lambda name: used[name])
    assert used[who] * 2 > sum(used.values())
    said = plain(f"surtout {who}, {FR.percent(used[who])}")
    page = client.get("/").text
    first, rest = page.split('id="part-rows"')
    assert said in plain(Page(first).text)
    assert plain(Page(rest).text).count(said) == 1  # the processor's incident; not the silent probe's
    stale = site.site(a_year, lambda: year.NOW + HOUR).test_client().get("/").text
    assert "surtout" not in stale


def test_the_overview_says_what_the_newest_samples_say(client: FlaskClient, a_year: str) -> None:
    text = plain(Page(client.get("/").text).text)
    for metric, label, words in (
        ("cpu_busy_seconds_total", "", "Processeur Attention {}"),
        ("memory_used_ratio", "", "Mémoire OK {}"),
        ("disk_used_ratio", 'mount="/home"', "Disque /home OK {}"),
    ):
        value = samples(a_year, metric, label, year.NOW - HOUR, year.NOW + 1)[-1][1]
        assert plain(words.format(FR.percent(value))) in text
