#!/usr/bin/env -S python3 -I -S
"""RAID arrays that miss a disk: Linux software RAID from /proc/mdstat, ZFS pools from what its module says in /proc.

Both are readable by everyone. Hardware RAID, LVM's own RAID and btrfs are not asked: they need root or a vendor's tool.
"""

import posix
import sys

if __name__ == "__main__":
    sys.path.insert(0, __file__.rpartition("/")[0] or ".")  # -I leaves it out
import reading

HEAD = """\
# HELP raid_degraded RAID array that misses a disk
# EVERY 5
# HELP.fr raid_degraded Grappe RAID à laquelle manque un disque
# TYPE raid_degraded gauge
# CRIT raid_degraded > 0
"""
UNAVAILABLE = """\
# EVERY 5
# UNAVAILABLE there is no software RAID and no ZFS pool
"""
ALLOWED = reading.ALPHANUMERIC + "._:-"
DEGRADED = {"DEGRADED", "FAULTED", "OFFLINE", "REMOVED", "UNAVAIL", "SUSPENDED"}


def misses_a_disk(row: str) -> bool:
    """Whether it has something like [UU_]."""
    for part in row.split("[")[1:]:
        disks, end, _ = part.partition("]")
        if end and "_" in disks and not disks.strip("U_"):
            return True
    return False


def arrays(mdstat: str) -> dict[str, int]:
    """Each array of the kernel -> 1 when it is degraded. An array's first line names it, the next ones show its disks."""
    found: dict[str, int] = {}
    name = ""
    for row in mdstat.split("\n"):
        words = row.split(None, 3)
        if words[1:2] == [":"] and words[0] not in {"Personalities", "unused"}:
            name = words[0]
            rest = words[3] if len(words) == 4 else ""
            found[name] = 0 if words[2:3] == ["active"] and "(F)" not in rest else 1
        elif name and misses_a_disk(row):
            found[name] = 1
    return found


def pools(folder: str) -> dict[str, int]:
    """Each ZFS pool -> 1 when it is degraded. Raises RefusedError."""
    found = {}
    try:
        inside = sorted(f"{name}/state" for name in posix.listdir(folder) if not name.startswith("."))
    except OSError:
        return {}
    for path in inside:
        try:
            state = reading.slurp(f"{folder}/{path}", 4096).partition("\n")[0].strip(" \t")
        except (FileNotFoundError, NotADirectoryError):
            continue  # not a pool
        name = path.removesuffix("/state")
        if state != "ONLINE" and state not in DEGRADED:
            raise reading.RefusedError(f"the state of the pool {name} is not one that ZFS has")
        found[name] = 0 if state == "ONLINE" else 1
    return found


def text(root: str, _state: str, _alone: bool) -> str:
    try:
        mdstat = reading.slurp(f"{root}/proc/mdstat")
    except OSError:
        mdstat = ""
    lines = ""
    for found in (arrays(mdstat), pools(f"{root}/proc/spl/kstat/zfs")):
        for name, degraded in found.items():
            lines += f'raid_degraded{{array="{reading.tame(name, ALLOWED)}"}} {degraded}\n'
    return HEAD + lines if lines else UNAVAILABLE


if __name__ == "__main__":
    reading.main(text)
