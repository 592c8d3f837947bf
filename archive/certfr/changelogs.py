"""Where changelogs are found: a folder of them, or the machine's own /usr/share/doc and rpm.

Both answer `history(package)`: a `History`, or None when there is no changelog of that very version. Each
file is read once, when first asked for: most packages are never asked about.
"""

import gzip
import re
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from archive.certfr import changelog
from archive.certfr.changelog import Entry, History
from archive.certfr.inventory import DPKG, InventoryError, Package, ask
from archive.certfr.origin import THIRD_PARTY

MAX_BYTES = 16 * 1024 * 1024  # decompressed
# A name that could leave the folder is not looked for.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]*", re.ASCII)


class Changelogs(Protocol):
    def history(self, package: Package) -> History | None: ...


class NoChangelogs:
    """None at hand."""

    def history(self, package: Package) -> History | None:
        return None


class FolderChangelogs:
    """Changelogs saved in a folder: `<suite>/<source>.gz`, `<source>.gz`, or `<package>/changelog.Debian.gz`.

    Those of a suite may be of newer versions than what is installed: they are cut at the installed one.
    """

    def __init__(self, folder: Path, codename: str) -> None:
        self.folder = folder
        self.codename = codename
        self.known: dict[tuple[str, str], History | None] = {}

    def history(self, package: Package) -> History | None:
        key = (package.source_name, package.source_release)
        if key not in self.known:
            self.known[key] = self.find(package) if package.kind == DPKG else None
        return self.known[key]

    def find(self, package: Package) -> History | None:
        for path in self.paths(package):
            entries = changelog.parse_debian(read(path))
            found = changelog.cut(entries, package.source_release) or changelog.cut(entries, package.version)
            if found:
                return found
        return None

    def paths(self, package: Package) -> Iterable[Path]:
        for name in dict.fromkeys((package.source_name, package.name)):
            if not NAME.fullmatch(name):
                continue
            for folder in (self.folder / self.codename, self.folder):
                yield from (folder / f"{name}.gz", folder / name)
        if NAME.fullmatch(package.name):
            for ending in ("changelog.Debian.gz", "changelog.gz", "changelog.Debian", "changelog"):
                yield self.folder / package.name / ending


class MachineChangelogs:
    """This machine's own: the documentation of each package, or what rpm keeps with it."""

    def __init__(self, root: Path = Path("/"), run: Callable[[list[str]], str] = ask) -> None:
        self.doc = root / "usr/share/doc"
        self.run = run
        self.known: dict[tuple[str, str, str], History | None] = {}

    def history(self, package: Package) -> History | None:
        key = (package.kind, package.name, package.version)
        if key not in self.known:
            entries = self.debian(package) if package.kind == DPKG else self.rpm(package)
            self.known[key] = self.own(entries, package)
        return self.known[key]

    @staticmethod
    def own(entries: list[Entry], package: Package) -> History | None:
        """All of an installed package's changelog is held by it, even where the first entry is a rebuild's."""
        if not entries:
            return None
        return changelog.cut(entries, entries[0].version) or History(entries)

    def debian(self, package: Package) -> list[Entry]:
        """/usr/share/doc/<package> is at times a link to a sibling; links are followed, within the folder."""
        if not NAME.fullmatch(package.name):
            return []
        endings = ("changelog.Debian.gz", "changelog.gz", "changelog.Debian", "changelog")
        for ending in endings:
            path = (self.doc / package.name / ending).resolve()
            if path.is_relative_to(self.doc.resolve()) and path.is_file():
                entries = changelog.parse_debian(read(path))
                if entries:  # upstream's own changelog.gz is of another shape
                    return entries
        return []

    def rpm(self, package: Package) -> list[Entry]:
        if package.origin == THIRD_PARTY or not NAME.fullmatch(package.name):
            return []
        bare = package.version.partition(":")[2] or package.version
        try:
            return changelog.parse_rpm(self.run(["rpm", "-q", "--changelog", "--", f"{package.name}-{bare}"]))
        except InventoryError:
            return []


def read(path: Path) -> str:
    """The text of a changelog, compressed or not; "" when it is missing, damaged or too large to be one."""
    try:
        with path.open("rb") as plain:
            if path.suffix != ".gz":
                return plain.read(MAX_BYTES).decode("utf-8", "replace")
            with gzip.GzipFile(fileobj=plain) as unpacked:
                return unpacked.read(MAX_BYTES).decode("utf-8", "replace")
    except (OSError, EOFError, zlib.error):
        return ""
