"""Words: what the reader sees, to the thin space; and the catalogue, complete and fresh."""

import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Environment

from alerts import catalogue
from alerts.words import Words
from archive.read import Metric, Series

FR, EN = Words("fr", "Europe/Paris"), Words("en", "Europe/Paris")
NOW = 1_795_221_000  # 2026-11-21 01:30 in Paris
UNITS = ["ratio", "bytes", "seconds", "celsius", "count", "bytes_rate", "count_rate"]
METRIC = Metric(1, "disk_used_ratio", "gauge", "ratio", 10_000, "Disk in use", "Disque occupé", "disk", "")


@pytest.mark.parametrize(
    ("value", "unit", "french", "english"),
    [
        (0.256, "ratio", "26\u202f%", "26%"),
        (0.0123, "ratio", "1,2\u202f%", "1.2%"),
        (0.0004, "ratio", "0,04\u202f%", "0.04%"),
        (0.996, "ratio", "99,6\u202f%", "99.6%"),
        (1.0, "ratio", "100\u202f%", "100%"),
        (3.2, "ratio", "320\u202f%", "320%"),
        (0, "bytes", "0\u202fo", "0\u00a0B"),
        (1023.6, "bytes", "1\u202fKio", "1\u00a0KiB"),
        (41.2 * 2**30, "bytes", "41,2\u202fGio", "41.2\u00a0GiB"),
        (1.5e6, "bytes_rate", "1,43\u202fMio/s", "1.43\u00a0MiB/s"),
        (0.004, "seconds", "4\u202fms", "4\u00a0ms"),
        (12.34, "seconds", "12,3\u202fs", "12.3\u00a0s"),
        (90, "seconds", "1\u202fmin\u202f30\u202fs", "1\u00a0min\u00a030\u00a0s"),
        (4700, "seconds", "1\u202fh\u202f18", "1\u00a0h\u00a018\u00a0min"),
        (-5, "seconds", "−5\u202fs", "−5\u00a0s"),
        (42.5, "celsius", "42,5\u202f°C", "42.5\u00a0°C"),
        (41_230, "count", "41\u202f230", "41,230"),
        (0.42, "count", "0,42", "0.42"),
        (0.0012, "count_rate", "0,0012/s", "0.0012/s"),
        (float("nan"), "ratio", "–", "–"),
    ],
)
def test_a_value_is_written_in_its_unit(value: float, unit: str, french: str, english: str) -> None:
    assert FR.value(value, unit) == french
    assert EN.value(value, unit) == english


@given(st.floats(), st.sampled_from(UNITS), st.sampled_from([FR, EN]))
def test_no_number_breaks_a_page(value: float, unit: str, words: Words) -> None:
    told = words.value(value, unit)
    assert told
    assert "nan" not in told.lower()
    assert "inf" not in told.lower()
    assert "\n" not in told


@given(st.floats(min_value=0.000001, max_value=0.999999))
def test_a_share_that_is_neither_none_nor_all_never_reads_so(ratio: float) -> None:
    told = FR.percent(ratio)
    assert told != "100\u202f%" or ratio > 0.9995
    assert told != "0\u202f%" or ratio < 0.00005


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "0\u202fs"),
        (45, "45\u202fs"),
        (719, "11\u202fmin"),
        (3600, "1\u202fh"),
        (4680, "1\u202fh\u202f18"),
        (86_400, "1\u202fjour"),
        (100_000, "1\u202fjour 3\u202fh"),
        (29 * 86_400 + 5, "29\u202fjours"),
        (800 * 86_400, "2\u202fans"),
    ],
)
def test_a_duration_is_told_in_two_units_at_most(seconds: int, told: str) -> None:
    assert FR.duration(seconds) == told


def test_a_moment_leaves_out_what_is_plain_from_today() -> None:
    assert FR.moment(NOW - 3600, NOW) == "00:30"
    assert FR.moment(NOW - 7200, NOW) == "hier 23:30"
    assert FR.moment(NOW - 3 * 86_400, NOW) == "mer. 18 nov. 01:30"
    assert FR.moment(NOW - 30 * 86_400, NOW) == "22 oct. 02:30"
    assert FR.moment(NOW - 300 * 86_400, NOW) == "25 janv. 2026 01:30"
    assert EN.moment(NOW + 86_400, NOW) == "tomorrow 01:30"
    assert FR.full(NOW) == "samedi 21 novembre 2026 à 01:30:00 (UTC+1)"
    assert FR.date(1_811_886_400) == "1er juin 2027"
    assert EN.date(1_811_886_400) == "June 1, 2027"
    assert FR.day(1_811_886_400, 1_811_886_400 + 3 * 86_400) == "mar. 1er juin"
    assert FR.iso(NOW) == "2026-11-21T00:30:00Z"
    assert FR.ago(NOW - 3 * 3600, NOW) == "il y a 3\u202fh"
    assert FR.ago(NOW + 29 * 86_400, NOW) == "dans 29\u202fjours"
    assert FR.ago(NOW - 5, NOW) == "à l’instant"


def test_the_hour_that_is_lived_twice_says_which_of_the_two() -> None:
    change = 1_792_890_000  # 2026-10-25 01:00 UTC: clocks go from 03:00 back to 02:00
    assert FR.clock(change - 1800) == "02:30 (UTC+2)"
    assert FR.clock(change + 1800) == "02:30 (UTC+1)"
    assert FR.clock(change + 3600) == "03:00"
    spring = 1_806_195_600  # 2027-03-28 01:00 UTC: 02:00 becomes 03:00
    assert [FR.clock(spring - 60), FR.clock(spring)] == ["01:59", "03:00"]


@pytest.mark.parametrize("zone", ["", "Nowhere/City", "../../etc/passwd", "\x00", "Europe/Paris\n"])
def test_an_unknown_time_zone_is_utc_not_an_error(zone: str) -> None:
    assert Words("fr", zone).clock(NOW) == "00:30"


@given(st.integers(min_value=-(2**62), max_value=2**62))
def test_an_absurd_time_is_still_words(at: int) -> None:
    assert FR.moment(at, NOW)
    assert FR.full(at)


def test_a_line_is_called_by_its_labels() -> None:
    assert FR.line_name(Series(1, METRIC, '{"mount":"/home"}', 0)) == "/home"
    assert FR.line_name(Series(1, METRIC, "{}", 0)) == ""
    assert FR.labels_name('{"kind":"some","resource":"io"}') == "une partie des tâches attend · disque"
    assert FR.labels_name('{"user":"' + "x" * 200 + '"}') == "x" * 79 + "…"
    assert FR.metric_name(METRIC) == "Disque occupé"
    assert EN.metric_name(METRIC) == "Disk in use"


def test_plurals_follow_each_language() -> None:
    assert FR.ngettext("%(num)s day", "%(num)s days", 0) == "0 jour"
    assert EN.ngettext("%(num)s day", "%(num)s days", 0) == "0 days"
    assert FR.ngettext("%(num)s day", "%(num)s days", 41_230) == "41\u202f230 jours"


def test_a_template_speaks_the_language_and_escapes_what_is_filled_in() -> None:
    env = Environment(autoescape=True)
    FR.install(env)
    source = (
        "{{ _('%(span)s ago', span=who) }} {% trans num=3 %}{{ num }} day{% pluralize %}{{ num }} days{% endtrans %}"
    )
    assert env.from_string(source.replace("{{ num }}", "{{ num }}")).render(who="<b>").startswith("il y a &lt;b&gt;")
    assert env.from_string("{{ ngettext('%(num)s day', '%(num)s days', 3) }}").render() == "3 jours"


def test_the_compiled_catalogue_is_fresh() -> None:
    path = catalogue.target()
    assert os.path.exists(path), "type: python -m alerts.words compile"
    with open(path, "rb") as file:
        assert file.read() == catalogue.compiled(), "type: python -m alerts.words compile"


def test_no_message_is_without_french_and_no_french_is_without_use() -> None:
    untold, orphans = catalogue.missing()
    assert not untold, "\n".join(f"{place.path}:{place.line}: {place.ident!r}" for place in untold)
    assert not orphans, "\n".join(map(repr, orphans))


def test_french_typography_keeps_thin_and_wide_spaces() -> None:
    bad = []
    for message in catalogue.merged():
        for form in message.string if isinstance(message.string, (list, tuple)) else (message.string,):
            # What is filled in, commands and addresses are left out.
            text = re.sub(r"%\(\w+\)\w|`[^`]*`|https?://\S+", "x", str(form)) if message.id else ""
            if re.search(r" [;!?»:%]|« ", text) or re.search(r"[a-zéèà]'[a-zéèàê]", text):
                bad.append(text)
    assert not bad, "\n".join(bad)


def test_two_rooms_may_not_say_one_message_in_two_ways(
    tmp_path: os.PathLike[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    head = (
        'msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8\\nPlural-Forms: nplurals=2; plural=(n > 1);\\n"\n\n'
    )
    folder = os.path.join(tmp_path, "fr")
    os.makedirs(folder)
    monkeypatch.setattr(catalogue, "TRANSLATIONS", os.fspath(tmp_path))
    for name, told in (("a.po", "Oui"), ("b.po", "Si")):
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.write(f'{head}msgid "Yes"\nmsgstr "{told}"\n')
    with pytest.raises(catalogue.CatalogueError, match=r"b\.po: 'Yes' is said otherwise in a\.po"):
        catalogue.merged()
    with open(os.path.join(folder, "b.po"), "w", encoding="utf-8") as file:
        file.write(f'{head}msgid "%(a)s left"\nmsgstr "%(b)s reste"\n')
    with pytest.raises(catalogue.CatalogueError, match="fills in"):
        catalogue.merged()


def test_what_is_said_within_an_f_string_is_found_too(tmp_path: os.PathLike[str]) -> None:
    """Babel's extractor does not look into them before Python 3.12: two words had no French for that reason."""
    path = os.path.join(tmp_path, "room.py")
    with open(path, "w", encoding="utf-8") as file:
        file.write("a = f\"x {_('within')} {words.gettext('there, %(n)s', n=1)!s:>{_('width')}} {other('no')}\"\n")
    assert {word for _, word in catalogue._within_f_strings(path)} == {"there, %(n)s", "width", "within"}
