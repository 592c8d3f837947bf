"""Nothing comes in any more: cron is dead (P26), or the machine slept for three days (P27). Who looks is told, nothing is made up."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from alerts import cycle
from archive import database, incidents, outbox, purge, read, upkeep
from tests import cycles
from tests.cycles import ROOT
from tests.faults.home import Home
from tests.web import site
from tests.web.site import NOW

DAY = 86_400


class Watcher(ThreadingHTTPServer):
    """The outside: counts what it hears."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.heard: list[str] = []


class _Handler(BaseHTTPRequestHandler):
    server: Watcher

    def do_GET(self) -> None:
        self.server.heard.append(self.path)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def watcher() -> Iterator[Watcher]:
    found = Watcher()
    thread = threading.Thread(target=found.serve_forever, args=(0.02,))
    thread.start()
    yield found
    found.shutdown()
    thread.join()
    found.server_close()


def test_p26_when_cron_is_dead_the_page_the_watcher_and_doctor_say_so(tmp_path: Path) -> None:
    data = site.filled(str(tmp_path / "data"), 20)
    alive = site.site(data, lambda: NOW + 60).test_client()
    assert alive.get("/healthz").status_code == 200
    assert 'class="badge badge-unknown"' not in alive.get("/").text
    dead = site.site(data, lambda: NOW + 900).test_client()
    answer = dead.get("/healthz")
    assert (answer.status_code, answer.json) == (503, {"status": "stale", "age_seconds": 900})
    page = dead.get("/", headers={"Accept-Language": "en"}).text
    assert "15 min" in re.sub(r"\s+", " ", page).replace("\u202f", " ").replace("\xa0", " ")
    assert "favicon-unknown.svg" in page
    said = [
        json.loads(line)
        for line in subprocess.run(
            [sys.executable, "-I", os.path.join(ROOT, "web", "__main__.py"), "doctor", "--json"],
            env={"PATH": "/usr/bin:/bin", "VIGIE_DATA": data, "VIGIE_LANGUAGE": "en", "VIGIE_NOW": str(NOW + 900),
                 "VIGIE_WEB": "0"},
            capture_output=True, text=True, check=False, timeout=120,
        ).stdout.splitlines()
    ]  # fmt: skip
    (stale,) = [one for one in said if one["what"].startswith("no data for")]
    assert (stale["level"], stale["fix"]) == ("mend", "./run_all.sh")


def test_p26_the_outside_hears_of_each_cycle_so_it_notices_when_none_comes(tmp_path: Path, watcher: Watcher) -> None:
    """The ping is part of the cycle, and of nothing else that would go on without it: a dead cron is silence there."""
    home = Home(tmp_path)
    with open(home.data / "settings.env", "a", encoding="ascii") as file:
        file.write(f"VIGIE_PING_URL=http://127.0.0.1:{watcher.server_address[1]}/uuid\n")
    assert home.run() == (0, "", "")
    assert cycles.wait_until(lambda: sorted(watcher.heard) == ["/uuid", "/uuid/start"], 30)
    home.flush()
    before = list(watcher.heard)
    upkeep_alone = subprocess.run(
        [sys.executable, "-m", "archive.upkeep", "--now"], cwd=home.root, env=home.environment(VIGIE_DATA=str(home.data)),
        capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    assert upkeep_alone.returncode == 0
    assert watcher.heard == before


def test_p27_three_days_asleep_are_one_gap_one_mail_and_no_purge(tmp_path: Path) -> None:
    """The same boot before and after: /proc/uptime counts the sleep."""
    data = site.filled(str(tmp_path / "data"), 40)
    config = site.config(data, VIGIE_MAIL_TO="a@example.org")
    woken = NOW + 3 * DAY
    # Upkeep comes before the first cycle after waking, as a hasty cron could have it: nothing may go.
    with database.writer(data) as db, database.transaction(db):
        purge.remember(db, "retention_days", "1", "a test", NOW)
    assert upkeep.run(config, woken) == []
    with database.reader(data) as db:
        assert "ahead of the newest sample" in read.setting(db, "purge_refused")
        line = next(one for one in read.series(db, 1, "load_average") if one.label("window") == "1m")
        assert len(read.samples(db, 1, line, 0, 2**40)) == 40
    for number in range(20):
        at = woken + number * 60
        cycles.write(data, at, cycles.machine(at))
        cycle.run(config, at)
    with database.reader(data) as db:
        found = [one for one in incidents.recent(db, 1, 50) if one.kind == "silent"]
        assert [(one.metric, one.state) for one in found] == [("", "resolved")]
        assert [entry.notification.kind for entry in outbox.ledger(db, 50)] == ["incident"]
        # A gap is a gap: no point stands within it, at any step.
        for step in (60, 300, 3600):
            points = read.points(db, 1, line, NOW - 3600, woken + 1200, step)
            assert [point for point in points if NOW < point.at < woken - step] == []
        assert db.execute("SELECT count(*) FROM cycle").fetchone()[0] == 60
    page = site.site(data, lambda: woken + 1200).test_client().get("/graphs/cpu_busy_seconds_total?period=7d").text
    assert "v-gap" in page


def test_p13_ten_cycles_at_once_are_one(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert home.run()[0] == 0
    home.flush()
    before = len(home.cycles())
    # A gate: whoever got the lock stays in its probe until all ten have started.
    os.mkfifo(home.probes / "gate")
    home.probe("slow.sh", f"#!/bin/bash\nread -r _ <{home.probes}/gate\necho '# TYPE slow gauge\nslow 1'\n")
    runs = [home.start() for _ in range(10)]
    assert cycles.wait_until(lambda: sum(run.poll() == 0 for run in runs) == 9, 60)
    (home.probes / "gate").write_text("go\n")
    for run in runs:
        assert run.communicate(timeout=60) == ("", "")
        assert run.returncode == 0
    home.flush()
    assert len(home.cycles()) == before + 1
