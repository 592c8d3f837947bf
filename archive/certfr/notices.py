"""What the configured repositories of an rpm distribution say of CVE ids: the notices that dnf keeps.

Asked of `dnf updateinfo`, from what it knows already, without network. An id that an update names is open in the
package that the update is for; one that only notices of what is installed name is fixed there. An id that no notice
names proves nothing. Both dnf 4 and 5 print a line an id and package: the words are looked for, not the columns.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from archive.certfr.inventory import RPM, Inventory, InventoryError, Package, ask
from archive.certfr.tracker import FIXED, UNKNOWN, VULNERABLE, Ruling

LIST = ["dnf", "-C", "-q", "updateinfo", "list", "--with-cve"]
_CVE = re.compile(r"CVE-\d{4}-\d{4,7}", re.ASCII)
_NEVRA = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9._+-]*)-(?P<release>(?:\d+:)?[A-Za-z0-9._~^+]+-[A-Za-z0-9._~^+]+)\.(?:noarch|[a-z]\w+)",
    re.ASCII,
)


class Notice(NamedTuple):
    """One CVE id in one package, and the version-release that corrects it."""

    cve: str
    package: str
    release: str


class Notices:
    """`updates`: of what could be installed now; `installed`: of what is. By package and CVE id."""

    def __init__(self, updates: str = "", installed: str = "") -> None:
        self.updates = by_package(read(updates))
        self.installed = by_package(read(installed))

    def rule(self, package: Package, cve: str) -> Ruling:
        """Open where an update of this very package names the id, fixed where only notices of older builds do."""
        if package.kind != RPM:
            return Ruling(UNKNOWN)
        for release in self.updates.get((package.name, cve), ()):
            if package.compare(release) < 0:
                return Ruling(VULNERABLE, release)
        for release in self.installed.get((package.name, cve), ()):
            if package.compare(release) >= 0:
                return Ruling(FIXED, release)
        return Ruling(UNKNOWN)


def read(text: str) -> Iterator[Notice]:
    """The notices among the lines of `dnf updateinfo list --with-cve`; other lines are passed over."""
    for line in text.splitlines():
        words = line.split()
        cves = [word for word in words if _CVE.fullmatch(word)]
        named = [found for word in words if (found := _NEVRA.fullmatch(word))]
        if len(cves) == 1 and len(named) == 1:
            yield Notice(cves[0], named[0]["name"], named[0]["release"])


def by_package(notices: Iterator[Notice]) -> Mapping[tuple[str, str], list[str]]:
    found: dict[tuple[str, str], list[str]] = {}
    for notice in notices:
        found.setdefault((notice.package, notice.cve), []).append(notice.release)
    return found


def read_machine(inventory: Inventory, run: Callable[[list[str]], str] = ask) -> Notices | None:
    """This machine's; None where nothing is installed by rpm, or dnf is absent, fails or takes too long."""
    if not any(package.kind == RPM for package in inventory.packages):
        return None
    try:
        return Notices(run([*LIST, "--updates"]), run([*LIST, "--installed"]))
    except InventoryError:
        return None
