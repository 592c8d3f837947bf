"""Room set aside on the disk: freed when it is full, so that the incident and its mail can still be written."""

import os

from archive import rights

RESERVE = "reserve"
RESERVE_BYTES = 8 << 20


def make_reserve(data: str) -> None:
    """Set it aside where it is not; without room for it, or the right, nothing is done."""
    path = os.path.join(data, RESERVE)
    try:
        if os.path.exists(path) and os.path.getsize(path) == RESERVE_BYTES:
            return
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, rights.of_file(path))
    except OSError:
        return
    try:
        os.posix_fallocate(fd, 0, RESERVE_BYTES)
    except OSError:
        os.unlink(path)
    finally:
        os.close(fd)


def free(data: str) -> bool:
    """Give the room back. Whether there was any."""
    try:
        os.unlink(os.path.join(data, RESERVE))
    except OSError:
        return False
    return True
