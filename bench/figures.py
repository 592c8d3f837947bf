"""What a benchmark found, and how it is written: one row a figure, with its bound, and whether it is kept.

A bound that depends on the machine is told, never judged: `judged` is for counts and for ratios to floors of the same run.
"""

import os
import platform
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple


class Figure(NamedTuple):
    """`value` and `bound` are in `unit`; the smaller the better. `spread`: least and greatest of the runs."""

    name: str
    value: float
    unit: str
    bound: float | None = None
    spread: tuple[float, float] | None = None
    note: str = ""  # how, or why it is not kept and what comes next
    judged: bool = False  # independent of the machine: the short form fails on it

    @property
    def kept(self) -> bool | None:
        return None if self.bound is None else self.value <= self.bound


class Section(NamedTuple):
    title: str
    words: str
    figures: Sequence[Figure]


class Timed(NamedTuple):
    """Milliseconds: of the clock, the median and (least, greatest); of this process's processor, the median."""

    median: float
    spread: tuple[float, float]
    processor: float

    def figure(self, name: str, bound: float, note: str = "") -> Figure:
        """Where others keep the processor busy, the clock says more than the work: both are told."""
        told = f"{number(self.processor)} ms of processor"
        return Figure(name, self.median, "ms", bound, self.spread, f"{told}; {note}" if note else told)


def timed(work: Callable[[], object], times: int = 9, before: Callable[[], object] | None = None) -> Timed:
    """`before` is run each time and not counted."""
    found, spent = [], []
    for _ in range(times):
        if before:
            before()
        began, at_work = time.perf_counter(), time.process_time()
        work()
        spent.append((time.process_time() - at_work) * 1000)
        found.append((time.perf_counter() - began) * 1000)
    return Timed(statistics.median(found), (min(found), max(found)), statistics.median(spent))


def floor_ms() -> float:
    """The floor of this run: a fixed piece of pure Python, in milliseconds of processor. Ratios to it travel between machines."""

    def work() -> int:
        total = 0
        for number in range(100_000):
            total += number * number % 7
        return total

    return timed(work, 7).processor


def machine(data: str) -> list[tuple[str, str]]:
    """Where the figures come from."""
    model = ""
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    disk = subprocess.run(["stat", "-f", "-c", "%T", data], check=False, capture_output=True, text=True).stdout.strip()
    load = " ".join(f"{part:.1f}" for part in os.getloadavg())
    return [
        ("Processor", f"{os.cpu_count()} × {model or platform.machine()}"),
        ("Memory", f"{memory / 2**30:.0f} GiB"),
        ("File system", disk or "unknown"),
        ("System", f"{platform.system()} {platform.release()}"),
        ("Python", f"{platform.python_version()}, SQLite {sqlite3.sqlite_version}"),
        ("Load average when it began", f"{load} (figures in milliseconds grow with it; counts and bytes do not)"),
    ]


def number(value: float) -> str:
    if value == int(value) and abs(value) < 10**15:
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def table(figures: Sequence[Figure]) -> str:
    rows = ["| figure | median | min – max | bound | kept | how, or why not |", "|---|---:|---:|---:|:-:|---|"]
    for one in figures:
        spread = f"{number(one.spread[0])} – {number(one.spread[1])}" if one.spread else ""
        bound = f"{number(one.bound)}" if one.bound is not None else ""
        kept = {True: "yes", False: "**no**", None: ""}[one.kept]
        rows.append(f"| {one.name} | {number(one.value)} {one.unit} | {spread} | {bound} | {kept} | {one.note} |")
    return "\n".join(rows)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
