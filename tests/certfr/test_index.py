"""The lists of the site: what is read from each, and what is refused with a sentence that says what was found."""

import json
import re
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archive.certfr.dates import french_day, iso_day, plausible, plausible_seconds, seconds
from archive.certfr.index import IndexEntry, Listing, ListingError, parse_html, parse_json, parse_rss, year_of
from archive.certfr.markup import MarkupError, decode, soup, tame
from tests.certfr.conftest import fixture
from tests.certfr.server import Site, publication

BASE = "https://www.cert.ssi.gouv.fr"
Parse = Callable[[bytes, str, str], Listing]
ALL: list[Parse] = [parse_json, parse_rss, parse_html]
NOW = 1_795_221_000  # 20 November 2026


def index(*entries: object) -> bytes:
    return json.dumps(entries).encode()


def entry(
    reference: str = "CERTFR-2026-AVI-0001", day: object = "2026-09-28T00:00:00.000000", **more: object
) -> dict[str, object]:
    return {"reference": reference, "json_url": "/evil/", "last_revision_date": day} | more


# --- JSON --------------------------------------------------------------------------------------------


def test_the_json_index() -> None:
    listing = parse_json(index(entry(), entry("CERTFR-2026-AVI-1257", title=" Un\ntitre ")), "avis", BASE)
    assert listing.doubt == ""
    assert listing.entries == (
        IndexEntry(
            "CERTFR-2026-AVI-0001",
            "avis",
            None,
            None,
            None,
            date(2026, 9, 28),
            f"{BASE}/avis/CERTFR-2026-AVI-0001/",
        ),
        IndexEntry(
            "CERTFR-2026-AVI-1257",
            "avis",
            "Un titre",
            None,
            None,
            date(2026, 9, 28),
            f"{BASE}/avis/CERTFR-2026-AVI-1257/",
        ),
    )


def test_addresses_come_from_the_reference_never_from_the_network() -> None:
    found = parse_json(index(entry(json_url="https://evil.example/")), "avis", "http://127.0.0.1:1/m").entries[0]
    assert found.url == "http://127.0.0.1:1/m/avis/CERTFR-2026-AVI-0001/"


@pytest.mark.parametrize(
    ("day", "read"),
    [
        ("2026-09-28", date(2026, 9, 28)),
        ("2026-09-28T23:59:59.999999", date(2026, 9, 28)),
        ("2026-02-30", None),
        ("28/09/2026", None),
        (None, None),
        (1795221000, None),
        ("2026-09-28" + "x" * 10_000, None),
        ("9" * 5000, None),
    ],
)
def test_c15_a_day_that_cannot_be_read_is_unknown(day: object, read: date | None) -> None:
    assert parse_json(index(entry(day=day)), "avis", BASE).entries[0].last_revision == read


def test_c15_a_day_that_cannot_be_is_unknown() -> None:
    assert plausible(date(2099, 1, 1), NOW) is None
    assert plausible(date(1970, 1, 1), NOW) is None
    assert plausible(date(2026, 11, 21), NOW) == date(2026, 11, 21), "a clock may be a little behind"
    assert plausible_seconds(date(2026, 1, 1), NOW) == seconds(date(2026, 1, 1)) == 1_767_225_600


def test_c14_a_reference_named_twice_counts_once_with_its_newest_day() -> None:
    twice = [entry(day="2026-09-28"), entry(day="2026-10-02"), entry(day="2026-01-01"), entry(day=None)]
    (found,) = parse_json(index(*twice), "avis", BASE).entries
    assert found.last_revision == date(2026, 10, 2)


def test_c14_100_000_entries_are_refused() -> None:
    many = index(*(entry(f"CERTFR-2026-AVI-{number:05d}") for number in range(100_000)))
    with pytest.raises(ListingError, match="100000 entries, more than 60000"):
        parse_json(many, "avis", BASE)


def test_the_whole_history_is_read_quickly() -> None:
    many = index(*(entry(f"CERTFR-{2010 + number % 17}-AVI-{number // 17:04d}") for number in range(17_500)))
    began = time.monotonic()
    assert len(parse_json(many, "avis", BASE).entries) == 17_500
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    "reference",
    ["CERTFR-2026-ALE-001", "CERTFR-2026-CTI-001", "../../etc/passwd", "CERTFR-2026-AVI-1/../x", "CERTFR-٢٠٢٦-AVI-0001", 5, None, {}, "x" * 10_000, "CERTFR-2026-AVI-0001\nX"],
)  # fmt: skip
def test_only_references_of_the_kind_are_taken(reference: object) -> None:
    listing = parse_json(index(entry(reference), entry(), entry("CERTFR-2026-AVI-0002")), "avis", BASE)  # type: ignore[arg-type]
    assert [found.reference for found in listing.entries] == ["CERTFR-2026-AVI-0001", "CERTFR-2026-AVI-0002"]


def test_c09_dates_in_a_new_form_are_a_doubt() -> None:
    listing = parse_json(index(*(entry(f"CERTFR-2026-AVI-000{i}", "le 3/4") for i in range(5))), "avis", BASE)
    assert len(listing.entries) == 5
    assert "5 have no day" in listing.doubt


def test_old_references() -> None:
    assert len(parse_json(index(entry("CERTA-2000-AVI-001")), "avis", BASE).entries) == 1
    assert year_of("CERTA-2000-AVI-001") == 2000
    assert year_of("nothing") == 0


# --- RSS ---------------------------------------------------------------------------------------------


def test_the_feed() -> None:
    listing = parse_rss(fixture("feed.xml"), "alerte", BASE)
    assert [(found.reference, found.title, found.published) for found in listing.entries] == [
        ("CERTFR-2023-ALE-910", "Ancienne alerte dans Exemple", date(2023, 10, 2)),
        ("CERTFR-2026-ALE-908", "[MàJ] Vulnérabilité (grave) dans Exemple & Fils", date(2026, 7, 22)),
    ]
    assert {found.last_revision for found in listing.entries} == {None}, "a feed does not tell the last revision"


@pytest.mark.parametrize(
    "bomb",
    [
        '<!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol2 "&lol;&lol;">]><rss><channel><item>&lol2;</item></channel></rss>',
        '<!DOCTYPE foo [<!ENTITY xxe SYSTEM "file:///etc/passwd">]><rss><channel>&xxe;</channel></rss>',
        '<!doctype rss SYSTEM "http://127.0.0.1:1/x.dtd"><rss/>',
        "<rss><!ENTITY a 'b'></rss>",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
def test_c12_a_dtd_or_entity_is_refused_before_it_is_parsed(bomb: str, encoding: str) -> None:
    with pytest.raises(ListingError, match=r"DTD|expected a feed"):
        parse_rss(bomb.encode(encoding), "alerte", BASE)


def test_c12_utf_7_and_other_disguises_are_text() -> None:
    with pytest.raises(ListingError):
        parse_rss(b"<?xml version='1.0' encoding='utf-7'?>+ADw-!DOCTYPE x+AD4-<rss/>", "alerte", BASE)


def test_c13_nested_xml() -> None:
    with pytest.raises(ListingError):
        parse_rss(b"<rss>" + b"<a>" * 200_000 + b"</a>" * 200_000 + b"</rss>", "alerte", BASE)
    with pytest.raises(ListingError):
        parse_rss(b"<rss>" + b"<a>" * 200_000, "alerte", BASE)


def test_c14_a_feed_of_100_000_items_is_refused() -> None:
    with pytest.raises(ListingError, match="more than 1000"):
        parse_rss(b"<rss><channel>" + b"<item/>" * 100_000 + b"</channel></rss>", "alerte", BASE)


def test_c15_an_item_without_a_date_takes_that_of_its_title_or_none() -> None:
    link = "<link>https://x/avis/CERTFR-2026-AVI-0001/</link>"
    text = "<rss><channel><item><title>T (1er août 2026)</title>{}<pubDate>soon</pubDate></item></channel></rss>"
    assert parse_rss(text.format(link).encode(), "avis", BASE).entries[0].published == date(2026, 8, 1)
    bare = f"<rss><channel><item><title>T</title>{link}</item></channel></rss>"
    listing = parse_rss(bare.encode(), "avis", BASE)
    assert listing.entries[0].published is None
    assert "1 have no day" in listing.doubt


# --- HTML --------------------------------------------------------------------------------------------


def test_the_list_of_today() -> None:
    listing = parse_html(fixture("list-2026.html"), "alerte", BASE)
    assert listing.doubt == ""
    assert [found[:5] + found[7:] for found in listing.entries] == [
        (
            "CERTFR-2026-ALE-911",
            "alerte",
            "Première vulnérabilité & sa suite",
            "open",
            None,
            date(2026, 9, 28),
        ),
        (
            "CERTFR-2026-ALE-904",
            "alerte",
            "[MàJ] Deuxième vulnérabilité",
            "closed",
            date(2026, 8, 24),
            date(2026, 7, 28),
        ),
        ("CERTFR-2026-ALE-903", "alerte", "Troisième", None, None, date(2026, 2, 1)),
    ]


def test_the_page_of_2022() -> None:
    (alert,) = parse_html(fixture("home-2022.html"), "alerte", BASE).entries
    assert alert == IndexEntry(
        "CERTFR-2022-ALE-909",
        "alerte",
        "[MaJ] Vulnérabilité dans Exemple",
        "open",
        None,
        None,
        f"{BASE}/alerte/CERTFR-2022-ALE-909/",
        date(2022, 10, 7),
    )
    (advisory,) = parse_html(fixture("home-2022.html"), "avis", BASE).entries
    assert (advisory.reference, advisory.status, advisory.published) == (
        "CERTFR-2022-AVI-949",
        None,
        date(2022, 8, 1),
    )


@pytest.mark.parametrize(
    ("before", "after", "status"),
    [
        ("Alerte en cours", "ALERTE EN COURS depuis hier", "open"),
        ("Alerte en cours", "Clôturée le 1er mars 2026", None),  # against the class
        ("Alerte en cours", "En pause", None),
        ("Alerte en cours", "", "open"),
        ("cert-alert open", "cert-alert", "open"),
        ("cert-alert open", "cert-alert open closed", None),
        ("cert-alert open", "cert-alert closed", None),
    ],
)
def test_a_state_that_is_not_known_is_never_taken_for_open(before: str, after: str, status: str | None) -> None:
    page = fixture("list-2026.html").decode().replace(before, after, 1)
    assert parse_html(page.encode(), "alerte", BASE).entries[0].status == status


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ('class="item cert-alert', 'class="card cert-alert', "0 items, 0 of class cert-alert, 3 references"),
        ("cert-alert", "alert", "3 items, 0 of class cert-alert, 3 references"),
        ("CERTFR-2026-ALE", "ALERTE-2026", "3 items, 3 of class cert-alert, 0 references"),
    ],
)
def test_c09_changed_markup_is_an_error_that_says_what_was_found(before: str, after: str, says: str) -> None:
    page = fixture("list-2026.html").decode().replace(before, after)
    with pytest.raises(ListingError, match=says) as caught:
        parse_html(page.encode(), "alerte", BASE)
    assert "markup has changed" in str(caught.value)


def test_c09_an_empty_list_is_an_error() -> None:
    page = fixture("list-2026.html").decode()
    start, end = page.index("<article"), page.rindex("</article>")
    with pytest.raises(ListingError, match="0 items"):
        parse_html((page[:start] + page[end:]).encode(), "alerte", BASE)


def test_c09_a_new_way_to_write_dates_is_a_doubt() -> None:
    page = fixture("list-2026.html").decode().replace("Publié le", "").replace("2026</span>", "26</span>")
    listing = parse_html(page.encode(), "alerte", BASE)
    assert len(listing.entries) == 3
    assert "3 have no day" in listing.doubt


# --- all of them -------------------------------------------------------------------------------------


@pytest.mark.parametrize("parse", ALL)
@pytest.mark.parametrize(
    ("body", "says"),
    [
        (fixture("maintenance.html"), "an HTML page titled 'Site en maintenance'"),
        (b"", "an empty answer"),
        (b"   \n", "an empty answer"),
        (b"\x00\x01\x02", "a text that begins"),
        (b"Service temporairement indisponible", "a text that begins 'Service temporairement"),
        (b'{"error": "down"}', "a JSON object of 1 entries"),
        (b'[{"reference": "CERTFR-2026', "a JSON array cut or damaged"),
        (b"[" * 500_000, "a JSON array cut or damaged"),
    ],
)
def test_c08_another_text_is_an_error_never_an_empty_list(parse: Parse, body: bytes, says: str) -> None:
    with pytest.raises(ListingError, match=says):
        parse(body, "alerte", BASE)


@pytest.mark.parametrize("body", [b"[]", b"[1, null, []]", b"<rss><channel></channel></rss>", b"<feed/>"])
def test_c08_an_empty_list_is_an_error(body: bytes) -> None:
    for parse in ALL:
        with pytest.raises(ListingError):
            parse(body, "avis", BASE)


@pytest.mark.parametrize("parse", ALL)
@given(body=st.binary(max_size=300))
@settings(max_examples=60, deadline=None)
def test_any_bytes_are_a_list_or_an_error(parse: Parse, body: bytes) -> None:
    with pytest.raises(ListingError):
        parse(body, "alerte", BASE)


@pytest.mark.parametrize(
    "raw",
    [
        "Vulnérabilité".encode(),
        b"\xef\xbb\xbf" + "Vulnérabilité".encode(),
        "Vulnérabilité".encode("latin-1"),
        "Vulnérabilité".encode("utf-16"),
        "Vuln\x00érabilité".encode(),
        b"Vuln\xed\xa0\x80\xc3\xa9rabilit\xc3\xa9",
        b"Vuln\xc3\xa9rabilit\xc3",
    ],
    ids=["utf-8", "bom", "latin-1", "utf-16", "nul", "surrogate", "cut"],
)
def test_c10_any_encoding_is_readable_or_replaced(raw: bytes) -> None:
    text = decode(raw, "text/html; charset=iso-8859-1")
    assert "Vuln" in text
    assert "rabilit" in text
    text.encode("utf-8")
    assert "\x00" not in text


def test_c10_utf_8_declared_latin_1_is_utf_8() -> None:
    page = fixture("list-2026.html").decode().replace('charset="utf-8"', 'charset="iso-8859-1"').encode()
    assert (
        parse_html(page, "alerte", BASE, "text/html; charset=iso-8859-1").entries[0].title
        == "Première vulnérabilité & sa suite"
    )


def test_c10_a_list_in_latin_1_and_one_with_nul_and_surrogates() -> None:
    page = fixture("list-2026.html").decode().replace('charset="utf-8"', "").encode("latin-1")
    assert parse_html(page, "alerte", BASE).entries[1].closed_at == date(2026, 8, 24)
    feed = fixture("feed.xml").replace(b"grave", b"gr\x00\xed\xa0\x80ave")
    assert parse_rss(feed, "alerte", BASE).entries[1].title is not None
    surrogate = b'[{"reference": "CERTFR-2026-ALE-001", "title": "a\\ud800b\\u0000c"}]'
    assert parse_json(surrogate, "alerte", BASE).entries[0].title == "a b c"
    assert parse_json(b"\xef\xbb\xbf" + surrogate, "alerte", BASE).entries


@pytest.mark.parametrize(
    "part",
    [
        "<div>",
        "<!--",
        "<a ",
        "<![",
        "<?",
        "</",
        "<script></",
        '<a href="',
        "<b x='\"'>",
        "<svg>",
        "<p></p>",
        "<",
        "&",
        "<!>",
    ],
)
def test_c13_two_megabytes_made_to_be_slow(part: str) -> None:
    text = part * ((2 << 20) // len(part))
    began = time.monotonic()
    with suppress(MarkupError):
        soup(text)
    assert time.monotonic() - began < 20


def test_c13_200_000_nested_tags_are_refused() -> None:
    with pytest.raises(ListingError, match="tags"):
        parse_html(b"<div>" * 200_000, "alerte", BASE)


def test_taming_keeps_a_real_page_as_it_is() -> None:
    text = "<p class='a'>x &lt; y <PID> <b>é</b><br/><img src=x></p>"
    assert tame(text) == text.replace("<PID>", "&lt;PID>")
    assert tame("a<!-- <p> -->b<script>if (a<b) '<p>'</SCRIPT >c<style>x</style>") == "abc"
    assert tame("a <!-- no end <b>c</b>") == "a &lt;!-- no end <b>c</b>"


@given(st.text(alphabet="<>/!-abp \"'=&#;", max_size=80))
@settings(max_examples=300, deadline=None)
def test_taming_never_raises_and_leaves_only_plain_tags(text: str) -> None:
    for part in tame(text).split("<")[1:]:
        assert part.lstrip("/")[:1] in "abp"


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("Publié le 02 septembre 2026", date(2026, 9, 2)),
        ("Paris, le 7 octobre 2022", date(2022, 10, 7)),
        ("le 1er août 2026", date(2026, 8, 1)),
        ("Clôturée le 28 FÉVRIER 2026", date(2026, 2, 28)),
        ("1 decembre 2025", date(2025, 12, 1)),
        ("3\xa0aou\u0302t\n2026", date(2026, 8, 3)),
        ("31 février 2026", None),
        ("32 mars 2026", None),
        ("mars 2026", None),
        ("2026-09-01", None),
        ("", None),
    ],
)
def test_french_days(text: str, day: date | None) -> None:
    assert french_day(text) == day


@given(st.text(max_size=50))
def test_days_of_any_text(text: str) -> None:
    french_day(text)
    iso_day(text)


def test_what_the_local_site_serves_is_read_back() -> None:
    site = Site(
        publication("CERTFR-2026-ALE-001", "2026-01-02", title="A & <b>"),
        publication("CERTFR-2026-AVI-0001", "2026-01-02"),
    )
    for parse, text in (
        (parse_json, site.index("alerte")),
        (parse_rss, site.feed("alerte")),
        (parse_html, site.list_page("alerte", 1)),
    ):
        (found,) = parse(text.encode(), "alerte", BASE).entries
        assert found.reference == "CERTFR-2026-ALE-001"
        assert found.title in (None, "A & <b>")


# --- real ones ---------------------------------------------------------------------------------------


@pytest.mark.needs_shared
def test_the_real_list_of_alerts(samples: Path) -> None:
    listing = parse_html((samples / "html/alerte-liste-2026-10-04.html").read_bytes(), "alerte", BASE)
    assert [found.status for found in listing.entries] == ["open"] * 3 + ["closed"] * 7
    assert all(found.title and found.published for found in listing.entries)
    assert all(found.closed_at for found in listing.entries[3:])
    assert listing.doubt == ""


@pytest.mark.needs_shared
def test_the_real_home_page_of_2022(samples: Path) -> None:
    page = (samples / "html/accueil-homepage-2022-10-25.html").read_bytes()
    alerts, advisories = parse_html(page, "alerte", BASE), parse_html(page, "avis", BASE)
    assert len(alerts.entries) == 5
    assert {found.status for found in alerts.entries} == {"open"}
    assert len(advisories.entries) == 8
    assert all(found.title and found.published for found in (*alerts.entries, *advisories.entries))


@pytest.mark.needs_shared
def test_the_real_feed(samples: Path) -> None:
    listing = parse_rss((samples / "rss/alerte-feed-2026-08-20.xml").read_bytes(), "alerte", BASE)
    assert len(listing.entries) == 40
    assert all(found.title and found.published and not re.search(r"\(\d", found.title) for found in listing.entries)
    assert listing.doubt == ""
