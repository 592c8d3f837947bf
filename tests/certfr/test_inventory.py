"""What is installed: saved lists of both kinds, the machine itself, where a package comes from, kernels."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.certfr import inventory as inventories
from archive.certfr.inventory import (
    DPKG,
    RPM,
    Inventory,
    InventoryError,
    Package,
    read_folder,
    read_machine,
    read_os_release,
    read_packages,
)
from archive.certfr.origin import BACKPORTS, DISTRIBUTION, THIRD_PARTY, origin_dpkg, origin_rpm

BOOKWORM = {"ID": "debian", "VERSION_ID": "12", "VERSION_CODENAME": "bookworm"}


def dpkg(*rows: str) -> list[Package]:
    """Rows in the columns of packages.tsv, written with | for the tab."""
    return read_packages("\n".join(rows).replace("|", "\t"), "debian", "list")


def test_dpkg_list() -> None:
    (package,) = dpkg("libssl3|3.0.19-1~deb12u2|amd64|openssl|3.0.19-1~deb12u2|install ok installed")
    assert package == Package("libssl3", "3.0.19-1~deb12u2", "amd64", "openssl", "3.0.19-1~deb12u2", DPKG, DISTRIBUTION)
    assert package.upstream == "3.0.19"


def test_removed_and_held() -> None:
    found = dpkg(
        "exim4|4.96-15|amd64|exim4|4.96-15|deinstall ok config-files",
        "squid|5.7-2|amd64|squid|5.7-2|hold ok installed",
        "half|1|amd64|half|1|install reinstreq half-installed",
        "late|1|amd64|late|1|install ok triggers-pending",
    )
    assert [package.name for package in found] == ["squid", "late"]


def test_source_columns_may_be_empty() -> None:
    (package,) = dpkg("libssl3|3.0.2-0ubuntu1.19|amd64|||install ok installed")
    assert (package.source_name, package.source_release) == ("libssl3", "3.0.2-0ubuntu1.19")


def test_binary_rebuilds_have_the_source_version() -> None:
    (package,) = dpkg("docker.io|20.10.24+dfsg1-1+deb12u1+b6|amd64|||install ok installed")
    assert package.source_release == "20.10.24+dfsg1-1+deb12u1"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("linux-signed-amd64", "linux"),
        ("linux-signed-arm64", "linux"),
        ("linux-signed-6.1-amd64", "linux-6.1"),
        ("linux", "linux"),
    ],
)
def test_signed_kernels(source: str, found: str) -> None:
    (package,) = dpkg(f"linux-image-6.1.0-46-amd64|6.1.170-1|amd64|{source}|6.1.170+1|install ok installed")
    assert package.source_name == found
    assert package.source_release == ("6.1.170-1" if "signed" in source else "6.1.170+1")


def test_rpm_list() -> None:
    found = read_packages(
        "openssl\t1:1.1.1k-12.el8_9\tx86_64\topenssl-1.1.1k-12.el8_9.src.rpm\n"
        "curl\t0:7.76.1-29.el9_4\tx86_64\t\n"
        "gpg-pubkey\t0:8483c65d-5ccc5b19\t(none)\t(none)\n",
        "rhel",
        "list",
    )
    assert [(package.source_name, package.upstream, package.kind) for package in found] == [
        ("openssl", "1.1.1k", RPM),
        ("curl", "7.76.1", RPM),
    ]


def test_another_shape_is_refused_with_its_line() -> None:
    with pytest.raises(InventoryError, match=r"list:2: 1 columns"):
        read_packages("a\t1\tall\ta\t1\tinstall ok installed\nb 1 all", "debian", "list")


@given(st.text(max_size=300))
def test_any_list_is_read_or_refused(text: str) -> None:
    try:
        for package in read_packages(text, "debian", "list"):
            _ = package.upstream
    except InventoryError:
        return


def test_os_release() -> None:
    assert read_os_release("ID=\"rhel\"\nVERSION_ID='8.4'\n# NAME=x\nbroken\n") == {"ID": "rhel", "VERSION_ID": "8.4"}


@pytest.mark.parametrize(
    ("name", "version", "origin"),
    [
        ("nginx", "1.22.1-9+deb12u2", DISTRIBUTION),
        ("nginx", "1.22.1-1~bookworm", THIRD_PARTY),
        ("postgresql-16", "16.13-1.pgdg24.04+1", THIRD_PARTY),
        ("postgresql-16", "16.13-0ubuntu0.24.04.1", DISTRIBUTION),
        ("php7.4-cli", "1:7.4.33-30+ubuntu24.04.1+deb.sury.org+1", THIRD_PARTY),
        ("nodejs", "20.20.2-1nodesource1", THIRD_PARTY),
        ("nodejs", "18.20.4+dfsg-1~deb12u2", DISTRIBUTION),
        ("gitlab-ce", "17.1.1-ce.0", THIRD_PARTY),
        ("docker-ce", "5:20.10.1~3-0~ubuntu-focal", THIRD_PARTY),
        ("docker.io", "20.10.24+dfsg1-1+deb12u1+b6", DISTRIBUTION),
        ("mariadb-server", "1:10.11.16+maria~deb12", THIRD_PARTY),
        ("zabbix-agent2", "1:7.0.0-1+debian12", THIRD_PARTY),
        ("mysql-workbench-community", "8.0.20-1ubuntu20.04", THIRD_PARTY),
        ("curl", "8.5.0-2ubuntu10.11", DISTRIBUTION),
        ("openssh-client", "1:9.6p1-3ubuntu13.18", DISTRIBUTION),
        ("linux-image-6.9.7+bpo-amd64", "6.9.7-1~bpo12+1", BACKPORTS),
        ("puppet-agent", "7.23.0-1", DISTRIBUTION),
    ],
)
def test_origin_of_dpkg(name: str, version: str, origin: str) -> None:
    assert origin_dpkg(name, version) == origin


def test_origin_by_maintainer() -> None:
    assert origin_dpkg("nginx", "1.30.0-1", "NGINX Packaging <nginx-packaging@nginx.com>") == THIRD_PARTY
    assert origin_dpkg("nginx", "1.30.0-1", "Debian Nginx <pkg-nginx@lists.debian.org>") == DISTRIBUTION


@pytest.mark.parametrize(
    ("name", "version", "vendor", "origin"),
    [
        ("openssl", "1:1.1.1k-12.el8_9", "", DISTRIBUTION),
        ("mongodb-org-server", "0:5.0.9-1.el8", "", THIRD_PARTY),
        ("postgresql16-server", "0:16.9-1PGDG.rhel9", "", THIRD_PARTY),
        ("kibana", "0:8.14.0-1", "", THIRD_PARTY),
        ("nodejs", "1:10.21.0-3.module_el8.2.0+391+8da3adc6", "", DISTRIBUTION),
        ("tool", "0:1.0-1.el9", "Some Company", THIRD_PARTY),
        ("tool", "0:1.0-1", "Red Hat, Inc.", DISTRIBUTION),
    ],
)
def test_origin_of_rpm(name: str, version: str, vendor: str, origin: str) -> None:
    assert origin_rpm(name, version, "rhel", vendor) == origin


def test_kernels() -> None:
    found = Inventory(
        BOOKWORM,
        dpkg(
            "linux-image-6.1.0-18-amd64|6.1.76-1|amd64|linux-signed-amd64|6.1.76+1|install ok installed",
            "linux-image-6.1.0-9-amd64|6.1.27-1|amd64|linux-signed-amd64|6.1.27+1|install ok installed",
            "linux-image-6.1.0-56-amd64|6.1.192-2|amd64|linux-signed-amd64|6.1.192+2|install ok installed",
            "linux-image-amd64|6.1.192-2|amd64|linux-signed-amd64|6.1.192+2|install ok installed",
            "linux-image-6.1.0-56-amd64-dbg|6.1.192-2|amd64|linux|6.1.192-2|install ok installed",
            "linux-libc-dev|6.1.76-1|amd64|linux|6.1.76-1|install ok installed",
            "linux-perf|6.1.76-1|amd64|linux|6.1.76-1|install ok installed",
        ),
        "6.1.0-18-amd64",
    ).kernels
    assert [(kernel.package.version, kernel.running) for kernel in found] == [
        ("6.1.192-2", False),
        ("6.1.76-1", True),
        ("6.1.27-1", False),
    ]


def test_kernels_of_rpm() -> None:
    text = "\n".join(
        f"{name}\t0:5.14.0-{build}.el9_5\tx86_64\tkernel-5.14.0-{build}.el9_5.src.rpm"
        for name in ("kernel", "kernel-core", "kernel-tools")
        for build in ("503.11.1", "503.34.1")
    )
    machine = Inventory({"ID": "almalinux"}, read_packages(text, "almalinux", "list"), "5.14.0-503.11.1.el9_5.x86_64")
    assert [(kernel.package.name, kernel.running) for kernel in machine.kernels] == [
        ("kernel-core", False),
        ("kernel-core", True),
    ]


def test_a_folder(tmp_path: Path) -> None:
    (tmp_path / "os-release").write_text('ID=debian\nVERSION_CODENAME="bookworm"\nPRETTY_NAME="Debian 12"\n')
    (tmp_path / "packages.tsv").write_text("sudo\t1.9.13p3-1\tamd64\tsudo\t1.9.13p3-1\tinstall ok installed\n")
    (tmp_path / "uname").write_text("6.1.0-18-amd64\n")
    found = read_folder(tmp_path)
    assert (found.system, found.codename, found.running, found.title) == (
        "debian",
        "bookworm",
        "6.1.0-18-amd64",
        "Debian 12",
    )


def test_a_folder_without_packages(tmp_path: Path) -> None:
    (tmp_path / "os-release").write_text("ID=debian\n")
    with pytest.raises(InventoryError, match=r"packages\.tsv"):
        read_folder(tmp_path)


def test_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/os-release").write_text("ID=debian\nVERSION_CODENAME=bookworm\n")

    def run(argv: list[str], **_: Any) -> subprocess.CompletedProcess[bytes]:
        if argv[0] == "rpm":
            raise FileNotFoundError
        answers = {
            "dpkg-query": b"sudo\t1.9.13p3-1\tamd64\tsudo\t1.9.13p3-1\tinstall ok installed\tA <a@debian.org>\n",
            "uname": b"6.1.0-18-amd64\n",
        }
        return subprocess.CompletedProcess(argv, 0, answers[argv[0]])

    monkeypatch.setattr(inventories.subprocess, "run", run)
    found = read_machine(tmp_path)
    assert [package.name for package in found.packages] == ["sudo"]
    assert found.running == "6.1.0-18-amd64"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (FileNotFoundError(), "not installed"),
        (subprocess.TimeoutExpired("dpkg-query", 60), "no answer"),
        (subprocess.CalledProcessError(2, "dpkg-query"), "status 2"),
    ],
)
def test_a_machine_that_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, words: str
) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/os-release").write_text("ID=debian\n")

    def run(argv: list[str], **_: Any) -> subprocess.CompletedProcess[bytes]:
        raise error

    monkeypatch.setattr(inventories.subprocess, "run", run)
    with pytest.raises(InventoryError, match=words):
        read_machine(tmp_path)


@pytest.mark.needs_shared
def test_every_saved_inventory(samples: Path) -> None:
    folders = sorted((samples.parent / "inventories").iterdir())
    assert len(folders) >= 60
    for folder in folders:
        found = read_folder(folder)
        assert found.system
        assert len(found.packages) > 30
