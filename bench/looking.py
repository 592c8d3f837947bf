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
from archive import database, incidents, load, pack, read, rolled, rollup, settings
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
A_POINT = {"24h": 7, "7d": 3, "30d": 3, "1y": 4, "all": 14}  # spans read: the last day's are finer than a point
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

        queried = timed(
            lambda line=line, period=period: read.points(fresh.db, 1, line, period.start, period.end, period.step),
            21,
            fresh,  # type: ignore[attr-defined, misc]
        )
        opened.pop().__exit__(None, None, None)
        total = timed(whole, 11).median
        told_of = f"{points} points, {rows} spans; with opening the file {total:.1f} ms"
        figures.append(queried.figure(f"points of {key}", 1.0, told_of))
        figures.append(
            Figure(f"spans read for {key}, a point", rows / max(1, points), "", A_POINT[key], None, "", True)
        )
    return Section("Reading", "", figures)


def rows_of(db: database.sqlite3.Connection, line: read.Series, period: periods.Period) -> int:
    level = max((span for span in read.ROLLED if period.step % span == 0), default=0)
    count = 0
    for span, first, last in rollup.pieces(db, 1, period.start, period.end, level):
        if span:
            count += db.execute(
                "SELECT count(*) FROM rollup WHERE host=1 AND series=? AND step=? AND at >= ? AND at < ?",
                (line.id, span, first, last),
            ).fetchone()[0]
            count += sum(
                len(found.at) for _size, found in rolled.read_by(db, 1, line.id, span, first, last, period.step)
            )
        else:
            count += len(pack.every(db, 1, line.id, first, last - 1))
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
            new = timed(
                lambda graph=graph: chart.draw(graph, told, chart.WIDE, Name("a")), 9, chart.frame_of.cache_clear
            )  # type: ignore[misc]
            shared = timed(lambda graph=graph: chart.draw(graph, told, chart.WIDE, Name("a")), 9).processor  # type: ignore[misc]
            figures.append(
                new.figure(f"a graph of {key}, {len(points)} points", 20, f"with its frame known {shared:.1f} ms")
            )
            figures.append(Figure(f"points drawn for {key}", len(points), "", chart.MOST, None, "", True))
            heading = (f"{told.metric_name(line.metric)}, {key}", "a made-up machine: bench/year.py")
            drawn = chart.draw(graph, told, chart.CARD, Name(), alone=heading)
            if drawn:
                with open(os.path.join(folder, f"cpu-{key}.svg"), "w", encoding="utf-8") as file:
                    file.write(drawn.svg + "\n")
    return Section("Drawing", "", figures)


def fill_lists(data: str, closed: int = INCIDENTS, published: int = ADVISORIES) -> None:
    """A year of incidents and of publications, and accounts, through the code that keeps them."""
    with database.writer(data) as db, database.transaction(db):
        line = read.series(db, 1, LINE)[0]
        for number in range(len(incidents.recent(db, 1, closed)), closed):
            at = END - (number + 1) * 15_000
            incidents.insert(
                db,
                Incident(0, 1, "threshold", LINE, line.labels, line.id, "resolved", "critical" if number % 3 else "warning", at,
                         None, at + 300, None, at + 4000, "cleared", at + 4000, 0.97, 0.99, at + 900, 0, None, "", None,
                         None, "", ""),
            )  # fmt: skip
    with database.writer(data) as db, database.transaction(db):
        for number in range(published):
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

    def written(self) -> None:
        """As after a cycle: nothing of the rows is kept."""
        for kept in ("overview", "rows"):
            self.app.extensions.pop(kept, None)

    def forget(self) -> None:
        """All that is kept between requests, but the compiled templates."""
        self.written()
        for kept in (chart.frame_of, pictures._when, pictures._said):
            kept.cache_clear()

    def statements(self, url: str) -> tuple[int, int]:
        """(how often the database was opened for this page, statements of SQL)."""
        said: list[str] = []
        opened: list[str] = []
        real = database._open

        def traced(data: str, mode: str) -> database.sqlite3.Connection:
            db = real(data, mode)
            opened.append(mode)
            db.set_trace_callback(said.append)
            return db

        database._open = traced
        try:
            self.get(url)
        finally:
            database._open = real
        return len(opened), len([text for text in said if text.startswith(("SELECT", "WITH"))])


def looking(data: str) -> Section:
    site = Site(data)
    for url in PAGES:
        site.get(url)
    figures = []
    figures += [
        timed(lambda: site.get("/"), 9, site.forget).figure(
            "overview, nothing kept", 250, "no frame, no word of a graph, no answer"
        ),
        timed(lambda: site.get("/"), 9, site.written).figure("overview, a cycle has come in", 80),
    ]
    kept = timed(lambda: site.get("/"), 21)
    figures += [
        kept.figure("overview, kept", 3, "the whole page, with the figures of this second"),
        timed(lambda: site.get("/fragment"), 21).figure("what the page asks again, kept", 3),
        Figure("overview, kept: of the floor", kept.processor / floor_ms(), "×", 1.5, None,
               "processor; floor: 100,000 turns of a loop in the same run", True),
    ]  # fmt: skip
    chart.frame_of.cache_clear()
    site.app.extensions.pop("overview", None)
    page = site.get("/")
    charts = page.count('class="v-chart v-card"') + page.count('class="v-chart v-narrow"')
    figures.append(
        Figure(
            "pygal's frames made for the overview",
            chart.frame_of.cache_info().misses,
            "",
            charts - 1,
            None,
            f"{charts} charts",
            True,
        )
    )
    opened, _ = site.statements("/")
    figures.append(Figure("databases opened for a kept overview", opened, "", 0, None, "", True))
    for url, most in STATEMENTS.items():
        site.written()
        figures.append(
            Figure(f"statements of SQL: {PAGES[url]}", site.statements(url)[1], "", most, None, f"`{url}`", True)
        )
    weighed = len(site.get(YEAR).encode())
    figures.append(
        Figure("bytes of a year's page", weighed, "B", BYTES, None, f"`{YEAR}`, before it is deflated", True)
    )
    for url, name in PAGES.items():
        if url != "/":
            figures.append(timed(lambda url=url: site.get(url), 7).figure(name, 100, f"`{url}`"))  # type: ignore[misc]
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


MODULES, BYTES = 700, 250_000
YEAR = f"/graphs/{LINE}?period=1y"
STATEMENTS = {
    "/": 170,
    YEAR: 40,
    "/users": 60,
    "/incidents": 20,
    "/security": 30,
}  # whatever the rows: nothing is asked row by row


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


# What the dashboard never needs: other rooms' libraries, tests', and those that its own once brought with them.
STRANGERS = frozenset(
    {"apprise", "asyncio", "bs4", "concurrent", "cssselect", "html5lib", "hypothesis", "jsonschema", "lxml", "markdown", "multiprocessing",
     "numpy", "playwright", "pytest", "requests", "resvg_py", "smtplib", "sqlalchemy", "tkinter", "unittest", "urllib3", "yaml"}
)  # fmt: skip
LIBRARIES = "flask, waitress, pygal, babel.dates, psutil, argon2, flask_wtf.csrf, sqlite3"


def _asked(code: str, data: str) -> str:
    """What a Python of its own prints."""
    environ = {"PATH": os.environ["PATH"], "VIGIE_DATA": data, "VIGIE_LANGUAGE": "fr", "VIGIE_NOW": str(NOW)}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environ, check=True, capture_output=True, text=True
    ).stdout


def modules(data: str) -> set[str]:
    """Every module in the dashboard once each page was asked for."""
    code = (
        "import sys\nfrom archive import clock, settings\nimport waitress, web.serve\nfrom web import create_app\n"
        "client = create_app(settings.load()).test_client()\n"
        f"for url in {list(PAGES)!r}: client.get(url, headers={{'Host': '127.0.0.1:5000'}})\n"
        "print(' '.join(sys.modules))"
    )
    return set(_asked(code, data).split())


def bare(data: str) -> float:
    """MiB of a Python that has imported the libraries of the dashboard, and does nothing: the floor of its memory."""
    pss = "next(int(x.split()[1]) for x in open('/proc/self/smaps_rollup') if x.startswith('Pss:')) / 1024"
    return float(_asked(f"import {LIBRARIES}\nprint({pss})", data))


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
    loaded, floor = modules(data), bare(data)
    strangers = sorted({name.partition(".")[0] for name in loaded} & STRANGERS)
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
                "the same, of the floor",
                pss / floor,
                "×",
                2.2,
                None,
                f"floor: a Python that has imported {LIBRARIES}, in the same run: {floor:.1f} MiB",
                True,
            ),
            Figure("modules imported", len(loaded), "", MODULES, None, "", True),
            Figure("of those, libraries that it never needs", len(strangers), "", 0, None, ", ".join(strangers), True),
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
