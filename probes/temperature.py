#!/usr/bin/env -S python3 -I -S
"""Temperatures from /sys/class/hwmon; from /sys/class/thermal where there is none."""

import posix
import sys

if __name__ == "__main__":
    sys.path.insert(0, __file__.rpartition("/")[0] or ".")  # -I leaves it out
import reading

HEAD = """\
# HELP temperature_celsius Temperature
# HELP.fr temperature_celsius Température
# TYPE temperature_celsius gauge
# WARN temperature_celsius > 85
# CRIT temperature_celsius > 95
# CLEAR temperature_celsius 80
# FOR temperature_celsius 5
"""
ALLOWED = reading.ALPHANUMERIC + " ._+-"


def first_line(path: str) -> str | None:
    """Without the spaces around it. None when it cannot be read, or does not end: some drivers answer only at times."""
    try:
        line, end, _ = reading.slurp(path, 4096).partition("\n")
    except OSError:
        return None
    return line.strip(" \t") if end else None


def names(folder: str, start: str) -> list[str]:
    try:
        return sorted(name for name in posix.listdir(folder) if name.startswith(start))
    except OSError:
        return []


def text(root: str, _state: str, _alone: bool) -> str:
    seen: set[str] = set()
    lines = ""
    for value, sensor in hwmon(f"{root}/sys/class/hwmon"):
        lines += line(value, sensor, seen)
    if not lines:
        for value, sensor in thermal(f"{root}/sys/class/thermal"):
            lines += line(value, sensor, seen)
    return HEAD + lines if lines else "# UNAVAILABLE no temperature sensor is visible\n"


def hwmon(folder: str) -> list[tuple[str | None, str]]:
    """What each sensor says, and its name."""
    found = []
    for name in names(folder, "hwmon"):
        chip = None
        for file in names(f"{folder}/{name}", "temp"):
            if not file.endswith("_input"):
                continue
            sensor = file.removesuffix("_input")
            label = first_line(f"{folder}/{name}/{sensor}_label")
            if label is None:
                label = sensor
            if label.startswith("Core "):
                continue  # the package's own sensor is the warmest of them
            if chip is None:
                chip = first_line(f"{folder}/{name}/name")
                chip = "unnamed" if chip is None else chip
            found.append((first_line(f"{folder}/{name}/{file}"), f"{chip} {label}"))
    return found


def thermal(folder: str) -> list[tuple[str | None, str]]:
    found = []
    for name in names(folder, "thermal_zone"):
        zone = first_line(f"{folder}/{name}/type")
        if zone is not None:
            found.append((first_line(f"{folder}/{name}/temp"), zone))
    return found


def line(value: str | None, sensor: str, seen: set[str]) -> str:
    """Of thousandths of a degree. '' for a sensor that does not answer, or says nonsense."""
    if value is None:
        return ""
    sign = "-" if value.startswith("-") else ""
    digits = value.removeprefix("-")
    if not reading.whole(digits) or len(digits) > 6 or int(digits) >= (40000 if sign else 150000):
        return ""
    first = name = reading.tame(sensor, ALLOWED)
    number = 1
    while name in seen:  # two processors have the same names
        number += 1
        name = f"{first} {number}"
    seen.add(name)
    return f'temperature_celsius{{sensor="{name}"}} {sign}{int(digits) // 1000}.{int(digits) % 1000:03d}\n'


if __name__ == "__main__":
    reading.main(text)
