"""Names of people as VIGIE_USERS wants them: as they are, as pseudonyms, or not at all. Applied where a text becomes rows.

`names` keeps them. `pseudonyms` puts `user-` and twelve hexadecimal digits in a name's place: the same for the same name,
told from the name by a key (`data/pseudonym-key`, 0600, in no backup) without which it cannot be guessed by trying
names. `off` keeps nothing that says whose it is. What goes with a name and tells as much (where from, home, uid) goes
too. The mode in force stands in the database, so that every loader obeys the same one; `settle` brings it up to date.

The path that runs every minute imports this: the standard library only, and nothing heavy while names are kept.
"""

import contextlib
import os
import re
import sqlite3
from collections.abc import Callable
from typing import NamedTuple

from archive import engine, rights, spool, text
from archive.text import Labels, ProbeText

LABEL = "user"
TELLING = ("from", "home", "uid")  # labels that tell who it is as well as the name does
PUBLIC = "root"  # an account, not a person
KEY = "pseudonym-key"
MODE = "users_mode"
MODES = ("names", "pseudonyms", "off")
LEFT_OUT = b"a text that could not be read was left out (VIGIE_USERS)\n"  # no probe's text either: refused again
_PSEUDONYM = re.compile(r"user-([0-9a-f]{8})([0-9a-f]{4})")


class Names(NamedTuple):
    """What becomes of names. `of`: a name -> what stands in its place, None for nothing. `suspects`: whether a text that
    cannot be read might hold one of those that change."""

    of: Callable[[str], str | None]
    suspects: Callable[[bytes], bool]


def of(db: sqlite3.Connection) -> Names | None:
    """What this database's mode does to names; None while it keeps them."""
    mode = kept(db)
    if mode == "names":
        return None
    return rule(mode, "" if mode == "off" else _folder(db))


def kept(db: sqlite3.Connection) -> str:
    """The mode that the rows are in."""
    row = db.execute("SELECT value FROM setting WHERE name=?", (MODE,)).fetchone()
    return str(row[0]) if row and row[0] in MODES else "names"


def _folder(db: sqlite3.Connection) -> str:
    """The data folder whose rows these are."""
    if isinstance(db, sqlite3.Connection):
        return os.path.dirname(str(db.execute("PRAGMA database_list").fetchone()[2]))
    return engine.folder_of(str(db.url))


def rule(mode: str, data: str) -> Names:
    """`pseudonyms` needs the key of the data folder, and makes it where there is none."""
    if mode == "off":
        return Names(lambda _name: None, lambda _raw: True)
    secret = key(data)
    return Names(lambda name: pseudonym(name, secret), lambda _raw: True)


def pseudonym(name: str, secret: bytes) -> str:
    """Stable for a name and a key. One that is a pseudonym already stays: a text may pass here twice."""
    if name in ("", PUBLIC):
        return name
    found = _PSEUDONYM.fullmatch(name)
    if found and found[2] == _digest(secret, "check", found[1])[:4]:
        return name
    first = _digest(secret, "name", name)[:8]
    return f"user-{first}{_digest(secret, 'check', first)[:4]}"


def _digest(secret: bytes, what: str, said: str) -> str:
    import hashlib

    return hashlib.blake2b(f"{what}:{said}".encode("utf-8", "surrogatepass"), key=secret, digest_size=8).hexdigest()


def key(data: str) -> bytes:
    """32 random bytes, made once; linked into place, so that two that begin together agree."""
    path = os.path.join(data, KEY)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        aside = f"{path}.{os.getpid()}"
        with open(
            os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, rights.of_file(path)),
            "w",
            encoding="ascii",
        ) as file:
            file.write(f"{os.urandom(32).hex()}\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(aside, path)
        os.unlink(aside)
        return key(data)
    with open(fd, encoding="ascii", errors="replace") as file:
        said = file.read(200).strip()
    if not re.fullmatch("[0-9a-f]{64}", said):
        raise OSError(f"{path}: is no key of 64 hexadecimal digits; type: rm {path!r} (pseudonyms change then)")
    return bytes.fromhex(said)


# --- what a probe said -------------------------------------------------------------------------------------------------


def applied(parsed: ProbeText, names: Names | None) -> ProbeText:
    """The text as it may be kept."""
    if names is None:
        return parsed
    samples = [
        sample._replace(labels=said) for sample in parsed.samples if (said := labels(sample.labels, names)) is not None
    ]
    facts = [(name, said) for name, known in parsed.facts if (said := labels(known, names)) is not None]
    return parsed._replace(samples=samples, facts=facts)


def labels(known: Labels, names: Names) -> Labels | None:
    """Labels as they may be kept; None: nothing of them."""
    for name, value in known:
        if name == LABEL:
            new = names.of(value)
            if new is None:
                return None
            if new == value:
                return known
            return tuple((each, new if each == LABEL else said) for each, said in known if each not in TELLING)
    return known


def covered(raw: bytes, names: Names) -> bytes:
    """A whole cycle's text (archive/spool.py), each section as it may be kept, with its own end mark."""
    try:
        spool.parse(raw)
    except spool.SpoolError:
        return raw  # not a cycle: it is set aside, never kept in the journal
    body, _, last = raw.removesuffix(b"\n").rpartition(b"\n")
    parts = re.split(rb"^(# VIGIE .*\n)", body + b"\n", flags=re.MULTILINE)
    new = b"".join(part if number % 2 else section(part, names) for number, part in enumerate(parts) if part)
    if new == body + b"\n":
        return raw
    mark = re.sub(rb"lines=\d+ bytes=\d+", b"lines=%d bytes=%d" % (new.count(b"\n"), len(new)), last, count=1)
    return new + mark + b"\n"


def section(raw: bytes, names: Names) -> bytes:
    """One probe's text: only the lines that name somebody are written anew, or left out."""
    try:
        text.parse(raw)
    except text.TextError:
        return LEFT_OUT if names.suspects(raw) else raw
    kept_lines: list[str] = []
    seen: set[str] = set()
    for line in raw.decode("utf-8").split("\n"):
        said = _line(line, names)
        if said is None or (said != line and said.rpartition(" ")[0] in seen):
            continue
        seen.add(said.rpartition(" ")[0])
        kept_lines.append(said)
    return "\n".join(kept_lines).encode()


def _line(line: str, names: Names) -> str | None:
    known = () if line.startswith("#") else text.labels_of(line)
    if not known:
        return line
    said = labels(known, names)
    if said is None or said == known:
        return None if said is None else line
    spelled = ",".join(f'{name}="{_escaped(value)}"' for name, value in said)
    return f"{line.partition('{')[0]}{{{spelled}}}{line.removesuffix(chr(13)).rpartition('}')[2]}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')


def cover(path: str, names: Names) -> bool:
    """A text that is archived already, in its own place, before it goes to the journal. Whether it changed."""
    raw = spool.read(path)
    new = covered(raw, names)
    if new == raw:
        return False
    replace(path, new)
    return True


def replace(path: str, new: bytes) -> None:
    """A file's bytes, written aside, synced, renamed."""
    folder, name = os.path.split(path)
    aside = os.path.join(folder, f".{name}.covered")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    with open(os.open(aside, flags, rights.of_file(path)), "wb") as file:
        file.write(new)
        file.flush()
        os.fsync(file.fileno())
    os.rename(aside, path)
