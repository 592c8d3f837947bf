"""Whole rounds against a local site: first reading, later ones, every fallback, every fault; what is known always stays."""

import json
import socket
import sqlite3
import subprocess
import sys
import threading
import time as real_time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import date, timedelta
from pathlib import Path

import pytest

from archive.certfr import rows, schedule, store
from archive.certfr.document import Document
from archive.certfr.refresh import Limits, Progress, Report, due, read_files, refresh
from tests.certfr.conftest import ROOT, Time, fixture
from tests.certfr.server import (
    Reply,
    Request,
    Site,
    drip,
    endless,
    gzip_bomb,
    publication,
    raw,
    redirect,
    send,
    silence,
)

NOW = 1_795_221_000  # 20 November 2026
HOUR, DAY = 3600, 86_400
OpenDb = Callable[[], AbstractContextManager[sqlite3.Connection]]
LISTS = ["/alerte/json/", "/avis/json/", "/alerte/"]
MAINTENANCE = send(fixture("maintenance.html"))


class Reader:
    """Reads a site again and again, an hour apart."""

    def __init__(self, db: sqlite3.Connection, open_db: OpenDb, site: Site) -> None:
        self.db = db
        self.open_db = open_db
        self.site = site
        self.now = NOW
        self.base_url = ""

    def round(self, *, after: int = HOUR, limits: Limits | None = None, **more: object) -> Report:
        passed = Time()
        self.site.asked.clear()
        report = refresh(
            self.open_db,
            self.base_url,
            self.now,
            clock=passed.clock,
            sleep=passed.sleep,
            limits=limits or Limits(deadline=2.0),
            **more,  # type: ignore[arg-type]
        )
        self.now += after
        return report

    def references(self) -> list[str]:
        return [found[0] for found in self.db.execute("SELECT reference FROM advisory ORDER BY reference")]

    def text(self) -> list[tuple[object, ...]]:
        """What is known of the publications, without the times of reading."""
        return self.db.execute(
            "SELECT reference, title, status, last_at, body, revision FROM advisory ORDER BY 1"
        ).fetchall()


def usual() -> Site:
    return Site(
        publication("CERTFR-2026-ALE-011", "2026-09-28", "2026-09-30"),
        publication("CERTFR-2026-ALE-008", "2026-07-22", closed="2026-09-22"),
        publication("CERTFR-2021-ALE-001", "2021-02-01"),  # in force for long: only the list page tells
        publication("CERTFR-2021-ALE-002", "2021-03-01", closed="2021-06-01"),
        publication("CERTFR-2026-AVI-1257", "2026-10-02"),
        publication("CERTFR-2026-AVI-1256", "2026-10-01"),
        publication("CERTFR-2019-AVI-001", "2019-01-02"),
    )


@pytest.fixture
def reader(db: sqlite3.Connection, open_db: OpenDb) -> Iterator[Reader]:
    site = usual()
    site.before = lambda _request: none_of(db)
    made = Reader(db, open_db, site)
    with site.serve() as base_url:
        made.base_url = base_url
        yield made


def none_of(db: sqlite3.Connection) -> None:
    assert not db.in_transaction, "the network is never waited for inside a transaction"


def broken(reader: Reader, reply: Reply, *paths: str) -> None:
    reader.site.at |= dict.fromkeys(paths, reply)


EVERY_LIST = [f"/{kind}/{rest}" for kind in ("alerte", "avis") for rest in ("json/", "feed/", "")]


# --- the usual ---------------------------------------------------------------------------------------


def test_the_first_reading_takes_what_is_in_force_and_the_last_twelve_months(reader: Reader) -> None:
    report = reader.round()
    assert report.ran
    assert report.errors == ()
    assert reader.references() == [
        "CERTFR-2021-ALE-001",
        "CERTFR-2026-ALE-008",
        "CERTFR-2026-ALE-011",
        "CERTFR-2026-AVI-1256",
        "CERTFR-2026-AVI-1257",
    ]
    assert report.sources == ("alerte/json", "avis/json", "alerte/list")
    assert (report.owed, report.read, report.left) == (5, 5, 0)
    assert sorted(report.new) == reader.references()
    assert report.first_reading == (5, 5)
    assert rows.unannounced(reader.db) == [], "the backlog is never told"
    assert report.next_at == NOW + HOUR
    assert report.requests == 8
    assert reader.site.paths()[:3] == LISTS
    assert (
        reader.site.paths()[3:6]
        == [
            "/alerte/CERTFR-2026-ALE-011/json/",
            "/alerte/CERTFR-2026-ALE-008/json/",
            "/alerte/CERTFR-2021-ALE-001/json/",
        ]
        or "/alerte/CERTFR-2021-ALE-001/json/" in reader.site.paths()[3:6]
    )
    assert reader.db.execute("SELECT MIN(url) FROM advisory").fetchone() == (
        f"{reader.base_url}/alerte/CERTFR-2021-ALE-001/",
    )


def test_an_hour_later_only_what_is_in_force_is_read_again(reader: Reader) -> None:
    reader.round()
    before = reader.text()
    report = reader.round()
    assert reader.site.paths() == [
        "/alerte/json/",
        "/avis/json/",
        "/alerte/CERTFR-2026-ALE-011/json/",
        "/alerte/CERTFR-2021-ALE-001/json/",
    ]
    assert reader.site.asked[0].headers["if-none-match"]
    assert (report.new, report.revised, report.closed) == ((), (), ())
    assert (report.listed, report.read) == (7, 2)
    assert reader.text() == before


def test_what_changes_is_read_and_told(reader: Reader) -> None:
    reader.round()
    site = reader.site
    site.publications["CERTFR-2026-ALE-011"] = publication("CERTFR-2026-ALE-011", "2026-09-28", closed="2026-11-20")
    site.publications["CERTFR-2026-AVI-1256"] = publication(
        "CERTFR-2026-AVI-1256", "2026-10-01", "2026-11-20", title="Autre"
    )
    site.publications["CERTFR-2026-AVI-1300"] = publication("CERTFR-2026-AVI-1300", "2026-11-20")
    report = reader.round()
    assert report.closed == ("CERTFR-2026-ALE-011",)
    assert report.revised == ("CERTFR-2026-AVI-1256",)
    assert report.new == ("CERTFR-2026-AVI-1300",)
    assert [row.reference for row in rows.unannounced(reader.db)] == [
        "CERTFR-2026-ALE-011",
        "CERTFR-2026-AVI-1256",
        "CERTFR-2026-AVI-1300",
    ]
    assert len(rows.history(reader.db, "CERTFR-2026-AVI-1256")) == 1


def test_the_list_page_is_read_once_a_day(reader: Reader) -> None:
    for hours, seen in ((1, True), (1, False), (22, False), (1, True)):
        reader.round(after=hours * HOUR)
        assert ("/alerte/" in reader.site.paths()) is seen


def test_more_than_ten_alerts_in_force_are_on_more_pages(reader: Reader) -> None:
    for number in range(100, 125):
        reader.site.publications[f"CERTFR-2020-ALE-{number}"] = publication(f"CERTFR-2020-ALE-{number}", "2020-02-02")
    reader.round()
    assert reader.db.execute("SELECT COUNT(*) FROM advisory WHERE status = 'open'").fetchone() == (27,)
    assert "/alerte/page/3/" in reader.site.paths()
    assert "/alerte/page/4/" not in reader.site.paths()
    assert rows.unannounced(reader.db) == []


def test_c16_one_round_an_hour(reader: Reader) -> None:
    assert due(reader.db, reader.now)
    reader.round(after=600)
    assert not due(reader.db, reader.now)
    report = reader.round()
    assert (report.ran, reader.site.asked) == (False, [])
    assert "next reading" in report.reason
    reader.now = NOW + 700
    assert reader.round(force=True).ran


def test_c16_of_two_at_once_one_reads(db: sqlite3.Connection, tmp_path: Path) -> None:
    site = usual()
    path, lock = tmp_path / "x.db", threading.Lock()

    @contextmanager
    def opened() -> Iterator[sqlite3.Connection]:
        with lock:
            connection = sqlite3.connect(path, isolation_level=None, timeout=10)
            try:
                yield connection
            finally:
                connection.close()

    with opened() as made:
        made.executescript(
            "".join(f"{line}\n" for line in db.iterdump()).replace("BEGIN TRANSACTION;", "").replace("COMMIT;", "")
        )
    reports: list[Report] = []
    with site.serve() as base_url:
        threads = [
            threading.Thread(
                target=lambda: reports.append(refresh(opened, base_url, NOW, limits=Limits(5.0, 60.0, 0.0)))
            )
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(report.ran for report in reports) == [False, False, False, True]
    assert site.paths().count("/alerte/json/") == 1


def test_progress_is_told_and_kept(reader: Reader) -> None:
    told: list[Progress] = []
    reader.round(progress=told.append)
    assert told[0] == Progress("list", "alerte/json", 0, 0)
    assert [step for step in told if step.stage == "publication"][-1][2:] == (4, 5)
    row = schedule.source(reader.db, "round")
    assert row is not None
    assert (row.done, row.total, row.claimed_at, row.ok_at) == (5, 5, None, NOW + 7)


def test_the_first_reading_goes_on_over_several_rounds(reader: Reader) -> None:
    day = date(2026, 11, 19)
    for number in range(700):
        written = (day - timedelta(days=number // 2)).isoformat()
        reader.site.publications[f"CERTFR-2026-AVI-{2000 + number}"] = publication(
            f"CERTFR-2026-AVI-{2000 + number}", written
        )
    seen = []
    for _ in range(3):
        report = reader.round()
        seen.append((report.requests, report.read, report.left))
        assert rows.unannounced(reader.db) == []
    assert seen[0] == (300, 297, 408)
    assert seen[1] == (300, 298, 112)
    assert seen[2][2] == 0
    assert reader.db.execute("SELECT COUNT(*) FROM advisory WHERE read_at IS NULL").fetchone() == (0,)
    reader.site.publications["CERTFR-2026-AVI-3000"] = publication("CERTFR-2026-AVI-3000", "2026-11-20")
    assert reader.round().new == ("CERTFR-2026-AVI-3000",)
    assert len(rows.unannounced(reader.db)) == 1


def test_what_comes_while_the_first_reading_lasts_is_news(reader: Reader) -> None:
    reader.round(limits=Limits(2.0, 4.0, 1.0))
    done, total = rows.first_reading(reader.db)
    assert 0 < done < total
    reader.site.publications["CERTFR-2026-ALE-012"] = publication("CERTFR-2026-ALE-012", "2026-11-20")
    reader.round()
    assert [row.reference for row in rows.unannounced(reader.db)] == ["CERTFR-2026-ALE-012"]


def test_a_round_that_dies_is_taken_up_by_the_next(reader: Reader) -> None:
    def die(step: Progress) -> None:
        if step.stage == "publication" and step.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reader.round(progress=die)
    reader.now += HOUR
    report = reader.round()
    assert report.ran
    assert report.first_reading == (5, 5)


def test_without_validators_the_same_text_is_not_taken_apart_again(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader.site.validators = False
    reader.round()
    monkeypatch.setattr("archive.certfr.catalogue.take", lambda *_args, **_more: pytest.fail("parsed again"))
    report = reader.round()
    assert report.sources == ("alerte/json", "avis/json")
    assert report.errors == ()


# --- fallbacks ---------------------------------------------------------------------------------------


def test_c09_without_the_index_the_feed_is_read(reader: Reader) -> None:
    broken(reader, MAINTENANCE, "/alerte/json/", "/avis/json/")
    report = reader.round()
    assert report.sources == ("alerte/feed", "avis/feed", "alerte/list")
    assert "CERTFR-2026-ALE-011" in report.new
    assert "CERTFR-2026-AVI-1257" in report.new
    assert [problem.where for problem in report.errors] == ["alerte/json", "avis/json"]
    assert "found an HTML page titled 'Site en maintenance'" in report.errors[0].what
    assert rows.unannounced(reader.db) == []
    reader.site.at.clear()
    reader.round()
    assert rows.unannounced(reader.db) == [], "the whole list after the feed brings no news either"
    assert report.errors


def test_c09_without_index_and_feed_the_list_pages_are_read(reader: Reader) -> None:
    broken(reader, send("", 500), "/alerte/json/", "/avis/json/")
    broken(reader, send("<rss/>"), "/alerte/feed/", "/avis/feed/")
    for number in range(25):
        reader.site.publications[f"CERTFR-2026-AVI-3{number:03d}"] = publication(
            f"CERTFR-2026-AVI-3{number:03d}", "2026-11-01"
        )
    report = reader.round()
    assert report.sources == ("alerte/list", "avis/list")
    assert reader.db.execute("SELECT COUNT(*) FROM advisory WHERE kind = 'avis'").fetchone()[0] >= 25
    assert "CERTFR-2021-ALE-002" not in reader.references(), "closed long ago"
    assert report.first_reading[0] == report.first_reading[1]
    reader.round()
    assert [path for path in reader.site.paths() if path.startswith("/avis/page")] == []


def test_c09_without_its_json_a_publication_is_read_from_its_page(reader: Reader) -> None:
    broken(reader, send("oops", 500), "/alerte/CERTFR-2026-ALE-011/json/")
    broken(reader, send("[]"), "/avis/CERTFR-2026-AVI-1257/json/")
    report = reader.round()
    assert report.errors == ()
    row = rows.row(reader.db, "CERTFR-2026-ALE-011")
    assert row is not None
    assert (row.origin, row.status, row.first_at is not None) == ("page", "open", True), "the state is that of the list"
    assert row.body is not None
    assert json.loads(row.body)["affected_systems"]
    reader.site.at.clear()
    report = reader.round()
    assert report.revised == ()
    row = rows.row(reader.db, "CERTFR-2026-ALE-011")
    assert row is not None
    assert (row.origin, row.revision) == ("json", 1)


def test_c19_an_alert_that_the_site_withdraws_is_closed_not_deleted(reader: Reader) -> None:
    reader.round()
    del reader.site.publications["CERTFR-2026-ALE-011"]
    report = reader.round()
    assert report.withdrawn == ("CERTFR-2026-ALE-011",)
    row = rows.row(reader.db, "CERTFR-2026-ALE-011")
    assert row is not None
    assert (row.status, row.body is None) == ("closed", False)
    reader.round()
    assert not any("ALE-011" in path for path in reader.site.paths())


def test_c19_a_404_for_what_is_still_listed_closes_nothing(reader: Reader) -> None:
    reader.round()
    broken(reader, send("", 404), "/alerte/CERTFR-2026-ALE-011/json/", "/alerte/CERTFR-2026-ALE-011/")
    for _ in range(4):
        reader.round()
    row = rows.row(reader.db, "CERTFR-2026-ALE-011")
    assert row is not None
    assert row.status == "open"


# --- faults: what is known stays ---------------------------------------------------------------------

FAULTS: dict[str, Reply] = {
    "c01-500": send("oops", 500),
    "c01-502": send("oops", 502),
    "c01-403": send("forbidden", 403),
    "c02-silence": silence(20),
    "c02-drip": drip(b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n" + b"[" * 9000, 0.05),
    "c03-redirect-http": redirect("http://www.cert.ssi.gouv.fr/"),
    "c03-redirect-host": redirect("https://evil.example/"),
    "c03-redirect-file": redirect("file:///etc/passwd"),
    "c06-endless": endless,
    "c06-bomb": gzip_bomb(40),
    "c07-cut": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n[{"),
    "c07-chunks": raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n"),
    "c08-maintenance": MAINTENANCE,
    "c08-empty": send("[]"),
    "c08-nothing": send(""),
    "c10-nul": send(b"\x00" * 1000),
    "c12-bomb": send('<!DOCTYPE a [<!ENTITY b "c"><!ENTITY d "&b;&b;">]><rss>&d;</rss>'),
    "c13-nested": send("<div>" * 200_000),
    "c13-json": send("[" * 500_000),
}


FEW = ["c01-500", "c02-drip", "c03-redirect-host", "c06-bomb", "c07-cut", "c08-maintenance", "c13-json"]


@pytest.mark.parametrize("fault", FAULTS)
def test_c01_to_c13_whatever_the_site_does_what_is_known_stays(reader: Reader, fault: str) -> None:
    reader.round()
    before = reader.text()
    began = real_time.monotonic()
    for path in (*EVERY_LIST, *(f"/alerte/CERTFR-2026-ALE-011/{rest}" for rest in ("json/", ""))):
        reader.site.at[path] = FAULTS[fault]
    report = reader.round(limits=Limits(deadline=0.4))
    assert report.ran
    assert report.errors
    assert all("\n" not in problem.what and len(problem.what) < 2000 for problem in report.errors)
    assert (report.read, report.closed, report.withdrawn, report.revised) == (0, (), (), ())
    assert reader.text() == before
    row = schedule.source(reader.db, "round")
    assert row is not None
    assert (row.ok_at, row.error != "") == (NOW + 7, True), "the age of the last good reading can be told"
    assert report.next_at == NOW + 2 * HOUR
    assert real_time.monotonic() - began < 30
    reader.site.at.clear()
    assert reader.round().errors == ()
    assert reader.text() == before


@pytest.mark.parametrize("fault", FEW)
def test_c01_to_c13_a_first_reading_that_meets_a_fault_leaves_nothing(reader: Reader, fault: str) -> None:
    broken(reader, FAULTS[fault], *EVERY_LIST)
    report = reader.round(limits=Limits(deadline=0.4))
    assert (reader.references(), report.sources) == ([], ())
    assert len(report.errors) >= 5


@pytest.mark.parametrize("fault", FEW)
def test_c01_to_c13_one_publication_that_is_broken_does_not_stop_the_others(reader: Reader, fault: str) -> None:
    broken(reader, FAULTS[fault], "/alerte/CERTFR-2026-ALE-011/json/", "/alerte/CERTFR-2026-ALE-011/")
    report = reader.round(limits=Limits(deadline=0.4))
    assert report.read == 4
    assert [problem.where for problem in report.errors] == ["CERTFR-2026-ALE-011"]
    row = rows.row(reader.db, "CERTFR-2026-ALE-011")
    assert row is not None
    assert (row.read_at, row.tries, row.problem != "") == (None, 1, True)


def test_c01_the_server_asks_for_time_and_the_round_ends(reader: Reader) -> None:
    reader.round()
    broken(reader, send("", 429, Retry_After="7200"), "/alerte/json/")
    report = reader.round(after=600)
    assert report.requests == 1
    assert report.next_at == NOW + 2 * HOUR, "an hour is the most that is waited for"
    assert "asks to wait 3600 s" in report.errors[0].what
    refused = reader.round(force=True)
    assert (refused.ran, reader.site.asked) == (False, [])
    assert "asked not to be read" in refused.reason


def test_c01_the_server_asks_for_time_in_the_middle(reader: Reader) -> None:
    broken(reader, send("", 503, Retry_After="60"), "/alerte/CERTFR-2026-ALE-008/json/")
    report = reader.round()
    assert report.read < 5
    assert report.left > 0
    assert report.next_at == NOW + HOUR
    reader.site.at.clear()
    reader.round()
    reader.round()
    assert rows.first_reading(reader.db) == (5, 5)


def test_c01_after_failures_the_next_try_is_later_and_later(reader: Reader) -> None:
    broken(reader, send("", 500), *EVERY_LIST)
    waits = []
    for _ in range(4):
        began = reader.now
        report = reader.round()
        assert report.next_at is not None
        waits.append((report.next_at - began) // HOUR)
        reader.now = report.next_at
    assert waits == [1, 2, 4, 4]


def test_a_site_that_is_not_well_is_left_alone(reader: Reader) -> None:
    reader.round()
    for number in range(50):
        reader.site.publications[f"CERTFR-2026-AVI-4{number:03d}"] = publication(
            f"CERTFR-2026-AVI-4{number:03d}", "2026-11-20"
        )
        broken(
            reader,
            send("", 500),
            f"/avis/CERTFR-2026-AVI-4{number:03d}/json/",
            f"/avis/CERTFR-2026-AVI-4{number:03d}/",
        )
    report = reader.round()
    assert report.errors[-1].what == "5 failures in a row: given up until the next round"
    assert report.requests == 2 + 2 + 10
    assert report.left == 45


def test_c15_dates_of_1970_and_2099(reader: Reader) -> None:
    reader.site.publications["CERTFR-2026-AVI-1258"] = publication("CERTFR-2026-AVI-1258", "2099-01-01")
    reader.site.publications["CERTFR-2026-AVI-1259"] = publication("CERTFR-2026-AVI-1259", "1970-01-01")
    assert reader.round().errors == ()
    for reference in ("CERTFR-2026-AVI-1258", "CERTFR-2026-AVI-1259"):
        row = rows.row(reader.db, reference)
        assert row is not None
        assert (row.first_at, row.last_at, row.revision) == (None, None, 1)
    reader.round()
    assert not any("AVI-125" in path for path in reader.site.paths()), "read once, not every hour"


def test_c14_100_000_items_in_an_index(reader: Reader) -> None:
    reader.round()
    before = reader.text()
    many = [
        {"reference": f"CERTFR-2026-AVI-{number:05d}", "last_revision_date": "2026-11-20"} for number in range(100_000)
    ]
    broken(reader, send(json.dumps(many)), "/avis/json/")
    report = reader.round()
    assert "100000 entries, more than 60000: refused" in report.errors[0].what
    assert "avis/feed" in report.sources
    assert set(reader.text()) >= set(before)
    assert len(reader.text()) == len(before) + 1, "the feed names an old one that was touched"


def test_c18_a_304_after_the_rows_were_lost_is_not_asked_for(reader: Reader) -> None:
    reader.round()
    reader.db.execute("DELETE FROM advisory")
    report = reader.round()
    assert "if-none-match" not in reader.site.asked[0].headers
    assert report.read == 4
    assert rows.unannounced(reader.db) == []


def test_c18_a_304_that_nobody_asked_for_is_asked_again_past_every_cache(reader: Reader) -> None:
    answers = [raw(b"HTTP/1.1 304 Not Modified\r\n\r\n"), send(reader.site.index("alerte"))]

    def next_one(connection: socket.socket, request: Request) -> None:
        answers.pop(0)(connection, request)

    reader.site.at["/alerte/json/"] = next_one
    report = reader.round()
    assert report.errors == ()
    assert reader.site.asked[1].headers["cache-control"] == "no-cache"
    assert report.first_reading == (5, 5)


def test_c18_another_mirror_is_not_asked_with_the_first_ones_validators(reader: Reader) -> None:
    reader.round()
    with usual().serve() as other:
        reader.base_url = other
        report = reader.round()
    assert report.errors == ()
    assert report.revised == ()


def test_c17_the_first_run_without_network(db: sqlite3.Connection, open_db: OpenDb) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        base_url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    report = refresh(open_db, base_url, NOW, limits=Limits(2.0, 60.0, 0.0))
    assert (report.ran, report.sources, report.read) == (True, (), 0)
    assert "Connection refused" in report.errors[0].what
    row = schedule.source(db, "round")
    assert row is not None
    assert (row.ok_at, row.first_ok_at) == (None, None), "the page says: never read"
    assert report.next_at == NOW + HOUR


def test_c11_hostile_texts_are_kept_as_text(reader: Reader) -> None:
    evil = publication(
        "CERTFR-2026-ALE-666",
        "2026-11-20",
        title="\u202e<script>alert(1)</script>\r\nX: y\ud800",
        summary="<img src=x onerror=alert(1)> [x](javascript:alert(1))",
        links=[{"title": "x", "url": "javascript:alert(1)"}],
    )
    reader.site.publications["CERTFR-2026-ALE-666"] = evil
    assert reader.round().errors == ()
    row = rows.row(reader.db, "CERTFR-2026-ALE-666")
    assert row is not None
    assert row.title == "<script>alert(1)</script> X: y"


def test_another_publication_than_the_one_asked_for_is_refused(reader: Reader) -> None:
    reader.site.at["/alerte/CERTFR-2026-ALE-011/json/"] = send(
        json.dumps(reader.site.publications["CERTFR-2026-ALE-008"])
    )
    reader.site.at["/alerte/CERTFR-2026-ALE-011/"] = send(
        reader.site.page(reader.site.publications["CERTFR-2026-ALE-008"])
    )
    report = reader.round()
    assert "expected CERTFR-2026-ALE-011, found CERTFR-2026-ALE-008" in report.errors[0].what


def test_the_minutes_path_needs_the_standard_library_only() -> None:
    """`due` is asked every minute; the whole parent of a round does without requests and bs4 until a fallback."""
    root = Path(__file__).parents[2]
    names = ("schedule", "rows", "refresh")
    code = "import sys; sys.path.insert(0, sys.argv[1]); import " + ", ".join(
        f"archive.certfr.{name}" for name in names
    )
    subprocess.run([sys.executable, "-I", "-S", "-c", code, str(root)], check=True)


# --- files and real ones -----------------------------------------------------------------------------


def test_a_machine_without_internet_is_fed_from_files(db: sqlite3.Connection, tmp_path: Path) -> None:
    for reference in ("CERTFR-2026-ALE-011", "CERTFR-2026-AVI-1257"):
        (tmp_path / f"{reference}.json").write_text(json.dumps(publication(reference, "2026-09-28")))
    for _ in range(2):
        for one in read_files([tmp_path]):
            assert isinstance(one, Document)
            store.put(db, one, NOW, told=True)
    assert [row.reference for row in rows.latest(db, "alerte", 9)] == ["CERTFR-2026-ALE-011"]
    assert rows.unannounced(db) == []
    assert db.execute("SELECT url FROM advisory WHERE kind = 'avis'").fetchone() == (
        "https://www.cert.ssi.gouv.fr/avis/CERTFR-2026-AVI-1257/",
    )


@pytest.mark.needs_shared
def test_the_real_publications_served_and_read(db: sqlite3.Connection, open_db: OpenDb, samples: Path) -> None:
    found = [
        one for one in read_files([samples / "json" / "alerte", samples / "json" / "avis"]) if isinstance(one, Document)
    ]
    site = Site(*(json.loads(one.body) for one in found))
    newest = 1_785_600_000  # 1 August 2026: twelve months of the samples
    with site.serve() as base_url:
        for start in range(3):
            passed = Time()
            report = refresh(open_db, base_url, newest + start * HOUR, clock=passed.clock, sleep=passed.sleep)
            assert report.errors == ()
    assert report.left == 0
    assert (report.new, report.revised) == ((), ())
    kept = db.execute("SELECT COUNT(*) FROM advisory WHERE read_at IS NOT NULL").fetchone()[0]
    assert kept > 50
    assert db.execute("SELECT COUNT(*) FROM advisory_revision").fetchone() == (0,)


def test_the_hourly_step_loads_nothing_that_an_hour_without_news_needs_not() -> None:
    """Each of these costs 10 to 90 ms of processor an hour; the process that asks the network loads its own."""
    heavy = (
        "requests bs4 nh3 dataclasses email.utils xml.etree babel archive.original archive.backup archive.certfr.decide"
    )
    code = (
        "import sys, web.__main__, web.commands.certfr, archive.certfr.refresh;"
        f"print(*[name for name in {heavy.split()} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
