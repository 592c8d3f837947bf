"""Texts of a publication made safe to show: Markdown and HTML -> a small HTML; -> plain text; titles.

CERT-FR writes Markdown with HTML in it (`<span class="important-content">`), a few old texts are HTML alone. All of it
is hostile. markdown-it renders, nh3 (a parser that follows the HTML standard) keeps the tags below and nothing else:
no image, no style, no script, no attribute but `href`. A link stays a link only to the site itself or the configured
mirror, over https; any other address is shown as text, to be read before it is copied.
"""

import html
import re
import unicodedata
from typing import TYPE_CHECKING

from archive.certfr.markup import ILLEGAL, MarkupError, parsed, tame

if TYPE_CHECKING:
    from bs4 import Tag

SITE = "https://www.cert.ssi.gouv.fr"
MAX_TEXT = 60_000  # characters rendered; the longest seen has 14,054
MAX_TITLE = 300
MAX_TAGS = 5_000
MAX_DEPTH = 60
# fmt: off
TAGS = frozenset((
    "a", "b", "blockquote", "br", "code", "dd", "dl", "dt", "em", "h3", "h4", "h5", "i", "li", "ol", "p", "pre",
    "strong", "sub", "sup", "table", "tbody", "td", "th", "thead", "tr", "ul",
))
# fmt: on
REL = "noopener noreferrer nofollow"
# Controls, line and paragraph separators, direction marks and overrides, zero-width characters, lone surrogates.
UNWANTED = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]+"
)
BLOCKS = frozenset(("p", "h3", "h4", "h5", "pre", "blockquote", "table", "ul", "ol", "dl", "dt", "dd"))
CUT = "\u2026"


def title(text: str, most: int = MAX_TITLE) -> str:
    """One line, at most `most` characters, nothing in it that hides, turns or breaks a line. Text, never HTML."""
    text = unicodedata.normalize("NFC", UNWANTED.sub(" ", text[: most * 20]))
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1].rstrip() + CUT


def fold(text: str) -> str:
    """For comparing words: no accents, no capitals, one space between."""
    plain = unicodedata.normalize("NFKD", text).casefold()
    return " ".join("".join(char for char in plain if not unicodedata.combining(char)).split())


def is_link(url: str, mirror: str = "") -> bool:
    """Whether an address may be a link: https, on the site or the configured mirror, nothing odd in it."""
    if not url.isascii() or any(char in url for char in " \"'<>\\`") or not url.isprintable():
        return False
    return any(base and url.startswith(f"{base}/") for base in (SITE, mirror if mirror.startswith("https://") else ""))


def to_html(text: str, *, mirror: str = "", markdown: bool = True) -> str:
    """A safe HTML fragment of a Markdown (or, with `markdown=False`, HTML) text; "" for an empty one. Never raises."""
    text = ILLEGAL.sub("\ufffd", text).strip()
    if not text:
        return ""
    cut = len(text) > MAX_TEXT
    text = text[:MAX_TEXT]
    end = f"<p>{CUT}</p>" if cut else ""
    try:
        rendered = tame(_render(text) if markdown else text, max_tags=MAX_TAGS, max_depth=MAX_DEPTH)
    except MarkupError:  # made to be heavy: shown as the characters it is made of
        return f"<pre>{html.escape(text)}</pre>{end}"
    return _final(_with_links(_demoted(rendered), mirror)) + end


def to_text(text: str, *, mirror: str = "", markdown: bool = True) -> str:
    """The same as plain text, for mails: paragraphs apart, list items after a dash, addresses written out."""
    tree = parsed(to_html(text, mirror=mirror, markdown=markdown))
    lines = [line.strip() for line in _words(tree).split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _words(tag: "Tag", raw: bool = False) -> str:
    """The text under a tag, with the line breaks that its blocks stand for. `raw`: inside <pre>, spaces count."""
    from bs4 import Tag

    parts = []
    for node in tag.children:
        if not isinstance(node, Tag):
            parts.append(str(node) if raw else re.sub(r"\s+", " ", str(node)))
            continue
        inner = _words(node, raw or node.name == "pre")
        if node.name == "li":
            parts.append("\n- " + re.sub(r"\s*\n\s*", "\n", inner.strip()))
        elif node.name == "br":
            parts.append("\n")
        elif node.name in ("td", "th"):
            parts.append(inner.strip() + " | ")
        elif node.name == "tr":
            parts.append("\n" + re.sub(r"\s*\|\s*", " | ", inner).strip(" |\n"))
        elif node.name == "a":
            parts.append(f"{inner} ({node.get('href')})")
        elif node.name in BLOCKS:
            parts.append(f"\n\n{inner if raw else inner.strip()}\n\n")
        else:
            parts.append(inner)
    return "".join(parts)


def _render(text: str) -> str:
    from markdown_it import MarkdownIt

    # HTML stays in: the texts mix both, and nh3 has the last word.
    rendered: str = MarkdownIt("commonmark", {"html": True, "maxNesting": 20}).enable("table").render(text)
    return rendered


def _demoted(rendered: str) -> str:
    """Headings below those of the page that shows them."""
    return re.sub(r"<(/?)h[12]\b", r"<\1h3", rendered)


def _with_links(rendered: str, mirror: str) -> str:
    """Every link that is not the site's own becomes its text, followed by the address when it says something else."""
    tree = parsed(_clean(rendered, {"a": {"href"}}))
    for link in tree.find_all("a"):
        _judge(link, mirror)
    return str(tree)


def _judge(link: "Tag", mirror: str) -> None:
    url = str(link.get("href", ""))
    if url.startswith("/") and not url.startswith("//"):
        url = SITE + url
    if is_link(url, mirror):
        link.attrs = {"href": url, "rel": REL}
        return
    if re.match(r"https?://", url) and url not in link.get_text():
        link.append(f" ({title(url, 500)})")
    link.unwrap()


def _clean(rendered: str, attributes: dict[str, set[str]]) -> str:
    import nh3

    cleaned: str = nh3.clean(
        rendered,
        tags=set(TAGS),
        attributes=attributes,
        clean_content_tags={"script", "style"},
        url_schemes={"https", "http"},
        link_rel=None,
        strip_comments=True,
    )
    return cleaned


def _final(rendered: str) -> str:
    """The last word is nh3's, whatever came before it."""
    return _clean(rendered, {"a": {"href", "rel"}}).strip()
