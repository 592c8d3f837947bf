"""Verdicts: the wording in two languages, the order of proofs, what never makes a verdict."""

import json
import random
import re
import string
from pathlib import Path

import pytest

from archive.certfr import decide as decide_module
from archive.certfr import judge, products
from archive.certfr.decide import Decider, affected, decide, gravest
from archive.certfr.inventory import Inventory, read_os_release, read_packages
from archive.certfr.products import Installed, ProductsError, installed
from archive.certfr.publication import AffectedSystem, Publication, parse
from archive.certfr.verdict import AFFECTED, NOT_AFFECTED, TEXTS, TO_CHECK, Verdict, reason, reason_text
from tests.certfr.test_publication import made

BOOKWORM = 'ID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\nPRETTY_NAME="Debian 12"'


def machine(*rows: str, os_release: str = BOOKWORM, running: str = "") -> Inventory:
    """`name version source`, all installed."""
    text = "\n".join(
        "\t".join((name, version, "amd64", source, version, "install ok installed"))
        for name, version, source in map(str.split, rows)
    )
    os = read_os_release(os_release)
    return Inventory(os, read_packages(text, os["ID"], "list"), running)


def publication(
    *lines: str, vendor: str = "N/A", product: str = "N/A", note: str = "", title: str = "Titre"
) -> Publication:
    systems = [
        {"description": line, "product": {"name": product, "vendor": {"name": vendor, "scada": False}}}
        for line in lines
    ]
    return parse(made(affected_systems=systems, affected_systems_content=note, title=title, cves=[]))


def test_the_words_of_every_reason() -> None:
    """Each reason is a sentence in both languages, with the typography of each, and asks for nothing unknown."""
    known = {
        "package", "installed", "product", "platform", "bound", "version", "upstream", "named", "system", "cve", "day",
        "published", "count", "total", "missing",
    }  # fmt: skip
    for key, texts in TEXTS.items():
        english, french = texts
        for text in texts:
            fields = {name for _, name, _, _ in string.Formatter().parse(text) if name}
            assert fields <= known, key
            assert text.endswith("."), key
            assert "'" not in text, key
        assert {name for _, name, _, _ in string.Formatter().parse(english) if name} == {
            name for _, name, _, _ in string.Formatter().parse(french) if name
        }, key
        assert not re.search(r"(?<![\u00a0\u202f])[;:!?»]", french), key
        assert not re.search(r"«(?![\u00a0\u202f])", french), key


def test_both_languages() -> None:
    found = decide(
        publication("OpenSSL versions antérieures à 3.0.8", vendor="OpenSSL"), machine("openssl 3.0.9-1 openssl")
    )
    assert found.verdict == NOT_AFFECTED
    assert reason_text(found) == "Version 3.0.9 is not older than the corrected version 3.0.8."
    assert reason_text(found, "fr") == "La version 3.0.9 n’est pas antérieure à la version corrigée 3.0.8."
    assert found.evidence == ("CERT-FR: OpenSSL versions antérieures à 3.0.8", "3.0.9 >= 3.0.8")


def test_the_gravest_product_speaks() -> None:
    found = decide(
        publication(
            "GitLab Community Edition (CE) versions antérieures à 17.0.4",
            "OpenSSL versions antérieures à 3.0.8",
            "Cisco IOS XE versions antérieures à 17.9",
        ),
        machine("openssl 3.0.9-1 openssl", "gitlab-ce 16.7.0-ce.0 gitlab-ce"),
    )
    assert (found.verdict, found.package) == (AFFECTED, "gitlab-ce")


def test_an_upstream_bound_alone_never_affects_a_distributions_package() -> None:
    """Any distribution package inside any bare bound, without other data: to check, at the most."""
    table = products.load()
    for product in table.products:
        if product.rebased or not product.packages.get("dpkg"):
            continue
        name = {"openssh-server|ssh": "openssh-server"}.get("", "")
        for candidate in (
            "openssh-server",
            "sudo",
            "apache2",
            "squid",
            "wireshark",
            "samba",
            "haproxy",
            "redis-server",
        ):
            if any(pattern.fullmatch(candidate) for pattern in product.packages["dpkg"]):
                name = candidate
        if not name:
            continue
        found = decide(
            publication(f"{product.name} versions antérieures à 99.9", vendor=product.vendors[0]),
            machine(f"{name} 1.2.3-1+deb12u1 {name}"),
        )
        assert found.verdict == TO_CHECK, product.name
        assert found.reason.key == "backport", product.name


def test_third_party_inside_its_bound() -> None:
    found = decide(
        publication("NGINX Open Source versions 1.x antérieures à 1.30.2", vendor="F5"),
        machine("nginx 1.30.0-1~bookworm nginx"),
    )
    assert (found.verdict, found.reason.key, found.installed) == (AFFECTED, "bound", "1.30.0-1~bookworm")


def test_lines_of_the_note_when_the_list_is_empty() -> None:
    note = (
        "<p>Voici&nbsp;:</p><ul><li>OpenSSL <b>versions</b> antérieures à 3.0.8</li><li>Exim toutes versions</li></ul>"
    )
    systems = affected(publication(note=note))
    assert [system.description for system in systems] == [
        "OpenSSL versions antérieures à 3.0.8",
        "Exim toutes versions",
    ]


def test_a_note_beside_a_list_is_a_remark() -> None:
    systems = affected(publication("Exim toutes versions", vendor="Exim", note="<ul><li>OpenSSL</li></ul>"))
    assert [system.description for system in systems] == ["Exim toutes versions"]


def test_a_title_alone() -> None:
    found = decide(publication(title="Vulnérabilité dans Postfix"), machine("postfix 3.7.11-0+deb12u1 postfix"))
    assert (found.verdict, found.reason.key) == (TO_CHECK, "titled")
    assert decide(publication(title="Vulnérabilité dans Microsoft Exchange"), machine()).verdict == NOT_AFFECTED


def test_names_that_only_look_alike() -> None:
    """A calendar for Nextcloud is not the package `calendar`; a short name is no evidence."""
    here = machine("calendar 12.1.7 bsdmainutils", "forms 1.2-1 forms", "at 3.2.5-1 at")
    for line, vendor in (
        ("Calendar versions 5.5.x antérieures à 5.5.17", "Nextcloud"),
        ("Forms versions 4.x antérieures à 5.2.7", "Nextcloud"),
        ("AT versions antérieures à 4", "Quelqu'un"),
    ):
        assert decide(publication(line, vendor=vendor), here).verdict == NOT_AFFECTED


@pytest.mark.parametrize(
    ("line", "vendor", "rows"),
    [
        ("azl3 openssl 3.3.2-1 versions antérieures à 3.3.3-1", "Microsoft", "openssl 3.0.9-1 openssl"),
        ("Docker Desktop versions antérieures à 4.71.0", "Docker", "docker-ce 5:29.3.0-1~debian.12~bookworm docker-ce"),
        ("NGINX Plus versions Rx antérieures à R36 P5", "F5", "nginx 1.22.1-9 nginx"),
        ("PostgreSQL JDBC versions antérieures à 42.7.7", "PostgreSQL", "postgresql-15 15.18-0+deb12u1 postgresql-15"),
        ("BIND Supported Preview Edition versions antérieures à 9.18.49-S1", "ISC", "bind9 1:9.18.1-1 bind9"),
        ("Firefox pour iOS versions antérieures à 151.2", "Mozilla", "firefox 84.0-1 firefox"),
        ("Chrome versions antérieures à 149.0.1 pour Windows", "Google", "google-chrome-stable 100.0-1 google-chrome-stable"),
        ("Microsoft Edge versions antérieures à 130 pour Android", "Microsoft", "microsoft-edge-stable 100.0-1 microsoft-edge"),
        ("Nagios XI versions antérieures à 2024R1", "Nagios", "nagios4 4.4.6-4 nagios4"),
        ("GitLab AI Gateway versions antérieures à 18.6.2", "GitLab", "gitlab-ce 17.3.5-ce.0 gitlab-ce"),
        ("Greffon pour SPIP versions antérieures à 5.11.1", "SPIP", "spip 4.4.3+dfsg-1 spip"),
        ("Zimbra Desktop versions antérieures à 4", "Synacor", "zimbra-core 8.8.15.GA zimbra"),
        ("MySQL Connectors versions 8.0.32 et antérieures", "Oracle", "mysql-server-8.0 8.0.30-1 mysql-8.0"),
        ("Windows Server 2019", "Microsoft", "openssl 3.0.9-1 openssl"),
        ("PHP versions antérieures à 8.1", "PHP", "php-cli 2:8.2+93 php-defaults"),
    ],
)  # fmt: skip
def test_name_collisions(line: str, vendor: str, rows: str) -> None:
    assert decide(publication(line, vendor=vendor), machine(rows)).verdict == NOT_AFFECTED


def test_a_verdict_is_never_keyed_on_the_reference() -> None:
    here = machine("openssl 1.1.1k-1 openssl", "gitlab-ce 16.7.0-ce.0 gitlab-ce")
    one = publication("GitLab versions antérieures à 17.0.4", vendor="GitLab")
    found = decide(one, here)
    for reference in ("CERTFR-1999-AVI-001", "CERTFR-2031-ALE-999"):
        assert decide(one._replace(reference=reference), here) == found


def test_nothing_at_all() -> None:
    assert gravest([]).reason.key == "no_product"


def test_the_reason_that_says_most() -> None:
    absent = Verdict(NOT_AFFECTED, "", "", reason("absent", product="A"))
    past = Verdict(NOT_AFFECTED, "b", "1", reason("past", upstream="1", bound="1"))
    assert gravest([absent, past]) == past


# --- the table ----------------------------------------------------------------------------------------------


def test_the_shipped_table() -> None:
    table = products.load()
    assert len({vendor for product in table.products for vendor in product.vendors}) >= 60
    assert len({product.name for product in table.products}) == len(table.products)
    for product in table.products:
        assert product.example == "" or re.fullmatch(r"CVE-20\d\d-\d{4,}|20\d\d-\d\d-\d\d", product.example)
    assert sum(bool(product.example) for product in table.products) >= 120


def test_the_examples_of_the_table_name_their_product(samples: Path) -> None:
    """Each example is an id, or the day, of a publication with a line that the entry takes."""
    from archive.certfr.lines import product_name

    table = products.load()
    named: dict[str, set[str]] = {}
    for found in judge.read_publications([samples / "json"]):
        for system in decide_module.affected(found):
            for row in decide_module.rows(system):
                if entry := table.find(system, product_name(row)):
                    named.setdefault(entry.name, set()).update((*found.cves, str(found.first_at)))
    for product in table.products:
        assert product.example == "" or product.example in named[product.name], product.name


def test_one_package_for_each_source_version() -> None:
    here = machine(
        "libssl3 3.0.9-1 openssl",
        "openssl 3.0.9-1 openssl",
        "libssl1.1 1.1.1w-0+deb11u1 openssl",
        "libssl-dev 3.0.9-1 openssl",
    )
    openssl = next(product for product in products.load().products if product.name == "OpenSSL")
    assert [package.name for package in installed(openssl, here).packages] == ["openssl", "libssl1.1"]


def test_a_part_alone() -> None:
    bind = next(product for product in products.load().products if product.name == "BIND")
    found = installed(bind, machine("bind9-libs 1:9.18.1-1 bind9"))
    assert isinstance(found, Installed)
    assert found.part


@pytest.mark.parametrize(
    "text",
    [
        "[[product]]\nname = 'A'\n",
        "[[product]]\nname = 'A'\nmatch = '('\n",
        "[[product]]\nname = 'A'\nmatch = 'a'\nmacth = 'b'\n",
        "[[product]]\nname = 'A'\nmatch = 'a'\nvendors = 'b'\n",
    ],
)
def test_a_table_with_a_mistake(tmp_path: Path, text: str) -> None:
    (tmp_path / "products.toml").write_text(text)
    with pytest.raises(ProductsError, match="entry 1"):
        products.load(tmp_path / "products.toml")


def test_vendors_by_any_case() -> None:
    table = products.load()
    for vendor in ("curl", "CURL", "Curl"):
        found = table.find(AffectedSystem(vendor, "", "", scada=False), "cURL et libcurl")
        assert found
        assert found.name == "Curl"


# --- the command --------------------------------------------------------------------------------------------


def write(folder: Path, *references: str) -> Path:
    for reference in references:
        obj = made(reference=reference, affected_systems=[
            {"description": "OpenSSL versions antérieures à 3.0.8", "product": {"name": "OpenSSL", "vendor": {"name": "OpenSSL"}}}
        ])  # fmt: skip
        (folder / f"{reference}.json").write_text(json.dumps(obj))
    return folder


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    (tmp_path / "os-release").write_text(BOOKWORM)
    (tmp_path / "packages.tsv").write_text("openssl\t3.0.9-1\tamd64\topenssl\t3.0.9-1\tinstall ok installed\n")
    return tmp_path


def test_the_command(saved: Path, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]) -> None:
    references = ("CERTFR-1998-AVI-001", "CERTFR-1998-AVI-002", "CERTFR-1998-AVI-003")
    folder = write(tmp_path_factory.mktemp("publications"), *references)
    argv = ["--inventory", str(saved), "--json", "--publications", str(folder), "CERTFR-1998-AVI-002"]
    assert judge.run(argv) == 0
    (row,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert {key: row[key] for key in ("reference", "verdict", "package", "installed")} == {
        "reference": "CERTFR-1998-AVI-002",
        "verdict": "not_affected",
        "package": "openssl",
        "installed": "3.0.9-1",
    }
    assert row["reason"].endswith("3.0.8.")
    assert row["evidence"] == ["CERT-FR: OpenSSL versions antérieures à 3.0.8", "3.0.9 >= 3.0.8"]


def test_the_command_without_json(
    saved: Path, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write(tmp_path_factory.mktemp("publications"), "CERTFR-1998-AVI-001")
    assert judge.run(["--inventory", str(saved), "--language", "fr", "--publications", str(folder)]) == 0
    assert "antérieure à la version corrigée" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--publications", "missing.json"], "missing.json"),
        (["--changelogs", "missing"], "not a folder"),
        (["--tracker", "missing"], "missing"),
        (["--publications", ".", "CERTFR-1998-AVI-777"], "not in the files given: CERTFR-1998-AVI-777"),
    ],
)
def test_the_command_refuses(
    saved: Path, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch, argv: list[str], words: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(write(tmp_path_factory.mktemp("publications"), "CERTFR-1998-AVI-001"))
    assert judge.run(["--inventory", str(saved), *argv]) == 2
    assert words in capsys.readouterr().err


def test_jsonl_and_a_reference_met_twice(saved: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("publications") / "all.jsonl"
    path.write_text("\n".join(json.dumps(made()) for _ in range(3)) + "\n\n")
    assert len(list(judge.read_publications([path]))) == 1


# --- many ---------------------------------------------------------------------------------------------------


@pytest.mark.needs_shared
def test_scrambled_references_give_the_same_verdicts(samples: Path) -> None:
    from archive.certfr.inventory import read_folder

    found = list(judge.read_publications([samples / "json"]))
    here = read_folder(samples.parent / "inventories" / "deb11-server-11.11")
    shuffled = [each.reference for each in found]
    random.Random(3).shuffle(shuffled)
    plain, scrambled = Decider(here), Decider(here)
    for each, reference in zip(found, shuffled, strict=True):
        assert plain.decide(each) == scrambled.decide(each._replace(reference=reference))


@pytest.mark.needs_shared
def test_two_years_of_advisories_on_one_machine(samples: Path) -> None:
    """2,168 advisories against 1,400 packages: under 2 s of processor time, with changelogs."""
    import time

    from archive.certfr.changelogs import FolderChangelogs
    from archive.certfr.inventory import read_folder

    start = time.process_time()
    here = read_folder(samples.parent / "inventories" / "deb12-server-current")
    decider = Decider(here, FolderChangelogs(samples.parent / "changelogs", here.codename))
    count = sum(
        1 for each in judge.read_publications([samples / "json/avis-2023_2024.jsonl.gz"]) if decider.decide(each)
    )
    assert count == 2_168
    assert time.process_time() - start < 4  # 1 s where it was measured; twice the limit, for a slow and busy machine


def test_a_restart_is_the_remedy_only_when_a_newer_kernel_is_corrected() -> None:
    lines = (
        "Debian bullseye versions antérieures à 6.1.170-3~deb11u1",
        "Debian bullseye versions antérieures à 5.10.251-4",
    )
    bullseye = 'ID=debian\nVERSION_ID="11"\nVERSION_CODENAME=bullseye'
    old, new = (
        "linux-image-5.10.0-46-amd64 5.10.262-1 linux",
        "linux-image-6.1.0-0.deb11.46-amd64 6.1.170-1~deb11u1 linux",
    )
    behind = decide(
        publication(*lines, vendor="Debian"), machine(old, new, os_release=bullseye, running="6.1.0-0.deb11.46-amd64")
    )
    assert (behind.verdict, behind.reason.key) == (AFFECTED, "kernel_behind")
    newer = "linux-image-6.1.0-0.deb11.52-amd64 6.1.180-1~deb11u1 linux"
    waiting = decide(
        publication(*lines, vendor="Debian"), machine(new, newer, os_release=bullseye, running="6.1.0-0.deb11.46-amd64")
    )
    assert (waiting.verdict, waiting.reason.key) == (AFFECTED, "kernel_reboot")
