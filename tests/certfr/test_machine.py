"""This machine beside the publications: packages as rows with first and last seen, verdicts, and what is told."""

import json

import pytest

from alerts import advisories
from alerts.words import Words
from archive import database, events
from archive.certfr import document, machine, store
from archive.certfr.decide import Decider
from archive.certfr.inventory import Inventory, dpkg_package
from archive.recipients import Recipient

NOW = 1_795_400_000
OS = {"ID": "debian", "VERSION_ID": "12", "VERSION_CODENAME": "bookworm", "PRETTY_NAME": "Debian 12"}


def inventory(*rows):
    """Packages as (name, version, source, source version)."""
    made = [
        dpkg_package([name, version, "amd64", source, of, "install ok installed"]) for name, version, source, of in rows
    ]
    return Inventory(OS, [package for package in made if package], "6.1.0-40-amd64")


OLD = ("linux-image-6.1.0-40-amd64", "6.1.153-1", "linux-signed-amd64", "6.1.153+1")
NEW = ("linux-image-6.1.0-40-amd64", "6.1.172-1", "linux-signed-amd64", "6.1.172+1")


def kernel_avis(reference="CERTFR-2026-AVI-9001", revised="2026-11-01", kind="avis"):
    """A made-up publication about Debian's kernel, in the shape of the site's JSON."""
    made = {
        "$ref": "https://www.cert.ssi.gouv.fr/openapi.json",
        "reference": reference,
        "title": "Une faille inventée dans le noyau Linux de Debian",
        "summary": "Texte d’essai.",
        "content": "## Solution\n\nTexte d’essai.",
        "affected_systems": [
            {
                "description": "Debian bookworm versions antérieures à 6.1.170-1",
                "product": {"name": "N/A", "vendor": {"name": "Debian", "scada": False}},
            }
        ],
        "affected_systems_content": "",
        "cves": [{"name": "CVE-2026-99999", "url": "https://www.cve.org/CVERecord?id=CVE-2026-99999"}],
        "risks": [{"description": "Essai"}],
        "vendor_advisories": [],
        "links": [],
        "revisions": [{"description": "Version initiale", "revision_date": f"{revised}T00:00:00.000000"}],
    }
    if kind == "alerte":
        made["closed_at"] = None
    return document.from_json(json.dumps(made).encode())


@pytest.fixture
def db(tmp_path):
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    database.create(str(data), "u" * 32, "srv-labo", "", NOW)
    with database.writer(str(data)) as connection:
        yield connection


def decide(db, packages, now):
    """One round: what is undecided becomes verdicts; returns what must be told."""
    decider = Decider(packages)
    decided = [(i, revision, decider.decide(one), "") for i, revision, one in machine.undecided(db, 1, now, now)]
    return machine.store(db, 1, decided, now)


def test_the_first_inventory_makes_rows_and_no_events(db):
    assert machine.remember(db, 1, inventory(OLD), NOW) == 1
    assert events.between(db, 1, 0, NOW + 1) == []


def test_an_upgrade_ends_one_version_begins_another_and_is_an_event(db):
    machine.remember(db, 1, inventory(OLD), NOW)
    assert machine.remember(db, 1, inventory(OLD), NOW + 60) == 0
    machine.remember(db, 1, inventory(NEW), NOW + 120)
    rows = db.execute("SELECT version, first_at, gone_at FROM package ORDER BY first_at").fetchall()
    assert rows == [("6.1.153-1", NOW, NOW + 120), ("6.1.172-1", NOW + 120, None)]
    event = events.between(db, 1, 0, NOW + 200)[0]
    assert (event.kind, event.subject, event.detail) == ("package", OLD[0], "6.1.153-1 → 6.1.172-1")


def test_what_concerns_this_machine_is_told_once_and_again_when_it_is_revised(db):
    store.put(db, kernel_avis(), NOW)
    assert [revised for _, revised in decide(db, inventory(OLD), NOW)] == [False]
    assert decide(db, inventory(OLD), NOW + 60) == []
    store.put(db, kernel_avis(revised="2026-11-20"), NOW + 120)
    assert [revised for _, revised in decide(db, inventory(OLD), NOW + 120)] == [True]


def test_after_the_upgrade_it_says_corrected_here_and_when(db):
    store.put(db, kernel_avis(), NOW)
    decide(db, inventory(OLD), NOW)
    decide(db, inventory(NEW), NOW + 3600)
    kept = machine.verdict_of(db, 1, "CERTFR-2026-AVI-9001")
    assert (kept.verdict, kept.fixed_at) == ("not_affected", NOW + 3600)


def test_not_for_me_holds_until_the_next_revision(db):
    store.put(db, kernel_avis(), NOW)
    decide(db, inventory(OLD), NOW)
    assert machine.dismiss(db, 1, "CERTFR-2026-AVI-9001", "machine de test", NOW + 1)
    assert machine.counts(db, 1) == {"dismissed": 1}
    assert machine.affected(db, 1, [(1, False)]) == []
    store.put(db, kernel_avis(revised="2026-11-20"), NOW + 2)
    decide(db, inventory(OLD), NOW + 2)
    assert machine.counts(db, 1) == {"affected": 1}


def test_one_mail_tells_all_of_a_round_with_its_proof_in_both_parts(db):
    store.put(db, kernel_avis("CERTFR-2026-ALE-901", kind="alerte"), NOW)
    store.put(db, kernel_avis("CERTFR-2026-ALE-902", kind="alerte"), NOW)
    told = decide(db, inventory(OLD), NOW)
    mail = advisories.owe(
        db, 1, told, (Recipient("admin@example.org"),), "https://vigie.example.org", Words("fr", "UTC"), NOW
    )
    subject, body = db.execute("SELECT subject, body FROM notification WHERE id=?", (mail,)).fetchone()
    assert "srv-labo" in subject
    for part in json.loads(body).values():
        assert "CERTFR-2026-ALE-901" in part
        assert "CERTFR-2026-ALE-902" in part
        assert "6.1.153-1" in part
        assert "6.1.170-1" in part
        assert "https://vigie.example.org/security/CERTFR-2026-ALE-901" in part


def test_an_avis_without_an_update_to_take_is_shown_and_not_mailed(db):
    store.put(db, kernel_avis(), NOW)
    told = decide(db, inventory(OLD), NOW)
    assert told
    assert (
        advisories.owe(db, 1, told, (Recipient("admin@example.org"),), "http://localhost:5000", Words("fr", "UTC"), NOW)
        is None
    )


def test_a_hostile_title_is_text_in_the_mail(db):
    hostile = kernel_avis("CERTFR-2026-ALE-903", kind="alerte")
    title = "<script>alert(1)</script>\r\nBcc: a@b {{7*7}}"
    store.put(db, hostile._replace(publication=hostile.publication._replace(title=title)), NOW)
    told = decide(db, inventory(OLD), NOW)
    mail = advisories.owe(db, 1, told, (Recipient("a@example.org"),), "http://localhost:5000", Words("en", "UTC"), NOW)
    body = json.loads(db.execute("SELECT body FROM notification WHERE id=?", (mail,)).fetchone()[0])
    assert "<script>" not in body["html"]
    assert "49" not in body["html"]


def test_an_avis_is_told_when_its_update_comes_and_once(db):
    store.put(db, kernel_avis(), NOW)
    db.execute("UPDATE advisory SET backlog = 0")
    decide(db, inventory(OLD), NOW)
    ((advisory, name, version, offered),) = machine.standing(db, 1)
    assert (name, version, offered) == (OLD[0], OLD[1], "")
    assert machine.offer_now(db, 1, [(advisory, "6.1.172-1")]) == [(advisory, False)]
    assert machine.offer_now(db, 1, [(advisory, "6.1.174-1")]) == []
    assert machine.verdict_of(db, 1, "CERTFR-2026-AVI-9001").offered == "6.1.174-1"


def test_the_update_of_a_backlog_or_of_an_alert_is_no_news(db):
    store.put(db, kernel_avis(), NOW)
    store.put(db, kernel_avis("CERTFR-2026-ALE-901", kind="alerte"), NOW)
    db.execute("UPDATE advisory SET backlog = CASE kind WHEN 'avis' THEN 1 ELSE 0 END")
    decide(db, inventory(OLD), NOW)
    offers = [(advisory, "6.1.172-1") for advisory, *_ in machine.standing(db, 1)]
    assert len(offers) == 2
    assert machine.offer_now(db, 1, offers) == []


def test_publications_by_vendor_and_year(db):
    store.put(db, kernel_avis(), NOW)
    store.put(db, kernel_avis("CERTFR-2025-ALE-901", kind="alerte"), NOW)

    def listed(**chosen):
        return [one.reference for one in machine.publications(db, 1, **chosen)]

    assert listed(vendor="debian") == ["CERTFR-2025-ALE-901", "CERTFR-2026-AVI-9001"]
    assert listed(vendor="Deb_an") == listed(vendor="%") == listed(vendor="Cisco") == []
    assert listed(year="2025") == ["CERTFR-2025-ALE-901"]
    assert listed(year="2024") == []
    assert machine.years(db) == ["2026", "2025"]
    db.execute("UPDATE advisory SET body = 'no json' WHERE kind = 'avis'")
    assert listed(vendor="Debian") == ["CERTFR-2025-ALE-901"]
