"""A publication's own page, in both generations of markup, and what is refused."""

import json
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archive.certfr.document import Document, DocumentError, from_json, from_page, read_files
from archive.certfr.page import PageError, parse_page, to_object
from archive.certfr.publication import Link, Revision, VendorAdvisory, canonical
from tests.certfr.conftest import fixture
from tests.certfr.server import Site, publication


def test_todays_page() -> None:
    found = parse_page(fixture("alert-2026.html"), "CERTFR-2026-ALE-911")
    assert (found.reference, found.kind, found.title) == (
        "CERTFR-2026-ALE-911",
        "alerte",
        "Vulnérabilités dans Exemple",
    )
    assert (found.first_at, found.last_at, found.closed_at) == (date(2026, 9, 28), date(2026, 10, 2), None)
    assert found.risks == ("Déni de service à distance", "Exécution de code arbitraire à distance")
    assert [system.description for system in found.systems] == [
        "Exemple versions 13.1.x antérieures à 13.1-64.23",
        "Exemple versions 14.1.x antérieures à 14.1-73.37",
    ]
    assert {(system.vendor, system.product) for system in found.systems} == {("", "")}
    assert found.cves == ("CVE-2026-10001", "CVE-2026-10002")
    assert found.vendor_advisories == (
        VendorAdvisory("Bulletin Exemple 12 du 27 septembre 2026", "https://exemple.invalid/12?a=1&b=2", None),
        VendorAdvisory("Bulletin Exemple 13", "https://exemple.invalid/13", None),
    )
    assert found.links == (Link("Avis CERT-FR CERTFR-2026-AVI-9235", "/avis/CERTFR-2026-AVI-9235/"),)
    assert len(found.revisions) == 3
    assert "Process &lt;PID&gt; exit &lt;##&gt;" in found.summary
    assert "<h2>Solutions</h2>" in found.content
    assert "<h2>Contournement provisoire</h2>\n<p>Couper le service.</p>" in found.content


def test_the_page_of_before_2024() -> None:
    found = parse_page(fixture("alert-2022-closed.html"))
    assert (found.reference, found.title) == ("CERTFR-2022-ALE-909", "[MaJ] Vulnérabilité dans Exemple")
    assert found.closed_at == date(2023, 2, 1)
    assert found.revisions == (
        Revision(date(2022, 10, 7), "Version initiale"),
        Revision(date(2023, 2, 1), "Clôture de l'alerte. Le reste demeure."),
    )
    assert found.risks == ("Exécution de code arbitraire à distance",)
    assert found.systems == ()
    assert found.systems_note == "<p>Exemple toutes versions, sauf :</p>"
    assert found.cves == ("CVE-2022-41352",)
    assert found.links == (Link("Bulletin Exemple du 6 octobre 2022", "https://exemple.invalid/6"),)


def test_an_advisory_has_no_end() -> None:
    page = fixture("alert-2026.html").replace(b"ALE-911", b"AVI-0911")
    assert "closed_at" not in to_object(page)
    assert parse_page(page).kind == "avis"


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        (b"CERTFR-2026-ALE-911</td>", b"CERTFR-2026-ALE-912</td>", "found that of CERTFR-2026-ALE-912"),
        (b"</html>", b"", "cut short"),
        (b"article-content", b"content", "no section that could be read: its markup has changed"),
        (b"2026", b"26", "expected the page of a publication"),
    ],
)
def test_c09_a_page_that_has_changed_is_an_error(before: bytes, after: bytes, says: str) -> None:
    with pytest.raises(PageError, match=says):
        parse_page(fixture("alert-2026.html").replace(before, after), "CERTFR-2026-ALE-911")


def test_c09_a_page_without_any_date_is_an_error() -> None:
    page = fixture("alert-2026.html").replace(b"septembre", b"09").replace(b"octobre", b"10")
    with pytest.raises(PageError, match="no date that could be read"):
        parse_page(page)


def test_c08_another_page_is_an_error_that_names_it() -> None:
    with pytest.raises(PageError, match="Site en maintenance"):
        parse_page(fixture("maintenance.html"))
    with pytest.raises(PageError, match="headings"):
        parse_page(fixture("list-2026.html"))


def test_c13_a_page_made_to_be_slow_is_refused() -> None:
    with pytest.raises(PageError, match="tags"):
        parse_page(b"<div>" * 200_000 + b"</html>")


def test_c11_a_hostile_page() -> None:
    page = fixture("alert-2026.html").decode()
    page = page.replace(
        "Vulnérabilités dans Exemple\n", "\u202eA&lt;script&gt;alert(1)&lt;/script&gt;<b onclick=x>B</b>\n"
    )
    page = page.replace('href="https://exemple.invalid/13"', 'href="javascript:alert(1)"')
    found = parse_page(page.encode())
    assert found.title == "A<script>alert(1)</script>B", "text, to be escaped like any other"
    assert found.vendor_advisories[1].url == "javascript:alert(1)", "kept as text; safe.is_link refuses it"


@given(st.binary(max_size=400))
@settings(max_examples=100, deadline=None)
def test_any_bytes_are_a_page_or_an_error(body: bytes) -> None:
    with pytest.raises(PageError):
        parse_page(body)


# --- documents ---------------------------------------------------------------------------------------


def test_a_json_answer() -> None:
    entry = publication("CERTFR-2026-ALE-911", "2026-09-28")
    found = from_json(json.dumps(entry).encode(), "CERTFR-2026-ALE-911")
    assert found.origin == "json"
    assert json.loads(found.body) == entry


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "an empty answer"),
        (fixture("maintenance.html"), "Site en maintenance"),
        (b"[]", "a JSON array"),
        (b'{"reference": "CERTFR-2026-ALE-911"}', "title"),
        (b'{"a":' * 100_000, "cut or damaged"),
        (json.dumps(publication("CERTFR-2026-ALE-912", "2026-09-28")).encode(), "found CERTFR-2026-ALE-912"),
        (json.dumps(publication("CERTFR-2026-ALE-911", "soon")).encode(), "not a date"),
        (json.dumps(publication("CERTFR-2026-ALE-911", "2026-09-28")).encode()[:-9], "cut or damaged"),
        (b'{"reference": ' + b"9" * 9000 + b"}", "cut or damaged"),
    ],
)
def test_c08_a_json_answer_that_is_not_it(body: bytes, says: str) -> None:
    with pytest.raises(DocumentError, match=says):
        from_json(body, "CERTFR-2026-ALE-911")


def test_c10_a_json_answer_with_a_mark_and_strange_characters() -> None:
    entry = publication("CERTFR-2026-ALE-911", "2026-09-28", title="a\ud800b\x00c\u202ed")
    found = from_json(b"\xef\xbb\xbf" + json.dumps(entry).encode())
    assert found.publication.title == "abcd"
    found.body.encode("utf-8")


def test_the_page_of_the_local_site_says_what_its_json_says() -> None:
    entry = publication("CERTFR-2026-ALE-911", "2026-09-28", "2026-10-01", closed="2026-11-02")
    page = from_page(Site(entry).page(entry).encode()).publication
    real = from_json(json.dumps(entry).encode()).publication
    for name in ("reference", "kind", "title", "first_at", "closed_at"):
        assert getattr(page, name) == getattr(real, name)


def test_files_of_a_folder_are_read_one_by_one(tmp_path: Path) -> None:
    entry = publication("CERTFR-2026-ALE-911", "2026-09-28")
    (tmp_path / "b").mkdir()
    (tmp_path / "a.json").write_text(json.dumps(entry))
    (tmp_path / "b" / "c.jsonl").write_text(json.dumps(entry) + "\n\nnot json\n" + json.dumps(entry) + "\n")
    (tmp_path / "b" / "d.html").write_bytes(fixture("alert-2026.html"))
    (tmp_path / "b" / "e.JSON").write_text(json.dumps([entry, 5]))
    (tmp_path / "readme.txt").write_text("not looked at")
    (tmp_path / "f.json").write_text("{}")
    found = list(read_files([tmp_path, tmp_path / "missing.json"]))
    good = [one for one in found if isinstance(one, Document)]
    bad = [str(one) for one in found if isinstance(one, DocumentError)]
    assert [one.publication.reference for one in good] == ["CERTFR-2026-ALE-911"] * 5
    assert {one.origin for one in good} == {"file"}
    assert len(bad) == 4
    assert any("c.jsonl: expected a JSON object" in line for line in bad)
    assert any("f.json: not a publication of CERT-FR: reference" in line for line in bad)
    assert any("missing.json: cannot be read: No such file" in line for line in bad)


def test_a_file_that_is_too_big_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b'{"a": "' + b"x" * (3 << 20))
    (tmp_path / "b.jsonl").write_bytes(b"x" * (3 << 20))
    found = list(read_files([tmp_path]))
    assert all(isinstance(one, DocumentError) for one in found)
    assert "more than" in str(found[0])


@pytest.mark.needs_shared
def test_the_real_open_alert(samples: Path) -> None:
    found = parse_page((samples / "html/alerte-CERTFR-2026-ALE-011-open-2026-10-04.html").read_bytes())
    assert found.reference == "CERTFR-2026-ALE-011"
    assert (found.first_at, found.last_at, found.closed_at) == (date(2026, 9, 28), date(2026, 9, 30), None)
    assert (len(found.systems), len(found.risks), len(found.cves), len(found.revisions)) == (6, 2, 2, 4)
    assert (len(found.links), len(found.vendor_advisories)) == (3, 1)
    assert "pitboss &lt;DATETIME&gt; NOT restarting" in found.summary


@pytest.mark.needs_shared
def test_the_real_reduced_advisory(samples: Path) -> None:
    found = parse_page((samples / "html/avis-CERTFR-2026-AVI-1257-reduced-2026-10-04.html").read_bytes())
    assert (found.reference, found.cves) == ("CERTFR-2026-AVI-1257", ("CVE-2026-104286",))


@pytest.mark.needs_shared
def test_every_real_publication_is_read(samples: Path) -> None:
    found = list(read_files([samples / "json"]))
    assert len(found) > 150
    assert all(isinstance(one, Document) for one in found)
    assert all(canonical(one.publication) for one in found if isinstance(one, Document))
