"""For the tests behind real servers: a folder that other users can enter, a certificate, a real browser."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from typing import Any

import pytest

from tests.servers import tls


@pytest.fixture(scope="module")
def folder() -> Iterator[str]:
    """pytest's own folders are closed to other users."""
    made = tempfile.mkdtemp(prefix="vigie-servers-")
    os.chmod(made, 0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(scope="module")
def certificate(folder: str) -> tuple[str, str, str]:
    return tls.certificate(folder)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A function: port -> a page of Chromium for which vigie.example.org is that port of this machine."""
    from playwright.sync_api import sync_playwright

    from tests.web import browsing

    started: list[Any] = []
    with sync_playwright() as playwright:

        def page(port: int) -> Any:
            rules = f"--host-resolver-rules=MAP {tls.NAME}:443 127.0.0.1:{port}"
            browser = playwright.chromium.launch(executable_path=browsing.CHROMIUM, args=[*browsing.FLAGS, rules])
            started.append(browser)
            # The authority is not Chromium's; the other tests check the certificate.
            return browser.new_context(ignore_https_errors=True).new_page()

        yield page
        for browser in started:
            browser.close()
