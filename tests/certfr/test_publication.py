"""A publication's JSON object: what is odd is taken, what is wrong is refused by name, two fetches compare."""

import json
import random
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.certfr.judge import objects
from archive.certfr.publication import AffectedSystem, Link, PublicationError, canonical, parse


def made(**changes: Any) -> dict[str, Any]:
    """A publication in the site's shape, made by hand."""
    return {
        "reference": "CERTFR-1998-AVI-001",
        "title": "Vulnérabilité dans Exemple ",
        "summary": "Un résumé.",
        "content": "## Solutions\n\nMettre à jour.",
        "affected_systems": [
            {
                "description": "Exemple\u00a0versions antérieures à 1.2\n",
                "product": {"name": "N/A", "vendor": {"name": "Exemple", "scada": False}},
            }
        ],
        "affected_systems_content": None,
        "cves": [{"name": "CVE-1998-0001", "url": "https://www.cve.org/CVERecord?id=CVE-1998-0001"}],
        "risks": [{"description": "Déni de service"}],
        "vendor_advisories": [{"published_at": None, "title": "Bulletin", "url": None}],
        "links": [{"title": "Avis", "url": "https://exemple.org/"}],
        "revisions": [
            {"description": "Suite", "revision_date": "1998-03-02T01:00:00.000000"},
            {"description": "Version initiale", "revision_date": "1998-03-01T00:00:00.000000"},
        ],
    } | changes


def test_what_is_read() -> None:
    found = parse(made())
    assert found.kind == "avis"
    assert found.title == "Vulnérabilité dans Exemple"
    assert (found.first_at, found.last_at, found.closed_at) == (date(1998, 3, 1), date(1998, 3, 2), None)
    assert found.systems == (AffectedSystem("Exemple", "", "Exemple versions antérieures à 1.2", scada=False),)
    assert found.links == (Link("Avis", "https://exemple.org/"),)
    assert found.vendor_advisories[0].published_at is None
    assert found.vendor_advisories[0].url == ""


def test_revisions_in_any_order() -> None:
    assert [revision.description for revision in parse(made()).revisions] == ["Version initiale", "Suite"]


def test_alert_closed_and_open() -> None:
    assert parse(made(reference="CERTFR-1998-ALE-001", closed_at=None)).kind == "alerte"
    assert parse(made(reference="CERTFR-1998-ALE-001", closed_at="1998-04-01")).closed_at == date(1998, 4, 1)


def test_kind_of_a_reference_that_says_none() -> None:
    assert parse(made(reference="CERTA-1998-X-001", closed_at=None)).kind == "alerte"
    assert parse(made(reference="CERTA-1998-X-001")).kind == "avis"


@pytest.mark.parametrize("field", ["summary", "content", "title", "affected_systems_content"])
def test_null_texts(field: str) -> None:
    changed = made(**{field: None})
    if field == "title":
        with pytest.raises(PublicationError, match="title"):
            parse(changed)
    else:
        parse(changed)


@pytest.mark.parametrize("field", ["affected_systems", "cves", "risks", "links", "vendor_advisories", "revisions"])
def test_lists_missing_null_or_wrong(field: str) -> None:
    without = made()
    del without[field]
    parse(without)
    parse(made(**{field: None}))
    with pytest.raises(PublicationError, match=field):
        parse(made(**{field: "texte"}))
    with pytest.raises(PublicationError, match=field):
        parse(made(**{field: ["texte"]}))


@pytest.mark.parametrize("reference", [None, 7, "", "../../etc/passwd", "CERTFR-2024-AVI-0001/json", "x" * 200])
def test_a_reference_that_is_none(reference: object) -> None:
    with pytest.raises(PublicationError, match="reference"):
        parse(made(reference=reference))


@pytest.mark.parametrize("written", ["hier", "2024-13-40", "20240101T", 7])
def test_dates_that_are_none(written: object) -> None:
    with pytest.raises(PublicationError, match="revision_date"):
        parse(made(revisions=[{"description": "", "revision_date": written}]))


def test_hostile_text() -> None:
    found = parse(made(title="a\u202eb\x00c\ud800d\u200b e\u0301"))
    assert found.title == "abcd é"
    json.dumps(found.title).encode("utf-8")


def test_a_text_too_long() -> None:
    with pytest.raises(PublicationError, match="content"):
        parse(made(content="x" * 1_000_001))


def test_several_lines_in_one_description() -> None:
    systems = made()["affected_systems"]
    systems[0]["description"] = " A versions antérieures à 1 \n\n B  versions antérieures à 2\n"
    assert (
        parse(made(affected_systems=systems)).systems[0].description
        == "A versions antérieures à 1\nB versions antérieures à 2"
    )


def test_ids_that_are_none_are_dropped() -> None:
    names = ["CVE-1998-0001", "cve-1998-00002", "GHSA-xxxx", "CVE-98-1", "CVE-1998-0001"]
    assert parse(made(cves=[{"name": name} for name in names])).cves == ("CVE-1998-0001", "CVE-1998-00002")


@given(st.integers())
def test_the_order_of_lists_does_not_count(seed: int) -> None:
    one = made(
        cves=[{"name": f"CVE-1998-{number:04d}"} for number in range(9)],
        risks=[{"description": str(number)} for number in range(5)],
        vendor_advisories=[
            {"published_at": None, "title": "A", "url": "b"},
            {"published_at": "1998-01-01", "title": "A", "url": "b"},
        ],
    )
    other = json.loads(json.dumps(one))
    for value in other.values():
        if isinstance(value, list):
            random.Random(seed).shuffle(value)
    for revision in other["revisions"]:
        revision["revision_date"] = revision["revision_date"].replace("T01", "T00")
    assert canonical(parse(one)) == canonical(parse(other))


def test_a_change_does_count() -> None:
    assert canonical(parse(made())) != canonical(parse(made(summary="Un autre.")))


@given(
    st.dictionaries(
        st.sampled_from(sorted(made())),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=20),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
            max_leaves=8,
        ),
    )
)
def test_anything_else_is_refused_with_its_own_error(changes: dict[str, Any]) -> None:
    try:
        canonical(parse(made(**changes)))
    except PublicationError:
        return


@pytest.mark.needs_shared
def test_every_sample(samples: Path) -> None:
    count = 0
    for _, obj in objects(samples / "json"):
        assert isinstance(obj, dict)
        found = parse(obj)
        assert found.first_at
        canonical(found)
        count += 1
    assert count > 2_000
