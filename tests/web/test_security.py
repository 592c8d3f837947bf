"""The security pages through the real application: what is shown first, every filter, pages, putting away, corrections."""

import json
import re
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from archive import database
from archive.certfr import document, machine, schedule, store
from archive.certfr.decide import Decider
from archive.certfr.inventory import Inventory, read_packages
from tests.certfr.server import publication
from tests.web import site
from tests.web.site import NOW, Page

OS = {"ID": "debian", "VERSION_ID": "12", "VERSION_CODENAME": "bookworm"}
BEFORE, AFTER = "1:9.2p1-2+deb12u2", "1:9.2p1-2+deb12u9"


def inventory(kernel: str) -> Inventory:
    rows = f"""\
linux-image-6.1.0-40-amd64\t{kernel}\tamd64\tlinux-signed-amd64\t{kernel.replace("-", "+")}\tinstall ok installed
openssh-server\t{AFTER}\tamd64\topenssh\t{AFTER}\tinstall ok installed"""
    return Inventory(OS, read_packages(rows, "debian", "list"), "6.1.0-40-amd64")


def one(reference: str, title: str, vendor: str, line: str, day: str, closed: str | None = None) -> document.Document:
    made = publication(reference, day, title=title, systems=[line], closed=closed)
    for system in made["affected_systems"]:  # type: ignore[attr-defined]
        system["product"] = {"name": "N/A", "vendor": {"name": vendor, "scada": False}}
    return document.from_json(json.dumps(made).encode())


KERNEL = one(
    "CERTFR-2026-ALE-901", "Faille du noyau", "Debian", "Debian bookworm versions antérieures à 6.1.170-1", "2026-11-01"
)
SSH = one("CERTFR-2026-AVI-902", "Faille de OpenSSH", "OpenSSH", "OpenSSH versions antérieures à 9.9p2", "2026-10-01")
CISCO = one(
    "CERTFR-2025-AVI-903", "Faille de <i>Cisco</i>", "Cisco", "IOS XE versions antérieures à 17.1", "2025-12-01"
)
MANY = [
    one(
        f"CERTFR-2026-AVI-{number}",
        f"Sans rapport {number}",
        "Fortinet",
        "FortiOS versions antérieures à 7.1",
        "2026-06-01",
    )
    for number in range(1000, 1060)
]


def decide(path: str, kernel: str, now: int) -> None:
    with database.writer(path) as db, database.transaction(db):
        decider = Decider(inventory(kernel))
        decided = [(i, r, decider.decide(each), "") for i, r, each in machine.undecided(db, 1, now, now)]
        machine.store(db, 1, decided, now)


def put(path: str, *documents: document.Document, now: int = NOW - 7200) -> None:
    with database.writer(path) as db, database.transaction(db):
        for each in documents:
            store.put(db, each, now)


@pytest.fixture
def path(tmp_path: Path) -> str:
    made = site.folder(f"{tmp_path}/data")
    put(made, KERNEL, SSH, CISCO, *MANY)
    decide(made, "6.1.153-1", NOW - 3600)
    return made


def listed(client: FlaskClient, query: str) -> list[str]:
    """The references of the rows of the list, not of what stands above it."""
    html = client.get(f"/security?{query}").text
    rest = html.partition('aria-labelledby="h-rest"')[2]
    return [part.partition('"')[0] for part in rest.split('href="/security/')[1:]]


def test_what_concerns_the_machine_stands_first_then_what_is_to_check_then_a_count(path: str) -> None:
    text = Page(site.site(path).test_client().get("/security").text).text
    assert text.index("Faille du noyau") < text.index("Faille de OpenSSH") < text.index("Publications")
    assert "1 la concerne" in site.plain(text) or "1 la concernent" in site.plain(text)
    assert "61" in text


@pytest.mark.parametrize(
    ("query", "references"),
    [
        ("verdict=affected", ["CERTFR-2026-ALE-901"]),
        ("verdict=to_check", ["CERTFR-2026-AVI-902"]),
        ("kind=alerte", ["CERTFR-2026-ALE-901"]),
        ("vendor=cisco", ["CERTFR-2025-AVI-903"]),
        ("vendor=OpenS", ["CERTFR-2026-AVI-902"]),
        ("vendor=%25", []),
        ("year=2025", ["CERTFR-2025-AVI-903"]),
        ("year=1999", []),
        ("q=noyau", ["CERTFR-2026-ALE-901"]),
        ("q=AVI-902", ["CERTFR-2026-AVI-902"]),
        ("kind=avis&year=2026&vendor=open&q=faille&verdict=to_check", ["CERTFR-2026-AVI-902"]),
        ("kind=avis&vendor=Debian", []),
    ],
)
def test_each_filter(path: str, query: str, references: list[str]) -> None:
    client = site.site(path).test_client()
    assert listed(client, query) == references
    if not references:
        assert "Aucune publication ne correspond" in client.get(f"/security?{query}").text


def test_pages_of_a_filter_keep_the_filter(path: str) -> None:
    client = site.site(path).test_client()
    first = listed(client, "vendor=Fortinet")
    assert len(first) == 50
    html = client.get("/security?vendor=Fortinet").text
    (older,) = [link for link in re.findall(r'href="([^"]+)"', html) if "skip=50" in link]
    assert "vendor=Fortinet" in older
    rest = listed(client, "vendor=Fortinet&skip=50")
    assert len(rest) == 10
    assert not set(first) & set(rest)


@pytest.mark.parametrize(
    "query", ["kind=x", "verdict=x", "skip=-1", "year=20266", "vendor=a&vendor=b", "q=" + "x" * 81]
)
def test_what_cannot_be_asked_is_a_400(path: str, query: str) -> None:
    assert site.site(path).test_client().get(f"/security?{query}").status_code == 400


def test_titles_are_text_and_the_filters_keep_what_was_typed(path: str) -> None:
    html = site.site(path).test_client().get('/security?vendor="><script>').text
    assert "<script>" not in html.partition("</form>")[0].rpartition("<form")[2]
    assert "&lt;i&gt;Cisco" in site.site(path).test_client().get("/security?vendor=Cisco").text


def test_the_page_of_one_says_why_with_the_lines(path: str) -> None:
    html = site.site(path).test_client().get("/security/CERTFR-2026-ALE-901").text
    assert "Debian bookworm versions antérieures à 6.1.170-1" in html
    assert "6.1.153-1 &lt; 6.1.170-1" in html
    assert "uname -r: 6.1.0-40-amd64" in html


def test_after_the_upgrade_the_page_says_corrected_here(path: str) -> None:
    decide(path, "6.1.172-1", NOW - 60)
    client = site.site(path).test_client()
    assert "Corrigé ici" in client.get("/security/CERTFR-2026-ALE-901").text
    assert "Corrigé ici" in client.get("/security?q=noyau").text
    assert listed(client, "verdict=affected") == []


def test_not_for_me_needs_a_reason_and_holds_until_the_next_revision(path: str) -> None:
    site.add_person(path)
    client = site.site(path).test_client()
    address = "/security/CERTFR-2026-ALE-901"
    assert "Pas pour cette machine" not in client.get(address).text  # a visitor may look only
    site.log_in(client)
    assert site.post(client, f"{address}/dismiss", {"reason": " "}, address).status_code == 422
    assert site.post(client, f"{address}/dismiss", {"reason": "machine d’essai"}, address).status_code == 303
    page = client.get(address).text
    assert "machine d’essai" in page
    assert "Faille du noyau" not in Page(client.get("/security").text).text.partition("Publications")[0]
    revised = one(
        "CERTFR-2026-ALE-901",
        "Faille du noyau",
        "Debian",
        "Debian bookworm versions antérieures à 6.1.171-1",
        "2026-11-10",
    )
    put(path, revised, now=NOW - 30)
    decide(path, "6.1.153-1", NOW - 20)
    assert "Faille du noyau" in Page(client.get("/security").text).text.partition("Publications")[0]


def test_the_first_reading_shows_how_far_it_is(path: str) -> None:
    with database.writer(path) as db, database.transaction(db):
        schedule.claim(db, NOW - 600)
        db.execute("UPDATE advisory SET backlog = 1")
        db.execute("UPDATE advisory SET read_at = NULL WHERE reference LIKE '%-10_5'")
    text = site.plain(Page(site.site(path).test_client().get("/security").text).text)
    assert "57 sur 63" in text or "57 publications sur 63" in text, text[:600]


def test_debians_tracker_is_named_where_everything_that_leaves_is_listed(path: str) -> None:
    assert "Debian" not in Page(site.site(path).test_client().get("/about").text).text.partition("CERT-FR")[2][:400]
    site.add_person(path)
    client = site.site(path, VIGIE_DEBIAN_TRACKER="json").test_client()
    assert "données de sécurité de Debian" in client.get("/about").text
    site.log_in(client)
    assert "security-tracker.debian.org" in client.get("/about").text
