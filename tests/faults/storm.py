"""Two hundred requests a second at the real server while cycles are archived, old rows purged and backups made.

The requests leave on their own clock, whatever the answers do, and a span is counted from when its request was due: a server that
stops for a second is seen to have stopped. Run by tests/faults/test_web_w24.py for seconds, by tests/full/storm.py for a minute.

    python -m tests.faults.storm PORT SECONDS RATE COOKIE     # the clients alone; one JSON line
"""

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from html import unescape
from typing import NamedTuple

import psutil
import requests

from archive import database, purge
from archive.settings import ROOT
from tests import cycles
from tests.web import site
from tests.web.site import NOW, PASSWORD

DAY = 86_400
# What open browsers ask for: the first page's script every 10 seconds, people who open pages, pages that bring pictures and files.
# Of 200 a second: 100 figures of this second, 20 first pages, 20 parts of it, 30 files, 10 pictures, 5 lists, 5 of health, 5 pages
# of all users and 5 of one graph (the two that cost most: some 25 ms of processor each).
_MINUTE = ("/", "/fragment", "/static/vigie.css", "/graphs/cpu_busy_seconds_total.svg", "/static/vigie.js", "/", "/fragment",
           "/incidents", "/static/vigie.css", "/healthz")  # fmt: skip
_PAGES = ("/", "/fragment", "/static/vigie.css", "/users", "/static/vigie.js", "/", "/fragment", "/graphs/disk_used_ratio",
          "/static/vigie.css", "/graphs/cpu_busy_seconds_total.svg")  # fmt: skip
PATHS = tuple(path for page in (*_MINUTE, *_PAGES) for path in ("/live.json", page))
CONNECTIONS = 64
OLD_DAYS = 500  # beyond the retention of 400


class Storm(NamedTuple):
    """What came of it. Spans in seconds, sorted."""

    codes: dict[int, int]
    spans: list[float]
    cycles: list[float]  # how long each took
    late: int  # cycles that did not archive what they brought
    upkeeps: int
    backups: int
    purged: bool
    said: list[str]  # what a step complained of
    cpu: float  # processor seconds of the server, of all its requests

    def percentile(self, share: float) -> float:
        return self.spans[min(len(self.spans) - 1, int(len(self.spans) * share))]


def run(folder: str, port: int, seconds: float, rate: int, every: float = 5.0) -> Storm:
    """`every`: seconds between two cycles, each a minute of the tests' time after the one before."""
    data = site.filled(f"{folder}/data", 30, until=NOW - OLD_DAYS * DAY)
    site.judged(data, 300, NOW)
    site.add_person(data)
    environ = {"PATH": "/usr/bin:/bin", "VIGIE_DATA": data, "VIGIE_LISTEN": f"127.0.0.1:{port}", "VIGIE_LANGUAGE": "en",
               "VIGIE_CERTFR_URL": "http://127.0.0.1:9"}  # fmt: skip
    with open(f"{folder}/web.log", "wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "web.serve"], cwd=ROOT, stdout=log, stderr=log,
            env={**environ, "VIGIE_NOW": str(NOW + 60)},
        )  # fmt: skip
    try:
        cookie = _logged_in(f"http://localhost:{port}")
        clients = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.storm", str(port), str(seconds), str(rate), cookie],
            cwd=ROOT, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        spans, late, upkeeps, said = _work(data, environ, clients, every)
        out, _err = clients.communicate(timeout=120)
        assert server.poll() is None, "the server ended"
        cpu = psutil.Process(server.pid).cpu_times()
    finally:
        server.terminate()
        server.wait(30)
    told = json.loads(out)
    with database.reader(data) as db:
        oldest = db.execute("SELECT min(at) FROM sample").fetchone()[0]
    backups = [name for name in os.listdir(f"{data}/backups") if name.endswith(".db")]
    codes = {int(code): count for code, count in told["codes"].items()}
    gone = oldest is None or oldest > NOW - OLD_DAYS * DAY + DAY
    return Storm(codes, sorted(told["spans"]), spans, late, upkeeps, len(backups), gone, said, cpu.user + cpu.system)


def _work(
    data: str, environ: dict[str, str], clients: "subprocess.Popen[str]", every: float
) -> tuple[list[float], int, int, list[str]]:
    """Cycles one after the other, and upkeep with purge and backup beside them, as long as the clients ask."""
    spans: list[float] = []
    said: list[str] = []
    late, upkeeps, number = 0, 0, 0
    upkeep: subprocess.Popen[str] | None = None
    due = time.monotonic()
    while clients.poll() is None:
        number += 1
        at = NOW + number * 60
        now = {**environ, "VIGIE_NOW": str(at)}
        if upkeep is None or upkeep.poll() is not None:  # one after the other, as often as cycles
            said += upkeep.communicate()[1].splitlines() if upkeep else []
            # A day later each time, so that there is a day's purge and a day's backup to do.
            later = {**environ, "VIGIE_NOW": str(at + upkeeps * DAY)}
            code = (
                "import sys; sys.path.insert(0, sys.argv.pop(1)); from archive import upkeep; sys.exit(upkeep.main())"
            )
            upkeep = subprocess.Popen(
                [sys.executable, "-I", "-c", code, ROOT, "--now"], cwd="/", env=later, text=True,
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            )  # fmt: skip
            upkeeps += 1
        cycles.write(data, at, cycles.machine(at))
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-I", "-S", f"{ROOT}/alerts/cycle.py"], cwd="/", env=now, check=False, capture_output=True,
            text=True, timeout=60,
        )  # fmt: skip
        spans.append(time.monotonic() - began)
        said += done.stderr.splitlines()
        late += bool(os.listdir(f"{data}/spool"))
        due += every
        time.sleep(max(0.0, due - time.monotonic()))
    if upkeep:
        said += upkeep.communicate(timeout=120)[1].splitlines()
    return spans, late, upkeeps, said


def _logged_in(url: str) -> str:
    session = requests.Session()
    session.trust_env = False
    end = time.monotonic() + 30
    while True:
        try:
            page = session.get(f"{url}/login", timeout=10)
            break
        except requests.ConnectionError:
            assert time.monotonic() < end, "the server did not start"
            time.sleep(0.05)
    found = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
    assert found
    fields = {"name": "admin", "password": PASSWORD, "csrf_token": unescape(found[1])}
    answer = session.post(f"{url}/login", fields, timeout=30, allow_redirects=False)
    assert answer.status_code == 303, answer.status_code
    return str(session.cookies.get("vigie"))


async def _clients(port: int, seconds: float, rate: int, cookie: str) -> dict[str, object]:
    queue: asyncio.Queue[tuple[float, str] | None] = asyncio.Queue()
    codes: Counter[int] = Counter()
    spans: list[float] = []
    loop = asyncio.get_running_loop()

    async def client() -> None:
        reader: asyncio.StreamReader | None = None
        writer: asyncio.StreamWriter | None = None
        while asked := await queue.get():
            due, path = asked
            head = f"GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\nCookie: vigie={cookie}\r\nAccept-Encoding: gzip\r\n\r\n"
            try:
                if reader is None or writer is None:
                    reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(head.encode())
                code = await asyncio.wait_for(_answer(reader), 30)
            except (OSError, EOFError, TimeoutError, asyncio.IncompleteReadError):
                code, reader, writer = 0, None, None
            codes[code] += 1
            spans.append(loop.time() - due)

    workers = [loop.create_task(client()) for _ in range(CONNECTIONS)]
    began = loop.time() + 0.2
    for number in range(int(seconds * rate)):
        due = began + number / rate
        if due > loop.time():
            await asyncio.sleep(due - loop.time())
        queue.put_nowait((due, PATHS[number % len(PATHS)]))
    for _one in workers:
        queue.put_nowait(None)
    await asyncio.gather(*workers)
    return {"codes": dict(codes), "spans": [round(span, 4) for span in spans]}


async def _answer(reader: asyncio.StreamReader) -> int:
    """The status of one answer, its body read. 0 never: a cut one raises."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    length = re.search(r"content-length: (\d+)", head, re.IGNORECASE)
    if length:
        await reader.readexactly(int(length[1]))
    else:
        while size := int((await reader.readline()).strip() or b"0", 16):
            await reader.readexactly(size + 2)
        await reader.readline()
    return int(head.split(" ", 2)[1])


if __name__ == "__main__":
    assert purge.MOST_DAYS >= 1
    print(json.dumps(asyncio.run(_clients(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), sys.argv[4]))))
