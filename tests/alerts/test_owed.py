"""What is owed to whom: rows written within the cycle's own transaction."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts import outbox as sender
from alerts import owed
from archive import database, outbox
from archive.recipients import Recipient
from tests.alerts import post
from tests.alerts.post import NOW
from tests.alerts.smtp_server import server

URL = "http://localhost:5000"
BOTH = ("a@example.org", "b@example.org")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return post.make_archive(tmp_path / "data")


def owe(data: Path, transitions: list[int], recipients: tuple[str, ...] = BOTH, now: int = NOW) -> None:
    with post.writing(data) as db:
        owed.owe(db, 1, transitions, post.people(*recipients), URL, now)


def opened(data: Path, **given: object) -> tuple[int, int]:
    with post.writing(data) as db:
        number = post.incident(db, **given)  # type: ignore[arg-type]
        return number, post.transition(db, number)


def then(data: Path, incident: int, kind: str, value: float = 0.84) -> int:
    with post.writing(data) as db:
        return post.transition(db, incident, kind, NOW + 600, value)


def accept(data: Path, recipient: str, state: str = "accepted") -> None:
    with post.writing(data) as db:
        db.execute("UPDATE delivery SET state=?, done_at=? WHERE recipient=?", (state, NOW, recipient))


def test_several_transitions_of_one_cycle_are_one_mail(data: Path) -> None:
    first, second = opened(data), opened(data, labels='{"mount":"/srv"}')
    owe(data, [first[1], second[1]])
    (entry,) = post.ledger(data)
    assert entry.incidents == (first[0], second[0])
    assert post.states(data) == [("a@example.org", "queued"), ("b@example.org", "queued")]


def test_no_transition_is_no_mail(data: Path) -> None:
    owe(data, [])
    owe(data, [99])
    assert post.ledger(data) == []


def test_without_recipients_the_mail_is_kept_without_a_delivery(data: Path) -> None:
    _, transition = opened(data)
    owe(data, [transition], ())
    (entry,) = post.ledger(data)
    assert entry.deliveries == ()
    with database.reader(str(data)) as db:
        assert outbox.oldest_unsent(db) is None


def test_the_recovery_goes_to_those_who_accepted_the_opening_and_to_nobody_else(data: Path) -> None:
    incident, transition = opened(data)
    owe(data, [transition])
    accept(data, "a@example.org")
    accept(data, "b@example.org", "refused")
    owe(data, [then(data, incident, "resolved")])
    recovery = post.ledger(data)[0]
    assert [(one.recipient, one.state) for one in recovery.deliveries] == [
        ("a@example.org", "queued"),
        ("b@example.org", "dropped"),
    ]
    assert recovery.deliveries[1].reply == owed.NEVER_TOLD


def test_someone_taken_off_the_list_still_gets_the_recovery_and_someone_new_does_not(data: Path) -> None:
    incident, transition = opened(data)
    owe(data, [transition], ("old@example.org",))
    accept(data, "old@example.org")
    owe(data, [then(data, incident, "gone")], ("new@example.org",))
    assert [(one.recipient, one.state) for one in post.ledger(data)[0].deliveries] == [
        ("new@example.org", "dropped"),
        ("old@example.org", "queued"),
    ]


def test_what_opens_and_ends_in_one_cycle_is_one_mail_for_everybody(data: Path) -> None:
    incident, transition = opened(data, kind="silent", metric="", labels="{}")
    owe(data, [transition, then(data, incident, "resolved")])
    (entry,) = post.ledger(data)
    assert [one.state for one in entry.deliveries] == ["queued", "queued"]


def test_recipients_who_hear_different_things_get_different_mails(data: Path) -> None:
    incident, transition = opened(data)
    owe(data, [transition], ("a@example.org",))
    accept(data, "a@example.org")
    _, other = opened(data, labels='{"mount":"/srv"}')
    owe(data, [then(data, incident, "resolved"), other])
    mails = post.ledger(data)
    assert [[one.recipient for one in mail.deliveries] for mail in mails[:2]] == [["b@example.org"], ["a@example.org"]]
    assert [len(mail.incidents) for mail in mails[:2]] == [1, 2]


def test_one_thread_per_incident(data: Path) -> None:
    incident, transition = opened(data)
    owe(data, [transition])
    accept(data, "a@example.org")
    owe(data, [then(data, incident, "escalated")])
    owe(data, [then(data, incident, "resolved")])
    last, middle, first = post.ledger(data)
    assert first.notification.thread == first.notification.message_id
    assert middle.notification.thread == last.notification.thread == first.notification.message_id
    with database.reader(str(data)) as db:
        assert outbox.references(db, first.notification) == []
        assert outbox.references(db, last.notification) == [first.notification.message_id]


def test_message_ids_are_valid_whatever_the_machine_is_called(data: Path) -> None:
    with post.writing(data) as db:
        db.execute("UPDATE host SET name=?", ("hôte\r\nBcc: x@y <évil>",))
    _, transition = opened(data)
    owe(data, [transition])
    (entry,) = post.ledger(data)
    assert entry.notification.message_id.isascii()
    assert entry.notification.message_id.endswith("@htebccxyvil>")


def test_the_crisis_and_its_mail_are_one_transaction(data: Path) -> None:
    """M13: what is rolled back owes nothing; what is committed is owed."""

    def killed() -> None:
        with post.writing(data) as db:
            number = post.incident(db)
            owed.owe(db, 1, [post.transition(db, number)], post.people(*BOTH), URL, NOW)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        killed()
    assert post.ledger(data) == []
    with database.reader(str(data)) as db:
        assert db.execute("SELECT count(*) FROM incident").fetchone() == (0,)


def test_the_path_of_every_minute_stays_light() -> None:
    import subprocess
    import sys

    code = "import sys; sys.path.insert(0, '.'); import alerts.owed; print('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    heavy = {
        "jinja2",
        "smtplib",
        "ssl",
        "email",
        "logging",
        "dataclasses",
        "pathlib",
        "argparse",
        "subprocess",
        "babel",
    }
    assert not heavy & set(done.stdout.split())


@settings(deadline=None, max_examples=20)
@given(
    accepted=st.sets(st.sampled_from(["a@x", "b@x", "c@x"])),
    queued=st.sets(st.sampled_from(["a@x", "b@x", "c@x"])),
    now=st.sets(st.sampled_from(["a@x", "b@x", "c@x", "d@x"])),
)
def test_nobody_hears_an_end_without_a_beginning(accepted: set[str], queued: set[str], now: set[str]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        data = post.make_archive(Path(folder) / "data")
        incident, transition = opened(data)
        owe(data, [transition], ("a@x", "b@x", "c@x"))
        for who in ("a@x", "b@x", "c@x"):
            accept(data, who, "accepted" if who in accepted else "queued" if who in queued else "refused")
        owe(data, [then(data, incident, "resolved")], tuple(sorted(now)))
        recovery = post.ledger(data)[0]
        told = {one.recipient for one in recovery.deliveries if one.state == "queued"}
        assert told == accepted | queued


# --- what each recipient wants ----------------------------------------------------------------------------------------

CALM = Recipient("calm@example.org", "critical")
ENGLISH = Recipient("en@example.org", language="en")


def owe_to(data: Path, transitions: list[int], *people: Recipient, now: int = NOW) -> None:
    with post.writing(data) as db:
        owed.owe(db, 1, transitions, people, URL, now)


def heard(data: Path) -> list[list[tuple[str, str]]]:
    """(recipient, state) of each mail, oldest first."""
    return [[(one.recipient, one.state) for one in mail.deliveries] for mail in reversed(post.ledger(data))]


def test_who_wants_only_what_is_critical_hears_no_warning_and_not_its_end(data: Path) -> None:
    incident, transition = opened(data, level="warning")
    with post.writing(data) as db:
        db.execute("UPDATE transition SET level='warning'")
    owe_to(data, [transition], CALM, Recipient("a@example.org"))
    accept(data, "a@example.org")
    with post.writing(data) as db:
        end = post.transition(db, incident, "resolved", NOW + 600, 0.84, "warning")
    owe_to(data, [end], CALM, Recipient("a@example.org"))
    assert heard(data) == [
        [("a@example.org", "accepted"), ("calm@example.org", "dropped")],
        [("a@example.org", "queued"), ("calm@example.org", "dropped")],
    ]
    assert post.ledger(data)[1].deliveries[1].reply == owed.ONLY_CRITICAL


def test_a_warning_that_becomes_critical_is_told_from_there_on_and_so_is_its_end(data: Path) -> None:
    with post.writing(data) as db:
        incident = post.incident(db, level="warning")
        first = post.transition(db, incident, "opened", NOW, 0.92, "warning")
    owe_to(data, [first], CALM)
    with post.writing(data) as db:
        worse = post.transition(db, incident, "escalated", NOW + 300, 0.98, "critical")
    owe_to(data, [worse], CALM)
    accept(data, CALM.address)
    with post.writing(data) as db:
        end = post.transition(db, incident, "resolved", NOW + 600, 0.84, "warning")
    owe_to(data, [end], CALM)
    assert heard(data)[2] == [(CALM.address, "queued")]


def test_who_accepted_the_beginning_hears_the_end_although_the_wishes_changed_in_between(data: Path) -> None:
    with post.writing(data) as db:
        incident = post.incident(db, level="warning")
        first = post.transition(db, incident, "opened", NOW, 0.92, "warning")
    owe_to(data, [first], Recipient("a@example.org"), Recipient("b@example.org"))
    accept(data, "a@example.org")
    accept(data, "b@example.org")
    with post.writing(data) as db:
        end = post.transition(db, incident, "resolved", NOW + 600, 0.84, "warning")
    owe_to(data, [end], Recipient("a@example.org", "critical"), Recipient("new@example.org"))
    assert dict(heard(data)[1]) == {"a@example.org": "queued", "b@example.org": "queued", "new@example.org": "dropped"}


def test_each_language_is_a_mail_of_its_own_with_the_same_thread(data: Path) -> None:
    _, transition = opened(data)
    owe_to(data, [transition], Recipient("a@example.org"), ENGLISH, Recipient("b@example.org"))
    assert sorted(heard(data)) == [
        [("a@example.org", "queued"), ("b@example.org", "queued")],
        [("en@example.org", "queued")],
    ]
    with server() as (port, inbox):
        sender.run(post.settings(data, smtp_port=str(port)), NOW)
    assert sorted(subject.partition(":")[0].rstrip() for subject in inbox.subjects) == [
        "[srv-web-01] CRITICAL",
        "[srv-web-01] CRITIQUE",
    ]
    first, second = inbox.parsed
    assert first["Message-ID"] == second["In-Reply-To"]
