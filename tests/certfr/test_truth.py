"""Truth tables: our own in full, the shared part where it is, and no reference of any table in the engine."""

import re
import tomllib
from collections import Counter
from pathlib import Path

import pytest

from archive.certfr.decide import Decider
from archive.certfr.publication import parse
from archive.certfr.verdict import reason_text
from bench import certfr_truth
from bench.certfr_truth import Result
from tests.certfr.conftest import ROOT

OWN = Path(__file__).parent / "truth.toml"
HOLDOUT = Path(__file__).parent / "holdout.toml"
ENGINE = ROOT / "archive" / "certfr"
REFERENCE = re.compile(r"CERT(?:FR|A)-\d{4}-[A-Z]{3}-\d{3,4}")
OURS = list(certfr_truth.judge_toml(OWN))
HELD_OUT = list(certfr_truth.judge_toml(HOLDOUT))


def named(results: list[Result]) -> list[str]:
    return [f"{each.row.reference}-{each.row.inventory}" for each in results]


@pytest.mark.parametrize("result", [*OURS, *HELD_OUT], ids=named([*OURS, *HELD_OUT]))
def test_our_own_table(result: Result) -> None:
    assert not result.is_wrong, (result.row.category, reason_text(result.found), result.found.evidence)


@pytest.mark.parametrize("results", [OURS, HELD_OUT], ids=["truth", "holdout"])
def test_our_own_tables_are_decided(results: list[Result]) -> None:
    assert len(results) >= 60
    assert not [result for result in results if certfr_truth.must(result)]
    have_to = [result for result in results if result.has_to_decide]
    assert sum(result.decided for result in have_to) >= 0.9 * len(have_to)
    assert set(Counter(result.found.verdict for result in results)) == {"affected", "to_check", "not_affected"}


def test_our_table_is_made_by_us() -> None:
    """No publication of CERT-FR stands in it: its references are made up when it is read."""
    for path in (OWN, HOLDOUT):
        assert not REFERENCE.search(path.read_text(encoding="utf-8"))
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        assert {pair["publication"] for pair in table["pair"]} == set(table["publication"])
        assert {pair["machine"] for pair in table["pair"]} <= set(table["machine"])


def test_no_publication_is_named_where_verdicts_are_reached() -> None:
    """Not even as an example: the table of products names its examples by a CVE id that the publication lists."""
    texts = {
        path.name: path.read_text(encoding="utf-8") for path in ENGINE.iterdir() if path.suffix in (".py", ".toml")
    }
    made_up = {"CERTFR-2019-ALE-998"}  # a reference that the site never gave, in a docstring of the fetching part
    assert not {found for text in texts.values() for found in REFERENCE.findall(text)} - made_up


def test_under_other_references_the_verdicts_are_the_same() -> None:
    with OWN.open("rb") as file:
        table = tomllib.load(file)
    given = {
        key: parse(certfr_truth.given_publication(index, each))
        for index, (key, each) in enumerate(table["publication"].items(), 1)
    }
    machines = [certfr_truth.given_machine(each) for each in table["machine"].values()]
    other = certfr_truth.scrambled(given)
    assert {each.reference for each in given.values()}.isdisjoint({each.reference for each in other.values()})
    for machine in machines:
        decider = Decider(machine)
        for key, publication in given.items():
            assert decider.decide(publication) == decider.decide(other[key]), key


@pytest.mark.needs_shared
@pytest.mark.parametrize("scramble", [False, True])
@pytest.mark.parametrize("with_tracker", [False, True])
def test_the_shared_table(samples: Path, scramble: bool, with_tracker: bool) -> None:
    shared = samples.parent
    data = shared / "debian-security" / "fixture-tracker.json" if with_tracker else None
    rows = certfr_truth.read_tsv(shared / "truth-part.tsv")
    found = list(certfr_truth.judge_shared(rows, shared, shared / "changelogs", data, scramble))
    assert len(found) == len(rows)
    assert not [result for result in found if result.is_wrong or certfr_truth.must(result)]
    have_to = [result for result in found if result.has_to_decide]
    share = sum(result.decided for result in have_to) / len(have_to)
    assert share >= (0.9 if with_tracker else 0.7)


@pytest.mark.needs_shared
def test_without_any_changelog_nothing_is_wrong_either(samples: Path) -> None:
    shared = samples.parent
    rows = certfr_truth.read_tsv(shared / "truth-part.tsv")
    found = list(certfr_truth.judge_shared(rows, shared, None, None, scramble=False))
    assert not [result for result in found if result.is_wrong]
