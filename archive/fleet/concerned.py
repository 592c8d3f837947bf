"""Which publications concern which machines of a fleet, for the centre's pages: counted by publication, listed by machine.

Of each machine its own word, else the centre's (the view `fleet_verdict`, archive/migrations/0022_fleet_pages.sql). A machine
counts while it is in service; a verdict that somebody put away counts as that alone. Texts are hostile. Times: UTC seconds.
"""

import sqlite3
from typing import NamedTuple

from archive.fleet import members

# What becomes of a verdict in a count.
STATES = ("affected", "to_check", "corrected")
_STATE = (
    "CASE WHEN v.dismissed_at IS NOT NULL THEN 'put_away' WHEN v.verdict <> 'not_affected' THEN v.verdict"
    " WHEN v.fixed_at IS NOT NULL THEN 'corrected' ELSE 'clear' END"
)
# The view's two halves, counted each by itself: what is the same for ten thousand machines is not carried along for each.
_COUNTED = (
    "SELECT v.advisory AS advisory, {state} AS state, count(*) AS number FROM verdict v JOIN member m ON m.host = v.host"
    " WHERE {served} GROUP BY 1, 2 UNION ALL"
    " SELECT v.advisory, CASE WHEN v.verdict <> 'not_affected' THEN v.verdict ELSE 'corrected' END, count(*)"
    " FROM member_verdict v JOIN member_decided d ON d.advisory = v.advisory JOIN member m ON m.host = v.host"
    " LEFT JOIN member_system s ON s.host = v.host WHERE coalesce(s.known_at, 0) - m.skew < d.since_at AND {served}"
    " AND NOT EXISTS (SELECT 1 FROM verdict o WHERE o.host = v.host AND o.advisory = v.advisory) GROUP BY 1, 2"
)
_ONE = "v.advisory = (SELECT id FROM advisory WHERE reference = :reference)"  # both halves then go by their index
_SERVED = (
    "m.joined_at IS NOT NULL AND m.revoked_at IS NULL AND m.retired_at IS NULL"
    " AND (:tag = '' OR m.tags LIKE :tagged ESCAPE '\\')"
)


class Publication(NamedTuple):
    """A publication that some machine has something to do with."""

    reference: str
    kind: str
    title: str
    status: str
    last_at: int | None
    affected: int
    to_check: int
    corrected: int


class Machine(NamedTuple):
    """One machine and one publication. `state`: one of STATES, or put_away. `here`: the centre decided it."""

    name: str
    tags: str
    state: str
    package: str
    installed: str
    offered: str
    reason: str  # JSON
    fixed_at: int | None
    dismissed_at: int | None
    decided_at: int
    here: int


class Group(NamedTuple):
    """Machines that a publication concerns and that want the same done."""

    package: str
    system: str | None  # ID of os-release; None: not said
    family: str
    restart: int  # 1: what corrects it is installed, and runs after a restart
    machines: list[str]


def publications(
    db: sqlite3.Connection, *, state: str = "", tag: str = "", text: str = "", most: int = 50, skip: int = 0
) -> list[Publication]:
    """The worst first: alerts in force that concern a machine, then by how many they concern, how many are to check, by day.
    `state`: only those with a machine in it; `text`: of the title or reference."""
    rows = db.execute(
        "SELECT a.reference, a.kind, a.title, a.status, coalesce(a.last_at, a.listed_at), c.affected, c.to_check, c.corrected"
        " FROM (SELECT advisory, sum(CASE state WHEN 'affected' THEN number ELSE 0 END) AS affected,"
        " sum(CASE state WHEN 'to_check' THEN number ELSE 0 END) AS to_check,"
        " sum(CASE state WHEN 'corrected' THEN number ELSE 0 END) AS corrected"
        f" FROM ({_COUNTED.format(state=_STATE, served=_SERVED)}) n GROUP BY advisory) c"
        " JOIN advisory a ON a.id = c.advisory WHERE CASE :state WHEN 'affected' THEN c.affected WHEN 'to_check' THEN"
        " c.to_check WHEN 'corrected' THEN c.corrected ELSE c.affected + c.to_check + c.corrected END > 0"
        " AND (:text = '' OR a.title LIKE :like ESCAPE '\\' OR a.reference LIKE :like ESCAPE '\\')"
        " ORDER BY CASE WHEN a.status = 'open' AND c.affected > 0 THEN 0 ELSE 1 END, c.affected DESC, c.to_check DESC,"
        " coalesce(a.last_at, a.listed_at, 0) DESC, a.reference DESC LIMIT :most OFFSET :skip",
        {
            **_tagged(tag), "state": state, "text": text, "like": f"%{members.escaped(text)}%", "most": most, "skip": skip,
        },
    )  # fmt: skip
    return [Publication(*row) for row in rows]


def counts(db: sqlite3.Connection, reference: str, tag: str = "") -> dict[str, int]:
    """How many machines are in each of STATES, or put it away."""
    rows = db.execute(
        f"SELECT {_STATE}, count(*) FROM fleet_verdict v JOIN member m ON m.host = v.host WHERE {_ONE} AND {_SERVED} GROUP BY 1",
        {**_tagged(tag), "reference": reference},
    )
    return {state: int(number) for state, number in rows if state != "clear"}


def machines(
    db: sqlite3.Connection, reference: str, *, state: str = "", tag: str = "", most: int = 50, skip: int = 0
) -> list[Machine]:
    """Those that a publication has to do with: concerned first, then to check, corrected, put away; by name."""
    rows = db.execute(
        "SELECT name, tags, state, package, installed, offered, reason, fixed_at, dismissed_at, decided_at, here FROM ("
        f"SELECT m.name AS name, m.tags AS tags, {_STATE} AS state, v.package AS package, v.installed AS installed,"
        " v.offered AS offered, v.reason AS reason, v.fixed_at AS fixed_at, v.dismissed_at AS dismissed_at,"
        " v.decided_at AS decided_at, v.here AS here FROM fleet_verdict v"
        f" JOIN member m ON m.host = v.host WHERE {_ONE} AND {_SERVED}) t"
        " WHERE state <> 'clear' AND (:state = '' OR state = :state)"
        " ORDER BY CASE state WHEN 'affected' THEN 0 WHEN 'to_check' THEN 1 WHEN 'corrected' THEN 2 ELSE 3 END, name"
        " LIMIT :most OFFSET :skip",
        {**_tagged(tag), "reference": reference, "state": state, "most": most, "skip": skip},
    )
    return [Machine(*row) for row in rows]


def groups(db: sqlite3.Connection, reference: str, tag: str = "") -> list[Group]:
    """Those concerned, by what there is to do; the largest group first."""
    rows = db.execute(
        "SELECT package, system, family, restart, group_concat(name) FROM (SELECT m.name AS name, v.package AS package,"
        " s.system AS system, coalesce(s.family, '') AS family,"
        " CASE WHEN v.reason LIKE '[\"kernel_reboot\"%' THEN 1 ELSE 0 END AS restart"
        " FROM fleet_verdict v JOIN member m ON m.host = v.host"
        " LEFT JOIN member_system s ON s.host = v.host"
        f" WHERE {_ONE} AND v.verdict = 'affected' AND v.dismissed_at IS NULL AND {_SERVED}) t"
        " GROUP BY package, system, family, restart ORDER BY count(*) DESC, package",
        {**_tagged(tag), "reference": reference},
    )
    return [Group(*(*row[:4], sorted(row[4].split(",")))) for row in rows]


def decided(db: sqlite3.Connection, reference: str) -> tuple[int, int] | None:
    """(machines that the centre decided it for, when); None where it did not."""
    row = db.execute(
        "SELECT d.machines, d.decided_at FROM member_decided d JOIN advisory a ON a.id = d.advisory WHERE a.reference=?",
        (reference,),
    ).fetchone()
    return (int(row[0]), int(row[1])) if row else None


def _tagged(tag: str) -> dict[str, str]:
    return {"tag": tag, "tagged": f"% {members.escaped(tag)} %"}
