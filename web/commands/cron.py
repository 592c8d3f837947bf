"""`./vigie cron show|install|remove`: the crontab line of this folder, shown before it is written."""

import argparse
import os
import shutil
import subprocess

from alerts.words import N_
from archive.settings import ROOT
from web.commands import _terminal

HELP = N_("write, show or remove the crontab line of this Vigie")
MARK = "# Vigie:"


class CronError(OSError):
    """crontab cannot be read or written: says what to do."""


def line(root: str, minutes: int) -> str:
    """The crontab line. `%` is a newline for cron, so it is escaped; the path may hold spaces and quotes."""
    quoted = "'" + os.path.join(root, "run_all.sh").replace("'", "'\\''") + "'"
    every = "*" if minutes == 1 else f"*/{minutes}"
    return f"{every} * * * * {quoted.replace('%', chr(92) + '%')}"


def without(crontab: str, root: str) -> str:
    """The crontab with this folder's lines (and the mark above them) taken out; the rest byte for byte."""
    ours = {line(root, minutes).partition(" * * * * ")[2] for minutes in (1,)}
    kept: list[str] = []
    for entry in crontab.splitlines():
        if any(entry.endswith(f" * * * * {mine}") for mine in ours):
            if kept and kept[-1].startswith(MARK):
                kept.pop()
            continue
        kept.append(entry)
    return "".join(f"{entry}\n" for entry in kept)


def current() -> str:
    """The user's crontab; '' when there is none."""
    if not shutil.which("crontab"):
        raise CronError(
            "crontab is not installed; type: sudo apt install cron (or use the systemd timer of docs/deployment.md)"
        )
    done = subprocess.run(["crontab", "-l"], capture_output=True, text=True, check=False, timeout=30)
    if done.returncode and "no crontab" not in done.stderr:
        raise CronError(f"crontab -l failed: {done.stderr.strip()}")
    # Debian's crontab once printed its own three-line header; what is not a comment of ours stays as it is.
    return done.stdout if done.returncode == 0 else ""


def write(crontab: str) -> None:
    done = subprocess.run(["crontab", "-"], input=crontab, capture_output=True, text=True, check=False, timeout=30)
    if done.returncode:
        raise CronError(f"crontab refused the line: {done.stderr.strip()}")


def installed(root: str = ROOT) -> bool:
    """Whether this folder's line stands in the user's crontab."""
    return without(current(), root) != current()


def run(argv: list[str]) -> int:
    _ = _terminal.words().gettext
    parser = argparse.ArgumentParser(prog="vigie cron", description=_(HELP))
    parser.add_argument("action", choices=("show", "install", "remove"), nargs="?", default="show")
    parser.add_argument("--every", type=int, default=1, metavar="MINUTES", help=_("minutes between cycles, 1 to 15"))
    parser.add_argument("--yes", action="store_true", help=_("do not ask"))
    asked = parser.parse_args(argv)
    if not 1 <= asked.every <= 15:
        _terminal.complain(_("--every takes 1 to 15 minutes"))
        return 2
    wanted = line(ROOT, asked.every)
    if asked.action == "show":
        _terminal.say(wanted)
        return 0
    before = current()
    rest = without(before, ROOT)
    if asked.action == "remove":
        if rest == before:
            _terminal.say(_("The crontab holds no line of this folder."))
            return 0
        write(rest)
        _terminal.say(_("Removed from the crontab."))
        return 0
    note = _("one cycle; silent when all is well")
    after = f"{rest}{MARK} {note}\n{wanted}\n"
    if after == before:
        _terminal.say(_("The crontab holds the line already:") + f"\n  {wanted}")
        return 0
    _terminal.say(_("This line goes into your crontab:") + f"\n  {wanted}")
    if not _terminal.confirmed(_("Write it?"), asked.yes):
        _terminal.say(_("Nothing was written. Add --yes to write it without a question."))
        return 1
    write(after)
    _terminal.say(_("Written. The next cycle starts within %(minutes)d min.", minutes=asked.every))
    return 0
