"""Reading a database of the system that Vigie replaces (`anisdatabase.db`), once or again: twice changes nothing.

Its tables, as they are found: `dataBase(users, cpu, memory, ram, date)`, a row per user and run (cpu in percent of a core,
memory in MB of disk, ram in KB, sometimes written as text); `cert_alert(date, reference, title, status)`, the same alert
many times over; `Seuil(cpu, memory, ram, temps_limite)`. Dates are Paris local time, "9 février 2024" and "2024-02-09" both
occur, with or without a time. Everything in it is hostile until parsed.
"""

import datetime
import os
import re
import sqlite3
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

import pytz

from archive import database, load, pack, partitions, pseudonyms, purge, rollup, text, units

PARIS = pytz.timezone("Europe/Paris")
DAY = 86_400
_MONTHS = (
    "janvier février mars avril mai juin juillet août septembre octobre novembre décembre".split()  # noqa: SIM905
)
_PLAIN = str.maketrans("éûÉÛèêàôî", "euEUeeaoi")


class OriginalError(Exception):
    """The file cannot be read as an original database: says why."""


class Row(NamedTuple):
    """One row of `dataBase`, parsed. None where a column was empty or unreadable."""

    line: int
    user: str
    at: int
    timed: bool  # whether the date had a time of day
    cpu: float | None  # cores used: 1 = one core wholly busy
    disk: float | None  # bytes
    memory: float | None  # bytes


class Alert(NamedTuple):
    reference: str
    title: str
    date: int | None
    open: bool | None  # None when the status says neither


class Skipped(NamedTuple):
    table: str
    line: int
    reason: str


class Taken(NamedTuple):
    rows: int
    samples: int  # new in the archive
    known: int  # were there already
    too_old: int
    alerts: list[Alert]
    levels: dict[str, float]  # of Seuil: cpu, memory, ram, temps_limite as they stand
    skipped: list[Skipped]


def read(path: str) -> tuple[list[Row], list[Alert], dict[str, float], list[Skipped]]:
    """Everything in the file, parsed; what could not be is in the last list, with its table, row and reason."""
    if not os.path.isfile(path):
        raise OriginalError(f"{path}: there is no such file")
    skipped: list[Skipped] = []
    # As it stands; unless the other program left something beside it that belongs to it.
    whole = not any(os.path.exists(path + beside) for beside in ("-wal", "-journal"))
    mode = "ro&immutable=1" if whole else "ro"
    try:
        db = sqlite3.connect(f"file:{database.quoted(os.path.abspath(path))}?mode={mode}", uri=True)
        try:
            db.text_factory = lambda raw: raw.decode("utf-8", "replace")
            tables = {name.lower(): name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type='table'")}
            if not tables.keys() & {"database", "cert_alert", "seuil"}:
                found = ", ".join(sorted(tables.values())) or "none"
                raise OriginalError(f"{path}: holds none of the tables dataBase, cert_alert, Seuil; it holds: {found}")
            rows = list(_rows(_table(db, tables, "database", 5), skipped))
            alerts = list(_alerts(_table(db, tables, "cert_alert", 4), skipped))
            levels = _levels(_table(db, tables, "seuil", 4), skipped)
        finally:
            db.close()
    except sqlite3.Error as error:
        raise OriginalError(f"{path}: is not a readable SQLite database: {error}") from error
    return rows, alerts, levels, skipped


def store(db: sqlite3.Connection, host: int, path: str, now: int, retention: int | None = None) -> Taken:
    """Read the file and archive its rows, within the caller's transaction. `retention` in days is set when given."""
    if retention is not None and not 1 <= retention <= purge.MOST_RETENTION:
        raise OriginalError(f"retention: expected 1 to {purge.MOST_RETENTION} days, not {retention}")
    rows, alerts, levels, skipped = read(path)
    if retention is not None:
        db.execute(
            "INSERT INTO setting VALUES ('retention_days', ?, ?, 'import') ON CONFLICT (name)"
            " DO UPDATE SET value=excluded.value, updated_at=excluded.updated_at, updated_by='import'",
            (str(retention), now),
        )
    cut = (now - purge.retention_days(db) * DAY) // DAY * DAY
    writer = _Writer(db, host)
    taken = too_old = 0
    for row in rows:
        if row.at < cut:
            too_old += 1
        elif row.at > now + 3600:
            skipped.append(Skipped("dataBase", row.line, f"its date lies in the future: {_iso(row.at)}"))
        else:
            writer.add(row)
            taken += 1
    rollup.mark_late_hours(db, host, writer.hours, now)
    return Taken(taken, writer.new, writer.known, too_old, alerts, levels, skipped)


class _Writer:
    """Rows -> samples. A date without a time: the n-th row of that user and day stands n seconds after midnight."""

    def __init__(self, db: sqlite3.Connection, host: int) -> None:
        self.db, self.host = db, host
        self._people = pseudonyms.of(db)
        self.new = self.known = 0
        self.hours: set[int] = set()
        self._taken: set[tuple[str, int]] = set()
        self._known: dict[tuple[str, str], int] = {}  # (metric, labels) -> series
        self._packed: dict[tuple[int, int], frozenset[int]] = {}  # (series, day) -> times

    def add(self, row: Row) -> None:
        labels = pseudonyms.labels((("user", row.user),), self._people) if self._people else (("user", row.user),)
        if labels is None:  # VIGIE_USERS=off
            return
        at = row.at
        while (row.user, at) in self._taken:
            at += 1
        self._taken.add((row.user, at))
        partitions.have(self.db, at)
        for metric, value in (
            (_METRICS["cpu"], row.cpu),
            (_METRICS["disk"], row.disk),
            (_METRICS["memory"], row.memory),
        ):
            stored = None if value is None else units.to_stored(value, metric.unit)
            if stored is None:
                continue
            series = self._series(metric, load.labels_json(labels), at)
            done = 0
            if at not in self._packed_times(series, at - at % DAY):
                done = self.db.execute(
                    "INSERT INTO sample VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", (self.host, at, series, stored)
                ).rowcount
            self.new += done
            self.known += 1 - done
            if done:
                self.hours.add(at // 3600 * 3600)

    def _packed_times(self, series: int, day: int) -> frozenset[int]:
        """What of this line and day is packed already: the second import must find it."""
        if (series, day) not in self._packed:
            found = pack.samples(self.db, self.host, series, day, day + DAY - 1)
            self._packed[series, day] = frozenset(at for at, _ in found)
        return self._packed[series, day]

    def _series(self, metric: text.Metric, labels: str, at: int) -> int:
        key = (metric.name, labels)
        if key not in self._known:
            self._known[key] = self._made(metric, labels, at)
        return self._known[key]

    def _made(self, metric: text.Metric, labels: str, at: int) -> int:
        self.db.execute(
            "INSERT INTO metric (name, kind, unit, scale, help, help_fr, probe, shipped)"
            " VALUES (?, ?, ?, ?, ?, ?, 'import', '') ON CONFLICT DO NOTHING",
            (metric.name, metric.kind, metric.unit.name, metric.unit.scale, metric.help, metric.help_fr),
        )
        ident = self.db.execute("SELECT id FROM metric WHERE name=?", (metric.name,)).fetchone()[0]
        self.db.execute(
            "INSERT INTO series (host, metric, labels, first_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (self.host, ident, labels, at),
        )
        found = "SELECT id FROM series WHERE host=? AND metric=? AND labels=?"
        return int(self.db.execute(found, (self.host, ident, labels)).fetchone()[0])


def _metric(name: str, kind: str, english: str, french: str) -> text.Metric:
    return text.Metric(name, kind, units.unit_of(name, kind), english, french, None)


_METRICS = {
    "cpu": _metric("user_cpu_seconds_total", "counter", "CPU of each user", "Processeur par utilisateur"),
    "disk": _metric("user_home_bytes", "gauge", "Home of each user", "Dossier personnel par utilisateur"),
    "memory": _metric("user_memory_bytes", "gauge", "Memory of each user", "Mémoire par utilisateur"),
}


def _table(
    db: sqlite3.Connection, tables: dict[str, str], name: str, columns: int
) -> Iterator[tuple[int, list[object]]]:
    """(row number, values) of a table, whatever its columns are called, or nothing when it is not there."""
    if name not in tables:
        return
    quoted = tables[name].replace('"', '""')
    for line, row in enumerate(db.execute(f'SELECT * FROM "{quoted}"'), 1):
        # An id column of its own may stand first.
        yield line, list(row[-columns:]) if len(row) >= columns else list(row) + [None] * (columns - len(row))


def _rows(table: Iterator[tuple[int, list[object]]], skipped: list[Skipped]) -> Iterator[Row]:
    for line, (user, cpu, memory, ram, date) in table:
        name = text.clean(str(user or ""))[:200]
        moment = moment_of(str(date or ""))
        values = [number_of(cpu), number_of(memory, "m"), number_of(ram, "k")]
        if not name:
            skipped.append(Skipped("dataBase", line, "the user is empty"))
        elif moment is None:
            skipped.append(Skipped("dataBase", line, f"the date is not understood: {str(date)[:40]!r}"))
        elif all(value is None for value in values):
            skipped.append(Skipped("dataBase", line, f"no number among {cpu!r:.30}, {memory!r:.30}, {ram!r:.30}"))
        else:
            yield Row(
                line,
                name,
                moment[0],
                moment[1],
                None if values[0] is None else values[0] / 100,
                None if values[1] is None else values[1] * 1_000_000,
                None if values[2] is None else values[2] * 1024,
            )


def _alerts(table: Iterator[tuple[int, list[object]]], skipped: list[Skipped]) -> Iterator[Alert]:
    seen: dict[str, Alert] = {}
    for line, (date, reference, title, status) in table:
        found = re.search(r"CERT(?:FR|A)-\d{4}-(?:ALE|AVI)-\d{3,4}", str(reference or ""))
        if not found:
            skipped.append(Skipped("cert_alert", line, f"the reference is not CERT-FR's: {str(reference)[:40]!r}"))
            continue
        moment = moment_of(str(date or ""))
        words = str(status or "").casefold().translate(_PLAIN)
        is_open = False if "clotur" in words or "clos" in words else True if "en cours" in words else None
        # The last row of a reference is its newest state; the original stored it again at each run.
        seen[found[0]] = Alert(found[0], text.clean(str(title or ""))[:500], moment[0] if moment else None, is_open)
    yield from seen.values()


def _levels(table: Iterator[tuple[int, list[object]]], skipped: list[Skipped]) -> dict[str, float]:
    """The last row of Seuil: the original changed it in place."""
    levels: dict[str, float] = {}
    for line, row in table:
        for name, value in zip(("cpu", "memory", "ram", "temps_limite"), row, strict=True):
            number = number_of(value)
            if number is None:
                skipped.append(Skipped("Seuil", line, f"{name} is not a number: {str(value)[:40]!r}"))
            else:
                levels[name] = number
    return levels


def number_of(value: object, column: str = "") -> float | None:
    """A number, also one written as text ("1 234,5", "512 KB", "12%"); None when there is none or it is negative.

    `column` is the unit that the column is in, k or m: another one in the text is converted to it.
    """
    if isinstance(value, (int, float)):
        number = float(value)
    else:
        found = re.fullmatch(
            r"([0-9]{1,15}(?:[.,][0-9]{1,9})?)(?:%|([kmg]?)(?:i?[bo])?)", "".join(str(value or "").split()).lower()
        )
        if not found:
            return None
        number = float(found[1].replace(",", "."))
        if column and found[2]:
            number *= 1024.0 ** ("kmg".index(found[2]) - "kmg".index(column))
    return number if 0 <= number < 1e15 else None


def moment_of(value: str) -> tuple[int, bool] | None:
    """(UTC seconds, whether a time was given) of a Paris date in either form; None when it is not understood."""
    words = " ".join(unicodedata.normalize("NFC", value).casefold().translate(_PLAIN).replace("1er", "1").split())
    found = re.fullmatch(
        r"(?:(?:le|lundi|mardi|mercredi|jeudi|vendredi|samedi|dimanche) )*"
        r"(?:(?P<y>\d{4})-(?P<m>\d{1,2})-(?P<d>\d{1,2})|(?P<d2>\d{1,2})[ /](?P<m2>[a-z]+|\d{1,2})[ /](?P<y2>\d{4}))"
        r"(?:[ t,]+(?:a )?(?P<H>\d{1,2})[:h](?P<M>\d{2})(?::(?P<S>\d{2})(?:\.\d+)?)?)?",
        words,
    )
    if not found:
        return None
    month = found["m"] or found["m2"]
    if not month.isdigit():
        names = [name.translate(_PLAIN) for name in _MONTHS]
        if month not in names:
            return None
        month = str(names.index(month) + 1)
    try:
        moment = PARIS.localize(
            datetime.datetime(
                int(found["y"] or found["y2"]),
                int(month),
                int(found["d"] or found["d2"]),
                int(found["H"] or 0),
                int(found["M"] or 0),
                int(found["S"] or 0),
            )
        )
        return int(moment.timestamp()), found["H"] is not None
    except (ValueError, OverflowError):
        return None


def _iso(at: int) -> str:
    return datetime.datetime.fromtimestamp(at, PARIS).strftime("%Y-%m-%d %H:%M")


def store_alerts(db: sqlite3.Connection, alerts: list[Alert], now: int) -> int:
    """Alerts that the archive does not know yet, as part of the past: never mailed. Returns how many were new."""
    from archive.certfr import rows, store

    new = 0
    for alert in alerts:
        if rows.row(db, alert.reference) is not None:
            continue
        kind = "alerte" if "-ALE-" in alert.reference else "avis"
        store.insert(
            db,
            alert.reference,
            kind,
            now,
            url=f"https://www.cert.ssi.gouv.fr/{kind}/{alert.reference}/",
            title=alert.title,
            status={True: "open", False: "closed", None: "unknown"}[alert.open],
            backlog=True,
        )
        db.execute("UPDATE advisory SET first_at=? WHERE reference=?", (alert.date, alert.reference))
        new += 1
    return new
