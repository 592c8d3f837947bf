"""When an incident that lasts is told again: after 4 hours, 24 hours later, then once a day. Pure; UTC seconds."""

FIRST_SECONDS = 4 * 3600
NEXT_SECONDS = 24 * 3600


def due(opened_at: int, reminded_at: int | None, acknowledged_at: int | None, now: int) -> bool:
    """Whether to say "still so" now. Nobody is reminded of what someone looks after.

    Time that was slept through gives one reminder, not several.
    """
    return acknowledged_at is None and now >= next_at(opened_at, reminded_at)


def too_soon(told_at: int, now: int) -> bool:
    """Whether another mail of this incident (opened, escalated, returned) is so fresh that a reminder would only repeat it."""
    return now - told_at < FIRST_SECONDS


def next_at(opened_at: int, reminded_at: int | None) -> int:
    """When the next reminder comes, were nothing to happen before."""
    return opened_at + FIRST_SECONDS if reminded_at is None else reminded_at + NEXT_SECONDS
