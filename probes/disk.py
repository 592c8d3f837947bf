#!/usr/bin/env -S python3 -I -S
"""Space and inodes of each real file system, once, and whether it has gone read-only.

A file system of the network (or of a program: FUSE) may never answer. Each is asked in a process of its own, all at the
same time, for 3 seconds; one that stays silent is said to be unreachable, the others are printed as ever. The process
that is stuck is remembered in VIGIE_STATE, so that a server dead for a week costs one process, not ten thousand.
"""

import os
import sys
import time
from select import select

ROOT = os.environ.get("VIGIE_ROOT", "")
STATE = os.environ.get("VIGIE_STATE", "")
PATIENCE = 3.0  # seconds

TEXT = """\
# HELP disk_used_ratio Disk space used
# HELP.fr disk_used_ratio Espace disque utilisé
# TYPE disk_used_ratio gauge
# WARN disk_used_ratio > 0.90
# CRIT disk_used_ratio > 0.97 and disk_available_bytes < 5e9
# CLEAR disk_used_ratio 0.85
# HELP disk_used_bytes Disk space used
# HELP.fr disk_used_bytes Espace disque utilisé
# TYPE disk_used_bytes gauge
# HELP disk_available_bytes Disk space available
# HELP.fr disk_available_bytes Espace disque disponible
# TYPE disk_available_bytes gauge
# HELP disk_size_bytes Disk size
# HELP.fr disk_size_bytes Taille du disque
# TYPE disk_size_bytes gauge
# HELP disk_inodes_used_ratio Inodes used
# HELP.fr disk_inodes_used_ratio Inodes utilisés
# TYPE disk_inodes_used_ratio gauge
# WARN disk_inodes_used_ratio > 0.90
# CRIT disk_inodes_used_ratio > 0.97
# CLEAR disk_inodes_used_ratio 0.85
# HELP filesystem_readonly File system gone read-only
# HELP.fr filesystem_readonly Système de fichiers passé en lecture seule
# TYPE filesystem_readonly gauge
# CRIT filesystem_readonly > 0
# HELP mount_unreachable_info File system that does not answer
# HELP.fr mount_unreachable_info Système de fichiers qui ne répond pas
"""

# Not a disk, or full by nature, or another one seen through.
SKIPPED = {
    *("autofs", "aufs", "bdev", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "cramfs", "debugfs", "devpts"),
    *("devtmpfs", "ecryptfs", "efivarfs", "erofs", "fusectl", "hugetlbfs", "iso9660", "mqueue", "nfsd", "nsfs"),
    *("overlay", "proc", "pstore", "ramfs", "rpc_pipefs", "securityfs", "selinuxfs", "squashfs", "sysfs", "tmpfs"),
    *("tracefs", "fuse.archivemount", "fuse.gvfsd-fuse", "fuse.lxcfs", "fuse.portal", "fuse.snapfuse"),
    "fuse.squashfuse",
}
REMOTE = {
    *(
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "coda",
        "fuse",
        "fuseblk",
        "gfs2",
        "glusterfs",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
    ),
    *("nfs4", "ocfs2", "smb3", "smbfs", "virtiofs"),
}


class Mount:
    """One line of mountinfo. `own` are the options of this mount, `whole` those of the file system under it."""

    def __init__(self, line: str) -> None:
        left, right = line.split(" - ", 1)
        self.ident, self.parent, self.device, _, point, self.own = left.split(" ")[:6]
        self.type, self.source, self.whole = (*right.split(" "), "", "")[:3]
        self.point = unescape(point)


def unescape(field: str) -> str:
    r"""mountinfo and fstab write space, tab, newline and backslash as \040, \011, \012 and \134."""
    first, *rest = field.split("\\")
    for piece in rest:
        octal = len(piece) >= 3 and all(c in "01234567" for c in piece[:3])
        first += chr(int(piece[:3], 8)) + piece[3:] if octal else "\\" + piece
    return first


def label(text: str) -> str:
    r"""A label's value by the rules of Prometheus; what cannot be seen becomes the text \x.. ; never endless."""
    shown = "".join(c if c.isprintable() or c == "\n" else visible(ord(c)) for c in text)
    return shown[:400].replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def visible(code: int) -> str:
    if 0xDC80 <= code <= 0xDCFF:  # how Python holds a byte that is not UTF-8
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def read_lines(path: str) -> list[str]:
    with open(ROOT + path, encoding="utf-8", errors="surrogateescape", newline="\n") as file:
        return file.read().split("\n")


def real_mounts() -> list[Mount]:
    """Each file system once, at its shortest mount point."""
    mounts = [Mount(line) for line in read_lines("/proc/self/mountinfo") if " - " in line]
    # Asking under an automount with a time-out would keep it mounted for ever.
    fleeting = {m.ident for m in mounts if m.type == "autofs" and "timeout=0" not in m.whole.split(",")}
    chosen: dict[str, Mount] = {}
    for mount in mounts:
        if (
            mount.type in SKIPPED
            or mount.parent in fleeting
            or mount.source.startswith("/dev/loop")
            or mount.point.startswith(("/snap/", "/var/lib/snapd/snap/"))
        ):
            continue
        known = chosen.get(mount.device)
        if known is None or len(mount.point) < len(known.point):
            chosen[mount.device] = mount
    return sorted(chosen.values(), key=lambda mount: mount.point)


def gone_readonly(mount: Mount, wanted: dict[str, bool]) -> bool:
    """Read-only though nobody asked for it.

    After an error the kernel makes the whole file system read-only and leaves the mount's own options alone; `mount -o
    ro` and `remount,ro` change both. So: the file system says ro (or ext4's emergency_ro) and the mount does not, or
    both say ro although fstab has a line for it without ro.
    """
    whole = mount.whole.split(",")
    if "emergency_ro" in whole or "shutdown" in whole:
        return True
    if "ro" not in whole:
        return False
    return "ro" not in mount.own.split(",") or wanted.get(mount.point) is False


def wanted_readonly() -> dict[str, bool]:
    """Mount point -> does fstab want it read-only."""
    try:
        rows = [line.split() for line in read_lines("/etc/fstab") if not line.lstrip().startswith("#")]
    except OSError:
        return {}
    return {unescape(row[1]): "ro" in row[3].split(",") for row in rows if len(row) >= 4}


def numbers(point: str) -> list[int]:
    """[size, used, available, inodes used, inodes available] in bytes and inodes; size 0: not a disk."""
    s = os.statvfs((ROOT + point).encode(errors="surrogateescape"))
    return [s.f_blocks * s.f_frsize, (s.f_blocks - s.f_bfree) * s.f_frsize, s.f_bavail * s.f_frsize,
            s.f_files - s.f_ffree, s.f_favail]  # fmt: skip


def ask_apart(mounts: list[Mount], stuck: dict[str, str]) -> dict[str, list[int]]:
    """The numbers of those that answered in time. `stuck` (mount point -> process) gains those who did not."""
    asked: dict[int, tuple[Mount, int]] = {}
    for mount in mounts:
        if mount.point in stuck:
            continue
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            answer(mount.point, writer)
        os.close(writer)
        asked[reader] = (mount, pid)
    answers: dict[str, list[int]] = {}
    deadline = time.monotonic() + PATIENCE
    while asked and (ready := select(list(asked), [], [], max(0.0, deadline - time.monotonic()))[0]):
        for reader in ready:
            mount, pid = asked.pop(reader)
            words = os.read(reader, 200).split()
            os.close(reader)
            os.waitpid(pid, 0)
            if words and words[0] != b"-":
                answers[mount.point] = [int(word) for word in words]
            elif words and int(words[1]) == 13 and mount.type.startswith("fuse"):
                answers[mount.point] = [0] * 5  # someone's private mount: not ours to see
    for mount, pid in asked.values():
        if started := process_start(pid):
            stuck[mount.point] = f"{pid} {started}"
        os.kill(pid, 9)
    return answers


def answer(point: str, writer: int) -> None:
    """The child's whole life. It lets go of our output, so that whoever reads it never waits for this process."""
    try:
        os.closerange(0, writer)
        os.write(writer, " ".join(map(str, numbers(point))).encode())
    except OSError as error:
        os.write(writer, b"- %d" % (error.errno or 0))
    finally:
        os._exit(0)


def process_start(pid: int) -> str:
    """When the process started, in the kernel's ticks; '' when there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b") ")[2].split()[19].decode()
    except OSError:
        return ""


def recall_stuck() -> dict[str, str]:
    """The processes of earlier cycles that still wait: mount point -> "pid start"."""
    try:
        with open(STATE + "/stuck", encoding="utf-8", errors="surrogateescape") as file:
            rows = [line.split(" ", 2) for line in file.read().split("\0") if line]
    except FileNotFoundError:
        return {}
    return {point: f"{pid} {start}" for pid, start, point in rows if process_start(int(pid)) == start}


def remember_stuck(stuck: dict[str, str]) -> None:
    temporary = f"{STATE}/stuck.{os.getpid()}"
    with open(temporary, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write("".join(f"{process} {point}\0" for point, process in stuck.items()))
    os.replace(temporary, STATE + "/stuck")


def lines_of(name: str, space: list[int]) -> list[str]:
    size, used, available, inodes, inodes_free = space
    lines = [
        f"disk_used_ratio{name} {used / (used + available):.6f}" if used + available else "",
        f"disk_used_bytes{name} {used}",
        f"disk_available_bytes{name} {available}",
        f"disk_size_bytes{name} {size}",
        # Some (btrfs) have no fixed number of inodes and say 0.
        f"disk_inodes_used_ratio{name} {inodes / (inodes + inodes_free):.6f}" if inodes + inodes_free > 0 else "",
    ]
    return [line for line in lines if line]


def main() -> None:
    mounts = real_mounts()
    remote = [m for m in mounts if m.type in REMOTE or m.type.startswith("fuse.")]
    before = recall_stuck() if STATE else {}
    stuck = dict(before)
    answers = ask_apart(remote, stuck) if remote else {}
    if STATE and stuck != before:
        remember_stuck(stuck)
    wanted = wanted_readonly()
    lines, seen = [], set()
    for mount in mounts:
        name = f'{{mount="{label(mount.point)}"}}'
        if name in seen:  # two endless names that were cut to the same
            continue
        seen.add(name)
        space = answers.get(mount.point)
        if mount not in remote:
            try:
                if os.path.isfile(ROOT + mount.point):  # in a container: a file of the host, mounted alone
                    continue
                space = numbers(mount.point)
            except OSError as error:
                print(f"disk.py: {mount.point!r}: {error.strerror}", file=sys.stderr)
        if space is None:
            lines.append(f"mount_unreachable_info{name} 1")
        elif space[0] == 0:
            continue
        else:
            lines += lines_of(name, space)
        lines.append(f"filesystem_readonly{name} {int(gone_readonly(mount, wanted))}")
    if not lines:
        sys.stdout.write("# UNAVAILABLE no file system of a disk is mounted here (a container?)\n")
        return
    sys.stdout.buffer.write((TEXT + "\n".join(lines) + "\n").encode("utf-8"))


try:
    main()
except OSError as fault:
    raise SystemExit(f"disk.py: {fault}") from None
