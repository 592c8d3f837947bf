"""Days as CERT-FR writes them: "Publié le 02 septembre 2026", "1er août 2026", "2026-09-28T00:00:00.000000"."""

import re
import unicodedata
from datetime import UTC, date, datetime, timedelta

MONTHS = (
    "janvier",
    "fevrier",
    "mars",
    "avril",
    "mai",
    "juin",
    "juillet",
    "aout",
    "septembre",
    "octobre",
    "novembre",
    "decembre",
)
FRENCH = re.compile(r"\b(\d{1,2})(?:er)?\s+(" + "|".join(MONTHS) + r")\s+(\d{4})\b", re.ASCII)
ISO = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:[T ].{0,40})?", re.ASCII)
FIRST_DAY = date(2000, 1, 1)  # CERTA's first advisory is of 2000
AHEAD = timedelta(days=2)  # a clock that is behind, a text dated tomorrow
MAX_TEXT = 500  # characters looked at


def french_day(text: str) -> date | None:
    """The first day that a French text names, with or without accents and "1er"; None when it names none."""
    folded = unicodedata.normalize("NFKD", text[:MAX_TEXT]).casefold()
    found = FRENCH.search("".join(char for char in folded if not unicodedata.combining(char)))
    if found is None:
        return None
    number, month, year = found.groups()
    return _day(int(year), MONTHS.index(month) + 1, int(number))


def iso_day(value: object) -> date | None:
    """The day of `YYYY-MM-DD`, with or without a time after it; None for anything else."""
    found = ISO.fullmatch(value.strip()[:MAX_TEXT]) if isinstance(value, str) else None
    return _day(*map(int, found.groups())) if found else None


def _day(year: int, month: int, number: int) -> date | None:
    try:
        return date(year, month, number)
    except ValueError:
        return None


def plausible(day: date | None, now: int) -> date | None:
    """The day, or None for one that cannot be: before CERT-FR existed, or after `now` (UTC seconds)."""
    if day is None or not FIRST_DAY <= day <= datetime.fromtimestamp(now, UTC).date() + AHEAD:
        return None
    return day


def seconds(day: date | None) -> int | None:
    """UTC seconds of 00:00 UTC of that day."""
    return None if day is None else int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


def plausible_seconds(day: date | None, now: int) -> int | None:
    return seconds(plausible(day, now))
