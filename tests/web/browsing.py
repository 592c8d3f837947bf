"""A real Chromium before the real application: what a page is, says and weighs."""

import os
import re
import threading
import time
from typing import Any

import waitress
from flask import Flask

from archive.settings import ROOT
from tests.web import site
from tests.web.site import NOW, PASSWORD

CHROMIUM = "/usr/bin/chromium"
AXE = os.path.join(ROOT, "tests/browser/node_modules/axe-core/axe.min.js")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", "--no-first-run"]  # fmt: skip
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


class Served:
    """The application behind the real server, in a thread."""

    def __init__(self, path: str, at: int = NOW, app: Flask | None = None) -> None:
        self.path = path
        self.app = app or site.site(path, lambda: at)
        self.server = waitress.create_server(self.app, host="127.0.0.1", port=0, threads=4, ident=None)
        self.url = f"http://localhost:{self.server.effective_port}"
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.server.close()


class Watched:
    """A page of its own, with everything that its console says."""

    def __init__(
        self, browser: Any, width: int = 1280, scheme: str = "light", locale: str = "fr-FR", **more: Any
    ) -> None:
        self.context = browser.new_context(
            viewport={"width": width, "height": 844 if width < 500 else 800}, color_scheme=scheme, locale=locale, **more
        )
        self.looks = (width, scheme)
        self.page = self.context.new_page()
        self.said: list[str] = []
        self.outside: list[str] = []
        self.page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.said.append(f"error: {error}"))
        self.page.on("request", lambda asked: self.outside.append(asked.url) if "localhost" not in asked.url else None)

    def open(self, url: str) -> Any:
        return self.page.goto(url, wait_until="load")

    def log_in(self, url: str, name: str = "admin") -> None:
        self.open(f"{url}/login")
        self.page.fill("#name", name)
        self.page.fill("#password", PASSWORD)
        self.page.click("button.main")

    def complaints(self) -> list[str]:
        """Everything but Chromium's own note that a page answered 403, 404 or 503."""
        return [said for said in self.said if not re.search(r"the server responded with a status of [45]\d\d", said)]

    def look(self, width: int, scheme: str) -> None:
        """The same document at another width, in another scheme."""
        if (width, scheme) != self.looks:
            self.page.set_viewport_size({"width": width, "height": 844 if width < 500 else 800})
            self.page.emulate_media(color_scheme=scheme)
            self.looks = (width, scheme)

    def violations(self) -> list[str]:
        """What axe finds; its source enters a document once. After a click the next document may still be on its way."""
        self.page.wait_for_load_state("load")
        if not self.page.evaluate("'axe' in window"):
            with open(AXE, encoding="utf-8") as file:
                self.page.evaluate(file.read())
        found = self.page.evaluate(
            f"axe.run(document, {{runOnly: {RULES}, resultTypes: ['violations']}}).then(r => [r.passes.length, r.violations])"
        )
        assert found[0] > 10, "axe looked at nothing"
        return [f"{one['id']}: {one['nodes'][0]['html'][:200]} ({len(one['nodes'])})" for one in found[1]]

    def wait(self, question: str, seconds: float = 20.0) -> None:
        """Ask until the answer is yes. Playwright's own waiting evaluates a string in the page, which the policy refuses."""
        deadline = time.monotonic() + seconds
        while not self.page.evaluate(question):
            assert time.monotonic() < deadline, f"never came true: {question}"
            self.page.wait_for_timeout(100)

    def overflow(self) -> int:
        return int(self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))
