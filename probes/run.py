#!/usr/bin/env -S python3 -I -S
"""Run every probe that is due, and leave the whole cycle as one file in data/spool/.

  1. Find the executables in the folders of VIGIE_PROBES (probes/sources.py).
  2. Start those that are due, each under its own time limit. One that still runs from an earlier cycle is not started
     again.
  3. Meanwhile read the shipped Python probes that ask /proc and /sys alone, one after the other, in one process with a
     group and a time limit of its own (probes/running.py): no program to start.
  4. Wait for each, but never for more than 3 s past its limit: what cannot even be killed is left behind.
  5. Write the spool file aside, sync it, rename it, sync the folder. Killed anywhere, it is there whole or not at all;
     after a power cut its end mark tells whether it is whole.
  6. Refresh data/probes/, the latest good text of each probe, for people and for node_exporter.

No argument. Status 0 also when probes failed (a failure is data); 1 when something could not be written or found.
alerts/run_cycle.py, which run_all.sh starts every minute, calls `cycle` in its own process, and leaves 6 to whoever archives.
Nothing is imported but what is built into the interpreter: it runs every minute, and most imports cost more than a probe.
"""

import _signal
import posix
import sys
import time

if __name__ == "__main__":
    sys.path.insert(0, __file__.rpartition("/")[0] or ".")  # -I leaves it out
import reading
import running
import sources
from running import CannotError, Folders, Result
from sources import Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

FULL = "(disk full, or read-only?)"
OURS = ("VIGIE_ROOT", "VIGIE_HOMES_TEXT")  # the only settings that a probe is given
STOPPED = {_signal.SIGINT: 130, _signal.SIGTERM: 143, _signal.SIGHUP: 143}


class StoppedError(BaseException):
    """Somebody told us to stop; its only argument is the exit status."""


class Cycle:
    """One written: its time, its text with the end mark, and whether all of VIGIE_PROBES was there."""

    def __init__(self, at: int, text: str, missing: "list[str]", good: "dict[str, str]") -> None:
        self.at, self.text, self.missing, self.good = at, text, missing, good


class Setting:
    """What the environment says: the folders, and what a probe's environment is."""

    def __init__(self, here: str) -> None:
        above = here.rpartition("/")[0]  # relative paths are meant from the repository
        self.data = reading.environment("VIGIE_DATA").rstrip("/") or "data"
        if self.data[0] != "/":
            self.data = f"{above}/{self.data}"
        root = reading.environment("VIGIE_ROOT")
        self.folders = Folders(self.data, here, root)
        named = (reading.environment("VIGIE_PROBES") or here).split(":")
        self.probes = [one if one[:1] == "/" else f"{above}/{one}" for one in named]
        self.first = reading.environment("VIGIE_FIRST") == "1"
        self.now = reading.environment("VIGIE_NOW")
        path = reading.environment("PATH") or "/usr/bin:/bin"
        self.env = {name.decode("utf-8", "surrogateescape"): value.decode("utf-8", "surrogateescape")
                    for name, value in posix.environ.items() if not name.startswith(b"VIGIE_")}  # fmt: skip
        self.env |= {"LC_ALL": "C", "PATH": f"{path}:/usr/local/sbin:/usr/sbin:/sbin", "VIGIE_ROOT": root}
        for name in OURS:
            if name.encode() in posix.environ:
                self.env[name] = reading.environment(name)


# --- What is kept from cycle to cycle ---


class Turn:
    """Of one probe: cycles until it is due, and the process that ran last."""

    __slots__ = ("left", "pid", "since", "start")

    def __init__(self, left: int = 0, pid: int = 0, start: int = 0, since: int = 0) -> None:
        self.left, self.pid, self.start, self.since = left, pid, start, since


def recall(path: str) -> "dict[str, Turn]":
    found = {}
    try:
        lines = reading.slurp(path).split("\n")
    except OSError:
        return {}
    for line in lines:
        fields = line.split(" ")
        if len(fields) == 5 and all(map(reading.whole, fields[1:])):
            left, pid, start, since = map(int, fields[1:])
            found[fields[0]] = Turn(left, pid, start, since)
    return found


def remember(path: str, found: "list[Source]", turns: "dict[str, Turn]") -> None:
    text = ""
    for source in found:
        turn = turns[source.name]
        text += f"{source.name} {turn.left} {turn.pid} {turn.start} {turn.since}\n"
    try:
        reading.write(path, text, posix.O_TRUNC)
    except OSError:
        raise CannotError(f"cannot write {path} {FULL}") from None


def open_folders(data: str) -> None:
    """Make what is missing, refuse links, remove what a killed run left."""
    for path in (data, *(f"{data}/{name}" for name in ("run", "run/out", "run/state", "spool", "probes"))):
        if path != data and running.is_link(path):
            raise CannotError(f"{path} is a symbolic link: remove it")
        if not reading.exists(path):
            running.make(path)
        if not posix.access(path, posix.W_OK):
            raise CannotError(f"cannot write in {path}")
    if running.is_link(f"{data}/run/cycle"):
        raise CannotError(f"{data}/run/cycle is a symbolic link: remove it")
    old = [
        f"{data}/spool/{name}" for name in posix.listdir(f"{data}/spool") if name[0] == "." and name.endswith(".tmp")
    ]
    old += [f"{data}/run/out/{name}" for name in posix.listdir(f"{data}/run/out") if name.endswith(".prom")]
    for path in old:
        running.remove(path)


# --- One cycle ---


def cycle(setting: Setting, at: int) -> Cycle:
    """Run what is due and write it. Raises running.CannotError; whatever ends it, nothing of ours stays behind."""
    data, folders = setting.data, setting.folders
    open_folders(data)
    try:
        up = running.uptime(folders.root)
    except OSError:
        raise CannotError(f"cannot read {folders.root}/proc/uptime: is /proc mounted?") from None
    try:
        boot = reading.slurp(f"{folders.root}/proc/sys/kernel/random/boot_id").partition("\n")[0]
    except OSError:
        boot = "unknown"
    turns = recall(f"{data}/run/cycle")
    # Where the dashboard's user may write here too (archive/rights.py), it must not say what is run.
    shared = posix.stat(data).st_mode & 0o2000
    found, missing = sources.find(setting.probes, folders.here, "" if shared else f"{data}/run/probes")
    due = []
    for source in found:
        turn = turns.setdefault(source.name, Turn())
        turn.left = min(turn.left, source.every) - 1 if turn.left <= source.every else -1
        if turn.left <= 0:
            due.append(source)
    results = {source.name: Result(up) for source in due}
    run(due, turns, results, setting, at)
    remember(f"{data}/run/cycle", found, turns)
    text, good = written(due, results)
    text, cycle_at = put(text, f"{data}/spool", at, f"boot={boot} uptime={up}")
    return Cycle(cycle_at, text, missing, good)


def run(due: "list[Source]", turns: "dict[str, Turn]", results: "dict[str, Result]", setting: Setting, at: int) -> None:
    """Start, read and wait: every result has its text or its reason then."""
    folders, env = setting.folders, {**setting.env, "VIGIE_NOW": str(at)}
    apart: list[Source] = []
    read: list[Source] = []
    for source in due:
        turn = turns[source.name]
        if turn.pid and turn.start and running.start_time(turn.pid) == turn.start:
            since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(turn.since))
            results[source.name].reason = f"still running since {since}"
            continue
        turn.left, turn.pid = source.every, 0
        is_ours = source.name in running.READ and source.path == f"{folders.here}/{source.name}.py"
        (read if is_ours else apart).append(source)
    before = _signal.pthread_sigmask(_signal.SIG_BLOCK, [_signal.SIGCHLD])
    try:
        if apart:
            running.start_all(apart, folders, env, results)
        asked = running.read(read, folders, results)
        if asked:
            running.start_all(asked, folders, env, results)
        running.wait({results[one.name].pid: (one, results[one.name]) for one in (*apart, *asked)}, folders)
    except BaseException:
        for result in results.values():
            if result.pid:
                running.kill(result.pid)
        raise
    finally:
        _signal.pthread_sigmask(_signal.SIG_SETMASK, before)
    for name, result in results.items():
        if result.pid:
            turn = turns[name]
            turn.pid, turn.start, turn.since = result.pid, result.start, result.since


def written(due: "list[Source]", results: "dict[str, Result]") -> "tuple[str, dict[str, str]]":
    """The cycle's text without its end mark, and the good texts by probe."""
    parts, good = [], {}
    for source in due:
        name, one = source.name, results[source.name]
        # It would forge a section.
        if not one.reason and "\n# VIGIE" in f"\n{one.text}":
            one.reason = "a line of its text begins with # VIGIE"
        head = f"# VIGIE probe={name} status={'failed' if one.reason else 'ok'} seconds={one.seconds:.3f} uptime={one.uptime}"
        if one.reason:
            parts.append(f'{head} reason="{one.reason}"\n')
        else:
            good[name] = one.text
            parts.append(f"{head}\n{one.text}")
    return "".join(parts), good


def put(body: str, spool: str, at: int, mark: str) -> "tuple[str, int]":
    """Write the cycle's file, synced under its name; returns its whole text and its time."""
    # Two cycles in one second: the later one counts for the next second. A link that somebody planted is a name taken.
    while reading.exists(f"{spool}/{at}.prom") or running.is_link(f"{spool}/{at}.prom"):
        at += 1
    size = len(body.encode("utf-8", "surrogateescape"))
    lines = body.count("\n")
    text = f"{body}# VIGIE lines={lines} bytes={size} cycle={at} {mark}\n"
    target, temporary = f"{spool}/{at}.prom", f"{spool}/.{at}.{posix.getpid()}.tmp"
    try:
        reading.write(temporary, text, posix.O_EXCL, sync=True)
        posix.rename(temporary, target)
        temporary = target  # until its name is on the disk too
        sync_folder(spool)
    except OSError:
        forget(temporary)
        raise CannotError(f"cannot write {target} {FULL}") from None
    except BaseException:
        forget(temporary)
        raise
    return text, at


def sync_folder(path: str) -> None:
    fd = posix.open(path, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
    try:
        posix.fsync(fd)
    finally:
        posix.close(fd)


def forget(path: str) -> None:
    try:
        posix.unlink(path)
    except OSError:
        return


def show(data: str, good: "dict[str, str]") -> None:
    """data/probes/: renamed, so that nobody reads half a text; not synced: it is made anew at every cycle."""
    for name, text in good.items():
        aside = f"{data}/run/out/{name}.prom"
        try:
            running.remove(aside)
            reading.write(aside, text, posix.O_EXCL)
            posix.rename(aside, f"{data}/probes/{name}.prom")
        except OSError:
            raise CannotError(f"cannot write in {data}/probes {FULL}") from None


def stop(number: int, _frame: "FrameType | None") -> None:
    raise StoppedError(STOPPED[number])


def prepare(here: str) -> Setting:
    """What the environment says; from now on a signal that stops us takes the probes along. The umask is set."""
    setting = Setting(here)
    try:
        found = posix.stat(setting.data).st_mode
    except OSError:
        found = 0
    posix.umask(0o007 if found & 0o7777 == 0o2770 else 0o077)  # two users of one group: archive/rights.py
    for number in STOPPED:
        _signal.signal(number, stop)
    try:
        posix.set_inheritable(running.LOCK, False)
    except OSError:
        pass  # started by hand: there is no lock
    if reading.exists(f"{setting.data}/run/cycle"):
        setting.first = False
    return setting


def cycles(setting: Setting) -> "list[Cycle]":
    """The cycle; the very first one is two, a second apart: counters say nothing until they are read twice."""
    at = int(setting.now) if reading.whole(setting.now) else int(time.time())
    try:
        found = [cycle(setting, at)]
        if setting.first:
            time.sleep(1)
            found.append(cycle(setting, found[0].at + 1))
    except OSError as error:  # of a disk that answers with errors any call may be the one
        raise CannotError(f"{error.filename or setting.data}: {error.strerror}") from None
    return found


def say(text: str) -> None:
    posix.write(2, f"probes/run.py: {text}\n".encode("utf-8", "surrogateescape"))


def main() -> int:
    here = (__file__ if __file__[0] == "/" else f"{posix.getcwd()}/{__file__}").rpartition("/")[0]
    try:
        setting = prepare(here)
        if setting.probes and not reading.exists(setting.data):
            running.make(setting.data)
        found = cycles(setting)
        for one in found:
            show(setting.data, one.good)
        for folder in found[-1].missing:
            say(f"VIGIE_PROBES: there is no folder {folder}")
    except CannotError as error:
        say(str(error))
        return 1
    except StoppedError as stopped:
        return int(stopped.args[0])
    return 1 if found[-1].missing else 0


if __name__ == "__main__":
    posix._exit(main())
