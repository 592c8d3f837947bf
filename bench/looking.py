"""What looking costs: reading points, drawing a graph, pages cold, changed and kept, a server with sixty readers."""

import http.client
import os
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from typing import Any

from flask.testing import FlaskClient

from alerts import chart
from alerts.chart import Graph, Line, Name
from alerts.chart_data import sound
from archive import database, incidents, load, read, rolled, rollup, settings
from archive.certfr import document
from archive.certfr import store as publications
from archive.incidents import Incident
from archive.settings import ROOT
from bench import build
from bench.build import END
from bench.figures import Figure, Section, floor_ms, say, timed
from web import create_app, periods, pictures
from web.words import spoken

NOW = END - 30
LINE = "cpu_busy_seconds_total"
PERIODS = ("24h", "7d", "30d", "1y")
ADVISORIES, INCIDENTS, USERS = 3000, 2000, 200


def reading(data: str) -> Section:
    """A fresh read-only connection each time, warm page cache."""
    figures = []
    told = spoken("fr", "UTC")
    for key in (*PERIODS, "all"):
        with database.reader(data) as db:
            line = read.series(db, 1, LINE)[0]
            period = periods.parse({"period": key}, NOW, line.first_at, told)
            points, rows = (
                len(read.points(db, 1, line, period.start, period.end, period.step)),
                rows_of(db, line, period),
            )

        def whole(line: read.Series = line, period: periods.Period = period) -> None:
            with database.reader(data) as db:
                read.points(db, 1, line, period.start, period.end, period.step)

        opened: list[Any] = []

        def fresh(opened: list[Any] = opened) -> None:
            while opened:
                opened.pop().__exit__(None, None, None)
            reader = database.reader(data)
            opened[:] = [
                reader,
            ]
            fresh.db = reader.__enter__()  # type: ignore[attr-defined]
            fresh.db.execute("SELECT 1 FROM rollup LIMIT 1").fetchone()  # type: ignore[attr-defined]

        median, spread = timed(
            lambda line=line, period=period: read.points(fresh.db, 1, line, period.start, period.end, period.step),
            21,
            fresh,  # type: ignore[attr-defined, misc]
        )
        opened.pop().__exit__(None, None, None)
        total = timed(whole, 11)[0]
        figures.append(
            Figure(
                f"points of {key}",
                median,
                "ms",
                1.0,
                spread,
                f"{points} points, {rows} spans; with opening the file {total:.1f} ms",
            )
        )
        figures.append(
            Figure(
                f"spans read for {key}, a point", rows / max(1, points), "", 14 if key == "all" else 7, None, "", True
            )
        )
    return Section("Reading", "", figures)


def rows_of(db: database.sqlite3.Connection, line: read.Series, period: periods.Period) -> int:
    level = max((span for span in read.ROLLED if period.step % span == 0), default=0)
    count = 0
    for span, first, last in rollup.pieces(db, 1, period.start, period.end, level):
        if span:
            count += len(rolled.rows_of(db, 1, line.id, span, first, last))
        else:
            count += len(read.samples(db, 1, line, first, last - 1))
    return count


def drawing(data: str, folder: str) -> Section:
    """One graph of each period, its frame new and shared; the pictures are kept."""
    figures, told = [], spoken("en", "UTC")
    os.makedirs(folder, exist_ok=True)
    with database.reader(data) as db:
        line = read.series(db, 1, LINE)[0]
        for key in PERIODS:
            period = periods.parse({"period": key}, NOW, line.first_at, told)
            points = sound(read.points(db, 1, line, period.start, period.end, period.step))
            graph = Graph("ratio", period.start, period.end, period.step, (Line("", points),), NOW)
            new, spread = timed(
                lambda graph=graph: chart.draw(graph, told, chart.WIDE, Name("a")), 9, chart.frame_of.cache_clear
            )  # type: ignore[misc]
            shared = timed(lambda graph=graph: chart.draw(graph, told, chart.WIDE, Name("a")), 9)[0]  # type: ignore[misc]
            figures.append(
                Figure(
                    f"a graph of {key}, {len(points)} points",
                    new,
                    "ms",
                    20,
                    spread,
                    f"with its frame known {shared:.1f} ms",
                )
            )
            figures.append(Figure(f"points drawn for {key}", len(points), "", chart.MOST, None, "", True))
            heading = (f"{told.metric_name(line.metric)}, {key}", "a made-up machine: bench/year.py")
            drawn = chart.draw(graph, told, chart.CARD, Name(), alone=heading)
            if drawn:
                with open(os.path.join(folder, f"cpu-{key}.svg"), "w", encoding="utf-8") as file:
                    file.write(drawn.svg + "\n")
    return Section("Drawing", "", figures)


def fill_lists(data: str) -> None:
    """A year of incidents and of publications, and accounts, through the code that keeps them."""
    with database.writer(data) as db, database.transaction(db):
        line = read.series(db, 1, LINE)[0]
        for number in range(INCIDENTS - len(incidents.recent(db, 1, INCIDENTS))):
            at = END - (number + 1) * 15_000
            incidents.insert(
                db,
                Incident(0, 1, "threshold", LINE, line.labels, line.id, "resolved", "critical" if number % 3 else "warning", at,
                         None, at + 300, None, at + 4000, "cleared", at + 4000, 0.97, 0.99, at + 900, 0, None, "", None,
                         None, "", ""),
            )  # fmt: skip
    with database.writer(data) as db, database.transaction(db):
        for number in range(ADVISORIES):
            year, rank = 2026 - number // 1200, number % 1200 + 1
            body = (
                f'{{"reference": "CERTFR-{year}-AVI-{rank:04}", "title": "Multiples vulnérabilités dans un produit {number}",'
                f' "closed_at": null, "revisions": [{{"revision_date": "{year}-{number % 12 + 1:02}-10T00:00:00.000000",'
                ' "description": "Version initiale"}], "risks": [], "affected_systems": [], "affected_systems_content": "",'
                ' "cves": [], "links": [], "vendor_advisories": [], "summary": "Texte", "content": "Suite"}'
            )
            publications.put(db, document.from_json(body.encode()), END - DAY_OF * (number // 8), told=True)
    people = "".join(
        f'account_info{{user="user{n:03}",uid="{2000 + n}",home="/home/user{n:03}",shell="/bin/bash"}} 1\n'
        for n in range(USERS)
    )
    text = f"# VIGIE probe=accounts status=ok seconds=0.004 uptime=316000000.00\n# TYPE account_info untyped\n{people}"
    mark = f"# VIGIE lines={text.count(chr(10))} bytes={len(text.encode())} cycle={END - 20} boot={build.BOOT} uptime={3653 * 86_400 + 80}.00\n"
    build.spool(data, END - 20, (text + mark).encode())
    with database.writer(data) as db:
        load.load(data, db, END)


DAY_OF = 86_400


class Site:
    """The application in this process, as a reader on this machine sees it."""

    def __init__(self, data: str) -> None:
        self.now = NOW
        self.app = create_app(settings.load({"VIGIE_DATA": data, "VIGIE_LANGUAGE": "fr"}), now=lambda: self.now)
        self.client: FlaskClient = self.app.test_client()

    def get(self, url: str) -> str:
        found = self.client.get(url, headers={"Host": "127.0.0.1:5000"})
        if found.status_code != 200:
            raise SystemExit(f"{url}: {found.status}")
        return found.text

    def forget(self) -> None:
        """All that is kept between requests, but the compiled templates."""
        self.app.extensions.pop("overview", None)
        for kept in (chart.frame_of, pictures._when, pictures._said):
            kept.cache_clear()

    def next_minute(self) -> None:
        self.now += 60
        if self.now > END:
            self.now = NOW


def looking(data: str) -> Section:
    site = Site(data)
    for url in PAGES:
        site.get(url)
    figures = []
    median, spread = timed(lambda: site.get("/"), 9, site.forget)
    figures.append(
        Figure("overview, nothing kept", median, "ms", 250, spread, "no frame, no word of a graph, no answer")
    )
    median, spread = timed(lambda: site.get("/"), 9, lambda: site.app.extensions.pop("overview", None))
    figures.append(Figure("overview, a cycle has come in", median, "ms", 80, spread, ""))
    median, spread = timed(lambda: site.get("/"), 21)
    figures.append(Figure("overview, kept", median, "ms", 3, spread, "the whole page, with the figures of this second"))
    median, spread = timed(lambda: site.get("/fragment"), 21)
    figures.append(Figure("what the page asks again, kept", median, "ms", 3, spread, ""))
    figures.append(
        Figure(
            "overview, kept: of the floor",
            median / floor_ms(),
            "×",
            3,
            None,
            "floor: 100,000 turns of a loop in the same run",
            True,
        )
    )
    chart.frame_of.cache_clear()
    site.app.extensions.pop("overview", None)
    page = site.get("/")
    charts = page.count('class="v-chart v-card"') + page.count('class="v-chart v-narrow"')
    figures.append(
        Figure(
            "pygal's frames made for the overview",
            chart.frame_of.cache_info().misses,
            "",
            charts,
            None,
            f"{charts} charts",
            True,
        )
    )
    for url, name in PAGES.items():
        if url != "/":
            median, spread = timed(lambda url=url: site.get(url), 7)  # type: ignore[misc]
            figures.append(Figure(name, median, "ms", 100, spread, f"`{url}`"))
    return Section(
        "Pages",
        f"{INCIDENTS:,} incidents, {ADVISORIES:,} publications, {USERS} accounts; in one process, without the network.",
        figures,
    )


PAGES = {
    "/": "overview",
    "/graphs/": "graphs: the index",
    f"/graphs/{LINE}?period=24h": "a metric's page, 24 h",
    f"/graphs/{LINE}?period=7d": "a metric's page, 7 d",
    f"/graphs/{LINE}?period=30d": "a metric's page, 30 d",
    f"/graphs/{LINE}?period=1y": "a metric's page, 1 year",
    f"/graphs/{LINE}?period=all": "a metric's page, all",
    "/graphs/user_cpu_seconds_total": "a metric's page, four lines",
    "/users": "all users",
    "/users/alice": "one user",
    "/incidents": "all incidents",
    "/security": "all publications",
    "/thresholds": "thresholds",
}


class Server:
    """The dashboard as it is started on a machine, on a free port of the loopback."""

    def __init__(self, data: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        environ = {
            "PATH": os.environ["PATH"], "VIGIE_DATA": data, "VIGIE_LISTEN": f"127.0.0.1:{self.port}",
            "VIGIE_NOW": str(NOW), "VIGIE_LANGUAGE": "fr",
        }  # fmt: skip
        self.began = time.perf_counter()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "web.serve"],
            cwd=ROOT,
            env=environ,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def get(self, url: str, tag: str = "") -> tuple[int, str, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("GET", url, headers={"If-None-Match": tag} if tag else {})
        found = connection.getresponse()
        body = found.read()
        connection.close()
        return found.status, found.getheader("ETag") or "", body

    def wait(self) -> float:
        """Milliseconds from the start of the process until it listens."""
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1):
                    return (time.perf_counter() - self.began) * 1000
            except OSError:
                if self.process.poll() is not None:
                    raise SystemExit("the dashboard did not start") from None
                time.sleep(0.005)

    def cpu(self) -> float:
        with open(f"/proc/{self.process.pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def pss(self) -> float:
        """MiB, the share of what is shared counted in proportion."""
        with open(f"/proc/{self.process.pid}/smaps_rollup", encoding="ascii", errors="replace") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("Pss:")) / 1024

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def serving(data: str, seconds: int, readers: int = 60) -> Section:
    firsts, listens = [], []
    for _ in range(3):
        server = Server(data)
        try:
            listens.append(server.wait())
            began = time.perf_counter()
            server.get("/")
            firsts.append((time.perf_counter() - began) * 1000)
        finally:
            server.stop()
    server = Server(data)
    try:
        server.wait()
        for _ in range(2):
            for url in PAGES:
                server.get(url)
        pss = server.pss()
        statuses: list[int] = []
        before, began = server.cpu(), time.perf_counter()
        stop = began + seconds

        def refresh(number: int) -> None:
            time.sleep(number * 5 / readers)
            tag = ""
            while time.perf_counter() < stop:
                turn = time.perf_counter()
                status, tag, _ = server.get("/fragment", tag)
                statuses.append(status)
                time.sleep(max(0.0, 5 - (time.perf_counter() - turn)))

        threads = [threading.Thread(target=refresh, args=(number,)) for number in range(readers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        share = (server.cpu() - before) / (time.perf_counter() - began) * 100
        after = server.pss()
    finally:
        server.stop()
    say(f"  {readers} readers: {len(statuses)} answers, {statuses.count(304)} of them 304")
    return Section(
        "The server",
        "",
        [
            Figure("from start to listening", statistics.median(listens), "ms", None, (min(listens), max(listens)), ""),
            Figure(
                "first page after that",
                statistics.median(firsts),
                "ms",
                500,
                (min(firsts), max(firsts)),
                "templates are compiled, frames made",
            ),
            Figure("memory after every page twice", pss, "MiB PSS", 60, None, f"{after:.1f} after the readers"),
            Figure(
                f"{readers} readers, a refresh every 5 s",
                share,
                "% of a core",
                5,
                None,
                f"{seconds} s, {len(statuses)} answers",
            ),
            Figure(
                "answers that were not 200 or 304",
                len([s for s in statuses if s not in (200, 304)]),
                "",
                0,
                None,
                "",
                True,
            ),
        ],
    )
