"""The rows kept of CERT-FR: one a reference for ever, a history of texts, what is owed a reading and a word."""

import json
import sqlite3
from datetime import date

import pytest

from archive.certfr import catalogue, rows, schedule, store
from archive.certfr.dates import seconds
from archive.certfr.document import Document, from_json, from_page
from archive.certfr.index import IndexEntry
from tests.certfr.server import Site, publication

NOW = 1_795_221_000  # 20 November 2026, 22:30 UTC
DAY = 86_400
ALERT, ADVISORY = "CERTFR-2026-ALE-011", "CERTFR-2026-AVI-1257"


def at(day: str) -> int:
    found = seconds(date.fromisoformat(day))
    assert found is not None
    return found


def document(reference: str = ALERT, *days: str, origin: str = "json", **more: object) -> Document:
    entry = publication(reference, *(days or ("2026-09-28",)), **more)  # type: ignore[arg-type]
    return from_json(json.dumps(entry).encode(), origin=origin)


def page(reference: str = ALERT, *days: str, **more: object) -> Document:
    entry = publication(reference, *(days or ("2026-09-28",)), **more)  # type: ignore[arg-type]
    return from_page(Site().page(entry).encode())


def listed(reference: str, day: str | None = None, **more: object) -> IndexEntry:
    kind = "alerte" if "-ALE-" in reference else "avis"
    fields = {"title": None, "status": None, "closed_at": None} | more
    last = date.fromisoformat(day) if day else None
    return IndexEntry(reference, kind, last_revision=last, url=f"https://x/{kind}/{reference}/", **fields)  # type: ignore[arg-type]


def take(
    db: sqlite3.Connection, *entries: IndexEntry, complete: bool = True, backlog: bool = False, now: int = NOW
) -> catalogue.Taken:
    return catalogue.take(db, entries[0].kind, entries, now, complete=complete, backlog=backlog)


def got(db: sqlite3.Connection, reference: str = ALERT) -> rows.Row:
    found = rows.row(db, reference)
    assert found is not None
    return found


def owed(db: sqlite3.Connection, now: int = NOW) -> list[str]:
    return [found.reference for found in rows.owed(db, now)]


def dump(db: sqlite3.Connection) -> list[str]:
    return list(db.iterdump())


# --- put ---------------------------------------------------------------------------------------------


def test_a_publication_is_kept_whole(db: sqlite3.Connection) -> None:
    one = document(ALERT, "2026-09-28", "2026-09-30")
    assert store.put(db, one, NOW) == store.Change(ALERT, "new")
    row = got(db)
    assert (row.kind, row.status, row.revision, row.origin) == ("alerte", "open", 1, "json")
    assert (row.first_at, row.last_at, row.closed_at) == (at("2026-09-28"), at("2026-09-30"), None)
    assert row.url == f"https://www.cert.ssi.gouv.fr/alerte/{ALERT}/"
    assert row.body == one.body
    assert row.summary.startswith("Une vulnérabilité")
    assert (row.seen_at, row.read_at) == (NOW, NOW)
    assert len(row.digest) == 64


def test_an_advisory_has_no_state(db: sqlite3.Connection) -> None:
    store.put(db, document(ADVISORY), NOW)
    assert got(db, ADVISORY).status == "unknown"


def test_c14_the_same_text_twice_changes_nothing(db: sqlite3.Connection) -> None:
    store.put(db, document(), NOW)
    before = dump(db)
    assert store.put(db, document(), NOW).kind == "same"
    assert dump(db) == before


def test_c14_the_order_of_lists_and_the_hour_of_a_day_are_no_revision(db: sqlite3.Connection) -> None:
    systems = ("Exemple versions antérieures à 1", "Exemple versions antérieures à 2")
    store.put(db, document(systems=systems), NOW)
    other = publication(ALERT, "2026-09-28", systems=reversed(systems))
    other["revisions"] = [{"description": "Version initiale", "revision_date": "2026-09-28T02:00:00.000000"}]
    assert store.put(db, from_json(json.dumps(other).encode()), NOW + 1).kind == "same"
    assert rows.history(db, ALERT) == []


def test_c14_a_new_text_keeps_the_old_one(db: sqlite3.Connection) -> None:
    store.put(db, document(), NOW)
    change = store.put(db, document(ALERT, "2026-09-28", "2026-10-02", title="[MàJ] Autre"), NOW + 60)
    assert (change.kind, change.changed) == ("revised", ("last_at", "revisions", "title"))
    assert (got(db).revision, got(db).title, got(db).last_at) == (2, "[MàJ] Autre", at("2026-10-02"))
    (past,) = rows.history(db, ALERT)
    assert (past.revision, past.title, past.replaced_at) == (1, "Vulnérabilité dans Exemple", NOW + 60)
    assert past.changed == change.changed
    assert json.loads(past.canonical)["title"] == "Vulnérabilité dans Exemple"
    assert db.execute("SELECT COUNT(*) FROM advisory").fetchone() == (1,)


def test_c19_an_alert_that_is_closed_becomes_closed(db: sqlite3.Connection) -> None:
    store.put(db, document(), NOW)
    change = store.put(db, document(closed="2026-11-02"), NOW + 60)
    assert (change.kind, change.changed) == ("closed", ("closed_at",))
    assert (got(db).status, got(db).closed_at) == ("closed", at("2026-11-02"))
    assert rows.history(db, ALERT)[0].status == "open"
    assert store.put(db, document(), NOW + 120).kind == "reopened"
    assert (got(db).status, got(db).closed_at, got(db).revision) == ("open", None, 3)


@pytest.mark.parametrize("day", ["2099-01-01", "1970-01-01"])
def test_c15_a_day_that_cannot_be_is_kept_as_unknown(db: sqlite3.Connection, day: str) -> None:
    store.put(db, document(ALERT, day, closed=day), NOW)
    row = got(db)
    assert (row.first_at, row.last_at, row.closed_at, row.status) == (None, None, None, "closed")
    assert owed(db) == []
    store.put(db, document(ADVISORY, day), NOW)
    assert rows.latest(db, "avis", 5)[0].reference == ADVISORY


def test_c15_no_revision_at_all(db: sqlite3.Connection) -> None:
    entry = publication(ALERT, "2026-09-28") | {"revisions": None}
    store.put(db, from_json(json.dumps(entry).encode()), NOW)
    assert got(db).last_at is None
    assert owed(db) == [ALERT]


def test_c15_an_impossible_day_is_not_pinned_on_top(db: sqlite3.Connection) -> None:
    store.put(db, document("CERTFR-2026-AVI-0001", "2099-01-01"), NOW)
    store.put(db, document("CERTFR-2026-AVI-0002", "2026-01-01"), NOW)
    assert [row.reference[-4:] for row in rows.latest(db, "avis", 5)] == ["0002", "0001"]


def test_c11_titles_are_kept_plain(db: sqlite3.Connection) -> None:
    store.put(db, document(title="\u202e<script>\ud800\n" + "x" * 900_000), NOW)
    assert got(db).title.startswith("<script> xxx")
    assert len(got(db).title) == 300


def test_latest_shows_alerts_in_force_first(db: sqlite3.Connection) -> None:
    store.put(db, document("CERTFR-2026-ALE-001", "2026-10-01", closed="2026-10-02"), NOW)
    store.put(db, document("CERTFR-2026-ALE-002", "2026-01-01"), NOW)
    store.put(db, document("CERTFR-2026-ALE-003", "2026-02-01"), NOW)
    assert [row.reference[-3:] for row in rows.latest(db, "alerte", 5)] == ["003", "002", "001"]
    assert len(rows.latest(db, "alerte", 2)) == 2


def test_a_row_per_reference_is_the_tables_own_rule(db: sqlite3.Connection) -> None:
    store.put(db, document(), NOW)
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
        db.execute(f"INSERT INTO advisory SELECT {', '.join(columns(db))} FROM advisory")


def columns(db: sqlite3.Connection) -> list[str]:
    """Those of `advisory`, with another id."""
    names = [found[1] for found in db.execute("PRAGMA table_info(advisory)")]
    return ["id + 1" if name == "id" else name for name in names]


# --- json and page -----------------------------------------------------------------------------------


def test_a_page_says_less_and_changes_nothing_of_what_the_json_said(db: sqlite3.Connection) -> None:
    store.put(db, document(), NOW)
    before = got(db)
    assert store.put(db, page(), NOW + 60).kind == "same"
    assert got(db) == before._replace(read_at=NOW + 60)


def test_a_page_that_is_newer_or_closed_is_taken(db: sqlite3.Connection) -> None:
    store.put(db, document(), NOW)
    assert store.put(db, page(ALERT, "2026-09-28", "2026-10-02"), NOW + 60).kind == "revised"
    assert (got(db).origin, got(db).status) == ("page", "open")
    assert store.put(db, page(closed="2026-11-02"), NOW + 90).kind == "closed"
    assert got(db).closed_at == at("2026-11-02")


def test_the_json_after_a_page_is_no_revision(db: sqlite3.Connection) -> None:
    store.put(db, page(), NOW)
    assert got(db).status == "unknown", "a page that tells no end may be closed all the same"
    assert store.put(db, document(), NOW + 60).kind == "same"
    assert (got(db).origin, got(db).status, got(db).revision) == ("json", "open", 1)


def test_the_json_after_a_page_of_the_same_state_is_no_revision(db: sqlite3.Connection) -> None:
    store.put(db, page(ADVISORY), NOW)
    assert store.put(db, document(ADVISORY), NOW + 60).kind == "same"
    assert (got(db, ADVISORY).origin, got(db, ADVISORY).revision) == ("json", 1)


def test_a_page_does_not_reopen(db: sqlite3.Connection) -> None:
    store.put(db, document(closed="2026-11-02"), NOW)
    assert store.put(db, page(), NOW + 60).kind == "same"
    store.put(db, page(ALERT, "2026-09-28", "2026-11-10"), NOW + 90)
    assert (got(db).status, got(db).closed_at) == ("closed", at("2026-11-02"))


def test_a_file_that_is_older_changes_nothing(db: sqlite3.Connection) -> None:
    store.put(db, document(ALERT, "2026-09-28", "2026-10-02", closed="2026-11-02"), NOW)
    before = dump(db)
    assert store.put(db, document(origin="file"), NOW + 60).kind == "older"
    assert store.put(db, document(ALERT, "2026-09-28", "2026-10-02", origin="file"), NOW + 60).kind == "older"
    assert dump(db) == before
    assert store.put(db, document(ALERT, "2026-09-28", "2026-11-05", origin="file"), NOW + 60).kind == "reopened"


# --- telling -----------------------------------------------------------------------------------------


def test_what_is_new_or_revised_is_owed_a_word_until_it_is_told(db: sqlite3.Connection) -> None:
    store.put(db, document(), NOW)
    assert [row.reference for row in rows.unannounced(db)] == [ALERT]
    store.announce(db, ALERT)
    assert rows.unannounced(db) == []
    store.put(db, document(), NOW + 60)
    assert rows.unannounced(db) == []
    store.put(db, document(ALERT, "2026-09-28", "2026-10-02"), NOW + 60)
    assert [row.reference for row in rows.unannounced(db)] == [ALERT]


def test_the_backlog_is_never_owed_a_word(db: sqlite3.Connection) -> None:
    take(db, listed(ALERT, "2026-09-28"), backlog=True)
    assert rows.first_reading(db) == (0, 1)
    store.put(db, document(), NOW)
    assert rows.unannounced(db) == []
    assert rows.first_reading(db) == (1, 1)
    store.put(db, document(ALERT, "2026-09-28", "2026-11-20"), NOW + DAY)
    assert len(rows.unannounced(db)) == 1, "its revision is news"


def test_what_is_published_while_the_first_reading_lasts_is_news(db: sqlite3.Connection) -> None:
    schedule.claim(db, NOW)
    schedule.finish(db, NOW, NOW, error="", failed=False, wait=None)
    take(db, listed(ALERT, "2026-11-22"), backlog=True, complete=False)
    store.put(db, document(ALERT, "2026-11-22"), NOW + 2 * DAY)
    assert len(rows.unannounced(db)) == 1


def test_an_import_can_be_told_already(db: sqlite3.Connection) -> None:
    store.put(db, document(origin="file"), NOW, told=True)
    assert rows.unannounced(db) == []


# --- lists -------------------------------------------------------------------------------------------


def test_the_last_twelve_months_are_taken_and_no_more(db: sqlite3.Connection) -> None:
    entries = [
        listed("CERTFR-2026-AVI-0001", "2026-01-05"),
        listed("CERTFR-2025-AVI-0990", "2025-11-25"),
        listed("CERTFR-2025-AVI-0001", "2025-01-05"),
        listed("CERTFR-2019-AVI-001", "2026-11-01"),  # old, revised lately
        listed("CERTFR-2019-AVI-002", "2019-01-01"),
        listed("CERTFR-2026-AVI-0002", None),
        listed("CERTFR-2024-AVI-0003", None),
        listed("CERTFR-2026-AVI-0004", "2099-01-01"),
        listed("CERTFR-2016-AVI-0005", "1970-01-01"),
    ]
    taken = take(db, *entries)
    assert set(taken.added) == {
        "CERTFR-2026-AVI-0001",
        "CERTFR-2025-AVI-0990",
        "CERTFR-2019-AVI-001",
        "CERTFR-2026-AVI-0002",
        "CERTFR-2026-AVI-0004",
    }
    assert taken.doubt == ""
    assert owed(db)[0] == "CERTFR-2026-AVI-0004" or owed(db)[0] == "CERTFR-2026-AVI-0002", "undated: as old as today"
    assert got(db, "CERTFR-2026-AVI-0004").listed_at is None


def test_alerts_come_before_advisories_and_the_newest_first(db: sqlite3.Connection) -> None:
    take(db, listed("CERTFR-2026-AVI-0001", "2026-11-19"), listed("CERTFR-2026-AVI-0002", "2026-11-20"))
    take(db, listed("CERTFR-2026-ALE-001", "2026-01-05"), listed("CERTFR-2026-ALE-002", "2026-05-05"))
    assert [reference[-7:] for reference in owed(db)] == ["ALE-002", "ALE-001", "VI-0002", "VI-0001"]


def test_alerts_in_force_are_read_each_time_and_the_rest_when_it_changes(db: sqlite3.Connection) -> None:
    take(db, listed(ALERT, "2026-09-28"))
    take(db, listed(ADVISORY, "2026-10-02"))
    store.put(db, document(), NOW)
    store.put(db, document(ADVISORY, "2026-10-02"), NOW)
    assert owed(db) == [ALERT]
    take(db, listed(ADVISORY, "2026-11-03"))
    assert owed(db) == [ALERT, ADVISORY]
    store.put(db, document(ADVISORY, "2026-10-02"), NOW)  # its own text does not say so: not asked for ever
    assert owed(db) == [ALERT]
    store.put(db, document(closed="2026-11-02"), NOW)
    assert owed(db) == []


def test_a_second_revision_of_the_same_day_is_found_the_day_after(db: sqlite3.Connection) -> None:
    take(db, listed(ADVISORY, "2026-11-20"))
    store.put(db, document(ADVISORY, "2026-11-20"), NOW)
    assert owed(db) == []
    assert owed(db, at("2026-11-21") + 7199) == []
    assert owed(db, at("2026-11-21") + 7200) == [ADVISORY]
    store.put(db, document(ADVISORY, "2026-11-20"), at("2026-11-21") + 7200)
    assert owed(db, at("2026-11-25")) == []


def test_c19_a_list_that_says_closed_closes_and_asks_for_the_text(db: sqlite3.Connection) -> None:
    store.put(db, document(), NOW)
    taken = take(db, listed(ALERT, status="closed", closed_at=date(2026, 11, 2)), complete=False)
    assert taken.closed == (ALERT,)
    assert (got(db).status, got(db).closed_at) == ("closed", at("2026-11-02"))
    assert owed(db) == [ALERT]
    assert store.put(db, document(closed="2026-11-02"), NOW).kind == "closed"
    assert owed(db) == []


def test_a_list_that_says_in_force_is_believed_when_the_text_agrees(db: sqlite3.Connection) -> None:
    store.put(db, document(closed="2026-11-02"), NOW)
    take(db, listed(ALERT, status="open"), complete=False)
    assert got(db).status == "closed"
    assert owed(db) == [ALERT]
    assert store.put(db, document(), NOW).kind == "reopened"


def test_an_old_alert_in_force_is_taken(db: sqlite3.Connection) -> None:
    old = [
        listed("CERTFR-2021-ALE-001", status="open"),
        listed("CERTFR-2021-ALE-002", status="closed", closed_at=date(2021, 5, 1)),
    ]
    assert take(db, *old, complete=False).added == ("CERTFR-2021-ALE-001",)


def test_what_a_feed_holds_is_looked_at_again_once_a_day(db: sqlite3.Connection) -> None:
    store.put(db, document(ADVISORY), NOW)
    take(db, listed(ADVISORY), complete=False, now=NOW + 3600)
    assert owed(db, NOW + 3600) == []
    take(db, listed(ADVISORY), complete=False, now=NOW + DAY + 1)
    assert owed(db, NOW + DAY + 1) == [ADVISORY]


def test_c19_what_the_site_no_longer_has_is_closed_never_deleted(db: sqlite3.Connection) -> None:
    kept = [listed(f"CERTFR-2026-ALE-00{number}", "2026-10-01") for number in range(1, 5)]
    take(db, *kept, listed(ALERT, "2026-09-28"))
    store.put(db, document(), NOW)
    assert store.fail(db, ALERT, NOW, "status 404", gone=True).kind == "same", "it is still listed"
    take(db, *kept, now=NOW + 3600)
    assert got(db).unlisted_at == NOW + 3600
    assert store.fail(db, ALERT, NOW + 3600, "status 404", gone=True).kind == "withdrawn"
    row = got(db)
    assert (row.status, row.withdrawn_at, row.closed_at) == ("closed", NOW + 3600, NOW + 3600)
    assert row.body is not None
    assert ALERT not in owed(db, NOW + 30 * DAY)
    take(db, *kept, listed(ALERT, "2026-09-28"), now=NOW + 2 * DAY)
    assert ALERT in owed(db, NOW + 30 * DAY), "it is back"
    store.put(db, document(), NOW + 2 * DAY)
    assert (got(db).status, got(db).withdrawn_at) == ("open", None)


def test_c08_a_list_that_shrank_is_not_believed(db: sqlite3.Connection) -> None:
    many = [listed(f"CERTFR-2026-AVI-{number:04d}", "2026-10-01") for number in range(100)]
    take(db, *many)
    taken = take(db, *many[:50], now=NOW + 3600)
    assert taken.doubt == "the list lacks 50 of 100 known publications, too many to be withdrawn: kept as they are"
    assert db.execute("SELECT COUNT(*) FROM advisory WHERE unlisted_at IS NOT NULL").fetchone() == (0,)
    assert take(db, *many[:95], now=NOW + 3600).doubt == ""
    assert db.execute("SELECT COUNT(*) FROM advisory WHERE unlisted_at IS NOT NULL").fetchone() == (5,)


def test_c14_a_list_of_new_things_without_end_is_capped(db: sqlite3.Connection) -> None:
    many = [listed(f"CERTFR-2026-AVI-{number:05d}", "2026-10-01") for number in range(6_000)]
    taken = take(db, *many)
    assert len(taken.added) == 5_000
    assert "6000 publications to read" in taken.doubt


def test_what_failed_is_tried_later_and_later(db: sqlite3.Connection) -> None:
    take(db, listed(ADVISORY, "2026-11-01"))
    waits = []
    now = NOW
    for _ in range(7):
        store.fail(db, ADVISORY, now, "status 500", gone=False)
        assert owed(db, now) == []
        retry = db.execute("SELECT retry_at FROM advisory").fetchone()[0]
        waits.append((retry - now) // 3600)
        now = retry
        assert owed(db, now) == [ADVISORY]
    assert waits == [1, 2, 3, 4, 5, 24, 24]
    assert got(db, ADVISORY).problem == "status 500"
    store.put(db, document(ADVISORY), now)
    assert (got(db, ADVISORY).tries, got(db, ADVISORY).problem) == (0, "")


# --- the round's own rows ----------------------------------------------------------------------------


def test_c16_of_two_rounds_one_goes(db: sqlite3.Connection) -> None:
    assert schedule.due(db, NOW)
    assert schedule.claim(db, NOW) == ""
    assert schedule.claim(db, NOW) == "another reading is at work"
    assert schedule.claim(db, NOW, force=True) == "another reading is at work"
    assert not schedule.due(db, NOW + 60)
    schedule.finish(db, NOW, NOW + 290, error="", failed=False, wait=None)
    assert not schedule.due(db, NOW + 3599)
    assert schedule.due(db, NOW + 3600)
    assert "next reading" in schedule.claim(db, NOW + 600)
    assert schedule.claim(db, NOW + 600, force=True) == ""


def test_a_round_that_was_killed_does_not_hold_the_next_for_ever(db: sqlite3.Connection) -> None:
    schedule.claim(db, NOW)
    assert not schedule.due(db, NOW + 899)
    assert schedule.due(db, NOW + 3600)


def test_c01_the_back_off_grows_to_four_hours(db: sqlite3.Connection) -> None:
    now, waits = NOW, []
    for _ in range(5):
        assert schedule.claim(db, now) == ""
        after = schedule.finish(db, now, now + 30, error="status 500", failed=True, wait=None)
        waits.append((after - now) // 3600)
        now = after
    assert waits == [1, 2, 4, 4, 4]
    schedule.claim(db, now)
    assert schedule.finish(db, now, now + 30, error="", failed=False, wait=None) == now + 3600


def test_c01_a_server_that_asks_for_time_is_given_it_even_by_hand(db: sqlite3.Connection) -> None:
    schedule.claim(db, NOW)
    schedule.finish(db, NOW, NOW + 30, error="status 429", failed=False, wait=3600)
    assert not schedule.due(db, NOW + 3600)
    assert schedule.due(db, NOW + 3630)
    assert "asked not to be read" in schedule.claim(db, NOW + 600, force=True)


def test_a_clock_that_jumped_does_not_stop_the_reading(db: sqlite3.Connection) -> None:
    schedule.claim(db, NOW)
    schedule.finish(db, NOW, NOW + 30, error="", failed=False, wait=3600)
    assert schedule.due(db, NOW - 30 * DAY)
    assert schedule.claim(db, NOW - 30 * DAY) == ""


def test_c17_nothing_was_ever_read(db: sqlite3.Connection) -> None:
    assert schedule.sources(db) == []
    assert rows.latest(db, "alerte", 5) == []
    assert rows.first_reading(db) == (0, 0)
    assert schedule.due(db, NOW)


def test_a_failed_source_keeps_what_it_said(db: sqlite3.Connection) -> None:
    schedule.good(db, "alerte/json", "u", NOW, etag='"a"', listed=5)
    schedule.bad(db, "alerte/json", "u", NOW + 60, "status 500")
    row = schedule.source(db, "alerte/json")
    assert row is not None
    assert (row.etag, row.listed, row.ok_at, row.read_at, row.error) == (
        '"a"',
        5,
        NOW,
        NOW + 60,
        "status 500",
    )
