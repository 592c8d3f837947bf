"""The weekly digest of a fleet: what the week was on all machines, in the reader's language, once; nothing else when it was calm."""

import email
import email.policy

import pytest

from alerts import digest, fleet_digest, outbox
from alerts.words import Words
from archive import database, week
from archive.fleet import members, parcel, rows
from archive.fleet import week as fleet_week
from tests import cycles
from tests.alerts.smtp_server import server
from tests.conftest import NOW
from tests.fleet.fleet import head, settings_of
from tests.fleet.test_deciding import PUBLICATIONS, published
from tests.fleet.test_taking import incident, texts

EN, FR = Words("en", "Europe/Paris"), Words("fr", "Europe/Paris")
DAY = 86_400
REFERENCE = PUBLICATIONS[2]["reference"]


def post(centre, name, at, tags="", uid="", **said):
    """A machine's word at a time."""
    token = centre.add(name, tags)
    centre.clock.now = at
    answer = centre.post(token, parcel.Parcel(head(name, now=at, machine=f"id-{name}", rows=said), texts(2, at - 60)))
    assert answer.json["rows"] == "", answer.json
    centre.clock.now = NOW
    return token


def verdict(word="affected", fixed_at=None):
    return [
        REFERENCE,
        word,
        "docker-ce",
        "5:27.0.1-1",
        '["bound", [["bound", "27.1.1"]]]',
        "[]",
        "",
        NOW,
        None,
        "",
        fixed_at,
    ]


def mail(number, state, at=NOW - 3600, reply="550 5.1.1 no such user"):
    return [number, "ops@example.org", at, "incident", "x", state, "mx.example.org", at, reply]


@pytest.fixture
def calm(centre):
    """Two machines that have been here for long, and nothing to say of them."""
    cycles.archive(centre.data, NOW, cycles.machine(NOW))
    published(centre, PUBLICATIONS[2:3])
    for name in ("one", "two"):
        post(centre, name, NOW)
    with database.writer(centre.data) as db, database.transaction(db):
        db.execute("UPDATE member SET joined_at=?", (NOW - 30 * DAY,))
    return centre


def made(centre, words=EN, now=NOW + 30):
    with database.reader(centre.data) as db:
        return fleet_digest.make(db, centre.settings, words, now)


def table(text, title):
    """Lines of one table of the text part."""
    lines = text.split("\n")
    first = lines.index(title) + 1
    return lines[first : lines.index("", first)]


def test_a_calm_week_says_so_and_nothing_else(calm):
    ready = made(calm)

    assert ready.subject.endswith("The week of the fleet: nothing to report")
    assert "Nothing else" in ready.text
    assert "No incident, no machine silent" in ready.text
    for title in ("Incidents by machine", "CERT-FR", "Mails that did not leave", "Joined", "Left", "Silent"):
        assert title not in ready.text
    assert "2 (2 well)" in ready.text
    assert "Nothing else" in ready.html


def test_what_happened_stands_by_machine(calm):
    post(
        calm,
        "three",
        NOW,
        "web paris",
        incident=[incident()],
        verdict=[verdict()],
        mail=[mail(1, "refused"), mail(2, "held")],
    )
    post(calm, "four", NOW, "web", verdict=[verdict()], mail=[mail(1, "accepted"), mail(2, "queued")])
    post(calm, "five", NOW, "", verdict=[verdict("not_affected", NOW - DAY)])
    post(calm, "mute", NOW - 7200)
    post(calm, "gone", NOW)
    with database.writer(calm.data) as db, database.transaction(db):
        members.retire(db, "gone", NOW - 60)
    ready = made(calm)
    text = ready.text

    assert "1 incident, 1 still open, 1 silent machine, 1 publication to act on" in ready.subject
    assert "6 (1 in a critical state, 4 well)" in text
    assert "Silent    mute" in text
    assert "Joined    five, four, mute, three" in text
    assert "Left      gone" in text
    (line,) = table(text, "Incidents by machine")
    assert line.split("  ")[1:] == ["three", "1 opened, 1 still open", "CRITICAL"]
    (line, *_note) = table(text, "CERT-FR")
    assert REFERENCE in line
    assert "2 concerned, 1 corrected (web\u00a02, paris\u00a01)" in line
    (line,) = table(text, "Mails that did not leave")
    assert "three" in line
    assert "2 mails, since" in line
    assert "550 5.1.1 no such user" in line
    assert "Nothing else" not in text
    for word in ("three", REFERENCE, "550 5.1.1", "1 in a critical state"):
        assert word in ready.html
    assert "http://localhost:5000/hosts" in text


def test_the_fullest_disks_stand_first_and_those_foretold_before_them(calm):
    with database.writer(calm.data) as db, database.transaction(db):
        for name, used in (("one", 0.5), ("two", 0.8)):
            host = members.named(db, name).host
            members.keep_figures(db, host, {"disk_used_ratio": [0.1, used, None]})
        found = [(one.name, one.used, one.foretold) for one in fleet_week.disks(db, 5)]
        assert found == [("two", 0.8, 0), ("one", 0.5, 0)]
        host = members.named(db, "one").host
        rows.apply(db, host, {"incident": [incident(5)]}, NOW)
        db.execute("UPDATE incident SET kind='forecast' WHERE host=?", (host,))
        assert [one.name for one in fleet_week.disks(db, 5)] == ["one", "two"]
    assert "71%" in table(made(calm).text, "Fullest disks")[0]


def test_what_ended_in_the_week_counts_and_what_ended_before_does_not(calm):
    with database.writer(calm.data) as db, database.transaction(db):
        one, two = members.named(db, "one").host, members.named(db, "two").host
        rows.apply(db, one, {"incident": [incident(1)]}, NOW)
        rows.apply(db, two, {"incident": [incident(1)]}, NOW)
        db.execute(
            "UPDATE incident SET state='resolved', opened_at=?, ended_at=? WHERE host=?",
            (NOW - 9 * DAY, NOW - DAY, one),
        )
        db.execute(
            "UPDATE incident SET state='resolved', opened_at=?, ended_at=? WHERE host=?",
            (NOW - 9 * DAY, NOW - 8 * DAY, two),
        )
        found = fleet_week.troubled(db, NOW - 7 * DAY, NOW)

    assert [(one.name, one.opened, one.ended, one.going, one.worst) for one in found] == [("one", 0, 1, 0, 0)]


def test_hostile_words_are_one_clean_line(calm):
    post(calm, "bad", NOW, mail=[mail(1, "refused", reply="550 <b>x</b>\r\nBcc: all@example.org\n" + "y" * 5000)])
    ready = made(calm)

    assert "<b>x</b>" not in ready.html
    assert "&lt;b&gt;" in ready.html
    assert "\nBcc:" not in ready.text
    assert max(map(len, ready.text.split("\n"))) < 300


def test_it_is_in_the_readers_language(calm):
    ready = made(calm, FR)

    assert "La semaine du parc" in ready.subject
    assert "Rien de plus" in ready.text or "Rien d’autre" in ready.text
    assert "Nothing" not in ready.text


def test_it_leaves_with_the_centres_own_once_by_a_real_server(calm):
    with server() as (port, inbox):
        config = settings_of(
            calm.data, VIGIE_HOST_NAME="centre", VIGIE_MAIL_TO="a@example.org", VIGIE_SMTP_HOST="127.0.0.1",
            VIGIE_SMTP_PORT=str(port), VIGIE_SMTP_SECURITY="none", VIGIE_LANGUAGE="en", VIGIE_TIMEZONE="Europe/Paris",
        )  # fmt: skip
        with database.writer(calm.data) as db, database.transaction(db):
            week.set_next_at(db, NOW - 10, NOW - 20)
        sent = outbox.run(config, NOW)
        again = outbox.run(config, NOW + 60)
    subjects = [email.message_from_bytes(raw, policy=email.policy.default)["Subject"] for _to, raw in inbox.mails]

    assert (sent.accepted, again.accepted) == (2, 0)
    assert sum("The week of the fleet" in subject for subject in subjects) == 1
    parts = [
        part.get_content_type()
        for _to, raw in inbox.mails
        for part in email.message_from_bytes(raw, policy=email.policy.default).walk()
    ]
    assert parts.count("text/html") == parts.count("text/plain") == 2


def test_a_machine_alone_has_one_digest(centre):
    cycles.archive(centre.data, NOW, cycles.machine(NOW))
    config = settings_of(centre.data, VIGIE_MAIL_TO="a@example.org")
    with database.writer(centre.data) as db, database.transaction(db):
        digest.owe(db, config, NOW)
        assert db.execute("SELECT count(*) FROM notification").fetchone()[0] == 1


def test_a_fleet_that_is_retired_for_long_is_told_no_more(calm):
    with database.writer(calm.data) as db, database.transaction(db):
        for name in ("one", "two"):
            members.retire(db, name, NOW - 2 * DAY)
        assert fleet_digest.wanted(db, NOW - 7 * DAY, NOW)
        db.execute("UPDATE member SET retired_at=?", (NOW - 9 * DAY,))
        assert not fleet_digest.wanted(db, NOW - 7 * DAY, NOW)
