"""Handing mails to servers that refuse, defer, drip, drop and lie; all of them real, on 127.0.0.1."""

import base64
import ssl
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts import sendmail, smtp
from alerts.outcome import ACCEPTED, LATER, REFUSED, LoginRefused, Outcome, Unreachable
from tests.alerts import post
from tests.alerts.smtp_server import Inbox, Raw, authority, certificate, closed_port, server

MAIL = b"Subject: x\r\nMessage-ID: <1@x>\r\n\r\nbody\r\n"
WHO = ("a@example.org", "b@example.org", "c@example.org")


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("authority")
    authority(folder)
    return folder


def connect(
    tmp_path: Path, port: int, deadline: float = 5.0, log: list[str] | None = None, **given: str
) -> smtp.Conversation:
    settings = post.settings(tmp_path, smtp_port=str(port), **given)
    return smtp.connect(settings, log.append if log is not None else None, deadline)


def send(
    tmp_path: Path, port: int, who: Sequence[str] = WHO, message: bytes = MAIL, deadline: float = 5.0
) -> list[Outcome]:
    talk = connect(tmp_path, port, deadline)
    try:
        return talk.send("vigie@example.org", who, message)
    finally:
        talk.close()


def states(outcomes: list[Outcome]) -> list[str]:
    return [outcome.state for outcome in outcomes]


def test_a_server_that_takes_the_mail_is_quoted_word_for_word(tmp_path: Path) -> None:
    with server() as (port, inbox):
        outcomes = send(tmp_path, port)
    assert states(outcomes) == [ACCEPTED] * 3
    assert outcomes[0].reply == "250 2.0.0 taken as 4711"
    assert inbox.mails == [(list(WHO), MAIL)]


def test_m01_a_closed_port_is_unreachable_in_words(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="no connection: Connection refused"):
        connect(tmp_path, closed_port())


def test_m01_a_name_that_does_not_exist_is_unreachable(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match=r"no\.such\.name\.invalid"):
        connect(tmp_path, 25, smtp_host="no.such.name.invalid", smtp_security="relay")


@pytest.mark.parametrize(
    "mood", [Raw.silent, Raw.drip, Raw.drip_after_greeting], ids=["M02 silent", "M03 drip", "M03 later"]
)
def test_m02_m03_a_silent_or_dripping_server_costs_the_deadline_and_no_more(tmp_path: Path, mood: object) -> None:
    with Raw(mood) as raw:  # type: ignore[arg-type]
        start = time.monotonic()
        with pytest.raises(Unreachable, match=r"took too long|said nothing"):
            connect(tmp_path, raw.port, deadline=0.8)
        assert time.monotonic() - start < 2.5


def test_m03_a_server_that_drips_after_data_costs_the_deadline_and_no_more(tmp_path: Path) -> None:
    def talk(connection: object) -> None:
        Raw.until_data(connection)  # type: ignore[arg-type]
        Raw.drip(connection)  # type: ignore[arg-type]

    with Raw(talk) as raw:
        start = time.monotonic()
        outcomes = send(tmp_path, raw.port, deadline=0.8)
        assert time.monotonic() - start < 2.5
    assert states(outcomes) == [LATER] * 3
    assert "took too long" in outcomes[0].reply


@pytest.mark.parametrize("mood", [Raw.endless_line, Raw.endless_lines], ids=["one line", "many lines"])
def test_m04_an_endless_greeting_is_cut(tmp_path: Path, mood: object) -> None:
    with Raw(mood) as raw:  # type: ignore[arg-type]
        start = time.monotonic()
        with pytest.raises(Unreachable, match="no end"):
            connect(tmp_path, raw.port)
        assert time.monotonic() - start < 2


def test_what_is_no_mail_server_is_named(tmp_path: Path) -> None:
    with (
        Raw(lambda connection: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as raw,
        pytest.raises(Unreachable, match="not the reply of a mail server"),
    ):
        connect(tmp_path, raw.port)


def test_m05_a_drop_in_the_middle_of_data_is_tried_again(tmp_path: Path) -> None:
    with Raw(Raw.drop_in_data) as raw:
        outcomes = send(tmp_path, raw.port, message=MAIL + b"x" * 5_000_000)
    assert states(outcomes) == [LATER] * 3


def test_m06_a_drop_after_the_final_dot_is_tried_again_and_says_that_it_may_arrive_twice(tmp_path: Path) -> None:
    with Raw(Raw.drop_after_dot) as raw:
        outcomes = send(tmp_path, raw.port)
    assert states(outcomes) == [LATER] * 3
    assert "may arrive twice" in outcomes[0].reply


def test_m07_one_of_three_refused_keeps_the_servers_words(tmp_path: Path) -> None:
    inbox = Inbox()
    inbox.refuse["b@example.org"] = "550 5.1.1 no such user here"
    with server(inbox) as (port, _):
        outcomes = send(tmp_path, port)
    assert states(outcomes) == [ACCEPTED, REFUSED, ACCEPTED]
    assert outcomes[1].reply == "550 5.1.1 no such user here"
    assert inbox.mails[0][0] == ["a@example.org", "c@example.org"]


def test_m08_a_greylisted_recipient_is_put_off_and_the_others_are_not(tmp_path: Path) -> None:
    inbox = Inbox()
    inbox.refuse["b@example.org"] = "451 4.7.1 greylisted, come back"
    with server(inbox) as (port, _):
        outcomes = send(tmp_path, port)
    assert states(outcomes) == [ACCEPTED, LATER, ACCEPTED]


def test_too_many_recipients_by_an_old_code_is_not_for_good(tmp_path: Path) -> None:
    inbox = Inbox()
    inbox.refuse["c@example.org"] = "552 too many recipients"
    with server(inbox) as (port, _):
        outcomes = send(tmp_path, port)
    assert states(outcomes) == [ACCEPTED, ACCEPTED, LATER]
    assert outcomes[2].reply == "552 too many recipients"


@pytest.mark.parametrize("where", ["mail", "rcpt", "data"])
def test_m09_all_refused_and_the_conversation_goes_on(tmp_path: Path, where: str) -> None:
    inbox = Inbox()
    if where == "mail":
        inbox.mail_reply = "550 sender not known"
    elif where == "rcpt":
        inbox.refuse = dict.fromkeys(WHO, "550 no")
    else:
        inbox.data_reply = "554 looks like spam"
    with server(inbox) as (port, _):
        talk = connect(tmp_path, port)
        assert states(talk.send("v@example.org", WHO, MAIL)) == [REFUSED] * 3
        inbox.mail_reply = inbox.data_reply = ""
        inbox.refuse = {}
        assert states(talk.send("v@example.org", WHO, MAIL)) == [ACCEPTED] * 3
        talk.close()


def test_a_server_that_closes_for_the_night_puts_everything_off(tmp_path: Path) -> None:
    inbox = Inbox()
    inbox.refuse["b@example.org"] = "421 shutting down"
    with server(inbox) as (port, _):
        talk = connect(tmp_path, port)
        assert states(talk.send("v@example.org", WHO, MAIL)) == [LATER] * 3
        assert not talk.alive
        talk.close()


def test_m10_without_starttls_nothing_is_sent_and_no_password_said(tmp_path: Path) -> None:
    log: list[str] = []
    with server() as (port, inbox), pytest.raises(Unreachable, match="does not offer STARTTLS"):
        connect(tmp_path, port, log=log, smtp_security="starttls", smtp_user="u", smtp_password="canary")
    assert inbox.mails == []
    assert not any("canary" in line or "AUTH" in line for line in log)


def test_starttls_and_tls_with_the_right_authority_deliver(tmp_path: Path, ca: Path) -> None:
    context = certificate(ca, "127.0.0.1")
    log: list[str] = []
    with server(tls=context, auth=True) as (port, inbox):
        talk = connect(tmp_path, port, log=log, smtp_security="starttls", smtp_ca_file=str(ca / "ca.pem"),
                       smtp_user="vigie", smtp_password="s3cret-wörd")  # fmt: skip
        assert states(talk.send("v@example.org", WHO, MAIL)) == [ACCEPTED] * 3
        talk.close()
    assert inbox.logins == [("vigie", "s3cret-wörd")]
    secret = base64.b64encode("\0vigie\0s3cret-wörd".encode()).decode()
    assert not any("s3cret" in line or secret in line for line in log)
    assert any("AUTH PLAIN (hidden)" in line for line in log)


def test_tls_from_the_first_byte_delivers(tmp_path: Path, ca: Path) -> None:
    context = certificate(ca, "127.0.0.1")

    def talk(connection: object) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:  # type: ignore[arg-type]
            Raw.drop_after_dot(secure)

    with Raw(talk) as raw:
        one = connect(tmp_path, raw.port, smtp_security="tls", smtp_ca_file=str(ca / "ca.pem"))
        assert states(one.send("v@example.org", WHO, MAIL)) == [LATER] * 3
        one.close()


@pytest.mark.parametrize(
    ("name", "days", "signed", "words"),
    [
        ("127.0.0.1", -5, True, "expired"),
        ("other.example.org", 30, True, "VIGIE_SMTP_HOST must be the name"),
        ("127.0.0.1", 30, False, "VIGIE_SMTP_CA_FILE"),
    ],
    ids=["expired", "wrong name", "self-signed"],
)
def test_m11_a_certificate_that_is_not_trusted_is_refused(
    tmp_path: Path, ca: Path, name: str, days: int, signed: bool, words: str
) -> None:
    log: list[str] = []
    given = {"smtp_ca_file": str(ca / "ca.pem")} if signed else {}
    given |= {"smtp_security": "starttls", "smtp_user": "u", "smtp_password": "canary"}
    context = certificate(ca, name, days=days, signed=signed)
    with server(tls=context, auth=True) as (port, inbox), pytest.raises(Unreachable, match=words):
        connect(tmp_path, port, log=log, **given)
    assert inbox.logins == []
    assert not any("AUTH" in line for line in log)


def test_m11_there_is_no_way_to_switch_verification_off() -> None:
    source = Path(smtp.__file__).read_text()
    assert "CERT_NONE" not in source
    assert "_create_unverified" not in source
    assert "check_hostname = False" not in source


def test_m12_a_wrong_password_is_one_try_and_a_clear_text(tmp_path: Path, ca: Path) -> None:
    given = {
        "smtp_security": "starttls",
        "smtp_ca_file": str(ca / "ca.pem"),
        "smtp_user": "vigie",
        "smtp_password": "wrong",
    }
    with (
        server(tls=certificate(ca, "127.0.0.1"), auth=True) as (port, inbox),
        pytest.raises(LoginRefused, match=r"log-in of vigie was refused: 535.*VIGIE_SMTP_USER"),
    ):
        connect(tmp_path, port, **given)
    assert inbox.logins == [("vigie", "wrong")]


def test_m12_a_server_without_log_in_is_named(tmp_path: Path, ca: Path) -> None:
    given = {
        "smtp_security": "starttls",
        "smtp_ca_file": str(ca / "ca.pem"),
        "smtp_user": "vigie",
        "smtp_password": "x",
    }
    with (
        server(tls=certificate(ca, "127.0.0.1"), auth_exclude_mechanism=["PLAIN", "LOGIN"]) as (port, _),
        pytest.raises(LoginRefused, match="offers no log-in"),
    ):
        connect(tmp_path, port, **given)


def test_log_in_by_the_mechanism_login(tmp_path: Path, ca: Path) -> None:
    with server(tls=certificate(ca, "127.0.0.1"), auth=True, auth_exclude_mechanism=["PLAIN"]) as (port, inbox):
        connect(tmp_path, port, smtp_security="starttls", smtp_ca_file=str(ca / "ca.pem"), smtp_user="vigie",
                smtp_password="s3cret-wörd").close()  # fmt: skip
    assert inbox.logins == [("vigie", "s3cret-wörd")]


@pytest.mark.parametrize(
    "bad",
    [
        "a@b, c@d",
        "a@b\nBcc: x@y",
        '"x" <a@b>',
        "a@b>\r\nRCPT TO:<x@y",
        "a b@c",
        "@b",
        "a@",
        "a@b@c",
        "a\0@b",
        "x" * 300 + "@b",
    ],
)
def test_m18_what_is_not_one_address_is_refused_alone_and_never_reaches_the_server(tmp_path: Path, bad: str) -> None:
    with server() as (port, inbox):
        outcomes = send(tmp_path, port, (bad, "a@example.org"))
    assert states(outcomes) == [REFUSED, ACCEPTED]
    assert [who for who, _ in inbox.mails] == [["a@example.org"]]


def test_m18_a_domain_outside_ascii_goes_as_punycode(tmp_path: Path) -> None:
    with server() as (port, inbox):
        outcomes = send(tmp_path, port, ("a@exämple.org",))
    assert states(outcomes) == [ACCEPTED]
    assert inbox.mails[0][0] == ["a@xn--exmple-cua.org"]


def test_m18_a_name_outside_ascii_needs_a_server_that_takes_it(tmp_path: Path) -> None:
    with server() as (port, _):
        assert states(send(tmp_path, port, ("é@example.org",))) == [REFUSED]
    with server(enable_SMTPUTF8=True) as (port, inbox):
        assert states(send(tmp_path, port, ("é@example.org",))) == [ACCEPTED]
    assert inbox.mails[0][0] == ["é@example.org"]


@pytest.mark.parametrize(
    "body",
    [b".\r\n..\r\n.x\r\n", b"\n.\nend", b"x" * 900 + b"\r\n", b"\r\n\r\n.\r\n", "é€".encode() + b"\r\n"],
)
def test_m19_dots_and_line_ends_arrive_as_they_were(tmp_path: Path, body: bytes) -> None:
    with server(decode_data=False) as (port, inbox):
        assert states(send(tmp_path, port, message=b"Subject: x\r\n\r\n" + body)) == [ACCEPTED] * 3
    wanted = b"Subject: x\r\n\r\n" + body.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    assert inbox.mails[0][1].rstrip(b"\r\n") == wanted.rstrip(b"\r\n")


@given(st.text(max_size=80))
def test_an_envelope_address_is_one_address_or_an_error(text: str) -> None:
    try:
        found = smtp.envelope(text)
    except ValueError:
        return
    assert found.count("@") == 1
    assert not any(c in found for c in "\r\n <>,;\0")


@pytest.mark.parametrize(
    ("status", "state"), [(0, ACCEPTED), (75, LATER), (67, REFUSED), (1, LATER)], ids=["0", "75", "67", "1"]
)
def test_sendmail_is_run_with_a_list_of_words_and_believed_by_its_status(
    tmp_path: Path, status: int, state: str
) -> None:
    program = tmp_path / "sendmail"
    program.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$@" >{tmp_path}/argv\ncat >{tmp_path}/mail\necho said; exit {status}\n'
    )
    program.chmod(0o700)
    assert sendmail.find([str(tmp_path / "none"), str(program)]) == str(program)
    (outcome,) = sendmail.Sendmail(str(program)).send("v@example.org", ["-oops@example.org"], MAIL)
    assert (outcome.state, "said" in outcome.reply) == (state, True)
    assert (tmp_path / "argv").read_text().split() == ["-i", "-f", "v@example.org", "--", "-oops@example.org"]
    assert (tmp_path / "mail").read_bytes() == MAIL


def test_a_hanging_sendmail_is_ended_with_its_children(tmp_path: Path) -> None:
    program = tmp_path / "sendmail"
    program.write_text("#!/bin/sh\nsleep 60 & wait\n")
    program.chmod(0o700)
    start = time.monotonic()
    (outcome,) = sendmail.Sendmail(str(program), deadline=0.5).send("v@x", ["a@x"], MAIL)
    assert outcome.state == LATER
    assert time.monotonic() - start < 5


def test_a_password_is_in_no_traceback(tmp_path: Path) -> None:
    """No secret in what Python prints when something unforeseen happens."""
    code = (
        "from archive.settings import load\n"
        "s = load({'VIGIE_SMTP_HOST': 'x', 'VIGIE_SMTP_USER': 'u', 'VIGIE_SMTP_PASSWORD': 'canary'})\n"
        "print(s, repr(s), [s]); raise RuntimeError(s)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=Path(smtp.__file__).parents[1]
    )
    assert "canary" not in done.stdout + done.stderr


def test_tls_versions_are_modern() -> None:
    assert ssl.create_default_context().minimum_version >= ssl.TLSVersion.TLSv1_2
