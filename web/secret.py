"""The key that signs cookies and forms: `data/secret-key`, made once, 0600, one key a line (older ones still verify)."""

import os
import secrets
import stat

from archive import rights

NAME = "secret-key"
SHORTEST = 32


class SecretError(Exception):
    """The key cannot be trusted: says which file and what to type."""


def keys(data: str) -> list[str]:
    """The present key, then older ones. Makes the file where there is none."""
    path = os.path.join(data, NAME)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return _make(data, path)
    except OSError as error:
        raise SecretError(f"{path}: cannot be opened: {error.strerror}") from error
    with open(fd, encoding="ascii", errors="replace") as file:
        if stat.S_IMODE(os.fstat(fd).st_mode) & 0o007:
            raise SecretError(f"{path}: others may read it; type: rm {path!r} (a new one is made; people log in again)")
        found = [line.strip() for line in file.read(4096).splitlines() if line.strip()]
    if not found or any(len(key) < SHORTEST for key in found):
        raise SecretError(
            f"{path}: holds a key shorter than {SHORTEST} characters; type: rm {path!r} (a new one is made)"
        )
    return found


def _make(data: str, path: str) -> list[str]:
    """Written aside and linked: two servers that start together agree on one key."""
    key = secrets.token_hex(32)
    aside = f"{path}.{os.getpid()}"
    try:
        fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, rights.of_file(path))
        with open(fd, "w", encoding="ascii") as file:
            file.write(f"{key}\n")
            file.flush()
            os.fsync(fd)
        os.link(aside, path)
    except FileExistsError:
        pass
    except OSError as error:
        raise SecretError(f"{path}: cannot be made: {error.strerror}") from error
    finally:
        if os.path.exists(aside):
            os.unlink(aside)
    return keys(data)
