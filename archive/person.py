"""One person of the machine: everything that is kept of them as JSON, and all of it forgotten."""

import json
import os
import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

from archive import backup, catalog, database, logins, pack, people, privacy, pseudonyms, read
from archive.people import Touched
from archive.pseudonyms import Names

FOREVER = 2**53


class Forgotten(NamedTuple):
    """What was (or, in a dry run, would be) changed. `problems` are for a person to look at."""

    rows: Touched
    journal: list[str]  # files, in a dry run
    backups: list[str]
    problems: list[str]
    comes_back: bool  # the machine still knows the account: the next cycle names it again


def names_of(data: str, name: str) -> frozenset[str]:
    """The name, and what stands in its place where pseudonyms were ever in force."""
    found = {name}
    if os.path.exists(os.path.join(data, pseudonyms.KEY)):
        found.add(pseudonyms.pseudonym(name, pseudonyms.key(data)))
    return frozenset(found)


# --- export ------------------------------------------------------------------------------------------------------------


def export(db: sqlite3.Connection, data: str, name: str, now: int, host: int = 1) -> Iterator[str]:
    """Pieces of one JSON object. Times are UTC seconds, values in the metric's own unit; rollups repeat samples: left out."""
    those = names_of(data, name)
    head = {
        "person": name,
        "known_as": sorted(those),
        "exported_at": now,
        "kept_for_days": people.days(db),
        "log_in": _log_in(data, name),
        "facts": _facts(db, those),
        "events": _rows(
            db, "SELECT at, kind, subject, detail FROM event WHERE kind IN ('login', 'account')", "subject", those
        ),
        "incidents": _incidents(db, those),
        "evidence": _evidence(db, those),
        "thresholds": [row for row in _rows(db, "SELECT * FROM threshold", "", those) if _about(row, those)],
        "mails": _mails(db, those),
        "machines": _rows(db, "SELECT * FROM member_user ORDER BY host, name", "name", those),
        "also": "The probes' texts of the last days (data/journal) and the backups repeat what stands here.",
    }
    yield json.dumps(head, ensure_ascii=False, indent=1)[:-2] + ',\n "lines": ['
    first = True
    for line in read.series(db, host):
        if line.label(pseudonyms.LABEL) in those:
            scale = line.metric.scale
            samples = sorted(pack.every(db, host, line.id, 0, FOREVER).items())
            told = {
                "metric": line.metric.name,
                "unit": line.metric.unit,
                "labels": json.loads(line.labels),
                "samples": [[at, value / scale] for at, value in samples],
            }
            yield ("" if first else ",") + "\n  " + json.dumps(told, ensure_ascii=False)
            first = False
    yield "\n ]\n}\n"


def _log_in(data: str, name: str) -> dict[str, object] | None:
    """The account of the dashboard, without its password's hash."""
    with logins.reading(data) as db:
        found = logins.person(db, name)
        if found is None:
            return None
        sessions = [
            {"created_at": one.created_at, "seen_at": one.seen_at, "address": one.address, "browser": one.agent}
            for one in logins.sessions(db, name)
        ]
    return {"name": found.name, "role": found.role, "password_set_at": found.changed_at, "sessions": sessions}


def _rows(db: sqlite3.Connection, sql: str, column: str, those: frozenset[str]) -> list[dict[str, object]]:
    found = db.execute(sql)
    names = [one[0] for one in found.description]
    rows = [dict(zip(names, row, strict=True)) for row in found]
    return [row for row in rows if not column or row[column] in those]


def _about(row: dict[str, object], those: frozenset[str]) -> bool:
    return people.name_of(str(row["labels"])) in those


def _facts(db: sqlite3.Connection, those: frozenset[str]) -> list[dict[str, object]]:
    sql = "SELECT m.name AS fact, f.labels, f.first_at, f.gone_at FROM fact f JOIN metric m ON m.id = f.metric"
    return [row | {"labels": json.loads(str(row["labels"]))} for row in _rows(db, sql, "", those) if _about(row, those)]


def _incidents(db: sqlite3.Connection, those: frozenset[str]) -> list[dict[str, object]]:
    return [
        row
        | {"story": _rows(db, f"SELECT at, kind, level, value FROM transition WHERE incident={row['id']}", "", those)}
        for row in _rows(
            db, "SELECT id, kind, metric, labels, level, since_at, ended_at, peak FROM incident", "", those
        )
        if _about(row, those)
    ]


def _evidence(db: sqlite3.Connection, those: frozenset[str]) -> list[dict[str, object]]:
    """What evidence says of them: their own entries, not those of others."""
    found = []
    for row in _rows(db, "SELECT at, incident, body FROM evidence", "", those):
        try:
            body = json.loads(str(row["body"]))
        except ValueError:
            continue
        entries = {
            part: own
            for part, those_of in (body.items() if isinstance(body, dict) else ())
            if isinstance(those_of, list) and (own := [one for one in those_of if _is_theirs(one, those)])
        }
        if entries:
            found.append({"at": row["at"], "incident": row["incident"], **entries})
    return found


def _is_theirs(entry: object, those: frozenset[str]) -> bool:
    return isinstance(entry, dict) and bool(those & set(people.in_evidence(json.dumps(entry))))


def _mails(db: sqlite3.Connection, those: frozenset[str]) -> list[dict[str, object]]:
    """Mails whose subject or ready text holds the name as a word."""
    rows = _rows(db, "SELECT id, at, kind, subject, body FROM notification", "", those)
    return [
        {key: row[key] for key in ("id", "at", "kind", "subject")}
        for row in rows
        if people.says(f"{row['subject']} {row['body']}", those)
    ]


# --- forget ------------------------------------------------------------------------------------------------------------


def forget(data: str, folder: str, name: str, *, dry: bool) -> Forgotten:
    """The database, the texts that wait and those of the journal, the probes' last texts, the backups.

    A dry run changes nothing. The database is made anew, so that no freed page still holds the name.
    """
    those = names_of(data, name)
    names = Names(lambda one: None if one in those else one, lambda raw: any(one.encode() in raw for one in those))

    def change(db: sqlite3.Connection) -> int:
        return sum(people.rewrite(db, names, those))

    rows, comes_back = _database(data, names, those, dry=dry)
    files = privacy.texts(os.path.join(data, "spool"), names, dry=dry) + privacy.journal(data, names, dry=dry)
    problems = [] if dry else files
    if not dry:
        problems += _last_texts(data, names) + _set_aside(data, those)
    copies = []
    for path in backup.names(folder):
        try:
            changed = bool(privacy.named_in(path) & those) if dry else privacy.rewritten(path, change) != path
            if changed:
                copies.append(path)
        except (backup.BackupError, OSError, sqlite3.Error) as error:
            problems.append(str(error))
    return Forgotten(rows, files if dry else [], copies, problems, comes_back)


def _database(data: str, names: Names, those: frozenset[str], *, dry: bool) -> tuple[Touched, bool]:
    with database.writer(data, 60.0) as db:
        present = [
            row
            for row in db.execute(
                "SELECT f.labels FROM fact f JOIN metric m ON m.id = f.metric"
                " WHERE f.gone_at IS NULL AND m.name IN ('account_info', 'login_info')"
            )
            if people.name_of(row[0]) in those
        ]
        catalog.wipe_freed(db)
        db.execute("BEGIN IMMEDIATE")
        try:
            touched = people.rewrite(db, names, those)
        except BaseException:
            db.execute("ROLLBACK")
            raise
        db.execute("ROLLBACK" if dry else "COMMIT")
        if not dry and touched.any:
            catalog.shred(db)
    return touched, bool(present)


def _last_texts(data: str, names: Names) -> list[str]:
    """data/probes/*.prom: what each probe said last, for its page; what is not asked any more would stay."""
    problems = []
    folder = os.path.join(data, "probes")
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        path = os.path.join(folder, name)
        try:
            with open(path, "rb") as file:
                raw = file.read()
            new = pseudonyms.section(raw, names)
            if new != raw:
                pseudonyms.replace(path, new)
        except OSError as error:
            problems.append(f"{path}: {error}")
    return problems


def _set_aside(data: str, those: frozenset[str]) -> list[str]:
    """What a restore or a refusal set aside for a person to look at is not ours to change; said where it holds the name."""
    found = []
    for part in ("set-aside", "quarantine", "log"):
        for folder, _folders, names in os.walk(os.path.join(data, part)):
            for name in sorted(names):
                path = os.path.join(folder, name)
                with open(path, "rb") as file:
                    raw = file.read()
                if any(one.encode() in raw for one in those):
                    found.append(f"{path}: still holds the name; remove it when it is not needed any more")
    return found
