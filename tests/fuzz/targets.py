"""What a coverage-guided fuzzer throws bytes at: the two parsers that read what others wrote. Each target raises AssertionError when
its parser answers with anything but a well-formed result or its own error in one line."""

import hashlib
import math
import os
from collections.abc import Callable

from archive import text
from archive.certfr import document, lines, safe
from archive.certfr.http import PAGE_LIMIT
from archive.certfr.publication import canonical

CORPUS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus")
LONGEST_SAID = 2000  # characters of an error


def probe_text(data: bytes) -> None:
    """archive/text.py: what a probe printed."""
    try:
        found = text.parse(data)
    except text.TextError as error:
        _one_line(str(error))
        return
    assert found == text.parse(data), "the same bytes twice are two results"
    assert len(found.samples) <= text.MAX_SERIES
    for sample in found.samples:
        assert math.isfinite(sample.value), sample
        assert sample.metric in found.metrics, sample
        assert list(sample.labels) == sorted(sample.labels), sample
        _visible(sample.metric, *(part for pair in sample.labels for part in pair))
    for name, labels in found.facts:
        _visible(name, *(part for pair in labels for part in pair))
    for metric in found.metrics.values():
        _visible(metric.name, metric.help, metric.help_fr)


def publication(data: bytes) -> None:
    """archive/certfr: a publication's JSON, or its page (a body that begins with `<`)."""
    body = data[:PAGE_LIMIT]
    read = document.from_page if body.lstrip()[:1] == b"<" else document.from_json
    try:
        found = read(body)
    except document.DocumentError as error:
        _one_line(str(error))
        return
    made = found.publication
    # As archive/certfr/store.py keeps and compares it.
    hashlib.sha256(canonical(made).encode()).digest()
    _visible(made.reference, made.title, *made.risks, *made.cves)
    for body_of in (made.summary, made.content, made.systems_note):
        html = safe.to_html(body_of)
        for forbidden in ("<script", "<style", "<iframe", "<object", "<svg", "<img", " style=", "javascript:"):
            assert forbidden not in _tags(html), (forbidden, html[:500])
        safe.to_text(body_of)
    for system in made.systems:
        lines.parse(system.description)


TARGETS: dict[str, Callable[[bytes], None]] = {"probe_text": probe_text, "publication": publication}


def _tags(html: str) -> str:
    """What stands inside of tags, lower case: text may say anything."""
    inside, depth = [], False
    for char in html:
        if char == "<":
            depth = True
        if depth:
            inside.append(char)
        if char == ">":
            depth = False
    return "".join(inside).lower()


def _one_line(said: str) -> None:
    assert said, "an error that says nothing"
    assert "\n" not in said, said
    assert "\r" not in said, said
    assert len(said) <= LONGEST_SAID, len(said)


def _visible(*parts: str) -> None:
    for part in parts:
        assert not any(char < " " or "\x7f" <= char < "\xa0" for char in part), ascii(part)
        part.encode()  # no lone surrogate: SQLite could not keep it
