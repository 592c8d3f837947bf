"""Thresholds: the probes' shipped ones, overridden line by line by what the administrator set; and the retention.

Levels are in the metric's own unit (0.9 for 90 %), spans in seconds. Every change keeps what stood before, so that it
can be undone. Writing functions are one transaction; inside the caller's own they are part of it.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from archive import changes as changes_kept
from archive import database, events, units
from archive.refused import Refused

CLEAR_SECONDS = 600  # a shipped threshold's clear duration: calm enough, and soon enough to reassure
LONGEST = 7 * 86_400
DEFAULT_RETENTION, MAX_RETENTION = 400, 3650
RETENTION = "retention_days"
KIND = "threshold"
HERE = 1  # this machine; at a centre, other hosts are machines of the fleet
CENTRE = -1  # the host of rows that a machine's centre set: what is set on the machine itself wins


class ThresholdError(Refused):
    """A value that cannot be saved."""


class Threshold(NamedTuple):
    metric: str
    labels: str  # JSON object that a line's labels must contain; '{}' for all; the most precise wins
    above: bool
    warning: float | None
    critical: float | None
    clear: float | None  # None: the warning (else critical) level itself
    for_seconds: int
    clear_seconds: int = CLEAR_SECONDS
    second_metric: str = ""
    second_above: bool = False
    second_level: float | None = None
    second_for: str = "critical"  # or 'both': the warning needs the second condition too
    enabled: bool = True
    host: int = 0  # 0: every host; CENTRE
    updated_at: int = 0
    updated_by: str = ""  # '' for a shipped one


class Change(NamedTuple):
    id: int
    at: int
    by: str
    metric: str
    labels: str
    before: Threshold | None  # None: the shipped one was in force
    after: Threshold | None


_COLUMNS = (
    "metric, labels, above, warning, critical, clear, for_seconds, clear_seconds, second_metric, second_above,"
    " second_level, second_for, enabled, host, updated_at, updated_by"
)


# --- reading ---------------------------------------------------------------------------------------------------------


def effective(db: sqlite3.Connection, host: int) -> list[Threshold]:
    """What is judged: by metric, the most precise first. Disabled ones are in it: they switch their lines off.

    Of another machine of the fleet: what it said is in force there.
    """
    found = {(one.metric, one.labels): one for one in shipped(db)}
    # What the centre set comes first, then the row for every host, then the one for this host: the last one wins.
    hosts = (CENTRE, 0, host) if host == HERE else (host,)
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM threshold WHERE host IN ({', '.join('?' * len(hosts))}) ORDER BY host", hosts
    )
    found.update({(row[0], row[1]): _threshold(row) for row in rows})
    return sorted(found.values(), key=lambda one: (one.metric, -len(json.loads(one.labels)), one.labels))


def shipped(db: sqlite3.Connection) -> list[Threshold]:
    """The thresholds that the probes bring along, by metric."""
    rows = db.execute("SELECT name, shipped FROM metric WHERE shipped <> '' ORDER BY name").fetchall()
    return [from_shipped(name, text) for name, text in rows]


def from_shipped(metric: str, text: str) -> Threshold:
    """`text` is metric.shipped: the JSON of archive.text.Shipped."""
    found = json.loads(text)
    return Threshold(
        metric, "{}", found["above"], found["warning"], found["critical"], found["clear"], found["for_seconds"],
        CLEAR_SECONDS, found["second_metric"], found["second_above"], found["second_level"], found["second_for"],
        found["enabled"],
    )  # fmt: skip


def get(db: sqlite3.Connection, metric: str, labels: str = "{}", host: int = 0) -> Threshold | None:
    """The administrator's own row, or None where there is none."""
    row = db.execute(
        f"SELECT {_COLUMNS} FROM threshold WHERE host=? AND metric=? AND labels=?", (host, metric, labels)
    ).fetchone()
    return _threshold(row) if row else None


def changes(db: sqlite3.Connection, limit: int = 50) -> list[Change]:
    """What was changed, newest first."""
    return [_change(one) for one in changes_kept.recent(db, limit, KIND)]


def to_json(threshold: Threshold | None) -> str:
    return json.dumps(threshold._asdict()) if threshold else ""


def from_json(text: str) -> Threshold | None:
    """The threshold as a change or an incident holds it; None for '' and {}. Unknown fields are left out."""
    found = json.loads(text) if text else {}
    if not found:
        return None
    return Threshold(**{name: found[name] for name in Threshold._fields if name in found})


def _change(kept: changes_kept.Change) -> Change:
    return Change(
        kept.id, kept.at, kept.by, kept.subject, kept.labels, from_json(kept.before), from_json(kept.after)
    )  # fmt: skip


def _threshold(row: tuple[object, ...]) -> Threshold:
    found = Threshold(*row)  # type: ignore[arg-type]
    return found._replace(above=bool(found.above), second_above=bool(found.second_above), enabled=bool(found.enabled))


# --- writing ---------------------------------------------------------------------------------------------------------


def save(db: sqlite3.Connection, threshold: Threshold, by: str, now: int, kinds: Mapping[str, str] = {}) -> Threshold:
    """Check and keep. Raises ThresholdError that names the field; then nothing is changed. The same again is no change."""
    wanted = checked(db, threshold, kinds)._replace(updated_at=now, updated_by=by)
    with _whole(db):
        before = get(db, wanted.metric, wanted.labels, wanted.host)
        if before and before._replace(updated_at=now, updated_by=by) == wanted:
            return before
        _put(db, wanted)
        _note(db, now, by, wanted, before, wanted)
    return wanted


def delete(db: sqlite3.Connection, metric: str, labels: str, by: str, now: int, host: int = 0) -> bool:
    """Back to the shipped one (or, for a precise row, to the one for all lines). False when there was no row."""
    with _whole(db):
        before = get(db, metric, labels, host)
        if before is None:
            return False
        db.execute("DELETE FROM threshold WHERE host=? AND metric=? AND labels=?", (host, metric, labels))
        _note(db, now, by, before, before, None)
    return True


def undo(db: sqlite3.Connection, change_id: int, by: str, now: int) -> Threshold | None:
    """Bring back what stood before a change, as a change of its own. Refused when it was changed again since."""
    found = changes_kept.get(db, change_id)
    if found is None or found.kind != KIND:
        raise ThresholdError("change", "There is no change number %(number)s.", number=change_id)
    change = _change(found)
    known = change.after or change.before
    host = known.host if known else 0
    if host == CENTRE:
        raise ThresholdError("change", "The centre set this: set a value of your own here, or change it at the centre.")
    with _whole(db):
        present = get(db, change.metric, change.labels, host)
        if present != change.after:
            raise ThresholdError(
                "change", "The threshold of %(metric)s was changed again since: undo the newer change first.",
                metric=change.metric,
            )  # fmt: skip
        if change.before is None:
            delete(db, change.metric, change.labels, by, now, host)
            return None
        restored = change.before._replace(updated_at=now, updated_by=by)
        _put(db, restored)
        _note(db, now, by, restored, present, restored)
    return restored


def _put(db: sqlite3.Connection, threshold: Threshold) -> None:
    names = _COLUMNS.split(", ")
    values = [int(value) if isinstance(value, bool) else value for value in threshold]
    changed = ", ".join(f"{name}=excluded.{name}" for name in names)
    db.execute(
        f"INSERT INTO threshold ({_COLUMNS}) VALUES ({', '.join('?' * len(names))})"
        f" ON CONFLICT (host, metric, labels) DO UPDATE SET {changed}",
        values,
    )


def _note(
    db: sqlite3.Connection, now: int, by: str, of: Threshold, before: Threshold | None, after: Threshold | None
) -> None:
    changes_kept.note(db, now, by, KIND, of.metric, to_json(before), to_json(after), of.labels)


@contextmanager
def _whole(db: sqlite3.Connection) -> Iterator[None]:
    if db.in_transaction:
        yield
    else:
        with database.transaction(db):
            yield


# --- checking --------------------------------------------------------------------------------------------------------


def checked(db: sqlite3.Connection, threshold: Threshold, kinds: Mapping[str, str] = {}) -> Threshold:
    """The threshold with its labels in the stored form. Raises ThresholdError for the first field that is wrong. `kinds`: of
    metrics that may not be measured here (yet)."""
    unit = _unit(db, "metric", threshold.metric, kinds)
    found = threshold._replace(labels=labels_text(threshold.labels))
    for field, level in (("warning", found.warning), ("critical", found.critical), ("clear", found.clear)):
        _check_level(field, level, unit)
    if found.warning is None and found.critical is None:
        raise ThresholdError("warning", "Set a warning level, a critical level, or both.")
    _check_order(found)
    for field, span in (("for_seconds", found.for_seconds), ("clear_seconds", found.clear_seconds)):
        if isinstance(span, bool) or not isinstance(span, int) or not 0 <= span <= LONGEST:
            raise ThresholdError(
                field, "Expected a whole number of seconds from 0 to %(most)s, not %(value)s.", most=LONGEST,
                value=_shown(span),
            )  # fmt: skip
    if found.second_for not in ("critical", "both"):
        raise ThresholdError("second_for", "Expected critical or both, not %(value)s.", value=found.second_for)
    return _check_second(db, found, kinds)


def _check_order(found: Threshold) -> None:
    sign = 1 if found.above else -1
    warning, critical, clear = found.warning, found.critical, found.clear
    if warning is not None and critical is not None and (critical - warning) * sign < 0:
        if found.above:
            raise ThresholdError("critical", "The critical level must not be below the warning level.")
        raise ThresholdError("critical", "The critical level must not be above the warning level.")
    first = warning if warning is not None else critical
    if clear is not None and first is not None and (clear - first) * sign > 0:
        if found.above:
            raise ThresholdError("clear", "The clear level must not be above the level at which it opens.")
        raise ThresholdError("clear", "The clear level must not be below the level at which it opens.")


def _check_second(db: sqlite3.Connection, found: Threshold, kinds: Mapping[str, str]) -> Threshold:
    if not found.second_metric:
        return found._replace(second_level=None, second_above=False, second_for="critical")
    if found.second_metric == found.metric:
        raise ThresholdError("second_metric", "The second condition must be on another metric.")
    unit = _unit(db, "second_metric", found.second_metric, kinds)
    if found.second_level is None:
        raise ThresholdError("second_level", "The second condition needs a level.")
    _check_level("second_level", found.second_level, unit)
    if found.second_for == "critical" and found.critical is None:
        raise ThresholdError("second_for", "The second condition is for a critical level, and there is none.")
    return found


def _check_level(field: str, level: object, unit: units.Unit) -> None:
    if level is None:
        return
    if isinstance(level, bool) or not isinstance(level, (int, float)) or not abs(level) < float("inf"):
        raise ThresholdError(field, "%(value)s is not a number.", value=_shown(level))
    if not unit.low <= level <= unit.high:
        raise ThresholdError(
            field, "%(value)s is out of range: expected %(low)s to %(high)s.", value=_shown(level),
            low=f"{unit.low:.6g}", high=f"{unit.high:.6g}",
        )  # fmt: skip


def _shown(value: object) -> str:
    """What was given, short enough for a message; a number of thousands of digits cannot even be written."""
    try:
        return str(value)[:40]
    except ValueError:
        return "…"


def _unit(db: sqlite3.Connection, field: str, metric: str, kinds: Mapping[str, str]) -> units.Unit:
    row = db.execute("SELECT kind FROM metric WHERE name=?", (metric,)).fetchone()
    kind = row[0] if row else kinds.get(metric, "info")
    if kind == "info":
        raise ThresholdError(field, "There is no metric named %(value)s.", value=metric[:100])
    return units.unit_of(metric, kind)


def labels_text(text: str) -> str:
    """Labels in the stored form. Raises ThresholdError."""
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise ThresholdError("labels", 'Expected labels such as {"mount":"/"}, not %(value)s.', value=text[:100])
    return json.dumps(found, sort_keys=True, separators=(",", ":"), ensure_ascii=False) if found else "{}"


# --- retention -------------------------------------------------------------------------------------------------------


def retention_days(db: sqlite3.Connection) -> int:
    """How many days samples are kept."""
    row = db.execute("SELECT value FROM setting WHERE name=?", (RETENTION,)).fetchone()
    return int(row[0]) if row else DEFAULT_RETENTION


def set_retention(
    db: sqlite3.Connection, days: int, by: str, now: int, host: int = 1, *, confirmed: bool = False
) -> None:
    """Keep samples for this many days, 1 to 3650. Raises ThresholdError on 'retention_days'.

    `confirmed`: a person was shown what that removes; it may then go in one night, however many days it is.
    """
    if isinstance(days, bool) or not isinstance(days, int) or not 1 <= days <= MAX_RETENTION:
        raise ThresholdError(
            RETENTION, "Expected a whole number of days from 1 to %(most)s, not %(value)s.", most=MAX_RETENTION,
            value=_shown(days),
        )  # fmt: skip
    from archive import purge  # not on the minute's path

    with _whole(db):
        before = retention_days(db)
        if days == before:
            return
        purge.remember(db, RETENTION, str(days), by, now)
        purge.allow(db, purge.kept_from(days, now) if confirmed else 0, by, now)
        changes_kept.note(db, now, by, "setting", RETENTION, str(before), str(days))
        events.add(db, host, now, "setting", RETENTION, f"{before} -> {days} ({by})")
