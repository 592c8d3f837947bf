"""`vigie ping`: tells an outside watcher (healthchecks.io and its self-hosted twin) that a cycle was good, began or failed."""

import argparse

from archive import settings
from web.commands import _terminal

HELP = ""  # run_all.sh calls it
SECONDS = 10


def run(argv: list[str]) -> int:
    """GET VIGIE_PING_URL, with /start or /fail appended. An answer other than 2xx is said and nothing more is done."""
    parser = argparse.ArgumentParser(prog="vigie ping")
    parser.add_argument("moment", choices=("good", "start", "fail"), nargs="?", default="good")
    asked = parser.parse_args(argv)
    url = settings.load().ping_url
    if not url:
        return 0
    import requests

    base, mark, query = url.partition("?")
    suffix = "" if asked.moment == "good" else f"/{asked.moment}"
    session = requests.Session()
    session.trust_env = False
    try:
        answer = session.get(f"{base}{suffix}{mark}{query}", timeout=SECONDS, allow_redirects=False, stream=True)
        answer.close()
    except requests.RequestException as error:
        # The address is the watcher's key: it stays out of the log.
        _terminal.complain(f"VIGIE_PING_URL: no answer ({type(error).__name__})")
        return 1
    if not 200 <= answer.status_code < 300:
        _terminal.complain(f"VIGIE_PING_URL: answered {answer.status_code}")
        return 1
    return 0
