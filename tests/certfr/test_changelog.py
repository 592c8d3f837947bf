"""Changelogs: what an installed version holds, what a newer one fixes, which words may be quoted."""

import gzip
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.certfr.changelog import cut, ids, parse_debian, parse_rpm, quote
from archive.certfr.changelogs import FolderChangelogs, MachineChangelogs, NoChangelogs, read
from archive.certfr.inventory import InventoryError, Package, read_packages

TEXT = """\
tool (1.2-1+deb12u3) bookworm-security; urgency=high

  * Revert the fix for CVE-2024-0002: it
    broke everything.
  * CVE-2024-0005: a newer fix.

 -- A <a@example.org>  Wed, 05 Jun 2024 10:00:00 +0200

tool (1.2-1+deb12u2) bookworm-security; urgency=high

  [ Another ]
  * Fix several faults:
    - CVE-2024-{0001,0002}: out of bounds
    - a wrapped
      one (CVE-2024-0003).

 -- A <a@example.org>  Mon, 01 Apr 2024 10:00:00 +0200

tool (1.2-1) unstable; urgency=medium

  * Backport security fixes from v1.3.

 -- A <a@example.org>  Sun, 01 Jan 2023 10:00:00 +0000
"""


def package(version: str, name: str = "tool", source: str = "tool") -> Package:
    (found,) = read_packages(f"{name}\t{version}\tamd64\t{source}\t{version}\tinstall ok installed", "debian", "list")
    return found


def test_both_sides_of_the_installed_version() -> None:
    history = cut(parse_debian(TEXT), "1.2-1+deb12u2")
    assert history
    assert history.installed_at == date(2024, 4, 1)
    fixed = history.fixed("CVE-2024-0003")
    assert fixed
    assert (fixed.version, fixed.words) == ("1.2-1+deb12u2", "- a wrapped one (CVE-2024-0003).")
    assert history.fixed("CVE-2024-0001")
    assert history.fixed("CVE-2024-0002")
    assert history.fixed("CVE-2024-0005") is None
    later = history.fixed_later("CVE-2024-0005")
    assert later
    assert later.version == "1.2-1+deb12u3"
    assert history.fixed_later("CVE-2024-0003") is None


def test_a_fix_taken_back() -> None:
    history = cut(parse_debian(TEXT), "1.2-1+deb12u3")
    assert history
    assert history.fixed("CVE-2024-0002") is None
    assert history.fixed("CVE-2024-0001")


def test_words_instead_of_ids() -> None:
    history = cut(parse_debian(TEXT), "1.2-1+deb12u2")
    assert history
    words = history.says("1.3")
    assert words
    assert words.words == "* Backport security fixes from v1.3."
    assert history.says("1.30") is None
    assert history.says("1") is None


def test_a_version_the_changelog_does_not_know() -> None:
    assert cut(parse_debian(TEXT), "1.2-1ubuntu4") is None


def test_an_entry_made_later_and_merged_below() -> None:
    """4.22.9 of April sorts above 4.22.8-...u2 of May, and does not hold it."""
    text = "\n".join(
        f"tool ({version}) trixie; urgency=medium\n\n  * {words}\n\n -- A <a@example.org>  {day} 2026 10:00:00 +0000\n"
        for version, words, day in (
            ("4.22.9-1", "New release.", "Fri, 10 Apr"),
            ("4.22.8-1+deb13u2", "CVE-2026-0001: a fix.", "Fri, 15 May"),
            ("4.22.8-1", "CVE-2026-0002: a fix.", "Thu, 19 Feb"),
        )
    )
    history = cut(parse_debian(text), "4.22.9-1")
    assert history
    assert history.fixed("CVE-2026-0001") is None
    assert history.fixed_later("CVE-2026-0001")
    assert history.fixed("CVE-2026-0002")
    assert history.lacks("4.22.8-1+deb13u2")
    assert not history.lacks("4.22.8-1")


def test_short_forms_of_ids() -> None:
    assert ids("CVE-2025-{49794,49796}, CVE-2024-1234/5678; CVE-2014-2855 - denial") == [
        "CVE-2025-49794",
        "CVE-2025-49796",
        "CVE-2024-1234",
        "CVE-2024-5678",
        "CVE-2014-2855",
    ]


def test_rpm() -> None:
    entries = parse_rpm(
        "* Tue Jan 17 2023 A Packager <a@example.org> - 1.9.5p2-8\n- sudoedit: arbitrary files\n"
        "Resolves: CVE-2023-22809\n\n* Wed Nov 02 2022 A Packager <a@example.org> 1.9.5p2-7\n- Rebuilt\n"
    )
    assert [(entry.version, entry.at) for entry in entries] == [
        ("1.9.5p2-8", date(2023, 1, 17)),
        ("1.9.5p2-7", date(2022, 11, 2)),
    ]


@given(st.text(max_size=400))
def test_any_text(text: str) -> None:
    for entries in (parse_debian(text), parse_rpm(text)):
        if entries:
            history = cut(entries, entries[0].version)
            assert history
            history.says("1.2")


def test_a_long_quote_is_cut_about_the_id() -> None:
    words = "x " * 300 + "CVE-2024-0001" + " y" * 300
    assert "CVE-2024-0001" in quote(words, "CVE-2024-0001")
    assert len(quote(words, "CVE-2024-0001")) < 250


def packed(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode()))


@pytest.mark.parametrize("where", ["bookworm/tool.gz", "tool.gz", "tool/changelog.Debian.gz"])
def test_folders(tmp_path: Path, where: str) -> None:
    packed(tmp_path / where, TEXT)
    found = FolderChangelogs(tmp_path, "bookworm").history(package("1.2-1+deb12u2"))
    assert found
    assert found.fixed("CVE-2024-0003")


def test_a_folder_of_another_distribution(tmp_path: Path) -> None:
    packed(tmp_path / "tool.gz", TEXT)
    assert FolderChangelogs(tmp_path, "jammy").history(package("1.2-1ubuntu3")) is None


def test_a_name_that_would_leave_the_folder(tmp_path: Path) -> None:
    packed(tmp_path / "secret.gz", TEXT)
    (tmp_path / "in").mkdir()
    assert FolderChangelogs(tmp_path / "in", "bookworm").history(package("1.2-1", source="../secret")) is None


def test_damaged_and_missing_files(tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(b"\x1f\x8b nothing")
    assert read(tmp_path / "a.gz") == ""
    assert read(tmp_path / "missing.gz") == ""


def test_the_documentation_of_a_sibling(tmp_path: Path) -> None:
    """openssh-server's folder is a link to openssh-client's."""
    doc = tmp_path / "usr/share/doc"
    packed(doc / "tool-client/changelog.Debian.gz", TEXT)
    (doc / "tool-server").symlink_to("tool-client")
    found = MachineChangelogs(tmp_path).history(package("1.2-1+deb12u3", name="tool-server"))
    assert found
    assert found.fixed("CVE-2024-0003")
    assert not found.later


def test_a_link_out_of_the_documentation(tmp_path: Path) -> None:
    packed(tmp_path / "elsewhere/changelog.Debian.gz", TEXT)
    doc = tmp_path / "usr/share/doc"
    doc.mkdir(parents=True)
    (doc / "tool").symlink_to(tmp_path / "elsewhere")
    assert MachineChangelogs(tmp_path).history(package("1.2-1")) is None


def test_upstreams_own_changelog_is_no_evidence(tmp_path: Path) -> None:
    packed(tmp_path / "usr/share/doc/tool/changelog.gz", "Version 1.2\n - fixed CVE-2024-0001\n")
    assert MachineChangelogs(tmp_path).history(package("1.2-1")) is None


def test_rpm_is_asked() -> None:
    (sudo,) = read_packages("sudo\t0:1.9.5p2-8.el9\tx86_64\tsudo-1.9.5p2-8.el9.src.rpm", "rhel", "list")
    asked: list[list[str]] = []

    def run(argv: list[str]) -> str:
        asked.append(argv)
        return "* Tue Jan 17 2023 A <a@example.org> - 1.9.5p2-8\n- CVE-2023-22809\n"

    changelogs = MachineChangelogs(run=run)
    for _ in range(2):
        found = changelogs.history(sudo)
        assert found
        assert found.fixed("CVE-2023-22809")
    assert asked == [["rpm", "-q", "--changelog", "--", "sudo-1.9.5p2-8.el9"]]


def test_rpm_that_fails() -> None:
    (sudo,) = read_packages("sudo\t0:1.9.5p2-8.el9\tx86_64\t", "rhel", "list")

    def run(argv: list[str]) -> str:
        raise InventoryError("no rpm")

    assert MachineChangelogs(run=run).history(sudo) is None


def test_none_at_hand() -> None:
    assert NoChangelogs().history(package("1")) is None


@pytest.mark.needs_shared
def test_the_real_ones(samples: Path) -> None:
    for path in sorted((samples.parent / "changelogs").rglob("*.gz")):
        entries = parse_debian(read(path))
        assert len(entries) > 3, path
        assert all(entry.at for entry in entries[:20]), path
