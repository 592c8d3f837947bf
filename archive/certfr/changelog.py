"""A package's own changelog: which CVE ids it names as fixed, and the words to quote.

A changelog proves a fix; its silence proves nothing. Two parts are kept apart:

  held   the entries the installed version holds: its own and those before it;
  later  the entries of versions that are newer, when the changelog at hand is that of a newer version (what
         `apt changelog` shows, or a folder of the distribution's changelogs). An id named there alone is fixed in
         a version that is not installed.

Neither is told by comparing versions: samba 4.22.9-0+deb13u1 sorts above 4.22.8-0+deb13u2, was made before it and
lacks its fix. What counts is the place in the file and the date: an entry below the installed one but dated after
it came from another line of work that was merged later.
"""

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple

MAX_CHARACTERS = 8_000_000  # of one changelog; the longest of Debian's are near 2 million
MAX_QUOTE = 240
HEADER = re.compile(r"(?P<source>\S+) \((?P<version>[^()\s]+)\)(?P<suites>[^;]*);", re.ASCII)
TRAILER = re.compile(r" -- .*>  (?P<date>.+)$")
RPM_HEADER = re.compile(r"\* (?P<date>\w{3} \w{3} +\d{1,2} \d{4}) (?P<who>.*)$")
RPM_VERSION = re.compile(r"[\s\[(-]*(?P<version>(?:\d+:)?\d[\w.+~^]*-\d[\w.+~^]*)\]?\)?:?\s*$", re.ASCII)
BULLET = re.compile(r"\s*(?:[*+\-o•]|\[)\s")
CVE = re.compile(
    r"CVE-(?P<year>\d{4})-(?P<numbers>\d{4,}|\{[\d,\s]+\})(?P<more>(?:/\d{4,})*)", re.IGNORECASE | re.ASCII
)
UNDONE = re.compile(
    r"\brevert(?:s|ed|ing)?\b|\bnot (?:yet )?fixed\b|\bunfixed\b|\bdoes not fix\b|\bback(?:ed)? out\b",
    re.IGNORECASE,
)


# "Fix CVE-2024-39884 regression": the fault came with an update, so a version before that update does not have it.
REGRESSION = re.compile(r"\bregressions?\b", re.IGNORECASE)


class Entry(NamedTuple):
    """One version of a changelog; `at` is None when its date cannot be read. Bullets are on one line each."""

    version: str
    at: date | None
    bullets: tuple[str, ...]


class Named(NamedTuple):
    """Where an id is named: the version's entry, the words, and the entry's day."""

    version: str
    words: str
    at: date | None = None


class History:
    """The entries of a changelog on both sides of the installed version."""

    def __init__(self, held: Iterable[Entry], later: Iterable[Entry] = ()) -> None:
        self.held = tuple(held)
        self.later = tuple(later)
        self._fixed = named(self.held)
        self._fixed_later = named(self.later, REGRESSION)
        for cve in undone(self.held):
            self._fixed.pop(cve, None)

    @property
    def installed_at(self) -> date | None:
        """The day of the installed version's own entry."""
        return self.held[0].at if self.held else None

    def fixed(self, cve: str) -> Named | None:
        return self._fixed.get(cve)

    def fixed_later(self, cve: str) -> Named | None:
        """Named in a newer version and not in what is installed."""
        return None if cve in self._fixed else self._fixed_later.get(cve)

    def lacks(self, version: str) -> bool:
        """Whether a version is in the changelog, and not among what the installed one holds."""
        return any(entry.version == version for entry in self.later) and not any(
            entry.version == version for entry in self.held
        )

    def says(self, version: str, *, later: bool = False) -> Named | None:
        """Words that the fixes of an upstream version were taken ("security fixes from v1.6.16")."""
        wanted = re.compile(rf"(?<![\d.])v?{re.escape(version)}(?![\w.]*\d|[-+~]\w)")
        for entry in self.later if later else self.held:
            for bullet in entry.bullets:
                if SECURITY_WORDS.search(bullet) and wanted.search(bullet) and not UNDONE.search(bullet):
                    return Named(entry.version, quote(bullet, version))
        return None


SECURITY_WORDS = re.compile(
    r"\bsecurity (?:fix|patch|issue|update)|\bvulnerab|\bfixed upstream in\b|\bupstream security\b"
    r"|\bcherry[- ]?pick\w* (?:\w+ ){0,3}security\b|\bbackport\w* (?:\w+ ){0,3}(?:security )?fix",
    re.IGNORECASE,
)


def ids(words: str) -> list[str]:
    """The CVE ids of a text, the short forms written out: CVE-2025-{1234,5678}, CVE-2025-1234/5678."""
    found = []
    for match in CVE.finditer(words):
        numbers = [number.strip() for number in match["numbers"].strip("{}").split(",")]
        numbers += [number for number in match["more"].split("/") if number]
        found += [f"CVE-{match['year']}-{number}" for number in numbers if len(number) >= 4]
    return found


def named(entries: Iterable[Entry], but: re.Pattern[str] | None = None) -> dict[str, Named]:
    """For each id, the newest entry that names it as fixed; bullets with the words `but` count for nothing."""
    found: dict[str, Named] = {}
    for entry in entries:
        for bullet in entry.bullets:
            if UNDONE.search(bullet) or (but and but.search(bullet)):
                continue
            for cve in ids(bullet):
                found.setdefault(cve, Named(entry.version, quote(bullet, cve), entry.at))
    return found


def undone(entries: Iterable[Entry]) -> set[str]:
    """Ids whose fix was taken back, and not made again since."""
    gone: set[str] = set()
    again: set[str] = set()
    for entry in entries:  # newest first
        for bullet in entry.bullets:
            (gone if UNDONE.search(bullet) else again).update(set(ids(bullet)) - (again | gone))
    return gone


def quote(bullet: str, around: str) -> str:
    """The words of a bullet, cut about the id when they are many."""
    if len(bullet) <= MAX_QUOTE:
        return bullet
    middle = max(bullet.find(around), 0)
    start = max(0, min(middle - MAX_QUOTE // 2, len(bullet) - MAX_QUOTE))
    return ("…" if start else "") + bullet[start : start + MAX_QUOTE].strip() + "…"


# --- parsing ----------------------------------------------------------------------------------------


def parse_debian(text: str) -> list[Entry]:
    """The entries of a Debian changelog, newest first; what is out of shape is passed over."""
    entries: list[Entry] = []
    version, at, lines = "", None, list[str]()
    for line in text[:MAX_CHARACTERS].splitlines():
        if line[:1].strip() and (found := HEADER.match(line)):
            if version:
                entries.append(Entry(version, at, bullets(lines)))
            version, at, lines = found["version"], None, []
        elif found := TRAILER.match(line):
            at = day(found["date"])
        else:
            lines.append(line)
    if version:
        entries.append(Entry(version, at, bullets(lines)))
    return entries


def parse_rpm(text: str) -> list[Entry]:
    """The entries of `rpm -q --changelog`, newest first; the version stands at the end of the header, or not."""
    entries: list[Entry] = []
    header: re.Match[str] | None = None
    lines: list[str] = []
    for line in [*text[:MAX_CHARACTERS].splitlines(), "* end"]:
        found = RPM_HEADER.match(line)
        if not found and line != "* end":
            lines.append(line)
            continue
        if header:
            version = RPM_VERSION.search(header["who"].rpartition(">")[2] or header["who"])
            entries.append(Entry(version["version"] if version else "", rpm_day(header["date"]), bullets(lines)))
        header, lines = found, []
    return entries


def bullets(lines: Iterable[str]) -> tuple[str, ...]:
    """Each item of an entry on one line: a wrapped sentence is whole, an id keeps the words about it."""
    found: list[str] = []
    fresh = True
    for line in lines:
        words = line.strip()
        if not words:
            fresh = True
        elif fresh or BULLET.match(line):
            found.append(words)
            fresh = False
        else:
            found[-1] = f"{found[-1]} {words}"
    return tuple(found)


def day(written: str) -> date | None:
    try:
        moment = parsedate_to_datetime(written.strip())
    except (ValueError, TypeError):
        return None
    return moment.astimezone(UTC).date() if moment.tzinfo else moment.date()


def rpm_day(written: str) -> date | None:
    try:
        return datetime.strptime(" ".join(written.split()), "%a %b %d %Y").replace(tzinfo=UTC).date()
    except ValueError:
        return None


def cut(entries: list[Entry], version: str) -> History | None:
    """Both sides of an installed version; None when the changelog does not know it (another package's line)."""
    place = next((index for index, entry in enumerate(entries) if entry.version == version), None)
    if place is None:
        return None
    at = entries[place].at
    held, later = [entries[place]], entries[:place]
    for entry in entries[place + 1 :]:
        merged = at is not None and entry.at is not None and entry.at > at
        (later if merged else held).append(entry)
    return History(held, later)
