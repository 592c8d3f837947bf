"""A parcel comes out as it went in, and hostile bytes come out as one clear error."""

import json
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.fleet import parcel
from archive.fleet.parcel import Parcel, ParcelError
from tests.fleet.fleet import head

TEXTS = st.lists(st.binary(min_size=1, max_size=200), max_size=8)


@given(TEXTS)
def test_a_parcel_comes_out_as_it_went_in(texts):
    what = Parcel(head(rows={"event": [[1, "login", "a", "é\n"]]}), texts)

    assert parcel.unpack(parcel.pack(what)) == what


@given(st.binary(max_size=400))
def test_any_bytes_are_a_parcel_or_a_clear_error(raw):
    for body in (raw, zlib.compress(raw)):
        with pytest.raises(ParcelError):
            parcel.unpack(body)


def made(**changes):
    said = {"format": 1, **head()._asdict(), "texts": [3]} | changes
    return zlib.compress(json.dumps(said).encode() + b"\nabc")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"format": 2}, "format"),
        ({"uid": ""}, "uid"),
        ({"uid": "x" * 65}, "uid"),
        ({"name": "two\nlines"}, "name"),
        ({"now": True}, "now"),
        ({"now": -1}, "now"),
        ({"now": 2**60}, "now"),
        ({"texts": [4]}, "add up"),
        ({"texts": [-1, 4]}, "sizes"),
        ({"texts": None}, "sizes"),
        ({"texts": [1] * 121}, "at most"),
        ({"rows": []}, "rows"),
        ({"rows": {"event": 1}}, "rows"),
        ({"rows": {"event": [1]}}, "columns"),
        ({"rows": {"event": [[]] * 20_001}}, "more than"),
    ],
)
def test_a_head_that_is_off_is_refused_by_name(changes, why):
    with pytest.raises(ParcelError, match=why):
        parcel.unpack(made(**changes))


def test_a_gigabyte_in_a_small_body_is_never_unpacked():
    with pytest.raises(ParcelError, match="unpacks to more"):
        parcel.unpack(zlib.compress(b"x" * (parcel.MOST_UNPACKED + 1)))


def test_more_bytes_than_a_parcel_may_have_are_not_looked_at():
    with pytest.raises(ParcelError, match="at most"):
        parcel.unpack(b"x" * (parcel.MOST_BYTES + 1))
