"""What is known of each CVE id of a publication in one installed package.

Three sources, in the order of trust: the data of the distribution (Debian's tracker, the notices of an rpm repository),
the entries of the package's own changelog, and those of newer versions, which fix what the installed one still has. Silence in any of them says nothing.
"""

from datetime import timedelta
from typing import NamedTuple

from archive.certfr import tracker
from archive.certfr.changelog import History
from archive.certfr.changelogs import Changelogs
from archive.certfr.inventory import DPKG, Inventory, Package
from archive.certfr.notices import Notices
from archive.certfr.origin import DISTRIBUTION, THIRD_PARTY
from archive.certfr.publication import Publication
from archive.certfr.tracker import Tracker
from archive.certfr.verdict import Reason, reason

# A fix may be built a little before CERT-FR publishes: under embargo, or from upstream's own notice.
MARGIN = timedelta(days=30)


class Machine(NamedTuple):
    """All that is known of the machine."""

    inventory: Inventory
    changelogs: Changelogs
    tracker: Tracker | None
    notices: Notices | None = None


class Known(NamedTuple):
    """What distribution data says of the ids of a publication in one package.

    `fixed` and `open` map an id to the words that say so; `behind` is the reason of the first open one.
    `later_only`: what is open is known from newer changelog entries alone. `answered`: a version made for this
    publication is installed, and neither it, nor the tracker, nor any newer version leaves an id open.
    """

    fixed: dict[str, str]
    open: dict[str, str]
    behind: Reason | None
    later_only: bool
    answered: bool


def learn(publication: Publication, package: Package, history: History | None, machine: Machine) -> Known:
    """Gather what is known of each id; the tracker's word is checked against the package's own changelog."""
    fixed: dict[str, str] = {}
    unfixed: dict[str, str] = {}
    behind: Reason | None = None
    later_only = True
    answered, hanging = False, False
    for cve in publication.cves:
        words, why = ask_notices(cve, package, machine.notices)
        if not words:
            words, why = ask_tracker(cve, package, history, machine)
        if why is not None:
            behind = behind if behind and not later_only else why
            later_only = False
            unfixed[cve] = words
            continue
        if words:
            fixed[cve] = words
            continue
        hanging = hanging or undetermined(cve, package, machine)
        if history is None or package.origin == THIRD_PARTY:
            continue
        if own := history.fixed(cve):
            fixed[cve] = f"changelog {package.source_name} ({own.version}): {own.words}"
            made, published = own.at, publication.first_at
            answered = answered or bool(made and published and made + MARGIN >= published)
        elif later := history.fixed_later(cve):
            unfixed[cve] = f"changelog {package.source_name} ({later.version}): {later.words}"
            behind = behind or reason("later", cve=cve, version=later.version)
    return Known(fixed, unfixed, behind, later_only and bool(unfixed), answered and not hanging)


def undetermined(cve: str, package: Package, machine: Machine) -> bool:
    """Whether the tracker itself says that it does not know."""
    data = machine.tracker
    return bool(data and data.rule(package.source_name, cve, package.source_release).place == tracker.UNDETERMINED)


def ask_notices(cve: str, package: Package, notices: Notices | None) -> tuple[str, Reason | None]:
    """As `ask_tracker`, of the notices that dnf keeps."""
    ruling = notices.rule(package, cve) if notices else None
    if ruling is None or ruling.place == tracker.UNKNOWN:
        return "", None
    words = f"dnf updateinfo: {package.name} {cve} {ruling.place} {ruling.fixed_version}"
    return words, (
        reason("notice_behind", cve=cve, version=ruling.fixed_version) if ruling.place == tracker.VULNERABLE else None
    )


def ask_tracker(cve: str, package: Package, history: History | None, machine: Machine) -> tuple[str, Reason | None]:
    """(words, None) when fixed or unimportant, (words, reason) when open, ("", None) when nothing is known."""
    data = machine.tracker
    ours = package.kind == DPKG and package.origin == DISTRIBUTION and machine.inventory.system == "debian"
    if data is None or not ours or not package.source:
        return "", None
    ruling = data.rule(package.source_name, cve, package.source_release)
    words = f"tracker {data.suite}: {package.source_name} {cve} {ruling.place} {ruling.fixed_version} {ruling.note}"
    words = " ".join(words.split())
    if ruling.place == tracker.VULNERABLE:
        if ruling.fixed_version:
            return words, reason("tracker_behind", cve=cve, version=ruling.fixed_version)
        return words, reason("tracker_open", cve=cve)
    if ruling.place == tracker.FIXED and history and history.lacks(ruling.fixed_version) and not history.fixed(cve):
        # Sorts above the fixed version, yet was not made from it.
        return words, reason("tracker_behind", cve=cve, version=ruling.fixed_version)
    return (words if ruling.place in (tracker.FIXED, tracker.UNIMPORTANT) else ""), None
