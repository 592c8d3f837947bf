"""Every command of the two READMEs is run, and the example probe is one."""

import os
import re
import shlex
import sqlite3
import subprocess
import sys

import pytest

from archive import clock, database

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
READMES = ("README.md", "README.fr.md")
# Run whole by tests/test_whole_way.py, or by whoever reads this.
ELSEWHERE = ("./run_all.sh", "./tests/run.sh")
# A fresh machine has something to mend, no backup, nobody to mail and no CERT-FR at port 9: said, and not a crash.
STATUS = {"status": (0, 1, 2, 3), "doctor": (0, 1), "backups": (0, 1), "certfr": (0, 1), "mail-test": (2,)}


def blocks(name):
    with open(os.path.join(ROOT, name), encoding="utf-8") as file:
        return re.findall(r"^```sh\n(.*?)^```", file.read(), re.S | re.M)


def commands():
    """(README, command) of each line that starts with ./ in a block, and of each `./vigie ...` in the text."""
    found = []
    for name in READMES:
        with open(os.path.join(ROOT, name), encoding="utf-8") as file:
            text = file.read()
        lines = [line for block in blocks(name) for line in block.splitlines() if line.startswith("./")]
        lines += re.findall(r"`(\./vigie [^`]+)`", text)
        found += [(name, line.split("#")[0].strip()) for line in lines]
    return found


@pytest.fixture
def home(tmp_path):
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    database.create(str(data), "u" * 32, "srv", "", clock.now())
    stubs = tmp_path / "bin"
    stubs.mkdir()
    # cron's own table is the user's: here it is a file.
    (stubs / "crontab").write_text(
        f'#!/bin/sh\nif [ "$1" = -l ]; then cat {tmp_path}/table 2>/dev/null || {{ echo "no crontab for x" >&2; exit 1; }}\n'
        f"else cat > {tmp_path}/table; fi\n"
    )
    (stubs / "crontab").chmod(0o755)
    old = sqlite3.connect(tmp_path / "OLD.db")
    old.execute("CREATE TABLE Seuil (cpu, memory, ram, temps_limite)")
    old.close()
    return tmp_path


@pytest.mark.parametrize(("readme", "command"), commands())
def test_a_command_of_the_readme_is_one_and_runs(home, readme, command):
    words = shlex.split(command)
    if words[0] in ELSEWHERE:
        assert os.access(os.path.join(ROOT, words[0]), os.X_OK)
        return
    assert words[0] == "./vigie"
    arguments = [*words[1:], "--yes"] if words[1:3] == ["cron", "install"] else words[1:]
    clean = {key: value for key, value in os.environ.items() if not key.startswith("VIGIE_")}
    done = subprocess.run(
        [sys.executable, "-I", os.path.join(ROOT, "web", "__main__.py"), *arguments],
        env={
            **clean,
            "PATH": f"{home / 'bin'}:{os.environ['PATH']}",
            "VIGIE_DATA": str(home / "data"),
            "VIGIE_CERTFR_URL": "http://127.0.0.1:9",
        },
        cwd=home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode in STATUS.get(words[1], (0,)), done.stderr
    assert "Traceback" not in done.stderr
    if words[1:3] == ["cron", "install"]:
        assert "run_all.sh" in (home / "table").read_text()


@pytest.mark.parametrize("readme", READMES)
def test_the_example_probe_runs_as_it_stands(home, readme):
    probe = next(block for block in blocks(readme) if block.startswith("#!"))
    (home / "bin" / "lpstat").write_text("#!/bin/sh\necho job-1\necho job-2\n")
    (home / "bin" / "lpstat").chmod(0o755)
    path = home / "printer.sh"
    path.write_text(probe)
    path.chmod(0o755)
    environment = {"PATH": f"{home / 'bin'}:/usr/bin:/bin"}
    done = subprocess.run([path], env=environment, capture_output=True, check=True, timeout=30)
    from archive import text

    parsed = text.parse(done.stdout)
    assert [(one.metric, one.value) for one in parsed.samples] == [("printer_queue_jobs", 2.0)]
    assert parsed.metrics["printer_queue_jobs"].shipped.for_seconds == 600
    assert parsed.metrics["printer_queue_jobs"].help_fr.startswith("Documents")


def test_both_readmes_hold_the_same_commands():
    assert [line for name, line in commands() if name == READMES[0]] == [
        line for name, line in commands() if name == READMES[1]
    ]
