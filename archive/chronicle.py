"""Incidents for those who take them away: all of a span, and when each last changed. Times are UTC seconds."""

import sqlite3
from collections.abc import Iterable, Iterator

from archive.incidents import Incident

# What a follower wants to hear of; a reminder or a mail held back changes nothing of the incident.
TOLD = ("opened", "escalated", "lowered", "eased", "returned", "resolved", "gone", "acknowledged")
_COLUMNS = ", ".join(Incident._fields)


def opened_between(db: sqlite3.Connection, host: int, start: int, end: int, state: str = "") -> Iterator[Incident]:
    """Incidents that opened in [start, end), newest first, as they are read. `state`: open, closed, '' for both."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM incident WHERE host=?1 AND opened_at >= ?2 AND opened_at < ?3"
        " AND (?4 = '' OR (state = 'resolved') = (?4 = 'closed')) ORDER BY opened_at DESC, id DESC",
        (host, start, end, state),
    )
    return (Incident(*row) for row in rows)


def changed_at(db: sqlite3.Connection, idents: Iterable[int]) -> dict[int, int]:
    """{incident: when its state last changed}; one without a transition is left out."""
    wanted, kinds = list(idents), ", ".join(f"'{kind}'" for kind in TOLD)
    marks = ", ".join("?" * len(wanted))
    rows = db.execute(
        f"SELECT incident, max(at) FROM transition WHERE incident IN ({marks}) AND kind IN ({kinds}) GROUP BY incident",
        wanted,
    )
    return {int(ident): int(at) for ident, at in rows}
