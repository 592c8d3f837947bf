#!/usr/bin/env -S python3 -I -S
"""CPU, memory and processes of each user, from /proc.

CPU is not a sum over the processes of the moment: those that ended would vanish, and a sum that falls is no counter.
So what each process used since the previous reading is added up, in VIGIE_STATE (probes/account.py):

1. Whoever is in user-UID.slice (a session or a user's service under systemd) is counted by the kernel, the dead and
   the short-lived included: the slice's cpu.stat. Its processes are not counted again, whatever their user (sudo).
2. Of every other process: the difference to the previous reading, known by its number and its start. One that is new
   counts whole. What its ended children used (the kernel adds it up once they are waited for) counts for the same
   user, less what was counted of them while they lived. Not for root: cron and sshd wait for everyone's children.
3. What the machine was busy with beyond that is "unattributed": processes that lived and died between two readings,
   and the kernel's own interrupts.

The first reading counts nothing. Memory is what a process holds alone (RssAnon), so that a library or a database's
shared buffers count for nobody. Its owner and that figure are half of what a reading costs: of a process that used no
processor and whose resident memory is the same as before they are read at every fifth reading only.
"""

import posix
import sys
import time

if __name__ == "__main__":
    sys.path.insert(0, __file__.rpartition("/")[0] or ".")  # -I leaves it out
import reading
from account import TICK, UNKNOWN, Account, Process, add, newest, place, save
from reading import RefusedError, whole

SETTLED = 30_000  # ticks: a daemon gives up root's rights when it is young
KERNEL_THREAD = 0x200000  # PF_KTHREAD: root's, and holds nothing
NAMELESS = 3600  # seconds: so long a number that nobody knows is not asked for again
HIDDEN = (1, 13)  # EPERM, EACCES
HEAD = """\
# HELP user_cpu_seconds_total CPU by user
# HELP.fr user_cpu_seconds_total Processeur par utilisateur
# TYPE user_cpu_seconds_total counter
# WARN user_cpu_seconds_total > 0.9
# FOR user_cpu_seconds_total 360
# HELP cpu_unattributed_seconds_total CPU of no known user
# HELP.fr cpu_unattributed_seconds_total Processeur sans utilisateur connu
# TYPE cpu_unattributed_seconds_total counter
# HELP user_memory_bytes Memory by user
# HELP.fr user_memory_bytes Mémoire par utilisateur
# TYPE user_memory_bytes gauge
# HELP user_memory_ratio Share of memory by user
# HELP.fr user_memory_ratio Part de la mémoire par utilisateur
# TYPE user_memory_ratio gauge
# WARN user_memory_ratio > 0.5
# FOR user_memory_ratio 30
# HELP user_processes Processes by user
# HELP.fr user_processes Processus par utilisateur
# TYPE user_processes gauge
# HELP processes_hidden_info Other users’ processes are hidden from Vigie (hidepid)
# HELP.fr processes_hidden_info Les processus des autres sont cachés à Vigie (hidepid)
"""


class Machine:
    """Of one reading: `busy` in microseconds of all cores, `at` in ticks since the start of the machine, memory in bytes."""

    def __init__(self, root: str) -> None:
        fields = reading.slurp(f"{root}/proc/stat", 4096).partition("\n")[0].split()
        if len(fields) < 9 or fields[0] != "cpu" or not all(map(whole, fields[1:9])):
            raise RefusedError("/proc/stat does not begin as expected")
        self.busy = sum(int(fields[i]) for i in (1, 2, 3, 6, 7)) * TICK
        uptime = reading.slurp(f"{root}/proc/uptime").partition(" ")[0]
        try:
            self.at = int(float(uptime) * 1_000_000 + 0.5) // TICK
        except ValueError:
            raise RefusedError("/proc/uptime does not begin with a number") from None
        self.boot = reading.slurp(f"{root}/proc/sys/kernel/random/boot_id").partition("\n")[0].strip()
        fields = reading.slurp(f"{root}/proc/meminfo").partition("\n")[0].split()
        if len(fields) < 2 or fields[0] != "MemTotal:" or not whole(fields[1]):
            raise RefusedError("/proc/meminfo does not begin with MemTotal")
        self.memory = int(fields[1]) * 1024


# --- One reading ---


def read_slices(root: str) -> "dict[str, tuple[int, int]]":
    found = {}
    for base in (f"{root}/sys/fs/cgroup/user.slice", f"{root}/sys/fs/cgroup/unified/user.slice"):
        try:
            names = sorted(posix.listdir(base))
        except OSError:
            continue
        for name in names:
            if not (name.startswith("user-") and name.endswith(".slice") and whole(name[5:-6])):
                continue
            try:
                told = "\n" + reading.slurp(f"{base}/{name}/cpu.stat")
                which = posix.stat(f"{base}/{name}").st_ino
            except OSError:
                continue
            used = told.partition("\nusage_usec ")[2].partition("\n")[0]
            if whole(used):
                found[name[5:-6]] = (which, int(used))
    return found


def read_processes(root: str, before: "Account | None", at: int) -> "tuple[dict[int, Process], bool]":
    """Every process by its number, and whether some are hidden from us (hidepid)."""
    try:
        names = posix.listdir(f"{root}/proc")
    except OSError:
        raise RefusedError(f"{root}/proc cannot be read") from None
    known = before.processes if before else {}
    turn = before.serial if before else 0
    posix_open, posix_read, posix_close, flags = posix.open, posix.read, posix.close, posix.O_RDONLY | posix.O_CLOEXEC
    turn %= 5
    found: dict[int, Process] = {}
    hidden = False
    for name in names:
        if not name.isdecimal():
            continue
        try:
            fd = posix_open(f"{root}/proc/{name}/stat", flags)
            try:
                line = posix_read(fd, 4096)
            finally:
                posix_close(fd)
            # The name stands in parentheses and may hold spaces and parentheses itself.
            fields = line[line.rfind(b") ") + 2 :].split(b" ", 22)
            pid = int(name)
            one = Process(int(fields[19]), int(fields[1]), int(fields[11]) + int(fields[12]),
                          int(fields[13]) + int(fields[14]), UNKNOWN, int(fields[21]) if len(fields) > 21 else -1)  # fmt: skip
            if int(fields[6]) & KERNEL_THREAD:
                one.uid = 0
            else:
                old = known.get(pid)
                if (
                    old
                    and old.uid >= 0
                    and old.start == one.start
                    and old.own == one.own
                    and old.resident == one.resident >= 0
                    and at - one.start > SETTLED
                    and (pid + turn) % 5
                ):
                    one.uid, one.anonymous = old.uid, old.anonymous
                elif not read_status(f"{root}/proc/{name}/status", one):
                    continue
        except OSError as error:
            # Who is not there has just ended.
            hidden = hidden or error.errno in HIDDEN
            continue
        except (ValueError, IndexError):
            continue
        found[pid] = one
    return found, hidden or 1 not in found


def read_status(path: str, one: Process) -> bool:
    text = reading.slurp(path, 65_536)
    # A newline in the name is written \n here: no other line can look like these.
    place = text.find("\nUid:\t")
    if place < 0:
        return False
    one.uid = int(text[place + 6 : place + 46].split("\t")[1])  # the effective one
    place = text.find("\nRssAnon:")
    if place >= 0:
        one.anonymous = int(text[place + 9 : place + 40].split()[0])
    return True


# --- Names ---


def names_of(root: str, state: str, wanted: "set[str]") -> "tuple[dict[str, str], set[str]]":
    """Names by number, of /etc/passwd and of the directory (LDAP, sssd) where it was asked; and the numbers that it did not know."""
    named: dict[str, str] = {}
    nameless: set[str] = set()
    try:
        lines = reading.slurp(f"{root}/etc/passwd", 1 << 26).split("\n")
    except OSError:
        lines = []
    for line in lines:
        fields = line.split(":", 3)
        if len(fields) > 2 and fields[2] in wanted and fields[2] not in named:
            named[fields[2]] = fields[0]
    if state and not wanted <= named.keys():
        now = time.time()
        try:
            lines = reading.slurp(f"{state}/names").split("\n")
        except OSError:
            lines = []
        for line in lines:
            user, _, rest = line.partition(" ")
            asked, _, name = rest.partition(" ")
            if not whole(asked) or user in named:
                continue
            if name:
                named[user] = name
            elif int(asked) + NAMELESS > now:
                nameless.add(user)
            else:
                nameless.discard(user)
    return named, nameless


def ask(state: str, unknown: "list[str]") -> None:
    """The names of these numbers by the system's own ways, which may ask a server. Kept in state/names."""
    import pwd

    said = ""
    for user in unknown:
        try:
            name = pwd.getpwuid(int(user)).pw_name
        except (KeyError, OverflowError):
            name = ""
        said += f"{user} {int(time.time())} {name.replace(chr(10), '')}\n"
    reading.write(f"{state}/names", said, posix.O_APPEND)


# --- The text ---


def lines_of(account: Account, memory: int, named: "dict[str, str]") -> "list[str]":
    held: dict[str, int] = {}
    count: dict[str, int] = {}
    for one in account.processes.values():
        user = str(one.uid)
        held[user] = held.get(user, 0) + one.anonymous * 1024
        count[user] = count.get(user, 0) + 1
    rows: dict[str, list[int]] = {}
    for user in held.keys() | account.slices.keys():  # two numbers may have one name
        row = rows.setdefault(reading.label(named.get(user, user)), [0, 0, 0])
        row[0] += account.used.get(user, 0)
        row[1] += held.get(user, 0)
        row[2] += count.get(user, 0)
    lines = [f"cpu_unattributed_seconds_total {account.unattributed / 1_000_000:.2f}"]
    for user in sorted(rows, key=lambda name: name.encode("utf-8", "surrogateescape")):
        used, anonymous, processes = rows[user]
        lines += (
            f'user_cpu_seconds_total{{user="{user}"}} {used / 1_000_000:.2f}',
            f'user_memory_bytes{{user="{user}"}} {anonymous}',
            f'user_memory_ratio{{user="{user}"}} {min(anonymous / memory, 1):.6f}',
            f'user_processes{{user="{user}"}} {processes}',
        )
    return lines


def read(root: str, state: str, alone: bool) -> str:
    """One reading, its text without the head; the account in `state` goes on."""
    machine = Machine(root)
    before, path = newest(state, machine.boot)
    now = Account()
    now.boot, now.at, now.busy, now.serial = machine.boot, machine.at, machine.busy, before.serial + 1 if before else 1
    now.processes, hidden = read_processes(root, before, machine.at)
    now.slices = read_slices(root)
    if before:
        add(before, now, root)
    else:
        for pid, one in now.processes.items():
            one.place = place(root, pid, one, bool(now.slices), now.at)
    present = {str(one.uid) for one in now.processes.values()} | now.slices.keys()
    named, nameless = names_of(root, state, present)
    unknown = sorted(present - named.keys() - nameless)
    if unknown and not root:
        if not alone:
            raise reading.AskError
        ask(state, unknown)
        named, _ = names_of(root, state, present)
    lines = lines_of(now, machine.memory, named)
    if hidden:
        lines.append("processes_hidden_info 1")
    save(path, now)
    return "\n".join([*lines, ""])


def text(root: str, state: str, alone: bool) -> str:
    if state:
        return HEAD + read(root, state, alone)
    # By hand: two readings, a second apart.
    import shutil
    import tempfile

    folder = tempfile.mkdtemp()
    try:
        read(root, folder, True)
        if not root:
            time.sleep(1)
        said = HEAD + read(root, folder, True)
        if posix.isatty(1):
            show(folder, Machine(root).boot)
    finally:
        shutil.rmtree(folder)
    return said


def show(state: str, boot: str) -> None:
    account, _ = newest(state, boot)
    if account:
        named, _ = names_of("", state, set(account.used))
        for user, used in account.used.items():
            if used:
                line = f"{reading.label(named.get(user, user))}: {used // TICK} % of a core over one second\n"
                posix.write(2, line.encode("utf-8", "surrogateescape"))


if __name__ == "__main__":
    reading.main(text)
