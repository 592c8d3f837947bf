"""A machine on which every name is an attack, and its twin on which every name is harmless.

The two have the same shape (as many users, mounts, incidents, mails), so whatever element or attribute stands in a page
of the first and not in the same page of the second was put there by a name.
"""

import json
import sqlite3
from typing import NamedTuple

from alerts import cycle
from archive import database, evidence, incidents, thresholds
from archive.certfr import document, machine, rows, schedule, store
from archive.certfr.verdict import Verdict, reason
from tests import cycles
from tests.certfr.server import publication
from tests.web import site
from tests.web.site import NOW

PAYLOADS = [
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "\"><svg onload=alert(1)>", "' onmouseover='alert(1)",
    "javascript:alert(1)", "</title><script>alert(1)</script>", "</textarea><script>", "{{7*7}}", "{% raw %}", "${7*7}",
    "<a href=javascript:alert(1)>x</a>", "<!--", "]]><script>alert(1)</script>", "&lt;script&gt;", "%3Cscript%3E", "\\u003cscript\\u003e",
    "<iframe src=//evil>", "<style>*{display:none}</style>", "<base href=//evil>", "<meta http-equiv=refresh content=0>",
    "<math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>", "`alert(1)`", "$(id)", "; rm -rf /", "| id",
    "../../etc/passwd", "..\\..\\", "=cmd|' /C calc'!A0", "+1+1", "@SUM(1)", "-2+3", "%s%s%s%n", "%(x)s", "%%", "\x1b[31mred",
    "\u202egnp.exe", "a" * 400, "\U0001f600", "O'Neil", '"quoted"', "a\tb", "éàç", "x\nvigie: forged line", "\x9b31m\x07bell",
    "<script type=application/json>{}</script>",
]  # fmt: skip
REFERENCES = [f"CERTFR-2026-ALE-{number:03}" for number in range(1, len(PAYLOADS) + 1)]
STEPS = 20


class Machine(NamedTuple):
    path: str
    names: list[str]  # as they were chosen
    shown: list[str]  # as the archive keeps them: controls and direction marks made visible
    person: str  # the administrator's own name


def quoted(text: str) -> str:
    """Inside a label of a probe's text."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def harmless(number: int) -> str:
    return f"name{number:02}"


def sections(names: list[str], step: int, words: str) -> dict[str, str]:
    """One cycle in which each name is a user, a mount, a terminal, an origin, a device, a unit."""
    spelled = [quoted(name) for name in names]
    said = dict(cycles.machine(NOW - (STEPS - 1 - step) * 60, cpu=0.97))
    said["processes"] = "# TYPE user_cpu_seconds_total counter\n" + "".join(
        f'user_cpu_seconds_total{{user="{name}"}} {step * 40 + number}\nuser_memory_bytes{{user="{name}"}} {number + 1}000000\n'
        f'user_processes{{user="{name}"}} {number + 1}\n'
        for number, name in enumerate(spelled)
    )
    said["disk"] = "# WARN disk_used_ratio > 0.90\n" + "".join(
        f'disk_used_ratio{{mount="{name}"}} 0.95\n' for name in spelled
    )
    said["users"] = "".join(
        f'login_info{{user="{name}",tty="{name}",from="{name}",since="{name}"}} 1\n' for name in spelled
    )
    said["accounts"] = "".join(
        f'account_info{{user="{name}",uid="{1000 + number}",home="/home/{name}",shell="{name}"}} 1\n'
        for number, name in enumerate(spelled)
    )
    said["units"] = "units_failed 1\n" + "".join(f'unit_failed_info{{unit="{name}"}} 1\n' for name in spelled)
    said["homes"] = "".join(f'user_home_bytes{{user="{name}"}} 1000000\n' for name in spelled)
    line = " ".join(words.split())  # a comment of a probe's text is one line
    said["evil"] = f"# HELP evil_ratio {line}\n# HELP.fr evil_ratio {line}\n# WARN evil_ratio > 0.5\nevil_ratio 0.9\n"
    return said


def build(path: str, *, hostile: bool) -> Machine:
    """The machine after twenty cycles, with incidents, mails owed, publications, reasons and evidence."""
    names = PAYLOADS if hostile else [harmless(number) for number in range(len(PAYLOADS))]
    site.folder(path)
    for step in range(STEPS):
        at = NOW - (STEPS - 1 - step) * 60
        said = {**sections(names, step, names[0]), "broken": cycles.Failed(names[0])}
        cycles.write(path, at, said)
    cycle.run(site.config(path, VIGIE_MAIL_TO="a@example.org", VIGIE_SMTP_HOST="mail.example.org"), NOW)
    person = names[2]
    site.add_person(path, person)
    with database.writer(path) as db, database.transaction(db):
        tell(db, names, person)
    with database.reader(path) as db:
        shown = [
            json.loads(row[0])["user"]
            for row in db.execute(
                "SELECT s.labels FROM series s JOIN metric m ON m.id = s.metric"
                " WHERE m.name='user_memory_bytes' ORDER BY s.id"
            )
        ]
    return Machine(path, names, shown, person)


def tell(db: sqlite3.Connection, names: list[str], person: str) -> None:
    """What people and CERT-FR said."""
    db.execute("UPDATE host SET name=?", (names[0],))
    schedule.claim(db, NOW - 3700)
    for reference, name in zip(REFERENCES, names, strict=True):
        entry = publication(reference, "2026-11-19", title=name, summary=name, content=name)
        store.put(db, document.from_json(json.dumps(entry).encode()), NOW - 3600)
        row = rows.row(db, reference)
        assert row is not None
        ident = db.execute("SELECT id FROM advisory WHERE reference=?", (reference,)).fetchone()[0]
        found = Verdict("affected", name, name, reason("older", fixed=name), ())
        machine.store(db, 1, [(ident, 1, found, name)], NOW)
    schedule.finish(db, NOW - 3700, NOW - 3600, error="", failed=False, wait=None)
    live = [one for one in incidents.recent(db, 1, 500) if one.state != "resolved"]
    process = {"pid": 1, "unit": "", "arguments": "", "cores": 1.0, "memory": 1, "read": 2.0e6, "written": None}
    for number, one in enumerate(live):
        name = names[number % len(names)]
        why = "".join(c if c.isprintable() else "?" for c in name)[:200]
        if number % 2:
            incidents.acknowledge(db, one.id, person, why, NOW)
        body = {
            "at": NOW,
            "cpu": [{**process, "user": name, "command": name, "unit": name, "arguments": name}],
            "users": [{"user": name, "processes": 1, "cores": 1.0, "memory": 1, "read": 1.0, "written": 1.0}],
            "logins": [{"user": name, "tty": name, "origin": name, "since": NOW}],
            "grown": [{"path": f"/{name}", "bytes": 10**9, "at": NOW}],
            "grown_kind": "folders",
            "events": [{"at": NOW, "kind": "package", "subject": name, "detail": name}],
        }
        evidence.add(db, one.id, NOW, "opened", json.dumps(body))
    series = db.execute("SELECT labels FROM series s JOIN metric m ON m.id=s.metric WHERE m.name='disk_used_ratio'")
    for (labels,) in series.fetchall()[:10]:
        own = thresholds.Threshold("disk_used_ratio", labels, True, 0.8, 0.9, None, 60)
        thresholds.save(db, own, person, NOW)
