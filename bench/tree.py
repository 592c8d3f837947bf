"""What a program and all it started cost: processor time of the living and of the waited-for, memory in proportion."""

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from typing import NamedTuple

TICK = os.sysconf("SC_CLK_TCK")
SUBREAPER = 36  # prctl: what forks away stays a descendant of ours


class Cost(NamedTuple):
    cpu: float  # seconds
    pss: float  # MiB
    processes: int


def adopt() -> None:
    ctypes.CDLL(None, use_errno=True).prctl(SUBREAPER, 1, 0, 0, 0)


def _fields(pid: int) -> list[str]:
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
        return file.read().rpartition(")")[2].split()


def below(pid: int) -> list[int]:
    """A process and its descendants."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError, IndexError, ValueError):
                children.setdefault(int(_fields(int(name))[1]), []).append(int(name))
    found, left = [], [pid]
    while left:
        one = left.pop()
        found.append(one)
        left += children.get(one, [])
    return found


def cost(pids: list[int]) -> Cost:
    """The kernel's clock of each process (nanoseconds), and the ticks of the children it waited for."""
    cpu = pss = 0.0
    count = 0
    for pid in pids:
        with contextlib.suppress(OSError, StopIteration, IndexError, ValueError):
            fields = _fields(pid)
            # clock_getcpuclockid(3): ~pid << 3 | CPUCLOCK_SCHED
            cpu += time.clock_gettime((~pid << 3) | 2) + (int(fields[13]) + int(fields[14])) / TICK
            with open(f"/proc/{pid}/smaps_rollup", encoding="ascii", errors="replace") as file:
                pss += next(int(line.split()[1]) for line in file if line.startswith("Pss:")) / 1024
            count += 1
    return Cost(cpu, pss, count)


def finish(process: "subprocess.Popen[bytes]") -> None:
    """End a program that we started, and whatever it started: by pid, first asked, then made to."""
    pids = below(process.pid)
    for kind in (signal.SIGTERM, signal.SIGKILL):
        for pid in reversed(pids):
            with contextlib.suppress(OSError):
                os.kill(pid, kind)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            continue
        break
    for pid in pids[1:]:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def spent(command: list[str], **options: object) -> float:
    """Processor seconds of a command and what it waited for."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)  # type: ignore[call-overload]
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return float(usage.ru_utime + usage.ru_stime)
