"""Versions: dpkg's and rpm's own order, the upstream part, branches."""

import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archive.certfr.releases import built_by, kernel_home, updated_by
from archive.certfr.versions import (
    VersionError,
    comparable,
    compare_dpkg,
    compare_rpm,
    compare_upstream,
    in_branch,
    is_snap,
    series,
    upstream_dpkg,
    upstream_rpm,
)

VERSIONS = st.from_regex(r"\A[0-9]{1,3}(\.[0-9]{1,3}){0,3}([a-z+~.][a-z0-9]{1,3}){0,2}\Z")


@pytest.mark.parametrize(
    ("first", "second", "order"),
    [
        ("1.9.5p2-3+deb11u1", "1.9.5p2-3", 1),
        ("16.9-1.pgdg24.04+1", "16.10", -1),
        ("6.1.170-1", "6.1.170-3", -1),
        ("6.1.170+1", "6.1.170-3", 1),  # why a signed kernel's source version must not be used
        ("1:9.2p1-2+deb12u10", "1:9.2p1-2+deb12u9", 1),
        ("3.0.11-1~deb12u2", "3.0.11-1", -1),
        ("2:4.22.9+dfsg-0+deb13u1", "2:4.22.8+dfsg-0+deb13u2", 1),
    ],
)
def test_dpkg(first: str, second: str, order: int) -> None:
    assert compare_dpkg(first, second) == order
    assert compare_dpkg(second, first) == -order


@pytest.mark.parametrize("text", ["", "a b", "1.0;rm", "é", "1.0\n"])
def test_what_is_no_version(text: str) -> None:
    with pytest.raises(VersionError):
        compare_dpkg(text, "1")


@given(VERSIONS, VERSIONS)
@settings(max_examples=40, deadline=None)
@pytest.mark.skipif(not shutil.which("dpkg"), reason="needs dpkg")
def test_dpkg_agrees_with_dpkg_itself(first: str, second: str) -> None:
    argv = ["dpkg", "--compare-versions", first, "lt", second]
    assert (compare_dpkg(first, second) < 0) is (subprocess.run(argv, check=False).returncode == 0)


@given(VERSIONS, VERSIONS, VERSIONS)
def test_an_order(one: str, two: str, three: str) -> None:
    assert compare_upstream(one, one) == 0
    assert compare_upstream(one, two) == -compare_upstream(two, one)
    if compare_upstream(one, two) <= 0 and compare_upstream(two, three) <= 0:
        assert compare_upstream(one, three) <= 0


@pytest.mark.parametrize(
    ("first", "second", "order"),
    [
        ("1.8.29-7.el8", "1.8.29-8.el8_7.1", -1),
        ("1:1.1.1k-12.el8_9", "1:1.1.1k-9.el8_7", 1),
        ("0:1.0-1", "1.0-1", 0),
        ("1:1.0-1", "2.0-1", 1),
        ("3.0.7-24.el9", "3.0.7", 0),  # a side without release does not compare it
        ("1.0~rc1-1", "1.0-1", -1),
    ],
)
def test_rpm(first: str, second: str, order: int) -> None:
    assert compare_rpm(first, second) == order


@pytest.mark.parametrize(
    ("version", "upstream"),
    [
        ("1:9.2p1-2+deb12u6", "9.2p1"),
        ("2:4.22.9+dfsg-0+deb13u1", "4.22.9"),
        ("1:2.3.19.1+dfsg1-2.1+deb12u7", "2.3.19.1"),
        ("115.14.0esr-1~deb12u1", "115.14.0"),
        ("115.11.0esr+build1-0ubuntu0.24.04.1~mt1", "115.11.0"),
        ("17.3.5-ce.0", "17.3.5"),
        ("16.13-1.pgdg24.04+1", "16.13"),
        ("1:7.4.33-30+ubuntu24.04.1+deb.sury.org+1", "7.4.33"),
        ("5:29.3.0-1~ubuntu.24.04~noble", "29.3.0"),
        ("1:10.11.14+maria~deb12", "10.11.14"),
        ("8.12.0+git20250209.89ed161+ds-1", "8.12.0"),
        ("1.2.3+really1.2.1-1", "1.2.1"),
        ("20.10.24+dfsg1-1+deb12u1+b6", "20.10.24"),
        ("17.0.12+7-2~deb12u1", "17.0.12+7"),
        ("1.9.13p3-1+deb12u4", "1.9.13p3"),
        ("4.97~RC2-2", "4.97~RC2"),
        ("3.10", "3.10"),
    ],
)
def test_upstream_of_dpkg(version: str, upstream: str) -> None:
    assert upstream_dpkg(version) == upstream


def test_upstream_of_rpm() -> None:
    assert upstream_rpm("1:1.1.1k-12.el8_9") == "1.1.1k"
    assert upstream_rpm("8.7p1-38.el9") == "8.7p1"
    assert upstream_rpm("17.3.5-ce.0.el8") == "17.3.5"


@pytest.mark.parametrize(
    ("first", "second", "order"),
    [
        ("5.0.43rc1", "5.0.43", -1),
        ("1.7-rc6", "1.7", -1),
        ("3.13.0a6", "3.13.0", -1),
        ("3.13.0a6", "3.12.9", 1),
        ("1.9.5p2", "1.9.5", 1),
        ("9.8p1", "9.8", 1),
        ("1.1.1w", "1.1.1zg", -1),
        ("8.2", "8.2.0", 0),
        ("115.16.0", "115.16", 0),
        ("v3.6.19", "3.6.19", 0),
        ("11.6.3+security-01", "11.6.3", 1),
        ("11.6.3+security~01", "11.6.3+security-01", 0),
        ("9", "10", -1),
    ],
)
def test_upstream_order(first: str, second: str, order: int) -> None:
    assert compare_upstream(first, second) == order


@given(VERSIONS)
def test_comparable_is_stable(version: str) -> None:
    assert comparable(comparable(version)) == comparable(version)


def test_branches() -> None:
    assert in_branch("4.23.8", "4.23")
    assert in_branch("4.23", "4.23")
    assert not in_branch("4.230", "4.23")
    assert in_branch("1.1.1w", "1.1.1")
    assert in_branch("10.0p1", "10")
    assert not in_branch("9.2p1", "10")
    assert (series("3.0.14"), series("115.13"), series("1.1.1t"), series("128")) == ("3.0", "115", "1.1.1", "")


def test_snaps() -> None:
    assert is_snap("1:1snap1-0ubuntu5")
    assert is_snap("2:1snap1-0ubuntu2")
    assert not is_snap("1:115.16.0-1")


@pytest.mark.parametrize(
    ("system", "release", "codename", "version", "day"),
    [
        ("debian", "12", "bookworm", "1:9.2p1-2", "2023-06-10"),
        ("debian", "12", "bookworm", "1:9.2p1-2+deb12u2", None),
        ("debian", "12", "bookworm", "1.0.5-1~bpo12+1", None),
        ("debian", "", "sid", "1.0", None),
        ("ubuntu", "22.04", "jammy", "1.9.9-1ubuntu2", "2022-04-21"),
        ("ubuntu", "22.04", "jammy", "1.9.9-1ubuntu2.6", None),
        ("ubuntu", "22.04", "jammy", "3.0.2-0ubuntu1.19", None),
        ("ubuntu", "20.04", "focal", "2:11.1.5-1~ubuntu20.04.2", None),
        ("rhel", "8.4", "", "0:1.8.29-7.el8", "2021-05-18"),
        ("rhel", "8.4", "", "1:1.1.1g-15.el8_3", "2021-05-18"),
        ("rhel", "8", "", "1:1.1.1k-6.el8_5", "2022-05-10"),
        ("rhel", "9.4", "", "0:1.9.5p2-10.el9_2", "2024-04-30"),
        ("rhel", "9.2", "", "0:1.9.5p2-10.el9_2", None),  # extended: built for years
        ("rhel", "8", "", "0:1.8.29-7.el8", None),
        ("rocky", "9", "", "1:3.0.7-24.el9", None),
        ("fedora", "35", "", "1.9.7p2-2.fc35", None),
    ],
)
def test_the_last_day_of_a_build(system: str, release: str, codename: str, version: str, day: str | None) -> None:
    found = built_by(system, release, codename, version)
    assert (str(found) if found else None) == day


def test_the_last_update_of_a_machine() -> None:
    assert str(updated_by("2020d-0ubuntu0.20.04")) == "2021-06-30"
    assert str(updated_by("0:2021e-1.fc35")) == "2022-06-30"
    assert updated_by("garbage") is None


def test_kernels_of_suites() -> None:
    assert (kernel_home("6.1"), kernel_home("5.10"), kernel_home("2.0")) == ("bookworm", "bullseye", "")
