"""Texts -> rows. The spool files that wait, in one transaction; then each goes to the journal.

1. Read the oldest spool files; a cut one, or one from the future, goes to quarantine with its reason.
2. In one transaction: each cycle's row (already there: nothing else is done), metrics, series, samples, facts, probes.
   A quarter of an hour of texts costs one commit; a long backlog is taken in groups (TOGETHER), so that no transaction is long.
3. Counters become rates: the difference to the last raw value over the elapsed /proc/uptime; a new boot id, or a value
   that went down, gives no sample.
4. After the commit the file is renamed into the day's journal. Killed in between, it is loaded again: no change.
5. `data/probes/` shows the newest texts (archive/view.py).
"""

import os
import sqlite3
import sys
from collections.abc import Iterator
from typing import NamedTuple

from archive import database, events, pseudonyms, rollup, spool, view
from archive.loading import Loaded, Loading, labels_json

__all__ = ["Loaded", "Loading", "labels_json", "load"]


TOGETHER, TOGETHER_BYTES = 15, 1 << 20  # texts of one transaction: so many, or so large, whichever comes first


class _Text(NamedTuple):
    name: str
    path: str
    cycle: spool.Cycle


def load(data: str, db: sqlite3.Connection, now: int, host: int = 1) -> list[Loaded]:
    """Everything that waits, oldest first. `db` is a writing connection.

    One bad file never stops the others: what is no whole cycle goes to quarantine; what cannot be read or moved now
    (another owner, a full disk) stays in the spool for the next time; an event and a line on standard error say so once.
    """
    loaded: list[Loaded] = []
    people = pseudonyms.of(db)
    shown: dict[str, bytes] = {}
    for group in _groups(data, db, now, host):
        done = _store(db, group, now, host)
        loaded += [one for one in done if one]
        for text, one in zip(group, done, strict=True):
            if one:
                shown |= {section.probe: section.text for section in text.cycle.sections if section.status == "ok"}
            try:
                if people:
                    pseudonyms.cover(text.path, people)
                spool.to_journal(data, text.name, text.cycle.at)
            except (spool.SpoolError, OSError) as error:
                _stays(db, text.path, error, host)  # archived all the same; loaded again, it changes nothing
    if people:
        shown = {probe: pseudonyms.section(raw, people) for probe, raw in shown.items()}
    if shown:
        view.show(data, shown)
    return loaded


def _groups(data: str, db: sqlite3.Connection, now: int, host: int) -> Iterator[list[_Text]]:
    """The whole texts that wait; the others are dealt with on the way."""
    group: list[_Text] = []
    size = 0
    for name in spool.waiting(data):
        path = os.path.join(data, "spool", name)
        try:
            raw = spool.read(path)
            cycle = spool.parse(raw)
            if cycle.at > now + spool.FUTURE:
                raise spool.SpoolError(f"its time is {cycle.at - now} seconds ahead of the clock")
        except FileNotFoundError:
            continue
        except spool.SpoolError as error:
            _set_aside(data, db, name, str(error), host, now)
            continue
        except OSError as error:
            _stays(db, path, error, host)
            continue
        if group and (len(group) >= TOGETHER or size + len(raw) > TOGETHER_BYTES):
            yield group
            group, size = [], 0
        group.append(_Text(name, path, cycle))
        size += len(raw)
    if group:
        yield group


def _store(db: sqlite3.Connection, group: list[_Text], now: int, host: int) -> list[Loaded | None]:
    """All of them or none; for each its rows, None where it was loaded before."""
    done: list[Loaded | None] = []
    before: Loading | None = None
    with database.transaction(db):
        for text in group:
            before = Loading(db, host, text.cycle, now, before)
            done.append(before.run())
            if done[-1]:
                rollup.mark_late(db, host, done[-1].at, now)
    return done


def _set_aside(data: str, db: sqlite3.Connection, name: str, reason: str, host: int, now: int) -> None:
    words = spool.shown(name)
    try:
        spool.quarantine(data, name, f"{words}: {reason}")
    except OSError as error:
        _stays(db, os.path.join(data, "spool", name), error, host)
        return
    events.add(db, host, now, "quarantine", words, reason)


def _stays(db: sqlite3.Connection, path: str, error: Exception, host: int) -> None:
    """Said once a file: the event's time is the file's own."""
    try:
        at = int(os.lstat(path).st_mtime)
    except OSError:
        return
    words = spool.shown(os.path.basename(path))
    if events.add(db, host, at, "spool", words, f"stays in the spool: {error}"):
        print(f"vigie: {words} stays in the spool: {error}", file=sys.stderr)
