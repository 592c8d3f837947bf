"""A probe's text: hostile until it has passed here."""

import contextlib
import string
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from archive import text
from archive.text import TextError, clean, parse

HOSTILE = [
    "<script>alert(1)</script>", "\"'`;--", "; rm -rf /", "$(id)", "a\tb", "\x1b[2Jgone", "\x9b31m", "\u202etxt.exe",
    "\u200bhidden", "\ufeff", "\u2066x\u2069", "C:\\dir", "{}", "}", "#", "é" * 40, "\U0001f480", "a=b,c=d", " ",
]  # fmt: skip


def escaped(value: str) -> str:
    """A label's value as the format wants it."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def line(name: str, labels: dict[str, str], value: float) -> str:
    inside = ",".join(f'{key}="{escaped(said)}"' for key, said in labels.items())
    return f"{name}{{{inside}}} {value!r}\n" if labels else f"{name} {value!r}\n"


@settings(max_examples=500)
@given(st.binary(max_size=400) | st.text(max_size=400).map(lambda said: said.encode("utf-8", "surrogatepass")))
@example(b"\xff\xfe")
@example(b"a 1\n\x00")
@example(b"# FOR x " + b"9" * 5000)
@example(b"# CLEAR x " + "١".encode())
def test_p07_any_bytes_parse_or_are_refused_in_words(raw):
    with contextlib.suppress(TextError):
        found = parse(raw)
        assert len(found.samples) + len(found.facts) <= text.MAX_SERIES


def test_p07_random_bytes_are_refused():
    import random

    for seed in range(200):
        with pytest.raises(TextError):
            parse(random.Random(seed).randbytes(4096))


_NAMES = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,20}", fullmatch=True).filter(lambda name: not name.endswith("_info"))
_VALUES = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Cf", "Zl", "Zp")), max_size=40)


@given(
    st.dictionaries(
        st.tuples(_NAMES, st.dictionaries(_NAMES, _VALUES, max_size=3).map(lambda d: tuple(sorted(d.items())))),
        st.floats(0, 1, allow_nan=False),
        max_size=20,
    )
)
def test_what_a_probe_prints_comes_back(rows):
    written = "".join(line(name, dict(labels), value) for (name, labels), value in rows.items())

    found = parse(written.encode())

    assert {(s.metric, s.labels): s.value for s in found.samples} == rows
    assert found.rejected == 0


@pytest.mark.parametrize(
    "number", ["0x10", "1,5", "١٢", "1_000", "", "--1", "1e", "nan", "Infinity", "1 2 3", "true", "1.2.3", "1 x"]
)
def test_p09_what_is_no_number_refuses_the_text(number):
    with pytest.raises(TextError, match="line 1"):
        parse(f"load_average {number}\n".encode())


@pytest.mark.parametrize("number", ["NaN", "Inf", "+Inf", "-inf", "1e309", "-0.01", "1.01", "1e400"])
def test_p09_a_number_out_of_range_is_dropped_alone_and_counted(number):
    found = parse(f"disk_used_ratio {number}\nload_average 1\n".encode())

    assert [sample.metric for sample in found.samples] == ["load_average"]
    assert found.rejected == 1


def test_p09_minus_zero_is_zero():
    assert parse(b"disk_used_ratio -0\n").samples[0].value == 0


def test_p05_an_empty_text_has_nothing_in_it():
    assert parse(b"") == text.ProbeText({}, [], [], 1, "", 0)


def test_p08_a_text_is_refused_by_its_size_before_it_is_read():
    class Huge(bytes):
        """A hundred megabytes that nobody may look into."""

        def __len__(self):
            return 100 << 20

        def _read(self, *_arguments, **_named):
            raise AssertionError("it was read")

        decode = split = splitlines = find = count = startswith = endswith = __getitem__ = __iter__ = _read

    with pytest.raises(TextError, match="at most 1048576"):
        parse(Huge())


def test_p08_a_long_line_is_refused_by_number():
    with pytest.raises(TextError, match="line 2: has 9002 characters"):
        parse(b'a 1\na{b="' + b"x" * 8993 + b'"} 1\n')


def test_p08_too_many_series_are_refused():
    with pytest.raises(TextError, match="more than 2000 series"):
        parse(b"".join(b'a{n="%d"} 1\n' % n for n in range(2001)))


@pytest.mark.parametrize("value", HOSTILE, ids=ascii)
def test_p10_hostile_names_are_kept_as_visible_text(value):
    found = parse(line("a", {"name": value}, 1.0).encode())

    kept = dict(found.samples[0].labels)["name"]
    assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or c in "\u202e\u200b\ufeff\u2066\u2069" for c in kept)
    assert kept == value or "\\" in kept


def test_p10_a_newline_in_a_name_is_shown_not_obeyed():
    assert dict(parse(b'a{name="x\\ny"} 1\n').samples[0].labels) == {"name": "x\\x0ay"}


def test_p10_a_name_of_10_kb_is_refused_with_its_line_and_one_of_2_kb_is_cut():
    with pytest.raises(TextError, match="line 1"):
        parse(line("a", {"name": "x" * 10_240}, 1).encode())

    kept = dict(parse(line("a", {"name": "x" * 2048}, 1).encode()).samples[0].labels)["name"]
    assert len(kept) == 500


def test_p10_two_long_names_that_begin_alike_stay_two():
    found = parse((line("a", {"n": "x" * 2000 + "1"}, 1) + line("a", {"n": "x" * 2000 + "2"}, 1)).encode())

    assert len({sample.labels for sample in found.samples}) == 2


def test_p10_a_name_made_to_look_like_another_does_not_silence_the_probe():
    # A user may mount both: one holds a newline, the other is written as if it did.
    found = parse((line("a", {"n": "x\ny"}, 1) + line("a", {"n": "x\\x0ay"}, 0) + line("b", {}, 1)).encode())

    assert [sample.metric for sample in found.samples] == ["a", "b"]
    assert found.rejected == 1


def test_names_that_differ_by_a_space_stay_two():
    found = parse((line("a", {"n": "/mnt/x"}, 1) + line("a", {"n": "/mnt/x "}, 1)).encode())

    assert len(found.samples) == 2


@pytest.mark.parametrize("twice", ["a 1\na 2\n", 'a{b="c"} 1\na{b="c"} 1\n', "x_info 1\nx_info 1\n"])
def test_a_line_that_stands_twice_refuses_the_text(twice):
    with pytest.raises(TextError, match="stands twice"):
        parse(twice.encode())


@pytest.mark.parametrize(
    "body", ['{a="b" c="d"} 1', '{a="b} 1', "{a=b} 1", '{a="b",a="c"} 1', '{1a="b"} 1', '{="b"} 1', "{,} 1"]
)
def test_bad_labels_refuse_the_text(body):
    with pytest.raises(TextError, match="line 1"):
        parse(f"a{body}\n".encode())


@pytest.mark.parametrize(
    "text_line", ["1" * 8000 + "x", "a " + "1" * 8000 + "x", "a{" + "} " * 4000, 'a{b="' + "\\\\" * 3990, "# WARN a > " + "1" * 8000 + "x"]
)  # fmt: skip
def test_a_line_made_to_be_slow_is_not(text_line):
    began = time.monotonic()

    with pytest.raises(TextError):
        parse(text_line.encode())

    assert time.monotonic() - began < 0.2


def test_a_shipped_threshold_is_read_whole():
    found = parse(
        b"# HELP x_ratio Words\n# HELP.fr x_ratio Mots\n# WARN x_ratio > 0.9\n"
        b"# CRIT x_ratio > 0.97 and y_bytes < 5e9\n# CLEAR x_ratio 0.85\n# FOR x_ratio 15\n# OFF x_ratio\nx_ratio 0.5\n"
    )

    metric = found.metrics["x_ratio"]
    assert (metric.help, metric.help_fr) == ("Words", "Mots")
    assert metric.shipped == text.Shipped(True, 0.9, 0.97, 0.85, 900, "y_bytes", False, 5e9, "critical", False)


@pytest.mark.parametrize(
    ("comments", "why"),
    [
        ("# WARN a > x", "expected `# WARN name > level`"),
        ("# WARN a >= 1", "expected `# WARN name > level`"),
        ("# WARN a > 1e400", "not a finite number"),
        ("# CLEAR a 1_0", "not a finite number"),
        ("# FOR a -1", "expected a whole number of minutes"),
        ("# FOR a 1.5", "expected a whole number of minutes"),
        ("# EVERY x", "expected a whole number of cycles"),
        ("# WARN a > 1\n# CRIT a < 2", "two directions"),
        ("# WARN a > 2\n# CRIT a > 1", "comes before the WARN level"),
        ("# WARN a < 1\n# CRIT a < 2", "comes before the WARN level"),
        ("# WARN a > 1 and b < 2\n# CRIT a > 2", "must stand in CRIT too"),
    ],
)
def test_a_threshold_that_makes_no_sense_refuses_the_text(comments, why):
    with pytest.raises(TextError, match=why):
        parse(f"{comments}\na 1\n".encode())


def test_unavailable_is_a_reason_not_a_zero():
    found = parse(b"# UNAVAILABLE no RAID here\x07\n")

    assert (found.unavailable, found.samples) == ("no RAID here\\x07", [])


def test_an_info_line_is_a_fact_whatever_its_number():
    found = parse(b'login_info{user="a"} NaN\n')

    assert (found.samples, found.facts, found.rejected) == ([], [("login_info", (("user", "a"),))], 0)


def test_lines_may_end_as_windows_ends_them_and_carry_a_time():
    assert parse(b"a 1\r\nb 2 1795221000000\r\n").samples[1].value == 2


@given(st.text(max_size=100))
def test_cleaned_words_are_one_visible_line(words):
    kept = clean(words)

    assert not any(c in kept for c in [*map(chr, range(32)), "\x7f", "\u2028", "\u2029", "\x85", "\x9b", "\u202e"])
    assert clean(kept) == kept


def test_ordinary_text_is_left_alone():
    assert clean("Disque « racine » – été, 100 %") == "Disque « racine » – été, 100 %"
    assert set(string.printable[:95]) <= set(clean(string.printable[:95]) + " ")
