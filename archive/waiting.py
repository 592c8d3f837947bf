"""Texts that wait in the spool because all was calm (alerts/calm.py): archived before anybody reads.

Judging them is left to the minute's step: the shell has seen that no level is crossed, or they would not wait. So the
calm goes on, and a page that is looked at all day does not start a Python every minute.
"""

import os
import sqlite3

from archive import clock, database, spool

PATIENCE = 1.0  # seconds: who is writing now is done within them, or the reader takes what there is


def load(data: str) -> None:
    """Archive what waits. Where that cannot be done the reader reads what is archived: the minute's step will say why."""
    if not spool.waiting(data) or not os.access(data, os.W_OK):
        return
    from archive import load as loading

    try:
        # The calm is left where it is, not put back: who held the lock before us may have ended it.
        with database.writer(data, PATIENCE, calm=True) as db:
            loading.load(data, db, clock.now())
    except (database.DatabaseError, sqlite3.Error, OSError):
        database.end_calm(data)
