"""One publication against the inventories of a whole fleet: decided once for all machines that are alike in what it looks at.

1. `scope.of` says which packages a publication looks at; `inventories` reads those, each build once with its machines.
2. Machines with the same system and the same builds among them are one group: the ordinary `Decider` decides one inventory
   of it, made of these packages alone. Its verdict is the group's (a test compares both on whole inventories).
3. What concerns a machine, or is to check there, is kept (`member_verdict`), and when that ended. The machine's own word
   goes before (the view `fleet_verdict`): it has its packages' changelogs, the centre has not.

Reads outside any transaction of writing; writes a publication at a time. All times are UTC seconds.
"""

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from archive import database
from archive.certfr import debian, products, scope, tracker
from archive.certfr.decide import Decider
from archive.certfr.inventory import Inventory, Package
from archive.certfr.publication import Publication, PublicationError, parse
from archive.certfr.scope import Scope
from archive.certfr.tracker import Tracker
from archive.certfr.verdict import NOT_AFFECTED, TO_CHECK, Verdict, reason
from archive.fleet import inventories
from archive.fleet.inventories import Build, Machine
from archive.fleet.systems import System

DAY = 86_400
RECENT = 30 * DAY  # publications that are decided by themselves: revised within, or an alert in force
TOGETHER, AT_ONCE = 40, 400_000  # publications whose packages are read at once, and verdicts held meanwhile
MOST_GROUPS = 20_000  # verdicts that are remembered of one publication
UNREAD = reason("not_understood")
Trackers = Callable[[str], Tracker | None]


class _Every:
    """Any source package: what Debian's data is kept of is chosen already."""

    def __contains__(self, _name: object) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def kept_tracker(data: str) -> Trackers:
    """Debian's data as this centre keeps it (VIGIE_DEBIAN_TRACKER): of its own suite and packages; of others it says nothing."""

    def of_suite(codename: str) -> Tracker | None:
        if not codename or not debian.kept(data):
            return None
        try:
            return tracker.read(debian.kept_path(data), codename, _Every())
        except tracker.TrackerError:
            return None  # said where it is read for the centre itself (concern.py)

    return of_suite


class Asked(NamedTuple):
    """A publication to decide."""

    advisory: int
    revision: int
    publication: Publication


class Report(NamedTuple):
    """What was done: publications, machines each was decided for (at most), inventories that the judge really saw, and
    verdicts that are kept."""

    publications: int = 0
    machines: int = 0
    judged: int = 0
    kept: int = 0


def waiting(db: sqlite3.Connection, now: int, references: Sequence[str] = ()) -> list[Asked]:
    """Publications that were not decided at their present revision; or those asked for, whatever was decided."""
    marks = ", ".join("?" * len(references))
    rows = db.execute(
        "SELECT a.id, a.revision, a.body FROM advisory a LEFT JOIN member_decided d ON d.advisory = a.id"
        " WHERE a.body IS NOT NULL AND "
        + (
            f"a.reference IN ({marks}) ORDER BY a.id"
            if references
            else "(a.status = 'open' OR a.last_at >= ?) AND (d.advisory IS NULL OR d.revision < a.revision) ORDER BY a.id"
        ),
        tuple(references) or (now - RECENT,),
    ).fetchall()
    return list(_parsed(rows))


def again(db: sqlite3.Connection, now: int) -> tuple[list[Asked], int]:
    """Publications that are decided, and since when (0: never) inventories that changed are not: (these, that time). Old ones,
    too, for as long as they concern a machine or are to check there."""
    rows = db.execute(
        "SELECT a.id, a.revision, a.body, d.decided_at FROM advisory a JOIN member_decided d ON d.advisory = a.id"
        " WHERE a.body IS NOT NULL AND d.revision = a.revision AND d.decided_at <= (SELECT max(changed_at) FROM member_system)"
        " AND (a.status = 'open' OR a.last_at >= ? OR EXISTS (SELECT 1 FROM member_verdict v WHERE v.advisory = a.id"
        " AND v.verdict <> 'not_affected')) ORDER BY a.id",
        (now - RECENT,),
    ).fetchall()
    return list(_parsed([row[:3] for row in rows])), min((int(row[3]) for row in rows), default=0)


def clear(db: sqlite3.Connection) -> None:
    """Within the caller's transaction. Machines that have had their say since: nobody asks any more what was decided for them."""
    db.execute(
        "DELETE FROM member_verdict WHERE EXISTS (SELECT 1 FROM member_decided d JOIN member_system s"
        " ON s.host = member_verdict.host JOIN member m ON m.host = member_verdict.host"
        " WHERE d.advisory = member_verdict.advisory AND s.known_at - m.skew >= d.since_at)"
    )


def _parsed(rows: Iterable[Sequence[object]]) -> Iterator[Asked]:
    for ident, revision, body in rows:
        try:
            yield Asked(int(str(ident)), int(str(revision)), parse(json.loads(str(body))))
        except (ValueError, RecursionError, PublicationError):
            continue


def turn(data: str, now: int, trackers: Trackers = lambda _codename: None) -> Report:
    """The hourly round: new and revised publications for all machines, then those decided before for what has changed."""
    with database.writer(data, 60.0) as db, database.transaction(db):
        clear(db)
    with database.reader(data) as db:
        new = waiting(db, now)
    report = decide(data, new, now, trackers)
    with database.reader(data) as db:
        old, since = again(db, now)
    done = {one.advisory for one in new}
    more = decide(data, [one for one in old if one.advisory not in done], now, trackers, changed_since=since)
    return Report(
        report.publications + more.publications, max(report.machines, more.machines), report.judged + more.judged,
        report.kept + more.kept,
    )  # fmt: skip


def decide(
    data: str, asked: Sequence[Asked], now: int, trackers: Trackers = lambda _codename: None, changed_since: int = 0
) -> Report:
    """Decide and keep. `changed_since`: only for machines that changed since; the verdicts of the others stand."""
    report = Report()
    left = list(asked)
    while left:
        with database.reader(data) as db:
            fleet = inventories.machines(db, changed_since)
            some = left[: max(1, min(TOGETHER, AT_ONCE // max(1, len(fleet))))]
            found: dict[int, dict[int, Verdict]] = {one.advisory: {} for one in some}
            judge = Judge(db, some, fleet, trackers)
            for one, host, verdict in judge.verdicts():
                found[one.advisory][host] = verdict
        kept = 0
        for one in some:
            with database.writer(data, 60.0) as db, database.transaction(db):
                kept += keep(db, one, fleet, found.pop(one.advisory), now, whole=not changed_since)
        report = Report(
            report.publications + len(some), max(report.machines, len(fleet)), report.judged + judge.judged, report.kept + kept
        )  # fmt: skip
        left = left[len(some) :]
    return report


class Judge:
    """Some publications against a fleet, a slice of machines at a time. `judged`: how many inventories were decided."""

    def __init__(
        self, db: sqlite3.Connection, asked: Sequence[Asked], fleet: Sequence[Machine], trackers: Trackers
    ) -> None:
        self.db, self.asked, self.fleet, self.trackers = db, asked, fleet, trackers
        self.table = products.load()
        self.judged = 0
        names = inventories.names(db)
        self.scopes = {one.advisory: scope.of(one.publication, self.table) for one in asked}
        self.names = {
            ident: scope.wanted(
                found, names, lambda some: inventories.of_sources(db, some), lambda some: inventories.of_upstreams(db, some)
            )
            for ident, found in self.scopes.items()
        }  # fmt: skip
        self.known: dict[int, dict[object, Verdict]] = {}
        self.data: dict[str, Tracker | None] = {}

    def verdicts(self) -> Iterator[tuple[Asked, int, Verdict]]:
        """(publication, machine, verdict) of whatever is not plainly clear of it."""
        names = sorted(frozenset().union(*self.names.values())) if self.names else []
        processors = any(found.processors for found in self.scopes.values())
        for first in range(0, len(self.fleet), inventories.SLICE):
            some = self.fleet[first : first + inventories.SLICE]
            ends = (some[0].host, some[-1].host)
            builds = inventories.builds(self.db, names, *ends)
            arches = inventories.processors(self.db, *ends) if processors else {}
            for one in self.asked:
                yield from self.of_slice(one, some, builds, arches)

    def of_slice(
        self, one: Asked, some: Sequence[Machine], builds: dict[str, list[Build]], arches: dict[int, frozenset[str]]
    ) -> Iterator[tuple[Asked, int, Verdict]]:
        looked = self.scopes[one.advisory]
        ours = [build for name in sorted(self.names[one.advisory]) for build in builds.get(name, ())]
        here: dict[int, list[Build]] = {}
        for build in ours:
            for host in build.hosts:
                here.setdefault(host, []).append(build)
        known = self.known.setdefault(one.advisory, {})
        if len(known) > MOST_GROUPS:
            known.clear()
        for machine in some:
            found = here.get(machine.host, [])
            system = machine.system if looked.kernels else machine.system._replace(running="")
            processors = arches.get(machine.host, frozenset()) if looked.processors else frozenset()
            # What a build is, not which object: the next slice has others of the same.
            key = (system, processors, tuple([build[:6] for build in found]))
            verdict = known.get(key)
            if verdict is None:
                verdict = known[key] = self.judge(one, looked, system, found, processors)
            if verdict.verdict != NOT_AFFECTED:
                yield one, machine.host, verdict

    def judge(
        self, one: Asked, looked: Scope, system: System, found: Sequence[Build], processors: frozenset[str]
    ) -> Verdict:
        """By the ordinary judge, on an inventory of what it would look at."""
        self.judged += 1
        packages = [build.package(system) for build in found]
        if looked.processors:  # other packages tell that the processor is such a one
            packages += [_mark(arch, system) for arch in sorted(processors - {one.architecture for one in packages})]
        inventory = Inventory(system.os_release, packages, system.running)
        try:
            return Decider(inventory, tracker=self.tracker(system), table=self.table).decide(one.publication)
        except (
            ValueError,
            RecursionError,
        ):  # versions that no package manager gives: this group's own fault, nobody else's
            return Verdict(TO_CHECK, found[0].name if found else "", found[0].version if found else "", UNREAD)

    def tracker(self, system: System) -> Tracker | None:
        if system.codename not in self.data:
            self.data[system.codename] = self.trackers(system.codename) if system.system == "debian" else None
        return self.data[system.codename]


def _mark(architecture: str, system: System) -> Package:
    """Stands for every package of an architecture that a publication does not look at."""
    return Package("", "0", architecture, "", "", inventories.kind(system, architecture), "")


def keep(
    db: sqlite3.Connection, one: Asked, fleet: Sequence[Machine], found: dict[int, Verdict], now: int, *, whole: bool
) -> int:
    """Within the caller's transaction. What no longer concerns a machine that it did is *corrected* since now; what was only
    to check goes. Returns how many verdicts are kept."""
    before = {
        host: (verdict, package, installed)
        for host, verdict, package, installed in db.execute(
            "SELECT host, verdict, package, installed FROM member_verdict WHERE advisory=?", (one.advisory,)
        )
    }
    words: dict[int, tuple[str, str]] = {}
    rows = []
    for host, verdict in found.items():
        if id(verdict) not in words:
            words[id(verdict)] = (
                json.dumps([verdict.reason.key, verdict.reason.arguments], ensure_ascii=False),
                json.dumps(verdict.evidence, ensure_ascii=False),
            )
        rows.append((host, one.advisory, verdict.verdict, verdict.package, verdict.installed, *words[id(verdict)], now))
    db.executemany(
        "INSERT INTO member_verdict (host, advisory, verdict, package, installed, reason, evidence, decided_at, fixed_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL) ON CONFLICT (host, advisory) DO UPDATE SET verdict=excluded.verdict,"
        " package=excluded.package, installed=excluded.installed, reason=excluded.reason, evidence=excluded.evidence,"
        " decided_at=excluded.decided_at, fixed_at=NULL",
        rows,
    )
    over = [machine.host for machine in fleet if machine.host in before and machine.host not in found]
    db.executemany(
        "UPDATE member_verdict SET verdict='not_affected', fixed_at=?, decided_at=? WHERE host=? AND advisory=?",
        [(now, now, host, one.advisory) for host in over if before[host][0] == "affected"],
    )
    db.executemany(
        "DELETE FROM member_verdict WHERE host=? AND advisory=?",
        [(host, one.advisory) for host in over if before[host][0] == "to_check"],
    )
    db.execute(
        "INSERT INTO member_decided VALUES (?, ?, ?, ?, ?) ON CONFLICT (advisory) DO UPDATE SET"
        " since_at=CASE WHEN excluded.revision > member_decided.revision THEN excluded.since_at ELSE member_decided.since_at"
        " END, revision=excluded.revision, decided_at=excluded.decided_at,"
        " machines=CASE WHEN ? = 1 THEN excluded.machines ELSE member_decided.machines END",
        (one.advisory, one.revision, now, now, len(fleet), int(whole)),
    )
    return len(found)
