"""Lighthouse over the pages of a year's data: performance, accessibility, best practices, 0 to 100.

.venv-dev/bin/python -m tests.web.lighthouse        a table of every page, on a phone and at a desk (about 15 s a run)
"""

import json
import os
import subprocess
import sys
import tempfile
from typing import NamedTuple

from archive.settings import ROOT
from tests.web import browsing, site, year

COMMAND = os.path.join(ROOT, "tests/browser/node_modules/.bin/lighthouse")
CATEGORIES = ("performance", "accessibility", "best-practices")
SHAPES = ("mobile", "desktop")
PAGES = ("/", "/users", "/users/alice", "/incidents", "/incidents/31", "/security", "/security/CERTFR-2026-ALE-990", "/thresholds",
         "/graphs/", "/graphs/cpu_busy_seconds_total?period=1y", "/about", "/login")  # fmt: skip


class Scores(NamedTuple):
    """Of one run; `below` names what was not perfect."""

    performance: int
    accessibility: int
    best_practices: int
    below: tuple[str, ...]


def run(url: str, shape: str, tries: int = 3) -> Scores:
    """One run of Lighthouse, in a Chromium of its own. Where its own trace failed it measured nothing, and says so: again."""
    for left in reversed(range(tries)):
        try:
            return _run(url, shape)
        except NoTraceError:
            if not left:
                raise
    raise AssertionError("no try was asked for")


class NoTraceError(AssertionError):
    """Chromium gave Lighthouse no trace of the page (NO_NAVSTART and its kind): no score was taken."""


NO_TRACE = ("NO_NAVSTART", "NO_TRACING_STARTED", "NO_RESOURCE_REQUEST")


def _run(url: str, shape: str) -> Scores:
    with tempfile.TemporaryDirectory() as scratch:
        out = os.path.join(scratch, "report.json")
        done = subprocess.run(
            [COMMAND, url, "--quiet", "--output=json", f"--output-path={out}", f"--only-categories={','.join(CATEGORIES)}",
             "--no-enable-error-reporting", *(["--preset=desktop"] if shape == "desktop" else []),
             f"--chrome-flags={' '.join(browsing.FLAGS)}"],
            env={**os.environ, "CHROME_PATH": browsing.CHROMIUM}, check=False, capture_output=True, text=True, timeout=240,
        )  # fmt: skip
        if done.returncode and any(word in done.stderr for word in NO_TRACE):
            raise NoTraceError(f"lighthouse {url}: {done.stderr[-2000:]}")
        assert done.returncode == 0, f"lighthouse {url}: {done.stderr[-2000:]}"
        with open(out, encoding="utf-8") as file:
            told = json.load(file)
    assert not told.get("runtimeError"), told["runtimeError"]
    return _scores(told)


def _scores(told: dict) -> Scores:  # type: ignore[type-arg]
    scores = [round(100 * told["categories"][name]["score"]) for name in CATEGORIES]
    below = []
    for name in CATEGORIES:
        for part in told["categories"][name]["auditRefs"]:
            audit = told["audits"][part["id"]]
            if part["weight"] and audit["score"] is not None and audit["score"] < 0.95:
                below.append(f"{part['id']} {audit.get('displayValue', '')}".strip())
    return Scores(*scores, tuple(below))


def best(url: str, shape: str, tries: int = 3) -> Scores:
    """The best of a few runs by performance: on a shared machine one run measures its neighbours."""
    found: Scores | None = None
    for _ in range(tries):
        seen = run(url, shape)
        if found is None or seen.performance > found.performance:
            found = seen
        if found.performance == 100:
            break
    assert found
    return found


def main() -> int:
    with tempfile.TemporaryDirectory() as scratch:
        data = os.path.join(scratch, "year")
        year.build(data, year.LIGHT)
        served = browsing.Served(data, app=site.site(data, lambda: year.NOW + 20))
        for page in sys.argv[1:] or PAGES:
            for shape in SHAPES:
                seen = best(served.url + page, shape)
                print(f"{page:45} {shape:8} {seen[0]:4} {seen[1]:4} {seen[2]:4}  {'; '.join(seen.below)}", flush=True)
        served.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
