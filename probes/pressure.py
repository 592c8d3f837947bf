#!/usr/bin/env -S python3 -I -S
"""Pressure: the share of time in which something (some) or everything (full) waited for the processor, memory or a disk."""

import sys

if __name__ == "__main__":
    sys.path.insert(0, __file__.rpartition("/")[0] or ".")  # -I leaves it out
import reading

# One level for all lines: a comment cannot name a line. More than half of the time lost to waiting, for a quarter of an hour,
# is felt by people whatever the resource.
HEAD = """\
# HELP pressure_waiting_seconds_total Time lost waiting
# HELP.fr pressure_waiting_seconds_total Temps perdu à attendre
# TYPE pressure_waiting_seconds_total counter
# WARN pressure_waiting_seconds_total > 0.6
# CLEAR pressure_waiting_seconds_total 0.4
# FOR pressure_waiting_seconds_total 15
"""
UNAVAILABLE = "# UNAVAILABLE this kernel does not measure pressure (CONFIG_PSI, or psi=1 on its command line)\n"


def text(root: str, _state: str, _alone: bool) -> str:
    folder = f"{root}/proc/pressure"
    try:
        cpu = reading.slurp(f"{folder}/cpu", 4096)
    except OSError:
        cpu = ""
    if not cpu:
        return UNAVAILABLE
    said = HEAD
    for resource in ("cpu", "memory", "io"):
        path = f"{folder}/{resource}"
        rows = cpu if resource == "cpu" else reading.slurp(path, 4096)
        for row in rows.removesuffix("\n").split("\n") if rows else ():
            kind = row.partition(" ")[0]
            before, equals, us = row.rpartition(" total=")
            if not equals or kind not in {"some", "full"} or before.count(" ") != 3 or not reading.whole(us):
                raise reading.RefusedError(f"{path} is not as expected")
            if resource == "cpu" and kind == "full":
                continue  # for a whole machine it is always 0
            spent = f"{us[:-6] or '0'}.{us[-6:]:0>6}"
            said += f'pressure_waiting_seconds_total{{resource="{resource}",kind="{kind}"}} {spent}\n'
    return said


if __name__ == "__main__":
    reading.main(text)
