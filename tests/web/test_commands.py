"""The command line, run as a person runs it: a process, its words, its exit status."""

import http.server
import json
import os
import sqlite3
import subprocess
import sys
import threading

import pytest

from archive import backup, database
from web import commands
from web.commands import cron

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
NOW = 1_795_400_000


def vigie(data, *arguments, **environ):
    """One call of the command line on a data folder; English, so that the words can be asked for."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("VIGIE_")}
    return subprocess.run(
        [sys.executable, "-I", os.path.join(ROOT, "web", "__main__.py"), *arguments],
        env={**clean, "VIGIE_DATA": str(data), "VIGIE_LANGUAGE": "en", "VIGIE_NOW": str(NOW), **environ},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
        timeout=120,
    )


@pytest.fixture
def home(tmp_path):
    data = tmp_path / "data with space é"
    data.mkdir(mode=0o700)
    database.create(str(data), "u" * 32, "srv-labo", "", NOW - 86_400)
    return data


def test_help_lists_every_command_and_each_has_help(home):
    listed = vigie(home, "--help").stdout
    for name in commands.names():
        words = commands.command(name).HELP
        assert not words or name in listed


@pytest.mark.parametrize("name", [name for name in commands.names() if commands.command(name).HELP])
def test_every_listed_command_explains_itself(home, name):
    done = vigie(home, name, "--help")
    assert done.returncode == 0, done.stderr
    assert name in done.stdout


def test_an_unknown_command_is_named_with_the_nearest_one(home):
    done = vigie(home, "backup")
    assert done.returncode == 2
    assert "backups" in done.stderr


def test_a_bad_setting_is_one_line_that_names_the_file_and_the_line(home):
    (home / "settings.env").write_text("# mine\nVIGIE_LISTN=127.0.0.1:5000\n")
    done = vigie(home, "backups")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "line 2" in done.stderr
    assert "VIGIE_LISTEN" in done.stderr


@pytest.mark.sqlite("a backup is a copy of the file")
def test_backups_makes_one_and_verifies_it_and_says_when_it_was_changed(home):
    assert vigie(home, "backups", "--now").returncode == 0
    path = backup.names(str(home / "backups"))[0]
    with open(path, "r+b") as file:
        file.seek(5000)
        file.write(b"\x01")
    done = vigie(home, "backups")
    assert done.returncode == 1
    assert "SHA-256" in done.stdout


@pytest.mark.sqlite("a backup is a copy of the file")
def test_restore_sets_the_present_database_aside_and_asks_first(home):
    vigie(home, "backups", "--now")
    with database.writer(str(home)) as db:
        db.execute("INSERT INTO setting VALUES ('x', '1', 0, 'test')")
    assert vigie(home, "restore").returncode == 1, "without a terminal and without --yes nothing may happen"
    done = vigie(home, "restore", "--yes")
    assert done.returncode == 0, done.stderr
    with database.reader(str(home)) as db:
        assert db.execute("SELECT count(*) FROM setting WHERE name='x'").fetchone() == (0,)
    assert any((home / "set-aside").iterdir())


@pytest.mark.sqlite("a backup is a copy of the file")
def test_restore_refuses_another_programs_file(home, tmp_path):
    foreign = tmp_path / "other.db"
    sqlite3.connect(foreign).execute("CREATE TABLE t (x)").connection.close()
    done = vigie(home, "restore", str(foreign), "--yes")
    assert done.returncode == 1
    assert "is not a database of Vigie" in done.stderr


def original(path):
    db = sqlite3.connect(path)
    db.executescript(
        """
        CREATE TABLE dataBase (users TEXT, cpu REAL, memory REAL, ram TEXT, date TEXT);
        CREATE TABLE cert_alert (date TEXT, reference TEXT, title TEXT, status TEXT);
        CREATE TABLE Seuil (cpu REAL, memory REAL, ram REAL, temps_limite INTEGER);
        INSERT INTO dataBase VALUES ('alice', 12.5, 300, '2048 KB', '2026-11-20 10:00:00');
        INSERT INTO dataBase VALUES ('alice', 1, 301, 4096, '20 novembre 2026');
        INSERT INTO dataBase VALUES ('bob', 3, 10, 100, '9 février 2024');
        INSERT INTO dataBase VALUES ('eve', 'x', '', NULL, '2026-11-20');
        INSERT INTO cert_alert VALUES ('14 octobre 2026', 'CERTFR-2026-ALE-099', 'Un titre', 'Alerte en cours');
        INSERT INTO cert_alert VALUES ('14 octobre 2026', 'CERTFR-2026-ALE-099', 'Un titre', 'Clôturée le 2 novembre 2026');
        INSERT INTO Seuil VALUES (80, 90, 90, 30);
        """
    )
    db.close()


def test_import_takes_a_database_of_the_original_and_twice_changes_nothing(home, tmp_path):
    old = tmp_path / "anisdatabase.db"
    original(old)
    first = vigie(home, "import", str(old))
    assert first.returncode == 0, first.stderr
    assert "2 rows taken, 6 new samples, 0 known already, 1 rows older than the retention" in first.stdout
    assert "skipped: dataBase, row 4" in first.stdout
    with database.reader(str(home)) as db:
        assert db.execute("SELECT status FROM advisory").fetchall() == [("closed",)]
    again = vigie(home, "import", str(old))
    assert "0 new samples, 6 known already" in again.stdout
    older = vigie(home, "import", str(old), "--retention", "1200")
    assert "3 rows taken, 3 new samples" in older.stdout


def test_doctor_says_what_to_type_and_fails_while_something_is_to_mend(home):
    done = vigie(home, "doctor", "--json", VIGIE_LISTEN="127.0.0.1:9")
    assert done.returncode == 1
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert {"ok", "note", "mend"} >= {finding["level"] for finding in found}
    assert any(finding["fix"] == "./run_all.sh" for finding in found)


def test_doctor_names_a_file_that_others_can_read(home):
    settings = home / "settings.env"
    settings.write_text("VIGIE_SMTP_PASSWORD=canary\nVIGIE_SMTP_HOST=mail.example.org\n")
    settings.chmod(0o644)
    done = vigie(home, "doctor")
    assert "chmod 600" in done.stdout
    assert "canary" not in done.stdout + done.stderr


def test_the_crontab_line_is_taken_out_and_the_rest_stays_byte_for_byte():
    root = "/srv/vi gie's 100%"
    other = "MAILTO=root\n# mine\n5 4 * * * /usr/bin/true\n"
    ours = f"{cron.MARK} x\n{cron.line(root, 5)}\n"
    assert cron.without(other + ours, root) == other
    assert cron.without(other, root) == other
    assert "\\%" in cron.line(root, 1)


@pytest.fixture
def watcher():
    """An outside watcher as healthchecks is: keeps the paths it was asked for, answers as it was told."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.asked.append(self.path)
            self.send_response(self.server.answer)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked, server.answer = [], 200
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_outside_watcher_hears_of_beginnings_good_ends_and_failures(home, watcher):
    url = f"http://127.0.0.1:{watcher.server_address[1]}/ping/uuid?rid=1"
    for moment in ("start", "good", "fail"):
        done = vigie(home, "ping", moment, VIGIE_PING_URL=url)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert watcher.asked == ["/ping/uuid/start?rid=1", "/ping/uuid?rid=1", "/ping/uuid/fail?rid=1"]


def test_a_watcher_that_refuses_is_said_without_its_address(home, watcher):
    watcher.answer = 404
    url = f"http://127.0.0.1:{watcher.server_address[1]}/secret-uuid"
    refused = vigie(home, "ping", VIGIE_PING_URL=url)
    gone = vigie(home, "ping", VIGIE_PING_URL="http://127.0.0.1:9/secret-uuid")
    assert (refused.returncode, gone.returncode) == (1, 1)
    assert "404" in refused.stderr
    assert "secret-uuid" not in refused.stderr + gone.stderr
