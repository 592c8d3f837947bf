"""What of an inventory a publication looks at: enough to decide it for ten thousand machines without reading all their packages.

A verdict (`decide.py`) depends on what the system is, on the packages that may be one of the products that the publication
names, and for a distribution's kernels on those, the running one and the processor. `of` says which; two machines that
are alike in that much have the same verdict, whatever else is installed. A test compares the two on whole inventories.
"""

import re
from collections.abc import Callable, Collection, Iterable
from functools import lru_cache
from typing import NamedTuple

from archive.certfr import kernels, versions
from archive.certfr import lines as grammar
from archive.certfr.decide import MIN_NAME, SLUG, affected, rows
from archive.certfr.inventory import IMAGE, RPM_KERNELS
from archive.certfr.products import Product, Table
from archive.certfr.publication import AffectedSystem, Publication

DATED = "tzdata"  # its version says until when a machine was updated (ruling.built_by)


class Scope(NamedTuple):
    """`products`: any package of theirs; `slugs`: packages of this very name or source; `kernels`: any kernel and the running
    one; `upstreams`: packages of this upstream version, whatever their name; `processors`: the architectures of the machine."""

    products: tuple[Product, ...]
    slugs: frozenset[str]
    kernels: bool
    upstreams: frozenset[str]
    processors: bool

    @property
    def empty(self) -> bool:
        """No package is looked at: the verdict is the same for all machines of one system."""
        return not (self.products or self.slugs or self.kernels or self.upstreams)


def of(publication: Publication, table: Table) -> Scope:
    """As `Decider.verdicts` goes through the lines. Pure."""
    products: dict[str, Product] = {}
    slugs: set[str] = set()
    upstreams: set[str] = set()
    families: set[str] = set()
    systems = affected(publication)
    if not systems:
        products = {product.name: product for product in table.titled(publication.title)}
    for system in systems:
        for row in rows(system):
            name = grammar.product_name(row)
            if kind := kernels.family(system, row):
                families.add(kind)
                if kind == "debian":
                    upstreams |= _unnamed(row)
            elif product := table.find(system, name):
                products[product.name] = product
            elif not table.knows(system.vendor):
                slugs |= _slugs(name, system)
    return Scope(
        tuple(product for product in products.values() if product.packages or product.parts),
        frozenset(slugs),
        bool(families),
        frozenset(upstreams),
        "redhat" in families,
    )


def _unnamed(row: str) -> set[str]:
    """The upstream versions of a Debian line that are no kernel's: a package that is not named (kernels.unnamed)."""
    line = grammar.parse_one(row)
    return {
        versions.upstream_dpkg(upper.version) for upper in line.uppers if not kernels.KERNEL_BRANCH.match(upper.version)
    }


def _slugs(name: str, system: AffectedSystem) -> set[str]:
    """What `Decider.of_name` looks for."""
    found = {SLUG.sub("-", words.lower()).strip("-") for words in (name, system.product, system.vendor)}
    return {slug for slug in found if len(slug) >= MIN_NAME}


def wanted(
    scope: Scope, names: Collection[str], of_sources: Callable[[Iterable[str]], Iterable[str]],
    of_upstreams: Callable[[Iterable[str]], Iterable[str]],
) -> frozenset[str]:  # fmt: skip
    """Of the package names of a fleet, those that the scope takes in. `of_sources`: names of packages built from these
    sources; `of_upstreams`: names of packages that have one of these upstream versions."""
    found = {name for product in scope.products for name in matching(product, names)}
    if scope.products:
        found.add(DATED)
    if scope.kernels:
        found |= {name for name in names if IMAGE.fullmatch(name) or name in RPM_KERNELS}
    if scope.slugs:
        found |= scope.slugs
        found.update(of_sources(sorted(scope.slugs)))
    if scope.upstreams:
        found.update(of_upstreams(sorted(scope.upstreams)))
    return frozenset(found & set(names))


def matching(product: Product, names: Collection[str]) -> Iterable[str]:
    """Names that may be the product or a part of it."""
    pattern = _pattern(product)
    return [name for name in names if pattern.fullmatch(name)]


@lru_cache(maxsize=2000)
def _pattern(product: Product) -> re.Pattern[str]:
    """All of a product's expressions as one; each stands alone, as it does where it is used one by one."""
    parts = [one.pattern for kinds in (product.packages, product.parts) for some in kinds.values() for one in some]
    return re.compile("|".join(f"(?:{one})" for one in dict.fromkeys(parts)))
