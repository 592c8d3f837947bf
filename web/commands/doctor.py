"""`./vigie doctor`: what can be wrong, looked at one by one; each line is well or says what to type."""

import argparse
import json

from alerts.words import N_, Words
from archive import clock, settings
from web import doctor
from web.commands import _terminal

HELP = N_("look at everything that can be wrong; each line says what to type")
MARKS = {"ok": "✓", "note": "·", "mend": "✗"}


def run(argv: list[str]) -> int:
    """Exit status 0 when there is nothing to mend, 1 when there is."""
    words = _terminal.words()
    _ = words.gettext
    parser = argparse.ArgumentParser(prog="vigie doctor", description=_(HELP))
    parser.add_argument("--json", action="store_true", help=_("one JSON object a line"))
    asked = parser.parse_args(argv)
    config = settings.load()
    to_mend = 0
    for finding in doctor.findings(config, Words(config.language, config.timezone), clock.now()):
        to_mend += finding.level == "mend"
        if asked.json:
            _terminal.say(json.dumps(finding._asdict(), ensure_ascii=False))
            continue
        _terminal.say(f"{MARKS[finding.level]} {finding.what}")
        if finding.fix:
            _terminal.say(f"    → {finding.fix}")
    if not asked.json:
        _terminal.say(
            words.ngettext("%(num)s thing to mend.", "%(num)s things to mend.", to_mend)
            if to_mend
            else _("Nothing to mend.")
        )
    return 1 if to_mend else 0
