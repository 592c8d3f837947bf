"""The server itself: how it starts, what it says when it cannot, slow clients, and how it ends."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from archive.settings import ROOT
from tests.web import site
from tests.web.site import NOW
from web import create_app, serve


@pytest.fixture
def data(tmp_path: object) -> str:
    return site.filled(f"{tmp_path}/data", 3)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def start(data: str, port: int, **environ: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "web.serve"],
        cwd=ROOT,
        env={
            "PATH": "/usr/bin:/bin",
            "VIGIE_DATA": data,
            "VIGIE_LISTEN": f"127.0.0.1:{port}",
            "VIGIE_NOW": str(NOW),
            **environ,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def server(data: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    port = free_port()
    process = start(data, port)
    assert process.stdout
    assert process.stdout.readline() == f"Vigie: http://localhost:{port}\n"
    yield process, port
    process.kill()
    process.communicate()


def get(port: int, path: str, host: str = "localhost", timeout: float = 10.0) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    connection.request("GET", path, headers={"Host": f"{host}:{port}"})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, dict(answer.getheaders()), body


def test_nothing_happens_at_import() -> None:
    code = "import sys; import web, web.store, web.first; assert 'flask' in sys.modules; import web.wsgi"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={"VIGIE_DATA": "/nonexistent/x", "PATH": "/usr/bin:/bin"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "web/wsgi.py" in found.stderr, "the factory alone must need the data folder"


def test_two_applications_share_nothing(tmp_path: object) -> None:
    one, two = site.filled(f"{tmp_path}/one", 3, cpu=0.2), site.filled(f"{tmp_path}/two", 3, cpu=0.5)
    first, second = (create_app(site.config(path), now=lambda: NOW).test_client() for path in (one, two))
    assert "20\u202f%" in first.get("/").text
    assert "50\u202f%" in second.get("/").text
    assert first.application.config["SECRET_KEY"] != second.application.config["SECRET_KEY"]


def test_w29_it_answers_names_itself_and_ends_cleanly(server: tuple[subprocess.Popen[str], int], data: str) -> None:
    process, port = server
    status, headers, body = get(port, "/")
    assert status == 200
    assert "Server" not in headers
    assert b"machine" in body
    assert get(port, "/", "evil.example")[0] == 400
    assert serve.running(data) == process.pid
    with open(f"{data}/run/web.pid", encoding="ascii") as file:
        pid, began = file.read().split()
    assert (int(pid), began) == (process.pid, serve.started(process.pid))
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    assert serve.running(data) is None
    assert not os.path.exists(f"{data}/run/web.pid")
    assert "Traceback" not in (process.stderr.read() if process.stderr else "")


def test_w29_a_port_that_is_taken_is_said_clearly(data: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        process = start(data, taken.getsockname()[1])
        out, err = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "is taken by another program" in err
    assert "VIGIE_LISTEN" in err
    assert err.count("\n") == 1
    assert out == ""


def test_w29_a_killed_server_leaves_a_note_that_deceives_nobody(
    server: tuple[subprocess.Popen[str], int], data: str
) -> None:
    process, port = server
    process.kill()
    process.wait(10)
    assert os.path.exists(f"{data}/run/web.pid")
    assert serve.running(data) is None
    again = start(data, port)
    assert again.stdout
    assert again.stdout.readline().startswith("Vigie:")
    assert serve.running(data) == again.pid
    again.terminate()
    again.communicate(timeout=10)


def test_w30_a_key_that_others_can_read_keeps_it_from_starting(data: str) -> None:
    with open(f"{data}/secret-key", "w", encoding="ascii") as file:
        file.write("ab" * 32)
    os.chmod(f"{data}/secret-key", 0o644)
    _out, err = start(data, free_port()).communicate(timeout=20)
    assert "others may read it" in err
    assert err.count("\n") == 1


def test_bad_settings_are_said_in_one_line(data: str) -> None:
    process = start(data, free_port(), VIGIE_REED="open")
    _out, err = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "did you mean VIGIE_READ" in err
    assert err.count("\n") == 1


def test_w23_a_hundred_and_fifty_half_sent_requests_stop_nothing(server: tuple[subprocess.Popen[str], int]) -> None:
    _process, port = server
    slow = []
    try:
        for _number in range(150):
            one = socket.create_connection(("127.0.0.1", port), timeout=5)
            one.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
            slow.append(one)
        began = time.monotonic()
        assert get(port, "/healthz")[0] == 200
        assert time.monotonic() - began < 3
    finally:
        for one in slow:
            one.close()


def test_w26_smuggled_requests_are_refused(server: tuple[subprocess.Popen[str], int]) -> None:
    _process, port = server
    head = b"POST /login HTTP/1.1\r\nHost: localhost\r\n"
    for evil in (
        b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /probes HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"Content-Length: -1\r\n\r\n",
        b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"Transfer-Encoding: xchunked\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", port), timeout=5) as one:
            one.sendall(head + evil)
            answer = one.recv(65536)
            one.settimeout(1)
            try:
                while more := one.recv(65536):
                    answer += more
            except TimeoutError:
                pass
        codes = [line.split()[1] for line in answer.split(b"\r\n") if line.startswith(b"HTTP/")]
        assert codes, evil
        assert codes[0] in (b"400", b"413", b"501"), (evil, codes)
        assert len(codes) == 1, "a second request was read out of the first one's body"


def test_w24_readers_are_served_while_cycles_are_archived(server: tuple[subprocess.Popen[str], int], data: str) -> None:
    _process, port = server
    spans: list[float] = []
    codes: set[int] = set()
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            began = time.perf_counter()
            codes.add(get(port, "/incidents")[0])
            spans.append(time.perf_counter() - began)

    readers = [threading.Thread(target=ask) for _ in range(4)]
    for one in readers:
        one.start()
    for number in range(1, 6):
        site.judged(data, 1, NOW + number * 60)
    stop.set()
    for one in readers:
        one.join()
    assert codes == {200}
    assert sorted(spans)[int(len(spans) * 0.95)] < 3
