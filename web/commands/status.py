"""`./vigie status`: the first screen in a terminal, in colour, plain when piped; exit status as monitoring plugins have it."""

import argparse
import json
import shutil
import signal
import sys
import time
from types import FrameType

from rich.console import Console, Group
from rich.live import Live

from alerts.words import N_, Words
from archive import clock, database, settings
from web import glance
from web.commands import _screen, _terminal

HELP = N_("the first screen in a terminal; exit status 0 ok, 1 warning, 2 critical, 3 unknown")
UNKNOWN = glance.EXIT["unknown"]
EVERY, LONGEST = 5, 3600  # seconds between two looks
STEP = 0.25  # seconds: how long Ctrl+C, or a window of another size, may wait
NARROWEST = 40


def run(argv: list[str]) -> int:
    words = _terminal.words()
    _ = words.gettext
    parser = argparse.ArgumentParser(prog="vigie status", description=_(HELP))
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--json", action="store_true", help=_("one JSON object, for scripts"))
    how.add_argument(
        "--watch",
        nargs="?",
        type=_seconds,
        const=EVERY,
        metavar="N",
        help=_("look again every N seconds (5 when left out), until Ctrl+C"),
    )
    asked = parser.parse_args(argv)
    try:
        config = settings.load()
        if asked.json:
            found = _look(config, words)
            print(json.dumps(glance.as_json(found)))
            return glance.EXIT[found.state.word]
        if asked.watch:
            return _watch(config, words, asked.watch)
        found = _look(config, words)
    except (settings.SettingsError, database.DatabaseError, OSError) as error:
        # For whoever watches by this command: that nothing can be read is not a warning (1) but unknown (3).
        _terminal.complain(_terminal.shown(str(error)))
        return UNKNOWN
    _show(_screen.drawn(found, words, _console().width))
    return glance.EXIT[found.state.word]


def _show(drawing: Group) -> None:
    console = _console()
    if console.is_terminal:
        console.print(drawing)
        return
    # In a pipe or a file: no escape sequence, and no spaces that fill a line nobody sees the end of.
    with console.capture() as kept:
        console.print(drawing)
    for line in kept.get().splitlines():
        print(line.rstrip())


def _seconds(text: str) -> int:
    seconds = int(text) if text.isascii() and text.isdigit() and len(text) < 5 else 0
    if not 1 <= seconds <= LONGEST:
        raise argparse.ArgumentTypeError(f"{text!r}: 1 – {LONGEST}")
    return seconds


def _look(config: settings.Settings, words: Words) -> glance.Glance:
    with database.reader(config.data) as db:
        return glance.take(db, 1, words, clock.now())


def _console() -> Console:
    """As wide as the terminal; 80 columns when piped, whatever COLUMNS says of another one."""
    console = Console(highlight=False, emoji=False, markup=False, soft_wrap=False)
    width = shutil.get_terminal_size((80, 24)).columns if console.is_terminal else 80
    console.width = max(NARROWEST, width)
    return console


def _watch(config: settings.Settings, words: Words, every: int) -> int:
    """Until Ctrl+C or SIGTERM: drawn in place on the terminal's second page, so that nothing flickers or stays behind."""
    # A plain list: an Event's own lock may be held by the very wait that the signal interrupts, and setting it would hang.
    over: list[int] = []
    status = UNKNOWN

    def end(number: int, _frame: FrameType | None) -> None:
        over.append(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    if not sys.stdout.isatty():
        _terminal.complain(words.gettext("--watch needs a terminal; for a script: ./vigie status --json"))
        return UNKNOWN
    console = _console()
    with Live(console=console, screen=True, auto_refresh=False, vertical_overflow="crop") as page:
        while not over:
            status, drawing = _once(config, words, every)
            page.update(drawing, refresh=True)
            # In short steps: a window that changes its size is drawn anew at once.
            left, size = float(every), shutil.get_terminal_size()
            while left > 0 and not over and shutil.get_terminal_size() == size:
                time.sleep(min(STEP, left))
                left -= STEP
            console.width = max(NARROWEST, shutil.get_terminal_size().columns)
    return status


def _once(config: settings.Settings, words: Words, every: int) -> tuple[int, Group]:
    """(exit status, what to draw). A database that is away for a moment is said on the page, which goes on."""
    width, height = shutil.get_terminal_size()
    try:
        found = _look(config, words)
    except (database.DatabaseError, OSError) as error:
        return UNKNOWN, _screen.failed(_terminal.shown(str(error)), words)
    drawing = _screen.drawn(found, words, max(NARROWEST, width), height - 2)
    foot = words.gettext("again every %(span)s · Ctrl+C ends", span=words.duration(every))
    return glance.EXIT[found.state.word], Group(drawing, _screen.foot(foot))
