"""The outbox against real servers: refused, put off, killed, two at once, two days late; nothing lost, nothing silent."""

import multiprocessing
import os
import signal
import sqlite3
import time
from email import message_from_bytes, policy
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts import mail, outbox, owed, parcels
from alerts.parcels import Parcel
from archive import database, leaving
from archive import outbox as rows
from archive.leaving import Waiting
from tests.alerts import post
from tests.alerts.post import NOW
from tests.alerts.smtp_server import Inbox, Raw, authority, certificate, closed_port, server

URL = "http://localhost:5000"
A, B, C = "a@example.org", "b@example.org", "c@example.org"
DAY = 86_400


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return post.make_archive(tmp_path / "data")


def owe(
    data: Path, who: tuple[str, ...] = (A,), at: int = NOW, kind: str = "opened", incident: int = 0, **given: object
) -> int:
    """An incident's transition and its mail; the incident's number."""
    with post.writing(data) as db:
        number = incident or post.incident(db, labels=given.pop("labels", '{"mount":"/"}'), **given)  # type: ignore[arg-type]
        value = 0.84 if kind == "resolved" else 0.974
        owed.owe(db, 1, [post.transition(db, number, kind, at, value)], post.people(*who), URL, at)
    return number


def many(data: Path, count: int, at: int = NOW, step: int = 0, who: tuple[str, ...] = (A,)) -> None:
    """Incidents of so many mounts, each with its mail."""
    with post.writing(data) as db:
        for i in range(count):
            number = post.incident(db, labels=f'{{"mount":"/m{i}"}}', since=at + i * step - 1000)
            owed.owe(
                db, 1, [post.transition(db, number, "opened", at + i * step)], post.people(*who), URL, at + i * step
            )


def run(data: Path, port: int, now: int = NOW, **given: str) -> outbox.Sent:
    return outbox.run(post.settings(data, smtp_port=str(port), **given), now, spread=lambda: 0.0)


def first(data: Path) -> rows.Delivery:
    """The first delivery of the oldest mail."""
    return post.ledger(data)[-1].deliveries[0]


def test_a_mail_leaves_and_the_ledger_holds_the_servers_words(data: Path) -> None:
    owe(data)
    with server() as (port, inbox):
        assert run(data, port) == outbox.Sent(1, 0, 0, "")
    assert inbox.subjects == ["[srv-web-01] CRITIQUE\u00a0: disk used ratio, / (seuil –)"] or len(inbox.mails) == 1
    assert first(data).state == "accepted"
    assert first(data).reply == "250 2.0.0 taken as 4711"
    assert first(data).server == f"127.0.0.1:{port}"


def test_nothing_due_opens_no_conversation(data: Path) -> None:
    with server() as (port, inbox):
        assert run(data, port) == outbox.Sent(0, 0, 0, "")
        assert inbox.connections == 0


def test_m01_no_connection_backs_off_1_2_4_to_60_minutes_and_the_banner_knows(data: Path) -> None:
    owe(data)
    port, now, pauses = closed_port(), NOW, []
    for _ in range(9):
        run(data, port, now)
        pauses.append((first(data).next_at - now) // 60)
        now = first(data).next_at
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert "Connection refused" in first(data).reply
    with database.reader(str(data)) as db:
        assert rows.oldest_unsent(db) == NOW
        assert rows.summary(db) == rows.Summary(1, 0, 0, 0, NOW)


def test_m01_jitter_takes_at_most_a_quarter_away() -> None:
    assert [parcels.pause(1, spread) for spread in (0.0, 0.5, 1.0)] == [60, 52, 45]
    assert parcels.pause(500, 0.0) == 3600


def test_m01_without_a_mail_server_the_reason_is_said(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owe(data)
    monkeypatch.setattr("alerts.sendmail.PLACES", ())
    sent = outbox.run(post.settings(data), NOW)
    assert sent.reason == outbox.NO_SERVER
    assert first(data).state == "queued"


@pytest.fixture
def local_sendmail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A real executable where the machine's own would be: keeps each mail it is given, and answers as told."""
    program = tmp_path / "sendmail"
    program.write_text(
        f'#!/bin/sh\ncd {tmp_path}\nread -r status <status\nprintf "%s\\n" "$@" >argv\n'
        'if [ "$status" = 0 ]; then cat >mail; else cat >refused; echo "no such user"; fi\nexit "$status"\n'
    )
    program.chmod(0o700)
    monkeypatch.setattr("alerts.sendmail.PLACES", (str(program),))
    return tmp_path


def test_without_an_smtp_server_the_mail_leaves_by_the_sendmail_that_is_installed(
    data: Path, local_sendmail: Path
) -> None:
    owe(data, (A, B))
    (local_sendmail / "status").write_text("75\n")  # EX_TEMPFAIL
    assert outbox.run(post.settings(data), NOW, spread=lambda: 0.0) == outbox.Sent(0, 2, 0, "")
    assert [state for _, state in post.states(data)] == ["queued", "queued"]

    (local_sendmail / "status").write_text("0\n")
    assert outbox.run(post.settings(data), NOW + 60).accepted == 2
    assert (local_sendmail / "argv").read_text().split() == ["-i", "-f", "vigie@srv-web-01", "--", A, B]
    raw = (local_sendmail / "mail").read_bytes()
    kept = message_from_bytes(raw, policy=policy.default)
    assert kept["Message-ID"] in (local_sendmail / "refused").read_text(), "the same one as at the first try"
    assert str(kept["To"]) == f"{A}, {B}"
    entry = post.ledger(data)[0]
    assert {(one.state, one.server) for one in entry.deliveries} == {("accepted", str(local_sendmail / "sendmail"))}
    assert kept["Message-ID"] == entry.notification.message_id


def test_what_sendmail_refuses_for_good_is_held_with_its_words(data: Path, local_sendmail: Path) -> None:
    owe(data)
    (local_sendmail / "status").write_text("67\n")  # EX_NOUSER
    assert outbox.run(post.settings(data), NOW).refused == 1
    assert (first(data).state, first(data).reply) == ("held", "status 67 no such user")


def test_where_an_smtp_server_is_set_sendmail_is_left_alone(data: Path, local_sendmail: Path) -> None:
    owe(data)
    with server() as (port, inbox):
        assert run(data, port).accepted == 1
    assert len(inbox.mails) == 1
    assert not (local_sendmail / "argv").exists()


def test_m05_m06_a_drop_is_tried_again_with_the_same_message_id(data: Path) -> None:
    owe(data)
    known = post.ledger(data)[0].notification.message_id
    with Raw(Raw.drop_after_dot) as raw:
        assert run(data, raw.port).later == 1
    assert first(data).state == "queued"
    with server() as (port, inbox):
        assert run(data, port, NOW + 60).accepted == 1
    assert inbox.parsed[0]["Message-ID"] == known


def test_m07_one_refused_among_three(data: Path) -> None:
    owe(data, (A, B, C))
    inbox = Inbox()
    inbox.refuse[B] = "550 5.1.1 no such user"
    with server(inbox) as (port, _):
        assert run(data, port) == outbox.Sent(2, 0, 1, "")
        assert run(data, port, NOW + DAY) == outbox.Sent(0, 0, 0, "")
    assert post.states(data) == [(A, "accepted"), (B, "refused"), (C, "accepted")]
    assert post.ledger(data)[0].deliveries[1].reply == "550 5.1.1 no such user"


def test_m08_greylisting_puts_that_one_off_and_sends_the_others_nothing_twice(data: Path) -> None:
    owe(data, (A, B))
    inbox = Inbox()
    inbox.refuse[B] = "451 greylisted"
    with server(inbox) as (port, _):
        run(data, port)
        assert post.states(data) == [(A, "accepted"), (B, "queued")]
        inbox.refuse.clear()
        assert run(data, port, NOW + 60).accepted == 1
    assert [who for who, _ in inbox.mails] == [[A], [B]]
    one, other = inbox.parsed
    assert one["Message-ID"] == other["Message-ID"]
    assert one["To"] == other["To"] == f"{A}, {B}"


def test_m08_a_greylisted_opening_that_ends_leaves_as_one_mail(data: Path) -> None:
    incident = owe(data)
    inbox = Inbox()
    inbox.refuse[A] = "451 greylisted"
    with server(inbox) as (port, _):
        run(data, port)
        owe(data, at=NOW + 30, kind="resolved", incident=incident)
        inbox.refuse.clear()
        assert run(data, port, NOW + 30).accepted == 1
        assert len(inbox.mails) == 1
    assert post.states(data) == [(A, "dropped"), (A, "dropped"), (A, "accepted")]
    with database.reader(str(data)) as db:
        kinds = [told.kind for told in rows.told(db, post.ledger(data)[0].notification.id)]
    assert kinds == ["opened", "resolved"]


@pytest.mark.parametrize("reply", ["550 relaying denied", "554 spam"])
def test_m09_all_refused_is_held_in_red_and_never_tried_again_by_itself(data: Path, reply: str) -> None:
    owe(data, (A, B))
    inbox = Inbox()
    inbox.data_reply = reply
    with server(inbox) as (port, _):
        assert run(data, port).refused == 2
        for days in range(1, 9):
            assert run(data, port, NOW + days * DAY) == outbox.Sent(0, 0, 0, "")
        assert post.states(data) == [(A, "held"), (B, "held")]
        assert first(data).reply == reply
        inbox.data_reply = ""
        with post.writing(data) as db:
            assert rows.retry(db, NOW + 9 * DAY) == 2
        assert run(data, port, NOW + 9 * DAY).accepted == 2


def test_m10_a_stripped_starttls_keeps_the_mail_queued(data: Path) -> None:
    owe(data)
    with server() as (port, inbox):
        sent = run(data, port, smtp_security="starttls", smtp_user="u", smtp_password="canary")
        assert "STARTTLS" in sent.reason
        assert inbox.mails == []
    assert (first(data).state, "canary" in first(data).reply) == ("queued", False)


def test_m12_a_refused_log_in_is_held_tried_every_15_minutes_and_heals(data: Path, tmp_path: Path) -> None:
    ca = tmp_path / "ca"
    authority(ca)
    given = {
        "smtp_security": "starttls",
        "smtp_ca_file": str(ca / "ca.pem"),
        "smtp_user": "vigie",
        "smtp_password": "wrong",
    }
    owe(data)
    with server(tls=certificate(ca, "127.0.0.1"), auth=True) as (port, inbox):
        run(data, port, **given)
        assert first(data).state == "held"
        assert "log-in of vigie was refused" in first(data).reply
        for minute in range(1, 15):
            if minute == 5:
                owe(data, at=NOW + 300, labels='{"mount":"/srv"}')
            run(data, port, NOW + minute * 60, **given)
        assert len(inbox.logins) == 1
        assert post.states(data) == [(A, "held"), (A, "held")]
        run(data, port, NOW + 901, **given)
        assert len(inbox.logins) == 2
        right = given | {"smtp_password": "s3cret-wörd"}
        sent = run(data, port, NOW + 1803, **right)
    assert sent.accepted == 1  # both in one: they waited for half an hour
    assert sorted(state for _, state in post.states(data)) == ["accepted", "dropped", "dropped"]


def _sender(data: Path, port: int, point: str) -> None:
    """A sender that dies by SIGKILL at a chosen point: a real process, a real kill."""

    def die(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    if point == "before talking":
        outbox.smtp.connect = die  # type: ignore[assignment]
    elif point == "after the lease":
        mail.make = die  # type: ignore[assignment]
    elif point == "after sending":
        outbox._Run.write = die  # type: ignore[assignment,method-assign]
    elif point == "while marking":
        rows.mark = die  # type: ignore[assignment]
    run(data, port)


@pytest.mark.parametrize(
    ("point", "mails"),
    [("before talking", 0), ("after the lease", 0), ("after sending", 1), ("while marking", 1), ("never", 1)],
)
def test_m13_killed_anywhere_it_is_sent_once_or_twice_never_zero_times(data: Path, point: str, mails: int) -> None:
    owe(data)
    with server() as (port, inbox):
        process = multiprocessing.get_context("fork").Process(target=_sender, args=(data, port, point))
        process.start()
        process.join(20)
        assert (process.exitcode == 0) == (point == "never")
        assert len(inbox.mails) == mails
        run(data, port, NOW + outbox.LEASE)
        assert 1 <= len(inbox.mails) <= 2
        assert len({one["Message-ID"] for one in inbox.parsed}) == 1
    assert first(data).state == "accepted"


def _concurrent(data: Path, port: int, barrier: object) -> None:
    barrier.wait()  # type: ignore[attr-defined]
    run(data, port)


def test_m14_two_senders_at_once_send_once(data: Path) -> None:
    many(data, 5)
    context = multiprocessing.get_context("fork")
    inbox = Inbox()
    inbox.before = lambda: time.sleep(0.05)
    with server(inbox) as (port, _):
        barrier = context.Barrier(4)
        processes = [context.Process(target=_concurrent, args=(data, port, barrier)) for _ in range(4)]
        for process in processes:
            process.start()
        for process in processes:
            process.join(30)
    idents = [one["Message-ID"] for one in inbox.parsed]
    assert len(idents) == len(set(idents)) == 5


def test_m14_without_the_lock_the_lease_alone_lets_one_through(data: Path) -> None:
    owe(data)
    with post.writing(data) as db:
        assert leaving.lease(db, 1, [A], NOW, NOW + 300) == [A]
        assert leaving.lease(db, 1, [A], NOW, NOW + 300) == []
        assert leaving.lease(db, 1, [A], NOW + 300, NOW + 600) == [A]


def test_m15_ten_thousand_at_once_are_one_mail_that_counts_them(data: Path) -> None:
    with post.writing(data) as db:
        numbers = []
        for i in range(10_000):
            numbers.append(post.transition(db, post.incident(db, labels=f'{{"mount":"/m{i}"}}')))
        owed.owe(db, 1, numbers, post.people(A), URL, NOW)
    start = time.monotonic()
    with server() as (port, inbox):
        assert run(data, port).accepted == 1
    assert time.monotonic() - start < 10
    (made,) = inbox.parsed
    assert "10\u202f000 incidents" in str(made["Subject"])
    text = made.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    assert "et 9\u202f850 autres" in text
    assert len(inbox.mails[0][1]) < 400_000


def test_m15_a_flood_is_six_mails_then_a_summary_every_ten_minutes(data: Path) -> None:
    """An incident a minute for an hour: each tells at most ten minutes late, in at most 12 mails."""
    late = []
    with server() as (port, inbox):
        for minute in range(60):
            many(data, 1, NOW + minute * 60)
            with post.writing(data) as db:
                db.execute("UPDATE incident SET state='resolved'")
            run(data, port, NOW + minute * 60)
            with database.reader(str(data)) as db:
                oldest = rows.oldest_unsent(db)
            late.append(NOW + minute * 60 - oldest if oldest else 0)
        for minutes in (66, 76, 86):
            run(data, port, NOW + minutes * 60)
    assert len(inbox.mails) <= 14  # 12 within the hour
    assert max(late) <= 600
    with database.reader(str(data)) as db:
        untold = db.execute(
            "SELECT count(*) FROM transition t WHERE NOT EXISTS (SELECT 1 FROM told o JOIN delivery d"
            " ON d.notification = o.notification WHERE o.transition = t.id AND d.state = 'accepted')"
        ).fetchone()[0]
    assert untold == 0


def test_m16_two_days_without_a_mail_server_give_one_mail_oldest_first_with_nothing_lost(data: Path) -> None:
    port = closed_port()
    for hour in range(0, 48, 6):
        now = NOW + hour * 3600
        owe(data, at=now, labels=f'{{"mount":"/h{hour:02}"}}', since=now - 1000)
        run(data, port, now)
    back = NOW + 2 * DAY
    with server() as (port, inbox):
        # The newest is due; with the server back the others go along, though their own time has not come.
        owe(data, at=back, labels='{"mount":"/now"}', since=back - 1000)
        assert run(data, port, back).accepted == 1
        assert run(data, port, back + 4000).accepted == 0
    (made,) = inbox.parsed
    text = made.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    places = [text.index(f"/h{hour:02}") for hour in range(0, 48, 6)] + [text.index("/now")]
    assert places == sorted(places)
    assert "Regroupés" in text
    assert {state for _, state in post.states(data)} == {"accepted", "dropped"}


def test_m16_what_failed_only_for_want_of_a_server_leaves_when_it_answers(data: Path) -> None:
    owe(data)
    for minute in (0, 1, 3):
        run(data, closed_port(), NOW + minute * 60)
    owe(data, at=NOW + 240, labels='{"mount":"/srv"}')
    with server() as (port, inbox):
        assert run(data, port, NOW + 240).accepted == 2
    assert len(inbox.mails) == 2


def test_m17_hostile_names_are_one_clean_line_and_the_queue_goes_on(data: Path) -> None:
    for number, evil in enumerate(
        ["\r\nBcc: x@y", "\u0085", "\u2028", "\x0b", "\x00", "x" * 3000, "\u202eevil", "<script>"]
    ):
        name = __import__("json").dumps({"mount": f"/{number}{evil}"}, ensure_ascii=False)
        owe(data, labels=name, at=NOW - 100 + number)
    owe(data, labels='{"mount":"/good"}')
    with server() as (port, inbox):
        run(data, port)
        run(data, port, NOW + 700)
    assert len(inbox.mails) >= 7
    for raw, made in zip([raw for _, raw in inbox.mails], inbox.parsed, strict=True):
        head = raw.split(b"\r\n\r\n", 1)[0]
        assert b"\nBcc:" not in head
        assert all(len(line) <= 998 for line in head.split(b"\r\n"))
        subject = str(made["Subject"])
        assert len(subject) <= 165
        assert all(c.isprintable() or c in "\u00a0\u202f" for c in subject)
    assert {state for _, state in post.states(data)} <= {"accepted", "dropped"}


def test_m17_a_mail_that_cannot_be_made_is_held_and_the_others_leave(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owe(data, at=NOW - 60)
    owe(data, labels='{"mount":"/srv"}')
    good = mail.make

    def make(settings: object, notification: rows.Notification, *rest: object) -> mail.Made:
        if notification.id == 1:
            raise ValueError("poison")
        return good(settings, notification, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(mail, "make", make)
    with server() as (port, inbox):
        assert run(data, port) == outbox.Sent(1, 0, 1, "")
    assert post.states(data) == [(A, "held"), (A, "accepted")]
    assert "ValueError: poison" in first(data).reply
    assert len(inbox.mails) == 1


def test_a_mail_that_breaks_the_server_each_time_does_not_stop_the_others(data: Path) -> None:
    owe(data, at=NOW - 60)
    owe(data, labels='{"mount":"/srv"}')
    count = {"n": 0}

    def talk(connection: object) -> None:
        count["n"] += 1
        (Raw.drop_in_data if count["n"] == 1 else Raw.drop_after_dot)(connection)  # type: ignore[arg-type]

    with Raw(talk) as raw:
        sent = run(data, raw.port)
    assert (sent.later, raw.connections) == (2, 2)


def test_m18_a_recipient_that_is_not_an_address_is_refused_alone(data: Path) -> None:
    owe(data, ("x@y, z@w", A))
    with server() as (port, inbox):
        run(data, port)
    assert dict(post.states(data)) == {A: "accepted", "x@y, z@w": "refused"}
    assert inbox.parsed[0]["To"] == A


def test_m21_a_hundred_thousand_old_rows_stay_fast_and_only_the_sent_are_purged(data: Path) -> None:
    old = NOW - 365 * DAY
    with post.writing(data) as db:
        number = post.incident(db)
        transition = post.transition(db, number, "opened", old)
        for i in range(100_000):
            db.execute(
                "INSERT INTO notification VALUES (?, 1, ?, 'incident', ?, ?, 's', '{}')",
                (i + 1, old + i, f"<{i}>", f"<{i}>"),
            )
        db.execute("INSERT INTO told SELECT id, ?, ? FROM notification", (transition, number))
        db.execute("INSERT INTO delivery SELECT id, ?, 'accepted', 1, 0, at, '', '' FROM notification", (A,))
        db.execute("UPDATE delivery SET state='queued' WHERE notification % 10000 = 0")
        db.execute("UPDATE delivery SET state='held' WHERE notification % 10000 = 1")
    with database.reader(str(data)) as db:
        spans = [_timed(lambda: rows.ledger(db)), _timed(lambda: rows.due(db, NOW)), _timed(lambda: rows.summary(db)),
                 _timed(lambda: leaving.waiting(db))]  # fmt: skip
    assert max(spans) < 0.5
    with post.writing(data) as db:
        start = time.monotonic()
        assert rows.purge(db, NOW - 30 * DAY) == 100_000 - 20
        assert time.monotonic() - start < 5
        assert len(leaving.waiting(db)) == 10
    assert {state for _, state in post.states(data)} == {"queued", "held"}


def _timed(what: object) -> float:
    start = time.monotonic()
    what()  # type: ignore[operator]
    return time.monotonic() - start


def test_m24_a_clock_set_back_never_puts_a_try_further_than_an_hour_away(data: Path) -> None:
    owe(data)
    run(data, closed_port())
    with server() as (port, inbox):
        before = NOW - DAY
        run(data, port, before)
        assert first(data).next_at <= before + parcels.LONGEST
        run(data, port, before + parcels.LONGEST)
    assert len(inbox.mails) == 1


def test_m24_a_clock_a_week_ahead_gives_nothing_up(data: Path) -> None:
    owe(data)
    run(data, closed_port(), NOW + 9 * DAY)
    assert first(data).state == "queued"


def test_after_five_days_of_trying_it_is_held_for_a_person(data: Path) -> None:
    owe(data)
    port, now = closed_port(), NOW + 5 * DAY - 7200
    with post.writing(data) as db:
        db.execute("UPDATE delivery SET tries=100")
    while first(data).state == "queued" and now < NOW + 9 * DAY:
        run(data, port, now)
        now = max(now + 60, first(data).next_at)
    assert first(data).state == "held"
    assert NOW + 5 * DAY < now < NOW + 6 * DAY
    assert first(data).reply.startswith("given up after 5 days")


def test_the_recovery_of_an_opening_that_was_refused_is_dropped_with_a_reason(data: Path) -> None:
    incident = owe(data)
    inbox = Inbox()
    inbox.refuse[A] = "450 later"
    with server(inbox) as (port, _):
        run(data, port)
        owe(data, at=NOW + 10, kind="resolved", incident=incident)
        with post.writing(data) as db:
            db.execute("UPDATE delivery SET state='refused', next_at=0 WHERE notification=1")
        run(data, port, NOW + 100)
    assert post.states(data) == [(A, "refused"), (A, "dropped")]
    assert post.ledger(data)[0].deliveries[0].reply == outbox.NEVER_TOLD
    assert inbox.mails == []


def test_the_recovery_answers_the_opening(data: Path) -> None:
    incident = owe(data)
    with server() as (port, inbox):
        run(data, port)
        owe(data, at=NOW + 600, kind="resolved", incident=incident)
        run(data, port, NOW + 600)
    opening, recovery = inbox.parsed
    assert recovery["In-Reply-To"] == recovery["References"] == opening["Message-ID"]
    assert opening["In-Reply-To"] is None
    assert "Terminé" in str(recovery["Subject"])


def test_the_database_is_never_locked_while_the_server_is_slow(data: Path) -> None:
    owe(data)
    inbox = Inbox()
    waits: list[float] = []

    def write() -> None:
        start = time.monotonic()
        with database.writer(str(data), 2.0) as db, database.transaction(db):
            db.execute("UPDATE host SET first_at = first_at")
        waits.append(time.monotonic() - start)

    inbox.before = write  # runs in the server, between DATA and its answer
    with server(inbox) as (port, _):
        assert run(data, port).accepted == 1
    assert waits
    assert waits[0] < 0.5


def test_a_fresh_opening_waits_for_its_evidence_but_not_for_long(data: Path) -> None:
    owe(data)
    start = time.monotonic()
    outbox.wait_for_evidence(str(data), NOW, 1.0)
    assert 0.9 < time.monotonic() - start < 2.5
    with post.writing(data) as db:
        db.execute("INSERT INTO evidence (incident, at, moment, body) VALUES (1, ?, 'opened', '{}')", (NOW,))
    start = time.monotonic()
    outbox.wait_for_evidence(str(data), NOW, 5.0)
    assert time.monotonic() - start < 0.4


# --- the plan, pure --------------------------------------------------------------------------------------------------


def item(
    number: int, at: int = NOW, kind: str = "incident", who: str = A, incident: int = 0, **given: object
) -> Waiting:
    about = frozenset([incident or number])
    base = Waiting(number, who, at, kind, "queued", 0, at, "", about, frozenset())
    return base._replace(**given)  # type: ignore[arg-type]


def test_mails_of_other_incidents_leave_one_by_one_oldest_first() -> None:
    plan = parcels.plan([item(1, NOW - 5), item(2)], {}, {}, NOW)
    assert plan.parcels == [Parcel((1,), (A,))]


def test_a_test_mail_is_held_up_by_nothing() -> None:
    busy = {A: [NOW - 10] * 20}
    assert parcels.plan([item(1), item(2, kind="test")], busy, {}, NOW).parcels == [Parcel((2,), (A,))]
    assert parcels.plan([item(1)], busy, {}, NOW).parcels == []


def test_a_digest_is_never_merged_into_an_incident() -> None:
    old = NOW - 5000
    plan = parcels.plan([item(1, old), item(2, old, kind="digest"), item(3)], {}, {}, NOW)
    assert plan.parcels == [Parcel((1, 3), (A,))]


waiting_items = st.lists(
    st.builds(
        lambda n, who, ago, incident, end, tries, late: Waiting(
            n, who, NOW - ago, "incident", "queued", tries, NOW - ago + late, "", frozenset([incident]),
            frozenset([incident]) if end else frozenset(),
        ),
        st.integers(1, 12), st.sampled_from([A, B]), st.integers(0, 3 * DAY), st.integers(1, 4), st.booleans(),
        st.integers(0, 9), st.integers(0, 4000),
    ),
    max_size=12, unique_by=lambda one: (one.notification, one.recipient),
)  # fmt: skip


@given(waiting_items, st.lists(st.integers(NOW - 7200, NOW + 7200), max_size=12), st.booleans())
def test_a_plan_names_each_recipient_once_and_only_what_waits(
    items: list[Waiting], sent: list[int], reached: bool
) -> None:
    plan = parcels.plan(items, {A: sorted(sent)}, {}, NOW, reached=reached)
    known = {(one.notification, one.recipient) for one in items}
    named = [who for parcel in plan.parcels for who in parcel.recipients]
    assert len(named) == len(set(named))
    for parcel in plan.parcels:
        for number in parcel.notifications:
            for who in parcel.recipients:
                assert (number, who) in known
                assert (number, who) not in plan.drops


@given(waiting_items)
def test_whatever_waits_leaves_in_the_end_or_is_dropped_for_a_reason(items: list[Waiting]) -> None:
    left, now = list(items), NOW
    for _ in range(60):
        plan = parcels.plan(left, {}, {}, now)
        gone = {(n, who) for parcel in plan.parcels for n in parcel.notifications for who in parcel.recipients}
        gone |= set(plan.drops)
        left = [one for one in left if (one.notification, one.recipient) not in gone]
        now += 600
    assert left == []


def test_a_row_with_a_damaged_body_stops_nothing(data: Path) -> None:
    with post.writing(data) as db:
        rows.add(db, 1, NOW, "incident", "", "<x@y>", "subject", "{broken")
        rows.queue(db, 1, [A], NOW)
    with server() as (port, inbox):
        assert run(data, port).accepted == 1
    assert len(inbox.mails) == 1


def test_sqlite_refuses_a_state_that_does_not_exist(data: Path) -> None:
    owe(data)
    with pytest.raises((sqlite3.IntegrityError, database.DatabaseError)), post.writing(data) as db:
        db.execute("UPDATE delivery SET state='vanished'")


def test_m14_a_row_that_another_sender_holds_is_neither_sent_nor_merged(data: Path) -> None:
    incident = owe(data)
    with post.writing(data) as db:
        assert leaving.lease(db, 1, [A], NOW, NOW + 300) == [A]
    owe(data, at=NOW + 1, kind="resolved", incident=incident)
    with server() as (port, inbox):
        run(data, port, NOW + 1)
        assert [one["Message-ID"] for one in inbox.parsed] != [post.ledger(data)[-1].notification.message_id]
        run(data, port, NOW + 400)
    with database.reader(str(data)) as db:
        assert rows.oldest_unsent(db) is None
