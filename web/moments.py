"""Dates and times as a person types them, in the reader's time zone: an hour that is skipped or comes twice is said. Pure."""

import re
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from alerts.words import N_, Words
from web.levels import Mistake

NOT_A_MOMENT = N_("“%(value)s” is not a date and time: expected one such as %(example)s.")
NOT_A_CLOCK = N_("“%(value)s” is not a time: expected one such as 22:00.")
MISSING = N_("Give a date and time, for example %(example)s.")
SKIPPED = N_(
    "%(clock)s does not exist on %(day)s: the clocks go forward from %(before)s to %(after)s. Give another time."
)
TWICE = N_("%(clock)s comes twice on %(day)s, when the clocks go back: choose which one.")
TOO_FAR = N_("“%(value)s” lies too far away: expected a year from 2000 to 2199.")

_CLOCK = r"(\d{1,2})\s*(?:[:h]|heures?)\s*(\d{2})?(?::\d{2})?"
_ISO = re.compile(rf"(\d{{4}})-(\d{{1,2}})-(\d{{1,2}})(?:T|\s*,?\s*){_CLOCK}", re.ASCII)
_DAY_FIRST = re.compile(rf"(\d{{1,2}})/(\d{{1,2}})/(\d{{4}})(?:\s*,?\s*(?:à|at)?\s*){_CLOCK}", re.ASCII)
_TIME = re.compile(_CLOCK, re.ASCII)
_SPACES = re.compile(r"[\s\u00a0\u202f]+")


class Twice(Mistake):
    """A local time that two moments have: the earlier and the later one, UTC seconds."""

    def __init__(self, first: int, second: int, **values: object) -> None:
        super().__init__(TWICE, **values)
        self.first, self.second = first, second


def parse(text: str, words: Words, which: str = "") -> int:
    """UTC seconds of `2026-11-25T18:00` or `25/11/2026 18h00`. `which`: first or second of a time that comes twice.

    Raises Mistake; Twice where `which` has to be said.
    """
    bare = _SPACES.sub(" ", text).strip()
    if not bare:
        raise Mistake(MISSING, example=example(words))
    iso, day_first = _ISO.fullmatch(bare), _DAY_FIRST.fullmatch(bare)
    found = iso or day_first
    if found is None:
        raise Mistake(NOT_A_MOMENT, value=bare[:40], example=example(words))
    year, month, day = (int(part) for part in (found.groups()[:3] if iso else found.groups()[2::-1]))
    if not 2000 <= year < 2200:
        raise Mistake(TOO_FAR, value=bare[:40])
    try:
        local = datetime(year, month, day, int(found[4]), int(found[5] or 0))
    except ValueError:
        raise Mistake(NOT_A_MOMENT, value=bare[:40], example=example(words)) from None
    return _moment(local, words, which)


def clock(text: str) -> str:
    """`22:00` of `22h`, `6:30` or `22:00`. Raises Mistake."""
    bare = _SPACES.sub(" ", text).strip()
    found = _TIME.fullmatch(bare)
    hour, minute = (int(found[1]), int(found[2] or 0)) if found else (99, 0)
    if hour > 23 or minute > 59:
        raise Mistake(NOT_A_CLOCK, value=bare[:40])
    return f"{hour:02}:{minute:02}"


def example(words: Words) -> str:
    return "25/11/2026 18:00" if words.language == "fr" else "2026-11-25 18:00"


def shown(at: int, words: Words) -> str:
    """As a field of type datetime-local holds it."""
    return f"{words.local(at):%Y-%m-%dT%H:%M}"


def _moment(local: datetime, words: Words, which: str) -> int:
    zone = words.zone
    both = [int(local.replace(tzinfo=zone, fold=fold).timestamp()) for fold in (0, 1)]
    if datetime.fromtimestamp(both[0], zone).replace(tzinfo=None) != local:
        raise Mistake(SKIPPED, clock=f"{local:%H:%M}", day=_day(local.date(), words), **_jump(both, zone))
    if both[0] == both[1]:
        return both[0]
    if which not in ("first", "second"):
        raise Twice(both[0], both[1], clock=f"{local:%H:%M}", day=_day(local.date(), words))
    return both[which == "second"]


def _day(day: date, words: Words) -> str:
    return words.date(int(datetime(day.year, day.month, day.day, 12, tzinfo=words.zone).timestamp()))


def _jump(around: list[int], zone: ZoneInfo) -> dict[str, str]:
    """The clock just before and just after the change that skips this time."""
    left, right = min(around) - 86_400, max(around) + 86_400
    before = datetime.fromtimestamp(left, zone).utcoffset() or timedelta()
    while right - left > 1:
        middle = (left + right) // 2
        if datetime.fromtimestamp(middle, zone).utcoffset() == before:
            left = middle
        else:
            right = middle
    old = datetime.fromtimestamp(right, UTC) + before
    return {"before": f"{old:%H:%M}", "after": f"{datetime.fromtimestamp(right, zone):%H:%M}"}
