"""Dates and times as people type them: with the hour that is skipped and the one that comes twice."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.words import Words
from web import moments
from web.levels import Mistake
from web.moments import Twice

PARIS, NEW_YORK, HOWE = Words("fr", "Europe/Paris"), Words("en", "America/New_York"), Words("en", "Australia/Lord_Howe")


def at(text: str, zone: str = "Europe/Paris", fold: int = 0) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp())


@pytest.mark.parametrize(
    "text",
    ["2026-11-25T18:00", "2026-11-25 18:00", "2026-11-25T18:00:00", "25/11/2026 18:00", "25/11/2026 à 18h", "25/11/2026 18h00",
     " 25/11/2026\u202f18 h 00 ", "25/11/2026, 18:00"],
)  # fmt: skip
def test_a_moment_is_read_as_it_is_typed(text: str) -> None:
    assert moments.parse(text, PARIS) == at("2026-11-25 18:00")


@pytest.mark.parametrize(
    "text",
    ["demain", "25/11/2026", "2026-11-25", "18:00", "2026-13-25T18:00", "2026-02-30T18:00", "2026-11-25T24:00", "2026-11-25T18:60",
     "31/11/2026 10:00", "<b>", "٢٠٢٦-١١-٢٥T18:00", "9" * 60],
)  # fmt: skip
def test_what_is_no_moment_is_named_with_what_is_expected(text: str) -> None:
    with pytest.raises(Mistake) as caught:
        moments.parse(text, PARIS)
    told = PARIS.gettext(caught.value.message, **caught.value.values)
    assert text[:40] in told
    assert "25/11/2026 18:00" in told


@pytest.mark.parametrize("text", ["", "   "])
def test_nothing_asks_for_a_moment(text: str) -> None:
    with pytest.raises(Mistake, match="Give a date and time"):
        moments.parse(text, PARIS)


@pytest.mark.parametrize("text", ["1999-12-31T10:00", "2200-01-01T10:00", "20266-01-01T10:00"[:16]])
def test_a_year_far_away_is_a_slip(text: str) -> None:
    with pytest.raises(Mistake):
        moments.parse(text, PARIS)


@pytest.mark.parametrize(
    ("words", "text", "said"),
    [
        (PARIS, "2026-03-29T02:30", "02:30 n’existe pas le 29 mars 2026 : les horloges passent de 02:00 à 03:00"),
        (PARIS, "2026-03-29T02:00", "02:00 n’existe pas"),
        (
            NEW_YORK,
            "2026-03-08T02:59",
            "02:59 does not exist on March 8, 2026: the clocks go forward from 02:00 to 03:00",
        ),
        (HOWE, "2026-10-04T02:15", "the clocks go forward from 02:00 to 02:30"),
    ],
)
def test_an_hour_that_is_skipped_is_said(words: Words, text: str, said: str) -> None:
    with pytest.raises(Mistake) as caught:
        moments.parse(text, words)
    told = words.gettext(caught.value.message, **caught.value.values)
    assert said in told.replace("\u00a0", " ").replace("\u202f", " ")


def test_an_hour_that_comes_twice_is_asked_about_and_then_known() -> None:
    with pytest.raises(Twice) as caught:
        moments.parse("2026-10-25T02:30", PARIS)
    first, second = at("2026-10-25 02:30"), at("2026-10-25 02:30", fold=1)
    assert (caught.value.first, caught.value.second) == (first, second)
    assert second - first == 3600
    assert moments.parse("2026-10-25T02:30", PARIS, "first") == first
    assert moments.parse("2026-10-25T02:30", PARIS, "second") == second
    with pytest.raises(Twice):
        moments.parse("2026-10-25T02:30", PARIS, "third")
    # On both sides of that hour there is nothing to choose.
    assert moments.parse("2026-10-25T01:59", PARIS) == first - 31 * 60
    assert moments.parse("2026-10-25T03:00", PARIS) == second + 30 * 60


@given(st.integers(946_782_000, 4_102_000_000), st.sampled_from([PARIS, NEW_YORK, HOWE, Words("fr", "UTC")]))
def test_what_a_field_shows_is_read_back_as_the_same_minute(moment: int, words: Words) -> None:
    moment -= moment % 60
    text = moments.shown(moment, words)
    assert moment in {moments.parse(text, words, which) for which in ("first", "second")}


@pytest.mark.parametrize(
    ("text", "expected"),
    [("22:00", "22:00"), ("6:30", "06:30"), ("22h", "22:00"), ("7 h 05", "07:05"), ("00:00", "00:00")],
)
def test_a_clock_is_read(text: str, expected: str) -> None:
    assert moments.clock(text) == expected


@pytest.mark.parametrize("text", ["", "25:00", "22:60", "soir", "22", "-1:00"])
def test_what_is_no_clock_is_refused(text: str) -> None:
    with pytest.raises(Mistake):
        moments.clock(text)


@given(st.text(max_size=40))
def test_no_text_breaks_the_reader(text: str) -> None:
    try:
        moments.parse(text, PARIS)
    except Mistake:
        return
