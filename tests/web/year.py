"""A year of one shared machine, the same at every run: ten people, six disks, incidents, mails with their fates, events,
CERT-FR's publications with verdicts, a clock that is put forward and back.

1. The first cycle goes through the real loader: metrics, lines, facts. 2. The months after it are rows (a cycle each 30
minutes, later each 10), rolled up and packed by the archive's own code. 3. The last day is spool files, loaded and judged
minute by minute as every cycle is. 4. What people and servers did: acknowledgements, last words, log-ins, packages.
"""

import glob
import json
import math
import os
import random
from typing import NamedTuple

from alerts import cycle as step
from alerts import evidence as seen
from alerts import wording
from alerts.growth import Growth
from alerts.letter import read_letter
from alerts.running import Process
from alerts.words import Words
from archive import database, events, evidence, incidents, leaving, outbox, pack, read, rollup, settings, thresholds
from archive.certfr import document, machine, store
from archive.certfr.verdict import Verdict, reason
from archive.incidents import Incident
from tests import cycles
from tests.cycles import ROOT
from tests.engines import analyze, put_samples

NOW = 1_795_428_780  # 2026-11-23 10:13 UTC
DAY, HOUR = 86_400, 3600
START = NOW - 365 * DAY
BOOTED = START - 9 * DAY
LIVE = 26 * HOUR  # the last of it is judged, minute by minute
COARSE, FINE = 1800, 600  # seconds between the cycles of the months before, and of the last 30 days
LIGHT = (6 * HOUR, 4 * HOUR, HOUR)  # the same year for tests: fewer cycles, the same days
MAIL = "admin@example.org"
SIZE = {"/": 64e9, "/home": 480e9, "/srv": 1.9e12, "/var": 120e9, "/data": 7.6e12, "/tmp": 32e9}


class Person(NamedTuple):
    cpu: float  # cores, by day
    memory: float  # bytes
    processes: int
    home: float  # bytes, at the end of the year
    growth: float  # bytes a day


PEOPLE = {
    "alice": Person(0.24, 1.9e9, 41, 61e9, 0.1e9),
    "bruno": Person(0.11, 0.8e9, 18, 12e9, 0.0),
    "chloe": Person(0.35, 2.6e9, 27, 148e9, 1.9e9),
    "david": Person(0.00, 0.2e9, 6, 3.1e9, 0.0),
    "emma": Person(0.16, 1.2e9, 22, 37e9, 0.05e9),
    "farid": Person(0.42, 3.1e9, 33, 88e9, 0.2e9),
    "gaelle": Person(0.02, 0.3e9, 9, 8e9, 0.0),
    "hugo": Person(0.07, 0.6e9, 14, 21e9, 0.02e9),
    "ines": Person(0.01, 0.2e9, 5, 1.2e9, 0.0),
    "jules": Person(0.05, 0.4e9, 11, 16e9, 0.0),
}
SERVICES = {"root": (0.03, 0.4e9, 96), "www-data": (0.02, 0.3e9, 8), "postgres": (0.04, 0.7e9, 12)}
NEVER = ("invite", "stagiaire")
HELD = 44 * 60  # alice's job holds the processor since then
GAP = (NOW - 20 * DAY, NOW - 20 * DAY + 5 * HOUR)  # the machine was off


LOGGED_IN = "# HELP users_logged_in Users logged in\n# HELP.fr users_logged_in Utilisateurs connectés\n"


def comments(probe: str) -> str:
    """What the real probe says of its metrics: names in two languages, levels."""
    path = glob.glob(f"{ROOT}/tests/probes/golden/{probe}.*prom")[0]
    with open(path, encoding="utf-8") as file:
        return "".join(line for line in file if line.startswith("# ") and not line.startswith("# UNAVAILABLE"))


def as_json(label: str) -> str:
    """`mount="/"` as the archive keeps it."""
    name, _, value = label.partition("=")
    return f'{{"{name}":{value}}}' if label else "{}"


def levels(at: int, chance: random.Random) -> dict[str, dict[str, float]]:
    """{metric: {label text: value}} at a time; a counter's value is its rate."""
    local = at + HOUR
    hour, weekday = local % DAY / HOUR, (local // DAY + 3) % 7
    work = (0.25 if weekday > 4 else 1.0) * (math.sin((hour - 7) / 12 * math.pi) if 7 < hour < 19 else 0.0)
    season = 1 + 0.25 * math.sin((at - START) / (365 * DAY) * 2 * math.pi)
    drift = (
        0.6 * math.sin(at / 2100) + 0.4 * math.sin(at / 700 + 2) + 0.3 * math.sin(at / 333)
    )  # minutes differ, not at random
    held = at > NOW - HELD
    night = 2 <= hour < 2.6
    cpu = 0.985 if held else 0.05 + 0.30 * work * season + (0.5 if night else 0.0)
    cpu += (
        0.05 * drift * (0.3 + work)
        + chance.uniform(-0.015, 0.03)
        + (0.12 * chance.random() if chance.random() < 0.06 else 0.0)
    )
    cpu = min(0.995, max(0.01, cpu))
    memory = 0.36 + 0.15 * work * season + (0.08 if held else 0.0) + 0.012 * drift + chance.uniform(-0.004, 0.004)
    cpu, hot, farid = (
        max(cpu, past(at, "cpu_busy_seconds_total")),
        past(at, "temperature_celsius"),
        past(at, "user_memory_ratio"),
    )
    said: dict[str, dict[str, float]] = {
        "cpu_busy_seconds_total": {"": cpu}, "cpu_cores": {"": 4},
        "memory_available_ratio": {"": 1 - memory}, "memory_used_ratio": {"": memory},
        "memory_available_bytes": {"": 16e9 * (1 - memory)}, "memory_size_bytes": {"": 16e9},
        "load_average": {'window="1m"': 4 * cpu, 'window="5m"': 3.7 * cpu, 'window="15m"': 3.4 * cpu},
        "uptime_seconds": {"": at - BOOTED},
        "network_receive_bytes_total": {'device="eth0"': 2e5 + 6e6 * work + (4e7 if night else 0)},
        "network_transmit_bytes_total": {'device="eth0"': 9e4 + 2e6 * work},
        "temperature_celsius": {'sensor="coretemp"': max(38 + 30 * cpu, hot)},
    }  # fmt: skip
    for mount, share in disks(at, chance).items():
        label = f'mount="{mount}"'
        said.setdefault("disk_used_ratio", {})[label] = share
        said.setdefault("disk_size_bytes", {})[label] = SIZE[mount]
        said.setdefault("disk_available_bytes", {})[label] = SIZE[mount] * (1 - share)
    for name, one in PEOPLE.items():
        used = (
            3.1
            if held and name == "alice"
            else one.cpu * max(0.0, 0.05 + work * (1 + 0.5 * math.sin(at / 1700 + one.home))) + chance.uniform(0, 0.02)
        )
        resident = max(one.memory * (1 + 0.2 * work + 0.03 * drift), farid * 16e9 if name == "farid" else 0.0)
        _person(said, name, used, resident, one.processes + int(8 * work))
    for name, (used, resident, processes) in SERVICES.items():
        _person(said, name, used * (1 + work), resident, processes)
    return said


def disks(at: int, chance: random.Random) -> dict[str, float]:
    """The share used of each mount: one that fills and is cleared each seven weeks, one that grows slowly, some that rest."""
    since = (at - NOW + 47 * DAY) % (49 * DAY) / DAY
    return {
        "/": 0.41 + 0.02 * ((at // DAY) % 30) / 30,
        "/home": 0.60 + 0.0061 * since,
        "/srv": 0.62,
        "/var": 0.44 + 0.05 * ((at // DAY) % 7) / 7,
        "/data": 0.58 + 0.20 * (at - START) / (365 * DAY),
        "/tmp": 0.10 + chance.uniform(0, 0.04),
    }


class Past(NamedTuple):
    """An incident that is over: what its line showed, from its first sample to its last."""

    metric: str
    labels: str
    since: int
    opened: int
    ended: int
    peak: float
    level: float


def _pasts() -> list[Past]:
    chance = random.Random(11)
    lines = (
        ("cpu_busy_seconds_total", "{}", 0.975, 0.95), ("user_memory_ratio", '{"user":"farid"}', 0.57, 0.5),
        ("temperature_celsius", '{"sensor":"coretemp"}', 93.0, 90.0),
    )  # fmt: skip
    found = []
    for number in range(30):
        metric, labels, peak, level = lines[number % len(lines)]
        since = NOW - (number * 12 + 3) * DAY + chance.randrange(DAY) // 1800 * 1800
        opened = since + 900
        found.append(
            Past(
                metric,
                labels,
                since,
                opened,
                opened + chance.randrange(20 * 60, 9 * HOUR) // 1800 * 1800 + 900,
                peak,
                level,
            )
        )
    return found


PAST = _pasts()


def past(at: int, metric: str) -> float:
    """What an incident of that time shows of a metric; 0.0 without one."""
    return max((one.peak for one in PAST if one.since <= at < one.ended and one.metric == metric), default=0.0)


def _person(said: dict[str, dict[str, float]], name: str, used: float, resident: float, processes: float) -> None:
    label = f'user="{name}"'
    for metric, value in (
        ("user_cpu_seconds_total", used), ("user_memory_bytes", resident), ("user_memory_ratio", resident / 16e9),
        ("user_processes", processes),
    ):  # fmt: skip
        said.setdefault(metric, {})[label] = value


def homes(at: int) -> dict[str, float]:
    return {f'user="{name}"': max(1e6, one.home - one.growth * (NOW - at) / DAY) for name, one in PEOPLE.items()}


PROBES = {
    "cpu": ("cpu_busy_seconds_total", "cpu_cores"),
    "memory": ("memory_available_ratio", "memory_used_ratio", "memory_available_bytes", "memory_size_bytes"),
    "disk": ("disk_used_ratio", "disk_available_bytes", "disk_size_bytes"),
    "processes": ("user_cpu_seconds_total", "user_memory_bytes", "user_memory_ratio", "user_processes"),
    "load": ("load_average",), "uptime": ("uptime_seconds",), "temperature": ("temperature_celsius",),
    "network": ("network_receive_bytes_total", "network_transmit_bytes_total"), "homes": ("user_home_bytes",),
}  # fmt: skip


class Teller:
    """The machine's probes: texts, with counters that add up."""

    def __init__(self) -> None:
        self.sums: dict[str, float] = {}
        self.before: int | None = None
        self.head = {name: comments(name) for name in (*PROBES, "accounts")}

    def texts(self, at: int, said: dict[str, dict[str, float]]) -> dict[str, "str | cycles.Failed"]:
        elapsed = at - self.before if self.before is not None else 0
        self.before = at
        texts: dict[str, str | cycles.Failed] = {}
        for probe, metrics in PROBES.items():
            rows = []
            for metric in metrics:
                for label, value in said.get(metric, {}).items():
                    line = f"{metric}{{{label}}}" if label else metric
                    self.sums[line] = self.sums.get(line, 0.0) + value * elapsed
                    rows.append(f"{line} {self.sums[line] if metric.endswith('_total') else value:.4f}")
            if rows:
                texts[probe] = self.head[probe] + "\n".join(rows) + "\n"
        logged_in = (("alice", 5400), ("chloe", 9000), ("emma", 1500), ("farid", 26 * HOUR))
        texts["users"] = f"{LOGGED_IN}users_logged_in {len(logged_in)}\n" + "".join(
            f'login_info{{user="{who}",tty="pts/{n}",from="192.0.2.{n + 4}",since="{NOW - ago}"}} 1\n'
            for n, (who, ago) in enumerate(logged_in)
        )
        texts["accounts"] = f"{self.head['accounts']}accounts {len(PEOPLE) + len(NEVER) + 1}\n" + "".join(
            f'account_info{{user="{who}",uid="{n}",home="/home/{who}",shell="/bin/bash"}} 1\n'
            for who, n in {"root": 0, **{who: 1000 + n for n, who in enumerate((*PEOPLE, *NEVER))}}.items()
        )
        texts["smart"] = "# UNAVAILABLE smartctl is not installed (package smartmontools)\n"
        texts["units"] = cycles.Failed("timed out after 10 s")
        return texts


def build(data: str, spans: tuple[int, int, int] = (LIVE, COARSE, FINE)) -> settings.Settings:
    """The data folder of that machine, and its settings. `spans`: seconds that are judged, between the cycles of the
    months, and of the last month."""
    live, coarse, fine = spans
    os.makedirs(data, mode=0o700)
    database.create(data, "0" * 32, "srv-labo", "", START)
    config = settings.load({"VIGIE_DATA": data, "VIGIE_TIMEZONE": "Europe/Paris", "VIGIE_MAIL_TO": MAIL})
    chance, teller = random.Random(7), Teller()
    for at in (START, START + 60):  # a counter has a rate from the second cycle on
        cycles.write(
            data, at, teller.texts(at, levels(at, chance) | {"user_home_bytes": homes(at)}), uptime=at - BOOTED
        )
        cycles.load_all(data, at)
    _months(data, chance, live, coarse, fine)
    _past_incidents(data)
    for at in range(NOW - live, NOW + 1, 60):
        said = levels(at, chance)
        if (at - START) % 300 == 0:
            said["user_home_bytes"] = homes(at)
        cycles.write(data, at, teller.texts(at, said), uptime=at - BOOTED)
    step.run(config, NOW)
    with database.writer(data) as db, database.transaction(db):
        rollup.roll(db, 1, NOW)
    _people(data)
    _publications(data)
    return config


def _months(data: str, chance: random.Random, live: int, coarse: int, fine: int) -> None:
    """The rows of the months before the live ones, rolled up and packed as upkeep does it."""
    end = NOW - live
    times = [*range(START + coarse, NOW - 30 * DAY, coarse), *range(NOW - 30 * DAY, end, fine)]
    with database.writer(data) as db:
        ids = {(line.metric.name, line.labels): (line.id, line.metric.scale) for line in read.series(db, 1)}
        keys = {
            (metric, label): ids[metric, as_json(label)]
            for metric, lines in (levels(START, random.Random(0)) | {"user_home_bytes": homes(START)}).items()
            for label in lines
        }
        with database.transaction(db):
            db.executemany(
                "INSERT INTO cycle VALUES (1, ?, ?, ?, 2, 12, 1, 90)",
                ((at, cycles.BOOT, float(at - BOOTED)) for at in times if not GAP[0] <= at < GAP[1]),
            )
            put_samples(db, _rows(times, keys, chance))
        more = True
        while more:
            with database.transaction(db):
                more = rollup.roll(db, 1, end, 500)
            analyze(db)
        with database.transaction(db):
            for day in range(START // DAY * DAY, (end - 2 * DAY) // DAY * DAY, DAY):
                pack.pack_day(db, 1, day)
        with database.transaction(db):
            events.add(db, 1, GAP[1], "boot", "", "")


def _rows(times, keys, chance):  # type: ignore[no-untyped-def]
    for at in times:
        if GAP[0] <= at < GAP[1]:
            continue
        said = levels(at, chance)
        if (at - START) % HOUR < 600:
            said["user_home_bytes"] = homes(at)
        for metric, lines in said.items():
            for label, value in lines.items():
                ident, scale = keys[metric, label]
                yield at, ident, round(value * scale)


def _past_incidents(data: str) -> None:
    """Thirty that are over, on three lines, through the months; their mails left, but one."""
    with database.writer(data) as db, database.transaction(db):
        mails: list[tuple[int, int, str, str]] = []
        for number, (metric, labels, since, opened, ended, peak, level) in enumerate(PAST):
            judged = thresholds.to_json(thresholds.Threshold(metric, labels, True, level, None, None, 900))
            made = incidents.insert(db, Incident(
                0, 1, "threshold", metric, labels, incidents.series_id(db, 1, metric, labels), "resolved", "warning", since,
                None, opened, ended - 600, ended, "cleared", ended, level - 0.1, peak, since + 600, 0, None, judged, None,
                None, "", "",
            ))  # fmt: skip
            told = [
                incidents.add_transition(db, made.id, opened, "opened", "warning", peak),
                incidents.add_transition(db, made.id, ended, "resolved", "warning", level - 0.1),
            ]
            what = {"cpu_busy_seconds_total": "Processeur occupé", "user_memory_ratio": "Mémoire de farid"}.get(
                metric, "Température"
            )
            for transition, at, badge in zip(told, (opened, ended), ("Attention", "Terminé"), strict=True):
                mails.append(
                    (at, transition, "refused" if number == 2 else "accepted", f"[srv-labo] {badge}\u00a0: {what}")
                )
        for at, transition, state, subject in sorted(mails):
            _mail(db, transition, at, state, subject)


def _mail(db, transition: int, at: int, state: str, subject: str) -> None:  # type: ignore[no-untyped-def]
    ident = outbox.new_message_id("srv-labo", "incident", at)
    mail = outbox.add(db, 1, at, "incident", "", ident, subject, "{}")
    outbox.tell(db, mail, outbox.transitions(db, [transition]))
    outbox.queue(db, mail, [MAIL], at)
    reply = "550 5.1.1 no such user" if state == "refused" else "250 2.0.0 queued"
    outbox.mark(db, mail, MAIL, state, 0, at + 20, "smtp.example.org:587", reply)


def _people(data: str) -> None:
    """What came after the judging: the servers' words, evidence, log-ins, packages."""
    with database.writer(data) as db, database.transaction(db):
        for entry in outbox.ledger(db, 5):
            if entry.notification.kind == "incident" and entry.notification.at > NOW - LIVE:
                letter = read_letter(db, entry.notification, NOW)
                leaving.set_subject(db, entry.notification.id, wording.subject(letter, Words("fr", "Europe/Paris")))
            for delivery in entry.deliveries:
                if delivery.state == "queued":
                    outbox.mark(db, entry.notification.id, delivery.recipient, "accepted", 0, entry.notification.at + 20,
                                "smtp.example.org:587", "250 2.0.0 queued")  # fmt: skip
        for one in incidents.live(db, 1):
            if one.opened_at is not None:
                evidence.add(db, one.id, one.opened_at, "opened", seen.to_json(_evidence(one.opened_at)))
        for number, package in enumerate(("openssl", "linux-image-amd64", "python3.11", "nginx")):
            events.add(db, 1, NOW - (number * 23 + 1) * DAY, "package", package, "1.0-1 → 1.0-2")
        for ago, who in (
            (5 * HOUR, "bruno"),
            (2 * DAY, "hugo"),
            (9 * DAY, "jules"),
            (17 * DAY, "gaelle"),
            (200 * DAY, "ines"),
        ):
            events.add(db, 1, NOW - ago, "login", who, "pts/0 192.0.2.40")


def _evidence(at: int) -> seen.Evidence:
    def running(pid: int, user: str, command: str, cores: float, memory: float) -> Process:
        return Process(pid, user, "", command, "", cores, int(memory), 0.0, 0.0)

    busy = (running(41207, "alice", "cc1plus", 1.58, 1.1e9), running(41188, "alice", "ld", 1.02, 0.7e9),
            running(2210, "farid", "python3", 0.42, 3.1e9), running(977, "postgres", "postgres", 0.06, 0.7e9))  # fmt: skip
    return seen.Evidence(
        at=at, cpu=busy, memory=tuple(sorted(busy, key=lambda one: -one.memory)), processes=318,
        logins=(seen.Login("alice", "pts/0", "192.0.2.4", NOW - 5400), seen.Login("farid", "pts/3", "192.0.2.7", NOW - 26 * HOUR)),
        grown=(Growth("/home/alice/build", int(6.2e9), 0), Growth("/home/chloe/images", int(1.9e9), 0)), grown_kind="folders",
        grown_since=NOW - DAY,
    )  # fmt: skip


WARES = ("OpenSSH", "Apache Struts", "PostgreSQL", "le noyau Linux de Debian", "Mozilla Firefox", "les produits Cisco", "GitLab",
         "les produits Microsoft", "Nginx", "OpenSSL", "Wireshark", "PHP")  # fmt: skip


def publication(reference: str, title: str, at: int, *, closed: bool) -> document.Document:
    day = f"{_day(at)}T00:00:00.000000"
    made = {
        "reference": reference, "title": title, "affected_systems": [], "affected_systems_content": "", "links": [],
        "summary": "De multiples vulnérabilités permettent à un attaquant de contourner la politique de sécurité.",
        "content": "## Solution\n\nSe référer au bulletin de sécurité de l'éditeur pour l'obtention des correctifs.",
        "cves": [{"name": "CVE-2026-99914", "url": "https://www.cve.org/CVERecord?id=CVE-2026-99914"}], "risks": [],
        "vendor_advisories": [], "revisions": [{"description": "Version initiale", "revision_date": day}],
        "closed_at": _day(at + 30 * DAY) if closed else None,
    }  # fmt: skip
    return document.from_json(json.dumps(made).encode())


def _day(at: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")


def _publications(data: str) -> None:
    """Three hundred, with a verdict each: one concerns the machine, some are to check."""
    absent = Verdict("not_affected", "", "", reason("no_product"))
    behind = reason(
        "tracker_behind", version="1:9.2p1-2+deb12u7", cve="CVE-2026-99914", suite="bookworm", source="openssh"
    )
    here = Verdict("affected", "openssh-server", "1:9.2p1-2+deb12u6", behind)
    unsure = Verdict("to_check", "postgresql-15", "15.8-0+deb12u1", reason("backport", upstream="15.8"))
    with database.writer(data) as db, database.transaction(db):
        decided = []
        for number in range(300):
            alert = number % 25 == 0
            reference = f"CERTFR-2026-{'ALE' if alert else 'AVI'}-{990 - number:03d}"
            ware = WARES[number % len(WARES)]
            title = f"{'Vulnérabilité' if alert else 'Multiples vulnérabilités'} dans {ware}"
            at = NOW - (2 + number) * DAY
            store.put(db, publication(reference, title, at, closed=alert and number > 30), NOW - 1800, told=True)
            ident = db.execute("SELECT id FROM advisory WHERE reference=?", (reference,)).fetchone()[0]
            verdict = here if number == 0 else unsure if number % 60 == 2 else absent
            decided.append((ident, 1, verdict, "1:9.2p1-2+deb12u7" if number == 0 else ""))
        machine.store(db, 1, decided, NOW - 1700)
        db.execute("INSERT INTO reading (source, url, etag, last_modified, digest, listed, read_at, ok_at, first_ok_at, error,"
                   " backoff, done, total) VALUES ('round', '', '', '', '', 300, ?, ?, ?, '', 0, 300, 300)",
                   (NOW - 1800, NOW - 1800, NOW - 340 * DAY))  # fmt: skip
