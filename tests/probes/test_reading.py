"""What the Python probes share."""

import posix

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.probes.probing import module, series, stub

reading = module("reading")
ALLOWED = reading.ALPHANUMERIC + " ._-"
anything = st.binary(max_size=300).map(lambda found: found.decode("utf-8", "surrogateescape")) | st.text(max_size=300)


@given(anything)
def test_a_tame_name_has_only_what_is_allowed_and_each_other_byte_is_one_underscore(text):
    tame = reading.tame(text, ALLOWED)
    assert set(tame) <= {*ALLOWED, "_"}
    raw = text.encode("utf-8", "surrogatepass" if any("\ud800" <= c < "\udc80" for c in text) else "surrogateescape")
    assert len(tame) == len(raw)
    assert all(shown in {chr(byte), "_"} for shown, byte in zip(tame, raw, strict=True))


@given(anything)
def test_a_label_s_value_is_one_that_the_contract_allows_and_never_endless(text):
    label = reading.label(text)
    head = "# HELP a A\n# HELP.fr a A\n# TYPE a gauge\n"
    assert series(f'{head}a{{b="{label}"}} 1\n') == {f'a{{b="{label}"}}': 1}
    assert len(label.encode()) <= 5 * 200
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in label)


@given(st.text(max_size=5))
def test_digits_are_those_of_ascii(text):
    assert reading.whole(text) == (text != "" and set(text) <= set("0123456789"))


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 70_000])
def test_a_file_is_read_to_its_end_and_no_further_than_asked(tmp_path, size):
    (tmp_path / "file").write_bytes(b"\xff" * size)
    assert reading.slurp(f"{tmp_path}/file") == "\udcff" * size
    assert len(reading.slurp(f"{tmp_path}/file", 100)) == min(size, 100)


def test_a_program_is_asked_with_its_status_all_that_it_says_and_our_variables(tools, monkeypatch, capfd):
    monkeypatch.setenv("PATH", str(tools))
    monkeypatch.setitem(posix.environ, b"PATH", str(tools).encode())
    stub(tools, "asked", "echo $1 $TZ; echo complaint >&2; awk 'BEGIN { for (i = 0; i < 20000; i++) print i }'; exit 3")
    status, said = reading.ask(["asked", "a b"], {b"TZ": b"UTC"})
    assert (status, said) == (3, "a b UTC\n" + "".join(f"{i}\n" for i in range(20000)))
    assert capfd.readouterr().err == "complaint\n"
    reading.ask(["asked", "a b"], {}, quiet=True)
    assert capfd.readouterr().err == ""
    assert reading.is_program("asked")
    assert not reading.is_program("nobody")
    open_before = len(posix.listdir("/proc/self/fd"))
    with pytest.raises(FileNotFoundError):
        reading.ask(["nobody"], {})
    assert len(posix.listdir("/proc/self/fd")) == open_before
