"""Incidents as an Atom feed (RFC 4287). Pure.

Ids are made of the machine's own id and the incident's number: they stay when the dashboard's address or the machine's
name changes, so a reader never shows an incident twice. `updated` is when its state last changed.
"""

import re
import uuid
from collections.abc import Sequence
from typing import NamedTuple
from xml.etree import ElementTree as ET  # writes only

from web.exports import utc

SPACE = "http://www.w3.org/2005/Atom"
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # in XML 1.0


class Entry(NamedTuple):
    number: int
    title: str
    summary: str
    opened_at: int
    updated_at: int
    level: str
    url: str


class Feed(NamedTuple):
    machine: str  # its own id (archive.read.Host.uid)
    title: str
    author: str
    url: str  # of this feed
    page: str  # of the page that it tells of
    language: str
    updated_at: int  # when there is no entry yet
    entries: Sequence[Entry]


def ident(machine: str, what: str) -> str:
    return f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'vigie:{machine}:{what}')}"


def written(feed: Feed) -> bytes:
    """The whole document, UTF-8."""
    ET.register_namespace("", SPACE)
    root = ET.Element(f"{{{SPACE}}}feed", {"{http://www.w3.org/XML/1998/namespace}lang": feed.language})
    updated = max((one.updated_at for one in feed.entries), default=feed.updated_at)
    _text(root, "id", ident(feed.machine, "incidents"))
    _text(root, "title", feed.title)
    _text(root, "updated", utc(updated))
    _link(root, "self", feed.url, "application/atom+xml")
    _link(root, "alternate", feed.page, "text/html")
    _text(ET.SubElement(root, f"{{{SPACE}}}author"), "name", feed.author)
    _text(root, "generator", "Vigie")
    for one in feed.entries:
        entry = ET.SubElement(root, f"{{{SPACE}}}entry")
        _text(entry, "id", ident(feed.machine, f"incident:{one.number}"))
        _text(entry, "title", one.title)
        _text(entry, "published", utc(one.opened_at))
        _text(entry, "updated", utc(max(one.updated_at, one.opened_at)))
        _link(entry, "alternate", one.url, "text/html")
        ET.SubElement(entry, f"{{{SPACE}}}category", {"term": one.level})
        _text(entry, "summary", one.summary)
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True))


def _text(parent: ET.Element, name: str, text: str) -> None:
    ET.SubElement(parent, f"{{{SPACE}}}{name}").text = _FORBIDDEN.sub("\ufffd", text)


def _link(parent: ET.Element, relation: str, url: str, kind: str) -> None:
    ET.SubElement(parent, f"{{{SPACE}}}link", {"rel": relation, "href": url, "type": kind})
