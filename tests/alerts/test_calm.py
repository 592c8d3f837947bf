"""While all is well texts wait: no alert comes later for it, nobody reads less, and in doubt nothing waits."""

import math
import os
import random
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts import calm, judge
from archive import database, outbox, read, thresholds, waiting
from archive.thresholds import Threshold
from tests.alerts.judging import ROOT, START, Machine, write_spool

BEGIN = START - START % 900
BEYOND = {"cpu": 0.99, "disk": 0.95, "user": 0.97}


class Shell:
    """What a cycle does: the text into the spool, the calm asked, and archiving only where it does not say "wait"."""

    def __init__(self, folder: Path, *, waits: bool) -> None:
        folder.mkdir()
        self.machine, self.waits, self.woken = Machine(folder / "data", BEGIN), waits, []
        self.minutes_waited = 0
        # The weekly mail and CERT-FR's reading are planned, as by the steps that run_all.sh starts.
        with database.writer(str(self.machine.data)) as db, database.transaction(db):
            db.execute(
                "INSERT OR REPLACE INTO setting VALUES (?, ?, 0, '')", (outbox.DIGEST_AT, str(BEGIN + 6 * 86_400))
            )
            db.execute("INSERT OR REPLACE INTO setting VALUES ('upkeep_at', ?, 0, '')", (str(BEGIN + 3000),))
            db.execute(
                "INSERT INTO reading VALUES ('round', '', '', '', '', 0, NULL, NULL, NULL, '', ?, 0, NULL, NULL, 0, 0)",
                (BEGIN + 3000,),
            )

    def steps(self, at: int) -> None:
        """What is due is done at once: the mail has left, the hourly steps have run."""
        due = self.machine.due()
        if due:
            with database.writer(str(self.machine.data)) as db, database.transaction(db):
                db.execute("UPDATE delivery SET state='accepted', done_at=? WHERE state='queued'", (at,))
                if {"upkeep", "certfr"} & set(due):
                    db.execute("UPDATE setting SET value=? WHERE name='upkeep_at'", (str(at),))
                    db.execute("UPDATE reading SET next_at=?", (at + 3600,))

    def why(self, at: int) -> str:
        """Empty when the newest text may wait."""
        run = self.machine.data / "run"
        run.mkdir(exist_ok=True)
        done = subprocess.run(
            ["python3", "-I", "-S", ROOT / "alerts/still.py", run, self.machine.data / f"spool/{at}.prom"],
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "CALM_WHY": "1"}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (done.returncode == 0) == (done.stderr.strip() == ""), done.stderr
        return done.stderr.strip()

    def cycle(self, at: int, probes: dict[str, str | None]) -> str:
        self.machine.spool(at, probes)
        why = self.why(at) if self.waits else "always"
        if why:
            self.machine.run(at)
            self.steps(at)
        else:
            self.minutes_waited += 1
        return why

    def told(self) -> list[object]:
        """Every transition with its time, and every mail with the time it was owed at and what it tells."""
        with database.reader(str(self.machine.data)) as db:
            return [
                db.execute("SELECT at, kind, level, value, detail, incident FROM transition ORDER BY id").fetchall(),
                db.execute("SELECT id, at, kind FROM notification ORDER BY id").fetchall(),
                db.execute("SELECT notification, transition FROM told ORDER BY 1, 2").fetchall(),
                db.execute("SELECT kind, metric, labels, state, since_at, opened_at, ended_at, peak FROM incident ORDER BY id").fetchall(),
            ]  # fmt: skip

    def stored(self) -> list[object]:
        with database.reader(str(self.machine.data)) as db:
            return [
                db.execute(
                    "SELECT m.name, r.labels, s.at, s.value FROM sample s JOIN series r ON r.id=s.series JOIN metric m"
                    " ON m.id=r.metric WHERE m.name <> 'cycle_lag_seconds' ORDER BY 1, 2, 3"
                ).fetchall(),
                db.execute("SELECT at, boot, uptime, probes, failed, samples FROM cycle").fetchall(),
            ]


class Story:
    """A machine on which now and then something happens; the same seed, the same story."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.busy = self.kills = 0.0
        self.users = {"ada": 0.0, "bob": 0.0}
        self.trouble: dict[str, int] = {}

    def minute(self, number: int) -> dict[str, str | None]:
        rng = self.rng
        if rng.random() < 0.03:
            self.trouble[rng.choice(["cpu", "disk", "user", "kill", "fail", "missing", "hover", "new user"])] = (
                rng.randint(1, 9)
            )
        now = {what for what, left in self.trouble.items() if left > 0}
        self.trouble = {what: left - 1 for what, left in self.trouble.items() if left > 1}
        self.busy += 60 * (0.99 if "cpu" in now else rng.uniform(0.1, 0.9))
        self.kills += "kill" in now
        if "new user" in now:
            self.users.setdefault(f"u{number // 40}", 0.0)
        for user in self.users:
            self.users[user] += 60 * (0.97 if "user" in now and user == "ada" else rng.uniform(0, 0.5))
        disk = (
            0.95
            if "disk" in now
            else rng.choice([0.90004, 0.89996, 0.90006])
            if "hover" in now
            else rng.uniform(0.4, 0.85)
        )
        probes: dict[str, str | None] = {
            "cpu": "# TYPE cpu_busy_seconds_total counter\n# WARN cpu_busy_seconds_total > 0.95\n# FOR cpu_busy_seconds_total 2\n"
            f"cpu_busy_seconds_total {self.busy:.2f}\n",
            "disk": "# WARN disk_used_ratio > 0.9\n# CRIT disk_used_ratio > 0.97\n# CLEAR disk_used_ratio 0.85\n"
            f'disk_used_ratio{{mount="/"}} {disk:.6f}\ndisk_used_ratio{{mount="/srv"}} {0.93 if number > 3 else 0.5}\n',
            "memory": "# TYPE oom_kills_total counter\n# WARN oom_kills_total > 0\n# WARN memory_available_ratio < 0.1\n"
            f"oom_kills_total {self.kills:.0f}\nmemory_available_ratio {rng.uniform(0.3, 0.6):.6f}\n",
            "users": "# TYPE user_cpu_seconds_total counter\n# WARN user_cpu_seconds_total > 0.9\n# FOR user_cpu_seconds_total 3\n"
            + "".join(f'user_cpu_seconds_total{{user="{user}"}} {used:.2f}\n' for user, used in self.users.items()),
        }  # fmt: skip
        if "fail" in now:
            probes["memory"] = None
        if "missing" in now:
            del probes["users"]
        if number % 5 == 0:
            probes["units"] = f"# EVERY 5\n# WARN units_failed > 0\nunits_failed {int('fail' in now)}\n"
        return probes


@pytest.mark.parametrize("seed", range(3))
def test_a_story_is_told_the_same_whether_texts_wait_or_not(tmp_path, seed):
    """Minute by minute: every transition and every mail at the same time. A minute later would be another time."""
    least = 10 if seed == 2 else 40  # a story by chance may be a troubled one
    seed = random.randrange(1 << 30) if seed == 2 else seed
    told: list[list[object]] = []
    shells = [Shell(tmp_path / name, waits=waits) for name, waits in (("waits", True), ("never", False))]
    for shell in shells:
        story = Story(seed)
        seen: list[object] = []
        for number in range(240):
            at = BEGIN + 60 * number
            if number == 2:  # /srv is meant to be full
                with database.writer(str(shell.machine.data)) as db:
                    thresholds.save(
                        db, Threshold("disk_used_ratio", '{"mount":"/srv"}', True, 0.99, None, None, 0), "test", at
                    )
            shell.cycle(at, story.minute(number))
            if number % 60 == 59:
                shell.machine.run(at)
            seen.append(_count(shell))
        told.append([seen, shell.told(), shell.stored()])
    assert shells[0].minutes_waited > least, "nothing ever waited: the test would prove nothing"
    assert told[0][0] == told[1][0], f"seed {seed}: something was told at another minute"
    assert told[0][1] == told[1][1], f"seed {seed}"
    assert told[0][2] == told[1][2], f"seed {seed}: other values are stored"


def _count(shell: Shell) -> tuple[int, int]:
    """How many transitions and mails there are at this very minute, without a reader that would archive first."""
    db = sqlite3.connect(f"file:{shell.machine.data}/vigie.db?mode=ro", uri=True)
    try:
        return (
            db.execute("SELECT count(*) FROM transition").fetchone()[0],
            db.execute("SELECT count(*) FROM notification").fetchone()[0],
        )
    finally:
        db.close()


QUIET = {
    "cpu": "# TYPE cpu_busy_seconds_total counter\n# WARN cpu_busy_seconds_total > 0.95\ncpu_busy_seconds_total {busy}\n",
    "disk": '# WARN disk_used_ratio > 0.9\ndisk_used_ratio{{mount="/"}} 0.5\n',
}


def quiet(number: int) -> dict[str, str | None]:
    return {name: text.format(busy=number * 6) for name, text in QUIET.items()}


@pytest.fixture
def shell(tmp_path):
    """Two minutes after a start, calm: the third would wait."""
    made = Shell(tmp_path / "here", waits=True)
    for number in range(2):
        made.cycle(BEGIN + 60 * number, quiet(number))
    made.machine.run(BEGIN + 60)
    made.minutes_waited = 0
    assert (made.machine.data / "run/calm").exists()
    return made


def test_what_is_as_it_was_waits_until_a_quarter_of_an_hour_is_over(shell):
    whys = [shell.cycle(BEGIN + 60 * number, quiet(number)) for number in range(2, 31)]
    assert whys == [*[""] * 13, "a quarter of an hour", *[""] * 14, "a quarter of an hour"]
    assert list((shell.machine.data / "spool").iterdir()) == []


def change(**texts: str | None) -> Callable[[dict[str, str | None]], None]:
    return lambda probes: probes.update(texts)


@pytest.mark.parametrize(
    ("what", "why"),
    [
        (change(cpu=QUIET["cpu"].format(busy=6 + 58)), "cpu_busy_seconds_total"),
        (change(cpu=QUIET["cpu"].format(busy=6 + 57.02)), "cpu_busy_seconds_total"),
        (change(disk=QUIET["disk"].format().replace("0.5", "0.9001")), 'disk_used_ratio{mount="/"}'),
        (change(disk=QUIET["disk"].format().replace("0.5", "5e-1")), "disk prints a line of another form"),
        (change(disk=QUIET["disk"].format().replace("0.5", "NaN")), "disk prints a line of another form"),
        (change(disk=QUIET["disk"].format().replace('"/"', "/")), "disk prints a line of another form"),
        (change(disk=QUIET["disk"].format() + 'disk_used_ratio{mount="/"} 0.5\n'), 'disk_used_ratio{mount="/"} stands twice'),
        (change(disk=QUIET["disk"].format() + 'disk_used_ratio{mount="/é"} 0.5\n'), 'disk_used_ratio{mount="/é"} is new'),
        (change(disk=QUIET["disk"].format().replace("0.9", "0.4")), "disk says other levels"),
        (change(disk=QUIET["disk"].format().replace("# WARN", "# OFF disk_used_ratio\n# WARN")), "disk says other levels"),
        (change(disk=None), "disk failed"),
        (change(new="a 1\n"), "new is new"),
        (change(cpu='# TYPE cpu_busy_seconds_total counter\n# WARN cpu_busy_seconds_total > 0.95\n'
                    'cpu_busy_seconds_total{core="9"} 1\n'), 'cpu_busy_seconds_total{core="9"} is new'),
    ],
)  # fmt: skip
def test_what_is_not_as_it_was_does_not_wait(shell, what, why):
    probes = quiet(2)
    what(probes)
    assert shell.cycle(BEGIN + 120, probes) == why


def test_a_name_with_an_accent_is_new_once_also_where_its_probe_is_not_due_at_every_cycle(shell):
    often = {"accounts": '# EVERY 4\naccount_info{user="André"} 1\n'}
    whys = [shell.cycle(BEGIN + 60 * n, {**quiet(n), **(often if n % 4 == 2 else {})}) for n in range(2, 14)]
    assert whys[0] != ""
    assert set(whys[2:]) <= {""}, whys


def test_another_boot_and_a_jump_of_the_clock_do_not_wait(shell):
    shell.machine.spool(BEGIN + 120, quiet(2))
    assert shell.why(BEGIN + 120) == ""
    shell.machine.booted_at += 30
    shell.machine.spool(BEGIN + 180, quiet(3))
    assert shell.why(BEGIN + 180) == "time is not as it was"
    shell.machine.reboot(BEGIN + 200)
    shell.machine.spool(BEGIN + 240, quiet(4))
    assert shell.why(BEGIN + 240) in ("another boot", "time is not as it was")


def test_a_cycle_that_did_not_run_is_told_as_soon_as_it_is_known(shell):
    assert shell.cycle(BEGIN + 240, quiet(4)) == "time is not as it was"


def test_a_probe_that_does_not_come_any_more_is_judged_when_its_silence_would_be(tmp_path):
    shell = Shell(tmp_path / "here", waits=True)
    for number in range(2):
        shell.cycle(BEGIN + 60 * number, quiet(number))
    shell.machine.run(BEGIN + 60)
    whys = []
    for number in range(2, 5):
        probes = quiet(number)
        del probes["disk"]
        whys.append(shell.cycle(BEGIN + 60 * number, probes))
    assert whys == ["", "", "disk is missing"]


def test_an_open_incident_and_a_step_that_is_due_leave_no_calm(shell):
    data = shell.machine.data
    with database.writer(str(data)) as db:
        db.execute("UPDATE setting SET value=? WHERE name=?", (str(BEGIN), outbox.DIGEST_AT))
    assert shell.cycle(BEGIN + 120, quiet(2)) == "not calm"
    assert not (data / "run/calm").exists()
    assert "send" in shell.machine.due()


def test_a_mail_that_becomes_due_within_the_wait_ends_it(shell):
    with database.writer(str(shell.machine.data)) as db:
        db.execute("UPDATE setting SET value=? WHERE name=?", (str(BEGIN + 200), outbox.DIGEST_AT))
    assert [shell.cycle(BEGIN + 60 * n, quiet(n)) for n in (2, 3, 4)] == ["not calm", "", "something is due"]
    assert "send" in shell.machine.due()


def test_whoever_writes_ends_the_calm(shell):
    calm_file = shell.machine.data / "run/calm"
    with database.writer(str(shell.machine.data)) as db:
        assert not calm_file.exists(), "while a form is being saved, and for the next cycle"
        thresholds.save(db, Threshold("disk_used_ratio", "{}", True, 0.4, None, None, 0), "admin", BEGIN + 90)
    assert shell.cycle(BEGIN + 120, quiet(2)) == "not calm"
    assert [one.metric for one in shell.machine.live()] == ["disk_used_ratio"]


def test_a_threshold_on_what_the_archive_adds_itself_leaves_no_calm(shell):
    with database.writer(str(shell.machine.data)) as db:
        thresholds.save(db, Threshold("probe_seconds", "{}", True, 5.0, None, None, 0), "admin", BEGIN + 90)
    shell.cycle(BEGIN + 120, quiet(2))
    assert not (shell.machine.data / "run/calm").exists()


def test_with_a_file_that_was_cut_or_is_not_there_nothing_waits(shell):
    run = shell.machine.data / "run"
    text = (run / "calm").read_text()
    shell.machine.spool(BEGIN + 120, quiet(2))
    for length in range(0, len(text) - 1, 7):
        (run / "calm").write_text(text[:length])
        raw = (run / "raw").read_bytes()
        assert shell.why(BEGIN + 120) != ""
        (run / "raw").write_bytes(raw)
    (run / "calm").write_text(text)
    (run / "raw").write_bytes(raw[:-5])
    assert shell.why(BEGIN + 120) == "no raw values"


def test_every_reader_first_sees_what_waits(shell):
    data = str(shell.machine.data)
    for number in (2, 3):
        shell.cycle(BEGIN + 60 * number, quiet(number))
    assert shell.minutes_waited == 2
    with database.reader(data) as db:
        newest = read.last_cycle(db, 1)
        assert newest is not None
        assert newest.at == BEGIN + 180
    assert os.listdir(os.path.join(data, "spool")) == []
    assert (shell.machine.data / "run/calm").exists(), "a page that is looked at does not end the calm"
    assert shell.cycle(BEGIN + 240, quiet(4)) == ""
    assert [shell.cycle(BEGIN + 60 * n, quiet(n)) for n in range(5, 16)] == [*[""] * 10, "a quarter of an hour"]
    assert (shell.machine.data / "run/judged").read_text() == f"{BEGIN + 900}\n"


def test_a_reader_waits_for_nobody_long_and_reads_what_there_is(shell, monkeypatch):
    monkeypatch.setattr(waiting, "PATIENCE", 0.05)
    data = str(shell.machine.data)
    shell.cycle(BEGIN + 120, quiet(2))
    text = (shell.machine.data / "run/calm").read_text()
    with database.locked(data):
        (shell.machine.data / "run/calm").write_text(text)
        with database.reader(data) as db:
            newest = read.last_cycle(db, 1)
    assert newest is not None
    assert newest.at == BEGIN + 60
    assert not (shell.machine.data / "run/calm").exists()


@settings(max_examples=300)
@given(
    st.floats(-1e6, 1e6, allow_nan=False), st.booleans(), st.sampled_from([1, 100, 10_000, 1_000_000]),
    st.floats(-2, 2, allow_nan=False),
)  # fmt: skip
def test_no_value_that_is_beyond_as_archived_is_within_the_bound(level, above, scale, offset):
    limit = judge.limit(Threshold("m", "{}", above, level, None, None, 0))
    edge = calm.bound(limit, scale)
    for value in (level, level + offset / scale, edge, math.nextafter(edge, math.inf), math.nextafter(edge, -math.inf)):
        stored = round(value * scale) / scale
        if stored > level if above else stored < level:
            assert value >= edge if above else value <= edge


def test_the_file_says_the_levels_by_metric_and_by_line(shell):
    with database.writer(str(shell.machine.data)) as db:
        thresholds.save(
            db, Threshold("disk_used_ratio", '{"mount":"/"}', True, 0.99, None, None, 0), "admin", BEGIN + 90
        )
    shell.cycle(BEGIN + 120, quiet(2))
    lines = (shell.machine.data / "run/calm").read_text().splitlines()
    assert [line.split("\t")[:3] for line in lines if line.startswith("line")] == [
        ["line", 'disk_used_ratio{mount="/"}', "above"]
    ]
    assert shell.cycle(BEGIN + 180, {**quiet(3), "disk": QUIET["disk"].format().replace("0.5", "0.95")}) == ""
    assert lines[-1].split("\t") == ["end", calm.VERSION]


def test_the_archive_is_the_same_when_a_cut_text_waits_with_the_others(shell, tmp_path):
    shell.cycle(BEGIN + 120, quiet(2))
    write_spool(shell.machine.data, BEGIN + 180, quiet(3), "boot-1", BEGIN + 180 - shell.machine.booted_at)
    path = shell.machine.data / f"spool/{BEGIN + 180}.prom"
    path.write_bytes(path.read_bytes()[:-30])
    assert shell.why(BEGIN + 180) == "no end mark"
    shell.machine.run(BEGIN + 180)
    with database.reader(str(shell.machine.data)) as db:
        assert read.cycles(db, 1, BEGIN, BEGIN + 600) == [BEGIN, BEGIN + 60, BEGIN + 120]
