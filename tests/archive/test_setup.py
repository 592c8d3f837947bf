"""The first run and the upgrade."""

import os
import stat

import pytest

from archive import backup, database, settings, setup
from tests import conftest, cycles
from tests.conftest import NOW
from tests.engines import ON_POSTGRESQL


def config(data: str, **more: str) -> settings.Settings:
    return settings.load({"VIGIE_DATA": data, "VIGIE_HOST_NAME": "here", **more})


def test_the_first_run_makes_a_closed_folder_and_one_host(tmp_path):
    (tmp_path / "root" / "etc").mkdir(parents=True)
    (tmp_path / "root" / "etc" / "machine-id").write_text("0123456789abcdef\n")
    data = str(tmp_path / "data")
    setup.run(config(data, VIGIE_ROOT=str(tmp_path / "root")), NOW)

    assert stat.S_IMODE(os.stat(data).st_mode) == 0o700
    host = cycles.dump(data, "host")["host"][0]
    assert (host[0], host[2], host[4]) == (1, "here", NOW)
    assert len(host[1]) == 32
    assert host[3] == setup.machine_hash(str(tmp_path / "root"))
    assert "0123456789abcdef" not in str(host[3])


def test_a_folder_that_others_may_enter_is_closed(tmp_path):
    data = tmp_path / "data"
    data.mkdir(mode=0o755)
    os.chmod(data, 0o755)
    setup.run(config(str(data)), NOW)

    assert stat.S_IMODE(os.stat(data).st_mode) & 0o007 == 0


def test_two_machines_have_two_identities(tmp_path):
    for name in ("a", "b"):
        setup.run(config(str(tmp_path / name)), NOW)

    assert cycles.dump(str(tmp_path / "a"), "host") != cycles.dump(str(tmp_path / "b"), "host")


def test_a_second_run_changes_nothing_and_makes_no_backup(tmp_path):
    data = str(tmp_path / "data")
    setup.run(config(data), NOW)
    before = cycles.dump(data)
    setup.run(config(data, VIGIE_HOST_NAME="renamed"), NOW + 60)

    assert cycles.dump(data) == before
    assert backup.names(os.path.join(data, "backups")) == []


@pytest.mark.sqlite("a backup is a copy of the file")
def test_d16_before_a_migration_there_is_a_backup_of_the_old_schema(tmp_path, monkeypatch):
    data = str(tmp_path / "data")
    older = tmp_path / "older"
    older.mkdir()
    for _, path in database.migrations()[:-1]:
        os.symlink(path, older / os.path.basename(path))
    monkeypatch.setattr(database, "MIGRATIONS", str(older))
    setup.run(config(data), NOW)
    monkeypatch.undo()

    setup.run(config(data), NOW + 60)

    made = backup.names(os.path.join(data, "backups"))
    assert len(made) == 1
    assert backup.verify(made[0]).version == database.migrations()[-2][0]
    assert not database.pending(data)


@pytest.mark.sqlite("a backup is a copy of the file")
def test_d16_without_a_backup_there_is_no_migration(tmp_path, monkeypatch):
    data = str(tmp_path / "data")
    older = tmp_path / "older"
    older.mkdir()
    for _, path in database.migrations()[:-1]:
        os.symlink(path, older / os.path.basename(path))
    monkeypatch.setattr(database, "MIGRATIONS", str(older))
    setup.run(config(data), NOW)
    monkeypatch.undo()
    (tmp_path / "file").touch()

    with pytest.raises(backup.BackupError):
        setup.run(config(data, VIGIE_BACKUP_DIR=str(tmp_path / "file" / "x")), NOW + 60)
    assert database.pending(data)


@pytest.mark.sqlite("the file is lost")
@pytest.mark.parametrize("damage", ["empty", "gone"])
def test_d10_a_loss_is_said_in_one_line_and_nothing_is_made_anew(tmp_path, damage):
    data = str(tmp_path / "data")
    setup.run(config(data), NOW)
    if damage == "gone":
        os.unlink(os.path.join(data, database.NAME))
    else:
        os.truncate(os.path.join(data, database.NAME), 0)
    done = cycles.python("from archive import setup\nsys.exit(setup.main())", environ={"VIGIE_DATA": data})

    assert done.returncode == 1
    assert done.stderr.startswith("vigie: ")
    assert done.stderr.count("\n") == 1
    assert "./vigie restore" in done.stderr


def test_a_bad_setting_is_said_in_one_line(tmp_path):
    (tmp_path / "settings.env").write_text("VIGIE_WEB=maybe\n")
    done = cycles.python("from archive import setup\nsys.exit(setup.main())", environ={"VIGIE_DATA": str(tmp_path)})

    assert (done.returncode, done.stdout) == (1, "")
    assert "line 1: VIGIE_WEB='maybe': expected 0 or 1" in done.stderr


def test_p13_ten_first_runs_at_once_make_one_database(tmp_path):
    import subprocess
    import sys

    data = str(tmp_path / "data")
    os.makedirs(data, mode=0o700)
    if ON_POSTGRESQL:
        conftest.use_postgresql(data, "template0")
    script = os.path.join(cycles.ROOT, "archive", "setup.py")
    runs = [
        subprocess.Popen([sys.executable, "-I", "-S", script], env={"VIGIE_DATA": data, "PATH": "/usr/bin:/bin"},
                         stderr=subprocess.PIPE) for _ in range(10)
    ]  # fmt: skip
    for run in runs:
        _, errors = run.communicate(timeout=60)
        assert run.returncode == 0, errors

    assert len(cycles.dump(data, "host")["host"]) == 1


def test_a_machine_without_an_id_has_an_empty_hash(tmp_path):
    assert setup.machine_hash(str(tmp_path)) == ""
