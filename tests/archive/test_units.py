"""What a number means, and which numbers are none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive import units
from archive.units import to_stored, unit_of

UNITS = [units.RATIO, units.BYTES, units.SECONDS, units.CELSIUS, units.COUNT,
         units.RATIO_RATE, units.BYTES_RATE, units.COUNT_RATE]  # fmt: skip


@pytest.mark.parametrize(
    ("metric", "kind", "unit"),
    [
        ("disk_used_ratio", "gauge", units.RATIO),
        ("disk_size_bytes", "gauge", units.BYTES),
        ("uptime_seconds", "gauge", units.SECONDS),
        ("temperature_celsius", "gauge", units.CELSIUS),
        ("load_average", "gauge", units.COUNT),
        ("bytes", "gauge", units.BYTES),
        ("cpu_busy_seconds_total", "counter", units.RATIO_RATE),
        ("network_receive_bytes_total", "counter", units.BYTES_RATE),
        ("oom_kills_total", "counter", units.COUNT_RATE),
    ],
)
def test_the_unit_is_the_names_last_word(metric, kind, unit):
    assert unit_of(metric, kind) == unit


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: f"{unit.name}-{unit.scale}")
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), 1e309, -1e300, 1e300])
def test_p09_what_is_no_number_of_this_unit_is_refused(unit, value):
    assert to_stored(value, unit) is None


@pytest.mark.parametrize(
    ("value", "unit", "stored"),
    [
        (0.9, units.RATIO, 9000),
        (1.0, units.RATIO, 10_000),
        (1.01, units.RATIO, None),
        (-0.01, units.RATIO, None),
        (-0.0, units.RATIO, 0),
        (-1, units.BYTES, None),
        (-273.15, units.CELSIUS, -2732),
        (-274, units.CELSIUS, None),
        (1.5, units.RATIO_RATE, 15_000),
        (-12.5, units.SECONDS, -12_500),
    ],
)
def test_p09_the_range_is_the_units(value, unit, stored):
    assert to_stored(value, unit) == stored


@given(st.floats(allow_nan=True, allow_infinity=True), st.sampled_from(UNITS))
def test_what_is_stored_fits_and_comes_back_within_half_a_step(value, unit):
    stored = to_stored(value, unit)
    if stored is not None:
        assert isinstance(stored, int)
        assert -(2**63) < stored < 2**63
        assert abs(stored / unit.scale - value) <= 0.5 / unit.scale + abs(value) * 1e-15
