"""Planned work as rows: kept, ended early, taken out; the history says who, and undoes."""

import pytest

from archive import changes, database, silences, undoing
from archive import silences as rows
from archive.incidents import IncidentError
from archive.silences import Silence
from tests.conftest import NOW
from tests.engines import ON_POSTGRESQL

START = NOW
WORK = Silence(0, 0, "", "{}", START, START + 3600, "", " moving racks ", 0, "", None)


def test_planned_work_is_kept_and_listed_until_it_is_over(data: str) -> None:
    with database.writer(data) as db:
        number = rows.plan(db, WORK, "ada", START)
        weekly = rows.plan(db, WORK._replace(to_at=0, weekly=rows.weekly_json([6], "22:00", "06:00")), "ada", START)
        assert [one.id for one in rows.silences(db, 1, START)] == [number, weekly]
        assert [one.id for one in rows.silences(db, 1, START + 3600)] == [weekly]
        assert rows.silences(db, 1, START)[0].reason == "moving racks"
        rows.end_plan(db, weekly, "ada", START + 10)
        assert rows.silences(db, 1, START + 3600) == []
        with pytest.raises(IncidentError):
            rows.end_plan(db, weekly, "ada", START + 20)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"to_at": START}, "to_at"),
        ({"to_at": START - 5}, "to_at"),
        ({"to_at": 0}, "to_at"),
        ({"from_at": START - 7200, "to_at": START - 3600}, "to_at"),
        ({"to_at": START + 401 * 86_400}, "to_at"),
        ({"labels": "[]"}, "labels"),
        ({"labels": '{"mount":1}'}, "labels"),
        ({"to_at": 0, "weekly": "{"}, "weekly"),
        ({"to_at": 0, "weekly": "[]"}, "weekly"),
        ({"to_at": 0, "weekly": rows.weekly_json([], "22:00", "06:00")}, "weekly"),
        ({"to_at": 0, "weekly": rows.weekly_json([7], "22:00", "06:00")}, "weekly"),
        ({"to_at": 0, "weekly": rows.weekly_json([1], "24:00", "06:00")}, "weekly"),
        ({"to_at": 0, "weekly": rows.weekly_json([1], "2:00", "06:00")}, "weekly"),
        ({"to_at": 0, "weekly": rows.weekly_json([1], "06:00", "06:00")}, "weekly"),
    ],
)
def test_bad_planned_work_names_its_field(data: str, given: dict[str, object], field: str) -> None:
    with database.writer(data) as db:
        with pytest.raises(IncidentError) as caught:
            rows.plan(db, WORK._replace(**given), "ada", START)  # type: ignore[arg-type]
        assert caught.value.field == field
        assert rows.silences(db, 1, 0) == []
        assert changes.recent(db) == []


def test_what_is_over_is_listed_apart_the_newest_end_first(data: str) -> None:
    with database.writer(data) as db:
        first = rows.plan(db, WORK, "ada", START)
        second = rows.plan(db, WORK._replace(to_at=START + 7200), "ada", START)
        rows.end_plan(db, second, "ada", START + 60)
        assert [one.id for one in rows.over(db, 1, START + 60)] == [second]
        assert [one.id for one in rows.over(db, 1, START + 3600)] == [first, second]


def test_a_graph_gets_what_may_have_been_open_in_its_time(data: str) -> None:
    with database.writer(data) as db:
        number = rows.plan(db, WORK, "ada", START)
        assert rows.between(db, 1, START - 900, START) == []
        assert [one.id for one in rows.between(db, 1, START - 900, START + 1)] == [number]
        assert [one.id for one in rows.between(db, 1, START + 3599, START + 9000)] == [number]
        assert rows.between(db, 1, START + 3600, START + 9000) == []


def test_every_change_is_kept_with_who_and_when_and_each_is_undone(data: str) -> None:
    with database.writer(data) as db:
        number = rows.plan(db, WORK, "ada", START)
        made = rows.get(db, number)
        rows.end_plan(db, number, "bob", START + 60)
        ended = rows.get(db, number)
        rows.drop_plan(db, number, "cyd", START + 120)
        assert rows.get(db, number) is None
        kept = changes.recent(db)
        assert [(one.by, one.at, one.kind, one.subject) for one in kept] == [
            ("cyd", START + 120, "window", str(number)),
            ("bob", START + 60, "window", str(number)),
            ("ada", START, "window", str(number)),
        ]
        undoing.undo(db, kept[0].id, "eve", START + 180)
        assert rows.get(db, number) == ended
        with pytest.raises(IncidentError, match="newer change first"):
            undoing.undo(db, kept[0].id, "eve", START + 185)  # once is enough: no second row comes of it
        undoing.undo(db, kept[1].id, "eve", START + 190)
        assert rows.get(db, number) == made
        undoing.undo(db, kept[2].id, "eve", START + 200)
        assert rows.get(db, number) is None
        # The undoing of all that can be undone too.
        undoing.undo(db, changes.recent(db)[0].id, "ada", START + 210)
        assert rows.get(db, number) == made


def test_a_change_that_was_changed_again_is_not_undone(data: str) -> None:
    with database.writer(data) as db:
        number = rows.plan(db, WORK, "ada", START)
        first = changes.recent(db)[0]
        rows.end_plan(db, number, "ada", START + 60)
        with pytest.raises(IncidentError, match="newer change first"):
            undoing.undo(db, first.id, "ada", START + 90)
        assert rows.get(db, number) is not None


def test_what_was_taken_out_comes_back_under_a_new_number_when_its_own_has_gone(data: str) -> None:
    with database.writer(data) as db:
        number = rows.plan(db, WORK, "ada", START)
        rows.drop_plan(db, number, "ada", START)
        gone = changes.recent(db)[0]
        other = rows.plan(db, WORK._replace(reason="other"), "ada", START)
        assert (other == number) != ON_POSTGRESQL  # SQLite gives the highest number again, PostgreSQL no number twice
        undoing.undo(db, gone.id, "ada", START + 5)
        assert sorted(one.reason for one in silences.silences(db, 1, START)) == ["moving racks", "other"]
