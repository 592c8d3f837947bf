"""The first page: its state, its figures, what it says when there is nothing, and how it is refreshed."""

import re

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from alerts.words import Words
from archive import database, read
from archive.certfr import document, schedule
from archive.certfr import store as publications
from archive.incidents import Incident
from tests import cycles
from tests.web import site
from tests.web.site import NOW, Clock, Page, plain
from web import state

FR = Words("fr", "Europe/Paris")
ALERT = b"""{"reference": "CERTFR-2026-ALE-014", "title": "Vuln\\u00e9rabilit\\u00e9 dans <b>OpenSSH</b>", "closed_at": null,
 "revisions": [{"revision_date": "2026-11-20T00:00:00.000000", "description": "Version initiale"}], "risks": [],
 "affected_systems": [], "affected_systems_content": "", "cves": [], "links": [], "vendor_advisories": [],
 "summary": "Texte", "content": "Suite"}"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    return site.filled(str(tmp_path_factory.mktemp("overview") / "data"), 30, cpu=0.2)


@pytest.fixture(scope="module")
def troubled(tmp_path_factory: pytest.TempPathFactory) -> str:
    return site.filled(str(tmp_path_factory.mktemp("troubled") / "data"), 40, cpu=0.97, disk=0.93)


@pytest.fixture
def client(data: str) -> FlaskClient:
    return site.site(data).test_client()


def banner(html: str) -> str:
    return Page(html[html.index('id="part-banner"') - 9 : html.index("</section>")]).text


def latest(data: str, metric: str, **labels: str) -> float:
    """The newest value, asked of the rows and not of the page."""
    with database.reader(data) as db:
        for line in read.series(db, 1, metric):
            if all(line.label(name) == value for name, value in labels.items()):
                return read.latest(db, 1)[line.id].value
    raise AssertionError(metric)


# --- the state --------------------------------------------------------------------------------------------------------


def an_incident(level: str = "warning", **fields: object) -> Incident:
    known: dict[str, object] = {
        "id": 1, "host": 1, "kind": "threshold", "metric": "m", "labels": "{}", "series": 1, "state": "open", "level": level,
        "since_at": NOW - 600, "critical_since_at": None, "opened_at": NOW - 300, "eased_at": None, "ended_at": None,
        "end_reason": "", "last_at": NOW, "last_value": 1.0, "peak": 1.0, "peak_at": NOW, "flaps": 0, "cause": None,
        "threshold": "", "reminded_at": None, "acknowledged_at": None, "acknowledged_by": "", "acknowledged_reason": "",
    }  # fmt: skip
    return Incident(**{**known, **fields})  # type: ignore[arg-type]


@given(
    ages=st.integers(0, 10**6),
    rhythm=st.integers(60, 900),
    levels=st.lists(st.sampled_from(["warning", "critical"]), max_size=4),
)
def test_old_figures_are_never_green_and_fresh_trouble_is_never_hidden(
    ages: int, rhythm: int, levels: list[str]
) -> None:
    live = [an_incident(level, id=number) for number, level in enumerate(levels)]
    found = state.judge(NOW - ages, rhythm, live, None, 0, NOW)
    if ages > 3 * rhythm:
        assert found.word == "unknown"
        assert not found.fresh
    else:
        assert found.word == ("critical" if "critical" in levels else "warning" if levels else "ok")
    assert len(found.open) == len(levels)


def test_what_has_not_opened_yet_is_no_trouble() -> None:
    found = state.judge(NOW, 60, [an_incident(opened_at=None, state="pending")], None, 0, NOW)
    assert found.word == "ok"


def test_the_worst_comes_first() -> None:
    live = [
        an_incident(id=1, kind="silent", metric="smart"),
        an_incident(id=2),
        an_incident("critical", id=3, acknowledged_at=NOW),
        an_incident("critical", id=4),
        an_incident(id=5, since_at=NOW - 9000),
    ]
    assert [one.id for one in state.judge(NOW, 60, live, None, 0, NOW).open] == [4, 3, 5, 2, 1]


# --- the page ---------------------------------------------------------------------------------------------------------


def test_all_well_says_so_and_since_when(client: FlaskClient) -> None:
    html = client.get("/").text
    assert "Tout va bien sur machine" in banner(html)
    assert "badge-warning" not in html
    assert "badge-critical" not in html
    assert re.search(r"<title>Tout va bien sur machine · machine</title>", html)
    assert "favicon-ok.svg" in html


def test_figures_equal_the_rows(client: FlaskClient, data: str) -> None:
    text = Page(client.get("/").text).text
    assert plain(f"Processeur OK {FR.percent(latest(data, 'cpu_busy_seconds_total'))}") in text
    assert plain(f"Mémoire OK {FR.percent(latest(data, 'memory_used_ratio'))} de {FR.size(8e9)}") in text
    assert plain(f"Disque /srv OK {FR.percent(latest(data, 'disk_used_ratio', mount='/srv'))}") in text
    assert plain(FR.size(latest(data, "user_memory_bytes", user="user7"))) in text


def test_the_table_of_users_has_the_originals_columns(client: FlaskClient) -> None:
    html = client.get("/").text
    heads = re.findall(r'<th scope="col"[^>]*>([^<]+)</th>', html)
    assert heads == ["Utilisateur", "Connecté depuis", "CPU\u202f%", "RAM", "Processus", "Disque", "Tendance"]
    # the original's fifth column, its date, is the same for all: it stands once, under the page
    assert "Mesures prises" in html
    # no home was measured here: said, never 0
    assert "non mesuré" in html


def test_an_open_incident_is_the_sentence_with_its_cause_its_duration_and_one_action(troubled: str) -> None:
    html = site.site(troubled).test_client().get("/").text
    said = banner(html)
    assert "2 incidents en cours sur machine" in said
    assert "Disque / à 93 %" in said
    assert "depuis" in said
    assert "Voir quoi faire" in said
    assert re.search(r'<a class="button" href="/incidents/\d+">', html)
    assert "favicon-warning.svg" in html
    assert 'class="count"' in html


def test_stale_figures_make_every_badge_unknown(troubled: str) -> None:
    client = site.site(troubled, lambda: NOW + 700).test_client()
    html = client.get("/").text
    assert "État inconnu" in banner(html)
    assert "11 min" in banner(html)
    badges = set(re.findall(r'class="badge badge-(\w+)"', html))
    assert badges <= {"unknown", "closed"}
    assert "favicon-unknown.svg" in html
    assert "./run_all.sh" in html
    answer = client.get("/healthz")
    assert answer.status_code == 503
    assert answer.json == {"status": "stale", "age_seconds": 700}


def test_stale_follows_the_rhythm_that_was_measured(tmp_path: object) -> None:
    path = site.folder(f"{tmp_path}/data")
    for number in range(8):
        cycles.write(path, NOW - (7 - number) * 900, cycles.machine(NOW - (7 - number) * 900))
    cycles.load_all(path, NOW)
    assert site.site(path, lambda: NOW + 2600).test_client().get("/healthz").status_code == 200
    assert site.site(path, lambda: NOW + 2800).test_client().get("/healthz").status_code == 503


def test_before_the_first_figures_the_page_says_what_to_do(tmp_path: object) -> None:
    client = site.site(site.folder(f"{tmp_path}/data")).test_client()
    html = client.get("/").text
    assert "En attente des premières mesures" in banner(html)
    assert "./run_all.sh" in html
    assert "nan" not in html.lower().replace("financ", "")
    for address in ("/users", "/incidents", "/security", "/thresholds", "/about", "/graphs/"):
        assert client.get(address).status_code == 200, address


def test_live_figures_are_shares_with_words(client: FlaskClient) -> None:
    told = client.get("/live.json").json
    assert told is not None
    names = [row["name"] for row in told["rows"]]
    assert names[:2] == ["cpu", "memory"]
    assert "load" in names
    assert all(0 <= row["share"] <= 1 for row in told["rows"])


def test_the_disk_s_date_is_told_when_there_is_one(tmp_path: object) -> None:
    path = site.folder(f"{tmp_path}/data")
    for number in range(200):
        at = NOW - (199 - number) * 120
        cycles.write(path, at, cycles.machine(at, disk=0.60 + number * 0.0002))
    cycles.load_all(path, NOW)
    text = Page(site.site(path).test_client().get("/").text).text
    assert re.search(r"Plein le \d+ \w+ 2026 à ce rythme|Plein vers .* à ce rythme", text)


# --- CERT-FR ----------------------------------------------------------------------------------------------------------


def test_cert_fr_says_never_read_and_then_its_age_with_links(tmp_path: object) -> None:
    path = site.filled(f"{tmp_path}/data", 3)
    client = site.site(path).test_client()
    assert "jamais lu" in client.get("/").text
    with database.writer(path) as db, database.transaction(db):
        schedule.claim(db, NOW - 3700)
        publications.put(db, document.from_json(ALERT), NOW - 3600)
        schedule.finish(db, NOW - 3700, NOW - 3600, error="", failed=False, wait=None)
    html = client.get("/").text
    assert "lu" in html
    assert "il y a 1\u202fh" in html
    assert "CERTFR-2026-ALE-014" in html
    assert "En cours" in html
    assert "Vulnérabilité dans &lt;b&gt;OpenSSH&lt;/b&gt;" in html
    assert 'href="https://www.cert.ssi.gouv.fr/alerte/CERTFR-2026-ALE-014/"' in html
    assert client.get("/security/CERTFR-2026-ALE-014").status_code == 200


# --- the refresh ------------------------------------------------------------------------------------------------------


def test_an_unchanged_refresh_is_a_304_and_a_new_cycle_is_not(tmp_path: object) -> None:
    clock = Clock()
    path = site.filled(f"{tmp_path}/data", 5)
    client = site.site(path, clock).test_client()
    first = client.get("/fragment")
    assert first.status_code == 200
    tag = {"If-None-Match": first.headers["ETag"]}
    same = client.get("/fragment", headers=tag)
    assert (same.status_code, same.data, same.headers["ETag"]) == (304, b"", first.headers["ETag"])
    assert "Content-Length" not in same.headers
    site.judged(path, 1, NOW + 60, memory=0.77)
    fresh = client.get("/fragment", headers=tag)
    assert fresh.status_code == 200
    assert "77\u202f%" in fresh.text
    assert fresh.headers["ETag"] != first.headers["ETag"]


def test_the_fragment_is_what_the_page_holds(client: FlaskClient) -> None:
    html, part = client.get("/").text, client.get("/fragment").text
    for ident in ("part-banner", "part-rows"):
        assert f'id="{ident}"' in html
        assert f'id="{ident}"' in part
    assert part[part.index('<div id="part-rows"') :].strip() in html


def test_each_language_has_its_own_fragment(client: FlaskClient) -> None:
    french = client.get("/fragment", headers={"Accept-Language": "fr"})
    english = client.get("/fragment", headers={"Accept-Language": "en"})
    assert "Tout va bien" in french.text
    assert "All is well" in english.text


def test_the_overview_is_light(client: FlaskClient) -> None:
    wanted = {"Accept-Encoding": "gzip"}
    page = client.get("/", headers=wanted)
    addresses = set(re.findall(r'(?:href|src)="(/static/[^"]+)"', client.get("/").text))
    assert 1 + len(addresses) <= 6, addresses
    sizes = [len(client.get(address, headers=wanted, buffered=True).data) for address in addresses]
    assert len(page.data) + sum(sizes) <= 60_000
