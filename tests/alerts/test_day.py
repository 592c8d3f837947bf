"""A day replayed: 1,440 minutes of a machine on which much happens, and few mails.

The list of real problems stands before the run. Each one must be told once, and its end once; one that is missed fails
the test, and so does a mail for anything else. The levels are the shipped ones, read from the probes themselves.
"""

import os
import random
import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from archive import database, thresholds
from tests.alerts.judging import ROOT, START, Machine

SEED = 20_261_123
MIDNIGHT = START - START % 86_400 + 86_400 - 3600  # 00:00 in Paris
HOUR = 60  # minutes


class Problem(NamedTuple):
    """What a person would call a problem: which line, and the minutes within which it must open and be over."""

    kind: str
    metric: str
    labels: str
    opens: tuple[int, int]
    ends: tuple[int, int]


PROBLEMS = [
    # 04:00 to 05:00 the machine does nothing at all (its hypervisor stood still).
    Problem("silent", "", "{}", (5 * HOUR, 5 * HOUR), (5 * HOUR, 5 * HOUR)),
    # From 10:00 ada's program leaks; under 10 % from about 10:54, never under 5 %; she ends it at 12:30.
    # Swap, pressure and her own share of the memory follow.
    Problem("threshold", "memory_available_ratio", "{}", (655, 680), (750, 775)),
    # From 14:00 /srv fills, above 90 % from about 17:30; someone makes room at 20:00.
    Problem("threshold", "disk_used_ratio", '{"mount":"/srv"}', (1035, 1065), (1200, 1220)),
    # 15:00 to 17:00 a fan fails: the sensor goes up and down around its level, minute after minute.
    Problem("threshold", "temperature_celsius", '{"sensor":"cpu"}', (900, 915), (1010, 1090)),
    # 16:00 to 16:50 a service is down.
    Problem("threshold", "units_failed", "{}", (970, 975), (1010, 1030)),
    # 21:00 to 22:00 the probe of the network hangs.
    Problem("silent", "network", "{}", (1262, 1263), (1320, 1345)),
]
# Not problems: the backup from 01:00 to 01:13 (CPU and disks at their limit), the reboot at 07:30 (two minutes), a
# build of 10 minutes now and then, /backup at 96 % (meant to be full: switched off for that line), probes that fail
# once, and people who log out.


def _shipped() -> dict[str, str]:
    """{probe: its WARN, CRIT, CLEAR, FOR and OFF lines}, from the probes as they are."""
    found = {}
    for path in (ROOT / "probes").iterdir():
        if path.suffix in (".sh", ".py"):
            lines = re.findall(r"^# (?:WARN|CRIT|CLEAR|FOR|OFF) [a-z_]+(?: [^$\n]*)?$", path.read_text(), re.M)
            found[path.stem] = "".join(line.rstrip('"') + "\n" for line in lines)
    return found


class Day:
    """The texts of the day's minutes."""

    def __init__(self, rng: random.Random) -> None:
        self.rng, self.levels = rng, _shipped()
        self.cpu = self.waiting_io = self.waiting_memory = 0.0  # counters
        self.booted = -3000

    def texts(self, minute: int) -> dict[str, str | None]:
        found: dict[str, str | None] = {
            "cpu": self._cpu(minute), "memory": self._memory(minute), "disk": self._disk(minute),
            "pressure": self._pressure(minute), "temperature": self._temperature(minute),
            "network": f"# TYPE network_receive_bytes_total counter\nnetwork_receive_bytes_total{{device=\"eth0\"}} {minute}\n",
            "processes": self._processes(minute),
        }  # fmt: skip
        if minute % 5 == 0:
            down = int(16 * HOUR <= minute < 16 * HOUR + 50)
            found["units"] = f"# EVERY 5\n{self.levels['units']}units_failed {down}\n"
        if 21 * HOUR <= minute < 22 * HOUR:
            found["network"] = None
        unlucky = self.rng.choice(list(found))
        if minute % 97 == 0 and unlucky != "network":
            found[unlucky] = None
        return found

    def _busy(self, minute: int) -> float:
        backup = HOUR <= minute < HOUR + 13
        build = minute % 200 in range(10)
        leak = 11 * HOUR <= minute < 12 * HOUR + 30
        return 1.0 if backup or build else (0.8 if leak else 0.3) + self.rng.uniform(-0.1, 0.1)

    def _cpu(self, minute: int) -> str:
        self.cpu += 60 * self._busy(minute)
        return f"# TYPE cpu_busy_seconds_total counter\n{self.levels['cpu']}cpu_busy_seconds_total {self.cpu}\n"

    def _free(self, minute: int) -> float:
        if 10 * HOUR <= minute < 12 * HOUR + 30:
            return max(0.06, 0.6 - 0.0093 * (minute - 10 * HOUR)) + self.rng.uniform(0, 0.005)
        return 0.6 + self.rng.uniform(-0.05, 0.05)

    def _memory(self, minute: int) -> str:
        free = self._free(minute)
        swap = 0.95 if free < 0.08 else 0.2
        return (
            f"{self.levels['memory']}memory_available_ratio {free}\nswap_used_ratio {swap}\n"
            "# TYPE oom_kills_total counter\noom_kills_total 0\n"
        )

    def _disk(self, minute: int) -> str:
        srv = 0.70
        if 14 * HOUR <= minute < 20 * HOUR:
            srv = min(0.93, 0.70 + 0.00096 * (minute - 14 * HOUR))
        root = 0.55 + (0.2 if HOUR <= minute < HOUR + 40 else 0.0)
        used = {"/": root, "/srv": srv, "/backup": 0.96 if minute > -10 else 0.5}
        lines = "".join(
            f'disk_used_ratio{{mount="{mount}"}} {ratio + self.rng.uniform(0, 0.001):.4f}\n'
            f'disk_available_bytes{{mount="{mount}"}} {(1 - ratio) * 2e12:.0f}\n'
            f'disk_inodes_used_ratio{{mount="{mount}"}} 0.1\nfilesystem_readonly{{mount="{mount}"}} 0\n'
            for mount, ratio in used.items()
        )
        return self.levels["disk"] + lines

    def _pressure(self, minute: int) -> str:
        self.waiting_io += 60 * (0.9 if HOUR <= minute < HOUR + 13 else 0.05)
        self.waiting_memory += 60 * (0.8 if self._free(minute) < 0.08 else 0.0)
        return (
            f"# TYPE pressure_waiting_seconds_total counter\n{self.levels['pressure']}"
            f'pressure_waiting_seconds_total{{resource="io",kind="some"}} {self.waiting_io}\n'
            f'pressure_waiting_seconds_total{{resource="memory",kind="some"}} {self.waiting_memory}\n'
        )

    def _temperature(self, minute: int) -> str:
        degrees = 60 + self.rng.uniform(-3, 3)
        if 15 * HOUR <= minute < 17 * HOUR:
            degrees = 88 if minute % 11 < 7 else 76
        return f'{self.levels["temperature"]}temperature_celsius{{sensor="cpu"}} {degrees:.1f}\n'

    def _processes(self, minute: int) -> str:
        ada = 1 - self._free(minute) - 0.2
        lines = f'user_memory_ratio{{user="ada"}} {max(0.0, ada)}\nuser_processes{{user="ada"}} 40\n'
        if 8 * HOUR <= minute < 18 * HOUR:
            lines += 'user_memory_ratio{user="bob"} 0.1\nuser_processes{user="bob"} 12\n'
        return self.levels["processes"] + lines


@pytest.fixture(scope="module")
def day() -> Iterator[Machine]:
    """The day, minute by minute through the real step; in memory where there is such a place: 2,900 commits."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as folder:
        machine = Machine(Path(folder) / "data", MIDNIGHT - 10_000)
        _live_through(machine)
        yield machine


def _live_through(machine: Machine) -> None:
    texts = Day(random.Random(SEED))
    begun = time.monotonic()
    for minute in range(-10, 1440):
        at = MIDNIGHT + minute * 60
        if minute == 7 * HOUR + 30:
            machine.reboot(at)
            texts.cpu = texts.waiting_io = texts.waiting_memory = 0.0
        probes = texts.texts(minute)
        if 4 * HOUR <= minute < 5 * HOUR or 7 * HOUR + 30 <= minute < 7 * HOUR + 32:
            continue
        machine.cycle(at, probes)
        if minute == -10:
            _meant_to_be_full(machine, at)
    print(f"1,440 minutes archived and judged in {time.monotonic() - begun:.1f} s")


def _meant_to_be_full(machine: Machine, now: int) -> None:
    with database.writer(str(machine.data)) as db:
        [shipped] = [one for one in thresholds.shipped(db) if one.metric == "disk_used_ratio"]
        thresholds.save(db, shipped._replace(labels='{"mount":"/backup"}', enabled=False), "ada", now)


def _minute(at: int | None) -> int:
    return -1 if at is None else (at - MIDNIGHT) // 60


@pytest.mark.parametrize("problem", PROBLEMS, ids=[f"{one.kind} {one.metric} {one.labels}" for one in PROBLEMS])
def test_a_real_problem_is_told_once_and_its_end_once(day: Machine, problem: Problem) -> None:
    found = [
        one
        for one in day.incidents()
        if (one.kind, one.metric, one.labels) == (problem.kind, problem.metric, problem.labels)
    ]
    assert len(found) == 1, "a real problem was missed, or told as several"
    assert problem.opens[0] <= _minute(found[0].opened_at) <= problem.opens[1]
    assert problem.ends[0] <= _minute(found[0].ended_at) <= problem.ends[1]
    assert day.mails_of(found[0].id) == ["opened", "resolved"]


def test_nothing_else_is_told(day: Machine) -> None:
    real = {(one.kind, one.metric, one.labels) for one in PROBLEMS}
    others = [one for one in day.incidents() if (one.kind, one.metric, one.labels) not in real]
    assert {one.metric: day.mails_of(one.id) for one in others if day.mails_of(one.id)} == {}
    # The silence is one mail for both its ends.
    assert len(day.mails()) == 2 * len(PROBLEMS) - 1


def test_the_consequences_stand_in_the_incident_of_their_cause(day: Machine) -> None:
    by_metric = {one.metric: one for one in day.incidents()}
    cause = by_metric["memory_available_ratio"].id
    held = {one.metric for one in day.incidents() if one.cause == cause}
    assert held == {"swap_used_ratio", "pressure_waiting_seconds_total", "user_memory_ratio"}


def test_what_flapped_was_one_incident_with_a_count(day: Machine) -> None:
    [found] = [one for one in day.incidents() if one.metric == "temperature_celsius"]
    assert found.flaps >= 8


def test_nothing_is_left_open(day: Machine) -> None:
    assert day.live() == []
