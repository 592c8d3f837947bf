"""Undo a change of the history: what stood before it stands again, as a change of its own that can be undone too."""

import sqlite3

from archive import changes, recipients, silences, thresholds
from archive.fleet import handing, wishes
from archive.thresholds import ThresholdError


def undo(db: sqlite3.Connection, ident: int, by: str, now: int, host: int = 1) -> None:
    """Raises ThresholdError (for planned work IncidentError, for a recipient RecipientError) when there is no such change, or a newer one stands upon it."""
    change = changes.get(db, ident)
    if change is None:
        raise ThresholdError("change", "There is no change number %(number)s.", number=ident)
    if change.kind == silences.KIND:
        silences.undo(db, change, by, now)
    elif change.kind == "setting" and change.subject.startswith(recipients.SUBJECT):
        recipients.undo(db, change, by, now)
    elif change.kind == "setting" and change.subject.startswith(wishes.SUBJECT):
        wishes.undo(db, change, by, now)
    elif change.kind == "setting" and change.subject == handing.MAILS:
        raise ThresholdError("change", "The centre set this: set a value of your own here, or change it at the centre.")
    elif change.kind == "setting":
        if change.subject != thresholds.RETENTION or str(thresholds.retention_days(db)) != change.after:
            raise ThresholdError("change", "This setting was changed again since: undo the newer change first.")
        thresholds.set_retention(db, int(change.before), by, now, host)
    else:
        thresholds.undo(db, ident, by, now)
