"""“What Vigie promises” in the two READMEs: every statement names tests, they are there, and both languages say the same."""

import ast
import os
import re
from functools import cache

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SECTIONS = {"README.md": "## What Vigie promises", "README.fr.md": "## Ce que Vigie promet"}
NOT = {"README.md": "### Not promised", "README.fr.md": "### Ce qui n’est pas promis"}
ABOUT = range(20, 31)  # statements


def section(readme: str) -> str:
    with open(os.path.join(ROOT, readme), encoding="utf-8") as file:
        text = file.read()
    return re.split(r"^## ", text.partition(f"\n{SECTIONS[readme]}\n")[2], flags=re.MULTILINE)[0]


def statements(readme: str) -> list[tuple[str, list[str]]]:
    """(words, names of tests) of each numbered statement."""
    found = []
    promised = section(readme).partition(f"\n{NOT[readme]}\n")[0]
    for item in re.split(r"^\d+\. ", promised, flags=re.MULTILINE)[1:]:
        words = re.sub(r"\s+", " ", re.sub(r"`test_\w+`,?", "", item)).strip()
        found.append((words, re.findall(r"`(test_\w+)`", item)))
    return found


@cache
def every_test() -> frozenset[str]:
    found = set()
    for folder, folders, names in os.walk(os.path.join(ROOT, "tests")):
        folders[:] = [name for name in folders if name not in ("node_modules", "__pycache__", "full")]
        for name in names:
            if name.startswith("test_") and name.endswith(".py"):
                with open(os.path.join(folder, name), encoding="utf-8") as file:
                    nodes = ast.walk(ast.parse(file.read()))
                found |= {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    return frozenset(found)


@pytest.mark.parametrize("readme", SECTIONS)
def test_each_promise_names_tests_that_are_there(readme: str) -> None:
    told = statements(readme)
    assert len(told) in ABOUT
    for words, names in told:
        assert names, f"no test: {words}"
        assert len(words) > 30, words
        missing = [name for name in names if name not in every_test()]
        assert missing == [], words


def test_both_languages_promise_the_same_by_the_same_tests() -> None:
    english, french = (statements(readme) for readme in SECTIONS)
    assert [names for _words, names in english] == [names for _words, names in french]


@pytest.mark.parametrize("readme", SECTIONS)
def test_what_is_not_promised_stands_there_too(readme: str) -> None:
    told = section(readme).partition(f"\n{NOT[readme]}\n")[2]
    assert len(re.findall(r"^- ", told, re.MULTILINE)) >= 5
