"""The shipped Bash probes that the runner reads in its own subshell: none of them can hurt the runner or the others."""

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.probes.probing import PROBES, ROOT, SYSTEM, series
from tests.probes.test_run import NOW, lives, sections

LIGHT = re.search(r"read_here=' ([a-z ]+) '", (PROBES / "run.sh").read_text())[1].split()
GOOD = "echo '# HELP {0} A\n# HELP.fr {0} A\n# TYPE {0} gauge\n{0} 1'"


class Shipped:
    """A copy of the runner with probes of our own under the names of shipped ones."""

    def __init__(self, folder: Path) -> None:
        self.probes, self.data, self.now = folder / "probes", folder / "data", NOW
        self.probes.mkdir()
        self.data.mkdir()
        shutil.copy(PROBES / "run.sh", self.probes)

    def probe(self, name: str, script: str) -> None:
        path = self.probes / f"{name}.sh"
        path.write_text(f"#!/usr/bin/env bash\nset -euo pipefail\n{script}\n")
        path.chmod(0o755)

    def be_impatient(self) -> None:
        """One second instead of ten, for what is made to hang."""
        runner = self.probes / "run.sh"
        text = runner.read_text()
        assert "status=0 patience=10 name" in text
        runner.write_text(text.replace("status=0 patience=10 name", "status=0 patience=1 name"))

    def run(self) -> dict[str, tuple[str, str]]:
        self.now += 60
        done = subprocess.run(
            [self.probes / "run.sh"],
            env={"PATH": SYSTEM, "VIGIE_DATA": str(self.data), "VIGIE_NOW": str(self.now)},
            cwd="/", capture_output=True, encoding="utf-8", timeout=60, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        return sections(max((self.data / "spool").glob("*.prom")).read_bytes())


@pytest.fixture
def shipped(tmp_path):
    return Shipped(tmp_path)


def test_what_is_read_says_the_same_as_what_is_started(tmp_path):
    """Each one read after all those before it in the same subshell, and started alone."""
    folder = tmp_path / "repository"
    shutil.copytree(PROBES, folder / "probes")
    for path in (folder / "probes").iterdir():
        if path.stem not in LIGHT and path.name != "run.sh":
            path.unlink()
    (folder / "data").mkdir()
    env = {"PATH": SYSTEM, "VIGIE_ROOT": str(ROOT)}
    cycle = {**env, "VIGIE_DATA": str(folder / "data"), "VIGIE_NOW": str(NOW)}
    subprocess.run([folder / "probes/run.sh"], env=cycle, check=True)
    found = sections(next((folder / "data/spool").glob("*.prom")).read_bytes())
    assert sorted(found) == sorted(LIGHT)
    for probe, (status, text) in found.items():
        state = tmp_path / probe
        state.mkdir()
        alone = subprocess.run(
            [PROBES / f"{probe}.sh"], env={**env, "VIGIE_STATE": str(state)}, capture_output=True, encoding="utf-8", check=True
        ).stdout  # fmt: skip
        assert status == "ok"
        series(text)
        assert still(text) == still(alone), probe


def still(text: str) -> str:
    return re.sub(r"^(disk_\S+) \S+$", r"\1", text, flags=re.M)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo a 1; exit 3", "ended with status 3 and no explanation"),
        ("echo a 1; echo 'no \"disk\"' >&2; exit 1", "no 'disk'"),
        ("echo a 1; false; echo b 2", "ended with status 1 and no explanation"),
        ("echo $never_set", "never_set: unbound variable"),
        ("echo a 1; kill -KILL $BASHPID", "ended with status 137 and no explanation"),
        ("trap 'echo trapped >&2; exit 9' EXIT; exit 2", "trapped"),
        ("for x in; do", "syntax error"),
        (":", "it printed nothing"),
        ("printf 'a 1\\n# VIGIE probe=cpu status=ok seconds=0\\n'", "a line of its text begins with # VIGIE"),
    ],
)
def test_a_probe_that_ends_the_subshell_fails_alone(shipped, script, reason):
    shipped.probe("cpu", GOOD.format("c"))
    shipped.probe("load", script)
    shipped.probe("memory", GOOD.format("m"))
    found = shipped.run()
    assert reason in found["load"][0]
    assert found["load"][1] == ""
    assert (found["cpu"][0], found["memory"][0]) == ("ok", "ok")


def test_an_exit_that_says_all_is_well_is_well(shipped):
    shipped.probe("cpu", f"{GOOD.format('c')}; exit 0; echo never 1")
    shipped.probe("load", GOOD.format("l"))
    found = shipped.run()
    assert found["cpu"] == ("ok", "# HELP c A\n# HELP.fr c A\n# TYPE c gauge\nc 1\n")
    assert found["load"][0] == "ok"


def test_what_one_leaves_behind_does_not_reach_the_next(shipped):
    shipped.probe("cpu", "shopt -s nullglob; set -f; IFS=:; " + GOOD.format("c"))
    shipped.probe(
        "load", 'words="a b"; more=($words /nowhere/*); echo "l{n=\\"${#more[@]}\\",last=\\"${more[2]}\\"} 1"'
    )
    assert shipped.run()["load"] == ("ok", 'l{n="3",last="/nowhere/*"} 1\n')


def test_p11_one_that_hangs_is_stopped_with_whom_it_started_and_the_others_go_on(shipped):
    shipped.be_impatient()
    shipped.probe("cpu", GOOD.format("c"))
    shipped.probe("load", f"echo l 1; sleep 60 & echo $! >'{shipped.data}/pid'; wait")
    shipped.probe("memory", GOOD.format("m"))
    began = time.monotonic()
    found = shipped.run()
    assert time.monotonic() - began < 20
    assert found["load"][0].startswith("timed out after")
    assert (found["cpu"][0], found["memory"][0]) == ("ok", "ok")
    assert not lives(int((shipped.data / "pid").read_text()))


def test_p12_whom_one_leaves_running_does_not_keep_the_cycle_from_being_written(shipped):
    """A grandchild that left the process group holds the pipe: the runner waits for the limit and no longer."""
    shipped.be_impatient()
    shipped.probe("cpu", f"setsid sleep 60 & echo $! >'{shipped.data}/pid'; {GOOD.format('c')}")
    began = time.monotonic()
    try:
        found = shipped.run()
        assert time.monotonic() - began < 30
        assert found["cpu"][0] == "ok"
    finally:
        os.kill(int((shipped.data / "pid").read_text()), signal.SIGKILL)


def test_one_that_must_ask_others_is_started_as_a_process_of_its_own(shipped):
    shipped.probe("users", '[[ ${BASH_SOURCE[0]} == "$0" ]] || return 75\necho "u $$"; : >"$VIGIE_STATE/mine"')
    assert re.fullmatch(r"u \d+\n", shipped.run()["users"][1])
    assert (shipped.data / "run/state/users/mine").exists()


def test_a_copy_of_a_shipped_probe_elsewhere_is_started_not_read(shipped, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    shipped.probe("cpu", GOOD.format("c"))
    (mine / "cpu.sh").write_text('#!/bin/bash\necho "c{me=\\"$0\\"} 1"\n')
    (mine / "cpu.sh").chmod(0o755)
    env = {"PATH": SYSTEM, "VIGIE_DATA": str(shipped.data), "VIGIE_PROBES": f"{shipped.probes}:{mine}"}
    subprocess.run([shipped.probes / "run.sh"], env=env, check=True)
    found = sections(next((shipped.data / "spool").glob("*.prom")).read_bytes())
    assert found["cpu"] == ("ok", f'c{{me="{mine}/cpu.sh"}} 1\n')


def age(*paths: Path) -> None:
    for path in paths:
        os.utime(path, (NOW - 10_000, NOW - 10_000))


def test_what_was_read_of_the_sources_is_read_again_when_one_of_them_changes(shipped):
    shipped.probe("cpu", GOOD.format("c"))
    shipped.probe("other", GOOD.format("o"))
    shipped.probe("off", GOOD.format("x"))
    (shipped.probes / "off.sh").chmod(0o644)
    for _ in range(3):
        age(*shipped.probes.iterdir(), shipped.probes)
        assert sorted(shipped.run()) == ["cpu", "other"]
    assert f"{shipped.probes}/other.sh" in (shipped.data / "run/probes").read_text().split("\n\n")[0]
    (shipped.probes / "off.sh").chmod(0o755)
    age(shipped.probes)
    assert "off" in shipped.run(), "the switch changes neither the file's time nor the folder's"
    (shipped.probes / "other.sh").chmod(0o644)
    assert "other" not in shipped.run()
    shipped.probe("new", GOOD.format("n"))
    assert "new" in shipped.run()
    shipped.probe("new", "# EVERY 2\n" + GOOD.format("n"))
    assert ["new" in shipped.run() for _ in range(4)] == [True, False, True, False]
    (shipped.probes / "new.sh").unlink()
    assert "new" not in shipped.run()
