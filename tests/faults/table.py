"""The table of faults and its tests: read by a test, so that it cannot drift.

`python -m tests.faults.table [ID...]` lists tests by id; `python -m tests.faults.table write` fills the column of files anew.
"""

import ast
import os
import re
import sys
from collections import defaultdict
from functools import cache

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TABLE = os.path.join(ROOT, "tests", "faults", "README.md")
ROW = re.compile(r"\| ([PDMCW]\d\d) \| (.+?) \| (.+?) \| (.+?) \|")
ID = re.compile(r"(?<![a-z])([pdmcw]\d\d)(?=_)")


@cache
def tests_by_id() -> dict[str, set[str]]:
    """{"W01": {"tests/web/test_forms.py::test_w01_...", ...}}: every test function whose name begins with an id or several."""
    found: dict[str, set[str]] = defaultdict(set)
    for folder, folders, names in os.walk(os.path.join(ROOT, "tests")):
        folders[:] = [name for name in folders if name not in ("node_modules", "__pycache__")]
        for name in names:
            path = os.path.join(folder, name)
            if not name.startswith("test_") or not name.endswith(".py"):
                continue
            with open(path, encoding="utf-8") as file:
                module = ast.parse(file.read(), path)
            for node in ast.walk(module):
                if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                    for ident in ID.findall(f"_{node.name.removeprefix('test_')}_"):
                        found[ident.upper()].add(f"{os.path.relpath(path, ROOT)}::{node.name}")
    return dict(found)


def rows() -> dict[str, tuple[str, str, str]]:
    """id -> (what must happen, files of its tests, result), as the table has it."""
    with open(TABLE, encoding="utf-8") as file:
        return {found[1]: (found[2], found[3], found[4]) for line in file if (found := ROW.match(line))}


def write() -> None:
    """The column of files, as the tests have it now; words and results stay."""
    with open(TABLE, encoding="utf-8") as file:
        lines = file.readlines()
    for number, line in enumerate(lines):
        found = ROW.match(line)
        if found:
            names = sorted({one.partition("::")[0] for one in tests_by_id().get(found[1], ())})
            cell = ", ".join(f"`{name}`" for name in names) or "—"
            lines[number] = f"| {found[1]} | {found[2]} | {cell} | {found[4]} |\n"
    with open(TABLE, "w", encoding="utf-8") as file:
        file.writelines(lines)


if __name__ == "__main__":
    wanted = sys.argv[1:]
    if wanted == ["write"]:
        write()
    else:
        for ident, names in sorted(tests_by_id().items()):
            if not wanted or ident in wanted:
                print(ident, *sorted(names), sep="\n  ")
