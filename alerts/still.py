"""Whether the newest cycle may wait to be archived: `why` says '' when it may, else what ended the waiting.

    python3 -I -S alerts/still.py FOLDER SPOOL_FILE      status 0: it may wait

FOLDER (data/run) holds `calm`, which the minute's step left behind while all was well (alerts/calm.py): the levels, and
until when they hold. Here every line of the new text is held against them, in the same numbers as the judge's: a value
that the judge would find beyond its level, or any other thing that is not as it was (a probe that failed, is missing,
is new or says other levels, another boot, a jump of the clock, a number of another form), ends the waiting. In doubt
it does not wait.

FOLDER/raw is kept from cycle to cycle: the lines that were seen (what stands before the value), the counters for their
rates, and what each probe says of its levels. A line that was seen once has a form that the archive takes.

Runs every minute: nothing is imported but what is built into the interpreter, unless there is a line that is new.
"""

import posix
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

STEP = 900  # seconds of texts that may wait: cycles of one and the same multiple of it
PACE = 90  # seconds between two cycles at most
DRIFT = 5.0  # seconds: the clock against the time since the start of the machine
KEPT = 691_200  # seconds: so long a counter that is not printed any more is remembered
MOST = 2000  # lines of one probe
REMEMBERED = 8000  # lines in all; past it only those of the newest text
LONGEST = 4000  # characters of one line
SECTION, END = "# VIGIE probe=", "# VIGIE lines="
DIGITS = "0123456789.-"


class Calm:
    """data/run/calm: the time of the last judged cycle, its boot, until when it holds, and the levels."""

    def __init__(self) -> None:
        self.judged, self.until, self.boot = 0, 0, ""
        self.above: dict[str, float] = {}
        self.below: dict[str, float] = {}
        self.exact: dict[str, tuple[str, float]] = {}  # of one line: (above, below or off, bound)
        self.deadlines: dict[str, tuple[int, int]] = {}  # of a probe's silence: when, and how long after it was seen


class Raw:
    """data/run/raw: of the cycle before. `lines`: line -> (value, '' when it is no counter's; uptime that it was read at)."""

    def __init__(self) -> None:
        self.boot, self.at, self.uptime = "", 0, 0.0
        self.lines: dict[str, tuple[str, str]] = {}
        self.said: dict[str, str] = {}
        self.seen: dict[str, int] = {}  # the cycle in which a probe was there last


def read_calm(text: str) -> Calm | None:
    """None when it is not as alerts/calm.py writes it."""
    lines = text.split("\n")
    if lines[-2:] != ["end\tcalm 1", ""]:
        return None
    calm = Calm()
    try:
        for line in lines[:-2]:
            fields = line.split("\t")
            kind = fields[0]
            if kind == "calm":
                calm.judged, calm.boot, calm.until = int(fields[2]), fields[3], int(fields[4])
            elif kind == "level":
                (calm.above if fields[2] == "above" else calm.below)[fields[1]] = float(fields[3])
            elif kind == "line":
                calm.exact[fields[1]] = (fields[2], float(fields[3]))
            elif kind == "probe":
                calm.deadlines[fields[1]] = (int(fields[2]), int(fields[3]))
    except (ValueError, IndexError):
        return None
    return calm


def read_raw(text: str) -> Raw | None:
    lines = text.split("\n")
    if lines[-2:] != ["end", ""]:
        return None
    raw = Raw()
    try:
        for line in lines[:-2]:
            kind, _, rest = line.partition("\t")
            if kind == "v":
                key, value, uptime = rest.split("\t")
                raw.lines[key] = (value, uptime)
            elif kind == "s":
                probe, _, said = rest.partition("\t")
                raw.said[probe] = said
            elif kind == "p":
                probe, at = rest.split("\t")
                raw.seen[probe] = int(at)
            elif kind == "at":
                raw.boot, at, uptime = rest.split("\t")
                raw.at, raw.uptime = int(at), float(uptime)
    except ValueError:
        return None
    return raw


def write_raw(raw: Raw, now: float) -> str:
    out = [f"at\t{raw.boot}\t{raw.at}\t{raw.uptime}"]
    out += [f"s\t{probe}\t{said}" for probe, said in raw.said.items()]
    out += [f"p\t{probe}\t{at}" for probe, at in raw.seen.items()]
    for key, (value, uptime) in raw.lines.items():
        if now - float(uptime) < KEPT and float(uptime) <= now + 60:
            out.append(f"v\t{key}\t{value}\t{uptime}")
    return "\n".join([*out, "end", ""])


class Looking:
    """One text held against the calm. `reason` is the first thing that ended the waiting."""

    def __init__(self, calm: Calm | None, raw: Raw | None) -> None:
        self.calm, self.before = calm or Calm(), raw or Raw()
        self.reason = "" if raw else "no raw values"
        if not calm:
            self.wake("not calm")
        self.seen: set[str] = set()
        self.now = Raw()
        self.now.lines, self.now.said = dict(self.before.lines), dict(self.before.said)

    def wake(self, reason: str) -> None:
        self.reason = self.reason or reason

    def look(self, text: str) -> None:
        present = set()
        end = text.rfind(END)
        if end < 0 or (end and text[end - 1] != "\n"):
            self.wake("no end mark")
            return
        sections = f"\n{text[:end]}".split(f"\n{SECTION}")
        for section in sections[1:]:
            head, _, body = section.partition("\n")
            probe = head.partition(" ")[0]
            present.add(probe)
            if " status=ok " not in head:
                self.wake(f"{probe} failed")
            up = head.partition(" uptime=")[2].partition(" ")[0]
            try:
                float(up)
            except ValueError:
                self.wake(f"{probe} has no time")
                continue
            if probe not in self.calm.deadlines:
                self.wake(f"{probe} is new")
            self.section(probe, up, body)
        self.mark(text[end:])
        if len(self.now.lines) > REMEMBERED:
            self.now.lines = {key: self.now.lines[key] for key in self.seen}
        for probe, (deadline, span) in self.calm.deadlines.items():
            if probe in present:
                self.now.seen[probe] = self.now.at
                continue
            seen = self.before.seen.get(probe, 0)
            if seen:
                self.now.seen[probe] = seen
            if self.now.at >= (max(deadline, seen + span) if span else deadline):
                self.wake(f"{probe} is missing")

    def section(self, probe: str, up: str, body: str) -> None:
        lines = body.split("\n")
        comments = [line for line in lines if line[:1] == "#"]
        said = "|".join(comments).replace("\t", " ")
        if self.before.said.get(probe) != said:
            self.wake(f"{probe} says other levels")
        self.now.said[probe] = said
        counters = {
            line[7:].split(" ")[0]
            for line in comments
            if line.startswith("# TYPE ") and line.rstrip(" ").endswith(" counter")
        }
        if len(lines) - len(comments) > MOST:
            self.wake("too many lines")
        seen: set[str] = set()
        for line in lines:
            if not line or line[0] == "#":
                continue
            key, _, number = line.rpartition(" ")
            # What archive/text.py would refuse, or read in another way, is left to it.
            if not (key in self.before.lines or is_plain(line)) or not is_number(number):
                self.wake(f"{probe} prints a line of another form")
                continue
            if key in seen:
                self.wake(f"{key} stands twice")
            seen.add(key)
            self.sample(key, number, up, key.partition("{")[0] in counters)
        self.seen |= seen

    def sample(self, key: str, number: str, up: str, counter: bool) -> None:
        """One line: its value, or its rate, against its level."""
        before = self.before.lines.get(key)
        self.now.lines[key] = (number if counter else "", up)
        name = key.partition("{")[0]
        calm = self.calm
        watched = name in calm.above or name in calm.below
        if before is None and (not key.isascii() or (watched and counter)):
            self.wake(f"{key} is new")
        if not watched or name.endswith("_info"):
            return
        value = float(number)
        if counter:
            # As archive/loading.py: a counter that went down, or was not read before, gives no rate.
            if before is None or not before[0]:
                self.wake(f"{key} is new")
                return
            elapsed = float(up) - float(before[1])
            if elapsed <= 0 or value < float(before[0]):
                return
            value = (value - float(before[0])) / elapsed
        if key in calm.exact:
            how, bound = calm.exact[key]
            if (how == "above" and value >= bound) or (how == "below" and value <= bound):
                self.wake(key)
        elif (name in calm.above and value >= calm.above[name]) or (name in calm.below and value <= calm.below[name]):
            self.wake(key)

    def mark(self, line: str) -> None:
        fields = dict(part.partition("=")[::2] for part in line.rstrip("\n").split(" ")[2:])
        try:
            at, up, boot = int(fields["cycle"]), float(fields["uptime"]), fields["boot"]
        except (KeyError, ValueError):
            self.wake("no end mark")
            return
        before, calm = self.before, self.calm
        moved, lived = at - before.at, up - before.uptime
        if boot != calm.boot or boot != before.boot or lived < 0:
            self.wake("another boot")
        if moved <= 0 or moved > PACE or moved - lived > DRIFT or lived - moved > DRIFT:
            self.wake("time is not as it was")
        if at // STEP != calm.judged // STEP:
            self.wake("a quarter of an hour")
        if at >= calm.until or at < calm.judged:
            self.wake("something is due")
        self.now.boot, self.now.at, self.now.uptime = boot, at, up


def is_number(text: str) -> bool:
    """Digits, at most one point between two of them, and a sign: nothing else that float() takes."""
    if text.strip(DIGITS) or text[-1:] in ".-" or text[:1] == "." or text[:2] == "-.":
        return False
    try:
        float(text)
    except ValueError:
        return False
    return True


def is_plain(line: str) -> bool:
    """Whether a line that is new has the one form that the archive surely reads as we do."""
    import re

    if len(line) > LONGEST:
        return False
    form = r'[a-zA-Z_:][a-zA-Z0-9_:]*(\{([a-zA-Z_][a-zA-Z0-9_]*="([^"\\]|\\.)*",?)*\})? -?[0-9]+(\.[0-9]+)?'
    return re.fullmatch(form, line) is not None


def why(folder: str, text: str) -> str:
    """'' when the text may wait, else the reason. FOLDER/raw is written anew, whatever the answer, where the text is whole."""
    looking = Looking(_read(f"{folder}/calm", read_calm), _read(f"{folder}/raw", read_raw))
    looking.look(text)
    if looking.now.at:
        _write(f"{folder}/raw", write_raw(looking.now, looking.now.uptime))
    return looking.reason


def _read(path: str, parse):  # type: ignore[no-untyped-def]
    try:
        fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NOFOLLOW)
    except OSError:
        return None
    try:
        found = b""
        while part := posix.read(fd, 1 << 20):
            found += part
    finally:
        posix.close(fd)
    return parse(found.decode("utf-8", "surrogateescape"))


def _write(path: str, text: str) -> None:
    """What cannot be written is missed by the next cycle, which then does not wait."""
    try:
        fd = posix.open(
            path, posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC | posix.O_CLOEXEC | posix.O_NOFOLLOW, 0o666
        )
        try:
            rest = text.encode("utf-8", "surrogateescape")
            while rest:
                rest = rest[posix.write(fd, rest) :]
        finally:
            posix.close(fd)
    except OSError:
        return


def main(argv: "Iterable[str]") -> int:
    folder, spool = argv
    text = _read(spool, str) or ""
    found = why(folder, text)
    if found and b"CALM_WHY" in posix.environ:
        posix.write(2, f"{found}\n".encode("utf-8", "backslashreplace"))
    return 1 if found else 0


if __name__ == "__main__":
    posix._exit(main(sys.argv[1:]))
