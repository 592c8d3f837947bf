"""The runner: what is due runs, one file holds the cycle, and no probe can hold up or spoil the others."""

import contextlib
import fcntl
import os
import re
import resource
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.probes.probing import PROBES, ROOT, SYSTEM, plain_tools, series, stub

GOOD = "echo '# HELP a A\n# HELP.fr a A\n# TYPE a gauge\na 1'"
NOW = 1795221000


class Runner:
    """A data folder, a folder of probes, and run.sh over them."""

    def __init__(self, folder: Path) -> None:
        self.data, self.probes = folder / "data", folder / "some probes, é"
        self.data.mkdir()
        self.probes.mkdir()
        self.path = SYSTEM
        self.now = NOW

    def probe(self, name: str, script: str, head: str = "") -> Path:
        path = self.probes / name
        path.write_text(f"#!/bin/bash\n{head}{script}\n")
        path.chmod(0o755)
        return path

    def start(self, **more) -> subprocess.CompletedProcess[str]:
        self.now += 60
        env = {
            "PATH": self.path,
            "VIGIE_DATA": str(self.data),
            "VIGIE_PROBES": str(self.probes),
            "VIGIE_NOW": str(self.now),
        }
        env |= more.pop("env", {})
        env = {name: value for name, value in env.items() if value is not None}
        return subprocess.run(
            [PROBES / "run.py"],
            env=env,
            cwd="/",
            capture_output=True,
            encoding="utf-8",
            timeout=30,
            **more,
            check=False,
        )

    def run(self, **more) -> dict[str, tuple[str, str]]:
        """One cycle that must be written: probe -> (status and reason, text)."""
        result = self.start(**more)
        assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
        return sections(self.spool()[-1].read_bytes())

    def spool(self) -> list[Path]:
        return sorted((self.data / "spool").glob("*.prom"))


def sections(raw: bytes) -> dict[str, tuple[str, str]]:
    """The file, read strictly: the end mark must be right to the byte."""
    body, mark = re.fullmatch(rb"(.*)# VIGIE lines=(.*)\n", raw, re.S).groups()
    lines, size, cycle, boot, uptime = re.fullmatch(
        rb"(\d+) bytes=(\d+) cycle=(\d{10,}) boot=(\S+) uptime=(\d+\.\d+)", mark
    ).groups()
    assert (int(lines), int(size)) == (body.count(b"\n"), len(body))
    assert boot
    assert float(uptime) > 0
    assert int(cycle) > 0
    found = {}
    for part in re.split(r"^# VIGIE ", body.decode(), flags=re.M)[1:]:
        head, _, text = part.partition("\n")
        name, status, reason = re.fullmatch(
            r'probe=([\w-]+) status=(ok|failed) seconds=\d+\.\d{3} uptime=\d+\.\d+(?: reason="(.*)")?', head
        ).groups()
        assert name not in found
        assert (reason is None) == (status == "ok")
        found[name] = (reason or status, text)
    return found


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


@pytest.fixture
def runner(tmp_path):
    return Runner(tmp_path)


def test_a_cycle_holds_every_text_byte_for_byte(runner):
    runner.probe("one.sh", GOOD)
    runner.probe("two", "printf 'b{c=\"é \\\\\\\\ d\"} 2\\n\\n# a comment\\n'")
    assert runner.run() == {
        "one": ("ok", "# HELP a A\n# HELP.fr a A\n# TYPE a gauge\na 1\n"),
        "two": ("ok", 'b{c="é \\\\ d"} 2\n\n# a comment\n'),
    }
    spool = runner.spool()[0]
    assert spool.name == f"{runner.now}.prom"
    assert spool.stat().st_mode & 0o777 == 0o600
    assert (runner.data / "spool").stat().st_mode & 0o777 == 0o700
    assert not [p for p in (runner.data / "spool").iterdir() if p != spool], "nothing is left beside it"


def test_the_shipped_probes_make_a_cycle_of_the_fake_machine(runner, tools):
    runner.path = str(tools)
    cycle = runner.run(env={"VIGIE_PROBES": None, "VIGIE_ROOT": str(ROOT), "VIGIE_HOMES_TEXT": "/nowhere"})
    assert set(cycle) == {
        p.stem for p in PROBES.iterdir() if os.access(p, os.X_OK) and p.name != "run.py" and p.is_file()
    }
    for name, (status, text) in cycle.items():
        assert status == "ok", name
        series(text)
    mark = runner.spool()[0].read_text().splitlines()[-1]
    assert mark.endswith("boot=0f0e0d0c-1111-2222-3333-444455556666 uptime=221000.50")


def test_a_failed_probe_loses_its_text_and_keeps_its_reason(runner):
    runner.probe("bad.sh", "echo 'a 1'; printf 'no \\033[31m\"disk\"\\007 here\\nsecond line\\n' >&2; exit 3")
    runner.probe("mute.sh", "exit 7")
    runner.probe("python.py", "").write_text("#!/usr/bin/env python3\nimport nothing_of_that_name\n")
    runner.probe("long.sh", "head -c 9999 /dev/zero | tr '\\0' x >&2; exit 1")
    cycle = runner.run()
    assert cycle["bad"] == ("no [31m'disk' here", "")
    assert cycle["mute"] == ("ended with status 7 and no explanation", "")
    assert cycle["python"][0] == "ModuleNotFoundError: No module named 'nothing_of_that_name'"
    assert cycle["long"][0] == "x" * 200


def test_what_is_no_text_fails(runner):
    runner.probe("empty.sh", "true")
    runner.probe("nul.sh", "printf 'a 1\\0\\n'")
    runner.probe("forger.sh", "printf 'a 1\\n# VIGIE probe=cpu status=ok seconds=0\\nb 2\\n'")
    runner.probe("cut.sh", "printf 'a 1'")
    assert runner.run() == {
        "empty": ("it printed nothing", ""),
        "nul": ("its text holds a NUL byte", ""),
        "forger": ("a line of its text begins with # VIGIE", ""),
        "cut": ("ok", "a 1\n"),
    }


def test_the_executable_bit_is_the_switch(runner):
    runner.probe("on.sh", GOOD)
    runner.probe("off.sh", GOOD).chmod(0o644)
    runner.probe(".hidden.sh", GOOD)
    runner.probe("old.prom", GOOD)
    runner.probe("copy.sh~", GOOD)
    (runner.probes / "folder").mkdir()
    assert list(runner.run()) == ["on"]


def test_a_probe_runs_every_n_cycles_and_again_at_once_when_that_is_made_shorter(runner):
    runner.probe("slow.sh", GOOD, head="# EVERY 3\n")
    runner.probe("quoted.sh", "echo '# EVERY 3'; echo a 1")
    ran = ["slow" in runner.run() for _ in range(7)]
    assert ran == [True, False, False, True, False, False, True]
    runner.probe("slow.sh", GOOD)
    assert [sorted(runner.run()) for _ in range(2)] == [["quoted", "slow"]] * 2


def test_a_later_folder_replaces_a_probe_and_a_missing_folder_is_said(runner, tmp_path):
    runner.probe("one.sh", GOOD)
    mine = tmp_path / "mine"
    mine.mkdir()
    shutil.copy(runner.probe("two.sh", "echo a 2"), mine / "one.py")
    (runner.probes / "two.sh").unlink()
    assert runner.run(env={"VIGIE_PROBES": f"{runner.probes}:{mine}"}) == {"one": ("ok", "a 2\n")}
    result = runner.start(env={"VIGIE_PROBES": f"{runner.probes}:{tmp_path}/away"})
    assert (result.returncode, result.stderr) == (
        1,
        f"probes/run.py: VIGIE_PROBES: there is no folder {tmp_path}/away\n",
    )
    assert len(runner.spool()) == 2, "the cycle is written all the same"


def test_a_probe_is_given_its_own_folder_and_none_of_our_secrets(runner):
    runner.probe("env.sh", "touch \"$VIGIE_STATE/kept\"; env | sort | sed 's/^/#: /'")
    text = runner.run(env={"VIGIE_SMTP_PASSWORD": "hush", "LC_ALL": "C.UTF-8"})["env"][1]
    assert set(re.findall(r"VIGIE_\w+", text)) == {"VIGIE_ROOT", "VIGIE_NOW", "VIGIE_STATE"}
    assert f"VIGIE_NOW={runner.now}\n" in text
    assert "LC_ALL=C\n" in text
    assert (runner.data / "run/state/env/kept").exists()


def test_a_name_that_no_file_of_ours_may_have_is_changed(runner):
    runner.probe("a b;$(id).sh", GOOD)
    assert list(runner.run()) == ["a_b___id_"]


def test_two_cycles_in_one_second_are_two_files(runner):
    runner.probe("one.sh", GOOD)
    for _ in range(3):
        runner.now = NOW
        runner.run()
    assert [p.name for p in runner.spool()] == [f"{NOW + 60 + i}.prom" for i in range(3)]
    assert [int(re.search(rb"cycle=(\d+)", p.read_bytes())[1]) for p in runner.spool()] == [
        NOW + 60,
        NOW + 61,
        NOW + 62,
    ]


def test_the_very_first_cycle_is_two_a_second_apart(runner):
    runner.probe("one.sh", GOOD)
    runner.run(env={"VIGIE_FIRST": "1"})
    assert len(runner.spool()) == 2
    uptimes = [float(re.search(r"uptime=(\S+)", p.read_text())[1]) for p in runner.spool()]
    assert 1 <= uptimes[1] - uptimes[0] < 3
    runner.run(env={"VIGIE_FIRST": "1"})
    assert len(runner.spool()) == 3, "only the first"


def test_the_latest_good_text_stays_when_a_probe_fails(runner):
    runner.probe("one.sh", "echo a 1")
    runner.run()
    runner.probe("one.sh", "echo a 2; exit 1")
    runner.run()
    assert (runner.data / "probes/one.prom").read_text() == "a 1\n"
    runner.probe("one.sh", "echo a 3")
    runner.run()
    assert (runner.data / "probes/one.prom").read_text() == "a 3\n"


@pytest.fixture
def on_tmpfs(runner):
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", runner.data], check=True)
    yield runner
    subprocess.run(["umount", runner.data], check=True)


@pytest.mark.needs_root
def test_p02_a_full_disk_leaves_the_old_file_and_one_clear_line(on_tmpfs):
    runner = on_tmpfs
    runner.probe("one.sh", GOOD)
    runner.run()
    before = {p: p.read_bytes() for p in runner.spool()}
    with open(runner.data / "filler", "wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass
    result = runner.start()
    assert result.returncode == 1
    assert re.fullmatch(r"probes/run.py: cannot write \S+ \(disk full, or read-only\?\)\n", result.stderr)
    assert {p: p.read_bytes() for p in runner.spool()} == before
    assert not list((runner.data / "spool").glob(".*"))
    (runner.data / "filler").unlink()
    assert runner.run()["one"][0] == "ok", "and when there is room again it goes on"


def test_p03_a_file_size_limit_stops_the_probe_or_the_cycle_but_nothing_is_half_written(runner):
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))

    runner.probe("large.sh", 'for i in {1..2000}; do echo "# $i" || exit; done; echo a 1')
    runner.probe("small.sh", "echo a 1")
    cycle = runner.run(preexec_fn=limit)
    assert cycle["small"] == ("ok", "a 1\n")
    assert cycle["large"][0].endswith("File too large")
    for i in range(4):
        runner.probe(f"medium{i}.sh", 'for i in {1..400}; do echo "# line $i"; done; echo a 1')
    result = runner.start(preexec_fn=limit)
    assert result.returncode == 1
    assert "cannot write" in result.stderr
    assert len(runner.spool()) == 1
    assert not list((runner.data / "spool").glob(".*"))


def test_a_probe_that_prints_without_end_is_stopped_at_1_mb(runner):
    runner.probe("endless.sh", "exec yes")
    runner.probe("one.sh", GOOD)
    began = time.monotonic()
    cycle = runner.run()
    assert time.monotonic() - began < 5
    assert "File too large" in cycle["endless"][0]
    assert cycle["one"][0] == "ok"


def test_p04_a_read_only_folder_is_named_in_one_line(public):
    runner = Runner(public)
    runner.probe("one.sh", GOOD)
    for folder in (runner.data, runner.data / "spool"):
        folder.mkdir(exist_ok=True)
    user = 65534 if os.geteuid() == 0 else None
    if user:
        for folder in (runner.data, runner.data / "spool"):
            os.chown(folder, user, user)
    (runner.data / "spool").chmod(0o500)
    result = runner.start(user=user)
    assert (result.returncode, result.stderr) == (1, f"probes/run.py: cannot write in {runner.data}/spool\n")
    (runner.data / "spool").chmod(0o700)
    assert runner.start(user=user).returncode == 0


def test_p11_a_probe_that_hangs_is_stopped_and_holds_up_nothing(runner):
    runner.probe("hang.sh", "sleep 1000", head="# LIMIT 1\n")
    runner.probe("deaf.sh", "trap '' TERM; while :; do sleep 1000; done", head="# LIMIT 1\n")
    runner.probe("one.sh", GOOD)
    began = time.monotonic()
    cycle = runner.run()
    assert time.monotonic() - began < 5
    assert cycle["hang"] == ("timed out after 1 s", "")
    assert cycle["deaf"] == ("timed out after 1 s", "")
    assert cycle["one"][0] == "ok"


def test_p11_what_cannot_even_be_killed_is_left_behind_and_not_started_twice(runner, tools):
    # A process in D state cannot be had at will: a timeout that stops nothing leaves the runner as alone.
    stub(tools, "timeout", 'shift 3; exec "$@"')
    runner.path = str(tools)
    runner.probe("dead.sh", f"echo $$ >>'{runner.data}/pids'; exec sleep 60", head="# LIMIT 1\n")
    runner.probe("one.sh", GOOD)
    began = time.monotonic()
    cycle = runner.run()
    assert time.monotonic() - began < 6
    (pid,) = (runner.data / "pids").read_text().split()
    try:
        assert cycle["dead"] == (f"timed out after 1 s and cannot be killed (process {pid})", "")
        assert cycle["one"][0] == "ok"
        began = time.monotonic()
        again = runner.run()
        assert time.monotonic() - began < 2, "nobody waits for it again"
        assert re.fullmatch(r"still running since 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", again["dead"][0])
        assert (runner.data / "pids").read_text().split() == [pid]
    finally:
        os.kill(int(pid), signal.SIGKILL)


def test_p12_a_grandchild_that_left_its_session_keeps_neither_the_lock_nor_the_runner(runner):
    runner.probe("parent.sh", f"setsid sleep 60 & echo $! >'{runner.data}/pid'; echo a 1")
    lock = runner.data / "lock"
    began = time.monotonic()
    env = {"PATH": SYSTEM, "VIGIE_DATA": str(runner.data), "VIGIE_PROBES": str(runner.probes)}
    script = f"exec 9>'{lock}'; flock --nonblock 9; '{PROBES}/run.py'"
    subprocess.run(["bash", "-c", script], env=env, check=True, timeout=20)
    try:
        assert time.monotonic() - began < 5
        assert sections(runner.spool()[0].read_bytes())["parent"] == ("ok", "a 1\n")
        with open(lock) as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # BlockingIOError when someone still holds it
    finally:
        os.kill(int((runner.data / "pid").read_text()), signal.SIGKILL)


@pytest.mark.parametrize("place", ["run", "spool", "probes", "run/cycle", "run/out", "run/state"])
def test_p18_a_link_planted_in_place_of_a_folder_of_ours_is_refused(runner, place, tmp_path):
    runner.probe("one.sh", GOOD)
    runner.run()
    shutil.rmtree(runner.data / place, ignore_errors=True) if (runner.data / place).is_dir() else (
        runner.data / place
    ).unlink()
    aim = tmp_path / "aim"
    aim.mkdir()
    (runner.data / place).symlink_to(aim)
    result = runner.start()
    assert (result.returncode, result.stderr) == (
        1,
        f"probes/run.py: {runner.data}/{place} is a symbolic link: remove it\n",
    )
    assert not list(aim.iterdir())


def test_p18_links_planted_at_the_files_of_a_cycle_are_not_followed(runner, tmp_path):
    runner.probe("one.sh", GOOD)
    runner.run()
    aim = tmp_path / "aim"
    aim.write_text("untouched")
    planted = [
        f"spool/{runner.now + 60}.prom",
        "probes/one.prom",
        "run/out/one.prom",
        "run/out/one.err",
        f"spool/.{NOW}.1.tmp",
    ]
    for place in planted:
        (runner.data / place).unlink(missing_ok=True)
        (runner.data / place).symlink_to(aim)
    result = runner.start()
    assert (result.returncode, result.stderr) == (0, "")
    assert aim.read_text() == "untouched"
    assert (runner.data / f"spool/{runner.now + 1}.prom").is_file(), "the next name is taken"
    assert not (runner.data / "probes/one.prom").is_symlink()


def test_p19_crons_empty_environment_is_enough(runner):
    runner.probe("one.sh", GOOD)
    env = {"PATH": SYSTEM, "VIGIE_DATA": str(runner.data), "VIGIE_PROBES": str(runner.probes)}
    result = subprocess.run([PROBES / "run.py"], env=env, cwd="/", capture_output=True, encoding="utf-8", check=False)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert abs(int(runner.spool()[0].stem) - time.time()) < 5


def test_p21_a_missing_tool_of_the_runner_itself_is_an_error_and_no_half_cycle(runner, tmp_path):
    tools = plain_tools(tmp_path / "few")
    (tools / "timeout").unlink()
    runner.path = str(tools)
    runner.probe("one.sh", GOOD)
    assert not shutil.which("timeout", path="/usr/local/sbin:/usr/sbin:/sbin")
    result = runner.start()
    assert result.returncode == 1
    assert re.fullmatch(r"probes/run.py: cannot start \S.*/one.sh: No such file or directory\n", result.stderr)
    assert runner.spool() == []


def test_p23_without_proc_the_runner_says_what_it_misses(runner, tmp_path):
    runner.probe("one.sh", GOOD)
    result = runner.start(env={"VIGIE_ROOT": str(tmp_path / "empty")})
    assert result.returncode == 1
    assert result.stderr == f"probes/run.py: cannot read {tmp_path}/empty/proc/uptime: is /proc mounted?\n"


def test_a_runner_that_is_told_to_stop_takes_its_probes_along(runner):
    runner.probe("hang.sh", f"echo $$ >'{runner.data}/pid'; exec sleep 60")
    env = {"PATH": SYSTEM, "VIGIE_DATA": str(runner.data), "VIGIE_PROBES": str(runner.probes)}
    process = subprocess.Popen([PROBES / "run.py"], env=env)
    try:
        while not (runner.data / "pid").exists() or not (runner.data / "pid").read_text():
            time.sleep(0.02)
        pid = int((runner.data / "pid").read_text())
        process.terminate()
        assert process.wait(5) == 143
        for _ in range(100):
            if not lives(pid):
                break
            time.sleep(0.02)
        assert not lives(pid)
    finally:
        process.kill()
    assert runner.spool() == []
