"""What leaves now, and what goes together: pure. The outbox's rows in, parcels out.

1. The end of something that a recipient never heard of is not told.
2. An opening that still waits when its incident ends becomes one mail with its end.
3. After a long wait (the mail server was down), everything that waits for a recipient is one mail, oldest first.
4. Past six mails in an hour, what waits is told together, at most every ten minutes: a summary instead of a flood.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from archive.leaving import Waiting
from archive.outbox import LEASED

HOUR = 3600
BURST = 6  # mails to one recipient in an hour, each by itself
PAUSE = 600  # seconds between two mails past that
OUTAGE = 900  # a mail that waited this long takes the others with it
LONGEST = HOUR  # the longest pause between two tries
PATIENCE = 5 * 24 * HOUR
TRIES = 60  # given up only after this many tries too: a clock that jumps a week ahead gives up nothing

_ORDER = {"test": 0, "incident": 1, "fleet": 1, "summary": 1, "advisory": 2, "digest": 3}
_MERGED = ("incident", "summary")


class Parcel(NamedTuple):
    """One mail that leaves. More than one notification: they are merged into one."""

    notifications: tuple[int, ...]  # oldest first
    recipients: tuple[str, ...]


class Plan(NamedTuple):
    parcels: list[Parcel]
    drops: list[tuple[int, str]]  # (notification, recipient): the end of what was never accepted


def plan(
    waiting: Sequence[Waiting],
    sent: Mapping[str, Sequence[int]],
    heard: Mapping[int, Mapping[str, set[str]]],
    now: int,
    *,
    reached: bool = True,
    tried: frozenset[tuple[int, str]] = frozenset(),
) -> Plan:
    """At most one mail a recipient; the caller asks again until nothing is left.

    `sent`: when each recipient accepted mails in the last hour. `heard`: who heard of a beginning (outbox.heard).
    `reached`: the server answers, so what failed only because it did not is due at once. `tried`: already tried in this
    run.
    """
    drops = _never_told(waiting, heard)
    mine: dict[str, list[Waiting]] = {}
    for item in waiting:
        if (item.notification, item.recipient) not in tried and (item.notification, item.recipient) not in drops:
            mine.setdefault(item.recipient, []).append(item)
    together: dict[tuple[int, ...], list[str]] = {}
    for recipient, items in mine.items():
        chosen = _choose(items, sent.get(recipient, ()), now, reached)
        if chosen:
            together.setdefault(chosen, []).append(recipient)
    parcels = [Parcel(numbers, tuple(recipients)) for numbers, recipients in together.items()]
    return Plan(sorted(parcels, key=lambda parcel: parcel.notifications), sorted(drops))


def pause(tries: int, spread: float) -> int:
    """Seconds to the next try after this many: 1, 2, 4 ... 60 minutes, less up to a quarter (`spread` 0 to 1)."""
    return int(min(LONGEST, 60 * 2 ** min(10, max(0, tries - 1))) * (1 - 0.25 * spread))


def given_up(at: int, tries: int, now: int) -> bool:
    """Owed five days ago and tried often: held for a person."""
    return now - at > PATIENCE and tries >= TRIES


def _never_told(waiting: Sequence[Waiting], heard: Mapping[int, Mapping[str, set[str]]]) -> set[tuple[int, str]]:
    found = set()
    for item in waiting:
        if not item.ends or item.ends != item.incidents:
            continue
        states = [heard.get(incident, {}) for incident in item.ends]
        if not any(item.recipient in state.get(word, ()) for state in states for word in ("accepted", "queued")):
            found.add((item.notification, item.recipient))
    return found


def _choose(items: Sequence[Waiting], sent: Sequence[int], now: int, reached: bool) -> tuple[int, ...]:
    # A row that another sender holds is not there: neither due nor to be merged.
    items = [item for item in items if item.server != LEASED or item.next_at <= now]
    due = [item for item in items if item.next_at <= now or (reached and not item.server and item.tries)]
    if not due:
        return ()
    first = min(due, key=lambda item: (_ORDER.get(item.kind, 2), item.at, item.notification))
    recent = [at for at in sent if now - HOUR < at <= now]
    crowded = len(recent) >= BURST
    if crowded and first.kind != "test" and now - max(recent) < PAUSE:
        return ()
    if first.kind not in _MERGED:
        return (first.notification,)
    mergeable = [item for item in items if item.kind in _MERGED]
    if not crowded and now - min(item.at for item in mergeable) < OUTAGE:
        mergeable = _related(first, mergeable)
    return tuple(item.notification for item in sorted(mergeable, key=lambda item: (item.at, item.notification)))


def _related(first: Waiting, items: Sequence[Waiting]) -> list[Waiting]:
    """Those that tell of the same incidents, directly or through one another."""
    incidents, found = set(first.incidents), [first]
    grew = True
    while grew:
        grew = False
        for item in items:
            if item not in found and incidents & item.incidents:
                found.append(item)
                incidents |= item.incidents
                grew = True
    return found
