"""What an administrator set at the centre for all machines, a tag or one machine, as rows; which of it holds for whom is
archive/fleet/policy.py's to say. Writing functions stand within the caller's transaction; every change is in the history.
"""

import sqlite3
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from archive import changes, thresholds
from archive.changes import Change
from archive.fleet import handing, members, policy
from archive.fleet.policy import Rule, Scope
from archive.thresholds import Threshold, ThresholdError

SUBJECT = "fleet "  # how these changes are called in the history: fleet SCOPE NAME METRIC


_COLUMNS = "scope, name, metric, labels, rule, updated_at, updated_by"
_Raw = tuple[str, str, str, str, str, int, str]  # a row of `policy`


def _rule(row: _Raw) -> Rule:
    scope, name, metric, _labels, rule, at, by = row
    if not metric:
        return Rule(Scope(scope, name), None, rule, at, by)
    found = thresholds.from_json(rule)
    return Rule(Scope(scope, name), found and found._replace(updated_at=at, updated_by=by), "", at, by)


class Said(NamedTuple):
    """What the centre says to one machine."""

    mails: str  # who mails: machine, centre, both
    text: str
    tag: str


def said(db: sqlite3.Connection, member: members.Member) -> Said:
    """What holds for a machine, as it travels. Asked with every parcel: two look-ups, and what they say is put together once
    for all machines of the same tags."""
    tags = tuple(member.tags.split())
    found = db.execute(
        f"SELECT {_COLUMNS} FROM policy WHERE scope = 'all' OR (scope = 'host' AND name = ?)"
        f" OR (scope = 'tag' AND name IN ({', '.join('?' * len(tags))})) ORDER BY scope, name, metric, labels",
        (member.name, *tags),
    )
    rows = tuple(tuple(row) for row in found)
    name = member.name if any(row[0] == "host" for row in rows) else ""
    return _said(rows, name, tags, _kinds(db, _metrics(rows)))


@lru_cache(maxsize=1000)
def _metrics(rows: tuple[_Raw, ...]) -> tuple[str, ...]:
    """The metrics that rules name."""
    named = [rule.threshold for rule in map(_rule, rows) if rule.threshold]
    return tuple(sorted({name for one in named for name in (one.metric, one.second_metric) if name}))


@lru_cache(maxsize=1000)
def _said(rows: tuple[_Raw, ...], name: str, tags: tuple[str, ...], kinds: tuple[tuple[str, str], ...]) -> Said:
    found = policy.of_machine(policy.applied(map(_rule, rows), name, tags), dict(kinds))
    written = policy.text(found)
    return Said(found.mails, written, policy.tag(written))


def _kinds(db: sqlite3.Connection, names: Sequence[str]) -> tuple[tuple[str, str], ...]:
    if not names:
        return ()
    rows = db.execute(
        f"SELECT name, kind FROM metric WHERE kind <> 'info' AND name IN ({', '.join('?' * len(names))}) ORDER BY name",
        tuple(names),
    )
    return tuple((row[0], row[1]) for row in rows)


def every(db: sqlite3.Connection) -> list[Rule]:
    """All rules, by scope and name."""
    return [_rule(row) for row in db.execute(f"SELECT {_COLUMNS} FROM policy ORDER BY scope, name, metric, labels")]


def get(db: sqlite3.Connection, scope: Scope, metric: str, labels: str = "{}") -> Rule | None:
    row = db.execute(
        f"SELECT {_COLUMNS} FROM policy WHERE scope=? AND name=? AND metric=? AND labels=?",
        (*scope, metric, labels),
    ).fetchone()
    return _rule(row) if row else None


def save(db: sqlite3.Connection, scope: Scope, threshold: Threshold, by: str, now: int) -> None:
    """Set a threshold. Raises ThresholdError that names the field (`scope` for machines that there are none of)."""
    _check(db, scope)
    wanted = thresholds.checked(db, threshold)._replace(host=0, updated_at=0, updated_by="")
    if len(wanted.labels) > policy.LONGEST_LABELS:
        raise ThresholdError("labels", "A line's labels have at most %(most)s characters.", most=policy.LONGEST_LABELS)
    count = db.execute("SELECT count(*) FROM policy WHERE scope=? AND name=?", scope).fetchone()[0]
    if count >= policy.MOST and get(db, scope, wanted.metric, wanted.labels) is None:
        raise ThresholdError("scope", "There are %(count)s of these already; take one out first.", count=str(count))
    _put(db, scope, wanted.metric, wanted.labels, thresholds.to_json(wanted), by, now)


def set_mails(db: sqlite3.Connection, scope: Scope, mails: str, by: str, now: int) -> None:
    """Set who mails; '' takes it out. Raises ThresholdError."""
    _check(db, scope)
    if mails not in ("", *handing.TELLERS):
        raise ThresholdError("mails", "Expected machine, centre or both, not %(value)s.", value=repr(mails[:40]))
    _put(db, scope, *policy.MAILS, mails, by, now)


def remove(db: sqlite3.Connection, scope: Scope, metric: str, labels: str, by: str, now: int) -> bool:
    """What is set less precisely holds again. False where there was nothing."""
    if get(db, scope, metric, labels) is None:
        return False
    _put(db, scope, metric, labels, "", by, now)
    return True


def undo(db: sqlite3.Connection, change: Change, by: str, now: int) -> None:
    """Bring back what stood before a change. Raises ThresholdError when it was changed again since."""
    scope, metric = _subject(change.subject)
    if _written(db, scope, metric, change.labels) != change.after:
        raise ThresholdError("change", "This setting was changed again since: undo the newer change first.")
    _put(db, scope, metric, change.labels, change.before, by, now)


def from_change(change: Change) -> tuple[Scope, str, Rule | None, Rule | None]:
    """(for whom, the metric or '', what stood before, what stood after)."""
    scope, metric = _subject(change.subject)

    def rule(said: str) -> Rule | None:
        return _rule((*scope, metric, change.labels, said, 0, "")) if said else None

    return scope, metric, rule(change.before), rule(change.after)


def _subject(subject: str) -> tuple[Scope, str]:
    scope, name, metric = [*subject.removeprefix(SUBJECT).split(" "), "", "", ""][:3]
    return Scope(scope, name), metric


def _written(db: sqlite3.Connection, scope: Scope, metric: str, labels: str) -> str:
    row = db.execute(
        "SELECT rule FROM policy WHERE scope=? AND name=? AND metric=? AND labels=?", (*scope, metric, labels)
    ).fetchone()
    return str(row[0]) if row else ""


def _put(db: sqlite3.Connection, scope: Scope, metric: str, labels: str, rule: str, by: str, now: int) -> None:
    before = _written(db, scope, metric, labels)
    if before == rule:
        return
    if rule:
        db.execute(
            "INSERT INTO policy VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (scope, name, metric, labels) DO UPDATE SET"
            " rule=excluded.rule, updated_at=excluded.updated_at, updated_by=excluded.updated_by",
            (*scope, metric, labels, rule, now, by),
        )
    else:
        db.execute("DELETE FROM policy WHERE scope=? AND name=? AND metric=? AND labels=?", (*scope, metric, labels))
    changes.note(db, now, by, "setting", f"{SUBJECT}{scope.scope} {scope.name} {metric}", before, rule, labels)


def _check(db: sqlite3.Connection, scope: Scope) -> None:
    known = scope == Scope()
    if scope.scope == "tag":
        known = bool(members.SLUG.fullmatch(scope.name))
    elif scope.scope == "host":
        known = members.named(db, scope.name) is not None
    if not known:
        raise ThresholdError("scope", "There are no machines called %(value)s.", value=scope.name[:80])


def lines(db: sqlite3.Connection, metric: str, most: int = 100) -> list[str]:
    """Labels of the lines of a metric, on whichever machines, each once."""
    rows = db.execute(
        "SELECT DISTINCT s.labels FROM series s JOIN metric m ON m.id = s.metric JOIN member o ON o.host = s.host"
        " WHERE m.name=? AND s.labels <> '{}' ORDER BY s.labels LIMIT ?",
        (metric, most),
    )
    return [row[0] for row in rows]
