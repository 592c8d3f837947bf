"""The opt-in mail to the person whose doing it is: to whom, what it says, how often, and whom it never names."""

import json
import os
import subprocess
import sys
from email.message import EmailMessage
from pathlib import Path

import pytest

from alerts import evidence as seen
from alerts import outbox, person
from alerts.evidence import Evidence
from alerts.growth import Growth
from archive import database, evidence, incidents, load, persons
from archive.incidents import Incident
from archive.persons import Account, Rule
from tests.alerts import post
from tests.alerts.post import NOW
from tests.alerts.smtp_server import server
from tests.cycles import ROOT

ACCOUNTS = {"alice": Account("alice", "/home/alice"), "bob": Account("bob", "/home/bob")}
RULE = Rule(True, "lab.example", "help@lab.example", (("bob", ""),))
PASSWD = (
    'account_info{user="alice",uid="1000",home="/home/alice",shell="/bin/bash"} 1\n'
    'account_info{user="bob",uid="1001",home="/home/bob",shell="/bin/bash"} 1\n'
    'account_info{user="root",uid="0",home="/root",shell="/bin/bash"} 1\n'
    'account_info{user="nobody",uid="65534",home="/",shell="/bin/sh"} 1\n'
    'account_info{user="svc",uid="999",home="/srv/svc",shell="/bin/sh"} 1\n'
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    data = post.make_archive(tmp_path / "data")
    with database.writer(str(data)) as db:
        body = f"# VIGIE probe=accounts status=ok seconds=0.010\n# HELP account_info who\n{PASSWD}"
        mark = f"# VIGIE lines={body.count(chr(10))} bytes={len(body)} cycle={NOW - 60} boot=b uptime=100"
        (data / "spool" / f"{NOW - 60}.prom").write_text(f"{body}{mark}\n")
        load.load(str(data), db, NOW)
    return data


def switch_on(data: Path, rule: Rule = RULE) -> None:
    with post.writing(data) as db:
        persons.save(db, rule, "admin", NOW)


def an_incident(data: Path, user: str = "alice", **given: object) -> int:
    with post.writing(data) as db:
        number = post.incident(
            db,
            **{
                "metric": "user_cpu_seconds_total",
                "labels": json.dumps({"user": user}),
                "level": "warning",
                "value": 1.4,
                **given,
            },  # type: ignore[arg-type]
        )
        evidence.add(db, number, NOW - 20, "opened", post.evidence_body())
    return number


def owe(data: Path, number: int, now: int = NOW, **given: str) -> list[str]:
    return person.owe(post.settings(data, **given), [number], now)


def sent(data: Path, now: int = NOW) -> EmailMessage:
    with server() as (port, inbox):
        outbox.run(post.settings(data, smtp_port=str(port)), now)
    assert len(inbox.mails) == 1
    assert inbox.mails[0][0] == ["alice@lab.example"]
    return inbox.parsed[0]


def test_never_by_default(data: Path) -> None:
    assert owe(data, an_incident(data)) == []
    assert post.ledger(data) == []


def test_the_person_gets_one_mail_in_both_languages_that_names_nobody_else(data: Path) -> None:
    switch_on(data)
    assert owe(data, an_incident(data)) == ["alice"]
    mail = sent(data)
    assert str(mail["To"]) == "alice@lab.example"
    assert str(mail["Reply-To"]) == "help@lab.example"
    assert str(mail["Auto-Submitted"]) == "auto-generated"
    assert str(mail["Subject"]) == "[srv-web-01] Vos programmes occupent 140\u202f% d’un cœur"
    for kind in ("plain", "html"):
        part = mail.get_body((kind,))
        assert part is not None
        text = " ".join(part.get_content().split())
        for words in ("Bonjour alice,", "Hello alice,", "top -u alice", "rsync", "4312", "help@lab.example"):
            assert words in text, words
        for other in ("bob", "postgres", "java", "tomcat", "10.20.0.14", "/var/log"):
            assert other not in text, f"{other} is somebody else's"
        assert text.index("Bonjour") < text.index("Hello")


def test_at_most_one_a_day_whatever_it_is_about(data: Path) -> None:
    switch_on(data)
    assert owe(data, an_incident(data)) == ["alice"]
    other = an_incident(data, metric="user_memory_ratio", value=0.6)
    assert owe(data, other, NOW + 3600) == []
    assert owe(data, other, NOW + 86_399) == []
    assert owe(data, other, NOW + 86_400) == ["alice"]


@pytest.mark.parametrize("user", ["bob", "root", "svc", "nobody", "stranger", ""])
def test_who_is_excepted_or_no_real_person_is_not_written_to(data: Path, user: str) -> None:
    switch_on(data)
    assert owe(data, an_incident(data, user)) == []


@pytest.mark.parametrize("users", ["pseudonyms", "off"])
def test_where_names_are_hidden_nobody_is_written_to(data: Path, users: str) -> None:
    switch_on(data)
    assert owe(data, an_incident(data), users=users) == []


@pytest.mark.parametrize("state", ["pending", "eased", "resolved"])
def test_only_an_open_incident_is_told(data: Path, state: str) -> None:
    switch_on(data)
    assert owe(data, an_incident(data, state=state, ended=NOW if state == "resolved" else None)) == []


def test_what_is_held_back_or_postponed_is_not_told(data: Path) -> None:
    switch_on(data)
    number = an_incident(data)
    with post.writing(data) as db:
        incidents.add_transition(db, number, NOW, "postponed", "warning", 1.4, "waiting")
    assert owe(data, number) == []
    held = an_incident(data, metric="user_memory_ratio", value=0.6)
    with post.writing(data) as db:
        db.execute("UPDATE incident SET cause=? WHERE id=?", (number, held))
    assert owe(data, held) == []


def test_without_a_contact_the_first_recipient_is_named(data: Path) -> None:
    switch_on(data, RULE._replace(contact=""))
    owe(data, an_incident(data))
    mail = sent(data)
    assert str(mail["Reply-To"]) == "a@example.org"


def test_hostile_names_and_paths_are_data(data: Path) -> None:
    evil = "<b>x</b>{{7*7}}\r\nBcc: z"
    found = person.Burden(
        Account("alice", "/home/alice; rm -rf /"), "disk", 5e9, NOW - 60, evil, grown=(Growth(f"/home/{evil}", 10, 0),)
    )
    subject, text, html = person.compose(found, evil, "", post.settings(data), NOW)
    assert "\n" not in subject
    assert "<b>" not in html
    assert "{{7*7}}" in text
    assert "49" not in text.split("Pour regarder")[0]
    assert "'/home/alice; rm -rf /'" in text


# --- whose doing it is ------------------------------------------------------------------------------------------------


def row(metric: str, labels: str = "{}", kind: str = "threshold", value: float = 0.97) -> Incident:
    return Incident(
        1, 1, kind, metric, labels, None, "open", "warning", NOW - 3600, None, NOW, None, None, "", NOW, value, value, NOW,
        0, None, "", None, None, "", "",
    )  # fmt: skip


def totals(**cores: float) -> Evidence:
    made = [
        {"user": user, "processes": 1, "cores": value, "memory": 1, "read": None, "written": None}
        for user, value in cores.items()
    ]
    return seen.from_json(json.dumps({"users": made}))


def grew(*paths: tuple[str, float]) -> Evidence:
    return Evidence(grown=tuple(Growth(path, int(size), NOW) for path, size in paths), grown_since=NOW - 80_000)


ROOT_DISK = '{"mount":"/"}'


@pytest.mark.parametrize(
    ("incident", "found", "user", "kind"),
    [
        (row("user_cpu_seconds_total", '{"user":"alice"}', value=1.4), Evidence(), "alice", "cpu"),
        (row("user_memory_ratio", '{"user":"bob"}'), Evidence(), "bob", "memory"),
        (row("user_home_bytes", '{"user":"bob"}', value=9e10), Evidence(), "bob", "home"),
        (row("cpu_busy_seconds_total"), totals(alice=3.1, bob=0.4, root=0.2), "alice", "cpu"),
        (row("cpu_busy_seconds_total"), totals(alice=1.0, bob=0.9, root=0.9), "", ""),
        (row("cpu_busy_seconds_total"), totals(root=3.1, alice=0.6), "", ""),
        (row("cpu_busy_seconds_total"), totals(alice=0.1), "", ""),
        (row("cpu_busy_seconds_total"), Evidence(), "", ""),
        (row("disk_used_ratio", ROOT_DISK), grew(("/home/alice", 4e10), ("/var/log", 2e9)), "alice", "disk"),
        (row("disk_used_ratio", ROOT_DISK, "forecast"), grew(("/home/alice/data", 4e10)), "alice", "disk"),
        (row("disk_used_ratio", ROOT_DISK), grew(("/home/alice", 4e9), ("/var/log", 2e10)), "", ""),
        (row("disk_used_ratio", ROOT_DISK), grew(("/home/alice", 9e7)), "", ""),
        (row("disk_used_ratio", ROOT_DISK), grew(("/home/alicebis", 4e10)), "", ""),
        (row("disk_used_ratio", ROOT_DISK), Evidence(), "", ""),
        (row("memory_available_ratio"), totals(alice=3.0), "", ""),
        (row("user_cpu_seconds_total", "not json"), Evidence(), "", ""),
        (row("smart", kind="silent"), Evidence(), "", ""),
    ],
)  # fmt: skip
def test_whose_doing_it_is(incident: Incident, found: Evidence, user: str, kind: str) -> None:
    burden = person.burden(incident, found, ACCOUNTS)
    assert (burden.account.user if burden else "", burden.kind if burden else "") == (user, kind)


def test_a_home_that_is_the_root_is_nobodys() -> None:
    everyone = {"alice": Account("alice", "/"), "bob": Account("bob", "/home")}
    assert person.burden(row("disk_used_ratio", ROOT_DISK), grew(("/home/x", 4e10)), everyone) is None


def test_the_step_that_takes_evidence_owes_it(data: Path) -> None:
    """The real step as run_all.sh starts it."""
    switch_on(data)
    number = an_incident(data)
    environ = {
        "VIGIE_DATA": str(data),
        "VIGIE_NOW": str(NOW),
        "VIGIE_MAIL_TO": "a@example.org",
        "PATH": os.environ["PATH"],
    }
    done = subprocess.run(
        [sys.executable, "-m", "alerts.evidence", "--incident", str(number)], cwd=ROOT, env=environ, check=False,
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert post.states(data) == [("alice@lab.example", "queued")]
