"""Debian's security data: the tracker's JSON read piece by piece, debsecan's feed, and the rule by suite."""

import gzip
import io
import json
import tracemalloc
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.certfr import tracker
from archive.certfr.tracker import (
    FIXED,
    UNDETERMINED,
    UNIMPORTANT,
    UNKNOWN,
    VULNERABLE,
    Tracker,
    TrackerError,
    members,
    read,
)

DATA = {
    "openssh": {
        "CVE-2024-6387": {
            "releases": {
                "bookworm": {"status": "resolved", "fixed_version": "1:9.2p1-2+deb12u3", "urgency": "high"},
                "bullseye": {"status": "resolved", "fixed_version": "0"},
                "trixie": {"status": "resolved", "fixed_version": "1:9.7p1-7"},
            }
        },
        "CVE-2000-0001": {"releases": {"bookworm": {"status": "open", "urgency": "unimportant"}}},
        "CVE-2000-0002": {"releases": {"bookworm": {"status": "open", "urgency": "low**", "nodsa": "Minor issue"}}},
        "CVE-2000-0003": {"releases": {"bookworm": {"status": "undetermined"}}},
        "CVE-2000-0004": {"releases": {"sid": {"status": "open"}}},
        "CVE-2000-0005": {"description": "no releases"},
        "CVE-2000-0006": {"releases": {"bookworm": {"status": "resolved"}}, "new key": [1]},
    },
    "other": {"CVE-2000-0009": {"releases": {"bookworm": {"status": "open"}}}},
}
FEED = """\
VERSION 1
CVE-2024-6387,,a race, with a comma
CVE-2000-0002,,another
CVE-2000-0003,,a third

openssh,0,SMRF,1:9.7p1-7,0 1:9.2p1-2+deb12u10 1:9.2p1-2+deb12u3 1:9.2p1-2+deb12u5 1:10.0p1-7+deb13u1
openssh,1,S RF,1:9.3p2-1,1:9.3p2-1
openssh,2,S R ,,5:8.0.2-3+deb13u3
openssh,7,S R ,,
binary,1,B R ,,
other,1,S R ,,

openssh,openssh-client openssh-server

"""


def saved(path: Path, body: bytes, suite: str = "bookworm") -> Tracker:
    path.write_bytes(body)
    return read(path, suite, {"openssh"})


@pytest.mark.parametrize("pack", [lambda body: body, gzip.compress], ids=["plain", "gzip"])
def test_the_json(tmp_path: Path, pack: object) -> None:
    found = saved(tmp_path / "tracker", pack(json.dumps(DATA, separators=(",", ":")).encode()))  # type: ignore[operator]
    assert set(found.issues) == {"openssh"}
    for installed, place in (
        ("1:9.2p1-2", VULNERABLE),
        ("1:9.2p1-2+deb12u3", FIXED),
        ("1:9.2p1-2+deb12u4", FIXED),  # an upload in between, which the feed's list does not hold
        ("1:9.2p1-2+deb12u10", FIXED),
    ):
        assert found.rule("openssh", "CVE-2024-6387", installed).place == place
    assert found.rule("openssh", "CVE-2000-0001", "1").place == UNIMPORTANT
    assert found.rule("openssh", "CVE-2000-0002", "1") == tracker.Ruling(VULNERABLE, "", "Minor issue")
    assert found.rule("openssh", "CVE-2000-0003", "1").place == UNDETERMINED
    for cve in ("CVE-2000-0004", "CVE-2000-0005", "CVE-2099-0001"):
        assert found.rule("openssh", cve, "1").place == UNKNOWN
    assert found.rule("openssh", "CVE-2000-0006", "1").place == UNDETERMINED
    assert found.rule("elsewhere", "CVE-2024-6387", "1").place == UNKNOWN
    assert found.rule("openssh", "CVE-2024-6387", "not a version").place == UNKNOWN


def test_never_affected_and_inherited(tmp_path: Path) -> None:
    body = json.dumps(DATA).encode()
    assert saved(tmp_path / "a", body, "bullseye").rule("openssh", "CVE-2024-6387", "1:8.4p1-5").place == FIXED
    assert saved(tmp_path / "b", body, "trixie").rule("openssh", "CVE-2024-6387", "1:10.0p1-7").place == FIXED


@pytest.mark.parametrize("pack", [lambda text: text.encode(), lambda text: zlib.compress(text.encode())])
def test_the_feed(tmp_path: Path, pack: object) -> None:
    found = saved(tmp_path / "feed", pack(FEED))  # type: ignore[operator]
    assert found.rule("openssh", "CVE-2024-6387", "1:9.2p1-2+deb12u4").place == FIXED
    assert found.rule("openssh", "CVE-2024-6387", "1:9.2p1-2+deb12u2").place == VULNERABLE
    assert found.rule("openssh", "CVE-2000-0002", "1:9.2p1-2").place == VULNERABLE
    assert found.rule("openssh", "CVE-2000-0003", "1:9.2p1-2").place == UNDETERMINED


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b'{"a":',
        b'{"a":1',
        b'{"a" 1}',
        b"{1:{}}",
        b"VERSION 2\n",
        b"\x1f\x8bxx",
        b"x\x9cxx",
        b"\xff",
    ],
)
def test_what_is_no_data(tmp_path: Path, body: bytes) -> None:
    with pytest.raises(TrackerError, match="data"):
        saved(tmp_path / "data", body)


def test_a_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(TrackerError, match="missing"):
        read(tmp_path / "missing", "bookworm", set())


def test_a_feed_that_grows_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracker, "MAX_BYTES", 10_000)
    with pytest.raises(TrackerError, match="more than"):
        saved(tmp_path / "feed", zlib.compress(b"VERSION 1\n" + b"x" * 100_000))


def test_a_json_that_grows_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracker, "MAX_BYTES", 10_000)
    monkeypatch.setattr(tracker, "PIECE", 1_000)
    with pytest.raises(TrackerError, match="more than"):
        saved(tmp_path / "json", json.dumps({"openssh": {"x": "y" * 100_000}}).encode())


@given(
    st.dictionaries(
        st.text(max_size=5),
        st.recursive(
            st.none() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=30),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
            max_leaves=10,
        ),
        max_size=6,
    ),
    st.integers(1, 40),
)
def test_pieces_of_any_size_make_the_same_object(data: dict[str, object], size: int) -> None:
    class Slow(io.BytesIO):
        def read(self, _: int | None = -1, /) -> bytes:
            return super().read(size)

    assert dict(members(Slow(json.dumps(data, ensure_ascii=False).encode()))) == data


def test_a_large_file_takes_little_memory(tmp_path: Path) -> None:
    """20 MB of data about other packages: what is kept is small, and so is what is held on the way."""
    entry = {f"CVE-2020-{number:05d}": {"description": "x" * 200} for number in range(400)}
    path = tmp_path / "large"
    with path.open("w", encoding="utf-8") as file:
        file.write("{")
        for number in range(220):
            file.write(f'"package{number}":{json.dumps(entry)},')
        file.write(f'"openssh":{json.dumps(DATA["openssh"])}}}')
    assert path.stat().st_size > 20_000_000
    tracemalloc.start()
    found = read(path, "bookworm", {"openssh"})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.rule("openssh", "CVE-2024-6387", "1:9.2p1-2").place == VULNERABLE
    assert peak < 30_000_000


@pytest.mark.needs_shared
def test_the_fixtures(samples: Path) -> None:
    for name in ("fixture-tracker.json", "fixture-debsecan-bookworm", "fixture-debsecan-bookworm.txt"):
        found = read(samples.parent / "debian-security" / name, "bookworm", {"openssh", "curl", "python3.11"})
        for installed, place in (("1:9.2p1-2+deb12u4", FIXED), ("1:9.2p1-2+deb12u7", FIXED), ("1:9.2p1-2", VULNERABLE)):
            assert found.rule("openssh", "CVE-2024-6387", installed).place == place
        assert found.rule("openssh", "CVE-2025-61984", "1:9.2p1-2+deb12u6").place == VULNERABLE
