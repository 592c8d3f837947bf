"""What the hourly step costs when there is nothing new: a local server, a first round, then rounds that change nothing.

    python -m bench.certfr_hour [--avis 1200] [--alerts 3] [--rounds 3]

The step is the one that runs on a machine: `python -m web certfr refresh --quiet`, a process of its own, against a real HTTP
server that answers 304 where it is asked conditionally. CPU is user plus system of that process and of its children.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

from archive import database
from archive.certfr import document, store
from archive.settings import ROOT

START = 1_795_221_000  # 20 November 2026
LIMIT = 0.3  # seconds of CPU


class Site(BaseHTTPRequestHandler):
    """Indexes of the whole history and a few alerts in force; everything has an ETag."""

    protocol_version = "HTTP/1.1"
    alerts: ClassVar[int] = 3
    avis: ClassVar[int] = 1200
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        body = self.body()
        tag = f'"{len(body)}"'
        if self.headers.get("If-None-Match") == tag:
            self.send_response(304)
            self.send_header("ETag", tag)
            self.end_headers()
            return
        self.send_response(200 if body else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", tag)
        self.end_headers()
        self.wfile.write(body)

    def body(self) -> bytes:
        kind, reference = [*self.path.split("/"), "", ""][1:3]
        if self.path in ("/alerte/json/", "/avis/json/"):
            return json.dumps([entry(kind, each) for each in references(kind, self.alerts, self.avis)]).encode()
        return json.dumps(publication(reference)).encode() if self.path.endswith("/json/") else b""

    def log_message(self, *_words: object) -> None:
        pass


def references(kind: str, alerts: int, avis: int) -> list[str]:
    """The newest are of this year; 17,000 older ones stand in the index of avis, as on the site."""
    if kind == "alerte":
        return [f"CERTFR-2026-ALE-{number:03d}" for number in range(1, alerts + 1)]
    old = [f"CERTFR-20{year:02d}-AVI-{number:03d}" for year in range(6, 23) for number in range(1, 1000)]
    return old + [f"CERTFR-2026-AVI-{number:04d}" for number in range(1, avis + 1)]


def entry(kind: str, reference: str) -> dict[str, str]:
    day = "2026-09-01" if "-2026-" in reference else f"{reference[7:11]}-01-01"
    return {
        "reference": reference,
        "json_url": f"/{kind}/{reference}/json/",
        "last_revision_date": f"{day}T00:00:00.000000",
    }


def publication(reference: str) -> dict[str, object]:
    made: dict[str, object] = {
        "reference": reference,
        "title": "Essai",
        "summary": "Essai. " * 100,
        "content": "## Solution\n\nEssai.",
        "affected_systems": [
            {
                "description": "FortiOS versions antérieures à 7.1",
                "product": {"name": "FortiOS", "vendor": {"name": "Fortinet", "scada": False}},
            }
        ],
        "affected_systems_content": "",
        "cves": [],
        "risks": [],
        "vendor_advisories": [],
        "links": [],
        "revisions": [{"description": "Version initiale", "revision_date": "2026-09-01T00:00:00.000000"}],
    }
    return made | {"closed_at": None} if "-ALE-" in reference else made


def fill(data: str, alerts: int, avis: int) -> None:
    database.create(data, "0" * 32, "bench", "", START - 86_400)
    with database.writer(data) as db, database.transaction(db):
        for kind in ("alerte", "avis"):
            for reference in references(kind, alerts, avis):
                if "-2026-" in reference:
                    found = document.from_json(json.dumps(publication(reference)).encode())
                    store.put(db, found, START - 7200, told=True)


def step(data: str, url: str, now: int) -> float:
    """One hourly step in a process of its own: its CPU seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("VIGIE_")}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)  # modules are compiled once on a machine, not every hour
    environ |= {
        "VIGIE_DATA": data,
        "VIGIE_NOW": str(now),
        "VIGIE_CERTFR_URL": url,
        "PYTHONPYCACHEPREFIX": f"{data}/../cache",
    }
    subprocess.run([sys.executable, "-m", "web", "certfr", "refresh", "--quiet"], check=True, cwd=ROOT, env=environ)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main(argv: Sequence[str] | None = None) -> int:
    options = argparse.ArgumentParser(description="What the hourly step costs when there is nothing new.")
    options.add_argument("--avis", type=int, default=1200)
    options.add_argument("--alerts", type=int, default=3)
    options.add_argument("--rounds", type=int, default=3)
    asked = options.parse_args(argv)
    Site.alerts, Site.avis = asked.alerts, asked.avis
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    with tempfile.TemporaryDirectory(prefix="certfr-hour-") as folder:
        data = os.path.join(folder, "data")
        os.mkdir(data, 0o700)
        fill(data, asked.alerts, asked.avis)
        print(f"first step, all of it to decide: {step(data, url, START):.2f} s of CPU")
        costs = []
        for number in range(1, asked.rounds + 1):
            Site.asked.clear()
            costs.append(step(data, url, START + number * 3660))
            print(f"hour {number}, nothing new: {costs[-1]:.2f} s of CPU, {len(Site.asked)} requests")
    server.shutdown()
    print(f"median {sorted(costs)[len(costs) // 2]:.2f} s; the limit is {LIMIT} s")
    return 0 if sorted(costs)[len(costs) // 2] < LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
