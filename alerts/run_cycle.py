"""One cycle, as run_all.sh starts it: the probes, then archiving and judging, unless all is calm and the text may wait.

Imported, not started as a file (that would be compiled at every cycle), and only by run_all.sh: descriptor 9 is its lock's file.

1. Take the lock; another cycle that runs: leave quietly.
2. Run the probes (probes/run.py, in this process): one text in the spool. A disk that is full takes not even that: the
   reserve is freed and it is tried once more (upkeep sets the reserve aside again, archive/upkeep.py).
3. Ask alerts/still.py whether the text may wait; else archive and judge it with all that wait (alerts/cycle.py).
4. What is to be started now, or told to somebody, is run_all.sh's again: `--after`, `--failed`, in this very process.

Nothing is imported but what is built into the interpreter until it is known that something has to be archived: most cycles
of a day end here, and what they cost is what Vigie costs (docs/performance-cycle.md).
"""

import _signal
import fcntl
import gc
import posix
import sys

import reading
import run as runner
import running

TYPE_CHECKING = False
if TYPE_CHECKING:
    from alerts import still
else:
    import still  # by its name alone, as the probes: it needs nothing of the package, whose place is not known yet

ROOT = __file__.rpartition("/")[0].rpartition("/")[0]
NOT_WRITTEN = "probes/run.py: the text of this cycle cannot be written (disk full, or read-only?)"
RESERVE = 1 << 20  # bytes: with less room than this the disk counts as full


def probes(setting: "runner.Setting") -> "list[runner.Cycle]":
    """The cycles written, oldest first. Raises running.CannotError."""
    try:
        return runner.cycles(setting)
    except running.CannotError:
        room = posix.statvfs(setting.data)
        if room.f_bavail * room.f_frsize >= RESERVE:
            raise
        try:
            posix.unlink(f"{setting.data}/reserve")
        except OSError:
            pass  # it was freed before
        else:
            return runner.cycles(setting)
        raise


def may_wait(setting: "runner.Setting", cycles: "list[runner.Cycle]") -> bool:
    """Whether nothing has changed that anybody would have to be told."""
    data = setting.data
    reason = ""
    for cycle in cycles:  # asked of every one: it follows the counters from one to the next
        reason = still.why(f"{data}/run", cycle.text)
    reason = reason or _changed(data)
    if reason and reading.environment("CALM_WHY"):
        posix.write(2, f"{reason}\n".encode("utf-8", "backslashreplace"))
    return not reason


def _changed(data: str) -> str:
    if reading.environment("VIGIE_WAIT") not in ("", "1"):
        return "VIGIE_WAIT"
    if posix.isatty(1):
        return "somebody watches"
    # The settings, the database, the program: whoever changed one of them wants to see it.
    try:
        calm = posix.stat(f"{data}/run/calm").st_mtime_ns
        database = posix.stat(f"{data}/vigie.db")
    except OSError:
        return "not calm"
    if not database.st_size or database.st_mtime_ns > calm:
        return "the database was changed"
    for path in (f"{data}/settings.env", f"{ROOT}/CHANGELOG.md"):
        try:
            if posix.stat(path).st_mtime_ns > calm:
                return f"{path} was changed"
        except OSError:
            continue
    return ""


def archive() -> str:
    """What alerts/cycle.py does, in this process. What went wrong, '' when all is well."""
    sys.path[:2] = [ROOT]  # the two folders that this module and the runner came from
    from alerts import cycle

    gc.freeze()
    gc.enable()
    return cycle.step()


def web_is_wanted(data: str) -> bool:
    """Whether the dashboard has to be started: run_all.sh does (start_web says the same)."""
    if reading.environment("VIGIE_WEB") not in ("", "1") or reading.exists(f"{data}/run/web.stopped"):
        return False
    try:
        pid, started = reading.slurp(f"{data}/run/web.pid").split()
        noted = posix.stat(f"{data}/run/web.pid").st_mtime_ns
        newer = posix.stat(f"{ROOT}/CHANGELOG.md").st_mtime_ns > noted
    except (OSError, ValueError):
        return True
    return newer or not reading.whole(pid) or str(running.start_time(int(pid))) != started


def hand_over(*arguments: str) -> int:
    """run_all.sh goes on in this process, with the lock. Returns, with a status, only when it cannot."""
    path = f"{ROOT}/run_all.sh"
    try:
        posix.set_inheritable(running.LOCK, True)
        posix.execv(path, [path, *arguments])
    except OSError as error:
        runner.say(f"{path}: {error.strerror}")
    return 126


def failed(status: int, words: str) -> int:
    return hand_over("--failed", str(status), words)


def main() -> int:
    try:
        fcntl.flock(running.LOCK, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return 0
    setting = runner.prepare(f"{ROOT}/probes")
    try:
        cycles = probes(setting)
    except running.CannotError as error:
        runner.say(str(error))
        return failed(1, NOT_WRITTEN)
    except runner.StoppedError as stopped:
        return failed(int(stopped.args[0]), "")
    for number in runner.STOPPED:
        _signal.signal(number, _signal.SIG_DFL)
    data, steps = setting.data, ""
    if not may_wait(setting, cycles):
        if posix.isatty(1):
            french = reading.environment("VIGIE_LANGUAGE") != "en"
            posix.write(1, f"· {'Archivage et jugement' if french else 'Archiving and judging'}…\n".encode())
        wrong = archive()
        if wrong:
            posix.write(2, f"vigie: {wrong}\n".encode("utf-8", "backslashreplace"))
            return failed(1, f"vigie: {wrong}")
        steps = "steps" if reading.exists(f"{data}/run/due") and posix.stat(f"{data}/run/due").st_size else ""
    missing = cycles[-1].missing
    for folder in missing:
        runner.say(f"VIGIE_PROBES: there is no folder {folder}")
    if missing:
        return failed(1, f"probes/run.py: VIGIE_PROBES: there is no folder {missing[0]}")
    if (
        steps
        or posix.isatty(1)
        or reading.environment("VIGIE_PING_URL")
        or reading.exists(f"{data}/fleet/joined")
        or web_is_wanted(data)
    ):
        return hand_over("--after", steps)
    return 0


def start() -> None:
    """The cycle; does not return."""
    gc.disable()  # what is imported stays: looking for garbage in it is a tenth of this step's time
    try:
        status = main()
    except runner.StoppedError as stopped:  # before the probes, or just after them
        status = failed(int(stopped.args[0]), "")
    except Exception as error:  # a mistake of ours must not end in silence: it is told like any other
        words = f"{type(error).__name__}: {error}".replace("\n", " ")
        runner.say(words)
        status = failed(1, f"alerts/run_cycle.py: {words}")
    posix._exit(status)
