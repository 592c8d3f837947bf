"""The catalogue of messages: rooms' .po files -> one .mo, and what is missing or no longer said.

`python -m alerts.words compile` writes `translations/fr/LC_MESSAGES/vigie.mo`; `python -m alerts.words missing` lists
msgids of the code and templates that have no French, and French that nothing says any more.
"""

import ast
import io
import os
import re
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from jinja2.ext import babel_extract

from alerts.words import DOMAIN, TRANSLATIONS
from archive.settings import ROOT

FOLDERS = ("alerts", "web", "templates")
KEYWORDS = {
    "_": None,
    "_n": (1, 2),
    "N_": None,
    "gettext": None,
    "lazy_gettext": None,
    "ngettext": (1, 2),
}
PLACE = re.compile(r"%\(\w+\)[a-z]")

# A message, or (singular, plural).
Ident = str | tuple[str, ...]
# The .mo file must not change with the day it is made.
_MADE = datetime(2026, 1, 1, tzinfo=UTC)


class CatalogueError(Exception):
    """The rooms' files cannot be merged: says which, which message, and why."""


class Said(NamedTuple):
    """A message of the code: where it stands first."""

    ident: Ident
    path: str
    line: int


def rooms(language: str = "fr") -> list[str]:
    """The rooms' files, by name."""
    folder = os.path.join(TRANSLATIONS, language)
    return sorted(os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".po"))


def merged(language: str = "fr") -> Catalog:
    """All rooms' messages in one catalogue. Two rooms may say one message, the same way."""
    whole = Catalog(language, domain=DOMAIN, project=DOMAIN, fuzzy=False, creation_date=_MADE, revision_date=_MADE)
    homes: dict[Ident, str] = {}
    for path in rooms(language):
        name = os.path.basename(path)
        with open(path, "rb") as file:
            room = read_po(file, locale=language, abort_invalid=True)
        for message in room:
            if not message.id or not translated(message):
                continue
            ident = _ident(message)
            known = whole.get(message.id)
            if known and _forms(known) != _forms(message):
                raise CatalogueError(f"{name}: {ident!r} is said otherwise in {homes.get(ident)}: keep one")
            check(message, name)
            homes[ident] = name
            whole.add(message.id, message.string)
    return whole


def _ident(message: Message) -> Ident:
    return message.id if isinstance(message.id, str) else tuple(message.id)


def _forms(message: Message) -> tuple[str, ...]:
    said = message.string
    return (said or "",) if said is None or isinstance(said, str) else tuple(part or "" for part in said)


def translated(message: Message) -> bool:
    """Whether every form has words, and nobody marked it as a guess."""
    return not message.fuzzy and all(_forms(message))


def check(message: Message, name: str) -> None:
    """The French fills in what the English fills in: else a page would fail in one language only."""
    ident = _ident(message)
    singular, plural = (ident, ident) if isinstance(ident, str) else (ident[0], ident[-1])
    allowed = set(PLACE.findall(singular)) | set(PLACE.findall(plural))
    for form in _forms(message):
        extra = set(PLACE.findall(form)) - allowed
        if extra:
            raise CatalogueError(f"{name}: {ident!r}: the French fills in {sorted(extra)}, the English does not")
    lacking = set(PLACE.findall(plural)) - set(PLACE.findall(_forms(message)[-1]))
    if lacking:
        raise CatalogueError(f"{name}: {ident!r}: the French leaves out {sorted(lacking)}")


def compiled(language: str = "fr") -> bytes:
    """The .mo file's bytes; the same rooms give the same bytes."""
    out = io.BytesIO()
    write_mo(out, merged(language))
    return out.getvalue()


def target(language: str = "fr") -> str:
    return os.path.join(TRANSLATIONS, language, "LC_MESSAGES", f"{DOMAIN}.mo")


def compile_all(language: str = "fr") -> str:
    """Write the .mo file, whole or not at all. Returns its path."""
    path = target(language)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    aside = f"{path}.{os.getpid()}"
    with open(aside, "wb") as file:
        file.write(compiled(language))
    os.replace(aside, path)
    return path


def said() -> dict[Ident, Said]:
    """Every message of the code and the templates, with its first place."""
    found: dict[Ident, Said] = {}
    for path in _sources():
        method: Any = "python" if path.endswith(".py") else _jinja
        with open(path, "rb") as file:
            for line, ident, *_rest in extract(method, file, KEYWORDS, options={"silent": "false"}):
                found.setdefault(ident, Said(ident, os.path.relpath(path, ROOT), line))
        if path.endswith(".py"):
            for line, word in _within_f_strings(path):
                found.setdefault(word, Said(word, os.path.relpath(path, ROOT), line))
    return found


def _within_f_strings(path: str) -> Iterable[tuple[int, str]]:
    """Babel reads tokens, and before Python 3.12 an f-string is one token: what is said inside is looked up here."""
    with open(path, "rb") as file:
        tree = ast.parse(file.read(), path)
    for outer in ast.walk(tree):
        for node in ast.walk(outer) if isinstance(outer, ast.JoinedStr) else ():
            if not isinstance(node, ast.Call) or not node.args or not isinstance(node.args[0], ast.Constant):
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in ("_", "gettext") and isinstance(node.args[0].value, str):
                yield node.lineno, node.args[0].value


def _jinja(file: Any, keywords: Mapping[str, Any], tags: Iterable[str], options: Mapping[str, Any]) -> list[Any]:
    """Jinja's own extractor, in the shape that Babel calls."""
    found = babel_extract(file, list(keywords), list(tags), dict(options))
    return [(line, function, message, comments) for line, function, message, comments in found]


def _sources() -> Iterable[str]:
    for folder in FOLDERS:
        for parent, folders, names in os.walk(os.path.join(ROOT, folder)):
            folders[:] = sorted(name for name in folders if name not in ("__pycache__", "translations"))
            for name in sorted(names):
                if name.endswith((".py", ".html", ".txt", ".xml", ".ics")):
                    yield os.path.join(parent, name)


def missing(language: str = "fr") -> tuple[list[Said], list[Ident]]:
    """(said without a translation, translated and never said)."""
    known = {_ident(message) for message in merged(language) if message.id}
    here = said()
    # A plural's catalogue entry also answers for its singular alone.
    singles = {ident[0] for ident in known if isinstance(ident, tuple)}
    untold = [place for ident, place in here.items() if ident not in known and ident not in singles]
    orphans = [ident for ident in known if ident not in here]
    return untold, sorted(orphans, key=str)


def main(arguments: list[str]) -> int:
    """`compile` or `missing`."""
    if arguments == ["compile"]:
        print(compile_all())
        return 0
    if arguments == ["missing"]:
        untold, orphans = missing()
        for place in untold:
            print(f"{place.path}:{place.line}: no French: {place.ident!r}")
        for ident in orphans:
            print(f"nothing says: {ident!r}")
        return 1 if untold or orphans else 0
    print("type: python -m alerts.words compile|missing", file=sys.stderr)
    return 2
