"""pygal's SVG, cleaned: only the tags and attributes listed here leave the house. Pure.

pygal writes a style sheet, scripts (one from another site), a style attribute, titles, comments with the day's date.
A strict Content-Security-Policy forbids most of it, and two renders never matched. What is not listed is dropped,
so a hostile label or a newer pygal cannot bring anything new in. Same data, same bytes.
"""

import re
from xml.etree.ElementTree import Element

TAGS = {"svg", "g", "path", "rect", "text", "line", "style"}
ATTRIBUTES = {
    "class", "d", "x", "y", "x1", "x2", "y1", "y2", "rx", "width", "height", "transform", "viewBox", "xmlns",
    "text-anchor", "role", "lang", "focusable", "aria-hidden", "aria-label", "aria-labelledby", "aria-describedby",
    "data-plot", "preserveAspectRatio",
}  # fmt: skip
_NUMBER = re.compile(r"-?\d+\.\d+(?:e-?\d+)?")
# What XML 1.0 cannot hold, and what would turn the reading direction.
_BAD = re.compile(
    "[^\t\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|[\u200e\u200f\u202a-\u202e\u2066-\u2069\u007f-\u009f]"
)
_BLANK = re.compile("[ \t\n\v\f\r\u0085\u2028\u2029]+")  # thin and fixed spaces stay
# pygal's own classes, and what they mean here. The others go: no rule of ours reads them.
_CLASSES = {
    "axis x": "axis x", "axis y": "axis y", "axis y always_show": "axis y", "axis x always_show": "axis x",
    "guide line": "guide", "major guide line": "guide", "major line": "base", "line": "base",
    "major": "major", "bar": "", "rect reactive tooltip-trigger": "bar", "text-overlay": "",
}  # fmt: skip
_OURS = re.compile(r"v-[a-z0-9-]+(?: v-[a-z0-9-]+)*")


def text(label: str, longest: int = 80) -> str:
    """A label that XML can hold, on one line, cut."""
    one_line = _BAD.sub("\ufffd", _BLANK.sub(" ", label).strip(" "))
    return one_line if len(one_line) <= longest else f"{one_line[: longest - 1]}…"


def number(value: float) -> str:
    """A coordinate to a tenth of a pixel, as short as can be."""
    short = f"{value:.1f}".removesuffix(".0")
    return "0" if short == "-0" else short


def cleaned(root: Element, axis: str = "") -> Element:
    """The tree without what is not listed, coordinates to 0.1. Changes it in place. `axis`: the one we are in."""
    _attributes(root)
    axis = root.get("class", "")[-1:] if root.get("class", "").startswith("axis") else axis
    for child in list(root):
        # A comment's tag is a function.
        if not isinstance(child.tag, str) or child.tag not in TAGS or _needless(child, axis):
            root.remove(child)
            continue
        cleaned(child, axis)
        child.tail = None
        if child.tag == "g" and not len(child):
            root.remove(child)
        elif child.tag == "g" and not child.attrib:
            place = list(root).index(child)
            root[place : place + 1] = list(child)
    return root


def _needless(node: Element, axis: str) -> bool:
    """Backgrounds and tooltips (the page has its own), and the lines of the time axis but where a day or a year begins."""
    kind = node.get("class", "")
    if axis == "y" and kind == "major":
        node.set("class", "")
    return (
        kind == "background"
        or "tooltip-overlay" in kind
        or (axis == "x" and node.tag == "path" and "major" not in kind)
    )


def _attributes(node: Element) -> None:
    for name, value in list(node.attrib.items()):
        if name not in ATTRIBUTES:
            del node.attrib[name]
        elif name == "class":
            kept = value if _OURS.fullmatch(value) else _CLASSES.get(value.strip(), "")
            if kept:
                node.set("class", kept)
            else:
                del node.attrib["class"]
        elif name in ("d", "x", "y", "x1", "x2", "y1", "y2", "width", "height", "transform", "rx"):
            node.set(name, _NUMBER.sub(lambda found: number(float(found[0])), value))
    if node.text is not None and node.tag != "style":
        node.text = text(node.text)
