"""What an address may ask for: one value, bounded. Anything odd is a 400 or the default, never a 500."""

from flask import abort, request


def one(name: str, allowed: tuple[str, ...], default: str) -> str:
    """One of a few words; the default when absent. Repeated or unknown: 400."""
    given = request.args.getlist(name)
    if not given:
        return default
    if len(given) > 1 or given[0] not in allowed:
        abort(400)
    return given[0]


def number(name: str, most: int = 2**53) -> int | None:
    """A whole number from 0 to `most`; None when absent. Anything else: 400."""
    given = request.args.getlist(name)
    if not given:
        return None
    if len(given) > 1 or not (given[0].isascii() and given[0].isdigit()) or len(given[0]) > 16 or int(given[0]) > most:
        abort(400)
    return int(given[0])


def text(name: str, longest: int) -> str:
    """A few words to look for; '' when absent. Repeated or too long: 400."""
    given = request.args.getlist(name)
    if not given:
        return ""
    if len(given) > 1 or len(given[0]) > longest:
        abort(400)
    return given[0].strip()
