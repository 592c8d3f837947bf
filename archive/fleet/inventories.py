"""The packages of all machines at once, read the other way round: for each build of a package, the machines that have it.

Ten thousand machines have ten million packages, and a few thousand different ones: a release's machines share nearly all.
So a publication asks for the few names that it looks at (archive/certfr/scope.py), and gets each build once, with its
machines; nothing of the size of the fleet times its packages is ever read. Memory: a number for each machine and build asked
for, of SLICE machines at a time.
"""

import sqlite3
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from archive.certfr import versions
from archive.certfr.inventory import DPKG, RPM, Package
from archive.fleet.systems import System

RPM_SYSTEMS = ("rhel", "fedora", "centos", "suse", "opensuse", "sles", "amzn", "mageia", "ol", "rocky", "almalinux")
RPM_ARCHITECTURES = frozenset({"x86_64", "noarch", "aarch64", "i586", "i686", "ppc64le", "armv7hl"})
DPKG_ARCHITECTURES = frozenset({"amd64", "all", "arm64", "armhf", "armel", "i386", "ppc64el", "mips64el"})
SLICE = 2_000  # machines whose packages are held at once
NAMES = 400  # of packages in one question


class Machine(NamedTuple):
    host: int
    system: System


class Build(NamedTuple):
    """One build of a package, and which machines have it."""

    name: str
    version: str
    architecture: str
    source: str
    source_version: str
    origin: str
    hosts: Sequence[int]  # an array: 8 bytes each

    def package(self, system: System) -> Package:
        """As `Decider` knows it, on a machine of this system."""
        return Package(*self[:5], kind(system, self.architecture), self.origin)


def kind(system: System, architecture: str) -> str:
    """Whose package it is, dpkg's or rpm's: the rows do not tell, their architectures nearly always do."""
    if architecture in RPM_ARCHITECTURES:
        return RPM
    if architecture in DPKG_ARCHITECTURES:
        return DPKG
    ours = {system.system, *system.family.split()}
    return RPM if any(name.startswith(RPM_SYSTEMS) for name in ours) else DPKG


def machines(db: sqlite3.Connection, changed_since: int = 0) -> list[Machine]:
    """Those in service whose system and packages are known, by number; `changed_since`: only those that changed since."""
    rows = db.execute(
        "SELECT s.host, s.system, s.family, s.version_id, s.codename, s.title, s.running FROM member_system s"
        " JOIN member m ON m.host = s.host WHERE m.revoked_at IS NULL AND m.retired_at IS NULL AND s.changed_at >= ?"
        " AND EXISTS (SELECT 1 FROM package p WHERE p.host = s.host AND p.gone_at IS NULL) ORDER BY s.host",
        (changed_since,),
    )
    return [Machine(row[0], System(*row[1:])) for row in rows]


def unknown(db: sqlite3.Connection) -> int:
    """How many machines in service have not said what they are, or what is installed: nothing is decided for them here."""
    return int(
        db.execute(
            "SELECT count(*) FROM member m WHERE m.joined_at IS NOT NULL AND m.revoked_at IS NULL AND m.retired_at IS NULL"
            " AND NOT EXISTS (SELECT 1 FROM member_system s JOIN package p ON p.host = s.host AND p.gone_at IS NULL"
            " WHERE s.host = m.host)"
        ).fetchone()[0]
    )


def names(db: sqlite3.Connection) -> list[str]:
    """Every name of a package that is installed anywhere. Goes from one to the next in the index: as many steps as names."""
    rows = db.execute(
        "WITH RECURSIVE known (name) AS (SELECT min(name) FROM package WHERE gone_at IS NULL UNION ALL"
        " SELECT (SELECT min(p.name) FROM package p WHERE p.gone_at IS NULL AND p.name > known.name) FROM known"
        " WHERE known.name IS NOT NULL) SELECT name FROM known WHERE name IS NOT NULL"
    )
    return [row[0] for row in rows]


def of_sources(db: sqlite3.Connection, sources: Iterable[str]) -> set[str]:
    """Names of packages that are built from these sources."""
    found: set[str] = set()
    for some in _parts(list(sources), NAMES):
        marks = ", ".join("?" * len(some))
        rows = db.execute(f"SELECT DISTINCT name FROM package WHERE gone_at IS NULL AND source IN ({marks})", some)
        found.update(row[0] for row in rows)
    return found


def of_upstreams(db: sqlite3.Connection, upstreams: Iterable[str]) -> set[str]:
    """Names of packages that have one of these upstream versions. Looks through every package of the fleet: asked only for a
    publication that names a version of Debian's and no package."""
    wanted = set(upstreams)
    rows = db.execute("SELECT DISTINCT name, version FROM package WHERE gone_at IS NULL")
    return {name for name, version in rows if upstream_of(version) & wanted}


def upstream_of(version: str) -> set[str]:
    """By either packager's rules."""
    return {versions.upstream_dpkg(version), versions.upstream_rpm(version)}


def builds(db: sqlite3.Connection, asked: Sequence[str], first: int, last: int) -> dict[str, list[Build]]:
    """{name: its builds, by version and architecture} on the machines `first` to `last`."""
    found: dict[str, list[Build]] = {}
    for some in _parts(list(asked), NAMES):
        marks = ", ".join("?" * len(some))
        rows = db.execute(
            "SELECT name, version, arch, source, source_version, origin, group_concat(host) FROM package"
            f" WHERE gone_at IS NULL AND host >= ? AND host <= ? AND name IN ({marks})"
            " GROUP BY name, version, arch, source, source_version, origin ORDER BY name, version, arch",
            (first, last, *some),
        )
        for row in rows:
            found.setdefault(row[0], []).append(Build(*(*row[:6], array("q", map(int, row[6].split(","))))))
    return found


def processors(db: sqlite3.Connection, first: int, last: int) -> dict[int, frozenset[str]]:
    """{machine: architectures of its packages}; looks through all of them."""
    rows = db.execute(
        "SELECT DISTINCT host, arch FROM package WHERE gone_at IS NULL AND host >= ? AND host <= ?", (first, last)
    )
    found: dict[int, set[str]] = {}
    for host, arch in rows:
        found.setdefault(host, set()).add(arch)
    return {host: frozenset(some) for host, some in found.items()}


def of_host(db: sqlite3.Connection, host: int, system: System) -> list[Package]:
    """Everything that is installed on one machine, in the same order."""
    rows = db.execute(
        "SELECT name, version, arch, source, source_version, origin FROM package WHERE host=? AND gone_at IS NULL"
        " ORDER BY name, version, arch",
        (host,),
    )
    return [Package(*(*row[:5], kind(system, row[2]), row[5])) for row in rows]


def _parts(found: list[str], size: int) -> Iterator[list[str]]:
    for first in range(0, len(found), size):
        yield found[first : first + size]
