"""M22: the disk is really full when something is wrong. The real run_all.sh, a real small file system, a real mail server."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.alerts.smtp_server import server
from tests.small import Small, wait_for

pytestmark = pytest.mark.ci  # it installs the packages in a folder of its own


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
