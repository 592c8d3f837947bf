"""Running the probes of one cycle: those that are processes of their own, and those that are read into one of ours.

No probe can hold up the cycle or spoil the others: each has its time limit, the readers are a process group apart, and what
cannot even be killed (it waits for a device or a server) is left behind and not started again while it is there.
"""

import _signal
import posix
import time
from select import poll

import reading
from sources import Source

TEXT = 1 << 20  # bytes of one probe's text at most
PATIENCE = 10  # seconds for the probes that are read, all together
GRACE = 3  # seconds past a limit until a probe is left behind
LOCK = 9  # the descriptor on which run_all.sh holds its lock
# Shipped, in Python, and asking nothing but /proc, /sys and local disks: read by the runner.
READ = frozenset(("accounts", "cpu", "disk", "diskio", "homes", "load", "memory", "network", "pressure", "processes", "raid",
                  "temperature", "uptime", "users"))  # fmt: skip


class Result:
    """What one probe's turn gave: its text, or the reason why there is none. `seconds` and `uptime` as the text says them."""

    __slots__ = ("began", "pid", "reason", "seconds", "since", "start", "text", "uptime")

    def __init__(self, uptime: str) -> None:
        self.text, self.reason, self.seconds, self.uptime = "", "", 0.0, uptime
        self.began, self.pid, self.start, self.since = 0.0, 0, 0, 0


class Folders:
    """Where a cycle's files are."""

    def __init__(self, data: str, here: str, root: str) -> None:
        self.data, self.here, self.root = data, here, root
        self.out, self.state = f"{data}/run/out", f"{data}/run/state"


class CannotError(Exception):
    """Something of ours cannot be made or written: the cycle ends. Its words are for the administrator."""


def uptime(root: str) -> str:
    """Seconds since the machine started, as the kernel writes them. Raises OSError."""
    return reading.slurp(f"{root}/proc/uptime").partition(" ")[0].strip()


def start_time(pid: int) -> int:
    """In ticks since the start of the machine; 0 when there is no such process, or only its remains."""
    try:
        fields = reading.slurp(f"/proc/{pid}/stat", 4096).rpartition(") ")[2].split(" ")
        return 0 if fields[0] == "Z" else int(fields[19])
    except (OSError, ValueError, IndexError):
        return 0


# --- Processes of their own ---


def start_all(sources: "list[Source]", folders: Folders, env: "dict[str, str]", results: "dict[str, Result]") -> None:
    """Start them side by side. A text has at most 1 MB: past it a write fails. A lower limit of the caller's stands."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    lower = [one for one in (TEXT, soft, hard) if one != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_FSIZE, (min(lower), hard))
    try:
        for source in sources:
            start(source, folders, env, results[source.name])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def start(source: Source, folders: Folders, env: "dict[str, str]", result: Result) -> None:
    """Start a probe under its time limit; its text and its complaints go to files in run/out."""
    state, out = f"{folders.state}/{source.name}", f"{folders.out}/{source.name}"
    make(state)
    for path in (f"{out}.err", f"{out}.prom"):  # a grandchild of an earlier cycle may still hold them
        remove(path)
    flags = posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL
    command = ["timeout", "-k", "2", str(source.limit), *source.words.split(" "), source.path]
    result.began, result.since = time.monotonic(), int(time.time())
    try:
        # Its counters are divided by the time since it was started last: the reading is taken beside theirs.
        result.uptime = uptime(folders.root)
        result.pid = posix.posix_spawnp(
            "timeout", [one for one in command if one], {**env, "VIGIE_STATE": state},
            file_actions=[
                (posix.POSIX_SPAWN_OPEN, 0, "/dev/null", posix.O_RDONLY, 0),
                (posix.POSIX_SPAWN_OPEN, 1, f"{out}.prom", flags, 0o666),
                (posix.POSIX_SPAWN_OPEN, 2, f"{out}.err", flags, 0o666),
            ],
            setsigmask=(), setsigdef=(_signal.SIGPIPE, _signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP),
        )  # fmt: skip
    except OSError as error:
        raise CannotError(f"cannot start {source.path}: {error.strerror}") from None
    result.start = start_time(result.pid)


def wait(running: "dict[int, tuple[Source, Result]]", folders: Folders) -> None:
    """Until each has ended, or for GRACE more than its limit. `running` is emptied. SIGCHLD must be blocked."""
    while running:
        for pid in list(running):
            source, result = running[pid]
            ended, status = posix.waitpid(pid, posix.WNOHANG)
            code = posix.waitstatus_to_exitcode(status) if ended else 0
            late = time.monotonic() - result.began >= source.limit + GRACE
            if not ended and not late:
                continue
            del running[pid]
            end(source, result, 128 - code if code < 0 else code if ended else 124, folders)
            if not ended:
                result.reason += f" and cannot be killed (process {pid})"
        if running:
            left = min(result.began + source.limit + GRACE for source, result in running.values()) - time.monotonic()
            _signal.sigtimedwait([_signal.SIGCHLD], max(left, 0.01))


def end(source: Source, result: Result, code: int, folders: Folders) -> None:
    """What the process left behind, by its exit code (128 + the signal that ended it)."""
    out = f"{folders.out}/{source.name}"
    result.seconds = max(time.monotonic() - result.began, 0.0)
    if code == 124 or (code == 137 and result.seconds >= source.limit):
        result.reason = f"timed out after {source.limit} s"
    elif code:
        try:
            said = reading.slurp(f"{out}.err", 65_536).split("\n")
        except OSError:
            said = [""]
        while len(said) > 1 and not said[-1]:
            said.pop()
        # Python says what it was last.
        result.reason = words(said[-1] if said[0].startswith("Traceback") else said[0])
        result.reason = result.reason or f"ended with status {code} and no explanation"
    else:
        try:
            take(result, reading.slurp(f"{out}.prom", TEXT + 1))
        except OSError:
            result.reason = "it printed nothing"


def take(result: Result, text: str) -> None:
    """A probe's text, or the reason why this is none."""
    if "\0" in text:
        result.reason = "its text holds a NUL byte"
    elif not text:
        result.reason = "it printed nothing"
    elif len(text) > TEXT:
        result.reason = "its text is longer than 1 MB"
    else:
        result.text = text if text[-1] == "\n" else f"{text}\n"


def words(text: str) -> str:
    """One line of at most 200 characters that may stand between quotation marks."""
    return "".join(c for c in text if c >= " " and c != "\x7f").replace('"', "'")[:200]


# --- Probes that are read ---


def read(sources: "list[Source]", folders: Folders, results: "dict[str, Result]") -> "list[Source]":
    """The texts of these, in as few processes as they let themselves be read in. Returns those that want to be started."""
    asked = []
    rest = sources
    while rest:
        done, status, began, pid = _work(rest, folders, results)
        asked += [one for one in rest[:done] if results[one.name].reason == ASK]
        rest = rest[done:]
        if not rest:
            break
        # The one that was being read is the one that ended the process.
        source, rest = rest[0], rest[1:]
        result = results[source.name]
        result.seconds = max(time.monotonic() - began, 0.0)
        result.reason = (
            f"timed out after {PATIENCE} s" if status == 124 else f"ended with status {status} and no explanation"
        )
        start = start_time(pid)
        if start:
            result.reason += f" and cannot be killed (process {pid})"
            result.pid, result.start, result.since = pid, start, int(time.time())
    for source in asked:
        results[source.name].reason = ""
    return asked


ASK = "somebody has to be asked"


def _work(sources: "list[Source]", folders: Folders, results: "dict[str, Result]") -> "tuple[int, int, float, int]":
    """(how many were read, the status that ended it else, when the last one began, the process).

    Frames come through a pipe, a head line and then so many bytes: "<number> <ok, failed or ask> <uptime> <microseconds> <bytes>".
    """
    ear, mouth = posix.pipe()
    pid = posix.fork()
    if pid == 0:
        try:
            _child(sources, folders, mouth)
        finally:
            posix._exit(1)  # never the rest of the runner
    posix.close(mouth)
    done, status, began = 0, 0, time.monotonic()
    deadline, buffer, open_ = began + PATIENCE, b"", True
    ready = poll()
    ready.register(ear, 1)
    while done < len(sources):
        left = deadline - time.monotonic()
        if left <= 0:
            status = 124
            break
        if not ready.poll(left * 1000):
            continue
        part = posix.read(ear, 65_536)
        if not part:
            open_ = False
            break
        buffer += part
        while (place := buffer.find(b"\n")) >= 0:
            number, how, up, spent, size = buffer[:place].split(b" ")
            last = place + 1 + int(size)
            if len(buffer) < last:
                break
            result = results[sources[int(number)].name]
            text = buffer[place + 1 : last].decode("utf-8", "surrogateescape")
            result.uptime, result.seconds = up.decode(), int(spent) / 1_000_000
            if how == b"ok":
                take(result, text)
            else:
                result.reason = ASK if how == b"ask" else words(text)
            buffer, done, began = buffer[last:], int(number) + 1, time.monotonic()
    posix.close(ear)
    if done < len(sources) and open_:
        kill(pid)
    ended, code = _gone(pid)
    if not status and done < len(sources):
        code = posix.waitstatus_to_exitcode(code) if ended else 0
        status = 128 - code if code < 0 else code
    return done, status, began, pid


def _gone(pid: int) -> "tuple[int, int]":
    """Waited for, at most GRACE seconds: what waits for a device cannot be killed."""
    ended, status = posix.waitpid(pid, posix.WNOHANG)
    until = time.monotonic() + GRACE
    while not ended and time.monotonic() < until:
        _signal.sigtimedwait([_signal.SIGCHLD], 0.05)
        ended, status = posix.waitpid(pid, posix.WNOHANG)
    return ended, status


def kill(pid: int) -> None:
    """By group too: a `timeout` that has only just been started knows nothing of its child yet."""
    for one in (-pid, pid):
        try:
            posix.kill(one, _signal.SIGKILL)
        except OSError:
            continue


def _child(sources: "list[Source]", folders: Folders, mouth: int) -> None:
    """Read one probe after the other, and end."""
    posix.setpgid(0, 0)
    for number in (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP):
        _signal.signal(number, _signal.SIG_DFL)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
    nowhere = posix.open("/dev/null", posix.O_RDWR)
    for fd in (0, 1, 2):
        posix.dup2(nowhere, fd)
    try:
        posix.close(LOCK)
    except OSError:
        pass  # nobody holds the lock: the runner was started by hand
    for number, source in enumerate(sources):
        up, began, how = "0", time.monotonic(), "failed"
        try:
            up = uptime(folders.root)
            state = f"{folders.state}/{source.name}"
            make(state)
            body = __import__(source.name).text(folders.root, state, False).encode("utf-8", "surrogateescape")
            how = "ok"
        except reading.AskError:
            how, body = "ask", b""
        except (reading.RefusedError, OSError) as error:
            body = reading.complaint(f"{source.name}.py", error).encode("utf-8", "surrogateescape")
        except CannotError as error:
            body = str(error).encode("utf-8", "surrogateescape")
        except BaseException as error:  # an exit, an interrupt: it fails, the others go on
            body = f"{type(error).__name__}: {error}".encode("utf-8", "backslashreplace")
        body = body[: TEXT + 1]
        spent = int((time.monotonic() - began) * 1_000_000)
        rest = f"{number} {how} {up} {spent} {len(body)}\n".encode() + body
        while rest:
            rest = rest[posix.write(mouth, rest) :]
    posix._exit(0)


# --- Files ---


def make(folder: str) -> None:
    try:
        posix.mkdir(folder, 0o777)
    except FileExistsError:
        return
    except OSError:
        raise CannotError(f"cannot make the folder {folder}") from None


def remove(path: str) -> None:
    try:
        posix.unlink(path)
    except FileNotFoundError:
        return
    except OSError:
        raise CannotError(f"cannot remove {path}") from None


def is_link(path: str) -> bool:
    try:
        return posix.lstat(path).st_mode & 0o170000 == 0o120000
    except OSError:
        return False
