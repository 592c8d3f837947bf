"""One publication as it was received: its fields, its text, where it came from.

From the site's JSON, from its page, or from files that somebody brought to a machine without internet.
"""

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from archive.certfr.http import PAGE_LIMIT
from archive.certfr.index import what_is
from archive.certfr.markup import decode
from archive.certfr.page import PageError, as_body, to_object
from archive.certfr.publication import KIND_BY_MARK, Publication, PublicationError, parse

PAGES = (".html", ".htm")
TEXTS = (".json", ".jsonl", ".ndjson")


class DocumentError(ValueError):
    """Not a publication; the message says where and what was found, in one line."""


class Document(NamedTuple):
    """`body` is the JSON as it was served (or made from the page); `origin` is json, page or file."""

    publication: Publication
    body: str
    origin: str


def from_json(body: bytes, reference: str = "", origin: str = "json") -> Document:
    """The publication that a JSON answer holds; `DocumentError` unless it is the one of `reference` (when given)."""
    text = decode(body).removeprefix("\ufeff").strip()
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise DocumentError(f"expected a JSON object, found {what_is(body)}") from None
    if not isinstance(found, dict):
        raise DocumentError(f"expected a JSON object, found {what_is(body)}")
    return _checked(found, text, reference, origin)


def from_page(body: bytes, reference: str = "", content_type: str = "", origin: str = "page") -> Document:
    """The publication that an HTML page shows."""
    try:
        found = to_object(body, reference, content_type)
    except PageError as error:
        raise DocumentError(str(error)) from None
    return _checked(found, as_body(found), reference, origin)


def read_files(paths: Iterable[str | Path]) -> Iterator[Document | DocumentError]:
    """Every publication in the files, and in the files of the folders (sorted, depth first); one item a publication.

    `.json` holds one publication or an array of them, `.jsonl` one a line, `.html` a saved page. What cannot be read comes
    as a `DocumentError` that names the file (and the line), and the rest goes on. Other files in a folder are passed
    over; a symbolic link to a folder is not followed.
    """
    for path in paths:
        if os.path.isdir(path):
            for folder, folders, names in os.walk(path):
                folders.sort()
                chosen = [name for name in sorted(names) if name.lower().endswith((*PAGES, *TEXTS))]
                for name in chosen:
                    yield from _read_file(os.path.join(folder, name))
        else:
            yield from _read_file(os.fspath(path))


def _read_file(path: str) -> Iterator[Document | DocumentError]:
    name = path.lower()
    try:
        with open(path, "rb") as file:
            if name.endswith((".jsonl", ".ndjson")):
                while line := file.readline(PAGE_LIMIT + 1):
                    if line.strip():
                        yield _named(path, line)
                return
            body = file.read(PAGE_LIMIT * 32 + 1)
    except OSError as error:
        yield DocumentError(f"{path}: cannot be read: {error.strerror}")
        return
    if name.endswith(PAGES):
        yield _named(path, body, page=True)
    elif body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"["):
        yield from _array(path, body)
    else:
        yield _named(path, body)


def _array(path: str, body: bytes) -> Iterator[Document | DocumentError]:
    try:
        found = json.loads(decode(body).removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        yield DocumentError(f"{path}: expected JSON, found {what_is(body)}")
        return
    for entry in found:
        yield _named(path, json.dumps(entry).encode())


def _named(path: str, body: bytes, *, page: bool = False) -> Document | DocumentError:
    if len(body) > PAGE_LIMIT:
        return DocumentError(f"{path}: a publication of more than {PAGE_LIMIT} bytes: refused")
    try:
        return from_page(body, origin="file") if page else from_json(body, origin="file")
    except DocumentError as error:
        return DocumentError(f"{path}: {error}")


def _checked(found: dict[str, object], text: str, reference: str, origin: str) -> Document:
    try:
        publication = parse(found)
    except PublicationError as error:
        raise DocumentError(f"not a publication of CERT-FR: {error}") from None
    if reference and publication.reference != reference:
        raise DocumentError(f"expected {reference}, found {publication.reference}")
    if not any(f"-{mark}-" in publication.reference for mark in KIND_BY_MARK):
        raise DocumentError(f"{publication.reference}: neither an alert nor an advisory")
    return Document(publication, text, origin)
