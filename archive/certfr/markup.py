"""Bytes from the network -> text -> a tree that BeautifulSoup builds in bounded time.

Python's HTML parser, and the Rust one behind nh3, take time that grows with the square of the input for texts
made on purpose (200 kB of `<!--` took 25 s; 200,000 nested `<div>` took 197 s). So a text is tamed first, in one
linear pass: comments, scripts and styles go, a `<` that begins no plain tag becomes `&lt;`, and a page with
more tags or deeper nesting than any real one is refused. Real pages have about 1,200 tags, 30 deep.
"""

import codecs
import re
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bs4 import BeautifulSoup

MAX_TAGS = 60_000
MAX_DEPTH = 400
BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
CHARSET = re.compile(rb"""(?:charset|encoding)\s*=\s*["']?\s*([A-Za-z0-9_.:-]{1,40})""")
LATIN = ("iso-8859-1", "iso-8859-15", "latin-1", "latin1", "windows-1252", "cp1252")
ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")

# One plain tag. Attribute values hold no `<`, and every repeat is possessive: the match never looks back.
TAG = re.compile(
    r"""</?([A-Za-z][A-Za-z0-9:-]{0,40}+)(?=[\s/>])(?:[^<>"']++|"[^"<]*+"|'[^'<]*+')*+>""",
)
SKIPPED = ("<!--", "-->"), ("<!", ">"), ("<?", ">")
RAW = {
    name: re.compile(rf"</{name}\b", re.IGNORECASE | re.ASCII)
    for name in ("script", "style", "noscript", "template", "textarea", "xmp", "iframe", "svg", "math")
}
VOID = frozenset(
    (
        "area",
        "base",
        "br",
        "col",
        "embed",
        "hr",
        "img",
        "input",
        "link",
        "meta",
        "param",
        "source",
        "track",
        "wbr",
    )
)
# Any other name stands for itself: CERT-FR writes `<PID>` in its texts without escaping it.
# fmt: off
KNOWN = VOID | frozenset((
    "a", "abbr", "address", "article", "aside", "b", "blockquote", "body", "button", "caption", "center", "cite",
    "code", "colgroup", "dd", "del", "details", "dfn", "div", "dl", "dt", "em", "fieldset", "figcaption", "figure",
    "font", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "head", "header", "html", "i", "ins", "kbd", "label",
    "legend", "li", "main", "mark", "menu", "nav", "ol", "optgroup", "option", "p", "pre", "q", "s", "samp", "section", "select",
    "small", "span", "strike", "strong", "sub", "summary", "sup", "table", "tbody", "td", "tfoot", "th", "thead", "time",
    "title", "tr", "tt", "u", "ul", "var",
))
# fmt: on


class MarkupError(ValueError):
    """The text is not a page that can be read; the message says what was found, in one line."""


def decode(body: bytes, content_type: str = "") -> str:
    """The text of a body: never raises. NUL, other controls and lone surrogates become U+FFFD.

    UTF-8 that is valid is UTF-8, whatever the header says (a page declared latin-1 is often not); then what the
    byte order mark, the header or the first kilobyte declares; then windows-1252.
    """
    for mark, name in BOMS:
        if body.startswith(mark):
            return ILLEGAL.sub("\ufffd", body.decode(name, "replace"))
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        declared = CHARSET.search(content_type.encode("ascii", "replace") + b" " + body[:1024])
        latin = declared is not None and declared[1].decode("ascii").lower() in LATIN
        damaged = body.count(b"\xc3") > len(body) // 200 and not latin
        text = body.decode("utf-8" if damaged else "cp1252", "replace")
    return ILLEGAL.sub("\ufffd", text)


def tame(text: str, *, max_tags: int = MAX_TAGS, max_depth: int = MAX_DEPTH) -> str:
    """The same page with plain tags only. `MarkupError` when it has too many, or too deep. Linear in its length."""
    kept: list[str] = []
    position = tags = depth = 0
    if text.count("&") > max_tags:
        raise MarkupError(f"a page of {len(text)} characters with more than {max_tags} character references")
    absent: set[str] = set()  # ends that the rest of the text does not hold: looked for once only
    while (start := text.find("<", position)) >= 0:
        kept.append(text[position:start])
        if (end := _end_of_skipped(text, start, absent)) >= 0:
            position = end
            continue
        tags += 1
        if tags > max_tags or depth > max_depth:
            raise MarkupError(
                f"a page of {len(text)} characters with more than {max_tags} tags, or more than {max_depth} deep"
            )
        found = TAG.match(text, start)
        name = found[1].lower() if found else ""
        if found is not None and name in RAW:
            position = _end_of_raw(text, name, found, absent)
            continue
        if found is None or name not in KNOWN:
            kept.append("&lt;")
            position = start + 1
            continue
        position = found.end()
        if name not in VOID and not found[0].endswith("/>"):
            depth = max(0, depth + (-1 if text[start + 1] == "/" else 1))
        kept.append(found[0])
    kept.append(text[position:])
    return "".join(kept)


def soup(text: str) -> "BeautifulSoup":
    """The tree of a page, in bounded time; raises `MarkupError`."""
    return parsed(tame(text))


def parsed(text: str) -> "BeautifulSoup":
    """The tree of text that is tame already. A text that is nothing but an address is a text, not a mistake."""
    from bs4 import BeautifulSoup, MarkupResemblesLocatorWarning  # 60 ms of import, for the fallbacks only

    warnings.filterwarnings("ignore", category=MarkupResemblesLocatorWarning)
    return BeautifulSoup(text, "html.parser")


def _end_of_skipped(text: str, start: int, absent: set[str]) -> int:
    """Where a comment, declaration or processing instruction that begins at `start` ends; -1 when none does."""
    for opening, closing in SKIPPED:
        if text.startswith(opening, start):
            end = -1 if closing in absent else text.find(closing, start + len(opening))
            if end < 0:
                absent.add(closing)
                return -1
            return end + len(closing)
    return -1


def _end_of_raw(text: str, name: str, tag: re.Match[str], absent: set[str]) -> int:
    """Where the content of a script or the like ends: at its closing tag, else just after the opening one."""
    if tag[0].startswith("</") or tag[0].endswith("/>") or name in absent:
        return tag.end()
    closing = RAW[name].search(text, tag.end())
    if closing is None:
        absent.add(name)
        return tag.end()
    return closing.start()
