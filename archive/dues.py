"""What is due now, beside the judging: asked every minute, so it is one cheap look-up without heavy imports."""

import sqlite3

HOUR = 3600


def upkeep(db: sqlite3.Connection, now: int) -> bool:
    """Whether an hour has passed, or begun, since the last upkeep (archive/upkeep.py, whose imports cost too much here)."""
    row = db.execute("SELECT value FROM setting WHERE name='upkeep_at'").fetchone()
    last = int(row[0]) if row else 0
    return now >= last + HOUR or now < last - HOUR or (now - 180) // HOUR > (last - 180) // HOUR


def fleet(db: sqlite3.Connection) -> bool:
    """Whether machines send here: then somebody has to notice when one falls silent (alerts/fleet.py)."""
    return db.execute("SELECT 1 FROM member WHERE joined_at IS NOT NULL LIMIT 1").fetchone() is not None
