"""What the site says there is: its JSON indexes, its RSS feeds, its HTML lists -> `Listing` of `IndexEntry`.

Pure: bytes in, rows out. A text that is not what it should be raises `ListingError`, which says what was found in its
place; so does an empty list, for the site has published since 2000. Nothing here is ever read as "0 alerts".

What each source knows (seen in 2026): the JSON index holds the whole history, in any order, with the day of the last
revision; a feed the 40 publications touched last, oldest first, with the day of the first version; a list page ten
publications with their state, open alerts first.
"""

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import date
from typing import TYPE_CHECKING, NamedTuple

from archive.certfr.dates import french_day, iso_day
from archive.certfr.markup import MarkupError, decode, soup
from archive.certfr.safe import fold
from archive.certfr.safe import title as one_line

if TYPE_CHECKING:
    from xml.etree import ElementTree as ET

    from bs4 import Tag

KINDS = ("alerte", "avis")
MARKS = {"alerte": "ALE", "avis": "AVI"}
CLASSES = {"alerte": "cert-alert", "avis": "cert-avis"}
REFERENCE = re.compile(r"(?:CERTFR|CERTA)-(\d{4})-(ALE|AVI)-\d{3,5}", re.ASCII)
ANY_REFERENCE = re.compile(r"CERT(?:FR|A)-\d{4}-[A-Z]{3}-\d{3,5}", re.ASCII)
DATE_SUFFIX = re.compile(r"\s*\([^()]{4,20} \d{4}\)$")
TITLE_TAG = re.compile(r"<title[^>]{0,200}>([^<]{0,300})", re.IGNORECASE)
MAX_ENTRIES = 60_000  # the whole history is about 17,500
MAX_FEED = 1_000


class ListingError(ValueError):
    """Not the list that was asked for; the message says what was found, in one line."""


class IndexEntry(NamedTuple):
    """One publication as a list names it; what that list does not say is None."""

    reference: str
    kind: str  # alerte or avis
    title: str | None
    status: str | None  # open or closed
    closed_at: date | None
    last_revision: date | None
    url: str
    published: date | None = None  # what the list gives as its day: not to be relied on


class Listing(NamedTuple):
    """`doubt` is a sentence when a part of it could not be read, else ""."""

    entries: tuple[IndexEntry, ...]
    doubt: str


def parse_json(body: bytes, kind: str, base_url: str) -> Listing:
    """`/alerte/json/`, `/avis/json/`: an array of {reference, last_revision_date?, title?, json_url?}, in any order."""
    where = f"{base_url}/{kind}/json/"
    try:
        found = json.loads(decode(body).removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        raise ListingError(f"{where}: expected a JSON array, found {what_is(body)}") from None
    if not isinstance(found, list):
        raise ListingError(f"{where}: expected a JSON array, found {what_is(body)}")
    if len(found) > MAX_ENTRIES:
        raise ListingError(f"{where}: an array of {len(found)} entries, more than {MAX_ENTRIES}: refused")
    read = [_from_json(entry, kind, base_url) for entry in found]
    return _listing(
        where,
        "the array",
        read,
        dated=[entry is not None and entry.last_revision is not None for entry in read],
    )


def _from_json(entry: object, kind: str, base_url: str) -> IndexEntry | None:
    if not isinstance(entry, dict) or not (reference := _reference(entry.get("reference"), kind)):
        return None
    title = entry.get("title")
    return IndexEntry(
        reference,
        kind,
        one_line(title) if isinstance(title, str) else None,
        None,
        None,
        iso_day(entry.get("last_revision_date")),
        url_of(base_url, reference),
    )


def parse_rss(body: bytes, kind: str, base_url: str) -> Listing:
    """`/alerte/feed/`, `/avis/feed/`: RSS 2.0. Any DTD or entity declaration is refused before it is parsed."""
    # Only when the JSON index failed; a text with a DTD is refused before it gets there.
    from xml.etree import ElementTree as ET

    where = f"{base_url}/{kind}/feed/"
    text = decode(body).removeprefix("\ufeff")
    if re.search(r"<!(?:DOCTYPE|ENTITY)", text, re.IGNORECASE):
        raise ListingError(f"{where}: expected a feed, found {what_is(body)} with a DTD, which is refused")
    try:
        # The declaration goes: the text is decoded already, whatever it declares.
        root = ET.fromstring(re.sub(r"^\s*<\?xml[^>]{0,200}\?>", "", text))  # noqa: S314 (no DTD, bounded size)
    except (ET.ParseError, ValueError):
        raise ListingError(f"{where}: expected a feed, found {what_is(body)}") from None
    items = root.findall("./channel/item") if root.tag == "rss" else []
    if len(items) > MAX_FEED:
        raise ListingError(f"{where}: a feed of {len(items)} items, more than {MAX_FEED}: refused")
    read = [_from_item(item, kind, base_url) for item in items]
    return _listing(
        where, "the feed", read, dated=[entry is not None and entry.published is not None for entry in read]
    )


def _from_item(item: "ET.Element", kind: str, base_url: str) -> IndexEntry | None:
    from email.utils import parsedate_to_datetime

    link = (item.findtext("link") or item.findtext("guid") or "").strip()
    if not (reference := _reference(link.rstrip("/").rpartition("/")[2], kind)):
        return None
    title = one_line(item.findtext("title") or "")
    suffix = DATE_SUFFIX.search(title)
    if suffix and french_day(suffix[0]):
        title = title[: suffix.start()]
    published = french_day(suffix[0]) if suffix else None
    with suppress(TypeError, ValueError, OverflowError):
        published = parsedate_to_datetime(item.findtext("pubDate") or "").date()
    return IndexEntry(reference, kind, title or None, None, None, None, url_of(base_url, reference), published)


def parse_html(body: bytes, kind: str, base_url: str, content_type: str = "") -> Listing:
    """A list page or the home page, in today's markup (`article.item`) or that of 2018-2023 (`div.item`)."""
    where = f"{base_url}/{kind}/"
    text = decode(body, content_type)
    try:
        tree = soup(text)
    except MarkupError as error:
        raise ListingError(f"{where}: expected a list of publications, found {error}") from None
    read = [_from_tag(tag, kind, base_url) for tag in tree.select(f".item.{CLASSES[kind]}")]
    if not any(read):
        items = len(tree.select(".item"))
        named = len(set(ANY_REFERENCE.findall(text)))
        raise ListingError(
            f"{where}: expected a list of publications, found {what_is(body)}: {items} items, {len(read)} of class "
            f"{CLASSES[kind]}, {named} references. The page's markup has changed, or this is another page"
        )
    return _listing(
        where, "the page", read, dated=[entry is not None and entry.published is not None for entry in read]
    )


def _from_tag(tag: "Tag", kind: str, base_url: str) -> IndexEntry | None:
    written = _text(tag, "item-ref")
    links = [str(link.get("href", "")).rstrip("/").rpartition("/")[2] for link in tag.find_all("a", href=True)]
    reference = next(filter(None, (_reference(name, kind) for name in (written, *links))), "")
    if not reference:
        return None
    status, closed_at = _status(_text(tag, "item-status"), tag.get_attribute_list("class"), kind)
    return IndexEntry(
        reference,
        kind,
        one_line(_text(tag, "item-title")) or None,
        status,
        closed_at,
        None,
        url_of(base_url, reference),
        french_day(_text(tag, "item-date")),
    )


def _status(text: str, classes: Sequence[object], kind: str) -> tuple[str | None, date | None]:
    """From the words, which the class must not contradict; words never seen before say nothing."""
    if kind != "alerte":
        return None, None
    marked = [name for name in ("open", "closed") if name in classes]
    folded = fold(text)
    if folded.startswith("alerte en cours"):
        said = "open"
    elif folded.startswith("cloturee"):
        said = "closed"
    else:
        said = "" if folded or not marked else marked[0]
    status = said if said and marked in ([], [said]) else None
    return status, french_day(text) if status == "closed" else None


def what_is(body: bytes) -> str:
    """What a body looks like, for a message: "an HTML page titled 'Maintenance' (512 bytes)"."""
    text = decode(body[:20_000]).strip()
    titled = TITLE_TAG.search(text)
    if not text:
        return "an empty answer"
    if titled:
        return f"an HTML page titled {one_line(titled[1])[:80]!r} ({len(body)} bytes)"
    if text[0] in "[{":
        sort = "a JSON array" if text[0] == "[" else "a JSON object"
        try:
            size = len(json.loads(decode(body)))
            return f"{sort} of {size} entries ({len(body)} bytes)"
        except (ValueError, RecursionError):
            return f"{sort} cut or damaged ({len(body)} bytes)"
    return f"a text that begins {one_line(text[:80])[:60]!r} ({len(body)} bytes)"


def url_of(base_url: str, reference: str) -> str:
    """The page of a publication, built from its reference."""
    kind = "alerte" if "-ALE-" in reference else "avis"
    return f"{base_url}/{kind}/{reference}/"


def year_of(reference: str) -> int:
    found = REFERENCE.fullmatch(reference)
    return int(found[1]) if found else 0


def _reference(value: object, kind: str) -> str:
    """The reference, or "" for anything that is not one of this kind."""
    name = value.strip() if isinstance(value, str) and len(value) < 200 else ""
    found = REFERENCE.fullmatch(name)
    return name if found and found[2] == MARKS[kind] else ""


def _listing(where: str, what: str, read: list[IndexEntry | None], dated: list[bool]) -> Listing:
    """One entry a reference (the newest), or the error when there is none; a doubt when much is unreadable."""
    entries: dict[str, IndexEntry] = {}
    for entry in read:
        if entry is not None:
            known = entries.get(entry.reference)
            if known is None or (entry.last_revision or date.min) > (known.last_revision or date.min):
                entries[entry.reference] = entry
    if not entries:
        raise ListingError(
            f"{where}: {what} holds {len(read)} entries, none of them with a reference such as CERTFR-2019-ALE-998"
        )
    unread, undated = read.count(None), sum(entry is not None for entry in read) - sum(dated)
    doubt = ""
    if unread * 10 > len(read) or undated * 2 > len(read):
        doubt = (
            f"{where}: of {len(read)} entries, {unread} could not be read and {undated} have no day that could be read"
        )
    return Listing(tuple(entries.values()), doubt)


def _text(tag: "Tag", name: str) -> str:
    found = tag.select_one(f"[class~={name}]")
    return " ".join(found.get_text(" ").split())[:2000] if found else ""
