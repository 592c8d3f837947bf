"""What concerns this machine, decided again when there is a reason to: new publications, other packages, other updates
in the repositories.

The costly parts (reading the packages, their changelogs) are done outside any transaction, and not at all while nothing
has changed.
"""

import os
import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, NamedTuple

from archive import database
from archive.certfr import debian, inventory, machine, offer
from archive.certfr.verdict import AFFECTED, Verdict
from archive.fleet import systems

if TYPE_CHECKING:
    from archive.certfr import tracker

OpenDb = Callable[[], AbstractContextManager[sqlite3.Connection]]
DAY = 86_400
LOGS = ("/var/log/dpkg.log", "/var/log/dnf.rpm.log")


class Outcome(NamedTuple):
    """What a round of deciding did. `told`: (advisory id, revised) that have just become affected."""

    decided: int
    packages_changed: int
    told: list[tuple[int, bool]]
    error: str  # '' when the packages, and Debian's data where there is some, could be read


def decide(open_db: OpenDb, data: str, now: int, host: int = 1, *, anew: bool = False) -> Outcome:
    """Decide what is undecided. `anew`: all of it (after the tracker's data changed)."""
    outcome = _decide(open_db, data, now, host, anew=anew)
    if not outcome.error:
        with open_db() as db, database.transaction(db):
            systems.decided(db, host, now)
    return outcome


def _decide(open_db: OpenDb, data: str, now: int, host: int, *, anew: bool) -> Outcome:
    changed_at = machine.databases_changed_at()
    with open_db() as db:
        seen = _number(db, f"inventory_seen.{host}")
        read_at = _number(db, f"inventory_at.{host}")
        offers_at = _number(db, f"offers_at.{host}")
        noticed_at = _number(db, f"notices_at.{host}")
    lists_at = offer.lists_changed_at()
    must_read = changed_at != seen or now - read_at > DAY or anew
    with open_db() as db:
        waiting = list(machine.undecided(db, host, 0, now)) if not must_read else []
    if not must_read and not waiting and lists_at == offers_at:
        return Outcome(0, 0, [], "")
    try:
        packages = inventory.read_machine()
    except inventory.InventoryError as error:
        return Outcome(0, 0, [], str(error))
    changed = 0
    if must_read:
        with open_db() as db, database.transaction(db):
            changed = machine.remember(
                db, host, packages, now, as_events=not any(os.access(log, os.R_OK) for log in LOGS)
            )
            systems.remember(db, host, systems.of(packages), now)
            _set(db, f"inventory_at.{host}", now)
            _set(db, f"inventory_seen.{host}", changed_at)
            # An rpm repository's notices decide too, and come with its lists: read anew once a day where these changed.
            noticed = lists_at != noticed_at and any(package.kind == inventory.RPM for package in packages.packages)
            _set(db, f"notices_at.{host}", lists_at)
            waiting = list(machine.undecided(db, host, now if changed or anew or noticed else 0, now))
    if not waiting:
        return Outcome(0, changed, _offers(open_db, host, packages, lists_at), "")
    # Here and not above: most hours have nothing to decide, and what decides takes longest to load.
    from archive.certfr import notices
    from archive.certfr.changelogs import MachineChangelogs
    from archive.certfr.decide import Decider

    issues, unread = _tracker(data, packages)
    decider = Decider(packages, MachineChangelogs(), issues, notices=notices.read_machine(packages))
    decided = []
    for ident, revision, publication in waiting:
        verdict = decider.decide(publication)
        decided.append((ident, revision, verdict, _offered(verdict, packages)))
    with open_db() as db, database.transaction(db):
        told = machine.store(db, host, decided, now)
    if lists_at != offers_at:
        told += _offers(open_db, host, packages, lists_at)
    return Outcome(len(decided), changed, told, unread)


def _offers(open_db: OpenDb, host: int, packages: inventory.Inventory, lists_at: int) -> list[tuple[int, bool]]:
    """Ask again what the repositories offer for what is affected: they may have had nothing when it was decided."""
    with open_db() as db:
        standing = machine.standing(db, host)
    known: dict[tuple[str, str], str] = {}
    for _advisory, name, version, _offer in standing:
        if (name, version) not in known:
            found = [package for package in packages.by_name.get(name, []) if package.version == version]
            known[name, version] = offer.offered(found[0]) if found else ""
    news = [
        (advisory, known[name, version])
        for advisory, name, version, before in standing
        if known[name, version] != before
    ]
    with open_db() as db, database.transaction(db):
        _set(db, f"offers_at.{host}", lists_at)
        return machine.offer_now(db, host, news)


def _offered(verdict: Verdict, packages: inventory.Inventory) -> str:
    """Asked only for what is affected: a process each."""
    if verdict.verdict != AFFECTED:
        return ""
    found = [package for package in packages.by_name.get(verdict.package, []) if package.version == verdict.installed]
    return offer.offered(found[0]) if found else ""


def _tracker(data: str, packages: inventory.Inventory) -> "tuple[tracker.Tracker | None, str]":
    """Debian's data as it is kept, or why it could not be read."""
    from archive.certfr import tracker

    if not debian.kept(data):
        return None, ""
    try:
        return tracker.read(debian.kept_path(data), packages.codename, packages.by_source.keys()), ""
    except tracker.TrackerError as error:
        return None, str(error)


def _number(db: sqlite3.Connection, name: str) -> int:
    row = db.execute("SELECT value FROM setting WHERE name=?", (name,)).fetchone()
    return int(row[0]) if row else 0


def _set(db: sqlite3.Connection, name: str, value: int) -> None:
    db.execute(
        "INSERT INTO setting VALUES (?, ?, ?, 'certfr') ON CONFLICT (name)"
        " DO UPDATE SET value=excluded.value, updated_at=excluded.updated_at",
        (name, str(value), value),
    )
