"""The database again, from the newest sound backup and the journal: what was archived since then is loaded once more.

Loading knows by (host, time) what it has already, so a text that is in the backup changes nothing.
"""

import lzma
import os
import re
import sqlite3
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from archive import database, load, rollup, spool

_END = re.compile(rb"^# VIGIE lines=.*\n", re.MULTILINE)
BATCH = 60  # cycles in one transaction


class Text(NamedTuple):
    """One text of the journal; `problem` says why it could not be read."""

    where: str
    raw: bytes
    problem: str


def texts(data: str) -> Iterator[Text]:
    """Every cycle in the journal, oldest day first. A damaged day gives what could be read of it."""
    folder = os.path.join(data, "journal")
    if not os.path.isdir(folder):
        return
    # 2026-11-22.txt.xz was made before 2026-11-22.2.txt.xz, and what is still in the day's folder came after both.
    for day in sorted(os.listdir(folder), key=lambda name: (name[:10], not name.endswith(".xz"), len(name), name)):
        path = os.path.join(folder, day)
        if day.startswith("."):
            continue
        if day.endswith(".xz"):
            yield from _of_archive(path)
        elif os.path.isdir(path):
            for name in sorted(os.listdir(path)):
                where = os.path.join(path, name)
                try:
                    yield Text(where, spool.read(where), "")
                except (spool.SpoolError, OSError) as error:
                    yield Text(where, b"", str(error))


def _of_archive(path: str) -> Iterator[Text]:
    raw, problem = unpacked(path)
    start = 0
    for number, mark in enumerate(_END.finditer(raw), 1):
        yield Text(f"{path}, text {number}", raw[start : mark.end()], "")
        start = mark.end()
    if problem or start < len(raw):
        yield Text(path, b"", problem or "its end is missing")


def unpacked(path: str) -> tuple[bytes, str]:
    """As much of a compressed day as is whole, and what is wrong with the rest."""
    found = bytearray()
    try:
        with open(path, "rb") as file:
            reader = lzma.LZMADecompressor()
            while not reader.eof and (chunk := file.read(1 << 16)):
                found += reader.decompress(chunk)
    except (lzma.LZMAError, OSError) as error:
        return bytes(found), str(error)
    return bytes(found), "" if reader.eof else "its end is missing"


def split(raw: bytes) -> list[bytes]:
    """The cycles of an unpacked day, each with its end mark; what stands after the last one comes last."""
    ends = [0, *(mark.end() for mark in _END.finditer(raw)), len(raw)]
    return [raw[start:end] for start, end in pairwise(ends) if end > start]


def replay(data: str, db: sqlite3.Connection, now: int, host: int = 1) -> tuple[int, list[str]]:
    """Load the whole journal into `db`. Returns (cycles that were new, texts that could not be read with the reason).

    When a text was archived is not known any more, so no cycle_lag_seconds comes back.
    """
    new = 0
    refused: list[str] = []
    waiting: list[spool.Cycle] = []
    for where, raw, problem in texts(data):
        try:
            if problem:
                raise spool.SpoolError(problem)
            waiting.append(spool.parse(raw))
        except spool.SpoolError as error:
            refused.append(f"{where}: {error}")
        if len(waiting) >= BATCH:
            new += _store(db, host, waiting, now)
            waiting = []
    return new + _store(db, host, waiting, now), refused


def _store(db: sqlite3.Connection, host: int, cycles: list[spool.Cycle], now: int) -> int:
    """Returns how many were new."""
    with database.transaction(db):
        done = [loaded for cycle in cycles if (loaded := load.Loading(db, host, cycle, None).run())]
        rollup.mark_late_hours(db, host, [loaded.at for loaded in done], now)
    return len(done)
