#!/usr/bin/env -S python3 -I -S
"""The size of each person's home, measured about once an hour in the background.

Walking a disk takes minutes, so the probe never does it itself:

1. A text handed over by a privileged run (VIGIE_HOMES_TEXT, else /run/vigie/homes.prom) wins, when only root, or who
   runs this probe, can have written it, and it is less than 3 hours old.
2. Else the last measurement kept in VIGIE_STATE is printed. Once it is 55 minutes old, a process of its own, at idle
   priority, starts the next one; it holds a lock, so that two never overlap.
3. Run by hand, without VIGIE_STATE, it measures at once and says on standard error how far it is.

`homes.py --measure` is what the privileged run starts: it measures and prints, reads no setting and writes no file.

A home counts what it occupies (as `du -sx`: blocks, hard links once, one file system, no link followed). One that cannot
be read to its end is not measured: a part would look like the whole.
"""

import fcntl
import os
import stat
import sys
import time
from select import select

ROOT = os.environ.get("VIGIE_ROOT", "")
STATE = os.environ.get("VIGIE_STATE", "")
HANDED = os.environ.get("VIGIE_HOMES_TEXT") or "/run/vigie/homes.prom"
AGAIN, STALE, HANDED_STALE = 55 * 60, 8 * 3600, 3 * 3600  # seconds
PATIENCE = 3600.0  # seconds for one home: it may lie on a server that is dead
DEEPEST = 400  # folders: each one open costs two of the 1024 files that a process may have

TEXT = """\
# HELP user_home_bytes Home folder by user
# EVERY 15
# HELP.fr user_home_bytes Dossier personnel par utilisateur
# TYPE user_home_bytes gauge
# WARN user_home_bytes > 100e9
# OFF user_home_bytes
# HELP homes_measured Homes measured
# HELP.fr homes_measured Dossiers personnels mesurés
# TYPE homes_measured gauge
# HELP homes_known Homes
# HELP.fr homes_known Dossiers personnels
# TYPE homes_known gauge
# HELP home_unreadable_info Home not measured
# HELP.fr home_unreadable_info Dossier personnel non mesuré
"""

SERIES = ("user_home_bytes{", "homes_measured ", "homes_known ", "home_unreadable_info{")


def homes() -> dict[str, str]:
    """User -> home, of the accounts one can log in with. Two accounts with one home: the first."""
    try:
        with open(ROOT + "/etc/shells", encoding="utf-8") as file:
            shells = {line.strip() for line in file if line.startswith("/")}
    except OSError:
        shells = set()
    found: dict[str, str] = {}
    for user, home, shell in accounts():
        program = shell or "/bin/sh"
        if program.endswith(("/nologin", "/false")) or (shells and program not in shells):
            continue
        path = os.path.normpath(home)
        if path.startswith("/") and path.strip("/") and path not in found.values():
            found.setdefault(user, path)
    return found


def accounts() -> list[tuple[str, str, str]]:
    """(user, home, shell) of every account, the directory's too where it lets itself be listed."""
    if not ROOT:
        import pwd

        return [(entry.pw_name, entry.pw_dir, entry.pw_shell) for entry in pwd.getpwall()]
    with open(ROOT + "/etc/passwd", encoding="utf-8", errors="surrogateescape") as file:
        rows = [line.rstrip("\n").split(":") for line in file]
    return [(row[0], row[5], row[6]) for row in rows if len(row) == 7]


class Walk:
    """Adds up one home. It goes down by open folders, so that a folder swapped for a link leads nowhere else."""

    FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NONBLOCK

    def __init__(self, top: str, others: set[str]) -> None:
        self.others = others  # homes inside this one, relative to it: they are counted for their own users
        self.whole = True
        self.linked: set[int] = set()
        fd = os.open(ROOT + top, self.FLAGS)
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


def measure(at: int, progress: bool) -> str:
    """The whole text. `at` is UTC seconds."""
    known = homes()
    sizes, facts = [], []
    for number, (user, path) in enumerate(known.items(), 1):
        others = {other[len(path) + 1 :] for other in known.values() if other.startswith(path + "/")}
        said = measure_home(path, others)
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


def checked(text: str) -> tuple[int, list[str]]:
    """(when it was measured, its series); ValueError when it is not a whole text of ours."""
    first, *lines = text.split("\n")
    word, _, at = first.partition("at=")
    if word != "# measured " or not (at.isascii() and at.isdigit()) or lines[-2:] != ["# end", ""]:
        raise ValueError("it is not what homes.py --measure prints, or was cut")
    for line in lines[:-2]:
        series, _, value = line.rpartition(" ")
        inside = series.replace("\\\\", "").replace('\\"', "")
        if not (
            line.startswith(SERIES) and line.isprintable() and value.isascii() and value.isdigit()
            and inside.count('"') in {0, 2, 4} and inside.count("{") <= 1 and (series.endswith('"}') or "{" not in series)
        ):  # fmt: skip
            raise ValueError(f"this line is not one of ours: {line[:80]!r}")
    return int(at), lines[:-2]


def handed_over(now: int) -> list[str] | None:
    """The series of the privileged run; None when there is no such text, or it cannot be trusted (said on stderr)."""
    try:
        fd = os.open(HANDED, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        print(f"homes.py: {HANDED} is not used: {error.strerror}", file=sys.stderr)
        return None
    try:
        s = os.fstat(fd)
        if not stat.S_ISREG(s.st_mode) or s.st_uid not in {0, os.geteuid()} or s.st_mode & 0o022:
            raise ValueError("it must be a plain file of root that nobody else may write")
        at, lines = checked(os.read(fd, 1 << 20).decode())
        if not -300 <= now - at <= HANDED_STALE:
            raise ValueError(f"it was measured {(now - at) // 60} minutes ago")
    except ValueError as error:
        print(f"homes.py: {HANDED} is not used: {error}", file=sys.stderr)
        return None
    finally:
        os.close(fd)
    return lines


def last_kept() -> tuple[int, list[str]]:
    """(when, series) of the last measurement; (0, []) when there is none."""
    try:
        with open(STATE + "/homes", encoding="utf-8") as file:
            return checked(file.read())
    except (OSError, ValueError):
        return 0, []


def measure_apart(now: int) -> None:
    """Start the next measurement, unless one is running, in a process that nobody waits for."""
    lock = os.open(STATE + "/lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
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
        text = measure(now, progress=False)
        with open(STATE + "/homes.new", "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(STATE + "/homes.new", STATE + "/homes")
    finally:
        os._exit(0)


def become_idle() -> None:
    """Last in line for the processor and for the disk."""
    os.nice(19)
    os.spawnlp(os.P_WAIT, "ionice", "ionice", "-t", "-c", "3", "-p", str(os.getpid()))  # noqa: S606


def main() -> None:
    now = int(os.environ.get("VIGIE_NOW") or time.time())
    if sys.argv[1:] == ["--measure"]:
        become_idle()
        sys.stdout.write(measure(now, progress=False))
        return
    if sys.argv[1:]:
        raise SystemExit("usage: homes.py [--measure]")
    lines = handed_over(now)
    if lines is None and STATE:
        at, lines = last_kept()
        if not 0 <= now - at < AGAIN:
            measure_apart(now)
        if not lines or now - at > STALE:
            print("# EVERY 15\n# UNAVAILABLE the homes are being measured")
            return
    elif lines is None:
        _, lines = checked(measure(now, progress=True))
    sys.stdout.write(TEXT + "\n".join(lines) + "\n")


try:
    main()
except OSError as fault:
    raise SystemExit(f"homes.py: {fault}") from None
