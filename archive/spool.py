"""The texts of one cycle, as they wait: `data/spool/<cycle>.prom`, one file a cycle (probes/run.py writes it).

The last line is the end mark; without it, or when its counts differ, the file was cut.
"""

import os
import re
import stat
from typing import NamedTuple

from archive import rights

MAX_BYTES = 16 << 20
FUTURE = 3600  # seconds: a cycle further ahead than this is not believed
KEPT_FILES, KEPT_BYTES = 200, 64 << 20  # what quarantine/ holds at most; the newest file always stays


class SpoolError(Exception):
    """The file is not a whole cycle: says why."""


class Section(NamedTuple):
    probe: str
    status: str  # ok, failed
    seconds: float
    uptime: float  # /proc/uptime when the probe was started: what its counters are divided by
    reason: str
    text: bytes


class Cycle(NamedTuple):
    at: int
    boot: str
    uptime: float
    sections: list[Section]


# Numbers are bounded in length: int() of 5,000 digits raises, float() of 400 is infinite.
_SECONDS = r"[0-9]{1,12}(?:\.[0-9]{1,12})?"
_MARK = re.compile(
    rf"# VIGIE lines=([0-9]{{1,12}}) bytes=([0-9]{{1,12}}) cycle=([0-9]{{1,12}}) boot=(\S{{0,64}}) uptime=({_SECONDS})"
)
_HEAD = re.compile(
    rf"# VIGIE probe=([A-Za-z0-9_-]{{1,255}}) status=(ok|failed) seconds=({_SECONDS})"
    rf'(?: uptime=({_SECONDS}))?(?: reason="(.*)")?'
)
_START = b"# VIGIE "


def waiting(data: str) -> list[str]:
    """Names of the spool files, oldest first."""
    try:
        names = os.listdir(os.path.join(data, "spool"))
    except FileNotFoundError:
        return []
    # A shorter number is an older time: the year 2001 comes before 2026.
    return sorted((n for n in names if n.endswith(".prom") and not n.startswith(".")), key=lambda n: (len(n), n))


def read(path: str) -> bytes:
    """The file's bytes. Never follows a link, never waits for a pipe, never reads more than MAX_BYTES.

    Raises SpoolError for what is not a whole file of ours, OSError when it cannot be read now.
    """
    if not stat.S_ISREG(os.lstat(path).st_mode):
        raise SpoolError("is not a plain file")
    # The look above was only a look: the open refuses a link put there since, and does not wait for a pipe.
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(fd, "rb") as file:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise SpoolError("is not a plain file")
        if found.st_size > MAX_BYTES:
            raise SpoolError(f"has {found.st_size} bytes; at most {MAX_BYTES} are taken")
        return file.read(MAX_BYTES + 1)


def parse(raw: bytes) -> Cycle:
    """The cycle, whole, or SpoolError."""
    body, newline, last = raw.removesuffix(b"\n").rpartition(b"\n")
    body += newline
    mark = _MARK.fullmatch(last.decode("utf-8", "replace"))
    if not mark or not raw.endswith(b"\n"):
        raise SpoolError("the end mark is missing: the file was cut")
    lines, size, at, boot, uptime = mark.groups()
    if (int(lines), int(size)) != (body.count(b"\n"), len(body)):
        counted = body.count(b"\n")
        raise SpoolError(f"the end mark says {lines} lines, {size} bytes; there are {counted}, {len(body)}")
    return Cycle(int(at), boot, float(uptime), _sections(body, float(uptime)))


def _sections(body: bytes, uptime: float) -> list[Section]:
    if body and not body.startswith(_START):
        raise SpoolError("text before the first section")
    found: list[Section] = []
    position = 0
    while position < len(body):
        end = body.index(b"\n", position) + 1
        line = body[position : end - 1].decode("utf-8", "replace")
        head = _HEAD.fullmatch(line)
        if not head:
            raise SpoolError(f"not a section's head: {line[:100]!r}")
        position = body.find(b"\n" + _START, end - 1) + 1 or len(body)
        found.append(_section(head, body[end:position], uptime))
    return found


def _section(head: re.Match[str], text: bytes, uptime: float) -> Section:
    probe, status, seconds, started, reason = head.groups()
    return Section(probe, status, float(seconds), float(started or uptime), (reason or "")[:300], text)


def quarantine(data: str, name: str, reason: str) -> None:
    """Set a file aside for a person, with the reason beside it. Bounded: the oldest leave (KEPT_FILES, KEPT_BYTES)."""
    folder = os.path.join(data, "quarantine")
    os.makedirs(folder, mode=rights.of_folder(folder), exist_ok=True)
    try:
        with open(os.path.join(folder, f"{name}.reason"), "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"{reason}\n")
    except OSError:
        pass  # a full disk: the file itself is set aside all the same (a rename takes no room), the event says why
    os.rename(os.path.join(data, "spool", name), os.path.join(folder, name))
    _bound(folder)


def _bound(folder: str) -> None:
    """Newest first, keep while there is room."""
    kept = sorted((n for n in os.listdir(folder) if not n.endswith(".reason")), key=lambda n: (len(n), n), reverse=True)
    total = 0
    for number, name in enumerate(kept):
        found = os.lstat(os.path.join(folder, name))
        total += found.st_blocks * 512
        if number and (number >= KEPT_FILES or total > KEPT_BYTES) and not stat.S_ISDIR(found.st_mode):
            for gone in (name, f"{name}.reason"):
                if os.path.lexists(os.path.join(folder, gone)):
                    os.unlink(os.path.join(folder, gone))


def shown(name: str) -> str:
    """A file's name as text: bytes that are not UTF-8, and control characters, are shown as they are."""
    whole = os.fsencode(name).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in whole)


def to_journal(data: str, name: str, at: int) -> None:
    """The loaded text is kept: its own file, renamed into the day's folder. A rename cannot be torn.

    The same text delivered again is dropped; another text of the same name (the clock was set back) is kept after it.
    """
    folder = os.path.join(data, "journal", day_name(at))
    os.makedirs(folder, mode=rights.of_folder(folder), exist_ok=True)
    source, target = os.path.join(data, "spool", name), os.path.join(folder, name)
    number = 1
    while os.path.lexists(target):
        if read(source) == read(target):
            os.unlink(source)
            return
        number += 1
        target = os.path.join(folder, f"{name}{number}")
    os.rename(source, target)


def day_name(at: int) -> str:
    """The UTC day as 2026-11-23."""
    import time

    return time.strftime("%Y-%m-%d", time.gmtime(at))
