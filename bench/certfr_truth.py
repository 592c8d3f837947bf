"""Run a truth table through the verdict engine: confusion matrix, shares, wrong and undecided rows.

    python -m bench.certfr_truth TABLE --shared DIR [--changelogs DIR] [--tracker FILE] [--scramble] [--rows]

TABLE is a .tsv with a header (reference, inventory, verdict, acceptable, wrong...), whose inventories and publications
stand in DIR (`inventories/`, `samples/json/`); or a .toml of the project's own, which holds both.
A row is wrong when the verdict is one the row calls wrong, or is neither its verdict nor acceptable to it.
"""

import argparse
import csv
import itertools
import json
import random
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from archive.certfr import judge, tracker
from archive.certfr.changelog import cut, parse_debian
from archive.certfr.changelogs import Changelogs, FolderChangelogs, NoChangelogs
from archive.certfr.decide import Decider, reason_text
from archive.certfr.inventory import Inventory, Package, read_folder, read_os_release, read_packages
from archive.certfr.publication import Publication, parse
from archive.certfr.verdict import AFFECTED, NOT_AFFECTED, TO_CHECK, Verdict

NAMES = {"affected": AFFECTED, "to check": TO_CHECK, "not affected": NOT_AFFECTED}
SHORT = {AFFECTED: "affected", TO_CHECK: "to check", NOT_AFFECTED: "not affected"}


class Row(NamedTuple):
    reference: str
    inventory: str
    verdict: str
    acceptable: frozenset[str]
    wrong: frozenset[str]
    category: str


class Result(NamedTuple):
    row: Row
    found: Verdict

    @property
    def is_wrong(self) -> bool:
        found = self.found.verdict
        return found in self.row.wrong or found not in {self.row.verdict, *self.row.acceptable}

    @property
    def has_to_decide(self) -> bool:
        return self.row.verdict != TO_CHECK

    @property
    def decided(self) -> bool:
        return self.found.verdict == self.row.verdict


def names(text: str) -> frozenset[str]:
    return frozenset(NAMES[name.strip()] for name in text.split(";") if name.strip())


def read_tsv(path: Path) -> list[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        table = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [
            Row(
                each["reference"],
                each["inventory"],
                NAMES[each["verdict"]],
                names(each["acceptable"]),
                names(each["wrong"]),
                each["category"],
            )
            for each in table
        ]


def judge_shared(
    rows: Sequence[Row], shared: Path, changelogs: Path | None, data: Path | None, scramble: bool
) -> Iterator[Result]:
    wanted = {row.reference for row in rows}
    publications = {each.reference: each for each in judge.read_publications([shared / "samples/json"], wanted)}
    if scramble:
        publications = scrambled(publications)
    deciders: dict[str, Decider] = {}
    for row in rows:
        if row.reference not in publications:
            print(f"not in the samples: {row.reference}", file=sys.stderr)
            continue
        if row.inventory not in deciders:
            deciders[row.inventory] = decider(shared / "inventories" / row.inventory, changelogs, data)
        yield Result(row, deciders[row.inventory].decide(publications[row.reference]))


def scrambled(publications: dict[str, Publication]) -> dict[str, Publication]:
    """The same publications under references that mean nothing: the verdicts must not change."""
    numbers = random.Random(7).sample(range(10_000), len(publications))
    return {
        key: each._replace(reference=f"CERTFR-1999-AVI-{number:04d}")
        for (key, each), number in zip(publications.items(), numbers, strict=True)
    }


def decider(folder: Path, changelogs: Path | None, data: Path | None) -> Decider:
    inventory = read_folder(folder)
    texts: Changelogs = FolderChangelogs(changelogs, inventory.codename) if changelogs else NoChangelogs()
    issues = tracker.read(data, inventory.codename, inventory.by_source.keys()) if data else None
    return Decider(inventory, texts, issues)


# --- the project's own table -------------------------------------------------------------------------


class GivenChangelogs:
    """Changelogs written in the table, by source."""

    def __init__(self, texts: dict[str, str]) -> None:
        self.texts = texts

    def history(self, package: Package) -> object:
        return cut(parse_debian(self.texts.get(package.source_name, "")), package.source_release)


def judge_toml(path: Path) -> Iterator[Result]:
    """Each pair of a table like tests/certfr/truth.toml: publications, machines and pairs in one file."""
    with path.open("rb") as file:
        table = tomllib.load(file)
    publications = {
        key: parse(given_publication(index, each)) for index, (key, each) in enumerate(table["publication"].items(), 1)
    }
    machines = {key: given_machine(each) for key, each in table["machine"].items()}
    issues = {suite: given_tracker(suite, each) for suite, each in table.get("tracker", {}).items()}
    for pair in table["pair"]:
        machine = machines[pair["machine"]]
        texts = (
            GivenChangelogs(table.get("changelog", {}).get(machine.codename, {}))
            if pair.get("changelogs", True)
            else None
        )
        data = issues.get(machine.codename) if pair.get("tracker") else None
        row = Row(
            pair["publication"],
            pair["machine"],
            pair["verdict"],
            frozenset(pair.get("acceptable", ())),
            frozenset(pair.get("wrong", ())),
            pair.get("why", ""),
        )
        yield Result(row, Decider(machine, texts, data).decide(publications[pair["publication"]]))  # type: ignore[arg-type]


def given_publication(index: int, row: dict[str, object]) -> dict[str, object]:
    """A publication in the site's shape from the short form of the table."""
    systems = row.get("lines", [])
    assert isinstance(systems, list)
    vendor, product = str(row.get("vendor", "N/A")), str(row.get("product", "N/A"))
    return {
        "reference": f"CERTFR-1998-AVI-{index:03d}",
        "title": row.get("title", ""),
        "affected_systems": [
            {
                "description": line,
                "product": {"name": product, "vendor": {"name": vendor, "scada": False}},
            }
            for line in systems
        ],
        "affected_systems_content": row.get("note", ""),
        "cves": [{"name": name, "url": ""} for name in row.get("cves", [])],  # type: ignore[attr-defined]
        "revisions": [{"description": "Version initiale", "revision_date": f"{row['date']}T00:00:00.000000"}],
        "summary": "",
        "content": "",
    }


def given_machine(row: dict[str, str]) -> Inventory:
    """`packages`: one line a package, in the columns of packages.tsv, parted by spaces ("-" for an empty one)."""
    os_release = read_os_release(row["os"])
    lines = []
    for line in row["packages"].strip().splitlines():
        cells = ["" if cell == "-" else cell for cell in line.split()]
        if len(cells) == 5:
            cells.append("install ok installed")
        elif len(cells) > 6:
            cells[5:] = [" ".join(cells[5:])]
        lines.append("\t".join(cells))
    packages = read_packages("\n".join(lines), os_release.get("ID", ""), "table")
    return Inventory(os_release, packages, row.get("uname", ""))


def given_tracker(suite: str, rows: dict[str, dict[str, dict[str, str]]]) -> tracker.Tracker:
    return tracker.Tracker(
        suite,
        {
            source: {
                cve: tracker.Issue(
                    each["status"], each.get("fixed_version", ""), each.get("urgency", ""), each.get("nodsa", "")
                )
                for cve, each in cves.items()
            }
            for source, cves in rows.items()
        },
    )


# --- report --------------------------------------------------------------------------------------------


def report(results: Sequence[Result]) -> str:
    kinds = (AFFECTED, TO_CHECK, NOT_AFFECTED)
    matrix = Counter((each.row.verdict, each.found.verdict) for each in results)
    lines = [f"{len(results)} rows", "", f"{'expected / found':<18}" + "".join(f"{SHORT[kind]:>14}" for kind in kinds)]
    lines += [
        f"{SHORT[expected]:<18}" + "".join(f"{matrix[expected, found]:>14}" for found in kinds) for expected in kinds
    ]
    found = Counter(each.found.verdict for each in results)
    lines += [
        "",
        "share of each verdict: " + ", ".join(f"{SHORT[kind]} {share(found[kind], len(results))}" for kind in kinds),
    ]
    decide = [each for each in results if each.has_to_decide]
    decided = sum(each.decided for each in decide)
    lines.append(
        f"decided, of the rows whose verdict is not to check: {decided} of {len(decide)}, {share(decided, len(decide))}"
    )
    for title, chosen in (
        ("wrong", [each for each in results if each.is_wrong]),
        ("undecided though they had to be", [each for each in results if must(each)]),
        ("undecided, and acceptable", [each for each in decide if not each.decided and not each.is_wrong]),
    ):
        lines += ["", f"{title}: {len(chosen)}", *(shown(each) for each in chosen)]
    return "\n".join(lines)


def must(result: Result) -> bool:
    return result.found.verdict == TO_CHECK and TO_CHECK not in {result.row.verdict, *result.row.acceptable}


def share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"


def shown(result: Result) -> str:
    row, found = result
    return (
        f"  {row.reference} {row.inventory}: expected {SHORT[row.verdict]}, found {SHORT[found.verdict]}"
        f" [{found.package} {found.installed}] {reason_text(found)} ({row.category})"
    )


def main(argv: Sequence[str] | None = None) -> int:
    options = argparse.ArgumentParser(description="Run a truth table through the verdict engine.")
    options.add_argument("table", type=Path)
    options.add_argument("--shared", type=Path, help="where inventories/ and samples/json/ stand (for a .tsv)")
    options.add_argument("--changelogs", type=Path)
    options.add_argument("--tracker", type=Path)
    options.add_argument("--scramble", action="store_true", help="under references that mean nothing")
    options.add_argument("--rows", action="store_true", help="every row as one JSON object a line, before the report")
    chosen = options.parse_args(argv)
    start = time.perf_counter()
    if chosen.table.suffix == ".toml":
        results: Iterable[Result] = judge_toml(chosen.table)
    else:
        if chosen.shared is None:
            options.error("a .tsv table needs --shared")
        results = judge_shared(
            read_tsv(chosen.table), chosen.shared, chosen.changelogs, chosen.tracker, chosen.scramble
        )
    results, printed = itertools.tee(results)
    found = list(results)
    if chosen.rows:
        for each in printed:
            print(json.dumps(judge.as_object(each.row.reference, each.found, "en"), ensure_ascii=False))
    print(report(found))
    print(f"\n{time.perf_counter() - start:.2f} s")
    return 1 if any(each.is_wrong for each in found) else 0


if __name__ == "__main__":
    sys.exit(main())
