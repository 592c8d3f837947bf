"""The forms as a person goes through them, in a real Chromium, by mouse and by keyboard alone; axe on every state of them."""

import os
from collections.abc import Iterator
from typing import Any

import pytest

from archive import database, silences, thresholds
from archive.silences import Silence
from tests import cycles
from tests.web import site
from tests.web.browsing import AXE, CHROMIUM, Served, Watched
from tests.web.site import NOW, PASSWORD

CPU, DISK = "cpu_busy_seconds_total", "disk_used_ratio"

pytestmark = [
    pytest.mark.needs_browser,
    pytest.mark.skipif(not os.path.exists(CHROMIUM), reason="needs /usr/bin/chromium"),
]
needs_axe = pytest.mark.skipif(not os.path.exists(AXE), reason="needs axe-core: npm ci --prefix tests/browser")


@pytest.fixture
def served(tmp_path: object) -> Iterator[Served]:
    """A machine with trouble and some old samples."""
    path = site.folder(f"{tmp_path}/data")
    cycles.fill(path, NOW - 10 * 86_400, 5)
    site.judged(path, 40, NOW, cpu=0.97)
    site.add_person(path)
    found = Served(path)
    yield found
    found.close()


def kept(data: str) -> list[Silence]:
    with database.reader(data) as db:
        return silences.silences(db, 1, NOW)


def level(data: str, metric: str) -> float | None:
    with database.reader(data) as db:
        return next(one for one in thresholds.effective(db, 1) if one.metric == metric).warning


def tab_to(page: Any, question: str, most: int = 150) -> None:
    """Press Tab until the focused element is the one meant; fails when it cannot be reached."""
    for _step in range(most):
        if page.evaluate(f"(e => {question})(document.activeElement)"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"the keyboard never reaches: {question}")


def test_planned_work_by_mouse(served: Served, browser: Any) -> None:
    watched = Watched(browser)
    page = watched.page
    watched.log_in(served.url)
    page.click(".nav >> text=Système")
    page.click(".tabs >> text=Travaux prévus")
    assert not page.is_visible("#opens")
    page.check("#kind-weekly")
    assert page.is_visible("#opens")
    assert not page.is_visible("#to")
    page.check("#kind-once")
    page.click("button.main")
    assert page.evaluate("document.activeElement.id") == "reason"
    page.fill("#reason", "remplacement de l’onduleur")
    page.check("#scope-some")
    page.check(f"input[value={DISK}]")
    page.select_option("#labels", '{"mount":"/srv"}')
    page.click("button.main")
    assert "Rien ne se perd" in page.inner_text(".notes")
    [one] = kept(served.path)
    assert (one.metric, one.labels, one.to_at - one.from_at) == (DISK, '{"mount":"/srv"}', 7200)
    page.click(".brand")
    page.click("#part-banner >> text=Travaux prévus jusqu’à")
    page.click("text=Terminer maintenant")
    page.wait_for_selector(".notes >> text=Terminé")
    assert kept(served.path) == []
    page.click(".nav >> text=Seuils")
    page.click("#history >> text=Annuler >> nth=0")
    page.wait_for_selector(".notes")
    assert [again.id for again in kept(served.path)] == [one.id]
    assert watched.complaints() == []
    watched.context.close()


def test_planned_work_by_keyboard_alone(served: Served, browser: Any) -> None:
    watched = Watched(browser)
    page, keys = watched.page, watched.page.keyboard
    watched.open(f"{served.url}/login")
    keys.type("admin")
    keys.press("Tab")
    keys.type(PASSWORD)
    keys.press("Enter")
    page.wait_for_url(f"{served.url}/")
    watched.open(f"{served.url}/windows")
    tab_to(page, "e.id === 'kind-once'")
    keys.press("ArrowRight")  # one stop for both; the arrow chooses
    assert page.is_checked("#kind-weekly")
    tab_to(page, "e.name === 'days' && e.value === '6'")
    keys.press("Space")
    tab_to(page, "e.id === 'scope-all'")
    keys.press("ArrowRight")
    tab_to(page, f"e.value === '{CPU}'")
    keys.press("Space")
    tab_to(page, "e.id === 'reason'")
    keys.type("sauvegarde")
    keys.press("Enter")
    page.wait_for_selector(".notes")
    [one] = kept(served.path)
    assert one.metric == CPU
    assert one.weekly == silences.weekly_json([6], "22:00", "06:00")
    tab_to(page, "e.textContent.startsWith('Retirer')")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    keys.press("Enter")
    page.wait_for_selector(".notes >> text=Retiré")
    assert kept(served.path) == []
    assert watched.complaints() == []
    watched.context.close()


def test_a_threshold_is_tried_looked_at_saved_and_undone_by_mouse(served: Served, browser: Any) -> None:
    watched = Watched(browser)
    page = watched.page
    watched.log_in(served.url)
    page.click(".nav >> text=Seuils")
    page.click("[data-key=cpu] >> text=Détails")
    page.fill("#cpu", "50")
    watched.wait("document.querySelector('.trial').textContent.includes('30 derniers jours')")
    live = page.inner_text(".trial")
    page.click("button[name=try]")
    page.wait_for_selector(".v-wide .v-trial-0")
    assert page.inner_text(".trial") == live  # the button says what the script said
    assert page.locator(".v-wide .v-trial-1").count() >= 2
    assert level(served.path, CPU) == 0.9
    page.click("details.advanced summary")
    page.fill("#clear", "60")
    page.click("button[name=save]")
    page.wait_for_selector("#clear-error")
    assert page.evaluate("document.activeElement.id") == "clear"
    page.fill("#clear", "40")
    page.click("button[name=save]")
    page.wait_for_selector(".notes >> text=Enregistré")
    assert level(served.path, CPU) == 0.5
    page.click(".nav >> text=Seuils")
    page.click("#history >> text=Annuler >> nth=0")
    page.wait_for_selector(".notes")
    assert level(served.path, CPU) == 0.9
    assert watched.complaints() == []
    watched.context.close()


def test_a_deletion_is_confirmed_by_keyboard_alone(served: Served, browser: Any) -> None:
    watched = Watched(browser)
    page, keys = watched.page, watched.page.keyboard
    watched.log_in(served.url)
    watched.open(f"{served.url}/thresholds")
    tab_to(page, "e.id === 'temps_limite'")
    keys.press("Control+a")
    keys.type("3")
    keys.press("Enter")
    page.wait_for_selector(".confirm")
    assert page.evaluate("document.activeElement.classList.contains('confirm')")
    assert "supprime" in page.inner_text(".confirm")
    with database.reader(served.path) as db:
        assert thresholds.retention_days(db) == 400
    keys.press("Tab")
    assert page.evaluate("document.activeElement.name") == "confirm"
    keys.press("Enter")
    page.wait_for_selector(".notes")
    with database.reader(served.path) as db:
        assert thresholds.retention_days(db) == 3
    watched.context.close()


def test_a_line_is_silenced_from_its_incident_by_keyboard_alone(served: Served, browser: Any) -> None:
    watched = Watched(browser)
    page, keys = watched.page, watched.page.keyboard
    watched.log_in(served.url)
    watched.open(f"{served.url}/incidents/1")
    tab_to(page, "e.matches('.quiet summary')")
    keys.press("Enter")
    tab_to(page, "e.id === 'span'")
    keys.press("ArrowDown")
    tab_to(page, "e.id === 'quiet_reason'")
    keys.type("compilation")
    keys.press("Enter")
    page.wait_for_selector(".notes")
    [one] = kept(served.path)
    assert (one.metric, one.to_at - NOW, one.reason) == (CPU, 86_400, "compilation")
    watched.context.close()


def test_without_a_script_the_forms_work_too(served: Served, browser: Any) -> None:
    watched = Watched(browser, java_script_enabled=False)
    page = watched.page
    watched.log_in(served.url)
    watched.open(f"{served.url}/thresholds/{CPU}")
    page.fill("#cpu", "50")
    page.click("button[name=try]")
    assert "30 derniers jours" in page.inner_text(".trial")
    watched.open(f"{served.url}/windows")
    page.fill("#reason", "travaux")
    page.click("button.main")
    page.wait_for_selector(".notes")
    assert len(kept(served.path)) == 1
    watched.context.close()


@needs_axe
def test_every_state_of_the_forms_is_accessible_and_fits(served: Served, browser: Any) -> None:
    """One way through all of them; each is seen wide, on a phone and on a narrow one, light and dark, as it stands."""
    watched = Watched(browser)
    page = watched.page
    wrong: list[str] = []

    def look(state: str) -> None:
        for width in (320, 390, 1280):
            for scheme in ("dark", "light"):
                watched.look(width, scheme)
                wrong.extend(f"{state} {width} {scheme}: {one}" for one in watched.violations())
            if watched.overflow() > 0:
                wrong.append(f"{state} {width}: {watched.overflow()} px too wide")

    watched.open(f"{served.url}/windows")
    look("windows, a reader's")
    watched.log_in(served.url)
    watched.open(f"{served.url}/windows")
    look("windows")
    page.check("#kind-weekly")
    page.check("#scope-some")
    page.click("button.main")
    look("windows with errors")
    page.check("input[name=days] >> nth=0")
    page.check("#scope-all")
    page.fill("#reason", "un motif " * 20)
    page.click("button.main")
    look("windows with one planned")
    watched.open(f"{served.url}/thresholds/{CPU}")
    page.fill("#cpu", "50")
    page.click("button[name=try]")
    look("a threshold tried")
    watched.open(f"{served.url}/thresholds/{DISK}")
    page.click("details.advanced summary")
    page.fill("#clear", "99")
    page.fill("#second_level", "5 Gx")
    page.click("button[name=save]")
    look("a threshold with errors")
    watched.open(f"{served.url}/thresholds")
    page.fill("#temps_limite", "3")
    page.click("button[name=save] >> nth=0")
    look("a deletion to confirm")
    watched.open(f"{served.url}/incidents/1")
    page.click(".quiet summary")
    page.click(".quiet button")
    look("a silence with errors")
    watched.context.close()
    assert wrong == []
    assert watched.complaints() == []
    assert watched.outside == []
