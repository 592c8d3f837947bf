"""Silence: of a probe, of a line, of the whole machine."""

from pathlib import Path

import pytest

from alerts import silent
from alerts.judge import State
from alerts.silent import Gap, Passed
from archive import database
from archive import incidents as rows
from tests.alerts.judging import CPU, START, Machine

WELL, FAILED, ABSENT = True, False, None
FINE = CPU.format(value=0.5)
DISK = "# EVERY 5\ntank_used_ratio 0.5\n"


def told(runs: list[bool | None], period: int = 60, overdue_after: int = 3) -> list[tuple[int, str]]:
    """[(number of the cycle, transition)] of one probe, a cycle a minute."""
    state: State | None = None
    found: list[tuple[int, str]] = []
    absent = 0
    for number, ran in enumerate(runs):
        absent = absent + 1 if ran is None else 0
        state, kinds = silent.probe(state, number * 60, ran, absent >= overdue_after, period)
        found += [(number, kind) for kind in kinds]
        if state is not None and state.state == "resolved":
            state = None
    return found


CASES: list[tuple[str, list[bool | None], list[tuple[int, str]]]] = [
    ("a probe that works", [WELL] * 9, []),
    ("one failure is nothing", [FAILED, WELL], []),
    ("two failures are nothing", [FAILED, FAILED, WELL, FAILED, FAILED, WELL], []),
    ("three running open", [FAILED] * 3, [(2, "opened")]),
    ("and open once", [FAILED] * 30, [(2, "opened")]),
    ("it works again, and must go on for ten minutes", [FAILED] * 3 + [WELL] * 10, [(2, "opened"), (3, "eased")]),
    ("then it is over", [FAILED] * 3 + [WELL] * 11, [(2, "opened"), (3, "eased"), (13, "resolved")]),
    ("failing again before that is the same", [FAILED] * 3 + [WELL, FAILED],
     [(2, "opened"), (3, "eased"), (4, "returned")]),
    ("not run three times opens", [WELL, *[ABSENT] * 3], [(3, "opened")]),
    ("not run twice does not", [WELL, ABSENT, ABSENT, WELL], []),
    ("failures and absence do not add up", [FAILED, ABSENT, FAILED, ABSENT, WELL], []),
    ("gone after an hour without it", [WELL, *[ABSENT] * 63], [(3, "opened"), (63, "gone")]),
    ("back before that", [WELL, *[ABSENT] * 20, *[WELL] * 11], [(3, "opened"), (21, "eased"), (31, "resolved")]),
]  # fmt: skip


@pytest.mark.parametrize(("runs", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_probe(runs: list[bool | None], expected: list[tuple[int, str]]) -> None:
    assert told(runs) == expected


def test_a_slow_probe_is_over_with_its_first_good_run() -> None:
    assert told([FAILED] * 3 + [WELL], period=3600) == [(2, "opened"), (3, "resolved")]


def test_judging_a_probe_twice_changes_nothing() -> None:
    state, _ = silent.probe(None, 60, False, False, 60)
    assert silent.probe(state, 60, False, False, 60) == (state, ())


EARLIER = [1000 - 60 * number for number in range(16)]


@pytest.mark.parametrize(
    ("before", "now", "earlier", "gap"),
    [
        (None, Passed(1000, "a", 1), [], None),
        (Passed(1000, "a", 100), Passed(1060, "a", 160), EARLIER, None),
        (Passed(1000, "a", 100), Passed(1180, "a", 280), EARLIER, None),  # two are missing
        (Passed(1000, "a", 100), Passed(1240, "a", 340), EARLIER, Gap(1000, 1240, False)),  # three
        (Passed(1000, "a", 100), Passed(1240, "b", 20), EARLIER, Gap(1000, 1240, True)),
        (Passed(1000, "a", 100), Passed(90_000, "a", 160), EARLIER, None),  # the clock was put forward
        (Passed(1000, "a", 100), Passed(90_000, "a", 89_100), EARLIER, Gap(1000, 90_000, False)),
        (Passed(1000, "a", 100), Passed(2000, "a", 1100), [1000, 999, 998], None),  # no rhythm is known yet
        (Passed(900, "a", 100), Passed(3600, "a", 2800), [900 * n for n in range(8, 0, -1)], None),  # every 15 minutes
        (Passed(900, "a", 100), Passed(4500, "a", 3700), [900 * n for n in range(8, 0, -1)], Gap(900, 4500, False)),
    ],
)
def test_the_machines_silence(before: Passed | None, now: Passed, earlier: list[int], gap: Gap | None) -> None:
    assert silent.gap(before, now, earlier) == gap


MINUTES = [60 * number for number in range(1, 200)]


@pytest.mark.parametrize(
    ("runs", "cycles", "every", "gone"),
    [
        ([], [], 1, None),
        ([(60, True), (120, True)], [60, 120], 1, None),
        ([(60, True), (120, True), (180, True)], [60, 120, 180], 1, 180),
        ([(60, True), (120, False), (180, True), (240, True)], [60, 120, 180, 240], 1, 240),
        ([(at, False) for at in MINUTES], MINUTES, 1, None),  # a probe that fails says nothing about its lines
        ([], MINUTES, 1, 3600),  # the probe itself was taken away
        ([], MINUTES, 30, 90 * 60),
        ([(50 * 60, True)], MINUTES, 1, None),
    ],
)
def test_a_line_is_gone(runs: list[tuple[int, bool]], cycles: list[int], every: int, gone: int | None) -> None:
    assert silent.gone_at(0, runs, cycles, every) == gone


# --- with the real step ----------------------------------------------------------------------------------------------


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "data")


def test_a_probe_that_fails_three_times_is_one_mail_and_its_recovery(machine: Machine) -> None:
    at = START
    for text in [FINE] * 5 + [None] * 8 + [FINE] * 12:
        machine.cycle(at, {"cpu": text, "load": "load_average 1\n"})
        at += 60

    [found] = machine.incidents()
    assert (found.kind, found.metric, found.labels, found.end_reason) == ("silent", "cpu", "{}", "cleared")
    assert machine.mails() == [("opened",), ("resolved",)]


def test_an_unavailable_probe_is_silent_for_nobody(machine: Machine) -> None:
    for number in range(10):
        machine.cycle(START + number * 60, {"raid": "# UNAVAILABLE no RAID here\n"})
    assert machine.incidents() == []


def test_a_probe_of_every_fifth_cycle_is_not_missed_between(machine: Machine) -> None:
    for number in range(40):
        probes = {"cpu": FINE} | ({"tank": DISK} if number % 5 == 0 else {})
        machine.cycle(START + number * 60, probes)
    assert machine.incidents() == []


def test_a_probe_of_every_fifth_cycle_is_missed_after_fifteen(machine: Machine) -> None:
    machine.cycle(START, {"cpu": FINE, "tank": DISK})
    for number in range(1, 20):
        machine.cycle(START + number * 60, {"cpu": FINE})
    [found] = machine.incidents()
    assert (found.metric, found.opened_at) == ("tank", START + 15 * 60)


def test_a_probe_that_was_taken_away_opens_once_and_is_gone_after_an_hour(machine: Machine) -> None:
    machine.cycle(START, {"cpu": FINE, "tank": "tank_used_ratio 0.5\n"})
    for number in range(1, 200):
        machine.cycle(START + number * 60, {"cpu": FINE})
    [found] = machine.incidents()
    assert (found.metric, found.state, found.end_reason) == ("tank", "resolved", "gone")
    assert machine.mails() == [("opened",), ("gone",)]


def test_an_acknowledged_probe_that_was_taken_away_stays_acknowledged(machine: Machine) -> None:
    machine.cycle(START, {"cpu": FINE, "tank": "tank_used_ratio 0.5\n"})
    for number in range(1, 10):
        machine.cycle(START + number * 60, {"cpu": FINE})
    [found] = machine.live()
    with database.writer(str(machine.data)) as db:
        rows.acknowledge(db, found.id, "ada", "taken out on purpose", START + 600)
    machine.cycle(START + 600, {"cpu": FINE})
    assert machine.live()[0].acknowledged_by == "ada"


def test_an_hour_without_a_cycle_is_one_incident_and_one_mail(machine: Machine) -> None:
    at = machine.feed([0.5] * 10, START)
    at = machine.feed([0.5] * 5, at + 3600)

    [found] = machine.incidents()
    assert (found.kind, found.metric, found.state) == ("silent", "", "resolved")
    assert (found.since_at, found.ended_at) == (START + 9 * 60, START + 3600 + 600)
    assert machine.mails() == [("opened", "resolved")]


def test_after_an_hour_without_a_cycle_no_probe_is_blamed(machine: Machine) -> None:
    for number in range(6):
        machine.cycle(START + number * 60, {"cpu": FINE, **({"tank": DISK} if number % 5 == 0 else {})})
    for number in range(6):
        machine.cycle(START + 7200 + number * 60, {"cpu": FINE, **({"tank": DISK} if number == 3 else {})})
    assert [one.metric for one in machine.incidents()] == [""]


def test_setting_up_and_starting_cron_later_is_no_silence(machine: Machine) -> None:
    machine.cycle(START, {"cpu": FINE})
    machine.cycle(START + 1, {"cpu": FINE})
    machine.feed([0.5] * 5, START + 1800)
    assert machine.incidents() == []


def test_a_rhythm_of_fifteen_minutes_is_no_silence(machine: Machine) -> None:
    machine.feed([0.5] * 12, START, step=900)
    assert machine.incidents() == []


def test_a_probe_that_never_worked_opens_by_its_failures(machine: Machine) -> None:
    for number in range(5):
        machine.cycle(START + number * 60, {"cpu": FINE, "smart": None})
    assert [one.metric for one in machine.incidents()] == ["smart"]


def test_a_probe_that_fails_does_not_end_its_lines_incidents(machine: Machine) -> None:
    at = machine.feed([0.97] * 20, START)
    for number in range(30):
        machine.cycle(at + number * 60, {"cpu": None, "load": "load_average 1\n"})
    assert {one.kind: one.state for one in machine.incidents()} == {"threshold": "open", "silent": "open"}


def test_a_line_that_disappears_ends_as_gone(machine: Machine) -> None:
    text = '# WARN tank_used_ratio > 0.9\ntank_used_ratio{mount="/"} 0.5\n'
    away = text + 'tank_used_ratio{mount="/mnt"} 0.95\n'
    for number, body in enumerate([away] * 3 + [text] * 6):
        machine.cycle(START + number * 60, {"tank": body})
    [found] = machine.incidents()
    assert (found.state, found.end_reason, found.ended_at) == ("resolved", "gone", START + 5 * 60)
    assert machine.mails() == [("opened",), ("gone",)]
