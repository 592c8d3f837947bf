"""Backups: whole, compared, rotated; and the way back."""

import os
import sqlite3
import subprocess
import sys
import time

import pytest

from archive import backup, database, read
from archive.backup import BackupError
from tests import cycles
from tests.conftest import NOW
from tests.cycles import ROOT, archive, dump, machine

DAY = 86_400


pytestmark = pytest.mark.sqlite("a backup is a copy of the file")


@pytest.fixture
def folder(tmp_path):
    return str(tmp_path / "backups")


def test_a_backup_holds_every_row_and_is_for_its_owner_alone(data, folder):
    cycles.fill(data, NOW - 1200, 20)
    made = backup.make(data, folder, NOW)

    assert made.path == os.path.join(folder, "vigie-20261121T003000Z.db")
    assert (made.at, made.error) == (NOW, "")
    assert backup.at(made.path) == NOW
    assert sorted(os.listdir(folder)) == ["vigie-20261121T003000Z.db", "vigie-20261121T003000Z.db.sha256"]
    assert all(os.stat(os.path.join(folder, name)).st_mode & 0o077 == 0 for name in os.listdir(folder))
    with database.reader(data) as db:
        assert backup.verify(made.path) == backup.facts(db)
    copy = sqlite3.connect(made.path)
    assert sorted(copy.execute("SELECT * FROM sample"), key=repr) == dump(data, "sample")["sample"]
    copy.close()


def test_the_checksum_is_in_the_form_of_sha256sum(data, folder):
    made = backup.make(data, folder, NOW)

    done = subprocess.run(["sha256sum", "-c", made.path + ".sha256"], cwd=folder, capture_output=True, check=False)
    assert done.returncode == 0


def test_two_backups_of_one_second_are_two(data, folder):
    first, second = backup.make(data, folder, NOW), backup.make(data, folder, NOW)

    assert first.path != second.path
    backup.verify(second.path)
    assert backup.names(folder) == [second.path]  # of one day, the newest stays


def test_d24_a_backup_under_ten_writers_is_whole_and_holds_nobody_up(data, folder, capsys, tmp_path):
    cycles.fill(data, NOW - 600, 10)
    code = f"""
import os, sys, time
sys.path.insert(0, {ROOT!r})
from archive import database
data, me, stop = sys.argv[1:]
longest = count = 0
while not os.path.exists(stop):
    began = time.time()
    with database.writer(data, 120.0) as db, database.transaction(db):
        db.execute("INSERT INTO setting VALUES (?, '', 0, '')", (f"{{me}}-{{count}}-a",))
        db.execute("INSERT INTO setting VALUES (?, '', 0, '')", (f"{{me}}-{{count}}-b",))
    longest, count = max(longest, time.time() - began), count + 1
print(count, longest)
"""
    stop, made = tmp_path / "stop", []
    writers = [
        subprocess.Popen([sys.executable, "-c", code, data, str(n), str(stop)], stdout=subprocess.PIPE, text=True)
        for n in range(10)
    ]
    try:
        began = time.monotonic()
        while len(made) < 5 or time.monotonic() - began < 2:
            made.append(backup.make(data, folder, NOW + len(made) * DAY))
    finally:
        stop.touch()
        said = [writer.communicate(timeout=150)[0].split() for writer in writers]

    assert all(writer.returncode == 0 for writer in writers)
    for one in made[-3:]:
        backup.verify(one.path)
        copy = sqlite3.connect(f"file:{one.path}?mode=ro", uri=True)
        halves = copy.execute("SELECT count(*) FROM setting WHERE name LIKE '%-a'").fetchone()[0]
        assert copy.execute("SELECT count(*) FROM setting WHERE name LIKE '%-b'").fetchone()[0] == halves
        copy.close()
    with database.reader(data) as db:
        assert db.execute("SELECT count(*) FROM setting WHERE name LIKE '%-_'").fetchone()[0] == 2 * sum(
            int(count) for count, _ in said
        )
        assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    with capsys.disabled():
        print(f"\n  {len(made)} backups beside {sum(int(c) for c, _ in said)} transactions of 10 writers; "
              f"longest wait {max(float(w) for _, w in said):.2f} s")  # fmt: skip


def test_the_writers_lock_is_free_while_a_backup_is_made(data, folder):
    with database.locked(data):
        made = backup.make(data, folder, NOW)
    backup.verify(made.path)


KILLED = """
import os, sys
from archive import backup, database
place, count = sys.argv[3], int(sys.argv[4])
module, name = {"rename": (os, "rename"), "sync": (database, "sync"), "check": (backup, "check"),
    "sum": (backup, "write_sum"), "rotate": (backup, "rotate"), "chmod": (backup, "sha256")}[place]
real = getattr(module, name)
def dying(*args, **more):
    global count
    count -= 1
    if count == 0:
        os.kill(os.getpid(), 9)
    return real(*args, **more)
setattr(module, name, dying)
backup.make(sys.argv[1], sys.argv[2], int(sys.argv[5]))
"""


def test_d25_killed_anywhere_no_half_copy_has_a_name_and_the_last_good_one_stays(data, folder):
    cycles.fill(data, NOW - 600, 10)
    good = backup.make(data, folder, NOW)
    steps = [("check", 1), ("sync", 1), ("sum", 1), ("chmod", 1), ("rename", 1), ("sync", 2), ("rotate", 1)]
    for number, (place, count) in enumerate(steps, 1):
        done = cycles.python(KILLED, data, folder, place, str(count), str(NOW + number * DAY))
        assert done.returncode == -9, (place, done.stderr)
        for path in backup.names(folder):
            backup.verify(path)
        backup.verify(good.path)

    backup.make(data, folder, NOW + 20 * DAY)

    assert not [name for name in os.listdir(folder) if name.startswith(".")]
    assert all(
        os.path.exists(os.path.join(folder, name.removesuffix(".sha256")))
        for name in os.listdir(folder)
        if "sha" in name
    )


def test_d25_killed_at_any_system_call_that_writes(data, folder):
    """The sweep: `strace` ends the backup at its n-th write or sync."""
    strace = "/usr/bin/strace"
    if not os.path.exists(strace):
        pytest.skip("strace is missing")
    archive(data, NOW, {"load": "load_average 1\n"})
    good = backup.make(data, folder, NOW)
    code = f"import sys; sys.path.insert(0, {ROOT!r}); from archive import backup; backup.make(*sys.argv[1:3], int(sys.argv[3]))"
    for call, counts in (
        ("pwrite64", (1, 2, 9, 40)),
        ("fsync,fdatasync", (1, 2, 3)),
        ("rename", (1,)),
        ("unlink", (1, 2)),
    ):
        for number in counts:
            done = subprocess.run(
                [strace, "-f", "-o", "/dev/null", "-e", f"inject={call}:signal=KILL:when={number}", sys.executable, "-c",
                 code, data, folder, str(NOW + DAY)], capture_output=True, check=False, timeout=60,
            )  # fmt: skip
            assert done.returncode in (0, -9, 137), done.stderr
            for path in backup.names(folder):
                backup.verify(path)
            assert good.path in backup.names(folder)


def test_d25_a_disk_without_room_keeps_the_older_ones(data, folder, monkeypatch):
    good = backup.make(data, folder, NOW)
    monkeypatch.setattr(backup.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1 << 20})())

    with pytest.raises(BackupError, match="1 MB are free, a backup wants"):
        backup.make(data, folder, NOW + DAY)

    assert backup.names(folder) == [good.path]


@pytest.mark.needs_root
def test_d25_a_disk_that_fills_during_the_copy_leaves_no_trace(data, tmp_path):
    folder = tmp_path / "small"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(folder)], check=False, capture_output=True
    )
    if done.returncode:
        pytest.skip("mounting a tmpfs is not allowed here")
    try:
        code = """
import sys
from archive import backup
backup._room = lambda *_: None
try:
    backup.make(sys.argv[1], sys.argv[2], int(sys.argv[3]))
except backup.BackupError as error:
    print(error)
"""
        cycles.fill(data, NOW - 1200, 20)
        done = cycles.python(code, data, str(folder), str(NOW))
        assert "the backup failed" in done.stdout, done.stderr
        assert os.listdir(folder) == []
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("damage", ["flip", "empty", "half", "gone", "other sum", "no sum", "binary sum", "empty sum"])
def test_d26_a_copy_that_changed_since_is_found_and_not_restored(data, folder, damage):
    cycles.fill(data, NOW - 600, 10)
    path = backup.make(data, folder, NOW).path
    before = dump(data)
    size = os.path.getsize(path)
    if damage == "flip":
        with open(path, "r+b") as file:
            file.seek(size - 100)
            byte = file.read(1)
            file.seek(size - 100)
            file.write(bytes([byte[0] ^ 1]))
    elif damage in ("empty", "half"):
        os.truncate(path, 0 if damage == "empty" else size // 2)
    elif damage == "gone":
        os.unlink(path)
    elif damage == "no sum":
        os.unlink(f"{path}.sha256")
    else:
        with open(f"{path}.sha256", "wb") as file:
            file.write({"other sum": b"0" * 64 + b"  x\n", "binary sum": b"\xff\xfe", "empty sum": b""}[damage])

    for step in (lambda: backup.verify(path), lambda: backup.restore(data, path, NOW)):
        with pytest.raises(BackupError) as caught:
            step()
        assert path in str(caught.value)

    assert dump(data) == before
    assert not os.path.exists(os.path.join(data, "set-aside"))


def test_d27_a_restore_over_a_running_system_loses_nothing(data, folder):
    cycles.fill(data, NOW - 600, 10)
    made = backup.make(data, folder, NOW)
    saved = dump(data)
    cycles.fill(data, NOW, 5)
    code = f"""
import sys, time
sys.path.insert(0, {ROOT!r})
from archive import database
count = 0
until = float(sys.argv[2])
while time.time() < until:
    try:
        with database.writer(sys.argv[1], 30.0) as db, database.transaction(db):
            db.execute("UPDATE probe SET seconds = seconds + 1")
        with database.reader(sys.argv[1]) as db:
            db.execute("SELECT count(*) FROM sample").fetchone()
    except database.Missing:
        pass  # the moment between two renames: said, not crashed
    count += 1
print(count)
"""
    others = [
        subprocess.Popen([sys.executable, "-c", code, data, str(time.time() + 2)], stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True) for _ in range(3)
    ]  # fmt: skip
    time.sleep(0.5)
    kept = [backup.restore(data, made.path, NOW + 60) for _ in range(5)]
    for other in others:
        _, errors = other.communicate(timeout=30)
        assert other.returncode == 0, errors

    assert len(set(kept)) == 5
    assert os.path.exists(os.path.join(kept[0], "vigie.db"))
    after = dump(data)
    assert {name: rows for name, rows in after.items() if name != "probe"} == {
        name: rows for name, rows in saved.items() if name != "probe"
    }
    with database.writer(data) as db:
        assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    first = sqlite3.connect(os.path.join(kept[0], "vigie.db"))
    assert first.execute("SELECT count(*) FROM cycle").fetchone()[0] == 15
    first.close()


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_d27_killed_between_the_renames_the_database_is_whole_or_missing(data, folder, count):
    cycles.fill(data, NOW - 600, 10)
    made = backup.make(data, folder, NOW)
    cycles.fill(data, NOW, 5)
    code = """
import os, sys
from archive import backup, database
count, real = int(sys.argv[3]), os.rename
def dying(*args):
    global count
    count -= 1
    if count == 0:
        os.kill(os.getpid(), 9)
    real(*args)
os.rename = dying
keep = database._open(sys.argv[1], "ro")   # keeps -wal and -shm there
keep.execute("SELECT count(*) FROM cycle").fetchone()
backup.restore(sys.argv[1], sys.argv[2], 5)
"""
    done = cycles.python(code, data, made.path, str(count))
    assert done.returncode in (-9, 0), done.stderr
    if os.path.exists(os.path.join(data, database.NAME)):
        with database.reader(data) as db:
            assert read.counts(db)["cycle"] in (10, 15)
    else:
        with pytest.raises(database.Missing, match=r"\./vigie restore"), database.reader(data):
            pass

    backup.restore(data, made.path, NOW)

    with database.reader(data) as db:
        assert read.counts(db)["cycle"] == 10


@pytest.mark.parametrize("kind", ["picture", "other database", "newer", "text"])
def test_d28_a_wrong_file_is_refused_in_words(data, tmp_path, kind):
    path = str(tmp_path / "wrong")
    if kind == "picture":
        with open(path, "wb") as file:
            file.write(b"\xff\xd8\xff\xe0\x00\x10JFIF" + os.urandom(20_000))
    elif kind == "text":
        with open(path, "w", encoding="ascii") as file:
            file.write("hello\n")
    else:
        db = sqlite3.connect(path)
        db.execute("CREATE TABLE cycle (at)")
        if kind == "newer":
            db.execute(f"PRAGMA application_id={database.APPLICATION_ID}")
            db.execute("PRAGMA user_version=9999")
        db.commit()
        db.close()
    why = {"picture": "cannot be opened", "text": "cannot be opened", "other database": "not a database of Vigie",
           "newer": "of a newer Vigie"}[kind]  # fmt: skip

    with pytest.raises(BackupError, match=why):
        backup.verify(path)
    backup.write_sum(f"{path}.sha256", backup.sha256(path), "wrong")
    with pytest.raises(BackupError, match=why):
        backup.restore(data, path, NOW)


def test_a_damaged_database_never_replaces_a_good_backup(data, folder):
    cycles.fill(data, NOW - 1200, 20)
    good = backup.make(data, folder, NOW)
    with database.writer(data) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    with open(os.path.join(data, "vigie.db"), "r+b") as file:
        for page in range(4, 40, 3):
            file.seek(page * 4096)
            file.write(os.urandom(2000))

    with pytest.raises((BackupError, database.DatabaseError)):
        backup.make(data, folder, NOW + DAY)

    assert backup.names(folder) == [good.path]
    backup.verify(good.path)
    assert not [name for name in os.listdir(folder) if name.startswith(".")]


def test_two_years_of_rotation_keep_7_days_4_weeks_12_months(tmp_path):
    folder = str(tmp_path)
    for day in range(730):
        name = time.strftime("vigie-%Y%m%dT%H%M%SZ.db", time.gmtime(NOW + 7200 + day * DAY))
        for suffix in ("", ".sha256"):
            with open(os.path.join(folder, name + suffix), "w", encoding="ascii"):
                pass
        backup.rotate(folder)
        if day == 30:
            assert 7 <= len(backup.names(folder)) <= 12

    kept = [backup.at(path) for path in backup.names(folder)]
    days = [(NOW + 7200 + 729 * DAY - at) // DAY for at in kept]
    assert days[-7:] == [6, 5, 4, 3, 2, 1, 0]
    assert 18 <= len(kept) <= 22
    assert 320 <= days[0] <= 366
    months = {time.strftime("%Y-%m", time.gmtime(at)) for at in kept}
    assert len(months) == 12
    assert len(os.listdir(folder)) == 2 * len(kept)


def test_a_backup_from_the_future_does_not_push_the_others_out(tmp_path):
    folder = str(tmp_path)
    for day in [*range(10), 3650]:
        with open(os.path.join(folder, time.strftime("vigie-%Y%m%dT%H%M%SZ.db", time.gmtime(NOW + day * DAY))), "w"):
            pass
    backup.rotate(folder)

    assert len([path for path in backup.names(folder) if backup.at(path) < NOW + 10 * DAY]) >= 6


def test_a_persons_own_files_are_neither_counted_nor_removed(data, folder):
    os.makedirs(folder)
    for name in ("vigie-old.db", "vigie-2025.db", "notes.txt", "vigie-20261121T003000Z.db.bak", ".vigie.swp"):
        with open(os.path.join(folder, name), "w", encoding="ascii"):
            pass
    made = backup.make(data, folder, NOW)

    assert backup.names(folder) == [made.path]
    assert len(os.listdir(folder)) == 7


def test_a_folder_that_cannot_be_used_is_named(data, tmp_path):
    (tmp_path / "file").write_text("x")

    with pytest.raises(BackupError, match="cannot be used for backups"):
        backup.make(data, str(tmp_path / "file" / "backups"), NOW)


def test_no_database_is_said_as_such(tmp_path, folder):
    os.makedirs(tmp_path / "data", mode=0o700)

    with pytest.raises((BackupError, database.DatabaseError), match=r"vigie\.db"):
        backup.make(str(tmp_path / "data"), folder, NOW)


def test_a_link_planted_at_the_copys_name_is_not_followed(data, folder, tmp_path):
    os.makedirs(folder)
    target = tmp_path / "target"
    target.write_text("precious")
    os.symlink(target, os.path.join(folder, ".vigie-20261121T003000Z.db.new"))
    made = backup.make(data, folder, NOW)

    assert target.read_text() == "precious"
    backup.verify(made.path)


def test_a_database_of_an_older_schema_can_be_backed_up(tmp_path, folder):
    data = str(tmp_path / "data")
    os.makedirs(data, mode=0o700)
    first = database.migrations()[0]
    db = sqlite3.connect(os.path.join(data, database.NAME), isolation_level=None)
    db.execute(f"PRAGMA application_id={database.APPLICATION_ID}")
    with open(first[1], encoding="utf-8") as file:
        db.executescript(file.read())
    db.execute(f"PRAGMA user_version={first[0]}")
    db.close()

    backup.verify(backup.make(data, folder, NOW).path)


def test_two_backups_at_once_wait_for_each_other(data, folder):
    with database.locked(data, 5.0, backup.LOCK):
        code = (
            f"import sys; sys.path.insert(0, {ROOT!r}); from archive import backup; backup.make(*sys.argv[1:3], {NOW})"
        )
        other = subprocess.Popen([sys.executable, "-c", code, data, folder])
        time.sleep(0.5)
        assert other.poll() is None
        assert backup.names(folder) == []
    assert other.wait(30) == 0
    assert len(backup.names(folder)) == 1


def test_restoring_an_older_backup_then_living_on(data, folder):
    archive(data, NOW, machine(NOW))
    made = backup.make(data, folder, NOW)
    archive(data, NOW + 60, machine(NOW + 60))
    backup.restore(data, made.path, NOW + 90)
    archive(data, NOW + 120, machine(NOW + 120))

    assert [row[1] for row in dump(data, "cycle")["cycle"]] == [NOW, NOW + 120]
