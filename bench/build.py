"""A year of data of the made-up machine (bench/year.py), stored by the archive's own code.

    python -m bench.build FOLDER [--days 365]

1. The first two cycles are real texts, loaded as every minute's are: they make metrics, series, counters.
2. Each further day is encoded and stored by what upkeep uses: pack.encode and pack.put, rolled.encode, rollup's days.
3. The last three days are texts again, loaded, rolled up and packed by upkeep itself; so are the journal's files. Its daily
   part ran in the last night, its hourly part at the end: what stands there is what a reader meets late in the evening.
tests/bench/test_build.py proves that the two ways bring the same samples.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterable

from archive import database, load, pack, past, purge, read, rolled, rollup, settings, slices, upkeep
from bench import year
from bench.year import DAY, Machine, Spec, Values

BOOT = "5f0c1d6e-7a1b-4c39-9d5e-0123456789ab"
END = 1_795_219_200  # 2026-11-21 00:00 UTC: the last day's end
RAW_DAYS = 3  # loaded as texts
HELP = {spec.metric: spec.metric.replace("_", " ") for spec in year.SPECS}


def labels(spec: Spec) -> str:
    return "{" + ",".join(f'{name}="{value}"' for name, value in spec.labels) + "}" if spec.labels else ""


class Teller:
    """Values -> the texts that probes would have printed: a counter's are summed up again."""

    def __init__(self, scales: dict[str, int]) -> None:
        self.scales = scales
        self.sums: dict[Spec, float] = {spec: 0.0 for spec in year.SPECS if spec.kind == "counter"}
        self.before = 0.0

    def cycle(self, at: int, uptime: float, values: Values | None, minute: int) -> bytes:
        """One spool file. `values` None: all zero."""
        sections: dict[str, list[str]] = {}
        elapsed = uptime - self.before
        self.before = uptime
        for spec in year.SPECS:
            if spec.probe == "vigie":
                continue
            lines = sections.setdefault(spec.probe, [])
            if not any(line.startswith(f"# TYPE {spec.metric} ") for line in lines):
                lines += [f"# HELP {spec.metric} {HELP[spec.metric]}", f"# TYPE {spec.metric} {spec.kind}"]
            value = values[spec][minute] / self.scales.get(spec.metric, 1) if values else 0.0
            if spec.kind == "counter":
                self.sums[spec] += value * elapsed
                value = self.sums[spec]
            lines.append(f"{spec.metric}{labels(spec)} {value!r}")
        text = "".join(
            f"# VIGIE probe={name} status=ok seconds=0.004 uptime={uptime:.2f}\n"
            + "".join(f"{line}\n" for line in lines)
            for name, lines in sections.items()
        )
        count, size = text.count("\n"), len(text.encode())
        return f"{text}# VIGIE lines={count} bytes={size} cycle={at} boot={BOOT} uptime={uptime:.2f}\n".encode()


def scales() -> dict[str, int]:
    from archive.units import unit_of

    return {spec.metric: unit_of(spec.metric, spec.kind).scale for spec in year.SPECS}


def spool(data: str, at: int, text: bytes) -> None:
    path = os.path.join(data, "spool", f"{at}.prom")
    with open(path, "wb") as file:
        file.write(text)
    os.chmod(path, 0o600)


def start(data: str, first: int) -> dict[Spec, int]:
    """The folder, the database, and every series: their ids."""
    for name in ("spool", "journal", "quarantine", "probes", "run", "log"):
        os.makedirs(os.path.join(data, name), mode=0o700, exist_ok=True)
    database.create(data, "bench", "bench", "bench", first)
    teller = Teller(scales())
    for number in range(2):
        at = first + number
        spool(data, at, teller.cycle(at, 100.0 + number, None, 0))
    with database.writer(data) as db:
        load.load(data, db, first + 10)
        found = {(line.metric.name, line.labels): line.id for line in read.series(db, 1)}
    with database.writer(data) as db, database.transaction(db):
        purge_start(db)
    return {
        spec: found[spec.metric, load.labels_json(spec.labels)]
        for spec in year.SPECS
        if (spec.metric, load.labels_json(spec.labels)) in found
    }


def purge_start(db: database.sqlite3.Connection) -> None:
    """The retention of a benchmark is ten years and more, so that upkeep removes nothing."""
    db.execute(
        "INSERT INTO setting VALUES ('retention_days', ?, 0, 'bench') ON CONFLICT (name) DO UPDATE SET value=excluded.value",
        (str(purge.MOST_RETENTION),),
    )


def spans(times: list[int], values: list[int], step: int) -> list[rolled.Row]:
    found: dict[int, list[int]] = {}
    for at, value in zip(times, values, strict=True):
        found.setdefault(at - at % step, []).append(value)
    return [(at, min(column), max(column), sum(column), len(column)) for at, column in sorted(found.items())]


def day(data: str, midnight: int, number: int, machine: Machine, idents: dict[Spec, int]) -> int:
    """One past day through the code that upkeep uses. Returns the samples."""
    values, times = machine.day(number), machine.times(number, midnight)
    minutes = [(at - midnight) // 60 for at in times]
    count = 0
    with database.writer(data) as db, database.transaction(db):
        for spec, ident in idents.items():
            column = [values[spec][minute] for minute in minutes]
            pack.put(db, (1, ident, midnight, len(times), pack.encode(list(zip(times, column, strict=True)))))
            count += len(times)
            for step in (rollup.FINE, rollup.HOUR):
                rollup.store(db, 1, ident, step, spans(times, column, step))
        past.store(
            db, 1, midnight, [(at, BOOT, round(100 + at - END + 3653 * DAY, 2), 1, 12, 0, len(idents)) for at in times]
        )
        rollup.reached(db, 1, midnight + DAY, midnight + DAY)
    return count


def texts(data: str, midnight: int, number: int, machine: Machine, teller: Teller, most: int = 1440) -> None:
    """One day as texts in the spool, loaded an hour at a time."""
    values = machine.day(number)
    for place, at in enumerate(machine.times(number, midnight)[-most:]):
        minute = (at - midnight) // 60
        spool(data, at, teller.cycle(at, 100.0 + at - END + 3653 * DAY, values, minute))
        if place % 60 == 59:
            _load(data, at)
    _load(data, midnight + DAY)


def _load(data: str, now: int) -> None:
    with database.writer(data) as db:
        load.load(data, db, now)


def settle(data: str, now: int) -> list[str]:
    """All of upkeep, as at the end of the day `now`."""
    return upkeep.run(settings.load({"VIGIE_DATA": data}), now)


def build(
    data: str, count: int, raw: int = RAW_DAYS, seed: int = year.SEED, say: bool = False, most: int = 1440
) -> dict[str, float]:
    """`count` days that end at END, the last `raw` of them as texts. Returns {samples, seconds}."""
    began = time.monotonic()
    slices.PAUSE = 0.0  # nobody waits here
    first = END - count * DAY
    idents = start(data, first - 120)
    machine, samples = Machine(seed), 0
    for number in range(count - raw):
        samples += day(data, first + number * DAY, number, machine, idents)
        if number % 8 == 7:
            _roll(data, first + (number + 1) * DAY)
        if say and number % 30 == 29:
            print(f"  {number + 1} days", file=sys.stderr, flush=True)
    _roll(data, END - raw * DAY)
    teller, problems = Teller(scales()), []
    for number in range(count - raw, count):
        if number == count - 1:
            problems += settle(data, END - DAY + 3 * 3600)
        texts(data, first + number * DAY, number, machine, teller, most)
    problems += settle(data, END - 1)
    for problem in problems:
        print(problem, file=sys.stderr)
    return {"samples": samples, "seconds": time.monotonic() - began}


def _roll(data: str, now: int) -> None:
    """Days from hours, then old stretches packed: as upkeep does."""
    slices.repeat(data, lambda db, spent: rollup.roll(db, 1, now + rollup.GRACE, spent=spent))
    slices.pack_old(data, 1, now - 2 * DAY, now)
    with database.writer(data) as db, database.transaction(db):
        for ident in [line.id for line in read.series(db, 1)]:
            rolled.purge(db, 1, ident, rollup.FINE, now - purge.FINE_ROLLUPS)


def files(data: str) -> dict[str, int]:
    """Bytes on the disk: the database, the journal."""
    found = {"database": os.path.getsize(os.path.join(data, database.NAME)), "journal": 0}
    for path, _folders, names in os.walk(os.path.join(data, "journal")):
        found["journal"] += sum(os.path.getsize(os.path.join(path, name)) for name in names)
    return found


def main(arguments: Iterable[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", help="an empty folder")
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--raw", type=int, default=RAW_DAYS)
    asked = parser.parse_args(list(arguments))
    os.makedirs(asked.data, mode=0o700, exist_ok=True)
    print(build(asked.data, asked.days, asked.raw, say=True), files(asked.data))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
