"""The figures of this very second, from psutil: nothing is stored, nothing is judged."""

import threading
import time
from typing import NamedTuple

import psutil

YOUNG, OLD = 0.5, 30.0  # seconds: between two looks at the processor
FIRST = 0.12


class Now(NamedTuple):
    cpu: float  # share of the whole machine, 0 to 1
    memory: float  # used, 0 to 1
    memory_size: int
    swap: float | None  # used, 0 to 1; None without any
    load: float  # one minute
    cores: int
    users: int


class _Look(NamedTuple):
    at: float
    idle: float
    total: float


_lock = threading.Lock()
_last: list[tuple[_Look, float]] = []  # the last look and the share it gave


def now() -> Now:
    """One reading. The first one takes a tenth of a second, because a share needs two looks."""
    memory = psutil.virtual_memory()
    swap = psutil.swap_memory()
    return Now(
        _busy(),
        1.0 - memory.available / memory.total,
        memory.total,
        swap.percent / 100.0 if swap.total else None,
        psutil.getloadavg()[0],
        psutil.cpu_count() or 1,
        len({user.name for user in psutil.users()}),
    )


def _busy() -> float:
    with _lock:
        here = _look()
        if _last and here.at - _last[0][0].at < YOUNG:
            return _last[0][1]  # two pages at once share a reading
        if not _last or here.at - _last[0][0].at > OLD:
            time.sleep(FIRST)
            before, here = here, _look()
        else:
            before = _last[0][0]
        total = here.total - before.total
        share = min(1.0, max(0.0, 1.0 - (here.idle - before.idle) / total)) if total > 0 else 0.0
        _last[:] = [(here, share)]
        return share


def _look() -> _Look:
    times = psutil.cpu_times()
    idle = times.idle + getattr(times, "iowait", 0.0)
    # guest time is in user already
    total = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
    return _Look(time.monotonic(), idle, total)
