#!/usr/bin/env -S python3 -I -S
"""CPU, memory and processes of each user, from /proc.

CPU is not a sum over the processes of the moment: those that ended would vanish, and a sum that falls is no counter.
So what each process used since the previous reading is added up, in VIGIE_STATE:

1. Whoever is in user-UID.slice (a session or a user's service under systemd) is counted by the kernel, the dead and the
   short-lived included: the slice's cpu.stat. Its processes are not counted again, whatever their user (sudo).
2. Of every other process: the difference to the previous reading, known by its number and its start. One that is new
   counts whole. What its ended children used (the kernel adds it up once they are waited for) counts for the same user,
   less what was counted of them while they lived. Not for root: cron and sshd wait for everyone's children.
3. What the machine was busy with beyond that is "unattributed": processes that lived and died between two readings, and
   the kernel's own interrupts.

The first reading counts nothing. Memory is what a process holds alone (resident less shared), so that a library or a
database's shared buffers count for nobody.
"""

import os
import sys
import time

ROOT = os.environ.get("VIGIE_ROOT", "")
STATE = os.environ.get("VIGIE_STATE", "")
TICK = 1_000_000 // os.sysconf("SC_CLK_TCK")  # microseconds
PAGE = os.sysconf("SC_PAGE_SIZE")
SLICES = ("/sys/fs/cgroup/user.slice", "/sys/fs/cgroup/unified/user.slice")
YOUNG = 3 * 1_000_000 // TICK  # ticks: so soon after its start a session's process may still be moved to its slice

TEXT = """\
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


class Reading:
    """What /proc says now. Times are in ticks since the machine's start unless said otherwise."""

    def __init__(self) -> None:
        first = _text("/proc/stat").split("\n", 1)[0].split()
        if first[:1] != ["cpu"] or len(first) < 9:
            raise SystemExit("processes.py: /proc/stat does not begin as expected")
        user, nice, system, _, _, irq, softirq = map(int, first[1:8])
        self.busy = (user + nice + system + irq + softirq) * TICK  # microseconds, all cores
        self.at = int(float(_text("/proc/uptime").split()[0]) * 1_000_000) // TICK
        self.boot = _text("/proc/sys/kernel/random/boot_id").strip()
        self.slices = _slices()
        self.hidden = False
        # pid -> (start, uid, parent, own ticks, ticks of its ended children, bytes)
        self.processes: dict[int, tuple[int, int, int, int, int, int]] = {}
        for name in os.listdir(ROOT + "/proc"):
            if name.isdigit():
                self.read(name)

    def read(self, pid: str) -> None:
        folder = f"{ROOT}/proc/{pid}"
        try:
            uid = os.stat(folder).st_uid
            # comm stands in parentheses and may hold spaces and parentheses itself.
            f = _bytes(folder + "/stat").rpartition(b") ")[2].split()
            resident = shared = 0
            if f[21] != b"0":
                _, resident, shared, *_ = _bytes(folder + "/statm").split(None, 3)
        except (FileNotFoundError, ProcessLookupError):
            return  # it has just ended
        except PermissionError:
            self.hidden = True
            return
        self.processes[int(pid)] = (
            int(f[19]), uid, int(f[1]), int(f[11]) + int(f[12]), int(f[13]) + int(f[14]),
            (int(resident) - int(shared)) * PAGE,
        )  # fmt: skip


class Account:
    """What was added up so far. All CPU in microseconds."""

    def __init__(self, reading: Reading) -> None:
        self.at, self.boot, self.busy = reading.at, reading.boot, reading.busy
        self.since = 0  # busy - all users, since the first reading
        self.unattributed = 0  # the greatest `since` so far: noise must not make a counter fall
        self.users: dict[int, int] = {}
        self.names: dict[int, str] = {}
        self.slices: dict[int, tuple[int, int]] = {}  # uid -> (which one, used)
        # pid -> (start, parent, own, children's, where): '+' in a slice, '-' not, '?' not known yet
        self.known: dict[int, tuple[int, int, int, int, str]] = {}

    def learn(self, reading: Reading) -> None:
        """Take the reading as the point to start from."""
        self.slices = reading.slices
        for pid, process in reading.processes.items():
            start, _, parent, own, children, _ = process
            self.known[pid] = (start, parent, own, children, _where(pid, process, reading, "?"))

    def add(self, reading: Reading) -> None:
        """What was used since the previous reading."""
        used = dict.fromkeys(reading.slices, 0)
        for uid, (which, value) in reading.slices.items():
            before_which, before = self.slices.get(uid, (which, 0))
            used[uid] = value - before if which == before_which and value >= before else value
        owed = self.of_the_dead(reading)
        known: dict[int, tuple[int, int, int, int, str]] = {}
        for pid, process in reading.processes.items():
            start, uid, parent, own, children, _ = process
            before = self.known.get(pid)
            if before is None or before[0] != start:
                # Whoever is older than the previous reading was hidden then: start from here.
                before = (start, parent, 0, 0, "?") if start >= self.at - 1 else (start, parent, own, children, "?")
            where = _where(pid, process, reading, before[4])
            known[pid] = (start, parent, own, children, where)
            if where == "+":
                continue
            ticks = max(0, own - before[2])
            if uid and pid != 1:
                ticks += max(0, children - before[3] - owed.get(pid, 0))
            used[uid] = used.get(uid, 0) + ticks * TICK
        for uid, value in used.items():
            self.users[uid] = self.users.get(uid, 0) + value
        self.since += reading.busy - self.busy - sum(used.values())
        self.unattributed = max(self.unattributed, self.since)
        self.known, self.slices, self.busy, self.at = known, reading.slices, reading.busy, reading.at

    def of_the_dead(self, reading: Reading) -> dict[int, int]:
        """Ticks already counted of processes that have ended, by the nearest ancestor that still lives."""
        dead = {pid: row for pid, row in self.known.items() if row[0] != reading.processes.get(pid, (None,))[0]}
        owed: dict[int, int] = {}
        for _, parent, own, children, where in dead.values():
            heir = parent
            for _ in range(100):
                if heir not in dead:
                    break
                heir = dead[heir][1]
            if where != "+":
                owed[heir] = owed.get(heir, 0) + own + children
        return owed


def _where(pid: int, process: tuple[int, int, int, int, int, int], reading: Reading, before: str) -> str:
    """Is the process inside a user's slice? Read once in its life: /proc/PID/cgroup costs as much as all the rest."""
    if before != "?" or process[2] == 2:  # the kernel's own threads are in no slice
        return before if before != "?" else "-"
    if not reading.slices:
        return "?"
    try:
        inside = b"/user.slice/user-" in _bytes(f"{ROOT}/proc/{pid}/cgroup")
    except OSError:
        return "-"
    return "+" if inside else "?" if reading.at - process[0] < YOUNG else "-"


def _slices() -> dict[int, tuple[int, int]]:
    """uid -> (the folder's number, microseconds used), for each user that has a slice."""
    found = {}
    for base in SLICES:
        try:
            names = os.listdir(ROOT + base)
        except OSError:
            continue
        for name in names:
            uid = name.removeprefix("user-").removesuffix(".slice")
            if not (uid.isdigit() and name.startswith("user-")):
                continue
            try:
                words = _text(f"{base}/{name}/cpu.stat").split()
                found[int(uid)] = (os.stat(f"{ROOT}{base}/{name}").st_ino, int(words[words.index("usage_usec") + 1]))
            except (OSError, ValueError):
                continue
    return found


def _text(path: str) -> str:
    return _bytes(ROOT + path).decode("utf-8", "surrogateescape")


def _bytes(path: str) -> bytes:
    """A file of /proc in one read: it is never longer than this where we look."""
    fd = os.open(path, os.O_RDONLY)
    try:
        return os.read(fd, 65536)
    finally:
        os.close(fd)


def load() -> Account | None:
    """The account of the previous reading; None when there is none, of this start of the machine, that can be read."""
    try:
        with open(STATE + "/account", encoding="utf-8") as file:
            lines = file.read().split("\n")
        account = Account.__new__(Account)
        account.boot, *numbers = lines[0].split(" ")
        account.at, account.busy, account.since, account.unattributed = map(int, numbers)
        account.users, account.names, account.slices, account.known = {}, {}, {}, {}
        for line in lines[1:-2]:
            kind, key, *rest = line.split(" ", 6)
            if kind == "p":
                start, parent, own, children, where = rest
                account.known[int(key)] = (int(start), int(parent), int(own), int(children), where)
            elif kind == "u":
                account.users[int(key)] = int(rest[0])
            elif kind == "s":
                account.slices[int(key)] = (int(rest[0]), int(rest[1]))
            else:
                account.names[int(key)] = " ".join(rest)
        return account if lines[-2] == "end" else None
    except (OSError, ValueError, IndexError):
        return None


def save(account: Account) -> None:
    numbers = (account.at, account.busy, account.since, account.unattributed)
    lines = [f"{account.boot} {' '.join(map(str, numbers))}"]
    lines += [f"u {uid} {used}" for uid, used in account.users.items()]
    lines += [f"n {uid} {name}" for uid, name in account.names.items()]
    lines += [f"s {uid} {which} {used}" for uid, (which, used) in account.slices.items()]
    lines += [f"p {pid} " + " ".join(map(str, row)) for pid, row in account.known.items()]
    temporary = f"{STATE}/account.new"
    with open(temporary, "w", encoding="utf-8") as file:
        file.write("\n".join([*lines, "end", ""]))
    os.replace(temporary, STATE + "/account")


def name_users(account: Account, uids: set[int]) -> dict[int, str]:
    """uid -> name: from /etc/passwd; for others from the directory (LDAP, sssd), once; else the number."""
    names = {}
    try:
        for line in _long("/etc/passwd").split("\n"):
            fields = line.split(":")
            if len(fields) > 2 and fields[2].isdigit():
                names.setdefault(int(fields[2]), fields[0])
    except OSError:
        pass
    for uid in uids - names.keys():
        if uid not in account.names and (name := directory_name(uid)):
            account.names[uid] = name
        names[uid] = account.names.get(uid, str(uid))
    return names


def directory_name(uid: int) -> str:
    """The name by the system's own ways, which may ask a server; '' when nobody knows it."""
    if ROOT:
        return ""
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name.replace("\n", "")
    except KeyError:
        return ""


def _long(path: str) -> str:
    with open(ROOT + path, encoding="utf-8", errors="surrogateescape") as file:
        return file.read()


def label(text: str) -> str:
    shown = "".join(c if c.isprintable() else f"\\x{ord(c) & 0xFF:02x}" for c in text)[:200]
    return shown.replace("\\", "\\\\").replace('"', '\\"')


def print_all(account: Account, reading: Reading, size: int) -> None:
    held: dict[int, list[int]] = {}
    for _, uid, _, _, _, memory in reading.processes.values():
        row = held.setdefault(uid, [0, 0])
        row[0] += memory
        row[1] += 1
    present = held.keys() | reading.slices.keys()
    names = name_users(account, set(present))
    rows: dict[str, list[int]] = {}
    for uid in present:  # two numbers may have one name
        row = rows.setdefault(label(names[uid]), [0, 0, 0])
        for i, value in enumerate((account.users.get(uid, 0), *held.get(uid, (0, 0)))):
            row[i] += value
    lines = [f"cpu_unattributed_seconds_total {account.unattributed / 1e6:.2f}"]
    for user, (used, memory, count) in sorted(rows.items()):
        lines.append(f'user_cpu_seconds_total{{user="{user}"}} {used / 1e6:.2f}')
        lines.append(f'user_memory_bytes{{user="{user}"}} {memory}')
        lines.append(f'user_memory_ratio{{user="{user}"}} {min(1.0, memory / size):.6f}')
        lines.append(f'user_processes{{user="{user}"}} {count}')
    if reading.hidden or 1 not in reading.processes:
        lines.append("processes_hidden_info 1")
    sys.stdout.buffer.write((TEXT + "\n".join(lines) + "\n").encode("utf-8"))


def main() -> None:
    words = _text("/proc/meminfo").split()
    if words[:1] != ["MemTotal:"]:
        raise SystemExit("processes.py: /proc/meminfo does not begin with MemTotal")
    reading = Reading()
    account = load() if STATE else None
    if account is None or account.boot != reading.boot:
        account = Account(reading)
        account.learn(reading)
        if not STATE:  # run by hand: two readings, a second apart
            time.sleep(1)
            reading = Reading()
            account.add(reading)
    else:
        account.add(reading)
    print_all(account, reading, int(words[1]) * 1024)
    if STATE:
        save(account)
    elif sys.stdout.isatty():
        names = name_users(account, set(account.users))
        for uid, used in sorted(account.users.items(), key=lambda item: -item[1])[:5]:
            print(f"{names[uid]}: {used / 10_000:.0f} % of a core over one second", file=sys.stderr)


try:
    main()
except OSError as fault:
    raise SystemExit(f"processes.py: {fault}") from None
