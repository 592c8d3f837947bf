"""Facts of distributions that no package row carries: names, dates of release, kernels of the suites.

They serve one argument: a package whose version bears no mark of an update is the one the release was made
with, so it cannot hold a fix that was written later. Dates are the distributions' own announcements.
"""

import re
from datetime import date, timedelta

# code name: (VERSION_ID, date of release, branches of its kernels)
DEBIAN: dict[str, tuple[str, date, tuple[str, ...]]] = {
    "stretch": ("9", date(2017, 6, 17), ("4.9",)),
    "buster": ("10", date(2019, 7, 6), ("4.19",)),
    "bullseye": ("11", date(2021, 8, 14), ("5.10",)),
    "bookworm": ("12", date(2023, 6, 10), ("6.1",)),
    "trixie": ("13", date(2025, 8, 9), ("6.12",)),
}
UBUNTU: dict[str, date] = {
    "16.04": date(2016, 4, 21),
    "18.04": date(2018, 4, 26),
    "20.04": date(2020, 4, 23),
    "22.04": date(2022, 4, 21),
    "22.10": date(2022, 10, 20),
    "23.04": date(2023, 4, 20),
    "23.10": date(2023, 10, 12),
    "24.04": date(2024, 4, 25),
    "24.10": date(2024, 10, 10),
    "25.04": date(2025, 4, 17),
    "25.10": date(2025, 10, 9),
}
# Red Hat Enterprise Linux: minor release -> general availability.
RHEL: dict[str, date] = {
    "8.0": date(2019, 5, 7),
    "8.1": date(2019, 11, 5),
    "8.2": date(2020, 4, 28),
    "8.3": date(2020, 11, 3),
    "8.4": date(2021, 5, 18),
    "8.5": date(2021, 11, 9),
    "8.6": date(2022, 5, 10),
    "8.7": date(2022, 11, 9),
    "8.8": date(2023, 5, 16),
    "8.9": date(2023, 11, 14),
    "8.10": date(2024, 5, 22),
    "9.0": date(2022, 5, 17),
    "9.1": date(2022, 11, 15),
    "9.2": date(2023, 5, 10),
    "9.3": date(2023, 11, 7),
    "9.4": date(2024, 4, 30),
    "9.5": date(2024, 11, 12),
    "9.6": date(2025, 5, 20),
    "9.7": date(2025, 11, 12),
}
# Minor releases that go on receiving builds of their own after the next one is out (EUS, AUS, E4S).
RHEL_EXTENDED = frozenset({"8.1", "8.2", "8.4", "8.6", "8.8", "8.10", "9.0", "9.2", "9.4", "9.6"})
REBUILDS = frozenset({"rocky", "almalinux", "centos", "ol", "oracle"})
# A rebuild's minor release comes after the original's; its builds may come as late.
REBUILD_LAG = timedelta(days=90)

DEBIAN_UPDATE = re.compile(r"[+~]deb\d+u\d|~bpo", re.ASCII)
UBUNTU_UPDATE = re.compile(r"ubuntu\d*\.\d|[+~.](?:ubuntu)?\d\d\.\d\d|build\d+\.\d|esm|~cloud|ppa", re.ASCII)
EL_TAG = re.compile(r"\.el(?P<major>\d+)(?:_(?P<minor>\d+))?(?:\.\d+)*$", re.ASCII)


def built_by(system: str, version_id: str, codename: str, version: str) -> date | None:
    """The last day on which a distribution's package of this version can have been built, or None.

    `system`, `version_id`, `codename` are ID, VERSION_ID and VERSION_CODENAME of os-release; `version` is
    the whole version of the package, as dpkg or rpm write it.
    """
    if system == "debian" and codename in DEBIAN:
        return None if DEBIAN_UPDATE.search(version) else DEBIAN[codename][1]
    if system == "ubuntu" and version_id in UBUNTU:
        return None if UBUNTU_UPDATE.search(version) else UBUNTU[version_id]
    if system == "rhel" or system in REBUILDS:
        return built_by_el(system, version_id, version)
    return None


def built_by_el(system: str, version_id: str, version: str) -> date | None:
    """Red Hat's mark: .el9 was built for a minor release, .el9_3 as an update of 9.3 while it was current."""
    found = EL_TAG.search(version)
    if not found or found["major"] != version_id.partition(".")[0]:
        return None
    lag = REBUILD_LAG if system in REBUILDS else timedelta()
    last: list[date] = []
    machine = RHEL.get(version_id)
    if found["minor"] is None:
        return machine + lag if machine else None
    minor = f"{found['major']}.{found['minor']}"
    following = RHEL.get(f"{found['major']}.{int(found['minor']) + 1}")
    if following and (system in REBUILDS or minor not in RHEL_EXTENDED):
        last.append(following)
    if machine and minor in RHEL and RHEL[minor] < machine:
        last.append(machine)  # still the older release's build: it was in the tree when this one came out
    return min(last) + lag if last else None


def updated_by(tzdata: str) -> date | None:
    """The last day on which a machine with this time-zone data can have been brought up to date.

    Every distribution hands out each edition of the data within weeks, and every year since 1993 has had one by
    spring: a machine that holds 2020d has not been updated after the middle of 2021.
    """
    found = re.match(r"(?:\d+:)?(20\d\d)[a-z]", tzdata)
    return date(int(found[1]) + 1, 6, 30) if found else None


def kernel_home(branch: str) -> str:
    """The code name of the Debian release whose own kernel is of this branch ("6.1": bookworm), or ""."""
    return next((name for name, (_, _, branches) in DEBIAN.items() if branch in branches), "")
