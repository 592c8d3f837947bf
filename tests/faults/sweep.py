"""The system-call sweep: for every n, a kill, ENOSPC and EIO at the n-th call that writes, syncs, renames, removes or opens.

1. Count a scene's calls with strace; 2. run it again with one fault at one call; 3. look at what is left; 4. run it once
more unharmed; 5. check the six invariants (tests/faults/invariants.py).

The calls are counted by name, and in a scene of several processes each meets the fault at its own n-th call. `openat` is
harmed everywhere in the cycle; elsewhere where it opens data: that an interpreter cannot read its own program is the same
in every step.
"""

import os
import random
import re
import sys
from collections import defaultdict
from typing import NamedTuple

from tests.cycles import ROOT
from tests.faults import invariants
from tests.faults.scenes import STRACE, Outcome, Scene

CALLS = ("write", "pwrite64", "fsync", "fdatasync", "rename", "renameat", "renameat2", "unlink", "unlinkat", "openat")
FAULTS = ("signal=KILL", "error=ENOSPC", "error=EIO")
_LINE = re.compile(r'^(\d+) +(\w+)\((?:AT_FDCWD, )?(?:"([^"]*)")?')
_CODE = re.compile(
    r"\.(py|pyc|so)(\.|$)|/__pycache__|/lib/|/lib64/|/etc/(ld\.so|locale|ssl|mime)|locale|pyvenv\.cfg|site-packages|/dist-info"
    rf"|^{re.escape(sys.prefix)}|^{re.escape(sys.base_prefix)}/|^{re.escape(ROOT)}(/(archive|alerts|web|probes|templates|static)(/|$)|$)"
    r"|^/usr/share|^/usr/bin"
)


class Injection(NamedTuple):
    """One fault: the n-th `call` of a scene meets `fault`."""

    scene: str
    call: str
    number: int
    fault: str

    def __str__(self) -> str:
        return f"{self.scene} {self.call} {self.number} {self.fault}"


class Result(NamedTuple):
    injection: Injection
    status: int
    met: bool  # the call was reached
    wrong: tuple[str, ...]
    silent: bool  # status 0, not a word, and the work was not done: the unharmed run did it
    said: str


def plan(scene: Scene, log: str) -> list[Injection]:
    """Every fault of a scene, counted in an unharmed run."""
    scene.prepare()
    scene.counted(",".join(CALLS), log)
    seen: dict[tuple[str, str], list[str]] = defaultdict(list)
    for _line, pid, call, path in _calls(log):
        seen[pid, call].append(path)
    numbers: dict[str, set[int]] = defaultdict(set)
    for (_, call), paths in seen.items():
        for number, path in enumerate(paths, 1):
            if call != "openat" or scene.all_code or not _CODE.search(path):
                numbers[call].add(number)
    return [
        Injection(scene.name, call, number, fault)
        for call in CALLS
        for number in sorted(numbers.get(call, ()))
        for fault in FAULTS
    ]


def _calls(log: str) -> list[tuple[str, str, str, str]]:
    """(line, process, call, its path)."""
    found = []
    with open(log, encoding="utf-8", errors="replace") as file:
        for line in file:
            match = _LINE.match(line)
            if match:
                found.append((line, match[1], match[2], match[3] or ""))
    return found


def one(scene: Scene, injection: Injection, log: str) -> Result:
    """Harm, look, run again, look again."""
    scene.prepare()
    if os.path.exists(log):
        os.unlink(log)
    done = scene.harm = scene.harmed(f"{injection.call}:{injection.fault}:when={injection.number}", log)
    lines = _calls(log) if os.path.exists(log) else []
    hit = [path for line, _, _, path in lines if "(INJECTED)" in line]
    counts: dict[str, int] = defaultdict(int)
    for _, pid, _, path in lines:
        counts[pid] += 1
        if injection.fault == "signal=KILL" and counts[pid] == injection.number:
            hit.append(path)
    in_code = any(_CODE.search(path) for path in hit)
    killed = injection.fault == "signal=KILL"
    said = done.out + done.err
    wrong = scene.right_after() + invariants.no_secret(scene.place.data, said)
    if not killed:
        wrong += invariants.worded(done.status, done.out, done.err, in_code)
    silent = not killed and _silent(scene, done)
    again = scene.plain(scene.later)
    wrong += scene.after(again)
    return Result(injection, done.status, bool(hit), tuple(wrong), silent, said[-600:])


def _silent(scene: Scene, done: Outcome) -> bool:
    if done.status != 0 or done.err or not scene.expected:
        return False
    return invariants.essence(scene.place.data) != scene.expected


def sample(scene: Scene, log: str, count: int, seed: str) -> list[Injection]:
    """`count` faults of an opened scene, chosen by a seed: as many of each call as of the next, while there are."""
    luck = random.Random(f"{seed} {scene.name}")
    by_call: dict[str, list[Injection]] = defaultdict(list)
    for injection in plan(scene, log):
        by_call[injection.call].append(injection)
    for found in by_call.values():
        luck.shuffle(found)
    chosen: list[Injection] = []
    while len(chosen) < count and any(by_call.values()):
        chosen += [found.pop() for found in by_call.values() if found]
    return chosen[:count]


def is_possible() -> bool:
    return os.path.exists(STRACE)
