"""The timeline: what happened on the machine, kept as `event` rows. Boots are kept by the loader; here stand

- package changes, from dpkg's log and dnf's, read on from where the last reading ended;
- log-ins, and accounts that came or went, from the facts that probes report.

The logs are hostile text: a line that is not understood is left out, times far from now too.
"""

import json
import os
import re
import sqlite3
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from archive import database, events

DAY = 86_400
FIRST = 7 * DAY  # how far back the first reading goes
MOST_BYTES = 1 << 20  # of one log in one reading
TOGETHER = 120  # seconds: changes closer than this are one event
MARK = "timeline"
_WORDS = {
    "Installed": "install", "Install": "install", "Upgraded": "upgrade", "Upgrade": "upgrade",
    "Removed": "remove", "Erase": "remove", "Erased": "remove", "Downgraded": "downgrade", "Downgrade": "downgrade",
}  # fmt: skip


class Change(NamedTuple):
    """One package that changed."""

    at: int
    action: str  # install, upgrade, downgrade, remove
    package: str
    detail: str  # versions


class Place(NamedTuple):
    """Where a log was read to."""

    inode: int
    offset: int


def update(db: sqlite3.Connection, host: int, root: str, timezone_name: str, now: int) -> int:
    """Keep what happened since the last time. `db` is a writing connection outside a transaction. Returns the events.

    `root` stands in for / under /var/log; `timezone_name` is the machine's: dpkg writes local times.
    """
    added = 0
    places = _places(db, host)
    zone = _zone(timezone_name)
    for path, parse in ((f"{root}/var/log/dpkg.log", dpkg), (f"{root}/var/log/dnf.rpm.log", dnf)):
        name = os.path.basename(path)
        lines, place = read_on(path, places.get(name))
        changes = [change for line in lines if (change := parse(line, zone)) and now - FIRST <= change.at <= now + DAY]
        with database.transaction(db):
            for group in together(changes):
                events.add(db, host, group[0].at, "package", subject(group), detail(group))
                added += 1
            if place:
                places[name] = place
                _keep(db, host, places, now)
    with database.transaction(db):
        added += _facts(db, host, now)
    return added


def dpkg(line: str, zone: ZoneInfo) -> Change | None:
    """`2026-11-20 10:11:12 upgrade libssl3:amd64 3.0.1 3.0.2`, in local time."""
    words = line.split(" ")
    if len(words) < 6 or words[2] not in ("install", "upgrade", "remove", "purge"):
        return None
    at = _time(f"{words[0]} {words[1]}", zone)
    package = words[3].partition(":")[0]
    if at is None or not re.fullmatch(r"[a-z0-9][a-z0-9+.-]{0,100}", package):
        return None
    action = "remove" if words[2] == "purge" else words[2]
    versions = [word[:60] for word in words[4:6] if word not in ("<none>", "")]
    return Change(at, action, package, " -> ".join(dict.fromkeys(versions)))


def dnf(line: str, zone: ZoneInfo) -> Change | None:
    """`2026-11-20T10:11:12+0000 SUBDEBUG Upgrade: openssl-libs-1:3.1.1-4.fc39.x86_64`."""
    found = re.fullmatch(r"(\S+) (?:SUBDEBUG|INFO|DEBUG) ([A-Z][a-z]+): (\S{1,200})", line.rstrip())
    if not found or found[2] not in _WORDS:
        return None
    at = _time(found[1], zone)
    parts = re.fullmatch(r"([A-Za-z0-9][A-Za-z0-9+._-]*?)-((?:\d+:)?[^-]+-[^-]+)", found[3])
    if at is None or not parts:
        return None
    return Change(at, _WORDS[found[2]], parts[1], parts[2].rpartition(".")[0] or parts[2])


def together(changes: Iterable[Change]) -> Iterator[list[Change]]:
    """Changes that follow one another closely: one upgrade is one event, not two hundred."""
    group: list[Change] = []
    for change in changes:
        if group and not 0 <= change.at - group[-1].at <= TOGETHER:
            yield group
            group = []
        group.append(change)
    if group:
        yield group


def subject(group: list[Change]) -> str:
    """`upgrade linux-image-amd64, openssl (+12)`: the kernel first, because that is what people look for."""
    action = max({change.action for change in group}, key=[change.action for change in group].count)
    names = list(dict.fromkeys(change.package for change in group))
    names.sort(key=lambda name: not name.startswith(("linux-image", "kernel", "libc6", "glibc", "systemd")))
    more = f" (+{len(names) - 3})" if len(names) > 3 else ""
    return f"{action} {', '.join(names[:3])}{more}"


def detail(group: list[Change]) -> str:
    """Each change, cut at 2,000 characters."""
    return "; ".join(f"{change.action} {change.package} {change.detail}".rstrip() for change in group)[:2000]


def read_on(path: str, place: Place | None) -> tuple[list[str], Place | None]:
    """The whole lines written since `place`, and the new place. A log that was rotated is read to its end first.

    A log that is missing or may not be read gives nothing. The first reading takes the last megabyte.
    """
    lines: list[str] = []
    found = _stat(path)
    if found is None:
        return [], place
    if place and place.inode != found.st_ino:
        old = _stat(f"{path}.1")
        if old and old.st_ino == place.inode:
            lines += _lines(f"{path}.1", place.offset)[0]
        place = Place(found.st_ino, 0)
    start = place.offset if place and place.offset <= found.st_size else 0
    if not place:
        start = max(0, found.st_size - MOST_BYTES)
    fresh, offset = _lines(path, start)
    return lines + fresh, Place(found.st_ino, offset)


def _stat(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except OSError:
        return None


def _lines(path: str, start: int) -> tuple[list[str], int]:
    try:
        with open(path, "rb") as file:
            file.seek(start)
            raw = file.read(MOST_BYTES)
    except OSError:
        return [], start
    whole = raw[: raw.rfind(b"\n") + 1]
    if not whole and len(raw) == MOST_BYTES:
        return [], start + len(raw)  # a line of a megabyte is none
    return whole.decode("utf-8", "replace").split("\n")[:-1], start + len(whole)


def _facts(db: sqlite3.Connection, host: int, now: int) -> int:
    """Log-ins and accounts. The accounts of the first cycle were there before: no event."""
    added = 0
    since = now - FIRST
    found = db.execute(
        "SELECT m.name, f.labels, f.first_at, f.gone_at,"
        " (SELECT min(g.first_at) FROM fact g WHERE g.host = f.host AND g.metric = f.metric)"
        " FROM fact f JOIN metric m ON m.id = f.metric WHERE f.host=? AND m.name IN ('login_info', 'account_info')"
        " AND (f.first_at >= ? OR f.gone_at >= ?)",
        (host, since, since),
    ).fetchall()
    rows = [(name, {str(k): str(v) for k, v in json.loads(labels).items()}, *times) for name, labels, *times in found]
    # An account whose shell or home is another one ends as a fact and begins as one in the same cycle.
    ended = {(known.get("user", ""), gone_at): known for name, known, _, gone_at, _ in rows if name == "account_info"}
    begun = {(known.get("user", ""), first_at) for name, known, first_at, _, _ in rows if name == "account_info"}
    for name, known, first_at, gone_at, oldest in rows:
        user = known.get("user", "")
        if name == "login_info":
            at = known.get("since", "")
            since_at = int(at) if at.isdigit() and len(at) < 12 and int(at) <= now + DAY else first_at
            origin = known.get("from", "")
            added += _once(db, host, since_at, "login", user, f"{known.get('tty', '')} {origin}".strip())
            continue
        if first_at > oldest and (user, first_at) in ended:
            added += _once(db, host, first_at, "account", user, f"changed: {_difference(ended[user, first_at], known)}")
        elif first_at > oldest:
            added += _once(db, host, first_at, "account", user, "new")
        if gone_at is not None and (user, gone_at) not in begun:
            added += _once(db, host, gone_at, "account", user, "gone")
    return added


def _difference(before: dict[str, str], after: dict[str, str]) -> str:
    """`shell /bin/sh -> /bin/bash`; the labels that differ."""
    names = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    return "; ".join(f"{name} {before.get(name, '')} -> {after.get(name, '')}" for name in names)[:500]


def _once(db: sqlite3.Connection, host: int, at: int, kind: str, subject: str, detail: str) -> int:
    return int(events.add(db, host, at, kind, subject, detail))


def _places(db: sqlite3.Connection, host: int) -> dict[str, Place]:
    row = db.execute("SELECT value FROM setting WHERE name=?", (f"{MARK}.{host}",)).fetchone()
    try:
        return (
            {str(name): Place(int(place[0]), int(place[1])) for name, place in json.loads(row[0]).items()}
            if row
            else {}
        )
    except (ValueError, TypeError, AttributeError, IndexError):
        return {}


def _keep(db: sqlite3.Connection, host: int, places: dict[str, Place], now: int) -> None:
    db.execute(
        "INSERT INTO setting VALUES (?, ?, ?, 'vigie') ON CONFLICT (name)"
        " DO UPDATE SET value=excluded.value, updated_at=excluded.updated_at",
        (f"{MARK}.{host}", json.dumps(places), now),
    )


def _time(text: str, zone: ZoneInfo) -> int | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return int((found if found.tzinfo else found.replace(tzinfo=zone)).timestamp())


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name or "UTC")
    except Exception:  # zoneinfo raises several kinds for a hostile name
        return ZoneInfo("UTC")
