"""Every page in a real Chromium: axe, the policy, the console, widths, no script, the main paths by mouse and by keyboard."""

import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import waitress

from archive import database, read
from archive.certfr import document, schedule
from archive.certfr import store as publications
from archive.settings import ROOT
from tests.web import site
from tests.web.site import NOW, PASSWORD
from tests.web.test_overview import ALERT

CHROMIUM = "/usr/bin/chromium"
AXE = os.path.join(ROOT, "tests/browser/node_modules/axe-core/axe.min.js")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", "--no-first-run"]  # fmt: skip
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
PAGES = ["/", "/users", "/users/user0", "/incidents", "/incidents/1", "/security", "/security/CERTFR-2026-ALE-014", "/thresholds",
         "/thresholds/disk_used_ratio", "/about", "/graphs/", "/graphs/cpu_busy_seconds_total", "/login", "/nothing"]  # fmt: skip
ADMIN = ["/probes", "/mails", "/recipients", "/sessions", "/password", "/logout", "/incidents/1", "/thresholds"]

pytestmark = [
    pytest.mark.needs_browser,
    pytest.mark.skipif(not os.path.exists(CHROMIUM), reason="needs /usr/bin/chromium"),
]
needs_axe = pytest.mark.skipif(not os.path.exists(AXE), reason="needs axe-core: npm ci --prefix tests/browser")


class Served:
    """The application behind the real server, in a thread."""

    def __init__(self, path: str, at: int = NOW) -> None:
        self.path = path
        self.app = site.site(path, lambda: at)
        self.server = waitress.create_server(self.app, host="127.0.0.1", port=0, threads=4, ident=None)
        self.url = f"http://localhost:{self.server.effective_port}"
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.server.close()


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


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


class Watched:
    """A page of its own, with everything that its console says."""

    def __init__(
        self, browser: Any, width: int = 1280, scheme: str = "light", locale: str = "fr-FR", **more: Any
    ) -> None:
        self.context = browser.new_context(
            viewport={"width": width, "height": 844 if width < 500 else 800}, color_scheme=scheme, locale=locale, **more
        )
        self.page = self.context.new_page()
        self.said: list[str] = []
        self.outside: list[str] = []
        self.page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.said.append(f"error: {error}"))
        self.page.on("request", lambda asked: self.outside.append(asked.url) if "localhost" not in asked.url else None)

    def open(self, url: str) -> Any:
        return self.page.goto(url, wait_until="load")

    def log_in(self, url: str) -> None:
        self.open(f"{url}/login")
        self.page.fill("#name", "admin")
        self.page.fill("#password", PASSWORD)
        self.page.click("button.main")

    def complaints(self) -> list[str]:
        """Everything but Chromium's own note that a page answered 403, 404 or 422."""
        return [said for said in self.said if "the server responded with a status of 4" not in said]

    def violations(self) -> list[str]:
        with open(AXE, encoding="utf-8") as file:
            self.page.evaluate(file.read())
        found = self.page.evaluate(
            f"axe.run(document, {{runOnly: {RULES}}}).then(r => [r.passes.length, r.violations])"
        )
        assert found[0] > 10, "axe looked at nothing"
        return [f"{one['id']}: {one['nodes'][0]['html'][:200]} ({len(one['nodes'])})" for one in found[1]]

    def wait(self, question: str, seconds: float = 20.0) -> None:
        """Ask until the answer is yes. Playwright's own waiting evaluates a string in the page, which the policy refuses."""
        deadline = time.monotonic() + seconds
        while not self.page.evaluate(question):
            assert time.monotonic() < deadline, f"never came true: {question}"
            self.page.wait_for_timeout(100)

    def overflow(self) -> int:
        return int(self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


@needs_axe
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("state", ["open", "stale", "calm", "empty"])
def test_every_page_is_accessible_and_clean(
    served: dict[str, Served], browser: Any, state: str, scheme: str, width: int
) -> None:
    watched = Watched(browser, width, scheme)
    pages = PAGES if state == "open" else ["/", "/users", "/incidents", "/thresholds", "/graphs/"]
    wrong = []
    for path in pages:
        watched.open(served[state].url + path)
        wrong += [f"{path}: {one}" for one in watched.violations()]
    watched.context.close()
    assert wrong == []
    assert watched.complaints() == []
    assert watched.outside == []


@needs_axe
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("locale", ["fr-FR", "en-GB"])
def test_every_page_of_the_administrator_is_accessible_and_clean(
    served: dict[str, Served], browser: Any, scheme: str, locale: str
) -> None:
    watched = Watched(browser, 390 if scheme == "dark" else 1280, scheme, locale)
    watched.log_in(served["open"].url)
    wrong = []
    for path in ADMIN:
        assert watched.open(served["open"].url + path).status == 200, path
        wrong += [f"{path}: {one}" for one in watched.violations()]
    watched.page.fill("#cpu", "abc")
    watched.page.click("button[name=save] >> nth=0")
    wrong += [f"errors: {one}" for one in watched.violations()]
    watched.context.close()
    assert wrong == []
    assert watched.complaints() == []


@pytest.mark.parametrize("width", [320, 390, 768, 1024, 1280])
def test_nothing_scrolls_sideways(served: dict[str, Served], browser: Any, width: int) -> None:
    watched = Watched(browser, width)
    watched.log_in(served["open"].url)
    wide = {}
    for path in [*PAGES, *ADMIN]:
        watched.open(served["open"].url + path)
        if watched.overflow() > 0:
            wide[path] = watched.overflow()
    watched.context.close()
    assert wide == {}


def test_without_a_script_every_page_says_the_same(served: dict[str, Served], browser: Any) -> None:
    plain, full = Watched(browser, java_script_enabled=False), Watched(browser)
    for path in PAGES:
        texts = []
        for watched in (plain, full):
            watched.open(served["open"].url + path)
            text = watched.page.inner_text("main")
            # Figures of this very second differ from one second to the next.
            live = watched.page.inner_text("#live") if path == "/" else ""
            texts.append(" ".join(text.replace(live, "").split()))
        assert texts[0] == texts[1], path
    plain.context.close()
    full.context.close()


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
    devtools.on("Network.loadingFinished", lambda event: sizes.append(int(event["encodedDataLength"])))
    watched.open(served["open"].url)
    watched.page.wait_for_timeout(500)
    watched.context.close()
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
    answers: list[int] = []
    watched.page.on("response", lambda answer: answers.append(answer.status) if "/fragment" in answer.url else None)
    watched.open(one.url)
    assert "41" in watched.page.inner_text("#part-rows")
    watched.page.evaluate("window.kept = 'the same document'")
    watched.page.wait_for_timeout(2500)
    assert 304 in answers
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
