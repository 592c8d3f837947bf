"""What rpm repositories say of CVE ids: a real dnf against a small repository, and the verdicts that follow."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.certfr import notices
from archive.certfr.decide import Decider
from archive.certfr.inventory import RPM, Inventory, InventoryError, Package
from archive.certfr.notices import Notice, Notices
from archive.certfr.origin import DISTRIBUTION
from archive.certfr.publication import Publication, parse
from archive.certfr.tracker import FIXED, UNKNOWN, VULNERABLE
from tests.certfr import rpms
from tests.certfr.rpms import RpmWorld
from tests.certfr.test_publication import made

DNF5 = """\
Name           Type     Severity                   Package              Issued
CVE-2026-1111  security Important openssl-libs-1:3.2.2-6.el10_1.x86_64 2026-11-01 00:00:00
CVE-2026-3333  security Moderate        python3.12-3.12.9-2.el10.noarch 2026-11-02 00:00:00
"""


def tool(version: str, origin: str = DISTRIBUTION) -> Package:
    return Package("tool", version, "noarch", "tool", "", RPM, origin)


def dnf_of(rpm: RpmWorld) -> list[str]:
    return [*rpm.dnf, "-C", "-q", "updateinfo", "list", "--with-cve"]


def test_a_real_dnf_tells_what_is_open_and_what_is_fixed(rpm: RpmWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notices, "LIST", dnf_of(rpm))
    found = notices.read_machine(machine([tool("0:1.0-1")]))
    assert found is not None
    assert found.rule(tool("0:1.0-1"), rpms.CVE) == (VULNERABLE, "1.0-2", "")
    assert found.rule(tool("0:1.0-1"), rpms.FIXED) == (FIXED, "1.0-1", "")
    assert found.rule(tool("0:1.0-1"), "CVE-2026-9999").place == UNKNOWN


def test_without_rpm_packages_nothing_is_asked() -> None:
    def asked(argv: Sequence[str]) -> str:
        raise AssertionError(argv)

    assert notices.read_machine(machine([]), asked) is None


def test_without_dnf_there_are_no_notices() -> None:
    def absent(argv: Sequence[str]) -> str:
        raise InventoryError(f"{argv[0]}: not installed")

    assert notices.read_machine(machine([tool("0:1.0-1")]), absent) is None


def test_dnf_5_is_read_by_its_words_too() -> None:
    assert list(notices.read(DNF5)) == [
        Notice("CVE-2026-1111", "openssl-libs", "1:3.2.2-6.el10_1"),
        Notice("CVE-2026-3333", "python3.12", "3.12.9-2.el10"),
    ]


@given(st.text())
def test_whatever_is_printed_is_no_error(text: str) -> None:
    for notice in notices.read(text):
        assert notice.cve.startswith("CVE-")


def machine(packages: list[Package]) -> Inventory:
    return Inventory({"ID": "rhel", "VERSION_ID": "9.4"}, packages)


def publication(*cves: str) -> Publication:
    product = {"name": "N/A", "vendor": {"name": "Sudo", "scada": False}}
    systems = [{"description": "sudo versions antérieures à 1.9.17p1", "product": product}]
    return parse(made(affected_systems=systems, title="Vulnérabilité dans Sudo", cves=[{"name": cve} for cve in cves]))


SUDO = Package("sudo", "0:1.9.5p2-10.el9_3", "x86_64", "sudo", "", RPM, DISTRIBUTION)
UPDATE = "CVE-2026-1111 Important/Sec. sudo-1.9.5p2-10.el9_6.1.x86_64\n"


@pytest.mark.parametrize(
    ("updates", "installed", "verdict", "key"),
    [
        ("", "", "to_check", "backport"),  # upstream's bound alone decides nothing here
        (UPDATE, "", "affected", "notice_behind"),
        ("", UPDATE.replace("9_6.1", "9_3"), "not_affected", "fixed"),
        (UPDATE.replace("1111", "2222"), "", "to_check", "backport"),  # an update for something else
        (UPDATE.replace("sudo-1", "sudo-devel-1"), "", "to_check", "backport"),  # of another package
        (UPDATE, UPDATE.replace("9_6.1", "9_3"), "affected", "notice_behind"),  # fixed by halves, and then again
    ],
)
def test_a_notice_decides_what_the_number_cannot(updates: str, installed: str, verdict: str, key: str) -> None:
    decider = Decider(machine([SUDO]), notices=Notices(updates, installed))
    found = decider.decide(publication("CVE-2026-1111"))
    assert (found.verdict, found.reason.key) == (verdict, key)
    if key == "notice_behind":
        assert "dnf updateinfo: sudo CVE-2026-1111 vulnerable 1.9.5p2-10.el9_6.1" in found.evidence
