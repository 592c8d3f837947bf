"""The sentence of a graph equals its rows."""

import math

from hypothesis import given
from hypothesis import strategies as st

from alerts import summary
from alerts.chart_data import Band, Gap
from alerts.summary import Excess, Limit
from alerts.words import Words
from archive.read import Point

FR, EN = Words("fr", "Europe/Paris"), Words("en", "Europe/Paris")
NOW = 1_795_221_000 // 60 * 60


def points(*means: float, step: int = 60) -> list[Point]:
    start = NOW - step * len(means)
    return [Point(start + step * i, mean, mean, mean, 1) for i, mean in enumerate(means)]


@given(st.lists(st.tuples(st.floats(-1e9, 1e9), st.integers(1, 60)), min_size=1, max_size=50))
def test_the_mean_weighs_each_span_by_its_samples(given_points: list[tuple[float, int]]) -> None:
    rows = [Point(60 * i, mean, mean - 1, mean + 1, count) for i, (mean, count) in enumerate(given_points)]
    found = summary.facts(rows)
    assert found is not None
    samples = [mean for mean, count in given_points for _ in range(count)]
    assert math.isclose(found.mean, math.fsum(samples) / len(samples), rel_tol=1e-9, abs_tol=1e-6)
    assert found.least == min(row.least for row in rows)
    assert found.greatest == max(row.greatest for row in rows)
    assert next(row.at for row in rows if row.greatest == found.greatest) == found.greatest_at


def test_a_threshold_is_counted_by_single_samples() -> None:
    rows = points(0.2, 0.9, 0.9, 0.2, 0.95, 0.2)
    limit = Limit(0.85, True, "warning")
    assert summary.excess(rows, limit, 60, 60) == Excess(2, 180)
    told = summary.sentence(FR, "ratio", "1 heure", rows, 60, NOW, limits=[limit])
    assert told == (
        "1 heure\u00a0: moyenne 56\u202f%, maximum 95\u202f% (01:28). Seuil 85\u202f% dépassé 2 fois (3\u202fmin)."
    )
    english = summary.sentence(EN, "ratio", "1 hour", rows[:4], 60, NOW, limits=[limit])
    assert english == "1 hour: mean 55%, maximum 90% (01:25). Threshold 85% exceeded 1 time (2\u00a0min)."


def test_a_value_equal_to_the_threshold_does_not_exceed_it() -> None:
    assert summary.excess(points(0.85, 0.85), Limit(0.85, True, "warning"), 60, 60) == Excess(0, 0)


def test_a_hole_parts_two_times() -> None:
    rows = points(0.9, 0.9, 0.9, 0.9, 0.9, 0.9)
    assert summary.excess(rows[:2] + rows[4:], Limit(0.85, True, "warning"), 60, 60) == Excess(2, 240)


def test_a_threshold_below_tells_the_minimum() -> None:
    told = summary.sentence(
        FR, "bytes", "1 heure", points(5e9, 1e9, 5e9), 60, NOW, limits=[Limit(2e9, False, "warning")]
    )
    assert "minimum 954\u202fMio (01:28)" in told
    assert told.endswith("Sous le seuil 1,86\u202fGio 1 fois (1\u202fmin).")


def test_a_coarse_graph_never_says_never_of_what_it_cannot_see() -> None:
    days = [Point(NOW - 86_400 * (3 - i), 0.2, 0.0, 1.0, 1440) for i in range(3)]
    limit = [Limit(0.85, True, "warning")]
    told = summary.sentence(FR, "ratio", "3 jours", days, 86_400, NOW, limits=limit)
    assert "dépassé" not in told
    assert "Aucun incident." in told
    band = Band(NOW - 7200, NOW - 3600, "critical")
    told = summary.sentence(FR, "ratio", "3 jours", days, 86_400, NOW, limits=limit, incidents=[band])
    assert "1 incident (1\u202fh)." in told


def test_what_is_steady_and_what_lacks_is_said() -> None:
    told = summary.sentence(FR, "ratio", "1 heure", points(0.5, 0.5), 60, NOW, gaps=[Gap(NOW - 5040, NOW)])
    assert told == "1 heure\u00a0: 50\u202f%, sans changement. Pas de mesure pendant 1\u202fh\u202f24."
    assert summary.sentence(FR, "ratio", "1 heure", [], 60, NOW) == "1 heure\u00a0: aucune mesure."


def test_a_span_of_five_minutes_is_about_a_time() -> None:
    assert summary.when(FR, NOW - 300, 300, NOW) == "vers 01:27"
    assert summary.when(FR, NOW - 7500, 300, NOW) == "hier vers 23:27"
    assert summary.when(FR, NOW - 60, 60, NOW) == "01:29"
