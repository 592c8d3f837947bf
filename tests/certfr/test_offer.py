"""What the repositories offer: real apt against a small repository made here, dnf by what it prints."""

import shutil
import subprocess
from pathlib import Path

import pytest

from archive.certfr import offer
from archive.certfr.inventory import RPM, Package, read_packages
from archive.certfr.origin import DISTRIBUTION
from tests.certfr.rpms import RpmWorld

INSTALLED = {
    "tool": "1.0-1",
    "linux-image-amd64": "6.1.76-1",
    "linux-image-6.1.0-18-amd64": "6.1.76-1",
    "done": "2.0-1",
}
OFFERED = {"tool": "1.0-1+deb12u2", "linux-image-amd64": "6.1.172-1", "done": "2.0-1", "absent": "3.0-1"}


def stanza(name: str, version: str, more: str) -> str:
    return f"Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: A <a@example.org>\nDescription: x\n{more}\n\n"


@pytest.fixture(scope="module")
def apt(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """`apt-cache` with a repository, a status file and lists of its own."""
    if not shutil.which("apt-get"):
        pytest.skip("needs apt")
    root = tmp_path_factory.mktemp("apt")
    for folder in (
        "lists/partial",
        "cache/archives/partial",
        "etc/preferences.d",
        "etc/apt.conf.d",
        "etc/trusted.gpg.d",
        "repo",
    ):
        (root / folder).mkdir(parents=True)
    (root / "status").write_text(
        "".join(stanza(name, version, "Status: install ok installed") for name, version in INSTALLED.items())
    )
    (root / "repo/Packages").write_text(
        "".join(
            stanza(name, version, f"Filename: ./{name}.deb\nSize: 1\nSHA256: {'0' * 64}")
            for name, version in OFFERED.items()
        )
    )
    (root / "etc/sources.list").write_text(f"deb [trusted=yes] file:{root}/repo ./\n")
    (root / "apt.conf").write_text(
        f'Dir::Etc "{root}/etc"; Dir::State "{root}"; Dir::State::status "{root}/status";\n'
        f'Dir::Cache "{root}/cache"; APT::Sandbox::User ""; Acquire::Languages "none";\n'
    )
    subprocess.run(["apt-get", "-c", f"{root}/apt.conf", "update", "-qq"], check=True, capture_output=True)
    return ["apt-cache", "-c", f"{root}/apt.conf"]


def package(name: str, version: str) -> Package:
    (found,) = read_packages(f"{name}\t{version}\tall\t{name}\t{version}\tinstall ok installed", "debian", "list")
    return found


@pytest.mark.parametrize(
    ("name", "version", "newer"),
    [
        ("tool", "1.0-1", "1.0-1+deb12u2"),
        ("done", "2.0-1", ""),
        ("absent", "1.0-1", ""),
        ("unknown", "1.0-1", ""),
        ("linux-image-6.1.0-18-amd64", "6.1.76-1", "6.1.172-1"),
        ("linux-image-6.1.0-18-cloud-amd64", "6.1.76-1", ""),
        ("--help", "1", ""),
    ],
)
def test_apt(apt: list[str], monkeypatch: pytest.MonkeyPatch, name: str, version: str, newer: str) -> None:
    monkeypatch.setattr(offer, "APT", apt)
    assert offer.offered(package(name, version)) == newer


def test_without_apt_nothing_is_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offer, "APT", ["no-such-command"])
    assert offer.offered(package("tool", "1.0-1")) == ""


@pytest.mark.parametrize(
    ("name", "carrier"),
    [
        ("linux-image-6.1.0-18-amd64", "linux-image-amd64"),
        ("linux-image-6.1.0-18-cloud-amd64", "linux-image-cloud-amd64"),
        ("linux-image-6.12.107+deb13-amd64", "linux-image-amd64"),
        ("linux-image-6.1.0-0.deb11.52-amd64", "linux-image-amd64"),
        ("linux-image-5.4.0-58-generic", "linux-image-generic"),
        ("linux-image-unsigned-6.8.0-31-generic", "linux-image-generic"),
        ("linux-image-amd64", "linux-image-amd64"),
        ("openssh-server", "openssh-server"),
    ],
)
def test_a_kernel_is_upgraded_by_its_metapackage(name: str, carrier: str) -> None:
    assert offer.carrier(name) == carrier
    if offer.command("x").startswith("sudo apt"):
        assert offer.command(name).endswith(f"--only-upgrade {carrier}")


@pytest.mark.parametrize(
    ("name", "version", "newer"),
    [("tool", "0:1.0-1", "1.0-2"), ("tool", "0:1.0-2", ""), ("other", "0:1.0-1", ""), ("--help", "1", "")],
)
def test_dnf(rpm: RpmWorld, monkeypatch: pytest.MonkeyPatch, name: str, version: str, newer: str) -> None:
    monkeypatch.setattr(offer, "DNF", [*rpm.dnf, "-C", "-q"])
    monkeypatch.setattr(offer, "_suse", lambda: False)
    assert offer.offered(Package(name, version, "noarch", name, "", RPM, DISTRIBUTION)) == newer


@pytest.mark.parametrize(
    ("name", "version", "newer"),
    [("tool", "0:1.0-1", "1.0-2"), ("tool", "0:1.0-2", ""), ("other", "0:1.0-1", ""), ("--help", "1", "")],
)
def test_zypper(rpm: RpmWorld, monkeypatch: pytest.MonkeyPatch, name: str, version: str, newer: str) -> None:
    monkeypatch.setattr(offer, "ZYPPER", [*rpm.zypper, "--non-interactive", "--no-refresh", "--quiet"])
    monkeypatch.setattr(offer, "_suse", lambda: True)
    assert offer.offered(Package(name, version, "noarch", name, "", RPM, DISTRIBUTION)) == newer


def test_what_apt_knows_has_a_time(tmp_path: Path) -> None:
    assert offer.lists_changed_at(str(tmp_path)) == 0
    (tmp_path / "var/lib/apt/lists").mkdir(parents=True)
    assert offer.lists_changed_at(str(tmp_path)) > 0
