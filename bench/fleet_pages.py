"""What a centre's pages across machines cost: publications against whole inventories, users on many machines, the lists.

    .venv-dev/bin/python -m bench.fleet --advisories 12 [--inventories 10000] [--people 1000]

1. `--inventories` machines with 1,000 packages or more each, in PostgreSQL: the names and versions of this computer's own
   packages, in several states of update, some left out and some of its own on each machine; four systems.
2. `--advisories` publications, one after the other by `./vigie fleet decide REFERENCE` as it is run: seconds, and the most
   memory that it took; then all of them at once. A sample of machines is decided by the ordinary judge as well, one by one,
   on whole inventories, and every verdict compared.
3. Pages by HTTP: /hosts, /hosts/users (20 users on each of `--people` machines), /hosts/security, one publication, one user.

Prints one JSON object.
"""

import json
import os
import random
import resource
import subprocess
import sys
import time
from typing import Any

from archive import database, postgresql
from archive.certfr.decide import Decider
from archive.certfr.inventory import Inventory, Package, read_machine
from archive.certfr.publication import parse
from archive.fleet import inventories, members, taking
from archive.fleet import people as fleet_people
from archive.fleet.systems import System

LEAST = 1_000
SAMPLE = 40
STATES = 6  # of update
SYSTEMS = (
    *[
        System("debian", "", "12", "bookworm", "Debian GNU/Linux 12 (bookworm)", f"6.1.0-{n}-amd64")
        for n in (28, 35, 40)
    ],
    System("debian", "", "13", "trixie", "Debian GNU/Linux 13 (trixie)", "6.12.48-amd64"),
    System("ubuntu", "debian", "22.04", "jammy", "Ubuntu 22.04.5 LTS", "5.15.0-160-generic"),
)
SERVERS = (
    ("openssh-server", "1:9.2p1-2+deb12u{}", "openssh"), ("openssl", "3.0.{}-1~deb12u1", "openssl"),
    ("libssl3", "3.0.{}-1~deb12u1", "openssl"), ("curl", "7.88.1-10+deb12u{}", "curl"),
    ("sudo", "1.9.13p3-1+deb12u{}", "sudo"), ("nginx", "1.22.1-9+deb12u{}", "nginx"),
    ("apache2", "2.4.{}-1~deb12u1", "apache2"), ("postgresql-15", "15.{}-0+deb12u1", "postgresql-15"),
    ("docker-ce", "5:27.{}.1-1~debian.12~bookworm", "docker-ce"), ("exim4-base", "4.96-15+deb12u{}", "exim4"),
    ("linux-image-6.1.0-28-amd64", "6.1.119-{}", "linux"), ("linux-image-6.1.0-40-amd64", "6.1.153-{}", "linux"),
    ("php8.2-cli", "8.2.{}-1~deb12u1", "php8.2"), ("python3.11", "3.11.2-6+deb12u{}", "python3.11"),
    ("git", "1:2.39.5-0+deb12u{}", "git"), ("vim", "2:9.0.1378-2+deb12u{}", "vim"),
)  # fmt: skip
# Vendor, product, and the line of "Systèmes affectés".
TOLD = (
    ("OpenSSL", "OpenSSL", "OpenSSL versions 3.0.x antérieures à 3.0.4"),
    ("OpenBSD", "OpenSSH", "OpenSSH versions antérieures à 9.8"),
    ("Docker", "Docker Engine", "Docker Engine versions 27.x antérieures à 27.3.1"),
    ("Debian", "N/A", "Debian bookworm versions antérieures à 6.1.140-1"),
    ("PostgreSQL", "PostgreSQL", "PostgreSQL versions 15.x antérieures à 15.4"),
    ("Apache", "HTTP Server", "Apache HTTP Server versions antérieures à 2.4.66"),
    ("PHP", "PHP", "PHP versions 8.2.x antérieures à 8.2.5"),
    ("Sudo", "Sudo", "Sudo versions antérieures à 1.9.17p1"),
    ("Cisco", "IOS XE", "IOS XE versions antérieures à 17.3"),
    ("Haxx", "Curl", "curl versions antérieures à 8.10.0"),
    ("Nginx", "Nginx", "Nginx versions antérieures à 1.27.4"),
    ("Python", "CPython", "CPython versions 3.11.x antérieures à 3.11.9"),
    ("Debian", "N/A", "Debian bookworm versions antérieures à 4.96-15+deb12u6"),
    ("Ubuntu", "N/A", "Ubuntu 22.04 LTS"),
    ("Exim", "Exim", "Exim versions antérieures à 4.98"),
    ("Git", "Git", "Git versions 2.39.x antérieures à 2.39.6"),
)


class Inventories:
    """Machines that hold nearly the same packages, as a fleet's do. Rows go in by COPY: what is measured comes after."""

    def __init__(self, centre: Any, count: int, people: int) -> None:
        self.centre = centre
        self.chance = random.Random(8)
        self.now = int(time.time())
        self.base = common()
        began = time.monotonic()
        self.hosts = self._members(count)
        self.rows = self._packages()
        self._people(people)
        centre.pg.sql("ANALYZE", "vigie")
        self.seconds = time.monotonic() - began

    def _members(self, count: int) -> list[int]:
        with database.writer(self.centre.data) as db, database.transaction(db):
            for number in range(count):
                members.add(
                    db, f"m{number:06}", "bench", self.now, f"room{number % 20} {'web' if number % 3 else 'db'}"
                )
            hosts = [row[0] for row in db.execute("SELECT host FROM member ORDER BY host")]
            for number, host in enumerate(hosts):
                system = SYSTEMS[number % len(SYSTEMS)]
                db.execute("INSERT INTO member_system VALUES (?, ?, ?, ?, ?, ?, ?, 0, ?)", (host, *system, self.now))
                figures = {metric: [round(self.chance.random(), 4) for _ in range(60)] for metric in taking.DRAWN}
                members.keep_figures(db, host, figures)
            db.execute(
                "UPDATE member SET joined_at=?, seen_at=?, fresh_at=?, cycle_at=?, worst=CASE WHEN host % 50 = 0 THEN 1 ELSE 0"
                " END, opened=CASE WHEN host % 50 = 0 THEN 1 ELSE 0 END",
                (self.now, self.now, self.now, self.now),
            )
        return hosts

    def _packages(self) -> int:
        raw = postgresql.take(self.centre.url).raw
        count = 0
        with raw.cursor().copy("COPY package FROM STDIN") as copy:
            for number, host in enumerate(self.hosts):
                for row in self.of(number):
                    copy.write_row((host, *row[:3], self.now, *row[3:], self.now, None))
                    count += 1
        raw.close()
        return count

    def of(self, number: int) -> list[tuple[str, str, str, str, str, str]]:
        """(name, version, architecture, source, source version, origin) of one machine."""
        state = number % STATES
        left_out = random.Random(number)
        found = [row for row in self.base[state] if left_out.random() > 0.03]
        for name, version, source in SERVERS:
            if left_out.random() < 0.7:
                known = version.format(1 + (state + left_out.randrange(3)) % 7)
                origin = "third party" if name == "docker-ce" else "distribution"
                found.append((name, known, "amd64", source, known, origin))
        for own in range(left_out.randrange(12)):
            name = f"site-{number % 400}-{own}"
            found.append((name, "1.0", "all", name, "1.0", "distribution"))
        return found

    def _people(self, count: int) -> None:
        with database.writer(self.centre.data) as db, database.transaction(db):
            for number, host in enumerate(self.hosts[:count]):
                values: dict[tuple[str, str], float] = {}
                for user in range(20):
                    labels = json.dumps({"user": f"person{(number * 7 + user * 13) % 900:03}"})
                    values[fleet_people.CPU, labels] = round(self.chance.random(), 3)
                    values[fleet_people.MEMORY, labels] = self.chance.randrange(1 << 32)
                    values[fleet_people.HOME, labels] = self.chance.randrange(1 << 38)
                facts = [("login_info", labels) for _, labels in list(values)[:6]]
                fleet_people.keep(db, host, self.now, values, facts, self.now)


def common() -> list[list[tuple[str, str, str, str, str, str]]]:
    """This computer's packages, LEAST at least, in STATES states of update: of one in eight another version each."""
    special = {name for name, _, _ in SERVERS}
    found: list[Package] = [one for one in read_machine().packages if one.name not in special]
    for part in range(1 + LEAST // max(1, len(found))):
        if len(found) < LEAST + 60:
            found += [one._replace(name=f"{one.name}-part{part}") for one in found[: LEAST + 60 - len(found)]]
    states = []
    for state in range(STATES):
        rows = {}
        for place, one in enumerate(found):
            version = f"{one.version}+s{state}" if place % 8 == state else one.version
            rows[one.name, version, one.architecture] = (
                one.name, version, one.architecture, one.source_name, one.source_release, one.origin,
            )  # fmt: skip
        states.append(list(rows.values()))
    return states


def publish(centre: Any, count: int, now: int) -> list[str]:
    """So many publications; returns their references."""
    bodies = []
    for number in range(count):
        vendor, product, line = TOLD[number % len(TOLD)]
        systems = [{"description": line, "product": {"name": product, "vendor": {"name": vendor, "scada": False}}}]
        bodies.append(
            {
                "reference": f"CERTFR-2026-AVI-{9000 + number}", "title": f"Vulnérabilité dans {product}", "summary": "",
                "content": "", "affected_systems": systems, "affected_systems_content": "",
                "cves": [{"name": f"CVE-2026-{1000 + number}"}], "risks": [], "links": [], "vendor_advisories": [],
                "revisions": [{"revision_date": "2026-11-20T00:00:00", "description": "Version initiale"}],
            }
        )  # fmt: skip
    with database.writer(centre.data) as db, database.transaction(db):
        for body in bodies:
            db.execute(
                "INSERT INTO advisory (reference, kind, title, status, last_at, url, digest, revision, announced, backlog,"
                " seen_at, read_at, again, tries, problem, summary, body)"
                " VALUES (?, 'avis', ?, 'unknown', ?, '', '', 1, 1, 0, ?, ?, 0, 0, '', '', ?)",
                (body["reference"], body["title"], now, now, now, json.dumps(body)),
            )
    return [str(body["reference"]) for body in bodies]


def decided(centre: Any, references: list[str]) -> dict[str, object]:
    """`./vigie fleet decide REFERENCE...`, as it is run."""
    environ = {
        "PATH": "/usr/bin:/bin", "VIGIE_DATA": centre.data, "VIGIE_DATABASE_URL": centre.url, "VIGIE_LANGUAGE": "en",
    }  # fmt: skip
    began, cpu = time.monotonic(), centre.seconds()["postgresql"]
    own = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", "web", "fleet", "decide", *references], check=False, capture_output=True, text=True, env=environ,
        cwd=os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "seconds": round(time.monotonic() - began, 2),
        "cpu_seconds": {
            "vigie": round(after.ru_utime + after.ru_stime - own.ru_utime - own.ru_stime, 2),
            "postgresql": round(centre.seconds()["postgresql"] - cpu, 2),
        },
        "largest_mb_so_far": after.ru_maxrss >> 10,
        "said": (done.stdout + done.stderr).strip(),
    }


def compared(centre: Any, machines: Inventories, references: list[str]) -> dict[str, int]:
    """Verdicts of a sample by the ordinary judge, whole inventories one by one, against those that are kept."""
    wrong = checked = 0
    with database.reader(centre.data) as db:
        bodies = dict(db.execute("SELECT reference, body FROM advisory").fetchall())
        kept = {
            (host, reference): (verdict, package, installed, reason)
            for host, reference, verdict, package, installed, reason in db.execute(
                "SELECT v.host, a.reference, v.verdict, v.package, v.installed, v.reason FROM member_verdict v"
                " JOIN advisory a ON a.id = v.advisory"
            )
        }
        known = {one.host: one.system for one in inventories.machines(db)}
        for host in random.Random(5).sample(machines.hosts, min(SAMPLE, len(machines.hosts))):
            system = known[host]
            decider = Decider(Inventory(system.os_release, inventories.of_host(db, host, system), system.running))
            for reference in references:
                verdict = decider.decide(parse(json.loads(bodies[reference])))
                said = json.dumps([verdict.reason.key, verdict.reason.arguments], ensure_ascii=False)
                expected = (verdict.verdict, verdict.package, verdict.installed, said)
                found = kept.get((host, reference))
                checked += 1
                wrong += (found is not None) if verdict.verdict == "not_affected" else (found != expected)
    return {"verdicts_compared": checked, "different": wrong}


def run(centre: Any, asked: Any, pages: Any) -> dict[str, object]:
    machines = Inventories(centre, asked.inventories, asked.people)
    now = int(time.time())
    references = publish(centre, asked.advisories, now)
    found: dict[str, object] = {
        "machines": len(machines.hosts), "packages": machines.rows, "made_in_seconds": round(machines.seconds),
        "package_bytes": centre.bytes()["package"], "load": round(os.getloadavg()[0], 1),
    }  # fmt: skip
    found["one_by_one"] = {reference: decided(centre, [reference]) for reference in references}
    found["all_at_once"] = decided(centre, references)
    found["sample"] = compared(centre, machines, references)
    with database.reader(centre.data) as db:
        person = fleet_people.totals(db, now, "machines", "", 1, 0)
    paths = [
        "/hosts", "/hosts?state=warning", "/hosts?tag=web", "/hosts?text=m0042", "/hosts/users", "/hosts/users?sort=machines",
        "/hosts/security", f"/security/{references[0]}", *[f"/users/{one.name}" for one in person],
    ]  # fmt: skip
    found["pages"] = [pages(centre, path) for path in paths]
    return found
