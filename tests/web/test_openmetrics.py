"""/metrics as Prometheus reads it: its own promtool and its own parser judge the real answer, hostile names and all."""

import json
import shutil
import subprocess

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_plain

from archive import database, read
from tests.web import site
from tests.web.hostile import hostile
from tests.web.site import NOW
from web import openmetrics
from web.openmetrics import Family, Reading

MODERN = {"Accept": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"}
READERS = {True: read_openmetrics, False: read_plain}
NASTY = ['a"b', "back\\slash", "new\nline", "\\n", "é🙂", "{}", "a,b=c", "# EOF", "", " ", "\\", '\\"']


@pytest.fixture(scope="module")
def evil(tmp_path_factory: pytest.TempPathFactory) -> str:
    return hostile(str(tmp_path_factory.mktemp("evil") / "data"))


@pytest.fixture(scope="module")
def client(evil: str) -> FlaskClient:
    return site.site(evil).test_client()


def promtool(text: str) -> subprocess.CompletedProcess[str]:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is missing: it is in Debian's package prometheus")
    return subprocess.run(
        [found, "check", "metrics"], input=text, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize("headers", [{}, MODERN])
def test_promtool_finds_nothing_to_say(client: FlaskClient, headers: dict[str, str]) -> None:
    done = promtool(client.get("/metrics", headers=headers).text)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_promtool_would_say_so(client: FlaskClient) -> None:
    assert promtool(client.get("/metrics").text + 'vigie_x{a="b} 1\n').returncode != 0


def test_the_form_is_the_one_that_was_asked_for(client: FlaskClient) -> None:
    plain, modern = client.get("/metrics"), client.get("/metrics", headers=MODERN)
    assert plain.content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert modern.content_type == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert "# EOF" not in plain.text.split("\n")
    assert modern.text.endswith("\n# EOF\n")
    assert "Accept" in plain.vary
    assert "Accept" in modern.vary


@pytest.mark.parametrize("modern", [True, False])
def test_every_value_is_read_back_as_it_stands_in_the_rows(evil: str, client: FlaskClient, modern: bool) -> None:
    text = client.get("/metrics", headers=MODERN if modern else {}).text
    found = {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in READERS[modern](text)
        for sample in family.samples
    }
    with database.reader(evil) as db:
        newest = read.latest(db, 1)
        lines = [line for line in read.series(db, 1) if line.id in newest]
    assert len(lines) > 100
    for line in lines:
        name = f"vigie_{line.metric.name}"
        if line.metric.kind == "counter":
            name = name.removesuffix("_total") + "_per_second"
        assert found[name, frozenset(json.loads(line.labels).items())] == newest[line.id].value
    assert found["vigie_last_cycle_timestamp_seconds", frozenset()] == NOW


def test_units_are_told_and_rates_have_none(client: FlaskClient) -> None:
    text = client.get("/metrics", headers=MODERN).text
    assert "# UNIT vigie_disk_used_ratio ratio\n" in text
    assert "# UNIT vigie_user_memory_bytes bytes\n" in text
    assert "# UNIT vigie_cpu_busy_seconds_per_second" not in text


def metric(name: str, help: str = "", kind: str = "gauge") -> read.Metric:
    return read.Metric(1, name, kind, "bytes", 1, help, "", "probe", "")


@pytest.mark.parametrize("modern", [True, False])
@pytest.mark.parametrize("nasty", NASTY)
def test_a_hostile_label_and_a_hostile_help_come_back_whole(nasty: str, modern: bool) -> None:
    made = openmetrics.families([Reading(metric("x_bytes", f"said {nasty}."), {"a": nasty, "b": "c"}, 12.5)])
    (family,) = READERS[modern](openmetrics.exposition(made, openmetrics=modern))
    assert family.samples[0].labels == {"a": nasty, "b": "c"}
    # The Python reader of the older format strips a help and takes \" for a quote's escape; promtool takes no such one.
    assert family.documentation.split() == f"said {nasty}.".split()


@given(st.dictionaries(st.sampled_from(["a", "b", "__c", "d-e", "é", "f1"]), st.text(st.characters(exclude_categories=["Cs"]))),
       st.floats(-1e18, 1e18))  # fmt: skip
def test_any_label_and_any_number_come_back(labels: dict[str, str], value: float) -> None:
    made = openmetrics.families([Reading(metric("x_bytes"), labels, value)])
    (family,) = read_openmetrics(openmetrics.exposition(made, openmetrics=True))
    assert family.samples[0].labels == {key: told for key, told in labels.items() if key in ("a", "b", "f1")}
    assert family.samples[0].value == value


def test_a_name_or_a_line_that_comes_twice_is_told_once() -> None:
    same = [Reading(metric("x"), {"__a": "1"}, 1.0), Reading(metric("x"), {"__a": "2"}, 2.0)]
    taken = Family("vigie_x", "ours", [({}, 9.0)])
    text = openmetrics.exposition([taken, *openmetrics.families(same)], openmetrics=False)
    assert text.count("\nvigie_x ") == 1
    assert "vigie_x 9\n" in text
    assert openmetrics.exposition(openmetrics.families(same), openmetrics=False).count("\nvigie_x ") == 1


def test_large_numbers_keep_every_digit() -> None:
    made = openmetrics.families([Reading(metric("x_bytes"), {}, 1_234_567_890_123.0)])
    assert "vigie_x_bytes 1234567890123\n" in openmetrics.exposition(made, openmetrics=False)


def test_old_values_leave_the_exposition(evil: str) -> None:
    late = site.site(evil, lambda: NOW + 3600).test_client().get("/metrics").text
    assert "vigie_disk_used_ratio" not in late
    assert f"vigie_last_cycle_timestamp_seconds {NOW}" in late
