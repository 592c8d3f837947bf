"""The weekly digest, the mails' commands, and the mail that cannot be recorded."""

import os
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from alerts import digest, outbox, urgent
from alerts.words import Words
from archive import clock, database, events, week
from archive import outbox as rows
from archive.settings import Settings
from tests.alerts import post
from tests.alerts.post import NOW
from tests.alerts.smtp_server import Inbox, authority, certificate, closed_port, server
from web.commands import digest as digest_command
from web.commands import mail_test, mails

PARIS = Words("fr", "Europe/Paris")
MONDAY = 1_795_413_600  # 2026-11-23 07:00 in Paris
WEEK = 7 * 86_400


@pytest.fixture
def data(tmp_path: Path) -> Path:
    made = post.make_archive(tmp_path / "data")
    post.fill(made, post.filling())
    with post.writing(made) as db:
        db.execute("DELETE FROM setting WHERE name='digest'")
    return made


def test_it_is_due_on_monday_at_seven_by_the_machines_clock() -> None:
    assert digest.monday(NOW, PARIS) == MONDAY
    assert digest.monday(MONDAY - 1, PARIS) == MONDAY
    assert digest.monday(MONDAY, PARIS) == MONDAY + WEEK
    # Over the change of clocks: 07:00 stays 07:00 (27 March 2027, the last Saturday of winter time).
    assert PARIS.clock(digest.monday(1_806_140_000, PARIS)) == "07:00"


def run(data: Path, port: int, now: int) -> outbox.Sent:
    return outbox.run(post.settings(data, smtp_port=str(port)), now)


def test_it_is_planned_at_first_then_sent_once_a_week(data: Path) -> None:
    with server() as (port, inbox):
        assert run(data, port, NOW).accepted == 0
        assert run(data, port, MONDAY - 60).accepted == 0
        assert run(data, port, MONDAY).accepted == 1
        assert run(data, port, MONDAY + 60).accepted == 0
        assert run(data, port, MONDAY + 2 * WEEK + 5 * 3600).accepted == 1  # the machine was off: one, not two
        assert run(data, port, MONDAY + 2 * WEEK + 6 * 3600).accepted == 0
    assert inbox.subjects == ["[srv-web-01] La semaine\u00a0: rien à signaler"] * 2


def test_it_is_due_for_the_cycle_to_start_the_sender(data: Path) -> None:
    with server() as (port, _):
        run(data, port, NOW)
    with database.reader(str(data)) as db:
        assert not rows.due(db, MONDAY - 60)
        assert rows.due(db, MONDAY)
        assert rows.due(db, NOW - 30 * 86_400)  # planned by a clock that ran ahead


def test_without_recipients_or_switched_off_none_is_owed(data: Path) -> None:
    outbox.run(post.settings(data, mail_to=""), NOW)
    outbox.run(post.settings(data, mail_to=""), MONDAY + 60)
    with post.writing(data) as db:
        db.execute("INSERT INTO setting VALUES ('digest', 'off', 0, '')")
    with server() as (port, _):
        run(data, port, MONDAY + WEEK + 60)
    assert post.ledger(data) == []


def ready(data: Path, now: int = NOW + 3600, **given: str) -> digest.Ready:
    config: Settings = post.settings(data, **given)
    with database.reader(str(data)) as db:
        return digest.make(db, config, Words(config.language, config.timezone), now)


def test_it_says_what_the_week_was(data: Path) -> None:
    with post.writing(data) as db:
        post.incident(db, since=NOW - 5000, ended=NOW - 600, state="resolved")
        post.incident(db, labels='{"mount":"/srv"}', level="warning")
        events.add(db, 1, NOW - 7200, "backup", "vigie-1.db", "100")
        events.add(db, 1, NOW - 9000, "boot", "", "")
        for number, (kind, verdict) in enumerate((("alerte", "affected"), ("avis", "not_affected"))):
            db.execute(
                "INSERT INTO advisory (reference, kind, title, status, last_at, url, digest, revision, announced, backlog,"
                " seen_at, again, tries, problem, summary) VALUES (?, ?, ?, 'open', ?, '', '', 1, 1, 0, ?, 0, 0, '', '')",
                (f"CERTFR-2026-{number}", kind, "Faille <b>dans</b> OpenSSL", NOW - 3000, NOW),
            )
            db.execute(
                "INSERT INTO verdict (host, advisory, verdict, package, installed, reason, evidence, decided_at, revision,"
                " dismissed_reason, offered) VALUES (1, ?, ?, 'openssl', '3', '{}', '', ?, 1, '', '')",
                (number + 1, verdict, NOW),
            )
    found = ready(data)
    assert found.subject == "[srv-web-01] La semaine\u00a0: 2 incidents, 1 encore ouvert"
    for said in (
        "1 faite et comparée, la dernière il y a", "1 redémarrage", "tous partis", "Espace disque utilisé · /", "97\u202f%",
        "À ce rythme, plein", "CERTFR-2026-0", "concerne cette machine", "2 publications en tout", "en cours,",
    ):  # fmt: skip
        assert said in found.text, said
    assert "CERTFR-2026-1" not in found.text
    page = BeautifulSoup(found.html, "html.parser")
    assert page.find("b") is None
    assert "Faille <b>dans</b> OpenSSL" in page.get_text()


def test_a_calm_week_says_that_it_was_calm_and_why_it_comes(data: Path) -> None:
    found = ready(data)
    assert "rien à signaler" in found.subject
    assert "même après une semaine calme" in " ".join(found.text.split())
    assert "Nothing else" in ready(data, language="en").text


def test_an_empty_archive_makes_a_digest_all_the_same(tmp_path: Path) -> None:
    empty = post.make_archive(tmp_path / "data")
    assert "nothing to report" in ready(empty, language="en").subject


# --- the commands ----------------------------------------------------------------------------------------------------


@pytest.fixture
def environ(data: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in [name for name in os.environ if name.startswith("VIGIE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("VIGIE_DATA", str(data))
    monkeypatch.setenv("VIGIE_NOW", str(NOW))
    monkeypatch.setenv("VIGIE_LANGUAGE", "en")
    monkeypatch.setenv("VIGIE_MAIL_TO", "a@example.org")
    return monkeypatch


def to_server(environ: pytest.MonkeyPatch, port: int) -> None:
    environ.setenv("VIGIE_SMTP_HOST", "127.0.0.1")
    environ.setenv("VIGIE_SMTP_PORT", str(port))
    environ.setenv("VIGIE_SMTP_SECURITY", "none")


def test_mail_test_sends_a_real_mail_and_prints_the_conversation(
    data: Path, environ: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with server() as (port, inbox):
        to_server(environ, port)
        assert mail_test.run([]) == 0
    out = capsys.readouterr().out
    for said in ("> RCPT TO:<a@example.org>", "< 250 2.0.0 taken as 4711", "ok  a@example.org"):
        assert said in out
    assert len(inbox.mails) == 1
    assert post.states(data) == [("a@example.org", "accepted")]


def test_mail_test_hides_the_password_and_says_what_to_do(
    data: Path, environ: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    authority(tmp_path / "ca")
    with server(tls=certificate(tmp_path / "ca", "127.0.0.1"), auth=True) as (port, _):
        to_server(environ, port)
        environ.setenv("VIGIE_SMTP_SECURITY", "starttls")
        environ.setenv("VIGIE_SMTP_CA_FILE", str(tmp_path / "ca" / "ca.pem"))
        environ.setenv("VIGIE_SMTP_USER", "vigie")
        environ.setenv("VIGIE_SMTP_PASSWORD", "canary-password")
        assert mail_test.run([]) == 1
    said = capsys.readouterr()
    assert "canary" not in said.out + said.err
    assert "AUTH PLAIN (hidden)" in said.out
    assert "check VIGIE_SMTP_USER" in said.err


def test_mail_test_that_works_frees_what_a_refused_log_in_held(data: Path, environ: pytest.MonkeyPatch) -> None:
    with post.writing(data) as db:
        number = rows.add(db, 1, NOW, "incident", "", "<x@y>", "s", "{}")
        rows.queue(db, number, ["a@example.org"], NOW)
        rows.mark(db, number, "a@example.org", "held", NOW + 900, NOW, "", "535")
    with server() as (port, inbox):
        to_server(environ, port)
        assert mail_test.run([]) == 0
        assert run(data, port, NOW).accepted == 1
    assert len(inbox.mails) == 2


def test_mails_lists_the_ledger_and_its_status_says_whether_something_is_wrong(
    data: Path, environ: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert mails.run([]) == 0
    inbox = Inbox()
    inbox.refuse["a@example.org"] = "550 5.1.1 gone \x1b[31m"
    with post.writing(data) as db:
        number = rows.add(db, 1, NOW, "test", "", "<x@y>", "subject \x1b[2J", '{"text": "x"}')
        rows.queue(db, number, ["a@example.org", "b@example.org"], NOW)
        rows.add(db, 1, NOW, "incident", "", "<z@y>", "told to nobody", "{}")
    with server(inbox) as (port, _):
        run(data, port, NOW)
        assert mails.run([]) == 0
        out = capsys.readouterr().out
        assert "\x1b" not in out
        for said in ("550 5.1.1 gone", "taken as 4711", "told to nobody", "b@example.org  "):
            assert said in out
        assert mails.run(["--retry"]) == 0
        inbox.refuse.clear()
        assert run(data, port, NOW).accepted == 1


def test_digest_prints_or_sends(data: Path, environ: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert digest_command.run([]) == 0
    assert "The week: nothing to report" in capsys.readouterr().out
    with server() as (port, inbox):
        to_server(environ, port)
        assert digest_command.run(["--send"]) == 0
    assert len(inbox.mails) == 1


# --- the mail that cannot be recorded --------------------------------------------------------------------------------


def test_m22_a_full_disk_is_mailed_from_memory_once_an_hour(data: Path) -> None:
    os.utime(data / "installed", (NOW - 90_000, NOW - 90_000))
    with server() as (port, inbox):
        config = post.settings(data, smtp_port=str(port))
        assert urgent.tell(config, f"{data}: the disk is full\r\nBcc: x", NOW) == "not recorded; mailed to 1 of 1"
        assert urgent.tell(config, "again", NOW + 60) == ""
        assert urgent.tell(config, "again", NOW + 3600) != ""
    first = inbox.parsed[0]
    part = first.get_body(("plain",))
    assert part is not None
    assert str(first["Subject"]) == "[srv-web-01] CRITIQUE\u00a0: Vigie ne peut plus écrire"
    assert "the disk is full\\x0d\\x0aBcc: x" in part.get_content()
    assert "n’est pas enregistré" in " ".join(part.get_content().split())
    assert post.ledger(data) == []


def test_m22_where_nothing_at_all_may_be_written_it_is_told_at_the_beginning_of_each_hour(data: Path) -> None:
    (data / "installed").unlink()
    with server() as (port, inbox):
        config = post.settings(data, smtp_port=str(port))
        for minute in range(120):
            urgent.tell(config, "read-only", NOW - NOW % 3600 + minute * 60)
    assert len(inbox.mails) == 10


def test_m22_without_a_server_it_says_so_for_the_log(data: Path) -> None:
    os.utime(data / "installed", (0, 0))
    said = urgent.tell(post.settings(data, smtp_port=str(closed_port())), "full", NOW)
    assert said.startswith("not recorded and not mailed")


def test_the_clock_of_the_tests_is_honoured(environ: pytest.MonkeyPatch) -> None:
    assert clock.now() == NOW
    assert week.NEXT == rows.DIGEST_AT
