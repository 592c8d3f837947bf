#!/usr/bin/env -S python3 -I -S
"""CPU time of the whole machine, busy and per mode, from /proc/stat.

The kernel counts jiffies (1/100 s) summed over the cores; divided by the number of cores they are seconds of the machine, so
that a rate is a share from 0 to 1. Guest time already stands inside user; waiting for a disk (iowait) is not work; what the
hypervisor took (steal) is not ours. Both are shown as modes and not counted as busy.
"""

import posix
import sys

if __name__ == "__main__":
    sys.path.insert(0, __file__.rpartition("/")[0] or ".")  # -I leaves it out
import reading

MODES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
CORES = """\
# HELP cpu_cores Processor cores
# HELP.fr cpu_cores Cœurs de processeur
# TYPE cpu_cores gauge
"""
BUSY = """\
# HELP cpu_busy_seconds_total CPU in use
# HELP.fr cpu_busy_seconds_total Processeur occupé
# TYPE cpu_busy_seconds_total counter
# WARN cpu_busy_seconds_total > 0.95
# CLEAR cpu_busy_seconds_total 0.85
# FOR cpu_busy_seconds_total 15
"""
BY_MODE = """\
# HELP cpu_seconds_total CPU time by mode
# HELP.fr cpu_seconds_total Temps processeur par mode
# TYPE cpu_seconds_total counter
"""


def counted(root: str) -> tuple[int, list[int], int]:
    """The number of cores, and the jiffies of all of them: by mode, and busy. Raises RefusedError, OSError."""
    stat = reading.slurp(f"{root}/proc/stat")
    first = stat.partition("\n")[0].split()
    if len(first) < 9 or first[0] != "cpu" or not reading.whole("".join(first[1:9])):
        raise reading.RefusedError("/proc/stat does not begin as expected")
    ticks = [int(number) for number in first[1:9]]
    # One line for all of them, then one of each core.
    return max(stat.count("\ncpu"), 1), ticks, ticks[0] + ticks[1] + ticks[2] + ticks[5] + ticks[6]


def text(root: str, _state: str, _alone: bool) -> str:
    cores, ticks, busy = counted(root)
    seconds = []
    for count in (busy, *ticks):
        tenths_of_ms = count * 100 // cores
        seconds.append(f"{tenths_of_ms // 10000}.{tenths_of_ms % 10000:04d}")
    said = f"{CORES}cpu_cores {cores}\n{BUSY}cpu_busy_seconds_total {seconds[0]}\n{BY_MODE}"
    for mode, spent in zip(MODES, seconds[1:], strict=True):
        said += f'cpu_seconds_total{{mode="{mode}"}} {spent}\n'
    return said


def shown(root: str, state: str, alone: bool) -> str:
    """At a terminal: the text, and a second later how busy the machine was meanwhile."""
    from time import sleep

    before = counted(root)[2]
    reading.say(1, text(root, state, alone))
    sleep(1)
    cores, _, after = counted(root)
    reading.say(2, f"CPU in use over one second: {(after - before) // cores} %\n")
    return ""


if __name__ == "__main__":
    reading.main(shown if posix.isatty(1) else text)
