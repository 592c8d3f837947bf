"""What names people: changed everywhere when names are hidden, removed everywhere when it is old or a person is forgotten."""

import json
import os
import sqlite3
import stat
import subprocess
import sys

import pytest

from archive import (
    backup,
    database,
    events,
    evidence,
    incidents,
    people,
    people_old,
    person,
    privacy,
    pseudonyms,
    purge,
    read,
    settings,
    slices,
    upkeep,
)
from archive.settings import ROOT
from tests import cycles
from tests.archive.test_pseudonyms import everything, settled
from tests.conftest import NOW
from tests.engines import ON_POSTGRESQL

DAY = 86_400
WHO = "marguerite"
SAID = (
    f'login_info{{user="{WHO}",tty="pts/0",from="192.0.2.7",since="5"}} 1\n'
    f'account_info{{user="{WHO}",uid="1000",home="/home/{WHO}",shell="/bin/sh"}} 1\n'
    f'user_memory_bytes{{user="{WHO}"}} 1000000\nuser_memory_bytes{{user="{WHO}-2"}} 2000000\n'
)
BODY = {
    "at": NOW,
    "cpu": [{"pid": 1, "user": WHO, "unit": "", "command": "cc1", "arguments": WHO, "cores": 1.0, "memory": 1, "read": None, "written": None}],
    "users": [{"user": WHO, "processes": 1, "cores": 1.0, "memory": 1, "read": None, "written": None}],
    "logins": [{"user": WHO, "tty": "pts/0", "origin": "192.0.2.7", "since": 5}, {"user": "bob", "tty": "x", "origin": "y", "since": 5}],
    "grown": [{"path": f"/home/{WHO}/big", "bytes": 5, "at": 5}],
    "events": [{"at": 5, "kind": "login", "subject": WHO, "detail": "pts/0 192.0.2.7"}],
}  # fmt: skip


def lived(data: str, days: int = 3) -> None:
    """A machine that has known her for some days: lines, packed days, incident, evidence, events, a mail, a threshold."""
    from archive import pack, thresholds

    for number in range(days):
        at = NOW - (days - 1 - number) * DAY
        cycles.archive(data, at, {"users": SAID, "load": f"load1 {number}\n"})
    with database.writer(data) as db, database.transaction(db):
        if days > 1:
            pack.pack_day(db, 1, (NOW - (days - 1) * DAY) // DAY * DAY)
        events.add(db, 1, NOW - 60, "login", WHO, "pts/0 192.0.2.7")
        labels = json.dumps({"user": WHO}, separators=(",", ":"))
        made = incidents.insert(
            db,
            incidents.Incident(
                0, 1, "threshold", "user_memory_bytes", labels, None, "open", "warning", NOW, None, NOW, None, None, "", NOW, 1.0,
                1.0, NOW, 0, None, "{}", None, None, "", "",
            ),
        )  # fmt: skip
        incidents.add_transition(db, made.id, NOW, "opened", "warning", 1.0)
        evidence.add(db, made.id, NOW, "opened", json.dumps(BODY))
        db.execute(
            "INSERT INTO notification (host, at, kind, thread, message_id, subject, body)"
            " VALUES (1, ?, 'digest', 't', 'm', ?, ?)",
            (NOW, f"Memory of {WHO}: 97 %", json.dumps({"text": f"{WHO} and {WHO}-2 use much", "url": "http://x"})),
        )
        thresholds.save(db, thresholds.Threshold("user_memory_bytes", labels, True, 1e9, 2e9, None, 60), "admin", NOW)


def config_of(data: str) -> str:
    return os.path.join(data, "backups")


# --- hiding what was there before --------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["pseudonyms", "off"])
def test_what_was_kept_by_name_is_changed_too(data: str, mode: str) -> None:
    lived(data)
    if not ON_POSTGRESQL:
        backup.make(data, config_of(data), NOW)
    settled(data, mode)
    assert WHO not in repr(cycles.dump(data)).replace(f"{WHO}-2", "")
    assert "192.0.2.7" not in repr(cycles.dump(data))
    assert privacy.upkeep(data, config_of(data), NOW) == []
    for copy in backup.names(config_of(data)):
        backup.verify(copy)
    found = everything(os.path.join(data, "journal")) + everything(config_of(data))
    assert WHO.encode() not in found
    assert b"192.0.2.7" not in found
    again = backup.names(config_of(data))
    privacy.upkeep(data, config_of(data), NOW)
    assert backup.names(config_of(data)) == again, "a second run has nothing to do"


def test_under_a_pseudonym_every_sample_stays(data: str) -> None:
    lived(data)
    with database.reader(data) as db:
        before = {
            line.label("user"): read.samples(db, 1, line, 0, NOW) for line in read.series(db, 1, "user_memory_bytes")
        }
    settled(data, "pseudonyms")
    secret = pseudonyms.key(data)
    with database.reader(data) as db:
        after = {
            line.label("user"): read.samples(db, 1, line, 0, NOW) for line in read.series(db, 1, "user_memory_bytes")
        }
    assert after == {pseudonyms.pseudonym(name, secret): samples for name, samples in before.items()}
    assert len(before[WHO]) == 3


def test_a_counter_goes_on_under_its_new_name(data: str) -> None:
    for number in range(3):
        if number == 2:
            settled(data, "pseudonyms")
        cycles.archive(
            data,
            NOW + number * 60,
            {"p": f'# TYPE user_cpu_seconds_total counter\nuser_cpu_seconds_total{{user="{WHO}"}} {number * 6}\n'},
        )
    with database.reader(data) as db:
        (line,) = read.series(db, 1, "user_cpu_seconds_total")
        assert [round(one.value, 3) for one in read.samples(db, 1, line, 0, NOW + 999)] == [0.1, 0.1]


def test_back_and_forth_the_samples_of_both_names_are_one_line(data: str) -> None:
    modes = ("names", "pseudonyms", "names", "pseudonyms")
    for number, mode in enumerate(modes):
        settled(data, mode)
        cycles.archive(data, NOW + number * 60, {"p": f'user_memory_bytes{{user="{WHO}"}} {number}\n'})
    with database.reader(data) as db:
        (line,) = read.series(db, 1, "user_memory_bytes")
        assert [one.value for one in read.samples(db, 1, line, 0, NOW + 999)] == [0, 1, 2, 3]


def test_in_evidence_a_process_stays_without_its_owner_and_a_log_in_goes() -> None:
    told = json.loads(people.body(json.dumps(BODY), {WHO: None}))
    assert told["cpu"][0]["user"] == ""
    assert told["cpu"][0]["command"] == "cc1"
    assert told["cpu"][0]["arguments"] == ""
    assert [one["user"] for one in told["logins"]] == ["bob"]
    assert told["users"] == told["events"] == []
    assert told["grown"][0]["path"] == f"/home/{people.NOBODY}/big"
    assert people.body("not json", {WHO: None}) == "not json"


# --- what is old -------------------------------------------------------------------------------------------------------


def aged(data: str, days: int) -> None:
    """Her lines on `days` days, all but the last two packed, and a machine whose clock can be trusted."""
    from archive import pack

    start = NOW // DAY * DAY - (days - 1) * DAY
    for number in range(days):
        cycles.archive(data, start + number * DAY + 600, {"users": SAID, "load": f"load1 {number}\n"})
        with database.writer(data) as db, database.transaction(db):
            events.add(db, 1, start + number * DAY + 600, "login", WHO, "pts/0")
            if number < days - 2:
                pack.pack_day(db, 1, start + number * DAY)


def test_what_names_people_goes_after_its_own_time_and_nothing_else_does(data: str) -> None:
    aged(data, 20)
    with database.writer(data) as db, database.transaction(db):
        people.set_days(db, 10, "test", NOW)
        kept = NOW - 10 * DAY
        assert people_old.purge(db, kept) > 0
    with database.reader(data) as db:
        hers = read.series(db, 1, "user_memory_bytes")[0]
        (load,) = read.series(db, 1, "load1")
        assert min(one.at for one in read.samples(db, 1, hers, 0, NOW)) >= kept // DAY * DAY - DAY
        assert len(read.samples(db, 1, load, 0, NOW)) == 20
        assert people_old.oldest(db) >= kept // DAY * DAY - DAY


def test_a_clock_that_is_not_believed_removes_nothing_and_a_run_removes_two_days_at_most(
    data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    aged(data, 20)
    with database.writer(data) as db, database.transaction(db):
        people.set_days(db, 7, "test", NOW)
    with database.reader(data) as db:
        oldest = people_old.oldest(db)
        assert oldest is not None
    privacy.upkeep(data, config_of(data), NOW + 400 * DAY)  # the clock jumped a year ahead
    with database.reader(data) as db:
        assert people_old.oldest(db) == oldest
    monkeypatch.setattr(purge, "distrust", lambda *_: "")
    privacy.upkeep(data, config_of(data), NOW + 400 * DAY)
    with database.reader(data) as db:
        left = people_old.oldest(db)
        assert left is not None
        assert left - oldest <= 3 * DAY


def her_rows(db: sqlite3.Connection) -> dict[str, list[int]]:
    """When each row of hers begins, by table that has any: looked at in the tables themselves."""
    lines = [row[0] for row in db.execute("SELECT id FROM series WHERE labels LIKE ?", (f'%"{WHO}"%',))]
    found: dict[str, list[int]] = {}
    for table, column in (
        ("sample", "at"), ("packed", "day"), ("packed_long", "at"), ("rollup", "at"), ("rolled", "at"),
    ):  # fmt: skip
        for line in lines:
            found.setdefault(table, []).extend(
                row[0] for row in db.execute(f"SELECT {column} FROM {table} WHERE series=?", (line,))
            )
    return {table: sorted(times) for table, times in found.items() if times}


def test_the_retention_of_names_reaches_packed_days_stretches_rollups_journal_and_backups(
    data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seventy days, as upkeep leaves them: samples of two days, days packed, stretches of sixteen days, rollups packed."""
    monkeypatch.setattr(slices, "PAUSE", 0.0)
    config = settings.load({"VIGIE_DATA": data, "VIGIE_ROOT": f"{data}.none"})
    start = NOW // DAY * DAY - 70 * DAY
    for number in range(70 * 4 + 1):
        at = start + number * DAY // 4 + 300
        text = f'user_memory_bytes{{user="{WHO}"}} {number}\nuser_memory_bytes{{user="bob"}} {number}\n'
        cycles.write(data, at, {"users": text, "load": f"load1 {number}\n"})
    now = at + 60
    cycles.load_all(data, now)
    assert upkeep.run(config, now) == []
    with database.reader(data) as db:
        before = her_rows(db)
        others = {line.labels: len(read.samples(db, 1, line, 0, now)) for line in read.series(db, 1, "load1")}
    assert set(before) == {"sample", "packed", "packed_long", "rolled", "rollup"}, (
        "every form that a row of hers can have"
    )
    assert min(min(times) for times in before.values()) < start + DAY
    made = backup.names(config_of(data))
    assert len(made) == (0 if ON_POSTGRESQL else 1)

    with database.writer(data) as db, database.transaction(db):
        people.set_days(db, 7, "test", now)
    for _day in range(40):  # two days' worth a run
        with database.writer(data) as db:
            db.execute("DELETE FROM setting WHERE name='upkeep_day'")
        assert upkeep.run(config, now) == []

    kept = now - 7 * DAY
    with database.reader(data) as db:
        after = her_rows(db)
        for table, times in after.items():
            # What is packed whole goes when its last day may: of a stretch that is sixteen days.
            longest = {"packed": DAY, "packed_long": 16 * DAY, "rolled": 16 * DAY}.get(table, 0)
            assert min(times) + longest >= kept // DAY * DAY, (table, min(times))
        assert after["sample"]
        assert {line.labels: len(read.samples(db, 1, line, 0, now)) for line in read.series(db, 1, "load1")} == others
        assert people_old.oldest(db) is not None
    days = {name[:10] for name in os.listdir(os.path.join(data, "journal")) if name.endswith(".xz")}
    assert len(days) == 7, "the journal's texts name people too"
    assert not set(made) & set(backup.names(config_of(data))), "the backup that held all of it was written anew"
    for path in backup.names(config_of(data)):
        backup.verify(path)
        copy = sqlite3.connect(path)
        oldest = min(min(times) for times in her_rows(copy).values())
        copy.close()
        assert oldest >= kept - 16 * DAY - DAY - privacy.LATE


@pytest.mark.sqlite("a backup is a copy of the file")
def test_backups_follow_within_a_month(data: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purge, "distrust", lambda *_: "")
    aged(data, 60)
    with database.writer(data) as db, database.transaction(db):
        people.set_days(db, 10, "test", NOW)
    made = backup.make(data, config_of(data), NOW)
    assert privacy.upkeep(data, config_of(data), NOW) == []
    (copy,) = backup.names(config_of(data))
    assert copy != made.path
    backup.verify(copy)
    db = sqlite3.connect(copy)
    assert people_old.oldest(db) >= NOW - 12 * DAY
    db.close()


@pytest.mark.parametrize("days", [6, 3651, -1])
def test_a_retention_out_of_range_is_refused(data: str, days: int) -> None:
    with database.writer(data) as db, database.transaction(db), pytest.raises(ValueError, match="from 7 to 3650"):
        people.set_days(db, days, "test", NOW)


@pytest.mark.parametrize("said", ["", "x", "-5", "0", "99999999", "٣٠"])
def test_a_retention_that_makes_no_sense_counts_as_the_default(data: str, said: str) -> None:
    with database.writer(data) as db, database.transaction(db):
        people.remember(db, people.SETTING, said, "test", NOW)
        assert people.days(db) == people.DEFAULT_DAYS


# --- backups -----------------------------------------------------------------------------------------------------------


@pytest.mark.sqlite("a backup is a copy of the file")
def test_a_backup_is_never_changed_under_its_own_name_and_a_failure_leaves_it_sound(data: str) -> None:
    lived(data)
    made = backup.make(data, config_of(data), NOW)
    with open(made.path, "rb") as file:
        before = file.read()

    def fails(_db: sqlite3.Connection) -> int:
        raise sqlite3.OperationalError("disk full")

    with pytest.raises(sqlite3.OperationalError):
        privacy.rewritten(made.path, fails)
    with open(made.path, "rb") as file:
        assert file.read() == before
    assert sorted(os.listdir(config_of(data))) == [os.path.basename(made.path), f"{os.path.basename(made.path)}.sha256"]
    assert privacy.rewritten(made.path, lambda _db: 0) == made.path
    new = privacy.rewritten(made.path, lambda db: db.execute("DELETE FROM event").rowcount)
    backup.verify(new)
    assert stat.S_IMODE(os.stat(new).st_mode) == 0o600
    assert backup.names(config_of(data)) == [new]
    damaged = new
    with open(damaged, "r+b") as file:
        file.seek(4000)
        file.write(b"x")
    with pytest.raises(backup.BackupError):
        privacy.rewritten(damaged, lambda _db: 1)
    assert backup.names(config_of(data)) == [damaged]


# --- export and forget -------------------------------------------------------------------------------------------------


def vigie(data: str, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", os.path.join(ROOT, "web", "__main__.py"), *arguments],
        env={"PATH": "/usr/bin:/bin", "VIGIE_DATA": data, "VIGIE_LANGUAGE": "en", "VIGIE_NOW": str(NOW + 60), **environ},
        capture_output=True, text=True, check=False, timeout=120, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def test_an_export_is_json_with_all_that_is_kept_of_one_person_and_no_other(data: str, tmp_path: object) -> None:
    lived(data)
    done = vigie(data, "user", "export", WHO)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert [one["subject"] for one in told["events"]] == [WHO]
    assert {one["fact"] for one in told["facts"]} == {"login_info", "account_info"}
    assert [one["labels"] for one in told["lines"]] == [{"user": WHO}]
    assert [value for _at, value in told["lines"][0]["samples"]] == [1_000_000.0] * 3
    assert told["incidents"][0]["story"]
    assert told["thresholds"]
    assert told["evidence"][0]["cpu"][0]["command"] == "cc1"
    assert told["mails"]
    assert "bob" not in done.stdout
    out = f"{tmp_path}/out.json"
    assert vigie(data, "user", "export", WHO, "--out", out).returncode == 0
    assert stat.S_IMODE(os.stat(out).st_mode) == 0o600
    assert vigie(data, "user", "export", WHO, "--out", out).returncode == 1, "never over a file that is there"


def test_an_export_of_nobody_is_empty(data: str) -> None:
    lived(data)
    told = json.loads(vigie(data, "user", "export", "nobody-at-all").stdout)
    assert told["lines"] == told["facts"] == told["events"] == told["incidents"] == []


def test_an_export_finds_a_person_behind_the_pseudonym(data: str) -> None:
    lived(data)
    settled(data, "pseudonyms")
    told = json.loads(vigie(data, "user", "export", WHO).stdout)
    assert len(told["lines"]) == 1
    assert told["events"]


def test_forgetting_leaves_no_byte_of_the_name_and_every_row_of_others(data: str) -> None:
    lived(data)
    os.makedirs(os.path.join(data, "probes"), exist_ok=True)
    with open(os.path.join(data, "probes", "users.prom"), "w", encoding="utf-8") as file:
        file.write(SAID.replace(f'user_memory_bytes{{user="{WHO}-2"}} 2000000\n', ""))
    purge.journal(data, NOW)  # the days before are compressed
    copies = 0 if ON_POSTGRESQL else 1
    if copies:
        backup.make(data, config_of(data), NOW)
    before = cycles.dump(data, "sample", "packed", "cycle")
    dry = vigie(data, "user", "forget", WHO, "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert f"{copies} backups" in dry.stdout
    assert cycles.dump(data, "sample", "packed", "cycle") == before, "a dry run changes nothing"
    assert vigie(data, "user", "forget", WHO).returncode == 1, "without --yes and a terminal nothing goes"
    assert cycles.dump(data, "sample", "packed", "cycle") == before
    done = vigie(data, "user", "forget", WHO, "--yes")
    assert done.returncode == 0, done.stderr
    assert "is forgotten" in done.stdout
    left = everything(data).replace(f"{WHO}-2".encode(), b"")
    assert WHO.encode() not in left
    with database.reader(data) as db:
        others = [line.label("user") for line in read.series(db, 1, "user_memory_bytes")]
        assert others == [f"{WHO}-2"]
        assert len(read.samples(db, 1, read.series(db, 1, "user_memory_bytes")[0], 0, NOW)) == 3
        assert database.quick_check(db) == "ok"
    assert len(backup.names(config_of(data))) == copies
    for copy in backup.names(config_of(data)):
        backup.verify(copy)
    assert "Nothing is kept" in vigie(data, "user", "forget", WHO, "--dry-run").stdout


def test_forgetting_says_that_an_account_that_is_there_comes_back(data: str) -> None:
    lived(data)
    assert "names it again" in vigie(data, "user", "forget", WHO, "--dry-run").stdout


def test_forgetting_names_what_was_set_aside(data: str) -> None:
    lived(data)
    folder = os.path.join(data, "set-aside", "x")
    os.makedirs(folder)
    with open(os.path.join(folder, "vigie.db"), "w", encoding="ascii") as file:
        file.write(WHO)
    done = vigie(data, "user", "forget", WHO, "--yes")
    assert done.returncode == 1
    assert "set-aside/x/vigie.db: still holds the name" in done.stderr


def test_a_name_that_is_part_of_another_touches_nobody_else(data: str) -> None:
    lived(data)
    done = person.forget(data, config_of(data), "marg", dry=False)
    assert not done.rows.any
    with database.reader(data) as db:
        assert len(read.series(db, 1, "user_memory_bytes")) == 2


def test_the_privacy_command_tells_and_sets(data: str) -> None:
    lived(data)
    told = vigie(data, "privacy").stdout
    assert "kept for 365 days" in told
    assert "3 names are kept" in told
    assert "From the next cycle on" in vigie(data, "privacy", VIGIE_USERS="off").stdout
    assert vigie(data, "privacy", "--days", "3").returncode == 1
    assert vigie(data, "privacy", "--days", "30").returncode == 0
    with database.reader(data) as db:
        assert people.days(db) == 30


@pytest.mark.parametrize("command", [("privacy",), ("doctor",)])
def test_a_switch_of_the_mode_says_before_it_is_done_what_it_does_to_what_is_kept(
    data: str, command: tuple[str]
) -> None:
    lived(data)
    off = vigie(data, *command, VIGIE_USERS="off").stdout
    assert "removes for good what is kept of" in off
    assert "put VIGIE_USERS=names back before then" in off
    covered = vigie(data, *command, VIGIE_USERS="pseudonyms").stdout
    assert "pseudonyms in the place of" in covered
    assert "for good" not in vigie(data, *command).stdout
    assert "pour de bon" in vigie(data, *command, VIGIE_USERS="off", VIGIE_LANGUAGE="fr").stdout
