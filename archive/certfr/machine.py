"""This machine beside CERT-FR's publications, as rows: its packages with first and last seen, and a verdict for each.

1. `remember`: the inventory becomes rows; what came, went or changed its version is an event.
2. `undecided`: publications whose verdict is missing, older than their revision, or older than the inventory.
3. `store`: verdicts become rows; what has just become *affected* is given back, so that it can be told.

Times are UTC seconds. Writing functions stand within the caller's transaction.
"""

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from archive import events
from archive.certfr.inventory import Inventory
from archive.certfr.publication import Publication, PublicationError, parse
from archive.certfr.verdict import Reason, Verdict

YEAR = 366 * 86_400
# Where a package manager says "something changed": their times are asked before the list itself.
DATABASES = (
    "/var/lib/dpkg/status",
    "/var/lib/rpm/rpmdb.sqlite",
    "/var/lib/rpm/Packages",
    "/usr/lib/sysimage/rpm/rpmdb.sqlite",
)


class Kept(NamedTuple):
    """A verdict as it is kept, beside its publication."""

    reference: str
    kind: str
    title: str
    status: str
    last_at: int | None
    verdict: str
    package: str
    installed: str
    reason: Reason
    evidence: tuple[str, ...]
    decided_at: int
    dismissed_at: int | None
    dismissed_reason: str
    fixed_at: int | None  # when an upgrade here ended it
    offered: str  # the newer version that the repositories offer, '' for none

    def as_verdict(self) -> Verdict:
        return Verdict(self.verdict, self.package, self.installed, self.reason, self.evidence)


_KEPT = (
    "a.reference, a.kind, a.title, a.status, a.last_at, v.verdict, v.package, v.installed, v.reason, v.evidence,"
    " v.decided_at, v.dismissed_at, v.dismissed_reason, v.fixed_at, v.offered"
)


def databases_changed_at(root: str = "") -> int:
    """The newest time of the package managers' own databases; 0 when there is none. UTC seconds."""
    times = [int(os.stat(root + path).st_mtime) for path in DATABASES if os.path.exists(root + path)]
    return max(times, default=0)


def remember(db: sqlite3.Connection, host: int, inventory: Inventory, now: int, *, as_events: bool = True) -> int:
    """The inventory as rows. Returns how many packages came, went or changed; the first one of all makes no events.

    `as_events` False: the package manager's own log is read for them (archive/timeline.py), to the second.
    """
    known = {
        (name, version, arch): first_at
        for name, version, arch, first_at in db.execute(
            "SELECT name, version, arch, first_at FROM package WHERE host=? AND gone_at IS NULL", (host,)
        )
    }
    present = {(p.name, p.version, p.architecture): p for p in inventory.packages}
    gone, new = known.keys() - present.keys(), present.keys() - known.keys()
    before = {(name, arch): version for name, version, arch in gone}
    for name, version, arch in gone:
        db.execute(
            "UPDATE package SET gone_at=? WHERE host=? AND name=? AND version=? AND arch=? AND gone_at IS NULL",
            (now, host, name, version, arch),
        )
    db.executemany(
        "INSERT INTO package VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL) ON CONFLICT DO NOTHING",
        [
            (host, p.name, p.version, p.architecture, now, p.source_name, p.source_release, p.origin, now)
            for key, p in present.items()
            if key in new
        ],
    )
    if known and as_events:
        for name, version, arch in sorted(new):
            old = before.pop((name, arch), "")
            events.add(db, host, now, "package", name, f"{old} → {version}" if old else f"+ {version}")
        for (name, _arch), version in sorted(before.items()):
            events.add(db, host, now, "package", name, f"- {version}")
    return len(gone) + len(new)


def undecided(db: sqlite3.Connection, host: int, inventory_at: int, now: int) -> Iterator[tuple[int, int, Publication]]:
    """(advisory id, revision, publication) to decide: alerts in force and whatever was revised within the last year."""
    rows = db.execute(
        "SELECT a.id, a.revision, a.body FROM advisory a LEFT JOIN verdict v ON v.advisory = a.id AND v.host = ?"
        " WHERE a.body IS NOT NULL AND (a.status = 'open' OR a.last_at >= ?)"
        " AND (v.advisory IS NULL OR v.revision < a.revision OR v.decided_at < ?)",
        (host, now - YEAR, inventory_at),
    ).fetchall()
    for ident, revision, body in rows:
        try:
            yield ident, revision, parse(json.loads(body))
        except (ValueError, RecursionError, PublicationError):
            continue


def store(
    db: sqlite3.Connection, host: int, decided: Iterable[tuple[int, int, Verdict, str]], now: int
) -> list[tuple[int, bool]]:
    """Keep (advisory id, revision, verdict, version offered). Returns (advisory id, revised) of those that are affected and were not, or were revised since."""
    told = []
    for advisory, revision, verdict, offered in decided:
        before = db.execute(
            "SELECT verdict, revision FROM verdict WHERE host=? AND advisory=?", (host, advisory)
        ).fetchone()
        fixed_at = now if before and before[0] == "affected" and verdict.verdict == "not_affected" else None
        db.execute(
            "INSERT INTO verdict (host, advisory, verdict, package, installed, reason, evidence, decided_at, revision,"
            " dismissed_at, dismissed_reason, fixed_at, offered)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, '', ?, ?)"
            " ON CONFLICT (host, advisory) DO UPDATE SET verdict=excluded.verdict, package=excluded.package,"
            " installed=excluded.installed, reason=excluded.reason, evidence=excluded.evidence,"
            " decided_at=excluded.decided_at, offered=excluded.offered, fixed_at=CASE WHEN excluded.verdict = 'not_affected'"
            " THEN coalesce(excluded.fixed_at, verdict.fixed_at) END,"
            # "Not for me" holds until the next revision.
            " dismissed_at=CASE WHEN excluded.revision > verdict.revision THEN NULL ELSE verdict.dismissed_at END,"
            " revision=excluded.revision",
            (
                host,
                advisory,
                verdict.verdict,
                verdict.package,
                verdict.installed,
                json.dumps([verdict.reason.key, verdict.reason.arguments], ensure_ascii=False),
                json.dumps(verdict.evidence, ensure_ascii=False),
                now,
                revision,
                fixed_at,
                offered,
            ),
        )
        if verdict.verdict == "affected" and (not before or before[0] != "affected" or before[1] < revision):
            told.append((advisory, bool(before and before[0] == "affected")))
    return told


def standing(db: sqlite3.Connection, host: int) -> list[tuple[int, str, str, str]]:
    """(advisory id, package, installed, version offered) of everything that is affected now."""
    return list(
        db.execute(
            "SELECT advisory, package, installed, offered FROM verdict WHERE host=? AND verdict='affected' ORDER BY advisory",
            (host,),
        )
    )


def offer_now(db: sqlite3.Connection, host: int, offers: Iterable[tuple[int, str]]) -> list[tuple[int, bool]]:
    """Keep (advisory id, version offered). Returns the advisories for which there was none and now is one, as `store`
    does: alerts were told already, and what was there before the first complete reading never is."""
    told = []
    for advisory, version in offers:
        before = db.execute(
            "SELECT v.offered, a.kind, a.backlog FROM verdict v JOIN advisory a ON a.id = v.advisory"
            " WHERE v.host=? AND v.advisory=?",
            (host, advisory),
        ).fetchone()
        db.execute("UPDATE verdict SET offered=? WHERE host=? AND advisory=?", (version, host, advisory))
        if before and version and before == ("", "avis", 0):
            told.append((advisory, False))
    return told


def verdicts(db: sqlite3.Connection, host: int, verdict: str = "", most: int = 200) -> list[Kept]:
    """Verdicts, alerts in force first, then the newest; `verdict` keeps one kind of them."""
    rows = db.execute(
        f"SELECT {_KEPT} FROM verdict v JOIN advisory a ON a.id = v.advisory WHERE v.host=? AND (?='' OR v.verdict=?)"
        " ORDER BY CASE WHEN a.status='open' THEN 0 ELSE 1 END, a.last_at DESC, a.reference DESC LIMIT ?",
        (host, verdict, verdict, most),
    )
    return [_kept(row) for row in rows]


class Listed(NamedTuple):
    """A publication in a list; `verdict` is '' while undecided."""

    reference: str
    kind: str
    title: str
    status: str
    last_at: int | None
    verdict: str
    package: str
    installed: str
    offered: str
    fixed_at: int | None
    dismissed_at: int | None


def publications(
    db: sqlite3.Connection,
    host: int,
    *,
    kind: str = "",
    verdict: str = "",
    text: str = "",
    vendor: str = "",
    year: str = "",
    most: int = 50,
    skip: int = 0,
) -> list[Listed]:
    """Publications that are known, alerts in force first, then the newest. `text` is looked for in title and reference,
    `vendor` in the vendors' names of the affected systems, `year` is that of the reference."""
    rows = db.execute(
        "SELECT a.reference, a.kind, a.title, a.status, coalesce(a.last_at, a.listed_at), coalesce(v.verdict, ''),"
        " coalesce(v.package, ''), coalesce(v.installed, ''), coalesce(v.offered, ''), v.fixed_at, v.dismissed_at"
        " FROM advisory a LEFT JOIN verdict v ON v.advisory = a.id AND v.host = :host"
        " WHERE (:kind = '' OR a.kind = :kind) AND (:verdict = '' OR coalesce(v.verdict, '') = :verdict)"
        " AND (:text = '' OR a.title LIKE :text_like ESCAPE '\\' OR a.reference LIKE :text_like ESCAPE '\\')"
        " AND (:year = '' OR substr(a.reference, instr(a.reference, '-') + 1, 4) = :year)"
        " AND (:vendor = '' OR EXISTS (SELECT 1 FROM json_each(CASE WHEN json_valid(a.body) THEN a.body ELSE '{}' END,"
        " '$.affected_systems') s WHERE json_extract(s.value, '$.product.vendor.name') LIKE :vendor_like ESCAPE '\\'))"
        " ORDER BY CASE WHEN a.status = 'open' THEN 0 ELSE 1 END, coalesce(a.last_at, a.listed_at, 0) DESC, a.reference DESC"
        " LIMIT :most OFFSET :skip",
        {
            "host": host,
            "kind": kind,
            "verdict": verdict,
            "text": text,
            "text_like": _containing(text),
            "vendor": vendor,
            "vendor_like": _containing(vendor),
            "year": year,
            "most": most,
            "skip": skip,
        },
    )
    return [Listed(*row) for row in rows]


def years(db: sqlite3.Connection) -> list[str]:
    """The years of the references that are known, newest first."""
    rows = db.execute(
        "SELECT DISTINCT substr(reference, instr(reference, '-') + 1, 4) AS y FROM advisory ORDER BY y DESC"
    )
    return [year for (year,) in rows]


def _containing(text: str) -> str:
    return "%" + text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"


def verdict_of(db: sqlite3.Connection, host: int, reference: str) -> Kept | None:
    row = db.execute(
        f"SELECT {_KEPT} FROM verdict v JOIN advisory a ON a.id = v.advisory WHERE v.host=? AND a.reference=?",
        (host, reference),
    ).fetchone()
    return _kept(row) if row else None


def affected(db: sqlite3.Connection, host: int, told: Iterable[tuple[int, bool]]) -> list[tuple[Kept, bool]]:
    """The verdicts that `store` gave back, each with whether it was a revision; what was put away is left out."""
    found = []
    for advisory, revised in told:
        row = db.execute(
            f"SELECT {_KEPT} FROM verdict v JOIN advisory a ON a.id = v.advisory"
            " WHERE v.host=? AND a.id=? AND v.dismissed_at IS NULL",
            (host, advisory),
        ).fetchone()
        if row:
            found.append((_kept(row), revised))
    return found


def counts(db: sqlite3.Connection, host: int) -> dict[str, int]:
    """How many publications have each verdict, those put away by a person apart (key 'dismissed')."""
    rows = db.execute(
        "SELECT CASE WHEN dismissed_at IS NULL THEN verdict ELSE 'dismissed' END, count(*) FROM verdict"
        " WHERE host=? GROUP BY 1",
        (host,),
    )
    return {word: int(number) for word, number in rows}


def dismiss(db: sqlite3.Connection, host: int, reference: str, reason: str, now: int) -> bool:
    """«Not for me», with a reason, until the next revision. False when there is no such verdict."""
    return bool(
        db.execute(
            "UPDATE verdict SET dismissed_at=?, dismissed_reason=? WHERE host=? AND advisory ="
            " (SELECT id FROM advisory WHERE reference=?)",
            (now, reason, host, reference),
        ).rowcount
    )


def _kept(row: tuple[object, ...]) -> Kept:
    values = list(row)
    key, arguments = json.loads(str(values[8]))
    values[8] = Reason(key, tuple((name, value) for name, value in arguments))
    values[9] = tuple(json.loads(str(values[9])))
    return Kept(*values)  # type: ignore[arg-type]
