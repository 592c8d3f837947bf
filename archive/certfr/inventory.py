"""What is installed on a machine: read from a folder that was saved, or asked of the machine itself.

A folder holds `packages.tsv`, `os-release` and perhaps `uname` (the running kernel's release). Columns,
without header, tab-separated:

    dpkg  package, version, architecture, source package, source version, status   (the source ones may be empty)
    rpm   name, [epoch:]version-release, architecture, source rpm (may be empty)

Out of scope, and said so where verdicts are shown: what was put in /opt by hand, containers, pip and npm.
"""

import re
import subprocess
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from archive.certfr import versions
from archive.certfr.origin import DISTRIBUTION, THIRD_PARTY, origin_dpkg, origin_rpm

DPKG, RPM = "dpkg", "rpm"
MAX_BYTES = 64 * 1024 * 1024  # of one list; 10,000 packages take about 1 MB
SECONDS = 60  # for one command
ABSENT = frozenset({"config-files", "not-installed", "half-installed"})
SIGNED = re.compile(r"linux-signed(?P<branch>-\d[\d.]*)?-[a-z0-9]+", re.ASCII)
IMAGE = re.compile(r"linux-image-(?:unsigned-)?(?P<release>\d[\w.+~-]*)", re.ASCII)
RPM_KERNELS = ("kernel-core", "kernel-default", "kernel", "kernel-uek-core", "kernel-rt-core", "kernel-azure")
BIN_NMU = re.compile(r"\+b\d+$", re.ASCII)
DPKG_FORMAT = (
    r"${Package}\t${Version}\t${Architecture}\t${source:Package}\t${source:Version}\t${Status}\t${Maintainer}\n"
)
RPM_FORMAT = r"%{NAME}\t%{EPOCHNUM}:%{VERSION}-%{RELEASE}\t%{ARCH}\t%{SOURCERPM}\t%{VENDOR}\n"


class InventoryError(ValueError):
    """The inventory cannot be read; the message names the file or command, and what to do."""


class Package(NamedTuple):
    """One installed package. `source` is "" where the list did not tell."""

    name: str
    version: str
    architecture: str
    source: str
    source_version: str
    kind: str  # DPKG or RPM
    origin: str  # DISTRIBUTION, BACKPORTS or THIRD_PARTY

    @property
    def upstream(self) -> str:
        return versions.upstream_dpkg(self.version) if self.kind == DPKG else versions.upstream_rpm(self.version)

    @property
    def source_name(self) -> str:
        return self.source or self.name

    @property
    def source_release(self) -> str:
        """The version of the source package: the changelog's and the tracker's own."""
        return self.source_version or BIN_NMU.sub("", self.version)

    def compare(self, version: str) -> int:
        """-1, 0 or 1 against another version of the same package, by its own packager's rules."""
        if self.kind == DPKG:
            return versions.compare_dpkg(self.source_release, version)
        return versions.compare_rpm(self.version, version)


class Kernel(NamedTuple):
    package: Package
    release: str  # what uname -r says when it runs
    running: bool


class Inventory:
    """The packages of one machine, with what its distribution is; immutable once made."""

    def __init__(self, os_release: dict[str, str], packages: Iterable[Package], running: str = "") -> None:
        self.system = os_release.get("ID", "").lower()
        self.like = tuple(os_release.get("ID_LIKE", "").lower().split())
        self.version_id = os_release.get("VERSION_ID", "")
        self.codename = os_release.get("VERSION_CODENAME", "").lower()
        self.title = os_release.get("PRETTY_NAME") or f"{self.system} {self.version_id}".strip()
        self.packages = tuple(packages)
        self.running = running

    @cached_property
    def by_name(self) -> dict[str, list[Package]]:
        return grouped((package.name, package) for package in self.packages)

    @cached_property
    def by_source(self) -> dict[str, list[Package]]:
        return grouped((package.source_name, package) for package in self.packages)

    @cached_property
    def kernels(self) -> tuple[Kernel, ...]:
        """The kernels that can be started, newest first. Headers, perf and metapackages are none."""
        found = [
            Kernel(package, release, running=bool(self.running) and release == self.running)
            for package in self.packages
            if (release := kernel_release(package))
        ]
        if any(kernel.package.name == "kernel-core" for kernel in found):
            found = [kernel for kernel in found if kernel.package.name != "kernel"]
        return tuple(sorted(found, key=newest_first))


def grouped(pairs: Iterable[tuple[str, Package]]) -> dict[str, list[Package]]:
    groups: dict[str, list[Package]] = {}
    for key, package in pairs:
        groups.setdefault(key, []).append(package)
    return groups


class newest_first:  # noqa: N801  a sort key, used as a function
    """Sort key: dpkg's or rpm's own order, newest first."""

    def __init__(self, kernel: Kernel) -> None:
        self.package = kernel.package

    def __lt__(self, other: "newest_first") -> bool:
        one, two = self.package, other.package
        compare = versions.compare_dpkg if one.kind == DPKG else versions.compare_rpm
        return compare(one.version, two.version) > 0


def kernel_release(package: Package) -> str:
    """The release a kernel package starts as ("6.1.0-46-amd64"), or "" for what is no kernel."""
    if package.kind == DPKG:
        found = IMAGE.fullmatch(package.name)
        return found["release"] if found and not package.name.endswith(("-dbg", "-dbgsym")) else ""
    if package.name not in RPM_KERNELS:
        return ""
    bare = package.version.partition(":")[2] or package.version
    return f"{bare}-default" if package.name == "kernel-default" else f"{bare}.{package.architecture}"


def real_source(source: str, source_version: str, version: str) -> tuple[str, str]:
    """Undo Debian's signing: a signed kernel is built from a source of its own, "linux-signed-amd64", at
    "6.1.170+1", which sorts above 6.1.170-3. What it holds is `linux` (or linux-6.1) at the image's version.
    """
    found = SIGNED.fullmatch(source)
    return (f"linux{found['branch'] or ''}", version) if found else (source, source_version)


# --- lists ------------------------------------------------------------------------------------------


def dpkg_package(row: list[str]) -> Package | None:
    """A row of dpkg's list, or None for a package that was removed and left its settings behind."""
    name, version, architecture, source, source_version, status = row[:6]
    if status and status.split()[-1] in ABSENT:
        return None
    maintainer = row[6] if len(row) > 6 else ""
    source, source_version = real_source(source, source_version, version)
    return Package(name, version, architecture, source, source_version, DPKG, origin_dpkg(name, version, maintainer))


def rpm_package(row: list[str], system: str) -> Package | None:
    name, version, architecture, source_rpm = (*row, "")[:4]
    if name == "gpg-pubkey":
        return None  # rpm lists the keys it trusts among the packages
    source = source_rpm.rsplit("-", 2)[0] if source_rpm.endswith(".rpm") else ""
    vendor = row[4] if len(row) > 4 else ""
    return Package(name, version, architecture, source, version, RPM, origin_rpm(name, version, system, vendor))


def read_packages(text: str, system: str, where: str) -> list[Package]:
    """The packages of a list; which of the two shapes it has is told by the number of columns."""
    packages = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        row = [cell.strip() for cell in line.split("\t")]
        if len(row) in (6, 7):
            package = dpkg_package(row)
        elif len(row) in (3, 4, 5):
            package = rpm_package(row, system)
        else:
            raise InventoryError(f"{where}:{number}: {len(row)} columns, expected 6 (dpkg) or 4 (rpm)")
        if package:
            packages.append(package)
    return packages


def read_os_release(text: str) -> dict[str, str]:
    """The keys of os-release, without quotes."""
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line and not line.startswith("#"))
    return {key.strip(): value.strip().strip("\"'") for key, _, value in pairs}


# --- edges ------------------------------------------------------------------------------------------


def read_folder(folder: Path) -> Inventory:
    """An inventory saved in a folder; `InventoryError` when a file is missing, too large or of another shape."""
    os_release = read_os_release(read_file(folder / "os-release"))
    packages = read_packages(
        read_file(folder / "packages.tsv"), os_release.get("ID", "").lower(), str(folder / "packages.tsv")
    )
    uname = folder / "uname"
    running = read_file(uname).strip().splitlines()[:1] if uname.is_file() else []
    return Inventory(os_release, packages, running[0].strip() if running else "")


def read_file(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InventoryError(f"{path}: larger than {MAX_BYTES} bytes")
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise InventoryError(f"{path}: {error.strerror}; an inventory is packages.tsv and os-release") from None


def read_machine(root: Path = Path("/")) -> Inventory:
    """This machine: dpkg's or rpm's own list, os-release, and the running kernel.

    Both lists are read when both exist (alien, a container host); `InventoryError` when neither answers.
    """
    os_release = read_os_release(read_file(root / "etc/os-release"))
    system = os_release.get("ID", "").lower()
    packages: list[Package] = []
    failures = []
    for argv in (["dpkg-query", "-W", "-f", DPKG_FORMAT], ["rpm", "-qa", "--qf", RPM_FORMAT]):
        try:
            packages += read_packages(ask(argv), system, argv[0])
        except InventoryError as error:
            failures.append(str(error))
    if not packages:
        raise InventoryError("; ".join(failures) or "no package found")
    return Inventory(os_release, packages, ask(["uname", "-r"]).strip())


def ask(argv: list[str]) -> str:
    """What a command prints, in the C locale; `InventoryError` when it is absent, fails or takes too long."""
    try:
        done = subprocess.run(
            argv,
            capture_output=True,
            timeout=SECONDS,
            check=True,
            env={"LC_ALL": "C", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        )
    except FileNotFoundError:
        raise InventoryError(f"{argv[0]}: not installed") from None
    except subprocess.TimeoutExpired:
        raise InventoryError(f"{argv[0]}: no answer within {SECONDS} s") from None
    except subprocess.CalledProcessError as error:
        raise InventoryError(f"{argv[0]}: failed with status {error.returncode}") from None
    return done.stdout[:MAX_BYTES].decode("utf-8", "replace")


__all__ = ["DISTRIBUTION", "DPKG", "RPM", "THIRD_PARTY", "Inventory", "InventoryError", "Kernel", "Package"]
