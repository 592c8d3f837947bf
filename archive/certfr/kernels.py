"""The lines that name a distribution: in practice, its kernel.

Debian's carry versions of its own packages, one for each kernel of a suite, so they decide. Ubuntu's, Red Hat's
and SUSE's name releases only: a machine under one of them, with a kernel, is to check; any other is not affected.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from archive.certfr import lines as grammar
from archive.certfr import releases, versions
from archive.certfr.inventory import Inventory, Kernel
from archive.certfr.lines import Line
from archive.certfr.origin import BACKPORTS
from archive.certfr.publication import AffectedSystem
from archive.certfr.verdict import AFFECTED, NOT_AFFECTED, TO_CHECK, Reason, Verdict, reason

DEBIAN_LINE = re.compile(
    r"^debian\s?(?:gnu|lts|stable|oldstable|avec|versions?|\(|\d|bu|bo|st|tr|fo|je|$)|^debian \w+ versions",
    re.I,
)
CODENAME = re.compile(r"\b(" + "|".join((*releases.DEBIAN, "jessie", "wheezy", "forky", "sid")) + r")\b", re.I)
UBUNTU_LINE = re.compile(r"^(?:canonical )?ubuntu\s*(?P<release>\d\d\.\d\d)?", re.I)
REDHAT_LINE = re.compile(r"^red ?hat (?:enterprise linux|codeready|virtualization)", re.I)
REDHAT_RELEASE = re.compile(
    r"(?<![\w.])(?P<release>\d+(?:\.\d+)?)\s+(?P<machine>x86_64|aarch64|ppc64le|ppc64|s390x|i386)\s*$"
)
REDHAT_OTHER = re.compile(r"\bReal Time\b|\bVirtualization Host\b", re.I)  # kernels of their own
SUSE_LINE = re.compile(r"^(?:suse|opensuse)\b|\bmodule\s+(?:for [\w ]+)?1\d[- ]sp\d", re.I)
SUSE_RELEASE = re.compile(r"\b(?P<major>1[0-9]|[5-6]\.\d)(?:[- ]?SP(?P<pack>\d)|\.(?P<minor>\d))?", re.I)
SUFFIX = re.compile(r"[~+]deb(?P<release>\d+)u\d", re.ASCII)
KERNEL_BRANCH = re.compile(r"(?P<branch>[3-9]\.\d{1,2})\.\d", re.ASCII)
SYSTEMS = {"debian": "Debian", "ubuntu": "Ubuntu", "redhat": "Red Hat", "suse": "SUSE"}
ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64"}


class Bounded(NamedTuple):
    """A Debian line: the suite it is for, and the package version that corrects it."""

    line: Line
    suite: str
    version: str
    branch: str


def family(system: AffectedSystem, text: str) -> str:
    """Which distribution a line names ("debian", "ubuntu", "redhat", "suse"), or ""."""
    vendor = system.vendor.lower()
    if vendor in ("debian", "") and DEBIAN_LINE.match(text):
        return "debian"
    if vendor in ("ubuntu", "canonical", "") and UBUNTU_LINE.match(text):
        return "ubuntu"
    if vendor in ("red hat", "redhat", "") and REDHAT_LINE.match(text):
        return "redhat"
    if vendor in ("suse", "opensuse", "") and SUSE_LINE.search(text):
        return "suse"
    return ""


def rule(kind: str, lines: Sequence[Line], inventory: Inventory) -> Verdict:
    """The verdict of all the lines of one distribution."""
    ours = {
        "debian": inventory.system == "debian",
        "ubuntu": inventory.system == "ubuntu",
        "redhat": inventory.system in ("rhel", *releases.REBUILDS),
        "suse": inventory.system.startswith(("sles", "sled", "opensuse", "suse", "sl-micro")),
    }[kind]
    if not ours:
        return other_release(SYSTEMS[kind], inventory, lines)
    if kind == "debian":
        return debian(lines, inventory)
    return named(kind, lines, inventory)


# --- Debian -----------------------------------------------------------------------------------------


def debian(lines: Sequence[Line], inventory: Inventory) -> Verdict:
    bounds = [bounded for line in lines for bounded in read_debian(line)]
    ours = [bounded for bounded in bounds if bounded.suite in (inventory.codename, "")]
    unread = [line for line in lines if line.kind != grammar.BOUNDS and of_suite(line, inventory.codename)]
    kernels = inventory.kernels
    if not kernels:
        return Verdict(NOT_AFFECTED, "linux-image", "", reason("kernel_absent"), running_words(inventory))
    if not ours and not unread:
        other = backported(kernels, bounds) or unnamed(lines, inventory)
        if other:
            return other
        suites = sorted({f"Debian {bounded.suite}" for bounded in bounds if bounded.suite})
        return other_release(", ".join(suites) or "Debian", inventory, lines)
    return weigh(kernels, ours, unread)


def weigh(kernels: Sequence[Kernel], bounds: Sequence[Bounded], unread: Sequence[Line]) -> Verdict:
    """The running kernel decides; when it is not known, the newest, which is the one that starts."""
    now = next((kernel for kernel in kernels if kernel.running), kernels[0])
    current = against(now, bounds)
    if current is None:
        if unread:
            return of_kernel(TO_CHECK, now, reason("no_bound"), unread[0].text)
        branches = ", ".join(sorted({bounded.branch for bounded in bounds}))
        return of_kernel(NOT_AFFECTED, now, reason("kernel_other_branch", bound=branches), bounds[0].line.text)
    behind, bounded = current
    words = bounded.line.text
    if not behind:
        return of_kernel(
            NOT_AFFECTED, now, reason("kernel_fixed", bound=bounded.version), words, f">= {bounded.version}"
        )
    # A restart takes the newest kernel: only one that is newer than the running one makes it the remedy.
    newer = (against(kernel, bounds) for kernel in kernels[: kernels.index(now)])
    ready = any(other is not None and not other[0] for other in newer)
    key = "kernel_reboot" if now.running and ready else "kernel_behind"
    return of_kernel(AFFECTED, now, reason(key, bound=bounded.version), words, f"< {bounded.version}")


def against(kernel: Kernel, bounds: Sequence[Bounded]) -> tuple[bool, Bounded] | None:
    """Whether the kernel is behind a bound of its own branch; None when no line speaks of that branch."""
    for bounded in bounds:
        if versions.in_branch(kernel.package.version, bounded.branch):
            return versions.compare_dpkg(kernel.package.version, bounded.version) < 0, bounded
    return None


def backported(kernels: Sequence[Kernel], bounds: Sequence[Bounded]) -> Verdict | None:
    """A kernel of another suite (~bpo12+1) is neither that suite's nor this one's: to check when it is behind."""
    for kernel in kernels[:1]:
        found = against(kernel, bounds)
        if found and found[0] and kernel.package.origin == BACKPORTS:
            return of_kernel(TO_CHECK, kernel, reason("kernel_uncertain", bound=found[1].version), found[1].line.text)
    return None


def unnamed(lines: Sequence[Line], inventory: Inventory) -> Verdict | None:
    """A line of this suite whose version is no kernel's: it stands for a package that it does not name. One that is
    installed, of the same upstream version and older, may be the one."""
    versions_named = [upper.version for line in lines if of_suite(line, inventory.codename) for upper in line.uppers]
    for version in versions_named:
        if KERNEL_BRANCH.match(version):
            continue
        upstream = versions.upstream_dpkg(version)
        for package in inventory.packages:
            if package.upstream == upstream and package.compare(version) < 0:
                why = reason("unnamed_package", bound=version)
                return Verdict(TO_CHECK, package.name, package.version, why, (f"CERT-FR: {lines[0].text}",))
        return Verdict(NOT_AFFECTED, "", "", reason("unnamed_absent", bound=version), (f"CERT-FR: {lines[0].text}",))
    return None


def read_debian(line: Line) -> list[Bounded]:
    """The suite and version of each bound. A code name that does not go with the version is a slip: the version,
    which says the kernel's branch and sometimes the release (~deb11u1), is what was copied from Debian."""
    found = []
    written = CODENAME.search(line.text)
    for upper in line.uppers:
        number = KERNEL_BRANCH.match(upper.version)
        if not number:
            continue  # not a kernel's version: another package of the suite
        branch = number["branch"]
        suite = written[0].lower() if written else ""
        suffix = SUFFIX.search(upper.version)
        home = release_name(suffix["release"]) if suffix else releases.kernel_home(branch)
        if home and (not suite or not plausible(suite, branch)):
            suite = home
        found.append(Bounded(line, suite, upper.version, branch))
    return found


def plausible(suite: str, branch: str) -> bool:
    """Whether a suite has had kernels of the branch: its own, or the next release's brought to its LTS."""
    names = list(releases.DEBIAN)
    if suite not in names:
        return True
    following = names[names.index(suite) : names.index(suite) + 2]
    return any(branch in releases.DEBIAN[name][2] for name in following)


def release_name(number: str) -> str:
    return next((name for name, (version, _, _) in releases.DEBIAN.items() if version == number), "")


def of_suite(line: Line, codename: str) -> bool:
    written = CODENAME.search(line.text)
    return not written or written[0].lower() == codename


# --- Ubuntu, Red Hat, SUSE: releases by name --------------------------------------------------------


def named(kind: str, lines: Sequence[Line], inventory: Inventory) -> Verdict:
    matching = [line for line in lines if names_release(kind, line, inventory)]
    if not matching:
        return other_release(SYSTEMS[kind], inventory, lines)
    kernels = inventory.kernels
    now = next((kernel for kernel in kernels if kernel.running), kernels[0] if kernels else None)
    if now is None and not inventory.running:
        return Verdict(NOT_AFFECTED, "linux-image" if kind == "ubuntu" else "kernel", "", reason("kernel_absent"))
    rebuilt = kind == "redhat" and inventory.system != "rhel"
    why = (
        reason("release_rebuild", named=matching[0].text, system=inventory.title)
        if rebuilt
        else reason("release_named", named=matching[0].text)
    )
    if now is None:
        return Verdict(TO_CHECK, "(kernel: uname)", inventory.running, why, (f"CERT-FR: {matching[0].text}",))
    return of_kernel(TO_CHECK, now, why, matching[0].text)


def names_release(kind: str, line: Line, inventory: Inventory) -> bool:
    if kind == "ubuntu":
        found = UBUNTU_LINE.match(line.text)
        return found is not None and found["release"] in (None, inventory.version_id)
    if kind == "redhat":
        return names_redhat(line, inventory)
    return names_suse(line, inventory)


def names_redhat(line: Line, inventory: Inventory) -> bool:
    """ "... 8 x86_64" is the current 8: older minor releases are behind it; "... 9.2 x86_64" is 9.2 alone."""
    if REDHAT_OTHER.search(line.text) and "kernel-rt-core" not in inventory.by_name:
        return False
    found = REDHAT_RELEASE.search(line.text)
    if not found:
        return True
    machines = {ARCHITECTURES.get(package.architecture, package.architecture) for package in inventory.packages}
    if found["machine"] not in machines:
        return False
    release = found["release"]
    return release == inventory.version_id or release == inventory.version_id.partition(".")[0]


def names_suse(line: Line, inventory: Inventory) -> bool:
    leap = inventory.system == "opensuse-leap"
    text = line.text.lower()
    if ("leap" in text and "micro" not in text) != leap or ("micro" in text) != ("micro" in inventory.system):
        return False
    found = SUSE_RELEASE.search(line.text)
    if not found:
        return True
    minor = found["pack"] or found["minor"]
    release = f"{found['major']}.{minor}" if minor else found["major"]
    return release in (inventory.version_id, inventory.version_id.removesuffix(".0"))


# --- words ------------------------------------------------------------------------------------------


def other_release(names: str, inventory: Inventory, lines: Sequence[Line]) -> Verdict:
    why = reason("release_other", named=names, system=inventory.title)
    return Verdict(NOT_AFFECTED, "", "", why, (f"CERT-FR: {lines[0].text}",) if lines else ())


def running_words(inventory: Inventory) -> tuple[str, ...]:
    return (f"uname -r: {inventory.running}",) if inventory.running else ()


def of_kernel(kind: str, kernel: Kernel, why: Reason, text: str, comparison: str = "") -> Verdict:
    package = kernel.package
    evidence = [f"CERT-FR: {text}"]
    if comparison:
        evidence.append(f"{package.version} {comparison}")
    if kernel.running:
        evidence.append(f"uname -r: {kernel.release}")
    return Verdict(kind, package.name, package.version, why, tuple(evidence))
