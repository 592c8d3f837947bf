"""The database again, from the newest sound backup and the journal: what was archived since then is loaded once more.

Loading knows by (host, time) what it has already, so a text that is in the backup changes nothing.
"""

import lzma
import os
import sqlite3
from collections.abc import Iterator

from archive import database, load, rollup, spool

END = b"\n# VIGIE lines="


def texts(data: str) -> Iterator[tuple[str, bytes]]:
    """(where, bytes) of every cycle in the journal, oldest first. A damaged day gives what could be read of it."""
    folder = os.path.join(data, "journal")
    if not os.path.isdir(folder):
        return
    for day in sorted(os.listdir(folder)):
        path = os.path.join(folder, day)
        if day.endswith(".xz"):
            yield from ((f"{path}, text {number}", raw) for number, raw in enumerate(_split(_unpacked(path)), 1))
        elif os.path.isdir(path) and not day.startswith("."):
            for name in sorted(os.listdir(path)):
                yield os.path.join(path, name), spool.read(os.path.join(path, name))


def _unpacked(path: str) -> bytes:
    """As much of a compressed day as is whole: a torn tail is tolerated."""
    found = bytearray()
    with open(path, "rb") as file:
        reader = lzma.LZMADecompressor()
        try:
            while not reader.eof and (chunk := file.read(1 << 16)):
                found += reader.decompress(chunk)
        except lzma.LZMAError:
            pass
    return bytes(found)


def _split(raw: bytes) -> Iterator[bytes]:
    """A day's text -> its cycles: each ends with its end mark."""
    start = 0
    while (mark := raw.find(END, start)) >= 0:
        end = raw.find(b"\n", mark + len(END))
        end = len(raw) if end < 0 else end + 1
        yield raw[start:end]
        start = end


def replay(data: str, db: sqlite3.Connection, now: int, host: int = 1) -> tuple[int, list[str]]:
    """Load the whole journal into `db`. Returns (cycles that were new, texts that could not be read with the reason)."""
    new, refused = 0, []
    for where, raw in texts(data):
        try:
            cycle = spool.parse(raw)
        except spool.SpoolError as error:
            refused.append(f"{where}: {error}")
            continue
        with database.transaction(db):
            if load.Loading(db, host, cycle, now).run():
                new += 1
                rollup.mark_late(db, host, cycle.at, now)
    return new, refused
