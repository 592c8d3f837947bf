"""The pictures of the README: a year of a shared machine (tests/web/year.py), archived and judged by the product itself,
shown by its own dashboard in Chromium.

    .venv-dev/bin/python tests/full/pictures.py [FOLDER]      (default: docs/img; about two minutes)
"""

import io
import os
import sys
import tempfile
from typing import Any, NamedTuple

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, ROOT)

from archive import database, incidents  # noqa: E402
from tests.web import browsing, site, year  # noqa: E402
from web import live  # noqa: E402

COLOURS = 256  # of a picture: sharp letters, a third of the bytes


class Shot(NamedTuple):
    """One picture, of what a window of this size shows."""

    name: str
    path: str
    width: int = 1280
    height: int = 900
    scheme: str = "light"


def the_machine_of_the_year() -> live.Now:
    """The figures of this second, of the machine that is shown: those of the one that draws have no place beside it."""
    return live.Now(cpu=0.995, memory=0.58, memory_size=int(16e9), swap=None, load=3.98, cores=4, users=4)


def shots(held: int) -> list[Shot]:
    """`held`: the number of the incident that is open."""
    return [
        Shot("overview", "/", height=1130),
        Shot("overview-dark", "/", height=1130, scheme="dark"),
        Shot("phone", "/", 390, 844),
        Shot("phone-dark", f"/incidents/{held}", 390, 844, "dark"),
        Shot("users", "/users", height=1080),
        Shot("incident", f"/incidents/{held}", height=1430),
        Shot("graph", "/graphs/disk_used_ratio?period=1y&line={home}", height=760),
        Shot("security", "/security", height=760),
        Shot("thresholds", "/thresholds", height=860),
    ]


def shoot(browser: Any, url: str, shot: Shot, folder: str) -> None:
    from PIL import Image

    watched = browsing.Watched(browser, shot.width, shot.scheme, is_mobile=shot.width < 500)
    watched.log_in(url)
    watched.page.set_viewport_size({"width": shot.width, "height": shot.height})
    watched.open(url + shot.path)
    watched.page.wait_for_timeout(400)
    picture = Image.open(io.BytesIO(watched.page.screenshot())).convert("RGB")
    # By coverage: the few pixels of a badge keep their green and their red.
    picture.quantize(COLOURS, Image.Quantize.MAXCOVERAGE, kmeans=1).save(
        os.path.join(folder, f"{shot.name}.png"), optimize=True
    )
    assert watched.complaints() == [], watched.complaints()
    watched.context.close()


def main() -> int:
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(ROOT, "docs", "img")
    os.makedirs(folder, exist_ok=True)
    live.now = the_machine_of_the_year
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as scratch:
        data = os.path.join(scratch, "data")
        year.build(data)
        site.add_person(data)
        with database.reader(data) as db:
            held = next(one.id for one in incidents.live(db, 1) if one.kind == "threshold" and one.opened_at)
            home = incidents.series_id(db, 1, "disk_used_ratio", '{"mount":"/home"}')
        served = browsing.Served(data, app=site.site(data, lambda: year.NOW + 20))
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path=browsing.CHROMIUM, args=browsing.FLAGS)
            for shot in shots(held):
                shoot(browser, served.url, shot._replace(path=shot.path.format(home=home)), folder)
            browser.close()
        served.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
