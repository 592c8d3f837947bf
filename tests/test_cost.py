"""What a cycle costs, in counts that no machine changes: processes, forks, fsyncs, bytes, modules, SQL statements."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from archive import database, incidents, thresholds
from bench.cycle import BATCH, STEP, count
from tests import cycles
from tests.conftest import NOW
from tests.cycles import ROOT
from tests.faults.home import Home
from tests.probes.probing import ROOT as MACHINE

START = NOW - NOW % 300
UPTIME = 5_000_000


class Calm(Home):
    """The shipped probes beside a made-up machine on which nothing happens; its clock is ours."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.machine = Path(shutil.copytree(MACHINE, folder / "machine"))
        settings = self.data / "settings.env"
        settings.write_text(re.sub(r"VIGIE_PROBES=.*\n", "", settings.read_text()))
        self.minute = 0
        self.log = folder / "strace"

    def cycle(self, *before: str, **more: str) -> None:
        (self.machine / "proc/uptime").write_text(f"{UPTIME + 60 * self.minute}.00 1.00\n")
        done = subprocess.run(
            [*before, str(self.root / "run_all.sh")],
            env=self.environment(VIGIE_ROOT=str(self.machine), VIGIE_NOW=str(START + 60 * self.minute), CALM_WHY="1", **more),
            cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
        self.minute += 1
        for lock in (self.data / "run").glob("*.lock"):  # what was started beside it has ended
            subprocess.run(["flock", str(lock), "true"], check=True)

    def waiting(self) -> int:
        return len(list((self.data / "spool").glob("*.prom")))

    def counted(self) -> dict[str, int]:
        calls = "execve,clone,clone3,fork,vfork,fsync,fdatasync,write,pwrite64,writev"
        self.cycle("strace", "-f", "-y", "-qq", "-e", f"trace={calls}", "-o", str(self.log))
        return count(self.log.read_text(errors="replace"), str(self.data))


@pytest.fixture(scope="module")
def calm(tmp_path_factory):
    """Until a batch has been archived in its own time."""
    made = Calm(tmp_path_factory.mktemp("calm"))
    made.cycle()
    with database.writer(str(made.data)) as db:
        # The made-up machine has a broken RAID, and more.
        for wrong in {one.metric for one in incidents.live(db, 1)}:
            for one in thresholds.effective(db, 1):
                if one.metric == wrong:
                    thresholds.save(db, one._replace(enabled=False), "test", START)
    for _ in range(3 * BATCH):
        waited = made.waiting()
        made.cycle()
        if waited == BATCH - 1 and made.waiting() == 0:
            return made
    pytest.fail("nothing ever waited")


def test_a_cycle_that_waits_is_one_bash_that_becomes_one_python_and_one_fork_of_it(calm):
    found = calm.counted()

    assert calm.waiting() == 1
    log = calm.log.read_text(errors="replace")
    assert len(re.findall(r'execve\("[^"]*python[^\n]* = 0\n', log)) == 1
    assert found["processes"] == 2, found
    assert found["forks"] == 1, found  # whoever reads the probes
    assert found["fsyncs"] == 2, found
    assert found["bytes"] < 60_000, found


def test_a_cycle_that_waits_imports_nothing_of_python_s_library_and_compiles_nothing(calm):
    calm.cycle("strace", "-f", "-qq", "-e", "trace=openat", "-o", str(calm.log))
    cycle = imported(calm.log)
    python = [os.path.realpath(sys.executable), "-I", "-S", "-c", "pass"]
    bare = ["strace", "-f", "-qq", "-e", "trace=openat", "-o", str(calm.log), *python]
    subprocess.run(bare, check=True, env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"})
    ours = {path for path in cycle if path.startswith(str(calm.root))}
    library = {os.path.basename(path).partition(".")[0] for path in cycle - ours - imported(calm.log)}

    assert calm.waiting() == 2
    assert {path for path in ours if not path.endswith(".pyc")} == set()
    assert len(ours) >= 8, "the log was read"
    assert library <= {"fcntl", "select"}, "in C: built into Debian's Python, files beside that of others"


def imported(log: Path) -> set[str]:
    """The modules, as files, that were opened."""
    opened = re.findall(
        r'openat\(AT_FDCWD, "([^"]+\.(?:py|pyc|so))", [^\n]* = \d+$', log.read_text(errors="replace"), re.M
    )
    return {path for path in opened if "/__pycache__/" in path or "/python3" in path or path.endswith(".py")}


def test_a_cycle_that_archives_a_batch_starts_no_other_python_and_syncs_as_if_it_were_one_text(calm):
    while calm.waiting() < BATCH - 1:
        calm.cycle()
    found = calm.counted()
    log = calm.log.read_text(errors="replace")

    assert calm.waiting() == 0
    # What is due (CERT-FR, upkeep) is started beside it, and is not the minute's path.
    own = [line for line in re.findall(r"execve\(\"[^\"]*python[^\n]* = 0\n", log) if '"-m"' not in line]
    assert len(own) == 1
    assert found["fsyncs"] <= 7, found
    assert found["processes"] <= 24, found  # probes of every fifth or fifteenth cycle may be due in it
    assert found["bytes"] < 400_000, found


def test_the_view_is_written_where_a_text_has_changed_and_never_synced(calm):
    calm.cycle(VIGIE_WAIT="0")
    before = {path.name: path.stat().st_ino for path in (calm.data / "probes").iterdir()}
    log = calm.log
    calm.cycle("strace", "-f", "-y", "-qq", "-e", "trace=fsync,fdatasync", "-o", str(log), VIGIE_WAIT="0")
    after = {path.name: path.stat().st_ino for path in (calm.data / "probes").iterdir()}

    assert "/probes" not in log.read_text(errors="replace")
    changed = {name for name in before if after[name] != before[name]}
    assert "uptime.prom" in changed
    assert not {"memory.prom", "network.prom", "load.prom"} & changed


def step(data: str, now: int) -> tuple[int, int, int, int]:
    """(modules, ours, SQL statements, commits) of the minute's Python."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", STEP, ROOT], check=True, capture_output=True, text=True, timeout=60,
        env={"VIGIE_DATA": data, "VIGIE_NOW": str(now), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    status, _, modules, ours, statements, commits = map(int, done.stdout.split())
    assert (status, done.stderr) == (0, "")
    return modules, ours, statements, commits


def test_five_texts_are_one_commit_and_what_is_known_is_read_once(data):
    told, committed = [], []
    at = START
    for texts in (5, 1, 5):
        for _ in range(texts):
            at += 60
            cycles.write(data, at, cycles.machine(at))
        modules, ours, statements, commits = step(data, at)
        told.append(statements)
        committed.append(commits)
        assert os.listdir(os.path.join(data, "spool")) == []
        assert modules <= 130
        assert ours <= 60

    assert committed[1] == committed[2] == 1
    assert told[2] < 5 * told[1] - 4 * 20, told  # opening, the levels, what is due: once for all
