"""Whether the configured repositories offer an update of a package already, and the command that takes it."""

import os
import re

from archive.certfr.inventory import RPM, InventoryError, Package, ask

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_-]*")


def offered(package: Package) -> str:
    """The newer version that apt or dnf would install now, from what they know already (no network); '' without one."""
    if not _NAME.fullmatch(package.name):
        return ""
    try:
        return _dnf(package) if package.kind == RPM else _apt(package)
    except InventoryError:
        return ""


def command(name: str) -> str:
    """What to type on this machine to upgrade one package. The name comes from the package manager itself."""
    if os.path.exists("/var/lib/dpkg/status"):
        return f"sudo apt update && sudo apt install --only-upgrade {name}"
    return f"sudo dnf upgrade {name}"


def _apt(package: Package) -> str:
    found = re.search(r"^  Candidate: (\S+)$", ask(["apt-cache", "policy", package.name]), re.M)
    if found is None or found[1] == "(none)" or package.compare(found[1]) >= 0:
        return ""
    return found[1]


def _dnf(package: Package) -> str:
    for line in ask(["dnf", "-C", "-q", "list", "--updates", package.name]).splitlines():
        words = line.split()
        if len(words) >= 3 and words[0].rpartition(".")[0] == package.name and package.compare(words[1]) < 0:
            return words[1]
    return ""
