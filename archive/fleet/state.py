"""What a machine remembers of its centre: files in `data/fleet/`, nothing in the database, so that a restore forgets no
acknowledgement and the minute's path reads none of it.

- `joined`: JSON {url, token, name, since}; it stands only while the machine sends somewhere, and is 0600.
- `centre`: the address that the rest is about.
- `sent/<day>`: names of the day's texts that the centre has acknowledged, one a line.
- `rows`: JSON, digests of the rows that the centre has.
- `fate`: JSON, how the last sending went.
- `policy`: what of the centre's settings could not be followed, in words; empty when all is.
"""

import json
import os
from typing import NamedTuple
from urllib.parse import urlsplit

from archive import rights
from archive.settings import LOOPBACK

FOLDER, JOINED, POLICY = "fleet", "joined", "policy"


class StateError(Exception):
    """What is asked, or what stands in data/fleet/, cannot be used: says why and what to type."""


class Joined(NamedTuple):
    url: str
    token: str
    name: str  # as the centre calls this machine
    since: int  # texts before this time are not sent

    def __repr__(self) -> str:
        return f"Joined(url={self.url!r}, name={self.name!r}, ...)"


class Fate(NamedTuple):
    """How the last sending went."""

    tries: int  # failures in a row
    next_at: int
    problem: str
    sent_at: int | None  # last acknowledgement


def checked_url(url: str) -> str:
    """https, or http to this very machine. Raises StateError."""
    parts = urlsplit(url.strip())
    name = parts.hostname or ""
    if parts.scheme not in ("https", "http") or not name or parts.query or parts.fragment or parts.username:
        raise StateError(f"{url!r}: expected the centre's address, such as https://vigie.example.org")
    if parts.scheme == "http" and name not in LOOPBACK:
        raise StateError(
            f"{url!r}: what is sent names people: it goes by https:// only (http:// on this machine alone)"
        )
    return url.strip().rstrip("/")


def joined(data: str) -> Joined | None:
    """Where this machine sends, or None."""
    path = os.path.join(data, FOLDER, JOINED)
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
        return Joined(str(found["url"]), str(found["token"]), str(found["name"]), int(found["since"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StateError(f"{path}: cannot be used ({error}); type: ./vigie fleet join URL TOKEN") from error


def join(data: str, found: Joined) -> None:
    write(data, JOINED, json.dumps(found._asdict()))


def leave(data: str) -> bool:
    """Stop sending. What was acknowledged is remembered: whoever joins the same centre again sends nothing twice."""
    try:
        os.unlink(os.path.join(data, FOLDER, JOINED))
    except FileNotFoundError:
        return False
    return True


def forget(data: str) -> None:
    """Another centre knows nothing of what this one has acknowledged."""
    folder = os.path.join(data, FOLDER, "sent")
    for name in os.listdir(folder) if os.path.isdir(folder) else ():
        os.unlink(os.path.join(folder, name))
    for name in ("rows", "fate", POLICY):
        if os.path.exists(os.path.join(data, FOLDER, name)):
            os.unlink(os.path.join(data, FOLDER, name))


def fate(data: str) -> Fate:
    try:
        found = json.loads(read(data, "fate"))
        return Fate(int(found["tries"]), int(found["next_at"]), str(found["problem"]), found["sent_at"])
    except (ValueError, KeyError, TypeError):
        return Fate(0, 0, "", None)


def keep_fate(data: str, found: Fate) -> None:
    write(data, "fate", json.dumps(found._asdict(), ensure_ascii=False))


def known_rows(data: str) -> dict[str, dict[str, str]]:
    """Digests by kind and key; empty where nothing (whole) is kept: then all rows are sent again, which changes nothing."""
    try:
        found = json.loads(read(data, "rows"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def keep_rows(data: str, known: dict[str, dict[str, str]]) -> None:
    write(data, "rows", json.dumps(known, separators=(",", ":"), ensure_ascii=False))


def read(data: str, name: str) -> str:
    try:
        with open(os.path.join(data, FOLDER, name), encoding="utf-8", errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def write(data: str, name: str, text: str) -> None:
    """The whole file or the old one, on the disk."""
    folder = os.path.join(data, FOLDER)
    os.makedirs(folder, mode=rights.of_folder(folder), exist_ok=True)
    inner = os.path.dirname(os.path.join(folder, name))
    os.makedirs(inner, mode=rights.of_folder(inner), exist_ok=True)
    aside = os.path.join(folder, f".{os.path.basename(name)}.new")
    fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, rights.of_file(aside))
    with open(fd, "w", encoding="utf-8", errors="replace") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.rename(aside, os.path.join(folder, name))
