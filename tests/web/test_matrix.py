"""Every page in a real Chromium: in every state of the machine, light and dark, wide and narrow, French and English.

A choice in which any two of page, state, look and language meet (tests/web/matrix.py): a third of it in tests/run.sh,
the whole of it with TESTS_TIER=ci. All combinations are visited by tests/full/matrix.py.
"""

import os
import re
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import pytest

from archive import database, incidents
from tests.web import matrix
from tests.web.browsing import AXE, CHROMIUM, Watched
from tests.web.matrix import LOCALES, LOOKS, STATES, State

pytestmark = [
    pytest.mark.needs_browser,
    pytest.mark.skipif(not os.path.exists(CHROMIUM), reason="needs /usr/bin/chromium"),
    pytest.mark.skipif(not os.path.exists(AXE), reason="needs axe-core: npm ci --prefix tests/browser"),
]


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory, a_year: str) -> Iterator[dict[str, State]]:
    with matrix.states(str(tmp_path_factory.mktemp("states")), a_year) as found:
        yield found


def test_every_address_with_a_part_to_fill_in_has_an_example(states: dict[str, State]) -> None:
    assert matrix.lacking(states["year"].served.app) == [], "give each of these an example in EXAMPLES"
    assert len(states["year"].pages[matrix.ADMIN]) >= 28


def kind(address: str) -> str:
    """The page, whatever the number of the incident or the name of the user: each state has its own."""
    return re.sub(r"^/(incidents|users)/\w+$", r"/\1/one", address)


def test_any_two_of_page_state_look_and_language_meet(states: dict[str, State]) -> None:
    usual = {
        name: one._replace(pages={matrix.ADMIN: one.pages[matrix.ADMIN]})
        for name, one in states.items()
        if name in STATES
    }
    # The same addresses in each state but for the number of the incident and the user's name.
    chosen = [
        (
            STATES.index(view.state),
            usual[view.state].pages[matrix.ADMIN].index(view.address),
            (view.width, view.scheme),
            view.locale,
        )
        for view in matrix.pairs(usual)
    ]
    pages = range(len(usual["year"].pages[matrix.ADMIN]))
    parts: list[list[Any]] = [[*range(len(STATES))], [*pages], [*LOOKS], [*LOCALES]]
    for one, other in combinations(range(4), 2):
        met = {(row[one], row[other]) for row in chosen}
        assert len(met) == len(parts[one]) * len(parts[other]), (one, other)
    thirds = [matrix.pairs(states, part, 3) for part in range(3)]
    for third in thirds:
        assert {kind(view.address) for view in third} >= {kind(one) for one in states["year"].pages[matrix.ADMIN]}
    assert sorted(view for third in thirds for view in third) == sorted(matrix.pairs(states))


def test_pages_are_accessible_clean_never_too_wide_and_whole_without_a_script(
    states: dict[str, State], browser: Any
) -> None:
    found = matrix.visit(browser, states, matrix.pairs(states, 0, 3))
    assert found.wrong == []
    assert found.views >= 50


@pytest.mark.ci
@pytest.mark.parametrize("part", [1, 2])
def test_so_are_the_other_two_thirds(states: dict[str, State], browser: Any, part: int) -> None:
    assert matrix.visit(browser, states, matrix.pairs(states, part, 3)).wrong == []


def test_what_is_wrong_is_found(states: dict[str, State], browser: Any) -> None:
    """The check itself: a page with a picture without words, a line too long, and a message on the console."""
    app = states["open"].served.app
    real = app.view_functions["about.page"]
    bad = '<img src="/static/favicon-ok.svg"><pre id="long">' + "x" * 300 + "</pre></main>"
    app.view_functions["about.page"] = lambda: (
        str(real()).replace("</main>", bad).replace('class="tabs"', 'style="color:red"')
    )
    try:
        view = matrix.View("open", matrix.STRANGER, "/about", "fr-FR", 1280, "light")
        told = "\n".join(matrix.visit(browser, states, [view]).wrong)
    finally:
        app.view_functions["about.page"] = real
    assert "image-alt" in told
    assert "Content Security Policy" in told


def test_old_figures_are_never_green(states: dict[str, State], browser: Any) -> None:
    """An hour after the last cycle no page of the machine's state shows the badge of health, nor a chip in its colour."""
    one = states["stale"]
    watched = Watched(browser)
    known = matrix.examples(one.served.path)
    for address in ("/", "/incidents", "/users", "/users/alice", f"/incidents/{known['incident']}"):
        watched.open(one.served.url + address)
        assert watched.page.locator(".badge-ok, .banner-ok").count() == 0, address
        chips = watched.page.locator(".in").evaluate_all("all => all.map(e => getComputedStyle(e).color)")
        assert not any(colour == "rgb(10, 107, 82)" for colour in chips), address
    watched.context.close()


def test_the_open_incident_of_the_small_machine_is_there(states: dict[str, State]) -> None:
    with database.reader(states["open"].served.path) as db:
        assert next(one.id for one in incidents.recent(db, 1) if one.state == "open")
