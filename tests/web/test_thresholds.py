"""The thresholds form: the original's four fields, all or nothing, messages beside the fields, history, undo."""

import re

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from alerts import backtest
from alerts.words import Words
from archive import database, purge, read, thresholds
from archive.thresholds import Threshold
from tests import cycles
from tests.web import site
from tests.web.site import NOW, Page
from web import levels
from web.levels import Mistake

FR, EN = Words("fr", "Europe/Paris"), Words("en", "UTC")
CPU, DISK, RAM = "cpu_busy_seconds_total", "disk_used_ratio", "memory_available_ratio"


@pytest.fixture
def data(tmp_path: object) -> str:
    path = site.filled(f"{tmp_path}/data", 30, cpu=0.6)
    site.add_person(path)
    return path


@pytest.fixture
def client(data: str) -> FlaskClient:
    found = site.site(data).test_client()
    site.log_in(found)
    return found


def kept(data: str, metric: str, labels: str = "{}") -> Threshold:
    with database.reader(data) as db:
        return next(one for one in thresholds.effective(db, 1) if (one.metric, one.labels) == (metric, labels))


def rows(data: str) -> tuple[int, int, int]:
    """(thresholds, changes, retention) as the database holds them."""
    with database.reader(data) as db:
        count = db.execute("SELECT count(*) FROM threshold").fetchone()[0]
        return count, len(thresholds.changes(db)), thresholds.retention_days(db)


def save(client: FlaskClient, **fields: str) -> int:
    return site.post(
        client, "/thresholds", {name.replace("__", "."): value for name, value in fields.items()}
    ).status_code


# --- what is typed ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90", 90.0),
        ("90,5", 90.5),
        ("1\u202f000", 1000.0),
        ("−5", -5.0),
        ("", None),
        ("  ", None),
        (",5", 0.5),
    ],
)
def test_numbers_are_read_as_people_type_them(text: str, expected: float | None) -> None:
    assert levels.number(text) == expected


@pytest.mark.parametrize(
    "text", ["abc", "9o", "1e5", "nan", "inf", "--1", "1.2.3", "0x10", "१२", "½", "%", "1;2", "9" * 40]
)
def test_what_is_no_number_is_a_mistake(text: str) -> None:
    with pytest.raises(Mistake):
        levels.number(text)


@pytest.mark.parametrize(
    ("text", "unit", "metric", "expected"),
    [
        ("0,9", "ratio", DISK, 0.009),
        ("97 %", "ratio", DISK, 0.97),
        ("97\u202f%", "ratio", DISK, 0.97),
        (" 90.5 % ", "ratio", DISK, 0.905),
        ("%", "ratio", DISK, None),
        ("5", "bytes", "disk_available_bytes", 5 * 2.0**30),
        ("5 Gio", "bytes", "disk_available_bytes", 5 * 2.0**30),
        ("5 Go", "bytes", "disk_available_bytes", 5e9),
        ("5\u202fGo", "bytes", "disk_available_bytes", 5e9),
        ("1,5 TB", "bytes", "disk_available_bytes", 1.5e12),
        ("500 mo", "bytes", "disk_available_bytes", 5e8),
        ("512 KiB", "bytes", "disk_available_bytes", 2.0**19),
        ("2 h", "seconds", "cycle_lag_seconds", 7200.0),
        ("80 °C", "celsius", "temperature_celsius", 80.0),
    ],
)
def test_levels_are_read_with_their_units(text: str, unit: str, metric: str, expected: float | None) -> None:
    assert levels.level(text, unit, "gauge", metric, FR) == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(("text", "unit"), [("5 Go", "ratio"), ("90 %", "bytes"), ("5 Gx", "bytes"), ("2 h", "count")])
def test_another_metrics_unit_is_refused_with_what_is_expected(text: str, unit: str) -> None:
    with pytest.raises(Mistake) as caught:
        levels.level(text, unit, "gauge", DISK, FR)
    told = FR.gettext(caught.value.message, **caught.value.values)
    assert text in told
    assert "par exemple" in told


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        (5e9, "5\u00a0Go"),
        (2.0**31, "2\u00a0Gio"),
        (1.5e12, "1,5\u00a0To"),
        (0.0, "0\u00a0o"),
        (2.0**20 * 1.5, "1,5\u00a0Mio"),
    ],
)
def test_a_size_is_shown_in_the_unit_that_was_meant(level: float, shown: str) -> None:
    assert levels.shown(level, "bytes", "fr") == shown
    assert levels.level(shown, "bytes", "gauge", "disk_available_bytes", FR) == level


@given(st.floats(0, 1e15))
def test_what_the_form_shows_of_a_size_is_read_back(level: float) -> None:
    again = levels.level(levels.shown(level, "bytes", "fr"), "bytes", "gauge", "disk_available_bytes", FR)
    assert again == pytest.approx(level, rel=1e-6, abs=16)


@given(st.text(max_size=60))
def test_no_text_breaks_the_reader(text: str) -> None:
    try:
        found = levels.number(text)
    except Mistake:
        return
    assert found is None or abs(found) < 1e16


@given(st.floats(0, 1), st.sampled_from(["fr", "en"]))
def test_what_the_form_shows_is_read_back_as_the_same_level(level: float, language: str) -> None:
    words = FR if language == "fr" else EN
    shown = levels.shown(level, "ratio", language)
    again = levels.level(shown, "ratio", "gauge", DISK, words)
    assert again is not None
    assert abs(again - level) < 1e-6


# --- the form ---------------------------------------------------------------------------------------------------------


def test_the_originals_four_fields_come_first_then_every_other_metric(client: FlaskClient) -> None:
    page = Page(client.get("/thresholds").text)
    names = [
        one["name"] for one in page.all("input") if one.get("name") and one.get("type") not in ("hidden", "checkbox")
    ]
    first = [name for name in names if "." not in name]
    assert first == ["cpu", "memory", "ram", "temps_limite"]
    assert names.index("temps_limite") < min(names.index(name) for name in names if name.startswith("m."))
    assert page.by_id("cpu")["value"] == "90"
    assert page.by_id("ram")["value"] == "90"  # 10 % available, shown as used
    assert page.by_id("temps_limite")["value"] == "400"
    assert "m.user_memory_bytes" in names


def test_saved_values_are_the_ones_judged_at_the_next_cycle(client: FlaskClient, data: str) -> None:
    assert save(client, cpu="50", cpu__minutes="1", memory="80", ram="70", temps_limite="90") == 303
    assert kept(data, CPU).warning == 0.5
    assert kept(data, CPU).for_seconds == 60
    assert kept(data, DISK).warning == 0.8
    assert kept(data, RAM).warning == pytest.approx(0.3)
    assert rows(data)[2] == 90
    site.judged(data, 3, NOW + 180, cpu=0.6)
    html = site.site(data, lambda: NOW + 180).test_client().get("/").text
    assert "Processeur à 60 %" in Page(html).text


def test_only_what_was_changed_becomes_a_row(client: FlaskClient, data: str) -> None:
    assert save(client, cpu="90", memory="90", ram="90", temps_limite="400") == 303
    assert rows(data) == (0, 0, 400)
    assert save(client, cpu="91") == 303
    assert rows(data) == (1, 1, 400)


WRONG = [
    ({"cpu": "abc"}, "cpu", "« abc »"),
    ({"cpu": "101"}, "cpu", "hors limites"),
    ({"cpu": "-1"}, "cpu", "hors limites"),
    ({"memory": "98", "memory.critical": "95"}, "memory.critical", "inférieur au niveau d’attention"),
    ({"ram": "96", "ram.critical": "95"}, "ram.critical", "inférieur au niveau d’attention"),
    ({"ram": "120"}, "ram", "de 0 à 100"),
    ({"temps_limite": "0"}, "temps_limite", "hors limites"),
    ({"temps_limite": "4000"}, "temps_limite", "hors limites"),
    ({"temps_limite": "ten"}, "temps_limite", "« ten »"),
    ({"temps_limite": "1,5"}, "temps_limite", "entier"),
    ({"temps_limite": ""}, "temps_limite", "nombre"),
    ({"cpu.minutes": "-1"}, "cpu.minutes", "hors limites"),
    ({"cpu": "", "cpu.critical": ""}, "cpu", "Donnez un niveau"),
    ({"m.load_average": "<b>", "m.load_average.shown": "1"}, "m.load_average", "&lt;b&gt;"),
]


@pytest.mark.parametrize(("fields", "name", "message"), WRONG)
def test_a_wrong_value_gets_its_message_the_others_stay_as_typed_and_nothing_is_saved(
    client: FlaskClient, data: str, fields: dict[str, str], name: str, message: str
) -> None:
    typed = {"cpu": "77", "memory": "66", "ram": "55", "temps_limite": "44"} | fields
    if "memory.critical" not in fields:
        typed["memory.critical"] = "98"
    answer = site.post(client, "/thresholds", typed)
    assert answer.status_code == 422
    page = Page(answer.text)
    wrong = page.by_id(name)
    assert wrong["aria-invalid"] == "true"
    assert wrong["aria-describedby"] == f"{name}-error"
    assert message in (answer.text if "<" in message or "&" in message else page.text)
    assert f'id="{name}-error"' in answer.text
    for field, value in typed.items():
        if not field.endswith(".shown"):
            assert page.by_id(field).get("value", "") == value, field
    focused = [attributes["id"] for _tag, attributes in page.elements if "autofocus" in attributes]
    assert focused == [name]
    assert rows(data) == (0, 0, 400)


def test_every_mistake_is_told_at_once_and_the_first_has_the_focus(client: FlaskClient) -> None:
    answer = site.post(client, "/thresholds", {"cpu": "x", "ram": "y", "temps_limite": "z"})
    page = Page(answer.text)
    assert len(re.findall('aria-invalid="true"', answer.text)) == 3
    assert "3 valeurs" in page.text
    assert [attributes["id"] for _tag, attributes in page.elements if "autofocus" in attributes] == ["cpu"]


def test_the_clear_level_moves_with_the_level_at_which_it_opens(client: FlaskClient, data: str) -> None:
    with database.writer(data) as db:
        thresholds.save(db, Threshold(CPU, "{}", True, 0.95, None, 0.85, 900), "test", NOW)
    assert save(client, cpu="50") == 303
    assert kept(data, CPU).clear == pytest.approx(0.40)
    assert save(client, cpu="5") == 303
    assert kept(data, CPU).clear is None


def test_a_threshold_can_be_switched_off_and_on(client: FlaskClient, data: str) -> None:
    assert save(client, cpu__shown="1") == 303
    assert not kept(data, CPU).enabled
    assert save(client, cpu__shown="1", cpu__on="on") == 303
    assert kept(data, CPU).enabled


def test_a_metric_without_threshold_gets_one(client: FlaskClient, data: str) -> None:
    fields = {"m.user_memory_bytes": "2", "m.user_memory_bytes.minutes": "5", "m.user_memory_bytes.on": "on",
              "m.user_memory_bytes.shown": "1"}  # fmt: skip
    assert site.post(client, "/thresholds", fields).status_code == 303
    found = kept(data, "user_memory_bytes")
    assert (found.warning, found.for_seconds, found.enabled) == (2 * 2**30, 300, True)


def test_trying_tells_what_would_have_been_and_saves_nothing(client: FlaskClient, data: str) -> None:
    answer = site.post(client, "/thresholds", {"cpu": "50", "cpu.minutes": "5", "try": "1"})
    assert answer.status_code == 200
    assert "Sur les 30 derniers jours, ce seuil aurait ouvert 1 incident et envoyé 1 courriel" in Page(answer.text).text
    assert "celui en vigueur n’en a ouvert aucun" in Page(answer.text).text
    assert "1 incident" in Page(answer.text).text
    assert rows(data) == (0, 0, 400)


def test_the_script_gets_the_same_sentence(client: FlaskClient) -> None:
    told = client.get("/trial.json", query_string={"metric": CPU, "key": "cpu", "warning": "50", "minutes": "5"}).json
    assert told is not None
    assert told["errors"] == {}
    assert "1 incident" in told["sentence"]
    wrong = client.get("/trial.json", query_string={"metric": CPU, "key": "cpu", "warning": "x"}).json
    assert wrong is not None
    assert "warning" in wrong["errors"]
    assert client.get("/trial.json", query_string={"metric": "nothing"}).status_code == 404


@pytest.fixture
def old(tmp_path: object) -> str:
    """A machine with a few minutes of ten days ago, and the last half-hour."""
    path = site.folder(f"{tmp_path}/old")
    cycles.fill(path, NOW - 10 * 86_400, 5)
    site.judged(path, 30, NOW, cpu=0.6)
    site.add_person(path)
    return path


def samples(data: str) -> int:
    with database.reader(data) as db:
        return read.counts(db)["sample"]


def test_a_shorter_retention_says_what_it_deletes_and_waits_for_a_yes(old: str) -> None:
    client = site.site(old).test_client()
    site.log_in(client)
    with database.reader(old) as db:
        count, _size = purge.preview(db, 1, 3, NOW)
    told = f"Garder 3 jours supprime {FR.number(count)} mesures et libère environ"
    tried = site.post(client, "/thresholds", {"temps_limite": "3", "try": "1"})
    assert site.plain(told) in Page(tried.text).text

    asked = site.post(client, "/thresholds", {"temps_limite": "3", "cpu": "77", "save": "1"})
    page = Page(asked.text)
    assert site.plain(told) in page.text
    assert page.by_id("temps_limite")["value"] == "3"
    assert page.by_id("cpu")["value"] == "77"
    [dialog] = [attributes for _tag, attributes in page.elements if attributes.get("role") == "alertdialog"]
    assert "autofocus" in dialog
    assert rows(old) == (0, 0, 400)

    # A yes to another number of days is no yes.
    other = site.post(client, "/thresholds", {"temps_limite": "2", "confirm": "3"}, "/thresholds")
    assert other.status_code == 200
    assert rows(old) == (0, 0, 400)

    done = site.post(client, "/thresholds", {"temps_limite": "3", "cpu": "77", "confirm": "3"}, "/thresholds")
    assert done.status_code == 303
    assert rows(old)[2] == 3
    assert kept(old, CPU).warning == 0.77
    before = samples(old)
    with database.writer(old) as db:
        assert purge.edge(db, 1, NOW) == purge.kept_from(3, NOW)  # all of it in one night, not two days a night
    with database.writer(old) as db, database.transaction(db):
        purge.step(db, 1, purge.kept_from(3, NOW), NOW)
    assert before - samples(old) == count


def test_the_rest_can_be_saved_without_the_retention(old: str) -> None:
    client = site.site(old).test_client()
    site.log_in(client)
    assert site.post(client, "/thresholds", {"temps_limite": "3", "cpu": "77", "keep": "1"}).status_code == 303
    assert rows(old) == (1, 1, 400)


def test_a_longer_retention_or_one_that_deletes_nothing_is_saved_at_once(client: FlaskClient, data: str) -> None:
    assert save(client, temps_limite="401") == 303
    assert save(client, temps_limite="90 jours") == 303
    assert rows(data)[2] == 90


def test_the_history_has_the_retention_and_undoes_it_but_deletes_nothing_unasked(old: str) -> None:
    client = site.site(old).test_client()
    site.log_in(client)
    assert site.post(client, "/thresholds", {"temps_limite": "3", "confirm": "3"}, "/thresholds").status_code == 303
    page = client.get("/thresholds").text
    assert "400 jours → 3 jours · admin" in Page(page).text
    number = re.search(r"/thresholds/undo/(\d+)", page)
    assert number
    site.post(client, f"/thresholds/undo/{number[1]}", {}, "/thresholds")
    assert rows(old)[2] == 400
    with database.reader(old) as db:
        assert purge.allowed(db) == 0
    # Undoing the undoing would delete: it says what, and refers to the form that asks.
    number = re.search(r"/thresholds/undo/(\d+)", client.get("/thresholds").text)
    assert number
    site.post(client, f"/thresholds/undo/{number[1]}", {}, "/thresholds")
    assert rows(old)[2] == 400
    assert "demande confirmation" in client.get("/thresholds").text


# --- the advanced part ------------------------------------------------------------------------------------------------


ADVANCED = {"clear": "80", "clear_minutes": "20", "second_metric": "disk_available_bytes", "second_side": "below",
            "second_level": "5 Go", "second_for": "critical"}  # fmt: skip


def test_the_clear_level_and_the_second_condition_are_edited_on_a_metrics_own_page(
    client: FlaskClient, data: str
) -> None:
    page = Page(client.get(f"/thresholds/{DISK}").text)
    assert page.by_id("second_metric")["name"] == "second_metric"
    assert page.by_id("second_level")["value"] == "5\u00a0Go"  # as shipped: and disk_available_bytes < 5e9
    assert (
        site.post(client, f"/thresholds/{DISK}", ADVANCED | {"second_level": "2 Gio", "second_for": "both"}).status_code
        == 303
    )
    found = kept(data, DISK)
    assert (found.clear, found.clear_seconds) == (0.8, 1200)
    assert (found.second_metric, found.second_above, found.second_level) == ("disk_available_bytes", False, 2.0**31)
    assert found.second_for == "both"
    assert site.post(client, f"/thresholds/{DISK}", {"second_metric": "", "clear": ""}).status_code == 303
    found = kept(data, DISK)
    assert (found.clear, found.second_metric, found.second_level) == (None, "", None)


def test_the_clear_level_of_the_memory_is_shown_and_typed_as_used(client: FlaskClient, data: str) -> None:
    assert site.post(client, f"/thresholds/{RAM}", {"clear": "85"}).status_code == 303
    assert kept(data, RAM).clear == pytest.approx(0.15)
    assert Page(client.get(f"/thresholds/{RAM}").text).by_id("clear")["value"] == "85"


@pytest.mark.parametrize(
    ("metric", "fields", "name", "message"),
    [
        (DISK, {"clear": "95"}, "clear", "ne doit pas être supérieur"),
        (RAM, {"clear": "95"}, "clear", "ne doit pas être supérieur"),
        (DISK, {"clear": "abc"}, "clear", "par exemple"),
        (DISK, {"clear_minutes": "-1"}, "clear_minutes", "hors limites"),
        (DISK, {"second_metric": "nothing"}, "second_metric", "nothing"),
        (DISK, {"second_metric": DISK}, "second_metric", DISK),
        (DISK, {"second_level": "5 Gx"}, "second_level", "5 Gx"),
        (DISK, {"second_level": ""}, "second_level", "niveau"),
        (CPU, {"second_metric": RAM, "second_level": "20"}, "second_for", "niveau critique"),
    ],
)
def test_a_wrong_value_of_the_advanced_part_is_told_beside_it_and_the_part_stands_open(
    client: FlaskClient, data: str, metric: str, fields: dict[str, str], name: str, message: str
) -> None:
    answer = site.post(client, f"/thresholds/{metric}", fields)
    assert answer.status_code == 422
    page = Page(answer.text)
    assert page.by_id(name)["aria-describedby"] == f"{name}-error"
    assert "autofocus" in page.by_id(name)
    assert message in page.text
    assert 'role="alert"' in answer.text
    assert "open" in next(one for one in page.all("details") if one.get("class") == "advanced")
    for field, value in fields.items():
        if field != "second_metric":
            assert page.by_id(field).get("value", "") == value
    assert rows(data)[0] == 0


# --- the marks --------------------------------------------------------------------------------------------------------


def test_trying_on_a_metrics_own_page_draws_both_thresholds_marks(client: FlaskClient, data: str) -> None:
    answer = site.post(client, f"/thresholds/{CPU}", {"cpu": "50", "cpu.minutes": "5", "try": "1"})
    assert answer.status_code == 200
    with database.reader(data) as db:
        now = next(one for one in thresholds.effective(db, 1) if one.metric == CPU)
        compared = backtest.compare(db, 1, now._replace(warning=0.5, clear=None, for_seconds=300), NOW)
    assert len(compared.proposed.marks) == 1
    assert not compared.in_force.marks
    # One bar and one triangle for the one opening, in each size of the drawing; no lane is missing.
    for size in ("v-wide", "v-card", "v-narrow"):
        drawn = answer.text.split(f'class="v-chart {size}"')[1].split("</svg>")[0]
        assert drawn.count("v-trial v-trial-0 v-trial-warning") == 2
        assert "v-trial-1" not in drawn
        assert ">seuil proposé<" in drawn
        assert ">seuil en vigueur<" in drawn
    assert FR.clock(compared.proposed.marks[0].start) in Page(answer.text).text
    assert "Rien ne se serait ouvert." in Page(answer.text).text
    assert rows(data)[0] == 0


def test_the_graph_shows_the_marks_of_the_one_in_force_beside(client: FlaskClient, data: str) -> None:
    save(client, cpu="50", cpu__minutes="5")
    answer = site.post(client, f"/thresholds/{CPU}", {"cpu": "55", "cpu.minutes": "10", "try": "1"})
    drawn = answer.text.split('class="v-chart v-wide"')[1].split("</svg>")[0]
    assert drawn.count("v-trial v-trial-0") == 2
    assert drawn.count("v-trial v-trial-1") == 2


def test_the_history_says_who_and_undoes(client: FlaskClient, data: str) -> None:
    save(client, cpu="50")
    page = client.get("/thresholds")
    assert "90\u202f%" in page.text or "d’origine" in page.text
    assert "· admin" in page.text
    number = re.search(r"/thresholds/undo/(\d+)", page.text)
    assert number
    assert site.post(client, f"/thresholds/undo/{number[1]}", {}, "/thresholds").status_code == 303
    assert kept(data, CPU).warning == 0.9
    # twice: the newer change stands in the way, and that is said
    answer = site.post(client, f"/thresholds/undo/{number[1]}", {}, "/thresholds")
    assert answer.status_code == 303


def test_a_line_may_have_an_exception(client: FlaskClient, data: str) -> None:
    with database.reader(data) as db:
        from archive import read

        line = next(one for one in read.series(db, 1, DISK) if one.label("mount") == "/srv")
    address = f"/thresholds/{DISK}?line={line.id}"
    page = client.get(address)
    assert "/srv" in page.text
    assert site.post(client, address, {"memory": "75", "memory.critical": "85"}).status_code == 303
    assert kept(data, DISK, line.labels).warning == 0.75
    assert kept(data, DISK).warning == 0.9
    assert "1 exception" in client.get("/thresholds").text
    assert site.post(client, address, {"reset": "1"}).status_code == 303
    with database.reader(data) as db:
        assert thresholds.get(db, DISK, line.labels) is None


@pytest.mark.parametrize(
    "query", ["line=abc", "line=999999", "line=-1", "line=1&line=2", "line=" + "9" * 30, "line=%00"]
)
def test_w18_a_made_up_line_is_refused_in_words(client: FlaskClient, query: str) -> None:
    assert client.get(f"/thresholds/{DISK}?{query}").status_code in (400, 404)


def test_the_direction_can_be_chosen_on_a_metrics_own_page(client: FlaskClient, data: str) -> None:
    fields = {
        "direction": "below",
        "m.uptime_seconds": "60",
        "m.uptime_seconds.on": "on",
        "m.uptime_seconds.shown": "1",
    }
    assert site.post(client, "/thresholds/uptime_seconds", fields).status_code == 303
    assert not kept(data, "uptime_seconds").above


def test_without_log_in_the_form_is_shown_and_cannot_be_sent(data: str) -> None:
    client = site.site(data).test_client()
    page = client.get("/thresholds")
    assert "Connectez-vous" in page.text
    assert "disabled" in Page(page.text).all("fieldset")[0]
    assert "csrf_token" not in page.text
    assert client.post("/thresholds", data={"cpu": "50"}).status_code == 400


def test_a_locked_database_is_said_and_nothing_is_half_saved(
    client: FlaskClient, data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from web import store

    given = site.token(client.get("/thresholds").text)
    monkeypatch.setattr(store.writing.__wrapped__, "__defaults__", (0.1,))
    with database.locked(data):
        answer = client.post("/thresholds", data={"cpu": "50", "csrf_token": given})
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
    assert rows(data)[0] == 0
