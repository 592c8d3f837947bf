"""The reviewed table of products (`products.toml`): from an affected line to packages.

Lookup goes by vendor first, then by what the line itself says, then by CERT-FR's own product name, which is
"N/A" on four lines in ten and wrong on some.
"""

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

from archive.certfr.inventory import DPKG, Inventory, Package
from archive.certfr.publication import AffectedSystem

TABLE = Path(__file__).with_name("products.toml")
TEXTS = ("name", "match", "exclude", "deb", "rpm", "deb_parts", "rpm_parts", "example")
LISTS = ("vendors", "rebased")
FLAGS = ("shared", "linear", "exhaustive", "related", "last_listed", "vendor_only", "maintained_only")
# "A|B(?:c|d)" into its alternatives, which stand in order of preference.
ALTERNATIVE = re.compile(r"(?:[^|()\\]|\\.|\((?:[^()\\]|\\.|\([^()]*\))*\))+")


class ProductsError(ValueError):
    """The table is not what it should be; the message names the entry."""


@dataclass(frozen=True, eq=False, slots=True)
class Product:
    """An entry of the table; what the fields mean is said at its head."""

    name: str
    vendors: tuple[str, ...]
    match: re.Pattern[str]
    exclude: re.Pattern[str] | None
    packages: dict[str, tuple[re.Pattern[str], ...]]  # by kind (dpkg, rpm), in order of preference
    parts: dict[str, tuple[re.Pattern[str], ...]]
    shared: bool
    linear: bool
    exhaustive: bool
    rebased: tuple[str, ...]
    related: bool
    last_listed: bool
    vendor_only: bool
    maintained_only: bool
    example: str


class Installed(NamedTuple):
    """A product's packages on a machine, one for each source version; `part`: only a part of it is there."""

    packages: tuple[Package, ...]
    part: bool


class Table:
    """The table, with what was already looked up."""

    def __init__(self, products: tuple[Product, ...]) -> None:
        self.products = products
        self.by_vendor: dict[str, list[Product]] = {}
        for product in products:
            for vendor in product.vendors:
                self.by_vendor.setdefault(vendor.lower(), []).append(product)
        self.anywhere = [product for product in products if not product.vendor_only]
        self.found: dict[tuple[str, str, str], Product | None] = {}

    def knows(self, vendor: str) -> bool:
        return vendor.lower() in self.by_vendor

    def find(self, system: AffectedSystem, name: str) -> Product | None:
        """The product of a line; `name` is its product part. None: not in the table, or excluded."""
        key = (system.vendor.lower(), system.product, name)
        if key not in self.found:
            self.found[key] = self.look(*key)
        return self.found[key]

    def look(self, vendor: str, product: str, name: str) -> Product | None:
        entries = self.by_vendor.get(vendor, []) if vendor else self.anywhere
        for subject in (name, product):
            for entry in entries:
                if subject and entry.match.search(subject):
                    both = f"{name} {product}"
                    return None if entry.exclude and entry.exclude.search(both) else entry
        return None

    def titled(self, title: str) -> list[Product]:
        """The products a title names, for the publications that list no system at all."""
        words = re.split(r"\b(?:dans|affectant|sur)\b|[:\[\]]", title)
        subjects = [re.sub(r"^\W*(?:les? |la |l'|produits? )*", "", word.strip()) for word in words]
        found = [entry for subject in subjects if subject for entry in self.anywhere if entry.match.search(subject)]
        return list(dict.fromkeys(entry for entry in found if not (entry.exclude and entry.exclude.search(title))))


def installed(product: Product, inventory: Inventory) -> Installed:
    """The product's packages, the preferred name first; its parts when nothing else of it is there."""
    whole = chosen(product.packages, inventory)
    return Installed(whole, part=False) if whole else Installed(chosen(product.parts, inventory), part=True)


def chosen(patterns: dict[str, tuple[re.Pattern[str], ...]], inventory: Inventory) -> tuple[Package, ...]:
    """One package for each source and version: its siblings would say the same."""
    ranked = []
    for kind, alternatives in patterns.items():
        for rank, pattern in enumerate(alternatives):
            for name, packages in inventory.by_name.items():
                if pattern.fullmatch(name):
                    ranked += [
                        ((rank, "server" not in name, name), package) for package in packages if package.kind == kind
                    ]
    kept: dict[tuple[str, str], Package] = {}
    for _, package in sorted(ranked, key=lambda pair: pair[0]):
        kept.setdefault((source_key(package), package.source_release), package)
    return tuple(kept.values())


def source_key(package: Package) -> str:
    """The source, or a guess at it where the list tells none: "libssl3" and "openssl" then stay apart."""
    return package.source or package.name


@cache
def load(path: Path = TABLE) -> Table:
    """The table as shipped; `ProductsError` when an entry has an unknown key or a bad expression."""
    with path.open("rb") as file:
        rows = tomllib.load(file).get("product", [])
    return Table(tuple(read(row, number) for number, row in enumerate(rows, 1)))


def read(row: dict[str, object], number: int) -> Product:
    where = f"{TABLE.name}: entry {number} ({row.get('name')})"
    unknown = set(row) - {*TEXTS, *LISTS, *FLAGS}
    if unknown or not isinstance(row.get("name"), str) or not isinstance(row.get("match"), str):
        raise ProductsError(f"{where}: unknown keys {sorted(unknown)}, or no name or match")
    texts = {key: str(row.get(key, "")) for key in TEXTS}
    lists: dict[str, tuple[str, ...]] = {}
    for key in LISTS:
        value = row.get(key, [])
        if not isinstance(value, list):
            raise ProductsError(f"{where}: {key} is not a list")
        lists[key] = tuple(str(each) for each in value)
    try:
        return Product(
            name=texts["name"],
            vendors=lists["vendors"],
            match=re.compile(texts["match"], re.IGNORECASE),
            exclude=re.compile(texts["exclude"], re.IGNORECASE) if texts["exclude"] else None,
            packages=patterns(texts["deb"], texts["rpm"]),
            parts=patterns(texts["deb_parts"], texts["rpm_parts"]),
            shared=row.get("shared") is True,
            linear=row.get("linear") is True,
            exhaustive=row.get("exhaustive") is True,
            rebased=lists["rebased"],
            last_listed=row.get("last_listed") is True,
            related=row.get("related") is True,
            vendor_only=row.get("vendor_only") is True,
            maintained_only=row.get("maintained_only") is True,
            example=texts["example"],
        )
    except re.error as error:
        raise ProductsError(f"{where}: {error}") from None


def patterns(deb: str, rpm: str) -> dict[str, tuple[re.Pattern[str], ...]]:
    return {
        kind: tuple(re.compile(each) for each in ALTERNATIVE.findall(text))
        for kind, text in ((DPKG, deb), ("rpm", rpm))
        if text
    }
