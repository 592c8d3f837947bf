"""Power loss, from a log: what a step wrote is recorded by strace, and any moment of it is built again as a disk could have
it then: what was synced is there; what was not may be there, may not, or in part.

A file is its content and its names apart: `fsync` of a file keeps its content, `fsync` of a folder its names; a rename
comes about whole or not at all. That is what POSIX and a journal promise, and no more; a real file system often does better.
"""

import os
import random
import re
import shutil
from collections.abc import Iterable
from typing import NamedTuple

from tests.faults.scenes import STRACE, Outcome, run

CALLS = (
    "openat,write,pwrite64,ftruncate,fallocate,sendfile,copy_file_range,rename,renameat,renameat2,unlink,unlinkat,"
    "mkdir,mkdirat,rmdir,fsync,fdatasync"
)
# How a disk may have a moment: names and contents, each as synced, or as last written; or each unsynced piece by chance.
VARIANTS = ("all", "synced", "names only", "contents only", "by chance")
SECTOR = 512
_HEAD = re.compile(r"^(\d+) +(\w+)\((.*)\) = (-?\d+)")
_FD = re.compile(r"^(?:\d+|AT_FDCWD)<([^>]*)>")
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')


class Act(NamedTuple):
    """One thing done to the disk. `kind`: create, data, cut, name (a rename), gone, folder, sync."""

    kind: str
    path: str
    other: str = ""
    at: int = -1  # for data: where, -1 for the end; for cut: how long
    data: bytes = b""


def record(argv: list[str], environ: dict[str, str], data: str, log: str) -> tuple[Outcome, list[Act]]:
    """Run a step and give what it did below `data`, in order."""
    done = run(
        [STRACE, "-f", "-y", "-xx", "-s", "9999999", "-o", log, "-e", f"trace={CALLS}", "-e", "signal=none", *argv], environ
    )  # fmt: skip
    with open(log, encoding="ascii", errors="replace") as file:
        return done, list(_acts(_joined(file), data))


def _joined(lines: Iterable[str]) -> Iterable[str]:
    """Calls of several processes interrupt one another's lines; put together again at their end."""
    begun: dict[str, str] = {}
    for line in lines:
        pid, _, rest = line.rstrip("\n").partition(" ")
        rest = rest.strip()
        if rest.endswith("<unfinished ...>"):
            begun[pid] = rest.removesuffix("<unfinished ...>").rstrip()
        elif rest.startswith("<... ") and pid in begun:
            yield f"{pid} {begun.pop(pid)}{rest.partition('resumed>')[2].lstrip()}"
        else:
            yield f"{pid} {rest}"


def _acts(lines: Iterable[str], data: str) -> Iterable[Act]:
    for line in lines:
        found = _HEAD.match(line)
        if not found or found[4].startswith("-"):
            continue
        call, inside, result = found[2], found[3], int(found[4])
        fd = _FD.match(inside)
        here = _decoded(fd[1]).removesuffix(" (deleted)") if fd else ""
        words = [_decoded(word) for word in _TEXT.findall(inside)]
        paths = [word if word.startswith("/") else os.path.join(here, word) for word in words]
        act: Act | None = None
        if call == "openat" and "O_CREAT" in inside:
            act = Act("create", paths[0], other="trunc" if "O_TRUNC" in inside else "")
        elif call in ("write", "pwrite64"):
            raw = _bytes(_TEXT.findall(inside)[0])[:result]
            act = Act("data", here, at=int(inside.rpartition(", ")[2]) if call == "pwrite64" else -1, data=raw)
        elif call in ("sendfile", "copy_file_range"):
            source = [_decoded(one) for one in re.findall(r"<([^>]*)>", inside)]
            target, other = (source[0], source[1]) if call == "sendfile" else (source[1], source[0])
            act = Act("copy", target, other=other, at=result)
        elif call == "ftruncate":
            act = Act("cut", here, at=int(inside.rpartition(", ")[2]))
        elif call.startswith("rename"):
            act = Act("name", paths[0], other=paths[1])
        elif call in ("unlink", "unlinkat", "rmdir"):
            act = Act("gone", paths[0])
        elif call.startswith("mkdir"):
            act = Act("folder", paths[0])
        elif call in ("fsync", "fdatasync"):
            act = Act("sync", here)
        if act and act.path.startswith(data):
            yield act


def _decoded(text: str) -> str:
    """strace writes every byte of a string as \\xNN with -xx, of a path behind a file descriptor too."""
    return _bytes(text).decode("utf-8", "surrogateescape") if "\\x" in text else text


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


class Content:
    """What a file holds: as written, as synced, and the pieces between the two in order."""

    def __init__(self, synced: bytes = b"") -> None:
        self.written = bytearray(synced)
        self.synced = bytes(synced)
        self.pieces: list[Act] = []

    def do(self, act: Act) -> None:
        at = len(self.written) if act.at < 0 else act.at
        act = act._replace(at=at)
        _put(self.written, act)
        self.pieces.append(act)

    def sync(self) -> None:
        self.synced = bytes(self.written)
        self.pieces = []

    def chance(self, luck: random.Random) -> bytes:
        """As synced, with some of the pieces since; of each, some of its sectors."""
        found = bytearray(self.synced)
        for piece in self.pieces:
            if piece.kind == "cut":
                if luck.random() < 0.5:
                    _put(found, piece)
                continue
            for first in range(0, len(piece.data), SECTOR):
                if luck.random() < 0.6:
                    part = piece._replace(at=piece.at + first, data=piece.data[first : first + SECTOR])
                    _put(found, part)
        return bytes(found)


def _put(raw: bytearray, act: Act) -> None:
    if act.kind == "cut":
        del raw[act.at :]
        raw.extend(b"\0" * (act.at - len(raw)))
        return
    if len(raw) < act.at:
        raw.extend(b"\0" * (act.at - len(raw)))
    raw[act.at : act.at + len(act.data)] = act.data


class Disk:
    """A folder as the kernel has it, and as the disk has it."""

    def __init__(self, base: str, data: str) -> None:
        """`base` stands for the data folder before the step, all of it synced long ago."""
        self.root = data
        self.names: dict[str, Content] = {}
        self.folders: set[str] = {data}
        for path, folders, names in os.walk(base):
            inside = data + path.removeprefix(base)
            self.folders.update(os.path.join(inside, name) for name in folders)
            for name in names:
                with open(os.path.join(path, name), "rb") as file:
                    self.names[os.path.join(inside, name)] = Content(file.read())
        self.kept = dict(self.names)  # the names as synced
        # Since then, in order: each a list of (name, what it was given to; None: removed) that comes about whole or not.
        self.pending: list[list[tuple[str, Content | None]]] = []

    def do(self, act: Act) -> None:
        if act.kind == "folder":
            self.folders.add(act.path)
        elif act.kind == "create":
            if act.path not in self.names:
                self._name((act.path, Content()))
            elif act.other and self.names[act.path].written:
                self.names[act.path].do(Act("cut", act.path, at=0))
        elif act.kind in ("data", "cut") and act.path in self.names:
            self.names[act.path].do(act)
        elif act.kind == "copy" and act.path in self.names and act.other in self.names:
            raw = bytes(self.names[act.other].written)
            have = len(self.names[act.path].written)
            self.names[act.path].do(Act("data", act.path, data=raw[have : have + act.at]))
        elif act.kind == "name" and act.path in self.names:
            self._name((act.path, None), (act.other, self.names[act.path]))
        elif act.kind == "gone" and act.path in self.names:
            self._name((act.path, None))
        elif act.kind == "sync":
            if act.path in self.names:
                self.names[act.path].sync()
            else:
                self._sync_folder(act.path)

    def _name(self, *changes: tuple[str, Content | None]) -> None:
        for path, content in changes:
            _give(self.names, path, content)
        self.pending.append(list(changes))

    def _sync_folder(self, folder: str) -> None:
        left = []
        for changes in self.pending:
            if any(os.path.dirname(path) == folder for path, _ in changes):
                for path, content in changes:
                    _give(self.kept, path, content)
            else:
                left.append(changes)
        self.pending = left

    def build(self, variant: str, target: str, luck: random.Random) -> None:
        """A moment of the power loss, as files below `target`. -shm is memory: it is never there."""
        names = dict(self.names if variant in ("all", "names only") else self.kept)
        if variant == "by chance":
            # A journalling file system keeps the order of names: some of the last ones are not there yet.
            for changes in self.pending[: luck.randint(0, len(self.pending))]:
                for path, content in changes:
                    _give(names, path, content)
        shutil.rmtree(target, ignore_errors=True)
        os.makedirs(target, mode=0o700)
        for folder in sorted(self.folders):
            os.makedirs(target + folder.removeprefix(self.root), mode=0o700, exist_ok=True)
        for path, content in names.items():
            if path.endswith("-shm") or os.path.dirname(path) not in self.folders:
                continue
            if variant == "by chance":
                raw = content.chance(luck)
            else:
                raw = bytes(content.written) if variant in ("all", "contents only") else content.synced
            fd = os.open(target + path.removeprefix(self.root), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(fd, "wb") as file:
                file.write(raw)


def _give(names: dict[str, Content], path: str, content: Content | None) -> None:
    if content is None:
        names.pop(path, None)
    else:
        names[path] = content
