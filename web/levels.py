"""Levels as a person types them: 90 for 0.9, 5 for five gibibytes; commas, spaces and a sign at the end are understood. Pure."""

import re
from typing import NamedTuple

from alerts.words import N_, Words
from archive import units


class Mistake(Exception):
    """A typed value that cannot be used: an English msgid and what to fill in."""

    def __init__(self, message: str, **values: object) -> None:
        super().__init__(message % values if values else message)
        self.message, self.values = message, values


class Scale(NamedTuple):
    """One typed unit is `factor` of the metric's own; `sign` stands beside the field (a msgid)."""

    factor: float
    sign: str


SCALES = {
    "ratio": Scale(0.01, "%"),
    "bytes": Scale(2.0**30, N_("GiB")),
    "bytes_rate": Scale(2.0**20, N_("MiB/s")),
    "seconds": Scale(1.0, "s"),
    "celsius": Scale(1.0, "°C"),
    "count": Scale(1.0, ""),
    "count_rate": Scale(1.0, "/s"),
}
_SPACES = re.compile(r"[\s\u00a0\u202f']")
_NUMBER = re.compile(r"[+\-\u2212]?(?:\d{1,15}(?:[.,]\d{0,9})?|[.,]\d{1,9})")
NOT_A_NUMBER = N_("“%(value)s” is not a number.")
OUT_OF_RANGE = N_("%(value)s is out of range: from %(low)s to %(high)s.")
NOT_WHOLE = N_("“%(value)s” is not a whole number.")


def scale(unit: str) -> Scale:
    return SCALES.get(unit, SCALES["count"])


def shown(level: float | None, unit: str, language: str) -> str:
    """The level as the field shows it; '' for none."""
    if level is None:
        return ""
    number = float(f"{level / scale(unit).factor:.9g}")
    text = f"{number:.9f}".rstrip("0").rstrip(".")
    return text.replace(".", ",") if language == "fr" else text


def number(text: str) -> float | None:
    """What was typed as a number; None for nothing. Raises Mistake."""
    bare = _SPACES.sub("", text)
    for sign in ("%", "°C", "GiB", "Gio", "MiB/s", "Mio/s", "/s", "s"):
        bare = bare.removesuffix(sign)
    if not bare:
        return None
    if (not bare.isascii() and "\u2212" not in bare) or not _NUMBER.fullmatch(bare):
        raise Mistake(NOT_A_NUMBER, value=text.strip()[:40])
    return float(bare.replace(",", ".").replace("\u2212", "-"))


def level(text: str, unit: str, kind: str, metric: str, words: Words) -> float | None:
    """A typed level in the metric's own unit, within its range. Raises Mistake."""
    typed = number(text)
    if typed is None:
        return None
    found = float(f"{typed * scale(unit).factor:.12g}")
    bounds = units.unit_of(metric, kind)
    low, high = bounds.low, bounds.high
    if not low <= found <= high:
        factor = scale(unit).factor
        raise Mistake(
            OUT_OF_RANGE,
            value=words.number(typed, 6),
            low=words.number(low / factor, 6),
            high=words.number(high / factor, 6),
        )
    return found


def whole(text: str, low: int, high: int, words: Words) -> int | None:
    """A typed whole number within its range; None for nothing. Raises Mistake."""
    typed = number(text)
    if typed is None:
        return None
    if typed != int(typed):
        raise Mistake(NOT_WHOLE, value=text.strip()[:40])
    if not low <= typed <= high:
        raise Mistake(OUT_OF_RANGE, value=words.number(typed), low=words.number(low), high=words.number(high))
    return int(typed)
