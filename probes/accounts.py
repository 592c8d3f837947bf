#!/usr/bin/env -S python3 -I -S
"""Accounts that a person can log in with, connected or not: those whose shell is one of /etc/shells. Root too."""

import sys

if __name__ == "__main__":
    sys.path.insert(0, __file__.rpartition("/")[0] or ".")  # -I leaves it out
import reading

HEAD = """\
# HELP accounts Accounts one can log in with
# EVERY 5
# HELP.fr accounts Comptes permettant d’ouvrir une session
# TYPE accounts gauge
"""
LONGEST = 4096  # bytes of a folder's name


def lines(path: str) -> list[str]:
    try:
        return reading.slurp(path).split("\n")
    except OSError:
        return []


def in_files(root: str) -> bool:
    """Whether /etc/passwd holds all accounts: no directory is named, and no homes of systemd-homed are served."""
    if reading.exists(f"{root}/run/systemd/userdb/io.systemd.Home"):
        return False
    for row in lines(f"{root}/etc/nsswitch.conf"):
        if row.startswith("passwd:"):
            return all(source in {"files", "systemd"} for source in row.removeprefix("passwd:").split())
    return False


def listed(root: str, alone: bool) -> str:
    """As /etc/passwd has them. Raises AskError, RefusedError, OSError."""
    if root or (not alone and in_files(root)) or not reading.is_program("getent"):
        return reading.slurp(f"{root}/etc/passwd", 16 << 20).removesuffix("\n")
    if not alone:
        raise reading.AskError
    # The directory's accounts too, where it lets itself be listed.
    status, found = reading.ask(["getent", "passwd"], {b"LC_ALL": b"C"})
    if status:
        raise reading.RefusedError(f"getent passwd ended with status {status}")
    return found.rstrip("\n")


def text(root: str, _state: str, alone: bool) -> str:
    shells = {row for row in lines(f"{root}/etc/shells") if row.startswith("/")}
    count = 0
    facts = ""
    for row in listed(root, alone).split("\n"):
        fields = row.split(":")
        fields += [""] * (7 - len(fields))
        user, _, uid, gid, _, home, shell = fields[:7]
        if not user or not reading.whole(uid) or not reading.whole(gid) or len(fields) > 7:
            raise reading.RefusedError("a line of the list of accounts is not as expected")
        shell = shell or "/bin/sh"
        if shell.endswith(("/nologin", "/false")) or (shells and shell not in shells):
            continue
        user, home, shell = (reading.label(field, LONGEST) for field in (user, home, shell))
        facts += f'account_info{{user="{user}",uid="{uid}",home="{home}",shell="{shell}"}} 1\n'
        count += 1
    return f"{HEAD}accounts {count}\n{facts}"


if __name__ == "__main__":
    reading.main(text)
