"""A line of blocks: ▁▂▃▄▅▆▇█, for a mail's text part and for a terminal. Pure."""

import math
from collections.abc import Iterable

BLOCKS = "▁▂▃▄▅▆▇█"
NOTHING = "·"


def spark(
    points: Iterable[tuple[int, float]],
    start: int,
    end: int,
    cells: int = 32,
    *,
    above: bool = True,
    least: float = 0.0,
) -> str:
    """One block a span of (end - start) / cells seconds; `·` where nothing was measured; '' without any point.

    A span shows its worst value: the greatest, or the least with `above` false. `least` is the smallest range that
    fills the whole height, so that a flat line does not look like mountains.
    """
    if end <= start:
        return ""
    worst: dict[int, float] = {}
    for at, value in points:
        if start <= at <= end and math.isfinite(value):
            cell = min(cells - 1, (at - start) * cells // (end - start))
            worst[cell] = value if cell not in worst else max(worst[cell], value) if above else min(worst[cell], value)
    if not worst:
        return ""
    low, high = min(worst.values()), max(worst.values())
    span = max(high - low, least)
    if span <= 0:
        return "".join(BLOCKS[0] if cell in worst else NOTHING for cell in range(cells))
    steps = {cell: round((value - low) / span * (len(BLOCKS) - 1)) for cell, value in worst.items()}
    return "".join(BLOCKS[steps[cell]] if cell in steps else NOTHING for cell in range(cells))
