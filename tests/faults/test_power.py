"""Power loss: the order of syncs, renames and removals, and every moment of a step's writes built again and started upon.

D01, D25, D27, P01: what was taken in is there after the power comes back.
"""

import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from archive import backup
from tests.cycles import ROOT
from tests.faults import invariants, power, scenes
from tests.faults.power import Act, Disk
from tests.faults.scenes import AT

pytestmark = pytest.mark.skipif(not os.path.exists(scenes.STRACE), reason="strace is missing")

CYCLE = [sys.executable, "-I", "-S", "-B", "alerts/cycle.py"]
COMMAND = [sys.executable, "-I", "-B", "web/__main__.py"]


@pytest.fixture(scope="module")
def folder() -> Iterator[str]:
    made = tempfile.mkdtemp(prefix="vigie-power-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
    scenes.make_base(os.path.join(made, "base"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


class Step:
    """A step over a copy of the base, recorded."""

    def __init__(self, folder: str, name: str, argv: list[str], **environ: str) -> None:
        self.base, self.data = os.path.join(folder, "base"), os.path.join(folder, name, "data")
        self.environ = {
            "VIGIE_DATA": self.data,
            "VIGIE_ROOT": scenes.nowhere(self.base),
            "VIGIE_NOW": str(AT),
            **environ,
        }
        scenes.copy(self.base, self.data)
        os.unlink(os.path.join(self.data, "reserve"))
        self.done, self.acts = power.record(argv, self.environ, self.data, os.path.join(folder, f"{name}.log"))
        assert (self.done.status, self.done.err) == (0, ""), self.done
        self.left = invariants.essence(self.data)

    def order(self, *wanted: tuple[str, str]) -> None:
        """These acts were done in this order: (kind, end of the path), each after the one before."""
        place = 0
        for kind, end in wanted:
            place = next(
                (
                    n
                    for n, act in enumerate(self.acts[place:], place + 1)
                    if act.kind == kind and act.path.endswith(end)
                ),
                0,
            )
            assert place, f"{kind} {end} does not follow in {[(a.kind, os.path.basename(a.path)) for a in self.acts]}"

    def moments(self, seed: int) -> Iterator[tuple[str, str]]:
        """(what it is, a data folder as the power left it), for a cut after every act, in every variant."""
        disk, luck = Disk(self.base, self.data), random.Random(seed)
        target = f"{self.data}.cut"
        for number, act in enumerate([*self.acts, Act("none", "")]):
            for variant in power.VARIANTS:
                disk.build(variant, target, luck)
                yield (
                    f"before act {number} of {len(self.acts)} ({act.kind} {os.path.basename(act.path)}), {variant}",
                    target,
                )
            disk.do(act)


def test_a_record_is_what_was_done(folder: str) -> None:
    """All acts done again give the folder that the step left: nothing was missed that the cuts then would not have."""
    step = Step(folder, "record", CYCLE)
    disk = Disk(step.base, step.data)
    for act in step.acts:
        disk.do(act)
    target = f"{step.data}.again"
    disk.build("all", target, random.Random(0))
    listed = [{name for _, _, names in os.walk(place) for name in names} for place in (target, step.data)]
    assert listed[0] == {name for name in listed[1] if not name.endswith(("-shm", "-wal"))}
    assert invariants.essence(target) == step.left


def test_what_was_not_synced_can_be_lost_in_this_model(folder: str) -> None:
    """The model itself: a name without its content, a content without its name, neither."""
    base = os.path.join(folder, "model")
    os.makedirs(base)
    disk, luck, target = Disk(base, "/d"), random.Random(1), os.path.join(folder, "model-cut")
    for act in (Act("create", "/d/a"), Act("data", "/d/a", data=b"x" * 1000)):
        disk.do(act)

    def found() -> dict[str, int]:
        return {name: os.path.getsize(os.path.join(target, name)) for name in os.listdir(target)}

    seen = {}
    for variant in power.VARIANTS[:-1]:
        disk.build(variant, target, luck)
        seen[variant] = found()
    assert seen == {"all": {"a": 1000}, "synced": {}, "names only": {"a": 0}, "contents only": {}}
    disk.do(Act("sync", "/d/a"))
    disk.do(Act("sync", "/d"))
    disk.do(Act("name", "/d/a", other="/d/b"))
    disk.build("synced", target, luck)
    assert found() == {"a": 1000}
    disk.build("names only", target, luck)
    assert found() == {"b": 1000}


def test_p01_a_text_is_synced_before_it_has_its_name_and_then_the_folder_is(folder: str, tmp_path: Path) -> None:
    probe = tmp_path / "beat.sh"
    probe.write_text("#!/bin/bash\necho '# HELP beat Beats\n# HELP.fr beat Coups\n# TYPE beat gauge\nbeat 1'\n")
    probe.chmod(0o755)
    step = Step(
        folder, "runner", [sys.executable, "-I", "-S", "-B", "probes/run.py"], VIGIE_PROBES=str(tmp_path), VIGIE_ROOT="",
        VIGIE_NOW=str(AT + 60),
    )  # fmt: skip
    step.order(("sync", ".tmp"), ("name", ".tmp"), ("sync", "/spool"))
    cuts = 0
    for what, data in step.moments(2):
        times, wrong = invariants.texts(data)
        assert wrong == [], what
        assert {AT - 60, AT} <= set(times), what
        cuts += 1
    assert AT + 60 in times
    assert cuts > 50


def test_d01_texts_leave_the_spool_once_their_rows_are_synced(folder: str) -> None:
    step = Step(folder, "order", CYCLE)
    step.order(("sync", "vigie.db-wal"), ("name", f"/spool/{AT - 60}.prom"), ("name", f"/spool/{AT}.prom"))
    step.order(("sync", "vigie.db-wal"), ("sync", "vigie.db"), ("gone", "vigie.db-wal"))


@pytest.mark.ci
def test_d01_a_cycle_cut_by_power_at_any_write_loses_no_text_and_tells_each_incident_once(folder: str) -> None:
    step = Step(folder, "cycle", CYCLE)
    texts = invariants.texts(step.base)[0]
    cuts = 0
    for what, data in step.moments(3):
        wrong = invariants.nothing_lost(data, texts)
        assert wrong == [], what
        done = started(data)
        assert done == (0, ""), (what, done)
        wrong = (
            invariants.sound(data) + invariants.nothing_lost(data, texts) + invariants.loaded_once(data, [AT - 60, AT])
        )
        wrong += invariants.mailed_or_owed(data) + invariants.difference(invariants.essence(data), step.left)
        assert wrong == [], what
        cuts += 1
    assert cuts == (len(step.acts) + 1) * len(power.VARIANTS)
    assert cuts > 500


def started(data: str) -> tuple[int, str]:
    """Vigie's minute on that folder, in a fork: a start of Python for each of a thousand cuts would prove no more."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        from alerts import cycle

        status = 99
        try:
            os.dup2(theirs, 2)
            sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115 the fork ends with it
            os.environ.update(VIGIE_DATA=data, VIGIE_NOW=str(AT), VIGIE_ROOT=f"{data}.none")
            status = cycle.main()
            sys.stderr.flush()
        finally:
            os._exit(status)
    os.close(theirs)
    with open(ours, "rb") as file:
        said = file.read().decode()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said


@pytest.mark.ci
def test_d25_a_backup_cut_by_power_has_no_half_copy_under_its_name(folder: str) -> None:
    step = Step(folder, "backup", [*COMMAND, "backups", "--now"])
    step.order(("sync", ".db.new"), ("sync", ".sha256"), ("name", ".db.new"), ("sync", "/backups"))
    before = invariants.essence(step.base)
    cuts = 0
    for what, data in step.moments(4):
        assert invariants.whole_files(data) == [], what
        assert len(backup.names(os.path.join(data, "backups"))) in (1, 2), what
        assert invariants.essence(data) == before, what
        cuts += 1
    assert cuts > 500


@pytest.mark.ci
def test_d27_a_restore_cut_by_power_leaves_the_old_database_or_the_new_one(folder: str) -> None:
    step = Step(folder, "restore", [*COMMAND, "restore", "--yes"])
    step.order(("sync", "vigie.db.restore"), ("name", "/vigie.db"), ("name", "vigie.db.restore"), ("sync", "/data"))
    before = invariants.essence(step.base)
    cuts = 0
    for what, data in step.moments(5):
        kept = os.path.join(data, "set-aside")
        aside = [os.path.join(kept, name) for name in (os.listdir(kept) if os.path.isdir(kept) else [])]
        there = [place for place in (data, *aside) if os.path.exists(os.path.join(place, "vigie.db"))]
        assert any(invariants.essence(place) == before for place in there), f"{what}: the old database is nowhere whole"
        if os.path.exists(os.path.join(data, "vigie.db")):
            assert invariants.sound(data) == [], what
        else:
            said = subprocess.run(
                CYCLE, cwd=ROOT, env={"PATH": "/usr/bin:/bin", "VIGIE_DATA": data, "VIGIE_NOW": str(AT)},
                capture_output=True, text=True, check=False, timeout=60,
            )  # fmt: skip
            assert said.returncode == 1, what
            assert "./vigie restore" in said.stderr, what
        cuts += 1
    assert cuts > 300


@pytest.mark.ci
def test_d02_the_days_upkeep_cut_by_power_loses_no_sample_and_no_text(folder: str) -> None:
    """Packing, purging and compressing move what is kept: a cut after every 20th act, all variants."""
    step = Step(folder, "upkeep", [sys.executable, "-B", "-m", "archive.upkeep", "--now"])
    step.order(("sync", ".xz.new"), ("name", ".xz.new"), ("sync", "/journal"), ("gone", ".prom"))
    texts = invariants.texts(step.base)[0]
    cuts = 0
    for number, (what, data) in enumerate(step.moments(6)):
        if number // len(power.VARIANTS) % 20:
            continue
        assert invariants.nothing_lost(data, texts) == [], what
        assert invariants.whole_files(data) == [], what
        assert invariants.sound(data) == [], what
        done = scenes.run(
            [sys.executable, "-B", "-m", "archive.upkeep", "--now"],
            {"VIGIE_DATA": data, "VIGIE_NOW": str(AT), "VIGIE_ROOT": f"{data}.none"},
        )
        assert done.status == 0, (what, done)
        assert invariants.difference(invariants.essence(data), step.left) == [], what
        cuts += 1
    assert cuts > 100
