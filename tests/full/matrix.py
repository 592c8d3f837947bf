"""The whole matrix: every page, state, reader, look and language, in Chromium with axe; nothing is left out.

    .venv-dev/bin/python tests/full/matrix.py [STATE...]      (default: all; several minutes a state)

Prints one row of a table a state (docs/dashboard.md keeps what was seen), then what is wrong. Exit status 1 when anything is.
"""

import logging
import os
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, ROOT)

from tests.web import browsing, matrix, site, year  # noqa: E402

HEAD = "| state | pages loaded | with axe | violations, messages, overflows, differences | seconds |\n|---|---|---|---|---|"


def main() -> int:
    from playwright.sync_api import sync_playwright

    wanted = sys.argv[1:] or [*matrix.STATES, matrix.NEW, matrix.AWAY, matrix.FLEET]
    logging.disable(logging.CRITICAL)  # the mistakes made on purpose
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as play:
        made = os.path.join(scratch, "year")
        year.build(made, year.LIGHT)
        site.add_person(made)
        browser = play.chromium.launch(executable_path=browsing.CHROMIUM, args=browsing.FLAGS)
        with matrix.states(os.path.join(scratch, "states"), made) as states:
            print(HEAD, flush=True)
            for name in wanted:
                began = time.monotonic()
                found = matrix.visit(
                    browser, states, [view for view in matrix.everything(states) if view.state == name]
                )
                spent = time.monotonic() - began
                print(f"| {name} | {found.pages} | {found.views} | {len(found.wrong)} | {spent:.0f} |", flush=True)
                wrong += found.wrong
        browser.close()
    print(*wrong, sep="\n")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
