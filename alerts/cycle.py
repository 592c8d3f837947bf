"""The minute's step: what waits in the spool is archived and judged, and what is due now is named. One process.

    python3 -I -S alerts/cycle.py

1. Take the writer's lock; load every waiting text (archive/load.py). Busy: leave quietly, the texts wait.
2. Judge the new cycles, oldest first, each at its own time (alerts/minute.py): incidents and the mail owed, one
   transaction a cycle. A cycle that was archived but not judged, because something killed this step, is judged now.
3. `data/latest.json`: the newest cycle as one JSON object; `data/run/judged`: how far the judging went.
4. `data/run/calm`, where all is well: the next cycles may wait (alerts/calm.py).
5. `data/run/due`: the steps that run_all.sh starts next, one a line: send, upkeep, certfr, evidence INCIDENT...

It prints nothing when all is well; else one line on standard error and status 1. A full disk: the reserve is freed, and
the whole is tried once more. `latest.json`: {"host", "at", "boot", "uptime", "samples", "failed": [probe...],
"metrics": {metric: [{"labels": {...}, "value": number}...]}, "facts": {metric: [{label: text}...]}}.
"""

import errno
import gc
import os
import sys

if __name__ == "__main__":
    gc.disable()  # what is imported stays: looking for garbage in it is a tenth of this step's time
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # -I leaves it out

import json
import sqlite3

from alerts import calm
from alerts.minute import Minutes
from alerts.telling import Context
from archive import (
    clock,
    database,
    dues,
    events,
    incidents,
    load,
    outbox,
    pseudonyms,
    read,
    recipients,
    reserve,
    rights,
    settings,
)
from archive.certfr import schedule
from archive.load import Loaded

HOST = 1
LOOKED_FOR = 14 * 86_400  # seconds: as long as the journal holds the texts
AHEAD = 60  # seconds: the archive's newest cycle lies this far in the future only when the clock was set back


def run(config: settings.Settings, now: int) -> None:
    """One minute's step. Raises database.DatabaseError, sqlite3.Error or OSError."""
    folder = os.path.join(config.data, "run")
    os.makedirs(folder, mode=rights.of_folder(folder), exist_ok=True)
    _write(os.path.join(folder, "due"), "")  # what was due a minute ago was started a minute ago
    database.end_calm(config.data)
    with database.writer(config.data) as db:
        newest = read.last_cycle(db, HOST)
        last_runs = {probe.name: probe.at for probe in read.probes(db, HOST)}
        judged = _judged(folder)
        if pseudonyms.kept(db) != config.users:
            _settle(db, config, now)
        _look_for_loss(db, judged, now)
        loaded = load.load(config.data, db, now, HOST)
        went_back = newest is not None and newest.at > now + AHEAD
        cycles = loaded if went_back else _unjudged(db, judged, loaded, now + AHEAD)
        if not went_back and newest is not None:
            known = newest.at if judged is None else min(newest.at, judged)
            cycles = [cycle for cycle in cycles if cycle.at > known]  # later than the rest: archived, not judged
        evidence: list[int] = []
        if cycles:
            context = Context(db, HOST, recipients.in_force(db, config), config.url, config.timezone, now)
            minutes = Minutes(context, last_runs)
            for cycle in cycles:
                minutes.judge(cycle, went_back)
            evidence = minutes.evidence
        words = due(db, now)
        is_newest = cycles and not (newest and newest.at > cycles[-1].at)
        if is_newest and not went_back:
            left_behind = calm.text(minutes, cycles[-1], lambda at: pressing(db, at), now)
            if left_behind:
                _write(calm.path(config.data), left_behind)
    if cycles:
        _write(os.path.join(config.data, "latest.json"), latest_json(cycles[-1]))
        _write(os.path.join(folder, "judged"), f"{max(cycles[-1].at, judged or 0)}\n")
    if evidence:
        words.append(" ".join(["evidence", *(str(ident) for ident in dict.fromkeys(evidence))]))
    _write(os.path.join(folder, "due"), "".join(f"{word}\n" for word in words))


def _look_for_loss(db: sqlite3.Connection, judged: int | None, now: int) -> None:
    """Say once that a cycle which was judged is not in the database any more: its -wal was removed, or an older copy was put
    in its place. The texts are in the journal."""
    if judged is None or judged < now - LOOKED_FOR or read.has_cycle(db, HOST, judged):
        return
    words = "cycles that were archived are missing (the -wal removed, or an older copy?); type: ./vigie rebuild"
    if events.add(db, HOST, judged, "loss", "", words):
        print(f"vigie: {database.NAME}: {words}", file=sys.stderr)


def _settle(db: sqlite3.Connection, config: settings.Settings, now: int) -> None:
    """VIGIE_USERS was changed since the last minute."""
    from archive import privacy

    privacy.settle(db, config.data, config.users, now)


def due(db: sqlite3.Connection, now: int) -> list[str]:
    """The steps that should be started now."""
    found = []
    if outbox.due(db, now):
        found.append("send")
    if dues.upkeep(db, now):
        found.append("upkeep")
    if dues.fleet(db):
        found.append("fleet")
    if schedule.due(db, now):
        found.append("certfr")
    return found


def pressing(db: sqlite3.Connection, now: int) -> bool:
    """Whether a step is due that must not wait for the next archiving; the hourly ones may, and end the calm when they write."""
    return outbox.due(db, now) or dues.fleet(db)


def latest_json(cycle: Loaded) -> str:
    """The cycle as one JSON object (the module's docstring says its shape)."""
    metrics: dict[str, list[str]] = {}
    for (metric, labels), value in cycle.values.items():  # the labels are JSON already
        metrics.setdefault(metric, []).append(f'{{"labels":{labels},"value":{value!r}}}')
    facts: dict[str, list[str]] = {}
    for metric, labels in cycle.facts:
        facts.setdefault(metric, []).append(labels)
    head = json.dumps(
        {
            "host": cycle.host, "at": cycle.at, "boot": cycle.boot, "uptime": cycle.uptime, "samples": cycle.samples,
            "failed": cycle.failed,
        },
        ensure_ascii=False,
    )  # fmt: skip
    return f'{head[:-1]}, "metrics": {_joined(metrics)}, "facts": {_joined(facts)}}}'


def _joined(parts: dict[str, list[str]]) -> str:
    """{name: [JSON...]} as JSON. A metric's name needs no escaping: archive/text.py takes letters, digits, _ and :."""
    return "{" + ",".join(f'"{name}":[{",".join(values)}]' for name, values in parts.items()) + "}"


def _unjudged(db: sqlite3.Connection, judged: int | None, loaded: list[Loaded], until: int) -> list[Loaded]:
    """The cycles to judge, oldest first: those just loaded, and those that a killed step left behind.

    `until`: what a clock that ran ahead left in the future was judged then, and is not found again every minute.
    """
    found = {cycle.at: cycle for cycle in loaded}
    if judged is not None:
        for at, boot, uptime in incidents.cycles_after(db, HOST, judged):
            if at not in found and at <= until:
                values = incidents.cycle_values(db, HOST, at)
                found[at] = Loaded(HOST, at, boot, uptime, values, [], len(values), [])
    return [found[at] for at in sorted(found)]


def _judged(folder: str) -> int | None:
    """How far the last run judged; None where that is not known."""
    try:
        with open(os.path.join(folder, "judged"), encoding="ascii") as file:
            text = file.read(32).strip()
    except (OSError, UnicodeDecodeError):
        return None
    return int(text) if text.isascii() and text.isdigit() else None


def _write(path: str, text: str) -> None:
    """The whole file or the old one: written aside, then renamed."""
    aside = f"{path}.new"
    fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, rights.of_file(path))
    with open(fd, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(text)
    os.rename(aside, path)


def _is_full(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if isinstance(error, sqlite3.Error) and "disk is full" in str(error):
            return True
        error = error.__cause__
    return False


def step() -> str:
    """The whole step, by the settings and the clock. What went wrong, in one line; '' when all is well, or when another writes."""
    data = ""
    try:
        config, now = settings.load(), clock.now()
        data = config.data
        try:
            run(config, now)
        except (database.DatabaseError, sqlite3.Error, OSError) as error:
            if not _is_full(error) or not reserve.free(data):
                raise
            run(config, now)
    except database.Busy:
        return ""
    except (settings.SettingsError, database.DatabaseError) as error:
        return str(error)
    except (sqlite3.Error, OSError) as error:
        return f"{data}: the disk is full: make room; the texts wait in the spool" if _is_full(error) else str(error)
    return ""


def main() -> int:
    wrong = step()
    if wrong:
        print(f"vigie: {wrong}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    gc.freeze()
    gc.enable()
    done = main()
    sys.stderr.flush()
    os._exit(done)  # everything is closed: taking the interpreter apart costs more than judging a cycle
