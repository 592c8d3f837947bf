#!/usr/bin/env -S python3 -I -S
"""Memory and swap from /proc/meminfo, and how often the kernel had to kill a process for lack of memory.

Used is what is not available: the kernel's own estimate (MemAvailable) of what a program could still be given without
swapping, caches included.
"""

import sys

if __name__ == "__main__":
    sys.path.insert(0, __file__.rpartition("/")[0] or ".")  # -I leaves it out
import reading

AVAILABLE_RATIO = """\
# HELP memory_available_ratio Memory available
# HELP.fr memory_available_ratio Mémoire disponible
# TYPE memory_available_ratio gauge
# WARN memory_available_ratio < 0.10
# CRIT memory_available_ratio < 0.05
# CLEAR memory_available_ratio 0.15
# FOR memory_available_ratio 10
"""
USED_RATIO = """\
# HELP memory_used_ratio Memory used
# HELP.fr memory_used_ratio Mémoire utilisée
# TYPE memory_used_ratio gauge
"""
AVAILABLE = """\
# HELP memory_available_bytes Memory available
# HELP.fr memory_available_bytes Mémoire disponible
# TYPE memory_available_bytes gauge
"""
USED = """\
# HELP memory_used_bytes Memory used
# HELP.fr memory_used_bytes Mémoire utilisée
# TYPE memory_used_bytes gauge
"""
SIZE = """\
# HELP memory_size_bytes Memory installed
# HELP.fr memory_size_bytes Mémoire installée
# TYPE memory_size_bytes gauge
"""
SWAP_RATIO = """\
# HELP swap_used_ratio Swap used
# HELP.fr swap_used_ratio Espace d’échange utilisé
# TYPE swap_used_ratio gauge
# WARN swap_used_ratio > 0.90 and memory_available_ratio < 0.20
# CLEAR swap_used_ratio 0.80
# FOR swap_used_ratio 10
"""
SWAP_USED = """\
# HELP swap_used_bytes Swap used
# HELP.fr swap_used_bytes Espace d’échange utilisé
# TYPE swap_used_bytes gauge
"""
SWAP_SIZE = """\
# HELP swap_size_bytes Swap installed
# HELP.fr swap_size_bytes Espace d’échange installé
# TYPE swap_size_bytes gauge
"""
KILLS = """\
# HELP oom_kills_total Processes killed for lack of memory
# HELP.fr oom_kills_total Processus tués faute de mémoire
# TYPE oom_kills_total counter
# WARN oom_kills_total > 0
"""


def ratio(part: int, whole: int) -> str:
    millionths = part * 1000000 // whole
    return f"{millionths // 1000000}.{millionths % 1000000:06d}"


def figures(meminfo: str) -> list[int]:
    """Installed, available, swap, swap free, in KiB: in the kernel's order. Raises RefusedError."""
    found = []
    rest = f"\n{meminfo}"
    for start in ("\nMemTotal: ", "\nMemAvailable: ", "\nSwapTotal: ", "SwapFree: "):
        before, _, rest = rest.partition(start)
        number, unit, rest = rest.partition(" kB\n")
        number = number.lstrip(" ")
        if not unit or not reading.whole(number) or (start == "SwapFree: " and before):
            raise reading.RefusedError("/proc/meminfo is not as expected")
        found.append(int(number))
    return found


def text(root: str, _state: str, _alone: bool) -> str:
    size, available, swap, swap_free = figures(reading.slurp(f"{root}/proc/meminfo"))
    if not 0 < size >= available:
        raise reading.RefusedError("/proc/meminfo contradicts itself")
    said = (
        f"{AVAILABLE_RATIO}memory_available_ratio {ratio(available, size)}\n"
        f"{USED_RATIO}memory_used_ratio {ratio(size - available, size)}\n"
        f"{AVAILABLE}memory_available_bytes {available * 1024}\n"
        f"{USED}memory_used_bytes {(size - available) * 1024}\n"
        f"{SIZE}memory_size_bytes {size * 1024}\n"
    )
    if swap:
        said += (
            f"{SWAP_RATIO}swap_used_ratio {ratio(swap - swap_free, swap)}\n"
            f"{SWAP_USED}swap_used_bytes {(swap - swap_free) * 1024}\n"
            f"{SWAP_SIZE}swap_size_bytes {swap * 1024}\n"
        )
    try:
        vmstat = reading.slurp(f"{root}/proc/vmstat")
    except OSError:
        return said
    kills = vmstat.partition("\noom_kill ")[2].partition("\n")[0]
    return f"{said}{KILLS}oom_kills_total {kills}\n" if reading.whole(kills) else said


if __name__ == "__main__":
    reading.main(text)
