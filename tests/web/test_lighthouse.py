"""Lighthouse: 100 for accessibility and best practices; performance is noisy on a shared machine, so the best of three,
and .ci/run lets nothing of its own run beside it."""

import os
from collections.abc import Iterator

import pytest

from tests.web import lighthouse, year
from tests.web.browsing import CHROMIUM, Served

pytestmark = [
    pytest.mark.ci,
    pytest.mark.alone,
    pytest.mark.needs_browser,
    pytest.mark.skipif(not os.path.exists(CHROMIUM), reason="needs /usr/bin/chromium"),
    pytest.mark.skipif(
        not os.path.exists(lighthouse.COMMAND), reason="needs lighthouse: npm ci --prefix tests/browser"
    ),
]


@pytest.fixture(scope="module")
def served(a_year: str) -> Iterator[Served]:
    one = Served(a_year, year.NOW + 20)
    yield one
    one.close()


@pytest.mark.parametrize("shape", lighthouse.SHAPES)
def test_the_overview_is_perfect(served: Served, shape: str) -> None:
    seen = lighthouse.best(f"{served.url}/", shape)
    assert seen[:3] == (100, 100, 100), seen.below


@pytest.mark.parametrize(
    "page",
    ["/users", "/security", "/graphs/cpu_busy_seconds_total?period=1y", "/thresholds"],
    ids=lambda page: page[1:6],
)
def test_the_other_pages_nearly_are(served: Served, page: str) -> None:
    seen = lighthouse.best(served.url + page, "mobile")
    assert seen.performance >= 98, seen.below
    assert seen[1:3] == (100, 100), seen.below
