"""`./vigie COMMAND ...`: finds the command, gives it its arguments, words what it raises."""

import contextlib
import os
import sys

if __package__ in (None, ""):
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from archive import database, rights, settings
from web import commands


def worded() -> tuple[type[Exception], ...]:
    """What a person can do something about: said in one line. Anything else is our fault and shows where."""
    from archive import backup, original  # only when something went wrong: the hourly step comes through here too

    return (settings.SettingsError, database.DatabaseError, backup.BackupError, original.OriginalError, OSError)


def main(argv: list[str]) -> int:
    """0 well, 1 it failed (one clear line), 2 the words of the call are off."""
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(usage())
        return 0
    if argv[0] == "--version":
        print(version())
        return 0
    if argv[0] not in commands.names():
        import difflib

        near = difflib.get_close_matches(argv[0], commands.names(), 1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        print(f"vigie: there is no command {argv[0]!r}{hint}; ./vigie --help lists them", file=sys.stderr)
        return 2
    with contextlib.suppress(settings.SettingsError):  # whoever needs them says so
        rights.take(settings.load().data)
    try:
        status = commands.command(argv[0]).run(argv[1:])
    except worded() as error:
        print(f"vigie: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        return 0
    except KeyboardInterrupt:
        return 130
    return int(status)


def usage() -> str:
    """All commands with one line each, in the setting's language."""
    from web.commands import _terminal

    words = _terminal.words()
    lines = [words.gettext("Usage: ./vigie COMMAND [OPTIONS]   (./vigie COMMAND --help says more)"), ""]
    for name in commands.names():
        text = commands.command(name).HELP
        if text:
            lines.append(f"  {name:<12} {words.gettext(text)}")
    return "\n".join(lines)


def version() -> str:
    """The version is the first heading of CHANGELOG.md: one truth."""
    with open(os.path.join(settings.ROOT, "CHANGELOG.md"), encoding="utf-8") as file:
        for line in file:
            if line.startswith("## "):
                return line.split()[1].lstrip("v")
    return "0"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
