"""For every test: nothing leaves this machine, and a data folder as run_all.sh makes it."""

import os
import socket
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings

from archive import database, engine

# How long an example takes is the machine's business: no test fails for it.
settings.register_profile("vigie", deadline=None)
settings.load_profile("vigie")

NOW = 1_795_221_000  # 2026-11-21 00:30:00 UTC
_LOOPBACK = ("127.", "::1", "localhost", "0.0.0.0", "::ffff:127.")


ENGINE = os.environ.get("TESTS_ENGINE", "sqlite")  # sqlite, postgresql: which one the data folders of tests are on
_cluster: list[Any] = []


class OutsideError(AssertionError):
    """A test tried to reach another machine."""


def _is_here(address: Any) -> bool:
    if not isinstance(address, tuple):  # AF_UNIX, AF_NETLINK
        return True
    return str(address[0]).startswith(_LOOPBACK) or address[0] in ("", "::", 0)


@pytest.fixture(autouse=True)
def umask_of_one_s_own() -> Iterator[None]:
    """Vigie's programs set theirs; called within the tests' process, they would set it for every test that follows."""
    before = os.umask(0o022)
    os.umask(before)
    yield
    os.umask(before)


@pytest.fixture(autouse=True, scope="session")
def stay_on_this_machine() -> Iterator[None]:
    """Connections to anything but loopback fail, so that no test depends on the network."""
    real = {name: getattr(socket.socket, name) for name in ("connect", "connect_ex", "sendto")}

    def guarded(name: str) -> Any:
        def call(self: socket.socket, *args: Any) -> Any:
            address = args[-1]
            if not _is_here(address):
                raise OutsideError(f"a test tried to reach {address!r}")
            return real[name](self, *args)

        return call

    for name in real:
        setattr(socket.socket, name, guarded(name))
    yield
    for name, call in real.items():
        setattr(socket.socket, name, call)


@pytest.fixture
def data(tmp_path: Any) -> str:
    """A fresh data folder with a database in it, made at NOW."""
    return make_data(str(tmp_path / "data"))


def make_data(folder: str, now: int = NOW) -> str:
    for name in ("spool", "journal", "probes", "run", "log", "quarantine"):
        os.makedirs(os.path.join(folder, name), mode=0o700)
    os.chmod(folder, 0o700)
    database.create(folder, "0123456789abcdef", "machine", "hash-of-the-machine-id", now)
    return folder


def cluster() -> Any:
    """The one PostgreSQL of this test process; skipped by name where Debian's package or psycopg is missing."""
    from tests import postgres

    pytest.importorskip("psycopg", reason="psycopg is missing: pip install --require-hashes -r requirements-fleet.txt")
    if not postgres.programs():
        pytest.skip("Debian's postgresql is missing")
    if not _cluster:
        _cluster.append(postgres.Cluster())
        _template(_cluster[0])
    return _cluster[0]


def _template(made: Any) -> None:
    """A database with the tables in it: each test's is a copy."""
    from archive import postgresql

    made.sql("CREATE DATABASE template_vigie")
    folder = os.path.join(made.folder, "template")
    engine.use(folder, made.url("template_vigie"))
    postgresql.create(folder, "0123456789abcdef", "machine", "hash-of-the-machine-id", NOW)
    postgresql.forget(made.url("template_vigie"))
    made.sql("DELETE FROM host", "template_vigie")  # database.create says who it is
    engine.use(folder, "")


def use_postgresql(folder: str, template: str = "template_vigie") -> str:
    """From now on this data folder's rows are in a database of their own. Returns its URL. From `template0`: one without tables."""
    made = cluster()
    name = f"t{len(_databases)}_{os.getpid()}"
    made.sql(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY wal_log")
    _databases.append(name)
    engine.use(folder, made.url(name))
    return str(made.url(name))


def keep_postgresql(folder: str) -> None:
    """The same for a folder that many tests share: the database stays until this process ends."""
    use_postgresql(folder)
    _databases[-1] = ""


_databases: list[str] = []


def _everything_on_postgresql() -> None:
    """With TESTS_ENGINE=postgresql, every data folder that is made anywhere gets a database there, settings that name
    none leave it there, and a child that is told of such a folder is told of its database, too."""
    create, use, start = database.create, engine.use, subprocess.Popen.__init__

    def created(data: str, *arguments: Any) -> None:
        if ENGINE == "postgresql" and not engine.url_of(data):
            use_postgresql(data)
        create(data, *arguments)

    def used(data: str, url: str) -> None:
        if url or ENGINE != "postgresql":
            use(data, url)

    def started(self: Any, args: Any, *more: Any, env: Any = None, **named: Any) -> None:
        told = os.environ if env is None else env
        words = [args] if isinstance(args, (str, bytes, os.PathLike)) else list(args)
        folders = [str(told.get("VIGIE_DATA", "")), *map(str, words)]
        url = next(filter(None, map(engine.url_of, folders)), "")
        if url and "VIGIE_DATABASE_URL" not in told:
            env = {**told, "VIGIE_DATABASE_URL": url}
        start(self, args, *more, env=env, **named)

    database.create, engine.use, subprocess.Popen.__init__ = created, used, started  # type: ignore[method-assign]


@pytest.fixture(autouse=True)
def drop_databases() -> Iterator[None]:
    """What a test made on PostgreSQL goes with it."""
    before = len(_databases)
    yield
    made = [(place, name) for place, name in enumerate(_databases) if place >= before and name]
    if made:
        from archive import partitions, postgresql

        partitions.forget()
        for place, name in made:
            postgresql.forget(_cluster[0].url(name))
            _cluster[0].sql(f"DROP DATABASE {name} WITH (FORCE)")
            _databases[place] = ""


def pytest_unconfigure(config: pytest.Config) -> None:
    for made in _cluster:
        made.close()


def pytest_configure(config: pytest.Config) -> None:
    """A setting of whoever starts the tests must not change them."""
    for name in [name for name in os.environ if name.startswith("VIGIE_")]:
        del os.environ[name]
    _everything_on_postgresql()


# Files that take longest by themselves are begun first: the others fill the time beside them.
HALF = os.environ.get("TESTS_HALF", "")  # "0" or "1": of the files of tests/web that half, by their names
LONGEST = (
    "test_whole_way",
    "test_power",
    "test_sweep",
    "test_web_w17_w18",
    "test_matrix",
    "test_journeys_forms",
    "test_verdicts",
    "test_network",
    "test_deciding",
    "test_cost",
    "test_soak",
    "test_browser",
    "test_refresh",
    "test_http",
    "test_backtest",
    "test_day",
    "test_graphs",
    "test_run",
)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The longest first; the tier of CI only there; on PostgreSQL, not what is about SQLite's own file. Skipped by name
    where root is missing; CI allows no such skip."""
    for item in items:
        for marker in item.iter_markers("sqlite"):
            if len(marker.args) != 1 or not str(marker.args[0]).strip():
                raise pytest.UsageError(f"{item.nodeid}: pytest.mark.sqlite wants the reason why it is about the file")
    if ENGINE == "postgresql":
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("sqlite")])
        items[:] = [item for item in items if not item.get_closest_marker("sqlite")]
    if HALF:
        names = sorted({item.path.stem for item in items if item.path.parent.name == "web"})
        others = set(names[1 - int(HALF) :: 2])
        config.hook.pytest_deselected(items=[item for item in items if item.path.stem in others])
        items[:] = [item for item in items if item.path.stem not in others]
    if os.environ.get("TESTS_TIER") != "ci":
        later = [item for item in items if item.get_closest_marker("ci")]
        config.hook.pytest_deselected(items=later)
        items[:] = [item for item in items if not item.get_closest_marker("ci")]
    order = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(LONGEST)))
    if os.geteuid() == 0:
        return
    for item in items:
        if item.get_closest_marker("needs_root"):
            item.add_marker(pytest.mark.skip(reason="needs root: changes user ids or mounts"))


# Not a missing part, but the other side of a choice: as root the test for an ordinary user, and the reverse.
MAY_BE_SKIPPED = (
    "as root, the test above",
    "root's children",
    "is not beside the project",
    "tmpfs is not allowed",
    "no FUSE",
    "sbin",
)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI (TESTS_NO_SKIP) a browser or a tool that is missing is a failure, by name."""
    reporter: Any = session.config.pluginmanager.get_plugin("terminalreporter")
    if not os.environ.get("TESTS_NO_SKIP") or reporter is None or hasattr(session.config, "workerinput"):
        return
    missing = {
        f"{report.nodeid}: {report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr}"
        for report in reporter.stats.get("skipped", [])
    }
    missing = {line for line in missing if not any(reason in line for reason in MAY_BE_SKIPPED)}
    for line in sorted(missing):
        reporter.write_line(f"skipped, and CI allows no such skip: {line}", red=True)
    if missing:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
