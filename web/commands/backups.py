"""`./vigie backups`: lists the backups and verifies each by its checksum; `--now` makes one first."""

import argparse
import os

from alerts.words import N_
from archive import backup, clock, settings
from web.commands import _terminal

HELP = N_("list the backups and verify each; --now makes one first")


def run(argv: list[str]) -> int:
    words = _terminal.words()
    _ = words.gettext
    parser = argparse.ArgumentParser(prog="vigie backups", description=_(HELP))
    parser.add_argument("--now", action="store_true", help=_("make one now"))
    asked = parser.parse_args(argv)
    config, now = settings.load(), clock.now()
    backup.only_here(config.data)
    if asked.now:
        made = backup.make(config.data, config.backup_dir, now)
        _terminal.say(_("Made and compared: %(path)s", path=made.path))
    paths = backup.names(config.backup_dir)
    if not paths:
        _terminal.say(
            _("There is no backup in %(folder)s yet; ./vigie backups --now makes one.", folder=config.backup_dir)
        )
        return 1
    bad = 0
    for path in paths:
        size = words.value(os.path.getsize(path), "bytes")
        when = words.moment(backup.at(path), now)
        try:
            backup.verify(path)
            _terminal.say(f"  ok  {os.path.basename(path)}  {size}  {when}")
        except backup.BackupError as error:
            bad += 1
            _terminal.say(f"  !!  {os.path.basename(path)}  {size}  {when}  {error}")
    _terminal.say(
        _(
            "%(good)d of %(all)d backups are sound, in %(folder)s",
            good=len(paths) - bad,
            all=len(paths),
            folder=config.backup_dir,
        )
    )
    return 1 if bad else 0
