"""Measuring the homes, which takes minutes: walked by a process that nobody waits for, at idle priority.

    python3 -I -S probes/measuring.py        measures and prints, reads no setting of ours and writes no file

This file needs no other of ours: where a privileged run measures (docs/deployment.md), a copy of it is enough.

A home counts what it occupies (as `du -sx`: blocks, hard links once, one file system, no link followed). One that cannot
be read to its end is not measured: a part would look like the whole.
"""

import fcntl
import os
import stat
import sys
import time
from select import select

PATIENCE = 3600.0  # seconds for one home: it may lie on a server that is dead
DEEPEST = 400  # folders: each one open costs two of the 1024 files that a process may have


def homes(root: str) -> dict[str, str]:
    """User -> home, of the accounts one can log in with. Two accounts with one home: the first."""
    try:
        with open(root + "/etc/shells", encoding="utf-8") as file:
            shells = {line.strip() for line in file if line.startswith("/")}
    except OSError:
        shells = set()
    found: dict[str, str] = {}
    for user, home, shell in accounts(root):
        program = shell or "/bin/sh"
        if program.endswith(("/nologin", "/false")) or (shells and program not in shells):
            continue
        path = os.path.normpath(home)
        if path.startswith("/") and path.strip("/") and path not in found.values():
            found.setdefault(user, path)
    return found


def accounts(root: str) -> list[tuple[str, str, str]]:
    """(user, home, shell) of every account, the directory's too where it lets itself be listed."""
    if not root:
        import pwd

        return [(entry.pw_name, entry.pw_dir, entry.pw_shell) for entry in pwd.getpwall()]
    with open(root + "/etc/passwd", encoding="utf-8", errors="surrogateescape") as file:
        rows = [line.rstrip("\n").split(":") for line in file]
    return [(row[0], row[5], row[6]) for row in rows if len(row) == 7]


class Walk:
    """Adds up one home. It goes down by open folders, so that a folder swapped for a link leads nowhere else."""

    FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NONBLOCK

    def __init__(self, top: str, others: set[str]) -> None:
        self.others = others  # homes inside this one, relative to it: they are counted for their own users
        self.whole = True
        self.linked: set[int] = set()
        fd = os.open(top, self.FLAGS)
        self.device = os.fstat(fd).st_dev
        self.bytes = os.fstat(fd).st_blocks * 512
        self.down(fd, "", 0)

    def down(self, fd: int, path: str, depth: int) -> None:
        try:
            with os.scandir(fd) as entries:
                for entry in entries:
                    self.count(entry, fd, path, depth)
        except OSError:
            self.whole = False
        finally:
            os.close(fd)

    def count(self, entry: os.DirEntry[str], fd: int, path: str, depth: int) -> None:
        try:
            s = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            return  # it has just been removed
        folder = stat.S_ISDIR(s.st_mode)
        if s.st_dev != self.device or (folder and path + entry.name in self.others):
            return
        if s.st_nlink > 1 and not folder:
            if s.st_ino in self.linked:
                return
            self.linked.add(s.st_ino)
        self.bytes += s.st_blocks * 512
        if not folder:
            return
        try:
            inner = os.open(entry.name, self.FLAGS | os.O_NOFOLLOW, dir_fd=fd)
        except FileNotFoundError:
            return
        except OSError:
            self.whole = False
            return
        if depth >= DEEPEST or os.fstat(inner).st_dev != self.device:
            self.whole = self.whole and depth < DEEPEST
            os.close(inner)
            return
        self.down(inner, f"{path}{entry.name}/", depth + 1)


def measure_home(path: str, others: set[str]) -> str:
    """The bytes as text; or denied, partial, missing, slow or error. In a child: a dead server hides only its own homes."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        try:
            walk = Walk(path, others)
            said = str(walk.bytes) if walk.whole else "partial"
        except PermissionError:
            said = "denied"
        except (FileNotFoundError, NotADirectoryError):
            said = "missing"
        except OSError:
            said = "error"
        os.write(writer, said.encode())
        os._exit(0)
    os.close(writer)
    answered = select([reader], [], [], PATIENCE)[0]
    said = os.read(reader, 100).decode() or "error" if answered else "slow"
    os.close(reader)
    if not answered:
        os.kill(pid, 9)
    os.waitpid(pid, 0 if answered else os.WNOHANG)
    return said


def measure(root: str, at: int, progress: bool) -> str:
    """The whole text, as probes/homes.py keeps and checks it. `at` is UTC seconds."""
    known = homes(root)
    sizes, facts = [], []
    for number, (user, path) in enumerate(known.items(), 1):
        others = {other[len(path) + 1 :] for other in known.values() if other.startswith(path + "/")}
        said = measure_home(root + path, others)
        if progress:
            amount = f"{int(said) / 1e9:.2f} GB" if said.isdigit() else said
            print(f"{number}/{len(known)} {label(user)} {label(path)}: {amount}", file=sys.stderr)
        if said.isdigit():
            sizes.append(f'user_home_bytes{{user="{label(user)}"}} {said}')
        elif said != "missing":
            facts.append(f'home_unreadable_info{{user="{label(user)}",reason="{said}"}} 1')
    counts = [f"homes_measured {len(sizes)}", f"homes_known {len(sizes) + len(facts)}"]
    return "\n".join([f"# measured at={at}", *sizes, *counts, *facts, "# end", ""])


def label(text: str) -> str:
    shown = "".join(c if c.isprintable() else f"\\x{ord(c) & 0xFF:02x}" for c in text)[:200]
    return shown.replace("\\", "\\\\").replace('"', '\\"')


def measure_apart(root: str, state: str, now: int) -> None:
    """Start the next measurement, unless one is running, in a process that nobody waits for. It is kept in state/homes."""
    lock = os.open(state + "/lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    if os.fork():
        return
    try:
        os.setsid()
        if os.fork():
            return
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        os.closerange(3, lock)
        os.closerange(lock + 1, 1024)
        become_idle()
        text = measure(root, now, progress=False)
        with open(state + "/homes.new", "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(state + "/homes.new", state + "/homes")
    finally:
        os._exit(0)


def become_idle() -> None:
    """Last in line for the processor and for the disk."""
    os.nice(19)
    os.spawnlp(os.P_WAIT, "ionice", "ionice", "-t", "-c", "3", "-p", str(os.getpid()))  # noqa: S606


def main(arguments: list[str]) -> None:
    name = os.path.basename(sys.argv[0])
    if arguments not in ([], ["--measure"]):
        raise SystemExit(f"usage: {name} [--measure]")
    become_idle()
    now = int(os.environ.get("VIGIE_NOW") or time.time())
    try:
        sys.stdout.write(measure(os.environ.get("VIGIE_ROOT", ""), now, progress=False))
    except OSError as fault:
        raise SystemExit(f"{name}: {fault}") from None


if __name__ == "__main__":
    main(sys.argv[1:])
