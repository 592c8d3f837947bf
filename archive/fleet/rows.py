"""What travels beside the texts: incidents and their transitions, what was running, mails' fate, packages, verdicts, events;
and to a centre that sets something: the thresholds in force, and which transitions are left to it to tell.

The machine (`collect`) sends a row when it is new or has changed, by a digest of each; the centre (`apply`) keeps it
under the machine's own host number: a row's number there becomes host x 2^32 + number, so that no two machines share one
and none can name another's. What comes in is checked column by column before a statement sees it.
"""

import hashlib
import json
import math
import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

from archive import incidents, thresholds
from archive.fleet import handing, systems
from archive.fleet.parcel import ParcelError
from archive.incidents import Incident

DAY = 86_400
LEVELS = ("warning", "critical")
KEPT = 30 * DAY  # seconds back that are looked at for changes
SHIFT = 32
MOST_TEXT = 200_000
MOST_THRESHOLDS = 1_000
Known = dict[str, dict[str, str]]  # kind -> {key: digest of the row as the centre has it}
Rows = dict[str, list[list[object]]]


class Kind(NamedTuple):
    """Columns as letters: i whole number, f number, s text; a capital may be null. `key`: how many lead ones are the key."""

    columns: str
    key: int


_INCIDENT = [name for name in Incident._fields if name not in ("id", "host", "series", "cause")]
KINDS = {
    # id, kind, metric, labels, state, level; since, critical since, opened, eased, ended; end reason, last at; last value,
    # peak; peak at, flaps; threshold; reminded at, acknowledged at; by, reason
    "incident": Kind("isssss" + "iIIII" + "si" + "ff" + "ii" + "s" + "II" + "ss", 1),
    "transition": Kind("iiissFs", 1),
    "evidence": Kind("iiiss", 1),
    "mail": Kind("isissssIs", 2),
    "event": Kind("isss", 3),
    # metric, labels, above, warning, critical, clear; for, clear seconds; second condition: metric, above, level, for; enabled,
    # since, by whom: all that differ from what was shipped
    "threshold": Kind("ssiFFF" + "ii" + "siFs" + "iis", 2),
    # a transition, its time, and who tells it: machine, centre, both
    "tell": Kind("iis", 1),
    "package": Kind("ssssss", 3),
    "verdict": Kind("sssssssiIsI", 1),
    "system": Kind("ssssssi", 0),  # the one row of archive/fleet/systems.py
}
OWN_EVENTS = (
    "boot",
    "quarantine",
    "spool",
    "backup",
    "purge",
    "restore",
)  # a centre makes its own, or has no use for them


# --- the machine -----------------------------------------------------------------------------------------------------


def collect(
    db: sqlite3.Connection, host: int, now: int, known: Known, most: int, *, sets: bool = False
) -> tuple[Rows, Known]:
    """Rows that the centre does not have, `most` at a time, and what it will know once it has taken them. `sets`: it is one
    that sets thresholds and who mails.

    A snapshot of packages, or of thresholds, is sent whole, whenever one of them changed.
    """
    rows: Rows = {}
    after: Known = {}
    left = most
    candidates = list(_candidates(db, host, now - KEPT))
    if sets:
        candidates.append(("tell", handing.offered(db, now - KEPT)))
    for kind, found in candidates:
        before, after[kind] = known.get(kind, {}), {}
        for row in found:
            key, digest = _key(kind, row), _digest(row)
            if before.get(key) == digest:
                after[kind][key] = digest
            elif left > 0:
                after[kind][key] = digest
                rows.setdefault(kind, []).append(row)
                left -= 1
            elif key in before:
                after[kind][key] = before[key]
    packages = _packages(db, host)
    digest = _digest(packages)
    after["package"] = {"all": digest}
    if known.get("package", {}).get("all") != digest and packages:
        if left > 0 or not rows:
            rows["package"] = packages
        else:
            after["package"] = known.get("package", {})
    if sets:
        found = _thresholds(db)
        after["threshold"] = {"all": _digest(found)}
        if known.get("threshold") != after["threshold"]:
            rows["threshold"] = found
    return rows, after


def _key(kind: str, row: list[object]) -> str:
    return "\t".join(str(part) for part in row[: KINDS[kind].key])


def _digest(row: object) -> str:
    return hashlib.sha256(json.dumps(row, ensure_ascii=False).encode("utf-8", "surrogatepass")).hexdigest()[:12]


def _candidates(db: sqlite3.Connection, host: int, since: int) -> Iterator[tuple[str, list[list[object]]]]:
    def every(sql: str, *arguments: object) -> list[list[object]]:
        return [list(row) for row in db.execute(sql, arguments)]

    system = systems.row(db, host)
    yield "system", [system] if system else []
    columns = ", ".join(["id", *_INCIDENT])
    mine = "SELECT id FROM incident WHERE host=? AND (state <> 'resolved' OR ended_at >= ?)"
    # What is over comes first: its line is free when the next one opens.
    yield "incident", every(
        f"SELECT {columns} FROM incident WHERE host=? AND opened_at IS NOT NULL AND (state <> 'resolved' OR ended_at >= ?)"
        " ORDER BY CASE state WHEN 'resolved' THEN 0 ELSE 1 END, id",
        host, since,
    )  # fmt: skip
    yield "transition", every(
        f"SELECT id, incident, at, kind, level, value, detail FROM transition WHERE incident IN ({mine}) ORDER BY id",
        host, since,
    )  # fmt: skip
    yield "evidence", every(
        f"SELECT id, incident, at, moment, body FROM evidence WHERE incident IN ({mine}) AND length(body) < ? ORDER BY id",
        host, since, MOST_TEXT,
    )  # fmt: skip
    yield "mail", every(
        "SELECT n.id, d.recipient, n.at, n.kind, n.subject, d.state, d.server, d.done_at, d.reply"
        " FROM notification n JOIN delivery d ON d.notification = n.id WHERE n.host=? AND n.at >= ? ORDER BY n.id, d.recipient",
        host, since,
    )  # fmt: skip
    marks = ", ".join("?" * len(OWN_EVENTS))
    yield "event", every(
        f"SELECT at, kind, subject, detail FROM event WHERE host=? AND at >= ? AND kind NOT IN ({marks}) ORDER BY at",
        host, since, *OWN_EVENTS,
    )  # fmt: skip
    yield (
        "verdict",
        every(
            "SELECT a.reference, v.verdict, v.package, v.installed, v.reason, v.evidence, v.dismissed_reason, v.decided_at,"
            " v.dismissed_at, v.offered, v.fixed_at FROM verdict v JOIN advisory a ON a.id = v.advisory WHERE v.host=?"
            " AND (v.verdict <> 'not_affected' OR v.fixed_at IS NOT NULL OR v.dismissed_at IS NOT NULL) ORDER BY a.reference",
            host,
        ),
    )


def _packages(db: sqlite3.Connection, host: int) -> list[list[object]]:
    return [
        list(row)
        for row in db.execute(
            "SELECT name, version, arch, source, source_version, origin FROM package WHERE host=? AND gone_at IS NULL"
            " ORDER BY name, version, arch",
            (host,),
        )
    ]


_SET = "metric, labels, above, warning, critical, clear, for_seconds, clear_seconds, second_metric, second_above, second_level,"
_SET += " second_for, enabled, updated_at, updated_by"


def _thresholds(db: sqlite3.Connection) -> list[list[object]]:
    """What is judged with here, where that is not what was shipped."""
    rows = db.execute(
        f"SELECT {_SET} FROM threshold WHERE host IN (?, 0, ?) ORDER BY host", (thresholds.CENTRE, thresholds.HERE)
    )
    found = {(row[0], row[1]): list(row) for row in rows}
    return [found[key] for key in sorted(found)][:MOST_THRESHOLDS]


# --- the centre ------------------------------------------------------------------------------------------------------


def checked(rows: Rows) -> Rows:
    """Raises ParcelError that names the kind, the row and what was expected."""
    for kind, found in rows.items():
        if kind not in KINDS:
            raise ParcelError(f"rows: {kind[:40]!r} is of no kind that this Vigie knows: upgrade the centre")
        letters = KINDS[kind].columns
        for number, row in enumerate(found):
            if len(row) != len(letters):
                raise ParcelError(f"rows: {kind} {number}: expected {len(letters)} columns, not {len(row)}")
            for letter, value in zip(letters, row, strict=True):
                if not _fits(letter, value):
                    raise ParcelError(f"rows: {kind} {number}: {str(value)[:60]!r} is not what its column holds")
    return rows


def _fits(letter: str, value: object) -> bool:
    if value is None:
        return letter.isupper()
    if letter in "iI":
        return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**40
    if letter in "fF":
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return isinstance(value, str) and len(value) <= MOST_TEXT and "\0" not in value and not _lone(value)


def _lone(text: str) -> bool:
    """Half a character of UTF-16: no database takes it."""
    return any("\ud800" <= c <= "\udfff" for c in text)


def apply(db: sqlite3.Connection, host: int, rows: Rows, now: int) -> list[str]:
    """Keep them, within the caller's transaction. Returns the references of publications that this centre does not know
    (yet): their verdicts are to be sent again later. Raises sqlite3.IntegrityError for rows that contradict each other.
    """
    for row in rows.get("incident", []):
        _labels(row[3])
        _incident(db, host, row)
    for row in rows.get("transition", []):
        if row[4] not in LEVELS:
            raise ParcelError(f"rows: transition: {str(row[4])[:40]!r} is no level")
    db.executemany(
        "INSERT INTO transition VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET detail=excluded.detail",
        [(_number(host, row[0]), _number(host, row[1]), *row[2:]) for row in rows.get("transition", [])],
    )
    db.executemany(
        "INSERT INTO evidence VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET incident=excluded.incident",
        [(_number(host, row[0]), _number(host, row[1]), *row[2:]) for row in rows.get("evidence", [])],
    )
    db.executemany(
        "INSERT INTO member_mail (host, mail, recipient, at, kind, subject, state, server, done_at, reply)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (host, mail, recipient) DO UPDATE SET state=excluded.state,"
        " server=excluded.server, done_at=excluded.done_at, reply=excluded.reply",
        [(host, *row) for row in rows.get("mail", [])],
    )
    db.executemany(
        "INSERT INTO event (host, at, kind, subject, detail) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        [(host, *row) for row in rows.get("event", []) if row[1] not in OWN_EVENTS],
    )
    for row in rows.get("system", [])[-1:]:
        systems.keep(db, host, row, now)
    if "package" in rows:
        _inventory(db, host, rows["package"], now)
    if "threshold" in rows:
        _judged(db, host, rows["threshold"])
    return [reference for row in rows.get("verdict", []) if (reference := _verdict(db, host, row))]


def _number(host: int, number: object) -> int:
    """A machine's number here. Raises ParcelError where it would be another machine's."""
    if not isinstance(number, int) or not 0 < number < 1 << SHIFT:
        raise ParcelError(f"rows: {number} is no number of a row")
    return (host << SHIFT) + number


_UPDATED = ", ".join(f"{name}=excluded.{name}" for name in ("series", *_INCIDENT))


def _incident(db: sqlite3.Connection, host: int, row: list[object]) -> None:
    series = incidents.series_id(db, host, str(row[2]), str(row[3]))
    marks = ", ".join("?" * (len(_INCIDENT) + 3))
    db.execute(
        f"INSERT INTO incident (id, host, series, {', '.join(_INCIDENT)}) VALUES ({marks})"
        f" ON CONFLICT (id) DO UPDATE SET {_UPDATED}",
        (_number(host, row[0]), host, series, *row[1:]),
    )


def _labels(said: object) -> str:
    """Labels in the stored form: what is mailed and shown about them counts on it. Raises ParcelError."""
    try:
        return thresholds.labels_text(str(said))
    except thresholds.ThresholdError as error:
        raise ParcelError(f"rows: {error}") from None


def _judged(db: sqlite3.Connection, host: int, rows: list[list[object]]) -> None:
    """The machine's thresholds become these, under its own number. Raises ParcelError."""
    if len(rows) > MOST_THRESHOLDS:
        raise ParcelError(f"rows: threshold: {len(rows)}; at most {MOST_THRESHOLDS} are kept")
    db.execute("DELETE FROM threshold WHERE host=?", (host,))
    for row in rows:
        db.execute(
            f"INSERT INTO threshold ({_SET}, host) VALUES ({', '.join('?' * 16)}) ON CONFLICT DO NOTHING",
            (row[0], _labels(row[1]), *row[2:], host),
        )


def _inventory(db: sqlite3.Connection, host: int, rows: list[list[object]], now: int) -> None:
    """What is installed now; what is not in it any more went."""
    known = {
        (row[0], row[1], row[2])
        for row in db.execute("SELECT name, version, arch FROM package WHERE host=? AND gone_at IS NULL", (host,))
    }
    present = {(row[0], row[1], row[2]): row for row in rows}
    if known != present.keys():
        systems.touch(db, host, now)
    for key in sorted(known - present.keys(), key=str):
        db.execute(
            "UPDATE package SET gone_at=? WHERE host=? AND name=? AND version=? AND arch=? AND gone_at IS NULL",
            (now, host, *key),
        )
    db.executemany(
        "INSERT INTO package VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL) ON CONFLICT DO NOTHING",
        [(host, *row[:3], now, *row[3:], now) for key, row in present.items() if key not in known],
    )


def _verdict(db: sqlite3.Connection, host: int, row: list[object]) -> str:
    """'' when it was kept, else the reference that is not known here."""
    known = db.execute("SELECT id, revision FROM advisory WHERE reference=?", (row[0],)).fetchone()
    if known is None:
        return str(row[0])
    db.execute(
        "INSERT INTO verdict (host, advisory, revision, verdict, package, installed, reason, evidence, dismissed_reason,"
        " decided_at, dismissed_at, offered, fixed_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (host, advisory) DO UPDATE SET revision=excluded.revision, verdict=excluded.verdict,"
        " package=excluded.package, installed=excluded.installed, reason=excluded.reason, evidence=excluded.evidence,"
        " dismissed_reason=excluded.dismissed_reason, decided_at=excluded.decided_at, dismissed_at=excluded.dismissed_at,"
        " offered=excluded.offered, fixed_at=excluded.fixed_at",
        (host, known[0], known[1], *row[1:]),
    )
    return ""
