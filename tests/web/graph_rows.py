"""A small archive for the pages of graphs: real spool files, loaded by the real loader."""

import json
import os

from archive import database, events, incidents, load, read
from archive.incidents import Incident

NOW = 1_795_221_000 // 300 * 300 + 30
HOURS = 3
HOSTILE = ["alice", "=cmd|'/C calc'!A0", "+1", "-1", "@sum", "<script>alert(1)</script>", 'a"b,c', "zoé"]


def probe_text(step: int) -> list[tuple[str, str]]:
    """(probe, text) of the cycle number `step`."""
    busy = 0.95 if 100 <= step < 120 else 0.25
    # The counter of a steady rate; its jump lasts twenty minutes.
    used = 1000 + 60 * (0.25 * min(step, 100) + 0.95 * max(0, min(step, 120) - 100) + 0.25 * max(0, step - 120))
    escaped = [name.replace("\\", "\\\\").replace('"', '\\"') for name in HOSTILE]
    users = "".join(f'user_memory_bytes{{user="{name}"}} {(i + 1) * 10**8}\n' for i, name in enumerate(escaped))
    return [
        (
            "cpu",
            "# HELP cpu_busy_seconds_total Processor in use\n# HELP.fr cpu_busy_seconds_total Processeur utilisé\n"
            "# TYPE cpu_busy_seconds_total counter\n# WARN cpu_busy_seconds_total > 0.85\n# FOR cpu_busy_seconds_total 10\n"
            f"cpu_busy_seconds_total {used}\n",
        ),
        (
            "memory",
            "# HELP memory_used_ratio Memory in use\n# HELP.fr memory_used_ratio Mémoire utilisée\n"
            f"memory_used_ratio {busy / 2}\n",
        ),
        ("processes", "# HELP.fr user_memory_bytes Mémoire par utilisateur\n" + users),
        ("users", 'login_info{user="alice",tty="pts/0",from="203.0.113.7",since="1"} 1\n'),
    ]


def spool(data: str, at: int, step: int) -> None:
    """One cycle's file, as the runner writes it."""
    body = "".join(f"# VIGIE probe={name} status=ok seconds=0.010\n{text}" for name, text in probe_text(step)).encode()
    mark = f"# VIGIE lines={body.count(10)} bytes={len(body)} cycle={at} boot=b uptime={1000 + 60 * step}\n"
    os.makedirs(os.path.join(data, "spool"), exist_ok=True)
    with open(os.path.join(data, "spool", f"{at}.prom"), "wb") as file:
        file.write(body + mark.encode())


def fill(data: str) -> None:
    """Three hours of minutes, ten of them missing; an incident; a boot and a log-in."""
    start = NOW - HOURS * 3600
    database.create(data, "uid", "srv-test-01", "machine", start)
    for step in range(HOURS * 60 + 1):
        if not 60 <= step < 70:
            spool(data, start + 60 * step, step)
    with database.writer(data) as db:
        load.load(data, db, NOW)
        line = next(line for line in read.series(db, 1) if line.metric.name == "cpu_busy_seconds_total")
        with database.transaction(db):
            incidents.insert(db, incident(line.id, start + 6060, start + 7260))
            events.add(db, 1, start + 1200, "boot", "", "")
            events.add(db, 1, start + 1500, "login", "alice", "203.0.113.7")


def incident(series: int, since: int, ended: int) -> Incident:
    return Incident(
        0, 1, "threshold", "cpu_busy_seconds_total", "{}", series, "resolved", "warning", since, None, since + 600, None,
        ended, "cleared", ended, 0.25, 0.95, since + 60, 0, None, json.dumps({}), None, None, "", "",
    )  # fmt: skip
