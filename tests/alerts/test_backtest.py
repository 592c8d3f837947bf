"""The back-test cannot disagree with reality: the same judge, run over the archive."""

import os
import random
import time
from pathlib import Path

import pytest

from alerts import backtest
from archive import database, pack, read, rollup, thresholds
from archive import incidents as rows
from archive.thresholds import Threshold
from tests.alerts.judging import CPU, START, Machine
from web.commands import backtest as command

TANK = """# HELP tank_used_ratio Tank
# TYPE tank_used_ratio gauge
# WARN tank_used_ratio > {warning}
# CRIT tank_used_ratio > {critical} and tank_free_bytes < 5e9
# CLEAR tank_used_ratio {clear}
# FOR tank_used_ratio {minutes}
# EVERY {every}
"""


def _wander(rng: random.Random, value: float) -> float:
    """A value that lingers around the levels, and jumps now and then."""
    if rng.random() < 0.04:
        return rng.choice([0.2, 0.5, 0.86, 0.9, 0.93, 0.98, 1.0])
    return min(1.0, max(0.0, value + rng.gauss(0, 0.01)))


def _story(machine: Machine, rng: random.Random, cycles: int) -> int:
    """Cycles of a machine on which everything happens: lines that go away, failures, gaps, late seconds."""
    rhythm, every = rng.choice([60, 300]), rng.choice([1, 1, 3])
    head = TANK.format(
        warning=0.9, critical=0.97, clear=rng.choice([0.85, 0.9]), every=every,
        minutes=rng.choice([0, 0, 3, 10]) * rhythm // 60,
    )  # fmt: skip
    lines = {"/a": 0.5, "/b": 0.92, "/c": 0.99}
    away: dict[str, int] = {}
    at = START
    for number in range(cycles):
        if rng.random() < 0.01:
            at += rng.randrange(1, 12) * rhythm
        probes: dict[str, str | None] = {"cpu": CPU.format(value=0.5)}
        if number % every == 0:
            for mount, value in lines.items():
                lines[mount] = _wander(rng, value)
                if away.get(mount, 0) == 0 and rng.random() < 0.02:
                    away[mount] = rng.randrange(1, 8)
            seen = {mount: value for mount, value in lines.items() if not away.get(mount)}
            away = {mount: left - 1 for mount, left in away.items() if left > 0}
            free = {mount: rng.choice([4e9, 4e9, 6e9, None]) for mount in seen}
            text = head
            for mount, value in seen.items():
                text += f'tank_used_ratio{{mount="{mount}"}} {value}\n'
                if free[mount] is not None:
                    text += f'tank_free_bytes{{mount="{mount}"}} {free[mount]}\n'
            probes["tank"] = None if rng.random() < 0.03 else text
        machine.cycle(at, probes)
        at += rhythm + rng.choice([0, 0, 0, 1, -1])
    return at


def _really(machine: Machine) -> tuple[list[object], set[int]]:
    """What was opened, as the back-test would say it; and when a mail was owed."""
    found: list[object] = []
    told: set[int] = set()
    with database.reader(str(machine.data)) as db:
        for incident in rows.recent(db, 1, 100_000):
            if incident.metric != "tank_used_ratio":
                continue
            moments = [
                (one.at, one.kind, one.level) for one in rows.transitions(db, incident.id) if one.kind != "postponed"
            ]
            found.append((incident.labels, incident.since_at, incident.opened_at, incident.ended_at, moments))
        for (at,) in db.execute(
            "SELECT DISTINCT t.at FROM told o JOIN transition t ON t.id = o.transition"
            " JOIN incident i ON i.id = o.incident WHERE i.metric='tank_used_ratio'"
        ):
            told.add(at)
    return sorted(found, key=repr), told


# A different archive in each run; a failure says its seed, and VIGIE_TEST_SEED runs it again.
@pytest.mark.parametrize("number", [0, pytest.param(1, marks=pytest.mark.ci), pytest.param(2, marks=pytest.mark.ci)])
def test_a_replayed_archive_gives_exactly_what_was_really_opened(tmp_path: Path, number: int) -> None:
    seed = int(os.environ.get("VIGIE_TEST_SEED") or random.SystemRandom().randrange(10**6)) + number
    machine = Machine(tmp_path / "data")
    end = _story(machine, random.Random(seed), 450)

    with database.reader(str(machine.data)) as db:
        outcome = backtest.in_force(db, 1, "tank_used_ratio", end, 30)

    really, told = _really(machine)
    replayed = [
        (one.labels, one.since, one.start, one.end, [moment[:3] for moment in one.moments]) for one in outcome.marks
    ]
    assert sorted(replayed, key=repr) == really, f"seed {seed}"
    assert {moment.at for one in outcome.marks for moment in one.moments if moment.told} == told, f"seed {seed}"
    assert outcome.mails == len(told)


def test_a_packed_archive_gives_the_same(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "data")
    end = _story(machine, random.Random(7), 300)
    with database.reader(str(machine.data)) as db:
        before = backtest.in_force(db, 1, "tank_used_ratio", end, 30)

    with database.writer(str(machine.data)) as db, database.transaction(db):
        for day in range(START - START % 86_400, end, 86_400):
            pack.pack_day(db, 1, day)

    with database.reader(str(machine.data)) as db:
        assert backtest.in_force(db, 1, "tank_used_ratio", end, 30) == before
    assert before.incidents > 0


def test_a_lower_level_is_compared_with_the_one_in_force(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "data")
    end = machine.feed([0.5] * 5 + [0.7] * 30 + [0.5] * 15 + [0.97] * 30 + [0.5] * 25, START)
    proposed = Threshold("cpu_busy_ratio", "{}", True, 0.6, None, 0.55, 300)

    with database.reader(str(machine.data)) as db:
        found = backtest.compare(db, 1, proposed, end)

    assert (found.in_force.incidents, found.in_force.mails) == (1, 2)
    assert (found.proposed.incidents, found.proposed.mails) == (1, 4)  # the second breach is the first one come back
    assert [moment.kind for moment in found.proposed.marks[0].moments if moment.told] == [
        "opened", "resolved", "returned", "resolved",
    ]  # fmt: skip


def test_only_lines_of_the_proposed_labels_are_replayed(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "data")
    text = '# WARN tank_used_ratio > 0.5\ntank_used_ratio{mount="/a"} 0.7\ntank_used_ratio{mount="/b"} 0.7\n'
    for number in range(5):
        machine.cycle(START + number * 60, {"tank": text})
    proposed = Threshold("tank_used_ratio", '{"mount":"/b"}', True, 0.9, None, None, 0)

    with database.reader(str(machine.data)) as db:
        found = backtest.compare(db, 1, proposed, START + 300)

    assert [one.labels for one in found.in_force.marks] == ['{"mount":"/b"}']
    assert found.proposed.marks == ()


def test_what_was_open_before_the_days_begin_is_shown_and_not_counted(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "data")
    end = machine.feed([0.97] * 10 + [0.97] * 100 + [0.5] * 3, START, step=900)

    with database.reader(str(machine.data)) as db:
        found = backtest.in_force(db, 1, "cpu_busy_ratio", end, 1)

    assert found.incidents == 0
    assert [(one.start < end - 86_400, one.end is not None) for one in found.marks] == [(True, True)]
    assert "opened" in [moment.kind for moment in found.marks[0].moments]
    assert found.mails == 2  # the reminder after four hours, and its end


@pytest.mark.parametrize(("value", "opens"), [(0.95004, False), (0.95006, True)])
def test_the_judge_sees_the_value_that_the_archive_keeps(tmp_path: Path, value: float, opens: bool) -> None:
    machine = Machine(tmp_path / "data")
    end = machine.feed([value] * 17, START)

    with database.reader(str(machine.data)) as db:
        assert backtest.in_force(db, 1, "cpu_busy_ratio", end).incidents == int(opens)
    assert len(machine.incidents()) == int(opens)


def test_a_threshold_that_is_off_opens_nothing(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "data")
    end = machine.feed([0.97] * 30, START)
    proposed = Threshold("cpu_busy_ratio", "{}", True, 0.6, None, None, 0, enabled=False)

    with database.reader(str(machine.data)) as db:
        assert backtest.compare(db, 1, proposed, end).proposed == backtest.Outcome(0, 0, ())


def test_reminders_are_counted_as_mails(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "data")
    end = machine.feed([0.97] * 200, START, step=300)

    with database.reader(str(machine.data)) as db:
        found = backtest.in_force(db, 1, "cpu_busy_ratio", end)

    assert [moment.kind for moment in found.marks[0].moments] == ["opened", "reminded"]
    assert found.mails == 2


def test_thirty_days_of_minutes_are_replayed_fast_enough_for_a_form(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "data")
    machine.cycle(START, {"cpu": CPU.format(value=0.5)})
    machine.cycle(START + 60, {"cpu": CPU.format(value=0.5)})
    _month(machine, random.Random(1))
    proposed = Threshold("cpu_busy_ratio", "{}", True, 0.9, None, 0.8, 300)

    spent = []
    with database.reader(str(machine.data)) as db:
        for _ in range(3):
            begun = time.process_time()
            found = backtest.compare(db, 1, proposed, START + 60)
            spent.append(time.process_time() - begun)

    assert found.proposed.incidents > 5
    # 300 ms is the aim (docs/alerts.md gives what was measured); a busy test machine gets some room.
    assert min(spent) < 0.6


def _month(machine: Machine, rng: random.Random) -> None:
    """31 days of one series at one minute, as upkeep leaves them: packed."""
    value, days, cycles = 0.5, {}, []
    for at in range(START - 31 * 86_400, START, 60):
        value = min(1.0, max(0.0, value + rng.gauss(0, 0.03)))
        days.setdefault(at // 86_400 * 86_400, []).append((at, round(value * 10_000)))  # type: ignore[var-annotated]
        cycles.append((1, at, "boot-0", float(at), 0, 1, 0, 1))
    with database.writer(str(machine.data)) as db, database.transaction(db):
        line = read.series(db, 1, "cpu_busy_ratio")[0]
        db.executemany("INSERT INTO cycle VALUES (?, ?, ?, ?, ?, ?, ?, ?)", cycles)
        for day, samples in days.items():
            db.execute("INSERT INTO packed VALUES (1, ?, ?, ?, ?)", (line.id, day, len(samples), pack.encode(samples)))


def test_lines_that_reach_no_level_are_not_replayed_and_nothing_else_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hours' rollups decide; with everything replayed the outcome is the same."""
    machine = Machine(tmp_path / "data")
    end = _story(machine, random.Random(11), 300)
    with database.writer(str(machine.data)) as db, database.transaction(db):
        rollup.roll(db, 1, end, 1000)
    proposed = Threshold("tank_used_ratio", "{}", True, 0.9, 0.99, 0.85, 180)
    below = Threshold("tank_used_ratio", "{}", False, 0.3, None, None, 60)
    with database.reader(str(machine.data)) as db:
        filtered = [backtest.compare(db, 1, one, end) for one in (proposed, below)]
        none = backtest.compare(db, 1, proposed._replace(warning=1.0, critical=None, clear=None), end)
    monkeypatch.setattr(backtest._Archive, "reaches", lambda *_given: True)
    with database.reader(str(machine.data)) as db:
        assert [backtest.compare(db, 1, one, end) for one in (proposed, below)] == filtered
    assert filtered[0].proposed.incidents > 0
    assert none.proposed == backtest.Outcome(0, 0, ())


def test_where_many_lines_reach_a_level_fewer_days_are_replayed(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "data")
    lines = "".join(f'tank_used_ratio{{mount="/{number}"}} 0.{number}\n' for number in range(10, 20))
    for number in range(5):
        machine.cycle(START + number * 60, {"tank": f"# WARN tank_used_ratio > 0.95\n{lines}"})
    with database.reader(str(machine.data)) as db:

        def days(level: float, most: int) -> int:
            asked = Threshold("tank_used_ratio", "{}", True, level, None, None, 0)
            found = backtest.compare(db, 1, asked, START + 300, 30, most)
            return (found.end - found.start) // 86_400

        assert days(0.05, 0) == 30
        assert days(0.05, 300) == 30  # ten lines
        assert days(0.05, 100) == 10
        assert days(0.05, 5) == 1
        assert days(0.185, 30) == 30  # one line reaches it


# --- the command -----------------------------------------------------------------------------------------------------


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine(tmp_path / "data")
    end = machine.feed([0.5] * 5 + [0.97] * 30 + [0.5] * 15, START)
    for name, value in {**machine.environ, "VIGIE_NOW": str(end), "VIGIE_LANGUAGE": "en"}.items():
        monkeypatch.setenv(name, value)
    return machine


def test_the_command_says_how_many_incidents_and_mails(watched: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.run(["cpu_busy_ratio", "--warning", "0.6", "--for", "1"]) == 0

    said = capsys.readouterr().out
    assert "1 incident" in said
    assert "2 mails" in said


def test_the_command_refuses_a_metric_it_does_not_know(watched: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.run(["cpu_bsy_ratio", "--warning", "0.6"]) == 2
    assert "cpu_bsy_ratio" in capsys.readouterr().err


def test_the_command_refuses_a_critical_level_below_the_warning(
    watched: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.run(["cpu_busy_ratio", "--warning", "0.9", "--critical", "0.5"]) == 2
    assert "critical" in capsys.readouterr().err


def test_the_command_starts_from_the_threshold_in_force(watched: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.run(["cpu_busy_ratio"]) == 0
    assert "1 incident" in capsys.readouterr().out


def test_the_archive_is_only_read(watched: Machine) -> None:
    before = watched.dump()
    command.run(["cpu_busy_ratio", "--warning", "0.1"])
    assert watched.dump() == before
    with database.reader(str(watched.data)) as db:
        assert thresholds.get(db, "cpu_busy_ratio") is None
