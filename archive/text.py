"""A probe's text, parsed: Prometheus text plus the comments that Vigie adds (docs/probes.md). Pure.

All of it is hostile until it has passed here. Bad syntax refuses the whole text; a number that is NaN, infinite or out
of its unit's range drops that sample alone and is counted.
"""

import re
from typing import NamedTuple

from archive.units import Unit, to_stored, unit_of

MAX_BYTES = 1 << 20
MAX_LINE = 8 << 10
MAX_SERIES = 2000

Labels = tuple[tuple[str, str], ...]


class TextError(Exception):
    """The text is not what a probe may print: says the line's number, the line, and what was expected."""


class Sample(NamedTuple):
    metric: str
    labels: Labels  # sorted by name
    value: float


class Shipped(NamedTuple):
    """The threshold a probe brings along. Levels are in the metric's own unit; spans in seconds."""

    above: bool
    warning: float | None
    critical: float | None
    clear: float | None
    for_seconds: int
    second_metric: str
    second_above: bool
    second_level: float | None
    second_for: str  # 'critical', or 'both' when the warning carries the second condition too
    enabled: bool


class Metric(NamedTuple):
    name: str
    kind: str  # gauge, counter, info
    unit: Unit
    help: str
    help_fr: str
    shipped: Shipped | None


class ProbeText(NamedTuple):
    metrics: dict[str, Metric]
    samples: list[Sample]  # gauges and counters, raw
    facts: list[tuple[str, Labels]]
    every: int  # cycles
    unavailable: str  # the reason, '' when there is something to ask
    rejected: int  # samples dropped for their value


_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
# One way only to read a run of digits: `[0-9]+\.?[0-9]*` would try 8,000 digits in 32 million ways.
_NUMBER = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_SAMPLE = re.compile(rf"({_NAME})(?:\{{(.*)\}})?[ \t]+({_NUMBER}|[+-]?[Ii]nf|NaN)(?:[ \t]+[+-]?[0-9]+)?[ \t]*")
_PLAIN = re.compile(_NUMBER)
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"[ \t]*(?:,[ \t]*|$)')
_LEVEL = re.compile(rf"({_NAME}) ([<>]) ({_NUMBER})(?: and ({_NAME}) ([<>]) ({_NUMBER}))?")
_ESCAPE = re.compile(r"\\(.)")
_CONTROL = {code: f"\\x{code:02x}" for code in [*range(32), *range(0x7F, 0xA0)]}
# Marks that turn the reading direction, or cannot be seen, would make one name look like another.
_CONTROL |= {
    code: f"\\u{code:04x}"
    for code in [0x061C, 0x180E, *range(0x200B, 0x2010), *range(0x2028, 0x202F), *range(0x2060, 0x2070), 0xFEFF]
}
_LABEL_LENGTH = 500


def parse(raw: bytes) -> ProbeText:
    """The whole text or TextError."""
    if len(raw) > MAX_BYTES:
        raise TextError(f"the text has {len(raw)} bytes; at most {MAX_BYTES} are taken")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise TextError(f"byte {error.start}: is not UTF-8") from error
    if "\0" in text:
        raise TextError("the text holds a NUL byte")
    return _Reader().read(text)


class _Said:
    """What the comments of one text say of its metrics."""

    def __init__(self) -> None:
        self.help: dict[str, str] = {}
        self.help_fr: dict[str, str] = {}
        self.kind: dict[str, str] = {}
        self.levels: dict[tuple[str, str], tuple[bool, float, str, bool, float | None]] = {}
        self.clear: dict[str, float] = {}
        self.span: dict[str, int] = {}
        self.off: set[str] = set()
        self.every = 1
        self.unavailable = ""
        self.known: dict[str, Metric] = {}

    def comment(self, line: str) -> None:
        word, _, rest = line[1:].strip().partition(" ")
        name, _, said = rest.strip().partition(" ")
        if word == "HELP":
            self.help[name] = clean(said)[:300]
        elif word == "HELP.fr":
            self.help_fr[name] = clean(said)[:300]
        elif word == "TYPE":
            self.kind[name] = "counter" if said.strip() == "counter" else "gauge"
        elif word in ("WARN", "CRIT"):
            found = _LEVEL.fullmatch(rest.strip())
            if not found:
                raise ValueError(f"expected `# {word} name > level`, or `... and other_name < level`")
            metric, sign, level, other, other_sign, other_level = found.groups()
            self.levels[metric, word] = (
                sign == ">",
                _finite(level),
                other or "",
                other_sign == ">",
                _finite(other_level) if other_level else None,
            )
        elif word == "CLEAR":
            self.clear[name] = _finite(said.strip())
        elif word == "FOR":
            self.span[name] = _whole(said.strip(), "minutes", 60 * 24 * 7) * 60
        elif word == "OFF":
            self.off.add(name)
        elif word == "EVERY":
            self.every = max(1, _whole(rest.strip(), "cycles", 10_000))
        elif word == "UNAVAILABLE":
            self.unavailable = clean(rest)[:300] or "no reason given"

    def metric(self, name: str) -> Metric:
        """What was said of a metric, put together once."""
        found = self.known.get(name) or self.whole(name)
        if len(self.known) < MAX_SERIES:  # names that are new at every cycle must not fill the dashboard's memory
            self.known[name] = found
        return found

    def whole(self, name: str) -> Metric:
        kind = "info" if name.endswith("_info") else self.kind.get(name, "gauge")
        words = name.replace("_", " ")
        english = self.help.get(name) or words
        return Metric(name, kind, unit_of(name, kind), english, self.help_fr.get(name) or english, self.shipped(name))

    def shipped(self, name: str) -> Shipped | None:
        warn, crit = self.levels.get((name, "WARN")), self.levels.get((name, "CRIT"))
        first = warn or crit
        if first is None:
            return None
        if warn and crit and warn[0] != crit[0]:
            raise TextError(f"{name}: WARN and CRIT point in two directions")
        if warn and crit and (crit[1] < warn[1] if warn[0] else crit[1] > warn[1]):
            raise TextError(f"{name}: the CRIT level {crit[1]:g} comes before the WARN level {warn[1]:g}")
        if warn and crit and warn[2] and warn[2:] != crit[2:]:
            raise TextError(f"{name}: the second condition of WARN must stand in CRIT too")
        second = crit if crit and crit[2] else warn if warn and warn[2] else None
        return Shipped(
            above=first[0],
            warning=warn[1] if warn else None,
            critical=crit[1] if crit else None,
            clear=self.clear.get(name),
            for_seconds=self.span.get(name, 0),
            second_metric=second[2] if second else "",
            second_above=second[3] if second else False,
            second_level=second[4] if second else None,
            second_for="both" if warn and warn[2] else "critical",
            enabled=name not in self.off,
        )


# A probe says the same at every cycle: its comments are read once for all the texts that one step archives.
_heard: dict[tuple[str, ...], _Said] = {}
_HEARD, _HEARD_LENGTH = 64, 200  # texts, comment lines of each


def _listen(comments: list[tuple[int, str]]) -> _Said:
    """(number, line) of each comment, in their order."""
    lines = tuple(line for _, line in comments)
    known = _heard.get(lines)
    if known:
        return known
    said = _Said()
    for number, line in comments:
        try:
            said.comment(line)
        except ValueError as error:
            raise _wrong(number, line, error) from None
    if len(_heard) >= _HEARD:
        _heard.clear()
    if len(lines) <= _HEARD_LENGTH:
        _heard[lines] = said
    return said


# What stands before the value is the same in all of them too: name, labels as written, labels.
_lines: dict[str, tuple[str, str, Labels]] = {}
_LINES = 4096


def _wrong(number: int, line: str, error: ValueError) -> TextError:
    return TextError(f"line {number}: {line[:80]!r}: {error}")


class _Reader:
    """One pass over the lines; what was said of a metric is put together at the end."""

    def __init__(self) -> None:
        self.comments: list[tuple[int, str]] = []
        self.lines: list[tuple[str, str, Labels, float]] = []  # name, labels as written, labels, value

    def read(self, text: str) -> ProbeText:
        try:
            self.go_through(text)
        except TextError:
            _listen(self.comments)  # one of them may be wrong, and stands before it
            raise
        return self.whole(_listen(self.comments))

    def go_through(self, text: str) -> None:
        for number, raw in enumerate(text.split("\n"), 1):
            line = raw.removesuffix("\r")
            if not line.strip():
                continue
            if len(line) > MAX_LINE:
                raise TextError(f"line {number}: has {len(line)} characters; at most {MAX_LINE} are taken")
            if line.startswith("#"):
                self.comments.append((number, line))
                continue
            try:
                self.sample(line)
            except ValueError as error:
                raise _wrong(number, line, error) from None
            if len(self.lines) > MAX_SERIES:
                raise TextError(f"line {number}: more than {MAX_SERIES} series")

    def sample(self, line: str) -> None:
        key, _, number = line.rpartition(" ")
        known = _lines.get(key)
        if known and _PLAIN.fullmatch(number):
            self.lines.append((*known, float(number)))
            return
        found = _SAMPLE.fullmatch(line)
        if not found:
            raise ValueError('expected `name{label="value"} number`')
        written = found[2] or ""
        labels = _labels(written)
        self.lines.append((found[1], written, labels, float(found[3])))
        if found.end(3) == len(line) and found.start(3) == len(key) + 1:
            if len(_lines) >= _LINES:
                _lines.clear()
            _lines[key] = (found[1], written, labels)

    def whole(self, said: _Said) -> ProbeText:
        metrics: dict[str, Metric] = {}
        samples: list[Sample] = []
        facts: list[tuple[str, Labels]] = []
        rejected = 0
        seen: dict[tuple[str, Labels], str] = {}
        for name, written, labels, value in self.lines:
            if (name, labels) in seen:
                if seen[name, labels] == written:
                    raise TextError(f"{name}{dict(labels)}: stands twice")
                # Two names that differ only in what was cleaned: whoever chose them must not silence the probe.
                rejected += 1
                continue
            seen[name, labels] = written
            metric = metrics.get(name) or metrics.setdefault(name, said.metric(name))
            if metric.kind == "info":
                facts.append((name, labels))
            elif (metric.kind == "counter" and 0 <= value < float("inf")) or (
                metric.kind == "gauge" and to_stored(value, metric.unit) is not None
            ):
                samples.append(Sample(name, labels, value))
            else:
                rejected += 1
        return ProbeText(metrics, samples, facts, said.every, said.unavailable, rejected)


def clean(text: str) -> str:
    """One line that looks like what it is: control characters and direction marks are shown, not obeyed."""
    return _visible(text).strip()


def _visible(text: str) -> str:
    return text.translate(_CONTROL)


def _short(text: str) -> str:
    """Cut, so that a name of 10 KB neither fills the database nor breaks a page; two long names stay two."""
    if len(text) <= _LABEL_LENGTH:
        return text
    import hashlib

    return f"{text[: _LABEL_LENGTH - 9]}~{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def labels_of(line: str) -> Labels:
    """The labels of one line of a text that parses; () for a comment or a line without."""
    found = _SAMPLE.fullmatch(line.removesuffix("\r"))
    return _labels(found[2]) if found and found[2] else ()


def _labels(body: str) -> Labels:
    found: dict[str, str] = {}
    position = 0
    while position < len(body):
        match = _LABEL.match(body, position)
        if not match:
            raise ValueError('expected labels of the form name="value"')
        if match[1] in found:
            raise ValueError(f"label {match[1]} stands twice")
        found[match[1]] = _short(_visible(_ESCAPE.sub(_unescape, match[2])))
        position = match.end()
    return tuple(sorted(found.items()))


def _unescape(match: re.Match[str]) -> str:
    return {"n": "\n", '"': '"', "\\": "\\"}.get(match[1], match[0])


def _finite(number: str) -> float:
    value = float(number) if re.fullmatch(_NUMBER, number) else float("nan")
    if not float("-inf") < value < float("inf"):
        raise ValueError(f"{number[:40]!r} is not a finite number")
    return value


def _whole(number: str, of: str, most: int) -> int:
    if not re.fullmatch("[0-9]{1,9}", number) or int(number) > most:
        raise ValueError(f"expected a whole number of {of}, at most {most}")
    return int(number)
