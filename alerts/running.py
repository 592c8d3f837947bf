"""What is running: two readings of /proc a second apart, and what lies between them. Never `ps`, whose %CPU is the
average over a process's life.

Command *names* only; arguments hold passwords, so they are read only when the administrator asked for them.
"""

import os
import time
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

TOP = 10
MOST = 50_000  # processes looked at in one reading


class Process(NamedTuple):
    """One process between two readings."""

    pid: int
    user: str
    unit: str  # systemd unit or last part of its cgroup, '' where there is none
    command: str
    arguments: str  # '' unless asked for
    cores: float  # 1 = one core wholly busy
    memory: int  # bytes, anonymous resident
    read: float | None  # bytes per second from the disk; None where it may not be known
    written: float | None


class Total(NamedTuple):
    """What one user's processes take together."""

    user: str
    processes: int
    cores: float
    memory: int
    read: float | None
    written: float | None


class Reading(NamedTuple):
    """One process at one moment. Ticks of the processor; bytes."""

    pid: int
    started: int
    uid: int
    command: str
    ticks: int
    memory: int
    read: int | None
    written: int | None


class Running(NamedTuple):
    cpu: tuple[Process, ...]  # the busiest first
    memory: tuple[Process, ...]
    disk: tuple[Process, ...]
    users: tuple[Total, ...]
    processes: int
    unread: int  # processes whose disk traffic may not be known


def look(
    root: str, *, arguments: bool = False, pause: Callable[[float], None] = time.sleep, seconds: float = 1.0
) -> Running:
    """Two readings `seconds` apart, and the most demanding processes. `root` stands in for / under /proc and /etc."""
    before, at = read_all(root), time.monotonic()
    pause(seconds)
    after, elapsed = read_all(root), max(0.1, time.monotonic() - at)
    names = user_names(root)
    ticks = os.sysconf("SC_CLK_TCK")
    found = [
        _between(before.get(pid), now, elapsed, ticks, names.get(now.uid, str(now.uid))) for pid, now in after.items()
    ]
    return sort(found, lambda process: _described(root, process, arguments))


def sort(found: Iterable[Process], described: Callable[[Process], Process]) -> Running:
    """The top of each kind, and totals per user. Pure but for `described`, which is asked for the chosen ones alone."""
    everyone = list(found)
    known: dict[int, Process] = {}

    def top(key: Callable[[Process], float], least: float) -> tuple[Process, ...]:
        chosen = sorted((one for one in everyone if key(one) >= least), key=lambda one: (-key(one), one.pid))[:TOP]
        for one in chosen:
            if one.pid not in known:
                known[one.pid] = described(one)
        return tuple(known[one.pid] for one in chosen)

    return Running(
        cpu=top(lambda one: one.cores, 0.005),
        memory=top(lambda one: one.memory, 1 << 20),
        disk=top(_traffic, 1024),
        users=totals(everyone),
        processes=len(everyone),
        unread=sum(one.read is None for one in everyone),
    )


def totals(processes: Iterable[Process]) -> tuple[Total, ...]:
    """Per user, the busiest first."""
    found: dict[str, Total] = {}
    for one in processes:
        had = found.get(one.user, Total(one.user, 0, 0.0, 0, None, None))
        found[one.user] = Total(
            one.user,
            had.processes + 1,
            had.cores + one.cores,
            had.memory + one.memory,
            _sum(had.read, one.read),
            _sum(had.written, one.written),
        )
    return tuple(sorted(found.values(), key=lambda total: (-total.cores, -total.memory, total.user)))


def read_all(root: str) -> dict[int, Reading]:
    """Every process, by pid. Those that end meanwhile are left out."""
    found: dict[int, Reading] = {}
    try:
        names = os.listdir(f"{root}/proc")
    except OSError:
        return found
    for name in names:
        if name.isdigit() and len(found) < MOST:
            one = _read(f"{root}/proc/{name}", int(name))
            if one:
                found[one.pid] = one
    return found


def user_names(root: str) -> dict[int, str]:
    """{uid: name}: the machine's directory where it is this one, the file alone where `root` stands in."""
    if not root:
        import pwd

        return {entry.pw_uid: entry.pw_name for entry in pwd.getpwall()}
    found: dict[int, str] = {}
    for line in _text(f"{root}/etc/passwd").split("\n"):
        fields = line.split(":")
        if len(fields) > 3 and fields[2].isdigit():
            found.setdefault(int(fields[2]), fields[0])
    return found


def unit_of(cgroup: str) -> str:
    """The systemd unit in /proc/<pid>/cgroup: `nginx.service`, `session-4.scope`; else the cgroup's last part."""
    for line in reversed(cgroup.strip().split("\n")):
        path = line.partition(":")[2].partition(":")[2]
        parts = [part for part in path.split("/") if part]
        for part in reversed(parts):
            if part.endswith((".service", ".scope")):
                return part[:80]
        if parts:
            return parts[-1][:80]
    return ""


def parse_stat(text: str) -> tuple[str, int, int] | None:
    """(command, ticks, start) of /proc/<pid>/stat; None when it is not one. The name may hold spaces and brackets."""
    head, bracket, tail = text.rpartition(")")
    name = head.partition("(")[2]
    fields = tail.split()
    if not bracket or len(fields) < 20:
        return None
    try:
        return name, int(fields[11]) + int(fields[12]), int(fields[19])
    except ValueError:
        return None


def _read(folder: str, pid: int) -> Reading | None:
    stat = parse_stat(_text(f"{folder}/stat"))
    status = _fields(_text(f"{folder}/status"))
    if stat is None or "Uid" not in status:
        return None
    io = _fields(_text(f"{folder}/io"))
    memory = _first(status.get("RssAnon", status.get("VmRSS", ""))) or 0
    return Reading(
        pid,
        stat[2],
        _first(status["Uid"]) or 0,
        stat[0],
        stat[1],
        memory * 1024,
        _first(io.get("read_bytes", "")),
        _first(io.get("write_bytes", "")),
    )


def _between(before: Reading | None, now: Reading, elapsed: float, ticks: int, user: str) -> Process:
    # A pid that was given away again is another process: it began in between.
    old = before if before and before.started == now.started else None
    cores = (now.ticks - old.ticks if old else now.ticks) / ticks / elapsed
    return Process(
        now.pid,
        user,
        "",
        now.command,
        "",
        max(0.0, cores),
        now.memory,
        _rate(old.read if old else 0, now.read, elapsed),
        _rate(old.written if old else 0, now.written, elapsed),
    )


def _described(root: str, one: Process, arguments: bool) -> Process:
    """With its unit, and its arguments where they are asked for."""
    unit = unit_of(_text(f"{root}/proc/{one.pid}/cgroup"))
    words = _text(f"{root}/proc/{one.pid}/cmdline").replace("\0", " ").strip()[:300] if arguments else ""
    return one._replace(unit=unit, arguments=words)


def _traffic(one: Process) -> float:
    return (one.read or 0.0) + (one.written or 0.0)


def _rate(before: int | None, now: int | None, elapsed: float) -> float | None:
    return None if now is None or before is None else max(0.0, (now - before) / elapsed)


def _sum(one: float | None, other: float | None) -> float | None:
    return other if one is None else one if other is None else one + other


def _fields(text: str) -> Mapping[str, str]:
    return {key: value for key, colon, value in (line.partition(":") for line in text.split("\n")) if colon}


def _first(text: str) -> int | None:
    words = text.split()
    return int(words[0]) if words and words[0].isdigit() else None


def _text(path: str) -> str:
    """A small file of the kernel's; '' where it is gone or may not be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(65_536)
    except (OSError, ValueError):
        return ""
