"""When a disk will be full: a date with a range, or why there is none."""

import random
import shutil
import statistics
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts import forecast
from alerts.forecast import DAY, HOUR, LONG, SHORT, Outlook
from archive import database, read, rollup
from tests.alerts.judging import START, Machine

NOW = 1_795_000_000
Points = list[tuple[int, float]]


def grown(per_day: float, end: float, window: int, step: int, noise: float = 0.0, seed: int = 1) -> Points:
    """A disk that grows steadily to `end` now."""
    rng = random.Random(seed)
    return [
        (at, min(1.0, max(0.0, end - per_day * (NOW - at) / DAY + rng.gauss(0, noise))))
        for at in range(NOW - window, NOW + 1, step)
    ]


def days(found: Outlook) -> float | None:
    return None if found.full_at is None else (found.full_at - NOW) / DAY


@pytest.mark.parametrize(("per_day", "end", "left"), [(0.01, 0.9, 10), (0.1, 0.9, 1), (0.02, 0.5, 25), (0.4, 0.8, 0.5)])
def test_a_steady_growth_gives_its_date(per_day: float, end: float, left: float) -> None:
    for window, step in ((SHORT, 300), (min(LONG, round(end / per_day * DAY)), HOUR)):
        found = forecast.outlook(grown(per_day, end, window, step), NOW, window)
        assert days(found) == pytest.approx(left, rel=0.02)


def test_the_range_holds_the_date() -> None:
    found = forecast.outlook(grown(0.05, 0.8, LONG, HOUR, noise=0.01), NOW, LONG)
    assert found.full_at is not None
    assert found.early is not None
    assert found.late is not None
    assert found.early <= found.full_at <= found.late
    assert days(found) == pytest.approx(4, rel=0.15)


def test_more_noise_gives_a_wider_range() -> None:
    def width(noise: float) -> int:
        found = forecast.outlook(grown(0.05, 0.8, LONG, HOUR, noise), NOW, LONG)
        assert found.late is not None
        assert found.early is not None
        return found.late - found.early

    assert width(0.0005) < width(0.005) < width(0.02)


def test_a_third_of_nonsense_does_not_move_it() -> None:
    points = grown(0.02, 0.8, LONG, HOUR)
    rng = random.Random(3)
    for index in rng.sample(range(len(points)), len(points) // 4):
        points[index] = (points[index][0], 1.0)
    assert days(forecast.outlook(points, NOW, LONG)) == pytest.approx(10, rel=0.25)


def test_a_nightly_backup_that_comes_and_goes_does_not_move_it() -> None:
    points = [(at, value + (0.1 if at % DAY < 3 * HOUR else 0.0)) for at, value in grown(0.01, 0.7, LONG, HOUR)]
    assert days(forecast.outlook(points, NOW, LONG)) == pytest.approx(30, rel=0.1)


@pytest.mark.parametrize(
    ("points", "reason"),
    [
        ([], "little"),
        (grown(0.1, 0.9, 20 * 60, 60), "little"),
        (grown(0.1, 0.9, HOUR, 60), "little"),
        (grown(-0.1, 0.7, SHORT, 300), "shrinking"),
        (grown(0.0, 0.7, SHORT, 300), "steady"),
        (grown(0.0, 0.7, SHORT, 300, noise=0.002), "steady"),
        (grown(0.0001, 0.5, SHORT, 300), "far"),
    ],
)
def test_no_date_and_the_reason(points: Points, reason: str) -> None:
    found = forecast.outlook(points, NOW, SHORT)
    assert (found.full_at, found.early, found.late) == (None, None, None)
    assert found.reason in ({"steady", "shrinking"} if reason == "steady" else {reason})


def test_after_a_big_deletion_nothing_is_foreseen() -> None:
    points = grown(0.2, 0.9, SHORT, 300)
    deleted = [(at, value if at < NOW - HOUR else value - 0.4) for at, value in points]
    assert forecast.outlook(deleted, NOW, SHORT).reason == "deletion"


def test_long_enough_after_a_deletion_the_growth_since_counts() -> None:
    points = grown(0.2, 0.9, SHORT, 300)
    deleted = [(at, value if at < NOW - 5 * HOUR else value - 0.4) for at, value in points]
    assert days(forecast.outlook(deleted, NOW, SHORT)) == pytest.approx(2.5, rel=0.05)


def test_a_full_disk_is_full_now() -> None:
    points = [(at, min(1.0, value)) for at, value in grown(0.5, 1.0, SHORT, 300)]
    assert forecast.outlook(points, NOW, SHORT).full_at == NOW


def test_both_views_must_agree_to_warn() -> None:
    soon, later = grown(1.2, 0.9, SHORT, 300), grown(0.01, 0.9, LONG, HOUR)
    assert forecast.seconds_left(forecast.forecast(soon, later, NOW), 0.9, NOW) == pytest.approx(10 * DAY, rel=0.02)
    both = forecast.forecast(soon, soon_for_days(), NOW)
    assert forecast.seconds_left(both, 0.9, NOW) < DAY
    assert forecast.seconds_left(both, 0.6, NOW) == forecast.FAR  # room enough
    assert forecast.seconds_left(forecast.forecast(soon, [], NOW), 0.9, NOW) == forecast.FAR


def soon_for_days() -> Points:
    return grown(0.16, 0.9, 5 * DAY, HOUR)


def test_the_best_view_is_the_long_one_where_it_has_a_date() -> None:
    soon, later = grown(1.2, 0.9, SHORT, 300), grown(0.01, 0.9, LONG, HOUR)
    found = forecast.forecast(soon, later, NOW)
    assert found.best == found.long
    assert forecast.forecast(soon, [], NOW).best == forecast.forecast(soon, [], NOW).short


def test_it_is_bounded() -> None:
    points = grown(0.01, 0.8, LONG, 60, noise=0.01)
    begun = time.process_time()
    forecast.outlook(points, NOW, LONG)
    assert time.process_time() - begun < 0.5
    assert len(forecast._thinned(points)) == forecast.POINTS


@given(st.lists(st.floats(0, 1), max_size=60), st.integers(60, 4000))
def test_whatever_the_points_it_gives_an_ordered_date_or_a_reason(values: list[float], step: int) -> None:
    points = [(NOW - (len(values) - index) * step, value) for index, value in enumerate(values)]
    found = forecast.outlook(points, NOW, SHORT)
    if found.full_at is None:
        assert found.reason in ("little", "deletion", "shrinking", "steady", "far")
    else:
        assert found.reason == ""
        assert NOW <= found.full_at <= NOW + forecast.FAR
        assert found.early is None or found.early <= found.full_at
        assert found.late is None or found.late >= found.full_at


def test_the_slope_agrees_with_the_textbook() -> None:
    points = grown(0.05, 0.8, LONG // 8, HOUR, noise=0.01, seed=9)
    slopes = [(b[1] - a[1]) / (b[0] - a[0]) for i, a in enumerate(points) for b in points[i + 1 :]]
    assert forecast.outlook(points, NOW, LONG // 8).slope == pytest.approx(statistics.median(slopes))


# --- with the real step ----------------------------------------------------------------------------------------------

DISK = """# WARN disk_used_ratio > 0.9
# CRIT disk_used_ratio > 0.97
# CLEAR disk_used_ratio 0.85
disk_used_ratio{{mount="/"}} {value:.4f}
"""


@pytest.fixture(scope="module")
def five_days(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """A disk that has been growing by 15 % a day for five days, to 76 %: a cycle every 15 minutes. Made once."""
    machine = Machine(tmp_path_factory.mktemp("filling") / "data")
    at = START
    for number in range(5 * 96):
        machine.spool(at, {"disk": DISK.format(value=0.01 + 0.15 * number / 96)})
        at += 900
    machine.run(at)
    return machine.data, at


@pytest.fixture
def filling(five_days: tuple[Path, int], tmp_path: Path) -> tuple[Machine, int]:
    shutil.copytree(five_days[0], tmp_path / "data")
    return Machine(tmp_path / "data"), five_days[1]


def _roll(machine: Machine, now: int) -> None:
    more = True
    while more:
        with database.writer(str(machine.data)) as db, database.transaction(db):
            more = rollup.roll(db, 1, now)


def test_a_disk_that_will_be_full_within_a_day_is_one_mail(filling: tuple[Machine, int]) -> None:
    machine, at = filling
    assert machine.incidents() == []  # a day and a half is left
    value = 0.76
    for _ in range(40):
        value += 0.3 / 96
        machine.cycle(at, {"disk": DISK.format(value=value)})
        at += 900
    [found] = [one for one in machine.incidents() if one.kind == "forecast"]
    assert (found.metric, found.labels, found.state, found.level) == (
        "disk_used_ratio", '{"mount":"/"}', "open", "warning",
    )  # fmt: skip
    assert 0 < found.last_value < DAY
    assert machine.mails() == [("opened",)]


def test_the_disk_that_was_foreseen_crosses_its_level_without_another_mail(filling: tuple[Machine, int]) -> None:
    machine, at = filling
    value = 0.76
    for _ in range(60):
        value += 0.25 / 96
        machine.cycle(at, {"disk": DISK.format(value=value)})
        at += 900
    by_kind = {one.kind: one for one in machine.incidents()}
    assert by_kind["threshold"].cause == by_kind["forecast"].id
    assert machine.mails_of(by_kind["threshold"].id) == []
    # Critical speaks for itself.
    for _ in range(3):
        machine.cycle(at, {"disk": DISK.format(value=0.98)})
        at += 900
    assert machine.mails_of(by_kind["threshold"].id) == ["opened", "escalated"]


def test_room_made_ends_the_forecast(filling: tuple[Machine, int]) -> None:
    machine, at = filling
    value = 0.76
    for number in range(60):
        value = value + 0.3 / 96 if number < 42 else 0.5
        machine.cycle(at, {"disk": DISK.format(value=value)})
        at += 900
    [found] = [one for one in machine.incidents() if one.kind == "forecast"]
    assert (found.state, found.end_reason) == ("resolved", "cleared")
    assert machine.mails_of(found.id) == ["opened", "resolved"]


def test_it_is_held_for_an_hour_first(filling: tuple[Machine, int]) -> None:
    machine, at = filling
    value = 0.76
    for _ in range(40):
        value += 0.3 / 96
        machine.cycle(at, {"disk": DISK.format(value=value)})
        at += 900
    [found] = [one for one in machine.incidents() if one.kind == "forecast"]
    assert found.opened_at is not None
    assert found.opened_at - found.since_at >= HOUR


def test_a_disk_that_is_meant_to_be_full_is_not_foreseen(filling: tuple[Machine, int]) -> None:
    machine, at = filling
    with database.writer(str(machine.data)) as db:
        from archive import thresholds

        off = thresholds.Threshold("disk_used_ratio", '{"mount":"/"}', True, 0.9, None, None, 0, enabled=False)
        thresholds.save(db, off, "ada", at)
    value = 0.76
    for _ in range(40):
        value += 0.3 / 96
        machine.cycle(at, {"disk": DISK.format(value=value)})
        at += 900
    assert machine.incidents() == []


def test_rolled_up_samples_give_the_same_date(filling: tuple[Machine, int]) -> None:
    machine, at = filling
    with database.reader(str(machine.data)) as db:
        line = read.series(db, 1, "disk_used_ratio")[0]
        before = forecast.of_line(db, 1, line, at)
    _roll(machine, at)
    with database.reader(str(machine.data)) as db:
        after = forecast.of_line(db, 1, line, at)
    assert before.long.full_at == pytest.approx(after.long.full_at, abs=HOUR)
