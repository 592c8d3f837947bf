"""A copy of the project that run_all.sh works in, with the tests' own environment for .venv, and data of its own."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.cycles import ROOT

MEGABYTE = 1 << 20


class Small:
    """A copy of the project whose data lie on a file system of their own."""

    def __init__(self, folder: Path) -> None:
        self.root, self.data = folder / "vigie", folder / "data"
        self.data.mkdir()
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            check=True,
        )
        for name in filter(None, listed.stdout.decode().split("\0")):
            if os.path.isfile(f"{ROOT}/{name}"):
                (self.root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(f"{ROOT}/{name}", self.root / name)
        # The environment of the tests stands in for .venv: installing it again proves nothing here.
        (self.root / ".venv").mkdir()
        for name in ("bin", "lib"):
            os.symlink(os.path.join(sys.prefix, name), self.root / ".venv" / name)
        shutil.copy2(os.path.join(sys.prefix, "pyvenv.cfg"), self.root / ".venv" / "pyvenv.cfg")
        (self.root / ".venv" / "complete").touch()

    def cycle(self, port: int = 0, **given: str) -> "subprocess.CompletedProcess[str]":
        """As cron starts it. `port`: of the mail server."""
        environ = {
            "PATH": "/usr/bin:/bin", "HOME": str(self.root), "VIGIE_DATA": str(self.data), "VIGIE_WEB": "0",
            "VIGIE_SMTP_HOST": "127.0.0.1", "VIGIE_SMTP_PORT": str(port), "VIGIE_SMTP_SECURITY": "none",
            "VIGIE_MAIL_TO": "a@example.org", "VIGIE_HOST_NAME": "srv", "VIGIE_CERTFR_URL": "http://127.0.0.1:9", **given,
        }  # fmt: skip
        return subprocess.run(
            [str(self.root / "run_all.sh")], cwd="/", env=environ, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, timeout=120, check=False,
        )  # fmt: skip

    def fill(self, reserve: bool = False) -> None:
        """To the last byte: the reserve too, as if it had been needed before, unless `reserve` is kept."""
        if not reserve:
            (self.data / "reserve").unlink(missing_ok=True)
        with open(self.data / "filler", "wb", buffering=0) as file:
            for size in (MEGABYTE, 4096, 1):
                try:
                    while file.write(b"x" * size):
                        pass
                except OSError:
                    continue


def wait_for(done: Callable[[], object], seconds: float = 30.0) -> None:
    """What happens beside the cycle: until it is there, at most this long."""
    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:
        time.sleep(0.05)
