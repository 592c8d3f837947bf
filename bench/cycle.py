"""What a cycle costs: processor time, processes, fsyncs, bytes, memory, and how it grows.

    python bench/cycle.py [--short] [--json FILE] [--minutes N]

It runs the real run_all.sh in a folder of its own, at one cycle a minute of a clock that it moves itself: in a mount
namespace a file stands over /proc/uptime (needs root, or user namespaces), so that an hour takes a minute. Everything
else is this machine: its processes, its disks, its kernel. Processor time is user + system of every child waited for.
The floors (a bare Bash, a bare Python) are measured between the cycles, so the ratios hold on a busy machine too.

--short is for CI: it asserts counts, which do not depend on the machine, and ratios to the floors with room for noise.
What runs detached (mail, upkeep, CERT-FR, the outside ping) is not the minute's path and is measured apart.
"""

import argparse
import json
import os
import re
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
START = 1_795_221_000 - 1_795_221_000 % 900
UPTIME = 50_000_000.0  # far ahead of any real one: every process of this machine is older
SYSTEM = "/usr/local/bin:/usr/bin:/bin"
DAY = 1440  # cycles
PYTHON = shutil.which("python3", path=SYSTEM) or sys.executable

# What --short allows. Counts are of this code; ratios are of processor time, to a bare Python started in the same run.
MOST_PROCESSES_WAITING, MOST_FORKS_WAITING, MOST_FSYNCS = 8, 14, 3
MOST_RATIO_WAITING, MOST_RATIO_ARCHIVING = 6.0, 20.0
MOST_MEMORY = 16 << 10  # KiB


class Run:
    """What one program used."""

    def __init__(self, command: list[str], env: dict[str, str]) -> None:
        began = time.monotonic()
        actions = [(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0)]
        pid = os.posix_spawn(command[0], command, env, file_actions=actions)
        _, self.status, used = os.wait4(pid, 0)
        self.wall = (time.monotonic() - began) * 1000
        self.cpu = (used.ru_utime + used.ru_stime) * 1000
        self.memory = used.ru_maxrss


class Vigie:
    """The project in a folder of its own, and its clock."""

    def __init__(self, folder: Path) -> None:
        self.root, self.data, self.uptime = folder / "vigie", folder / "data", folder / "uptime"
        shutil.copytree(
            ROOT, self.root, ignore=shutil.ignore_patterns(".*", "data", "tests", "node_modules", "__pycache__")
        )
        (self.root / "data").mkdir()
        self.data.mkdir(mode=0o700)
        # Nothing leaves this machine; the packages are those of whoever runs this.
        (self.data / "settings.env").write_text("VIGIE_CERTFR_URL=http://127.0.0.1:9\nVIGIE_WEB=0\n")
        subprocess.run([PYTHON, "-m", "venv", "--without-pip", self.root / ".venv"], check=True)
        site = next((self.root / ".venv/lib").glob("python*/site-packages"))
        (site / "bench.pth").write_text("".join(f"{path}\n" for path in sys.path if path.endswith("site-packages")))
        (self.root / ".venv/complete").touch()
        self.env = {"PATH": SYSTEM, "VIGIE_DATA": str(self.data), "HOME": str(folder)}
        self.minute = 0
        self.move()
        subprocess.run(["mount", "--bind", self.uptime, "/proc/uptime"], check=True)

    def move(self) -> None:
        with open(self.uptime, "r+" if self.uptime.exists() else "w", encoding="ascii") as file:
            file.write(f"{UPTIME + 60 * self.minute:.2f} 1.00\n")

    def command(self, *before: str) -> tuple[list[str], dict[str, str]]:
        return [*before, str(self.root / "run_all.sh")], {**self.env, "VIGIE_NOW": str(START + 60 * self.minute)}

    def cycle(self, *before: str) -> Run:
        self.move()
        command, env = self.command(*before)
        run = Run(command, env)
        if run.status:
            raise SystemExit(f"bench: the cycle of minute {self.minute} ended with status {run.status}")
        self.minute += 1
        return run

    def waits(self) -> int:
        return len(list((self.data / "spool").glob("*.prom")))

    def quiet(self) -> None:
        """Until the detached steps have ended."""
        time.sleep(0.05)
        for lock in (self.data / "run").glob("*.lock"):
            subprocess.run(["flock", lock, "true"], check=True)

    def settle(self, longest: int = 40) -> None:
        """Set up, then minutes until the last cycle of five could wait: the next one begins five new ones."""
        for _ in range(longest):
            self.cycle()
            self.quiet()
            if self.minute % 5 == 0 and self.waits() == 4:
                return
        raise SystemExit("bench: nothing ever waited; set CALM_WHY=1 and run run_all.sh to see why")


def spread(values: list[float]) -> dict[str, float]:
    return {
        "mean": statistics.fmean(values), "median": statistics.median(values), "min": min(values), "max": max(values),
        "n": len(values),
    }  # fmt: skip


def measure(vigie: Vigie, minutes: int) -> dict[str, object]:
    """`minutes` cycles, with the floors between them."""
    kinds: dict[str, list[Run]] = {"waits": [], "archives": []}
    bare_python, bare_bash = [], []
    plain = {"PATH": SYSTEM}
    for _ in range(minutes):
        run = vigie.cycle()
        kinds["waits" if vigie.waits() else "archives"].append(run)
        bare_python.append(Run([PYTHON, "-I", "-S", "-c", "pass"], plain).cpu)
        bare_bash.append(Run(["/bin/bash", "-c", ":"], plain).cpu)
        vigie.quiet()
    everything = [run for runs in kinds.values() for run in runs]
    found: dict[str, object] = {name: spread([run.cpu for run in runs]) for name, runs in kinds.items() if runs}
    found |= {
        "wall": spread([run.wall for run in everything]),
        "memory_kib": max(run.memory for run in everything),
        "bare_python": spread(bare_python),
        "bare_bash": spread(bare_bash),
        "cpu_seconds_a_day": statistics.fmean(run.cpu for run in everything) * DAY / 1000,
    }
    return found


def counts(vigie: Vigie) -> dict[str, dict[str, int]]:
    """Of one cycle that waits and one that archives: processes, forks, fsyncs, bytes written below the data folder."""
    found: dict[str, dict[str, int]] = {}
    for _ in range(12):
        log = vigie.data.parent / "strace"
        calls = "execve,clone,clone3,fork,vfork,fsync,fdatasync,write,pwrite64,writev"
        vigie.cycle(
            shutil.which("strace", path=SYSTEM) or "strace", "-f", "-y", "-qq", "-e", f"trace={calls}", "-o", str(log)
        )
        kind = "waits" if vigie.waits() else "archives"
        vigie.quiet()
        found.setdefault(kind, count(log.read_text(errors="replace"), str(vigie.data)))
        if len(found) == 2:
            break
    return found


def count(log: str, data: str) -> dict[str, int]:
    """From strace's lines; what a detached step (setsid) does is left out, and so is what it starts."""
    apart: set[str] = set()
    found = {"processes": 0, "forks": 0, "fsyncs": 0, "bytes": 0}
    for line in log.split("\n"):
        pid, _, call = line.partition(" ")
        call = call.strip()
        child = re.search(r"^(?:<\.\.\. )?v?(?:clone3?|fork)\b.* = (\d+)", call)
        if child and pid in apart:
            apart.add(child[1])
        if re.match(r'execve\("[^"]*/setsid"', call):
            apart.add(pid)
            found["forks"] -= 1
        if pid in apart:
            continue
        found["forks"] += bool(child)
        found["processes"] += call.startswith("execve(") and call.endswith(" = 0")
        found["fsyncs"] += bool(re.match(r"(fsync|fdatasync)\(", call))
        written = re.match(r"p?write(?:64|v)?\(\d+<([^>]*)>.* = (\d+)$", call)
        if written and written[1].startswith(data):
            found["bytes"] += int(written[2])
    return found


def probes(vigie: Vigie, times: int) -> dict[str, dict[str, float]]:
    """Each shipped probe started alone, less nothing: the bare interpreter is in it."""
    found = {}
    for path in sorted((vigie.root / "probes").iterdir()):
        if path.name == "run.sh" or not os.access(path, os.X_OK):
            continue
        state = vigie.data / "run/state" / path.stem
        state.mkdir(exist_ok=True, parents=True)
        env = {"PATH": SYSTEM, "LC_ALL": "C", "VIGIE_STATE": str(state)}
        with open(os.devnull, "wb") as nowhere:
            values = [_quietly(str(path), env, nowhere.fileno()) for _ in range(times)]
        found[path.name] = spread(values)
    return found


def _quietly(path: str, env: dict[str, str], nowhere: int) -> float:
    pid = os.posix_spawn(path, [path], env, file_actions=[(os.POSIX_SPAWN_DUP2, nowhere, 1)])
    used = os.wait4(pid, 0)[2]
    return (used.ru_utime + used.ru_stime) * 1000


def steps(vigie: Vigie) -> dict[str, float]:
    """Processor seconds of the hourly and daily steps, each started as run_all.sh starts it."""
    found = {}
    for name, module in (("upkeep", "archive.upkeep"), ("baseline", "alerts.baseline"), ("outbox", "alerts.outbox")):
        vigie.minute += 60
        env = {**vigie.env, "VIGIE_NOW": str(START + 60 * vigie.minute)}
        python = str(vigie.root / ".venv/bin/python")
        os.chdir(vigie.root)
        found[name] = Run([python, "-m", module], env).cpu / 1000
    return found


# --- How it grows -----------------------------------------------------------------------------------------------------


@contextmanager
def sleepers(number: int, users: int = 1) -> Iterator[None]:
    """So many processes more, of so many users (numbers that nobody else has; one user: whoever runs this)."""
    pids = []
    for i in range(number):
        pid = os.fork()
        if pid == 0:
            if users > 1 and os.geteuid() == 0:
                os.setuid(62_000 + i % users)
            signal.pause()
            os._exit(0)
        pids.append(pid)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        for pid in pids:
            os.waitpid(pid, 0)


def growth(vigie: Vigie) -> dict[str, float]:
    """Processor milliseconds of a cycle that waits, the least of four, by what there is more of."""
    found = {}
    here = sum(name.isdigit() for name in os.listdir("/proc"))
    for wanted in (150, 1000, 5000):
        with sleepers(max(0, wanted - here)):
            found[f"{max(wanted, here)} processes"] = _least(vigie)
    for users in (10, 100):
        with sleepers(100, users):
            found[f"{users} users more"] = _least(vigie)
    for mounts in (1, 10, 100):
        found[f"{mounts} mounts (the probe alone)"] = _mounts(vigie, mounts)
    for series in (50, 500, 2000):
        probe = vigie.root / "probes/many.sh"
        probe.write_text(
            "#!/usr/bin/env bash\necho '# TYPE many gauge\n# WARN many > 1000000'\n"
            f'for ((i = 0; i < {series}; i++)); do echo "many{{line=\\"$i\\"}} $((i + EPOCHSECONDS % 7))"; done\n'
        )
        probe.chmod(0o755)
        waiting, archiving = [], []
        for _ in range(10):
            run = vigie.cycle()
            (waiting if vigie.waits() else archiving).append(run.cpu)
            vigie.quiet()
        found[f"{series} series more, waits"] = min(waiting, default=0.0)
        found[f"{series} series more, archives"] = min(archiving)
        probe.unlink()
    return found


def _least(vigie: Vigie) -> float:
    values = []
    for _ in range(15):
        run = vigie.cycle()
        if vigie.waits():
            values.append(run.cpu)
        vigie.quiet()
    return min(values, default=0.0)


def _mounts(vigie: Vigie, number: int) -> float:
    root = vigie.data.parent / f"mounts{number}"
    (root / "proc/self").mkdir(parents=True)
    lines = []
    for i in range(number):
        (root / f"srv/{i}").mkdir(parents=True)
        lines.append(f"{100 + i} 1 8:{i} / /srv/{i} rw,relatime shared:1 - ext4 /dev/sd{i} rw")
    (root / "proc/self/mountinfo").write_text("\n".join([*lines, ""]))
    env = {"PATH": SYSTEM, "LC_ALL": "C", "VIGIE_ROOT": str(root)}
    with open(os.devnull, "wb") as nowhere:
        return min(_quietly(str(vigie.root / "probes/disk.sh"), env, nowhere.fileno()) for _ in range(7))


# --- What is said -----------------------------------------------------------------------------------------------------


def table(found: dict[str, object]) -> Iterator[str]:
    cost: dict[str, dict[str, float]] = found["cycle"]  # type: ignore[assignment]
    yield "| | CPU ms, median [min-max] | to a bare Python |"
    yield "|---|---|---|"
    floor = cost["bare_python"]["median"]
    for name in ("bare_bash", "bare_python", "waits", "archives"):
        if name in cost:
            row = cost[name]
            yield f"| {name} | {row['median']:.1f} [{row['min']:.1f}-{row['max']:.1f}] n={row['n']} | {row['median'] / floor:.2f} |"
    yield f"\nCPU-s/day at one cycle a minute: {cost['cpu_seconds_a_day']:.1f}; wall {cost['wall']['median']:.0f} ms"
    yield f"(at most {cost['wall']['max']:.0f}); peak memory {cost['memory_kib'] / 1024:.1f} MiB\n"  # type: ignore[operator]
    for kind, row in found["counts"].items():  # type: ignore[attr-defined]
        yield f"{kind}: " + ", ".join(f"{value} {name}" for name, value in row.items())
    counted: dict[str, dict[str, int]] = found["counts"]  # type: ignore[assignment]
    if len(counted) == 2:
        a, b = counted["waits"], counted["archives"]
        fsyncs, size = ((4 * a[key] + b[key]) * DAY / 5 for key in ("fsyncs", "bytes"))
        yield f"a day: {fsyncs:.0f} fsyncs, {size / 1e6:.1f} MB written\n"
    for title in ("probes", "steps", "growth"):
        for name, value in found.get(title, {}).items():  # type: ignore[attr-defined]
            shown = f"{value['min']:.1f}" if isinstance(value, dict) else f"{value:.2f}"
            yield f"| {title} | {name} | {shown} |"


def verdicts(found: dict[str, object]) -> list[str]:
    """What --short refuses."""
    cost: dict[str, dict[str, float]] = found["cycle"]  # type: ignore[assignment]
    counted: dict[str, dict[str, int]] = found["counts"]  # type: ignore[assignment]
    floor = cost["bare_python"]["min"]
    measured = [
        ("processes of a cycle that waits", counted["waits"]["processes"], MOST_PROCESSES_WAITING),
        ("forks of a cycle that waits", counted["waits"]["forks"], MOST_FORKS_WAITING),
        ("fsyncs of a cycle that waits", counted["waits"]["fsyncs"], MOST_FSYNCS),
        ("CPU of a cycle that waits, in bare Pythons", cost["waits"]["min"] / floor, MOST_RATIO_WAITING),
        ("CPU of a cycle that archives, in bare Pythons", cost["archives"]["min"] / floor, MOST_RATIO_ARCHIVING),
        ("peak memory, KiB", cost["memory_kib"], MOST_MEMORY),
    ]
    return [f"{what}: {value:.1f}, at most {most}" for what, value, most in measured if value > most]  # type: ignore[str-format,operator]


def main() -> int:
    parser = argparse.ArgumentParser(description="What a cycle costs.")
    parser.add_argument("--short", action="store_true", help="counts and ratios only, and a status for CI")
    parser.add_argument("--json", metavar="FILE", help="the figures as JSON, too")
    parser.add_argument("--minutes", type=int, default=60, help="cycles to measure (default 60)")
    options = parser.parse_args()
    if os.environ.get("VIGIE_BENCH_APART") != "1":
        apart = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-rm"]
        os.environ["VIGIE_BENCH_APART"] = "1"
        os.execvp(apart[0], [*apart, sys.executable, *sys.argv])
    del os.environ["VIGIE_BENCH_APART"]
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with tempfile.TemporaryDirectory(prefix="vigie-bench-") as folder:
        vigie = Vigie(Path(folder))
        vigie.settle()
        found: dict[str, object] = {"counts": counts(vigie)}
        vigie.settle()
        found["cycle"] = measure(vigie, 20 if options.short else options.minutes)
        if not options.short:
            found["probes"] = probes(vigie, 15)
            found["growth"] = growth(vigie)
            found["steps"] = steps(vigie)
        os.chdir("/")
        subprocess.run(["umount", "/proc/uptime"], check=True)
    print("\n".join(table(found)))
    if options.json:
        Path(options.json).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    wrong = verdicts(found) if options.short else []
    for line in wrong:
        print(f"too much: {line}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
