"""M23: every bad value of a threshold is refused by the real form, at its field, and what was in force stays in force."""

import pytest
from flask.testing import FlaskClient

from archive import database, thresholds
from tests.web import site
from tests.web.site import Page

LEVELS = ("cpu", "cpu.critical")
BAD_NUMBERS = [
    "nan", "NaN", "inf", "-inf", "1e400", "1" + "0" * 400, "-1", "-0,1", "101", "ten", "1,2,3", "1.2.3", "0x10", "１２ %x",
    "90 %%", "--90", "9 0 0", "<script>", "90\x00", "\u202e90", "'; DROP TABLE threshold; --", "{{7*7}}",
]  # fmt: skip
# (fields, the field that is named)
TABLE = [({name: value}, name) for name in LEVELS for value in BAD_NUMBERS]
TABLE += [
    ({"cpu": "95", "cpu.critical": "90"}, "cpu.critical"),  # warning > critical
    ({"cpu": "", "cpu.critical": ""}, "cpu"),
    *(({"cpu.minutes": value}, "cpu.minutes") for value in ("", " ", "nan", "inf", "-1", "1e400", "1" + "0" * 400, "ten", "1441000")),
    *(({"temps_limite": value}, "temps_limite") for value in ("", "0", "-1", "nan", "1e400", "1" + "0" * 400, "1,5", "ten")),
]  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = site.filled(str(tmp_path_factory.mktemp("levels") / "data"), 30, cpu=0.6)
    site.add_person(path)
    return path


@pytest.fixture(scope="module")
def client(data: str) -> FlaskClient:
    found = site.site(data).test_client()
    site.log_in(found)
    good = {
        "cpu": "80",
        "cpu.critical": "90",
        "memory": "66",
        "memory.critical": "98",
        "ram": "55",
        "temps_limite": "44",
    }
    assert site.post(found, "/thresholds", good).status_code == 303
    return found


def in_force(data: str) -> tuple[object, ...]:
    with database.reader(data) as db:
        return (thresholds.effective(db, 1), thresholds.changes(db), thresholds.retention_days(db))


@pytest.mark.parametrize(("fields", "name"), TABLE, ids=lambda value: repr(value)[:40])
def test_m23_a_bad_threshold_is_a_422_with_a_message_at_its_field_and_the_old_values_stay(
    client: FlaskClient, data: str, fields: dict[str, str], name: str
) -> None:
    before = in_force(data)
    # Good changes beside it: all of the form is saved, or nothing.
    answer = site.post(client, "/thresholds", {"memory": "61", "ram": "51", **fields})

    assert answer.status_code in (400, 422)
    page = Page(answer.text)
    assert page.by_id(name)["aria-invalid"] == "true"
    assert f'id="{name}-error"' in answer.text
    assert in_force(data) == before


def test_m23_the_table_is_not_vacuous_a_good_form_is_saved(client: FlaskClient, data: str) -> None:
    before = in_force(data)
    assert site.post(client, "/thresholds", {"memory": "62", "ram": "52"}).status_code == 303
    assert in_force(data) != before
