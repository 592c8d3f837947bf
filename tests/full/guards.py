"""A fault counts as tested only when its test fails with its guard out. One fault in ten, chosen by a seed, is shown to be so.

    .venv-dev/bin/python -m tests.full.guards [ID...]

For each: the project is copied, the guard is taken out of the copy (a piece of text replaced by another), and the fault's test
is run there. It must pass in the whole copy and fail in the other. Status 0: all fail as they must.
"""

import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

from tests.cycles import ROOT
from tests.faults.table import rows

SEED = 7
OF = 14  # one in ten of 140


class Guard(NamedTuple):
    """`old` in `file` becomes `new`: what keeps the fault away is gone. `test`: pytest's own way to name tests."""

    what: str
    test: str
    file: str
    old: str
    new: str


# For the sample that SEED gives, and some beside it.
GUARDS: dict[str, Guard] = {
    "C09": Guard(
        "a page without any known item is an error", "tests/certfr/test_index.py -k c09",
        "archive/certfr/index.py", "    if not any(read):\n        items =", "    if False:\n        items =",
    ),
    "C17": Guard(
        "a round that failed is no reading", "tests/certfr/test_refresh.py -k c17",
        "archive/certfr/schedule.py", "ok_at = CASE WHEN :failed = 1 THEN ok_at ELSE :now END,\n", "ok_at = :now,\n",
    ),
    "D09": Guard(
        "SQLite's words for damage are understood", "tests/archive/test_database.py -k d09",
        "archive/database.py", 'if "malformed" in text or', 'if "no such words" in text or',
    ),
    "D12": Guard(
        "the cycle judged last is looked for", "tests/faults/test_archive_faults.py -k d12",
        "alerts/cycle.py", "        _look_for_loss(db, judged, now)\n", "",
    ),
    "D20": Guard(
        "a clock ahead of the newest sample is not believed", "tests/archive/test_purge.py -k d20",
        "archive/purge.py", "    if now > last.at + AGREE:", "    if False:",
    ),
    "D25": Guard(
        "a copy has another name until it is whole", "tests/archive/test_backup.py -k d25_killed_anywhere",
        "archive/backup.py", 'aside = os.path.join(folder, f".{name}.new")', "aside = final",
    ),
    "M13": Guard(
        "a mail is owed until the server has taken it", "tests/alerts/test_outbox.py -k m13",
        "archive/leaving.py", "SET state='queued', tries=tries+1, next_at=?, server=?",
        "SET state='accepted', tries=tries+1, next_at=?, server=?",
    ),
    "M22": Guard(
        "the reserve is freed for the cycle's text", "tests/test_full_disk.py -k m22_the_reserve",
        "alerts/run_cycle.py", "        if room.f_bavail * room.f_frsize >= RESERVE:\n", "        if True:\n",
    ),
    "P01": Guard(
        "a text is synced before it has its name", "tests/faults/test_power.py -k p01",
        "probes/run.py", "        reading.write(temporary, text, posix.O_EXCL, sync=True)\n", "        reading.write(temporary, text, posix.O_EXCL)\n",
    ),
    "P10": Guard(
        "control characters are shown, not obeyed", "tests/archive/test_text.py -k p10",
        "archive/text.py", "    return text.translate(_CONTROL)", "    return text",
    ),
    "P13": Guard(
        "one run at a time", "tests/faults/test_silence.py -k p13",
        "alerts/run_cycle.py", "        fcntl.flock(running.LOCK, fcntl.LOCK_EX | fcntl.LOCK_NB)\n",
        "        fcntl.flock(running.LOCK, fcntl.LOCK_SH | fcntl.LOCK_NB)\n",
    ),
    "P15": Guard(
        "the lock is the kernel's, and goes with its holder", "tests/archive/test_database.py -k p15",
        "archive/lock.py", "            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)\n",
        "            if os.fstat(fd).st_size:\n                raise BlockingIOError\n            os.write(fd, b'1')\n",
    ),
    "P19": Guard(
        "no variable of a log-in is relied on", "tests/probes/test_run.py -k p19",
        "probes/run.py", '        self.env |= {"LC_ALL": "C",',
        '        self.env["HOME"] = posix.environ[b"HOME"].decode()\n        self.env |= {"LC_ALL": "C",',
    ),
    "P23": Guard(
        "a /proc that is not there is no figure", "tests/probes/test_contract.py -k p23_without_proc",
        "probes/cpu.py", '    stat = reading.slurp(f"{root}/proc/stat")\n',
        '    stat = reading.slurp(f"{root}/proc/stat") if reading.exists(f"{root}/proc/stat") else "cpu 0 0 0 0 0 0 0 0"\n',
    ),
    "P25": Guard(
        "only a person at a terminal is told the steps", "tests/faults/test_cycle_faults.py -k p25",
        "alerts/beside.sh", "  ((interactive)) || return 0\n  printf '· '", "  printf '· '",
    ),
    "W07": Guard(
        "an older key still opens", "tests/web/test_logins.py -k w07",
        "web/logins.py", "SECRET_KEY_FALLBACKS=older", "SECRET_KEY_FALLBACKS=[]",
    ),
    "W25": Guard(
        "a body has a bound", "tests/web/test_forms.py -k w25",
        "web/__init__.py", "MAX_CONTENT_LENGTH=64 << 10", "MAX_CONTENT_LENGTH=64 << 20",
    ),
    "W33": Guard(
        "the code belongs to its owner alone", "tests/faults/test_web_w33.py",
        "web/access.py", "MODE", "0666",
    ),
}  # fmt: skip


def chosen() -> list[str]:
    """The sample: by seed, of all 140."""
    return sorted(random.Random(SEED).sample(faults(), OF))


def faults() -> list[str]:
    """Every id, in the order of the catalogue."""
    return sorted(rows(), key=lambda one: ("PDMCW".index(one[0]), one))


def copy(target: str) -> None:
    """The project as it stands here, with this environment."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout.decode()
    for name in filter(None, listed.split("\0")):
        path = os.path.join(target, name)
        if os.path.isfile(os.path.join(ROOT, name)):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            shutil.copy2(os.path.join(ROOT, name), path)
    # Tests that copy the project ask git what belongs to it.
    for argv in (["init", "-q"], ["add", "-A"]):
        subprocess.run(["git", *argv], cwd=target, check=True, capture_output=True)
    os.chmod(target, 0o755)


def take_out(target: str, guard: Guard) -> None:
    path = os.path.join(target, guard.file)
    if guard.old == "MODE":
        os.chmod(path, int(guard.new, 8))
        return
    with open(path, encoding="utf-8") as file:
        text = file.read()
    if text.count(guard.old) != 1:
        raise SystemExit(f"{guard.file}: the guard stands there {text.count(guard.old)} times: {guard.old!r}")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text.replace(guard.old, guard.new))


def run(target: str, guard: Guard) -> tuple[int, str]:
    """pytest's status (0 all passed, 1 some failed) and its last line."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *guard.test.split(" ")],
        cwd=target, capture_output=True, text=True, timeout=900, check=False,
        env={"PATH": os.environ["PATH"], "HOME": target, "LC_ALL": "C", "TESTS_TIER": "ci"},
    )  # fmt: skip
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAILED")]
    return done.returncode, (failed or done.stdout.strip().splitlines() or [""])[-1][:160]


def main() -> int:
    wanted = sys.argv[1:] or chosen()
    missing = [ident for ident in wanted if ident not in GUARDS]
    if missing:
        print(f"no guard is named for {', '.join(missing)}", file=sys.stderr)
        return 2
    bad = 0
    print("| fault | guard taken out | with it | without it | the test that fails |\n|---|---|---|---|---|")
    for ident in wanted:
        guard, began = GUARDS[ident], time.monotonic()
        with tempfile.TemporaryDirectory(prefix=f"vigie-{ident}-", dir="/var/tmp") as folder:
            target = os.path.join(folder, "vigie")
            os.chmod(folder, 0o755)
            os.mkdir(target)
            copy(target)
            whole, said = run(target, guard)
            take_out(target, guard)
            without, failed = run(target, guard)
        well = (whole, without) == (0, 1)
        bad += not well
        print(
            f"| {ident} | {guard.what} (`{guard.file}`) | {'passes' if whole == 0 else f'status {whole}: {said}'} |"
            f" {'fails' if without == 1 else f'status {without}'} | {failed.removeprefix('FAILED ').partition(' - ')[0]} |",
            flush=True,
        )
        print(f"{ident}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
