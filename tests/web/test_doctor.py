"""`./vigie doctor`, as a person or a script runs it: every line that was promised, what to type, and the exit status."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from archive import backup, database
from tests import cycles
from tests.cycles import ROOT
from tests.engines import ON_POSTGRESQL
from tests.web import site
from tests.web.site import NOW
from web import bytecode

WELL = {"VIGIE_WEB": "0", "VIGIE_MAIL_TO": "a@example.org", "VIGIE_SMTP_HOST": "mail.example.org", "VIGIE_MAIL_FROM": "v@example.org"}  # fmt: skip

SERVED = ("PostgreSQL 1", "PostgreSQL's own tools") if ON_POSTGRESQL else ("SQLite ", "the database is sound")
OF_THE_FILE = pytest.mark.sqlite("the file is damaged, lost, or copied")


def doctor(data: str, **environ: str) -> tuple[int, list[dict[str, str]]]:
    done = subprocess.run(
        [sys.executable, "-I", os.path.join(ROOT, "web", "__main__.py"), "doctor", "--json"],
        env={"PATH": "/usr/bin:/bin", "VIGIE_DATA": data, "VIGIE_LANGUAGE": "en", "VIGIE_NOW": str(NOW + 30), **WELL, **environ},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.stderr == ""
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(autouse=True, scope="module")
def compiled() -> None:
    """As run_all.sh leaves the program."""
    subprocess.run([sys.executable, "-I", "-S", "-m", "compileall", "-q", *bytecode.FOLDERS], cwd=ROOT, check=True)


@pytest.fixture
def data(tmp_path: Path) -> str:
    found = site.filled(str(tmp_path / "data"), 20)
    if not ON_POSTGRESQL:
        backup.make(found, os.path.join(found, "backups"), NOW)
    with database.locked(found):
        pass
    return found


def test_all_is_looked_at_and_the_status_is_that_of_the_findings(data: str) -> None:
    status, found = doctor(data)
    said = "\n".join(one["what"] for one in found)
    for words in (
        "is yours alone", "for Vigie's own data", "no step holds its lock", *SERVED, "last cycle",
        "probes answer", "backup", "purging waits", "in the zone", "mails go to a@example.org", "CERT-FR", "dashboard",
    ):  # fmt: skip
        assert words in said, words
    assert "cron" in said
    to_mend = [one for one in found if one["level"] == "mend"]
    assert status == (1 if to_mend else 0)
    assert all(one["fix"] for one in to_mend), "each says what to type"
    # Of this machine: whether a cron daemon runs here, and a crontab is installed.
    assert [one["what"] for one in to_mend if "cron" not in one["what"]] == []


def damage(data: str) -> None:
    with open(os.path.join(data, database.NAME), "r+b") as file:
        file.write(b"no database here")


def let_a_text_wait(data: str) -> None:
    cycles.write(data, NOW - 1800, cycles.machine(NOW - 1800))


def change_the_backup(data: str) -> None:
    path = backup.names(os.path.join(data, "backups"))[-1]
    with open(path, "r+b") as file:
        file.seek(5000)
        file.write(b"flip")


def fail_a_probe(data: str) -> None:
    cycles.archive(data, NOW + 20, {**cycles.machine(NOW + 20), "disk": cycles.Failed("no answer")})


def write(data: str, name: str, mode: int) -> None:
    path = os.path.join(data, name)
    with open(path, "a", encoding="ascii"):
        pass
    os.chmod(path, mode)


@pytest.mark.parametrize(
    ("trouble", "environ", "fix"),
    [
        (lambda data: write(data, "settings.env", 0o644), {}, "chmod"),
        (lambda data: write(data, "lock", 0o644), {}, "chmod o="),
        (let_a_text_wait, {}, "./run_all.sh --flush"),
        pytest.param(damage, {}, "./vigie restore", marks=OF_THE_FILE),
        pytest.param(
            lambda data: os.unlink(os.path.join(data, database.NAME)), {}, "./vigie restore", marks=OF_THE_FILE
        ),
        (lambda data: None, {"VIGIE_NOW": str(NOW + 3600)}, "./run_all.sh"),
        (lambda data: None, {"VIGIE_NOW": str(NOW - 3600)}, "timedatectl"),
        pytest.param(change_the_backup, {}, "./vigie backups --now", marks=OF_THE_FILE),
        (fail_a_probe, {}, "probes/disk.*"),
        (lambda data: None, {"VIGIE_MAIL_TO": ""}, "./vigie recipients add"),
        (lambda data: None, {"VIGIE_WEB": "1", "VIGIE_LISTEN": "127.0.0.1:9"}, "./run_all.sh start"),
    ],
    ids=[
        "readable by others", "lock", "spool", "damaged", "gone", "no data", "clock", "backup", "probe", "recipient", "dashboard",
    ],
)  # fmt: skip
def test_each_trouble_is_found_with_the_command_to_type_and_status_1(
    data: str, trouble: Callable[[str], None], environ: dict[str, str], fix: str
) -> None:
    before = [one for one in doctor(data)[1] if one["level"] == "mend"]
    trouble(data)
    status, found = doctor(data, **environ)
    new = [one for one in found if one["level"] == "mend" and one not in before]
    assert status == 1
    assert any(one["fix"].startswith(fix) for one in new), new


@pytest.mark.needs_root
def test_a_file_of_another_owner_is_named_with_the_command(data: str) -> None:
    os.chown(os.path.join(data, database.LOCK if ON_POSTGRESQL else database.NAME), 65534, 65534)
    status, found = doctor(data)
    assert status == 1
    assert any("belongs to another user" in one["what"] and "chown" in one["fix"] for one in found)
