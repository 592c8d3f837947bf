"""An alert's or advisory's own HTML page -> the object that its JSON would have been.

For when the JSON cannot be had. Two generations of markup are read: today's, and that of 2018-2023 (`Risque(s)`,
`Systèmes affecté(s)`, links inside their list items). A page says less than the JSON: no vendor or product beside a
line, the closing date only as a sentence in its history, which some closed alerts lack.
"""

import json
import re
from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING

from archive.certfr.dates import french_day
from archive.certfr.index import REFERENCE, what_is
from archive.certfr.markup import MarkupError, decode, soup
from archive.certfr.publication import CVE, Publication, PublicationError, parse
from archive.certfr.safe import fold
from archive.certfr.safe import title as one_line

if TYPE_CHECKING:
    from bs4 import BeautifulSoup, Tag

NAMED = ("risque", "systeme", "resume", "documentation")
NOT_SAID = {"name": "N/A", "vendor": {"name": "N/A", "scada": False}}


class PageError(ValueError):
    """Not the page of a publication; the message says what was found, in one line."""


def parse_page(body: bytes, reference: str = "", content_type: str = "") -> Publication:
    """The publication of a page; `PageError` unless it is the one of `reference` (when given)."""
    try:
        return parse(to_object(body, reference, content_type))
    except PublicationError as error:
        raise PageError(f"a page of CERT-FR that does not read as a publication: {error}") from None


def to_object(body: bytes, reference: str = "", content_type: str = "") -> dict[str, object]:
    """The JSON-shaped object of a page. An alert whose history does not tell its end has `closed_at` None."""
    text = decode(body, content_type)
    if "</html>" not in text[-2000:].lower():
        raise PageError(f"expected the page of a publication, found a page cut short: {what_is(body)}")
    try:
        tree = soup(text)
    except MarkupError as error:
        raise PageError(f"expected the page of a publication, found {error}") from None
    facts = _facts(tree)
    named = facts.get("reference", "")
    known = REFERENCE.fullmatch(named)
    headings = [one_line(heading.get_text())[:40] for heading in tree.find_all("h2")]
    if known is None or not facts.get("titre"):
        raise PageError(f"expected the page of a publication, found {what_is(body)} with the headings {headings[:12]}")
    if reference and named != reference:
        raise PageError(f"expected the page of {reference}, found that of {named}")
    sections = dict(_sections(tree))
    if not sections:
        raise PageError(f"the page of {named} has no section that could be read: its markup has changed")
    revisions = list(_revisions(tree)) or list(_revisions_of_table(facts))
    if not revisions:
        raise PageError(f"the page of {named} has no date that could be read; headings: {headings[:12]}")
    sources = {line for line in facts.get("source", "").split("\n") if line}
    systems = sections.pop("systeme", [])
    titled = list(_documentation(sections.pop("documentation", [])))
    found: dict[str, object] = {
        "reference": named,
        "title": facts["titre"],
        "risks": [{"description": line} for line in _lines(sections.pop("risque", []))],
        "affected_systems": [{"description": line, "product": NOT_SAID} for line in _lines(systems)],
        "affected_systems_content": "" if _lines(systems) else _html(systems),
        "summary": _html(sections.pop("resume", [])),
        "content": "\n".join(f"<h2>{name}</h2>\n{_html(tags)}" for name, tags in sections.items()),
        "cves": [{"name": name} for name in dict.fromkeys(_cves(titled))],
        "vendor_advisories": [
            {"title": title, "url": url, "published_at": None} for title, url in titled if title in sources
        ],
        "links": [{"title": title, "url": url} for title, url in titled if title not in sources and not _is_cve(title)],
        "revisions": [{"revision_date": day.isoformat(), "description": told} for day, told in revisions],
    }
    if known[2] == "ALE":
        ends = [day for day, told in revisions if fold(told).startswith("cloture")]
        found["closed_at"] = max(ends).isoformat() if ends else None
    return found


def as_body(found: dict[str, object]) -> str:
    """The object as the text that is kept in place of the site's JSON."""
    return json.dumps(found, ensure_ascii=False, sort_keys=True)


def _facts(tree: "BeautifulSoup") -> dict[str, str]:
    """The table "Gestion du document": folded label -> value; the heading and the number where there is no table."""
    facts: dict[str, str] = {}
    for row in tree.select("table tr"):
        cells = row.find_all("td", recursive=False)
        if len(cells) == 2:
            label = fold(cells[0].get_text(" ")).replace("(s)", "")
            for line_break in cells[1].find_all("br"):
                line_break.replace_with("\n")
            lines = (one_line(line, 1000) for line in cells[1].get_text().split("\n"))
            value = [line for line in lines if line]
            facts.setdefault(label, "\n".join(value) if label.startswith("source") else " ".join(value))
    if "titre" not in facts and (heading := tree.find("h1")):
        facts["titre"] = re.sub(r"^Objet\s*:\s*", "", one_line(heading.get_text(" "), 1000))
    if "reference" not in facts:
        right = tree.select_one(".meta-droite")
        named = re.search(r"CERT(?:FR|A)-\d{4}-[A-Z]{3}-\d{3,5}", right.get_text(" ")) if right else None
        facts["reference"] = named[0] if named else ""
    facts["source"] = next((value for label, value in facts.items() if label.startswith("source")), "")
    return facts


def _sections(tree: "BeautifulSoup") -> Iterator[tuple[str, list["Tag"]]]:
    """(name, the tags up to the next heading) of the content; the four known names folded, others as written."""
    from bs4 import Tag

    content = tree.select_one("section.article-content, .article-content")
    for heading in content.find_all("h2") if content else ():
        tags: list[Tag] = []
        for sibling in heading.next_siblings:
            if isinstance(sibling, Tag):
                if sibling.name == "h2" or sibling.find("h2"):
                    break
                tags.append(sibling)
        written = one_line(heading.get_text(" "))
        folded = fold(written)
        yield (
            next(
                (name for name in ("risque", "systeme", "resume", "documentation") if folded.startswith(name)),
                written,
            ),
            tags,
        )


def _lines(tags: list["Tag"]) -> list[str]:
    items = [item for tag in tags for item in tag.find_all("li")]
    return [line for item in items if (line := one_line(item.get_text(" "), 2000))]


def _html(tags: list["Tag"]) -> str:
    """The tags as HTML without indentation: four spaces would be code in the Markdown that the JSON holds."""
    lines = (line.strip() for tag in tags for line in str(tag).splitlines())
    return "\n".join(line for line in lines if line)


def _documentation(tags: list["Tag"]) -> Iterator[tuple[str, str]]:
    """(title, address): the link stands after its list item (2024 on), or inside it (before)."""
    for tag in tags:
        for item in tag.find_all("li"):
            inside = item.find("a", href=True)
            link = inside or item.find_next_sibling()
            if link is None or link.name != "a":
                yield one_line(item.get_text(" "), 1000), ""
                continue
            url = str(link.get("href", ""))
            title = one_line(item.get_text(" "), 1000)
            if inside:
                title = title.replace(one_line(inside.get_text(" "), 1000), "").strip() or title
            yield title, url


def _is_cve(title: str) -> bool:
    return fold(title).startswith("reference cve")


def _cves(titled: list[tuple[str, str]]) -> Iterator[str]:
    for title, url in titled:
        if _is_cve(title):
            yield from CVE.findall(title) or CVE.findall(url)


def _revisions(tree: "BeautifulSoup") -> Iterator[tuple[date, str]]:
    footer = tree.select_one("section.article-footer, .article-footer")
    terms = footer.find_all(("dt", "li")) if footer else []
    for term in terms:
        text = one_line(term.get_text(" "), 1000)
        day = french_day(text)
        told = term.find_next_sibling()
        if day is None:
            continue
        if term.name == "dt" and told is not None and told.name == "dd":
            yield day, one_line(told.get_text(" "), 1000)
        else:
            yield day, re.sub(r"^.{0,20}?\d{4}\s*[:;,.–-]?\s*", "", text)


def _revisions_of_table(facts: dict[str, str]) -> Iterator[tuple[date, str]]:
    for label, told in (
        ("date de la premiere version", "Version initiale"),
        ("date de la derniere version", ""),
    ):
        if day := french_day(facts.get(label, "")):
            yield day, told
