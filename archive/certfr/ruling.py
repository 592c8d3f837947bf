"""One product of a publication against one installed package.

The order is the order of trust:

1. What is known of each CVE id in this very package: the tracker of the distribution, then the package's own
   changelog, then the entries of newer versions. A known open id makes it affected; all of them fixed clears it.
2. The upstream version in the affected lines. Outside clears it, whoever packaged it.
3. Inside decides for what does not come from the distribution. For a distribution's package it decides nothing
   alone, because fixes are taken back without changing the number, unless no such fix can be in it: the package was
   built before the publication, or the distribution only ever corrects it by newer versions.
4. What is left is to check.
"""

import re
from collections.abc import Sequence
from datetime import date

from archive.certfr import position as place
from archive.certfr import releases, versions
from archive.certfr.changelog import History
from archive.certfr.inventory import DPKG, Inventory, Package
from archive.certfr.known import MARGIN, Known, Machine, learn
from archive.certfr.lines import Line, up_to
from archive.certfr.origin import BACKPORTS, DISTRIBUTION, THIRD_PARTY
from archive.certfr.position import Position
from archive.certfr.products import Product
from archive.certfr.publication import Publication
from archive.certfr.verdict import AFFECTED, NOT_AFFECTED, TO_CHECK, Reason, Verdict, reason

MAX_QUOTES = 4
NEAR = 10  # minor releases
NUMBERS = re.compile(r"(\d+)(?:\.(\d+))?", re.ASCII)


def rule(
    publication: Publication,
    product: Product,
    lines: Sequence[Line],
    package: Package,
    *,
    part: bool,
    machine: Machine,
) -> Verdict:
    """The verdict for one package; `part`: only a part of the product is installed."""
    here = [line for line in lines if not line.elsewhere]
    if lines and not here:
        platforms = ", ".join(sorted({line.elsewhere for line in lines}))
        return verdict(NOT_AFFECTED, package, reason("platform", platform=platforms), quoted(lines[0]))
    if package.kind == DPKG and versions.is_snap(package.version):
        return verdict(TO_CHECK, package, reason("snap"), quoted(here[0] if here else None))
    history = machine.changelogs.history(package)
    known = learn(publication, package, history, machine)
    spot = place.position(package.upstream, [up_to(line) for line in here] if product.last_listed else here)
    by_id = by_cve(publication, package, known, spot)
    if by_id and product.shared:
        return by_id
    found = (
        by_id
        or by_place(publication, product, package, spot, history)
        or by_answer(publication, package, known)
        or inside(publication, product, package, spot, history, known, machine.inventory)
        or undecided(publication, product, package, spot, known)
    )
    if part and found.verdict == AFFECTED:
        return found._replace(verdict=TO_CHECK, reason=reason("part", product=product.name))
    return found


# --- 1. by CVE id -----------------------------------------------------------------------------------


def by_cve(publication: Publication, package: Package, known: Known, spot: Position) -> Verdict | None:
    total = len(publication.cves)
    if known.open and known.behind:
        if spot.why == place.BELOW:
            words = list(known.open.values())[:MAX_QUOTES]
            return verdict(TO_CHECK, package, disagreement(package, spot), quoted(spot.line), *words)
        past = spot.place == place.OUTSIDE and spot.why == place.PAST
        # Two sources that disagree: a newer entry that mentions one old id again does not outweigh the number;
        # most of the ids named anew do (CERT-FR's bound was then wrong).
        if not (past and known.later_only and 2 * len(known.open) <= total):
            return verdict(AFFECTED, package, known.behind, quoted(spot.line), *list(known.open.values())[:MAX_QUOTES])
    if total and len(known.fixed) == total:
        quotes = list(known.fixed.values())[:MAX_QUOTES]
        return verdict(NOT_AFFECTED, package, reason("fixed"), *quotes)
    return None


def by_answer(publication: Publication, package: Package, known: Known) -> Verdict | None:
    """Half of the ids or more are fixed, by a version made for this publication, and nothing newer names the rest:
    the distribution looked at all of them then, and what it left out it found harmless there, or absent."""
    total = len(publication.cves)
    if not known.answered or 2 * len(known.fixed) < total:
        return None
    missing = ", ".join(cve for cve in publication.cves if cve not in known.fixed)
    why = reason("answered", count=len(known.fixed), total=total, missing=missing)
    return verdict(NOT_AFFECTED, package, why, *list(known.fixed.values())[:MAX_QUOTES])


# --- 2. by the number -------------------------------------------------------------------------------


def by_place(
    publication: Publication, product: Product, package: Package, spot: Position, history: History | None
) -> Verdict | None:
    """Outside the affected versions. Older than all that is named is another matter: where a vendor keeps one line
    of versions, or names its maintained branches only, an older one may well share the fault."""
    if spot.place != place.OUTSIDE or (product.related and not product.last_listed):
        return None
    shared = product.linear or product.maintained_only or (spot.several and not product.exhaustive)
    if spot.why == place.OTHER_BRANCH and spot.older and shared:
        return None
    if spot.why == place.BELOW and history and spot.line and package.origin != THIRD_PARTY:
        for upper in spot.line.uppers:
            if later := history.says(upper.version, later=True):
                words = f"changelog {package.source_name} ({later.version}): {later.words}"
                return verdict(TO_CHECK, package, disagreement(package, spot), quoted(spot.line), words)
    if spot.why == place.PAST and slip_possible(publication, product, package, spot, history):
        why = reason("at_bound", upstream=package.upstream, bound=spot.bound)
        return verdict(TO_CHECK, package, why, quoted(spot.line), f"{package.upstream} = {spot.bound}")
    arguments = {"upstream": package.upstream, "bound": spot.bound}
    sign = ">=" if spot.why == place.PAST else "<" if spot.why == place.BELOW else "not in"
    return verdict(
        NOT_AFFECTED,
        package,
        reason(spot.why, **arguments),
        quoted(spot.line),
        f"{package.upstream} {sign} {spot.bound}",
    )


def slip_possible(
    publication: Publication, product: Product, package: Package, spot: Position, history: History | None
) -> bool:
    """Whether a version that is the bound itself may lack the fix all the same. "Antérieures à 4.94" stood for 4.94.2,
    which came a year after 4.94. So a first release x.y that stands alone in its line, and that a distribution packaged,
    clears the machine only when the package is known to be no older than the publication. What is only ever corrected by
    whole releases (Firefox ESR 115.14) is another matter: there x.y is the correction."""
    line = spot.line
    if package.origin != DISTRIBUTION or product.rebased or line is None or line.branches or line.lower:
        return False
    if spot.bound.count(".") != 1 or versions.compare_upstream(package.upstream, spot.bound) != 0:
        return False
    built, published = history.installed_at if history else None, publication.first_at
    return not (built and published and built + MARGIN >= published)


def disagreement(package: Package, spot: Position) -> Reason:
    """The publication says that the fault came after this version, the distribution that it corrected it there."""
    return reason("disagree", upstream=package.upstream, bound=spot.bound)


# --- 3. inside --------------------------------------------------------------------------------------


def inside(
    publication: Publication,
    product: Product,
    package: Package,
    spot: Position,
    history: History | None,
    known: Known,
    inventory: Inventory,
) -> Verdict | None:
    if spot.place != place.INSIDE or product.related:
        return None
    proof = (
        quoted(spot.line),
        f"{package.upstream} < {spot.bound}" if spot.why != place.EXACT else f"= {spot.bound}",
    )
    if package.origin == THIRD_PARTY:
        if spot.why == place.BARE and not product.linear and not same_major(package, spot):
            return None  # "antérieures à 128.2" beside nothing else: of 115.15, kept apart, it says nothing
        why = reason("named_version") if spot.why == place.EXACT else reason("bound", bound=spot.bound)
        return verdict(AFFECTED, package, why, *proof)
    words = by_words(package, spot, history)
    if words or known.fixed:
        return words  # with some ids fixed, the rest is unknown: that is for the last step
    built, key = built_by(package, history, inventory)
    if built and close(product, package, spot) and publication.first_at and built + MARGIN < publication.first_at:
        why = reason(key, upstream=package.upstream, day=built, published=publication.first_at)
        return verdict(AFFECTED, package, why, *proof)
    own = versions.in_branch(package.upstream, versions.series(spot.bound)) and spot.why != place.EXACT
    if (own or product.linear) and inventory.system in product.rebased and package.origin != BACKPORTS:
        return verdict(AFFECTED, package, reason("rebased", upstream=package.upstream, bound=spot.bound), *proof)
    return None


def close(product: Product, package: Package, spot: Position) -> bool:
    """Whether the line names the version's own branch or number, or a range with an end nearby. A range over many
    years ("7.10.5 à 8.11") is upstream's caution: of an old version it says too often what came later. "Antérieures à
    9.6" alone says as much of 9.2 as a range would, where the vendor keeps one line of versions."""
    if not spot.explicit:
        return product.linear and near(package.upstream, spot.bound)
    if spot.why != place.RANGE:
        return spot.explicit
    ends = [spot.bound, *([spot.line.lower.version] if spot.line and spot.line.lower else [])]
    return any(near(package.upstream, end) for end in ends)


def near(version: str, end: str) -> bool:
    """The same major number, and ten minor ones apart at most."""
    one, two = NUMBERS.match(version), NUMBERS.match(end)
    if one is None or two is None:
        return False
    return one[1] == two[1] and abs(int(one[2] or 0) - int(two[2] or 0)) <= NEAR


def same_major(package: Package, spot: Position) -> bool:
    return package.upstream.partition(".")[0] == spot.bound.partition(".")[0]


def by_words(package: Package, spot: Position, history: History | None) -> Verdict | None:
    """A changelog that names no id, and says in words which upstream version's fixes were taken."""
    if history is None or not spot.bound:
        return None
    if own := history.says(spot.bound):
        words = f"changelog {package.source_name} ({own.version}): {own.words}"
        return verdict(NOT_AFFECTED, package, reason("words", bound=spot.bound, version=own.version), words)
    if later := history.says(spot.bound, later=True):
        words = f"changelog {package.source_name} ({later.version}): {later.words}"
        why = reason("later_words", bound=spot.bound, version=later.version)
        return verdict(AFFECTED, package, why, quoted(spot.line), words)
    return None


def built_by(package: Package, history: History | None, inventory: Inventory) -> tuple[date | None, str]:
    """The last day on which the package can have been made, and the reason it gives: its own changelog's day;
    else what the mark of its version says ("frozen"), or the machine's own last update ("stale")."""
    if history and history.installed_at:
        return history.installed_at, "frozen"
    if package.origin != DISTRIBUTION:
        return None, ""
    marked = releases.built_by(inventory.system, inventory.version_id, inventory.codename, package.source_release)
    zones = inventory.by_name.get("tzdata")
    updated = releases.updated_by(zones[0].version) if zones else None
    days = [(day, key) for day, key in ((marked, "frozen"), (updated, "stale")) if day]
    return min(days) if days else (None, "")


# --- 4. what is left --------------------------------------------------------------------------------


def undecided(publication: Publication, product: Product, package: Package, spot: Position, known: Known) -> Verdict:
    if product.related:
        return verdict(TO_CHECK, package, reason("related", product=product.name), quoted(spot.line))
    if known.fixed:
        missing = [cve for cve in publication.cves if cve not in known.fixed]
        why = reason(
            "partial",
            count=len(known.fixed),
            total=len(publication.cves),
            missing=", ".join(missing[:MAX_QUOTES]),
        )
        return verdict(TO_CHECK, package, why, quoted(spot.line), *list(known.fixed.values())[:MAX_QUOTES])
    if spot.place == place.OUTSIDE:
        why = reason("narrow", upstream=package.upstream, bound=spot.bound)
        return verdict(TO_CHECK, package, why, quoted(spot.line))
    if spot.place == place.INSIDE:
        key = "other_major" if package.origin == THIRD_PARTY else "backport"
        return verdict(
            TO_CHECK,
            package,
            reason(key, upstream=package.upstream, bound=spot.bound),
            quoted(spot.line),
            f"{package.upstream} < {spot.bound}",
        )
    return verdict(TO_CHECK, package, reason(spot.why), quoted(spot.line))


# --- words ------------------------------------------------------------------------------------------


def quoted(line: Line | None) -> str:
    return f"CERT-FR: {line.text}" if line else ""


def verdict(kind: str, package: Package, why: Reason, *evidence: str) -> Verdict:
    return Verdict(kind, package.name, package.version, why, tuple(dict.fromkeys(words for words in evidence if words)))
