"""Where an upstream version stands in the affected lines of one product.

The lines of a publication are read together, for a line alone misleads: "antérieures à 3.0.8" beside
"1.1.1x antérieures à 1.1.1t" says nothing of the 1.1.1 branch; "antérieures à 16.11.6", "17.0.4" and "17.1.2"
are one bound a branch. So: the line whose branch is the most precise speaks alone; a line with a first
version speaks of its range; what is left is for the lines without either.
"""

from collections.abc import Sequence
from typing import NamedTuple

from archive.certfr import lines
from archive.certfr.lines import Bound, Line
from archive.certfr.versions import VersionError, comparable, compare_upstream, in_branch, series

INSIDE, OUTSIDE, UNDECIDED = "inside", "outside", "undecided"

# why, for OUTSIDE
PAST, BELOW, OTHER_BRANCH, OTHER_VERSION = "past", "below", "other_branch", "other_version"
# why, for UNDECIDED
NO_BOUND, NOT_UNDERSTOOD, DOUBTFUL, UNPATCHED = "no_bound", "not_understood", "doubtful", "unpatched"
# why, for INSIDE
BRANCH, RANGE, EXACT, SERIES, BARE = "branch", "range", "exact", "series", "bare"


class Position(NamedTuple):
    """`line` is the one that decided. `explicit`: the line names the version's own branch, range or number.
    `older`: outside, and older than every branch the lines name; `several`: they name more than one."""

    place: str
    why: str
    line: Line | None = None
    bound: str = ""
    older: bool = False
    several: bool = False

    @property
    def explicit(self) -> bool:
        return self.why in (BRANCH, RANGE, EXACT)


def position(version: str, affected: Sequence[Line]) -> Position:
    """Place an upstream version; a version or bound that cannot be compared is UNDECIDED."""
    try:
        return place(version, affected)
    except VersionError:
        return Position(UNDECIDED, NOT_UNDERSTOOD, affected[0] if affected else None)


def place(version: str, affected: Sequence[Line]) -> Position:
    bounded = [line for line in affected if line.kind == lines.BOUNDS]
    doubtful = [line for line in bounded if contradictory(line)]
    found = (
        exact(version, affected)
        or inside(ranges(version, [line for line in bounded if line.lower]))
        or branch(version, [line for line in affected if line.branches and line not in doubtful])
        or ranges(version, [line for line in bounded if line.lower and not line.branches])
        or bare(version, [line for line in bounded if not line.lower and not line.branches])
    )
    if found and found.place == INSIDE:
        return found._replace(place=UNDECIDED, why=DOUBTFUL) if doubtful else found
    open_ended = unbounded(version, affected)
    if open_ended:
        return open_ended
    if found and found.place == UNDECIDED:
        return found
    if doubtful:
        return doubt(version, doubtful, found)
    return found or unnamed(version, affected)


def exact(version: str, affected: Sequence[Line]) -> Position | None:
    """A line that lists versions, one of them this one: 8.7 is also 8.7p1, which is how it is released."""
    for line in affected:
        if line.kind != lines.EXACT:
            continue
        for name in line.exact:
            if compare_upstream(version, name) == 0:
                return Position(INSIDE, EXACT, line, name)
            if in_branch(version, name):
                patch = comparable(version)[len(comparable(name)) :]
                if patch[:1] == "p" and patch[1:].isdigit():
                    return Position(INSIDE, EXACT, line, name)
                return Position(UNDECIDED, NO_BOUND, line, name)
    return None


def branch(version: str, scoped: Sequence[Line]) -> Position | None:
    """The lines of the most precise branch the version is of."""
    ours = [
        (len(prefix), line)
        for line in scoped
        if line.kind in (lines.BOUNDS, lines.BRANCHES)
        for prefix in line.branches
        if in_branch(version, prefix)
    ]
    if not ours:
        return None
    longest = max(length for length, _ in ours)
    places = [within(version, line, BRANCH) for length, line in ours if length == longest]
    return strongest(places)


def ranges(version: str, ranged: Sequence[Line]) -> Position | None:
    return strongest([within(version, line, RANGE) for line in ranged]) if ranged else None


def inside(found: Position | None) -> Position | None:
    return found if found and found.place == INSIDE else None


def bare(version: str, unscoped: Sequence[Line]) -> Position | None:
    """Lines "antérieures à X", taken together: one bound for each series when there are several."""
    bounds = [(upper, line) for line in unscoped for upper in line.uppers]
    return among(version, bounds, "") if bounds else None


def within(version: str, line: Line, why: str) -> Position:
    lower = line.lower
    if lower:
        side = compare_upstream(version, lower.version)
        if side == 0 and not lower.inclusive:
            return Position(UNDECIDED, DOUBTFUL, line, lower.version)  # "postérieures à X" often means X too
        if side < 0:
            return Position(OUTSIDE, BELOW, line, lower.version)
    if not line.uppers:
        return Position(INSIDE, why, line, lower.version if lower else ", ".join(f"{name}.x" for name in line.branches))
    return among(version, [(upper, line) for upper in line.uppers], why)


def among(version: str, bounds: Sequence[tuple[Bound, Line]], why: str) -> Position:
    """The version against one or several upper bounds; `why` says an explicit line, "" a bare one."""
    ranked: list[tuple[Bound, Line]] = []
    for entry in bounds:
        index = next(
            (i for i, other in enumerate(ranked) if compare_upstream(entry[0].version, other[0].version) < 0),
            len(ranked),
        )
        ranked.insert(index, entry)
    below: tuple[Bound, Line] | None = None
    for upper, line in reversed(ranked):
        side = beside(version, upper)
        if side is None:
            return Position(UNDECIDED, NOT_UNDERSTOOD, line, written(upper))
        if side:
            below = (upper, line)
            continue
        if below is None or in_branch(version, series(upper.version) or upper.version):
            # Past the greatest bound, or past the bound of its own series.
            return Position(OUTSIDE, PAST, line, written(upper))
        break
    if below is None:
        return Position(UNDECIDED, NOT_UNDERSTOOD)
    upper, line = below
    own = series(upper.version)
    return Position(INSIDE, why or (SERIES if own and in_branch(version, own) else BARE), line, written(upper))


def beside(version: str, upper: Bound) -> bool | None:
    """Whether the version is before (or at, when inclusive) the bound; None when that cannot be told."""
    top = upper.version.removesuffix(".x")
    if upper.qualifier and in_branch(version, top):
        return None  # "8.8.15 Patch 37": the number does not say which patch is there
    if upper.inclusive and upper.version.endswith(".x"):
        return in_branch(version, top) or compare_upstream(version, top) < 0
    side = compare_upstream(version, top)
    if upper.inclusive and side > 0 and in_branch(version, top):
        patch = comparable(version)[len(comparable(top)) :]
        return True if patch[:1] == "p" else None  # "à 9.7" takes in 9.7p1; of 9.7.3 nothing is said
    return side < 0 or (upper.inclusive and side == 0)


def written(upper: Bound) -> str:
    return f"{upper.version} {upper.qualifier}".strip()


def unbounded(version: str, affected: Sequence[Line]) -> Position | None:
    """A line without bound that may speak of this version."""
    for line in affected:
        if line.kind in (lines.ALL, lines.NAMED):
            return Position(UNDECIDED, NO_BOUND, line)
        if line.kind == lines.UNKNOWN:
            return Position(UNDECIDED, NOT_UNDERSTOOD, line)
        if line.kind == lines.UNPATCHED:
            limits = line.branches or line.exact
            if not limits or any(in_branch(version, prefix) for prefix in limits):
                return Position(UNDECIDED, UNPATCHED, line)
    return None


def contradictory(line: Line) -> bool:
    """ "17.5.x antérieures à 17.3.5": the bound is below the branch it ends, so one of them is a slip."""
    return any(
        compare_upstream(upper.version, prefix) < 0 and not in_branch(upper.version, prefix)
        for prefix in line.branches[:1]
        for upper in line.uppers
        if len(line.uppers) == 1
    )


def doubt(version: str, doubtful: Sequence[Line], found: Position | None) -> Position:
    """Lines with a slip: past the bound of its own series a version is past it however one reads them."""
    for line in doubtful:
        upper = line.uppers[0]
        if in_branch(version, series(upper.version)) and beside(version, upper) is False:
            return Position(OUTSIDE, PAST, line, written(upper))
    if found and found.place == OUTSIDE and found.why == PAST:
        return found
    return Position(UNDECIDED, DOUBTFUL, doubtful[0])


def unnamed(version: str, affected: Sequence[Line]) -> Position:
    """No line speaks of this version: another branch, or other numbers."""
    line = affected[0] if affected else None
    if line is None:
        return Position(UNDECIDED, NO_BOUND)
    numbers = [name for each in affected for name in (*each.branches, *each.exact)]
    older = bool(numbers) and all(compare_upstream(version, name) < 0 for name in numbers)
    only_exact = all(each.kind == lines.EXACT or each.exact for each in affected)
    why = OTHER_VERSION if only_exact else OTHER_BRANCH
    shown = ", ".join(dict.fromkeys(numbers))
    return Position(OUTSIDE, why, line, shown, older, several=len(set(numbers)) > 1)


def strongest(places: Sequence[Position]) -> Position:
    """Inside by any line is inside; else what cannot be told; else outside."""
    order = {INSIDE: 0, UNDECIDED: 1, OUTSIDE: 2}
    return min(places, key=lambda found: order[found.place])
