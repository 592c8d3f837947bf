"""The child process that talks to the network for http.py, so that it can be killed whatever the server does.

Says `ready`, then reads one JSON request a line on standard input; writes one JSON line on standard output, then
`length` bytes of body. It decides nothing: it says what came, or in one line why nothing did, and lives until its input ends.

Its own alarm ends it a little after the deadline, so that it does not outlive a parent that was killed.
"""

import json
import math
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import requests

from archive import rights

CHUNK = 1 << 15
ALARM_AFTER = 5  # seconds past the deadline


def session() -> requests.Session:
    """No proxy variable, no .netrc, no CA variable of the environment has a say."""
    made = requests.Session()
    made.trust_env = False
    return made


def fetch(client: requests.Session, asked: Mapping[str, Any]) -> tuple[dict[str, object], bytes]:
    """One request: (facts, body). `facts` holds `status` and headers, or `problem` (network, body) and `detail`."""
    deadline, limit = float(asked["deadline"]), int(asked["limit"])
    until = time.monotonic() + deadline
    try:
        with client.get(
            asked["url"],
            headers=dict(asked["headers"]),
            timeout=(deadline, deadline),
            allow_redirects=False,
            stream=True,
            verify=asked["ca_file"] or True,
        ) as response:
            facts = _facts(response)
            if response.status_code != 200:
                return facts, b""
            if into := str(asked.get("into", "")):
                return _saved(response, facts, limit, until, into), b""
            return _body(response, facts, limit, until)
    except (
        requests.exceptions.ChunkedEncodingError,
        requests.exceptions.ContentDecodingError,
    ) as error:
        return {"problem": "body", "detail": f"the answer is cut or broken ({_root(error)})"}, b""
    except requests.exceptions.SSLError as error:
        return {
            "problem": "network",
            "detail": f"the certificate or the encryption is refused ({_root(error)})",
        }, b""
    except requests.exceptions.Timeout:
        return {"problem": "network", "detail": f"no answer within {deadline:.3g} s"}, b""
    except (requests.exceptions.RequestException, OSError, ValueError) as error:
        return {"problem": "network", "detail": f"no usable answer ({_root(error)})"}, b""


def _body(
    response: requests.Response, facts: dict[str, object], limit: int, until: float
) -> tuple[dict[str, object], bytes]:
    """The decoded body, in memory."""
    body = bytearray()
    said = _pour(response, facts, limit, until, body.extend)
    return (said, b"") if "problem" in said else ({**said, "length": len(body)}, bytes(body))


def _saved(
    response: requests.Response, facts: dict[str, object], limit: int, until: float, into: str
) -> dict[str, object]:
    """The decoded body, in a file of its own: neither process ever holds more than a piece of it."""
    fd = os.open(into, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, rights.of_file(into))
    with open(fd, "wb") as file:
        return _pour(response, facts, limit, until, file.write)


def _pour(
    response: requests.Response,
    facts: dict[str, object],
    limit: int,
    until: float,
    sink: Callable[[bytes], object],
) -> dict[str, object]:
    """Stops at the cap however small the packed body is (292 kB of gzip can hold 300 MB). `facts`, or the problem."""
    packing = response.headers.get("Content-Encoding", "identity").strip().lower()
    if packing not in ("identity", "gzip", "x-gzip", "deflate", ""):
        return {"problem": "body", "detail": f"packed as {packing[:40]!r}, which was not asked for"}
    length = 0
    for chunk in response.iter_content(CHUNK):
        length += len(chunk)
        if length > limit:
            return {"problem": "body", "detail": f"more than {limit} bytes, stopped there"}
        if time.monotonic() > until:
            return {"problem": "network", "detail": "no whole answer in time"}
        sink(chunk)
    return facts


def _facts(response: requests.Response) -> dict[str, object]:
    headers = response.headers

    def header(name: str, most: int = 500) -> str:
        value = headers.get(name, "")
        return value if len(value) <= most and value.isprintable() else ""

    return {
        "status": response.status_code,
        "content_type": header("Content-Type"),
        "etag": header("ETag"),
        "last_modified": header("Last-Modified"),
        "location": header("Location", 2000),
        "retry_after": _retry_after(header("Retry-After"), header("Date")),
    }


def _retry_after(value: str, date: str) -> int | None:
    """Seconds, from a count or from a date measured by the server's own clock; None when it says neither."""
    if value.isascii() and value.isdigit():
        return int(value[:9])
    try:
        wait = parsedate_to_datetime(value) - parsedate_to_datetime(date)
    except (TypeError, ValueError, OverflowError):
        return None
    return math.ceil(max(0.0, wait.total_seconds()))


def _root(error: BaseException) -> str:
    """The innermost cause in one line: requests wraps "Name or service not known" in four layers of its own."""
    seen: set[int] = set()
    while id(error) not in seen:
        seen.add(id(error))
        inner = getattr(error, "reason", None) or next(
            (arg for arg in error.args if isinstance(arg, BaseException)),
            error.__cause__ or error.__context__,
        )
        if not isinstance(inner, BaseException):
            break
        error = inner
    text = str(error).rpartition(">: ")[2] or type(error).__name__
    return " ".join(text.split())[:200]


def main() -> None:
    client = session()
    sys.stdout.buffer.write(b"ready\n")
    sys.stdout.buffer.flush()
    for line in sys.stdin.buffer:
        asked = json.loads(line)
        signal.alarm(math.ceil(asked["deadline"]) + ALARM_AFTER)
        facts, body = fetch(client, asked)
        signal.alarm(0)
        sys.stdout.buffer.write(json.dumps(facts).encode() + b"\n" + body)
        sys.stdout.buffer.flush()
