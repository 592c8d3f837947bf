"""Machines that a publication concerns, for its page: what each is, and one line to paste for those that want the same done.

Names of machines and packages come from machines, hostile: what is not a name of the plain kind goes into no command, and
everything is quoted for a POSIX shell. Nothing here runs anything.
"""

import json
import shlex
from collections.abc import Iterable
from typing import NamedTuple

from alerts.words import N_
from archive.certfr import offer
from archive.certfr.verdict import Reason, Verdict, reason_text
from archive.fleet import concerned, members
from archive.fleet.concerned import Group, Machine
from web import asking, store
from web.words import _, words

PAGE = 50
LONGEST = 600  # of a reason
LINE, LINES = 200, 10  # machines in one line to paste, and lines of one group
STATES = {
    "affected": (N_("Affected"), "critical"), "to_check": (N_("To check"), "unknown"), "corrected": (N_("Corrected"), "ok"),
    "put_away": (N_("Put away"), "closed"),
}  # fmt: skip
APT, RPM = ("debian", "ubuntu"), ("rhel", "fedora", "centos", "rocky", "almalinux", "ol", "amzn", "mageia")
ZYPPER = ("suse", "opensuse", "sles", "sled", "sl-micro")
RESTART = "sudo systemctl reboot"


class Paste(NamedTuple):
    """A part of a group: the same command for these machines. `ssh` and `ansible`: a line each, quoted."""

    ssh: str
    ansible: str


class Todo(NamedTuple):
    """What there is to do on some machines. `command` '': none is known, for the machine has not said what it runs, or the
    package's name is none that a package manager gives."""

    command: str
    package: str
    machines: int
    pastes: list[Paste]
    left: int  # machines that no line names


class Row(NamedTuple):
    machine: Machine
    word: str
    badge: str
    why: str
    tags: list[str]


def shown(reference: str) -> dict[str, object] | None:
    """What templates/advisory_machines.html shows; None where no machine has to do with it and none was decided.
    `?state=`, `?tag=` keep some, `?skip=` gives the next ones."""
    state = asking.one("state", ("", *STATES), "")
    tag = asking.text("tag", 63)
    skip = asking.number("skip", 10_000_000) or 0
    db = store.db()
    decided = concerned.decided(db, reference)
    counts = concerned.counts(db, reference, tag)
    if not counts and decided is None and not tag:
        return None
    found = concerned.machines(db, reference, state=state, tag=tag, most=PAGE + 1, skip=skip)
    return {
        "rows": [_row(one) for one in found[:PAGE]],
        "counts": [(key, counts[key], _(word), badge) for key, (word, badge) in STATES.items() if counts.get(key)],
        "affected": counts.get("affected", 0),
        "todo": todo(concerned.groups(db, reference, tag)) if counts.get("affected") and not skip else [],
        "decided": decided,
        "here": any(one.here for one in found[:PAGE]),
        "state": state,
        "tag": tag,
        "tags": members.tags(db),
        "more": skip + PAGE if len(found) > PAGE else None,
        "less": max(0, skip - PAGE) if skip else None,
    }


def _row(one: Machine) -> Row:
    word, badge = STATES[one.state]
    # Of what ended here, what was kept is why it did concern the machine.
    ended = one.here and one.state == "corrected"
    return Row(one, _(word), badge, "" if ended else why(one), one.tags.split())


def why(one: Machine) -> str:
    """The reason in the reader's words; '' for one that is not understood."""
    try:
        key, arguments = json.loads(one.reason)
        pairs = tuple((str(name), str(value)) for name, value in arguments)
    except (ValueError, TypeError):
        return ""
    told = reason_text(Verdict(one.state, one.package, one.installed, Reason(str(key), pairs)), words().language)
    return told[:LONGEST]


def todo(groups: Iterable[Group]) -> list[Todo]:
    """One entry a command, the largest first: machines of several systems may want the same. Pure."""
    machines: dict[tuple[str, str], list[str]] = {}
    for group in groups:
        machines.setdefault((command(group), group.package), []).extend(group.machines)
    found = []
    for (told, package), names in sorted(machines.items(), key=lambda item: (-len(item[1]), item[0])):
        plain = sorted(name for name in names if members.SLUG.fullmatch(name))
        parts = [plain[first : first + LINE] for first in range(0, len(plain), LINE)][:LINES] if told else []
        named = sum(map(len, parts))
        found.append(Todo(told, package, len(names), [paste(told, part) for part in parts], len(names) - named))
    return found


def command(group: Group) -> str:
    """What to type on each machine of a group; '' where that is not known."""
    if group.restart:
        return RESTART
    if group.system is None:
        return ""
    ours = (group.system, *group.family.split())
    for manager, systems in (("apt", APT), ("dnf", RPM), ("zypper", ZYPPER)):
        if any(name.startswith(systems) for name in ours):
            return offer.upgrade(manager, group.package)
    return ""


def paste(told: str, names: list[str]) -> Paste:
    """The command for these machines, as one line for ssh and one for ansible."""
    quoted = " ".join(map(shlex.quote, names))
    inventory = shlex.quote(",".join(names) + ",")
    return Paste(
        f'for machine in {quoted}; do ssh -t -- "$machine" {shlex.quote(told)}; done',
        f"ansible all -i {inventory} -m ansible.builtin.shell -a {shlex.quote(told)}",
    )
