"""What must be true after every fault, whatever it was (I1 to I6), looked at from outside: files, rows, words.

I1 the database is sound; I2 every text is loaded once or still there; I3 every incident is mailed or owed; I4 a step that
did not do its work says so in words and by its status; I5 no secret is in what was said or logged; I6 the next run without
the fault leaves what an unharmed run would have left.
"""

import json
import os
import sqlite3
from collections.abc import Iterable

from archive import backup, rebuild, spool

SECRET = "k4n4rienvogel"  # stands in the settings of every scene, as part of what is never to be shown
# What a repeated run may leave otherwise: how often it was tried, when, and how it is called.
VOLATILE = {
    "notification": ("message_id", "thread", "subject"),
    "delivery": ("tries", "next_at", "done_at", "server", "reply"),
    "change": ("at",),
    "threshold": ("updated_at",),
    "threshold_change": ("at",),
    "setting": ("updated_at",),
}
# A second backup of the same day has another name; a purge in two parts counts twice.
NOT_COMPARED = "kind NOT IN ('backup', 'purge', 'spool')"
SETTINGS_NOT_COMPARED = "name NOT LIKE 'backup%'"


def connection(path: str) -> sqlite3.Connection:
    """The tests' own: not the product's door."""
    return sqlite3.connect(f"file:{path}?mode=ro", uri=True)


def essence(data: str) -> dict[str, list[tuple[object, ...]]]:
    """Every row of the database that a repeated run must leave as an unharmed one does."""
    db = connection(os.path.join(data, "vigie.db"))
    try:
        found = {}
        tables = [
            row[0]
            for row in db.execute(
                "SELECT name FROM sqlite_master WHERE type='table' AND name NOT LIKE 'sqlite%' ORDER BY 1"
            )
        ]
        for table in tables:
            columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
            kept = ", ".join(name for name in columns if name not in (*VOLATILE.get(table, ()), "id")) or "1"
            if table in ("metric", "series", "incident", "transition"):
                kept = ", ".join(name for name in columns)  # their numbers are what other rows name
            where = {"event": f" WHERE {NOT_COMPARED}", "setting": f" WHERE {SETTINGS_NOT_COMPARED}"}.get(table, "")
            found[table] = sorted(db.execute(f"SELECT {kept} FROM {table}{where}").fetchall(), key=repr)
        return found
    finally:
        db.close()


def difference(found: dict[str, list[tuple[object, ...]]], wanted: dict[str, list[tuple[object, ...]]]) -> list[str]:
    """In words: what is missing and what is too much, by table."""
    wrong = []
    for table in sorted(found.keys() | wanted.keys()):
        mine, theirs = found.get(table, []), wanted.get(table, [])
        if mine != theirs:
            missing = [row for row in theirs if row not in mine]
            more = [row for row in mine if row not in theirs]
            wrong.append(
                f"I6 {table}: {len(missing)} rows missing, {len(more)} too many: {str(missing[:1] + more[:1])[:300]}"
            )
    return wrong


def sound(data: str) -> list[str]:
    """I1."""
    try:
        db = connection(os.path.join(data, "vigie.db"))
        try:
            verdict = db.execute("PRAGMA integrity_check").fetchone()[0]
        finally:
            db.close()
    except sqlite3.Error as error:
        return [f"I1 the database cannot be read: {error}"]
    return [] if verdict == "ok" else [f"I1 the database is damaged: {verdict}"]


def texts(data: str) -> tuple[list[int], list[str]]:
    """(the time of every whole text in the spool and the journal, what is not whole)."""
    times: list[int] = []
    wrong: list[str] = []
    for name in spool.waiting(data):
        with open(os.path.join(data, "spool", name), "rb") as file:
            _take(file.read(), f"spool/{name}", times, wrong)
    for where, raw, problem in rebuild.texts(data):
        if problem:
            wrong.append(f"I2 {where}: {problem}")
        else:
            _take(raw, where, times, wrong)
    return times, wrong


def _take(raw: bytes, where: str, times: list[int], wrong: list[str]) -> None:
    try:
        times.append(spool.parse(raw).at)
    except spool.SpoolError as error:
        wrong.append(f"I2 {where} has its name and is not whole: {error}")


def nothing_lost(data: str, wanted: Iterable[int]) -> list[str]:
    """I2, in files: every text that was written is whole in the spool or in the journal. A copy may be left of it where a
    compressed day was not tidied up yet."""
    times, wrong = texts(data)
    lost = sorted(set(wanted) - set(times))
    return wrong + [f"I2 the text of {at} is in neither spool nor journal" for at in lost]


def loaded_once(data: str, wanted: Iterable[int]) -> list[str]:
    """I2, in rows. The table's key forbids two rows of a time; what is counted is that the samples are as many as said."""
    db = connection(os.path.join(data, "vigie.db"))
    try:
        rows = {row[0] for row in db.execute("SELECT at FROM cycle")}
        short = db.execute(
            "SELECT c.at, c.samples, count(s.series) FROM cycle c JOIN sample s ON s.host=c.host AND s.at=c.at"
            " GROUP BY c.at HAVING count(s.series) <> c.samples"
        ).fetchall()
    finally:
        db.close()
    return [f"I2 the cycle of {at} is not in the database" for at in sorted(set(wanted) - rows)] + [
        f"I2 the cycle of {at} says {said} samples and has {count}" for at, said, count in short
    ]


def mailed_or_owed(data: str) -> list[str]:
    """I3: every incident that opened has a mail with a delivery, and each delivery has its state."""
    db = connection(os.path.join(data, "vigie.db"))
    try:
        silent = db.execute(
            "SELECT i.id FROM incident i WHERE i.opened_at IS NOT NULL AND i.cause IS NULL AND NOT EXISTS"
            " (SELECT 1 FROM told o JOIN delivery d ON d.notification = o.notification WHERE o.incident = i.id)"
        ).fetchall()
    finally:
        db.close()
    return [f"I3 incident {ident} opened and nobody is owed a mail" for (ident,) in silent]


def whole_files(data: str) -> list[str]:
    """No half file under a final name: the backups verify, latest.json is JSON."""
    wrong = []
    for path in backup.names(os.path.join(data, "backups")):
        try:
            backup.verify(path)
        except backup.BackupError as error:
            wrong.append(f"I1 {error}")
    latest = os.path.join(data, "latest.json")
    if os.path.exists(latest):
        with open(latest, encoding="utf-8") as file:
            try:
                json.load(file)
            except ValueError as error:
                wrong.append(f"I1 latest.json: {error}")
    return wrong


def no_leftovers(data: str) -> list[str]:
    """After the unharmed run: nothing half-made is left lying about. `probes/` is a view: its next text takes such a file away."""
    wrong = []
    for folder, _, names in os.walk(data):
        if os.path.basename(folder) == "probes":
            continue
        for name in names:
            if name.endswith((".new", ".tmp", ".restore", "-journal")) and name != "raw.new":
                wrong.append(f"I6 {os.path.relpath(os.path.join(folder, name), data)} was left behind")
    return wrong


def no_secret(data: str, said: str) -> list[str]:
    """I5."""
    wrong = ["I5 the secret is in what was said"] if SECRET in said else []
    for folder in ("log", "run"):
        for path, _, names in os.walk(os.path.join(data, folder)):
            for name in names:
                with open(os.path.join(path, name), "rb") as file:
                    if SECRET.encode() in file.read():
                        wrong.append(f"I5 the secret is in {name}")
    return wrong


def worded(status: int, out: str, err: str, in_code: bool) -> list[str]:
    """I4. `in_code`: the fault met the interpreter reading its own program, which no program can word."""
    if status == 0 or in_code:
        return []
    if not (out + err).strip():
        return [f"I4 status {status} without a word"]
    if "Traceback" in err:
        return [f"I4 a traceback: {err.strip().splitlines()[-1][:200]}"]
    return [] if err.count("\n") <= 3 else [f"I4 {err.count(chr(10))} lines: {err[:200]}"]
