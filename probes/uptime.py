#!/usr/bin/env -S python3 -I -S
"""Seconds since the machine started."""

import sys

if __name__ == "__main__":
    sys.path.insert(0, __file__.rpartition("/")[0] or ".")  # -I leaves it out
import reading

HEAD = """\
# HELP uptime_seconds Time since the last start
# HELP.fr uptime_seconds Temps depuis le démarrage
# TYPE uptime_seconds gauge
"""


def text(root: str, _state: str, _alone: bool) -> str:
    uptime = reading.slurp(f"{root}/proc/uptime").partition(" ")[0]
    before, point, after = uptime.partition(".")
    if not (point and reading.whole(before) and reading.whole(after)):
        raise reading.RefusedError("/proc/uptime does not begin with a number")
    return f"{HEAD}uptime_seconds {uptime}\n"


if __name__ == "__main__":
    reading.main(text)
