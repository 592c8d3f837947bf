"""The outside watcher hears of the real run_all.sh, and never holds it up."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.small import Small, wait_for

pytestmark = pytest.mark.ci  # it installs the packages in a folder of its own


class Watcher(ThreadingHTTPServer):
    """Answers nothing until `free` is set, as a watcher in trouble does."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[str] = []
        self.free = threading.Event()


class _Handler(BaseHTTPRequestHandler):
    server: Watcher

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.server.free.wait(20)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def watcher() -> Iterator[Watcher]:
    found = Watcher()
    thread = threading.Thread(target=found.serve_forever, args=(0.02,))
    thread.start()
    yield found
    found.free.set()
    found.shutdown()
    thread.join()
    found.server_close()


def test_a_watcher_that_does_not_answer_hears_of_each_cycle_and_holds_none_up(tmp_path: Path, watcher: Watcher) -> None:
    small = Small(tmp_path)
    url = f"http://127.0.0.1:{watcher.server_port}/uuid"

    good = small.cycle(VIGIE_PING_URL=url)

    assert (good.returncode, good.stdout, good.stderr) == (0, "", "")
    assert not watcher.free.is_set(), "the cycle ended while the watcher still kept everybody waiting"
    wait_for(lambda: len(watcher.asked) == 2)
    assert sorted(watcher.asked) == ["/uuid", "/uuid/start"]
    watcher.free.set()


def test_a_cycle_that_fails_is_told_as_failed_and_not_as_good(tmp_path: Path, watcher: Watcher) -> None:
    watcher.free.set()
    small = Small(tmp_path)
    assert small.cycle().returncode == 0
    (small.data / "vigie.db").write_bytes(b"no database at all" * 100)

    bad = small.cycle(VIGIE_PING_URL=f"http://127.0.0.1:{watcher.server_port}/uuid")

    assert bad.returncode != 0
    assert len(bad.stderr.splitlines()) == 1
    wait_for(lambda: len(watcher.asked) == 2)
    assert sorted(watcher.asked) == ["/uuid/fail", "/uuid/start"]
