"""Texts -> rows. One spool file, one transaction; then the file goes to the journal.

1. Read the oldest spool file; a cut one, or one from the future, goes to quarantine with its reason.
2. In one transaction: the cycle's row (already there: nothing else is done), metrics, series, samples, facts, probes.
3. Counters become rates: the difference to the last raw value over the elapsed /proc/uptime; a new boot id, or a value
   that went down, gives no sample.
4. After the commit the file is renamed into the day's journal. Killed in between, it is loaded again: no change.
5. `data/probes/` shows the newest texts (archive/view.py).
"""

import os
import sqlite3
import sys

from archive import database, events, pseudonyms, rollup, spool, view
from archive.loading import Loaded, Loading, labels_json

__all__ = ["Loaded", "Loading", "labels_json", "load"]


def load(data: str, db: sqlite3.Connection, now: int, host: int = 1) -> list[Loaded]:
    """Everything that waits, oldest first. `db` is a writing connection.

    One bad file never stops the others: what is no whole cycle goes to quarantine; what cannot be read or moved now
    (another owner, a full disk) stays in the spool for the next time; an event and a line on standard error say so once.
    """
    loaded = []
    people = pseudonyms.of(db)
    texts: dict[str, bytes] = {}
    for name in spool.waiting(data):
        path = os.path.join(data, "spool", name)
        try:
            cycle = spool.parse(spool.read(path))
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
        with database.transaction(db):
            done = Loading(db, host, cycle, now).run()
            if done:
                rollup.mark_late(db, host, done.at, now)
        if done:
            loaded.append(done)
            texts |= {section.probe: section.text for section in cycle.sections if section.status == "ok"}
        try:
            if people:
                pseudonyms.cover(path, people)
            spool.to_journal(data, name, cycle.at)
        except (spool.SpoolError, OSError) as error:
            _stays(db, path, error, host)  # archived all the same; loaded again, it changes nothing
    if people:
        texts = {probe: pseudonyms.section(raw, people) for probe, raw in texts.items()}
    if texts:
        view.show(data, texts)
    return loaded


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
