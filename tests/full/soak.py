"""Seven simulated days with random faults by a fixed seed: every sample that a probe printed is in the database once, every
incident is told once, memory and file descriptors stay flat.

    .venv-dev/bin/python -m tests.full.soak [--cycles 10080] [--real 504] [--seed 7]

The tests' clock; one text a minute, written as the runner writes it. Most minutes run in this process, every 20th is a real
`alerts/cycle.py`, and of those every other one is killed or fails at a random system call. Beside it: upkeep when it is due
(killed now and then, once under a clock ten years ahead), mails through a real server that is away for hours, a real
dashboard that is read, texts cut, delivered twice, late, the lock held by another, probes that fail, sleep, reboots.
"""

import argparse
import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from email import message_from_bytes

from alerts import cycle, outbox
from archive import backup, database, lock, read, settings, slices, spool, upkeep
from tests import cycles
from tests.conftest import make_data
from tests.cycles import ROOT, Failed
from tests.faults import invariants, sweep
from tests.faults.scenes import STRACE, PostOffice

DAY = 86_400
START = 1_795_219_200 - 7 * DAY + 600  # 2026-11-14 00:10 UTC
WINDOW, EVERY = 30, 400  # minutes that a disk is full, and from one such time to the next
YEARS = 10 * 365 * DAY


class Soak:
    """One run. `printed` is the oracle: the minute of every text that was handed over whole."""

    def __init__(self, folder: str, count: int, real: int, seed: int) -> None:
        self.folder, self.count, self.real = folder, count, real
        self.luck = random.Random(seed)
        self.data = make_data(os.path.join(folder, "data"), START - DAY)
        self.post = PostOffice(os.path.join(folder, "post"))
        self.environ = {
            "VIGIE_DATA": self.data, "VIGIE_MAIL_TO": "a@example.org", "VIGIE_MAIL_FROM": "v@example.org",
            "VIGIE_CERTFR_URL": "http://127.0.0.1:9", "VIGIE_HOST_NAME": "srv", "VIGIE_TIMEZONE": "Europe/Paris",
            "VIGIE_ROOT": os.path.join(folder, "root"), "VIGIE_SMTP_HOST": "127.0.0.1", "VIGIE_SMTP_SECURITY": "none",
            "VIGIE_SMTP_PORT": str(self.post.port),
        }  # fmt: skip
        os.makedirs(self.environ["VIGIE_ROOT"])
        self.config = settings.load(self.environ)
        self.printed: dict[int, bool] = {}  # minute -> whether the load probe said its figures
        self.rates = 0  # minutes whose counter gives a rate
        self.booted, self.boot = START - 9 * DAY, "boot-0"
        self.faults: Counter[str] = Counter()
        self.away_until = 0  # minutes while the mail server is away
        self.flat: list[tuple[int, int, int, int]] = []  # (memory, descriptors) of this process, then of the dashboard
        self.wrong: list[str] = []
        self.web: subprocess.Popen[bytes] | None = None
        self.port = 0

    # --- the machine ---

    def text(self, number: int, at: int) -> dict[str, "str | Failed"]:
        up = at - self.booted
        full = number % EVERY >= EVERY - WINDOW
        load: str | Failed = f'load_average{{window="1m"}} {number % 977 / 100:.2f}\nbeat_count {number}\n'
        if self.happens("a probe fails", 0.004):
            load = Failed("timed out after 10 s")
        return {
            "cpu": f"# TYPE cpu_busy_seconds_total counter\ncpu_busy_seconds_total {up * 0.25:.2f}\n",
            "disk": "# WARN disk_used_ratio > 0.90\n"
            + "".join(f'disk_used_ratio{{mount="{mount}"}} {0.95 if full and mount == "/" else 0.4:.4f}\n' for mount in ("/", "/srv")),
            "load": load,
            "users": f'users_logged_in 1\nlogin_info{{user="a",tty="pts/0",from="192.0.2.1",since="{START}"}} 1\n',
        }  # fmt: skip

    def happens(self, name: str, chance: float) -> bool:
        if self.luck.random() < chance:
            self.faults[name] += 1
            return True
        return False

    # --- one minute ---

    def minute(self, number: int, at: int) -> None:
        quiet = number % EVERY >= EVERY - WINDOW - 20 or number % EVERY < 40  # no sleep around what is counted
        if not quiet and self.happens("asleep", 0.002):
            return
        if not quiet and self.happens("rebooted", 0.0015):
            self.booted, self.boot = at - 45, f"boot-{at}"
        sections = self.text(number, at)
        if self.happens("a text is cut", 0.002):
            whole = cycles.spool_text(at, sections, self.boot, at - self.booted)
            with open(os.path.join(self.data, "spool", f"{at}.prom"), "wb") as file:
                file.write(whole[: self.luck.randrange(10, len(whole) - 10)])
        else:
            cycles.write(self.data, at, sections, self.boot, at - self.booted)
            self.printed[at] = not isinstance(sections["load"], Failed)
        if self.happens("an old text comes again", 0.002):
            self.deliver_again(at)
        if number % (self.count // self.real or 1) == 0:
            self.really(at)
        elif self.happens("the lock is held", 0.003):
            with lock.locked(self.data):
                self.step(at, patience=0.0)
        else:
            self.step(at)
        self.beside(number, at)

    def deliver_again(self, at: int) -> None:
        day = os.path.join(self.data, "journal", spool.day_name(at))
        names = os.listdir(day) if os.path.isdir(day) else []
        if names:
            name = self.luck.choice(sorted(names))
            shutil.copy(os.path.join(day, name), os.path.join(self.data, "spool", name))

    def step(self, at: int, patience: float | None = None) -> None:
        """The minute's step in this process; a busy lock is left quietly."""
        real = database.writer
        if patience is not None:
            database.writer = lambda data, wait=10.0: real(data, patience)  # type: ignore[assignment,misc]
        try:
            cycle.run(self.config, at)
        except database.Busy:
            pass
        finally:
            database.writer = real

    def really(self, at: int) -> None:
        """The same as a process of its own; every other one with a fault at a random call."""
        self.faults["a real process"] += 1
        argv = [sys.executable, "-I", "-S", "-B", "alerts/cycle.py"]
        harmed = self.luck.random() < 0.5
        if harmed:
            call = self.luck.choice(("pwrite64", "fdatasync", "rename", "openat", "unlink", "write"))
            fault = self.luck.choice(sweep.FAULTS)
            number = self.luck.randint(1, {"pwrite64": 40, "openat": 140}.get(call, 4))
            self.faults[f"{fault} at {call}"] += 1
            argv = [
                STRACE,
                "-f",
                "-o",
                "/dev/null",
                "-e",
                f"trace={call}",
                "-e",
                f"inject={call}:{fault}:when={number}",
                *argv,
            ]
        done = subprocess.run(
            argv, cwd=ROOT, env={"PATH": "/usr/bin:/bin", **self.environ, "VIGIE_NOW": str(at)}, capture_output=True,
            text=True, check=False, timeout=120,
        )  # fmt: skip
        if not harmed and (done.returncode, done.stderr) != (0, ""):
            self.wrong.append(f"a plain cycle at {at}: {done.returncode} {done.stderr[:200]}")

    def beside(self, number: int, at: int) -> None:
        due = []
        with (
            contextlib.suppress(FileNotFoundError),
            open(os.path.join(self.data, "run", "due"), encoding="ascii") as file,
        ):
            due = file.read().split("\n")
        if "upkeep" in due:
            self.upkeep(at)
        if self.happens("the mail server goes away", 0.0008):
            self.away_until = number + self.luck.randint(30, 300)
        if "send" in due:
            port = str(self.post.port if number >= self.away_until else 9)
            outbox.run(settings.load({**self.environ, "VIGIE_SMTP_PORT": port}), at, spread=lambda: 0.0)
        if number % 30 == 0:
            self.look(at)
        if number % (self.count // 7 or 1) == self.count // 7 - 1:
            self.flat.append((*_size(os.getpid()), *_size(self.web.pid if self.web else os.getpid())))

    def upkeep(self, at: int) -> None:
        if self.happens("upkeep under a clock ten years ahead", 0.02):
            upkeep.run(self.config, at + YEARS)
        if self.happens("upkeep killed", 0.1):
            call, number = self.luck.choice(
                (("pwrite64", self.luck.randint(1, 300)), ("fdatasync", self.luck.randint(1, 30)))
            )
            subprocess.run(
                [STRACE, "-f", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={number}",
                 sys.executable, "-B", "-m", "archive.upkeep", "--now"],
                cwd=ROOT, env={"PATH": "/usr/bin:/bin", **self.environ, "VIGIE_NOW": str(at)}, capture_output=True, check=False,
                timeout=300,
            )  # fmt: skip
        self.wrong += [f"upkeep at {at}: {one}" for one in upkeep.run(self.config, at)]

    # --- the dashboard, a real one ---

    def open_dashboard(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.web = subprocess.Popen(
            [sys.executable, "-m", "web.serve"], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={"PATH": "/usr/bin:/bin", **self.environ, "VIGIE_LISTEN": f"127.0.0.1:{self.port}"},
        )  # fmt: skip
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            time.sleep(0.1)

    def look(self, at: int) -> None:
        del at
        for path in ("/", "/incidents", "/graphs/load_average?period=24h"):
            try:
                with urllib.request.urlopen(f"http://localhost:{self.port}{path}", timeout=60) as answer:
                    answer.read()
            except urllib.error.HTTPError as error:
                if error.code >= 500 and error.code != 503:
                    self.wrong.append(f"{path}: {error.code}")
                error.close()

    # --- all of it ---

    def run(self) -> None:
        slices.PAUSE = 0.0  # nobody waits beside us
        self.open_dashboard()
        try:
            for number in range(self.count):
                self.minute(number, START + number * 60)
            self.end(START + self.count * 60)
        finally:
            if self.web:
                self.web.send_signal(signal.SIGTERM)
                self.web.wait(30)
            self.post.close()

    def end(self, at: int) -> None:
        """Nothing is in the way any more: what waits is archived, judged and mailed."""
        for number in range(30):
            now = at + number * 600
            cycle.run(self.config, now)
            outbox.run(self.config, now, spread=lambda: 0.0)
            with database.reader(self.data) as db:
                if outbox.outbox.oldest_unsent(db) is None:
                    break
        self.check()

    def check(self) -> None:
        self.wrong += (
            invariants.sound(self.data) + invariants.whole_files(self.data) + invariants.mailed_or_owed(self.data)
        )
        self.wrong += [f"{name} is left in the spool" for name in os.listdir(os.path.join(self.data, "spool"))]
        self.check_samples()
        self.check_incidents()
        cut = len([one for one in os.listdir(os.path.join(self.data, "quarantine")) if one.endswith(".reason")])
        if cut != self.faults["a text is cut"]:
            self.wrong.append(f"{cut} texts are in quarantine, {self.faults['a text is cut']} were cut")
        for path in backup.names(self.config.backup_dir):
            backup.verify(path)
        self.check_flat()

    def check_samples(self) -> None:
        """Every gauge, by what was printed; a key (host, time, line) cannot be there twice, nor in both forms differ."""
        said = {at: (at - START) // 60 for at, well in self.printed.items() if well}
        wanted = {
            ("beat_count", "{}"): {at: float(number) for at, number in said.items()},
            ("load_average", '{"window":"1m"}'): {at: number % 977 / 100 for at, number in said.items()},
            ("disk_used_ratio", '{"mount":"/srv"}'): dict.fromkeys(self.printed, 0.4),
            ("users_logged_in", "{}"): dict.fromkeys(self.printed, 1.0),
        }
        self.samples = 0
        with database.reader(self.data) as db:
            lines = {(one.metric.name, one.labels): one for one in read.series(db, 1)}
            for key, values in wanted.items():
                samples = read.samples(db, 1, lines[key], 0, 2**40)
                found = {one.at: one.value for one in samples}
                self.samples += len(samples)
                if len(found) != len(samples):
                    self.wrong.append(f"{key}: a sample is there twice")
                lost, more = sorted(values.keys() - found.keys()), sorted(found.keys() - values.keys())
                if lost or more:
                    self.wrong.append(f"{key}: {len(lost)} samples lost {lost[:3]}, {len(more)} too many {more[:3]}")
                off = [at for at, value in values.items() if at in found and abs(found[at] - value) > 1e-6]
                if off:
                    self.wrong.append(f"{key}: {len(off)} samples differ, first at {off[0]}")

    def check_incidents(self) -> None:
        db = invariants.connection(os.path.join(self.data, "vigie.db"))
        opened = db.execute(
            "SELECT t.id, i.kind, (SELECT count(*) FROM told o JOIN delivery d ON d.notification = o.notification"
            " WHERE o.transition = t.id AND d.state = 'accepted') FROM transition t JOIN incident i ON i.id = t.incident"
            " WHERE t.kind IN ('opened', 'resolved') AND i.cause IS NULL"
        ).fetchall()
        full = db.execute(
            "SELECT count(*) FROM incident WHERE kind='threshold' AND metric='disk_used_ratio' AND opened_at IS NOT NULL"
        ).fetchone()[0]
        db.close()
        self.told = len(opened)
        self.wrong += [
            f"transition {ident} ({kind}) was told {count} times" for ident, kind, count in opened if count != 1
        ]
        windows = self.count // EVERY
        if full != windows:
            self.wrong.append(f"{full} incidents of the disk, {windows} times it was full")
        ids = Counter(str(message_from_bytes(one)["Message-ID"]) for one in self.post.mails())
        self.wrong += [f"mail {ident} arrived {count} times" for ident, count in ids.items() if count > 1]
        self.mails = len(ids)

    def check_flat(self) -> None:
        """From the second seventh on: the first one reads modules and fills caches."""
        if len(self.flat) < 7:
            self.wrong.append(f"measured {len(self.flat)} times of 7")
            return
        for name, place in (("memory", 0), ("the dashboard's memory", 2)):
            first, last = self.flat[1][place], self.flat[-1][place]
            if last > first * 1.10 + (8 << 20):
                self.wrong.append(f"{name} grew from {first >> 10} to {last >> 10} KiB")
        for name, place in (("descriptors", 1), ("the dashboard's descriptors", 3)):
            if self.flat[-1][place] > self.flat[1][place] + 2:
                self.wrong.append(f"{name} grew from {self.flat[1][place]} to {self.flat[-1][place]}")

    def report(self) -> str:
        sizes = ", ".join(f"{one[0] >> 20}/{one[1]} {one[2] >> 20}/{one[3]}" for one in self.flat)
        lines = [
            f"{self.count} cycles, {self.faults['a real process']} of them real processes; {len(self.printed)} texts whole;"
            f" {self.samples} samples of four lines compared, {self.told} beginnings and ends told once, {self.mails} mails",
            "faults: " + ", ".join(f"{count} {name}" for name, count in sorted(self.faults.items())),
            f"MB/descriptors of this process and of the dashboard, by sevenths: {sizes}",
            *(f"WRONG {one}" for one in self.wrong[:30]),
            f"{len(self.wrong)} wrong",
        ]
        return "\n".join(lines)


def _size(pid: int) -> tuple[int, int]:
    """(resident bytes, open descriptors)."""
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE"), len(os.listdir(f"/proc/{pid}/fd"))


def main() -> int:
    parser = argparse.ArgumentParser(description="seven simulated days")
    parser.add_argument("--cycles", type=int, default=10_080)
    parser.add_argument("--real", type=int, default=504)
    parser.add_argument("--seed", type=int, default=7)
    asked = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="vigie-soak-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
    soak = Soak(folder, asked.cycles, asked.real, asked.seed)
    try:
        soak.run()
        print(soak.report())
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if soak.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
