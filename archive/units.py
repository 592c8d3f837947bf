"""What a number means: its unit, the scale that makes it an INTEGER, and the range it must lie in.

The unit is the last word of the metric's name (before `_total`). A counter is archived as a rate per second, so
`_seconds_total` becomes a share of time and `_bytes_total` bytes per second.
"""

from typing import NamedTuple

INT64 = 2**63 - 1


class Unit(NamedTuple):
    """`name` is what words and graphs go by; `value * scale` is what the database holds."""

    name: str  # ratio, bytes, seconds, celsius, count, bytes_rate, count_rate
    scale: int  # stored = round(value * scale)
    low: float
    high: float


RATIO = Unit("ratio", 10_000, 0.0, 1.0)
BYTES = Unit("bytes", 1, 0.0, 2.0**60)
SECONDS = Unit("seconds", 1_000, -(10.0**9), 10.0**12)
CELSIUS = Unit("celsius", 10, -273.15, 10_000.0)
COUNT = Unit("count", 1_000, -(10.0**15), 10.0**15)
# Rates: a share of time may pass 1 (a user on two cores), so its range is open above.
RATIO_RATE = Unit("ratio", 10_000, 0.0, 10.0**6)
BYTES_RATE = Unit("bytes_rate", 1, 0.0, 2.0**60)
COUNT_RATE = Unit("count_rate", 1_000_000, 0.0, 10.0**12)

_GAUGES = {"ratio": RATIO, "bytes": BYTES, "seconds": SECONDS, "celsius": CELSIUS}
_RATES = {"seconds": RATIO_RATE, "bytes": BYTES_RATE}


def unit_of(metric: str, kind: str) -> Unit:
    """The unit of what is archived for this metric. `kind` is gauge, counter or info."""
    if kind == "counter":
        return _RATES.get(metric.removesuffix("_total").rpartition("_")[2], COUNT_RATE)
    return _GAUGES.get(metric.rpartition("_")[2], COUNT)


def to_stored(value: float, unit: Unit) -> int | None:
    """The INTEGER to store, or None when the value is NaN, infinite or out of the unit's range."""
    if not unit.low <= value <= unit.high:  # also false for NaN
        return None
    stored = round(value * unit.scale)
    return stored if -INT64 <= stored <= INT64 else None
