"""Figures, incidents and publications as files: every row, read back, and no cell that a spreadsheet would run."""

import csv
import io
import json
import re
from collections.abc import Iterator
from datetime import datetime
from xml.etree import ElementTree as ET

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from archive import chronicle, database, incidents, pack, read
from archive.certfr import document
from archive.certfr import store as publications
from tests import cycles
from tests.web import site
from tests.web.hostile import PAYLOADS, hostile
from tests.web.site import NOW, Clock
from web import exports

SPACE = "{http://www.w3.org/2005/Atom}"
DISK = "disk_used_ratio"
FORMULA = ("=", "+", "-", "@", "\t", "\r")
DAY = 86_400


def publication(number: int, kind: str, title: str) -> bytes:
    mark = "ALE" if kind == "alerte" else "AVI"
    revision = {"revision_date": "2026-11-20T00:00:00.000000", "description": "Version initiale"}
    found = {
        "reference": f"CERTFR-2026-{mark}-{number:04}",
        "title": title,
        "summary": "x",
        "content": "y",
        "revisions": [revision],
        "risks": [],
        "affected_systems": [],
        "cves": [],
        "links": [],
        "closed_at": None,
        "vendor_advisories": [],
    }
    return json.dumps(found).encode()


@pytest.fixture(scope="module")
def evil(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Hostile users, mounts and titles; a dozen incidents and 520 publications, more than one page of each."""
    path = hostile(str(tmp_path_factory.mktemp("evil") / "data"))
    with database.writer(path) as db, database.transaction(db):
        for number in range(520):
            kind = "alerte" if number < 20 else "avis"
            title = PAYLOADS[number % len(PAYLOADS)] if number < 200 else f"Titre {number}"
            publications.put(db, document.from_json(publication(number + 1, kind, title)), NOW)
    return path


@pytest.fixture(scope="module")
def client(evil: str) -> FlaskClient:
    return site.site(evil).test_client()


def table(answer: object) -> list[dict[str, str]]:
    """The rows of a CSV, read strictly; every line ends with CR LF, and every row has as many cells as the head."""
    text = answer.data.decode()  # type: ignore[attr-defined]
    assert text.endswith("\r\n")
    rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    assert {len(row) for row in rows} == {len(rows[0])}
    return [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]


def number(text: str) -> bool:
    return bool(re.fullmatch(r"-?\d+(\.\d+)?(e[+-]?\d+)?", text))


# --- incidents -------------------------------------------------------------------------------------------------------


def rows_of(path: str) -> list[incidents.Incident]:
    with database.reader(path) as db:
        return list(chronicle.opened_between(db, 1, 0, 2**60))


def test_w19_every_incident_is_in_the_csv_and_no_text_is_a_formula(client: FlaskClient, evil: str) -> None:
    answer = client.get("/incidents.csv")
    assert answer.mimetype == "text/csv"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="incidents.csv"'
    found, wanted = table(answer), rows_of(evil)
    assert len(wanted) >= 12
    assert [int(row["id"]) for row in found] == [one.id for one in wanted]
    for row, one in zip(found, wanted, strict=True):
        assert json.loads(row["labels"]) == json.loads(one.labels)
        assert float(row["peak"]) == one.peak
        assert int(row["since_at"]) == one.since_at
        assert datetime.fromisoformat(row["since_time"]).timestamp() == one.since_at
        assert row["ended_at"] == ("" if one.ended_at is None else str(one.ended_at))
        for name, cell in row.items():
            assert not cell.startswith(FORMULA) or number(cell), (name, cell)


def test_the_json_says_what_the_csv_says(client: FlaskClient) -> None:
    listed = client.get("/incidents.json").get_json()["incidents"]
    for row, one in zip(table(client.get("/incidents.csv")), listed, strict=True):
        assert list(row) == list(one)
        for name, value in one.items():
            expected = exports._flat(value)
            told = "" if expected is None else expected if isinstance(expected, str) else exports.number(expected)
            assert row[name].removeprefix("'") == told.removeprefix("'"), name


def test_incidents_are_chosen_by_time_and_by_state(tmp_path: object) -> None:
    path = site.filled(f"{tmp_path}/data", 30, NOW - 3600, disk=0.95)
    site.judged(path, 40, NOW, disk=0.40, cpu=0.97)
    client = site.site(path).test_client()
    every = rows_of(path)
    assert {one.state == "resolved" for one in every} == {True, False}
    for query, wanted in (
        ("", every),
        ("state=open", [one for one in every if one.state != "resolved"]),
        ("state=closed", [one for one in every if one.state == "resolved"]),
        (f"from={every[0].opened_at}", every[:1]),
        (f"to={every[0].opened_at}", every[1:]),
    ):
        found = client.get(f"/incidents.json?{query}").get_json()["incidents"]
        assert [one["id"] for one in found] == [one.id for one in wanted], query


@pytest.mark.parametrize("query", ["from=yesterday", "from=1&from=2", "state=gone", "state=open&state=open",
                                   "from=2026-11-02&to=2026-11-01", "to=x"])  # fmt: skip
@pytest.mark.parametrize("kind", ["csv", "json"])
def test_a_bad_filter_is_a_400_before_anything_is_sent(client: FlaskClient, query: str, kind: str) -> None:
    answer = client.get(f"/incidents.{kind}?{query}")
    assert answer.status_code == 400
    assert answer.content_type == "application/problem+json"
    assert answer.get_json()["detail"]
    assert client.get(f"/incidents.{kind}?{query}", headers={"Accept": "text/html"}).mimetype == "text/html"


# --- publications ----------------------------------------------------------------------------------------------------


def test_w19_every_publication_is_in_the_csv_over_its_pages(client: FlaskClient, evil: str) -> None:
    found = table(client.get("/security.csv"))
    with database.reader(evil) as db:
        wanted = {row[0]: row[1] for row in db.execute("SELECT reference, title FROM advisory")}
    assert len(found) == len(wanted) == 520
    assert {row["reference"] for row in found} == set(wanted)
    for row in found:
        assert row["title"].removeprefix("'") == wanted[row["reference"]].removeprefix("'")
        assert row["url"].startswith("https://www.cert.ssi.gouv.fr/")
        for name, cell in row.items():
            assert not cell.startswith(FORMULA) or number(cell), (name, cell)


@pytest.mark.parametrize(("query", "count"), [("kind=alerte", 20), ("kind=avis", 500), ("q=Titre 51", 10),
                                              ("verdict=affected", 0), ("q=AVI-0100&kind=avis", 1)])  # fmt: skip
def test_publications_are_chosen_as_on_the_page(client: FlaskClient, query: str, count: int) -> None:
    assert len(client.get(f"/security.json?{query}").get_json()["publications"]) == count
    assert len(table(client.get(f"/security.csv?{query}"))) == count


def test_an_unknown_filter_is_a_400(client: FlaskClient) -> None:
    assert client.get("/security.csv?kind=x").status_code == 400
    assert client.get("/security.json?verdict=x").status_code == 400


def test_the_pages_link_their_files_with_the_filters(client: FlaskClient) -> None:
    links = [link["href"] for link in site.Page(client.get("/security?kind=alerte&q=a%26b").text).all("a")]
    assert not any("/security.csv" in link for link in links), "nothing matches: there is nothing to take away"
    links = [link["href"] for link in site.Page(client.get("/security?kind=alerte").text).all("a")]
    assert "/security.csv?kind=alerte" in links
    assert "/security.json?kind=alerte" in links
    page = site.Page(client.get("/incidents").text)
    assert {"/incidents.csv", "/incidents.json", "/incidents.atom"} <= {link["href"] for link in page.all("a")}
    (feed,) = [link for link in page.all("link") if link["rel"] == "alternate"]
    assert (feed["type"], feed["href"]) == ("application/atom+xml", "/incidents.atom")


# --- figures ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two and a half days, five minutes apart; the first two days are packed."""
    path = site.folder(str(tmp_path_factory.mktemp("long") / "data"))
    start = NOW // DAY * DAY - 2 * DAY
    for step in range((NOW - start) // 300 + 1):
        at = start + step * 300
        cycles.write(path, at, {"disk": f'disk_used_ratio{{mount="/"}} {0.5 + step % 100 / 1000:.4f}\n'})
    cycles.load_all(path, NOW)
    with database.writer(path) as db:
        for day in (start, start + DAY):
            with database.transaction(db):
                assert pack.pack_day(db, 1, day) > 0
    return path


def samples(path: str, start: int, end: int) -> list[tuple[int, float]]:
    with database.reader(path) as db:
        (line,) = read.series(db, 1, DISK)
        return [(one.at, one.value) for one in read.samples(db, 1, line, start, end)]


def test_every_sample_comes_out_once_packed_days_too(long: str) -> None:
    found = table(site.site(long).test_client().get(f"/graphs/{DISK}.csv?period=7d&step=raw"))
    wanted = samples(long, 0, NOW)
    assert len(wanted) > 576
    assert [(int(row["at"]), float(row["mean"])) for row in found] == wanted
    assert {row["unit"] for row in found} == {"ratio"}
    assert all(datetime.fromisoformat(row["time"]).timestamp() == int(row["at"]) for row in found)


@pytest.mark.parametrize("step", [60, 300, 900, 3600, 86400])
def test_a_step_joins_exactly_the_samples_of_its_span(long: str, step: int) -> None:
    answer = site.site(long).test_client().get(f"/graphs/{DISK}.json?period=7d&step={step}")
    spans: dict[int, list[float]] = {}
    for at, value in samples(long, 0, NOW):
        spans.setdefault(at - at % step, []).append(value)
    found = answer.get_json()
    assert found["period"]["step"] == step
    points = found["lines"][0]["points"]
    assert [point["at"] for point in points] == sorted(spans)
    for point in points:
        values = spans[point["at"]]
        assert (point["least"], point["greatest"], point["samples"]) == (min(values), max(values), len(values))
        assert point["mean"] == pytest.approx(sum(values) / len(values))


def test_the_file_s_name_says_metric_period_and_step(long: str) -> None:
    client = site.site(long).test_client()
    for query, name in (("", "24h"), ("?period=7d&step=raw", "7d-raw"), ("?period=1h&step=60", "1h-60")):
        answer = client.get(f"/graphs/{DISK}.csv{query}", buffered=True)
        assert answer.headers["Content-Disposition"] == f'attachment; filename="{DISK}-{name}.csv"'
    answer = client.get(f"/graphs/{DISK}.json", buffered=True)
    assert answer.headers["Content-Disposition"] == f'inline; filename="{DISK}-24h.json"'


@pytest.mark.parametrize("step", ["1", "raw2", "-60", "60&step=300", "0"])
def test_a_step_that_is_none_is_a_400(long: str, step: str) -> None:
    answer = site.site(long).test_client().get(f"/graphs/{DISK}.csv?step={step}")
    assert answer.status_code == 400


def test_a_long_export_is_sent_in_pieces(long: str) -> None:
    answer = site.site(long).test_client().get(f"/graphs/{DISK}.csv?period=7d&step=raw")
    assert answer.is_streamed
    assert "Content-Length" not in answer.headers


def test_every_metric_is_listed_and_has_its_files(client: FlaskClient, evil: str) -> None:
    listed = client.get("/metrics.json").get_json()["metrics"]
    with database.reader(evil) as db:
        assert {one["name"] for one in listed} == {line.metric.name for line in read.series(db, 1)}
    for one in listed:
        assert client.get(f"/graphs/{one['name']}.csv?period=1h", buffered=True).status_code == 200
        found = client.get(f"/graphs/{one['name']}.json?period=1h").get_json()
        assert {line["id"] for line in found["lines"]} == {line["id"] for line in one["lines"]}


def test_w19_no_text_of_a_metric_s_csv_is_a_formula(client: FlaskClient) -> None:
    found = table(client.get("/graphs/user_memory_bytes.csv?period=1h&step=raw"))
    assert found
    for row in found:
        for name, cell in row.items():
            assert not cell.startswith(FORMULA) or number(cell), (name, cell)


@given(st.lists(st.text() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.none(), min_size=2))
def test_any_row_reads_back(cells: list[str | float | None]) -> None:
    _head, text = exports.csv((), [cells])
    (back,) = csv.reader(io.StringIO(text, newline=""), strict=True)
    assert len(back) == len(cells)
    for cell, value in zip(back, cells, strict=True):
        if isinstance(value, str):
            assert cell == (f"'{value}" if value.startswith(FORMULA) else value)
        else:
            assert cell == "" if value is None else float(cell) == float(value)


# --- the feed --------------------------------------------------------------------------------------------------------


def feed(client: FlaskClient, **headers: str) -> ET.Element:
    answer = client.get("/incidents.atom", headers=headers)
    assert answer.status_code == 200
    assert answer.content_type == "application/atom+xml; charset=utf-8"
    return ET.fromstring(answer.data)


def only(parent: ET.Element, name: str) -> str:
    (found,) = parent.findall(f"{SPACE}{name}")
    assert found.text
    return found.text


def strictly(root: ET.Element) -> Iterator[ET.Element]:
    """RFC 4287: what must be there, once; dates; addresses. Yields the entries."""
    assert root.tag == f"{SPACE}feed"
    names = {child.tag.removeprefix(SPACE) for child in root}
    assert names <= {"id", "title", "updated", "link", "author", "generator", "entry"}
    seen = set()
    for element in (root, *root.findall(f"{SPACE}entry")):
        ident = only(element, "id")
        assert re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", ident)
        assert ident not in seen
        seen.add(ident)
        assert only(element, "title").strip()
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", only(element, "updated"))
        links = {link.get("rel"): link.get("href", "") for link in element.findall(f"{SPACE}link")}
        assert links["alternate"].startswith("http://localhost/incidents")
    (author,) = root.findall(f"{SPACE}author")
    assert only(author, "name")
    for entry in root.findall(f"{SPACE}entry"):
        assert {c.tag.removeprefix(SPACE) for c in entry} == {
            "id", "title", "published", "updated", "link", "category", "summary"}  # fmt: skip
        assert only(entry, "published") <= only(entry, "updated")
        yield entry


@pytest.mark.parametrize("language", ["fr", "en"])
def test_w15_the_feed_is_whole_with_hostile_names(client: FlaskClient, evil: str, language: str) -> None:
    entries = list(strictly(feed(client, **{"Accept-Language": language})))
    assert len(entries) == len(rows_of(evil))
    assert any("<script>alert(1)</script>" in only(entry, "title") for entry in entries), "as text, whole"


def test_an_entry_keeps_its_id_and_is_updated_at_each_transition(tmp_path: object) -> None:
    clock = Clock(NOW)
    path = site.filled(f"{tmp_path}/data", 5, disk=0.95)
    client = site.site(path, clock).test_client()
    (before,) = strictly(feed(client))
    (one,) = rows_of(path)
    assert only(before, "updated") == exports.utc(one.opened_at or 0)
    # A minute in which nothing changes state gives the same bytes; so a reader asks by ETag and gets a 304.
    first = client.get("/incidents.atom")
    clock.at = NOW + 60
    site.judged(path, 1, clock.at, disk=0.95)
    same = client.get("/incidents.atom", headers={"If-None-Match": first.headers["ETag"]})
    assert (same.status_code, same.data) == (304, b"")
    clock.at = NOW + 41 * 60
    site.judged(path, 40, clock.at, disk=0.30)
    (after,) = strictly(feed(client))
    (one,) = rows_of(path)
    assert one.state == "resolved"
    assert only(after, "id") == only(before, "id")
    assert only(after, "updated") == exports.utc(one.ended_at or 0) > only(before, "updated")
    assert client.get("/incidents.atom", headers={"If-None-Match": first.headers["ETag"]}).status_code == 200


def test_an_id_depends_on_the_machine_not_on_its_name_or_address(tmp_path: object) -> None:
    path = site.filled(f"{tmp_path}/data", 5, disk=0.95)
    client = site.site(path, VIGIE_TRUSTED_HOSTS="other.example").test_client()
    here = feed(client)
    with database.writer(path) as db, database.transaction(db):
        db.execute("UPDATE host SET name='another'")
    there = ET.fromstring(client.get("/incidents.atom", headers={"Host": "other.example"}).data)
    assert [e.text for e in here.iter(f"{SPACE}id")] == [e.text for e in there.iter(f"{SPACE}id")]


def test_an_empty_feed_is_a_feed(tmp_path: object) -> None:
    assert list(strictly(feed(site.site(site.folder(f"{tmp_path}/data")).test_client()))) == []
