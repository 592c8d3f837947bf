"""The log: one entry a message, whatever stands in it."""

import logging
import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.logs import INDENT, OneEntry

HEAD = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ [A-Z]+ [\w.]+:")


def entry(message: str, error: BaseException | None = None) -> str:
    told = (type(error), error, error.__traceback__) if error else None
    return OneEntry().format(logging.LogRecord("vigie.web", logging.WARNING, "x.py", 1, "%s", (message,), told))


@given(st.text())
def test_no_text_begins_a_second_entry(text: str) -> None:
    for said in (entry(text), entry("x", ValueError(text))):
        first, *others = said.split("\n")
        assert HEAD.match(first)
        assert all(line.startswith(INDENT) for line in others)
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e]", said)


def test_a_traceback_is_read_as_one() -> None:
    try:
        raise RuntimeError("the reason\n2026-11-21T00:30:00Z ERROR vigie: forged \x1b[31m")
    except RuntimeError as error:
        said = entry("error 1234abcd", error)
    assert f"{INDENT}Traceback (most recent call last):" in said
    assert f"{INDENT}    raise RuntimeError" in said
    assert "forged \\x1b[31m" in said


def test_standard_error_gets_it(capsys: pytest.CaptureFixture[str]) -> None:
    from web import logs

    before = logging.root.handlers[:]
    level = logging.root.level
    try:
        logging.root.handlers = []
        logs.set_up()
        logging.getLogger("vigie.web").warning("a\nb")
        sys.stderr.flush()
        assert re.search(rf"{HEAD.pattern} a\n{INDENT}b\n", capsys.readouterr().err)
    finally:
        logging.root.handlers = before
        logging.root.setLevel(level)
