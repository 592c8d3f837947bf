"""`./vigie restore [FILE]`: puts a verified backup in the database's place; the present one is set aside, never lost."""

import argparse
import os

from alerts.words import N_
from archive import backup, clock, database, events, settings
from web.commands import _terminal

HELP = N_("put a verified backup in the database's place (the present one is set aside)")


def run(argv: list[str]) -> int:
    words = _terminal.words()
    _ = words.gettext
    parser = argparse.ArgumentParser(prog="vigie restore", description=_(HELP))
    parser.add_argument("file", nargs="?", help=_("the backup; without it, the newest sound one"))
    parser.add_argument("--yes", action="store_true", help=_("do not ask"))
    asked = parser.parse_args(argv)
    config, now = settings.load(), clock.now()
    backup.only_here(config.data)
    path = asked.file or newest_sound(config.backup_dir)
    if path is None:
        _terminal.complain(
            _("there is no sound backup in %(folder)s; ./vigie backups says why", folder=config.backup_dir)
        )
        return 1
    facts = backup.verify(path)
    newest = words.moment(facts.newest_at, now) if facts.newest_at else "-"
    _terminal.say(_("%(path)s is sound; its newest cycle is of %(when)s.", path=path, when=newest))
    if not _terminal.confirmed(_("Put it in the database's place?"), asked.yes):
        _terminal.say(_("Nothing was changed. Add --yes to restore without a question."))
        return 1
    kept = backup.restore(config.data, path, now)
    # The backup may be older than the code: brought up to date as run_all.sh would.
    database.create(config.data, "", config.host_name, "", now)
    with database.writer(config.data) as db, database.transaction(db):
        events.add(db, 1, now, "restore", os.path.basename(path), "")
    _terminal.say(_("Restored. What was there before is in %(folder)s.", folder=kept))
    _terminal.say(_("Texts archived since that backup come back with: ./vigie rebuild"))
    return 0


def newest_sound(folder: str) -> str | None:
    """The newest backup that verifies."""
    for path in reversed(backup.names(folder)):
        try:
            backup.verify(path)
        except backup.BackupError:
            continue
        return path
    return None
