"""Truth tables: our own in full, the shared part where it is, and no reference of any table in the engine."""

import csv
import re
import tomllib
from collections import Counter
from pathlib import Path

import pytest

from archive.certfr.verdict import reason_text
from bench import certfr_truth
from bench.certfr_truth import Result
from tests.certfr.conftest import ROOT

OWN = Path(__file__).parent / "truth.toml"
ENGINE = ROOT / "archive" / "certfr"
REFERENCE = re.compile(r"CERT(?:FR|A)-\d{4}-[A-Z]{3}-\d{3,4}")
OURS = list(certfr_truth.judge_toml(OWN))


@pytest.mark.parametrize("result", OURS, ids=[f"{each.row.reference}-{each.row.inventory}" for each in OURS])
def test_our_own_table(result: Result) -> None:
    assert not result.is_wrong, (result.row.category, reason_text(result.found), result.found.evidence)


def test_our_own_table_is_decided() -> None:
    assert len(OURS) >= 60
    assert not [result for result in OURS if certfr_truth.must(result)]
    have_to = [result for result in OURS if result.has_to_decide]
    assert sum(result.decided for result in have_to) >= 0.9 * len(have_to)
    assert set(Counter(result.found.verdict for result in OURS)) == {"affected", "to_check", "not_affected"}


def test_our_table_is_made_by_us() -> None:
    """No publication of CERT-FR stands in it: its references are made up when it is read."""
    assert not REFERENCE.search(OWN.read_text(encoding="utf-8"))
    table = tomllib.loads(OWN.read_text(encoding="utf-8"))
    assert {pair["publication"] for pair in table["pair"]} == set(table["publication"])


# The modules that decide; those that fetch show made-up references as examples.
DECIDING = (
    "changelog", "changelogs", "decide", "inventory", "judge", "kernels", "known", "lines", "origin", "position", "products",
    "publication", "releases", "ruling", "tracker", "verdict", "versions",
)  # fmt: skip


def references_of_the_engine() -> set[str]:
    texts = [path.read_text(encoding="utf-8") for path in ENGINE.iterdir() if path.suffix in (".py", ".toml")]
    return {found for text in texts for found in REFERENCE.findall(text)}


def test_references_stand_in_the_table_of_products_alone() -> None:
    for name in DECIDING:
        assert not REFERENCE.search((ENGINE / f"{name}.py").read_text(encoding="utf-8")), name


@pytest.mark.needs_shared
def test_no_reference_of_the_shared_table_is_in_the_engine(samples: Path) -> None:
    with (samples.parent / "truth-part.tsv").open(encoding="utf-8", newline="") as file:
        known = {row["reference"] for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)}
    assert known
    assert not known & references_of_the_engine()


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
