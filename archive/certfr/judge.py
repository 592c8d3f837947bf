"""Decide publications for an inventory: the core of `vigie certfr judge`.

    judge --inventory DIR [--changelogs DIR] [--tracker FILE] [--notices FILE] [--publications PATH...] [REFERENCE...] [--json]

One JSON object a line: reference, verdict, package, installed, reason, evidence. Exit status: 0 decided, 2 wrong
arguments or unreadable files. Without --inventory it is this machine; without --publications, the archive's own.
"""

import argparse
import gzip
import json
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, cast

from archive import database, settings
from archive.certfr import inventory as inventories
from archive.certfr import notices, rows
from archive.certfr import tracker as trackers
from archive.certfr.changelogs import Changelogs, FolderChangelogs, MachineChangelogs, NoChangelogs
from archive.certfr.decide import Decider, reason_text
from archive.certfr.inventory import InventoryError
from archive.certfr.publication import REFERENCE, Publication, PublicationError, parse
from archive.certfr.tracker import TrackerError
from archive.certfr.verdict import Verdict

MAX_FILE = 512 * 1024 * 1024


class JudgeError(ValueError):
    """What was asked cannot be done; one line for the person who asked."""


def load_publications(references: Collection[str]) -> Iterator[Publication]:
    """The archive's own publications, newest revision first; all of them when no reference is given."""
    try:
        with database.reader(settings.load().data) as db:
            found = rows.bodies(db)
    except database.DatabaseError as error:
        raise JudgeError(f"{error}; or give the publications: --publications PATH") from None
    for reference, body in found:
        if not references or reference in references:
            try:
                yield parse(json.loads(body))
            except (ValueError, PublicationError) as error:
                raise JudgeError(f"{reference}: {error}") from None


def read_publications(paths: Iterable[Path], references: Collection[str] = ()) -> Iterator[Publication]:
    """Publications from files, each reference once: the first that is found counts."""
    seen: set[str] = set()
    for path in paths:
        for where, obj in objects(path):
            if not isinstance(obj, dict):
                raise JudgeError(f"{where}: not an object")
            reference = str(obj.get("reference", ""))
            if reference in seen or (references and reference not in references):
                continue
            seen.add(reference)
            try:
                yield parse(obj)
            except PublicationError as error:
                raise JudgeError(f"{where}: {error}") from None


def objects(path: Path) -> Iterator[tuple[str, object]]:
    """(where, decoded object) of a folder (searched through), a .json, or a .jsonl with or without .gz."""
    if path.is_dir():
        for child in sorted(path.rglob("*.json*")):
            if child.is_file():
                yield from objects(child)
        return
    try:
        if path.stat().st_size > MAX_FILE:
            raise JudgeError(f"{path}: larger than {MAX_FILE} bytes")
        if path.name.endswith((".jsonl", ".jsonl.gz")):
            with unpacked(path) as file:
                for number, line in enumerate(file, 1):
                    if line.strip():
                        yield f"{path}:{number}", json.loads(line)
        else:
            yield str(path), json.loads(path.read_bytes())
    except (OSError, EOFError, ValueError) as error:
        raise JudgeError(f"{path}: {error}") from None


def unpacked(path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.GzipFile(path)) if path.suffix == ".gz" else path.open("rb")


def read_machine(options: argparse.Namespace) -> Decider:
    """What decides for the inventory, its changelogs and the distribution's data, as the arguments say."""
    here = options.inventory is None
    inventory = inventories.read_machine() if here else inventories.read_folder(options.inventory)
    changelogs: Changelogs = MachineChangelogs() if here else NoChangelogs()
    if options.changelogs:
        if not options.changelogs.is_dir():
            raise JudgeError(f"{options.changelogs}: not a folder")
        changelogs = FolderChangelogs(options.changelogs, inventory.codename)
    data = None
    if options.tracker:
        data = trackers.read(options.tracker, inventory.codename, inventory.by_source.keys())
    kept = notices.read_machine(inventory) if here else None
    if options.notices:
        try:
            text = options.notices.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise JudgeError(f"{options.notices}: {error.strerror}") from None
        kept = notices.Notices(text, text)
    return Decider(inventory, changelogs, data, notices=kept)


def as_object(reference: str, verdict: Verdict, language: str) -> dict[str, object]:
    """The row that is printed."""
    return {
        "reference": reference,
        "verdict": verdict.verdict,
        "package": verdict.package,
        "installed": verdict.installed,
        "reason": reason_text(verdict, language),
        "reason_key": verdict.reason.key,
        "evidence": list(verdict.evidence),
    }


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(prog="vigie certfr judge", description="Decide publications for an inventory.")
    options.add_argument(
        "--inventory", type=Path, help="a folder: packages.tsv, os-release, uname (default: this machine)"
    )
    options.add_argument("--changelogs", type=Path, help="a folder of changelogs: <suite>/<source>.gz")
    options.add_argument("--tracker", type=Path, help="Debian's tracker JSON, or debsecan's feed of the suite")
    options.add_argument(
        "--notices",
        type=Path,
        help="what `dnf -C -q updateinfo list --with-cve` printed on that machine, with --updates and with --installed",
    )
    options.add_argument("--publications", type=Path, nargs="+", action="extend", default=[], metavar="PATH")
    options.add_argument("--language", choices=("en", "fr"), default="en")
    options.add_argument("--json", action="store_true", help="one JSON object a line")
    options.add_argument("references", nargs="*", metavar="REFERENCE")
    return options


def run(argv: Sequence[str]) -> int:
    """Print the verdicts; 0, or 2 with one line on standard error."""
    options = parser().parse_args(argv)
    # "--publications PATH... REFERENCE": what has a reference's form and is no file is one.
    names = [path for path in options.publications if REFERENCE.fullmatch(str(path)) and not path.exists()]
    options.publications = [path for path in options.publications if path not in names]
    asked = frozenset((*options.references, *map(str, names)))
    missing = set(asked)
    try:
        decider = read_machine(options)
        found = read_publications(options.publications, asked) if options.publications else load_publications(asked)
        for publication in found:
            missing.discard(publication.reference)
            row = as_object(publication.reference, decider.decide(publication), options.language)
            if options.json:
                print(json.dumps(row, ensure_ascii=False))
            else:
                print(f"{row['reference']}  {row['verdict']:<12}  {row['package']} {row['installed']}  {row['reason']}")
    except (JudgeError, InventoryError, TrackerError) as error:
        print(f"vigie certfr judge: {error}", file=sys.stderr)
        return 2
    if missing:
        where = (
            "in the files given" if options.publications else "in the archive; ./vigie certfr import brings files in"
        )
        print(f"vigie certfr judge: not {where}: {', '.join(sorted(missing))}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
