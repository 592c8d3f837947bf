"""M22: the disk is really full when something is wrong. The real run_all.sh, a real small file system, a real mail server."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from archive import database, reserve
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


@pytest.mark.needs_root
def test_m22_the_reserve_makes_room_for_the_incident_and_its_mail_and_is_made_again(small: Small) -> None:
    """As above, but the 8 MB are still there: the disk that is full is itself an incident, recorded and mailed as any other."""
    probes = small.data.parent / "probes"
    probes.mkdir()
    full = '#!/bin/bash\nprintf \'# CRIT disk_used_ratio > 0.97\\ndisk_used_ratio{mount="/"} %s\\n\' "$(cat "${0%/*}/said")"\n'
    (probes / "disk.sh").write_text(full.replace('\\"', '"'))
    (probes / "disk.sh").chmod(0o755)
    (probes / "said").write_text("0.5")
    with server() as (port, inbox):
        assert small.cycle(port, VIGIE_PROBES=str(probes), VIGIE_WAIT="0").returncode == 0
        assert (small.data / "reserve").stat().st_size == 8 << 20
        small.fill(reserve=True)
        (probes / "said").write_text("0.99")

        done = small.cycle(port, VIGIE_PROBES=str(probes), VIGIE_WAIT="0")

        assert done.returncode == 0, done.stderr
        assert not (small.data / "reserve").exists()
        assert not [name for name in os.listdir(small.data / "spool") if name.endswith(".prom")]
        with database.reader(str(small.data)) as db:
            assert db.execute(
                "SELECT count(*) FROM incident WHERE metric='disk_used_ratio' AND state='open'"
            ).fetchone() == (1,)
            assert db.execute("SELECT count(*) FROM delivery").fetchone() == (1,)
        wait_for(lambda: inbox.mails)
        (subject,) = inbox.subjects
        assert "ne peut plus écrire" not in subject
        # Room again: the next upkeep sets the reserve aside anew. (32 MB are fewer than it asks for, so it is asked for less.)
        (small.data / "filler").unlink()
        reserve.make_reserve(str(small.data))
        assert (small.data / "reserve").stat().st_size == 8 << 20
