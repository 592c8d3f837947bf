"""`./vigie move FILE.tar`: everything of this machine's Vigie in one archive; `./vigie move --from FILE.tar` on the new one."""

import argparse
import os
import shutil
import subprocess
import tarfile
import tempfile

from alerts.words import N_
from archive import backup, clock, database, settings
from web.commands import _terminal, cron

HELP = N_("pack this Vigie for another machine (move FILE.tar), or unpack it there (move --from FILE.tar)")
# What makes this Vigie itself: the database travels as a verified backup, not as live files.
CARRIED = ("settings.env", "logins.db", "secret-key", "pseudonym-key", "journal", "spool", "quarantine")


def run(argv: list[str]) -> int:
    words = _terminal.words()
    _ = words.gettext
    parser = argparse.ArgumentParser(prog="vigie move", description=_(HELP))
    parser.add_argument("file", metavar="FILE.tar")
    parser.add_argument("--from", dest="unpack", action="store_true", help=_("unpack FILE.tar here"))
    parser.add_argument("--yes", action="store_true", help=_("do not ask"))
    asked = parser.parse_args(argv)
    return unpack(asked.file, asked.yes) if asked.unpack else pack(asked.file, asked.yes)


def pack(path: str, yes: bool) -> int:
    """1. stop the cycles and the dashboard here; 2. a verified backup; 3. one tar, 0600, whole before it has its name."""
    words = _terminal.words()
    _ = words.gettext
    if os.path.exists(path):
        _terminal.complain(_("%(path)s exists already; give another name", path=path))
        return 1
    _terminal.say(
        _("This stops Vigie on this machine and packs its data (log-ins and settings too) in %(path)s.", path=path)
    )
    if not _terminal.confirmed(_("Go on?"), yes):
        _terminal.say(_("Nothing was changed. Add --yes to go on without a question."))
        return 1
    config, now = settings.load(), clock.now()
    if shutil.which("crontab") and cron.installed():
        cron.write(cron.without(cron.current(), settings.ROOT))
    subprocess.run([os.path.join(settings.ROOT, "run_all.sh"), "stop"], check=True)
    made = backup.make(config.data, config.backup_dir, now)
    aside = f"{path}.new"
    fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file, tarfile.open(fileobj=file, mode="w") as tar:
        tar.add(made.path, "vigie.db")
        tar.add(f"{made.path}.sha256", "vigie.db.sha256")
        for name in CARRIED:
            if os.path.exists(os.path.join(config.data, name)):
                tar.add(os.path.join(config.data, name), name)
        file.flush()
    with open(aside, "rb") as written:
        os.fsync(written.fileno())
    os.rename(aside, path)
    _terminal.say(_("Packed. On the other machine, in Vigie's folder: ./run_all.sh, then ./vigie move --from FILE.tar"))
    return 0


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Only files and folders, under their own names: no link, no device, no way out of the folder."""
    parts = member.name.split("/")
    if not (member.isreg() or member.isdir()) or ".." in parts or member.name.startswith("/"):
        raise OSError(
            f"the archive holds {member.name!r}, which is not a plain file: it was not packed by ./vigie move"
        )
    member.mode = 0o700 if member.isdir() else 0o600
    return member


def unpack(path: str, yes: bool) -> int:
    """The other way: the archive's database is verified and restored; the present one is set aside."""
    words = _terminal.words()
    _ = words.gettext
    config, now = settings.load(), clock.now()
    with tempfile.TemporaryDirectory(dir=config.data) as folder:
        with tarfile.open(path) as tar:
            tar.extractall(folder, members=[_plain(member) for member in tar])  # noqa: S202 each was looked at
        copy = os.path.join(folder, "vigie.db")
        if not os.path.exists(copy):
            _terminal.complain(_("%(path)s was not packed by ./vigie move", path=path))
            return 1
        facts = backup.verify(copy)
        newest = words.moment(facts.newest_at, now) if facts.newest_at else "-"
        _terminal.say(_("%(path)s is sound; its newest cycle is of %(when)s.", path=path, when=newest))
        if not _terminal.confirmed(_("Put it in this machine's place?"), yes):
            _terminal.say(_("Nothing was changed. Add --yes to go on without a question."))
            return 1
        kept = backup.restore(config.data, copy, now)
        for name in CARRIED:
            source, target = os.path.join(folder, name), os.path.join(config.data, name)
            if os.path.exists(source):
                if os.path.lexists(target):
                    shutil.move(target, os.path.join(kept, name))
                shutil.move(source, target)
    database.create(config.data, "", config.host_name, "", now)
    _terminal.say(_("Moved in. What was there before is in %(folder)s. Now type: ./vigie cron install", folder=kept))
    return 0
