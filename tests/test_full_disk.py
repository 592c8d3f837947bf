"""M22: the disk is really full when something is wrong. The real run_all.sh, a real small file system, a real mail server."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.alerts.smtp_server import server
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

    def cycle(self, port: int) -> "subprocess.CompletedProcess[str]":
        environ = {
            "PATH": "/usr/bin:/bin", "HOME": str(self.root), "VIGIE_DATA": str(self.data), "VIGIE_WEB": "0",
            "VIGIE_SMTP_HOST": "127.0.0.1", "VIGIE_SMTP_PORT": str(port), "VIGIE_SMTP_SECURITY": "none",
            "VIGIE_MAIL_TO": "a@example.org", "VIGIE_HOST_NAME": "srv", "VIGIE_CERTFR_URL": "http://127.0.0.1:9",
        }  # fmt: skip
        return subprocess.run(
            [str(self.root / "run_all.sh")], cwd="/", env=environ, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, timeout=120, check=False,
        )  # fmt: skip

    def fill(self) -> None:
        """To the last byte: the reserve too, as if it had been needed before."""
        (self.data / "reserve").unlink(missing_ok=True)
        with open(self.data / "filler", "wb", buffering=0) as file:
            for size in (MEGABYTE, 4096, 1):
                try:
                    while file.write(b"x" * size):
                        pass
                except OSError:
                    continue


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Small]:
    made = Small(tmp_path)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m,mode=0700", "tmpfs", str(made.data)], check=True)
    yield made
    subprocess.run(["umount", "-l", str(made.data)], check=True)


@pytest.mark.needs_root
def test_m22_a_full_disk_is_told_by_a_mail_that_says_it_is_not_recorded_and_all_goes_on_once_there_is_room(
    small: Small,
) -> None:
    with server() as (port, inbox):
        good = small.cycle(port)
        assert (good.returncode, good.stderr) == (0, "")
        os.utime(small.data / "installed", (0, 0))
        small.fill()

        full = small.cycle(port)

        assert full.returncode != 0
        assert full.stdout == ""
        assert any("full" in line or "No space" in line for line in full.stderr.splitlines()), full.stderr
        wait_for(lambda: inbox.mails)
        (mail,) = inbox.parsed
        part = mail.get_body(("plain",))
        assert part is not None
        assert "Vigie ne peut plus écrire" in str(mail["Subject"])
        assert "n’est pas enregistré" in " ".join(part.get_content().split())

        again = small.cycle(port)
        assert again.returncode != 0
        (small.data / "filler").unlink()
        after = small.cycle(port)
        assert (after.returncode, after.stderr) == (0, "")
        assert not [name for name in os.listdir(small.data / "spool") if name.endswith(".prom")]
        assert len(inbox.mails) == 1, "once an hour"


def wait_for(done: object, seconds: float = 30.0) -> None:
    """The mail is sent beside the cycle: until it is there, at most this long."""
    import time

    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:  # type: ignore[operator]
        time.sleep(0.05)
