"""The minute's step: real files, a real database, a real process."""

import json
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from alerts import cycle, judge
from archive import database, dues, load, read, reserve, upkeep
from archive import incidents as rows
from archive.certfr import schedule
from tests.alerts.judging import CPU, ROOT, START, Machine

FINE, BUSY = CPU.format(value=0.5), CPU.format(value=0.97)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "data")


def test_it_prints_nothing_when_all_is_well(machine: Machine) -> None:
    machine.spool(START, {"cpu": FINE})
    done = machine.process(START)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    with database.reader(str(machine.data)) as db:
        assert read.last_cycle(db, 1) is not None


def test_an_incident_its_transition_and_its_mail_come_in_one_step(machine: Machine) -> None:
    machine.feed([0.97] * 15, START)
    machine.spool(START + 900, {"cpu": BUSY})
    machine.process(START + 900)

    [found] = machine.incidents()
    assert (found.metric, found.state, found.level, found.since_at, found.opened_at) == (
        "cpu_busy_ratio", "open", "warning", START, START + 900,
    )  # fmt: skip
    assert machine.mails() == [("opened",)]
    assert machine.due() == ["send", "upkeep", "certfr", "evidence 1"]


def test_while_all_is_well_judging_writes_nothing(machine: Machine) -> None:
    machine.feed([0.5] * 10, START)
    assert machine.dump() == [[], [], [], []]


def test_a_backlog_gives_the_same_incidents_as_the_minutes_would_have(tmp_path: Path) -> None:
    values = [0.5] * 3 + [0.97] * 20 + [0.8] * 5 + [0.97] * 3 + [0.5] * 25
    minute, later = Machine(tmp_path / "minute"), Machine(tmp_path / "later")
    end = minute.feed(values, START)
    for number, value in enumerate(values):
        later.spool(START + number * 60, {"cpu": CPU.format(value=value)})
    later.run(end)
    assert minute.dump()[:2] == later.dump()[:2]
    assert len(minute.incidents()) == 1


def test_a_cycle_that_was_archived_but_not_judged_is_judged_by_the_next_step(tmp_path: Path) -> None:
    """Killed between the archive's commit and the judge's."""
    well, killed = Machine(tmp_path / "well"), Machine(tmp_path / "killed")
    for machine in (well, killed):
        machine.feed([0.97] * 12, START)
    for number in range(12, 18):
        at = START + number * 60
        well.cycle(at, {"cpu": BUSY})
        killed.spool(at, {"cpu": BUSY})
        if number in (15, 16):  # the very cycle that opens
            with database.writer(str(killed.data)) as db:
                load.load(str(killed.data), db, at)
        else:
            killed.run(at)
    assert well.dump()[:2] == killed.dump()[:2]
    assert killed.incidents()[0].opened_at == START + 900


def test_loaded_again_nothing_is_judged_again(machine: Machine) -> None:
    at = machine.feed([0.97] * 20 + [0.5] * 12, START)
    before = machine.dump()
    for number in range(32):
        machine.spool(START + number * 60, {"cpu": BUSY})
    machine.run(at)
    assert machine.dump() == before


def test_without_the_note_of_how_far_it_judged_nothing_old_is_judged(machine: Machine) -> None:
    at = machine.feed([0.97] * 20 + [0.5] * 12, START)
    before = machine.dump()
    (machine.data / "run" / "judged").unlink()
    machine.cycle(at, {"cpu": FINE})
    assert machine.dump() == before


def test_an_old_note_judges_old_cycles_again_and_changes_nothing(machine: Machine) -> None:
    at = machine.feed([0.97] * 20 + [0.5] * 12, START)
    before = machine.dump()
    (machine.data / "run" / "judged").write_text(f"{START + 5 * 60}\n")
    machine.cycle(at, {"cpu": FINE})
    assert machine.dump() == before


def test_a_text_that_arrives_late_is_archived_and_not_judged(machine: Machine) -> None:
    text = "# WARN load_average > 8\nload_average {value}\n"
    at = machine.feed([1, 1, None, 1, 1], START, text)
    machine.spool(START + 120, {"cpu": text.format(value=99)})
    machine.run(at)
    assert machine.incidents() == []
    with database.reader(str(machine.data)) as db:
        assert START + 120 in read.cycles(db, 1, START, at)


def test_the_order_of_probes_in_a_cycle_does_not_matter(tmp_path: Path) -> None:
    memory = "# WARN memory_available_ratio < 0.1\nmemory_available_ratio 0.05\n"
    swap = "# WARN swap_used_ratio > 0.9\nswap_used_ratio 0.95\n"
    one, other = Machine(tmp_path / "one"), Machine(tmp_path / "other")
    one.cycle(START, {"memory": memory, "swap": swap})
    other.cycle(START, {"swap": swap, "memory": memory})
    for machine in (one, other):
        by_metric = {found.metric: found for found in machine.incidents()}
        assert by_metric["swap_used_ratio"].cause == by_metric["memory_available_ratio"].id
        assert machine.mails_of(by_metric["swap_used_ratio"].id) == []
        assert len(machine.mails()) == 1


def test_a_consequence_that_outlives_its_cause_is_told_after_a_while(machine: Machine) -> None:
    text = "# WARN memory_available_ratio < 0.1\nmemory_available_ratio {}\n# WARN swap_used_ratio > 0.9\nswap_used_ratio 0.95\n"
    at = START
    for free in [0.05] * 5 + [0.5] * 40:
        machine.cycle(at, {"memory": text.format(free)})
        at += 60
    swap = next(one for one in machine.incidents() if one.metric == "swap_used_ratio")
    assert (swap.state, swap.cause) == ("open", None)
    # Memory eases for ten minutes, and a quarter of an hour later swap is a problem of its own.
    assert machine.mails() == [("opened",), ("resolved",), ("opened",)]


def test_a_consequence_that_ends_with_its_cause_is_never_told(machine: Machine) -> None:
    text = "# WARN memory_available_ratio < 0.1\nmemory_available_ratio {}\n# WARN swap_used_ratio > 0.9\nswap_used_ratio {}\n"
    at = START
    for free, swap in [(0.05, 0.95)] * 5 + [(0.5, 0.2)] * 40:
        machine.cycle(at, {"memory": text.format(free, swap)})
        at += 60
    assert machine.mails() == [("opened",), ("resolved",)]


def test_a_consequence_that_comes_first_waits_for_a_cause_that_is_about_to_open(machine: Machine) -> None:
    text = (
        "# WARN memory_available_ratio < 0.1\n# FOR memory_available_ratio 10\nmemory_available_ratio {}\n"
        "# WARN swap_used_ratio > 0.9\nswap_used_ratio 0.95\n"
    )
    for number in range(15):
        machine.cycle(START + number * 60, {"memory": text.format(0.05)})
    assert machine.mails() == [("opened",)]
    # Had the memory come back before it opened, swap would have been told at once.
    other = Machine(machine.data.parent / "other")
    for number in range(15):
        other.cycle(START + number * 60, {"memory": text.format(0.05 if number < 5 else 0.5)})
    [found] = other.incidents()
    assert (found.metric, other.mails()) == ("swap_used_ratio", [("opened",)])


def test_a_threshold_that_is_switched_off_ends_its_incident(machine: Machine) -> None:
    at = machine.feed([0.97] * 20, START)
    machine.cycle(at, {"cpu": BUSY.replace("cpu_busy_ratio 15", "cpu_busy_ratio 15\n# OFF cpu_busy_ratio")})
    [found] = machine.incidents()
    assert (found.state, found.end_reason) == ("resolved", "disabled")
    assert machine.mails() == [("opened",), ("resolved",)]


def test_a_level_that_hovers_is_told_once_in_four_hours(machine: Machine) -> None:
    text = "# WARN tank_used_ratio > 0.9\n# CRIT tank_used_ratio > 0.97\ntank_used_ratio {value}\n"
    machine.feed([0.98, *[0.95] * 11] * 15, START, text)
    told = machine.mails_of(machine.incidents()[0].id)
    assert machine.kinds(1).count("escalated") > 8
    assert told == ["opened"]


def test_a_clock_that_was_set_back_does_not_blind_it(machine: Machine) -> None:
    at = machine.feed([0.5] * 5, START)
    machine.feed([0.97] * 3, at + 1800)  # an hour ahead, pending since then
    early = at + 60
    machine.feed([0.97] * 20, early)  # the clock was set right again
    [found] = [one for one in machine.incidents() if one.kind == "threshold"]
    assert found.opened_at is not None
    assert early <= found.opened_at <= early + 1200
    assert machine.mails_of(found.id) == ["opened"]


def test_a_clock_that_was_set_forward_restarts_the_duration_and_blames_nobody(machine: Machine) -> None:
    at = machine.feed([0.97] * 10, START)
    machine.booted_at += 7200  # uptime goes on as it was
    machine.feed([0.97] * 10, at + 7200)
    assert machine.incidents() == []


def test_latest_json_is_the_cycle_as_one_object(machine: Machine) -> None:
    machine.cycle(START, {"cpu": FINE, "users": 'login_info{user="ada",tty="pts/0"} 1\n', "raid": None})
    found = json.loads((machine.data / "latest.json").read_text())
    assert (found["host"], found["at"], found["boot"], found["failed"]) == (1, START, "boot-1", ["raid"])
    assert found["metrics"]["cpu_busy_ratio"] == [{"labels": {}, "value": 0.5}]
    assert found["facts"]["login_info"] == [{"tty": "pts/0", "user": "ada"}]
    assert oct((machine.data / "latest.json").stat().st_mode & 0o777) == "0o600"


def test_a_planted_link_is_not_written_through(machine: Machine) -> None:
    victim = machine.data.parent / "victim"
    victim.write_text("mine")
    (machine.data / "latest.json.new").symlink_to(victim)
    machine.spool(START, {"cpu": FINE})
    done = machine.process(START)
    assert victim.read_text() == "mine"
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1


# --- what can go wrong -----------------------------------------------------------------------------------------------


def test_a_busy_lock_is_left_quietly_and_the_texts_wait(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.spool(START, {"cpu": FINE})
    holder = subprocess.Popen(
        [sys.executable, "-c", "import fcntl, sys, time; f = open(sys.argv[1], 'a'); fcntl.flock(f, fcntl.LOCK_EX);"
         "print('held', flush=True); time.sleep(60)", str(machine.data / "lock")],
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert holder.stdout is not None
    holder.stdout.readline()
    try:
        original = database.writer
        monkeypatch.setattr(database, "writer", lambda data: original(data, 0.2))
        for name, value in {**machine.environ, "VIGIE_NOW": str(START)}.items():
            monkeypatch.setenv(name, value)
        assert cycle.main() == 0
        assert (machine.data / "spool" / f"{START}.prom").exists()
        assert machine.due() == []
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda data: (data / "vigie.db").unlink(), "the database is gone"),
        (lambda data: (data / "vigie.db").write_bytes(b""), "is empty (0 bytes)"),
        (lambda data: (data / "vigie.db").write_bytes(b"x" * 8192), "damaged"),
        (lambda data: (data / "lock").chmod(0o666), "others may open it"),
    ],
)
def test_a_database_that_cannot_be_used_is_one_clear_line_and_the_texts_wait(
    machine: Machine, harm: object, said: str
) -> None:
    machine.spool(START, {"cpu": FINE})
    harm(machine.data)  # type: ignore[operator]
    for leftover in ("vigie.db-wal", "vigie.db-shm"):
        (machine.data / leftover).unlink(missing_ok=True)
    done = machine.process(START)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert said in done.stderr
    assert (machine.data / "spool" / f"{START}.prom").exists()


def test_a_bad_setting_is_one_clear_line(machine: Machine) -> None:
    done = machine.process(START, VIGIE_LANGUAGE="de")
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "VIGIE_LANGUAGE='de'" in done.stderr


def test_m22_on_a_full_disk_the_reserve_is_freed_and_the_mail_is_owed(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite itself says that it is full, while the reserve is there: PRAGMA max_page_count stands for the disk."""
    machine.feed([0.97] * 15, START)
    machine.spool(START + 900, {"cpu": BUSY})
    kept = machine.data / reserve.RESERVE
    assert kept.stat().st_size == reserve.RESERVE_BYTES
    whole = database._open

    def small(data: str, mode: str) -> sqlite3.Connection:
        db = whole(data, mode)
        if mode == "rw" and kept.exists():
            db.execute("CREATE TEMP TABLE filler (x)")
            db.execute(f"PRAGMA max_page_count={db.execute('PRAGMA page_count').fetchone()[0]}")
            db.execute("DROP TABLE filler")
            db.execute("PRAGMA cache_spill=OFF")
        return db

    monkeypatch.setattr(database, "_open", small)
    # Enough new rows that a page is needed.
    text = BUSY + "".join(f'busy_ratio{{line="{n}"}} 0.1\n' for n in range(300))
    machine.spool(START + 900, {"cpu": text})
    for name, value in {**machine.environ, "VIGIE_NOW": str(START + 900)}.items():
        monkeypatch.setenv(name, value)

    assert cycle.main() == 0

    assert not kept.exists()
    assert machine.mails() == [("opened",)]


def test_killed_at_any_moment_the_next_step_repairs_all(tmp_path: Path) -> None:
    """Kill -9 after growing delays, then run unharmed: what was opened and owed is what an unharmed run gives."""
    well = Machine(tmp_path / "well")
    well.feed([0.97] * 17, START)
    killed = Machine(tmp_path / "killed")
    killed.feed([0.97] * 14, START)
    for number in range(14, 17):
        at = START + number * 60
        killed.spool(at, {"cpu": BUSY})
        for delay in (0.03, 0.05, 0.07, 0.09, 0.11, 0.14):
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(ROOT / "alerts" / "cycle.py")],
                env={"PATH": "/usr/bin:/bin", **killed.environ, "VIGIE_NOW": str(at)},
            )
            time.sleep(delay)
            process.send_signal(signal.SIGKILL)
            process.wait()
        assert killed.process(at).returncode == 0
    assert killed.mails() == well.mails() == [("opened",)]
    assert killed.dump()[:2] == well.dump()[:2]


# --- what is due -----------------------------------------------------------------------------------------------------


def test_upkeep_is_due_when_upkeep_itself_says_so(machine: Machine) -> None:
    with database.writer(str(machine.data)) as db:
        for last in (0, START - 100, START - 3600, START + 4000, START + 100):
            db.execute("INSERT OR REPLACE INTO setting VALUES ('upkeep_at', ?, 0, 'upkeep')", (str(last),))
            for now in range(START - 200, START + 8000, 37):
                assert dues.upkeep(db, now) == upkeep.due(str(machine.data), db, now)


def test_certfr_is_due_until_a_round_was_read(machine: Machine) -> None:
    machine.cycle(START, {"cpu": FINE})
    assert "certfr" in machine.due()
    with database.writer(str(machine.data)) as db, database.transaction(db):
        schedule.claim(db, START + 60)
    machine.cycle(START + 60, {"cpu": FINE})
    assert "certfr" not in machine.due()


def test_evidence_is_due_at_pending_and_at_opening(machine: Machine) -> None:
    at = machine.feed([0.97], START)
    assert machine.due()[-1] == "evidence 1"
    at = machine.feed([0.97], at)
    assert not machine.due()[-1].startswith("evidence")
    at = machine.feed([0.97] * 14, at)
    assert machine.due()[-1] == "evidence 1"


# --- what it costs ---------------------------------------------------------------------------------------------------


def test_only_little_of_the_standard_library_is_imported(machine: Machine) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); from alerts import cycle; cycle.main();"
        " print(*sorted(sys.modules))"
    )
    for number in range(3):
        machine.spool(START + number * 60, {"cpu": FINE})
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code],
        env={"VIGIE_DATA": str(machine.data), "VIGIE_NOW": str(START + 120)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    imported = set(done.stdout.split())
    heavy = {
        "dataclasses", "pathlib", "logging", "argparse", "subprocess", "hashlib", "shutil", "zoneinfo", "inspect",
        "alerts.owed", "alerts.forecast", "alerts.windows", "archive.upkeep", "archive.backup", "email", "urllib",
    }  # fmt: skip
    assert imported & heavy == set()
    assert {name for name in imported if name.startswith("alerts.")} <= {
        "alerts.calm", "alerts.causes", "alerts.cycle", "alerts.judge", "alerts.minute", "alerts.reminders", "alerts.rules",
        "alerts.silent", "alerts.still", "alerts.telling",
    }  # fmt: skip


def test_while_all_is_well_no_sample_is_read(machine: Machine) -> None:
    machine.feed([0.5] * 20, START)
    machine.spool(START + 1200, {"cpu": FINE})
    seen: list[str] = []
    with database.writer(str(machine.data)) as db:
        [loaded] = load.load(str(machine.data), db, START + 1200)
        db.set_trace_callback(seen.append)
        from alerts.minute import Minutes
        from alerts.telling import Context

        Minutes(Context(db, 1, (), "", "UTC", START + 1200), {"cpu": START + 1140}).judge(loaded)
    assert seen
    assert not [query for query in seen if "sample" in query or "packed" in query]
    assert not [query for query in seen if not query.startswith("SELECT")]


def test_the_measured_rhythm_is_the_one_that_pages_show(machine: Machine) -> None:
    at = START
    for number in range(20):
        machine.cycle(at, {"cpu": FINE})
        at += 300 if number % 4 else 320
        with database.reader(str(machine.data)) as db:
            last = read.last_cycle(db, 1)
            assert last is not None
            assert judge.rhythm(rows.cycle_times(db, 1, last.at)) == read.rhythm(db, 1)


def test_hundreds_of_lines_that_flap_at_once_are_two_mails(machine: Machine) -> None:
    at = START
    for value in [0.5, *[0.95, 0.5] * 3, *[0.5] * 65]:
        lines = "".join(f'disk_used_ratio{{mount="/m{number}"}} {value}\n' for number in range(300))
        machine.cycle(at, {"disk": f"# WARN disk_used_ratio > 0.9\n{lines}"})
        at += 60
    assert [set(kinds) for kinds in machine.mails()] == [{"opened"}, {"resolved"}]
    assert len(machine.incidents()) == 300


def test_an_incident_of_another_kind_is_left_alone(machine: Machine) -> None:
    at = machine.feed([0.97] * 16, START)
    with database.writer(str(machine.data)) as db, database.transaction(db):
        one = machine.live()[0]
        rows.update(db, one._replace(kind="advisory", metric="CERTFR-2026-ALE-001"))
    machine.feed([0.5] * 3, at + 86_400)
    assert [one.state for one in machine.live() if one.kind == "advisory"] == ["open"]
    assert "reminded" not in machine.mails_of(1)
