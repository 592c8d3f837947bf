"""What is due now, beside the judging: asked every minute, so each question is one cheap look-up."""

import sqlite3

HOUR, DAY = 3600, 86_400


def certfr(db: sqlite3.Connection, now: int) -> bool:
    """Whether CERT-FR should be read: the earliest next reading has come, or nothing was read for an hour.

    A time further ahead than a day is not believed: the clock was set back.
    """
    next_at, read_at = db.execute("SELECT min(next_at), max(read_at) FROM reading").fetchone()
    if next_at is not None:
        return bool(now >= next_at or next_at > now + DAY)
    return read_at is None or not 0 <= now - read_at < HOUR
