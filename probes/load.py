#!/usr/bin/env -S python3 -I -S
"""Load average: processes that run, want to run, or wait for a disk.

Off as an alert: it counts the waiting without saying who waits for what; pressure.py says it. The shipped level follows the
number of cores.
"""

import sys

if __name__ == "__main__":
    sys.path.insert(0, __file__.rpartition("/")[0] or ".")  # -I leaves it out
import reading


def text(root: str, _state: str, _alone: bool) -> str:
    averages = reading.slurp(f"{root}/proc/loadavg", 4096).partition("\n")[0].split(" ", 3)[:3]
    for value in averages:
        before, point, after = value.partition(".")
        if not (point and reading.whole(before) and reading.whole(after)):
            averages = []
    if len(averages) != 3:
        raise reading.RefusedError("/proc/loadavg does not begin with three numbers")
    one, five, fifteen = averages
    cores = online(root)
    return f"""\
# HELP load_average Load average
# HELP.fr load_average Charge moyenne
# TYPE load_average gauge
# WARN load_average > {2 * cores}
# CRIT load_average > {4 * cores}
# FOR load_average 15
# OFF load_average
load_average{{window="1m"}} {one}
load_average{{window="5m"}} {five}
load_average{{window="15m"}} {fifteen}
"""


def online(root: str) -> int:
    """How many cores are at work; 1 where the kernel does not say."""
    path = f"{root}/sys/devices/system/cpu/online"
    try:
        spans = reading.slurp(path, 4096).partition("\n")[0]
    except OSError:
        spans = ""
    cores = 0
    for span in (spans or "0").split(","):  # "0-3,6" is 0 to 3, and 6
        first, dash, last = span.partition("-")
        if not dash:
            last = first
        if not (reading.whole(first) and reading.whole(last)):
            raise reading.RefusedError(f"{path} is not a list of cores")
        cores += int(last) - int(first) + 1
    return cores


if __name__ == "__main__":
    reading.main(text)
