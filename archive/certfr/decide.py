"""Does a publication concern this machine? Three verdicts, each with its evidence.

`decide` is pure: the publication, what is known of the machine, and nothing else. It never looks at the
publication's reference. The lines are grouped by product, each product that is installed is ruled on package by
package, and the gravest verdict speaks for the publication.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from html.parser import HTMLParser
from typing import NamedTuple

from archive.certfr import kernels, products, ruling
from archive.certfr import lines as grammar
from archive.certfr.changelogs import Changelogs, NoChangelogs
from archive.certfr.inventory import Inventory, Package
from archive.certfr.known import Machine
from archive.certfr.lines import Line
from archive.certfr.notices import Notices
from archive.certfr.products import Installed, Product, Table
from archive.certfr.publication import AffectedSystem, Publication
from archive.certfr.tracker import Tracker
from archive.certfr.verdict import NOT_AFFECTED, ORDER, TO_CHECK, Verdict, reason, reason_text

__all__ = ["Decider", "decide", "reason_text"]

# Among verdicts that clear the machine, the one that says most.
TELLING = (
    "fixed",
    "answered",
    "words",
    "kernel_fixed",
    "past",
    "below",
    "other_branch",
    "other_version",
    "kernel_other_branch",
    "platform",
    "unnamed_absent",
    "kernel_absent",
    "release_other",
    "absent",
    "not_linux",
    "no_product",
)
MIN_NAME = 4  # a package called "at" or "bc" is no evidence that a product of that name is meant
SLUG = re.compile(r"[^a-z0-9+.]+")


def decide(
    publication: Publication,
    inventory: Inventory,
    changelogs: Changelogs | None = None,
    tracker: Tracker | None = None,
) -> Verdict:
    """One publication against one machine. For many against one, keep a `Decider`: it remembers the machine."""
    return Decider(inventory, changelogs, tracker).decide(publication)


class Group(NamedTuple):
    product: Product
    lines: list[Line]


class Decider:
    """Decides publications for one machine; what was looked up about it is kept."""

    def __init__(
        self,
        inventory: Inventory,
        changelogs: Changelogs | None = None,
        tracker: Tracker | None = None,
        table: Table | None = None,
        notices: Notices | None = None,
    ) -> None:
        self.machine = Machine(inventory, changelogs or NoChangelogs(), tracker, notices)
        self.table = table or products.load()
        self.here: dict[str, Installed] = {}

    def decide(self, publication: Publication) -> Verdict:
        systems = affected(publication)
        if not systems:
            return gravest(self.titled(publication))
        return gravest(self.verdicts(publication, systems))

    def verdicts(self, publication: Publication, systems: Sequence[AffectedSystem]) -> Iterator[Verdict]:
        groups: dict[str, Group] = {}
        distributions: dict[str, list[Line]] = {}
        strangers: dict[str, AffectedSystem] = {}
        for system in systems:
            for row in rows(system):
                name = grammar.product_name(row)
                kind = kernels.family(system, row)
                if kind:
                    distributions.setdefault(kind, []).append(grammar.parse_one(row))
                elif product := self.table.find(system, name):
                    group = groups.setdefault(product.name, Group(product, []))
                    if self.installed(product).packages:
                        group.lines.append(grammar.parse_one(row))
                elif not self.table.knows(system.vendor):
                    strangers.setdefault(name.lower(), system)
        for kind, lines in distributions.items():
            yield kernels.rule(kind, lines, self.machine.inventory)
        for group in groups.values():
            yield from self.product_verdicts(publication, group)
        yield from self.same_names(strangers)

    def installed(self, product: Product) -> Installed:
        if product.name not in self.here:
            self.here[product.name] = products.installed(product, self.machine.inventory)
        return self.here[product.name]

    def product_verdicts(self, publication: Publication, group: Group) -> Iterator[Verdict]:
        found = self.installed(group.product)
        if not found.packages:
            yield absent(group.product)
        for package in found.packages:
            yield ruling.rule(publication, group.product, group.lines, package, part=found.part, machine=self.machine)

    def titled(self, publication: Publication) -> Iterator[Verdict]:
        """A publication that lists no system: its title may name a product."""
        for product in self.table.titled(publication.title):
            found = self.installed(product)
            for package in found.packages:
                ruled = ruling.rule(publication, product, (), package, part=found.part, machine=self.machine)
                titled = reason("titled", product=product.name)
                yield (ruled if ruled.reason.key == "fixed" else ruled._replace(verdict=TO_CHECK, reason=titled))
            if not found.packages:
                yield absent(product)

    def same_names(self, strangers: dict[str, AffectedSystem]) -> Iterator[Verdict]:
        """Vendors the table does not know: a package of the product's or vendor's very name is worth a look."""
        for name, system in strangers.items():
            package = self.of_name(name, system)
            if package:
                evidence = (f"CERT-FR: {system.description}",)
                yield Verdict(TO_CHECK, package.name, package.version, reason("same_name"), evidence)

    def of_name(self, name: str, system: AffectedSystem) -> Package | None:
        inventory = self.machine.inventory
        for words in dict.fromkeys((name, system.product, system.vendor)):
            slug = SLUG.sub("-", words.lower()).strip("-")
            if len(slug) >= MIN_NAME:
                found = inventory.by_name.get(slug) or inventory.by_source.get(slug)
                if found:
                    return found[0]
        return None


def absent(product: Product) -> Verdict:
    """Nothing of a product is installed, or no Linux package of it exists."""
    key = "absent" if product.packages else "not_linux"
    return Verdict(NOT_AFFECTED, "", "", reason(key, product=product.name))


def gravest(verdicts: Iterable[Verdict]) -> Verdict:
    """The gravest of a publication's verdicts; among those that clear the machine, the most telling one."""
    found = list(verdicts)
    if not found:
        return Verdict(NOT_AFFECTED, "", "", reason("no_product"))
    telling = {key: rank for rank, key in enumerate(TELLING)}
    return min(found, key=lambda each: (ORDER.index(each.verdict), telling.get(each.reason.key, -1)))


def affected(publication: Publication) -> tuple[AffectedSystem, ...]:
    """The affected systems; when the list is empty, those of the note, which is HTML."""
    if publication.systems or not publication.systems_note:
        return publication.systems
    items = Items()
    items.feed(publication.systems_note)
    items.close()
    return tuple(AffectedSystem("", "", text, scada=False) for text in items.texts if text)


def rows(system: AffectedSystem) -> list[str]:
    return system.description.splitlines() or [system.product or system.vendor]


class Items(HTMLParser):
    """The text of each list item; without a list, of each paragraph."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.items: list[str] = []
        self.paragraphs: list[str] = []
        self.into: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("li", "p"):
            self.into = self.items if tag == "li" else self.paragraphs
            self.into.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("li", "p"):
            self.into = None

    def handle_data(self, data: str) -> None:
        if self.into is not None:
            self.into[-1] += data

    @property
    def texts(self) -> list[str]:
        return [" ".join(text.split()) for text in (self.items or self.paragraphs)]
