"""The texts of one cycle, as they wait: `data/spool/<cycle>.prom`, one file a cycle (probes/run.sh writes it).

The last line is the end mark; without it, or when its counts differ, the file was cut.
"""

import os
import re
from typing import NamedTuple

MAX_BYTES = 16 << 20
FUTURE = 3600  # seconds: a cycle further ahead than this is not believed


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


_MARK = re.compile(r"# VIGIE lines=(\d+) bytes=(\d+) cycle=(\d+) boot=(\S*) uptime=(\d+(?:\.\d+)?)")
_HEAD = re.compile(
    r'# VIGIE probe=(\S+) status=(ok|failed) seconds=(\d+(?:\.\d+)?)(?: uptime=(\d+(?:\.\d+)?))?(?: reason="(.*)")?'
)
_START = b"# VIGIE "


def waiting(data: str) -> list[str]:
    """Names of the spool files, oldest first."""
    try:
        names = os.listdir(os.path.join(data, "spool"))
    except FileNotFoundError:
        return []
    return sorted(name for name in names if name.endswith(".prom") and not name.startswith("."))


def read(path: str) -> bytes:
    """The file's bytes. Never follows a link; never reads more than MAX_BYTES."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(fd, "rb") as file:
        size = os.fstat(fd).st_size
        if size > MAX_BYTES:
            raise SpoolError(f"has {size} bytes; at most {MAX_BYTES} are taken")
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
    found: list[Section] = []
    head: re.Match[str] | None = None
    start = position = 0
    while position < len(body):
        end = body.index(b"\n", position) + 1
        if body.startswith(_START, position):
            if head:
                found.append(_section(head, body[start:position], uptime))
            line = body[position : end - 1].decode("utf-8", "replace")
            head = _HEAD.fullmatch(line)
            if not head:
                raise SpoolError(f"not a section's head: {line[:100]!r}")
            start = end
        elif head is None:
            raise SpoolError("text before the first section")
        position = end
    if head:
        found.append(_section(head, body[start:], uptime))
    return found


def _section(head: re.Match[str], text: bytes, uptime: float) -> Section:
    probe, status, seconds, started, reason = head.groups()
    return Section(probe, status, float(seconds), float(started or uptime), reason or "", text)


def quarantine(data: str, name: str, reason: str) -> None:
    """Set a file aside for a person, with the reason beside it. Bounded: the oldest leave when there are over 200."""
    folder = os.path.join(data, "quarantine")
    os.makedirs(folder, mode=0o700, exist_ok=True)
    with open(os.path.join(folder, f"{name}.reason"), "w", encoding="utf-8") as file:
        file.write(f"{reason}\n")
    os.rename(os.path.join(data, "spool", name), os.path.join(folder, name))
    kept = sorted(n for n in os.listdir(folder) if not n.endswith(".reason"))
    for old in kept[:-200]:
        os.unlink(os.path.join(folder, old))
        if os.path.exists(os.path.join(folder, f"{old}.reason")):
            os.unlink(os.path.join(folder, f"{old}.reason"))


def to_journal(data: str, name: str, at: int) -> None:
    """The loaded text is kept: its own file, renamed into the day's folder. A rename cannot be torn."""
    folder = os.path.join(data, "journal", day_name(at))
    os.makedirs(folder, mode=0o700, exist_ok=True)
    os.rename(os.path.join(data, "spool", name), os.path.join(folder, name))


def day_name(at: int) -> str:
    """The UTC day as 2026-11-23."""
    import time

    return time.strftime("%Y-%m-%d", time.gmtime(at))
