#!/usr/bin/env -S python3 -I -S
"""Bytes read and written by each disk, and the time it was busy.

Real disks only, not their partitions, nor loop, RAID, LVM or memory devices, which would count the same bytes again.
"""

import sys

if __name__ == "__main__":
    sys.path.insert(0, __file__.rpartition("/")[0] or ".")  # -I leaves it out
import reading

READ = """\
# HELP diskio_read_bytes_total Disks, read
# HELP.fr diskio_read_bytes_total Disques, lecture
# TYPE diskio_read_bytes_total counter
"""
WRITTEN = """\
# HELP diskio_written_bytes_total Disks, written
# HELP.fr diskio_written_bytes_total Disques, écriture
# TYPE diskio_written_bytes_total counter
"""
BUSY = """\
# HELP diskio_busy_seconds_total Disks, time busy
# HELP.fr diskio_busy_seconds_total Disques, temps d’occupation
# TYPE diskio_busy_seconds_total counter
"""
ALLOWED = reading.ALPHANUMERIC + "._-"


def text(root: str, _state: str, _alone: bool) -> str:
    read = written = busy = ""
    table = reading.slurp(f"{root}/proc/diskstats").removesuffix("\n")
    for row in table.split("\n") if table else ():
        # Its two numbers are padded; after them one space parts each from the next.
        _, _, rest = row.lstrip(" ").partition(" ")
        _, _, rest = rest.lstrip(" ").partition(" ")
        device, _, rest = rest.partition(" ")
        if (device.startswith("loop") and reading.whole(device[4:5])) or (
            device.startswith("ram") and reading.whole(device[3:4])
        ):
            continue  # the most, and never a disk
        figures = rest.split(" ", 10)
        if len(figures) < 10 or not reading.whole(figures[0] + figures[2] + figures[6] + figures[9]):
            raise reading.RefusedError("a line of /proc/diskstats is not as expected")
        if device.startswith(("sr", "fd")) or not reading.exists(f"{root}/sys/block/{device.replace('/', '!')}/device"):
            continue
        name = reading.tame(device, ALLOWED)
        ms = int(figures[9])
        # The kernel's sectors have 512 bytes here, whatever the disk's own have.
        read += f'diskio_read_bytes_total{{device="{name}"}} {int(figures[2]) * 512}\n'
        written += f'diskio_written_bytes_total{{device="{name}"}} {int(figures[6]) * 512}\n'
        busy += f'diskio_busy_seconds_total{{device="{name}"}} {ms // 1000}.{ms % 1000:03d}\n'
    if not busy:
        return "# UNAVAILABLE no disk of this machine is visible\n"
    return f"{READ}{read}{WRITTEN}{written}{BUSY}{busy}"


if __name__ == "__main__":
    reading.main(text)
