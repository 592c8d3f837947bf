"""The period that an address asks for: `period=24h`, or `from=` and `to=`. Pure: what cannot be used is said in words."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import NamedTuple

from alerts.chart import choose_step
from alerts.words import DAY, HOUR, N_, YEAR, Words

NAMED = {"1h": HOUR, "24h": DAY, "7d": 7 * DAY, "30d": 30 * DAY, "1y": YEAR, "all": 0}
LABELS = {
    "1h": N_("1 hour"), "24h": N_("24 hours"), "7d": N_("7 days"), "30d": N_("30 days"), "1y": N_("1 year"),
    "all": N_("All"),
}  # fmt: skip
SHORTEST, LONGEST = 300, 30 * YEAR


class PeriodError(Exception):
    """A parameter that cannot be used. `message` is an English msgid with %(name)s for `values`."""

    def __init__(self, message: str, **values: object) -> None:
        super().__init__(message % values if values else message)
        self.message, self.values = message, values


class Period(NamedTuple):
    """[start, end) in UTC seconds, both multiples of `step`. `key`: one of NAMED, '' for a from-to."""

    key: str
    start: int
    end: int
    step: int

    @property
    def seconds(self) -> int:
        return self.end - self.start

    def query(self) -> dict[str, str]:
        """What an address needs to show the same again."""
        return {"period": self.key} if self.key else {"from": str(self.start), "to": str(self.end)}

    def before(self, first_at: int, words: Words) -> "Period | None":
        """The same length, just earlier; None where there was nothing yet. Whole days stay whole days."""
        return Period("", self._moved(-1, words), self.start, self.step) if self.start > first_at else None

    def after(self, now: int, words: Words) -> "Period | None":
        """The same length, just later; None once it reaches now. Whole days stay whole days."""
        return Period("", self.end, self._moved(1, words), self.step) if self.end < now else None

    def _moved(self, way: int, words: Words) -> int:
        """The far end of the period beside this one. From midnight to midnight it is as many days of the reader's
        calendar, which are of 23 or 25 hours where clocks change."""
        first, last = words.local(self.start), words.local(self.end)
        edge = last if way > 0 else first
        if first.hour == first.minute == last.hour == last.minute == 0:
            days = (last.date() - first.date()).days
            midnight = datetime.combine(edge.date() + way * timedelta(days=days), time(), tzinfo=words.zone)
            return max(0, int(midnight.timestamp()))
        return max(0, (self.end if way > 0 else self.start) + way * self.seconds)


def one(values: Sequence[str], name: str) -> str:
    """The parameter's only value, '' when absent. Given twice it is refused: which one was meant?"""
    if len(values) > 1:
        raise PeriodError(N_("“%(name)s” stands twice in the address; give it once."), name=name)
    return values[0].strip() if values else ""


def coarse(period: Period, most: int) -> Period:
    """The same period in at most `most` points: for a graph as small as a card."""
    step = choose_step(period.seconds, most)
    length = -(-period.seconds // step) * step
    end = period.end + -period.end % step
    return Period(period.key, max(0, end - length), end, step)


def parse(asked: Mapping[str, str], now: int, first_at: int, words: Words) -> Period:
    """`asked`: period, from and to as the address gives them ('' when absent). Raises PeriodError."""
    key, since, until = (asked.get(name, "") for name in ("period", "from", "to"))
    if key and (since or until):
        raise PeriodError(N_("Give either “period”, or “from” and “to”."))
    if since or until:
        return _between(since, until, now, words)
    key = key or "24h"
    if key not in NAMED:
        raise PeriodError(
            N_("“%(value)s” is not a period: expected %(known)s."), value=key[:40], known=", ".join(NAMED)
        )
    seconds = NAMED[key] or max(HOUR, now - first_at)
    return _whole(key, now - min(seconds, LONGEST), now)


def _between(since: str, until: str, now: int, words: Words) -> Period:
    if not since:
        raise PeriodError(N_("“to” is given without “from”: say from when."))
    start = moment(since, "from", words)
    end = min(moment(until, "to", words), now) if until else now
    if start >= now:
        raise PeriodError(N_("“from” lies in the future."))
    if start >= end:
        raise PeriodError(N_("“from” must come before “to”."))
    return _whole("", max(start, end - LONGEST, 0), max(end, start + SHORTEST))


def lately(newest: int, seconds: int) -> Period:
    """The span of so many seconds that ends with the newest sample."""
    key = next((key for key, known in NAMED.items() if known == seconds), "")
    return _whole(key, newest - seconds, newest + (not key))


def _whole(key: str, start: int, end: int) -> Period:
    """Both ends on whole spans, so that every row lies inside; a named period ends with the span of now."""
    step = choose_step(end - start)
    if not key:
        return Period(key, start - start % step, end + -end % step, step)
    length = -(-(end - start) // step) * step
    end = (end // step + 1) * step
    return Period(key, max(0, end - length), end, step)


def moment(text: str, name: str, words: Words) -> int:
    """UTC seconds from seconds, 2026-11-23 or 2026-11-23T18:40 (the reader's clock). Raises PeriodError."""
    if text.isascii() and text.isdigit() and len(text) <= 12:
        return int(text)
    try:
        local = datetime.fromisoformat(text)
        if local.tzinfo is None:
            local = local.replace(tzinfo=words.zone)
        return max(0, int(local.astimezone(UTC).timestamp()))
    except (ValueError, OverflowError):
        raise PeriodError(
            N_("“%(name)s” holds “%(value)s”: expected a date such as 2026-11-23, a date and time such as"
               " 2026-11-23T18:40, or seconds since 1970."),
            name=name,
            value=text[:40],
        ) from None  # fmt: skip


def label(period: Period, now: int, words: Words) -> str:
    """The period in words, for the head of a sentence: « 24 heures », « 3 nov. – 5 nov. »."""
    if period.key and period.key != "all":
        return words.gettext(LABELS[period.key])
    if period.key == "all":
        return words.gettext("Since %(day)s", day=words.date(period.start))
    if period.seconds < 2 * DAY:
        start, end = words.moment(period.start, now), words.moment(period.end, now)
        if words.local(period.start).date() == words.local(period.end).date():
            end = words.clock(period.end)
    else:
        start, end = words.day(period.start, now), words.day(period.end - 1, now)
    return f"{start} – {end}"
