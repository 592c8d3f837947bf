"""What was running when a line crossed its threshold, kept with the incident.

`python -m alerts.evidence --incident 12 13`, started detached by the cycle when an incident begins or opens:

1. at most once a line in 10 minutes: what was looked at just now is not looked at again;
2. two readings of /proc a second apart: who takes the processor, the memory, the disk; totals per user; pressure;
3. for a disk, the folders that grew most since yesterday's baseline; without one, the largest files that changed
   within a day; ten seconds at most;
4. who is logged in and from where; the last package changes, log-ins and boots;
5. one transaction; then the person whose doing it is may be written to, where that is switched on (alerts/person.py). While all is well this module never runs.

Command names only. VIGIE_EVIDENCE_ARGUMENTS=1 keeps arguments too: they may hold passwords.
"""

import json
import re
import sqlite3
import sys
from typing import Any, NamedTuple

from alerts import baseline, growth, running
from alerts.growth import Growth
from alerts.running import Process, Total
from archive import clock, database, events, pseudonyms, read, rights, timeline
from archive import evidence as rows
from archive.settings import Settings, SettingsError, load

LOCK = "evidence.lock"
EVERY = 600  # seconds: at most once a line
DISK_SECONDS = 10.0
_HOME = re.compile(r"^(/home/)([^/]+)")  # whose home a folder is in
BACK = 86_400  # how far back events and changed files are looked at
# What a machine's own bookkeeping changes all the time says nothing about an incident.
TOLD_EVENTS = ("boot", "login", "account", "package", "backup", "purge", "restore")


class Login(NamedTuple):
    user: str
    tty: str
    origin: str
    since: int  # UTC seconds


class Pressure(NamedTuple):
    resource: str  # cpu, memory, io
    kind: str  # some, full
    share: float  # of the last 10 s in which tasks waited, 0 to 1


class Happening(NamedTuple):
    at: int
    kind: str
    subject: str
    detail: str


class Evidence(NamedTuple):
    """Everything that was seen at one moment. Lists are the most demanding first."""

    at: int = 0
    cpu: tuple[Process, ...] = ()
    memory: tuple[Process, ...] = ()
    disk: tuple[Process, ...] = ()
    users: tuple[Total, ...] = ()
    processes: int = 0
    unread: int = 0  # processes whose disk traffic may not be known
    logins: tuple[Login, ...] = ()
    pressure: tuple[Pressure, ...] = ()
    grown: tuple[Growth, ...] = ()
    grown_kind: str = ""  # folders: since the baseline at grown_since; files: changed since it; '' not looked for
    grown_since: int = 0
    grown_whole: bool = True  # False: the time was over before everything was seen
    unreadable: int = 0  # folders that may not be read
    events: tuple[Happening, ...] = ()


def to_json(found: Evidence) -> str:
    """As the database keeps it: an object of lists of objects."""

    def plain(value: object) -> object:
        if isinstance(value, tuple) and hasattr(value, "_asdict"):
            return {name: plain(field) for name, field in value._asdict().items()}
        return [plain(part) for part in value] if isinstance(value, tuple) else value

    return json.dumps(plain(found), ensure_ascii=False, separators=(",", ":"))


def from_json(text: str) -> Evidence:
    """What was kept; fields that are missing or not understood are empty: an old or damaged row must not break a page."""
    try:
        body = json.loads(text)
    except ValueError:
        return Evidence()
    if not isinstance(body, dict):
        return Evidence()
    kinds: dict[str, Any] = {
        "cpu": Process, "memory": Process, "disk": Process, "users": Total, "logins": Login, "pressure": Pressure,
        "grown": Growth, "events": Happening,
    }  # fmt: skip
    known: dict[str, Any] = {}
    for name, value in body.items():
        if name in kinds and isinstance(value, list):
            found = [_row(kinds[name], part) for part in value]
            known[name] = tuple(row for row in found if row is not None)
        elif name in Evidence._fields and name not in kinds and isinstance(value, (int, str, bool)):
            known[name] = value
    return Evidence(**known)


def _row(kind: Any, part: object) -> Any:
    if not isinstance(part, dict):
        return None
    try:
        return kind(**{name: part[name] for name in kind._fields})
    except (KeyError, TypeError):
        return None


def take(settings: Settings, incidents: list[int], now: int) -> list[int]:
    """Look, and keep what was seen with each incident whose line was not looked at within 10 minutes. Returns those."""
    with database.reader(settings.data) as db:
        lines = [line for line in rows.lines(db, incidents) if _wanted(rows.last_at(db, line), now)]
        if not lines:
            return []
        host = lines[0].host
        logged_in = read.facts(db, host, "login_info")
    seen = running.look(settings.root, arguments=settings.evidence_arguments)
    common = Evidence(
        at=now,
        cpu=seen.cpu,
        memory=seen.memory,
        disk=seen.disk,
        users=seen.users,
        processes=seen.processes,
        unread=seen.unread,
        logins=tuple(_login(fact) for fact in logged_in),
        pressure=tuple(pressures(settings.root)),
    )
    disks: dict[str, Evidence] = {}
    for line in lines:
        mount = mount_of(line)
        if mount and mount not in disks:
            disks[mount] = with_growth(settings.data, common, mount, now)
    with database.writer(settings.data) as db:
        timeline.update(db, host, settings.root, settings.timezone, now)
        happened = happenings(db, host, now)
        with database.transaction(db):
            for line in lines:
                whole = disks.get(mount_of(line), common)._replace(events=happened)
                moment = "pending" if line.state == "pending" else "opened"
                rows.add(db, line.incident, now, moment, to_json(nameless(whole, settings.users, settings.data)))
    return [line.incident for line in lines]


def mount_of(line: rows.Line) -> str:
    """The mount point of an incident about disk space; '' for any other."""
    if not line.metric.startswith(("disk_used", "disk_available")):
        return ""
    mount = json.loads(line.labels).get("mount", "")
    return str(mount) if str(mount).startswith("/") else ""


def with_growth(data: str, seen: Evidence, mount: str, now: int, seconds: float = DISK_SECONDS) -> Evidence:
    """The same evidence with what grew on this mount."""
    before = baseline.recall(data, mount, now)
    looked = growth.walk_aside(mount, seconds, now - BACK, before.sizes if before else None)
    found = growth.grown(before, looked) if before else []
    kind, since = ("folders", before.at) if before and found else ("files", now - BACK)
    if kind == "files":
        found = [Growth(file.path, file.bytes, file.at) for file in looked.changed]
    return seen._replace(
        grown=tuple(found),
        grown_kind=kind,
        grown_since=since,
        grown_whole=looked.complete,
        unreadable=looked.unreadable,
    )


def pressures(root: str) -> list[Pressure]:
    """/proc/pressure: the share of the last ten seconds in which tasks waited."""
    found = []
    for resource in ("cpu", "memory", "io"):
        try:
            with open(f"{root}/proc/pressure/{resource}", encoding="ascii") as file:
                lines = file.read(4096).split("\n")
        except (OSError, ValueError):
            continue
        for line in lines:
            kind, _, rest = line.partition(" ")
            share = rest.partition("avg10=")[2].partition(" ")[0]
            if kind in ("some", "full") and share.replace(".", "", 1).isdigit():
                found.append(Pressure(resource, kind, float(share) / 100))
    return found


def happenings(db: sqlite3.Connection, host: int, now: int, most: int = 12) -> tuple[Happening, ...]:
    """The last things that happened within a day, newest first."""
    found = [event for event in events.between(db, host, now - BACK, now, 2000) if event.kind in TOLD_EVENTS]
    return tuple(Happening(*event) for event in reversed(found[-most:]))


def nameless(found: Evidence, users: str, data: str) -> Evidence:
    """Users' names as VIGIE_USERS wants them: as they are, as pseudonyms, or not at all."""
    if users == "names":
        return found
    hide = pseudonyms.rule(users, data).of

    def name(user: str) -> str:
        return hide(user) or ""

    def processes(those: tuple[Process, ...]) -> tuple[Process, ...]:
        return tuple(one._replace(user=name(one.user), arguments="") for one in those)

    off = users == "off"
    return found._replace(
        cpu=processes(found.cpu),
        memory=processes(found.memory),
        disk=processes(found.disk),
        users=() if off else tuple(one._replace(user=name(one.user)) for one in found.users),
        logins=() if off else tuple(one._replace(user=name(one.user), origin="") for one in found.logins),
        grown=tuple(
            one._replace(path=_HOME.sub(lambda path: path[1] + (name(path[2]) or "…"), one.path)) for one in found.grown
        ),
        events=tuple(one for one in found.events if one.kind not in ("login", "account")),
    )


def _wanted(last_at: int | None, now: int) -> bool:
    # A time ahead of now was kept before the clock was set back: it holds nothing up.
    return last_at is None or not 0 <= now - last_at < EVERY


def _login(fact: read.Fact) -> Login:
    since = fact.label("since")
    return Login(
        fact.label("user"), fact.label("tty"), fact.label("from"), int(since) if since.isdigit() else fact.first_at
    )


def main(argv: list[str]) -> int:
    numbers = [int(word) for word in argv if word.isascii() and word.isdigit()]
    if not numbers or any(not word.isdigit() and word != "--incident" for word in argv):
        print("usage: python -m alerts.evidence --incident NUMBER...", file=sys.stderr)
        return 2
    try:
        settings = load()
        rights.take(settings.data)
        with database.locked(settings.data, 20.0, LOCK):
            take(settings, numbers, clock.now())
            from alerts import person  # it reads this module

            person.owe(settings, numbers, clock.now())
    except database.Busy:
        return 0
    except (SettingsError, database.DatabaseError, OSError) as error:
        print(f"vigie: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
