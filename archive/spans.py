"""Spans of a series put together by a coarser step: of samples, of packed columns. Pure.

Most of a graph's time was here, a span at a time; now whole columns are cut and folded by what runs in C.
"""

from bisect import bisect_right
from collections.abc import Iterable

from archive.rolled import Spans

Span = tuple[int, int, int, float, int]  # at, least, greatest, sum, count


def of_samples(found: dict[int, int], step: int) -> list[Span]:
    """{at: value} -> a span of each, named by the `step` that it is in: `whole` puts them together."""
    return [(at - at % step, value, value, value, 1) for at, value in found.items()]


def of_packed(found: Spans, size: int, step: int) -> list[Span]:
    """Columns of spans of `size` seconds, by time, put together by `step`, a multiple of it."""
    many, count = step // size, len(found.at)
    if many == 1:
        return list(zip(*found, strict=True))
    first = found.at[0]
    # Each of them there, from a whole step to a whole step: then every `many` of a column are one.
    if first % step == count % many == 0 and found.at[-1] - first == (count - 1) * size:
        return list(
            zip(
                found.at[::many],
                map(min, _cut(found.least, many)),
                map(max, _cut(found.greatest, many)),
                map(sum, _cut(found.sum, many)),
                map(sum, _cut(found.count, many)),
                strict=True,
            )
        )
    spans: list[Span] = []
    starts = [at - at % step for at in found.at]
    place = 0
    while place < count:
        at, begin = starts[place], place
        place = bisect_right(starts, at, begin, min(count, begin + many))
        least, greatest = min(found.least[begin:place]), max(found.greatest[begin:place])
        spans.append((at, least, greatest, sum(found.sum[begin:place]), sum(found.count[begin:place])))
    return spans


def _cut(column: list[int], many: int) -> Iterable[tuple[int, ...]]:
    return zip(*[iter(column)] * many, strict=True)


def whole(found: list[Span]) -> list[Span]:
    """Ordered by time, those of one time put together: of samples, and where two ways of reading meet within a step."""
    found.sort()
    merged: list[Span] = []
    last = None
    for span in found:
        if span[0] == last:
            at, least, greatest, total, count = merged[-1]
            merged[-1] = (at, min(least, span[1]), max(greatest, span[2]), total + span[3], count + span[4])
        else:
            merged.append(span)
            last = span[0]
    return merged
