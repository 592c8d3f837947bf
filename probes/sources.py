"""Which probes there are, and what their sources say: `# EVERY n` (cycles), `# LIMIT n` (seconds), and who interprets them.

What a source says is kept in data/run/probes with the file's time and size, so that only what changed is read again.
"""

import posix

from reading import slurp, whole, write

HEAD = 65_536  # bytes of a source that are read
ALLOWED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
DIRECTORY, FILE, KIND = 0o040000, 0o100000, 0o170000  # of st_mode


class Source:
    """One probe's: its name, its file, and what that says. `words`: what `env` would be asked to start it with."""

    __slots__ = ("every", "limit", "name", "path", "words")

    def __init__(self, name: str, path: str, every: int = 1, limit: int = 10, words: str = "") -> None:
        self.name, self.path, self.every, self.limit, self.words = name, path, every, limit, words


class MissingError(Exception):
    """A folder of VIGIE_PROBES is not there; its words say which."""


def find(folders: "list[str]", here: str, cache: str) -> "tuple[list[Source], list[str]]":
    """The probes by name and in order, and the folders that are missing. A later folder's probe replaces an earlier one.

    `here` is the runner's own folder; `cache` the file that what was read is kept in, '' where it may not be trusted.
    """
    known = recall(cache) if cache else {}
    found: dict[str, Source] = {}
    rows, missing, changed = [], [], False
    for folder in folders:
        try:
            names = sorted(posix.listdir(folder))
        except OSError:
            missing.append(folder)
            continue
        for file in names:
            path = f"{folder}/{file}"
            if file[0] == "." or file.endswith((".prom", "~", "#")) or (file == "run.py" and folder == here):
                continue
            try:
                told = posix.stat(path)
                if told.st_mode & KIND != FILE or not posix.access(path, posix.X_OK):
                    continue
                stamp = f"{told.st_mtime_ns} {told.st_size} {told.st_ino}"
                said = known.get(path)
                if said is None or said[0] != stamp:
                    said, changed = (stamp, *read(path)), True
            except OSError:
                continue
            name = named(file)
            found[name] = Source(name, path, said[1], said[2], said[3])
            if "\n" not in path and "\t" not in path:
                rows.append(f"{path}\t{stamp}\t{said[1]}\t{said[2]}\t{said[3]}")
    if cache and (changed or len(rows) != len(known)):
        keep(cache, rows)
    return list(found.values()), missing


def named(file: str) -> str:
    """A file's name without its ending, as probes are called in the texts."""
    stem = file.rpartition(".")[0] or file
    return "".join(c if c in ALLOWED else "_" * len(c.encode("utf-8", "surrogateescape")) for c in stem)


def read(path: str) -> "tuple[int, int, str]":
    """(every, limit, words) of a source. Raises OSError."""
    text = slurp(path, HEAD)
    first = text.partition("\n")[0][:100]
    words = ""
    # What `env` would look for, `timeout` looks for as well: one program less to start.
    if first.startswith("#!/usr/bin/env "):
        words = first[15:].removeprefix("-S ").strip()
        if not all(c in ALLOWED or c in " ." for c in words):
            words = ""
    return number(text, "\n# EVERY ", 9999, 1), number(text, "\n# LIMIT ", 999, 10), words


def number(text: str, mark: str, most: int, otherwise: int) -> int:
    """The last whole number that stands behind `mark` alone on its line."""
    place = text.rfind(mark)
    while place >= 0:
        digits = text[place + len(mark) :].partition("\n")[0]
        if whole(digits) and digits[0] != "0" and int(digits) <= most:
            return int(digits)
        place = text.rfind(mark, 0, place)
    return otherwise


def recall(path: str) -> "dict[str, tuple[str, int, int, str]]":
    """Path -> (stamp, every, limit, words); {} where the file is not as it is written."""
    found = {}
    try:
        lines = slurp(path).split("\n")
        if lines[-2:] != ["end", ""]:
            return {}
        for line in lines[:-2]:
            name, stamp, every, limit, words = line.split("\t")
            found[name] = (stamp, int(every), int(limit), words)
    except (OSError, ValueError):
        return {}
    return found


def keep(path: str, rows: "list[str]") -> None:
    """Written aside and renamed; where it cannot be, the sources are read again at the next cycle."""
    try:
        write(f"{path}.new", "\n".join([*rows, "end", ""]))
        posix.rename(f"{path}.new", path)
    except OSError:
        return
