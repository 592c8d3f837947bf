"""What the shipped Python probes share: reading a file, a label's value, and how a probe is run by itself.

Such a probe is a file with `text(root, state, alone)`: its whole text as a str. The runner (probes/run.py) reads those that ask
nothing but /proc, /sys and local disks into one process of its own; started by hand, `main(text)` prints the same. `root` is
'' or a folder that stands for / (VIGIE_ROOT), `state` a folder that is kept from cycle to cycle (VIGIE_STATE), '' by hand.
`alone` says that this process is the probe's own, with a time limit: only then may it ask somebody who may not answer.

Only what is built into the interpreter is imported, here and by the probes (posix, not os): `import re` alone costs as much
as all that the probes do in a minute. What only happens when a probe is alone may import what it needs, there.
Bytes that are not UTF-8 are surrogates (PEP 383) from the reading to the printing.
"""

import posix
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

MOST = 1 << 20  # bytes of one file
ALPHANUMERIC = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


class RefusedError(Exception):
    """What was read is not as expected. Its words are the reason in the cycle's text: one line, for the administrator."""


class AskError(Exception):
    """Somebody has to be asked who may not answer: the runner starts this probe as a process of its own (`alone`)."""


def slurp(path: str, most: int = MOST) -> str:
    """The whole text of a file; /proc says no sizes, so it is read to its end. Raises OSError."""
    fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        found = posix.read(fd, most)
        # A table of /proc comes in pieces.
        while len(found) < most:
            more = posix.read(fd, most - len(found))
            if not more:
                break
            found += more
    finally:
        posix.close(fd)
    return found.decode("utf-8", "surrogateescape")


def write(path: str, said: str, how: int = posix.O_TRUNC, sync: bool = False) -> None:
    """A file of ours; a link in its place is refused. `how`: O_TRUNC, O_EXCL or O_APPEND. Raises OSError."""
    fd = posix.open(path, posix.O_WRONLY | posix.O_CREAT | how | posix.O_NOFOLLOW | posix.O_CLOEXEC, 0o666)
    try:
        say(fd, said)
        if sync:
            posix.fsync(fd)
    finally:
        posix.close(fd)


def say(fd: int, said: str) -> None:
    rest = said.encode("utf-8", "surrogateescape")
    while rest:
        rest = rest[posix.write(fd, rest) :]


def exists(path: str) -> bool:
    try:
        posix.stat(path)
    except OSError:
        return False
    return True


def environment(name: str) -> str:
    """A variable's value, '' when it is not set."""
    return posix.environ.get(name.encode(), b"").decode("utf-8", "surrogateescape")


def whole(text: str) -> bool:
    """Whether these are decimal digits, and nothing else."""
    return text.isascii() and text.isdigit()


def label(text: str, most: int = 200) -> str:
    """A label's value by the rules of Prometheus: at most so many bytes; what cannot be seen, or is not UTF-8, as \\x.."""
    if len(text) <= most and text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return text
    text = text.encode("utf-8", "surrogateescape")[:most].decode("utf-8", "surrogateescape")
    out = []
    for c in text:
        code = ord(c)
        if c in '"\\':
            out.append("\\" + c)
        elif 32 <= code < 127 or (code >= 160 and not 0xD800 <= code < 0xE000):
            out.append(c)
        elif c == "\n":
            out.append("\\n")
        else:
            out += [f"\\\\x{byte:02x}" for byte in c.encode("utf-8", "surrogateescape")]
    return "".join(out)


def tame(text: str, allowed: str) -> str:
    """Each byte that is not one of `allowed` (ASCII) becomes _: for names that have no business with others."""
    if not text.strip(allowed):  # nothing else in it
        return text
    return "".join(c if c in allowed else "_" * len(c.encode("utf-8", "surrogateescape")) for c in text)


def is_program(name: str) -> bool:
    """Whether PATH has it."""
    folders = environment("PATH") or "/usr/bin:/bin"
    return any(posix.access(f"{folder}/{name}", posix.X_OK) for folder in folders.split(":"))


def ask(command: list[str], variables: "dict[bytes, bytes]", quiet: bool = False) -> tuple[int, str]:
    """A program's status and all that it printed, for a probe that is alone. `quiet`: what it complains about is not wanted.

    Raises OSError when there is no such program.
    """
    ear, mouth = posix.pipe()
    doing: list[tuple[int | str, ...]] = [(posix.POSIX_SPAWN_DUP2, mouth, 1)]
    if quiet:
        doing.append((posix.POSIX_SPAWN_OPEN, 2, "/dev/null", posix.O_WRONLY, 0))
    try:
        # SIGPIPE (13): Python ignores it, others rely on it.
        child = posix.posix_spawnp(
            command[0], command, {**posix.environ, **variables}, file_actions=doing, setsigdef=[13]
        )
    except OSError:
        posix.close(ear)
        raise
    finally:
        posix.close(mouth)
    found = []
    while piece := posix.read(ear, 1 << 16):
        found.append(piece)
    posix.close(ear)
    status = posix.waitstatus_to_exitcode(posix.waitpid(child, 0)[1])
    return status, b"".join(found).decode("utf-8", "surrogateescape")


def complaint(program: str, error: Exception) -> str:
    """Of a probe that could not: one line, the same whether it was started or read."""
    return f"{program}: {str(error) or 'no explanation'}".partition("\n")[0]


def main(text: "Callable[[str, str, bool], str]") -> None:
    """Print the probe's text; one line on standard error and status 1 when it cannot be had. Does not return."""
    name = sys.argv[0].rpartition("/")[2]
    try:
        say(1, text(environment("VIGIE_ROOT"), environment("VIGIE_STATE"), True))
    except (RefusedError, OSError) as error:
        posix.write(2, f"{complaint(name, error)}\n".encode("utf-8", "surrogateescape"))
        posix._exit(1)
    posix._exit(0)
