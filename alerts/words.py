"""Words, numbers and times as the reader writes them: gettext without Flask, formats by Babel.

English is the msgid. French stands in `alerts/translations/fr/*.po` (one file a room), merged by
`python -m alerts.words compile` (alerts/catalogue.py). A number and its unit never part at a line's end.
"""

import gettext as gettext_module
import json
import math
import os
import re
import sys
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from babel.core import Locale
from babel.dates import format_date, format_skeleton
from babel.numbers import get_decimal_symbol, get_group_symbol

from archive.read import Metric, Series

if TYPE_CHECKING:
    from jinja2 import Environment

TRANSLATIONS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "translations")
DOMAIN = "vigie"
LANGUAGES = ("fr", "en")
MINUTE, HOUR, DAY, YEAR = 60, 3600, 86_400, 365 * 86_400

_THIN, _WIDE = "\u202f", "\u00a0"
_PREFIXES = ("", "K", "M", "G", "T", "P", "E")
_LONGEST = 10.0**12  # seconds: beyond it a span is a mistake, shown as a number


def N_(message: str) -> str:  # noqa: N802 the name that gettext's tools know
    """Mark a message that is translated where it is shown."""
    return message


class Words:
    """One reader's language and time zone. Unknown ones fall back to French and UTC: a page must come out."""

    def __init__(self, language: str, timezone: str) -> None:
        self.language = language if language in LANGUAGES else LANGUAGES[0]
        self.timezone = timezone
        self.zone = _zone(timezone)
        self.locale = Locale.parse(self.language)
        self._space = _THIN if self.language == "fr" else _WIDE
        # Babel's own format_decimal is exact and takes 30 us; a table of a graph holds a thousand numbers.
        self._point = str(get_decimal_symbol(self.locale))
        self._thousands = str(get_group_symbol(self.locale))
        # English is the msgid: it needs no catalogue, and an empty one answers with the msgid.
        languages = [self.language] if self.language != "en" else []
        self._catalogue = gettext_module.translation(DOMAIN, TRANSLATIONS, languages, fallback=True)

    # Words

    def gettext(self, message: str, **values: object) -> str:
        """The message in this language; with values, its %(name)s filled in (a bare % is then written %%)."""
        found = self._catalogue.gettext(message)
        return found % values if values else found

    def ngettext(self, one: str, many: str, number: float, **values: object) -> str:
        """Singular or plural by this language's rule; %(num)s is the number as the reader writes it."""
        # French says « 1,5 mesure »: its rule reads the whole part. English says "1.5 samples".
        found = self._catalogue.ngettext(one, many, number if self.language == "en" else int(number))  # type: ignore[arg-type]
        if not values:
            return found.replace("%(num)s", self.number(number))
        return found % {"num": self.number(number), **values}

    def install(self, env: "Environment") -> None:
        """Make `_`, `ngettext`, `{% trans %}` and `words` of a Jinja environment speak this language.

        In a template a bare % is always written %%.
        """
        env.add_extension("jinja2.ext.i18n")
        env.install_gettext_callables(  # type: ignore[attr-defined]
            self._catalogue.gettext, self._catalogue.ngettext, newstyle=True
        )
        env.globals["words"] = self

    def metric_name(self, metric: Metric) -> str:
        """What the probe calls it: the title of its graph."""
        return (metric.help_fr if self.language == "fr" else metric.help) or metric.name.replace("_", " ")

    def line_name(self, line: Series, longest: int = 80) -> str:
        """A line's own words: `/home`, `alice`, `eth0`; '' for a metric's only line."""
        return self.labels_name(line.labels, longest)

    def labels_name(self, labels: str, longest: int = 80) -> str:
        """The same from labels as the database holds them: '{"mount":"/home"}' -> '/home'."""
        known = json.loads(labels or "{}")
        named = [self._label(name, str(value)) for name, value in known.items()]
        text = " · ".join(part for part in named if part)
        return text if len(text) <= longest else f"{text[: longest - 1]}…"

    def _label(self, name: str, value: str) -> str:
        told = _LABELS.get(name, {}).get(value)
        return self.gettext(told) if told else value

    # Numbers

    def number(self, value: float, digits: int = 0) -> str:
        """With this language's comma and thousands, at most `digits` decimals."""
        if not math.isfinite(value):
            return "–"
        whole, _, rest = f"{value:,.{digits}f}".partition(".")
        rest = rest.rstrip("0")
        sign = "\u2212" if whole.startswith("-") and (rest or whole.strip("-0")) else ""
        text = whole.lstrip("-").replace(",", self._thousands)
        return f"{sign}{text}{self._point}{rest}" if rest else sign + text

    def percent(self, ratio: float, digits: int | None = None) -> str:
        """0.256 -> « 26 % ». Without `digits`, as many as keep a small share from reading 0, and 99.6 from 100."""
        hundredths = ratio * 100
        if digits is None:
            size = abs(hundredths)
            digits = 2 if 0 < size < 0.095 else 1 if size < 9.95 or 99 < size < 100 else 0
        return self.number(hundredths, digits) + (f"{_THIN}%" if self.language == "fr" else "%")

    def size(self, octets: float, suffix: str = "") -> str:
        """Bytes by powers of 1024, three figures: « 41,2 Gio », "41.2 GiB"."""
        power = 0
        # 1023.5 would be written 1 024: the next prefix says it better.
        while abs(octets) >= 1023.5 and power < len(_PREFIXES) - 1:
            octets /= 1024
            power += 1
        letter = "o" if self.language == "fr" else "B"
        unit = f"{_PREFIXES[power]}{'i' if power else ''}{letter}"
        return f"{self.number(octets, _figures(octets) if power else 0)}{self._space}{unit}{suffix}"

    def value(self, number: float, unit: str) -> str:
        """A value in its unit (archive.units names); a user's CPU may pass 100 %. Never NaN: « – »."""
        if not math.isfinite(number):
            return "–"
        if unit == "ratio":
            return self.percent(number)
        if unit in ("bytes", "bytes_rate"):
            return self.size(number, "/s" if unit == "bytes_rate" else "")
        if unit == "seconds":
            return self.span(number)
        if unit == "celsius":
            return f"{self.number(number, 1)}{self._space}°C"
        text = self.number(number, _figures(number) if number % 1 else 0)
        return f"{text}/s" if unit == "count_rate" else text

    # Spans

    def span(self, seconds: float) -> str:
        """A measured time, milliseconds included: « 4 ms », « 12,3 s », « 1 h 18 »."""
        size = abs(seconds)
        if size < 1 and seconds:
            return f"{self.number(seconds * 1000, _figures(seconds * 1000))}{self._space}ms"
        if size < MINUTE:
            return f"{self.number(seconds, _figures(seconds))}{self._space}s"
        minutes, rest = divmod(int(size), MINUTE)
        if size < HOUR and rest:
            return f"{self.number(math.copysign(minutes, seconds))}{self._space}min{self._space}{rest:02}{self._space}s"
        return f"\u2212{self.duration(size)}" if seconds < 0 else self.duration(size)

    def duration(self, seconds: float, *, rough: bool = False) -> str:
        """How long: « 45 s », « 12 min », « 1 h 18 », « 3 jours ». `rough`: the largest unit alone."""
        if not 0 <= seconds < _LONGEST:
            return f"{self.number(seconds)}{self._space}s"
        whole = int(seconds)
        if whole < MINUTE:
            return f"{whole}{self._space}s"
        if whole < HOUR:
            return f"{whole // MINUTE}{self._space}min"
        if whole < DAY:
            return self._hours(whole, rough)
        if whole >= 2 * YEAR:
            years = whole // YEAR
            return self._joined(self.ngettext("%(num)s year", "%(num)s years", years))
        days, rest = divmod(whole, DAY)
        text = self._joined(self.ngettext("%(num)s day", "%(num)s days", days))
        if days < 3 and rest >= HOUR and not rough:
            text += f" {rest // HOUR}{self._space}h"
        return text

    def _hours(self, seconds: int, rough: bool) -> str:
        hours, minutes = divmod(seconds // MINUTE, 60)
        text = f"{hours}{self._space}h"
        if minutes and not rough:
            text += f"{self._space}{minutes:02}" + ("" if self.language == "fr" else f"{self._space}min")
        return text

    def _joined(self, text: str) -> str:
        return text.replace(" ", self._space, 1)

    def ago(self, at: int, now: int) -> str:
        """How far from now: « il y a 3 h », « dans 29 jours », « à l’instant »."""
        away = abs(now - at)
        if away < MINUTE:
            return self.gettext("just now")
        text = self.duration(away, rough=True)
        return self.gettext("%(span)s ago", span=text) if at < now else self.gettext("in %(span)s", span=text)

    # Times

    def local(self, at: int) -> datetime:
        """The reader's own clock at a UTC second; an absurd time is brought into the years 1 to 9999."""
        return datetime.fromtimestamp(min(max(at, -62_135_000_000), 253_402_000_000), UTC).astimezone(self.zone)

    def clock(self, at: int, *, seconds: bool = False) -> str:
        """« 14:09 ». In the hour that a change of clocks repeats, which one of the two: « 02:30 (UTC+1) »."""
        local = self.local(at)
        text = f"{local:%H:%M:%S}" if seconds else f"{local:%H:%M}"
        other = local.replace(fold=1 - local.fold).utcoffset()
        here = local.utcoffset()
        # Only where the same clock comes a second time; where an hour is skipped both readings never come from UTC.
        if here is not None and other is not None and here != other:
            text += f" (UTC{_offset(here)})"
        return text

    def date(self, at: int) -> str:
        """« 21 décembre 2026 »."""
        return _long_day("long", self.local(at).date(), self.language)

    def day(self, at: int, now: int) -> str:
        """The shortest that is clear: « aujourd’hui », « hier », « lun. 16 nov. », « 16 nov. 2025 »."""
        day, today = self.local(at).date(), self.local(now).date()
        away = (day - today).days
        if away in _NEAR:
            return self.gettext(_NEAR[away])
        if abs(away) < 7:
            return short_day("MMMEd", day, self.language)
        return short_day("MMMd" if abs(away) < 180 else "yMMMd", day, self.language)

    def moment(self, at: int, now: int) -> str:
        """Day and clock, the day left out when it is today's: « 14:09 », « hier 18:40 », « 16 nov. 18:40 »."""
        if self.local(at).date() == self.local(now).date():
            return self.clock(at)
        return f"{self.day(at, now)} {self.clock(at)}"

    def full(self, at: int) -> str:
        """Nothing left out: « lundi 23 novembre 2026 à 18:40:05 (UTC+1) »."""
        local = self.local(at)
        day = _long_day("full", local.date(), self.language)
        offset = local.utcoffset() or timedelta()
        text = self.gettext("%(day)s at %(clock)s", day=day, clock=f"{local:%H:%M:%S}")
        return f"{text} (UTC{_offset(offset)})"

    def iso(self, at: int) -> str:
        """For a <time datetime>: 2026-11-23T17:40:05Z."""
        return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"


@lru_cache(maxsize=2048)
def short_day(skeleton: str, day: date, language: str) -> str:
    """A day by a CLDR skeleton: `MMMEd` is « lun. 16 nov. », "Mon, Nov 16"."""
    return _first(str(format_skeleton(skeleton, day, locale=language)), day, language)


@lru_cache(maxsize=512)
def _long_day(width: str, day: date, language: str) -> str:
    return _first(str(format_date(day, width, locale=language)), day, language)


def _first(text: str, day: date, language: str) -> str:
    """French says « le 1er juin », which Babel does not."""
    return re.sub(r"(?<!\d)1(?!\d)", "1er", text, count=1) if language == "fr" and day.day == 1 else text


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name or "UTC")
    except Exception:  # zoneinfo raises several kinds for a hostile name
        return ZoneInfo("UTC")


def _offset(offset: timedelta) -> str:
    minutes = round(offset.total_seconds() / 60)
    hours, rest = divmod(abs(minutes), 60)
    sign = "\u2212" if minutes < 0 else "+"
    return f"{sign}{hours}" + (f":{rest:02}" if rest else "")


def _figures(value: float) -> int:
    """Decimals that leave three figures above 1, two below: 423, 42.3, 4.23, 0.42, 0.0042."""
    size = abs(value)
    if size >= 1:
        return 0 if size >= 99.5 else 1 if size >= 9.95 else 2
    return min(6, 1 - math.floor(math.log10(size))) if size else 0


_NEAR = {-1: N_("yesterday"), 0: N_("today"), 1: N_("tomorrow")}
# Label values that are words of ours or the kernel's, not names that the machine gave.
_LABELS = {
    "window": {"1m": N_("1 min"), "5m": N_("5 min"), "15m": N_("15 min")},
    "resource": {"cpu": N_("processor"), "memory": N_("memory"), "io": N_("disk")},
    "kind": {"some": N_("some tasks wait"), "full": N_("all tasks wait")},
    "mode": {
        "user": N_("programs"),
        "nice": N_("programs of low priority"),
        "system": N_("kernel"),
        "iowait": N_("waiting for the disk"),
        "irq": N_("interrupts"),
        "softirq": N_("soft interrupts"),
        "steal": N_("taken by the host"),
        "guest": N_("virtual machines"),
        "idle": N_("idle"),
    },
}


if __name__ == "__main__":
    from alerts import catalogue

    sys.exit(catalogue.main(sys.argv[1:]))
