"""The benchmark: builds a year, measures, writes bench/RESULTS.md and the pictures beside it.

    bench/run.sh [--short] [--cycle] [--days 365] [--years 10] [--data FOLDER] [--disk-load] [--out FOLDER]

--short: a few days and no file written; the status is 1 when a count, or a ratio to a floor of the same run, is beyond its
bound. --data: a folder that was built before is used again, an empty one is filled and stays.
--disk-load: everything once more while another process writes and syncs, 300 s at least; told beside.
--years: the year's past so many times over, in a copy: the same pages, the same cycle, the same upkeep; told beside one year.
--no-cycle: all but the minute's path. --cycle: only the minute's path, put in the RESULTS.md that is there; with --disk-load, only under that load.
"""

import argparse
import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator

from archive import database
from archive.settings import ROOT
from bench import build, decade, keeping, looking
from bench.figures import Figure, Section, machine, number, say, table

SHORT_DAYS, SHORT_RAW, SHORT_MINUTES = 20, 2, 90  # two days of an hour and a half each: what upkeep packs
LOADED_FOR, LOADED_READERS = 300, 60  # seconds


CYCLE = "What a cycle costs"
GROWTH = "How a cycle grows"
CYCLE_LOADED = "A cycle while another process saturates the disk"
HEADS = {
    CYCLE: "The whole of run_all.sh, every shipped probe, at one cycle a minute (bench/cycle.py).",
    GROWTH: "Processor of a cycle with more of each thing than this machine has (bench/cycle.py --growth).",
    CYCLE_LOADED: "4 MB written and synced, again and again, all the while.",
}


def cycle(*options: str, title: str = CYCLE) -> Section:
    """bench/cycle.py measures the minute's path; it tells its figures as JSON."""
    asked = [sys.executable, "-m", "bench.cycle", "--json", *options]
    done = subprocess.run(asked, cwd=ROOT, check=False, stdout=subprocess.PIPE, text=True)
    try:
        figures = [Figure(**row) for row in json.loads(done.stdout)]
    except (ValueError, TypeError):
        # It has said why; what is most often missing is the right to a mount namespace.
        return Section(title, "Not measured here: bench/cycle.py gave no figures.", [])
    return Section(title, HEADS[title], figures)


def put_in(path: str, sections: list[Section], where: list[tuple[str, str]]) -> None:
    """Sections of RESULTS.md measured anew; the others stay as they are. A new one stands before all others."""
    with open(path, encoding="utf-8") as file:
        head, *old = file.read().split("\n## ")
    kept = {part.partition("\n")[0]: part for part in old}
    for section in reversed(sections):
        words = f"{section.words} Measured apart: {'; '.join(f'{name} {value}' for name, value in where[-2:])}."
        part = f"{section.title}\n\n{words}\n\n{table(section.figures)}\n"
        kept = {**kept, section.title: part} if section.title in kept else {section.title: part, **kept}
    rows = [row for row in "\n## ".join([head, *kept.values()]).split("\n") if row.startswith("| ")]
    yes, no = (sum(f"| {word} |" in row for row in rows) for word in ("yes", "**no**"))
    head = re.sub(r"\d+ of \d+ bounds are kept", f"{yes} of {yes + no} bounds are kept", head)
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n## ".join([head, *kept.values()]))


@contextlib.contextmanager
def disk_load(folder: str) -> Iterator[Callable[[], int]]:
    """Another process that writes 4 MB, syncs, and begins again, in a file of 256 MB at most. Yields a question: how many
    bytes it has written."""
    code = (
        "import os,sys\nfd=os.open(sys.argv[1],os.O_CREAT|os.O_WRONLY,0o600)\nblock=os.urandom(4<<20)\nat=0\n"
        "while True:\n os.pwrite(fd,block,at%(256<<20)); os.fsync(fd); at+=len(block)\n"
    )
    path = os.path.join(folder, "disk-load")
    process = subprocess.Popen([sys.executable, "-c", code, path])

    def written() -> int:
        with open(f"/proc/{process.pid}/io", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("wchar:"))

    try:
        yield written
    finally:
        process.kill()
        process.wait()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def worst(sections: list[Section], again: list[Section]) -> list[Section]:
    """The same figures measured once more: of each the greater value."""
    more = {one.name: one for section in again for one in section.figures}
    return [
        section._replace(
            figures=[max(one, more.get(one.name, one), key=lambda found: found.value) for one in section.figures]
        )
        for section in sections
    ]


def saturated(data: str, scratch: str, days: int, out: str, *, short: bool, minute: bool) -> tuple[list[Section], str]:
    """Everything while another process saturates the disk, for LOADED_FOR seconds: (figures, in words how long and how
    hard)."""
    least, readers = (20, 5) if short else (LOADED_FOR, LOADED_READERS)
    with disk_load(scratch) as written_so_far:
        began = time.monotonic()
        found = measured(data, scratch, days, out, minutes=SHORT_MINUTES if short else 6 * 60, seconds=readers)[1:]
        if minute:
            found.append(cycle("--minutes", "30", "--no-growth"))
        while time.monotonic() - began < least:  # each page and graph once more
            found = worst(found, [looking.reading(data), looking.drawing(data, out), looking.looking(data)])
        took, megabytes = time.monotonic() - began, written_so_far() / 1e6
    return found, f"4 MB written and synced, again and again, for {took:.0f} s: {megabytes / took:.0f} MB/s."


def measured(data: str, scratch: str, days: int, out: str, *, minutes: int, seconds: int) -> list[Section]:
    """`minutes` of cycles come in before the day's upkeep; `seconds` of readers."""
    parts: list[tuple[str, Callable[[], Section]]] = [
        ("keeping", lambda: keeping.section(data, days, whole=days >= 365)),
        ("upkeep", lambda: keeping.upkeep(data, scratch, days, minutes=minutes)),
        ("reading", lambda: looking.reading(data)),
        ("drawing", lambda: looking.drawing(data, os.path.join(out, "img"))),
        ("pages", lambda: looking.looking(data)),
        ("serving", lambda: looking.serving(data, seconds)),
    ]
    sections = []
    for name, part in parts:
        began = time.monotonic()
        sections.append(part())
        say(f"  {name}: {time.monotonic() - began:.0f} s")
    return sections


def written(sections: list[Section], loaded: list[Section], how: str, where: list[tuple[str, str]], days: int) -> str:
    beside = {one.name: one for section in loaded for one in section.figures}
    figures = [one for section in sections for one in section.figures]
    bounded = [one for one in figures if one.kept is not None]
    lines = [
        "# What Vigie costs", "",
        f"Written by `bench/run.sh`: {days} days of {len(build.year.SPECS)} series of a made-up machine (bench/year.py, one fixed seed),",
        f"stored by the archive's own code. {sum(1 for one in bounded if one.kept)} of {len(bounded)} bounds are kept.", "",
        "| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in where), "",
    ]  # fmt: skip
    for section in sections:
        lines += [
            f"## {section.title}",
            "",
            *([section.words, ""] if section.words else []),
            table(section.figures),
            "",
        ]
    if loaded:
        lines += ["## The same while another process saturates the disk", "", how, "",
                  "| figure | quiet | under load | bound | kept |", "|---|---:|---:|---:|:-:|"]  # fmt: skip
        for one in figures:
            other = beside.get(one.name)
            if other and other.bound is not None and not other.judged:
                kept = "yes" if other.kept else "**no**"
                lines.append(
                    f"| {one.name} | {number(one.value)} {one.unit} | {number(other.value)} | {number(other.bound)} | {kept} |"
                )
        lines.append("")
    lines += ["![24 hours](img/cpu-24h.svg)", "![a year](img/cpu-1y.svg)", ""]
    return "\n".join(lines)


def verdict(sections: Iterable[Section]) -> list[Figure]:
    """What fails the short form: counts, and ratios to a floor of the same run, beyond their bound."""
    return [one for section in sections for one in section.figures if one.judged and one.kept is False]


def only_the_cycle(out: str, *, short: bool, loaded: bool) -> int:
    with tempfile.TemporaryDirectory(prefix="vigie-bench-") as scratch:
        where = machine(scratch)
        if loaded:
            with disk_load(scratch):
                sections = [cycle("--minutes", "30", title=CYCLE_LOADED)]
        elif short:
            sections = [cycle("--short")]
        else:
            sections = [cycle(), cycle("--growth", title=GROWTH)]
    missing = [section for section in sections if not section.figures]
    for section in missing:
        print(f"bench/run.sh: {section.title}: {section.words}", file=sys.stderr)
    if missing:
        return 1
    if short:
        print(table(sections[0].figures))
        return 1 if any(one.judged and one.kept is False for one in sections[0].figures) else 0
    put_in(os.path.join(out, "RESULTS.md"), sections, where)
    return 0


def main(arguments: Iterable[str]) -> int:
    parser = argparse.ArgumentParser(prog="bench/run.sh", description=__doc__.partition("\n")[0])
    parser.add_argument("--short", action="store_true", help="under a minute; judges only what no machine changes")
    parser.add_argument("--days", type=int, default=0)
    parser.add_argument("--data", default="")
    parser.add_argument("--years", type=int, default=1)
    parser.add_argument("--disk-load", action="store_true")
    parser.add_argument("--seconds", type=int, default=0, help="of sixty readers")
    parser.add_argument(
        "--cycle", action="store_true", help="only what a cycle costs; put in the RESULTS.md that is there"
    )
    parser.add_argument("--no-cycle", action="store_true", help="all but what a cycle costs, which --cycle puts in")
    parser.add_argument("--out", default=os.path.join(ROOT, "bench"))
    asked = parser.parse_args(list(arguments))
    if asked.cycle:
        return only_the_cycle(asked.out, short=asked.short, loaded=asked.disk_load)
    days = asked.days or (SHORT_DAYS if asked.short else 365)
    minutes, seconds = SHORT_MINUTES if asked.short else 1440, asked.seconds or (5 if asked.short else 60)
    with tempfile.TemporaryDirectory(prefix="vigie-bench-") as scratch:
        out = os.path.join(scratch, "out") if asked.short else asked.out
        where = machine(scratch)
        data = asked.data or os.path.join(scratch, "data")
        if not os.path.exists(os.path.join(data, database.NAME)):
            os.makedirs(data, mode=0o700, exist_ok=True)
            say(f"  building {days} days")
            took = build.build(
                data,
                days,
                SHORT_RAW if asked.short else build.RAW_DAYS,
                say=not asked.short,
                most=SHORT_MINUTES if asked.short else 1440,
            )
            say(f"  built in {took['seconds']:.0f} s")
        kept = keeping.section(data, days, whole=days >= 365)  # before the long lists come in
        looking.fill_lists(data)
        sections = [
            *([] if asked.no_cycle else [cycle(*(["--short"] if asked.short else []))]),
            *([] if asked.short or asked.no_cycle else [cycle("--growth", title=GROWTH)]),
            kept,
            *measured(data, scratch, days, out, minutes=minutes, seconds=seconds)[1:],
        ]

        def write(loaded: list[Section], how: str) -> str:
            """After each long part: a run that is stopped leaves what it had."""
            text = written(sections, loaded, how, where, days)
            if not asked.short:
                with open(os.path.join(asked.out, "RESULTS.md"), "w", encoding="utf-8") as file:
                    file.write(text)
            return text

        text = write([], "")
        if asked.years > 1:
            say(f"  {asked.years} years")
            sections.append(decade.section(data, scratch, days, asked.years))
            text = write([], "")
        if asked.disk_load:
            say("  the same under load")
            loaded, how = saturated(
                data, scratch, days, os.path.join(scratch, "out"), short=asked.short, minute=not asked.no_cycle
            )
            text = write(loaded, how)
    if asked.short:
        print(text)
        broken = verdict(sections)
        for one in broken:
            print(
                f"beyond its bound: {one.name}: {number(one.value)} {one.unit}, at most {number(one.bound or 0)}",
                file=sys.stderr,
            )
        return 1 if broken else 0
    print(os.path.join(asked.out, "RESULTS.md"))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
