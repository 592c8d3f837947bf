"""The polite, bounded HTTP client: one host, one request a second, so many seconds, so many bytes.

Each answer is fetched by a child process (fetcher.py) that keeps the connection between requests. `requests` has no
total deadline (its `timeout=2` lasted 12 s on a server that sent a byte at a time), name resolution cannot be
interrupted, and a thread cannot be killed: a process can. So whatever the server does, `get` returns or raises within
its deadline, and this process never holds more than the cap.

The caller names paths; the address is built here from the one base address: https, or http on loopback.
"""

import json
import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import IO, NamedTuple, Self
from urllib.parse import urlsplit

PAGE_LIMIT = 2 << 20  # decoded bytes of a page, a feed, a publication
INDEX_LIMIT = 16 << 20  # of the two indexes, which hold the whole history
DEADLINE = 30.0  # seconds for one answer, from the first packet to the last
BUDGET = 300.0  # seconds for one round
START_LIMIT = 20.0  # for the child to be ready, on a machine that is busy; not part of the deadline
PAUSE = 1.0  # seconds between the starts of two requests
RETRY_AFTER_CAP = 3600
LOOPBACK = ("127.0.0.1", "localhost", "::1")
SAFE_PATH = re.compile(r"/[A-Za-z0-9/._-]*", re.ASCII)
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
START = "import sys; sys.path.insert(0, sys.argv[1]); from archive.certfr.fetcher import main; main()"


class FetchError(Exception):
    """No usable answer. The sentence says what happened, where, and what comes next.

    `kind`: network (no connection, no name, bad certificate, too slow), status, body (cut, too big, badly
    encoded), redirect, refused (an address that is not ours to ask), spent (the round's time is over).
    """

    def __init__(self, kind: str, sentence: str, *, status: int = 0, retry_after: int | None = None) -> None:
        super().__init__(sentence)
        self.kind = kind
        self.status = status
        self.retry_after = retry_after  # seconds, capped; None when the server asked for nothing


class Answer(NamedTuple):
    """A 200 with its whole body, or a 304 with none."""

    status: int
    body: bytes
    content_type: str
    etag: str
    last_modified: str
    url: str


def checked_base(base_url: str, setting: str = "VIGIE_CERTFR_URL") -> str:
    """The base address without its last slash; `FetchError` unless it is https, or http on this machine."""
    try:
        parts = urlsplit(base_url)
        host, _port = parts.hostname or "", parts.port
    except ValueError:
        host = ""
    if (
        not host
        or parts.scheme not in ("http", "https")
        or (parts.scheme == "http" and host not in LOOPBACK)
        or "@" in parts.netloc
        or parts.query
        or parts.fragment
        or any(ord(char) <= 0x20 or ord(char) == 0x7F for char in base_url)
    ):
        raise FetchError(
            "refused",
            f"{setting}={base_url!r} is not an address to read from: give https://..., or http:// on this machine only",
        )
    return base_url.rstrip("/")


class Client:
    """Fetches paths under one base address. Close it, or use it as a context manager: it holds a child process."""

    def __init__(
        self,
        base_url: str,
        *,
        version: str = "0",
        contact: str = "monitor",
        ca_file: str = "",
        deadline: float = DEADLINE,
        budget: float = BUDGET,
        pause: float = PAUSE,
        setting: str = "VIGIE_CERTFR_URL",
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`contact`: the project's address (shown as +address) or a word. `ca_file` replaces the usual certificates.
        `setting`: the name under which the administrator gave the address."""
        self.base_url = checked_base(base_url, setting)
        self.setting = setting
        self.user_agent = _user_agent(version, contact)
        self.ca_file = ca_file
        self.deadline = deadline
        self.budget = budget
        self.pause = pause
        self.requests = 0
        self._clock = clock
        self._sleep = sleep
        self._began = clock()
        self._last: float | None = None
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the child process, if there is one."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            for pipe in (child.stdin, child.stdout):
                _close(pipe)
            child.wait()

    def time_left(self) -> float:
        """Seconds of the round's budget that are left; never below 0."""
        return max(0.0, self.budget - (self._clock() - self._began))

    def get(
        self,
        path: str,
        *,
        limit: int = PAGE_LIMIT,
        etag: str = "",
        last_modified: str = "",
        fresh: bool = False,
    ) -> Answer:
        """The answer for one path, at most `limit` decoded bytes. `fresh` asks every cache on the way to look again."""
        return self._get(path, limit, etag, last_modified, "no-cache" if fresh else "", "")

    def save(self, path: str, into: str, *, limit: int, etag: str = "", last_modified: str = "") -> Answer:
        """The answer for one path, its body in the file `into` (written over) and not in memory; packed on the way."""
        return self._get(path, limit, etag, last_modified, "", into)

    def _get(self, path: str, limit: int, etag: str, last_modified: str, cache: str, into: str) -> Answer:
        if not SAFE_PATH.fullmatch(path) or "/../" in f"{path}/":
            raise FetchError("refused", f"{path[:100]!r} is not a path of the site: not asked")
        url = self.base_url + path
        self._wait(url)
        headers = {"User-Agent": self.user_agent, "Accept-Encoding": "gzip" if into else "identity"}
        if etag:
            headers["If-None-Match"] = etag
        if last_modified:
            headers["If-Modified-Since"] = last_modified
        if cache:
            headers["Cache-Control"] = cache
        deadline = min(self.deadline, self.time_left())
        self.requests += 1
        asked = {"url": url, "headers": headers, "limit": limit, "deadline": deadline, "ca_file": self.ca_file}
        facts, body = self._ask({**asked, "into": into} if into else asked, deadline)
        return _answer(url, facts, body, conditional=bool(etag or last_modified), setting=self.setting)

    def _wait(self, url: str) -> None:
        """One request a second, and none past the budget."""
        pause = 0.0 if self._last is None else max(0.0, self._last + self.pause - self._clock())
        if self.time_left() <= pause:
            raise FetchError(
                "spent",
                f"{url}: not asked, the round's {self.budget:g} s are over; the next one goes on from here",
            )
        if pause:
            self._sleep(pause)
        self._last = self._clock()

    def _ask(self, request: Mapping[str, object], deadline: float) -> tuple[dict[str, object], bytes]:
        """Send the request to the child and read what it found; kill it when the deadline passes. Real time, always."""
        url = str(request["url"])
        try:
            to_child, from_child = self._pipes()
            until = time.monotonic() + deadline
            to_child.write(json.dumps(request).encode() + b"\n")
            to_child.flush()
            line, rest = _read_line(from_child.fileno(), until)
            facts: dict[str, object] = json.loads(line)
            return facts, _read_rest(from_child.fileno(), rest, _number(facts.get("length")) or 0, until)
        except TimeoutError:
            self.close()
            raise FetchError(
                "network",
                f"{url}: no whole answer within {deadline:.3g} s, given up; tried again later",
            ) from None
        except (OSError, EOFError, ValueError) as error:
            self.close()
            raise FetchError(
                "network",
                f"{url}: the fetching process ended ({error or type(error).__name__}); tried again later",
            ) from error
        except BaseException:
            self.close()
            raise

    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        """The child's input and output; starts a child, and waits for its first word, when none is alive."""
        if self._child is None or self._child.poll() is not None:
            self.close()
            self._child = subprocess.Popen(
                [sys.executable, "-I", "-c", START, ROOT],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=ROOT,
                start_new_session=True,
            )
            if self._child.stdout is not None:
                _read_line(self._child.stdout.fileno(), time.monotonic() + START_LIMIT)
        to_child, from_child = self._child.stdin, self._child.stdout
        if to_child is None or from_child is None:
            raise OSError("no pipes")
        return to_child, from_child


def _close(pipe: IO[bytes] | None) -> None:
    try:
        if pipe is not None:
            pipe.close()
    except OSError:  # a request that was never flushed: its reader is gone
        pass


def _read_chunk(fd: int, until: float) -> bytes:
    waiter = select.poll()
    waiter.register(fd, select.POLLIN | select.POLLHUP)
    left = until - time.monotonic()
    if left <= 0 or not waiter.poll(left * 1000):
        raise TimeoutError
    if not (chunk := os.read(fd, 1 << 16)):
        raise EOFError
    return chunk


def _read_line(fd: int, until: float) -> tuple[bytes, bytes]:
    found = b""
    while b"\n" not in found:
        found += _read_chunk(fd, until)
    line, _newline, rest = found.partition(b"\n")
    return line, rest


def _read_rest(fd: int, rest: bytes, length: int, until: float) -> bytes:
    chunks, got = [rest], len(rest)
    while got < length:
        chunk = _read_chunk(fd, until)
        chunks.append(chunk)
        got += len(chunk)
    return b"".join(chunks)


def _number(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _user_agent(version: str, contact: str) -> str:
    def plain(text: str) -> str:
        return "".join(char for char in text if char.isascii() and char.isprintable() and char not in "()")[:200]

    contact = plain(contact) or "monitor"
    return f"Vigie/{plain(version) or '0'} ({'+' if '://' in contact else ''}{contact})"


def _answer(url: str, facts: Mapping[str, object], body: bytes, *, conditional: bool, setting: str) -> Answer:
    """The answer, or the `FetchError` that says why there is none."""
    said, problem = str(facts.get("detail", "")), str(facts.get("problem", ""))
    if problem:
        raise FetchError("body" if problem == "body" else "network", f"{url}: {said}; tried again later")
    status = _number(facts.get("status")) or 0
    if status == 200 or (status == 304 and conditional):
        etag, last_modified = str(facts.get("etag", "")), str(facts.get("last_modified", ""))
        return Answer(status, body, str(facts.get("content_type", "")), etag, last_modified, url)
    if 300 <= status < 400 and status != 304:
        raise FetchError(
            "redirect",
            f"{url}: redirects to {str(facts.get('location', ''))[:200]!r} (status {status}), which is not followed; "
            f"if the site has moved, set {setting}",
            status=status,
        )
    wait = _number(facts.get("retry_after"))
    if wait is None and status == 429:  # too many requests, and no word on how long
        wait = RETRY_AFTER_CAP
    retry_after = None if wait is None else min(RETRY_AFTER_CAP, max(0, wait))
    asked = f", which asks to wait {retry_after} s" if retry_after is not None else ""
    raise FetchError(
        "status", f"{url}: status {status}{asked}; tried again later", status=status, retry_after=retry_after
    )
