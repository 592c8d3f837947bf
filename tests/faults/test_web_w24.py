"""W24: two hundred requests a second while cycles are archived, old rows purged and backups made. Here for ten seconds; for a minute,
and with the time that answers take, by tests/full/storm.py, which wants a machine to itself."""

import os
from pathlib import Path

import pytest

from tests.faults import storm
from tests.web.test_app import free_port


@pytest.mark.ci
def test_w24_two_hundred_requests_a_second_during_load_purge_and_backup(tmp_path: Path) -> None:
    found = storm.run(str(tmp_path), free_port(), 10, 200)
    assert found.codes == {200: 2000}
    assert found.late == 0
    assert found.said == []
    assert len(found.cycles) >= 2
    assert found.purged
    assert found.backups >= 1
    # A line for each request that waits would fill the log of a busy minute.
    assert os.path.getsize(tmp_path / "web.log") < 2000
