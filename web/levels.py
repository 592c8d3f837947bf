"""Levels as a person types them: 90 for 0.9, 5 for five gibibytes; commas, spaces and units are understood. Pure."""

import re
from collections.abc import Mapping
from typing import NamedTuple

from alerts.words import N_, Words
from archive import units


class Mistake(Exception):
    """A typed value that cannot be used: an English msgid and what to fill in."""

    def __init__(self, message: str, **values: object) -> None:
        super().__init__(message % values if values else message)
        self.message, self.values = message, values


class Scale(NamedTuple):
    """A bare number is `factor` of the metric's own unit; `sign` stands beside the field; `example` is for messages."""

    factor: float
    sign: str
    example: str


SCALES = {
    "ratio": Scale(0.01, "%", N_("90 or 97.5")),
    "bytes": Scale(2.0**30, "", N_("5 GiB or 500 MB")),
    "bytes_rate": Scale(2.0**20, "", N_("20 MiB/s")),
    "seconds": Scale(1.0, "s", N_("30 s or 5 min")),
    "celsius": Scale(1.0, "°C", "80"),
    "count": Scale(1.0, "", "12"),
    "count_rate": Scale(1.0, "/s", "12"),
}
_PREFIXES = {
    "": 1.0,
    "k": 1e3,
    "m": 1e6,
    "g": 1e9,
    "t": 1e12,
    "ki": 2.0**10,
    "mi": 2.0**20,
    "gi": 2.0**30,
    "ti": 2.0**40,
}
_SIZES = {f"{prefix}{letter}": factor for prefix, factor in _PREFIXES.items() for letter in ("o", "b")}
# What may stand behind a number, in lower case, and how much of the metric's own unit it is.
SUFFIXES: dict[str, dict[str, float]] = {
    "ratio": {"%": 0.01},
    "bytes": _SIZES,
    "bytes_rate": {f"{name}/s": factor for name, factor in _SIZES.items()},
    "seconds": {"ms": 0.001, "s": 1.0, "min": 60.0, "mn": 60.0, "h": 3600.0, "j": 86_400.0, "d": 86_400.0},
    "celsius": {"°c": 1.0, "°": 1.0, "c": 1.0},
    "count_rate": {"/s": 1.0},
}
MINUTES = {"min": 1.0, "mn": 1.0, "h": 60.0, "j": 1440.0, "d": 1440.0}
_SPACES = re.compile(r"[\s\u00a0\u202f']")
_NUMBER = re.compile(r"[+\-\u2212]?(?:\d{1,15}(?:[.,]\d{0,9})?|[.,]\d{1,9})", re.ASCII)
NOT_A_NUMBER = N_("“%(value)s” is not a number: expected one such as %(example)s.")
OUT_OF_RANGE = N_("%(value)s is out of range: from %(low)s to %(high)s.")
NOT_WHOLE = N_("“%(value)s” is not a whole number.")


def scale(unit: str) -> Scale:
    return SCALES.get(unit, SCALES["count"])


def shown(level: float | None, unit: str, language: str) -> str:
    """The level as the field shows it; '' for none. Bytes carry their unit: 5 GB and 5 GiB are both meant by somebody."""
    if level is None:
        return ""
    if unit in ("bytes", "bytes_rate"):
        return _size(level, language) + ("/s" if unit == "bytes_rate" else "")
    return _digits(level / scale(unit).factor, language)


def _size(level: float, language: str) -> str:
    """In the prefix that needs the fewest figures; powers of 1024 first."""
    letter = "o" if language == "fr" else "B"
    found = []
    for name in ("Ti", "Gi", "Mi", "Ki", "T", "G", "M", "k", ""):
        number = level / _PREFIXES[name.lower()]
        if 1 <= abs(number) < 10_000 and float(f"{number:.3f}") == number:
            found.append(f"{_digits(number, language)}\u00a0{name}{letter}")
    if found:
        return min(found, key=len)  # the first of equals
    return f"{_digits(level / 2.0**30, language)}\u00a0Gi{letter}" if level else f"0\u00a0{letter}"


def _digits(number: float, language: str) -> str:
    text = f"{float(f'{number:.9g}'):.9f}".rstrip("0").rstrip(".")
    return text.replace(".", ",") if language == "fr" else text


def number(text: str, suffixes: Mapping[str, float] = {}, bare: float = 1.0, example: str = "12") -> float | None:
    """What was typed, times what its suffix says (`bare` without one); None for nothing. Raises Mistake."""
    plain = _SPACES.sub("", text)
    found = _NUMBER.match(plain)
    rest = plain[found.end() :].casefold() if found else plain.casefold()
    if not found and rest in ("", *suffixes):
        return None
    if not found or (rest and rest not in suffixes):
        raise Mistake(NOT_A_NUMBER, value=text.strip()[:40], example=example)
    factor = suffixes[rest] if rest else bare
    return float(f"{float(found[0].replace(',', '.').replace(chr(0x2212), '-')) * factor:.12g}")


def level(text: str, unit: str, kind: str, metric: str, words: Words) -> float | None:
    """A typed level in the metric's own unit, within its range. Raises Mistake."""
    factor = scale(unit).factor
    found = number(text, SUFFIXES.get(unit, {}), factor, words.gettext(scale(unit).example))
    if found is None:
        return None
    bounds = units.unit_of(metric, kind)
    low, high = bounds.low, bounds.high
    if not low <= found <= high:
        raise Mistake(
            OUT_OF_RANGE,
            value=words.number(found / factor, 6),
            low=words.number(low / factor, 6),
            high=words.number(high / factor, 6),
        )
    return found


def whole(
    text: str, low: int, high: int, words: Words, suffixes: Mapping[str, float] = MINUTES, example: str = "15"
) -> int | None:
    """A typed whole number within its range, minutes unless said otherwise; None for nothing. Raises Mistake."""
    typed = number(text, suffixes, 1.0, example)
    if typed is None:
        return None
    if typed != int(typed):
        raise Mistake(NOT_WHOLE, value=text.strip()[:40])
    if not low <= typed <= high:
        raise Mistake(OUT_OF_RANGE, value=words.number(typed), low=words.number(low), high=words.number(high))
    return int(typed)
