import subprocess
from pathlib import Path

import pytest

from tests.probes.probing import module, ok, refused, run, stub


def test_the_accounts_are_those_of_getent_with_a_login_shell():
    found = ok(run("accounts.py"))
    shells = {line for line in Path("/etc/shells").read_text().splitlines() if line.startswith("/")}
    rows = [
        r.split(":")
        for r in subprocess.run(["getent", "passwd"], capture_output=True, encoding="utf-8", check=False).stdout.split(
            "\n"
        )
        if r
    ]
    expected = {r[0] for r in rows if r[6] in shells and not r[6].endswith(("nologin", "false"))}
    assert found["accounts"] == len(expected)
    assert {n.split('"')[1] for n in found if n.startswith("account_info")} == expected
    assert "root" in expected


def test_p10_hostile_names_are_text(machine):
    (machine / "etc/passwd").write_bytes(
        b'a"b\\c:x:1:1::/home/<script>\x1b[31m\x07:/bin/sh\nd\xff:x:2:2::/home/d:/bin/sh\n\xc3\xa9:x:3:3::/$(id):/bin/sh\n'
    )
    found = ok(run("accounts.py", root=machine))
    assert r'account_info{user="a\"b\\c",uid="1",home="/home/<script>\\x1b[31m\\x07",shell="/bin/sh"}' in found
    assert r'account_info{user="d\\xff",uid="2",home="/home/d",shell="/bin/sh"}' in found
    assert 'account_info{user="é",uid="3",home="/$(id)",shell="/bin/sh"}' in found


@pytest.mark.parametrize("answer", ["sh: getent: out of order", "root:x:zero:0::/root:/bin/sh", "a:b:c:d:e:f:g:h"])
def test_p22_an_answer_of_another_form_is_refused(tools, answer):
    stub(tools, "getent", f"echo '{answer}'")
    refused(run("accounts.py", path=str(tools)))


def test_p21_without_getent_the_file_is_read(tools):
    assert ok(run("accounts.py", path=str(tools)))["accounts"] >= 1


def test_p23_0_accounts(machine):
    (machine / "etc/passwd").write_text("daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n")
    assert ok(run("accounts.py", root=machine)) == {"accounts": 0}


@pytest.mark.parametrize(
    ("line", "files"),
    [
        ("passwd: files", True),
        ("passwd:         files systemd", True),
        ("passwd: files sss", False),
        ("passwd: compat", False),
        ("passwd: files [NOTFOUND=return] ldap", False),
        ("shadow: files", False),
    ],
)
def test_only_where_the_files_hold_all_accounts_the_runner_reads_it_itself(machine, line, files):
    (machine / "etc/nsswitch.conf").write_text(f"# passwd: ldap\n{line}\ngroup: files\n")
    assert module("accounts").in_files(str(machine)) == files


def test_served_homes_are_asked_for(machine):
    (machine / "etc/nsswitch.conf").write_text("passwd: files systemd\n")
    assert module("accounts").in_files(str(machine))
    (machine / "run/systemd/userdb").mkdir(parents=True)
    (machine / "run/systemd/userdb/io.systemd.Home").touch()
    assert not module("accounts").in_files(str(machine))


def test_read_by_the_runner_it_says_what_it_says_when_started_or_asks_to_be_started():
    started = run("accounts.py")
    ok(started)
    try:
        read = module("accounts").text("", "", False)
    except module("reading").AskError:
        assert not module("accounts").in_files("")
    else:
        assert read == started.stdout


def test_a_list_that_cannot_be_had_is_said_and_not_shown_short(tools):
    stub(tools, "getent", "echo root:x:0:0::/root:/bin/sh; echo 'no server' >&2; exit 2")
    words = refused(run("accounts.py", path=str(tools))).splitlines()
    assert words == ["no server", "accounts.py: getent passwd ended with status 2"]


def test_a_server_is_not_asked_by_the_runner_itself(tools, monkeypatch):
    stub(tools, "getent", "echo root:x:0:0::/root:/bin/sh")
    monkeypatch.setenv("PATH", str(tools))
    accounts = module("accounts")
    monkeypatch.setattr(accounts, "in_files", lambda _root: False)
    with pytest.raises(module("reading").AskError):
        accounts.text("", "", False)
    assert ok(run("accounts.py", path=str(tools)))["accounts"] == 1
