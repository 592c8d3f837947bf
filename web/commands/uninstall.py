"""`./vigie uninstall`: the crontab line out, the dashboard stopped; the data stay unless asked for."""

import argparse
import os
import shutil
import subprocess

from alerts.words import N_
from archive import settings
from web.commands import _terminal, cron

HELP = N_("take the crontab line out and stop the dashboard; --data removes the data too")


def run(argv: list[str]) -> int:
    words = _terminal.words()
    _ = words.gettext
    parser = argparse.ArgumentParser(prog="vigie uninstall", description=_(HELP))
    parser.add_argument("--data", action="store_true", help=_("remove the data folder and the backups in it as well"))
    parser.add_argument("--yes", action="store_true", help=_("do not ask"))
    asked = parser.parse_args(argv)
    config = settings.load()
    plan = [_("take the line of this folder out of your crontab"), _("stop the dashboard"), _("remove .venv")]
    if asked.data:
        plan.append(_("remove %(folder)s and all it holds, backups too", folder=config.data))
    _terminal.say(_("This will:") + "".join(f"\n  - {step}" for step in plan))
    if not _terminal.confirmed(_("Go on?"), asked.yes):
        _terminal.say(_("Nothing was changed. Add --yes to go on without a question."))
        return 1
    if shutil.which("crontab") and cron.installed():
        cron.write(cron.without(cron.current(), settings.ROOT))
    subprocess.run([os.path.join(settings.ROOT, "run_all.sh"), "stop"], check=True)
    if asked.data:
        shutil.rmtree(config.data)
    else:
        _terminal.say(_("Your data stay in %(folder)s.", folder=config.data))
    shutil.rmtree(os.path.join(settings.ROOT, ".venv"), ignore_errors=True)
    _terminal.say(_("Done. What is left is this folder: %(folder)s", folder=settings.ROOT))
    return 0
