"""Who is logged in: from loginctl, then from who. Stand-ins for both speak as the real ones do."""

import calendar
import struct
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.probes.probing import module, ok, refused, run, stub, unavailable

SESSION = """Name={name}
Timestamp=Mon 2026-11-23 08:15:30 UTC
Seat={seat}
TTY={tty}
RemoteHost={host}
Class={cls}
State={state}"""


def session(name, *, seat="", tty="", host="", cls="user", state="active"):
    return SESSION.format(name=name, seat=seat, tty=tty, host=host, cls=cls, state=state)


@pytest.fixture
def login(machine, tools):
    """A machine with logind: call it with the sessions to be."""
    (machine / "run/systemd/system").mkdir(parents=True)
    (machine / "run/systemd/sessions").mkdir()

    def given(*sessions: str) -> None:
        (machine / "answer").write_text("\n\n".join(sessions) + "\n")
        ids = "".join(f"    c{i} 1000 someone seat0 tty{i}\n" for i, _ in enumerate(sessions))
        (machine / "list").write_text(ids)
        stub(
            tools,
            "loginctl",
            f"echo asked >>'{machine}/asked'\ncase $1 in list-sessions) cat '{machine}/list' ;; show-session) cat '{machine}/answer' ;; esac",
        )

    given.run = lambda **more: run("users.py", root=machine, path=str(tools), **more)
    return given


def test_people_and_their_sessions(login):
    login(
        session("alice", tty="pts/0", host="192.0.2.7"),
        session("alice", seat="seat0", tty="tty2"),
        session("bob", tty="pts/1", host="2001:db8::1%eth0"),
        session("gdm", seat="seat0", cls="greeter"),
        session("carol", cls="manager"),
        session("dave", tty="pts/9", state="closing"),
    )
    assert ok(login.run()) == {
        "users_logged_in": 2,
        "login_sessions": 3,
        'login_info{user="alice",tty="pts/0",from="192.0.2.7",since="1795421730"}': 1,
        'login_info{user="alice",tty="tty2",from="seat0",since="1795421730"}': 1,
        'login_info{user="bob",tty="pts/1",from="2001:db8::1%eth0",since="1795421730"}': 1,
    }


def test_nobody_logged_in_is_0(login, tools):
    login()
    stub(tools, "loginctl", "exit 0")
    assert ok(login.run()) == {"users_logged_in": 0, "login_sessions": 0}


def test_two_sessions_that_look_the_same_are_one_fact_and_two_sessions(login):
    login(session("alice"), session("alice"))
    found = ok(login.run())
    assert found["login_sessions"] == 2
    assert len(found) == 3


def test_p10_what_a_client_calls_itself_is_text(login):
    login(session("DOM\\eve", tty="pts/0", host='"}<script>$(id)\x1b[31m'))
    assert r'login_info{user="DOM\\eve",tty="pts/0",from="___script___id___31m",since="1795421730"}' in ok(login.run())


def test_while_no_session_changes_logind_is_not_asked_again(login, machine, state):
    login(session("alice", tty="pts/0"))
    first = ok(login.run(state=state))
    assert ok(login.run(state=state)) == first
    assert (machine / "asked").read_text().count("asked") == 2, "list and show, once"
    (machine / "run/systemd/sessions/c9").write_text("new\n")
    login(session("alice", tty="pts/0"), session("bob", tty="pts/1"))
    assert ok(login.run(state=state))["users_logged_in"] == 2


def test_the_runner_itself_asks_nobody_and_reads_what_was_kept(login, machine, state):
    users, ask = module("users"), module("reading").AskError
    login(session("alice", tty="pts/0"))
    with pytest.raises(ask):
        users.text(str(machine), str(state), False)
    started = login.run(state=state)
    assert users.text(str(machine), str(state), False) == started.stdout
    long_ago = time.time() - 901
    (state / "stamp").write_text(f"{int(long_ago)}\n")
    with pytest.raises(ask):
        users.text(str(machine), str(state), False)
    (machine / "run/systemd/system").rmdir()
    assert users.text(str(machine), "", False) == users.UNAVAILABLE


@pytest.mark.parametrize("stamp", ["", "soon\n", "99999999999\n", "9" * 5000 + "\n", "١٢\n"])
def test_what_was_kept_by_no_clock_is_asked_for_again(login, machine, state, stamp):
    login(session("alice", tty="pts/0"))
    ok(login.run(state=state))
    (state / "stamp").write_text(stamp)
    with pytest.raises(module("reading").AskError):
        module("users").text(str(machine), str(state), False)


@given(st.integers(0, 2**33))
def test_a_moment_is_that_of_the_calendar(at):
    assert module("users").moment(time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(at))) == at
    assert module("users").moment(time.strftime("%Y-%m-%d %H:%M", time.gmtime(at))) == at - at % 60


@given(st.text("0123456789-: ٣x", max_size=20))
def test_what_is_no_moment_is_refused(text):
    try:
        said = module("users").moment(text)
    except module("reading").RefusedError:
        return
    form = "%Y-%m-%d %H:%M:%S" if len(text) == 19 else "%Y-%m-%d %H:%M"
    assert said == calendar.timegm(time.strptime(text, form))


def test_the_real_who_is_understood(machine, tools):
    def entry(kind: int, tty: bytes, user: bytes, host: bytes) -> bytes:  # utmp(5)
        return struct.pack("<hxxi32s4s32s256shhiii16s20x", kind, 1, tty, b"", user, host, 0, 0, 0, 1795421730, 0, b"")

    (machine / "run").mkdir()
    (machine / "run/utmp").write_bytes(
        entry(2, b"~", b"reboot", b"6.1") + entry(7, b"pts/0", b"alice", b"192.0.2.7") + entry(7, b"tty1", b"bob", b"")
    )
    (tools / "who").symlink_to("/usr/bin/who")
    found = ok(run("users.py", root=machine, path=str(tools)))
    assert found["login_sessions"] == 2
    assert {name for name in found if name.startswith("login_info")} == {
        'login_info{user="alice",tty="pts/0",from="192.0.2.7",since="1795421700"}',
        'login_info{user="bob",tty="tty1",from="tty1",since="1795421700"}',
    }


def test_p21_without_logind_who_is_asked_and_without_utmp_nobody(machine, tools):
    stub(
        tools,
        "who",
        "printf 'alice    pts/0        2026-11-23 08:15 (192.0.2.7)\\nbob      tty1         2026-11-23 08:15\\n'",
    )
    assert "no utmp" in unavailable(run("users.py", root=machine, path=str(tools)))
    (machine / "run").mkdir()
    (machine / "run/utmp").touch()
    assert ok(run("users.py", root=machine, path=str(tools))) == {
        "users_logged_in": 2,
        "login_sessions": 2,
        'login_info{user="alice",tty="pts/0",from="192.0.2.7",since="1795421700"}': 1,
        'login_info{user="bob",tty="tty1",from="tty1",since="1795421700"}': 1,
    }


@pytest.mark.parametrize(
    ("tool", "script"),
    [
        ("loginctl", "echo '<html>not what you asked</html>'"),
        ("loginctl", "case $1 in list-sessions) echo c1 ;; *) echo 'Usage: loginctl' ;; esac"),
        ("loginctl", "case $1 in list-sessions) echo c1 ;; *) echo Name=alice ;; esac"),
        (
            "loginctl",
            "case $1 in list-sessions) echo c1 ;; *) printf 'Name=a\\nClass=user\\nTimestamp=some day\\n' ;; esac",
        ),
        ("who", "echo 'who: nobody knows'"),
    ],
)
def test_p22_an_answer_of_another_form_is_refused(machine, tools, tool, script):
    (machine / "run/systemd/system").mkdir(parents=True)
    (machine / "run/utmp").touch()
    stub(tools, "loginctl", "exit 1")
    stub(tools, tool, script)
    refused(run("users.py", root=machine, path=str(tools)))
