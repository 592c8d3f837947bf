"""Machines of a fleet as rows of the centre: who may send, under which token, and what is odd about who it is.

A token is 256 random bits and kept as its SHA-256. The first machine that shows it owns it: another that shows the same
one is refused. Times are UTC seconds of the centre; writing functions stand within the caller's transaction.
"""

import hashlib
import json
import re
import secrets
import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

PREFIX = "vigief_"
LENGTH = len(PREFIX) + 43
SLUG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
BUDGET = 200_000.0  # samples at once: two days of a machine of 60 lines
BUDGET_PER_MINUTE = 20_000.0
SKEWED = 300  # seconds between two clocks that are said


class MemberError(Exception):
    """What was asked cannot be done: `message` is an English msgid for `values`."""

    def __init__(self, message: str, **values: object) -> None:
        super().__init__(message % values if values else message)
        self.message, self.values = message, values


class Member(NamedTuple):
    """A row of `member` (archive/migrations/0020_fleet.sql, 0021_policy.sql)."""

    host: int
    name: str
    token: str
    made_at: int
    made_by: str
    joined_at: int | None
    revoked_at: int | None
    retired_at: int | None
    tags: str
    version: str
    seen_at: int | None
    fresh_at: int | None
    cycle_at: int | None
    every: int
    boot: str
    boot_before: str
    skew: int
    waiting: int
    refused: int
    refusal: str
    doubt: str
    doubt_at: int | None
    budget: float
    budget_at: int
    worst: int
    opened: int
    silent_at: int | None
    policy: str  # the tag of the policy that it says it follows; '' for none yet

    def __repr__(self) -> str:
        return f"Member(host={self.host}, name={self.name!r}, ...)"


_COLUMNS = ", ".join(Member._fields)


def hashed(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def add(db: sqlite3.Connection, name: str, by: str, now: int, tags: str = "") -> str:
    """A new machine and its token, which is kept nowhere: whoever asked shows it once. Raises MemberError.

    A name whose token was revoked gets a new one and keeps its rows.
    """
    if not SLUG.fullmatch(name):
        raise MemberError(
            "A machine's name here has 1 to 63 letters, digits, dots, dashes and underscores, not %(name)s.",
            name=name[:80],
        )
    token = PREFIX + secrets.token_urlsafe(32)
    before = named(db, name)
    if before is not None:
        if before.revoked_at is None and before.retired_at is None:
            raise MemberError("There is a machine named %(name)s already: revoke its token first.", name=name)
        db.execute(
            "UPDATE member SET token=?, joined_at=NULL, revoked_at=NULL, retired_at=NULL, doubt='' WHERE host=?",
            (hashed(token), before.host),
        )
        return token
    host = int(db.execute("SELECT coalesce(max(id), 1) + 1 FROM host").fetchone()[0])
    db.execute("INSERT INTO host VALUES (?, ?, ?, '', ?)", (host, f"not joined yet: {name}", name, now))
    db.execute(
        f"INSERT INTO member ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, NULL, NULL, NULL, ?, '', NULL, NULL, NULL, 60, '', '',"
        " 0, 0, 0, '', '', NULL, ?, ?, 0, 0, NULL, '')",
        (host, name, hashed(token), now, by, spaced(tags), BUDGET, now),
    )
    return token


def join(db: sqlite3.Connection, member: Member, uid: str, name: str, machine: str, version: str, now: int) -> None:
    """The first machine that shows a token owns it; the same one again changes nothing. Raises MemberError."""
    owner = db.execute("SELECT uid FROM host WHERE id=?", (member.host,)).fetchone()[0]
    if member.joined_at is not None:
        if owner != uid:
            raise MemberError("This token belongs to another machine: add this one under a name of its own.")
        return
    other = db.execute("SELECT id FROM host WHERE uid=?", (uid,)).fetchone()
    if other is not None and other[0] != member.host:
        known = get(db, int(other[0]))
        if known is None or (known.revoked_at is None and known.retired_at is None):
            raise MemberError(
                "This machine sends as %(name)s already: revoke that first.", name=known.name if known else "the centre"
            )
        db.execute("UPDATE host SET uid=? WHERE id=?", (f"before {now}: {uid}", other[0]))
    db.execute("UPDATE host SET uid=?, name=?, machine=? WHERE id=?", (uid, name, machine, member.host))
    db.execute("UPDATE member SET joined_at=?, version=? WHERE host=?", (now, version, member.host))


def by_token(db: sqlite3.Connection, token: str) -> Member | None:
    """Whose token this is; None when it opens nothing (any more)."""
    row = db.execute(
        f"SELECT {_COLUMNS} FROM member WHERE token=? AND revoked_at IS NULL AND retired_at IS NULL", (hashed(token),)
    ).fetchone()
    return Member(*row) if row else None


def get(db: sqlite3.Connection, host: int) -> Member | None:
    row = db.execute(f"SELECT {_COLUMNS} FROM member WHERE host=?", (host,)).fetchone()
    return Member(*row) if row else None


def named(db: sqlite3.Connection, name: str) -> Member | None:
    row = db.execute(f"SELECT {_COLUMNS} FROM member WHERE name=?", (name,)).fetchone()
    return Member(*row) if row else None


def every(db: sqlite3.Connection) -> list[Member]:
    """All of them, by name."""
    return [Member(*row) for row in db.execute(f"SELECT {_COLUMNS} FROM member ORDER BY name")]


def any_joined(db: sqlite3.Connection) -> bool:
    """Whether any machine was ever added here."""
    return db.execute("SELECT 1 FROM member LIMIT 1").fetchone() is not None


def hosts(db: sqlite3.Connection) -> list[int]:
    """The numbers of all machines that ever sent."""
    return [row[0] for row in db.execute("SELECT host FROM member WHERE cycle_at IS NOT NULL ORDER BY host")]


def revoke(db: sqlite3.Connection, name: str, now: int) -> None:
    """Its token opens nothing from now on; what it sent stays. Raises MemberError."""
    _known(db, name)
    db.execute("UPDATE member SET revoked_at=coalesce(revoked_at, ?) WHERE name=?", (now, name))


def retire(db: sqlite3.Connection, name: str, now: int) -> None:
    """It is gone for good: nobody waits for it, it leaves the list, and its rows go when the retention says so."""
    _known(db, name)
    db.execute("UPDATE member SET retired_at=coalesce(retired_at, ?) WHERE name=?", (now, name))


def tag(db: sqlite3.Connection, name: str, tags: str) -> None:
    """Its tags become these words."""
    _known(db, name)
    db.execute("UPDATE member SET tags=? WHERE name=?", (spaced(tags), name))


def _known(db: sqlite3.Connection, name: str) -> Member:
    found = named(db, name)
    if found is None:
        raise MemberError("There is no machine named %(name)s: ./vigie fleet list", name=name[:80])
    return found


def spaced(tags: str) -> str:
    """Words, each between spaces, so that one is found with LIKE. Raises MemberError."""
    words = sorted(set(tags.replace(",", " ").split()))
    wrong = [word for word in words if not SLUG.fullmatch(word)]
    if wrong:
        raise MemberError("A tag has letters, digits, dots, dashes and underscores, not %(tag)s.", tag=wrong[0][:80])
    return f" {' '.join(words)} " if words else ""


def budget(member: Member, now: int) -> float:
    """Samples that it may send now."""
    return min(BUDGET, member.budget + max(0, now - member.budget_at) * BUDGET_PER_MINUTE / 60)


Figures = dict[str, list[float | None]]


def figures(db: sqlite3.Connection, hosts: Sequence[int]) -> dict[int, Figures]:
    """{host: {metric: values, the newest last}} of those that have some."""
    if not hosts:
        return {}
    marks = ", ".join("?" * len(hosts))
    rows = db.execute(f"SELECT host, figures FROM member_figures WHERE host IN ({marks})", tuple(hosts))
    return {host: json.loads(text) for host, text in rows}


def keep_figures(db: sqlite3.Connection, host: int, found: Figures) -> None:
    db.execute(
        "INSERT INTO member_figures VALUES (?, ?) ON CONFLICT (host) DO UPDATE SET figures=excluded.figures",
        (host, json.dumps(found, separators=(",", ":"))),
    )


class Likeness(NamedTuple):
    """Names of other machines in service that are like one: by machine-id (a clone), or by what they call themselves."""

    clones: tuple[str, ...] = ()
    namesakes: tuple[str, ...] = ()


def likenesses(db: sqlite3.Connection, hosts: Sequence[int]) -> dict[int, Likeness]:
    """Of these machines, those that are like another one; at most five names each."""
    if not hosts:
        return {}
    marks = ", ".join("?" * len(hosts))
    found: dict[int, tuple[list[str], list[str]]] = {}
    for place, column in enumerate(("machine", "name")):
        rows = db.execute(
            f"SELECT mine.id, o.name FROM host mine JOIN host h ON h.{column} = mine.{column} AND h.id <> mine.id"
            f" JOIN member o ON o.host = h.id WHERE mine.id IN ({marks}) AND mine.machine <> ''"
            " AND o.joined_at IS NOT NULL AND o.retired_at IS NULL ORDER BY mine.id, o.name",
            tuple(hosts),
        )
        for host, name in rows:
            found.setdefault(host, ([], []))[place].append(name)
    return {host: Likeness(tuple(clones[:5]), tuple(names[:5])) for host, (clones, names) in found.items()}


# --- silence ---------------------------------------------------------------------------------------------------------

POINTS = 60  # of a figure that the list draws: an hour of minutes
MISSED, GRACE = 3, 30  # cycles, and seconds on top: a machine that is busy sends a little later
_IN_SERVICE = "joined_at IS NOT NULL AND revoked_at IS NULL AND retired_at IS NULL"
_SILENT = f"coalesce(fresh_at, joined_at) < :now - {MISSED} * every - {GRACE}"


def is_silent(member: Member, now: int) -> bool:
    """Three cycles missed, by its own rhythm and the centre's clock."""
    heard = member.fresh_at if member.fresh_at is not None else member.joined_at
    return heard is not None and heard < now - MISSED * member.every - GRACE


def fallen_silent(db: sqlite3.Connection, now: int) -> list[Member]:
    """Those in service that are silent and were not known to be."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM member WHERE {_IN_SERVICE} AND silent_at IS NULL AND {_SILENT} ORDER BY name",
        {"now": now},
    )
    return [Member(*row) for row in rows]


def heard_again(db: sqlite3.Connection, now: int) -> list[Member]:
    """Those that were silent and are not any more, whether they send again or are not waited for."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM member WHERE silent_at IS NOT NULL AND NOT ({_IN_SERVICE} AND {_SILENT}) ORDER BY name",
        {"now": now},
    )
    return [Member(*row) for row in rows]


def note_silence(db: sqlite3.Connection, host: int, at: int | None) -> None:
    db.execute("UPDATE member SET silent_at=? WHERE host=?", (at, host))


# --- the list --------------------------------------------------------------------------------------------------------

# The worst first: what cannot be seen is worse than what can.
RANK = f"CASE WHEN NOT ({_IN_SERVICE}) THEN -1 WHEN {_SILENT} THEN 3 ELSE worst END"
RANKS = {"silent": 3, "critical": 2, "warning": 1, "ok": 0, "away": -1}


class Asked(NamedTuple):
    """Which machines. `state`: '' all in service, or a key of RANKS; `tag`: one word; `text`: part of a name; `advisory`:
    the reference of a publication that concerns them."""

    state: str = ""
    tag: str = ""
    text: str = ""
    advisory: str = ""


_CONCERNED = (
    "SELECT v.host FROM fleet_verdict v WHERE v.advisory = (SELECT id FROM advisory WHERE reference = :advisory)"
    " AND v.verdict = 'affected' AND v.dismissed_at IS NULL"
)


def listed(db: sqlite3.Connection, now: int, asked: Asked, most: int, skip: int) -> list[Member]:
    """Machines, the worst first. Which ones is asked for apart: all are sorted, and few are read whole."""
    chosen = db.execute(
        f"SELECT host FROM member WHERE {RANK} {'=' if asked.state in RANKS else '>='} :rank"
        " AND (:tag = '' OR tags LIKE :tagged ESCAPE '\\') AND (:text = '' OR name LIKE :like ESCAPE '\\')"
        f" AND (:advisory = '' OR host IN ({_CONCERNED}))"
        f" ORDER BY {RANK} DESC, opened DESC, CASE WHEN doubt = '' THEN 1 ELSE 0 END, name LIMIT :most OFFSET :skip",
        {
            **asked._asdict(), "now": now, "rank": RANKS.get(asked.state, 0), "tagged": f"% {escaped(asked.tag)} %",
            "like": f"%{escaped(asked.text)}%", "most": most, "skip": skip,
        },
    )  # fmt: skip
    hosts = [row[0] for row in chosen]
    if not hosts:
        return []
    marks = ", ".join("?" * len(hosts))
    rows = db.execute(f"SELECT {_COLUMNS} FROM member WHERE host IN ({marks})", tuple(hosts))
    found = {row[0]: Member(*row) for row in rows}
    return [found[host] for host in hosts]


def tally(db: sqlite3.Connection, now: int, tag: str = "") -> tuple[dict[str, int], list[str]]:
    """(how many machines, or those of a tag, are in each state of RANKS; every tag in use), of one look through them."""
    counts, used = dict.fromkeys(RANKS, 0), set()
    words = {rank: state for state, rank in RANKS.items()}
    for rank, tagged, count in db.execute(f"SELECT {RANK}, tags, count(*) FROM member GROUP BY 1, 2", {"now": now}):
        counts[words[rank]] += int(count) if not tag or tag in tagged.split() else 0
        used |= set(tagged.split()) if rank >= 0 else set()
    return counts, sorted(used)


def counted(db: sqlite3.Connection, now: int) -> dict[str, int]:
    """How many machines are in each state of RANKS."""
    return tally(db, now)[0]


def tags(db: sqlite3.Connection) -> list[str]:
    """Every tag in use."""
    return tally(db, 0)[1]


def escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
