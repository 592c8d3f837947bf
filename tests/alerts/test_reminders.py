"""Reminders: after 4 hours, 24 hours later, then daily; none for what someone looks after."""

from pathlib import Path

import pytest

from alerts import reminders
from archive import database
from archive import incidents as rows
from tests.alerts.judging import START, Machine

HOUR = 3600


@pytest.mark.parametrize(
    ("reminded", "acknowledged", "now", "due"),
    [
        (None, None, 0, False),
        (None, None, 4 * HOUR - 1, False),
        (None, None, 4 * HOUR, True),
        (None, None, 90 * HOUR, True),
        (4 * HOUR, None, 5 * HOUR, False),
        (4 * HOUR, None, 28 * HOUR - 1, False),
        (4 * HOUR, None, 28 * HOUR, True),
        (28 * HOUR, None, 52 * HOUR, True),
        (None, 1 * HOUR, 90 * HOUR, False),
        (4 * HOUR, 5 * HOUR, 90 * HOUR, False),
    ],
)
def test_due(reminded: int | None, acknowledged: int | None, now: int, due: bool) -> None:
    assert reminders.due(0, reminded, acknowledged, now) is due


def test_a_reminder_does_not_follow_another_mail_closely() -> None:
    assert reminders.too_soon(1000, 1000 + 4 * HOUR - 1)
    assert not reminders.too_soon(1000, 1000 + 4 * HOUR)


def test_four_days_give_an_opening_and_reminders_at_4_28_52_76_hours(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "data")
    machine.feed([0.97] * (4 * 96), START, step=900)
    with database.reader(str(machine.data)) as db:
        told = [(one.at - START - 900) // HOUR for one in rows.transitions(db, 1) if one.kind == "reminded"]
    assert told == [4, 28, 52, 76]
    assert machine.mails() == [("opened",), *[("reminded",)] * 4]


def test_what_is_acknowledged_is_not_reminded_of_and_its_end_is_told(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "data")
    at = machine.feed([0.97] * 10, START, step=900)
    with database.writer(str(machine.data)) as db:
        rows.acknowledge(db, machine.live()[0].id, "ada", "the backup runs late", at)
    machine.feed([0.97] * 100 + [0.5] * 3, at, step=900)
    assert machine.mails() == [("opened",), ("resolved",)]


def test_a_night_without_cycles_gives_one_reminder_not_several(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "data")
    at = machine.feed([0.97] * 20, START)
    machine.feed([0.97] * 5, at + 60 * HOUR)
    assert machine.mails_of(machine.incidents()[0].id) == ["opened", "reminded"]


def test_what_eases_is_not_reminded_of(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "data")
    at = machine.feed([0.97] * 20, START)
    machine.feed([0.84, 0.86] * 130, at)  # on the clear side and between the levels: neither open nor over
    assert machine.live()[0].state == "eased"
    assert machine.mails() == [("opened",)]
