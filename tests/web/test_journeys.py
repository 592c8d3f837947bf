"""Ways through the pages as a person goes them: the first evening, an incident by keyboard alone, an advisory; and what
the first page weighs and asks for with a year behind it."""

import os
import re
from typing import Any

import pytest

from archive import database, incidents
from tests.web import site, year
from tests.web.browsing import CHROMIUM, Served, Watched
from tests.web.site import NOW
from web import first

pytestmark = [
    pytest.mark.needs_browser,
    pytest.mark.skipif(not os.path.exists(CHROMIUM), reason="needs /usr/bin/chromium"),
]


def focus(page: Any, selector: str, most: int = 80) -> None:
    """Tab on until it is reached; it must show where the focus is."""
    for _step in range(most):
        if page.evaluate(f"document.activeElement.matches({selector!r})"):
            shown = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert shown != "none", f"{selector} has the focus and does not show it"
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{selector} is not reached within {most} tabs")


def test_the_first_evening_by_the_one_time_link(browser: Any, tmp_path: object) -> None:
    path = site.filled(f"{tmp_path}/data", 5)
    link = first.first_link(site.config(path), NOW)
    assert link
    one = Served(path)
    watched = Watched(browser)
    page = watched.page
    watched.open(one.url + link[link.index("/first/") :])
    page.fill("#password", "court")
    page.fill("#again", "court")
    page.click("button.main")
    assert page.evaluate("document.activeElement.id") == "password"
    assert page.locator("#password-error").count() == 1
    page.fill("#password", "quatre mots bien choisis")
    page.fill("#again", "quatre mots bien choisis")
    page.click("button.main")
    assert page.inner_text(".who").strip() == "admin"
    watched.open(f"{one.url}/probes")
    assert page.locator("h1").inner_text() == "Sondes"
    # once, and never again
    stranger = Watched(browser)
    assert stranger.open(one.url + link[link.index("/first/") :]).status == 410
    assert watched.complaints() == []
    for each in (watched, stranger):
        each.context.close()
    one.close()


def test_the_first_evening_by_keyboard_alone(browser: Any, tmp_path: object) -> None:
    """The one-time link, a threshold changed, what it would have done, and the incident that it opens a minute later."""
    path = site.filled(f"{tmp_path}/data", 30, cpu=0.6)
    link = first.first_link(site.config(path), NOW)
    assert link
    one = Served(path)
    watched = Watched(browser)
    page, keys = watched.page, watched.page.keyboard
    watched.open(one.url + link[link.index("/first/") :])
    assert page.evaluate("document.activeElement.id") == "password"  # the name is there already
    keys.type("quatre mots bien choisis")
    focus(page, "#again")
    keys.type("quatre mots bien choisis")
    keys.press("Enter")
    page.wait_for_url(f"{one.url}/")
    assert page.inner_text(".who").strip() == "admin"
    focus(page, ".nav a[href='/thresholds']")
    keys.press("Enter")
    page.wait_for_url(f"{one.url}/thresholds")
    focus(page, "#cpu")
    keys.press("Control+a")
    keys.type("50")
    watched.wait("document.querySelector('[data-key=cpu] .trial').textContent.includes('30 derniers jours')")
    assert "aurait ouvert 1 incident" in site.plain(page.inner_text("[data-key=cpu] .trial"))
    focus(page, "[id='cpu.minutes']")
    keys.press("Control+a")
    keys.type("0")
    keys.press("Enter")
    page.wait_for_selector(".notes >> text=enregistré")
    site.judged(path, 2, NOW + 120, cpu=0.6)
    focus(page, ".brand")
    keys.press("Enter")
    page.wait_for_url(f"{one.url}/")
    assert page.inner_text("#part-banner h1") == "1 incident en cours sur machine"
    focus(page, "#part-banner a.button")
    keys.press("Enter")
    page.wait_for_url(f"{one.url}/incidents/*")
    assert site.plain(page.inner_text("h1")) == "Processeur à 60 %"
    assert watched.complaints() == []
    watched.context.close()
    one.close()


def test_an_incident_is_acknowledged_by_keyboard_alone(browser: Any, tmp_path: object) -> None:
    path = site.filled(f"{tmp_path}/data", 40, cpu=0.97)
    site.add_person(path)
    one = Served(path)
    watched = Watched(browser)
    page, keys = watched.page, watched.page.keyboard
    watched.log_in(one.url)
    watched.open(one.url)
    focus(page, "#part-banner a.button")
    keys.press("Enter")
    page.wait_for_url(f"{one.url}/incidents/*")
    focus(page, "#reason")
    keys.type("calcul prévu, fini à midi")
    keys.press("Enter")
    page.wait_for_selector(".notes")
    assert "calcul prévu, fini à midi" in page.inner_text("main")
    with database.reader(path) as db:
        kept = next(found for found in incidents.recent(db, 1) if found.acknowledged_at)
    assert (kept.acknowledged_by, kept.acknowledged_reason) == ("admin", "calcul prévu, fini à midi")
    assert watched.complaints() == []
    watched.context.close()
    one.close()


def test_an_advisory_is_found_and_read_by_keyboard_alone(browser: Any, a_year: str) -> None:
    one = Served(a_year, year.NOW + 20)
    watched = Watched(browser)
    page, keys = watched.page, watched.page.keyboard
    watched.open(f"{one.url}/security")
    focus(page, "#q", 120)
    keys.type("postgresql")
    keys.press("Enter")
    page.wait_for_url("**q=postgresql**")
    titles = page.locator(".rows .what a").all_inner_texts()
    assert titles
    assert all("PostgreSQL" in title for title in titles)
    focus(page, ".rows .what a")
    keys.press("Enter")
    page.wait_for_url(f"{one.url}/security/CERTFR-*")
    assert "PostgreSQL" in page.inner_text("h1")
    assert "CVE-2026-99914" in page.inner_text("main")
    assert watched.complaints() == []
    watched.context.close()
    one.close()


def test_an_advisory_is_found_and_read_by_mouse(browser: Any, a_year: str) -> None:
    one = Served(a_year, year.NOW + 20)
    watched = Watched(browser)
    page = watched.page
    watched.open(one.url)
    page.click("#part-rows >> text=Vulnérabilité dans OpenSSH")
    assert "apt install --only-upgrade openssh-server" in page.inner_text("main")
    page.click(".crumbs a")
    page.select_option("#verdict", "to_check")
    page.fill("#q", "postgresql")
    page.click("text=Filtrer")
    assert page.locator(".rows .what a").count() == 5
    page.click(".rows .what a >> nth=0")
    assert "PostgreSQL" in page.inner_text("h1")
    assert "À vérifier" in page.inner_text("main")
    page.click(".top-end .lang")  # the same page in English
    assert "PostgreSQL" in page.inner_text("h1")
    assert "To check" in page.inner_text("main")
    assert watched.complaints() == []
    watched.context.close()
    one.close()


def test_a_year_with_ten_users_and_six_disks_is_as_light(browser: Any, a_year: str) -> None:
    one = Served(a_year, year.NOW + 20)
    watched = Watched(browser)
    devtools = watched.context.new_cdp_session(watched.page)
    devtools.send("Network.enable")
    sizes: list[int] = []
    devtools.on("Network.loadingFinished", lambda event: sizes.append(int(event["encodedDataLength"])))
    watched.open(one.url)
    watched.page.wait_for_timeout(500)
    assert watched.page.locator(".cards > .card").count() == 8
    assert watched.page.locator(".people tbody tr").count() == 10
    assert len(sizes) <= 6
    assert sum(sizes) <= 60_000
    assert watched.outside == []
    watched.context.close()
    one.close()


def test_a_hidden_tab_asks_for_nothing(browser: Any, tmp_path: object) -> None:
    one = Served(site.filled(f"{tmp_path}/data", 5))
    one.app.config["VIGIE_REFRESH"] = 1
    watched = Watched(browser)
    asked: list[str] = []
    watched.page.on("request", lambda request: asked.append(request.url))
    watched.open(one.url)
    hide = "Object.defineProperty(document, 'hidden', {{value: {0}, configurable: true}}), document.dispatchEvent(new Event('visibilitychange'))"
    watched.page.evaluate(hide.format("true"))
    watched.page.wait_for_timeout(300)
    asked.clear()
    watched.page.wait_for_timeout(3000)
    assert asked == []
    watched.page.evaluate(hide.format("false"))
    watched.page.wait_for_timeout(1500)
    assert any("/fragment" in url for url in asked)
    # what is said of a lost connection is said politely
    assert watched.page.locator("#link-state").get_attribute("role") == "status"
    watched.context.close()
    one.close()


def test_a_printed_page_has_neither_bar_nor_buttons(browser: Any, a_year: str) -> None:
    one = Served(a_year, year.NOW + 20)
    watched = Watched(browser)
    for address in ("/", "/users", f"/incidents/{newest(a_year)}", "/graphs/cpu_busy_seconds_total?period=1y"):
        watched.open(one.url + address)
        watched.page.emulate_media(media="print")
        assert not watched.page.is_visible(".nav"), address
        assert watched.page.locator("main .button:visible, main button:visible, .periods:visible").count() == 0, address
        assert watched.page.is_visible("h1"), address
        printed = watched.page.pdf(format="A4", print_background=False)
        assert 1 <= len(re.findall(rb"/Type\s*/Page\b", printed)) <= 5, address
        watched.page.emulate_media(media="screen")
    watched.context.close()
    one.close()


def newest(path: str) -> int:
    with database.reader(path) as db:
        return incidents.recent(db, 1, 1)[0].id
