"""A centre under load: PostgreSQL from Debian, web workers as they are run, and N machines that post a minute's cycle.

    .venv-dev/bin/python -m bench.fleet [--machines 2000] [--listed 10000] [--seconds 60] [--workers 2] [--backlog 60]

All of it on this computer's cores, the players too, whose share of the processor is said apart. Phases:

1. first: every machine's first cycle (its lines are made);
2. sustained: machine after machine posts its next minute, as fast as the centre takes them: machines a minute;
3. pages: /hosts of all of them, by HTTP;
4. backlog: some machines post two hours of cycles each while others go on: cycles a minute, and how long two hours take.

`--advisories`: bench/fleet_pages.py, what the pages across machines and publications against all inventories cost.

One in a hundred misbehaves: an old parcel again, a cut text, a cycle from the future, another's uid. Durability is
PostgreSQL's default (fsync, synchronous_commit). Prints one JSON object.
"""

import argparse
import http.client
import itertools
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Iterator

from archive import database, engine
from archive.fleet import members, taking
from bench import fleet_pages
from tests import cycles, postgres

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MINUTE = 60
PLAYERS = 8
TICK = os.sysconf("SC_CLK_TCK")


class Centre:
    """PostgreSQL and `workers` web servers, each on a port of its own, as behind nginx."""

    def __init__(self, workers: int) -> None:
        self.folder = tempfile.mkdtemp(prefix="vigie-bench-")
        self.pg = postgres.Cluster(["shared_buffers=512MB", "max_wal_size=2GB", "wal_compression=on"])
        self.pg.sql("CREATE DATABASE vigie")
        self.data = os.path.join(self.folder, "data")
        for part in ("spool", "journal", "probes", "run", "log"):
            os.makedirs(os.path.join(self.data, part), mode=0o700)
        self.url = self.pg.url("vigie")
        engine.use(self.data, self.url)
        database.create(self.data, "centre", "centre", "m", int(time.time()))
        self.ports, self.workers = [], []
        for number in range(workers):
            port = 18_400 + number
            data = os.path.join(self.folder, f"web{number}")
            os.makedirs(data, mode=0o700)
            environ = {
                "PATH": "/usr/bin:/bin", "VIGIE_DATA": data, "VIGIE_DATABASE_URL": self.url,
                "VIGIE_LISTEN": f"127.0.0.1:{port}", "VIGIE_LANGUAGE": "en",
            }  # fmt: skip
            with open(os.path.join(self.folder, f"web{number}.log"), "wb") as log:
                self.workers.append(
                    subprocess.Popen([sys.executable, "-m", "web.serve"], cwd=ROOT, env=environ, stdout=log, stderr=log)
                )
            self.ports.append(port)
        for port in self.ports:
            self._wait(port)

    def _wait(self, port: int) -> None:
        for _ in range(200):
            try:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
                connection.request("GET", "/healthz")
                connection.getresponse().read()
                return
            except OSError:
                time.sleep(0.1)
        raise SystemExit(f"no web worker on port {port}: see {self.folder}")

    def seconds(self) -> dict[str, float]:
        """Processor seconds so far, of the web workers and of PostgreSQL."""
        web = sum(_cpu(worker.pid) for worker in self.workers)
        return {"web": web, "postgresql": _cpu_of_tree(self.pg.pid())}

    def bytes(self) -> dict[str, int]:
        rows = self.pg.sql(
            "SELECT c.relname || ' ' || pg_total_relation_size(c.oid) FROM pg_class c"
            " WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace", "vigie",
        )  # fmt: skip
        return {line.split()[0]: int(line.split()[1]) for line in rows.splitlines()}

    def close(self) -> None:
        for worker in self.workers:
            worker.terminate()
        for worker in self.workers:
            worker.wait(20)
        self.pg.close()


def _cpu(pid: int) -> float:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            parts = file.read().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(parts[11]) + int(parts[12]) + int(parts[13]) + int(parts[14])) / TICK


def _cpu_of_tree(pid: int) -> float:
    """A process with its children, those that ended included (the parent has waited for them)."""
    total = _cpu(pid)
    with open(f"/proc/{pid}/task/{pid}/children", encoding="utf-8") as file:
        for child in file.read().split():
            total += _cpu(int(child))
    return total


class Fleet:
    """What the machines post. A cycle's text is one machine's realistic minute with other numbers in it."""

    def __init__(self, centre: Centre, count: int, listed: int) -> None:
        self.start = int(time.time()) - 3 * 3600
        self.start -= self.start % MINUTE
        self.tokens = []
        with database.writer(centre.data) as db, database.transaction(db):
            for number in range(max(count, listed)):
                self.tokens.append(members.add(db, f"m{number:06}", "bench", self.start, f"room{number % 20}"))
            # Those that are listed only: as they would stand there after an hour of sending.
            for number in range(count, listed):
                figures = {metric: [round(random.random(), 4) for _ in range(60)] for metric in taking.DRAWN}
                db.execute(
                    "UPDATE member SET joined_at=?, seen_at=?, fresh_at=?, cycle_at=?, worst=?, opened=?"
                    " WHERE name=?",
                    (
                        self.start, int(time.time()), int(time.time()), self.start, int(number % 50 == 0),
                        int(number % 50 == 0), f"m{number:06}",
                    ),
                )  # fmt: skip
                found = members.named(db, f"m{number:06}")
                members.keep_figures(db, found.host if found else 0, figures)
        self.minutes = [0] * count

    def text(self, number: int, minute: int) -> bytes:
        at = self.start + minute * MINUTE
        levels = {"memory": 0.3 + (number * 7 + minute) % 50 / 100, "disk": 0.2 + number % 70 / 100, "cpu": 0.1}
        # 61 lines a minute, as a small machine of eight users has.
        return cycles.spool_text(at, cycles.machine(at, **levels), boot=f"boot-{number}")

    def body(self, number: int, minutes: range, uid: str = "") -> bytes:
        texts = [self.text(number, minute) for minute in minutes]
        head = {
            "format": 1, "uid": uid or f"uid-{number}", "name": f"host-{number}", "machine": f"id-{number}",
            "now": int(time.time()), "version": "1", "waiting": 0, "rows": {}, "texts": [len(text) for text in texts],
        }  # fmt: skip
        return zlib.compress(json.dumps(head).encode() + b"\n" + b"".join(texts), 1)

    def next_body(self, number: int) -> bytes:
        """The machine's next minute; of one in a hundred, something that must harm nobody."""
        minute = self.minutes[number]
        if number % 100 == 99 and minute:
            kind = random.randrange(4)
            if kind == 0:
                return self.body(number, range(minute - 1, minute))
            if kind == 1:
                return self.body(number, range(minute, minute + 1), uid="somebody else's")
            if kind == 2:
                return self.body(number, range(minute + 1_000_000, minute + 1_000_001))
            return self.body(number, range(minute, minute + 1))[:-20]
        self.minutes[number] += 1
        return self.body(number, range(minute, minute + 1))


class Players:
    """Threads that post, each over connections that stay open. The time of each answer is kept."""

    def __init__(self, centre: Centre, fleet: Fleet) -> None:
        self.centre, self.fleet = centre, fleet
        self.lock = threading.Lock()
        self.took: list[float] = []
        self.statuses: dict[int, int] = {}
        self.loaded = 0

    def post(self, jobs: Iterator[tuple[int, bytes]], until: float = float("inf")) -> None:
        threads = [threading.Thread(target=self._post, args=(jobs, until, n)) for n in range(PLAYERS)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()

    def _post(self, jobs: Iterator[tuple[int, bytes]], until: float, player: int) -> None:
        port = self.centre.ports[player % len(self.centre.ports)]
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        while time.monotonic() < until:
            with self.lock:
                job = next(jobs, None)
            if job is None:
                return
            number, body = job
            began = time.monotonic()
            connection.request(
                "POST", "/fleet/v1/cycles", body, {"Authorization": f"Bearer {self.fleet.tokens[number]}"}
            )
            answer = connection.getresponse()
            said = json.loads(answer.read())
            with self.lock:
                self.took.append(time.monotonic() - began)
                self.statuses[answer.status] = self.statuses.get(answer.status, 0) + 1
                self.loaded += said.get("loaded", 0)
        connection.close()


class Measure:
    """From its making to `done`: rates, processor and answers."""

    def __init__(self, centre: Centre, players: Players) -> None:
        self.centre, self.players = centre, players
        self.began, self.cpu = time.monotonic(), centre.seconds()
        self.own = time.process_time()
        self.bytes = sum(centre.bytes().values())

    def done(self) -> dict[str, object]:
        passed = time.monotonic() - self.began
        cpu = {name: value - self.cpu[name] for name, value in self.centre.seconds().items()}
        players = self.players
        posts = len(players.took)
        ordered = sorted(players.took)
        return {
            "seconds": round(passed, 1),
            "posts": posts,
            "posts_a_minute": round(posts / passed * 60),
            "cycles_a_minute": round(players.loaded / passed * 60),
            "statuses": players.statuses,
            "answer_ms": {"median": _ms(ordered, 0.5), "p99": _ms(ordered, 0.99), "worst": _ms(ordered, 1.0)},
            "cpu_ms_a_post": {name: round(value * 1000 / max(1, posts), 2) for name, value in cpu.items()},
            "cpu_ms_a_cycle": {name: round(value * 1000 / max(1, players.loaded), 2) for name, value in cpu.items()},
            "players_cpu_seconds": round(time.process_time() - self.own, 1),
            "bytes_a_cycle": round((sum(self.centre.bytes().values()) - self.bytes) / max(1, players.loaded)),
        }


def _ms(ordered: list[float], share: float) -> float:
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000, 1) if ordered else 0.0


def pages(centre: Centre, path: str, times: int = 15) -> dict[str, object]:
    took, size, cpu = [], 0, centre.seconds()
    connection = http.client.HTTPConnection("127.0.0.1", centre.ports[0], timeout=60)
    for _ in range(times):
        began = time.monotonic()
        connection.request("GET", path, headers={"Host": f"127.0.0.1:{centre.ports[0]}"})
        answer = connection.getresponse()
        size = len(answer.read())
        took.append(time.monotonic() - began)
        if answer.status != 200:
            return {"path": path, "status": answer.status}
    used = {name: round((value - cpu[name]) * 1000 / times, 1) for name, value in centre.seconds().items()}
    return {"path": path, "ms": round(statistics.median(took) * 1000, 1), "worst_ms": round(max(took) * 1000, 1),
            "cpu_ms": used, "bytes": size}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--machines", type=int, default=2_000, help="that post")
    parser.add_argument("--listed", type=int, default=10_000, help="machines that /hosts has, those that post included")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--backlog", type=int, default=60, help="machines that come back after two hours")
    parser.add_argument(
        "--advisories", type=int, default=0, help="bench/fleet_pages.py instead, with so many publications"
    )
    parser.add_argument("--inventories", type=int, default=10_000, help="there: machines with their packages")
    parser.add_argument("--people", type=int, default=1_000, help="there: machines with 20 users each")
    asked = parser.parse_args()
    centre = Centre(asked.workers)
    try:
        if asked.advisories:
            print(json.dumps(fleet_pages.run(centre, asked, pages), indent=1))
            return 0
        fleet = Fleet(centre, asked.machines, asked.listed)
        found: dict[str, object] = {"machines": asked.machines, "workers": asked.workers, "cores": os.cpu_count()}

        def first() -> Iterator[tuple[int, bytes]]:
            for number in range(asked.machines):
                yield number, fleet.next_body(number)

        players = Players(centre, fleet)
        measure = Measure(centre, players)
        players.post(first())
        found["first"] = measure.done()
        players = Players(centre, fleet)
        measure = Measure(centre, players)

        def again() -> Iterator[tuple[int, bytes]]:
            for number in itertools.cycle(range(asked.machines)):
                yield number, fleet.next_body(number)

        players.post(again(), time.monotonic() + asked.seconds)
        found["sustained"] = measure.done()
        found["pages"] = [pages(centre, path) for path in ("/hosts", "/hosts?state=warning", "/hosts?text=m0042")]
        found["bytes"] = dict(sorted(centre.bytes().items(), key=lambda item: -item[1])[:12])
        players = Players(centre, fleet)
        measure = Measure(centre, players)

        def backlog() -> Iterator[tuple[int, bytes]]:
            live = again()
            for number in range(asked.backlog):
                start = fleet.minutes[number]
                for part in range(0, 120, 60):
                    yield number, fleet.body(number, range(start + part, start + part + 60))
                    yield next(live)
                fleet.minutes[number] += 120

        players.post(backlog())
        found["backlog"] = measure.done()
        print(json.dumps(found, indent=1))
    finally:
        centre.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
