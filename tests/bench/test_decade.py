"""Ten years made of one: a moved blob is the first one, but for its times."""

from hypothesis import given, settings
from hypothesis import strategies as st

from archive import pack, past, rolled
from bench import decade

STEP = 300
START = 1_763_683_200
VALUES = st.lists(st.integers(-(2**40), 2**40), min_size=1, max_size=200)
SHIFTS = st.integers(1, 9).map(lambda years: years * decade.SHIFT)


@settings(deadline=None)
@given(VALUES, SHIFTS, st.booleans())
def test_moved_samples_are_the_same_at_another_time(values: list[int], shift: int, even: bool) -> None:
    found = [(START + n * 60 + (0 if even else n * n % 7), value) for n, value in enumerate(values)]

    assert pack.decode(decade.moved(pack.encode(found), shift)) == [(at - shift, value) for at, value in found]


@settings(deadline=None)
@given(VALUES, SHIFTS, st.sampled_from([0, 1800]))
def test_moved_spans_are_the_same_at_another_time(values: list[int], shift: int, coarse: int) -> None:
    rows = [(START + n * STEP, value, value + n, value * 5 + n, 5) for n, value in enumerate(values)]
    moved = decade.moved(rolled.encode(rows, coarse), shift, of_spans=True)

    assert list(zip(*rolled.decode(moved), strict=True)) == [(at - shift, *rest) for at, *rest in rows]
    folded = rolled.decode_coarse(moved)
    if coarse:
        assert folded is not None
        wanted = [(at - shift, *rest) for at, *rest in rolled.folded(rows, coarse)]
        assert list(zip(*folded, strict=True)) == wanted
    else:
        assert folded is None


@settings(deadline=None)
@given(st.integers(1, 300), SHIFTS)
def test_moved_cycles_are_the_same_at_another_time(count: int, shift: int) -> None:
    rows = [(START + n * 60, "boot", n / 100, n % 3, 12, 0, 60) for n in range(count)]
    blob = past.encode(rows)

    assert blob is not None
    assert past.decode(decade.moved(blob, shift), "boot") == [(at - shift, *rest) for at, *rest in rows]
