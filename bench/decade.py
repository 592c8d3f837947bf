"""Ten years: a year's past once more and again, each time 384 days earlier, beside the year itself; and what grows with it.

The blobs of a year are taken as they are and only their times are moved (24 stretches of sixteen days), so that nine more
years are made in seconds, of the same sizes and forms that the archive's own code gave the first one. That a moved blob
differs from the first in nothing but its times is tested (tests/bench/test_decade.py).
"""

import os
import shutil
import statistics
import time
from array import array
from zlib import compress, crc32, decompress

from archive import columns, database, load, pack, rolled
from bench import build, keeping, looking
from bench.build import END
from bench.figures import Figure, Section, Timed, number, timed
from bench.year import DAY, MINUTES, Machine

SHIFT = 24 * pack.STRETCH
CYCLES = 15


def moved(blob: bytes, shift: int, *, of_spans: bool = False) -> bytes:
    """A blob of archive/pack.py or past.py, or `of_spans` one of rolled.py, `shift` seconds earlier. Its times are its first
    column, and a column's first number carries all the others."""
    raw, head, place = blob[:-4], bytearray(blob[:1]), 1
    if of_spans and raw[0] == rolled.FOLDED:
        coarse, place = columns.read_varint(raw, place)
        size, place = columns.read_varint(raw, place)
        planes = _planes(raw[place : place + size], shift // coarse)
        columns.varint(head, coarse)
        columns.varint(head, len(planes))
        head += planes
        place += size
    count, place = columns.read_varint(raw, place)
    columns.varint(head, count)
    head += raw[place : place + 2]
    order, place = raw[place] & ~columns.DEFLATED, place + 2
    for rank in range(order + 1):
        found, place = columns.read_varint(raw, place)
        columns.varint(head, columns.zigzag(columns.unzigzag(found) - (0 if rank else shift)))
    head += raw[place:]
    return bytes(head) + crc32(head).to_bytes(4, "big")


def _planes(packed: bytes, shift: int) -> bytes:
    planes = decompress(packed)
    size = len(planes) // rolled.CELL
    body = bytearray(len(planes))
    for rank in range(rolled.CELL):
        body[rank :: rolled.CELL] = planes[rank * size : (rank + 1) * size]
    cells = array("q", bytes(body))
    cells[0] -= shift
    raw = cells.tobytes()
    return compress(b"".join(raw[rank :: rolled.CELL] for rank in range(rolled.CELL)), 9)


def age(data: str, years: int) -> None:
    """So many years in all, within the folder of one."""
    edge = END - 40 * DAY  # the newest five weeks stand in other forms: days, rows
    with database.writer(data) as db:
        for back in range(1, years):
            shift = back * SHIFT
            with database.transaction(db):
                for table, time_of, spans in (
                    ("packed_long", "at", ""),
                    ("rolled", "at", "step"),
                    ("packed_cycle", "day", ""),
                ):
                    names = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
                    where, value = names.index(time_of), names.index("data")
                    only = f"WHERE {time_of} < {edge}" + (" AND step = 3600" if spans else "")
                    for row in db.execute(
                        f"SELECT * FROM {table} {only} AND {time_of} >= ?", (END - 366 * DAY - pack.STRETCH,)
                    ).fetchall():
                        new = list(row)
                        new[where] -= shift
                        new[value] = moved(row[value], shift, of_spans=bool(spans))
                        db.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(new))})", new)
                db.execute(
                    "INSERT INTO rollup SELECT host, series, step, at - ?, least, greatest, sum, count FROM rollup"
                    " WHERE step = 86400 AND at >= ?",
                    (shift, END - 366 * DAY),
                )  # fmt: skip
        with database.transaction(db):
            db.execute("UPDATE series SET first_at = first_at - ?", ((years - 1) * SHIFT,))
            db.execute("UPDATE host SET first_at = first_at - ?", ((years - 1) * SHIFT,))


def cycle_cost(data: str) -> tuple[float, float]:
    """One more hour of cycles is loaded: (processor milliseconds of one, steps of SQLite's machine), medians."""
    teller, values = build.Teller(build.scales()), Machine().day(9999)
    spent, steps = [], []
    for minute in range(2 * CYCLES):
        at = END + minute * 60
        build.spool(data, at, teller.cycle(at, 100.0 + at - END + 3653 * DAY, values, minute % MINUTES))
        count = 0

        def counted() -> int:
            nonlocal count
            count += 1
            return 0

        with database.writer(data) as db:
            if minute % 2:
                db.set_progress_handler(counted, 1)
            began = time.process_time()
            load.load(data, db, at + 5)
            took = (time.process_time() - began) * 1000
            db.set_progress_handler(None, 1)
        if minute % 2:
            steps.append(count)
        else:
            spent.append(took)
    return statistics.median(spent), statistics.median(steps)


def _page(site: looking.Site, url: str) -> Timed:
    """Nothing of the rows is kept."""
    site.get(url)
    return timed(lambda: site.get(url), 9, site.written)


def section(data: str, scratch: str, days: int, years: int) -> Section:
    """`data` holds one year with its lists; everything here is done on copies."""
    young, old = os.path.join(scratch, "young"), os.path.join(scratch, "old")
    for copy in (young, old):
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(data, copy)
    age(old, years)
    looking.fill_lists(old, looking.INCIDENTS * years, looking.ADVISORIES * min(years, 4))
    figures = [
        Figure("the file", os.path.getsize(os.path.join(old, database.NAME)) / 1e6, "MB", None, None,
               f"{years} years, {looking.INCIDENTS * years:,} incidents of one line; one year {os.path.getsize(os.path.join(young, database.NAME)) / 1e6:.1f} MB"),
    ]  # fmt: skip
    sites = looking.Site(young), looking.Site(old)
    for url, name in looking.PAGES.items():
        one, ten = (_page(site, url) for site in sites)
        times = f"{number(ten.processor / one.processor)} × one year's {number(one.processor)} ms"
        figures.append(ten.figure(name, 100, times))
    (one_ms, one_steps), (ten_ms, ten_steps) = cycle_cost(young), cycle_cost(old)
    figures += [
        Figure("loading a cycle: processor", ten_ms, "ms", None, None, f"{number(ten_ms / one_ms)} × one year's {number(one_ms)} ms"),
        Figure("loading a cycle: steps of SQLite's machine, of one year's", ten_steps / one_steps, "×", 1.1, None, f"{number(ten_steps)} and {number(one_steps)}", True),
    ]  # fmt: skip
    shutil.rmtree(young)
    figures += [
        one
        for one in keeping.upkeep(old, scratch, days, minutes=6 * 60, purging=False).figures
        if one.unit == "ms" or "processor" in one.name
    ]
    shutil.rmtree(old)
    return Section(f"{years} years", "The same pages and the same cycle, beside one year's in the same run.", figures)
