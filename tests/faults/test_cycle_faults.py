"""Faults of the whole cycle, met through run_all.sh itself: cron's side of the catalogue (P), by id."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from archive import spool
from tests.faults.home import PROBE, Home

STRACE = "/usr/bin/strace"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.mark.skipif(not os.path.exists(STRACE), reason="strace is missing")
@pytest.mark.parametrize("call", ["write", "fsync", "rename,renameat,renameat2", "openat"])
def test_p01_killed_at_any_call_the_runner_leaves_no_half_text(tmp_path: Path, call: str) -> None:
    """The sweep of the runner: KILL at the n-th call of each of its processes, then an unharmed run."""
    home = Home(tmp_path)
    environ = home.environment(VIGIE_DATA=str(home.data), VIGIE_PROBES=str(home.probes))
    runner, now, seen = [str(home.root / "probes" / "run.py")], 1_795_221_000, 0
    for number in (*range(1, 13), 16, 24, 40):
        now += 60
        subprocess.run(
            [STRACE, "-f", "-o", "/dev/null", "-e", "trace=none", "-e", f"inject={call}:signal=KILL:when={number}", *runner],
            env={**environ, "VIGIE_NOW": str(now)}, cwd="/", capture_output=True, timeout=60, check=False,
        )  # fmt: skip
        for path in (home.data / "spool").glob("*.prom"):
            spool.parse(path.read_bytes())  # raises where it is not whole
        for path in (home.data / "probes").glob("*.prom"):
            assert path.read_text().endswith("beat 1\n")
        now += 60
        done = subprocess.run(
            runner, env={**environ, "VIGIE_NOW": str(now)}, cwd="/", capture_output=True, timeout=60, check=False
        )
        assert (done.returncode, done.stderr) == (0, b"")
        assert (home.data / "spool" / f"{now}.prom").exists()
        assert not list((home.data / "spool").glob(".*.tmp"))
        seen += 1
    assert seen == 15


def test_p14_an_hour_of_cycles_longer_than_their_rhythm_does_not_pile_up(home: Home) -> None:
    assert home.run()[0] == 0
    before = len(home.cycles())
    # A pipe that nobody writes to: the cycle lasts until the test says so, not for so many seconds.
    os.mkfifo(home.probes / "gate")
    home.probe("slow.sh", PROBE.replace("beat", "slow") + f"read -r _ <{home.probes}/gate\n")
    holder = home.start()
    deadline = time.monotonic() + 20
    while not list((home.data / "run" / "out").glob("slow*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    for _ in range(20):
        assert home.run() == (0, "", "")
    (home.probes / "gate").write_text("go\n")
    assert holder.communicate(timeout=60) == ("", "")
    assert holder.returncode == 0
    home.flush()
    assert len(home.cycles()) == before + 1


@pytest.mark.parametrize("lost", ["never installed", "packages gone"])
def test_p24_without_python_one_line_says_so_and_the_status_is_127(home: Home, tmp_path: Path, lost: str) -> None:
    if lost == "packages gone":
        (home.root / ".venv" / "bin").unlink()
        path = "/usr/bin:/bin"
    else:
        shutil.rmtree(home.root / ".venv")
        tools = tmp_path / "tools"
        tools.mkdir()
        for name in os.listdir("/usr/bin"):
            if not name.startswith("python"):
                (tools / name).symlink_to(f"/usr/bin/{name}")
        path = str(tools)
    status, out, err = home.run(PATH=path)
    assert (status, out, err.count("\n")) == (127, "", 1)
    assert err.startswith("vigie: ")
    assert "run_all.sh" in err or "Python 3.11 or later" in err


def test_p25_when_all_is_well_cron_has_nothing_to_mail(home: Home) -> None:
    for _ in range(3):
        assert home.run() == (0, "", "")


def test_p28_a_log_that_grew_is_turned_and_who_reads_the_old_one_goes_on(home: Home) -> None:
    assert home.run()[0] == 0
    log = home.data / "log" / "upkeep.log"
    log.write_text("a line of the past\n" * 120_000)
    with log.open() as reader:
        assert reader.readline() == "a line of the past\n"
        # Upkeep is due again: its log is turned before it starts.
        with_upkeep = time.time() + 7200
        assert home.run(VIGIE_NOW=str(int(with_upkeep)))[0] == 0
        assert reader.readline() == "a line of the past\n"
    assert Path(f"{log}.1").stat().st_size > 2_000_000
    assert not log.exists() or log.stat().st_size < 100_000
    kept = [name for name in os.listdir(log.parent) if name.startswith("upkeep.log")]
    assert len(kept) <= 2


def test_p29_logs_that_cannot_be_written_stop_no_cycle(home: Home) -> None:
    assert home.run()[0] == 0
    before = len(home.cycles())
    for name in ("upkeep.log", "baseline.log", "certfr.log", "alerts.log", "evidence.log", "web.log"):
        log = home.data / "log" / name
        log.unlink(missing_ok=True)
        log.symlink_to("/dev/full")
    assert home.run() == (0, "", "")
    home.flush()
    assert len(home.cycles()) == before + 1
