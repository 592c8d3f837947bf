"""Debian's own security data, from a file: the tracker's JSON, or debsecan's feed of one suite.

The JSON is near 80 MB on one line: it is read piece by piece, and only what concerns the installed source
packages and their suite is kept. Its rule: a source version at or above `fixed_version` has the fix ("0" means
never affected); `open` has none, unless Debian holds it for unimportant; anything else says nothing.

The feed lists exact versions, which cries wolf on every upload in between: only the smallest version marked for
the suite (+deb12u3 among +deb12u3, +deb12u5...) is taken from it, and compared in the same way.
"""

import codecs
import gzip
import json
import re
import zlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import IO, NamedTuple, cast

from archive import rights
from archive.certfr.releases import DEBIAN
from archive.certfr.versions import VersionError, compare_dpkg

MAX_BYTES = 150 * 1024 * 1024  # decoded; 79 MB in 2026
PIECE = 1 << 20
NUMERIC = frozenset(("", *"0123456789.eE+-"))  # what may follow a number that was cut; "" is the window's end
FIXED, VULNERABLE, UNIMPORTANT = "fixed", "vulnerable", "unimportant"
UNDETERMINED, UNKNOWN = "undetermined", "unknown"  # Debian does not know; Debian does not say


class TrackerError(ValueError):
    """The file is not Debian's data; one line that names it."""


class Issue(NamedTuple):
    """What Debian says of one CVE in one source of one suite. `fixed_version` "" : no fix yet."""

    status: str  # resolved, open, undetermined
    fixed_version: str
    urgency: str
    note: str  # "Minor issue": no update is planned


class Ruling(NamedTuple):
    place: str  # FIXED, VULNERABLE, UNIMPORTANT, UNDETERMINED, UNKNOWN
    fixed_version: str = ""
    note: str = ""


class Tracker:
    """Issues by source package and CVE id, for one suite."""

    def __init__(self, suite: str, issues: Mapping[str, Mapping[str, Issue]]) -> None:
        self.suite = suite
        self.issues = issues

    def rule(self, source: str, cve: str, installed: str) -> Ruling:
        """`installed` is the source version; a CVE the tracker does not list for the source proves nothing."""
        issue = self.issues.get(source, {}).get(cve)
        if issue is None:
            return Ruling(UNKNOWN)
        if issue.status == "resolved" and issue.fixed_version:
            try:
                done = issue.fixed_version == "0" or compare_dpkg(installed, issue.fixed_version) >= 0
            except VersionError:
                return Ruling(UNKNOWN)
            return Ruling(FIXED if done else VULNERABLE, issue.fixed_version)
        if issue.status == "open":
            # "**" marks an urgency the tracker set by itself.
            unimportant = issue.urgency.strip("*") == "unimportant"
            return Ruling(UNIMPORTANT if unimportant else VULNERABLE, "", issue.note)
        return Ruling(UNDETERMINED)


def read(path: Path, suite: str, sources: Collection[str]) -> Tracker:
    """Read a file of either kind, compressed or not, for one suite and the sources that are installed."""
    try:
        with path.open("rb") as file:
            head = file.read(2)
            file.seek(0)
            if head[:1] == b"\x78" and head != b"x ":
                return feed(inflate(file.read(MAX_BYTES), path), suite, sources)
            stream = cast(IO[bytes], gzip.GzipFile(fileobj=file) if head == b"\x1f\x8b" else file)
            first = stream.read(7)
            stream.seek(0)
            if first == b"VERSION":
                return feed(stream.read(MAX_BYTES).decode("utf-8", "replace"), suite, sources)
            return Tracker(suite, tracker_issues(stream, suite, sources))
    except (OSError, EOFError, zlib.error) as error:
        raise TrackerError(f"{path}: cannot be read: {error}") from None
    except ValueError as error:
        raise TrackerError(f"{path}: not Debian's data: {error}") from None


def inflate(body: bytes, path: Path) -> str:
    """The feed as served is a bare zlib stream, not gzip."""
    unpacker = zlib.decompressobj()
    text = unpacker.decompress(body, MAX_BYTES)
    if unpacker.unconsumed_tail:
        raise TrackerError(f"{path}: more than {MAX_BYTES} bytes once decompressed")
    return text.decode("utf-8", "replace")


def write(found: Tracker, path: Path) -> None:
    """Keep what was read, in the tracker's own form, in place of the whole: `read` takes it back."""
    body = {
        source: {
            cve: {
                "releases": {
                    found.suite: {
                        "status": issue.status,
                        **({"fixed_version": issue.fixed_version} if issue.fixed_version else {}),
                        **({"urgency": issue.urgency} if issue.urgency else {}),
                        **({"nodsa": issue.note} if issue.note else {}),
                    }
                }
            }
            for cve, issue in issues.items()
        }
        for source, issues in found.issues.items()
    }
    beside = path.with_name(f"{path.name}.new")
    beside.write_text(json.dumps(body, separators=(",", ":")), encoding="utf-8")
    beside.chmod(rights.of_file(str(beside)))
    beside.replace(path)


# --- the tracker's JSON -----------------------------------------------------------------------------


def tracker_issues(stream: IO[bytes], suite: str, sources: Collection[str]) -> dict[str, dict[str, Issue]]:
    kept: dict[str, dict[str, Issue]] = {}
    for source, value in members(stream):
        if source in sources and isinstance(value, dict):
            kept[source] = {
                cve: issue for cve, entry in value.items() if (issue := read_issue(entry, suite)) is not None
            }
    return kept


def read_issue(entry: object, suite: str) -> Issue | None:
    """One CVE's state in the suite; any key may be missing, unknown ones are passed over."""
    releases = entry.get("releases") if isinstance(entry, dict) else None
    state = releases.get(suite) if isinstance(releases, dict) else None
    if not isinstance(state, dict):
        return None
    words = {key: value if isinstance(value, str) else "" for key, value in state.items()}
    return Issue(
        words.get("status", ""),
        words.get("fixed_version", ""),
        words.get("urgency", ""),
        words.get("nodsa", ""),
    )


def members(stream: IO[bytes]) -> Iterator[tuple[str, object]]:
    """The members of one large JSON object, one at a time: never more of it in memory than the largest one."""
    decoder = json.JSONDecoder()
    text = Pieces(stream)
    text.expect("{")
    while text.peek() != "}":
        name = text.value(decoder)
        if not isinstance(name, str):
            raise ValueError("a key is not a text")
        text.expect(":")
        yield name, text.value(decoder)
        if text.peek() != ",":
            break
        text.expect(",")
    text.expect("}")


class Pieces:
    """A window on a UTF-8 stream that grows until what is asked for is whole."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream = stream
        self.unpack = codecs.getincrementaldecoder("utf-8")("replace")
        self.text = ""
        self.at = 0
        self.bytes = 0

    def more(self, size: int = PIECE) -> bool:
        piece = self.stream.read(size)
        self.bytes += len(piece)
        if self.bytes > MAX_BYTES:
            raise ValueError(f"more than {MAX_BYTES} bytes")
        self.text = self.text[self.at :] + self.unpack.decode(piece)
        self.at = 0
        return bool(piece)

    def peek(self) -> str:
        """The next character that is no space, "" at the end."""
        while True:
            while self.at < len(self.text) and self.text[self.at] in " \t\r\n":
                self.at += 1
            if self.at < len(self.text):
                return self.text[self.at]
            if not self.more():
                return ""

    def expect(self, character: str) -> None:
        if self.peek() != character:
            raise ValueError(f"expected {character!r}")
        self.at += 1

    def value(self, decoder: json.JSONDecoder) -> object:
        """The next value; the window doubles when it is cut, so that a large one is not read over and over."""
        self.peek()
        while True:
            try:
                found, end = decoder.raw_decode(self.text, self.at)
            except json.JSONDecodeError:
                if not self.more(max(PIECE, len(self.text) - self.at)):
                    raise ValueError("cut short") from None
                continue
            if isinstance(found, int | float) and self.text[end : end + 1] in NUMERIC and self.more():
                continue  # a number that may go on in the next piece
            self.at = end
            return found


# --- debsecan's feed --------------------------------------------------------------------------------


def feed(text: str, suite: str, sources: Collection[str]) -> Tracker:
    """`VERSION 1`, the CVE ids, then one line for each pair of package and id; blocks end with an empty line."""
    lines = iter(text.splitlines())
    if next(lines, "") != "VERSION 1":
        raise ValueError("the first line is not VERSION 1")
    names = [line.split(",", 1)[0] for line in until_empty(lines)]
    mark = re.compile(rf"[+~]deb{DEBIAN[suite][0]}u\d", re.ASCII) if suite in DEBIAN else None
    issues: dict[str, dict[str, Issue]] = {}
    for line in until_empty(lines):
        row = line.split(",", 4)
        if len(row) != 5 or row[0] not in sources or not row[1].isdigit() or int(row[1]) >= len(names):
            continue
        source, index, flags, unstable, others = row
        if flags[:1] == "S":
            issues.setdefault(source, {})[names[int(index)]] = feed_issue(unstable, others.split(), mark)
    return Tracker(suite, issues)


def until_empty(lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        if not line:
            return
        yield line


def feed_issue(unstable: str, others: list[str], mark: re.Pattern[str] | None) -> Issue:
    """The suite's own smallest fixed version. Without one: unstable's, unless another release says otherwise."""
    ours = [version for version in others if mark and mark.search(version)]
    for version in ours:
        try:
            if all(compare_dpkg(version, other) <= 0 for other in ours):
                return Issue("resolved", version, "", "")
        except VersionError:
            continue
    if "0" in others or (others and not unstable):
        return Issue("undetermined", "", "", "")  # said of some release, perhaps not of this one
    return Issue("resolved", unstable, "", "") if unstable else Issue("open", "", "", "")
