"""What the archive refuses is listed for the translators."""

import ast
import pathlib

from tests.cycles import ROOT
from web.fleet import REFUSALS


def test_every_refusal_of_the_fleet_has_its_french():
    said = set()
    for path in (pathlib.Path(ROOT) / "archive" / "fleet").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("MemberError"):
                said.add(node.args[0].value)

    assert said == set(REFUSALS)
