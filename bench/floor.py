"""The floor of a cycle in one process: `python3 -I -S bench/floor.py FOLDER`, imports nothing that is not built in.

It takes a lock, reads what the shipped probes read of /proc (every process too), asks one file system for its room, goes
once over the lines as the calm does, writes them aside, syncs and renames. No probe is its own executable, nothing is
isolated, nothing is judged: it says how little the reading itself costs, not what a monitor could be.
"""

import fcntl
import posix
import sys

FILES = ("stat", "meminfo", "vmstat", "loadavg", "net/dev", "diskstats", "uptime", "mdstat", "self/mountinfo",
         "pressure/cpu", "pressure/memory", "pressure/io")  # fmt: skip
KERNEL_THREAD = 0x200000


def slurp(path: str) -> bytes:
    try:
        fd = posix.open(path, posix.O_RDONLY)
    except OSError:
        return b""
    try:
        return posix.read(fd, 65_536)
    except OSError:
        return b""  # it has just ended
    finally:
        posix.close(fd)


def lines() -> list[bytes]:
    found = []
    for name in FILES:
        for line in slurp(f"/proc/{name}").split(b"\n")[:40]:
            words = line.split()
            if words:
                found.append(b'x{y="%s"} %s' % (words[0], words[1] if len(words) > 1 else b"0"))
    used: dict[bytes, int] = {}
    held: dict[bytes, int] = {}
    for pid in posix.listdir("/proc"):
        if not pid.isdigit():
            continue
        fields = slurp(f"/proc/{pid}/stat").rpartition(b")")[2].split()
        if len(fields) < 20:
            continue
        uid = b"0"
        if not int(fields[6]) & KERNEL_THREAD:
            status = slurp(f"/proc/{pid}/status")
            uid = status.partition(b"\nUid:\t")[2][:40].split()[1]
            anonymous = status.partition(b"\nRssAnon:")[2][:24].split()
            held[uid] = held.get(uid, 0) + (int(anonymous[0]) if anonymous else 0)
        used[uid] = used.get(uid, 0) + int(fields[11]) + int(fields[12])
    room = posix.statvfs("/")
    return [*found, *(b'c{u="%s"} %d' % pair for pair in used.items()), *(b'm{u="%s"} %d' % pair for pair in held.items()),
            b"r %d" % room.f_bavail]  # fmt: skip


def main(folder: str) -> None:
    lock = posix.open(f"{folder}/floor.lock", posix.O_WRONLY | posix.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    text = lines()
    beyond = sum(line.rpartition(b" ")[2].isdigit() and float(line.rpartition(b" ")[2]) > 1e15 for line in text)
    fd = posix.open(f"{folder}/floor.new", posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC, 0o600)
    posix.write(fd, b"\n".join([*text, b"# %d" % beyond, b""]))
    posix.fsync(fd)
    posix.rename(f"{folder}/floor.new", f"{folder}/floor.prom")
    posix.fsync(posix.open(folder, posix.O_RDONLY))


main(sys.argv[1])
