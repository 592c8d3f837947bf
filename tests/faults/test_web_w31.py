"""W31: a secret stands where it was written, and nowhere else: no page, no log, no command line, no file, no backup."""

import os
import stat
import subprocess
import sys

import pytest

from archive import backup
from archive.settings import ROOT
from tests.faults import evil
from tests.web import site
from tests.web.site import NOW, PASSWORD

CANARY = "canari-9f3b-jaune"
PING = "ping-canari-77c1"


def vigie(data: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-I", os.path.join(ROOT, "web", "__main__.py"), *arguments],
        env={"PATH": "/usr/bin:/bin", "VIGIE_DATA": data, "VIGIE_NOW": str(NOW)},
        capture_output=True, text=True, check=False, timeout=120, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return done.stdout + done.stderr


@pytest.fixture
def data(tmp_path: object) -> str:
    path = site.filled(f"{tmp_path}/data", 5, cpu=0.97)
    site.add_person(path)
    name = os.path.join(path, "settings.env")
    with open(name, "w", encoding="utf-8") as file:
        file.write(
            "VIGIE_SMTP_HOST=127.0.0.1\nVIGIE_SMTP_PORT=9\nVIGIE_SMTP_USER=vigie\nVIGIE_MAIL_TO=a@example.org\n"
            f"VIGIE_SMTP_PASSWORD={CANARY}\nVIGIE_PING_URL=http://127.0.0.1:9/{PING}\n"
        )
    os.chmod(name, 0o600)
    return path


@pytest.mark.ci
def test_w31_no_command_says_a_secret(data: str) -> None:
    said = "".join(
        vigie(data, *words)
        for words in (
            ["doctor"],
            ["status"],
            ["status", "--json"],
            ["mails"],
            ["mail-test"],
            ["ping"],
            ["backups", "--now"],
            ["digest"],
            ["user", "list"],
        )
    )
    assert "127.0.0.1" in said
    for secret in (CANARY, PING, PASSWORD, "argon2"):
        assert secret not in said


def test_w31_no_page_and_no_file_but_the_settings_holds_one(data: str) -> None:
    from archive import settings

    vigie(data, "backups", "--now")
    config = settings.load({"VIGIE_DATA": data})
    from web import create_app

    client = create_app(config, now=lambda: NOW).test_client()
    site.log_in(client)
    with open(f"{data}/secret-key", encoding="ascii") as file:
        key = file.read().strip()
    cookie = client.get_cookie("vigie")
    assert cookie
    from tests.faults.test_web_w15 import addresses

    machine = evil.Machine(data, [], ["user0"], "admin")
    for _endpoint, address in addresses(machine, client):
        text = client.get(address, buffered=True).text
        for secret in (CANARY, PING, PASSWORD, key, cookie.value):
            assert secret not in text, address
    for folder, _folders, names in os.walk(data):
        for name in names:
            path = os.path.join(folder, name)
            with open(path, "rb") as found:
                raw = found.read()
            if name != "settings.env":
                assert CANARY.encode() not in raw, path
                assert PING.encode() not in raw, path
            assert PASSWORD.encode() not in raw, path
            assert key.encode() not in raw or name == "secret-key", path
    assert CANARY not in repr(config)


def test_w31_a_backup_is_its_owner_s_alone(data: str) -> None:
    vigie(data, "backups", "--now")
    (path,) = backup.names(os.path.join(data, "backups"))
    for name in (path, f"{path}.sha256"):
        assert stat.S_IMODE(os.stat(name).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700


def test_w31_no_secret_is_on_the_servers_command_line(data: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "web.serve"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={"PATH": "/usr/bin:/bin", "VIGIE_DATA": data, "VIGIE_LISTEN": f"127.0.0.1:{free_port()}", "VIGIE_NOW": str(NOW)},
    )  # fmt: skip
    try:
        assert process.stdout
        process.stdout.readline()
        for name in ("cmdline", "environ"):
            with open(f"/proc/{process.pid}/{name}", "rb") as file:
                assert CANARY.encode() not in file.read(), name
    finally:
        process.terminate()
        _out, err = process.communicate(timeout=20)
    assert CANARY not in err


def free_port() -> int:
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
