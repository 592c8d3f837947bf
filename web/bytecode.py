"""For `./vigie doctor`: whether what every cycle runs is compiled, for this Python and as the source is now.

run_all.sh compiles at the first start and after an upgrade, and Python by itself wherever it may write beside the source. Where
cron's user may not, each cycle compiles what it imports: longer than all that it does (docs/performance-cycle.md).
"""

import os
import shlex
import sys
from collections.abc import Iterator
from importlib import util

from alerts.words import Words
from web.doctor import Finding

FOLDERS = ("probes", "archive", "alerts", "web")
# Imported by every cycle, or by every one that archives.
RUN = ("probes/reading.py", "probes/run.py", "probes/running.py", "probes/sources.py", "probes/cpu.py", "probes/processes.py",
       "alerts/run_cycle.py", "alerts/still.py", "alerts/cycle.py", "alerts/minute.py", "archive/load.py", "archive/text.py")  # fmt: skip


def findings(root: str, words: Words) -> Iterator[Finding]:
    """`root`: the folder of the program."""
    _ = words.gettext
    bad = sorted({name.partition("/")[0] for name in RUN if not is_compiled(os.path.join(root, name))})
    if not bad:
        yield Finding("ok", _("the program is compiled for this Python"), "")
        return
    ours = all(os.access(os.path.join(root, name), os.W_OK) for name in bad)
    said = _("the program is compiled anew at every cycle: %(folders)s", folders=", ".join(bad))
    # The system's Python, not that of .venv: root runs no program that others can write.
    command = f"{shlex.quote(os.path.realpath(sys.executable))} -I -S -m compileall -f -q {' '.join(FOLDERS)}"
    yield Finding("mend", said, f"cd {shlex.quote(root)} && {'' if ours else 'sudo '}{command}")


def is_compiled(path: str) -> bool:
    """Whether Python would read what this source was compiled to (PEP 552: magic, flags, then time and size)."""
    try:
        source = os.stat(path)
        with open(util.cache_from_source(path), "rb") as file:
            head = file.read(16)
    except OSError:
        return False
    if head[:4] != util.MAGIC_NUMBER or len(head) < 16:
        return False
    if int.from_bytes(head[4:8], "little"):
        return True  # by the source's hash: whoever installed it so sees to it
    now = (int(source.st_mtime) & 0xFFFFFFFF, source.st_size & 0xFFFFFFFF)
    return (int.from_bytes(head[8:12], "little"), int.from_bytes(head[12:16], "little")) == now
