"""What the tests of CERT-FR share: a database made from the migration, a clock that only `sleep` moves."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.certfr import rpms

ROOT = Path(__file__).parents[2]
FIXTURES = Path(__file__).parent / "fixtures"
SAMPLES = ROOT.parent / "shared" / "certfr" / "samples"


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA foreign_keys=ON")
    connection.executescript((ROOT / "archive" / "migrations" / "0003_certfr.sql").read_text(encoding="utf-8"))
    yield connection
    connection.close()


@pytest.fixture
def open_db(db: sqlite3.Connection) -> Callable[[], AbstractContextManager[sqlite3.Connection]]:
    @contextmanager
    def opened() -> Iterator[sqlite3.Connection]:
        assert not db.in_transaction
        yield db
        assert not db.in_transaction

    return opened


@pytest.fixture(scope="session")
def rpm(tmp_path_factory: pytest.TempPathFactory) -> rpms.RpmWorld:
    return rpms.build(tmp_path_factory.mktemp("rpm"))


@pytest.fixture
def samples() -> Path:
    if not SAMPLES.is_dir():
        pytest.skip(f"needs_shared: {SAMPLES.name} is not beside the project")
    return SAMPLES


class Time:
    """Seconds that pass only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def time() -> Time:
    return Time()


def fixture(name: str) -> bytes:
    return (FIXTURES / name).read_bytes()
