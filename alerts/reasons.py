"""Why a probe had nothing to ask, or failed, and why the database cannot be read, in the reader's words.

A probe's `# UNAVAILABLE` line and the runner's reasons are English. Those that the shipped probes and the runner may give
stand here, each with the values in it; what another probe says is shown as it said it. What archive/database.py raises
is English, too, as a log is. tests/alerts/test_reasons.py reads the sources of all three, so that none is forgotten.
"""

import re
from datetime import UTC, datetime
from functools import cache

from alerts.mark import N_
from alerts.words import Words

KNOWN = (
    # A shipped probe has nothing to ask here.
    N_("this kernel does not measure pressure (CONFIG_PSI, or psi=1 on its command line)"),
    N_("this machine does not run systemd"),
    N_("loginctl does not answer and there is no utmp: nobody here keeps the list of sessions"),
    N_("no disk of this machine is visible"),
    N_("no temperature sensor is visible"),
    N_("no file system of a disk is mounted here (a container?)"),
    N_("the homes are being measured"),
    N_("neither timedatectl nor chronyc answers here"),
    N_("there is no network device"),
    N_("there is no software RAID and no ZFS pool"),
    N_("there is no disk that could speak of its health"),
    N_("smartctl is not installed (package smartmontools)"),
    N_("no right to read %(device)s (needs root or the group of the disks)"),
    N_("no disk here speaks of its health"),
    N_("dnf cannot answer without the network: %(said)s"),
    N_("apt has no package lists yet (apt-get update)"),
    N_("neither apt nor dnf rules this machine"),
    N_("no reason given"),
    # The runner took no text from a probe. The first holds another of them.
    N_("%(reason)s and cannot be killed (process %(number)s)"),
    N_("still running since %(when)s"),
    N_("timed out after %(seconds)s s"),
    N_("ended with status %(status)s and no explanation"),
    N_("it printed nothing"),
    N_("its text is longer than 1 MB"),
    N_("its text holds a NUL byte"),
    N_("a line of its text begins with # VIGIE"),
    # The database cannot be read.
    N_("%(path)s: the database is gone. Texts wait in %(folder)s; type: ./vigie restore"),
    N_("%(path)s: there is no database yet; type: ./run_all.sh"),
    N_("%(path)s: cannot be opened: %(said)s"),
    N_("%(path)s: is a symbolic link; SQLite's locks do not follow it: put the file itself there"),
    N_("%(path)s: the database is empty (0 bytes); type: ./vigie restore"),
    N_("%(path)s: is not a database of Vigie; type: ./vigie restore"),
    N_("%(path)s: was written by a newer Vigie (schema %(version)s); upgrade this one: git pull"),
    N_("%(path)s: is locked by another program; the work waits for the next cycle"),
    N_("%(path)s: the database is damaged (%(said)s); type: ./vigie restore"),
    N_("%(path)s: the database is damaged (%(said)s); pg_restore a backup (docs/fleet.md, Back-ups)"),
    N_("%(path)s: PostgreSQL cannot be reached (%(said)s); type: systemctl status postgresql"),
    N_("%(path)s: was written while it was read; ask again"),
    N_("%(path)s: its schema is older (%(version)s) than this Vigie; type: ./run_all.sh"),
    N_("%(path)s: another step of Vigie is writing; this one leaves its work for the next cycle"),
    N_("%(path)s: others may open it; type: chmod 600 %(quoted)s"),
    N_("%(path)s: cannot be made: %(said)s"),
)


def told(reason: str, words: Words) -> str:
    """The reason in this language, its values as they are; unchanged when it is none of those known."""
    for message, pattern in _patterns():
        found = pattern.fullmatch(reason)
        if found:
            values = {name: _value(name, value, words) for name, value in found.groupdict().items()}
            return words.gettext(message, **values) if values else words.gettext(message)
    return reason


def _value(name: str, value: str, words: Words) -> str:
    if name == "reason":
        return told(value, words)
    if name == "when":
        try:
            return words.full(int(datetime.strptime(value, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()))
        except ValueError:
            return value
    return value


@cache
def _patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    """Each message with the pattern of what it says: a value is any text, the shortest that fits."""
    return tuple(
        (message, re.compile(re.sub(r"%\\?\((\w+)\\?\)s", r"(?P<\1>.+?)", re.escape(message)), re.DOTALL))
        for message in KNOWN
    )
