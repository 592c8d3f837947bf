"""A made-up machine that two dozen people could share: 60 series, minute by minute, from one fixed seed.

Nothing is smoothed to flatter a compressor: processor shares jitter by percents, memory moves in whole kilobytes with
megabytes of noise, traffic comes in bursts, one sensor has tenths and one whole degrees. A real machine of this size has
about as many series again of `probe_success` and `probe_seconds`, which pack to nearly nothing; only three of each are
here. Values are in the archive's own scale (archive/units.py). Same seed, same day number: same values.
"""

import math
import random
from collections.abc import Callable, Iterator
from typing import NamedTuple

SEED = 20_261_125
MINUTES = 1440
DAY = 86_400
KB = 1024
MEMORY = 16_303_412 * KB
USERS = ("alice", "bob", "carol", "dan")
MOUNTS = (("/", 107_374_182_400, 0.0006), ("/home", 1_967_317_549_056, 0.0011))

Column = list[int]  # a value for each minute of the day


class Spec(NamedTuple):
    """One series: the metric, its labels, and whether its text gives a counter."""

    metric: str
    labels: tuple[tuple[str, str], ...]
    kind: str  # gauge, counter
    probe: str


def _specs() -> list[Spec]:
    found = [Spec("cpu_busy_seconds_total", (), "counter", "cpu")]
    found += [
        Spec("cpu_seconds_total", (("mode", mode),), "counter", "cpu") for mode in ("idle", "iowait", "system", "user")
    ]
    found += [Spec("load_average", (("window", name),), "gauge", "load") for name in ("1m", "5m", "15m")]
    found += [
        Spec(f"memory_{name}", (), "gauge", "memory")
        for name in ("available_bytes", "available_ratio", "size_bytes", "used_bytes", "used_ratio")
    ]
    found += [Spec(f"swap_{name}", (), "gauge", "memory") for name in ("used_bytes", "used_ratio")]
    for mount, _size, _growth in MOUNTS:
        found += [
            Spec(f"disk_{name}", (("mount", mount),), "gauge", "disk")
            for name in ("available_bytes", "inodes_used_ratio", "size_bytes", "used_bytes", "used_ratio")
        ]
    found += [
        Spec(f"diskio_{name}_total", (("device", "sda"),), "counter", "diskio")
        for name in ("busy_seconds", "read_bytes", "written_bytes")
    ]
    found += [
        Spec(f"network_{name}_bytes_total", (("device", "eth0"),), "counter", "network")
        for name in ("receive", "transmit")
    ]
    found += [
        Spec("pressure_waiting_seconds_total", (("kind", "some"), ("resource", name)), "counter", "pressure")
        for name in ("cpu", "io", "memory")
    ]
    for user in USERS:
        found.append(Spec("user_cpu_seconds_total", (("user", user),), "counter", "processes"))
        found += [
            Spec(f"user_{name}", (("user", user),), "gauge", "processes")
            for name in ("memory_bytes", "memory_ratio", "processes")
        ]
    found += [Spec("temperature_celsius", (("sensor", name),), "gauge", "temperature") for name in ("package", "nvme")]
    found += [
        Spec("users_logged_in", (), "gauge", "users"),
        Spec("updates_pending", (), "gauge", "updates"),
        Spec("uptime_seconds", (), "gauge", "uptime"),
    ]
    for name in ("cpu", "disk", "memory"):
        found += [
            Spec("probe_seconds", (("probe", name),), "gauge", "vigie"),
            Spec("probe_success", (("probe", name),), "gauge", "vigie"),
        ]
    return found


SPECS = _specs()
Values = dict[Spec, Column]


class Machine:
    """Days in order, each from its own generator: a day can be made again without those before it, but for the slow
    levels (disks fill, memory leaks), which are functions of the day's number."""

    def __init__(self, seed: int = SEED) -> None:
        self.seed = seed

    def times(self, number: int, midnight: int) -> list[int]:
        """The cycles of a day: on the minute, a second late now and then, a few missing."""
        chance = random.Random(f"{self.seed}-{number}-times")
        return [
            midnight + minute * 60 + (1 if chance.random() < 0.02 else 0)
            for minute in range(MINUTES)
            if chance.random() >= 0.0005
        ]

    def day(self, number: int) -> Values:
        """Every series of one day."""
        chance = random.Random(f"{self.seed}-{number}")
        gauss, uniform = chance.gauss, chance.random
        weekend = 0.35 if number % 7 >= 5 else 1.0
        found: dict[tuple[str, str], Column] = {}

        # Processor: people come in the morning; jobs of minutes to hours; noise of a percent and more.
        busy, job, left = [], 0.0, 0
        for minute in range(MINUTES):
            if left <= 0:
                job, left = (uniform() ** 3 * 0.6, int(5 + uniform() * 90)) if uniform() < 0.02 else (0.0, 1)
            left -= 1
            wave = 0.06 + 0.25 * weekend * max(0.0, math.sin((minute - 420) / MINUTES * 2 * math.pi))
            busy.append(min(1.0, max(0.002, wave + job + gauss(0, 0.012 + 0.04 * wave))))
        iowait = [min(0.2, abs(gauss(0, 0.003)) + (0.05 * uniform() if uniform() < 0.03 else 0.0)) for _ in busy]
        system = [share * (0.22 + gauss(0, 0.01)) for share in busy]
        ratio = lambda column: [max(0, min(10_000, round(share * 10_000))) for share in column]  # noqa: E731
        found["cpu_busy_seconds_total", ""] = ratio(busy)
        found["cpu_seconds_total", "iowait"] = ratio(iowait)
        found["cpu_seconds_total", "system"] = ratio(system)
        found["cpu_seconds_total", "user"] = ratio([a - b for a, b in zip(busy, system, strict=True)])
        found["cpu_seconds_total", "idle"] = ratio([1 - a - b for a, b in zip(busy, iowait, strict=True)])
        for window, minutes in (("1m", 1.0), ("5m", 5.0), ("15m", 15.0)):
            level, column, keep = busy[0] * 8, [], math.exp(-1 / minutes)
            for share in busy:
                level = level * keep + (share * 8 + gauss(0, 0.25)) * (1 - keep)
                column.append(max(0, round(level * 100)) * 10)  # the kernel prints hundredths
            found["load_average", window] = column

        # Memory: a slow tide, a leak over weeks, megabytes of noise, all in kB.
        leak = 0.04 * ((number % 40) / 40)
        level, memory = 0.0, []
        for minute in range(MINUTES):
            level = level * 0.995 + gauss(0, 0.0015)
            used = 0.42 + leak + 0.08 * weekend * max(0.0, math.sin((minute - 420) / MINUTES * 2 * math.pi)) + level
            memory.append(round(MEMORY * min(0.97, max(0.1, used)) + gauss(0, 3e6)) // KB * KB)
        found["memory_used_bytes", ""] = memory
        found["memory_available_bytes", ""] = [MEMORY - used for used in memory]
        found["memory_used_ratio", ""] = [round(used / MEMORY * 10_000) for used in memory]
        found["memory_available_ratio", ""] = [10_000 - share for share in found["memory_used_ratio", ""]]
        found["memory_size_bytes", ""] = [MEMORY] * MINUTES
        swap, column = 120_000 * KB + number * 4 * KB * 100, []
        for _ in range(MINUTES):
            swap += chance.randrange(-40, 60) * 4 * KB if uniform() < 0.05 else 0
            column.append(swap)
        found["swap_used_bytes", ""] = column
        found["swap_used_ratio", ""] = [round(used / (4 << 30) * 10_000) for used in column]

        # Disks: they grow, with files that come and go; a clean-up every four weeks.
        for mount, size, growth in MOUNTS:
            base, column = 0.3 + growth * (number % 28) + 0.0004 * number, []
            used = round(size * base)
            for _ in range(MINUTES):
                used += round(size * growth / MINUTES * 2 * uniform()) + (
                    chance.randrange(-4000, 4001) * 4096 if uniform() < 0.6 else 0
                )
                column.append(used // 4096 * 4096)
            found["disk_used_bytes", mount] = column
            found["disk_size_bytes", mount] = [size] * MINUTES
            found["disk_available_bytes", mount] = [round(size * 0.95) // 4096 * 4096 - one for one in column]
            found["disk_used_ratio", mount] = [round(one / (size * 0.95) * 10_000) for one in column]
            found["disk_inodes_used_ratio", mount] = [
                round(600 + number / 3 + minute / 900) for minute in range(MINUTES)
            ]

        # Traffic: a floor, and bursts over several powers of ten. A counter's rate over a minute.
        def traffic(floor: float, rate: float, size: float, grain: int = 1) -> Column:
            column = []
            for share in busy:
                burst = math.exp(gauss(size, 1.6)) if uniform() < rate * (0.3 + 2 * share) else 0.0
                column.append(
                    max(0, round((floor * (1 + 0.3 * gauss(0, 1)) + burst * grain) * 60 / grain) * grain // 60)
                )
            return column

        found["diskio_read_bytes_total", "sda"] = traffic(0, 0.25, 3.5, 4096)
        found["diskio_written_bytes_total", "sda"] = traffic(60_000, 0.6, 3.0, 4096)
        found["diskio_busy_seconds_total", "sda"] = ratio([min(1.0, abs(gauss(0, 0.004)) + wait) for wait in iowait])
        found["network_receive_bytes_total", "eth0"] = traffic(2_500, 0.5, 9.5)
        found["network_transmit_bytes_total", "eth0"] = traffic(1_800, 0.5, 8.5)
        found["pressure_waiting_seconds_total", "cpu"] = ratio(
            [max(0.0, 0.3 * (share - 0.2) + gauss(0, 0.01)) for share in busy]
        )
        found["pressure_waiting_seconds_total", "io"] = ratio([wait * 1.4 for wait in iowait])
        found["pressure_waiting_seconds_total", "memory"] = [
            0 if uniform() < 0.97 else chance.randrange(1, 60) for _ in busy
        ]

        # People: one is nearly always there, one hardly ever.
        for rank, user in enumerate(USERS):
            cpu, resident, processes = [], [], []
            here, mine, count = uniform() < 0.9 - 0.2 * rank, 200_000 * (rank + 1), 12 + 9 * rank
            for share in busy:
                if uniform() < 0.004:
                    here = not here
                part = share * 8 * (0.4 - 0.09 * rank) * (0.6 + 0.4 * uniform()) if here else 0.001 * (uniform() < 0.05)
                cpu.append(max(0, round(part * 10_000)))
                mine = max(
                    20_000,
                    mine + (round(gauss(0, 1500)) if here else (chance.randrange(-20, 21) if uniform() < 0.1 else 0)),
                )
                resident.append(mine * 4096 // 4)
                count = max(3, count + (chance.randrange(-2, 3) if here and uniform() < 0.3 else 0))
                processes.append(count * 1000)
            found["user_cpu_seconds_total", user] = cpu
            found["user_memory_bytes", user] = resident
            found["user_memory_ratio", user] = [round(used / MEMORY * 10_000) for used in resident]
            found["user_processes", user] = processes

        level, package, nvme = 45.0, [], []
        for share in busy:
            level = level * 0.9 + (38 + 35 * share) * 0.1
            package.append(round(level + gauss(0, 1.0)) * 10)  # whole degrees
            nvme.append(round((33 + 0.1 * level + gauss(0, 0.2)) * 10))
        found["temperature_celsius", "package"], found["temperature_celsius", "nvme"] = package, nvme
        people, column = 0, []
        for _minute in range(MINUTES):
            people = max(0, people + (chance.randrange(-1, 2) if uniform() < 0.02 * weekend else 0))
            column.append(people * 1000)
        found["users_logged_in", ""] = column
        found["updates_pending", ""] = [
            (number % 11) * 1000 + (1000 if minute > 400 else 0) for minute in range(MINUTES)
        ]
        # /proc/uptime has hundredths; the cycle begins a few of them after the minute.
        found["uptime_seconds", ""] = [
            ((number % 90) * DAY + minute * 60) * 1000 + chance.randrange(4, 19) * 10 for minute in range(MINUTES)
        ]
        for name, usual in (("cpu", 4), ("disk", 31), ("memory", 5)):
            found["probe_seconds", name] = [max(1, round(usual * math.exp(gauss(0, 0.15)))) for _ in range(MINUTES)]
            found["probe_success", name] = [1000] * MINUTES
        return {spec: found[spec.metric, _last(spec)] for spec in SPECS}


def _last(spec: Spec) -> str:
    return spec.labels[-1][1] if spec.labels else ""


def days(count: int, seed: int = SEED) -> Iterator[Values]:
    """`count` days, the oldest first."""
    machine = Machine(seed)
    yield from (machine.day(number) for number in range(count))


Sink = Callable[[Spec, int, list[int], Column], None]
