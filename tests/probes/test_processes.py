"""CPU, memory and processes by user. The accounting is tried on made-up machines, then on real processes."""

import os
import pty
import pwd
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.probes.probing import PROBES, SYSTEM, ok, refused, run

TICKS = 100  # a second, in the fake machine
BURN = "import time; e = time.process_time() + {seconds}\nwhile time.process_time() < e: pass"


def name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


class Fake:
    """A machine whose processes are written by hand. They belong to whoever runs the test."""

    def __init__(self, machine: Path, state: Path) -> None:
        self.root, self.state = machine, state
        self.now, self.busy = 1000.0, 0
        for folder in (machine / "proc").iterdir():
            if folder.name.isdigit():
                shutil.rmtree(folder)
        self.slice("1000", None)
        self.process(1, 0, 0, start=1)

    def process(
        self, pid: int, parent: int, own: int, children: int = 0, *, start: int, group: str = "/system.slice", pages=0
    ) -> None:
        folder = self.root / f"proc/{pid}"
        folder.mkdir(exist_ok=True)
        fields = f"{pid} (a) b) S {parent} 1 1 0 -1 0 0 0 0 0 {own} 0 {children} 0 20 0 1 0 {start} 1000 {pages} 0 0\n"
        (folder / "stat").write_text(fields)
        (folder / "status").write_text(f"Name:\ta) b\nUid:\t0\t{os.geteuid()}\t0\t0\nRssAnon:\t{pages * 4} kB\n")
        (folder / "cgroup").write_text(f"0::{group}\n")

    def gone(self, pid: int) -> None:
        shutil.rmtree(self.root / f"proc/{pid}")

    def slice(self, uid: str, usec: int | None) -> None:
        folder = self.root / f"sys/fs/cgroup/user.slice/user-{uid}.slice"
        shutil.rmtree(folder, ignore_errors=True)
        if usec is not None:
            folder.mkdir()
            (folder / "cpu.stat").write_text(f"usage_usec {usec}\nuser_usec {usec}\nsystem_usec 0\n")

    def use(self, uid: str, usec: int) -> None:
        (self.root / f"sys/fs/cgroup/user.slice/user-{uid}.slice/cpu.stat").write_text(f"usage_usec {usec}\n")

    def pass_time(self, seconds: float, busy: int = 0) -> None:
        self.now += seconds
        self.busy += busy
        (self.root / "proc/uptime").write_text(f"{self.now:.2f} 0.00\n")
        (self.root / "proc/stat").write_text(
            f"cpu  {self.busy} 0 0 0 0 0 0 0 0 0\ncpu0 {self.busy} 0 0 0 0 0 0 0 0 0\n"
        )

    def read(self) -> dict[str, float]:
        return ok(run("processes.py", root=self.root, state=self.state))

    def mine(self) -> float:
        """What is counted for the user that the fake processes belong to."""
        user = "root" if os.geteuid() == 0 else str(os.geteuid())
        return self.read()[f'user_cpu_seconds_total{{user="{user}"}}']


@pytest.fixture
def fake(machine, state):
    made = Fake(machine, state)
    made.pass_time(0)
    return made


# Waited-for children count for their parent's user, but not for root: these two see the same machine otherwise.
AS_USER = os.geteuid() != 0


def test_the_first_reading_counts_nothing(fake):
    fake.process(10, 1, 5000, start=10)
    assert fake.mine() == 0
    assert fake.read()["cpu_unattributed_seconds_total"] == 0


def test_what_a_process_used_since_the_previous_reading_is_added(fake):
    fake.process(10, 1, 5000, start=10)
    fake.read()
    fake.process(10, 1, 5300, start=10)
    fake.pass_time(60, busy=300)
    assert fake.mine() == 3
    assert fake.read()["cpu_unattributed_seconds_total"] == 0


def test_a_new_process_counts_whole_and_one_that_ended_stays_counted(fake):
    fake.read()
    fake.process(20, 1, 250, start=int(fake.now * TICKS) + 10)
    fake.pass_time(60, busy=250)
    assert fake.mine() == 2.5
    fake.gone(20)
    fake.pass_time(60)
    assert fake.mine() == 2.5


def test_a_number_used_again_is_another_process(fake):
    fake.process(20, 1, 5000, start=10)
    fake.read()
    fake.process(20, 1, 100, start=int(fake.now * TICKS) + 10)
    fake.pass_time(60, busy=100)
    assert fake.mine() == 1


def test_an_old_process_that_was_hidden_before_does_not_count_its_past(fake):
    fake.read()
    fake.process(30, 1, 9999, start=10)
    fake.pass_time(60)
    assert fake.mine() == 0


def test_what_lived_and_died_between_two_readings_is_unattributed(fake):
    fake.read()
    fake.pass_time(60, busy=700)
    assert fake.read()["cpu_unattributed_seconds_total"] == 7


def test_unattributed_never_falls_and_never_counts_noise_twice(fake):
    fake.process(10, 1, 0, start=10)
    fake.read()
    seen = []
    for own, busy in ((100, 90), (190, 100), (300, 105), (400, 110)):  # together 405 of 400: noise
        fake.process(10, 1, own, start=10)
        fake.pass_time(60, busy=busy)
        seen.append(fake.read()["cpu_unattributed_seconds_total"])
    assert seen == [0, 0, 0, 0.05]


def test_what_a_slice_used_counts_for_its_user_and_its_processes_not_again(fake):
    fake.slice("1000", 5_000_000)
    fake.process(40, 1, 500, start=10, group="/user.slice/user-1000.slice/session-1.scope")
    first = fake.read()
    assert first['user_cpu_seconds_total{user="alice"}'] == 0
    fake.use("1000", 9_000_000)
    fake.process(40, 1, 900, start=10, group="/user.slice/user-1000.slice/session-1.scope")
    fake.pass_time(60, busy=400)
    found = fake.read()
    assert found['user_cpu_seconds_total{user="alice"}'] == 4
    assert fake.mine() == 0
    assert found["cpu_unattributed_seconds_total"] == 0


def test_a_slice_that_is_new_counts_whole_also_when_it_used_more_than_the_one_before(fake):
    fake.slice("1000", 5_000_000)
    fake.read()
    fake.slice("1000", None)
    fake.pass_time(60, busy=200)
    (fake.root / "sys/fs/cgroup/user.slice/other").mkdir()  # so that the folder's number is not used again
    fake.slice("1000", 6_000_000)
    assert fake.read()['user_cpu_seconds_total{user="alice"}'] == 6


def test_a_process_that_moves_into_a_slice_right_after_its_start_is_not_counted_twice(fake):
    fake.slice("1000", 0)
    fake.read()
    fake.pass_time(60)
    fake.process(50, 1, 10, start=int(fake.now * TICKS) - 50, group="/system.slice/ssh.service")
    fake.read()
    fake.use("1000", 3_000_000)
    fake.process(50, 1, 300, start=int(fake.now * TICKS) - 50, group="/user.slice/user-1000.slice/session-1.scope")
    fake.pass_time(60, busy=300)
    assert fake.read()['user_cpu_seconds_total{user="alice"}'] == 3
    assert fake.mine() == pytest.approx(0.1)


@pytest.mark.skipif(not AS_USER, reason="root's children may be anyone's: see the next test")
def test_what_ended_children_used_counts_once(fake):
    fake.process(60, 1, 0, 0, start=10)
    fake.process(61, 60, 100, start=20)
    fake.read()
    fake.process(61, 60, 200, start=20)
    fake.pass_time(60, busy=100)
    assert fake.mine() == 1
    fake.gone(61)  # it ended with 300, and a child never seen with 50
    fake.process(60, 1, 0, 350, start=10)
    fake.pass_time(60, busy=150)
    assert fake.mine() == 2.5


@pytest.mark.needs_root
def test_what_roots_ended_children_used_is_not_roots(fake):
    fake.process(60, 1, 0, 0, start=10)
    fake.read()
    fake.process(60, 1, 0, 500, start=10)
    fake.pass_time(60, busy=500)
    assert fake.mine() == 0
    assert fake.read()["cpu_unattributed_seconds_total"] == 5


def test_a_restart_of_the_machine_begins_again(fake):
    fake.process(10, 1, 100, start=10)
    fake.read()
    fake.process(10, 1, 300, start=10)
    fake.pass_time(60, busy=200)
    assert fake.mine() == 2
    (fake.root / "proc/sys/kernel/random/boot_id").write_text("another\n")
    assert fake.mine() == 0


@pytest.mark.parametrize("text", ["", "rubbish", "b 1 2 3 4\nu 0 x\nend\n", "b 1 2 3 4\nq\nend\n"])
def test_a_state_that_was_cut_or_spoilt_begins_again(fake, text):
    fake.read()
    (fake.state / "account").write_text(text)
    assert fake.mine() == 0


def test_hidden_processes_are_said_to_be_hidden(fake):
    assert "processes_hidden_info" not in fake.read()
    fake.process(10, 0, 0, start=10)
    fake.gone(1)
    assert fake.read()["processes_hidden_info"] == 1


def test_p23_no_cgroup_and_0_other_users(fake):
    shutil.rmtree(fake.root / "sys/fs")
    assert {name.split('"')[1] for name in fake.read() if "user=" in name} == {
        "root" if os.geteuid() == 0 else str(os.geteuid())
    }


@pytest.mark.parametrize(("file", "text"), [("stat", "what?\n"), ("meminfo", "MemFree: 1 kB\n")])
def test_p22_a_proc_of_another_form_is_refused(machine, file, text):
    (machine / "proc" / file).write_text(text)
    assert file in refused(run("processes.py", root=machine))


def test_memory_and_processes_by_user_agree_with_psutil():
    itself = 8 << 20  # the probe sees one process more than psutil: itself
    for _ in range(5):  # others start and stop processes between the two
        found = ok(run("processes.py"))
        users: dict[str, list[int]] = {}
        for process in psutil.process_iter(["uids", "memory_info"]):
            held = process.info["memory_info"]
            row = users.setdefault(name_of(process.info["uids"].effective), [0, 0])
            row[0] += held.rss - held.shared if held else 0
            row[1] += 1
        mine = name_of(os.geteuid())
        memory, count = users[mine]
        if (
            abs(found[f'user_memory_bytes{{user="{mine}"}}'] - memory) <= 0.02 * memory + itself
            and abs(found[f'user_processes{{user="{mine}"}}'] - count) <= max(2, 0.02 * count)
        ):  # fmt: skip
            break
    else:
        pytest.fail(f"{found} but psutil says {users}")


def burned(argv: list[str], state: Path, user: int | None) -> tuple[float, float]:
    """(seconds of CPU that the kernel says the child and its children used, seconds counted for its user)."""
    name = name_of(user or os.geteuid())
    line = f'user_cpu_seconds_total{{user="{name}"}}'
    before = ok(run("processes.py", state=state)).get(line, 0.0)
    # The shell outlives the burner, so that its end is waited for by a process of the same user, as in real life.
    shell = subprocess.Popen(
        ["bash", "-c", '"$@"; times >&2; sleep 20', "x", *argv], user=user, cwd="/", stderr=subprocess.PIPE
    )
    said = [shell.stderr.readline(), shell.stderr.readline()]
    after = ok(run("processes.py", state=state))[line]
    shell.kill()
    shell.wait()
    shell.stderr.close()
    used = sum(
        60 * int(m) + float(s) for word in b" ".join(said).decode().split() for m, s in [word.rstrip("s").split("m")]
    )
    return used, after - before


BUSY = f"/usr/bin/python3 -I -S -c '{BURN.format(seconds=0.02)}'"


@pytest.mark.needs_root
@pytest.mark.parametrize("short", [False, True])
def test_cpu_burned_by_another_user_is_accounted_to_that_user(state, short):
    """One long process, then forty that each live for some 30 ms and are never seen."""
    one = ["/usr/bin/python3", "-I", "-S", "-c", BURN.format(seconds=1)]
    many = ["bash", "-c", f"for i in {{1..40}}; do {BUSY}; done; sleep 0.1"]
    used, counted = burned(many if short else one, state, user=61999)  # nobody else's number
    assert used > 0.8
    assert counted == pytest.approx(used, rel=0.05, abs=0.05)


@pytest.mark.skipif(not AS_USER, reason="as root, the test above does it with another user")
def test_cpu_burned_by_ourselves_is_accounted_to_us(state):
    used, counted = burned(["/usr/bin/python3", "-I", "-S", "-c", BURN.format(seconds=1)], state, user=None)
    assert used > 0.8
    assert counted >= used * 0.95, "less than the burner alone"


def test_run_by_hand_it_takes_two_readings_and_says_the_percentages():
    outside, inside = pty.openpty()
    burner = subprocess.Popen([sys.executable, "-c", BURN.format(seconds=3)])
    try:
        time.sleep(0.2)
        result = subprocess.run(
            [PROBES / "processes.py"],
            env={"PATH": SYSTEM},
            stdout=inside,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            timeout=10,
            check=False,
        )
    finally:
        burner.kill()
        burner.wait()
    os.close(inside)
    os.close(outside)
    name = name_of(os.geteuid())
    assert any(
        line.startswith(f"{name}: ") and line.endswith(" % of a core over one second")
        for line in result.stderr.splitlines()
    )
