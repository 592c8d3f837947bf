"""The one door by which markup made elsewhere enters a page.

Jinja escapes every text but what says of itself, by `__html__`, that it is markup. `Own` is the only class of ours that
does, it can be made here alone, and each way of making it looks at what it lets in: a graph may hold the elements of a
graph, data of a script nothing that ends a script. Joined with a text it becomes a plain text, and is escaped again.
"""

import json
import re
from dataclasses import dataclass

from archive.certfr.safe import TAGS as PUBLICATION_TAGS


@dataclass(frozen=True, slots=True)
class Own:
    """Markup of ours. `''` is false, so that a template may ask whether there is any."""

    markup: str

    def __html__(self) -> str:
        return self.markup

    def __str__(self) -> str:
        return self.markup

    def __bool__(self) -> bool:
        return bool(self.markup)


class ForeignError(ValueError):
    """Markup that was to enter a page holds an element that has no business there."""


# Every `<` begins an element of these, or ends one. A text in a graph has none: alerts/chart_filter.py writes `&lt;`.
_GRAPH = re.compile(r"<(?!/?(?:svg|g|path|rect|text|line)[\s/>])")
_PUBLICATION = re.compile(rf"<(?!/?(?:{'|'.join(sorted(PUBLICATION_TAGS))})[\s/>])")
_ENDS = re.compile("[<>&\u2028\u2029]")


def picture(svg: str) -> Own:
    """A graph of ours: built by alerts/chart.py, passed through its filter, every text in it escaped there."""
    return Own(_only(_GRAPH, svg))


def publication(html: str) -> Own:
    """A text of CERT-FR as archive/certfr/safe.py gave it: a few plain tags, links to the site alone."""
    return Own(_only(_PUBLICATION, html))


def data(value: object) -> Own:
    """JSON that a script reads from within a page: no character in it can end the element."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return Own(_ENDS.sub(lambda found: f"\\u{ord(found[0]):04x}", text))


def rendered(html: str) -> Own:
    """What a template of ours gave a moment ago, kept for the next reader: escaped when it was rendered."""
    return Own(html)


def _only(foreign: re.Pattern[str], markup: str) -> str:
    found = foreign.search(markup)
    if found:
        raise ForeignError(f"foreign markup at character {found.start()}: {markup[found.start() :][:40]!r}")
    return markup
