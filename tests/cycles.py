"""Spool files in the documented form (docs/architecture.md), written by the tests' own hand, not by the product's code."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping

from archive import catalog, database, load
from archive.load import Loaded

BOOT = "5f0c2a1e-0000-4000-8000-000000000001"
BOOTED = 1_780_000_000  # with it, uptime = at - BOOTED
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

Sections = Mapping[str, "str | bytes | Failed"]


class Failed(str):
    """A section of a probe that failed: the text is its reason."""


def spool_text(at: int, sections: Sections, boot: str = BOOT, uptime: float | None = None) -> bytes:
    """The bytes of one spool file."""
    up = at - BOOTED if uptime is None else uptime
    body = b""
    for probe, said in sections.items():
        if isinstance(said, Failed):
            body += f'# VIGIE probe={probe} status=failed seconds=1.000 uptime={up:.2f} reason="{said}"\n'.encode()
            continue
        text = said.encode() if isinstance(said, str) else said
        body += f"# VIGIE probe={probe} status=ok seconds=0.004 uptime={up:.2f}\n".encode()
        body += text if text.endswith(b"\n") or not text else text + b"\n"
    mark = f"# VIGIE lines={body.count(b'%c' % 10)} bytes={len(body)} cycle={at} boot={boot} uptime={up:.2f}\n"
    return body + mark.encode()


def write(data: str, at: int, sections: Sections, boot: str = BOOT, uptime: float | None = None) -> str:
    """Leave one whole cycle in the spool, as the runner does. Returns its path."""
    folder = os.path.join(data, "spool")
    os.makedirs(folder, mode=0o700, exist_ok=True)
    path, aside = os.path.join(folder, f"{at}.prom"), os.path.join(folder, f".{at}.tmp")
    with open(aside, "wb") as file:
        file.write(spool_text(at, sections, boot, uptime))
        file.flush()
        os.fsync(file.fileno())
    os.rename(aside, path)
    return path


def load_all(data: str, now: int) -> list[Loaded]:
    """Archive what waits."""
    with database.writer(data) as db:
        return load.load(data, db, now)


def archive(data: str, at: int, sections: Sections, boot: str = BOOT, uptime: float | None = None) -> list[Loaded]:
    """Write and load one cycle."""
    write(data, at, sections, boot, uptime)
    return load_all(data, at)


def machine(at: int, **levels: float) -> dict[str, str]:
    """What a small shared machine says at `at`: 60 series, with steady counters. `levels` sets single values:

    cpu (0 to 1), memory, disk, home (bytes of the first user), load; users: how many have processes.
    """
    up = at - BOOTED
    busy = levels.get("cpu", 0.20)
    users = [f"user{number}" for number in range(int(levels.get("users", 8)))]
    modes = {"user": busy * 0.7, "system": busy * 0.3, "idle": 1 - busy}
    wave = (at // 60) % 7
    sections = {
        "cpu": "# HELP cpu_busy_seconds_total CPU of the machine\n# HELP.fr cpu_busy_seconds_total Processeur\n"
        "# TYPE cpu_busy_seconds_total counter\n# WARN cpu_busy_seconds_total > 0.9\n# FOR cpu_busy_seconds_total 15\n"
        f"cpu_busy_seconds_total {up * busy:.2f}\n# TYPE cpu_seconds_total counter\n"
        + "".join(f'cpu_seconds_total{{mode="{mode}"}} {up * share:.2f}\n' for mode, share in modes.items())
        + "cpu_cores 4\n",
        "memory": "# WARN memory_available_ratio < 0.10\n# CRIT memory_available_ratio < 0.05\n"
        f"memory_available_ratio {1 - levels.get('memory', 0.5):.4f}\nmemory_used_ratio {levels.get('memory', 0.5):.4f}\n"
        f"memory_available_bytes {4_000_000_000 + wave * 4096}\nmemory_size_bytes 8000000000\n"
        "# TYPE oom_kills_total counter\noom_kills_total 0\n",
        "disk": "# WARN disk_used_ratio > 0.90\n# CRIT disk_used_ratio > 0.97 and disk_available_bytes < 5e9\n"
        + "".join(
            f'disk_used_ratio{{mount="{mount}"}} {ratio:.4f}\ndisk_available_bytes{{mount="{mount}"}} {room}\n'
            for mount, ratio, room in (("/", levels.get("disk", 0.40), 60_000_000_000), ("/srv", 0.71, 10_000_000_000))
        ),
        "processes": "# TYPE user_cpu_seconds_total counter\n"
        + "".join(
            f'user_cpu_seconds_total{{user="{user}"}} {up * 0.01 * (number + 1):.2f}\n'
            f'user_memory_bytes{{user="{user}"}} {100_000_000 * (number + 1) + wave * 8192}\n'
            f'user_processes{{user="{user}"}} {number + 3}\n'
            for number, user in enumerate(users)
        ),
        "users": f"users_logged_in {len(users[:2])}\n"
        + "".join(f'login_info{{user="{user}",tty="pts/{n}",from="192.0.2.{n}",since="{BOOTED}"}} 1\n'
                  for n, user in enumerate(users[:2])),
        "load": "".join(f'load_average{{window="{w}"}} {levels.get("load", 0.5) + n / 10}\n'
                        for n, w in enumerate(("1m", "5m", "15m"))),
        "uptime": f"uptime_seconds {up}\n",
    }  # fmt: skip
    if "home" in levels:
        sections["homes"] = f'user_home_bytes{{user="{users[0]}"}} {int(levels["home"])}\n'
    return sections


def fill(data: str, start: int, cycles: int, every: int = 60, **levels: float) -> None:
    """Archive `cycles` cycles of one machine from `start` on."""
    for number in range(cycles):
        at = start + number * every
        write(data, at, machine(at, **levels))
    load_all(data, start + cycles * every)


def python(code: str, *arguments: str, environ: Mapping[str, str] | None = None,
           timeout: float = 60.0) -> subprocess.CompletedProcess[str]:  # fmt: skip
    """Run code in a child that knows the project."""
    return subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {ROOT!r})\n{code}", *arguments],
        check=False, capture_output=True, text=True, timeout=timeout, cwd="/",
        env={"PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1", **(environ or {})},
    )  # fmt: skip


NOBODY = 65534


def as_nobody(step: Callable[[], object], *folders: str) -> str:
    """Run `step` in a fork as an ordinary user (root passes through chmod); returns str() of its result, or the error's
    type and words. As root, the folders are given to that user first, and the way to them is opened."""
    if os.geteuid() == 0:
        for folder in folders:
            for path, _, names in os.walk(folder):
                os.chown(path, NOBODY, NOBODY)
                for name in names:
                    os.lchown(os.path.join(path, name), NOBODY, NOBODY)
            parent = os.path.dirname(folder)
            while parent != "/":
                os.chmod(parent, os.stat(parent).st_mode | 0o011)
                parent = os.path.dirname(parent)
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setresgid(NOBODY, NOBODY, NOBODY)
                os.setresuid(NOBODY, NOBODY, NOBODY)
            said = str(step())
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(write_end, said.encode())
        os._exit(0)
    os.close(write_end)
    with open(read_end, "rb") as file:
        said = file.read().decode()
    os.waitpid(child, 0)
    return said


def dump(data: str, *tables: str) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table (or of those named), for comparing."""
    with database.reader(data) as db:
        names = tables or catalog.tables(db)
        return {name: sorted(db.execute(f"SELECT * FROM {name}").fetchall(), key=repr) for name in names}


def wait_until(true: Callable[[], object], seconds: float = 10.0) -> bool:
    """Poll a question until it is answered with yes."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if true():
            return True
        time.sleep(0.01)
    return False
