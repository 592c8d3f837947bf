"""Some four hundred cycles of the soak (tests/full/soak.py makes seven days of them): sleep, reboots, faults, a mail server that leaves."""

import os
import tempfile
from collections.abc import Iterator
from shutil import rmtree

import pytest

from archive import slices
from tests.faults import sweep
from tests.full.soak import EVERY, Soak

pytestmark = [
    pytest.mark.ci,
    pytest.mark.skipif(not sweep.is_possible(), reason="strace is missing"),
]


@pytest.fixture
def folder() -> Iterator[str]:
    made = tempfile.mkdtemp(prefix="vigie-soak-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
    pause = slices.PAUSE
    yield made
    slices.PAUSE = pause
    rmtree(made, ignore_errors=True)


def test_four_hundred_cycles_with_faults_lose_no_sample_and_tell_each_incident_once(folder: str) -> None:
    soak = Soak(folder, EVERY + 20, 42, seed=7)
    soak.run()
    assert soak.wrong == [], soak.report()
    assert soak.faults["a real process"] >= 42
    assert len(soak.printed) > EVERY - 20
    assert soak.told >= 2
    assert soak.mails >= 2


def test_the_soak_sees_a_sample_that_is_lost_and_an_incident_that_is_told_twice(folder: str) -> None:
    import sqlite3

    soak = Soak(folder, EVERY + 20, 4, seed=1)
    soak.run()
    assert soak.wrong == [], soak.report()
    db = sqlite3.connect(os.path.join(soak.data, "vigie.db"))
    db.execute("DELETE FROM sample WHERE at=(SELECT min(at) FROM sample)")
    db.execute(
        "INSERT INTO notification SELECT NULL, host, at, kind, thread, message_id || 'x', subject, body FROM notification"
        " WHERE id=(SELECT notification FROM told LIMIT 1)"
    )
    db.execute("INSERT INTO told SELECT (SELECT max(id) FROM notification), transition, incident FROM told LIMIT 1")
    db.execute("INSERT INTO delivery SELECT (SELECT max(id) FROM notification), recipient, state, tries, next_at, done_at, server, reply FROM delivery LIMIT 1")  # fmt: skip
    db.commit()
    db.close()
    soak.flat += [(1 << 40, 99, 1 << 40, 99)]
    soak.check()
    said = "\n".join(soak.wrong)
    assert "samples lost" in said
    assert "was told 2 times" in said
    assert "memory grew" in said
    assert "descriptors grew" in said
