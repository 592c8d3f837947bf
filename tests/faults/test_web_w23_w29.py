"""W23, W29: a thousand clients that never finish their request; an end in the middle of one. The real server."""

import http.client
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from archive.settings import ROOT
from tests.web import site
from tests.web.site import NOW

BACK_WITHIN = 30  # seconds, of the promise


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture
def server(tmp_path: object) -> Iterator[tuple[subprocess.Popen[str], int, str]]:
    data = site.filled(f"{tmp_path}/data", 3)
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "web.serve"],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "VIGIE_DATA": data, "VIGIE_LISTEN": f"127.0.0.1:{port}", "VIGIE_NOW": str(NOW)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout
    assert process.stdout.readline().startswith("Vigie:")
    yield process, port, data
    process.kill()
    process.communicate()


def healthy(port: int, timeout: float = 5.0) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", "/healthz", headers={"Host": "localhost"})
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


@pytest.mark.ci
def test_w23_it_is_back_by_itself_after_thirteen_hundred_slow_clients(
    server: tuple[subprocess.Popen[str], int, str],
) -> None:
    process, port, _data = server
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 3000:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(3000, hard), hard))
    slow: list[socket.socket] = []
    try:
        for _number in range(1300):
            one = socket.socket()
            one.settimeout(2)
            try:
                one.connect(("127.0.0.1", port))
                one.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
            except OSError:
                one.close()
                continue
            slow.append(one)
        assert len(slow) > 1000
        began = time.monotonic()
        while not healthy(port):
            assert time.monotonic() - began < BACK_WITHIN, "not back by itself"
        assert process.poll() is None
    finally:
        for one in slow:
            one.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert healthy(port)


def test_w23_a_client_that_reads_slowly_holds_nobody_up(server: tuple[subprocess.Popen[str], int, str]) -> None:
    _process, port, _data = server
    readers = []
    try:
        for _number in range(40):
            one = socket.create_connection(("127.0.0.1", port), timeout=5)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
            one.sendall(b"GET /static/vigie.css HTTP/1.1\r\nHost: localhost\r\n\r\n" * 3)
            readers.append(one)  # and never reads
        assert healthy(port)
    finally:
        for one in readers:
            one.close()


def test_w29_told_to_end_it_finishes_the_request_at_work(server: tuple[subprocess.Popen[str], int, str]) -> None:
    """A POST that waits for the database's lock is at work; SIGTERM comes; it is answered all the same."""
    from archive import database

    process, port, data = server
    site.add_person(data)
    with database.locked(data):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("GET", "/graphs/cpu_busy_seconds_total.csv?step=raw", headers={"Host": "localhost"})
        answer = connection.getresponse()
        process.send_signal(signal.SIGTERM)
        body = answer.read()
    assert answer.status == 200
    assert body.endswith(b"\r\n")
    assert process.wait(20) == 0
    assert process.stderr is not None
    assert "Traceback" not in process.stderr.read()
    assert not os.path.exists(f"{data}/run/web.pid")


def test_w29_a_second_server_on_the_same_port_ends_at_once_and_leaves_the_first(
    server: tuple[subprocess.Popen[str], int, str],
) -> None:
    process, port, data = server
    done = subprocess.run(
        [sys.executable, "-m", "web.serve"], cwd=ROOT, check=False, capture_output=True, text=True, timeout=30,
        env={"PATH": "/usr/bin:/bin", "VIGIE_DATA": data, "VIGIE_LISTEN": f"127.0.0.1:{port}"},
    )  # fmt: skip
    assert done.returncode == 1
    assert "is taken by another program" in done.stderr
    assert process.poll() is None
    assert healthy(port)
