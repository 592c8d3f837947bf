"""The pages of graphs and their files, over the real application and a real archive."""

import csv
import io
import json
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alerts.chart_skin import POLICY
from alerts.words import Words
from archive import database, read
from archive import settings as settings_module
from tests.web import graph_rows
from tests.web.graph_rows import HOSTILE, NOW
from web import create_app

CHROMIUM = "/usr/bin/chromium"
FR = Words("fr", "Europe/Paris")
CPU, MEMORY, USERS = "cpu_busy_seconds_total", "memory_used_ratio", "user_memory_bytes"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = os.fspath(tmp_path_factory.mktemp("data"))
    os.chmod(folder, 0o700)
    graph_rows.fill(folder)
    return folder


@pytest.fixture(scope="module")
def client(data: str) -> FlaskClient:
    chosen = settings_module.load({"VIGIE_DATA": data, "VIGIE_TIMEZONE": "Europe/Paris", "VIGIE_HOST_NAME": "srv"})
    return create_app(chosen, now=lambda: NOW).test_client()


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> FlaskClient:
    folder = os.fspath(tmp_path_factory.mktemp("empty"))
    database.create(folder, "uid", "srv", "machine", NOW)
    return create_app(settings_module.load({"VIGIE_DATA": folder}), now=lambda: NOW).test_client()


def points(data: str, name: str, period: int, step: int) -> list[read.Point]:
    """The rows, asked for independently of the page."""
    with database.reader(data) as db:
        line = read.series(db, 1, name)[0]
        end = (NOW // step + 1) * step
        return read.points(db, 1, line, end - period, end, step)


def text_of(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html)).strip()


# --- pages -----------------------------------------------------------------------------------------------------------


def test_the_index_has_every_metric(client: FlaskClient, data: str) -> None:
    page = client.get("/graphs/").text
    with database.reader(data) as db:
        for metric in read.metrics(db):
            assert f'href="/graphs/{metric.name}"' in page
    assert "Processeur utilisé" in page
    assert "login_info" not in page


def test_an_empty_archive_says_what_to_do(empty: FlaskClient) -> None:
    page = empty.get("/graphs/")
    assert page.status_code == 200
    assert "./run_all.sh" in page.text
    assert empty.get(f"/graphs/{CPU}").status_code == 404
    assert empty.get("/metrics").status_code == 200


def test_the_sentence_the_table_and_the_cursor_equal_the_rows(client: FlaskClient, data: str) -> None:
    page = client.get(f"/graphs/{MEMORY}?period=1h").text
    rows = points(data, MEMORY, 3600, 60)
    mean = sum(row.mean * row.count for row in rows) / sum(row.count for row in rows)
    summary = re.search(r'-summary">([^<]+)<', page)
    assert summary is not None
    assert f"moyenne {FR.value(mean, 'ratio')}" in summary[1] or "sans changement" in summary[1]
    cells = re.findall(r'<tr><th scope="row">([^<]+)</th><td class="num">([^<]+)</td>', page)
    wanted = [(FR.moment(row.at, NOW), FR.value(row.mean, "ratio")) for row in reversed(rows)]
    assert cells == wanted
    shown = re.search(r'class="graph-data">(.+?)</script>', page)
    assert shown is not None
    cursor = json.loads(shown[1])
    assert [(row[1], row[2]) for row in cursor] == wanted[::-1]
    assert all(0 <= row[0] <= 1 for row in cursor)


def test_five_minute_rows_equal_the_samples(client: FlaskClient, data: str) -> None:
    page = client.get(f"/graphs/{CPU}?period=24h").text
    rows = points(data, CPU, 86_400, 300)
    cells = re.findall(
        r'<tr><th scope="row">([^<]+)</th><td class="num">([^<]+)</td><td class="num">([^<]+)</td><td class="num">([^<]+)</td>',
        page,
    )
    assert cells == [
        (FR.moment(r.at, NOW), *(FR.value(v, "ratio") for v in (r.mean, r.least, r.greatest))) for r in reversed(rows)
    ]
    assert "Seuil 85\u202f% dépassé 1 fois (20\u202fmin)." in page
    # Ten cycles are missing; the grid of five minutes sees a hole of ten minutes.
    assert "Pas de mesure pendant 10\u202fmin." in page


def test_thresholds_incidents_gaps_and_events_are_drawn(client: FlaskClient) -> None:
    page = client.get(f"/graphs/{CPU}?period=24h").text
    for kind in ("v-line", "v-level-warning", "v-warning-band", "v-gap", "v-event"):
        assert f'class="{kind}' in page or f" {kind}" in page
    assert 'href="/incidents/1"' in page
    assert "La machine a démarré" in page


def test_who_logged_in_from_where_is_not_on_an_open_page(client: FlaskClient) -> None:
    for address in (f"/graphs/{CPU}", f"/graphs/{CPU}.json", f"/graphs/{CPU}.csv", "/metrics", "/graphs/"):
        assert "203.0.113.7" not in client.get(address).text


def test_a_metric_of_many_lines_draws_the_greatest_and_links_the_others(client: FlaskClient, data: str) -> None:
    page = client.get(f"/graphs/{USERS}").text
    assert page.count('class="card graph-card"') == 4
    assert page.index("zoé") < page.index("a&#34;b,c")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>alert" not in page
    with database.reader(data) as db:
        line = next(line for line in read.series(db, 1, USERS) if line.label("user") == "alice")
    assert f"line={line.id}" in page
    chosen = client.get(f"/graphs/{USERS}?line={line.id}").text
    assert chosen.count('class="card graph-card"') == 1
    assert "Mesures en tableau" in chosen


def test_english_is_whole(client: FlaskClient) -> None:
    page = client.get(f"/graphs/{CPU}?lang=en").text
    client.get("/graphs/?lang=fr")
    assert '<html lang="en">' in page
    assert "Processor in use" in page
    assert "Threshold 85% exceeded 1 time" in page


def test_a_page_holds_nothing_that_a_strict_policy_forbids(client: FlaskClient) -> None:
    for address in ("/graphs/", f"/graphs/{CPU}", f"/graphs/{USERS}"):
        page = client.get(address).text
        assert "<style" not in page
        assert " style=" not in page
        assert not re.search(r"\son\w+=", page)
        assert not re.search(r"<script(?![^>]*(application/json|src=\"/static/))", page)
        ids = re.findall(r'\sid="([^"]+)"', page)
        assert len(ids) == len(set(ids)), [one for one in ids if ids.count(one) > 1]
        for names in re.findall(r'aria-(?:labelledby|describedby)="([^"]+)"', page):
            assert set(names.split()) <= set(ids)


def test_the_period_before_and_after_are_links(client: FlaskClient) -> None:
    page = client.get(f"/graphs/{CPU}?period=1h").text
    before = re.search(r'href="([^"]+)" rel="prev"', page)
    assert before is not None
    assert 'rel="next"' not in page
    earlier = client.get(before[1].replace("&amp;", "&")).text
    assert 'rel="next"' in earlier
    assert 'aria-current="true"' not in earlier


def test_dates_of_the_form_are_the_readers_clock(client: FlaskClient) -> None:
    start = FR.local(NOW - 7200)
    page = client.get(f"/graphs/{CPU}?from={start:%Y-%m-%dT%H:%M}").text
    assert f'value="{start:%Y-%m-%dT%H:%M}"' in page
    assert client.get(f"/graphs/{CPU}?from={start:%Y-%m-%d}").status_code == 200


def test_a_period_without_a_measure_is_said_not_drawn(client: FlaskClient) -> None:
    page = client.get(f"/graphs/{CPU}?from=2024-01-01&to=2024-02-01").text
    assert "Rien n’a été mesuré dans cette période" in page
    assert "v-chart" not in page
    assert client.get(f"/graphs/{CPU}.svg?from=2024-01-01&to=2024-02-01").status_code == 404


# --- what cannot be used ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ("period=9d", "9d"),
        ("period=1h&period=24h", "deux fois"),
        ("line=1&line=2", "deux fois"),
        ("line=999999", "courbe"),
        ("line=x", "courbe"),
        ("from=yesterday", "yesterday"),
        ("to=2026-01-01", "from"),
        ("from=2026-02-30", "2026-02-30"),
        ("from=2099-01-01", "futur"),
        ("from=2026-11-20&to=2026-11-19", "précéder"),
        ("period=1h&from=2026-11-20", "soit"),
        ("from=99999999999999999999", "999"),
    ],
)
@pytest.mark.parametrize("kind", ["", ".svg", ".csv", ".json"])
def test_a_bad_parameter_is_a_400_with_a_sentence(client: FlaskClient, query: str, word: str, kind: str) -> None:
    answer = client.get(f"/graphs/{CPU}{kind}?{query}")
    assert answer.status_code == 400
    assert word in text_of(answer.text)
    assert len(text_of(answer.text)) < 5000


@pytest.mark.parametrize("name", ["nothing", "login_info", "cpu.svg.svg", "%00", "..", "%2e%2e%2f", "a" * 3000, "é"])
def test_a_metric_that_is_not_there_is_a_404(client: FlaskClient, name: str) -> None:
    for kind in ("", ".svg", ".csv", ".json"):
        assert client.get(f"/graphs/{name}{kind}").status_code in (404, 308)


_ANY = (
    st.text(max_size=40) | st.integers().map(str) | st.sampled_from(["1h", "all", "0", "-1", "1e9", "2026-11-20", "٣"])
)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.sampled_from(["period", "from", "to", "line", "step", "lang", "x"]), _ANY), max_size=4),
    st.sampled_from([CPU, MEMORY, USERS]),
    st.sampled_from(["", ".svg", ".csv", ".json"]),
)
def test_no_query_is_a_500(client: FlaskClient, query: list[tuple[str, str]], name: str, kind: str) -> None:
    answer = client.get(f"/graphs/{name}{kind}", query_string=query)
    assert answer.status_code in (200, 400, 404)
    answer.get_data()


# --- files -----------------------------------------------------------------------------------------------------------


def test_w19_the_csv_reads_back_and_no_cell_is_a_formula(client: FlaskClient, data: str) -> None:
    answer = client.get(f"/graphs/{USERS}.csv?period=1h")
    assert answer.mimetype == "text/csv"
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{USERS}-1h.csv"'
    assert answer.data.endswith(b"\r\n")
    assert b"\n" not in answer.data.replace(b"\r\n", b"")
    rows = list(csv.DictReader(io.StringIO(answer.data.decode(), newline="")))
    assert {json.loads(row["line"])["user"] for row in rows} == set(HOSTILE)
    for row in rows:
        for name in ("metric", "line"):
            assert not row[name].startswith(("=", "+", "-", "@", "\t", "\r"))
    alice = [row for row in rows if json.loads(row["line"])["user"] == "alice"]
    wanted = points(data, USERS, 3600, 60)
    assert len(alice) == len(wanted)
    assert float(alice[0]["mean"]) == 1e8


def test_the_raw_csv_has_every_sample_once(client: FlaskClient, data: str) -> None:
    rows = list(csv.DictReader(io.StringIO(client.get(f"/graphs/{CPU}.csv?step=raw").text, newline="")))
    with database.reader(data) as db:
        line = read.series(db, 1, CPU)[0]
        wanted = read.samples(db, 1, line, NOW - 86_400, NOW + 300)
    assert [(int(row["at"]), float(row["mean"])) for row in rows] == [(s.at, s.value) for s in wanted]


@given(st.text())
def test_w19_any_text_cell_reads_back(text: str) -> None:
    from web.exports import row, text_cell

    line = row([text_cell(text), "-1"])
    (back,) = csv.reader(io.StringIO(line, newline=""), strict=True)
    assert back[0].removeprefix("'") == text.removeprefix("'")
    assert not back[0].startswith(("=", "+", "-", "@", "\t", "\r"))
    assert back[1] == "-1"


def test_the_json_has_lines_thresholds_and_incidents(client: FlaskClient, data: str) -> None:
    found = client.get(f"/graphs/{CPU}.json?period=24h").get_json()
    assert found["metric"]["unit"] == "ratio"
    (line,) = found["lines"]
    assert line["threshold"] == {"above": True, "warning": 0.85, "critical": None}
    assert [one["id"] for one in line["incidents"]] == [1]
    assert [(p["at"], p["samples"]) for p in line["points"]] == [
        (p.at, p.count) for p in points(data, CPU, 86_400, 300)
    ]


def test_w21_a_lone_svg_has_its_own_policy_and_colours(client: FlaskClient) -> None:
    answer = client.get(f"/graphs/{CPU}.svg")
    assert answer.mimetype == "image/svg+xml"
    assert answer.headers["Content-Security-Policy"] == POLICY
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    root = ElementTree.fromstring(answer.data)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "Processeur utilisé" in answer.text
    assert "moyenne" in answer.text
    hostile = client.get(f"/graphs/{USERS}.svg")
    assert "<script" not in hostile.text
    ElementTree.fromstring(hostile.data)


# --- in a browser ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def address(data: str) -> Iterator[str]:
    """The real application behind a real server."""
    from waitress.server import create_server

    chosen = settings_module.load({"VIGIE_DATA": data, "VIGIE_TIMEZONE": "Europe/Paris"})
    server = create_server(create_app(chosen, now=lambda: NOW), host="127.0.0.1", port=0)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.effective_port}"
    server.close()
    server.task_dispatcher.shutdown()
    thread.join(5)


@pytest.mark.needs_browser
@pytest.mark.skipif(not Path(CHROMIUM).exists(), reason="needs Chromium at /usr/bin/chromium")
def test_a_graph_in_chromium_by_mouse_by_touch_and_by_keyboard(address: str, data: str) -> None:
    from playwright.sync_api import sync_playwright

    flags = "--headless --no-sandbox --disable-gpu --disable-background-networking --disable-component-update"
    flags += " --disable-sync --no-first-run"
    rows = points(data, CPU, 86_400, 300)
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=flags.split())
        for width, touch, theme in (
            (1280, False, "light"),
            (700, False, "dark"),
            (390, True, "light"),
            (320, True, "dark"),
        ):
            context = browser.new_context(
                viewport={"width": width, "height": 800}, is_mobile=touch, has_touch=touch, locale="fr-FR",
                color_scheme=theme,  # type: ignore[arg-type]
            )  # fmt: skip
            page = context.new_page()
            said: list[str] = []
            page.on("console", lambda message, said=said: said.append(message.text))
            page.on("pageerror", lambda error, said=said: said.append(str(error)))
            page.goto(f"{address}/graphs/{CPU}")
            assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
            drawings = page.locator(".graph .v-chart")
            shown = [one for one in drawings.all() if one.is_visible()]
            assert len(shown) == 1
            box = shown[0].bounding_box()
            assert box is not None
            (page.touchscreen.tap if touch else page.mouse.move)(box["x"] + box["width"] * 0.98, box["y"] + 60)
            assert page.locator(".bubble").is_visible()
            assert page.locator(".bubble b").text_content() == FR.value(rows[-1].mean, "ratio")
            page.locator(".graph-cursor").focus()
            page.keyboard.press("Home")
            value = page.locator(".graph-cursor").get_attribute("aria-valuetext")
            assert value is not None
            assert value.startswith(f"{FR.moment(rows[0].at, NOW)} : {FR.value(rows[0].mean, 'ratio')}")
            page.keyboard.press("ArrowRight")
            assert page.locator(".bubble b").text_content() == FR.value(rows[1].mean, "ratio")
            page.keyboard.press("Tab")
            assert not page.locator(".bubble").is_visible()
            assert not said, said
            context.close()
        alone = browser.new_context(java_script_enabled=False).new_page()
        alone.goto(f"{address}/graphs/{CPU}.svg")
        assert alone.locator("path.v-line").count() == 1
        alone.goto(f"{address}/graphs/{CPU}")
        assert alone.locator(".graph-cursor").is_hidden()
        assert alone.locator(".v-chart >> visible=true").count() >= 1
        browser.close()
