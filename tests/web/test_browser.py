"""In a real Chromium: what a page weighs, how it is refreshed, the main paths by mouse and by keyboard.

Every page in every state, scheme, width and language: test_matrix.py.
"""

import os
from collections.abc import Iterator
from typing import Any

import pytest

from archive import database, read
from archive.certfr import document, schedule
from archive.certfr import store as publications
from tests.web import site
from tests.web.browsing import AXE, CHROMIUM, Served, Watched
from tests.web.site import NOW, PASSWORD
from tests.web.test_overview import ALERT

pytestmark = [
    pytest.mark.needs_browser,
    pytest.mark.skipif(not os.path.exists(CHROMIUM), reason="needs /usr/bin/chromium"),
]
needs_axe = pytest.mark.skipif(not os.path.exists(AXE), reason="needs axe-core: npm ci --prefix tests/browser")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Served]]:
    """The same machine with trouble, with old figures, and before its first figures."""
    troubled = site.filled(str(tmp_path_factory.mktemp("browser") / "data"), 60, cpu=0.97, home=3e9)
    site.add_person(troubled)
    with database.writer(troubled) as db, database.transaction(db):
        schedule.claim(db, NOW - 3700)
        publications.put(db, document.from_json(ALERT), NOW - 3600)
        schedule.finish(db, NOW - 3700, NOW - 3600, error="", failed=False, wait=None)
    calm = site.filled(str(tmp_path_factory.mktemp("calm") / "data"), 60)
    empty = site.folder(str(tmp_path_factory.mktemp("empty") / "data"))
    found = {
        "open": Served(troubled),
        "stale": Served(troubled, NOW + 3600),
        "calm": Served(calm),
        "empty": Served(empty),
    }
    yield found
    for one in found.values():
        one.close()


@needs_axe
def test_a_form_that_was_refused_is_accessible(served: dict[str, Served], browser: Any) -> None:
    watched = Watched(browser)
    watched.log_in(served["open"].url)
    watched.open(f"{served['open'].url}/thresholds")
    watched.page.fill("#cpu", "abc")
    watched.page.click("button[name=save] >> nth=0")
    assert watched.page.evaluate("document.activeElement.id") == "cpu"
    assert watched.violations() == []
    assert watched.complaints() == []
    watched.context.close()


SHAPES = """() => [...document.querySelectorAll('.v-chart')].filter(e => e.getBoundingClientRect().width).map(svg => {
  const of = (selector, what) => { const e = svg.querySelector(selector); return e ? getComputedStyle(e)[what] : ''; };
  return {line: of('.v-line', 'stroke'), level: of('.v-level', 'stroke'), words: of('.v-level-label', 'fill'),
          axis: of('.axis.x text', 'fill'), band: of('.v-incident, .v-warning-band', 'fill')};
})"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_in_forced_colours_nothing_keeps_a_colour_of_its_own(
    served: dict[str, Served], browser: Any, scheme: str
) -> None:
    """Badges, the tab that is open, meters and every part of a graph take the reader's colours, and stay apart by shape."""
    watched = Watched(browser, 1280, scheme, forced_colors="active")
    ours = watched.page.evaluate(
        "() => { const e = document.body.appendChild(document.createElement('i')); const found = {};"
        " for (const name of ['CanvasText', 'LinkText', 'Highlight', 'Canvas', 'ButtonText']) { e.style.color = name;"
        " found[name] = getComputedStyle(e).color; } e.remove(); return found; }"
    )
    watched.open(f"{served['open'].url}/graphs/cpu_busy_seconds_total")
    drawn = watched.page.evaluate(SHAPES)
    assert drawn
    for one in drawn:
        assert one["line"] == ours["LinkText"]
        assert {one["level"], one["words"], one["axis"], one["band"]} <= {ours["CanvasText"], ""}
    watched.open(served["open"].url)
    for badge in watched.page.locator(".badge").all():
        assert badge.evaluate("e => getComputedStyle(e).color") == ours["CanvasText"]
        assert badge.locator("svg use").count() == 1  # its shape
        assert badge.inner_text().strip()  # and its word
    assert watched.page.locator(".meter .fill").first.evaluate("e => getComputedStyle(e).fill") == ours["Highlight"]
    watched.context.close()


def test_forced_colours_and_reduced_motion_are_respected(served: dict[str, Served], browser: Any) -> None:
    watched = Watched(browser, forced_colors="active", reduced_motion="reduce")
    watched.open(served["open"].url)
    assert watched.page.locator(".badge-warning").first.evaluate("e => getComputedStyle(e).borderStyle") == "solid"
    assert watched.page.locator(".pulse").evaluate("e => getComputedStyle(e).animationName") == "none"
    watched.context.close()


def test_the_page_is_light_and_nothing_comes_from_elsewhere(served: dict[str, Served], browser: Any) -> None:
    watched = Watched(browser)
    devtools = watched.context.new_cdp_session(watched.page)
    devtools.send("Network.enable")
    sizes: list[int] = []
    scripts: dict[str, int] = {}
    asked: dict[str, str] = {}

    def finished(event: dict[str, Any]) -> None:
        sizes.append(int(event["encodedDataLength"]))
        name = asked.get(event["requestId"], "").partition("?")[0].rpartition("/")[2]
        if name.endswith(".js"):
            scripts[name] = sizes[-1]

    devtools.on("Network.responseReceived", lambda event: asked.update({event["requestId"]: event["response"]["url"]}))
    devtools.on("Network.loadingFinished", finished)
    watched.open(served["open"].url)
    watched.page.wait_for_timeout(500)
    watched.context.close()
    assert scripts.keys() == {"vigie.js", "chart.js"}
    assert sum(scripts.values()) <= 6_000
    assert len(sizes) <= 6
    assert sum(sizes) <= 60_000
    assert watched.outside == []


def test_a_new_cycle_appears_without_reloading_and_an_unchanged_one_sends_nothing(
    served: dict[str, Served], browser: Any, tmp_path: object
) -> None:
    path = site.filled(f"{tmp_path}/data", 5, memory=0.41)
    one = Served(path)
    one.app.config["VIGIE_REFRESH"] = 1
    watched = Watched(browser)
    answers: list[Any] = []
    watched.page.on("response", lambda answer: answers.append(answer) if "/fragment" in answer.url else None)
    watched.open(one.url)
    assert "41" in watched.page.inner_text("#part-rows")
    watched.page.evaluate("window.kept = 'the same document'")
    for _moment in range(100):  # asked each second, and the first answer is whole
        watched.page.wait_for_timeout(100)
        if len(answers) > 1:
            break
    assert [answer.status for answer in answers[:2]] == [200, 304]
    assert answers[1].request.sizes()["responseBodySize"] == 0
    assert answers[1].request.headers["if-none-match"] == answers[0].headers["etag"]
    site.judged(path, 1, NOW + 60, memory=0.83)
    watched.wait("document.getElementById('part-rows').innerText.includes('83')")
    assert watched.page.evaluate("window.kept") == "the same document"
    one.close()
    watched.wait("document.getElementById('link-state').textContent.includes('perdue')")
    watched.context.close()


def test_an_administrator_s_way_by_mouse(served: dict[str, Served], browser: Any, tmp_path: object) -> None:
    path = site.filled(f"{tmp_path}/data", 30, cpu=0.6)
    site.add_person(path)
    one = Served(path)
    watched = Watched(browser)
    page = watched.page
    watched.open(one.url)
    page.click("text=Seuils")
    page.click("text=Connectez-vous pour les modifier")
    page.fill("#name", "admin")
    page.fill("#password", PASSWORD)
    page.click("button.main")
    page.click("nav >> text=Seuils")
    page.fill("#cpu", "50")
    watched.wait("document.querySelector('[data-key=cpu] .trial').textContent.includes('30 derniers jours')")
    page.fill("#cpu", "x")
    page.click("button[name=save] >> nth=0")
    assert page.evaluate("document.activeElement.id") == "cpu"
    assert "n’est pas un nombre" in page.inner_text("#cpu-error")
    page.fill("#cpu", "50")
    page.fill("[id='cpu.minutes']", "0")
    page.click("button[name=save] >> nth=0")
    assert "1 modification enregistrée" in page.inner_text(".notes")
    site.judged(path, 2, NOW + 120, cpu=0.6)
    watched.open(f"{one.url}/incidents")
    page.click("text=Processeur à 60")
    page.fill("#reason", "compilation en cours")
    page.click("text=Prendre en compte")
    assert "compilation en cours" in page.inner_text("main")
    page.click("text=admin >> nth=0")
    page.click("text=Se déconnecter")
    assert "déconnecté" in page.inner_text(".notes")
    assert watched.complaints() == []
    watched.context.close()
    one.close()


def test_an_administrator_s_way_by_keyboard_alone(served: dict[str, Served], browser: Any, tmp_path: object) -> None:
    path = site.filled(f"{tmp_path}/data", 5)
    site.add_person(path)
    one = Served(path)
    watched = Watched(browser)
    page, keys = watched.page, watched.page.keyboard
    watched.open(one.url)
    keys.press("Tab")
    assert "Aller au contenu" in page.evaluate("document.activeElement.textContent")
    keys.press("Enter")
    keys.press("Tab")
    assert page.evaluate("!!document.activeElement.closest('main')")
    watched.open(f"{one.url}/login")
    assert page.evaluate("document.activeElement.id") == "name"
    keys.type("admin")
    keys.press("Tab")
    keys.type(PASSWORD)
    keys.press("Enter")
    page.wait_for_url(f"{one.url}/")
    watched.open(f"{one.url}/thresholds")
    for _step in range(40):
        if page.evaluate("document.activeElement.id") == "cpu":
            break
        keys.press("Tab")
    shown = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert shown == "solid"
    keys.press("Control+a")
    keys.type("85")
    keys.press("Enter")
    page.wait_for_selector(".notes")
    with database.reader(path) as db:
        from archive import thresholds

        assert next(t for t in thresholds.effective(db, 1) if t.metric == "cpu_busy_seconds_total").warning == 0.85
        assert read.host(db, 1).name == "machine"
    watched.context.close()
    one.close()
