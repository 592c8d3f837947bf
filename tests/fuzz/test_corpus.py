"""Every file that the fuzzer kept (tests/fuzz/run.py) is read or refused in words, again in every run."""

import os
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz import targets


@pytest.mark.parametrize("name", targets.TARGETS)
def test_the_kept_corpus_is_read_or_refused_in_words(name: str) -> None:
    folder = os.path.join(targets.CORPUS, name)
    names = sorted(os.listdir(folder))
    assert len(names) > 50
    for file in names:
        with open(os.path.join(folder, file), "rb") as opened:
            data = opened.read()
        try:
            targets.TARGETS[name](data)
        except Exception as error:
            raise AssertionError(f"{folder}/{file}: {type(error).__name__}: {error}") from error


@pytest.mark.parametrize("target", targets.TARGETS.values(), ids=targets.TARGETS)
@given(st.binary(max_size=2000))
def test_any_bytes_are_read_or_refused_in_words(target: Callable[[bytes], None], data: bytes) -> None:
    target(data)


def test_the_targets_see_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """A parser that lets something through, or answers in two lines, is found."""

    def broken(_data: bytes) -> None:
        raise targets.text.TextError("two\nlines")

    monkeypatch.setattr(targets.text, "parse", broken)
    with pytest.raises(AssertionError):
        targets.probe_text(b"x")
    monkeypatch.setattr(targets.safe, "to_html", lambda _text: "<p><script>x</script></p>")
    with open(os.path.join(targets.CORPUS, "publication", "seed.json"), "rb") as file, pytest.raises(AssertionError):
        targets.publication(file.read())
