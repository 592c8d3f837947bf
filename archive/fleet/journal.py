"""Which texts the centre has yet to acknowledge. The journal is the buffer: a cut of weeks loses nothing that it holds.

A text is known by its day and its name in the journal, `sent/<day>` lists those acknowledged. By names and not by one
time, because a clock that was put back makes texts older than those already sent.
"""

import os
import re
from collections.abc import Iterator
from typing import NamedTuple

from archive import rights, spool
from archive.fleet import state

_MARK = re.compile(rb"^# VIGIE lines=\d+ bytes=\d+ cycle=(\d{1,12}) [^\n]*\n", re.MULTILINE)
_NAME = re.compile(r"(\d{1,12})\.prom\d*")


class Waiting(NamedTuple):
    day: str
    name: str
    raw: bytes


def waiting(data: str, since: int, *, spooled: bool = True) -> Iterator[Waiting]:
    """Texts not acknowledged of cycles since a time, oldest first. `spooled`: those that wait to be archived as well.

    A file that goes while it is looked for is met again under its other name at the next sending.
    """
    first = spool.day_name(since)
    for day in _days(data):
        if day >= first:
            yield from _of_day(data, day, since)
    if spooled:
        yield from _of_spool(data, since)


def count(data: str, since: int) -> int:
    """How many texts wait; compressed days are not counted twice, nor read."""
    total = 0
    for day in _days(data):
        if day < spool.day_name(since):
            continue
        folder = os.path.join(data, "journal", day)
        if os.path.isdir(folder):
            sent = _sent(data, day)
            total += sum(1 for name in os.listdir(folder) if name not in sent and _at(name) >= since)
        elif not _is_done(data, day):
            total += max(0, 1440 - len(_sent(data, day)))
    return total


def acknowledged(data: str, texts: list[Waiting]) -> None:
    """The centre has these: on the disk before the next are sent."""
    by_day: dict[str, list[str]] = {}
    for one in texts:
        by_day.setdefault(one.day, []).append(one.name)
    folder = os.path.join(data, state.FOLDER, "sent")
    os.makedirs(folder, mode=rights.of_folder(folder), exist_ok=True)
    for day, names in by_day.items():
        path, flags = os.path.join(folder, day), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(path, flags, rights.of_file(path))
        with open(fd, "a", encoding="ascii", errors="replace") as file:
            file.write("".join(f"{name}\n" for name in names))
            file.flush()
            os.fsync(file.fileno())


def tidy(data: str) -> None:
    """Lists of days that have left the journal go, too."""
    folder = os.path.join(data, state.FOLDER, "sent")
    days = set(_days(data))
    for name in os.listdir(folder) if os.path.isdir(folder) and days else ():
        if name[:10] < min(days):
            os.unlink(os.path.join(folder, name))


def _days(data: str) -> list[str]:
    """Days of the journal, oldest first, whether they are a folder, compressed, or both (texts that came late)."""
    try:
        names = os.listdir(os.path.join(data, "journal"))
    except FileNotFoundError:
        return []
    return sorted({name[:10] for name in names if not name.startswith(".")})


def _sent(data: str, day: str) -> frozenset[str]:
    try:
        with open(os.path.join(data, state.FOLDER, "sent", day), encoding="ascii", errors="replace") as file:
            return frozenset(line.strip() for line in file)
    except FileNotFoundError:
        return frozenset()


def _of_day(data: str, day: str, since: int) -> Iterator[Waiting]:
    sent = _sent(data, day)
    yield from _compressed(data, day, since, sent)
    folder = os.path.join(data, "journal", day)
    try:
        names = sorted(os.listdir(folder), key=lambda name: (_at(name), len(name), name))
    except (FileNotFoundError, NotADirectoryError):
        return
    for name in names:
        if name in sent or not _NAME.fullmatch(name) or _at(name) < since:
            continue
        try:
            yield Waiting(day, name, spool.read(os.path.join(folder, name)))
        except (FileNotFoundError, spool.SpoolError):
            continue


def _archives(data: str, day: str) -> list[str]:
    folder = os.path.join(data, "journal")
    return sorted(
        (name for name in os.listdir(folder) if name.startswith(day) and name.endswith(".txt.xz")),
        key=lambda name: (len(name), name),
    )


def _is_done(data: str, day: str) -> bool:
    """Whether the compressed texts of a day were looked through, and all of them are acknowledged."""
    return state.read(data, f"sent/{day}.done").strip() == str(len(_archives(data, day)))


def _compressed(data: str, day: str, since: int, sent: frozenset[str]) -> Iterator[Waiting]:
    names = _archives(data, day)
    if not names or _is_done(data, day):
        return
    import lzma

    seen: dict[int, int] = {}
    whole = True
    for name in names:
        try:
            with lzma.open(os.path.join(data, "journal", name), "rb") as file:
                raw = file.read()
        except (FileNotFoundError, lzma.LZMAError, EOFError):
            continue  # `./vigie doctor` says what is wrong with it
        place = 0
        for mark in _MARK.finditer(raw):
            at = int(mark[1])
            seen[at] = seen.get(at, 0) + 1
            # As the journal named them, in the order in which they were put together.
            known = f"{at}.prom" if seen[at] == 1 else f"{at}.prom{seen[at]}"
            if known not in sent and at >= since:
                whole = False
                yield Waiting(day, known, raw[place : mark.end()])
            place = mark.end()
    if whole:
        state.write(data, f"sent/{day}.done", f"{len(names)}\n")


def _of_spool(data: str, since: int) -> Iterator[Waiting]:
    for name in spool.waiting(data):
        if not _NAME.fullmatch(name) or _at(name) < since:
            continue
        day = spool.day_name(_at(name))
        if name in _sent(data, day):
            continue
        try:
            yield Waiting(day, name, spool.read(os.path.join(data, "spool", name)))
        except (FileNotFoundError, spool.SpoolError, OSError):
            continue


def _at(name: str) -> int:
    found = _NAME.fullmatch(name)
    return int(found[1]) if found else -1
