"""Who may open what Vigie makes. Two forms, and the folder itself says which one it is (docs/deployment.md):

- one user, the default: files 0600 in folders 0700, umask 077;
- two users of one group, cron's and the dashboard's: files 0660 in folders 2770, umask 007.

A folder made within one of the second form inherits its group and the bit that says so. There is no third form: a folder that
others may enter counts as the first one, and what is made there is its maker's alone.
"""

import os
import stat

GROUP = stat.S_ISGID | stat.S_IRWXG
OTHERS = stat.S_IRWXO


def shared(folder: str) -> bool:
    """Whether a folder is of two users: 2770. One that cannot be looked at is not."""
    try:
        mode = os.stat(folder).st_mode
    except OSError:
        return False
    return mode & GROUP == GROUP and not mode & OTHERS


def of_file(path: str) -> int:
    """The mode of a file to be made at this path."""
    return 0o660 if shared(os.path.dirname(path)) else 0o600


def of_folder(path: str) -> int:
    """The mode of a folder to be made at this path."""
    return 0o770 if shared(os.path.dirname(path)) else 0o700


def refused(folder: str) -> int:
    """The bits that no file in this folder may have."""
    return OTHERS if shared(folder) else OTHERS | stat.S_IRWXG


def trusted(file: int, folder: str) -> bool:
    """Whether an open file says what the folder's owner, or root, put into it. In the form of two users the other one may write
    the folder, so may put a file of its own there; in that of one, there is nobody else."""
    if not shared(folder):
        return True
    found = os.fstat(file)
    return found.st_uid in (0, os.stat(folder).st_uid) and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def take(data: str) -> None:
    """Set the umask of this process by its data folder: for what is made without a mode, and so that the mode is kept."""
    os.umask(0o007 if shared(data) else 0o077)
