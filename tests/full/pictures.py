"""The pictures of the README: a made-up day of a shared machine, archived and judged by the product itself, shown by its
own dashboard in Chromium.

    .venv-dev/bin/python tests/full/pictures.py [FOLDER]      (default: docs/img)
"""

import glob
import io
import json
import math
import os
import random
import sys
import tempfile
import threading

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, ROOT)

from alerts import cycle as step  # noqa: E402
from archive import database, settings  # noqa: E402
from archive.certfr import document, machine, store  # noqa: E402
from archive.certfr.verdict import Verdict, reason  # noqa: E402
from tests import cycles  # noqa: E402

NOW = 1_795_428_780  # 2026-11-23 10:13 UTC
HOURS = 30
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
PEOPLE = {"alice": (0.04, 1.9e9, 41), "bruno": (0.02, 0.8e9, 18), "chloe": (0.01, 2.6e9, 27), "david": (0.0, 0.2e9, 6)}
HOMES = {"alice": 61e9, "bruno": 12e9, "chloe": 148e9, "david": 3.1e9}


def comments(probe: str) -> str:
    """What the real probe says of its metrics: names in two languages, levels."""
    path = glob.glob(f"{ROOT}/tests/probes/golden/{probe}.*prom")[0]
    with open(path, encoding="utf-8") as file:
        return "".join(line for line in file if line.startswith("# "))


class Machine:
    """Thirty hours: the curve of the day, a backup at night, a job of alice's since half past nine, a disk that fills."""

    def __init__(self) -> None:
        self.random = random.Random(7)
        self.busy = self.waiting = 0.0
        self.cpu = dict.fromkeys(PEOPLE, 0.0)
        self.said = {
            name: comments(name) for name in ("cpu", "memory", "disk", "processes", "users", "load", "uptime", "homes")
        }

    def sections(self, at: int) -> dict[str, str]:
        hour = (at + 3600) % 86_400 / 3600
        day = max(0.0, math.sin((hour - 7) / 12 * math.pi)) if 7 < hour < 19 else 0.0
        cpu = 0.06 + 0.28 * day + self.random.uniform(-0.02, 0.05)
        if 2 <= hour < 2.6:
            cpu += 0.5
        held = at > NOW - 44 * 60
        if held:
            cpu = 0.985 + self.random.uniform(-0.01, 0.01)
        cpu = min(0.999, max(0.01, cpu))
        self.busy += 60 * cpu
        memory = 0.38 + 0.14 * day + (0.08 if held else 0) + self.random.uniform(-0.004, 0.004)
        disk = 0.68 + 0.19 * (at - (NOW - HOURS * 3600)) / (HOURS * 3600)
        rows = []
        for name, (share, resident, processes) in PEOPLE.items():
            used = 3.1 if held and name == "alice" else share * (1 + 6 * day) + self.random.uniform(0, 0.02)
            self.cpu[name] += 60 * used
            rows.append(f'user_cpu_seconds_total{{user="{name}"}} {self.cpu[name]:.2f}')
            rows.append(f'user_memory_bytes{{user="{name}"}} {resident * (1 + 0.2 * day):.0f}')
            rows.append(f'user_memory_ratio{{user="{name}"}} {resident * (1 + 0.2 * day) / 16e9:.4f}')
            rows.append(f'user_processes{{user="{name}"}} {processes + int(8 * day)}')
        size = 480e9
        values = {
            "cpu": f"cpu_busy_seconds_total {self.busy:.2f}\ncpu_cores 4",
            "memory": f"memory_available_ratio {1 - memory:.4f}\nmemory_used_ratio {memory:.4f}\n"
            f"memory_available_bytes {16e9 * (1 - memory):.0f}\nmemory_size_bytes 16000000000",
            "disk": f'disk_used_ratio{{mount="/"}} 0.4120\ndisk_available_bytes{{mount="/"}} 58000000000\n'
            f'disk_used_ratio{{mount="/home"}} {disk:.4f}\ndisk_available_bytes{{mount="/home"}} {size * (1 - disk):.0f}',
            "processes": "\n".join(rows),
            "users": "users_logged_in 2\n"
            + "\n".join(f'login_info{{user="{who}",tty="pts/{n}",from="192.0.2.{n + 4}",since="{NOW - 5400 * (n + 1)}"}} 1'
                        for n, who in enumerate(("alice", "chloe"))),
            "load": f'load_average{{window="1m"}} {4 * cpu:.2f}',
            "uptime": f"uptime_seconds {at - cycles.BOOTED}",
            "homes": "\n".join(f'user_home_bytes{{user="{who}"}} {size:.0f}' for who, size in HOMES.items()),
        }  # fmt: skip
        return {name: f"{self.said[name]}{value}\n" for name, value in values.items()}


def publication(reference: str, title: str, day: str, *, is_open: bool) -> document.Document:
    made = {
        "reference": reference, "title": title, "summary": "", "content": "", "affected_systems": [],
        "affected_systems_content": "", "cves": [], "risks": [], "vendor_advisories": [], "links": [],
        "revisions": [{"description": "Version initiale", "revision_date": f"{day}T00:00:00.000000"}],
        "closed_at": None if is_open else "2026-11-12",
    }  # fmt: skip
    return document.from_json(json.dumps(made).encode())


def build(data: str) -> settings.Settings:
    """The data folder of that machine."""
    os.makedirs(data, mode=0o700)
    database.create(data, "0" * 32, "srv-labo", "", NOW - HOURS * 3600)
    config = settings.load({"VIGIE_DATA": data, "VIGIE_TIMEZONE": "Europe/Paris"})
    told = Machine()
    for at in range(NOW - HOURS * 3600, NOW + 1, 60):
        cycles.write(data, at, told.sections(at))
    step.run(config, NOW)
    with database.writer(data) as db, database.transaction(db):
        for reference, title, day, is_open in (
            ("CERTFR-2026-ALE-914", "Vulnérabilité dans OpenSSH", "2026-11-21", True),
            ("CERTFR-2026-ALE-912", "Vulnérabilité dans un pare-feu du commerce", "2026-11-09", True),
            ("CERTFR-2026-ALE-911", "Vulnérabilité dans un logiciel de messagerie", "2026-10-02", False),
        ):
            store.put(db, publication(reference, title, day, is_open=is_open), NOW - 1800, told=True)
        ids = dict(db.execute("SELECT reference, id FROM advisory"))
        absent = Verdict("not_affected", "", "", reason("no_product"))
        behind = reason(
            "tracker_behind", version="1:9.2p1-2+deb12u7", cve="CVE-2026-99914", suite="bookworm", source="openssh"
        )
        here = Verdict("affected", "openssh-server", "1:9.2p1-2+deb12u6", behind)
        decided = [(ids["CERTFR-2026-ALE-914"], 1, here, "1:9.2p1-2+deb12u7")]
        decided += [(ident, 1, absent, "") for name, ident in ids.items() if not name.endswith("914")]
        machine.store(db, 1, decided, NOW - 1700)
        db.execute("INSERT INTO reading (source, url, etag, last_modified, digest, listed, read_at, ok_at, first_ok_at, error,"
                   " backoff, done, total) VALUES ('round', '', '', '', '', 3, ?, ?, ?, '', 0, 3, 3)",
                   (NOW - 1800, NOW - 1800, NOW - 86_400 * 9))  # fmt: skip
    return config


def shoot(url: str, folder: str) -> None:
    from PIL import Image
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        for name, path, width, height, scheme, whole in (
            ("overview", "/", 1280, 960, "light", False),
            ("overview-dark", "/", 1280, 960, "dark", False),
            ("phone", "/", 390, 844, "light", False),
            ("graph", "/graphs/disk_used_ratio?period=24h", 1280, 760, "light", False),
            ("users", "/users", 1280, 800, "light", False),
            ("thresholds", "/thresholds", 1280, 860, "light", False),
            ("incident", "/incidents", 1280, 700, "light", False),
            ("security", "/security", 1280, 760, "light", False),
        ):
            context = browser.new_context(
                viewport={"width": width, "height": height}, color_scheme=scheme, locale="fr-FR", is_mobile=width < 500
            )
            page = context.new_page()
            page.goto(url + path, wait_until="load")
            page.wait_for_timeout(500)
            shot = Image.open(io.BytesIO(page.screenshot(full_page=whole))).convert("RGB")
            shot.quantize(128).save(os.path.join(folder, f"{name}.png"), optimize=True)
            context.close()
        browser.close()


def main() -> int:
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(ROOT, "docs", "img")
    os.makedirs(folder, exist_ok=True)
    import waitress

    from web import create_app

    with tempfile.TemporaryDirectory() as scratch:
        config = build(os.path.join(scratch, "data"))
        server = waitress.create_server(create_app(config, now=lambda: NOW + 20), host="127.0.0.1", port=0)
        threading.Thread(target=server.run, daemon=True).start()
        shoot(f"http://localhost:{server.effective_port}", folder)
        server.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
