"""The whole sweep: every fault of every scene (tests/faults/sweep.py). Resumes where it was stopped.

    .venv-dev/bin/python -m tests.full.sweep [--seconds 400] [--jobs 4] [--work DIR] [--only cycle,form]

One JSON line a fault in DIR/done-*.jsonl. What was done stays done while the program (archive, alerts, web, probes) and the
sweep itself are the same. Status 0: all were made, and nothing was found.
"""

import argparse
import glob
import hashlib
import json
import multiprocessing
import os
import queue
import subprocess
import sys
import time
from collections import Counter
from typing import Any

from tests.cycles import ROOT
from tests.faults import scenes, sweep
from tests.faults.sweep import Injection

BATCH = 60  # faults between two looks at the clock, over one opened scene


def print_of_the_program() -> str:
    """What a result depends on, as a name."""
    digest = hashlib.sha256()
    for part in ("archive", "alerts", "web", "probes", "templates"):
        said = subprocess.run(
            ["git", "ls-files", "-z", "--", part], cwd=ROOT, capture_output=True, check=True
        ).stdout.split(b"\0")
        for name in sorted(filter(None, said)):
            if name.endswith((b".po", b".mo", b".md")):
                continue
            with open(os.path.join(ROOT.encode(), name), "rb") as file:
                digest.update(name + b"\0" + hashlib.sha256(file.read()).digest())
    return digest.hexdigest()[:12]


def batches(work: str, only: list[str]) -> list[list[Injection]]:
    """Everything, in batches of one scene each; the plan is kept, so that the next chunk need not count again."""
    path = os.path.join(work, "plan.json")
    if os.path.exists(path):
        with open(path, encoding="ascii") as file:
            everything = [Injection(*one) for one in json.load(file)]
    else:
        everything = []
        for kind in scenes.SCENES:
            scene = kind(os.path.join(work, "base"), scenes.place(os.path.join(work, "plan")))
            with scene.open():
                everything += sweep.plan(scene, os.path.join(work, "plan", "calls"))
        with open(path, "w", encoding="ascii") as file:
            json.dump(everything, file)
    found = []
    for kind in scenes.SCENES:
        of_it = [one for one in everything if one.scene == kind.name and (not only or one.scene in only)]
        found += [of_it[first : first + BATCH] for first in range(0, len(of_it), BATCH)]
    return found


def done(work: str) -> dict[str, dict[str, Any]]:
    """What was made already, by injection."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(glob.glob(os.path.join(work, "done-*.jsonl"))):
        with open(path, encoding="utf-8") as file:
            for line in file:
                if line.endswith("\n"):
                    one = json.loads(line)
                    found[one["injection"]] = one
    return found


def worker(number: int, work: str, tasks: "multiprocessing.Queue[list[Injection]]", until: float) -> None:
    place = scenes.place(os.path.join(work, f"worker-{number}"))
    log = os.path.join(work, f"worker-{number}", "log")
    with open(os.path.join(work, f"done-{number}.jsonl"), "a", encoding="utf-8") as out:
        while time.monotonic() < until:
            try:
                batch = tasks.get_nowait()
            except queue.Empty:
                return
            scene = scenes.by_name(batch[0].scene)(os.path.join(work, "base"), place)
            with scene.open():
                for injection in batch:
                    result = sweep.one(scene, injection, log)
                    line = {**result._asdict(), "injection": str(injection)}
                    out.write(json.dumps(line) + "\n")
                    out.flush()
                    if time.monotonic() >= until:
                        return


def report(work: str, total: int) -> tuple[str, bool]:
    """A table in Markdown, and whether all is well."""
    found = done(work)
    rows = Counter(name.split()[0] for name in found)
    lines = ["| scene | faults | of them kill | call reached | against an invariant | work not done, and silent |",
             "|---|---|---|---|---|---|"]  # fmt: skip
    for kind in scenes.SCENES:
        of_it = {name: one for name, one in found.items() if name.split()[0] == kind.name}
        lines.append(
            f"| {kind.name} | {rows[kind.name]} | {sum('KILL' in name for name in of_it)}"
            f" | {sum(one['met'] for one in of_it.values())} | {sum(bool(one['wrong']) for one in of_it.values())}"
            f" | {sum(one['silent'] for one in of_it.values())} |"
        )
    bad = {name: one for name, one in found.items() if one["wrong"] or one["silent"]}
    lines.append(f"\n{len(found)} of {total} injections made; {len(bad)} against an invariant or silent.")
    lines += [f"- {name}: {'; '.join(one['wrong']) or 'silent'}" for name, one in sorted(bad.items())[:50]]
    return "\n".join(lines), len(found) == total and not bad


def main() -> int:
    parser = argparse.ArgumentParser(description="the whole system-call sweep")
    parser.add_argument("--seconds", type=float, default=1e9)
    parser.add_argument("--jobs", type=int, default=4)
    parser.add_argument("--work", default="")
    parser.add_argument("--only", default="")
    asked = parser.parse_args()
    if not sweep.is_possible():
        print("the sweep needs strace (sudo apt install strace)", file=sys.stderr)
        return 2
    began = time.monotonic()
    parent = asked.work or os.path.join("/dev/shm" if os.path.isdir("/dev/shm") else "/var/tmp", "vigie-sweep")
    work = os.path.join(parent, print_of_the_program())
    os.makedirs(work, mode=0o700, exist_ok=True)
    if not os.path.exists(os.path.join(work, "base")):
        scenes.make_base(os.path.join(work, "base"))
    only = [name for name in asked.only.split(",") if name]
    everything = batches(work, only)
    already = done(work)
    tasks: multiprocessing.Queue[list[Injection]] = multiprocessing.Queue()
    for batch in everything:
        left = [one for one in batch if str(one) not in already]
        if left:
            tasks.put(left)
    time.sleep(0.2)  # the queue's own thread fills it
    workers = [
        multiprocessing.Process(target=worker, args=(number, work, tasks, began + asked.seconds))
        for number in range(asked.jobs)
    ]
    for one in workers:
        one.start()
    for one in workers:
        one.join()
    tasks.cancel_join_thread()
    text, good = report(work, sum(len(batch) for batch in everything))
    print(text)
    return 0 if good and all(one.exitcode == 0 for one in workers) else 1


if __name__ == "__main__":
    sys.exit(main())
