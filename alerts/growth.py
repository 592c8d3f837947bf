"""What grew on a file system: sizes of its folders two levels deep, and the largest files that changed. Time-boxed.

Folders are keys that do not overlap: `home/alice` holds all below it, `home` only the files directly in it, `` only
those at the top. One file system only, links never followed, a file with several names counted once.
"""

import heapq
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

TOP = 5
MOST_FOLDERS = 20_000
MOST_LINKS = 200_000


class Size(NamedTuple):
    bytes: int  # as the disk holds it
    files: int


class File(NamedTuple):
    bytes: int
    at: int  # last change, UTC seconds
    path: str


class Growth(NamedTuple):
    """A folder that grew by `bytes` since the baseline; or a file of `bytes` that changed at `at`."""

    path: str
    bytes: int
    at: int


class Walk(NamedTuple):
    sizes: dict[str, Size]  # the folders that were seen whole
    changed: list[File]  # the largest first
    complete: bool
    unreadable: int  # folders that may not be read


class Baseline(NamedTuple):
    """The sizes of an earlier day."""

    mount: str
    at: int
    complete: bool
    sizes: dict[str, Size]


def walk(mount: str, seconds: float, since: int, first: Mapping[str, Size] | None = None) -> Walk:
    """Look through one file system for at most about `seconds`.

    `since`: files changed after it are listed. `first`: the sizes of an earlier day; what it does not know and what
    held few files then comes first, so that a short look covers many folders.
    """
    walker = _Walker(mount, time.monotonic() + seconds, since)
    walker.run(first or {})
    return Walk(walker.sizes, sorted(walker.changed, reverse=True), walker.complete, walker.unreadable)


def walk_aside(mount: str, seconds: float, since: int, first: Mapping[str, Size] | None = None) -> Walk:
    """The same, in a thread: a dead network disk that never answers holds up nothing but that thread."""
    walker = _Walker(mount, time.monotonic() + seconds, since)
    thread = threading.Thread(target=walker.run, args=(first or {},), daemon=True)
    thread.start()
    thread.join(seconds + 2)
    complete = walker.complete and not thread.is_alive()
    return Walk(dict(walker.sizes), sorted(walker.changed, reverse=True), complete, walker.unreadable)


def grown(before: Baseline, now: Walk, top: int = TOP) -> list[Growth]:
    """The folders that grew most since the baseline; one that was not there then grew by all it holds."""
    found = []
    for key, size in now.sizes.items():
        old = before.sizes.get(key)
        if old is None and not before.complete:
            continue  # it may simply not have been seen that day
        more = size.bytes - (old.bytes if old else 0)
        if more > 0:
            found.append(Growth(os.path.join(before.mount, key) if key else before.mount, more, before.at))
    return sorted(found, key=lambda growth: (-growth.bytes, growth.path))[:top]


class _Walker:
    def __init__(self, mount: str, deadline: float, since: int) -> None:
        self.mount, self.deadline, self.since = mount, deadline, since
        self.sizes: dict[str, Size] = {}
        self.changed: list[File] = []
        self.complete = False
        self.unreadable = 0
        self.linked: set[int] = set()
        self.device = -1

    def run(self, first: Mapping[str, Size]) -> None:
        try:
            self.device = os.lstat(self.mount).st_dev
        except OSError:
            self.unreadable += 1
            return
        folders: list[str] = []
        for top in self.shallow("", folders.append):
            self.shallow_done(top, folders)
        folders = sorted(set(folders), key=lambda key: (first[key].files if key in first else -1, key))
        for key in folders[:MOST_FOLDERS]:
            size = self.deep(os.path.join(self.mount, key))
            if size is None:
                return
            self.sizes[key] = size
        self.complete = len(folders) <= MOST_FOLDERS and time.monotonic() < self.deadline

    def shallow_done(self, top: str, folders: list[str]) -> None:
        """The folders of the second level, into `folders`."""
        for _ in self.shallow(top, folders.append):
            pass

    def shallow(self, key: str, below: Callable[[str], None]) -> Iterator[str]:
        """The files directly in one folder; yields its folders at the first level, hands over those at the second."""
        size = Size(0, 0)
        for entry, folder in self.entries(os.path.join(self.mount, key) if key else self.mount):
            if folder:
                if key:
                    below(f"{key}/{entry.name}")
                else:
                    yield entry.name
            else:
                size = self.counted(entry, size)
            if time.monotonic() > self.deadline:
                return
        self.sizes[key] = size

    def deep(self, path: str) -> Size | None:
        """All below a folder; None when the time is over."""
        size, waiting = Size(0, 0), [path]
        while waiting:
            for entry, folder in self.entries(waiting.pop()):
                if folder:
                    waiting.append(entry.path)
                else:
                    size = self.counted(entry, size)
            if time.monotonic() > self.deadline:
                return None
        return size

    def entries(self, path: str) -> Iterator[tuple["os.DirEntry[str]", bool]]:
        """(entry, whether it is a folder of the same file system)."""
        try:
            with os.scandir(path) as found:
                for entry in found:
                    try:
                        if not entry.is_dir(follow_symlinks=False):
                            yield entry, False
                        elif entry.stat(follow_symlinks=False).st_dev == self.device:
                            yield entry, True
                    except OSError:
                        continue
        except OSError:
            self.unreadable += 1

    def counted(self, entry: "os.DirEntry[str]", size: Size) -> Size:
        try:
            found = entry.stat(follow_symlinks=False)
        except OSError:
            return size
        if found.st_nlink > 1:
            if found.st_ino in self.linked:
                return size
            if len(self.linked) < MOST_LINKS:
                self.linked.add(found.st_ino)
        octets = found.st_blocks * 512
        if found.st_mtime >= self.since and octets:
            file = File(octets, int(found.st_mtime), entry.path)
            if len(self.changed) < TOP:
                heapq.heappush(self.changed, file)
            else:
                heapq.heappushpop(self.changed, file)
        return Size(size.bytes + octets, size.files + 1)
