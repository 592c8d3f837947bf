"""A whole Vigie in a folder of its own, run as cron runs it: the project's files, the tests' own Python packages, no dashboard."""

import os
import subprocess
import sys
from pathlib import Path

from archive import database
from tests.test_whole_way import copy_of_the_project

PROBE = "#!/bin/bash\necho '# HELP beat Beats\n# HELP.fr beat Battements\n# TYPE beat gauge\nbeat 1'\n"


class Home:
    """`run_all.sh` with one probe of the test's own. The packages are the tests' own, by links: nothing is downloaded."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "vigie"
        self.root.mkdir()
        copy_of_the_project(str(self.root))
        self.data = self.root / "data"
        venv = self.root / ".venv"
        venv.mkdir()
        for name in ("bin", "lib", "pyvenv.cfg"):
            (venv / name).symlink_to(os.path.join(sys.prefix, name))
        (venv / "complete").touch()
        self.probes = folder / "probes"
        self.probes.mkdir()
        self.probe("beat.sh", PROBE)
        # The port 9 of this machine answers nobody: CERT-FR is not there, and nothing goes out.
        (self.data / "settings.env").write_text(
            f"VIGIE_WEB=0\nVIGIE_LANGUAGE=en\nVIGIE_PROBES={self.probes}\nVIGIE_CERTFR_URL=http://127.0.0.1:9\n"
        )

    def probe(self, name: str, script: str) -> None:
        path = self.probes / name
        path.write_text(script)
        path.chmod(0o755)

    def environment(self, **more: str) -> dict[str, str]:
        return {"PATH": "/usr/bin:/bin", "HOME": str(self.root), "LOGNAME": "essai", "SHELL": "/bin/sh", **more}

    def start(self, *arguments: str, **more: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [str(self.root / "run_all.sh"), *arguments],
            cwd="/", env=self.environment(**more), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip

    def run(self, *arguments: str, **more: str) -> tuple[int, str, str]:
        """(status, standard output, standard error) of one run."""
        process = self.start(*arguments, **more)
        out, err = process.communicate(timeout=120)
        return process.returncode, out, err

    def flush(self) -> None:
        """Archive what waits, however the cycles batch it."""
        assert self.run("--flush")[0] == 0

    def cycles(self) -> list[int]:
        """The cycles that are archived, oldest first."""
        with database.reader(str(self.data)) as db:
            return [row[0] for row in db.execute("SELECT at FROM cycle ORDER BY at")]
