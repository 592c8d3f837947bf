"""Versions: dpkg's and rpm's own order, the upstream part of a package's version, and branches.

Nothing here compares text or tuples of numbers: dpkg's order is python-debian's, rpm's is rpm-vercmp's. An
upstream version is compared in dpkg's order after `comparable` has put marks of early releases ("rc1",
"beta2") behind a tilde, which is how a packager writes them.
"""

import re
from collections.abc import Callable
from functools import lru_cache

import rpm_vercmp
from debian.debian_support import NativeVersion

VERCMP: Callable[[str, str], int] = rpm_vercmp.vercmp  # the module carries no types

VALID = re.compile(r"(?:\d+:)?[A-Za-z0-9.+~:-]+", re.ASCII)
EARLY = re.compile(r"(?<=\d)[-._~]?(alpha|beta|preview|pre|rc|dev|milestone|(?:a|b|m)(?=\d))[-._]?(?=\d|\b)", re.ASCII)
REALLY = re.compile(r".*[+~.]really[.]?(?=\d)", re.ASCII)
# What a packager adds behind the upstream version: repacked sources, snapshots, builds, editions.
ADDED = re.compile(
    r"(?:[+~.-](?:dfsg|ds|repack|git|svn|hg|bzr|build|debian|deb|ubuntu|nmu|maria|mysql|really|snap|cvs|nogfdl|ga)"
    r"(?![a-z])[\w.+~-]*|esr(?:$|[+~-].*))",
    re.ASCII,
)
SECURITY = re.compile(r"\+security[-~.]?(?=\d)", re.ASCII)
SNAP = re.compile(r"(?:\d+:)?\d+snap\d", re.ASCII)
ZEROS = re.compile(r"(?:\.0)+(?=~|$)", re.ASCII)


class VersionError(ValueError):
    """Not a version that dpkg or rpm would take."""


@lru_cache(maxsize=4096)
def compare_dpkg(first: str, second: str) -> int:
    """-1, 0 or 1, as `dpkg --compare-versions`; `VersionError` for text that is no version."""
    for version in (first, second):
        if not VALID.fullmatch(version):
            raise VersionError(f"not a Debian version: {version[:60]!r}")
    try:
        one, two = NativeVersion(first), NativeVersion(second)
    except ValueError as error:
        raise VersionError(str(error)) from None
    return (one > two) - (one < two)


@lru_cache(maxsize=4096)
def compare_rpm(first: str, second: str) -> int:
    """-1, 0 or 1 for two `[epoch:]version[-release]`, as rpm; a side without release ignores it."""
    for one, two in zip(split_rpm(first), split_rpm(second), strict=True):
        if not one or not two:
            continue
        found = VERCMP(one, two)
        if found:
            return found
    return 0


def split_rpm(evr: str) -> tuple[str, str, str]:
    """Epoch ("0" when absent), version and release ("" when absent)."""
    epoch, colon, rest = evr.rpartition(":")
    version, _, release = rest.partition("-")
    return (epoch if colon else "0") or "0", version, release


def upstream_dpkg(version: str) -> str:
    """The upstream version in a Debian version: "1:9.2p1-2+deb12u6" is 9.2p1, "17.3.5-ce.0" is 17.3.5."""
    plain = version.partition(":")[2] if re.match(r"\d+:", version) else version
    if "+security" not in plain:
        plain = plain.rpartition("-")[0] or plain
    return stripped(plain)


def upstream_rpm(evr: str) -> str:
    """The upstream version in an rpm's: "1:1.1.1k-12.el8_9" is 1.1.1k."""
    return stripped(split_rpm(evr)[1])


def stripped(upstream: str) -> str:
    """An upstream version without what the packager added to it."""
    return ADDED.sub("", REALLY.sub("", upstream)) or upstream


@lru_cache(maxsize=4096)
def comparable(upstream: str) -> str:
    """The form in which two upstream versions compare in dpkg's order."""
    plain = SECURITY.sub("+security.", upstream.strip().lower().removeprefix("v"))
    plain = EARLY.sub(lambda found: "~" + found[1], plain)
    plain = plain.replace("-", ".").replace("_", ".").replace(":", ".").rstrip(".")
    return ZEROS.sub("", plain) or plain


def compare_upstream(first: str, second: str) -> int:
    """-1, 0 or 1 for two upstream versions ("1.9.5p2", "5.0.43rc1"); 8.2 and 8.2.0 are equal."""
    return compare_dpkg(comparable(first), comparable(second))


def in_branch(upstream: str, prefix: str) -> bool:
    """Whether a version is of a branch: 4.23.8 and 4.23 are of "4.23", 4.230 is not; 1.1.1w is of "1.1.1".

    A branch written with an x right behind a digit is every version that begins so: 2.4.60 is of "2.4.6x", as 2.4.6 is.
    """
    version = upstream.strip().lower().removeprefix("v")
    prefix = prefix.strip().lower()
    if prefix.endswith("x"):
        return version.startswith(prefix[:-1])
    return version.startswith(prefix) and not version[len(prefix) : len(prefix) + 1].isdigit()


def series(version: str) -> str:
    """What a version shares with those of its own series: 3.0 for 3.0.14, 115 for 115.13, 1.1.1 for 1.1.1t."""
    plain = version.strip().lower().removeprefix("v")
    if found := re.fullmatch(r"(\d+(?:\.\d+)+)[a-z]+", plain):
        return found[1]
    return plain.rpartition(".")[0]


def is_snap(version: str) -> bool:
    """Ubuntu's empty packages that only bring a snap: "1:1snap1-0ubuntu5" says nothing of what runs."""
    return bool(SNAP.match(version))
