"""Thresholds as rows: shipped ones, the administrator's over them, checks that name the field, history and undo."""

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts import catalogue
from alerts.refusals import REFUSALS
from alerts.rules import Rules
from archive import database, thresholds
from archive.thresholds import Threshold, ThresholdError
from tests.alerts.judging import ROOT, START, Machine

TANK = """# WARN tank_used_ratio > 0.9
# CRIT tank_used_ratio > 0.97 and tank_free_bytes < 5e9
# CLEAR tank_used_ratio 0.85
# FOR tank_used_ratio 5
tank_used_ratio{mount="/"} 0.5
tank_used_ratio{mount="/backup",kind="disk"} 0.5
tank_free_bytes{mount="/"} 9e9
# WARN load_average > 8
# OFF load_average
load_average 1
tank_info{maker="x"} 1
"""
MINE = Threshold("tank_used_ratio", "{}", True, 0.8, 0.95, 0.7, 60, 120)


@pytest.fixture
def data(tmp_path: Path) -> str:
    machine = Machine(tmp_path / "data")
    machine.cycle(START, {"tank": TANK})
    return str(machine.data)


def test_without_rows_the_shipped_ones_are_in_force(data: str) -> None:
    with database.reader(data) as db:
        load, tank = thresholds.effective(db, 1)
    assert tank == Threshold(
        "tank_used_ratio", "{}", True, 0.9, 0.97, 0.85, 300, 600, "tank_free_bytes", False, 5e9, "critical", True
    )
    assert (load.metric, load.enabled) == ("load_average", False)


def test_a_row_replaces_the_shipped_one_and_a_precise_one_stands_before_it(data: str) -> None:
    precise = MINE._replace(labels='{"mount":"/backup"}', enabled=False)
    with database.writer(data) as db:
        thresholds.save(db, MINE, "ada", START)
        thresholds.save(db, precise, "ada", START)
        found = [one for one in thresholds.effective(db, 1) if one.metric == "tank_used_ratio"]
    assert [(one.labels, one.warning, one.enabled) for one in found] == [
        ('{"mount":"/backup"}', 0.8, False),
        ("{}", 0.8, True),
    ]
    assert found[1].updated_by == "ada"


def test_the_most_precise_one_wins_for_each_line(data: str) -> None:
    with database.writer(data) as db:
        thresholds.save(db, MINE, "ada", START)
        thresholds.save(db, MINE._replace(labels='{"mount":"/backup"}', warning=0.94), "ada", START)
        thresholds.save(db, MINE._replace(labels='{"kind":"disk","mount":"/backup"}', warning=0.945), "ada", START)
        rules = Rules(db, 1)

    def level(labels: str) -> float | None:
        rule = rules.of("tank_used_ratio", labels)
        return rule.threshold.warning if rule else None

    assert level('{"mount":"/"}') == 0.8
    assert level('{"mount":"/backup"}') == 0.94
    assert level('{"kind":"disk","mount":"/backup"}') == 0.945
    assert level('{"kind":"tape","mount":"/backup"}') == 0.94
    assert rules.of("load_average", "{}") is None  # off
    assert rules.of("tank_free_bytes", "{}") is None  # none


def test_a_row_for_this_host_wins_over_one_for_every_host(data: str) -> None:
    with database.writer(data) as db:
        thresholds.save(db, MINE, "ada", START)
        thresholds.save(db, MINE._replace(host=1, warning=0.5, clear=0.4), "ada", START)
        thresholds.save(db, MINE._replace(host=2, warning=0.1, clear=0.05), "ada", START)
        [found] = [one for one in thresholds.effective(db, 1) if one.metric == "tank_used_ratio"]
    assert found.warning == 0.5


NAN, INFINITY = float("nan"), float("inf")
BAD = [
    ("metric", {"metric": "tank_usd_ratio"}),
    ("metric", {"metric": "tank_info"}),
    ("labels", {"labels": "mount=/"}),
    ("labels", {"labels": "[]"}),
    ("labels", {"labels": '{"mount":1}'}),
    ("warning", {"warning": None, "critical": None}),
    ("warning", {"warning": NAN}),
    ("warning", {"warning": INFINITY}),
    ("warning", {"warning": -INFINITY}),
    ("warning", {"warning": 1.2}),
    ("warning", {"warning": -0.1}),
    ("warning", {"warning": "0.9"}),
    ("warning", {"warning": True}),
    ("warning", {"warning": 10**400}),
    ("warning", {"warning": 10**9000}),
    ("critical", {"critical": NAN}),
    ("critical", {"critical": 1.01}),
    ("critical", {"critical": 0.79}),
    ("critical", {"above": False, "warning": 0.1, "critical": 0.2, "clear": 0.3}),
    ("clear", {"clear": 0.81}),
    ("clear", {"clear": NAN}),
    ("clear", {"warning": None, "clear": 0.96}),
    ("clear", {"above": False, "warning": 0.1, "critical": None, "clear": 0.05}),
    ("for_seconds", {"for_seconds": -1}),
    ("for_seconds", {"for_seconds": 7 * 86_400 + 1}),
    ("for_seconds", {"for_seconds": 1.5}),
    ("for_seconds", {"for_seconds": True}),
    ("clear_seconds", {"clear_seconds": -60}),
    ("clear_seconds", {"clear_seconds": 10**9}),
    ("second_for", {"second_for": "warning"}),
    ("second_metric", {"second_metric": "tank_used_ratio", "second_level": 0.5}),
    ("second_metric", {"second_metric": "no_such_metric", "second_level": 0.5}),
    ("second_level", {"second_metric": "tank_free_bytes"}),
    ("second_level", {"second_metric": "tank_free_bytes", "second_level": -1.0}),
    ("second_level", {"second_metric": "tank_free_bytes", "second_level": NAN}),
    ("second_for", {"critical": None, "second_metric": "tank_free_bytes", "second_level": 5e9}),
]


@pytest.mark.parametrize(("field", "given"), BAD)
def test_a_bad_value_names_its_field_and_nothing_is_saved(data: str, field: str, given: dict[str, object]) -> None:
    with database.writer(data) as db:
        thresholds.save(db, MINE, "ada", START)
        before = thresholds.effective(db, 1)
        with pytest.raises(ThresholdError) as caught:
            thresholds.save(db, MINE._replace(**given), "eve", START + 1)
        assert caught.value.field == field
        assert caught.value.message
        assert str(caught.value)
        assert thresholds.effective(db, 1) == before
        assert len(thresholds.changes(db)) == 1


GOOD = [
    {"critical": 0.8},
    {"critical": None},
    {"warning": None, "clear": 0.95},
    {"clear": None},
    {"clear": 0.8},
    {"for_seconds": 0, "clear_seconds": 0},
    {"for_seconds": 7 * 86_400},
    {"above": False, "warning": 0.1, "critical": 0.05, "clear": 0.15},
    {"warning": 0, "critical": 1, "clear": 0},
    {"second_metric": "tank_free_bytes", "second_level": 5e9, "second_for": "both"},
]


@pytest.mark.parametrize("given", GOOD)
def test_a_good_one_is_saved_as_it_was_given(data: str, given: dict[str, object]) -> None:
    wanted = MINE._replace(**given)  # type: ignore[arg-type]
    with database.writer(data) as db:
        saved = thresholds.save(db, wanted, "ada", START)
        assert thresholds.get(db, "tank_used_ratio") == saved
    assert saved == wanted._replace(updated_at=START, updated_by="ada")


def test_labels_are_kept_in_one_form(data: str) -> None:
    with database.writer(data) as db:
        saved = thresholds.save(db, MINE._replace(labels='{ "mount": "/é", "kind": "disk" }'), "ada", START)
        assert saved.labels == '{"kind":"disk","mount":"/é"}'
        assert thresholds.save(db, MINE._replace(labels=""), "ada", START).labels == "{}"


def test_the_same_again_is_no_change(data: str) -> None:
    with database.writer(data) as db:
        thresholds.save(db, MINE, "ada", START)
        assert thresholds.save(db, MINE, "eve", START + 60).updated_by == "ada"
        assert len(thresholds.changes(db)) == 1


def test_every_change_is_kept_with_what_stood_before(data: str) -> None:
    with database.writer(data) as db:
        thresholds.save(db, MINE, "ada", START)
        thresholds.save(db, MINE._replace(warning=0.85), "eve", START + 60)
        thresholds.delete(db, "tank_used_ratio", "{}", "ada", START + 120)
        found = thresholds.changes(db)
    assert [(one.by, one.before and one.before.warning, one.after and one.after.warning) for one in found] == [
        ("ada", 0.85, None),
        ("eve", 0.8, 0.85),
        ("ada", None, 0.8),
    ]


def test_undo_brings_back_what_stood_before_step_by_step(data: str) -> None:
    with database.writer(data) as db:
        thresholds.save(db, MINE, "ada", START)
        thresholds.save(db, MINE._replace(warning=0.85), "ada", START + 60)
        newest = thresholds.changes(db)[0]
        restored = thresholds.undo(db, newest.id, "ada", START + 120)
        assert restored is not None
        assert restored.warning == 0.8
        # Undone, the undoing itself can be undone.
        again = thresholds.undo(db, thresholds.changes(db)[0].id, "ada", START + 180)
        assert again is not None
        assert again.warning == 0.85


def test_undoing_the_first_change_brings_the_shipped_one_back(data: str) -> None:
    with database.writer(data) as db:
        thresholds.save(db, MINE, "ada", START)
        assert thresholds.undo(db, thresholds.changes(db)[0].id, "ada", START + 60) is None
        assert thresholds.get(db, "tank_used_ratio") is None
        [tank] = [one for one in thresholds.effective(db, 1) if one.metric == "tank_used_ratio"]
    assert tank.warning == 0.9


def test_undoing_a_deletion_brings_the_row_back(data: str) -> None:
    with database.writer(data) as db:
        thresholds.save(db, MINE, "ada", START)
        thresholds.delete(db, "tank_used_ratio", "{}", "ada", START + 60)
        thresholds.undo(db, thresholds.changes(db)[0].id, "ada", START + 120)
        found = thresholds.get(db, "tank_used_ratio")
    assert found is not None
    assert found.warning == 0.8


def test_an_older_change_cannot_be_undone_over_a_newer_one(data: str) -> None:
    with database.writer(data) as db:
        thresholds.save(db, MINE, "ada", START)
        thresholds.save(db, MINE._replace(warning=0.85), "ada", START + 60)
        oldest = thresholds.changes(db)[-1]
        with pytest.raises(ThresholdError, match="changed again"):
            thresholds.undo(db, oldest.id, "ada", START + 120)
        with pytest.raises(ThresholdError, match="no change number 99"):
            thresholds.undo(db, 99, "ada", START + 120)


def test_deleting_what_is_not_there_says_so(data: str) -> None:
    with database.writer(data) as db:
        assert thresholds.delete(db, "tank_used_ratio", "{}", "ada", START) is False


def test_a_save_within_the_callers_transaction_is_part_of_it(data: str) -> None:
    with database.writer(data) as db:
        db.execute("BEGIN IMMEDIATE")
        thresholds.save(db, MINE, "ada", START)
        db.execute("ROLLBACK")
        assert thresholds.get(db, "tank_used_ratio") is None
        assert thresholds.changes(db) == []


@given(
    st.floats(allow_nan=True, allow_infinity=True),
    st.one_of(st.none(), st.floats(allow_nan=True)),
    st.one_of(st.none(), st.floats(allow_nan=True)),
    st.booleans(),
)
def test_what_passes_the_checks_is_well_ordered(
    warning: float, critical: float | None, clear: float | None, above: bool
) -> None:
    import sqlite3

    db = sqlite3.connect(":memory:")
    db.execute("CREATE TABLE metric (name TEXT, kind TEXT)")
    db.execute("INSERT INTO metric VALUES ('x_ratio', 'gauge')")
    try:
        found = thresholds.checked(db, Threshold("x_ratio", "{}", above, warning, critical, clear, 0))
    except ThresholdError:
        return
    finally:
        db.close()
    levels = [level for level in (found.clear, found.warning, found.critical) if level is not None]
    assert levels == sorted(levels, reverse=not above)
    assert all(0 <= level <= 1 for level in levels)


# --- retention -------------------------------------------------------------------------------------------------------


def test_the_retention_is_400_days_until_it_is_set(data: str) -> None:
    with database.writer(data) as db:
        assert thresholds.retention_days(db) == 400
        thresholds.set_retention(db, 30, "ada", START)
        assert thresholds.retention_days(db) == 30
        [event] = db.execute("SELECT kind, subject, detail FROM event WHERE kind='setting'").fetchall()
    assert event == ("setting", "retention_days", "400 -> 30 (ada)")


@pytest.mark.parametrize("days", [0, -1, 3651, 10**9, 1.5, True, "abc", None])
def test_a_bad_retention_is_refused(data: str, days: object) -> None:
    with database.writer(data) as db:
        with pytest.raises(ThresholdError) as caught:
            thresholds.set_retention(db, days, "ada", START)  # type: ignore[arg-type]
        assert caught.value.field == "retention_days"
        assert thresholds.retention_days(db) == 400


# --- words -----------------------------------------------------------------------------------------------------------


# Errors with a field and a message that a form shows in the reader's words.
REFUSING = ("ThresholdError", "IncidentError", "RecipientError", "TokenError")


def test_every_refusal_has_its_french() -> None:
    """What the archive says is listed for the translators (alerts/refusals.py), so that no form falls back to English."""
    said = set()
    for path in sorted((ROOT / "archive").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in REFUSING:
                message = node.args[-1]
                if ast.unparse(message) != "error.message":  # another room's refusal, handed on
                    assert isinstance(message, ast.Constant), f"{path}:{node.lineno}"
                    said.add(message.value)
    assert said == set(REFUSALS)
    french = catalogue.merged("fr")
    assert [one for one in said if not french.get(one)] == []
