"""What the archive refuses is listed for the translators."""

import ast
import pathlib

from tests.cycles import ROOT
from web.fleet import REFUSALS, WISHES


def test_every_refusal_of_the_fleet_has_its_french():
    assert messages("MemberError", 0) == set(REFUSALS)
    assert messages("ThresholdError", 1) == set(WISHES)


def messages(error, place):
    """What is said where this is raised in archive/fleet/."""
    return {
        node.args[place].value
        for path in (pathlib.Path(ROOT) / "archive" / "fleet").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(error)
    }
