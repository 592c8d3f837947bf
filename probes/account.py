"""What was counted of the processes so far, and how it goes on from one reading to the next (probes/processes.py).

The account stands in two files written in turn, so that one that was cut costs nothing but the reading it held.
"""

import reading
from reading import whole

TICK = 10_000  # microseconds: the kernel counts hundredths of a second for everyone (USER_HZ)
YOUNG = 300  # ticks: so soon after its start a process of a session may still be moved to its slice
UNKNOWN, APART, IN_SLICE = 0, 1, 2  # where a process is: not known yet, in no user's slice, in one
NUMBERS = 9  # of one process in the account


class Process:
    """One process at one reading. Times in ticks, `anonymous` in kB, `resident` in pages; place: UNKNOWN, APART or IN_SLICE."""

    __slots__ = ("anonymous", "children", "own", "parent", "place", "resident", "start", "uid")

    def __init__(self, start: int, parent: int, own: int, children: int, place: int, resident: int) -> None:
        self.start, self.parent, self.own, self.children, self.place = start, parent, own, children, place
        self.resident, self.uid, self.anonymous = resident, -1, 0


class Account:
    """What was counted so far. `used`: user -> microseconds; `slices`: user -> (number of the slice's folder, microseconds)."""

    def __init__(self) -> None:
        self.boot, self.at, self.busy, self.since, self.unattributed, self.serial = "", 0, 0, 0, 0, 0
        self.used: dict[str, int] = {}
        self.slices: dict[str, tuple[int, int]] = {}
        self.processes: dict[int, Process] = {}


# --- The account, in two files written in turn ---


def load(text: str) -> "Account | None":
    """The account that a file holds; None when it was cut, or is not as we write it."""
    lines = text.split("\n")
    if len(lines) < 5 or lines[-2:] != ["end", ""]:
        return None
    found = Account()
    try:
        head = lines[0].split(" ")
        found.boot = head[0]
        found.at, found.busy, found.since, found.unattributed, found.serial = map(int, head[1:])
        for user, used in zip(*[iter(lines[1].split(" ")[1:])] * 2, strict=True):
            found.used[user] = int(used)
        for user, which, used in zip(*[iter(lines[2].split(" ")[1:])] * 3, strict=True):
            found.slices[user] = (int(which), int(used))
        # One line for all: it is read and written every minute, and there may be thousands.
        numbers = map(int, lines[3].split(" ")[1:])
        for pid, start, parent, own, children, where, resident, uid, anonymous in zip(
            *[numbers] * NUMBERS, strict=True
        ):
            one = found.processes[pid] = Process(start, parent, own, children, where, resident)
            one.uid, one.anonymous = uid, anonymous
    except ValueError:
        return None
    return found


def newest(state: str, boot: str) -> "tuple[Account | None, str]":
    """The newer account that is whole and of this start of the machine, and the name of the other file, which is written next."""
    found = []
    for name, other in (("account", "account.2"), ("account.2", "account")):
        try:
            text = reading.slurp(f"{state}/{name}", 1 << 26)
        except OSError:
            continue
        head = text.partition("\n")[0].split(" ")
        if len(head) == 6 and head[0] == boot and whole(head[5]):
            found.append((int(head[5]), text, f"{state}/{other}"))
    for _, text, other in sorted(found, reverse=True):
        account = load(text)
        if account:
            return account, other
    return None, f"{state}/account"


def save(path: str, account: Account) -> None:
    a = account
    lines = [
        f"{a.boot} {a.at} {a.busy} {a.since} {a.unattributed} {a.serial}",
        " ".join(["used", *(f"{user} {used}" for user, used in a.used.items())]),
        " ".join(["slices", *(f"{user} {which} {used}" for user, (which, used) in a.slices.items())]),
        " ".join(["processes", *(
            f"{pid} {p.start} {p.parent} {p.own} {p.children} {p.place} {p.resident} {p.uid} {p.anonymous}"
            for pid, p in a.processes.items()
        )]),
    ]  # fmt: skip
    reading.write(path, "\n".join([*lines, "end", ""]))


# --- From one reading to the next ---


def of_the_dead(account: Account, processes: "dict[int, Process]") -> "dict[int, int]":
    """Ticks counted already of who has ended, by the nearest ancestor that lives."""
    dead = set()
    for pid, old in account.processes.items():
        now = processes.get(pid)
        if now is None or now.start != old.start:
            dead.add(pid)
    owed: dict[int, int] = {}
    for pid in dead:
        old = account.processes[pid]
        heir, steps = old.parent, 0
        while heir in dead and steps < 100:
            heir, steps = account.processes[heir].parent, steps + 1
        if old.place != IN_SLICE:
            owed[heir] = owed.get(heir, 0) + old.own + old.children
    return owed


def place(root: str, pid: int, one: Process, slices: bool, at: int) -> int:
    """Asked once in a life: it costs as much as all the rest."""
    if one.parent == 2:
        return APART
    if not slices:
        return UNKNOWN
    try:
        text = reading.slurp(f"{root}/proc/{pid}/cgroup")
    except OSError:
        return APART
    if "/user.slice/user-" in text:
        return IN_SLICE
    return UNKNOWN if text and at - one.start < YOUNG else APART


def add(before: Account, now: Account, root: str) -> None:
    """What was used between two readings, added to what was counted: now.used, now.since and now.unattributed."""
    used: dict[str, int] = {}
    for user, (which, total) in now.slices.items():
        old_which, old = before.slices.get(user, (0, 0))
        same = user in before.slices and (which == old_which or not which or not old_which)
        used[user] = total - old if same and total >= old else total
    owed = of_the_dead(before, now.processes)
    for pid, one in now.processes.items():
        old_one = before.processes.get(pid)
        if old_one and old_one.start == one.start:
            own, children, known = old_one.own, old_one.children, old_one.place
        elif one.start >= before.at - 1:
            own, children, known = 0, 0, UNKNOWN
        else:  # older than the previous reading, and hidden then: start from here
            own, children, known = one.own, one.children, UNKNOWN
        one.place = known or place(root, pid, one, bool(now.slices), now.at)
        if one.place == IN_SLICE:
            continue
        ticks = max(one.own - own, 0)
        if one.uid and pid != 1:
            ticks += max(one.children - children - owed.get(pid, 0), 0)
        user = str(one.uid)
        used[user] = used.get(user, 0) + ticks * TICK
    now.used = dict(before.used)
    for user, more in used.items():
        now.used[user] = now.used.get(user, 0) + more
    now.since = before.since + now.busy - before.busy - sum(used.values())
    now.unattributed = max(before.unattributed, now.since)
