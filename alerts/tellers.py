"""Who mails about an incident of a machine of the fleet: the machine, its centre, or both, as the centre sets it.

On the machine, when something is to be told: what the centre mails about is owed here all the same, and held back until
the centre has taken it over (archive/fleet/handing.py). The end of what was told from here is told from here.
At the centre, every minute: what was taken over is owed to the centre's own recipients, in one transaction with the note
that it was; one mail a machine and cycle, one thread an incident. A beginning waits a little for what was running then,
which travels a minute later.

The path that runs every minute imports this: the standard library only, and little of it.
"""

import sqlite3
import sys
from collections.abc import Sequence

from alerts import owed
from archive.fleet import handing
from archive.fleet.handing import DAY, Tell
from archive.recipients import Recipient

PATIENCE = 90  # seconds: the next parcel holds the evidence, if there is any


def owe(
    db: sqlite3.Connection, host: int, transitions: Sequence[int], recipients: Sequence[Recipient], url: str, now: int
) -> None:
    """Owe the transitions of one of this machine's cycles, to whom it falls to tell them."""
    who = handing.teller(db)
    if who != handing.CENTRE:
        mails = owed.owe(db, host, transitions, recipients, url, now)
        if who:
            handing.hand(db, mails, who, now)
        return
    mine = handing.told_here(db, transitions)
    for numbers, one in (
        ([number for number in transitions if number in mine], handing.MACHINE),
        ([number for number in transitions if number not in mine], handing.CENTRE),
    ):
        if numbers:
            handing.hand(db, owed.owe(db, host, numbers, recipients, url, now), one, now)


def tell(db: sqlite3.Connection, recipients: Sequence[Recipient], url: str, now: int) -> int:
    """What the centre has taken over becomes mails, within the caller's transaction. Returns how many."""
    from archive.fleet import members

    ready: dict[int, list[Tell]] = {}
    waiting: set[int] = set()  # machines of which something waits: what came after it is told after it
    for one in handing.due(db):
        if one.host not in waiting and (not 0 <= now - one.taken_at < PATIENCE or handing.has_evidence(db, one)):
            ready.setdefault(one.host, []).append(one)
        else:
            waiting.add(one.host)
    if now % DAY < 60:
        handing.forget(db, now)
    mails = 0
    for host, tells in ready.items():
        member = members.get(db, host)
        base = f"{url}/hosts/{member.name}" if member and url else url
        db.execute("SAVEPOINT told")
        try:
            mails += len(owed.owe(db, host, [one.transition for one in tells], recipients, base, now))
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            # Rows of that machine which make no sense: the mails about the others are not held up by them.
            db.execute("ROLLBACK TO told")
            print(f"vigie: host {host}: cannot be mailed about: {type(error).__name__}: {error}"[:300], file=sys.stderr)
        db.execute("RELEASE told")
        handing.done(db, tells, now)
    return mails
