"""What every command shares: the reader's words, a question, and lines that a terminal cannot be tricked by."""

import sys

from alerts.words import Words
from archive import settings
from archive.text import clean


def words() -> Words:
    """In the setting's language and time zone; French and UTC when the settings cannot be read (a command then says so)."""
    try:
        found = settings.load()
    except settings.SettingsError:
        return Words("fr", "UTC")
    return Words(found.language, found.timezone)


def shown(text: str) -> str:
    """Text from the machine or the network as one harmless line: no escape sequence, no newline."""
    return clean(text)


def say(text: str) -> None:
    print(text)


def note(text: str) -> None:
    """A remark for a person, beside what a script reads."""
    print(text, file=sys.stderr)


def complain(text: str) -> None:
    print(f"vigie: {text}", file=sys.stderr)


def confirmed(question: str, yes: bool) -> bool:
    """Ask at a terminal; without one, only `--yes` says yes."""
    if yes:
        return True
    if not sys.stdin.isatty():
        return False
    answer = input(f"{question} [o/N] " if words().language == "fr" else f"{question} [y/N] ")
    return answer.strip().casefold() in ("o", "oui", "y", "yes")
