"""What the tests of judging share: a machine with a real database, fed by real spool files."""

import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from alerts import cycle
from archive import database, settings
from archive import incidents as rows

ROOT = Path(__file__).resolve().parents[2]
START = 1_795_000_020  # 2026-11-18 04:27:00 UTC
FAILED = None

CPU = """# HELP cpu_busy_ratio CPU in use
# TYPE cpu_busy_ratio gauge
# WARN cpu_busy_ratio > 0.95
# CLEAR cpu_busy_ratio 0.85
# FOR cpu_busy_ratio 15
cpu_busy_ratio {value}
"""


class Machine:
    """One machine: its data folder, its boot and its spool."""

    def __init__(self, data: Path, now: int = START) -> None:
        self.data = data
        data.mkdir(mode=0o700, exist_ok=True)
        (data / "spool").mkdir(mode=0o700, exist_ok=True)
        database.create(str(data), "uid", "atelier", "machine", now)
        self.boot, self.booted_at = "boot-1", now - 100_000
        self.environ = {
            "VIGIE_DATA": str(data),
            "VIGIE_MAIL_FROM": "vigie@example.org",
            "VIGIE_MAIL_TO": "admin@example.org",
            "VIGIE_TIMEZONE": "Europe/Paris",
        }

    @property
    def config(self) -> settings.Settings:
        return settings.load(self.environ)

    def reboot(self, at: int) -> None:
        self.boot, self.booted_at = f"boot-{at}", at

    def spool(self, at: int, probes: Mapping[str, str | None]) -> None:
        """The texts of one cycle, as the runner writes them; None for a probe that failed."""
        write_spool(self.data, at, probes, self.boot, at - self.booted_at)

    def run(self, now: int) -> None:
        """The minute's step, in this process."""
        cycle.run(self.config, now)

    def cycle(self, at: int, probes: Mapping[str, str | None]) -> None:
        self.spool(at, probes)
        self.run(at)

    def feed(self, values: Iterable[float | None], start: int, text: str = CPU, step: int = 60) -> int:
        """One cycle a value, one every `step` seconds; None is a cycle that did not run. The time of the next one."""
        at = start
        for value in values:
            if value is not None:
                self.cycle(at, {"cpu": text.format(value=value)})
            at += step
        return at

    def process(self, now: int, **environ: str) -> subprocess.CompletedProcess[str]:
        """The minute's step as run_all.sh starts it: another process."""
        return subprocess.run(
            [sys.executable, "-I", "-S", str(ROOT / "alerts" / "cycle.py")],
            env={"PATH": "/usr/bin:/bin", **self.environ, "VIGIE_NOW": str(now), **environ},
            cwd="/",
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def due(self) -> list[str]:
        return (self.data / "run" / "due").read_text().split("\n")[:-1]

    def incidents(self) -> list[rows.Incident]:
        """Every incident that opened, oldest first."""
        with database.reader(str(self.data)) as db:
            return rows.recent(db, 1, 10_000)[::-1]

    def live(self) -> list[rows.Incident]:
        with database.reader(str(self.data)) as db:
            return rows.live(db, 1)

    def kinds(self, incident: int) -> list[str]:
        with database.reader(str(self.data)) as db:
            return [one.kind for one in rows.transitions(db, incident)]

    def mails(self) -> list[tuple[str, ...]]:
        """The mails owed, oldest first: the kinds of the transitions that each tells."""
        with database.reader(str(self.data)) as db:
            found: dict[int, list[str]] = {row[0]: [] for row in db.execute("SELECT id FROM notification ORDER BY id")}
            rows = db.execute(
                "SELECT o.notification, t.kind FROM told o JOIN transition t ON t.id = o.transition ORDER BY t.at, t.id"
            )
            for mail, kind in rows:
                found[mail].append(kind)
        return [tuple(kinds) for kinds in found.values()]

    def mails_of(self, incident: int) -> list[str]:
        """The kinds of what was told of one incident, in the order of the mails."""
        with database.reader(str(self.data)) as db:
            rows = db.execute(
                "SELECT t.kind FROM told o JOIN transition t ON t.id = o.transition WHERE o.incident=?"
                " ORDER BY o.notification, t.at, t.id",
                (incident,),
            )
            return [row[0] for row in rows]

    def dump(self) -> list[object]:
        """Everything that judging writes, to compare."""
        with database.reader(str(self.data)) as db:
            return [
                db.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall()
                for table in ("incident", "transition", "told", "delivery")
            ]


def write_spool(data: Path, at: int, probes: Mapping[str, str | None], boot: str, uptime: float) -> None:
    body = ""
    for name, text in probes.items():
        if text is None:
            body += f'# VIGIE probe={name} status=failed seconds=10.000 reason="timed out after 10 s"\n'
        else:
            body += f"# VIGIE probe={name} status=ok seconds=0.004 uptime={uptime:.2f}\n{text}"
    raw = body.encode()
    lines = raw.count(b"\n")
    mark = f"# VIGIE lines={lines} bytes={len(raw)} cycle={at} boot={boot} uptime={uptime:.2f}\n"
    path = data / "spool" / f"{at}.prom"
    path.write_bytes(raw + mark.encode())
    os.chmod(path, 0o600)
