"""What Vigie is built on: every package pinned with hashes, with its licence and its reason, and in the bill of materials."""

import json
import os
import re
import subprocess
import sys

import pytest

from bench import sbom
from tests.cycles import ROOT


def read(name: str) -> str:
    with open(os.path.join(ROOT, name), encoding="utf-8") as file:
        return file.read()


def plain(name: str) -> str:
    return re.sub("[-_.]+", "-", name).lower()


def asked_for(name: str) -> set[str]:
    """What a .in file asks for by itself."""
    lines = [line.partition("#")[0].strip() for line in read(name).splitlines()]
    return {plain(re.split(r"[\s\[<>=!~;]", line)[0]) for line in lines if line and not line.startswith("-")}


def listed() -> dict[str, tuple[str, str]]:
    """Package -> (licence, reason) of docs/dependencies.md's table."""
    found = {}
    for line in read("docs/dependencies.md").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| ") and len(cells) == 4 and cells[0] not in ("package",) and not cells[0].startswith("-"):
            for name in cells[0].split(","):
                found[plain(name.strip(" `"))] = (cells[1], cells[3])
    return found


def test_every_package_that_is_asked_for_has_a_licence_and_a_reason() -> None:
    table = listed()
    for name in asked_for("requirements.in"):
        assert name in table, f"{name}: write its licence and why it is here in docs/dependencies.md"
        licence, reason = table[name]
        assert licence
        assert len(reason) > 10


def test_the_licence_that_is_written_is_the_one_that_the_package_says() -> None:
    for name in asked_for("requirements.in"):
        written = re.split(r"[\s(]", listed()[name][0])[0].rstrip("+")
        said = sbom.licence(name)
        family = re.match(r"[A-Za-z]+", written)
        assert said, name
        assert family
        words = {"BSD": "BSD", "MIT": "MIT", "LGPL": "LGPL|Lesser", "MPL": "MPL|Mozilla", "GPL": "GPL|General Public",
                 "ZPL": "ZPL|Zope", "Apache": "Apache"}[family[0]]  # fmt: skip
        assert re.search(words, said), f"{name}: docs say {written}, the package says {said}"


@pytest.mark.parametrize(
    "name", ["requirements.txt", "requirements-dev.txt", "requirements-apprise.txt", "requirements-fleet.txt"]
)
def test_every_pin_has_hashes_and_nothing_is_installed_from_elsewhere(name: str) -> None:
    text = read(name)
    pins = sbom.pinned(text)
    assert len(pins) > (2 if name == "requirements-fleet.txt" else 3)  # psycopg, its binary, typing_extensions
    assert not re.search(r"^(-e|--index-url|--extra-index-url|--find-links|git\+|https?://)", text, re.MULTILINE)
    lines = [line for line in text.splitlines() if line and not line.startswith((" ", "#", "-"))]
    assert len(lines) == len(pins), "a line that is no pin"


def test_every_package_that_is_asked_for_is_pinned() -> None:
    pins = {plain(one.name) for one in sbom.pinned(read("requirements.txt"))}
    assert asked_for("requirements.in") <= pins


def test_a_pin_without_a_hash_is_refused() -> None:
    with pytest.raises(ValueError, match="has no hash"):
        sbom.pinned("flask==3.1.3\n")


def test_the_bill_of_materials_lists_every_pin_with_its_hashes_and_is_the_same_twice() -> None:
    runs = [
        subprocess.run(
            [sys.executable, "-m", "bench.sbom"], cwd=ROOT, check=True, capture_output=True, text=True
        ).stdout
        for _ in range(2)
    ]
    assert runs[0] == runs[1]
    bill = json.loads(runs[0])
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.5")
    assert re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", bill["serialNumber"])
    pins = sbom.pinned(read("requirements.txt"))
    assert [(one["name"], one["version"]) for one in bill["components"]] == [(one.name, one.version) for one in pins]
    for part, pin in zip(bill["components"], pins, strict=True):
        assert [one["content"] for one in part["externalReferences"][0]["hashes"]] == list(pin.hashes)
        assert part["purl"] == f"pkg:pypi/{plain(pin.name)}@{pin.version}"
        assert part["licenses"][0]["license"]["name"], part["name"]
    refs = {part["bom-ref"] for part in bill["components"]}
    assert len(refs) == len(pins)
    assert set(bill["dependencies"][0]["dependsOn"]) == refs
