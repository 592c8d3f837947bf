"""The judge, case by case: one line of samples, one threshold, and exactly what happens when."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts import causes, judge
from alerts.judge import State
from archive.incidents import Incident
from archive.thresholds import Threshold

MINUTE = 60
# A value, or a value with the second condition's; None is a sample that is missing.
Given = float | tuple[float, float | None] | None


def threshold(
    warning: float | None = 90,
    critical: float | None = None,
    clear: float | None = None,
    minutes: int = 0,
    clear_minutes: int = 0,
    below: bool = False,
    second: float | None = None,
    second_for: str = "critical",
) -> Threshold:
    return Threshold(
        "m", "{}", not below, warning, critical, clear, minutes * 60, clear_minutes * 60,
        "other" if second is not None else "", False, second, second_for,
    )  # fmt: skip


def told(by: Threshold, samples: Sequence[Given], step: int = MINUTE) -> list[tuple[int, str]]:
    """[(index of the sample, transition)]."""
    found: list[tuple[int, str]] = []
    state: State | None = None
    limit = judge.limit(by)
    for index, one in enumerate(samples):
        if one is None:
            continue
        value, second = one if isinstance(one, tuple) else (one, None)
        at = index * step
        gap = at - state.last_at if state else 0
        state, kinds = judge.step(limit, state, at, value, second, judge.broken(gap, 1, lambda: step))
        found += [(index, kind) for kind in kinds]
        if state is not None and state.state == "resolved":
            state = None
    return found


def final(by: Threshold, samples: Sequence[Given], step: int = MINUTE) -> State | None:
    state: State | None = None
    for index, one in enumerate(samples):
        if one is not None:
            value, second = one if isinstance(one, tuple) else (one, None)
            gap = index * step - state.last_at if state else 0
            broken = judge.broken(gap, 1, lambda: step)
            state, _ = judge.step(judge.limit(by), state, index * step, value, second, broken)
    return state


BOTH = threshold(90, 97)
LONG = threshold(90, 97, minutes=3)
CALM = threshold(90, 97, 85, clear_minutes=3)
DISK = threshold(90, 97, 85, second=5)
SWAP = threshold(90, clear=80, minutes=2, second=10, second_for="both")

CASES: list[tuple[str, Threshold, list[Given], list[tuple[int, str]]]] = [
    # --- opening ---
    ("well below the level nothing happens", threshold(), [10, 50, 89], []),
    ("the level itself is not beyond", threshold(), [90, 90, 90], []),
    ("just beyond opens at once without a duration", threshold(), [90.0001], [(0, "opened")]),
    ("a breach that stays opens once", threshold(), [91] * 10, [(0, "opened")]),
    ("below: the level itself is not beyond", threshold(below=True), [90], []),
    ("below: just under it opens", threshold(below=True), [89.9999], [(0, "opened")]),
    ("below: above it nothing happens", threshold(below=True), [95, 100], []),
    ("a negative level works", threshold(-5, below=True), [-4, -6], [(1, "opened")]),
    ("zero is a level like another", threshold(0), [0, 1], [(1, "opened")]),
    ("only a critical level opens as critical", threshold(None, 97), [96, 98], [(1, "opened")]),
    ("beyond both levels at once is one opening", BOTH, [99], [(0, "opened")]),
    # --- for how long ---
    ("shorter than the duration is forgotten", LONG, [91, 91, 91, 50], []),
    ("exactly the duration opens", LONG, [91, 91, 91, 91], [(3, "opened")]),
    ("one sample on the level breaks the duration", LONG, [91, 91, 90, 91, 91, 91], []),
    ("and it starts again from there", LONG, [91, 91, 90, 91, 91, 91, 91], [(6, "opened")]),
    ("one good sample in a hundred breaks it", LONG, [91, 91, 50] * 30, []),
    ("a missing sample does not confirm", LONG, [91, None, None, None], []),
    ("a missing sample does not break", LONG, [91, None, 91, 91], [(3, "opened")]),
    ("three rhythms between two samples are bridged", LONG, [91, None, None, 91], [(3, "opened")]),
    ("four rhythms are not", LONG, [91, None, None, None, 91], []),
    ("after a gap the duration starts again", LONG, [91, 91, *[None] * 4, 91, 91, 91, 91], [(9, "opened")]),
    ("a gap does not open what has no duration left", LONG, [91, *[None] * 60, 91], []),
    ("a warning and a critical sample both count", LONG, [91, 98, 91, 98], [(3, "opened")]),
    # --- critical ---
    ("critical for the whole duration opens as critical", LONG, [98] * 4, [(3, "opened")]),
    ("without a duration it gets worse at once", BOTH, [91, 98], [(0, "opened"), (1, "escalated")]),
    ("the critical level itself is a warning", BOTH, [91, 97, 97], [(0, "opened")]),
    ("critical must last as long", LONG, [91] * 4 + [98] * 3 + [91], [(3, "opened")]),
    ("and then it gets worse", LONG, [91] * 4 + [98] * 4, [(3, "opened"), (7, "escalated")]),
    ("one warning sample breaks the critical run", LONG, [91] * 4 + [98, 98, 91, 98, 98, 98], [(3, "opened")]),
    ("a gap breaks the critical run", LONG, [91] * 4 + [98, *[None] * 4, 98, 98], [(3, "opened")]),
    ("it gets worse only once", BOTH, [91] + [98] * 20, [(0, "opened"), (1, "escalated")]),
    ("it is lowered when it is not critical any more", BOTH, [98, 95], [(0, "opened"), (1, "lowered")]),
    ("but only after the clear duration", CALM, [98, 95, 95, 95], [(0, "opened")]),
    ("every sample must be below the critical level", CALM, [98, 95, 95, 98, 95, 95], [(0, "opened")]),
    ("then it is lowered", CALM, [98, 95, 95, 95, 95], [(0, "opened"), (4, "lowered")]),
    ("and can get worse again", CALM, [98] + [95] * 4 + [98], [(0, "opened"), (4, "lowered"), (5, "escalated")]),
    ("what has no warning is never lowered", threshold(None, 97, 85), [98, 95, 95, 95], [(0, "opened")]),
    # --- easing and ending ---
    ("without a clear level the warning level clears", threshold(), [91, 90], [(0, "opened"), (1, "resolved")]),
    ("above the clear level it stays open", threshold(clear=85), [91, 89, 86, 89], [(0, "opened")]),
    ("on the clear level it is over", threshold(clear=85), [91, 85], [(0, "opened"), (1, "resolved")]),
    ("below: on the clear level it is over", threshold(10, clear=15, below=True), [9, 14, 15], [(0, "opened"), (2, "resolved")]),
    ("it eases first, and ends after the clear duration", CALM, [91, 80, 80, 80, 80],
     [(0, "opened"), (1, "eased"), (4, "resolved")]),
    ("not before", CALM, [91, 80, 80, 80], [(0, "opened"), (1, "eased")]),
    ("between the levels the clear duration starts again", CALM, [91, 80, 80, 88, 80, 80, 80],
     [(0, "opened"), (1, "eased")]),
    ("from there", CALM, [91, 80, 80, 88, 80, 80, 80, 80], [(0, "opened"), (1, "eased"), (7, "resolved")]),
    ("between the levels nothing returns", CALM, [91, 80, 89, 89, 89], [(0, "opened"), (1, "eased")]),
    ("on the clear level nothing returns", CALM, [91, 85, 85, 85, 85], [(0, "opened"), (1, "eased"), (4, "resolved")]),
    ("a gap breaks the clear duration", CALM, [91, 80, 80, *[None] * 4, 80, 80, 80], [(0, "opened"), (1, "eased")]),
    ("a missing sample does not break it", CALM, [91, 80, None, 80, 80], [(0, "opened"), (1, "eased"), (4, "resolved")]),
    ("a gap leaves an open one open", LONG, [91] * 4 + [None] * 60 + [91], [(3, "opened")]),
    ("a gap that ends well eases", CALM, [91, *[None] * 60, 80], [(0, "opened"), (61, "eased")]),
    ("critical eases like a warning", CALM, [98, 80], [(0, "opened"), (1, "eased")]),
    # --- flapping ---
    ("beyond again while eased is the same one", CALM, [91, 80, 91], [(0, "opened"), (1, "eased"), (2, "returned")]),
    ("the duration is not asked again to return", threshold(90, None, 85, 3, 3), [91] * 4 + [80, 91],
     [(3, "opened"), (4, "eased"), (5, "returned")]),
    ("each flap doubles the clear duration", CALM, [91, 80, 91, *[80] * 6],
     [(0, "opened"), (1, "eased"), (2, "returned"), (3, "eased")]),
    ("and it ends after that", CALM, [91, 80, 91, *[80] * 7],
     [(0, "opened"), (1, "eased"), (2, "returned"), (3, "eased"), (9, "resolved")]),
    ("a critical one returns as critical", CALM, [98, 80, 91], [(0, "opened"), (1, "eased"), (2, "returned")]),
    ("a warning that returns critical gets worse", CALM, [91, 80, 98],
     [(0, "opened"), (1, "eased"), (2, "returned"), (2, "escalated")]),
    ("twenty flaps are one opening", CALM, [91, 80] * 20,
     [(0, "opened"), (1, "eased")] + [(index, "returned" if index % 2 == 0 else "eased") for index in range(2, 40)]),
    # --- the second condition ---
    ("97 % of a huge disk is a warning", DISK, [(98, 400)], [(0, "opened")]),
    ("and becomes critical when little is left", DISK, [(98, 400), (98, 4)], [(0, "opened"), (1, "escalated")]),
    ("the second level itself does not hold", DISK, [(98, 5), (98, 5)], [(0, "opened")]),
    ("little left alone is nothing", DISK, [(50, 1)], []),
    ("not known counts as not met for critical", DISK, [(98, None), (98, None)], [(0, "opened")]),
    ("room again lowers it", DISK, [(98, 4), (98, 50)], [(0, "opened"), (1, "lowered")]),
    ("full swap with memory free is nothing", SWAP, [(99, 60)] * 10, []),
    ("full swap and no memory opens", SWAP, [(99, 5)] * 3, [(2, "opened")]),
    ("memory free for one sample breaks the duration", SWAP, [(99, 5), (99, 60), (99, 5), (99, 5)], []),
    ("memory free again ends it", SWAP, [(99, 5)] * 3 + [(99, 60)], [(2, "opened"), (3, "resolved")]),
    ("memory not known neither confirms nor breaks", SWAP, [(99, 5), (99, None), (99, 5)], [(2, "opened")]),
    ("nor does it end", SWAP, [(99, 5)] * 3 + [(99, None)] * 5, [(2, "opened")]),
    ("only a critical level with a second condition needs it to open", threshold(None, 97, second=5),
     [(98, 50), (98, 4)], [(1, "opened")]),
    ("and ends when it does not hold", threshold(None, 97, second=5), [(98, 4), (98, 50)], [(0, "opened"), (1, "resolved")]),
    # --- odd thresholds ---
    ("a clear level on the wrong side is the level itself", threshold(90, None, 95), [91, 93, 90],
     [(0, "opened"), (2, "resolved")]),
    ("warning and critical at one level open as critical", threshold(90, 90), [91], [(0, "opened")]),
    ("infinity is beyond", threshold(), [float("inf")], [(0, "opened")]),
    ("a slow probe: every sample of the duration is one", threshold(minutes=60), [91, 91], []),
]  # fmt: skip


@pytest.mark.parametrize(("by", "samples", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_case(by: Threshold, samples: list[Given], expected: list[tuple[int, str]]) -> None:
    assert told(by, samples) == expected


def test_there_are_at_least_sixty_cases() -> None:
    assert len(CASES) >= 60
    assert len({case[0] for case in CASES}) == len(CASES)


LEVELS = [
    ("a warning", BOTH, [91], "warning"),
    ("critical at once", BOTH, [98], "critical"),
    ("critical alone", threshold(None, 97), [98], "critical"),
    ("critical came late", LONG, [91, 98, 98, 98], "warning"),
    ("lowered", BOTH, [98, 91], "warning"),
    ("returned as critical, and being lowered", CALM, [98, 80, 91], "critical"),
    ("pending shows the present level", LONG, [98], "critical"),
    ("pending that is less bad now", LONG, [98, 91], "warning"),
]


@pytest.mark.parametrize(("by", "samples", "level"), [case[1:] for case in LEVELS], ids=[case[0] for case in LEVELS])
def test_level(by: Threshold, samples: list[Given], level: str) -> None:
    state = final(by, samples)
    assert state is not None
    assert state.level == level


def test_a_state_remembers_when_it_began_and_how_bad_it_was() -> None:
    state = final(LONG, [80, 91, 93, 96, 92, 91])
    assert state == State("open", "warning", 60, None, 240, None, 300, 91, 96, 180, 0)


def test_the_peak_of_a_lower_level_is_the_least() -> None:
    state = final(threshold(10, below=True), [9, 3, 8])
    assert state is not None
    assert (state.peak, state.peak_at) == (3, 60)


def test_after_a_gap_pending_begins_with_the_new_sample() -> None:
    state = final(LONG, [91, *[None] * 10, 91])
    assert state is not None
    assert (state.state, state.since_at) == ("pending", 11 * 60)


def test_the_clear_duration_doubles_up_to_an_hour_and_never_shrinks() -> None:
    limit = judge.limit(threshold(clear_minutes=10))
    assert [judge.clear_seconds(limit, flaps) // 60 for flaps in (0, 1, 2, 3, 50)] == [10, 20, 40, 60, 60]
    slow = judge.limit(threshold(clear_minutes=120))
    assert [judge.clear_seconds(slow, flaps) // 60 for flaps in (0, 5)] == [120, 120]
    assert judge.clear_seconds(judge.limit(threshold()), 9) == 0


@pytest.mark.parametrize(
    ("ended", "reason", "since", "same"),
    [
        (None, "", 100, False),
        (1000, "cleared", 1000 + 1800, True),
        (1000, "cleared", 1000 + 1801, False),
        (1000, "gone", 1200, True),
        (1000, "disabled", 1200, False),
        (1000, "cleared", 900, True),
    ],
)
def test_what_comes_back_within_half_an_hour_is_the_same_incident(
    ended: int | None, reason: str, since: int, same: bool
) -> None:
    assert judge.came_back(ended, reason, since) is same


def test_a_merged_incident_keeps_its_start_and_its_worst_value() -> None:
    previous = State("resolved", "critical", 100, None, 200, 400, 500, 10, 99, 300, 2)
    opened = State("open", "warning", 900, None, 1000, None, 1000, 95, 96, 950, 0)
    assert judge.merged(previous, opened, True) == State("open", "warning", 100, None, 200, None, 1000, 95, 99, 300, 3)
    lower = opened._replace(peak=1.0)
    assert judge.merged(previous, lower, False).peak == 1.0


def test_a_clock_that_went_back_leaves_no_time_to_come() -> None:
    state = State("open", "critical", 5000, 5100, 5200, None, 5300, 1, 2, 5250, 0)
    assert judge.rebased(state, 1000) == State("open", "critical", 999, 999, 999, None, 999, 1, 2, 5250, 0)


@pytest.mark.parametrize(
    ("kind", "detail", "level", "earlier", "worth"),
    [
        ("opened", "", "warning", [], True),
        ("resolved", "", "warning", [(0, "warning")], True),
        ("gone", "gone", "warning", [], True),
        ("reminded", "", "warning", [], True),
        ("eased", "", "warning", [], False),
        ("lowered", "", "warning", [], False),
        ("returned", "eased", "warning", [], False),
        ("returned", "resolved", "warning", [], True),
        ("escalated", "", "critical", [(0, "warning")], True),
        ("escalated", "", "critical", [(0, "critical")], False),
        ("escalated", "", "critical", [(-5 * 3600, "critical")], True),
        ("acknowledged", "", "critical", [], False),
        ("postponed", "", "critical", [], False),
    ],
)
def test_worth_a_mail(kind: str, detail: str, level: str, earlier: list[tuple[int, str]], worth: bool) -> None:
    assert judge.worth_telling(kind, detail, level, 60, earlier) is worth


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([], 60),
        ([100], 60),
        ([160, 100], 60),
        ([220, 160, 100, 99], 60),
        ([900, 600, 300, 0, -1], 300),
        ([4000, 360, 300, 240, 180], 60),
        ([90, 60, 30, 0], 60),
        (list(range(15 * 900, 0, -900)), 900),
    ],
)
def test_the_rhythm_is_the_median_interval(times: list[int], expected: int) -> None:
    assert judge.rhythm(times) == expected


# --- properties ------------------------------------------------------------------------------------------------------

levels = st.sampled_from([10.0, 84.9, 85.0, 85.1, 89.9, 90.0, 90.1, 96.9, 97.0, 97.1, 100.0])
seconds = st.sampled_from([None, 1.0, 5.0, 9.0])
thresholds = st.builds(
    threshold,
    warning=st.sampled_from([90, None]),
    critical=st.just(97),
    clear=st.sampled_from([None, 85]),
    minutes=st.integers(0, 5),
    clear_minutes=st.integers(0, 5),
    second=st.sampled_from([None, 5]),
    second_for=st.sampled_from(["critical", "both"]),
)
lines = st.lists(st.one_of(st.none(), st.tuples(levels, seconds)), max_size=80)


@given(thresholds, lines)
def test_there_are_never_two_openings_without_an_end_between(by: Threshold, samples: list[Given]) -> None:
    is_open = False
    for _, kind in told(by, samples):
        if kind == "opened":
            assert not is_open
            is_open = True
        else:
            assert is_open, f"{kind} of what is not open"
            is_open = kind != "resolved"


@given(thresholds, lines, st.randoms())
def test_the_order_of_arrival_does_not_matter(by: Threshold, samples: list[Given], rng: object) -> None:
    """A batch that arrives in any order is judged by its times: shuffled and sorted again it gives the same."""
    arrived = list(enumerate(samples))
    rng.shuffle(arrived)  # type: ignore[attr-defined]
    assert told(by, [one for _, one in sorted(arrived, key=lambda pair: pair[0])]) == told(by, samples)


@given(thresholds, lines)
def test_a_sample_that_arrives_late_changes_nothing(by: Threshold, samples: list[Given]) -> None:
    state: State | None = None
    limit = judge.limit(by)
    for index, one in enumerate(samples):
        if one is None:
            continue
        value, second = one if isinstance(one, tuple) else (one, None)
        state, _ = judge.step(limit, state, index, value, second, False)
        if state is not None:
            for late in (state.last_at, state.last_at - 1, -1):
                assert judge.step(limit, state, late, 100.0, 1.0, False) == (state, ())


@given(thresholds, lines)
def test_judging_twice_changes_nothing(by: Threshold, samples: list[Given]) -> None:
    state: State | None = None
    limit = judge.limit(by)
    for index, one in enumerate(samples):
        if one is None:
            continue
        value, second = one if isinstance(one, tuple) else (one, None)
        state, _ = judge.step(limit, state, index * 60, value, second, False)
        if state is not None:
            assert judge.step(limit, state, index * 60, value, second, False) == (state, ())
            if state.state == "resolved":
                state = None


@given(thresholds, lines)
def test_the_clear_level_never_reopens(by: Threshold, samples: list[Given]) -> None:
    limit = judge.limit(by)
    for index, kind in told(by, samples):
        one = samples[index]
        if kind in ("opened", "returned", "escalated"):
            assert isinstance(one, tuple)
            assert one[0] > limit.first >= limit.clear


@given(thresholds, lines)
def test_it_opens_only_when_every_sample_was_beyond_for_the_duration(by: Threshold, samples: list[Given]) -> None:
    limit = judge.limit(by)
    for index, kind in told(by, samples):
        if kind != "opened":
            continue
        within = [one for one in samples[index - by.for_seconds // 60 : index + 1] if isinstance(one, tuple)]
        decided = [one for one in within if not (limit.second_opens and one[1] is None)]
        assert decided
        assert all(judge.rank(limit, value, second) for value, second in decided)


@given(thresholds, lines)
def test_it_ends_only_when_every_sample_was_well_for_the_clear_duration(by: Threshold, samples: list[Given]) -> None:
    limit = judge.limit(by)
    for index, kind in told(by, samples):
        if kind == "resolved":
            within = [one for one in samples[index - by.clear_seconds // 60 : index + 1] if isinstance(one, tuple)]
            decided = [one for one in within if not (limit.second_opens and one[1] is None)]
            assert not any(judge.rank(limit, value, second) for value, second in decided)


# --- causes ----------------------------------------------------------------------------------------------------------


def incident(
    ident: int, metric: str, labels: str = "{}", state: str = "open", kind: str = "threshold", level: str = "warning"
) -> Incident:
    return Incident(
        ident, 1, kind, metric, labels, None, state, level, 0, None, 0, None, None, "", 0, 0.0, 0.0, 0, 0, None, "{}",
        None, None, "", "",
    )  # fmt: skip


MEMORY, PROCESSOR = incident(1, "memory_available_ratio"), incident(2, "cpu_busy_seconds_total")
HOME, FORECAST = (
    incident(3, "disk_used_ratio", '{"mount":"/"}'),
    incident(4, "disk_used_ratio", '{"mount":"/"}', kind="forecast"),
)
WAITS = "pressure_waiting_seconds_total"

HELD = [
    ("swap under memory", incident(9, "swap_used_ratio"), [MEMORY], 1),
    ("swap alone", incident(9, "swap_used_ratio"), [PROCESSOR], None),
    ("load under CPU", incident(9, "load_average", '{"window":"5m"}'), [PROCESSOR], 2),
    ("load under memory", incident(9, "load_average", '{"window":"5m"}'), [MEMORY], 1),
    ("CPU pressure under CPU", incident(9, WAITS, '{"kind":"some","resource":"cpu"}'), [MEMORY, PROCESSOR], 2),
    ("memory pressure under memory", incident(9, WAITS, '{"kind":"full","resource":"memory"}'), [MEMORY, PROCESSOR], 1),
    ("memory pressure is not of the CPU", incident(9, WAITS, '{"kind":"full","resource":"memory"}'), [PROCESSOR], None),
    ("a user's memory under the machine's", incident(9, "user_memory_ratio", '{"user":"ada"}'), [MEMORY], 1),
    ("a user's CPU under the machine's", incident(9, "user_cpu_seconds_total", '{"user":"ada"}'), [PROCESSOR], 2),
    ("a cause that is about to open", incident(9, "swap_used_ratio"), [MEMORY._replace(state="pending")], 1),
    ("a cause that eases", incident(9, "swap_used_ratio"), [MEMORY._replace(state="eased")], 1),
    ("a cause that is over", incident(9, "swap_used_ratio"), [MEMORY._replace(state="resolved")], None),
    ("a cause that is held back itself", incident(9, "swap_used_ratio"), [MEMORY._replace(cause=7)], None),
    ("a disk under its forecast", HOME, [FORECAST], 4),
    ("a critical disk speaks for itself", HOME._replace(level="critical"), [FORECAST], None),
    ("another disk's forecast", HOME._replace(labels='{"mount":"/srv"}'), [FORECAST], None),
    ("a forecast that is not told yet", HOME, [FORECAST._replace(state="pending")], None),
    ("a forecast under its disk", FORECAST, [HOME], 3),
    ("nothing is its own cause", HOME, [HOME], None),
    ("memory has no cause", MEMORY, [PROCESSOR], None),
]


@pytest.mark.parametrize(("one", "others", "cause"), [case[1:] for case in HELD], ids=[case[0] for case in HELD])
def test_cause(one: Incident, others: list[Incident], cause: int | None) -> None:
    assert causes.cause_of(one, others) == cause
    assert causes.cause_of(one, others[::-1]) == cause
