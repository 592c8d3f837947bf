"""Rows that name people of the machine: changed when names are hidden or a person is forgotten.

A person is the label `user`. Tables are found by their columns (`labels`, `series`), so that a new one is not forgotten.
"""

import json
import re
import sqlite3
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from archive import catalog
from archive.catalog import with_column
from archive.pseudonyms import LABEL, TELLING, Names

DAY = 86_400
NAMED_EVENTS = ("login", "account")  # whose subject is a person
DEFAULT_DAYS, LEAST_DAYS, MOST_DAYS = 365, 7, 3650
SETTING = "people_days"
NOBODY = "(…)"  # in a sentence, where somebody was forgotten


class Touched(NamedTuple):
    """Rows changed or removed."""

    series: int
    facts: int
    incidents: int
    events: int
    others: int  # thresholds, planned work, evidence, mails

    @property
    def any(self) -> bool:
        return any(self)


def days(db: sqlite3.Connection) -> int:
    """How long what names people is kept; never longer than the samples are by their own setting."""
    row = db.execute("SELECT value FROM setting WHERE name=?", (SETTING,)).fetchone()
    said = str(row[0]) if row else ""
    found = int(said) if said.isascii() and said.isdigit() and len(said) < 6 else DEFAULT_DAYS
    return found if LEAST_DAYS <= found <= MOST_DAYS else DEFAULT_DAYS


def set_days(db: sqlite3.Connection, wanted: int, by: str, now: int) -> None:
    """Within the caller's transaction. Raises ValueError outside of LEAST_DAYS to MOST_DAYS."""
    if not LEAST_DAYS <= wanted <= MOST_DAYS:
        raise ValueError(f"{wanted} days: from {LEAST_DAYS} to {MOST_DAYS} are taken")
    remember(db, SETTING, str(wanted), by, now)


def remember(db: sqlite3.Connection, name: str, value: str, by: str, now: int) -> None:
    db.execute(
        "INSERT INTO setting VALUES (?, ?, ?, ?) ON CONFLICT (name)"
        " DO UPDATE SET value=excluded.value, updated_at=excluded.updated_at, updated_by=excluded.updated_by",
        (name, value, now, by),
    )


def known(db: sqlite3.Connection) -> frozenset[str]:
    """Every name that a row gives to a person."""
    found = {name for table in with_column(db, "labels") for (_ident, _labels, name) in _named(db, table)}
    found |= {
        row[0] for row in db.execute("SELECT DISTINCT subject FROM event WHERE kind IN ('login', 'account')") if row[0]
    }
    for (text,) in db.execute("SELECT body FROM evidence"):
        found |= set(in_evidence(text))
    return frozenset(found - {""})


def in_evidence(text: str) -> Iterator[str]:
    """Every name in a body of evidence."""
    try:
        waiting: list[object] = [json.loads(text)]
    except ValueError:
        return
    while waiting:
        part = waiting.pop()
        if isinstance(part, list):
            waiting += part
        elif isinstance(part, dict):
            waiting += [value for value in part.values() if isinstance(value, (list, dict))]
            said = part.get(LABEL, part.get("subject") if part.get("kind") in NAMED_EVENTS else "")
            if isinstance(said, str):
                yield said


def rewrite(db: sqlite3.Connection, names: Names, only: frozenset[str] | None = None) -> Touched:
    """Every row that names somebody, as `names` wants it; within the caller's transaction. `only`: these names alone.

    1. lines: renamed, or removed with every sample; a line that has its new name already takes the samples in;
    2. facts, thresholds, planned work: renamed or removed; 3. incidents: renamed, or removed with their story;
    4. events, evidence and the words of mails.
    """
    those = known(db) if only is None else only
    new = {name: names.of(name) for name in those}
    changing = {name: said for name, said in new.items() if said != name}
    if not changing:
        return Touched(0, 0, 0, 0, 0)
    counts = {table: _labels(db, table, changing) for table in with_column(db, "labels")}
    events = _events(db, changing)
    others = _evidence(db, changing) + _mails(db, changing) + _counters(db, changing) + _history(db, changing)
    others += _of_machines(db, changing)
    lines, facts, incidents = (counts.pop(table, 0) for table in ("series", "fact", "incident"))
    return Touched(lines, facts, incidents, events, others + sum(counts.values()))


def _named(db: sqlite3.Connection, table: str) -> Iterator[tuple[str, str, str]]:
    """(table, labels, name) of every set of labels that names a person."""
    rows = db.execute(f'SELECT DISTINCT labels FROM "{table}" WHERE labels LIKE \'%"{LABEL}"%\'').fetchall()
    for (text,) in rows:
        name = name_of(text)
        if name:
            yield table, text, name


def name_of(labels: str) -> str:
    """The person that labels name; '' for none."""
    try:
        found = json.loads(labels)
    except ValueError:
        return ""
    said = found.get(LABEL, "") if isinstance(found, dict) else ""
    return said if isinstance(said, str) else ""


def relabelled(labels: str, said: str) -> str:
    """The labels with another name; what tells as much as the name is left out."""
    found = {key: value for key, value in json.loads(labels).items() if key not in TELLING}
    return json.dumps(found | {LABEL: said}, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _labels(db: sqlite3.Connection, table: str, changing: dict[str, str | None]) -> int:
    count = 0
    for _table, labels, name in list(_named(db, table)):
        if name not in changing:
            continue
        said = changing[name]
        if table == "series":
            count += _line(db, labels, said)
        elif table == "incident" and said is None:
            count += _no_incident(db, labels)
        elif said is None:
            count += db.execute(f'DELETE FROM "{table}" WHERE labels=?', (labels,)).rowcount
        else:
            count += catalog.rekey(db, table, "labels", relabelled(labels, said), labels, stays=False)
    return count


def _line(db: sqlite3.Connection, labels: str, said: str | None) -> int:
    """Lines with these labels. Where the new name has a line already, what both have for the same time is kept of that one."""
    found = db.execute("SELECT id, host, metric FROM series WHERE labels=?", (labels,)).fetchall()
    for ident, host, metric in found:
        wanted = "" if said is None else relabelled(labels, said)
        other = db.execute(
            "SELECT id FROM series WHERE host=? AND metric=? AND labels=?", (host, metric, wanted)
        ).fetchone()
        if said is not None and other is None:
            db.execute("UPDATE series SET labels=? WHERE host=? AND id=?", (wanted, host, ident))
            continue
        for table in with_column(db, "series"):
            if table == "incident":
                db.execute(
                    "UPDATE incident SET series=? WHERE host=? AND series=?", (other[0] if other else None, host, ident)
                )
                continue
            if other:
                catalog.rekey(db, table, "series", other[0], ident, stays=True, host=host)
            db.execute(f'DELETE FROM "{table}" WHERE host=? AND series=?', (host, ident))
        db.execute("DELETE FROM series WHERE host=? AND id=?", (host, ident))
    return len(found)


def _no_incident(db: sqlite3.Connection, labels: str) -> int:
    """Incidents with these labels, their story, and mails that told of nothing else."""
    gone = [row[0] for row in db.execute("SELECT id FROM incident WHERE labels=?", (labels,))]
    for ident in gone:
        mails = [row[0] for row in db.execute("SELECT DISTINCT notification FROM told WHERE incident=?", (ident,))]
        for table in ("transition", "evidence", "told"):
            db.execute(f'DELETE FROM "{table}" WHERE incident=?', (ident,))
        for mail in mails:
            if db.execute("SELECT 1 FROM told WHERE notification=?", (mail,)).fetchone() is None:
                db.execute("DELETE FROM delivery WHERE notification=?", (mail,))
                db.execute("DELETE FROM notification WHERE id=?", (mail,))
        db.execute("UPDATE incident SET cause=NULL WHERE cause=?", (ident,))
        db.execute("DELETE FROM incident WHERE id=?", (ident,))
    return len(gone)


def _events(db: sqlite3.Connection, changing: dict[str, str | None]) -> int:
    count = 0
    for name, said in changing.items():
        if said is None:
            count += db.execute("DELETE FROM event WHERE kind IN ('login', 'account') AND subject=?", (name,)).rowcount
        else:
            db.execute(
                "DELETE FROM event WHERE kind IN ('login', 'account') AND subject=? AND EXISTS (SELECT 1 FROM event mine"
                " WHERE mine.host=event.host AND mine.at=event.at AND mine.kind=event.kind AND mine.subject=?)",
                (said, name),
            )
            count += db.execute(
                "UPDATE event SET subject=?, detail=CASE kind WHEN 'login' THEN '' ELSE detail END"
                " WHERE kind IN ('login', 'account') AND subject=?",
                (said, name),
            ).rowcount
    return count


def _counters(db: sqlite3.Connection, changing: dict[str, str | None]) -> int:
    """The last raw values: the key is a metric's name and its labels."""
    count = 0
    for host, text in db.execute("SELECT host, raw FROM counter").fetchall():
        last = json.loads(text)
        raw = {}
        for key, pair in last["raw"].items():
            metric, brace, rest = key.partition("{")
            name = name_of(brace + rest)
            said = changing.get(name, name)
            if said is not None:
                raw[key if said == name else metric + relabelled(brace + rest, said)] = pair
        if raw != last["raw"]:
            db.execute("UPDATE counter SET raw=? WHERE host=?", (json.dumps(last | {"raw": raw}), host))
            count += 1
    return count


def _history(db: sqlite3.Connection, changing: dict[str, str | None]) -> int:
    """What a change of a threshold kept of the row before and after: JSON with the labels as a text within."""
    count = 0
    for table in with_column(db, "before"):
        for ident, before, after in db.execute(f'SELECT id, before, after FROM "{table}"').fetchall():
            new = [_inner(text, changing) for text in (before, after)]
            if new != [before, after]:
                db.execute(f'UPDATE "{table}" SET before=?, after=? WHERE id=?', (*new, ident))
                count += 1
    return count


def _of_machines(db: sqlite3.Connection, changing: dict[str, str | None]) -> int:
    """At a centre: what machines last said of them. A machine that keeps the name says it again within minutes."""
    if "member_user" not in with_column(db, "heard_at"):
        return 0  # a backup from before
    return sum(db.execute("DELETE FROM member_user WHERE name=?", (name,)).rowcount for name in sorted(changing))


def _inner(text: str, changing: dict[str, str | None]) -> str:
    try:
        row = json.loads(text)
    except ValueError:
        return text
    labels = row.get("labels") if isinstance(row, dict) else None
    name = name_of(labels) if isinstance(labels, str) else ""
    if name not in changing:
        return text
    return json.dumps(row | {"labels": relabelled(str(labels), changing[name] or NOBODY)}, ensure_ascii=False)


# --- evidence and mails ------------------------------------------------------------------------------------------------


def _evidence(db: sqlite3.Connection, changing: dict[str, str | None]) -> int:
    count = 0
    for ident, text in db.execute("SELECT id, body FROM evidence").fetchall():
        new = body(text, changing)
        if new != text:
            db.execute("UPDATE evidence SET body=? WHERE id=?", (new, ident))
            count += 1
    return count


def body(text: str, changing: dict[str, str | None]) -> str:
    """Evidence (alerts/evidence.py) with names changed: a process stays without its owner, a log-in goes."""
    try:
        found = json.loads(text)
    except ValueError:
        return text
    new = _walked(found, changing)
    return text if new == found else json.dumps(new, ensure_ascii=False, separators=(",", ":"))


def _walked(value: object, changing: dict[str, str | None]) -> object:
    if isinstance(value, list):
        return [new for part in value if (new := _walked(part, changing)) is not None]
    if not isinstance(value, dict):
        return value
    name = value.get(LABEL) if LABEL in value else value.get("subject") if value.get("kind") in NAMED_EVENTS else None
    if isinstance(name, str) and name in changing:
        return _renamed(value, changing[name])
    path = value.get("path")
    if isinstance(path, str):
        parts = [changing[part] or NOBODY if part in changing else part for part in path.split("/")]
        return value | {"path": "/".join(parts)}
    return {key: _walked(part, changing) for key, part in value.items()}


def _renamed(row: dict[str, object], said: str | None) -> dict[str, object] | None:
    if "pid" in row:
        return row | {LABEL: said or "", "arguments": ""}
    if said is None:
        return None
    if LABEL in row:
        return row | {LABEL: said} | ({"origin": ""} if "origin" in row else {})
    return row | {"subject": said, "detail": ""}


def _words(names: Iterable[str]) -> re.Pattern[str]:
    """These names where they stand as words."""
    longest_first = sorted(names, key=len, reverse=True)
    return re.compile(rf"(?<![\w.-])(?:{'|'.join(re.escape(name) for name in longest_first)})(?![\w-])")


def says(text: str, names: Iterable[str]) -> bool:
    """Whether a sentence holds one of the names."""
    return bool(_words(names).search(text))


def _mails(db: sqlite3.Connection, changing: dict[str, str | None]) -> int:
    """Names in subjects and ready texts."""
    pattern = _words(changing)

    def replaced(text: str) -> str:
        return pattern.sub(lambda found: changing[found[0]] or NOBODY, text)

    count = 0
    for ident, subject, text in db.execute("SELECT id, subject, body FROM notification").fetchall():
        new_subject, new_text = replaced(subject), text
        try:
            parts = json.loads(text)
        except ValueError:
            parts = None
        if isinstance(parts, dict):
            new = {
                key: replaced(part) if isinstance(part, str) and key != "url" else part for key, part in parts.items()
            }
            new_text = text if new == parts else json.dumps(new, ensure_ascii=False)
        if (new_subject, new_text) != (subject, text):
            db.execute("UPDATE notification SET subject=?, body=? WHERE id=?", (new_subject, new_text, ident))
            count += 1
    return count
