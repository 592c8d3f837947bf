"""The dashboard's log: whatever a message holds, it forges no entry and no terminal obeys it.

Names, addresses and errors that come into a log are hostile text. An entry's first line begins with its time; every
further line (a traceback, a newline in an error) is indented, and control characters are shown instead of written.
"""

import logging
import sys
import time

from archive.text import clean

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
INDENT = "    "


class OneEntry(logging.Formatter):
    """Times are UTC and say so."""

    converter = staticmethod(time.gmtime)

    def __init__(self) -> None:
        super().__init__(FORMAT, "%Y-%m-%dT%H:%M:%SZ")

    def format(self, record: logging.LogRecord) -> str:
        first, *others = super().format(record).replace("\r\n", "\n").split("\n")
        return "\n".join([clean(first), *(INDENT + _kept(line) for line in others)])


def _kept(line: str) -> str:
    """A traceback is read by its indentation."""
    bare = line.lstrip(" ")
    return line[: len(line) - len(bare)] + clean(bare)


def set_up() -> None:
    """To standard error, warnings and worse; run_all.sh sends it to data/log/web.log."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneEntry())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    # waitress warns at each request that waits for a thread: a busy minute would be thousands of lines that help nobody.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
