"""The locks of Vigie's steps, as doctor looks at them: who may open them, and whether one is held for far too long."""

import fcntl
import os
import stat
import time
from typing import NamedTuple

from archive import backup, lock

# File in the data folder -> seconds after which whoever holds it hangs.
LONGEST = {lock.LOCK: 600, "run_all.lock": 600, "send.lock": 1200, backup.LOCK: 3600}


class Locks(NamedTuple):
    """Paths in trouble."""

    open: list[str]  # that everybody may open, and so hold
    held: list[str]  # by a process that began too long ago


def look(data: str) -> Locks:
    """Every lock there is. Takes none: a shared one is asked for, and given back at once."""
    found = Locks([], [])
    for name, longest in LONGEST.items():
        path = os.path.join(data, name)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            if stat.S_IMODE(os.fstat(fd).st_mode) & 0o007:
                found.open.append(path)
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            if held_for(path) > longest:
                found.held.append(path)
        finally:
            os.close(fd)
    return found


def held_for(path: str) -> float:
    """Seconds since the oldest process that has a file open began; 0 where none is seen (another user's)."""
    target, longest, up = os.path.realpath(path), 0.0, time.clock_gettime(time.CLOCK_BOOTTIME)
    for pid in filter(str.isdigit, os.listdir("/proc")):
        folder = f"/proc/{pid}/fd"
        try:
            names = os.listdir(folder) if int(pid) != os.getpid() else []
            if any(os.path.realpath(os.path.join(folder, name)) == target for name in names):
                with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                    ticks = int(file.read().rpartition(")")[2].split()[19])
                longest = max(longest, up - ticks / os.sysconf("SC_CLK_TCK"))
        except OSError:
            continue  # it ended meanwhile, or is another user's
    return longest
