"""A machine follows what its centre sets: kept in its own database, in one transaction, and judged with while the centre is
away. What is set on the machine itself stays above it (archive/thresholds.py), and what the centre sets no more goes.
"""

import sqlite3
from typing import NamedTuple

from archive import changes, purge, read, thresholds
from archive.fleet import handing
from archive.fleet.handing import AWAY, CENTRE, HELD, MACHINE, MAILS, TAG
from archive.fleet.policy import Policy
from archive.refused import Refused

BY = "centre"  # who, in the history of changes


class Followed(NamedTuple):
    """How a machine stands to its centre's settings."""

    tag: str  # of the policy that it follows; '' when none
    mails: str
    away: bool  # the centre is set to mail, and has not acknowledged for too long


def followed(db: sqlite3.Connection) -> Followed:
    mails = read.setting(db, MAILS) or MACHINE
    return Followed(read.setting(db, TAG), mails, mails == CENTRE and read.setting(db, AWAY) != "0")


def follow(db: sqlite3.Connection, policy: Policy, tag: str, now: int) -> list[str]:
    """Keep it, within the caller's transaction. Returns what was not kept, each with the reason: a value that is wrong here
    is left out alone, and what stood before stays."""
    refused = []
    wanted = set()
    for one in policy.thresholds:
        key = (one.metric, one.labels)
        try:
            saved = thresholds.save(db, one._replace(host=thresholds.CENTRE), BY, now, policy.kinds)
            key = (saved.metric, saved.labels)
        except Refused as error:
            refused.append(f"{one.metric} {one.labels}: {error}"[:300])
        wanted.add(key)
    for metric, labels in _kept(db):
        if (metric, labels) not in wanted:
            thresholds.delete(db, metric, labels, BY, now, thresholds.CENTRE)
    _mail(db, policy.mails, now)
    purge.remember(db, TAG, tag, BY, now)
    handing.tidy(db)
    return refused


def _kept(db: sqlite3.Connection) -> list[tuple[str, str]]:
    rows = db.execute("SELECT metric, labels FROM threshold WHERE host=? ORDER BY metric, labels", (thresholds.CENTRE,))
    return [(row[0], row[1]) for row in rows]


def _mail(db: sqlite3.Connection, mails: str, now: int) -> None:
    before = read.setting(db, MAILS) or MACHINE
    if mails == before:
        return
    purge.remember(db, MAILS, mails, BY, now)
    changes.note(db, now, BY, "setting", MAILS, before, mails)
    if before == CENTRE:
        handing.release(db, now)


def watch(db: sqlite3.Connection, acknowledged_at: int | None, now: int) -> bool | None:
    """Whether the centre, which is set to mail, must be taken for away; None when that has not changed. Reads alone."""
    if (read.setting(db, MAILS) or MACHINE) != CENTRE:
        return None
    away = acknowledged_at is None or not 0 <= now - acknowledged_at <= HELD
    return None if away == (read.setting(db, AWAY) != "0") else away


def set_away(db: sqlite3.Connection, now: int, *, away: bool) -> None:
    """Away: this machine mails again, and what was held back leaves."""
    purge.remember(db, AWAY, str(int(away)), BY, now)
    if away:
        handing.release(db, now)


def leave(db: sqlite3.Connection, now: int, *, forget: bool = False) -> int:
    """This machine mails for itself again. The thresholds stay, or go (`forget`). Returns how many there are, or were."""
    found = _kept(db)
    _mail(db, MACHINE, now)
    purge.remember(db, TAG, "", BY, now)
    for metric, labels in found if forget else ():
        thresholds.delete(db, metric, labels, BY, now, thresholds.CENTRE)
    return len(found)


def centre_sets(db: sqlite3.Connection) -> dict[tuple[str, str], thresholds.Threshold]:
    """What the centre set here, by metric and labels, whether or not something of the machine's own stands above it."""
    found = {}
    for metric, labels in _kept(db):
        one = thresholds.get(db, metric, labels, thresholds.CENTRE)
        if one is not None:
            found[metric, labels] = one
    return found
