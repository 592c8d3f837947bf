"""The one database: who may write, and what is said when it cannot be used."""

import fcntl
import os
import sqlite3
import subprocess
import sys
import threading
import time

import pytest

from archive import catalog, changes, database, engine, lock, postgresql, reserve
from archive.database import Busy, Damaged, DatabaseError, Missing, Newer
from tests import conftest, cycles
from tests.conftest import NOW, make_data
from tests.cycles import archive, machine
from tests.engines import CHILD, ON_POSTGRESQL


def file_of(data: str, suffix: str = "") -> str:
    return os.path.join(data, database.NAME + suffix)


def settle(data: str) -> None:
    """All of the database in its one file."""
    with database.writer(data) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


# --- One writer -------------------------------------------------------------------------------------------------------


def test_d06_ten_writers_at_once_lose_nothing(data):
    code = (
        CHILD
        + """
from archive import database
data, me = sys.argv[1], sys.argv[2]
for number in range(100):
    with database.writer(data, 60.0) as db, database.transaction(db):
        count = db.execute("SELECT value FROM setting WHERE name='n'").fetchone()[0]
        db.execute("UPDATE setting SET value=? WHERE name='n'", (str(int(count) + 1),))
        db.execute("INSERT INTO setting VALUES (?, '', 0, '')", (f"{me}-{number}",))
"""
    )
    with database.writer(data) as db:
        db.execute("INSERT INTO setting VALUES ('n', '0', 0, '')")
    writers = [subprocess.Popen([sys.executable, "-c", code, data, str(n)], stderr=subprocess.PIPE) for n in range(10)]
    for writer in writers:
        _, errors = writer.communicate(timeout=120)
        assert writer.returncode == 0, errors

    with database.reader(data) as db:
        assert db.execute("SELECT value FROM setting WHERE name='n'").fetchone()[0] == "1000"
        assert db.execute("SELECT count(*) FROM setting").fetchone()[0] == 1001
        assert database.quick_check(db) == "ok"


def test_d05_a_writer_waits_for_the_lock_and_then_says_it_leaves_the_work(data):
    with database.locked(data):
        began = time.monotonic()
        with pytest.raises(Busy, match="leaves its work for the next cycle"), database.writer(data, 0.3):
            pass
        assert 0.25 < time.monotonic() - began < 2

    with database.writer(data, 0.3) as db:
        assert db.execute("SELECT 1").fetchone() == (1,)


def test_d05_a_lock_that_is_freed_in_time_is_taken(data):
    taken = threading.Event()

    def hold():
        with database.locked(data):
            taken.set()
            time.sleep(0.5)

    thread = threading.Thread(target=hold)
    thread.start()
    taken.wait(5)
    with database.writer(data, 5.0):
        pass
    thread.join()


def test_who_has_waited_longer_asks_more_often():
    """So that a newcomer overtakes nobody for long: with ten writers at once the longest wait fell from 8 s to 1 s."""
    sleeps = [lock._until_next_try(waited) for waited in (0, 0.01, 0.05, 0.2, 1, 10)]
    assert sleeps == sorted(sleeps, reverse=True)
    assert sleeps[0] >= 20 * sleeps[-1] > 0


@pytest.mark.sqlite("SQLite's own lock on the file")
def test_d05_another_program_that_locks_the_database_itself_is_busy_not_damaged(data, monkeypatch):
    monkeypatch.setattr(database.sqlite3, "connect", _impatient(sqlite3.connect))
    other = sqlite3.connect(file_of(data), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        with (
            pytest.raises(Busy, match="locked by another program"),
            database.writer(data) as db,
            database.transaction(db),
        ):
            pass
    finally:
        other.close()


def _impatient(connect):
    def call(*args, **more):
        return connect(*args, **{**more, "timeout": 0.2})

    return call


def test_p15_a_killed_holder_leaves_no_lock(data):
    code = (
        CHILD
        + "import os\nfrom archive import database\nwith database.locked(sys.argv[1]):\n    os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", code, data], check=False)

    with database.writer(data, 0.5):
        pass


def test_p12_a_child_does_not_inherit_the_lock(data):
    with database.locked(data):
        child = subprocess.Popen(["sleep", "30"], close_fds=False)
    try:
        with database.writer(data, 0.5):
            pass
    finally:
        child.kill()
        child.wait()


def test_p16_a_lock_file_removed_while_it_is_held_lets_nobody_in_unseen(data):
    """The second one finds the new file; the first one's is gone. Whoever waits on the old file must not go on with it."""
    with database.locked(data):
        pass
    old = os.open(os.path.join(data, database.LOCK), os.O_RDWR)
    fcntl.flock(old, fcntl.LOCK_EX)
    entered = []

    def wait():
        with database.locked(data, 5.0):
            entered.append(os.stat(os.path.join(data, database.LOCK)).st_ino)

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.1)
    inode = os.fstat(old).st_ino
    os.rename(os.path.join(data, database.LOCK), os.path.join(data, "elsewhere"))
    with open(os.path.join(data, database.LOCK), "w", encoding="ascii"):
        os.chmod(os.path.join(data, database.LOCK), 0o600)
    os.close(old)
    thread.join(10)

    assert entered == [os.stat(os.path.join(data, database.LOCK)).st_ino]
    assert entered != [inode]


def test_p17_a_lock_file_that_others_may_open_is_refused_with_the_cure(data):
    path = os.path.join(data, database.LOCK)
    with database.locked(data):
        pass
    for mode in (0o644, 0o660, 0o666):
        os.chmod(path, mode)
        with pytest.raises(DatabaseError, match="chmod 600"), database.writer(data):
            pass
    os.chmod(path, 0o600)
    with database.writer(data):
        pass


def test_p18_a_lock_that_is_a_link_is_refused_and_its_target_untouched(data, tmp_path):
    target = tmp_path / "target"
    target.write_text("precious")
    with database.locked(data):
        os.unlink(os.path.join(data, database.LOCK))
    os.symlink(target, os.path.join(data, database.LOCK))

    with pytest.raises(DatabaseError, match="lock: cannot be opened"), database.writer(data):
        pass
    assert target.read_text() == "precious"


def test_a_transaction_is_all_or_nothing(data):
    def fail_half_way(db):
        db.execute("INSERT INTO setting VALUES ('a', '', 0, '')")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), database.writer(data) as db, database.transaction(db):
        fail_half_way(db)
    with database.writer(data) as db:
        with database.transaction(db):
            db.execute("INSERT INTO setting VALUES ('b', '', 0, '')")
        assert [row[0] for row in db.execute("SELECT name FROM setting")] == ["b"]


@pytest.mark.sqlite("one connection a writer, by rule of the file")
def test_the_connection_is_closed_before_the_lock_is_released(data):
    with database.writer(data) as db:
        pass
    with pytest.raises(sqlite3.ProgrammingError):
        db.execute("SELECT 1")


@pytest.mark.sqlite("PRAGMA")
def test_a_writer_has_the_settings_that_keep_it_safe(data):
    with database.writer(data) as db:
        asked = {name: db.execute(f"PRAGMA {name}").fetchone()[0]
                 for name in ("journal_mode", "synchronous", "wal_autocheckpoint", "trusted_schema", "mmap_size", "auto_vacuum")}  # fmt: skip
    assert asked == {"journal_mode": "wal", "synchronous": 2, "wal_autocheckpoint": 0, "trusted_schema": 0, "mmap_size": 0,
                     "auto_vacuum": 2}  # fmt: skip


# --- Readers ----------------------------------------------------------------------------------------------------------


def test_a_reader_cannot_write(data):
    with pytest.raises(DatabaseError, match=r"read-?only"), database.reader(data) as db:
        db.execute("INSERT INTO setting VALUES ('a', '', 0, '')")


@pytest.mark.sqlite("the write-ahead log")
def test_d07_a_reader_that_stays_open_holds_up_neither_loading_nor_the_checkpoint_for_long(data):
    from archive import upkeep

    archive(data, NOW, machine(NOW))
    with database.reader(data) as db:
        db.execute("SELECT count(*) FROM sample").fetchone()
        for number in range(1, 30):
            archive(data, NOW + number * 60, machine(NOW + number * 60))
        began = time.monotonic()
        errors: list[str] = []
        upkeep._checkpoint(data, errors)
        assert time.monotonic() - began < 2
        assert errors == []
    settle(data)
    assert not os.path.exists(file_of(data, "-wal")) or os.path.getsize(file_of(data, "-wal")) == 0


@pytest.mark.sqlite("the write-ahead log")
def test_d07_a_wal_that_grew_too_long_is_said(data, monkeypatch):
    from archive import upkeep

    monkeypatch.setattr(upkeep, "WAL_LIMIT", 10_000)
    with database.reader(data) as db:
        db.execute("SELECT count(*) FROM sample").fetchone()
        archive(data, NOW, machine(NOW))
        errors: list[str] = []
        upkeep._checkpoint(data, errors)
    assert "has kept the database open" in errors[0]


@pytest.mark.sqlite("the file's rights")
@pytest.mark.parametrize("kept_open", [False, True], ids=["nobody writes", "a -wal is there"])
def test_d14_a_folder_that_cannot_be_written_is_still_read(data, kept_open):
    archive(data, NOW, machine(NOW))
    reader = database._open(data, "ro") if kept_open else None
    if reader:
        reader.execute("SELECT 1 FROM sample").fetchone()
        archive(data, NOW + 60, machine(NOW + 60))

    def step():
        os.chmod(data, 0o555)
        with database.reader(data) as db:
            return db.execute("SELECT count(*) FROM cycle").fetchone()[0]

    assert cycles.as_nobody(step, data) == ("2" if kept_open else "1")
    if reader:
        reader.close()
    os.chmod(data, 0o700)


@pytest.mark.sqlite("the file's rights")
def test_d14_a_writer_of_a_read_only_folder_is_told_the_path(data):
    def step():
        os.chmod(file_of(data), 0o444)
        os.chmod(data, 0o555)
        with database.writer(data) as db, database.transaction(db):
            db.execute("INSERT INTO setting VALUES ('a', '', 0, '')")

    said = cycles.as_nobody(step, data)
    assert said.startswith("DatabaseError: ")
    assert file_of(data) in said
    os.chmod(data, 0o700)


@pytest.mark.sqlite("the file's rights")
def test_d14_what_is_written_while_an_outsider_reads_makes_it_ask_again(data, monkeypatch):
    monkeypatch.setattr(database.os, "access", lambda path, mode: False)  # as another user
    settle(data)

    def read_while_another_writes(db):
        db.execute("SELECT count(*) FROM cycle").fetchone()
        archive(data, NOW, machine(NOW))

    with pytest.raises(Busy, match="ask again"), database.reader(data) as db:
        read_while_another_writes(db)
    with database.reader(data) as db:
        assert db.execute("SELECT count(*) FROM cycle").fetchone()[0] == 1


@pytest.mark.sqlite("the write-ahead log")
def test_d15_a_wal_of_another_owner_is_an_error_that_names_the_file(data):
    if os.geteuid():
        pytest.skip("needs root: makes a file of another owner")
    keep = database._open(data, "ro")
    keep.execute("SELECT 1 FROM sample").fetchone()
    archive(data, NOW, machine(NOW))
    cycles.as_nobody(lambda: None, data)
    for suffix in ("-wal", "-shm"):
        os.chown(file_of(data, suffix), 0, 0)
        os.chmod(file_of(data, suffix), 0o600)

    def step():
        with database.writer(data) as db, database.transaction(db):
            db.execute("INSERT INTO setting VALUES ('a', '', 0, '')")

    said = cycles.as_nobody(step)
    keep.close()
    assert said.startswith("DatabaseError: ")
    assert file_of(data) in said


# --- Damage -----------------------------------------------------------------------------------------------------------


def both(data: str, kind: type[DatabaseError], words: str) -> None:
    """Writer and reader say the same, and change nothing."""
    before = os.path.getsize(file_of(data)) if os.path.exists(file_of(data)) else None
    for opened in (database.writer, database.reader):
        with pytest.raises(kind, match=words), opened(data) as db:
            db.execute("SELECT * FROM sample").fetchall()
    assert (os.path.getsize(file_of(data)) if os.path.exists(file_of(data)) else None) == before


@pytest.mark.sqlite("the file is damaged")
def test_d08_an_overwritten_header_is_damage_with_the_way_out(data):
    settle(data)
    with open(file_of(data), "r+b") as file:
        file.write(b"\x00" * 16)

    both(data, Damaged, r"damaged.*\./vigie restore")
    with pytest.raises(Damaged):
        database.create(data, "", "", "", NOW)


@pytest.mark.sqlite("the file is damaged")
def test_d09_a_damaged_page_is_damage_and_the_daily_check_finds_it(data):
    from archive import upkeep

    cycles.fill(data, NOW - 6000, 100)
    settle(data)
    with database.reader(data) as db:
        page = db.execute("SELECT rootpage FROM sqlite_master WHERE name='sample'").fetchone()[0]
    with open(file_of(data), "r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(os.urandom(4096))

    both(data, Damaged, r"damaged.*\./vigie restore")
    errors: list[str] = []
    try:
        upkeep._quick_check(data, NOW, errors)
    except Damaged as error:
        errors.append(str(error))
    assert "./vigie restore" in errors[0]


@pytest.mark.sqlite("the file is damaged")
@pytest.mark.parametrize("share", [0.5, 0.1])
def test_d10_a_cut_database_is_damage(data, share):
    cycles.fill(data, NOW - 6000, 100)
    settle(data)
    os.truncate(file_of(data), int(os.path.getsize(file_of(data)) * share))

    both(data, Damaged, r"\./vigie restore")


@pytest.mark.sqlite("the file is damaged")
def test_d10_an_empty_file_is_a_loss_never_a_first_run(data):
    settle(data)
    os.truncate(file_of(data), 0)

    both(data, Damaged, "empty")
    with pytest.raises(Damaged):
        database.create(data, "other", "", "", NOW)
    assert os.path.getsize(file_of(data)) == 0


@pytest.mark.sqlite("the file is lost")
def test_d11_a_database_that_is_gone_is_a_loss_never_a_first_run(data):
    settle(data)
    os.unlink(file_of(data))

    both(data, Missing, r"is gone.*\./vigie restore")
    with pytest.raises(Missing):
        database.create(data, "other", "", "", NOW)
    assert not os.path.exists(file_of(data))


@pytest.mark.sqlite("the file is lost")
def test_d11_deleted_while_it_is_open_the_next_writer_notices(data):
    with database.reader(data) as held:
        held.execute("SELECT 1 FROM sample").fetchone()
        for suffix in ("", "-wal", "-shm"):
            if os.path.exists(file_of(data, suffix)):
                os.unlink(file_of(data, suffix))
        with pytest.raises(Missing), database.writer(data):
            pass


def test_no_database_yet_says_how_to_make_one(tmp_path):
    with pytest.raises(Missing, match=r"no database yet; type: \./run_all\.sh"), database.reader(str(tmp_path)):
        pass


@pytest.mark.sqlite("the file is a link")
def test_d13_a_database_that_is_a_link_is_refused(data, tmp_path):
    settle(data)
    os.rename(file_of(data), tmp_path / "real.db")
    os.symlink(tmp_path / "real.db", file_of(data))

    both(data, DatabaseError, "is a symbolic link")


@pytest.mark.sqlite("the file is a link")
def test_d13_a_dangling_link_is_not_replaced_by_a_new_database(tmp_path):
    folder = str(tmp_path / "data")
    os.makedirs(folder, mode=0o700)
    os.symlink(tmp_path / "away.db", os.path.join(folder, database.NAME))

    with pytest.raises(DatabaseError, match="is a symbolic link"):
        database.create(folder, "uid", "", "", NOW)
    assert os.path.islink(os.path.join(folder, database.NAME))


@pytest.mark.sqlite("the file says whose it is")
def test_a_database_of_another_program_is_refused(data):
    with database.writer(data) as db:
        db.execute("PRAGMA application_id=1")

    both(data, Damaged, "is not a database of Vigie")


# --- Schema -----------------------------------------------------------------------------------------------------------


def test_d16_a_newer_schema_is_refused_and_left_alone(data):
    with database.writer(data) as db:
        if ON_POSTGRESQL:
            db.execute("UPDATE schema_version SET number=number + 1 WHERE name='archive'")
            postgresql._seen.clear()  # a process that begins now
        else:
            db.execute(f"PRAGMA user_version={database.latest_version() + 1}")

    both(data, Newer, "newer Vigie.*git pull")
    with pytest.raises(Newer):
        database.create(data, "", "", "", NOW)


def made_at(data: str, version: int, rows: str) -> None:
    """A database of an older Vigie, with a row or two."""
    os.makedirs(data, mode=0o700)
    older = [path for number, path in database.migrations() if number <= version]
    if ON_POSTGRESQL:
        folder = f"{data}.older"
        os.mkdir(folder)
        for path in older:
            os.symlink(path, os.path.join(folder, os.path.basename(path)))
        with postgresql._open(conftest.use_postgresql(data, "template0"), postgresql.SCHEMA) as made:
            postgresql.migrate(made, "archive", folder)
            made.script(rows)
        return
    db = sqlite3.connect(file_of(data), isolation_level=None)
    db.execute(f"PRAGMA application_id={database.APPLICATION_ID}")
    db.execute("PRAGMA journal_mode=WAL")
    for path in older:
        with open(path, encoding="utf-8") as file:
            db.executescript(file.read())
    db.execute(f"PRAGMA user_version={version}")
    db.executescript(rows)
    db.close()


def schema_of(data: str) -> object:
    """All that the engine knows of the tables."""
    if ON_POSTGRESQL:
        said = conftest.cluster().run("pg_dump", "--schema-only", "--no-comments", engine.url_of(data)).stdout
        return [line for line in said.splitlines() if "restrict " not in line]  # a random word of each dump's own
    with database.reader(data) as db:
        return db.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name").fetchall()


@pytest.mark.parametrize("version", [number for number, _ in database.migrations()][:-1])
def test_d16_every_older_schema_is_brought_up_to_date_with_its_rows(tmp_path, version):
    data = str(tmp_path / "data")
    made_at(data, version, "INSERT INTO host VALUES (1, 'old', 'old', '', 0)")
    with pytest.raises(DatabaseError, match=r"schema is older.*\./run_all\.sh"), database.writer(data):
        pass
    assert database.pending(data)

    database.create(data, "new", "new", "", NOW)

    assert not database.pending(data)
    fresh = make_data(str(tmp_path / "fresh"))
    assert schema_of(data) == schema_of(fresh)
    with database.reader(data) as db:
        assert db.execute("SELECT uid FROM host").fetchone() == ("old",)


def test_the_changes_made_before_there_was_one_history_are_in_it(tmp_path):
    data = str(tmp_path / "data")
    change = "(41, 5, 'ada', 'cpu', '{}', '', '{\"metric\":\"cpu\"}')"
    made_at(data, 11, f"INSERT INTO threshold_change VALUES {change}")
    database.create(data, "new", "new", "", NOW)
    with database.reader(data) as now:
        assert changes.recent(now) == [(41, 5, "ada", "threshold", "cpu", "{}", "", '{"metric":"cpu"}')]


def test_d17_a_migration_that_fails_leaves_the_old_schema(data, tmp_path, monkeypatch):
    latest = database.latest_version()
    for name in os.listdir(database.MIGRATIONS):
        os.symlink(os.path.join(database.MIGRATIONS, name), tmp_path / name)
    (tmp_path / f"{latest + 1:04}_bad.sql").write_text(
        "CREATE TABLE half (a INTEGER);\nINSERT INTO nowhere VALUES (1);\n"
    )
    monkeypatch.setattr(database, "MIGRATIONS", str(tmp_path))
    monkeypatch.setattr(postgresql, "ARCHIVE", str(tmp_path))

    with pytest.raises(DatabaseError, match=r'no such table: nowhere|relation "nowhere" does not exist'):
        database.create(data, "", "", "", NOW)

    monkeypatch.undo()
    with database.reader(data) as db:
        assert db.execute("PRAGMA user_version").fetchone()[0] == latest
        assert "half" not in catalog.tables(db)


@pytest.mark.sqlite("the file is made aside and renamed")
@pytest.mark.parametrize("call", ["pwrite64", "fsync,fdatasync", "rename", "unlink,unlinkat", "openat", "ftruncate"])
def test_d17_killed_while_it_is_made_the_database_is_whole_or_not_there(tmp_path, call):
    if not os.path.exists("/usr/bin/strace"):
        pytest.skip("strace is missing")
    code = CHILD + "from archive import database\ndatabase.create(sys.argv[1], 'u', 'n', 'm', 5)\n"
    for number in (1, 2, 3, 5, 8, 13, 21, 34, 55):
        data = str(tmp_path / f"{call}-{number}".replace(",", "-"))
        os.makedirs(data, mode=0o700)
        subprocess.run(
            ["/usr/bin/strace", "-f", "-o", "/dev/null", "-e", "trace=none", "-e",
             f"inject={call}:signal=KILL:when={number if call != 'openat' else 60 + number * 4}",
             sys.executable, "-I", "-S", "-c", code, data], check=False, capture_output=True, timeout=60,
        )  # fmt: skip
        database.create(data, "u", "n", "m", 5)
        with database.writer(data) as db:
            assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
            assert db.execute("SELECT uid FROM host").fetchall() == [("u",)]
            assert db.execute("PRAGMA user_version").fetchone()[0] == database.latest_version()
        assert not os.path.exists(file_of(data, ".new"))


def test_making_it_twice_changes_nothing(data):
    before = cycles.dump(data)
    database.create(data, "another", "name", "", NOW + 1)

    assert cycles.dump(data) == before


@pytest.mark.sqlite("the file's rights")
def test_a_new_database_is_for_its_owner_alone_and_has_its_reserve(data):
    for name in (database.NAME, database.LOCK, reserve.RESERVE):
        assert os.stat(os.path.join(data, name)).st_mode & 0o077 == 0
    found = os.stat(os.path.join(data, reserve.RESERVE))
    assert found.st_size == reserve.RESERVE_BYTES
    assert found.st_blocks * 512 >= reserve.RESERVE_BYTES


def test_a_path_with_marks_that_an_uri_would_read_is_a_path(tmp_path):
    data = make_data(str(tmp_path / "a b?c#d%20é;mode=rwc"))
    archive(data, NOW, machine(NOW))

    assert len(cycles.dump(data, "cycle")["cycle"]) == 1


SWEEP = (
    CHILD
    + """
from archive import database, load
with database.writer(sys.argv[1]) as db:
    load.load(sys.argv[1], db, int(sys.argv[2]))
"""
)


@pytest.mark.parametrize("fault", ["signal=KILL", "error=ENOSPC", "error=EIO"])
def test_d01_d02_a_load_killed_or_failing_at_any_system_call_loses_no_text_and_doubles_none(data, fault, capsys):
    """The sweep of the ground floor: one fault at the n-th call, then an unharmed run, then the invariants."""
    if not os.path.exists("/usr/bin/strace"):
        pytest.skip("strace is missing")
    archive(data, NOW, machine(NOW))
    faults, at = 0, NOW
    for call, counts in (
        ("pwrite64", (1, 2, 3, 5, 8, 12)), ("fdatasync,fsync", (1, 2, 3)), ("unlink,unlinkat", (1, 2)), ("rename", (1,)),
        ("ftruncate", (1,)), ("mkdir", (1,)),
    ):  # fmt: skip
        for number in counts:
            at += 60
            cycles.write(data, at, machine(at))
            subprocess.run(
                ["/usr/bin/strace", "-f", "-o", "/dev/null", "-e", "trace=none", "-e", f"inject={call}:{fault}:when={number}",
                 sys.executable, "-I", "-S", "-c", SWEEP, data, str(at)], check=False, capture_output=True, timeout=60,
            )  # fmt: skip
            faults += 1
            cycles.load_all(data, at)
            assert os.listdir(os.path.join(data, "spool")) == []
    with database.reader(data) as db:
        assert database.quick_check(db) == "ok"
        wanted = list(range(NOW, at + 1, 60))
        assert [row[0] for row in db.execute("SELECT at FROM cycle ORDER BY at")] == wanted
        assert [row[0] for row in db.execute(
            "SELECT at FROM sample WHERE series=(SELECT s.id FROM series s JOIN metric m ON m.id=s.metric"
            " WHERE m.name='uptime_seconds') ORDER BY at")] == wanted  # fmt: skip
    kept = [name for _, _, names in os.walk(os.path.join(data, "journal")) for name in names]
    assert len(kept) == len(wanted)
    with capsys.disabled():
        print(f"\n  {faults} faults ({fault}): 0 texts lost, 0 doubled")


@pytest.mark.sqlite("the write-ahead log")
def test_the_wal_is_synced_before_the_text_leaves_the_spool(data, tmp_path):
    if not os.path.exists("/usr/bin/strace"):
        pytest.skip("strace is missing")
    cycles.write(data, NOW, machine(NOW))
    log = tmp_path / "calls"
    subprocess.run(
        ["/usr/bin/strace", "-f", "-y", "-o", str(log), "-e", "trace=fdatasync,fsync,rename,renameat,renameat2",
         sys.executable, "-I", "-S", "-c", SWEEP, data, str(NOW)], check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    said = log.read_text().splitlines()
    synced = next(number for number, line in enumerate(said) if "sync" in line and "vigie.db-wal" in line)
    moved = next(number for number, line in enumerate(said) if "rename" in line and f"{NOW}.prom" in line)

    assert synced < moved
