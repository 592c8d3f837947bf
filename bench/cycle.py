"""What a cycle costs: processor time, processes, fsyncs, bytes, memory, the steps beside it, and how it grows.

    python -m bench.cycle [--short] [--json] [--minutes N] [--growth]

It runs the real run_all.sh in a folder of its own, at one cycle a minute of a clock that it moves itself: in a mount
namespace a file stands over /proc/uptime (needs root, or user namespaces), so that an hour takes a minute. In a namespace
of process numbers a hundred sleepers are all that a probe sees, so that two runs see the same. Everything else is this
machine: its disks, its kernel. Processor time is user + system of every child waited for.
The floors (a bare Bash, a bare Python) are measured between the cycles, so the ratios hold on a busy machine too.

The levels of what other programs make busy meanwhile (processor, load, memory, disks) are set out of reach, or an incident would
be open and nothing could wait; what a minute costs while one is open is measured apart. What runs detached (mail, upkeep,
CERT-FR, the outside ping) is not the minute's path and is listed as steps.
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
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from archive import database, read, thresholds
from archive.thresholds import Threshold
from bench.figures import Figure, say, table

ROOT = Path(__file__).resolve().parents[1]
START = 1_795_221_000 - 1_795_221_000 % 900
UPTIME = 50_000_000.0  # far ahead of any real one: every process of this machine is older
SYSTEM = "/usr/local/bin:/usr/bin:/bin"
DAY = 1440  # cycles
BATCH = 15  # texts that are archived together while all is well (alerts/still.py)
PROCESSES = 100  # that sleep beside a cycle, each with its status to be read
PYTHON = shutil.which("python3", path=SYSTEM) or sys.executable
# What other programs of this machine may make busy or full while it is measured.
BUSY = (
    "cpu_busy_seconds_total", "load_average", "pressure_waiting_seconds_total", "user_cpu_seconds_total", "user_memory_ratio",
    "swap_used_ratio", "oom_kills_total", "disk_used_ratio", "disk_inodes_used_ratio",
)  # fmt: skip
SCARCE = ("memory_available_ratio",)
FILES = 20_000  # of the homes that are measured

# The minute's step as run_all.sh starts it, told how much memory it took, how many modules and statements.
STEP = """
import sqlite3, sys
sys.path.insert(0, sys.argv[1])
statements = []
class Told(sqlite3.Connection):
    def __init__(self, *args, **more):
        super().__init__(*args, **more)
        self.set_trace_callback(statements.append)
real = sqlite3.connect
sqlite3.connect = lambda *args, **more: real(*args, factory=Told, **more)
import alerts.cycle
status = alerts.cycle.main()
with open("/proc/self/status") as file:
    peak = next(int(line.split()[1]) for line in file if line.startswith("VmHWM:"))
ours = sum(name.partition(".")[0] in ("archive", "alerts") for name in sys.modules)
print(status, peak, len(sys.modules), ours, len(statements), statements.count("COMMIT"))
"""


class Run:
    """What one program used."""

    def __init__(self, command: list[str], env: dict[str, str]) -> None:
        began = time.monotonic()
        actions = [(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0)]
        pid = os.posix_spawn(command[0], command, env, file_actions=actions)
        _, self.status, used = os.wait4(pid, 0)
        self.wall = (time.monotonic() - began) * 1000
        self.cpu = (used.ru_utime + used.ru_stime) * 1000


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
        # Here everything that was started beside a cycle ends as our child.
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass

    def settle(self, longest: int = 60) -> None:
        """Set up, then minutes until a batch has just been archived in its own time: the next cycle begins a new one."""
        for _ in range(longest):
            waited = self.waits()
            self.cycle()
            self.quiet()
            if waited == BATCH - 1 and not self.waits():
                return
        raise SystemExit("bench: nothing ever waited; set CALM_WHY=1 and run run_all.sh to see why")

    def set_levels_out_of_reach(self) -> None:
        with database.writer(str(self.data)) as db:
            there = {metric.name for metric in read.metrics(db)}
            for metric in there & {*BUSY}:
                level = 1.0 if metric.endswith("_ratio") else 1e6
                thresholds.save(db, Threshold(metric, "{}", True, level, None, None, 0), "bench", START)
            for metric in there & {*SCARCE}:
                thresholds.save(db, Threshold(metric, "{}", False, 0.0, None, None, 0), "bench", START)


class Measured(NamedTuple):
    """Of so many cycles in a row: processor milliseconds of those that waited, and of those that archived."""

    waits: list[float]
    archives: list[float]
    wall: list[float]
    bare_python: list[float]
    bare_bash: list[float]
    one_process: list[float]  # bench/floor.py

    @property
    def day(self) -> float:
        return statistics.fmean([*self.waits, *self.archives]) * DAY / 1000


def measure(vigie: Vigie, minutes: int) -> Measured:
    """`minutes` cycles, with the floors between them."""
    found = Measured([], [], [], [], [], [])
    plain = {"PATH": SYSTEM}
    for _ in range(minutes):
        run = vigie.cycle()
        (found.waits if vigie.waits() else found.archives).append(run.cpu)
        found.wall.append(run.wall)
        found.bare_python.append(Run([PYTHON, "-I", "-S", "-c", "pass"], plain).cpu)
        found.bare_bash.append(Run(["/bin/bash", "-c", ":"], plain).cpu)
        floor = [PYTHON, "-I", "-S", str(ROOT / "bench/floor.py"), str(vigie.data.parent)]
        found.one_process.append(Run(floor, plain).cpu)
        vigie.quiet()
    return found


def counts(vigie: Vigie) -> dict[str, dict[str, int]]:
    """Of one cycle that waits and one that archives: processes, forks, fsyncs, bytes written below the data folder."""
    found: dict[str, dict[str, int]] = {}
    strace = shutil.which("strace", path=SYSTEM)
    if strace is None:
        say("  strace is not installed: processes, fsyncs and bytes are not counted")
        return found
    calls = "execve,clone,clone3,fork,vfork,fsync,fdatasync,write,pwrite64,writev"
    log = vigie.data.parent / "strace"
    for _ in range(12):
        vigie.cycle(strace, "-f", "-y", "-qq", "-e", f"trace={calls}", "-o", str(log))
        kind = "waits" if vigie.waits() else "archives"
        vigie.quiet()
        found[kind] = _least_of(found.get(kind), count(log.read_text(errors="replace"), str(vigie.data)))
    return found


def _least_of(before: dict[str, int] | None, now: dict[str, int]) -> dict[str, int]:
    """A cycle in which fewer probes are due tells more of the path itself."""
    return now if before is None or now["processes"] < before["processes"] else before


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


def probes(vigie: Vigie, times: int) -> dict[str, float]:
    """Each shipped probe started alone, less nothing: the bare interpreter is in it."""
    found = {}
    for path in sorted((vigie.root / "probes").iterdir()):
        if path.name == "run.py" or not path.is_file() or not os.access(path, os.X_OK):
            continue
        state = vigie.data / "run/state" / path.stem
        state.mkdir(exist_ok=True, parents=True)
        env = {"PATH": SYSTEM, "LC_ALL": "C", "VIGIE_STATE": str(state)}
        with open(os.devnull, "wb") as nowhere:
            found[path.name] = min(_quietly([str(path)], env, nowhere.fileno()) for _ in range(times))
    return found


def _quietly(command: list[str], env: dict[str, str], nowhere: int) -> float:
    pid = os.posix_spawn(command[0], command, env, file_actions=[(os.POSIX_SPAWN_DUP2, nowhere, 1)])
    used = os.wait4(pid, 0)[2]
    return (used.ru_utime + used.ru_stime) * 1000


def minute_step(vigie: Vigie) -> dict[str, int]:
    """The Python of a minute in which a whole batch of texts waits: KiB at its peak, modules, of ours, SQL statements."""
    vigie.settle()
    while vigie.waits() < BATCH - 1:
        vigie.cycle()
    _, env = vigie.command()
    vigie.move()
    subprocess.run([str(vigie.root / "probes/run.py")], env=env, check=True)
    done = subprocess.run(
        [PYTHON, "-I", "-S", "-c", STEP, str(vigie.root)], env=env, check=True, capture_output=True, text=True
    )
    vigie.minute += 1
    status, peak, modules, ours, statements, _ = map(int, done.stdout.split())
    if status or vigie.waits():
        raise SystemExit(f"bench: the minute's step failed: {done.stderr}")
    return {"peak": peak, "modules": modules, "ours": ours, "statements": statements}


def every_minute(vigie: Vigie, times: int = 8) -> list[float]:
    """Processor milliseconds of cycles of which none may wait, as while an incident is open."""
    vigie.env["VIGIE_WAIT"] = "0"
    found = []
    for _ in range(times):
        found.append(vigie.cycle().cpu)
        vigie.quiet()
    del vigie.env["VIGIE_WAIT"]
    return found


def steps(vigie: Vigie) -> dict[str, float]:
    """Processor seconds of one run of each step that run_all.sh starts beside the cycle, started as it does."""
    found = {}
    python = str(vigie.root / ".venv/bin/python")
    os.chdir(vigie.root)
    for name, module in (
        ("hourly upkeep", "archive.upkeep"),
        ("baseline, asked", "alerts.baseline"),
        ("outbox, nothing to send", "alerts.outbox"),
    ):
        vigie.minute += 60
        vigie.cycle()
        vigie.quiet()
        vigie.minute += 61 - vigie.minute % 60
        env = {**vigie.env, "VIGIE_NOW": str(START + 60 * vigie.minute)}
        found[name] = Run([python, "-m", module], env).cpu / 1000
    return found


def homes(vigie: Vigie) -> float:
    """Processor seconds per million files of a home."""
    root = vigie.data.parent / "homes"
    for folder in ("etc", "proc"):
        (root / folder).mkdir(parents=True)
    (root / "etc/shells").write_text("/bin/sh\n")
    (root / "etc/passwd").write_text("ada:x:1000:1000::/home/ada:/bin/sh\n")
    for folder in range(FILES // 100):
        path = root / f"home/ada/{folder}"
        path.mkdir(parents=True)
        for number in range(100):
            os.close(os.open(path / str(number), os.O_CREAT | os.O_WRONLY, 0o600))
    env = {"PATH": SYSTEM, "VIGIE_ROOT": str(root)}
    command = [PYTHON, "-I", "-S", str(vigie.root / "probes/homes.py"), "--measure"]
    with open(os.devnull, "wb") as nowhere:
        whole = min(_quietly(command, env, nowhere.fileno()) for _ in range(3))
    return whole / 1000 * 1_000_000 / FILES


# --- How it grows -----------------------------------------------------------------------------------------------------


@contextmanager
def sleepers(number: int, users: int = 1) -> Iterator[None]:
    """So many processes more, of so many users (numbers that nobody else has; one user: whoever runs this)."""
    pids = []
    for i in range(number):
        pid = os.fork()
        if pid == 0:
            try:  # nothing of ours may run on in here
                if users > 1 and os.geteuid() == 0:
                    os.setuid(62_000 + i % users)
                signal.pause()
            finally:
                os._exit(0)
        pids.append(pid)
    try:
        yield
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for pid in pids:
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)


def growth(vigie: Vigie) -> dict[str, float]:
    """Processor milliseconds of a cycle that waits, the least of four, by what there is more of."""
    found = {}
    for wanted in (150, 1000, 5000):
        with sleepers(wanted - PROCESSES):
            found[f"{wanted} processes"] = _least(vigie)
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
    for _ in range(6):
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
        return min(_quietly([str(vigie.root / "probes/disk.sh")], env, nowhere.fileno()) for _ in range(7))


# --- What is said -----------------------------------------------------------------------------------------------------


class Found(NamedTuple):
    cycle: Measured
    counts: dict[str, dict[str, int]]
    step: dict[str, int]
    every_minute: list[float]
    probes: dict[str, float]
    steps: dict[str, float]
    homes: float


def figures(found: Found) -> Iterator[Figure]:
    cycle, step = found.cycle, found.step
    floor = statistics.median(cycle.bare_python)
    yield Figure("the minute's path, a calm day", cycle.day, "CPU-s", 30, None,
                 "every shipped probe, accounting of 100 processes, archiving, judging: mean of all cycles; goal 20")  # fmt: skip
    archived = statistics.median(found.every_minute)
    yield Figure(
        "the same while an incident is open all day", archived * DAY / 1000, "CPU-s", None, None, "nothing waits then"
    )
    for name, values, least in (
        ("a cycle that waits", cycle.waits, 4.5),
        ("a cycle that archives", cycle.archives, 16.0),
    ):
        if values:
            yield _spread(f"{name}, processor", values, "ms")
            # The least: what a busy machine adds is not the code's.
            yield Figure(
                f"{name}, in bare Pythons",
                min(values) / min(cycle.bare_python),
                "",
                least,
                None,
                "ratio of the least of both",
                True,
            )
    yield _spread("floor: python3 -I -S -c pass", cycle.bare_python, "ms", f"{floor * DAY / 1000:.1f} CPU-s a day")
    yield _spread("floor: bash -c :", cycle.bare_bash, "ms")
    yield _spread("floor: one Python that reads it all", cycle.one_process, "ms", "bench/floor.py: not a monitor")
    yield _spread("wall time of a cycle", cycle.wall, "ms", "", 300)
    yield Figure("the same at its longest", max(cycle.wall), "ms")
    limits = {
        "waits": {"processes": 9, "forks": 10, "fsyncs": 3},
        "archives": {"processes": 16, "forks": 24, "fsyncs": 7},
    }
    for kind, counted in found.counts.items():
        for name, value in counted.items():
            bound = limits[kind].get(name)
            yield Figure(f"a cycle that {kind}: {name}", value, "", bound, None, "", bound is not None)
    if len(found.counts) == 2:
        a, b = found.counts["waits"], found.counts["archives"]
        yield Figure("fsyncs a cycle, mean of a batch", ((BATCH - 1) * a["fsyncs"] + b["fsyncs"]) / BATCH, "", 3, None,
                     "two of the text; five more when a batch is archived: SQLite makes, fills and empties its log", True)  # fmt: skip
        for name, unit, part in (("fsyncs", "", 1.0), ("bytes", "MB", 1e6)):
            yield Figure(
                f"{name} written a day" if unit else "fsyncs a day", (4 * a[name] + b[name]) * DAY / 5 / part, unit
            )
    yield Figure(
        "peak memory of the minute's Python", step["peak"] / 1024, "MiB", 16, None, "resident between cycles: 0"
    )
    yield Figure("modules it imports", step["modules"], "", 130, None, f"{step['ours']} are ours", True)
    yield Figure("SQL statements for a batch of texts", step["statements"], "", 1500, None, "", True)
    hours = {"hourly upkeep": 24, "baseline, asked": 24, "outbox, nothing to send": 1}
    for name, value in found.steps.items():
        yield Figure(f"step: {name}", value, "CPU-s", None, None, f"{value * hours.get(name, 1):.1f} CPU-s a day")
    if found.steps:
        yield Figure(
            "hourly steps, a day", sum(value * hours[name] for name, value in found.steps.items()), "CPU-s", 20
        )
    if found.homes:
        yield Figure(
            "homes, a million files", found.homes, "CPU-s", None, None, "hourly, at idle priority, beside the rest"
        )
    for name, value in found.probes.items():
        yield Figure(f"started alone: {name}", value, "ms", None, None, "its interpreter included; the least of some")


def _spread(name: str, values: list[float], unit: str, note: str = "", bound: float | None = None) -> Figure:
    return Figure(name, statistics.median(values), unit, bound, (min(values), max(values)), note or f"n={len(values)}")


def measured(vigie: Vigie, minutes: int, *, short: bool) -> Found:
    found = Found(measure(vigie, minutes), counts(vigie), minute_step(vigie), every_minute(vigie), {}, {}, 0.0)
    if short:
        return found
    say("  the probes one by one, the steps, the homes")
    return found._replace(probes=probes(vigie, 9), steps=steps(vigie), homes=homes(vigie))


def growing(vigie: Vigie) -> Iterator[Figure]:
    bare = min(Run([PYTHON, "-I", "-S", "-c", "pass"], {"PATH": SYSTEM}).cpu for _ in range(9))
    yield Figure("floor: python3 -I -S -c pass", bare, "ms", None, None, "the least of nine")
    for name, value in growth(vigie).items():
        yield Figure(name, value, "ms", None, None, f"the least of some; {value / bare:.1f} bare Pythons")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.cycle", description="What a cycle costs.")
    parser.add_argument(
        "--short", action="store_true", help="ten minutes of cycles, no growth; fails on counts and ratios"
    )
    parser.add_argument("--json", action="store_true", help="the figures as JSON")
    parser.add_argument("--minutes", type=int, default=0, help="cycles to measure (60; short: 10)")
    parser.add_argument(
        "--growth", action="store_true", help="only how a cycle grows with processes, users, mounts, series"
    )
    options = parser.parse_args()
    if os.environ.get("VIGIE_BENCH_APART") != "1":
        apart = ["unshare", *(["-r"] if os.geteuid() else []), "-m", "-p", "-f", "--mount-proc"]
        os.environ["VIGIE_BENCH_APART"] = "1"
        os.chdir(ROOT)
        os.execvp(apart[0], [*apart, sys.executable, "-m", "bench.cycle", *sys.argv[1:]])
    del os.environ["VIGIE_BENCH_APART"]
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with tempfile.TemporaryDirectory(prefix="vigie-bench-") as folder, ExitStack() as stack:
        vigie = Vigie(Path(folder))
        try:
            stack.enter_context(sleepers(PROCESSES))
            vigie.cycle()
            vigie.quiet()
            vigie.set_levels_out_of_reach()
            vigie.settle()
            minutes = options.minutes or (10 if options.short else 60)
            rows = list(growing(vigie) if options.growth else figures(measured(vigie, minutes, short=options.short)))
        finally:
            vigie.quiet()
            os.chdir("/")
            subprocess.run(["umount", "/proc/uptime"], check=True)
    print(json.dumps([row._asdict() for row in rows], indent=1) if options.json else table(rows))
    wrong = [row for row in rows if row.judged and row.kept is False]
    for row in wrong if options.short else ():
        print(f"too much: {row.name}: {row.value:.1f}, at most {row.bound}", file=sys.stderr)
    return 1 if wrong and options.short else 0


if __name__ == "__main__":
    sys.exit(main())
