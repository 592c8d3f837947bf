"""Undo a change of the history: what stood before it stands again, as a change of its own that can be undone too."""

import sqlite3

from archive import changes, silences, thresholds
from archive.thresholds import ThresholdError


def undo(db: sqlite3.Connection, ident: int, by: str, now: int, host: int = 1) -> None:
    """Raises ThresholdError (for planned work IncidentError) when there is no such change, or a newer one stands upon it."""
    change = changes.get(db, ident)
    if change is None:
        raise ThresholdError("change", "There is no change number %(number)s.", number=ident)
    if change.kind == silences.KIND:
        silences.undo(db, change, by, now)
    elif change.kind == "setting":
        if change.subject != thresholds.RETENTION or str(thresholds.retention_days(db)) != change.after:
            raise ThresholdError("change", "This setting was changed again since: undo the newer change first.")
        thresholds.set_retention(db, int(change.before), by, now, host)
    else:
        thresholds.undo(db, ident, by, now)
