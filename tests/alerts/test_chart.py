"""Graphs: clean under a strict policy, the same bytes for the same data, right on days of 23 and 25 hours."""

import re
from datetime import datetime
from itertools import pairwise
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts import chart, chart_bars, chart_data, chart_filter, chart_skin
from alerts.chart import Band, Forecast, Graph, Level, Line, Mark, Name, Point
from alerts.chart_data import Gap
from alerts.chart_ticks import time_ticks, value_axis
from alerts.words import Words

PARIS = ZoneInfo("Europe/Paris")
FR, EN = Words("fr", "Europe/Paris"), Words("en", "Europe/Paris")
NOW = 1_795_221_000 // 300 * 300
DAY = 86_400
SIZES = [chart.CARD, chart.NARROW, chart.WIDE]
UNITS = ["ratio", "bytes", "seconds", "celsius", "count", "bytes_rate", "count_rate"]


def day(mean: float = 0.2, hole: range = range(0)) -> list[Point]:
    start = NOW - DAY
    return [
        Point(start + 300 * i, mean + i / 3000, mean, mean + 0.3, 5) for i in range(288) if start + 300 * i not in hole
    ]


def graph(points: list[Point], **more: object) -> Graph:
    base = Graph("ratio", NOW - DAY, NOW, 300, [Line("", points)], NOW)
    return base._replace(**more)  # type: ignore[arg-type]


def check_clean(svg: str) -> ElementTree.Element:
    """Parse, and look at every element and attribute: the policy's test."""
    root = ElementTree.fromstring(svg)
    for node in root.iter():
        tag = node.tag.rpartition("}")[2]
        assert tag in {"svg", "g", "path", "rect", "text", "line"} | (
            {"style"} if node.text == chart_skin.STYLE else set()
        )
        for name, value in node.attrib.items():
            assert not name.startswith("on")
            assert "href" not in name
            assert name != "style"
            if name in ("d", "x", "y", "width", "height", "transform"):
                assert not re.search(r"nan|inf|\d{6,}", value.lower()), value
    assert "pygal" not in svg.lower()
    assert "<!--" not in svg
    assert "http" not in svg.replace("http://www.w3.org/2000/svg", "")
    return root


def classes(svg: str) -> set[str]:
    return {part for found in re.findall(r'class="([^"]*)"', svg) for part in found.split()}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("alone", [None, ("Processeur", "24 heures : moyenne 26 %")])
def test_everything_is_drawn_and_nothing_else(size: chart.Size, alone: tuple[str, str] | None) -> None:
    hole = range(NOW - 50_000, NOW - 45_000)
    drawn = chart.draw(
        graph(
            day(hole=hole),
            levels=[Level(0.85, "warning", "seuil 85 %"), Level(0.97, "critical", "critique 97 %")],
            incidents=[Band(NOW - 20_000, NOW - 10_000, "critical"), Band(NOW - 9000, NOW - 8000, "warning")],
            events=[Mark(NOW - 30_000, "boot")],
        ),
        FR,
        size,
        Name("a-title", "a-summary"),
        alone=alone,
    )
    assert drawn is not None
    root = check_clean(drawn.svg)
    assert root.get("role") == "img"
    assert (root.get("aria-labelledby"), root.get("aria-describedby")) == ("a-title", "a-summary")
    assert {"v-line", "v-envelope", "v-gap", "v-incident", "v-warning-band", "v-level", "v-event"} <= classes(drawn.svg)
    assert set(drawn.shown) == {
        "line", "envelope", "gap", "incident", "warning-band", "level", "level-warning", "event",
    }  # fmt: skip
    assert "seuil 85 %" in drawn.svg
    assert (root.get("width"), root.get("height")) == (str(size.width), str(size.height))
    assert (alone is not None) == ("<style>" in drawn.svg)


def test_the_same_data_gives_the_same_bytes() -> None:
    first = chart.draw(graph(day()), FR, chart.CARD, Name("a", "b"))
    again = chart.draw(graph(list(reversed(day()))), FR, chart.CARD, Name("a", "b"))
    assert first == again


def test_the_policy_of_a_lone_svg_names_its_one_style_sheet() -> None:
    import base64
    import hashlib

    drawn = chart.draw(graph(day()), FR, chart.WIDE, Name(), alone=("Titre", "Phrase"))
    assert drawn is not None
    style = re.search(r"<style>(.*?)</style>", drawn.svg, re.S)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'sha256-{digest}'; sandbox" == chart_skin.POLICY
    # Every class that it draws has a rule there, and the other way round.
    ruled = set(re.findall(r"\.(v-[a-z0-9-]+)", chart_skin.STYLE))
    assert {name for name in classes(drawn.svg) if name.startswith("v-")} - {"v-chart", "v-wide"} <= ruled


def test_a_gap_is_never_joined() -> None:
    hole = range(NOW - 50_000, NOW - 45_000)
    points = day(hole=hole)
    drawn = chart.draw(graph(points), FR, chart.CARD, Name())
    assert drawn is not None
    before = max(p.at for p in points if p.at < hole.start)
    after = min(p.at for p in points if p.at >= hole.stop)
    assert drawn.gaps == (Gap(before + 300, after),)
    line = re.search(r'class="v-line" d="([^"]+)"', drawn.svg)
    envelope = re.search(r'class="v-envelope" d="([^"]+)"', drawn.svg)
    assert line is not None
    assert envelope is not None
    assert line[1].count("M") == 2
    assert envelope[1].count("M") == envelope[1].count("Z") == 2


def test_what_stopped_is_a_gap_until_now_and_what_had_not_begun_is_none() -> None:
    points = [p for p in day() if NOW - 60_000 <= p.at < NOW - 9000]
    shown = graph(points)
    assert chart_data.gaps(shown._replace(known_from=points[0].at), points) == [Gap(points[-1].at + 300, NOW)]
    assert chart_data.gaps(shown, points)[0] == Gap(NOW - DAY, points[0].at)


@pytest.mark.parametrize(("every", "step", "apart", "is_gap"), [
    (60, 60, 60, False), (60, 60, 120, True), (120, 60, 120, False), (120, 60, 240, True), (300, 60, 300, False),
    (3600, 300, 3900, False), (3600, 300, 7200, True), (60, 300, 300, False), (60, 300, 600, True),
])  # fmt: skip
def test_a_gap_follows_the_rhythm_of_its_probe(every: int, step: int, apart: int, is_gap: bool) -> None:
    points = [Point(at, 1, 1, 1, 1) for at in (0, apart)]
    assert (len(chart_data.runs(points, chart_data.tolerance(step, every))) == 2) is is_gap


def test_one_measure_alone_is_a_dash() -> None:
    drawn = chart.draw(graph(day()[100:101]), FR, chart.CARD, Name())
    assert drawn is not None
    line = re.search(r'class="v-line" d="M([\d.]+) [\d.]+l([\d.]+) 0"', drawn.svg)
    assert line is not None
    assert float(line[2]) >= 2


@pytest.mark.parametrize("points", [[], [Point(NOW, float("nan"), 0, 0, 1)], [Point(NOW, 1, float("-inf"), 1, 1)]])
def test_no_figure_is_no_picture(points: list[Point]) -> None:
    assert chart.draw(graph(points), FR, chart.CARD, Name()) is None
    assert chart_bars.sparkline(points, FR, NOW - DAY, NOW, 300) is None


def test_a_million_points_are_thinned_without_losing_a_peak() -> None:
    points = [Point(60 * i, 0.5, 0.4, 0.6, 1) for i in range(100_000)]
    points[54_321] = Point(60 * 54_321, 0.5, 0.1, 0.99, 1)
    kept, step = chart_data.thinned(points, 60)
    assert len(kept) <= chart.MOST
    assert max(p.greatest for p in kept) == 0.99
    assert min(p.least for p in kept) == 0.1
    assert sum(p.count for p in kept) == 100_000
    assert all(p.at % step == 0 for p in kept)


@given(st.integers(min_value=1, max_value=40 * 365 * DAY))
def test_no_period_needs_more_points_than_the_most(period: int) -> None:
    step = chart.choose_step(period)
    assert -(-period // step) <= chart.MOST
    assert step == 60 or step % 300 == 0


def test_the_usual_periods_have_a_point_a_pixel_or_two() -> None:
    hours = {1: 60, 24: 300, 24 * 7: 1800, 24 * 30: 7200, 24 * 365: DAY}
    assert {span: chart.choose_step(span * 3600) for span in hours} == hours


_VALUES = st.one_of(st.floats(), st.floats(0, 1), st.integers(-(10**15), 10**15).map(float))
_POINT = st.builds(
    Point,
    st.integers(NOW - 2 * DAY, NOW + DAY).map(lambda at: at - at % 300),
    _VALUES,
    _VALUES,
    _VALUES,
    st.integers(0, 99),
)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(_POINT, max_size=12, unique_by=lambda p: p.at),
    st.sampled_from(UNITS),
    st.text(max_size=200),
    _VALUES,
    st.sampled_from(SIZES),
    st.booleans(),
)
def test_hostile_input_makes_a_clean_picture_or_none(
    points: list[Point], unit: str, label: str, level: float, size: chart.Size, alone: bool
) -> None:
    shown = graph(
        points,
        unit=unit,
        levels=[Level(level, "critical", label), Level(0.5, "warning", label)],
        incidents=[Band(NOW - 3 * DAY, NOW - 100, "critical"), Band(NOW + DAY, NOW + 2 * DAY, "warning")],
        events=[Mark(NOW - 5, label), Mark(NOW - 10**9, label)],
        forecast=Forecast([(NOW, level, level, level), (NOW + DAY, 0.5, 0.6, 0.7)]),
    )
    drawn = chart.draw(shown, FR, size, Name(label=label), alone=(label, label) if alone else None)
    if drawn:
        check_clean(drawn.svg)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.builds(chart_bars.Bar, st.text(max_size=300), st.floats(), st.text(max_size=30)), max_size=30))
def test_hostile_names_make_clean_bars(rows: list[chart_bars.Bar]) -> None:
    drawn = chart_bars.bars(rows, Name(label="x"), width=342, second=True)
    if drawn:
        check_clean(drawn)


def test_bars_are_as_long_as_their_values() -> None:
    rows = [chart_bars.Bar("alice", 2.4, "240 %"), chart_bars.Bar("bob", 0.6, "60 %"), chart_bars.Bar("zoé", 0, "0 %")]
    drawn = chart_bars.bars(rows, Name())
    assert drawn is not None
    root = ElementTree.fromstring(drawn)
    found = sorted((float(r.get("y", "")), float(r.get("width", "0"))) for r in root.iter("rect"))
    assert [round(width / found[0][1], 2) for _y, width in found] == [1, 0.25, 0]
    words = [t.text for t in root.iter("text")]
    assert all(word in words for row in rows for word in (row.name, row.words))


@pytest.mark.parametrize(("text", "kept"), [
    ("a\x00b\x1f", "a\ufffdb\ufffd"), ("\u202eevil", "\ufffdevil"), ("\ud800", "\ufffd"), ("x" * 100, "x" * 79 + "…"),
    ("a\n\tb", "a b"),
])  # fmt: skip
def test_a_label_is_one_line_that_xml_can_hold(text: str, kept: str) -> None:
    assert chart_filter.text(text) == kept


def test_a_new_tag_of_pygal_would_not_pass() -> None:
    root = ElementTree.fromstring(
        '<svg onload="x"><script>1</script><g style="x"><foreignObject/><a href="javascript:1"><path d="M0 0"/></a></g>'
        '<path class="evil" d="M1.23456 2" onclick="x"/></svg>'
    )
    assert ElementTree.tostring(chart_filter.cleaned(root), "unicode") == '<svg><path d="M1.2 2" /></svg>'


# --- axes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("date", "hours"), [("2026-10-25", 25), ("2027-03-28", 23), ("2026-11-21", 24)])
def test_a_day_of_23_or_25_hours_has_its_marks_at_round_local_hours(date: str, hours: int) -> None:
    start = int(datetime.fromisoformat(date).replace(tzinfo=PARIS).timestamp())
    end = start + hours * 3600
    ticks = time_ticks(start, end, 560, FR)
    assert int(datetime.fromtimestamp(end, PARIS).hour) == 0
    for tick in ticks:
        local = datetime.fromtimestamp(tick.at, PARIS)
        assert local.minute == 0
        if not tick.major:
            assert tick.label == f"{local:%H:%M}"
    labels = [tick.label for tick in ticks]
    assert len(labels) == len(set(labels))
    assert [tick.at for tick in ticks] == sorted(tick.at for tick in ticks)
    assert ticks[0].major


def test_a_week_over_the_change_of_clocks_has_a_mark_at_each_midnight() -> None:
    start = int(datetime(2026, 10, 20, tzinfo=PARIS).timestamp())
    ticks = [tick for tick in time_ticks(start, start + 7 * DAY + 3600, 1078, FR) if tick.major]
    assert [tick.label for tick in ticks][:7] == [
        "mar. 20", "mer. 21", "jeu. 22", "ven. 23", "sam. 24", "dim. 25", "lun. 26",
    ]  # fmt: skip
    assert {datetime.fromtimestamp(tick.at, PARIS).hour for tick in ticks} == {0}


@given(
    st.integers(0, 4_000_000_000),
    st.integers(300, 30 * 365 * DAY),
    st.floats(100, 1200),
    st.sampled_from(["Europe/Paris", "Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns", "Africa/Cairo"]),
)
@settings(deadline=None, max_examples=80)
def test_labels_of_the_time_axis_never_touch(start: int, span: int, width: float, zone: str) -> None:
    ticks = time_ticks(start, start + span, width, Words("fr", zone))
    assert all(start <= tick.at <= start + span for tick in ticks)
    for a, b in pairwise(ticks):
        assert (b.at - a.at) * width / span >= 6.7 * max(len(a.label), len(b.label))


@given(st.floats(-1e15, 1e15), st.floats(-1e15, 1e15), st.sampled_from(UNITS), st.integers(3, 6))
def test_an_axis_holds_its_values_between_round_marks(one: float, other: float, unit: str, parts: int) -> None:
    low, high = sorted((one, other))
    axis = value_axis(unit, low, high, parts, EN)
    hair = (axis.high - axis.low) * 1e-6  # far less than a pixel
    assert axis.low <= low + hair
    assert axis.high >= high - hair
    assert axis.low < axis.high
    assert 2 <= len(axis.ticks) <= 3 * parts
    assert axis.low <= 0 or unit == "celsius"


def test_marks_of_bytes_and_of_time_are_round_in_their_own_way() -> None:
    assert [t.label for t in value_axis("bytes", 0, 15 * 2**30, 4, FR).ticks] == [
        "0", "4\u202fGio", "8\u202fGio", "12\u202fGio", "16\u202fGio",
    ]  # fmt: skip
    assert [t.label for t in value_axis("seconds", 0, 7000, 4, FR).ticks][1] == "30\u202fmin"
    assert value_axis("celsius", 45, 60, 4, FR).low > 0


def test_a_share_keeps_the_whole_scale_where_a_threshold_is_high() -> None:
    drawn = chart.draw(graph(day(0.01), levels=[Level(0.9, "critical", "90 %")]), FR, chart.CARD, Name())
    assert drawn is not None
    assert "100\u202f%" in drawn.svg
    small = chart.draw(graph([Point(NOW - 600, 0.02, 0.01, 0.03, 1)]), FR, chart.CARD, Name())
    assert small is not None
    assert "100\u202f%" not in small.svg


def test_a_forecast_has_its_cone_and_the_line_of_today() -> None:
    foreseen = Forecast([(NOW, 0.5, 0.5, 0.5), (NOW + DAY, 0.6, 0.7, 0.9)])
    drawn = chart.draw(graph(day(), end=NOW + DAY, forecast=foreseen, full_scale=True), FR, chart.CARD, Name())
    assert drawn is not None
    assert {"v-forecast", "v-cone", "v-now"} <= classes(drawn.svg)
    assert "aujourd’hui" in drawn.svg
    check_clean(drawn.svg)
