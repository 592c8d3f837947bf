"""Every page in a real Chromium, in every state of the machine, light and dark, wide and narrow, French and English.

The pages are found in the application's own map of addresses: a new one is covered by being there. Those with a part
to fill in need an example in EXAMPLES. In tests/run.sh each page is seen in two states, scheme and width and language
turning with it; with TESTS_TIER=ci, each in all of them.
"""

import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from flask import Flask

from archive import database, incidents
from tests.web import site, year
from tests.web.browsing import AXE, CHROMIUM, Served, Watched
from tests.web.site import NOW

LOOKS = [(width, scheme) for scheme in ("light", "dark") for width in (1280, 390)]
LOCALES = ("fr-FR", "en-GB")
STATES = ("year", "empty", "stale", "open")
# Values for the parts of an address; {incident} is the newest one of the state.
EXAMPLES = {
    "users.one": {"name": "{user}"},
    "incidents.one": {"number": "{incident}"},
    "security.one": {"reference": "CERTFR-2026-ALE-990"},
    "thresholds.one": {"metric": "disk_used_ratio"},
    "graphs.one": {"name": "cpu_busy_seconds_total"},
}
# What is no page, or shown by another test: files, figures for programs, the link that is used once.
NO_PAGE = ("static", "overview.fragment", "login.first_page")
STRANGERS = ("/login",)
MORE = (
    "/users?period=30d&sort=home",
    "/security?verdict=to_check",
    "/graphs/user_cpu_seconds_total?period=1y",
    "/nothing",
)

pytestmark = [
    pytest.mark.needs_browser,
    pytest.mark.skipif(not os.path.exists(CHROMIUM), reason="needs /usr/bin/chromium"),
    pytest.mark.skipif(not os.path.exists(AXE), reason="needs axe-core: npm ci --prefix tests/browser"),
]


class State(NamedTuple):
    served: Served
    pages: list[str]


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory, a_year: str) -> Iterator[dict[str, State]]:
    trouble = site.filled(str(tmp_path_factory.mktemp("open") / "data"), 40, cpu=0.97, home=3e9)
    empty = site.folder(str(tmp_path_factory.mktemp("empty") / "data"))
    for path in (trouble, empty):
        site.add_person(path)
    served = {
        "year": Served(a_year, year.NOW + 20),
        "empty": Served(empty),
        "stale": Served(a_year, year.NOW + 3600),
        "open": Served(trouble),
    }
    yield {name: State(one, pages(one)) for name, one in served.items()}
    for one in served.values():
        one.close()


def addresses(app: Flask, path: str) -> list[str]:
    """Every address that can be looked at, with its example."""
    with database.reader(path) as db:
        newest = incidents.recent(db, 1, 1)
    known = {"{incident}": newest[0].id if newest else 1, "{user}": "alice" if path.endswith("year") else "user0"}
    found = []
    with app.test_request_context():
        for rule in app.url_map.iter_rules():
            if "GET" not in (rule.methods or ()) or rule.endpoint in NO_PAGE:
                continue
            values = {name: known.get(value, value) for name, value in EXAMPLES.get(rule.endpoint, {}).items()}
            if rule.arguments <= values.keys():
                found.append(app.url_for(rule.endpoint, **values))
    return sorted({*found, *MORE})


def pages(one: Served) -> list[str]:
    """Those that answer the administrator with a page, and those that only a stranger sees."""
    client = one.app.test_client()
    site.log_in(client)
    shown = []
    for address in addresses(one.app, one.path):
        answer = client.get(address)
        answer.get_data()  # to its end: files are made while they are sent
        # /healthz says 503 of old figures, to programs.
        assert answer.status_code < 500 or answer.mimetype != "text/html", f"{address}: {answer.status_code}"
        if answer.mimetype == "text/html" and (answer.status_code == 200 or address == "/nothing"):
            shown.append(address)
    return shown


def test_every_address_with_a_part_to_fill_in_has_an_example(states: dict[str, State]) -> None:
    """Files of a page (its CSV, its picture) are no pages; a page is what answers with HTML."""
    app = states["year"].served.app
    lacking = [
        rule.rule
        for rule in app.url_map.iter_rules()
        if "GET" in (rule.methods or ()) and rule.arguments - EXAMPLES.get(rule.endpoint, {}).keys()
        and rule.endpoint not in NO_PAGE and not rule.rule.rsplit("/", 1)[-1].count(".")
    ]  # fmt: skip
    assert lacking == [], "give each of these an example in EXAMPLES"
    assert len(states["year"].pages) >= 18


def seen(watched: Watched, one: State, address: str, looks: list[tuple[int, str]]) -> list[str]:
    """What is wrong with a page, looked at in these ways and at 320 pixels."""
    watched.open(one.served.url + address)
    wrong = []
    for width, scheme in looks:
        watched.look(width, scheme)
        wrong += [f"{address} {width} {scheme}: {found}" for found in watched.violations()]
    watched.look(320, "light")
    if watched.overflow() > 0:
        wrong.append(f"{address}: {watched.overflow()} pixels too wide at 320")
    return wrong


def visit(browser: Any, one: State, locale: str, plan: list[tuple[str, list[tuple[int, str]]]]) -> list[str]:
    """As the administrator, then what only strangers see."""
    watched, stranger = Watched(browser, locale=locale), Watched(browser, locale=locale)
    watched.log_in(one.served.url)
    wrong = []
    for address, looks in plan:
        wrong += seen(watched, one, address, looks)
    for address in STRANGERS:
        wrong += seen(stranger, one, address, LOOKS[:1])
    for watch in (watched, stranger):
        wrong += watch.complaints() + watch.outside
        watch.context.close()
    return wrong


@pytest.mark.parametrize("state", STATES)
def test_pages_are_accessible_clean_and_never_too_wide(states: dict[str, State], browser: Any, state: str) -> None:
    """Each page in two of the four states; the scheme, the width and the language turn with page and state."""
    turn = STATES.index(state)
    mine = [(place, address) for place, address in enumerate(states[state].pages) if (place + turn) % 2 == 0]
    wrong = []
    for number, locale in enumerate(LOCALES):
        plan = [
            (address, [LOOKS[(place // 2 + turn) % 4]])
            for place, address in mine
            if (place // 4 + turn // 2) % 2 == number
        ]
        wrong += visit(browser, states[state], locale, plan)
    assert wrong == []


@pytest.mark.ci
@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("state", STATES)
def test_every_page_in_every_way(states: dict[str, State], browser: Any, state: str, locale: str) -> None:
    assert visit(browser, states[state], locale, [(address, LOOKS) for address in states[state].pages]) == []


@pytest.mark.parametrize("state", ["year", "empty"])
def test_without_a_script_every_page_says_the_same(states: dict[str, State], browser: Any, state: str) -> None:
    one = states[state]
    plain, full = Watched(browser, java_script_enabled=False), Watched(browser)
    for watched in (plain, full):
        watched.log_in(one.served.url)
    for address in one.pages:
        if address == "/sessions":  # it says which of the sessions is the reader's own: two readers, two texts
            continue
        texts = []
        for watched in (plain, full):
            watched.open(one.served.url + address)
            text = watched.page.inner_text("main")
            # Figures of this very second differ from one second to the next.
            live = watched.page.inner_text("#live") if address == "/" else ""
            texts.append(" ".join(text.replace(live, "").split()))
        assert texts[0] == texts[1], address
        assert len(texts[0]) > 30, address
    for watched in (plain, full):
        watched.context.close()


def test_old_figures_are_never_green(states: dict[str, State], browser: Any) -> None:
    """An hour after the last cycle no page of the machine's state shows the badge of health."""
    watched = Watched(browser)
    for address in ("/", "/incidents", "/users", f"/incidents/{newest_open(states['stale'].served.path)}"):
        watched.open(states["stale"].served.url + address)
        assert watched.page.locator(".badge-ok, .banner-ok").count() == 0, address
    watched.context.close()


def newest_open(path: str) -> int:
    with database.reader(path) as db:
        return next(one.id for one in incidents.recent(db, 1) if one.state == "open")


def test_the_open_incident_of_the_small_machine_is_there(states: dict[str, State]) -> None:
    assert newest_open(states["open"].served.path)
    assert states["open"].served.app.config["VIGIE_CLOCK"]() == NOW
