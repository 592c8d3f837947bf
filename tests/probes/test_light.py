"""The shipped Python probes that the runner reads in a process of its own: none of them can hurt the runner or the others."""

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.probes.probing import PROBES, ROOT, SHIPPED, SYSTEM, series
from tests.probes.test_run import NOW, lives, sections

LIGHT = re.findall(
    r'"([a-z]+)"', re.search(r"READ = frozenset\(\((.+?)\)\)", (PROBES / "running.py").read_text(), re.S)[1]
)
RUNNER = ("run.py", "running.py", "sources.py", "reading.py")
GOOD = "return '# HELP {0} A\\n# HELP.fr {0} A\\n# TYPE {0} gauge\\n{0} 1\\n'"


class Shipped:
    """A copy of the runner with probes of our own under the names of shipped ones."""

    def __init__(self, folder: Path) -> None:
        self.probes, self.data, self.now = folder / "probes", folder / "data", NOW
        self.probes.mkdir()
        self.data.mkdir()
        for file in RUNNER:
            shutil.copy(PROBES / file, self.probes)

    def probe(self, name: str, body: str, head: str = "") -> None:
        """A probe as the shipped ones are; `body`: what its function does."""
        path = self.probes / f"{name}.py"
        body = body.replace("\n", "\n    ")
        path.write_text(
            "#!/usr/bin/env -S python3 -I -S\n"
            f"{head}import sys\nif __name__ == '__main__':\n    sys.path.insert(0, __file__.rpartition('/')[0])\nimport posix, time\n"
            f"import reading\ndef text(root, state, alone):\n    {body}\nif __name__ == '__main__':\n    reading.main(text)\n"
        )
        path.chmod(0o755)

    def be_impatient(self) -> None:
        """One second instead of ten, for what is made to hang."""
        runner = self.probes / "running.py"
        text = runner.read_text()
        assert "\nPATIENCE = 10  #" in text
        runner.write_text(text.replace("\nPATIENCE = 10  #", "\nPATIENCE = 1  #"))

    def run(self) -> dict[str, tuple[str, str]]:
        return sections(self.written())

    def written(self) -> bytes:
        self.now += 60
        done = subprocess.run(
            [self.probes / "run.py"],
            env={"PATH": SYSTEM, "VIGIE_DATA": str(self.data), "VIGIE_NOW": str(self.now)},
            cwd="/", capture_output=True, encoding="utf-8", timeout=60, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        return max((self.data / "spool").glob("*.prom")).read_bytes()


@pytest.fixture
def shipped(tmp_path):
    return Shipped(tmp_path)


def test_what_is_read_says_the_same_as_what_is_started(tmp_path):
    """Each one read after all those before it in the same process, and started alone."""
    folder = tmp_path / "repository"
    shutil.copytree(PROBES, folder / "probes")
    for path in (folder / "probes").iterdir():
        if path.name in SHIPPED and path.stem not in LIGHT:
            path.unlink()
    (folder / "data").mkdir()
    env = {"PATH": SYSTEM, "VIGIE_ROOT": str(ROOT)}
    cycle = {**env, "VIGIE_DATA": str(folder / "data"), "VIGIE_NOW": str(NOW)}
    subprocess.run([folder / "probes/run.py"], env=cycle, check=True)
    found = sections(next((folder / "data/spool").glob("*.prom")).read_bytes())
    assert sorted(found) == sorted(LIGHT)
    for probe, (status, text) in found.items():
        state = tmp_path / probe
        state.mkdir()
        alone = subprocess.run(
            [PROBES / f"{probe}.py"], env={**env, "VIGIE_STATE": str(state)}, capture_output=True, encoding="utf-8", check=True
        ).stdout  # fmt: skip
        assert status == "ok"
        series(text)
        assert still(text) == still(alone), probe


def still(text: str) -> str:
    return re.sub(r"^(disk_\S+) \S+$", r"\1", text, flags=re.M)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("posix._exit(3)", "ended with status 3 and no explanation"),
        ("raise reading.RefusedError('no \"disk\"')", "load.py: no 'disk'"),
        ("posix.stat('/nowhere')", "load.py: [Errno 2] No such file or directory: '/nowhere'"),
        ("return never_set", "NameError: name 'never_set' is not defined"),
        ("raise reading.RefusedError('')", "load.py: no explanation"),
        ("posix.kill(posix.getpid(), 9)", "ended with status 137 and no explanation"),
        ("sys.exit(2)", "SystemExit: 2"),
        ("sys.setrecursionlimit(50)\nreturn text(root, state, alone)", "RecursionError"),
        ("for x in", "SyntaxError"),
        ("return ''", "it printed nothing"),
        ("return 'a 1\\0'", "its text holds a NUL byte"),
        ("return None", "AttributeError"),
        ("return 'a' * 3_000_000", "its text is longer than 1 MB"),
        ("return 'a 1\\n# VIGIE probe=cpu status=ok seconds=0\\n'", "a line of its text begins with # VIGIE"),
        (
            "raise reading.RefusedError('a# VIGIE probe=cpu status=ok\\x1b[31m')",
            "load.py: a# VIGIE probe=cpu status=ok[31m",
        ),
    ],
)
def test_a_probe_that_ends_the_process_fails_alone(shipped, script, reason):
    shipped.probe("cpu", GOOD.format("c"))
    shipped.probe("load", script)
    shipped.probe("memory", GOOD.format("m"))
    found = shipped.run()
    assert reason in found["load"][0]
    assert found["load"][1] == ""
    assert (found["cpu"][0], found["memory"][0]) == ("ok", "ok")


@pytest.mark.parametrize(
    "script",
    ["raise reading.RefusedError('no \"disk\" é')", "raise reading.RefusedError('')", "posix.stat('/nowhere')",
     "raise reading.RefusedError('one\\n# VIGIE two')", "return 'a 1\\0'", "return ''"],
)  # fmt: skip
def test_the_reason_is_the_same_whether_it_is_read_or_started(shipped, script):
    shipped.probe("load", script)
    read = shipped.run()["load"]
    shipped.probe("load", f"if not alone: raise reading.AskError\n{script}")
    assert shipped.run()["load"] == read
    assert "VIGIE" not in read[0]


def test_what_one_prints_by_itself_is_no_part_of_its_text_nor_of_ours(shipped):
    shipped.probe("cpu", f"print('c 2'); posix.write(2, b'oh'); {GOOD.format('c')}")
    assert shipped.run()["cpu"] == ("ok", "# HELP c A\n# HELP.fr c A\n# TYPE c gauge\nc 1\n")


def test_a_text_of_any_bytes_comes_through_the_pipe_as_it_is(shipped):
    shipped.probe("cpu", "return 'c{d=\"\\udcff\\u00e9\"} 1\\n' * 20_000")
    shipped.probe("load", GOOD.format("l"))
    written = shipped.written()
    assert b'c{d="\xff\xc3\xa9"} 1\n' * 20_000 in written
    assert b"l 1\n# VIGIE lines=20006 bytes=260" in written


def test_p11_one_that_hangs_is_stopped_with_whom_it_started_and_the_others_go_on(shipped):
    shipped.be_impatient()
    shipped.probe("cpu", GOOD.format("c"))
    shipped.probe(
        "load",
        f"import subprocess\nopen('{shipped.data}/pid', 'w').write(str(subprocess.Popen(['sleep', '60']).pid))\ntime.sleep(60)",
    )
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
    shipped.probe(
        "cpu",
        f"import subprocess\nchild = subprocess.Popen(['sleep', '60'], start_new_session=True, close_fds=False)\n"
                  f"open('{shipped.data}/pid', 'w').write(str(child.pid))\n{GOOD.format('c')}")  # fmt: skip
    began = time.monotonic()
    try:
        found = shipped.run()
        assert time.monotonic() - began < 30
        assert found["cpu"][0] == "ok"
    finally:
        os.kill(int((shipped.data / "pid").read_text()), signal.SIGKILL)


def test_one_that_must_ask_others_is_started_as_a_process_of_its_own(shipped):
    shipped.probe(
        "users", "if not alone: raise reading.AskError\nopen(f'{state}/mine', 'w')\nreturn f'u {posix.getpid()}\\n'"
    )
    assert re.fullmatch(r"u \d+\n", shipped.run()["users"][1])
    assert (shipped.data / "run/state/users/mine").exists()


def test_a_copy_of_a_shipped_probe_elsewhere_is_started_not_read(shipped, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    shipped.probe("cpu", GOOD.format("c"))
    (mine / "cpu.py").write_text('#!/bin/bash\necho "c{me=\\"$0\\"} 1"\n')
    (mine / "cpu.py").chmod(0o755)
    env = {"PATH": SYSTEM, "VIGIE_DATA": str(shipped.data), "VIGIE_PROBES": f"{shipped.probes}:{mine}"}
    subprocess.run([shipped.probes / "run.py"], env=env, check=True)
    found = sections(next((shipped.data / "spool").glob("*.prom")).read_bytes())
    assert found["cpu"] == ("ok", f'c{{me="{mine}/cpu.py"}} 1\n')


def age(*paths: Path) -> None:
    for path in paths:
        os.utime(path, (NOW - 10_000, NOW - 10_000))


def test_what_was_read_of_the_sources_is_read_again_when_one_of_them_changes(shipped):
    shipped.probe("cpu", GOOD.format("c"))
    shipped.probe("other", GOOD.format("o"))
    shipped.probe("off", GOOD.format("x"))
    (shipped.probes / "off.py").chmod(0o644)
    for _ in range(3):
        age(*shipped.probes.iterdir(), shipped.probes)
        assert sorted(shipped.run()) == ["cpu", "other"]
    assert f"{shipped.probes}/other.py\t" in (shipped.data / "run/probes").read_text()
    (shipped.probes / "off.py").chmod(0o755)
    age(shipped.probes)
    assert "off" in shipped.run(), "the switch changes neither the file's time nor the folder's"
    (shipped.probes / "other.py").chmod(0o644)
    assert "other" not in shipped.run()
    shipped.probe("new", GOOD.format("n"))
    assert "new" in shipped.run()
    shipped.probe("new", GOOD.format("n"), head="# EVERY 2\n")
    assert ["new" in shipped.run() for _ in range(4)] == [True, False, True, False]
    (shipped.probes / "new.py").unlink()
    assert "new" not in shipped.run()
