"""A machine that falls silent is told by the centre: once, in one mail for all, and its return too."""

import re

import pytest

from alerts import fleet
from alerts.words import Words
from archive import database, incidents
from archive.fleet import members, parcel
from tests import cycles
from tests.conftest import NOW
from tests.fleet.fleet import head, settings_of
from tests.fleet.test_taking import texts

MINUTE = 60


def sending(centre, *names, at=NOW):
    """These machines joined and sent one cycle."""
    tokens = {}
    for name in names:
        tokens[name] = centre.add(name)
        assert centre.post(tokens[name], parcel.Parcel(head(name), texts(1, at))).status_code == 200
    return tokens


def watch(centre, now):
    config = settings_of(centre.data, VIGIE_MAIL_TO="a@example.org", VIGIE_LANGUAGE="en", VIGIE_TIMEZONE="UTC")
    with database.writer(centre.data) as db, database.transaction(db):
        return fleet.watch(db, config, now)


def watched(centre, first, last):
    """The centre's own minutes, as cron gives them."""
    return [watch(centre, at) for at in range(first, last + 1, MINUTE)]


def mails(centre):
    return [row[6] for row in cycles.dump(centre.data, "notification")["notification"] if row[3] == "fleet"]


def test_three_missed_cycles_are_an_incident_told_once_and_closed_once(centre):
    tokens = sending(centre, "one")
    host = centre.member("one").host

    assert watched(centre, NOW, NOW + 210) == [(0, 0)] * 4
    assert watched(centre, NOW + 240, NOW + 480) == [(1, 0), (0, 0), (0, 0), (0, 0), (0, 0)]
    with database.reader(centre.data) as db:
        (found,) = incidents.live(db, host)
        assert (found.kind, found.metric, found.level, found.since_at) == ("silent", "", "critical", NOW)
        assert members.named(db, "one").silent_at == NOW
    centre.clock.now = NOW + 500
    centre.post(tokens["one"], parcel.Parcel(head("one", now=NOW + 500), texts(1, NOW + 480)))

    assert watched(centre, NOW + 540, NOW + 660) == [(0, 1), (0, 0), (0, 0)]
    with database.reader(centre.data) as db:
        assert incidents.live(db, host) == []
        assert [t.kind for t in incidents.transitions(db, found.id)] == ["opened", "resolved"]
    assert mails(centre) == ["[Vigie] one is silent", "[Vigie] one sends again"]


def test_a_cable_that_is_cut_is_one_mail_not_twenty(centre):
    sending(centre, *[f"m{n:02}" for n in range(20)])

    watched(centre, NOW, NOW + 300)

    assert mails(centre) == ["[Vigie] 20 machines are silent"]


def test_where_the_centre_was_away_nobody_is_called_silent_for_five_minutes(centre):
    tokens = sending(centre, "one", "two")
    watch(centre, NOW)
    back = NOW + 7200
    centre.clock.now = back + 60
    assert watch(centre, back) == (0, 0)
    centre.post(tokens["one"], parcel.Parcel(head("one", now=back + 60), texts(1, back)))

    # One sends again and misses nothing since; two does not come back, and that is said once the five minutes are over.
    assert watched(centre, back + 60, back + 240) == [(0, 0)] * 4
    centre.clock.now = back + 270
    centre.post(tokens["one"], parcel.Parcel(head("one", now=back + 270), texts(1, back + 240)))
    assert watch(centre, back + 300) == (1, 0)
    assert mails(centre) == ["[Vigie] two is silent"]


def test_a_slow_machine_is_waited_for_by_its_own_rhythm(centre):
    token = centre.add("slow")
    for n in range(6):
        centre.clock.now = NOW + n * 600
        centre.post(token, parcel.Parcel(head("slow", now=centre.clock.now), texts(1, NOW + n * 600)))
    last = NOW + 5 * 600
    assert 240 <= centre.member("slow").every <= 600

    assert watched(centre, last, last + 600) == [(0, 0)] * 11
    assert sum(begun for begun, _ in watched(centre, last + 660, last + 2400)) == 1


@pytest.mark.parametrize("end", [members.revoke, members.retire])
def test_a_machine_that_is_not_waited_for_ends_its_silence_without_a_mail(centre, end):
    sending(centre, "one")
    watched(centre, NOW, NOW + 300)
    with database.writer(centre.data) as db, database.transaction(db):
        end(db, "one", NOW + 330)

    watched(centre, NOW + 360, NOW + 420)

    with database.reader(centre.data) as db:
        live = incidents.live(db, centre.member("one").host)
    assert len(mails(centre)) == 1
    assert live == []


def test_the_mail_says_who_since_when_and_where_to_look(centre):
    sending(centre, "one")
    member = centre.member("one")

    subject, text = fleet.words_of([member], Words("en", "UTC"), "https://vigie.example.org", NOW + 300, over=False)

    assert subject == "[Vigie] one is silent"
    assert re.search(r"- one, silent since .*00:30", text)
    assert text.endswith("https://vigie.example.org/hosts\n")
