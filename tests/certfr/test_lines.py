"""Affected lines: the grammar, and where a version stands among the lines of one product."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.certfr import lines
from archive.certfr.judge import read_publications
from archive.certfr.lines import Bound, parse, parse_one
from archive.certfr.position import (
    BARE,
    BELOW,
    BRANCH,
    DOUBTFUL,
    EXACT,
    INSIDE,
    NO_BOUND,
    NOT_UNDERSTOOD,
    OTHER_BRANCH,
    OTHER_VERSION,
    OUTSIDE,
    PAST,
    RANGE,
    SERIES,
    UNDECIDED,
    UNPATCHED,
    position,
)


@pytest.mark.parametrize(
    ("text", "name", "branches", "lower", "uppers"),
    [
        ("Exemple versions antérieures à 1.2.3", "Exemple", (), None, ["1.2.3"]),
        ("Exemple version 3.2.x antérieure à 3.2.2", "Exemple", ("3.2",), None, ["3.2.2"]),
        ("Exemple versions 1.8.x et 1.9.x antérieures à 1.9.12p2", "Exemple", ("1.8", "1.9"), None, ["1.9.12p2"]),
        ("Exemple versions 1.1.1 antérieures à 1.1.1y", "Exemple", ("1.1.1",), None, ["1.1.1y"]),
        ("Exemple versions 1.0.2x antérieures à 1.0.2zg (support payant)", "Exemple", ("1.0.2x",), None, ["1.0.2zg"]),
        ("Exemple versions 11.1.0 antérieures à 11.1.5", "Exemple", (), "11.1.0", ["11.1.5"]),
        ("Exemple versions 9.11.x à 9.18.x antérieures à 9.18.28", "Exemple", (), "9.11", ["9.18.28"]),
        ("Exemple versions 8.5p1 à 9.7p1 antérieures à 9.8 et 9.8p1", "Exemple", (), "8.5p1", ["9.8", "9.8p1"]),
        ("Exemple versions postérieures ou égales à 4.97 et antérieures à 4.99.3", "Exemple", (), "4.97", ["4.99.3"]),
        ("Exemple versions 8.x postérieures à 8.6.3 et antérieures à 8.14.0", "Exemple", ("8",), "8.6.3", ["8.14.0"]),
        ("Exemple versions antérieures à 4.96.1 ou 4.97", "Exemple", (), None, ["4.96.1", "4.97"]),
        (
            "Exemple versions antérieures à 3.10.14, 3.11.9 et 3.13.0a6",
            "Exemple",
            (),
            None,
            ["3.10.14", "3.11.9", "3.13.0a6"],
        ),
        ("Exemple versions v3.6.x antérieures à v3.6.19", "Exemple", ("3.6",), None, ["3.6.19"]),
        ("Exemple versions 3.0 antérieures à 3.0.9.x", "Exemple", ("3.0",), None, ["3.0.9"]),
        ("Debian trixie versions antérieures à 6.12.88-1.", "Debian trixie", (), None, ["6.12.88-1"]),
        ("Debian bullseye versions antérieures 5.10.251-4", "Debian bullseye", (), None, ["5.10.251-4"]),
        ("Debian avec une version du noyau Linux antérieure à 5.10.179-1", "Debian", (), None, ["5.10.179-1"]),
        ("Exemple versions antérieurs à 2.0 ", "Exemple", (), None, ["2.0"]),
        ("Exemple versions 2.0 à 2.14.1", "Exemple", (), "2.0", ["2.14.1"]),
        ("Exemple versions comprises entre 5.9.2 et 5.9.5", "Exemple", (), "5.9.2", ["5.9.5"]),
        ("Exemple versions 3.0.131 et antérieures", "Exemple", (), None, ["3.0.131"]),
        ("Exemple versions 144.0.7559.96/.97 antérieures à 144.0.7559.97/98", "Exemple", (), None, ["144.0.7559.97"]),
        ("Exemple antérieures à ESR 102.9", "Exemple", (), None, ["102.9"]),
    ],
)
def test_bounds(text: str, name: str, branches: tuple[str, ...], lower: str | None, uppers: list[str]) -> None:
    line = parse_one(text)
    if "144" in text:
        assert [upper.version for upper in line.uppers] == uppers
        return
    assert (line.kind, line.name) == (lines.BOUNDS, name)
    assert line.branches == branches
    assert (line.lower.version if line.lower else None) == lower
    assert [upper.version for upper in line.uppers] == uppers


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Exemple toutes versions", lines.ALL),
        ("Exemple sans le dernier correctif de sécurité", lines.UNPATCHED),
        ("Exemple versions 20.x sans le correctif de sécurité du 24 mars 2026", lines.UNPATCHED),
        ("Exemple versions 8.7 et 8.8", lines.EXACT),
        ("Exemple version 2.15.0", lines.EXACT),
        ("Exemple versions 4.15.x", lines.BRANCHES),
        ("Exemple 0.105 toutes versions (fin de vie)", lines.BRANCHES),
        ("Exemple 11.x toutes versions", lines.BRANCHES),
        ("Exemple", lines.NAMED),
        ("Exemple versions 4.x antérieures à 4.17 avec le correctif xsa476-4.17.patch", lines.UNKNOWN),
        ("Exemple versions 1.x sous réserve d'une configuration particulière", lines.UNKNOWN),
        ("Exemple versions antérieures à Kepler 9.0.0", lines.UNKNOWN),
    ],
)
def test_the_other_kinds(text: str, kind: str) -> None:
    assert parse_one(text).kind == kind


def test_a_qualifier_is_kept_apart() -> None:
    assert parse_one("Exemple versions antérieures à 8.8.15 Patch 37").uppers == (Bound("8.8.15", False, "Patch 37"),)


@pytest.mark.parametrize(
    ("text", "elsewhere"),
    [
        ("Exemple pour iOS versions antérieures à 151.2", True),
        ("Exemple versions antérieures à 139 pour iOS", True),
        ("Exemple versions antérieures à 1.2 (Windows)", True),
        ("Exemple versions antérieures à 1.2 pour Windows et Mac", True),
        ("Exemple versions antérieures à 1.2 pour Mac et Linux", False),
        ("Exemple versions antérieures à 1.2 sur Windows et Linux", False),
        ("Exemple versions antérieures à 1.2", False),
    ],
)
def test_platforms(text: str, elsewhere: bool) -> None:
    assert bool(parse_one(text).elsewhere) is elsewhere


@given(st.text(max_size=200))
def test_any_text_is_read_without_error(text: str) -> None:
    for line in parse(text):
        position("1.2.3", [line])


@given(st.lists(st.integers(0, 30), min_size=1, max_size=4), st.lists(st.integers(0, 30), min_size=1, max_size=4))
def test_a_bare_bound_orders_as_numbers(one: list[int], two: list[int]) -> None:
    """Trailing zeros apart, the place of a version beside one bound is the order of the numbers."""
    version, bound = ".".join(map(str, one)), ".".join(map(str, two))
    width = max(len(one), len(two))
    padded = [numbers + [0] * (width - len(numbers)) for numbers in (one, two)]
    found = position(version, parse(f"Exemple versions antérieures à {bound}"))
    assert (found.place == INSIDE) is (padded[0] < padded[1])


OPENSSL = (
    "OpenSSL versions 1.0.2x antérieures à 1.0.2zg",
    "OpenSSL versions 1.1.1x antérieures à 1.1.1t",
    "OpenSSL versions antérieures à 3.0.8",
)
GITLAB = ("G versions antérieures à 17.0.4", "G versions antérieures à 16.11.6", "G versions antérieures à 17.1.2")
SLIP = ("G versions 17.2.9", "G versions 17.5.x antérieures à 17.3.5", "G versions 17.4.x antérieures à 17.4.2")
BIND = ("B versions 9.20.x antérieures à 9.20.23", "B versions 9.x antérieures à 9.18.49")
RANGE_LINE = ("E versions postérieures ou égales à 4.97 et antérieures à 4.99.3",)


@pytest.mark.parametrize(
    ("version", "texts", "place", "why"),
    [
        ("1.1.1w", OPENSSL, OUTSIDE, PAST),
        ("1.1.1k", OPENSSL, INSIDE, BRANCH),
        ("3.0.2", OPENSSL, INSIDE, SERIES),
        ("1.1.0l", OPENSSL, INSIDE, BARE),
        ("3.0.9", OPENSSL, OUTSIDE, PAST),
        ("16.11.6", GITLAB, OUTSIDE, PAST),
        ("17.0.5", GITLAB, OUTSIDE, PAST),
        ("17.1.1", GITLAB, INSIDE, SERIES),
        ("16.7.0", GITLAB, INSIDE, BARE),
        ("17.3.5", SLIP, OUTSIDE, PAST),
        ("17.2.9", SLIP, UNDECIDED, DOUBTFUL),
        ("17.1.1", SLIP, UNDECIDED, DOUBTFUL),
        ("9.18.47", BIND, INSIDE, BRANCH),
        ("9.20.23", BIND, OUTSIDE, PAST),
        ("9.20.21", BIND, INSIDE, BRANCH),
        ("4.96", RANGE_LINE, OUTSIDE, BELOW),
        ("4.98.2", RANGE_LINE, INSIDE, RANGE),
        ("8.7p1", ("O versions 8.7 et 8.8",), INSIDE, EXACT),
        ("9.2p1", ("O versions 8.7 et 8.8",), OUTSIDE, OTHER_VERSION),
        ("8.7.3", ("O versions 8.7 et 8.8",), UNDECIDED, NO_BOUND),
        ("1.0.5", ("C versions 1.3.x antérieures à 1.3.1",), OUTSIDE, OTHER_BRANCH),
        ("9.7p1", ("O versions 8.5 à 9.7",), INSIDE, RANGE),
        ("9.7.3", ("O versions 8.5 à 9.7",), UNDECIDED, NOT_UNDERSTOOD),
        ("8.11.3", ("C versions 7.10 à 8.11.x",), INSIDE, RANGE),
        ("1.31.0", ("N versions postérieures à 1.31.0 et antérieures à 1.31.1",), UNDECIDED, DOUBTFUL),
        ("8.8.15", ("Z versions antérieures à 8.8.15 Patch 37",), UNDECIDED, NOT_UNDERSTOOD),
        ("9.0.0", ("Z versions antérieures à 8.8.15 Patch 37",), OUTSIDE, PAST),
        ("20.1", ("N versions 20.x sans le dernier correctif",), UNDECIDED, UNPATCHED),
        ("18.1", ("N versions 20.x sans le dernier correctif",), OUTSIDE, OTHER_BRANCH),
        ("6.0", ("R toutes versions",), UNDECIDED, NO_BOUND),
        ("not a version!", ("R versions antérieures à 2",), UNDECIDED, NOT_UNDERSTOOD),
    ],
)
def test_places(version: str, texts: tuple[str, ...], place: str, why: str) -> None:
    affected = [line for text in texts for line in parse(text)]
    found = position(version, affected)
    assert (found.place, found.why) == (place, why)


@pytest.mark.needs_shared
def test_the_share_of_bounds(samples: Path) -> None:
    """At least 88 % of the lines of software that runs on servers: what a strict grammar was measured to reach."""
    from bench.certfr_parse import FLOOR, Count

    count = Count()
    for publication in read_publications([samples / "json"]):
        count.publication(publication)
    assert count.share >= FLOOR
