"""Columns of integers: what goes in comes out, small where it is regular, and damage is said."""

import zlib

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from archive import columns

INT64 = 2**63 - 1
NUMBERS = st.lists(st.integers(-INT64, INT64), min_size=1, max_size=80)
# Like what is archived: multiples of a grain, near each other, growing or not.
REGULAR = st.builds(
    lambda start, grain, slope, noise: [(start + slope * n + more) * grain for n, more in enumerate(noise)],
    st.integers(-(2**40), 2**40),
    st.sampled_from([1, 10, 100, 1024, 4096]),
    st.integers(-5, 5),
    st.lists(st.integers(0, 300), min_size=1, max_size=200),
)


@settings(max_examples=300)
@given(st.one_of(NUMBERS, REGULAR))
@example([0])
@example([INT64, -INT64])
@example([5] * 100)
@example([-(2**62), 2**62])
def test_what_is_written_comes_back(numbers):
    try:
        raw = columns.encode(numbers)
    except columns.TooWide:
        assert max(numbers) - min(numbers) >= 2**63
        return
    assert columns.decode(b"x" + raw + b"yz", 1, len(numbers)) == (numbers, 1 + len(raw))


@given(REGULAR, st.integers(0, 500), st.integers(1, 255))
def test_bytes_that_are_no_column_are_malformed_or_another_column_never_an_unknown_error(numbers, place, change):
    raw = bytearray(columns.encode(numbers))
    raw[place % len(raw)] ^= change
    try:
        found, _ = columns.decode(bytes(raw), 0, len(numbers))
    except columns.Malformed:
        return
    assert len(found) == len(numbers)


@given(st.binary(max_size=60), st.integers(0, 100))
def test_any_bytes_at_all(raw, count):
    try:
        columns.decode(raw, 0, count)
    except columns.Malformed:
        return


def test_a_deflated_bomb_is_not_unpacked():
    packing = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = packing.compress(b"\0" * 50_000_000) + packing.flush()
    head = bytearray((columns.DEFLATED, 1))
    for number in (0, 1, len(body)):
        columns.varint(head, number)

    with pytest.raises(columns.Malformed, match="cut"):
        columns.decode(bytes(head) + body, 0, 10)


@pytest.mark.parametrize(
    ("numbers", "most"),
    [
        ([7] * 1440, 12),
        (list(range(0, 86_400, 60)), 20),
        ([1024 * (n % 2) for n in range(1440)], 30),
    ],
)
def test_what_is_regular_takes_next_to_nothing(numbers, most):
    assert len(columns.encode(numbers)) <= most
