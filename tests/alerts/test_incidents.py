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
