"""tests/full/RESULTS.md: a section a run, replaced when the run is made again; and what it says of the present runs."""

import os
import re

from tests.full import guards, results


def test_a_section_replaces_the_one_before_and_leaves_the_others() -> None:
    whole = results.put("", "soak", results.section("soak", "0", "12", "all well", "abc", "2026-11-25"))
    whole = results.put(whole, "guards", results.section("guards", "1", "3", "| a |\n|---|", "abc", "2026-11-25"))
    again = results.put(whole, "soak", results.section("soak", "0", "13", "still ``` well", "def", "2026-11-26"))
    assert again.startswith(results.HEAD)
    assert again.count("## soak\n") == again.count("## guards\n") == 1
    assert "all well" not in again
    assert "Commit `def`, 2026-11-26, 13 s, ended well." in again
    assert "\n| a |\n|---|\n" in again
    assert "ended with status 1" in again
    assert again.count("```") == 2


def test_the_results_of_sweep_soak_and_guards_are_kept_with_their_commit() -> None:
    with open(results.FILE, encoding="utf-8") as file:
        whole = file.read()
    for name in ("sweep", "soak", "guards"):
        found = re.search(rf"(?m)^## {name}\n\nCommit `([0-9a-f]{{7,40}})\+?`, \d{{4}}-\d\d-\d\d", whole)
        assert found, f"{name}: type tests/full.sh {name}"
    made = re.search(r"(\d+) of (\d+) injections made; (\d+) against an invariant", whole)
    assert made
    assert int(made[2]) >= 5000
    assert int(made[3]) == 0
    assert made[1] == made[2], "type tests/full.sh sweep, which goes on where it was stopped"


def test_the_sample_of_guards_is_one_in_ten_and_each_has_its_guard() -> None:
    assert len(guards.chosen()) == len(guards.faults()) // 10 == 14
    assert set(guards.chosen()) <= set(guards.GUARDS)
    for ident, guard in guards.GUARDS.items():
        with open(os.path.join(guards.ROOT, guard.file), encoding="utf-8") as file:
            assert guard.old == "MODE" or file.read().count(guard.old) == 1, f"{ident}: where is its guard now?"
