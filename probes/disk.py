#!/usr/bin/env -S python3 -I -S
"""Space and inodes of each real file system, once, and whether it has gone read-only.

A file system of the network (or of a program: FUSE) may never answer. Each is asked by a process of its own, all at the same
time, for 3 seconds; one that stays silent is said to be unreachable, the others are printed as ever. The process that is stuck
is remembered in VIGIE_STATE, so that a server dead for a week costs one process, not ten thousand.
"""

import posix
import sys

if __name__ == "__main__":
    sys.path.insert(0, __file__.rpartition("/")[0] or ".")  # -I leaves it out
import reading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

HEAD = """\
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
UNAVAILABLE = "# UNAVAILABLE no file system of a disk is mounted here (a container?)\n"
# Not a disk, or full by nature, or another one seen through.
NOT_DISKS = {
    "autofs", "aufs", "bdev", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "cramfs", "debugfs", "devpts",
    "devtmpfs", "ecryptfs", "efivarfs", "erofs", "fusectl", "hugetlbfs", "iso9660", "mqueue", "nfsd", "nsfs",
    "overlay", "proc", "pstore", "ramfs", "rpc_pipefs", "securityfs", "selinuxfs", "squashfs", "sysfs", "tmpfs",
    "tracefs", "fuse.archivemount", "fuse.gvfsd-fuse", "fuse.lxcfs", "fuse.portal", "fuse.snapfuse",
    "fuse.squashfuse",
}  # fmt: skip
REMOTE = {
    "9p", "afs", "beegfs", "ceph", "cifs", "coda", "fuse", "fuseblk", "gfs2", "glusterfs", "gpfs", "lustre", "ncpfs",
    "nfs", "nfs4", "ocfs2", "smb3", "smbfs", "virtiofs",
}  # fmt: skip
LONGEST = 400  # bytes of a mount point's name
PATIENCE = 3  # s
EACCES = 13

# Block size, blocks, free, free for users, inodes, free inodes. () for what is not to be told, None for who does not answer.
Space = tuple[int, ...] | None


class Mount:
    """Where it is, its type, and the options of the mount and of the whole file system, as ",rw,relatime,"."""

    def __init__(self, point: str, kind: str, own: str, whole: str) -> None:
        self.point, self.kind, self.own, self.whole = point, kind, own, whole
        self.remote = kind in REMOTE or kind.startswith("fuse.")


def unescape(field: str) -> str:
    """mountinfo and fstab write space, tab, newline and backslash as \\040, \\011..."""
    if "\\" not in field:
        return field
    first, *rest = field.encode("utf-8", "surrogateescape").split(b"\\")
    for part in rest:
        code = part[:3]
        octal = len(code) == 3 and not code.strip(b"01234567") and code[0] < b"4"[0]
        first += bytes([int(code, 8)]) + part[3:] if octal else b"\\" + part
    return first.decode("utf-8", "surrogateescape")


def size(text: str) -> int:
    """In bytes."""
    return len(text if text.isascii() else text.encode("utf-8", "surrogateescape"))


def mounts(mountinfo: str) -> list[Mount]:
    """Each file system once, at its shortest point. Raises RefusedError."""
    lines = mountinfo.split("\n")
    # Asking under an automount with a time-out would keep it mounted for ever.
    fleeting = set()
    if " - autofs " in mountinfo:
        for line in lines:
            if " - autofs " in line and ",timeout=0," not in f",{line.rpartition(' ')[2]},":
                fleeting.add(line.partition(" ")[0])
    chosen: dict[str, Mount] = {}
    for line in lines:
        left, dash, right = line.partition(" - ")
        if not dash or right.partition(" ")[0] in NOT_DISKS:
            continue
        fields = left.split(" ")
        kind, *rest = [word for word in right.split(" ") if word] or [""]
        if len(fields) < 6 or not kind:
            raise reading.RefusedError("a line of /proc/self/mountinfo is not as expected")
        if fields[1] in fleeting or (rest and rest[0].startswith("/dev/loop")):
            continue
        point = unescape(fields[4])
        if point.startswith(("/snap/", "/var/lib/snapd/snap/")):
            continue
        known = chosen.get(fields[2])
        if known is None or size(point) < size(known.point):
            chosen[fields[2]] = Mount(point, kind, f",{fields[5]},", f",{rest[1] if len(rest) > 1 else ''},")
    return list(chosen.values())


def gone_readonly(mount: Mount, root: str) -> bool:
    """Read-only though nobody asked for it.

    After an error the kernel makes the whole file system read-only and leaves the mount's own options alone; `mount -o ro` and
    `remount,ro` change both. So: the file system says ro (or ext4's emergency_ro) and the mount does not, or both say ro although
    fstab has a line for it without ro.
    """
    if ",emergency_ro," in mount.whole or ",shutdown," in mount.whole:
        return True
    if ",ro," not in mount.whole:
        return False
    if ",ro," not in mount.own:
        return True
    try:
        rows = reading.slurp(f"{root}/etc/fstab").split("\n")
    except OSError:
        return False
    wanted = ""
    for row in rows:
        fields = [word for word in row.replace("\t", " ").split(" ") if word]
        if len(fields) >= 4 and not fields[0].startswith("#") and unescape(fields[1]) == mount.point:
            wanted = f",{fields[3]},"
    return bool(wanted) and ",ro," not in wanted


def asked(path: bytes) -> tuple[int, ...]:
    """Raises OSError."""
    found = posix.statvfs(path)
    return found.f_frsize, found.f_blocks, found.f_bfree, found.f_bavail, found.f_files, found.f_ffree


def space(path: bytes) -> Space:
    """Of a local file system."""
    try:
        if posix.stat(path).st_mode & 0o170000 == 0o100000:
            return ()  # in a container: a file of the host, mounted alone
        return asked(path)
    except OSError:
        return None


def ratio(part: int, whole: int) -> str:
    """Rounded to millionths."""
    millionths = (2000000 * part + whole) // (2 * whole)
    return f"{millionths // 1000000}.{millionths % 1000000:06d}"


def told(name: str, found: Space) -> str:
    """`name`: its label, in braces."""
    if found is None:
        return f"mount_unreachable_info{name} 1\n"
    block, blocks, free, available, inodes, free_inodes = found
    # A server may say anything, also less than nothing for users (as an unsigned number).
    used = max(blocks - free, 0)
    available = 0 if available >> 63 else available
    said = f"disk_used_ratio{name} {ratio(used, used + available)}\n" if used + available else ""
    said += (
        f"disk_used_bytes{name} {used * block}\n"
        f"disk_available_bytes{name} {available * block}\n"
        f"disk_size_bytes{name} {blocks * block}\n"
    )
    if inodes:  # some (btrfs) have no fixed number of inodes and say 0
        said += f"disk_inodes_used_ratio{name} {ratio(max(inodes - free_inodes, 0), inodes)}\n"
    return said


def text(root: str, state: str, alone: bool) -> str:
    try:
        mountinfo = reading.slurp(f"{root}/proc/self/mountinfo", 16 << 20)
    except OSError:
        raise reading.RefusedError(f"{root}/proc/self/mountinfo cannot be read") from None
    found = mounts(mountinfo)
    remote = [mount for mount in found if mount.remote]
    if remote and not alone:
        raise reading.AskError
    far = ask_apart(remote, root, state) if remote else {}
    said = ""
    seen = set()
    for mount in found:
        name = f'{{mount="{reading.label(mount.point, LONGEST)}"}}'
        if name in seen:
            continue  # two endless names that were cut to the same
        seen.add(name)
        room = far.get(mount) if mount.remote else space(inside(root, mount))
        if room is not None and (not room or not room[0] * room[1]):
            continue  # not a disk, or not ours to see
        said += f"{told(name, room)}filesystem_readonly{name} {int(gone_readonly(mount, root))}\n"
    return HEAD + said if said else UNAVAILABLE


def inside(root: str, mount: Mount) -> bytes:
    return f"{root}{mount.point}".encode("utf-8", "surrogateescape")


# --- Those that may never answer: only in a process of the probe's own ---


def ask_apart(remote: list[Mount], root: str, state: str) -> dict[Mount, Space]:
    """What those said that answered in time; who did not is stuck."""
    before = recall(state)
    stuck = {point: process for point, process in before.items() if started(process[0]) == process[1]}
    ear, mouth = posix.pipe()
    waiting: dict[int, Mount] = {}
    for mount in remote:
        if mount.point not in stuck:
            child = posix.fork()
            if not child:
                answer(inside(root, mount), mouth)
            waiting[child] = mount
    posix.close(mouth)
    found = dict(listen(ear, waiting))
    posix.close(ear)
    for child, mount in waiting.items():
        start = started(child)
        if start:
            stuck[mount.point] = (child, start)
    for child in waiting:
        posix.kill(child, 9)
    for child in waiting:
        posix.waitpid(child, posix.WNOHANG)
    if before or stuck:
        remember(state, stuck)
    return found


def answer(path: bytes, mouth: int) -> None:
    """In the child, which may be stuck here for ever: it lets go of all that is open, so that nobody waits for it."""
    try:
        posix.dup2(mouth, 3)
        nothing = posix.open("/dev/null", posix.O_RDWR)
        for fd in (0, 1, 2):
            posix.dup2(nothing, fd)
        posix.closerange(4, 1 << 16)
        try:
            said = " ".join(str(number) for number in asked(path))
        except OSError as error:
            said = str(error.errno)
        posix.write(3, f"{posix.getpid()} {said}\n".encode())
    finally:
        posix._exit(0)


def listen(ear: int, waiting: dict[int, Mount]) -> "Iterator[tuple[Mount, Space]]":
    """Whoever answers within PATIENCE is taken out of `waiting`."""
    from select import poll
    from time import monotonic

    until = monotonic() + PATIENCE
    ears = poll()
    ears.register(ear)
    rest = b""
    while waiting and (left := until - monotonic()) > 0 and ears.poll(left * 1000):
        piece = posix.read(ear, 1 << 16)
        if not piece:
            return
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            child, *numbers = (int(number) for number in line.split())
            mount = waiting.pop(child)
            posix.waitpid(child, 0)
            if len(numbers) == 6:
                yield mount, tuple(numbers)
            elif mount.kind.startswith("fuse") and numbers == [EACCES]:
                yield mount, ()  # someone's private mount: not ours to see


def started(process: int) -> str:
    """When, in the kernel's ticks; '' when there is none."""
    try:
        fields = reading.slurp(f"/proc/{process}/stat").rpartition(") ")[2].split(" ")
    except OSError:
        return ""
    return fields[19] if len(fields) > 19 else ""


def recall(state: str) -> dict[str, tuple[int, str]]:
    """Mount point -> the process of an earlier cycle that asked there and got no answer, and when that one started."""
    if not state or not reading.exists(f"{state}/stuck"):
        return {}
    found = {}
    for row in reading.slurp(f"{state}/stuck").split("\0"):
        process, _, rest = row.partition(" ")
        start, _, point = rest.partition(" ")
        if reading.whole(process) and len(process) < 20:
            found[point] = (int(process), start)
    return found


def remember(state: str, stuck: dict[str, tuple[int, str]]) -> None:
    if not state:
        return
    rows = "".join(f"{process} {start} {point}\0" for point, (process, start) in stuck.items())
    reading.write(f"{state}/stuck.new", rows)
    posix.rename(f"{state}/stuck.new", f"{state}/stuck")


if __name__ == "__main__":
    reading.main(text)
