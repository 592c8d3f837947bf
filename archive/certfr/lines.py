"""One line of "Systèmes affectés", read by a strict grammar.

    <product> [versions] [<branch> {, et, ou <branch>}] antérieures à <bound> {, et, ou <bound>} [pour <platform>]
    <product> versions <A> à <B> | postérieures [ou égales] à <A> et antérieures à <B> | <A> et antérieures
    <product> versions <A>, <B> et <C> | <N>.x | toutes versions | sans le dernier correctif

What does not fit is of kind UNKNOWN and decides nothing. Versions are kept as written, but for a leading
"v", a trailing dot and trailing ".x" of a bound; comparing them is the work of `versions.py`.
"""

import re
from functools import lru_cache
from typing import NamedTuple

BOUNDS, EXACT, BRANCHES, ALL, UNPATCHED, NAMED, UNKNOWN = (
    "bounds",  # at least one version to compare with
    "exact",  # these versions and no other
    "branches",  # every version of these branches
    "all",  # toutes versions
    "unpatched",  # sans le dernier correctif: no version is said
    "named",  # the product alone
    "unknown",  # something was said that the grammar does not know
)

NUMBER = r"v?\d[\w.+:~-]*"
# Words that some vendors put after a number: the version proper cannot tell them apart.
QUALIFIER = r"(?:patch|update|hotfix|sp|hf|rev|build|cu|u|fp|interim fix|p)\s?\d[\w.]*"
VERSION = rf"{NUMBER}(?:\s(?:{QUALIFIER})\b)?"
JOINED = rf"{VERSION}(?:\s*(?:,|;|/|\bet\b|\bou\b|\band\b|\bor\b|,\s*et)\s*{VERSION})*"
OLDER = r"(?:ant[ée]rieure?s?|pr[ée]c[ée]dentes?|inf[ée]rieure?s?|prior|before)"
NEWER = r"(?:post[ée]rieure?s?|ult[ée]rieure?s?|sup[ée]rieure?s?)"
EQUAL = r"(?:\s+ou\s+[ée]gale?s?)"
THE_VERSION = r"(?:la\s+version\s+|les\s+versions\s+|version\s+|versions\s+)?(?:ESR\s+)?"

OLDER_THAN = re.compile(rf"{OLDER}(?P<equal>{EQUAL})?\s+(?:[àa]\s+|to\s+)?{THE_VERSION}(?P<bounds>{JOINED})", re.I)
NEWER_THAN = re.compile(
    rf"(?:{NEWER}(?P<equal>{EQUAL})?\s+[àa]|[àa]\s+partir\s+de)\s+{THE_VERSION}(?P<bound>{VERSION})", re.I
)
BETWEEN = re.compile(rf"comprises?\s+entre\s+(?P<low>{VERSION})\s+et\s+(?P<high>{VERSION})", re.I)
FROM_TO = re.compile(rf"(?P<low>{VERSION})\s+(?:[àa]|jusqu'[àa]|to|through)\s+{THE_VERSION}(?P<high>{VERSION})", re.I)
AND_OLDER = re.compile(
    rf"(?P<bound>{VERSION})\s*(?:,?\s*et|,?\s*ou|and)\s+(?:(?:toutes\s+)?(?:les\s+)?versions?\s+)?{OLDER}(?!\s*[àa]?\s*\d)",
    re.I,
)
AND_NEWER = re.compile(
    rf"(?P<bound>{VERSION})\s*(?:,?\s*et|,?\s*ou|and)\s+(?:(?:les\s+)?versions?\s+)?{NEWER}(?!\s*[àa])", re.I
)
ONLY_VERSIONS = re.compile(rf"(?:versions?\s+)?(?P<list>{JOINED})", re.I)
ALL_VERSIONS = re.compile(r"\btoutes?\s+(?:les\s+|ses\s+)?versions?\b|\ball versions\b", re.I)
WITHOUT_FIX = re.compile(
    r"\b(?:sans|n'ayant pas|avant)\s+(?:l[ea]s?\s+|l'|d')?(?:derni[eè]re?s?\s+|application|mises?\s+[àa]|correctifs?|patch|s[ée]curit[ée]|\w+\s+correctifs?)",
    re.I,
)
WITH_FIX = re.compile(r"\bavec\s+(?:le|les|un)\s+(?:dernier\s+)?correctif", re.I)
NAME_END = re.compile(
    rf"\b(?:toutes?\s+(?:les\s+)?)?versions?\b|\b{OLDER}\b|\b{NEWER}\b|\bsans\s+l|\bavec\s+(?:une|le|les)\s|\s(?=v?\d[\d.]*(?:x\b|\s+(?:[àa]|et|ou)\b|$|,))",
    re.I,
)
PLATFORM = re.compile(r"\b(?:pour|sur|for|on|sous(?!\s+r[ée]serve))\s+(?P<on>[^,;()]*)", re.I)
FILLER = re.compile(r"\bversions?\b|\bavec une\b|\bdu noyau linux\b", re.IGNORECASE)
NUMBERED = re.compile(r"(?P<name>.*\D)\s+v?(?P<branch>\d+(?:\.\d+)*)")
IN_PARENTHESES = re.compile(r"\(([^()]*)\)")
PARENTHESES = re.compile(r"\s*\([^()]*\)")
SPACES = re.compile(r"\s+")
SPLIT = re.compile(r"\s*(?:,\s*et\b|,\s*ou\b|,|;|/|\bet\b|\bou\b|\band\b|\bor\b)\s*", re.I)
BRANCH = re.compile(r"[vV]?(?P<prefix>\d[\w.-]*?)\.?[xX*]+(?:\.[xX*]+)*", re.ASCII)
TENS = re.compile(r"[vV]?(?P<prefix>\d+\.\d+\.\d)[xX]", re.ASCII)
# "112.0.5615.49/50", "144.0.7559.96/.97": the last number alone, for another platform.
OTHER_LAST = re.compile(r"(?<=\d)/\.?\d+(?![\d.])")
LINUX = re.compile(r"linux|unix|debian|ubuntu|red ?hat|rhel|centos|suse|toutes? (?:les )?plateformes", re.I)
ELSEWHERE = re.compile(
    r"\b(?:ios|ipados|android|mac ?os(?: x)?|mac|windows|chrome ?os|chromebook|aix|solaris|z/os|ibm i|iphone|ipad|tvos|"
    r"watchos|visionos|azure stack|hp-ux)\b",
    re.I,
)


class Bound(NamedTuple):
    """A version a line compares with. `qualifier` ("Patch 37") is what the number alone does not say."""

    version: str
    inclusive: bool = False
    qualifier: str = ""


class Line(NamedTuple):
    """One affected line. `branches` are prefixes ("4.23" for 4.23.x); they limit what the bounds speak of."""

    text: str
    name: str  # the product part, before any version clause
    kind: str
    branches: tuple[str, ...] = ()
    lower: Bound | None = None
    uppers: tuple[Bound, ...] = ()
    exact: tuple[str, ...] = ()
    elsewhere: str = ""  # the platforms named when Linux is not one of them


def parse(description: str) -> tuple[Line, ...]:
    """The lines of one description: nearly always one; some hold several, parted by a newline."""
    return tuple(parse_one(row) for row in description.splitlines() if row.strip())


def parse_one(text: str) -> Line:
    name, clause = parted(text)
    line = read_clause(clause)._replace(text=text, name=name, elsewhere=platforms(text))
    numbered = NUMBERED.fullmatch(name)
    if line.kind == ALL and numbered:  # "ClamAV 0.105 toutes versions"
        return line._replace(name=numbered["name"], kind=BRANCHES, branches=(numbered["branch"],))
    return line


def product_name(text: str) -> str:
    """The product part alone: enough to see whether the line is worth reading."""
    return parted(text)[0]


@lru_cache(maxsize=8192)
def parted(text: str) -> tuple[str, str]:
    """The product part and the version clause, without remarks in parentheses."""
    plain = PARENTHESES.sub(" ", text.replace("’", "'"))
    plain = SPACES.sub(" ", OTHER_LAST.sub("", plain)).strip(" .;:,")
    end = NAME_END.search(plain)
    return (plain[: end.start()] if end else plain).strip(" ,:-"), plain[end.start() :].strip() if end else ""


def read_clause(clause: str) -> Line:
    """The version clause; the order of the tests matters, from the most explicit to the least."""
    line = Line("", "", UNKNOWN)
    older, newer = OLDER_THAN.search(clause), NEWER_THAN.search(clause)
    if not clause:
        line = line._replace(kind=NAMED)
    elif WITH_FIX.search(clause):
        pass
    elif WITHOUT_FIX.search(clause):
        line = read_unpatched(line, clause)
    elif older or newer:
        line = read_bounds(line, clause, older, newer)
    elif found := ALL_VERSIONS.search(clause):
        line = read_all(line, clause[: found.start()])
    elif found := AND_OLDER.search(clause):
        line = line._replace(kind=BOUNDS, uppers=(bound(found["bound"], inclusive=True),))
    elif found := AND_NEWER.search(clause):
        line = line._replace(kind=BOUNDS, lower=bound(found["bound"], inclusive=True))
    elif found := BETWEEN.search(clause) or FROM_TO.search(clause):
        line = span(line, found)
    elif found := ONLY_VERSIONS.fullmatch(PLATFORM.sub("", clause).strip(" .,")):
        line = read_list(line, split(found["list"]))
    return line


def read_all(line: Line, before: str) -> Line:
    """ "toutes versions", or "11.x toutes versions" of some branches."""
    names = split(FILLER.sub(" ", before).strip(" ,:"))
    branches = tuple(filter(None, map(branch_of, names)))
    return line._replace(kind=BRANCHES, branches=branches) if branches else line._replace(kind=ALL)


def read_list(line: Line, names: list[str]) -> Line:
    """ "8.7 et 8.8" are those versions; "4.15.x, 4.16.x" are branches; a mixture is not understood."""
    branches = tuple(filter(None, map(branch_of, names)))
    if len(branches) == len(names):
        return line._replace(kind=BRANCHES, branches=branches)
    return line if branches else line._replace(kind=EXACT, exact=tuple(bound(name).version for name in names))


def read_unpatched(line: Line, clause: str) -> Line:
    """ "20.x sans le dernier correctif": the branches or versions it is limited to, when it lists them."""
    line = line._replace(kind=UNPATCHED)
    before = WITHOUT_FIX.split(clause)[0]
    before = re.sub(r"\bversions?\b", " ", before, flags=re.I).strip(" ,:")
    if not re.fullmatch(JOINED, before, re.I):
        return line
    names = split(before)
    branches = tuple(filter(None, map(branch_of, names)))
    return line._replace(branches=branches, exact=() if branches else tuple(bound(name).version for name in names))


def read_bounds(line: Line, clause: str, older: re.Match[str] | None, newer: re.Match[str] | None) -> Line:
    """`[<branches or range>] antérieures à ...`, `postérieures à ... [antérieures à ...]`."""
    uppers: tuple[Bound, ...] = ()
    lower: Bound | None = None
    start = len(clause)
    if newer:
        start = newer.start()
        lower = bound(newer["bound"], inclusive=bool(newer["equal"]) or "partir" in newer[0])
    if older:
        if newer and older.start() < newer.start():
            return line  # "antérieures à A et postérieures à B": no such wording is understood
        start = min(start, older.start())
        uppers = tuple(bound(name, inclusive=bool(older["equal"])) for name in split(older["bounds"]))
    line = line._replace(kind=BOUNDS, lower=lower, uppers=uppers)
    before = FILLER.sub(" ", clause[:start]).strip(" ,:")
    before = re.sub(r"\s*,?\s*\b(?:et|ou)$", "", before).strip()
    if not before:
        return line
    if found := FROM_TO.fullmatch(before):
        return span(line, found)
    if not re.fullmatch(JOINED, before, re.I):
        return line._replace(kind=UNKNOWN)
    return scoped(line, split(before))


def scoped(line: Line, names: list[str]) -> Line:
    """Bounds after a list of branches ("1.8.x et 1.9.x antérieures à ...") or a first version."""
    branches = []
    for name in names:
        prefix = branch_of(name) or own_branch(name, line.uppers)
        if prefix:
            branches.append(prefix)
        elif len(names) == 1 and line.lower is None:
            return line._replace(lower=bound(name, inclusive=True))  # "11.1.0 antérieures à 11.1.5"
        else:
            return line._replace(kind=UNKNOWN)
    return line._replace(branches=tuple(branches))


def span(line: Line, found: re.Match[str]) -> Line:
    """ "A à B", either of them perhaps a branch: A.x starts at A, B.x takes in all of B."""
    low, high = found["low"], found["high"]
    lower = bound(branch_of(low) or low, inclusive=True)
    top = branch_of(high)
    # "9.11.x à 9.18.x antérieures à 9.18.28", "8.5p1 à 9.7p1 antérieures à 9.8": the bound that follows ends it.
    end = Bound(top + ".x", inclusive=True) if top else bound(high, inclusive=True)
    return line._replace(kind=BOUNDS, lower=lower, uppers=line.uppers or (end,))


def up_to(line: Line) -> Line:
    """A line that lists versions, read as "each of them and those before": some vendors list only the last ones."""
    if not line.exact:
        return line
    return line._replace(kind=BOUNDS, exact=(), uppers=tuple(Bound(name, inclusive=True) for name in line.exact))


def branch_of(name: str) -> str:
    """The prefix of a branch written with an x ("4.23.x", "v3.6.x"), else "". "2.4.6x" and "1.1.1x" keep it: the x
    stands for a digit or a letter, with no point between."""
    if found := TENS.fullmatch(name.strip()):
        return found["prefix"] + "x"
    found = BRANCH.fullmatch(name.strip())
    return found["prefix"].rstrip(".") if found else ""


def own_branch(name: str, uppers: tuple[Bound, ...]) -> str:
    """A branch written without x: "1.1.1 antérieures à 1.1.1y", when a bound begins with it."""
    plain = name.strip().lstrip("vV")
    for upper in uppers:
        rest = upper.version[len(plain) :]
        if upper.version.startswith(plain) and rest and not rest[0].isdigit():
            return plain
    return ""


def bound(name: str, *, inclusive: bool = False) -> Bound:
    number, _, qualifier = name.strip().partition(" ")
    number = re.sub(r"(?:\.[xX*])+$", "", number.strip(".,;:").removeprefix("v").removeprefix("V"))
    return Bound(number.rstrip("."), inclusive, qualifier.strip())


def split(names: str) -> list[str]:
    return [name for name in SPLIT.split(names) if name]


def platforms(text: str) -> str:
    """The platforms a line is limited to ("pour iOS"), "" when Linux is among them or none is named."""
    places = [found["on"] for found in PLATFORM.finditer(text)] + IN_PARENTHESES.findall(text)
    named = [place.strip() for place in places if ELSEWHERE.search(place) and not LINUX.search(place)]
    if not named and (found := ELSEWHERE.match(text.strip())):
        named = [found[0]]
    return ", ".join(named)
