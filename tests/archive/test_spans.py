"""Spans put together by a coarser step: as if each had been added to its place one by one."""

from hypothesis import given, settings
from hypothesis import strategies as st

from archive import spans
from archive.rolled import Spans

START = 1_795_219_200
FOUND = st.lists(
    st.tuples(st.integers(0, 60), st.integers(-1000, 1000), st.integers(0, 50), st.integers(1, 9)),
    min_size=1,
    max_size=60,
)


def one_by_one(rows: list[spans.Span], step: int) -> list[spans.Span]:
    found: dict[int, list[spans.Span]] = {}
    for row in rows:
        found.setdefault(row[0] - row[0] % step, []).append(row)
    return [
        (at, min(r[1] for r in some), max(r[2] for r in some), sum(r[3] for r in some), sum(r[4] for r in some))
        for at, some in sorted(found.items())
    ]


@settings(deadline=None)
@given(FOUND, st.sampled_from([1, 2, 6, 12]))
def test_columns_are_folded_as_spans_one_by_one(found: list[tuple[int, int, int, int]], many: int) -> None:
    places = sorted({place: rest for place, *rest in found}.items())
    rows: list[spans.Span] = [
        (START + place * 300, low, low + more, low * count, count) for place, (low, more, count) in places
    ]
    columns = Spans(*(list(column) for column in zip(*rows, strict=True)))  # type: ignore[arg-type]

    assert spans.whole(spans.of_packed(columns, 300, 300 * many)) == one_by_one(rows, 300 * many)


@settings(deadline=None)
@given(st.integers(1, 20), st.sampled_from([2, 3, 6]), st.integers(-50, 50))
def test_whole_columns_without_a_gap_are_folded_alike(steps: int, many: int, low: int) -> None:
    rows: list[spans.Span] = [(START + n * 300, low + n % 7, low + n % 11 + 9, n * 3, 5) for n in range(steps * many)]
    columns = Spans(*(list(column) for column in zip(*rows, strict=True)))  # type: ignore[arg-type]

    # START is a multiple of every step here, so the way that takes whole slices is taken.
    assert spans.of_packed(columns, 300, 300 * many) == one_by_one(rows, 300 * many)


@settings(deadline=None)
@given(
    st.dictionaries(st.integers(START, START + 4000), st.integers(-9, 9), min_size=1), st.sampled_from([60, 300, 3600])
)
def test_samples_become_spans(found: dict[int, int], step: int) -> None:
    rows: list[spans.Span] = [(at, value, value, value, 1) for at, value in found.items()]

    assert spans.whole(spans.of_samples(found, step)) == one_by_one(rows, step)
