"""Incidents as rows: reading, acknowledging; and what holds whatever the code does."""

import sqlite3
from pathlib import Path

import pytest

from archive import database
from archive import incidents as rows
from archive.incidents import Incident, IncidentError
from tests.alerts.judging import START, Machine


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "data")


def test_two_live_incidents_of_one_line_are_refused_by_the_schema(machine: Machine) -> None:
    machine.feed([0.97] * 2, START)
    [one] = machine.live()
    with database.writer(str(machine.data)) as db:
        with pytest.raises(sqlite3.IntegrityError), database.transaction(db):
            rows.insert(db, one)
        with database.transaction(db):
            assert rows.insert(db, one._replace(labels='{"other":"line"}')).id == 2


def test_a_row_is_read_back_as_it_was_written(machine: Machine) -> None:
    whole = Incident(
        0, 1, "threshold", "m", "{}", 7, "eased", "critical", 1, 2, 3, 4, 5, "cleared", 6, 0.5, 0.75, 7, 8, 9, "{}", 10,
        11, "ada", "because",
    )  # fmt: skip
    with database.writer(str(machine.data)) as db, database.transaction(db):
        saved = rows.insert(db, whole)
        assert rows.get(db, saved.id) == saved
        rows.update(db, saved._replace(state="resolved", last_value=1.5))
        assert rows.get(db, saved.id) == saved._replace(state="resolved", last_value=1.5)
        assert rows.get(db, 99) is None


def test_recent_gives_what_opened_newest_first_page_by_page(machine: Machine) -> None:
    machine.feed([0.97] * 3 + [0.5], START)  # pending only: it is not an incident for anybody
    at = START + 86_400
    for _ in range(3):
        machine.feed([0.97] * 17 + [0.5] * 12, at)
        at += 86_400
    with database.reader(str(machine.data)) as db:
        first = [one for one in rows.recent(db, 1, 100) if one.kind == "threshold"]
        assert [one.opened_at for one in first] == sorted((one.opened_at for one in first), reverse=True)  # type: ignore[type-var]
        assert len(first) == 3
        page = rows.recent(db, 1, 2)
        assert rows.recent(db, 1, 100, page[-1].opened_at) == rows.recent(db, 1, 100)[2:]


def test_a_brief_breach_keeps_one_row_however_often_it_comes(machine: Machine) -> None:
    machine.feed([0.97, 0.97, 0.5] * 10, START)
    with database.reader(str(machine.data)) as db:
        assert db.execute("SELECT count(*), max(id) FROM incident").fetchone() == (1, 1)
        assert db.execute("SELECT count(*) FROM transition").fetchone() == (0,)
    assert machine.incidents() == []


def test_the_kept_row_becomes_the_incident_when_it_lasts(machine: Machine) -> None:
    at = machine.feed([0.97, 0.5], START)
    machine.feed([0.97] * 16, at)
    [found] = machine.incidents()
    assert (found.id, found.since_at, found.state) == (1, at, "open")


def test_acknowledging_says_who_and_why(machine: Machine) -> None:
    at = machine.feed([0.97] * 16, START)
    with database.writer(str(machine.data)) as db:
        done = rows.acknowledge(db, 1, "ada", "  the backup runs late ", at)
        assert (done.acknowledged_at, done.acknowledged_by, done.acknowledged_reason) == (
            at, "ada", "the backup runs late",
        )  # fmt: skip
        last = rows.transitions(db, 1)[-1]
    assert (last.kind, last.detail) == ("acknowledged", "ada: the backup runs late")


@pytest.mark.parametrize(
    ("ident", "reason", "field"),
    [(1, "", "reason"), (1, "   ", "reason"), (1, "x" * 501, "reason"), (9, "why", "incident")],
)
def test_a_bad_acknowledgement_names_its_field(machine: Machine, ident: int, reason: str, field: str) -> None:
    at = machine.feed([0.97] * 16, START)
    with database.writer(str(machine.data)) as db, pytest.raises(IncidentError) as caught:
        rows.acknowledge(db, ident, "ada", reason, at)
    assert caught.value.field == field
    assert machine.live()[0].acknowledged_at is None


def test_what_is_over_cannot_be_acknowledged(machine: Machine) -> None:
    at = machine.feed([0.97] * 16 + [0.5] * 12, START)
    with database.writer(str(machine.data)) as db, pytest.raises(IncidentError, match="is over"):
        rows.acknowledge(db, 1, "ada", "why", at)


def test_an_acknowledgement_ends_with_the_incident(machine: Machine) -> None:
    at = machine.feed([0.97] * 16, START)
    with database.writer(str(machine.data)) as db:
        rows.acknowledge(db, 1, "ada", "why", at)
    machine.feed([0.5] * 12 + [0.97] * 18, at)  # over, and back within half an hour: the same incident
    [found] = machine.incidents()
    assert (found.state, found.flaps, found.acknowledged_at) == ("open", 1, None)
    assert machine.mails() == [("opened",), ("resolved",), ("returned",)]


LINE = ("threshold", "m", "{}")


def lasting(data: str, spans: list[tuple[int, int | None, str]], kind: str = "threshold", labels: str = "{}") -> None:
    """Incidents of one line, over but for those without an end."""
    with database.writer(data) as db, database.transaction(db):
        for since, ended, level in spans:
            row = Incident(
                0, 1, kind, "m", labels, 7, "open" if ended is None else "resolved", level, since, None, since + 300,
                None, ended, "", since, 0.9, 0.9, since, 0, None, "", None, None, "", "",
            )  # fmt: skip
            rows.insert(db, row)


def test_spells_hold_all_incidents_of_a_span_and_those_too_close_as_one(machine: Machine) -> None:
    data = str(machine.data)
    lasting(data, [(1000, 1100, "warning"), (1500, 1600, "warning"), (1700, 1710, "critical"), (9000, 9600, "warning")])
    lasting(data, [(40_000, 41_000, "warning")])  # begins after the span
    lasting(data, [(1000, 1100, "warning")], labels='{"other":"line"}')
    with database.reader(data) as db:
        asked = (db, 1, "m", "{}", ("threshold",), 1050, 30_000)
        fine = rows.spells(*asked, now=20_000, grain=1, counted_from=1050)
        coarse = rows.spells(*asked, now=20_000, grain=1000, counted_from=1050)
        assert [(one.since_at, one.until, one.level, one.number, one.seconds) for one in fine] == [
            (1000, 1100, "warning", 1, 50), (1500, 1600, "warning", 1, 100), (1700, 1710, "critical", 1, 10),
            (9000, 9600, "warning", 1, 600),
        ]  # fmt: skip
        assert [(one.since_at, one.until, one.level, one.number, one.seconds) for one in coarse] == [
            (1000, 1600, "warning", 2, 150), (1700, 1710, "critical", 1, 10), (9000, 9600, "warning", 1, 600),
        ]  # fmt: skip
        assert sum(one.number for one in coarse) == len(rows.of_span(*asked))


def test_what_is_not_over_lasts_till_now(machine: Machine) -> None:
    data = str(machine.data)
    lasting(data, [(1000, None, "critical")])
    with database.reader(data) as db:
        [one] = rows.spells(db, 1, "m", "{}", ("threshold",), 5000, 9000, now=8000, grain=60, counted_from=5000)
        assert one == ("critical", 1000, 8000, 1, 3000)
        assert rows.of_span(db, 1, "m", "{}", ("forecast",), 5000, 9000) == []


def test_the_newest_of_a_span_are_given_in_order(machine: Machine) -> None:
    data = str(machine.data)
    lasting(data, [(at, at + 50, "warning") for at in range(1000, 3000, 100)])
    with database.reader(data) as db:
        found = rows.of_span(db, 1, "m", "{}", ("threshold",), 0, 10_000, 3)
    assert [one.since_at for one in found] == [2700, 2800, 2900]


def test_a_page_of_recent_ones_never_parts_those_of_one_second(machine: Machine) -> None:
    """The next page begins before the last one's second: whoever opened in it must stand on this page."""
    data = str(machine.data)
    for number in range(7):
        lasting(data, [(1000, 1100, "warning")], labels=f'{{"n":"{number}"}}')
    lasting(data, [(500, 600, "warning"), (2000, 2100, "warning")])
    seen, before = [], None
    with database.reader(data) as db:
        while page := rows.recent(db, 1, 3, before):
            seen += [one.id for one in page]
            before = page[-1].opened_at
        assert rows.recent(db, 1, 9, line=("m", '{"n":"4"}')) == [rows.get(db, seen[3])]
    assert len(seen) == len(set(seen)) == 9


def test_what_is_asked_every_minute_and_by_every_graph_walks_no_list_of_incidents(machine: Machine) -> None:
    data = str(machine.data)
    lasting(data, [(at, at + 50, "warning") for at in range(1000, 4000, 100)])
    said: list[str] = []
    with database.reader(data) as db:
        db.set_trace_callback(said.append)
        rows.live(db, 1)
        rows.of_line(db, 1, *LINE)
        rows.of_span(db, 1, "m", "{}", ("threshold",), 3500, 10_000, 20)
        rows.spells(db, 1, "m", "{}", ("threshold",), 3500, 10_000, now=9000, grain=9, counted_from=0)
        db.set_trace_callback(None)
        plans = [row[3] for text in said for row in db.execute(f"EXPLAIN QUERY PLAN {text}")]
    walked = [plan for plan in plans if "incident" in plan and "incident USING" not in plan]
    assert walked == []
    # The end of an incident is in the key: what was over before the graph begins is not read.
    assert len([plan for plan in plans if "incident_line" in plan and "<expr>>?" in plan]) == 2
    assert [plan for plan in plans if "incident_opened" in plan] == []
