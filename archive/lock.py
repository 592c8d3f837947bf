"""The one lock of a data folder (`data/lock`), and the calm that ends when somebody takes it."""

import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager

from archive import rights

NAME = "vigie.db"
LOCK = "lock"
CALM = "calm"  # in run/: while it stands, texts may wait in the spool (alerts/calm.py)


class DatabaseError(Exception):
    """The database cannot be used: says which file, why, and what to type."""


class Busy(DatabaseError):
    """Another writer holds the lock; the work waits for the next cycle."""


@contextmanager
def locked(data: str, wait: float = 10.0, name: str = LOCK, calm: bool = False) -> Iterator[None]:
    """Hold `data/lock`. Waits up to `wait` seconds, then raises Busy. Whoever holds it may change what is judged, so the
    next cycle is judged at once; unless the caller says that it changes no such thing (`calm`).

    After locking, the file must still be the one at the path: a lock file removed and made anew would let two in.
    """
    path = os.path.join(data, name)
    began = time.monotonic()
    deadline = began + wait
    while True:
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, rights.of_file(path))
        except OSError as error:
            raise DatabaseError(f"{path}: cannot be opened: {error.strerror}") from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            mine, there = os.fstat(fd), os.stat(path)
            if (mine.st_dev, mine.st_ino) == (there.st_dev, there.st_ino):
                check_private(path, mine)
                break
        except BlockingIOError:
            pass
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)
        if time.monotonic() >= deadline:
            raise Busy(f"{path}: another step of Vigie is writing; this one leaves its work for the next cycle")
        time.sleep(_until_next_try(time.monotonic() - began))
    try:
        if name == LOCK and not calm:
            end_calm(data)
        yield
    finally:
        os.close(fd)


def _until_next_try(waited: float) -> float:
    """Seconds to sleep. Who has waited longer asks more often, so that nobody is overtaken for long: asking is fair to
    none by itself, and a queue of the kernel's (a blocking flock) knows no deadline without a signal or a thread.
    """
    return min(0.02, max(0.0005, 0.0001 / (waited + 0.001)))


def changed_apart(data: str) -> bool:
    """Whether the database is newer than the calm: changed by somebody who takes no lock. run_all.sh asks the same."""
    try:
        return os.stat(os.path.join(data, NAME)).st_mtime_ns > os.stat(os.path.join(data, "run", CALM)).st_mtime_ns
    except OSError:
        return False  # no calm stands, or there is no database and the open will say so


def renew_calm(data: str) -> None:
    """Closing writes to the database after the calm was left behind. That was us, within the lock, and nobody else."""
    try:
        os.utime(os.path.join(data, "run", CALM))
    except OSError:
        return  # it does not stand


def end_calm(data: str) -> None:
    """Let the next cycle be archived and judged at once."""
    try:
        os.unlink(os.path.join(data, "run", CALM))
    except OSError:
        return  # it was not there


def check_private(path: str, found: os.stat_result) -> None:
    if stat.S_IMODE(found.st_mode) & rights.refused(os.path.dirname(path)):
        raise DatabaseError(f"{path}: others may open it; type: chmod 600 {path!r}")
