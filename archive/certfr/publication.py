"""One publication of CERT-FR: from the JSON object the site serves to frozen rows.

The shape is the site's own (`/alerte/REF/json/`, `/avis/REF/json/`). What is odd there is taken as it
comes, and only that: a summary that is null, a list that is missing or null, a product named "N/A", dates
with or without a time of day, revisions in any order, `closed_at` present for alerts alone. Anything else
raises `PublicationError`, one line that names the field.

Every text is hostile until it went through `clean`: no control or direction-changing character, no lone
surrogate, bounded length. `summary`, `content` and `systems_note` still hold Markdown and HTML: whoever
shows them makes them safe first.
"""

import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from typing import NamedTuple, TypeVar

T = TypeVar("T")

MAX_TEXT = 1_000_000  # characters in one field; the longest publication known is 205 kB whole
MAX_ITEMS = 20_000  # entries in one list; the longest known has 2,293
NOT_NAMED = "N/A"  # what the site writes for a vendor or product it does not name

REFERENCE = re.compile(r"[A-Z]{2,12}(?:-[A-Z0-9]{1,12}){1,5}", re.ASCII)
KIND_BY_MARK = {"ALE": "alerte", "AVI": "avis"}
CVE = re.compile(r"CVE-\d{4}-\d{4,}", re.ASCII)
# Controls but tab and newline; soft hyphen, zero-width characters, direction marks, lone surrogates.
UNWANTED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")


class PublicationError(ValueError):
    """The object is not a publication of CERT-FR; the message names the field, in one line."""


class AffectedSystem(NamedTuple):
    """One line of "Systèmes affectés"; vendor and product are "" where the site says "N/A".

    A few descriptions hold several lines, parted by a newline: each is then a line of its own.
    """

    vendor: str
    product: str
    description: str
    scada: bool


class Link(NamedTuple):
    title: str
    url: str


class VendorAdvisory(NamedTuple):
    """A vendor's own bulletin; the date and the address are missing on some."""

    title: str
    url: str
    published_at: date | None


class Revision(NamedTuple):
    at: date
    description: str


class Publication(NamedTuple):
    """An alert or an advisory. `first_at` and `last_at` are the least and greatest revision dates."""

    reference: str
    kind: str  # "alerte" or "avis"
    title: str
    first_at: date | None
    last_at: date | None
    closed_at: date | None  # alerts only; None is open
    risks: tuple[str, ...]
    systems: tuple[AffectedSystem, ...]
    systems_note: str  # HTML: the affected systems when `systems` is empty, else a remark
    cves: tuple[str, ...]
    links: tuple[Link, ...]
    vendor_advisories: tuple[VendorAdvisory, ...]
    revisions: tuple[Revision, ...]  # oldest first
    summary: str
    content: str


def parse(obj: Mapping[str, object]) -> Publication:
    """Read one publication from its decoded JSON object; `PublicationError` when it is not one."""
    reference = line(obj.get("reference"), "reference")
    if not REFERENCE.fullmatch(reference):
        raise PublicationError(f"reference: not a CERT-FR reference: {reference[:60]!r}")
    revisions = tuple(sorted(items(obj, "revisions", revision)))
    return Publication(
        reference=reference,
        kind=kind_of(reference, obj),
        title=line(obj.get("title"), "title"),
        first_at=revisions[0].at if revisions else None,
        last_at=revisions[-1].at if revisions else None,
        closed_at=day_or_none(obj.get("closed_at"), "closed_at"),
        risks=unique(risk for risk in items(obj, "risks", risk_text) if risk),
        systems=tuple(items(obj, "affected_systems", affected_system)),
        systems_note=text_or_empty(obj.get("affected_systems_content"), "affected_systems_content"),
        cves=unique(cve for cve in items(obj, "cves", cve_name) if cve),
        links=tuple(items(obj, "links", link)),
        vendor_advisories=tuple(items(obj, "vendor_advisories", vendor_advisory)),
        revisions=revisions,
        summary=text_or_empty(obj.get("summary"), "summary"),
        content=text_or_empty(obj.get("content"), "content"),
    )


def canonical(publication: Publication) -> str:
    """Stable text of a publication, to compare or hash two fetches.

    The site changes the order of its lists between two fetches of an unchanged item: every list is
    sorted here. Dates keep their day only, for the same reason.
    """
    fields = {
        name: sorted(list(entry) if isinstance(entry, tuple) else entry for entry in value)
        if name != "vendor_advisories" and isinstance(value, tuple)
        else value
        for name, value in publication._asdict().items()
    }
    fields["vendor_advisories"] = sorted(
        [advisory.title, advisory.url, str(advisory.published_at or "")] for advisory in publication.vendor_advisories
    )
    return json.dumps(fields, default=str, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


# --- fields -----------------------------------------------------------------------------------------


def clean(value: str) -> str:
    """The text without what could mislead a reader or a terminal, in composed form, ends trimmed."""
    if value.isascii() and value.isprintable():
        return value.strip()  # nearly all ids, addresses and names
    return unicodedata.normalize("NFC", UNWANTED.sub("", value)).strip()


def text(value: object, field: str) -> str:
    if not isinstance(value, str):
        raise PublicationError(f"{field}: expected a text, found {type(value).__name__}")
    if len(value) > MAX_TEXT:
        raise PublicationError(f"{field}: {len(value)} characters, more than {MAX_TEXT}")
    return clean(value)


def text_or_empty(value: object, field: str) -> str:
    return "" if value is None else text(value, field)


def line(value: object, field: str) -> str:
    """A text on one line: no-break spaces, newlines and runs of spaces become one space."""
    return " ".join(text(value, field).split())


def line_or_empty(value: object, field: str) -> str:
    return "" if value is None else line(value, field)


def lines_or_empty(value: object, field: str) -> str:
    """A text whose line ends mean something: each line is put in order, empty ones are dropped."""
    rows = (" ".join(row.split()) for row in text_or_empty(value, field).splitlines())
    return "\n".join(row for row in rows if row)


def named(value: object, field: str) -> str:
    name = line_or_empty(value, field)
    return "" if name == NOT_NAMED else name


def day(value: object, field: str) -> date:
    """The day of `YYYY-MM-DD` or `YYYY-MM-DDTHH:MM:SS.ffffff`: the time of day moves between fetches."""
    written = text(value, field)
    try:
        return date.fromisoformat(written[:10])
    except ValueError:
        raise PublicationError(f"{field}: not a date: {written[:40]!r}") from None


def day_or_none(value: object, field: str) -> date | None:
    return None if value in (None, "") else day(value, field)


def items(obj: Mapping[str, object], field: str, read: Callable[[Mapping[str, object]], T]) -> list[T]:
    """Each entry of a list of objects, read; a missing or null list is an empty one."""
    entries = obj.get(field)
    if entries is None:
        return []
    if not isinstance(entries, list):
        raise PublicationError(f"{field}: expected a list, found {type(entries).__name__}")
    if len(entries) > MAX_ITEMS:
        raise PublicationError(f"{field}: {len(entries)} entries, more than {MAX_ITEMS}")
    return [read(mapping(entry, field)) for entry in entries]


def mapping(value: object, field: str) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise PublicationError(f"{field}: expected an object, found {type(value).__name__}")
    return value


def unique(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))


def kind_of(reference: str, obj: Mapping[str, object]) -> str:
    """From the reference's own mark; else from `closed_at`, a key that alerts alone have."""
    for mark, kind in KIND_BY_MARK.items():
        if f"-{mark}-" in reference:
            return kind
    return "alerte" if "closed_at" in obj else "avis"


def revision(entry: Mapping[str, object]) -> Revision:
    return Revision(
        day(entry.get("revision_date"), "revisions.revision_date"),
        line_or_empty(entry.get("description"), "revisions.description"),
    )


def risk_text(entry: Mapping[str, object]) -> str:
    return line_or_empty(entry.get("description"), "risks.description")


def cve_name(entry: Mapping[str, object]) -> str:
    """The id in capitals, or "" for a name that is no CVE id (none is known, but it would prove nothing)."""
    name = line_or_empty(entry.get("name"), "cves.name").upper()
    return name if CVE.fullmatch(name) else ""


def link(entry: Mapping[str, object]) -> Link:
    return Link(line_or_empty(entry.get("title"), "links.title"), line_or_empty(entry.get("url"), "links.url"))


def vendor_advisory(entry: Mapping[str, object]) -> VendorAdvisory:
    field = "vendor_advisories"
    return VendorAdvisory(
        line_or_empty(entry.get("title"), f"{field}.title"),
        line_or_empty(entry.get("url"), f"{field}.url"),
        day_or_none(entry.get("published_at"), f"{field}.published_at"),
    )


def affected_system(entry: Mapping[str, object]) -> AffectedSystem:
    field = "affected_systems"
    product = mapping(entry.get("product") or {}, f"{field}.product")
    vendor = mapping(product.get("vendor") or {}, f"{field}.product.vendor")
    return AffectedSystem(
        vendor=named(vendor.get("name"), f"{field}.product.vendor.name"),
        product=named(product.get("name"), f"{field}.product.name"),
        description=lines_or_empty(entry.get("description"), f"{field}.description"),
        scada=vendor.get("scada") is True,
    )
