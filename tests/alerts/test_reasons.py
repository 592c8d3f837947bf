"""Why a probe had nothing to ask, or failed, in the reader's words."""

import ast
import glob
import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts import reasons
from alerts.words import Words
from archive.settings import ROOT

FRENCH, ENGLISH = Words("fr", "Europe/Paris"), Words("en", "Europe/Paris")
EXAMPLE = {r"\$denied": "sda", r"\$\{line:0:120\}": "no route"}
RUNNER = ("run.py", "running.py")


def sources() -> list[tuple[str, str]]:
    found = []
    for path in sorted(glob.glob(f"{ROOT}/probes/*.*")):
        with open(path, encoding="utf-8") as file:
            found.append((os.path.basename(path), file.read()))
    return found


def said() -> list[tuple[str, str]]:
    """(file, reason) of every reason that stands in the sources, its values filled in."""
    found = []
    for name, text in sources():
        whole = re.findall(r"# UNAVAILABLE ([^\"$\\\n]+?)(?:\"|\\n|$)", text, re.M)
        whole += re.findall(r"unavailable \"([^\"]+)\"", text)
        if name in RUNNER:
            whole += runners(text)
        found += [(name, one) for one in whole]
    return [(name, filled(reason)) for name, reason in found]


def runners(text: str) -> list[str]:
    """What a runner's source sets, or adds to, as the reason of a result; a value in it is 3."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Assign | ast.AugAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(one, ast.Attribute) and one.attr == "reason" for one in targets):
                before = "timed out after 10 s" if isinstance(node, ast.AugAssign) else ""
                found += [before + one for one in texts(node.value) if " " in one]
    return found


def texts(value: ast.expr) -> list[str]:
    """Each text that an expression may be, the words that it looks for left out."""
    if isinstance(value, ast.JoinedStr):
        return ["".join(part.value if isinstance(part, ast.Constant) else "3" for part in value.values)]
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        return [value.value]
    if isinstance(value, ast.Compare | ast.Call):
        return []
    return [one for part in ast.iter_child_nodes(value) if isinstance(part, ast.expr) for one in texts(part)]


def filled(reason: str) -> str:
    for pattern, value in EXAMPLE.items():
        reason = re.sub(pattern, value, reason)
    return reason


def test_every_reason_of_the_shipped_probes_and_of_the_runner_is_told_in_french() -> None:
    found = said()
    assert {name for name, _reason in found} >= {
        "smart.sh",
        "updates.sh",
        "pressure.py",
        "users.py",
        "homes.py",
        *RUNNER,
    }
    assert len(found) >= 25
    left = [f"{name}: {reason}" for name, reason in found if reasons.told(reason, FRENCH) == reason]
    assert left == [], "give these a line in alerts/reasons.py"


def database_source() -> str:
    """Of the file and of its lock."""
    text = ""
    for name in ("database", "lock"):
        with open(f"{ROOT}/archive/{name}.py", encoding="utf-8") as file:
            text += file.read()
    return text


def test_every_mistake_of_the_database_is_told_in_french() -> None:
    """As raised: f-strings whose parts are put in are read as such, and filled with a word."""
    raised = [
        "".join(part.value if isinstance(part, ast.Constant) else "/a/file.db" for part in text.values)
        for node in ast.walk(ast.parse(database_source()))
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", "") in {"DatabaseError", "Busy", "Missing", "Damaged", "Newer"}
        for text in node.args
        if isinstance(text, ast.JoinedStr) and len(text.values) > 1 and isinstance(text.values[-1], ast.Constant)
    ]
    assert len(raised) >= 9
    left = [text for text in raised if reasons.told(text, FRENCH) == text]
    assert left == [], "give these a line in alerts/reasons.py"


def test_no_reason_is_known_that_nothing_gives() -> None:
    text = "\n".join(source for _name, source in sources()) + "\nno reason given" + database_source()
    for message in reasons.KNOWN:
        for part in re.split(r"%\(\w+\)s", message):
            assert part.strip() in text, message


@pytest.mark.parametrize(
    ("reason", "french"),
    [
        ("timed out after 10 s", "pas de réponse en 10 s"),
        ("no right to read /dev/sda (needs root or the group of the disks)",
         "pas le droit de lire /dev/sda (il faut être root, ou du groupe des disques)"),
        ("timed out after 10 s and cannot be killed (process 4711)",
         "pas de réponse en 10 s, et impossible à arrêter (processus 4711)"),
        ("disk.py: df said nothing", "disk.py: df said nothing"),
        ("", ""),
    ],
)  # fmt: skip
def test_values_stay_and_the_unknown_is_shown_as_it_was_said(reason: str, french: str) -> None:
    assert reasons.told(reason, FRENCH) == french
    assert reasons.told(reason, ENGLISH) == reason


def test_a_moment_is_told_on_the_reader_s_clock() -> None:
    told = reasons.told("still running since 2026-11-23T09:15:00Z", FRENCH)
    assert "10:15" in told
    assert told.startswith("tourne encore depuis")
    assert reasons.told("still running since yesterday", FRENCH) == "tourne encore depuis yesterday"


@given(st.text(max_size=400))
def test_any_text_of_a_stranger_comes_out(reason: str) -> None:
    assert isinstance(reasons.told(reason, FRENCH), str)
    assert reasons.told(f"dnf cannot answer without the network: {reason}x", ENGLISH).endswith("x")
