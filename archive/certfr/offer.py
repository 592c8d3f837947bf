"""Whether the configured repositories offer an update of a package already, and the command that takes it.

Asked of apt, dnf or zypper, from what they know already: no network. A kernel is another matter than its package: each release
of Debian's and Ubuntu's is a package of its own, and what is upgraded is the metapackage that requires the newest.
"""

import os
import re
import shutil

from archive.certfr.inventory import RPM, InventoryError, Package, ask
from archive.certfr.versions import VersionError, compare_dpkg

APT, DNF = ["apt-cache"], ["dnf", "-C", "-q"]
ZYPPER = ["zypper", "--non-interactive", "--no-refresh", "--quiet"]
# When these change, other updates may be offered.
LISTS = (
    "/var/lib/apt/lists",
    "/var/cache/apt/pkgcache.bin",
    "/var/cache/dnf",
    "/var/cache/libdnf5",
    "/var/cache/zypp/solv",
)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_-]*")
_KERNEL = re.compile(
    r"linux-image-(?:unsigned-)?\d[\w.+~]*?(?:-\d[\w.+~]*)?(?:\+deb\d+)?-(?P<flavour>[a-z][\w-]*)", re.ASCII
)
_POLICY = re.compile(r"^  (?P<what>Installed|Candidate): (?P<version>\S+)$", re.M)


def offered(package: Package) -> str:
    """The newer version that apt, dnf or zypper would install now; '' without one."""
    if not _NAME.fullmatch(package.name):
        return ""
    try:
        if package.kind == RPM:
            return _zypper(package) if _suse() else _dnf(package)
        return _apt(carrier(package.name))
    except (InventoryError, VersionError):
        return ""


def carrier(name: str) -> str:
    """The package whose upgrade brings the fix: "linux-image-amd64" for any one kernel of that flavour; else itself."""
    found = _KERNEL.fullmatch(name)
    return f"linux-image-{found['flavour']}" if found else name


def command(name: str) -> str:
    """What to type on this machine to upgrade one package. The name comes from the package manager itself."""
    if os.path.exists("/var/lib/dpkg/status"):
        return upgrade("apt", name)
    return upgrade("zypper" if _suse() else "dnf", name)


def upgrade(manager: str, name: str) -> str:
    """What to type where apt, dnf or zypper is; '' for a name that is no package's, which no shell should be given."""
    if not _NAME.fullmatch(name):
        return ""
    if manager == "apt":
        return f"sudo apt update && sudo apt install --only-upgrade {carrier(name)}"
    return f"sudo zypper update {name}" if manager == "zypper" else f"sudo dnf upgrade {name}"


def lists_changed_at(root: str = "") -> int:
    """The newest time of what apt, dnf and zypper know of their repositories; 0 where there is none. UTC seconds."""
    return max((int(os.stat(root + path).st_mtime) for path in LISTS if os.path.exists(root + path)), default=0)


def _apt(name: str) -> str:
    said = {found["what"]: found["version"] for found in _POLICY.finditer(ask([*APT, "policy", name]))}
    here, there = said.get("Installed", "(none)"), said.get("Candidate", "(none)")
    return there if "(none)" not in (here, there) and compare_dpkg(here, there) < 0 else ""


def _dnf(package: Package) -> str:
    for line in ask([*DNF, "list", "--updates", package.name]).splitlines():
        words = line.split()
        if len(words) >= 3 and words[0].rpartition(".")[0] == package.name and package.compare(words[1]) < 0:
            return words[1]
    return ""


def _zypper(package: Package) -> str:
    """A table: status, repository, name, current version, available version, architecture."""
    for line in ask([*ZYPPER, "list-updates"]).splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) == 6 and cells[2] == package.name and package.compare(cells[4]) < 0:
            return cells[4]
    return ""


def _suse() -> bool:
    return not shutil.which("dnf") and bool(shutil.which("zypper"))
