"""A certificate authority of the test's own, and a client that trusts it and nobody else."""

import http.client
import os
import re
import resource
import socket
import ssl
import subprocess
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import unescape
from typing import NamedTuple

NAME = "vigie.example.org"


class Answer(NamedTuple):
    status: int
    headers: list[tuple[str, str]]
    text: str

    def header(self, name: str) -> str:
        """'' when it is not there; all its values in one line when it is there twice."""
        return ", ".join(value for key, value in self.headers if key.lower() == name.lower())

    @property
    def cookies(self) -> list[str]:
        return [value for key, value in self.headers if key.lower() == "set-cookie"]


def certificate(folder: str, name: str = NAME) -> tuple[str, str, str]:
    """(authority, certificate, key), made by openssl in `folder`."""
    ca, ca_key, request = (os.path.join(folder, one) for one in ("ca.pem", "ca.key", "request.pem"))
    own, key, extension = (os.path.join(folder, one) for one in ("own.pem", "own.key", "own.ext"))
    with open(extension, "w", encoding="ascii") as file:
        file.write(f"subjectAltName=DNS:{name}\nbasicConstraints=CA:FALSE\n")
    elliptic = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    for line in (
        ["req", "-x509", *elliptic, "-keyout", ca_key, "-out", ca, "-days", "30", "-subj", "/CN=Test authority"],
        ["req", *elliptic, "-keyout", key, "-out", request, "-subj", f"/CN={name}"],
        ["x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-out", own, "-days", "30",
         "-extfile", extension],
    ):  # fmt: skip
        subprocess.run(["openssl", *line], check=True, capture_output=True)
    return ca, own, key


class Browser:
    """What a browser does with forms and cookies, over TLS to a port of this machine."""

    def __init__(self, port: int, authority: str) -> None:
        self.port = port
        self.context = ssl.create_default_context(cafile=authority)
        self.cookies: dict[str, str] = {}

    def ask(self, method: str, path: str, body: str = "", sni: str = NAME, **headers: str) -> Answer:
        given = {"Host": NAME, "Cookie": "; ".join(f"{key}={value}" for key, value in self.cookies.items())}
        if body:
            given |= {"Content-Type": "application/x-www-form-urlencoded", "Origin": f"https://{NAME}"}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.sock = self.context.wrap_socket(
            socket.create_connection(("127.0.0.1", self.port), timeout=30), server_hostname=sni
        )
        try:
            connection.request(method, path, body.encode() or None, given)
            found = connection.getresponse()
            answer = Answer(found.status, found.getheaders(), found.read().decode("utf-8", "replace"))
        finally:
            connection.close()
        for cookie in answer.cookies:
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
        return answer

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, **headers)

    def log_in(self, password: str, below: str = "") -> Answer:
        """Through the form."""
        from urllib.parse import urlencode

        page = self.get(f"{below}/login")
        found = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
        assert found, page
        fields = {"name": "admin", "password": password, "csrf_token": unescape(found[1])}
        return self.ask("POST", f"{below}/login", urlencode(fields))

    def slow(self) -> socket.socket:
        """A client that has begun a request and never ends it."""
        one = self.context.wrap_socket(
            socket.create_connection(("127.0.0.1", self.port), timeout=10), server_hostname=NAME
        )
        one.sendall(f"GET / HTTP/1.1\r\nHost: {NAME}\r\nX-Slow: ".encode())
        return one


@contextmanager
def slow_clients(browser: Browser, count: int) -> Iterator[list[socket.socket]]:
    """So many half-sent requests at once. As many as the server lets in; the others were refused, which is its right."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
    found: list[socket.socket] = []
    try:
        for _number in range(count):
            try:
                found.append(browser.slow())
            except OSError:
                # Its places are all taken: one that waits outside counts as one, too.
                found.append(_connected(browser.port))
        yield found
    finally:
        for one in found:
            one.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _connected(port: int) -> socket.socket:
    one = socket.socket()
    one.setblocking(False)
    one.connect_ex(("127.0.0.1", port))
    return one


def answers_within(asked: Callable[[], int], seconds: float) -> float:
    """Seconds until `asked` says 200 again; a failed connection is asked again. Fails when it takes longer."""
    began = time.monotonic()
    while True:
        try:
            if asked() == 200:
                return time.monotonic() - began
        except OSError:
            pass
        assert time.monotonic() - began < seconds, f"no answer for {seconds} s"


def old_version_is_refused(port: int, authority: str) -> None:
    """By the server: a client of today's OpenSSL that asks for TLS 1.1 at all is told no by an alert."""
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.load_verify_locations(authority)
    old.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        old.minimum_version = ssl.TLSVersion.TLSv1
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    with socket.create_connection(("127.0.0.1", port), timeout=10) as one:
        try:
            old.wrap_socket(one, server_hostname=NAME).close()
            told = "accepted"
        except ssl.SSLError as error:
            told = str(error)
    assert "_ALERT_" in told, f"TLS 1.1 was accepted, or the client gave up by itself: {told}"


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def listening(port: int, process: "subprocess.Popen[bytes]", log: str, seconds: float = 20.0) -> None:
    """Wait until somebody listens; when the process ends before, its log is the reason."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None:
            break
        time.sleep(0.02)
    with open(log, encoding="utf-8", errors="replace") as file:
        raise AssertionError(f"nothing listens on {port}: {file.read()[-2000:]}")
