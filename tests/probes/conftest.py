import os
import shutil
import tempfile
from pathlib import Path

import pytest

from tests.probes.probing import ROOT, plain_tools


@pytest.fixture
def machine(tmp_path):
    """A copy of the fake machine, to be broken."""
    return Path(shutil.copytree(ROOT, tmp_path / "machine"))


@pytest.fixture
def tools(tmp_path):
    """A folder for PATH with the plain tools only; stubs go into it."""
    return plain_tools(tmp_path / "tools")


@pytest.fixture
def state(tmp_path):
    folder = tmp_path / "state"
    folder.mkdir()
    return folder


@pytest.fixture(scope="session")
def lasting_state(tmp_path_factory):
    """One state for all tests of the real machine: asking apt costs seconds, and the second answer is kept."""
    return tmp_path_factory.mktemp("lasting")


@pytest.fixture
def public():
    """A folder that other users can reach: pytest's own are closed to them."""
    with tempfile.TemporaryDirectory(prefix="probes-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def pytest_collection_modifyitems(items):
    """Tests that change user ids or mounts are skipped by name for an ordinary user."""
    if os.geteuid() == 0:
        return
    for item in items:
        if item.get_closest_marker("needs_root") and "tests/probes" in str(item.path):
            item.add_marker(pytest.mark.skip(reason="needs root"))
