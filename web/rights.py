"""For `./vigie doctor`: who may open the data folder, and which of the two forms it has (archive/rights.py).

One user alone: 0600 in 0700. Two users of one group: 0660 in 2770, and the code out of the group's hands, or the second user
could change what the first one runs every minute.
"""

import grp
import os
import shlex
import stat
from collections.abc import Iterator

from alerts.words import Words
from archive import rights
from archive.settings import ROOT, Settings
from web import bytecode
from web.doctor import Finding

EXAMPLE = "settings.example.env"
CLOSED = (".env", ".db", "secret-key", "pseudonym-key", "first-link", "password")
# What both users of the second form write, or SQLite refuses; spool files and backups are replaced, never written again.
WRITTEN_BY_BOTH = (".db", ".db-wal", ".db-shm", "lock", "calm")
DEEPER = ("spool", "run", "journal", "probes", "quarantine", "log")
CODE = ("run_all.sh", "vigie", "web", "alerts", "archive", "probes", "templates", "static", ".venv")


def findings(config: Settings, words: Words) -> Iterator[Finding]:
    """What is not as the folder's form wants it; when all is, which form it is."""
    found = list(_two(config.data, words) if rights.shared(config.data) else _one(config.data, words))
    yield from found
    if any(one.level == "mend" for one in found):
        return
    if rights.shared(config.data):
        group = _group(os.stat(config.data).st_gid)
        said = words.gettext(
            "the data folder %(path)s is for two users of the group %(group)s, and closed to others",
            path=config.data,
            group=group,
        )
        yield Finding("ok", said, "")
    else:
        yield Finding("ok", words.gettext("the data folder %(path)s is yours alone", path=config.data), "")


def _one(data: str, words: Words) -> Iterator[Finding]:
    _ = words.gettext
    owner = os.stat(data).st_uid
    for path, found in _looked_at(data):
        quoted, mode = shlex.quote(path), stat.S_IMODE(found.st_mode)
        if found.st_uid != owner:
            fix = f"sudo chown -R --reference={shlex.quote(data)} {quoted}"
            yield Finding("mend", _("%(path)s belongs to another user", path=path), fix)
        if mode & rights.OTHERS and path == data:
            yield Finding("mend", _("%(path)s can be entered by others", path=path), f"chmod 700 {quoted}")
        elif mode & stat.S_IWGRP and path == data:
            # Half of the second form: its files would be made for one user, and the other would fail on them.
            said = _("%(path)s can be written by its group, and is not set up for two users", path=path)
            yield Finding("mend", said, f"chmod 700 {quoted}")
        if path.endswith(CLOSED) and mode & rights.OTHERS:
            yield Finding("mend", _("%(path)s can be read by others", path=path), f"chmod 600 {quoted}")


def _two(data: str, words: Words) -> Iterator[Finding]:
    _ = words.gettext
    group = os.stat(data).st_gid
    for path, found in _looked_at(data):
        quoted, mode, folder = shlex.quote(path), stat.S_IMODE(found.st_mode), stat.S_ISDIR(found.st_mode)
        if found.st_gid != group:
            said = _("%(path)s does not belong to the group %(group)s", path=path, group=_group(group))
            yield Finding("mend", said, f"sudo chgrp {shlex.quote(_group(group))} {quoted}")
        if mode & rights.OTHERS:
            fix = f"sudo chmod o= {quoted}"
            yield Finding("mend", _("%(path)s can be read by others", path=path), fix)
        if folder and os.path.dirname(path) == data and mode & rights.GROUP != rights.GROUP:
            said = _("what is made in %(path)s does not belong to both users", path=path)
            yield Finding("mend", said, f"sudo chmod 2770 {quoted}")
        elif not folder and path.endswith(WRITTEN_BY_BOTH) and mode & 0o060 != 0o060:
            yield Finding("mend", _("%(path)s cannot be written by both users", path=path), f"sudo chmod 660 {quoted}")
        elif not folder and path.endswith("settings.env") and not mode & stat.S_IRGRP:
            yield Finding("mend", _("%(path)s cannot be read by both users", path=path), f"sudo chmod 640 {quoted}")
    for path in (*(os.path.join(ROOT, name) for name in CODE), *compiled(ROOT)):
        if os.path.exists(path) and (now := os.stat(path)).st_gid == group and now.st_mode & stat.S_IWGRP:
            said = _("the group %(group)s can change %(path)s, which runs as another", group=_group(group), path=path)
            yield Finding("mend", said, f"sudo chmod -R g-w {shlex.quote(path)}")


def compiled(root: str) -> Iterator[str]:
    """The folders of what the code was compiled to: it is run as the code is. An older Vigie may have given them to the group."""
    for name in bytecode.FOLDERS:
        for path, folders, _files in os.walk(os.path.join(root, name)):
            if "__pycache__" in folders:
                yield os.path.join(path, "__pycache__")


def _looked_at(data: str) -> Iterator[tuple[str, os.stat_result]]:
    """The folder, what is in it, and what is in some of its folders; links left out, and what goes meanwhile."""
    for path in (data, *_inside(data)):
        try:
            found = os.lstat(path)
        except FileNotFoundError:
            continue
        if not stat.S_ISLNK(found.st_mode):
            yield path, found


def _inside(folder: str) -> Iterator[str]:
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if name == EXAMPLE:
            continue  # the repository's own, with nothing of this machine in it
        yield path
        if name in DEEPER and os.path.isdir(path):
            yield from (os.path.join(path, inner) for inner in sorted(os.listdir(path))[:200])


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
