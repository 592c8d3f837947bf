"""Planned work postpones, and tells at its end if it is still so."""

from datetime import datetime
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts import windows
from archive import database, incidents
from archive import silences as rows
from archive.silences import Silence
from tests.alerts.judging import START, Machine

PARIS = "Europe/Paris"


def silence(**given: object) -> Silence:
    base = Silence(1, 0, "", "{}", 0, 0, "", "work", 0, "ada", None)
    return base._replace(**given)  # type: ignore[arg-type]


def at(text: str, zone: str = PARIS, fold: int = 0) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp())


@pytest.mark.parametrize(
    ("one", "when", "is_open"),
    [
        (silence(from_at=100, to_at=200), 99, False),
        (silence(from_at=100, to_at=200), 100, True),
        (silence(from_at=100, to_at=200), 199, True),
        (silence(from_at=100, to_at=200), 200, False),
        (silence(from_at=100, to_at=200, ended_at=150), 149, True),
        (silence(from_at=100, to_at=200, ended_at=150), 150, False),
    ],
)
def test_a_window_with_dates(one: Silence, when: int, is_open: bool) -> None:
    assert windows.is_open(one, when, PARIS) is is_open


SUNDAY_NIGHT = silence(weekly=rows.weekly_json([6], "22:00", "06:00"))
WEEKDAYS = silence(weekly=rows.weekly_json([0, 1, 2, 3, 4], "12:00", "13:30"))


@pytest.mark.parametrize(
    ("one", "when", "is_open"),
    [
        (SUNDAY_NIGHT, "2026-11-22 21:59", False),
        (SUNDAY_NIGHT, "2026-11-22 22:00", True),
        (SUNDAY_NIGHT, "2026-11-23 05:59", True),  # Monday morning belongs to Sunday's night
        (SUNDAY_NIGHT, "2026-11-23 06:00", False),
        (SUNDAY_NIGHT, "2026-11-23 22:00", False),
        (WEEKDAYS, "2026-11-23 12:00", True),
        (WEEKDAYS, "2026-11-23 13:30", False),
        (WEEKDAYS, "2026-11-22 12:30", False),
        (SUNDAY_NIGHT, "2026-10-25 23:00", True),  # the night after the clocks changed
        (silence(weekly=rows.weekly_json([6], "01:00", "04:00")), "2026-10-25 02:30", True),
    ],
)
def test_a_weekly_window_is_in_local_time(one: Silence, when: str, is_open: bool) -> None:
    assert windows.is_open(one, at(when), PARIS) is is_open


def test_the_hour_that_comes_twice_is_in_the_window_twice() -> None:
    night = silence(weekly=rows.weekly_json([6], "02:00", "03:00"))
    assert windows.is_open(night, at("2026-10-25 02:30", fold=0), PARIS)
    assert windows.is_open(night, at("2026-10-25 02:30", fold=1), PARIS)


def test_a_weekly_window_keeps_to_its_dates() -> None:
    one = SUNDAY_NIGHT._replace(from_at=at("2026-11-01 00:00"), to_at=at("2026-11-20 00:00"))
    assert windows.is_open(one, at("2026-11-15 23:00"), PARIS)
    assert not windows.is_open(one, at("2026-11-22 23:00"), PARIS)


def test_an_unknown_zone_counts_as_utc() -> None:
    assert windows.is_open(WEEKDAYS, at("2026-11-23 12:10", "UTC"), "Mars/Olympus")


@pytest.mark.parametrize(
    ("one", "metric", "labels", "covered"),
    [
        (silence(), "cpu", "{}", True),
        (silence(metric="cpu"), "cpu", '{"mode":"user"}', True),
        (silence(metric="cpu"), "disk", "{}", False),
        (silence(metric="disk", labels='{"mount":"/"}'), "disk", '{"device":"sda","mount":"/"}', True),
        (silence(metric="disk", labels='{"mount":"/"}'), "disk", '{"mount":"/srv"}', False),
        (silence(labels='{"mount":"/"}'), "disk", "{}", False),
    ],
)
def test_which_lines_a_window_is_for(one: Silence, metric: str, labels: str, covered: bool) -> None:
    assert windows.covers(one, metric, labels) is covered


def test_a_window_for_several_metrics_covers_each_and_no_other() -> None:
    both = silence(metric="disk_used_ratio disk_inodes_used_ratio", labels='{"mount":"/"}')
    assert windows.covers(both, "disk_used_ratio", '{"mount":"/"}')
    assert windows.covers(both, "disk_inodes_used_ratio", '{"mount":"/"}')
    assert not windows.covers(both, "disk_used", '{"mount":"/"}')
    assert not windows.covers(both, "disk_used_ratio", '{"mount":"/srv"}')


# --- when it opens and closes ----------------------------------------------------------------------------------------


ZONES = st.sampled_from(["Europe/Paris", "America/New_York", "Australia/Lord_Howe", "UTC", "Asia/Kathmandu"])
CLOCKS = st.integers(0, 1439).map(lambda minute: f"{minute // 60:02}:{minute % 60:02}")
# Weeks around both changes of clocks of 2026, and one without.
BEGINNINGS = st.sampled_from(
    ["2026-03-05", "2026-03-26", "2026-04-03", "2026-06-10", "2026-10-01", "2026-10-22", "2026-10-30"]
)


@given(ZONES, st.lists(st.integers(0, 6), min_size=1), CLOCKS, CLOCKS, BEGINNINGS, st.integers(0, 6 * 1440), st.data())
def test_the_spans_say_what_the_judge_says_of_every_minute(
    zone: str, days: list[int], opens: str, closes: str, day: str, ended: int, data: st.DataObject
) -> None:
    if opens == closes:
        return
    start = at(day, zone)
    end = start + 6 * 86_400
    one = silence(
        weekly=rows.weekly_json(days, opens, closes),
        from_at=start + data.draw(st.integers(-1440, 1440)) * 60,
        to_at=data.draw(st.sampled_from([0, end - 3600])),
        ended_at=data.draw(st.sampled_from([None, start + ended * 60])),
    )
    found = windows.spans(one, start, end, zone)
    assert all(a.end < b.start for a, b in pairwise(found))
    for minute in range(start, end, 60 * 7):
        inside = any(span.start <= minute < span.end for span in found)
        assert inside == windows.is_open(one, minute, zone)
    for span in found:
        assert windows.is_open(one, span.start, zone)
        assert windows.is_open(one, span.end - 1, zone)
        assert span.end == end or not windows.is_open(one, span.end, zone)


def test_the_hour_that_comes_twice_opens_a_weekly_window_twice() -> None:
    night = silence(weekly=rows.weekly_json([6], "02:15", "02:45"))
    found = windows.spans(night, at("2026-10-25 00:00"), at("2026-10-25 06:00"), PARIS)
    first, second = at("2026-10-25 02:15"), at("2026-10-25 02:15", fold=1)
    assert found == [(first, first + 1800), (second, second + 1800)]


def test_the_present_opening_and_the_next_one() -> None:
    assert windows.present(SUNDAY_NIGHT, at("2026-11-23 01:00"), PARIS) == (
        at("2026-11-22 22:00"), at("2026-11-23 06:00"),
    )  # fmt: skip
    assert windows.present(SUNDAY_NIGHT, at("2026-11-23 07:00"), PARIS) is None
    assert windows.following(SUNDAY_NIGHT, at("2026-11-23 01:00"), PARIS) == (
        at("2026-11-29 22:00"), at("2026-11-30 06:00"),
    )  # fmt: skip
    dated = silence(from_at=1000, to_at=2000)
    assert windows.present(dated, 1500, PARIS) == (1000, 2000)
    assert windows.following(dated, 500, PARIS) == (1000, 2000)
    assert windows.following(dated, 1000, PARIS) is None
    assert windows.present(dated._replace(ended_at=1200), 1500, PARIS) is None


# --- with the real step ----------------------------------------------------------------------------------------------


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "data")


def plan(machine: Machine, start: int, end: int, metric: str = "") -> int:
    with database.writer(str(machine.data)) as db:
        return rows.plan(db, silence(metric=metric, from_at=start, to_at=end), "ada", START)


def test_what_opens_in_a_window_and_lasts_is_told_at_its_end(machine: Machine) -> None:
    plan(machine, START, START + 3600)
    machine.feed([0.97] * 70, START)
    [found] = machine.incidents()
    assert found.opened_at == START + 900
    assert machine.kinds(found.id) == ["opened", "postponed"]
    assert machine.mails() == [("opened",)]


def test_what_is_over_before_the_end_is_not_told(machine: Machine) -> None:
    plan(machine, START, START + 7200)
    machine.feed([0.97] * 20 + [0.5] * 120, START)
    assert machine.kinds(machine.incidents()[0].id) == ["opened", "postponed", "eased", "resolved"]
    assert machine.mails() == []


def test_what_was_told_before_the_window_gets_its_end_within_it(machine: Machine) -> None:
    at = machine.feed([0.97] * 20, START)
    plan(machine, at, at + 7200)
    machine.feed([0.5] * 20, at)
    assert machine.mails() == [("opened",), ("resolved",)]


def test_a_window_for_another_metric_postpones_nothing(machine: Machine) -> None:
    plan(machine, START, START + 7200, "disk_used_ratio")
    machine.feed([0.97] * 20, START)
    assert machine.mails() == [("opened",)]


def test_a_window_that_is_ended_early_tells_at_once(machine: Machine) -> None:
    number = plan(machine, START, START + 36_000)
    at = machine.feed([0.97] * 20, START)
    with database.writer(str(machine.data)) as db:
        rows.end_plan(db, number, "ada", at)
    machine.feed([0.97] * 2, at)
    assert machine.mails() == [("opened",)]


def test_it_is_told_once_and_its_end_after_it(machine: Machine) -> None:
    plan(machine, START, START + 3600)
    machine.feed([0.97] * 100 + [0.5] * 12, START)
    assert machine.mails() == [("opened",), ("resolved",)]


def test_what_gets_worse_in_a_window_is_told_at_its_end(machine: Machine) -> None:
    text = "# WARN tank_used_ratio > 0.9\n# CRIT tank_used_ratio > 0.97\ntank_used_ratio {value}\n"
    at = machine.feed([0.95] * 3, START, text)
    plan(machine, at, at + 600)
    machine.feed([0.98] * 12, at, text)
    assert machine.mails() == [("opened",), ("escalated",)]


def test_no_reminder_within_a_window(machine: Machine) -> None:
    at = machine.feed([0.97] * 20, START)
    plan(machine, at, at + 5 * 3600)
    machine.feed([0.97] * 25, at + 600, step=900)
    assert machine.mails() == [("opened",), ("reminded",)]
    with database.reader(str(machine.data)) as db:
        [reminded] = [one for one in incidents.transitions(db, machine.incidents()[0].id) if one.kind == "reminded"]
    assert reminded.at >= at + 5 * 3600


def test_what_was_told_late_is_not_reminded_of_a_minute_later(machine: Machine) -> None:
    plan(machine, START, START + 6 * 3600)
    machine.feed([0.97] * 40, START, step=900)
    assert machine.mails() == [("opened",)]
