"""Who mails about a machine of the fleet: itself, its centre, or both; nobody is told twice by one, nothing by none.

Real judging and sending on the machine, a real centre over HTTP on both engines, two real mail servers.
"""

import random

import pytest

from alerts import cycle as minute
from alerts import outbox, tellers
from archive import database, evidence, incidents, purge, recipients
from archive.fleet import following, handing, members, parcel, rows, send, state, wishes
from archive.fleet.policy import Scope
from archive.thresholds import Threshold
from tests import cycles
from tests.alerts import smtp_server
from tests.conftest import NOW
from tests.fleet.fleet import Centre, head, settings_of
from tests.fleet.test_taking import incident

DISK = Threshold("disk_used_ratio", '{"mount":"/"}', True, 0.5, 0.6, None, 0, 60)
FULL, CALM = 0.55, 0.2


@pytest.fixture
def post():
    """(the machine's mail server, the centre's)"""
    with smtp_server.server() as (one, machines), smtp_server.server() as (two, centres):
        yield (one, machines), (two, centres)


class Fleet:
    """One machine and its centre, minute by minute."""

    def __init__(self, centre, here, post):
        self.centre, self.here, self.at = centre, here, NOW
        (port, self.machine_mails), (other, self.centre_mails) = post
        self.mail = self.config(here.data, port, "m@example.org", VIGIE_HOST_NAME=here.name)
        self.centre_mail = self.config(centre.data, other, "c@example.org", VIGIE_URL="https://vigie.example.org")
        for data in (here.data, centre.data):
            with database.writer(data) as db, database.transaction(db):
                purge.remember(db, "digest", "off", "test", NOW)

    @staticmethod
    def config(data, port, to, **more):
        return settings_of(
            data, VIGIE_MAIL_TO=to, VIGIE_LANGUAGE="en", VIGIE_TIMEZONE="UTC", VIGIE_SMTP_HOST="127.0.0.1",
            VIGIE_SMTP_PORT=str(port), VIGIE_SMTP_SECURITY="none", **more,
        )  # fmt: skip

    def who(self, mails, scope=None):
        with database.writer(self.centre.data) as db, database.transaction(db):
            wishes.set_mails(db, scope or Scope(), mails, "ada", self.at)

    def cycle(self, disk=CALM, *, cut=False, minutes=1, tell=True):
        """So many minutes: the machine measures, judges, mails, and sends; the centre tells and mails. `cut`: the cable."""
        for _ in range(minutes):
            self.at += 60
            self.centre.clock.now = self.at
            cycles.write(self.here.data, self.at, cycles.machine(self.at, disk=disk))
            minute.run(self.mail, self.at)
            outbox.run(self.mail, self.at + 1)
            joined = state.joined(self.here.data)
            if cut:
                state.join(self.here.data, joined._replace(url="http://127.0.0.1:1"))
            try:
                send.run(self.mail, self.at + 5)
            except send.SendError:
                assert cut
            state.join(self.here.data, joined)
            if tell:
                self.tell()

    def tell(self):
        with database.writer(self.centre.data) as db, database.transaction(db):
            tellers.tell(db, recipients.in_force(db, self.centre_mail), self.centre_mail.url, self.at + 10)
        outbox.run(self.centre_mail, self.at + 11)

    @property
    def told(self):
        """(subjects of the machine's mails, subjects of the centre's)"""
        return self.machine_mails.subjects, self.centre_mails.subjects


@pytest.fixture
def fleet(served, machine, post):
    cycles.archive(served.data, NOW, cycles.machine(NOW))
    here = machine("one")
    here.cycle(NOW)
    here.join(served, served.add("one", "web"))
    with database.writer(served.data) as db, database.transaction(db):
        wishes.save(db, Scope(), DISK, "ada", NOW)
    found = Fleet(served, here, post)
    found.cycle()
    return found


BEGUN, OVER = "[one] Warning: / at 55 %", "[one] Resolved: / "


def opened(subjects):
    return [one for one in subjects if "arning" in one or "ritical" in one]


def test_unless_the_centre_sets_otherwise_the_machine_mails_and_the_centre_does_not(fleet):
    fleet.cycle(FULL, minutes=3)
    fleet.cycle(CALM, minutes=4)

    mine, theirs = fleet.told
    assert (len(opened(mine)), len(mine), theirs) == (1, 2, [])


def test_the_centre_mails_instead_once_a_beginning_and_once_an_end_in_one_thread(fleet):
    fleet.who("centre")
    fleet.cycle(minutes=2)
    fleet.cycle(FULL, minutes=4)
    fleet.cycle(CALM, minutes=5)

    mine, theirs = fleet.told
    assert (mine, len(opened(theirs)), len(theirs)) == ([], 1, 2)
    begun, over = fleet.centre_mails.parsed
    assert begun["To"] == over["To"] == "c@example.org"
    assert begun["Subject"].startswith("[one] ")
    assert over["In-Reply-To"] == begun["Message-ID"]
    number = (fleet.centre.member("one").host << 32) + 1
    text = begun.get_body(("plain",)).get_content()
    assert f"https://vigie.example.org/hosts/one/incidents/{number}" in text
    with database.reader(fleet.here.data) as db:
        said = db.execute("SELECT state, reply FROM delivery ORDER BY notification").fetchall()
    assert said[0] == ("dropped", handing.TOLD)
    assert {state for state, _reply in said} == {"dropped"}


def test_a_machine_that_mails_to_nobody_is_mailed_about_by_the_centre(fleet):
    fleet.mail = fleet.mail._replace(mail_to=())
    fleet.who("centre")
    fleet.cycle(minutes=2)
    fleet.cycle(FULL, minutes=4)
    fleet.cycle(CALM, minutes=5)

    assert (fleet.told[0], len(fleet.told[1])) == ([], 2)


def test_both_mail_each_once(fleet):
    fleet.who("both")
    fleet.cycle(minutes=2)
    fleet.cycle(FULL, minutes=4)
    fleet.cycle(CALM, minutes=5)

    mine, theirs = fleet.told
    assert (len(mine), len(theirs)) == (2, 2)
    assert (len(opened(mine)), len(opened(theirs))) == (1, 1)


def test_when_the_cable_is_cut_the_machine_mails_itself_and_the_centre_does_not_afterwards(fleet):
    fleet.who("centre")
    fleet.cycle(minutes=2)
    fleet.cycle(CALM, cut=True, minutes=16)  # no acknowledgement for a quarter of an hour
    fleet.cycle(FULL, cut=True, minutes=2)
    assert len(opened(fleet.told[0])) == 1  # at once
    fleet.cycle(FULL, minutes=4)
    fleet.cycle(CALM, minutes=5)

    mine, theirs = fleet.told
    assert (len(opened(mine)), len(mine), theirs) == (1, 2, [])  # whoever told the beginning tells the end


def test_what_was_held_back_when_the_cable_was_cut_leaves_within_a_quarter_of_an_hour(fleet):
    fleet.who("centre")
    fleet.cycle(minutes=2)
    fleet.cycle(FULL, cut=True, minutes=10)
    assert fleet.told == ([], [])
    fleet.cycle(FULL, cut=True, minutes=7)
    assert len(opened(fleet.told[0])) == 1
    fleet.cycle(FULL, minutes=4)

    mine, theirs = fleet.told
    assert (len(mine), theirs) == (1, [])


def test_without_even_the_step_that_sends_a_mail_held_back_leaves(fleet):
    fleet.who("centre")
    fleet.cycle(minutes=2)
    for _ in range(18):  # nothing but the minute and its mails
        fleet.at += 60
        cycles.write(fleet.here.data, fleet.at, cycles.machine(fleet.at, disk=FULL))
        minute.run(fleet.mail, fleet.at)
        outbox.run(fleet.mail, fleet.at + 1)

    assert len(opened(fleet.told[0])) == 1


def test_back_after_the_cut_the_centre_mails_again(fleet):
    fleet.who("centre")
    fleet.cycle(minutes=2)
    fleet.cycle(CALM, cut=True, minutes=17)
    with database.reader(fleet.here.data) as db:
        assert following.followed(db).away
    fleet.cycle(CALM, minutes=16)  # the next try is at most so far away
    with database.reader(fleet.here.data) as db:
        assert not following.followed(db).away
    fleet.cycle(FULL, minutes=4)

    mine, theirs = fleet.told
    assert (mine, len(theirs)) == ([], 1)


@pytest.mark.parametrize(("before", "after"), [("machine", "centre"), ("centre", "machine")])
def test_when_it_is_switched_in_mid_incident_the_end_is_told_to_those_who_heard_of_the_beginning(fleet, before, after):
    fleet.who(before)
    fleet.cycle(minutes=2)
    fleet.cycle(FULL, minutes=4)
    fleet.who(after)
    fleet.cycle(FULL, minutes=3)
    fleet.cycle(CALM, minutes=5)

    told = dict(zip(("machine", "centre"), fleet.told, strict=True))
    assert (len(told[before]), len(opened(told[before])), told[after]) == (2, 1, [])


def test_a_mail_held_back_at_the_very_moment_of_the_switch_is_told_once_by_the_machine(fleet):
    fleet.who("centre")
    fleet.cycle(minutes=2)
    fleet.who("machine")  # the machine learns of it by the answer to the parcel that holds the beginning
    fleet.cycle(FULL, minutes=1)
    fleet.cycle(FULL, minutes=3)

    mine, theirs = fleet.told
    assert (len(opened(mine)), theirs) == (1, [])


def test_leaving_the_centre_gives_the_mails_back_to_the_machine(fleet):
    fleet.who("centre")
    fleet.cycle(minutes=2)
    fleet.cycle(FULL, cut=True, minutes=1)
    with database.writer(fleet.here.data) as db, database.transaction(db):
        following.leave(db, fleet.at)
    outbox.run(fleet.mail, fleet.at + 2)

    assert len(opened(fleet.told[0])) == 1


def test_an_answer_that_was_lost_is_no_second_mail(fleet, monkeypatch):
    fleet.who("centre")
    fleet.cycle(minutes=2)
    with monkeypatch.context() as patch:
        patch.setattr(handing, "settle", lambda *_: (_ for _ in ()).throw(send.SendError("killed")))
        fleet.at += 60
        cycles.write(fleet.here.data, fleet.at, cycles.machine(fleet.at, disk=FULL))
        minute.run(fleet.mail, fleet.at)
        with pytest.raises(send.SendError):
            send.run(fleet.mail, fleet.at + 5)
    fleet.cycle(FULL, minutes=5)

    mine, theirs = fleet.told
    assert (mine, len(theirs)) == ([], 1)
    with database.reader(fleet.here.data) as db:
        assert db.execute("SELECT count(*) FROM delivery WHERE state='queued'").fetchone()[0] == 0


def test_a_beginning_waits_for_its_evidence_a_minute_and_a_half_at_most(fleet):
    fleet.who("centre")
    fleet.cycle(minutes=2)
    fleet.cycle(FULL, minutes=1, tell=False)
    fleet.tell()
    assert fleet.told == ([], [])  # what was running has not travelled yet
    with database.writer(fleet.here.data) as db, database.transaction(db):
        ((number,),) = db.execute("SELECT id FROM incident").fetchall()
        evidence.add(db, number, fleet.at, "opened", "{}")
    fleet.cycle(FULL, minutes=1, tell=False)
    fleet.tell()
    assert len(fleet.told[1]) == 1


def test_two_machines_of_which_mails_are_merged_are_named_in_the_mail(fleet, machine):
    """The centre's mail server is away for an hour: one mail, and each line says of which machine it is."""
    fleet.who("centre")
    two = machine("two")
    two.cycle(NOW)
    two.join(fleet.centre, fleet.centre.add("two"))
    other = Fleet(fleet.centre, two, ((1, fleet.machine_mails), (1, fleet.centre_mails)))
    port, fleet.centre_mail = fleet.centre_mail.smtp_port, fleet.centre_mail._replace(smtp_port=1)
    other.centre_mail = fleet.centre_mail
    for _ in range(3):
        fleet.cycle()
        other.at = fleet.at - 60
        other.cycle()
    for _ in range(20):
        fleet.cycle(FULL)
        other.at = fleet.at - 60
        other.cycle(0.66)
    fleet.centre_mail = fleet.centre_mail._replace(smtp_port=port)
    fleet.at += 3700
    fleet.tell()

    (mail,) = fleet.centre_mails.parsed
    text = mail.get_body(("plain",)).get_content()
    assert "2 incidents" in mail["Subject"]
    assert "one – " in mail["Subject"]
    assert "two – " in mail["Subject"]
    for name in ("one", "two"):
        host = fleet.centre.member(name).host
        assert f"https://vigie.example.org/hosts/{name}/incidents/{(host << 32) + 1}" in text


def told_of(data, host):
    """{transition (the machine's number): in how many accepted mails} and {transition: (incident, ends)}."""
    shift = host << 32 if host > 1 else 0
    with database.reader(data) as db:
        rows = db.execute(
            "SELECT t.id, t.incident, t.kind, (SELECT count(DISTINCT o.notification) FROM told o JOIN delivery d"
            " ON d.notification = o.notification WHERE o.transition = t.id AND d.state = 'accepted') FROM transition t"
            " JOIN incident i ON i.id = t.incident WHERE i.host=? AND EXISTS (SELECT 1 FROM told o WHERE o.transition = t.id)",
            (host,),
        ).fetchall()
    found = {row[0] - shift: (row[1] - shift, row[2] in ("resolved", "gone"), row[3]) for row in rows}
    return {number: one[2] for number, one in found.items()}, {number: one[:2] for number, one in found.items()}


@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_happens_a_beginning_is_told_and_by_each_once_and_who_told_it_tells_the_end(fleet, seed):
    """An hour by chance: the disk fills and empties, the cable is cut and healed, the setting is changed; then calm."""
    chance = random.Random(seed)
    cut, disk = False, CALM
    for _ in range(60):
        if chance.random() < 0.12:
            fleet.who(chance.choice(handing.TELLERS), chance.choice([Scope(), Scope("tag", "web")]))
        cut = chance.random() < (0.9 if cut else 0.1)
        disk = disk if chance.random() < 0.7 else chance.choice([CALM, FULL, 0.66])
        fleet.cycle(disk, cut=cut)
    fleet.cycle(CALM, minutes=45)

    (mine, about), (theirs, _) = (
        told_of(fleet.here.data, 1),
        told_of(fleet.centre.data, fleet.centre.member("one").host),
    )
    assert len(about) >= 4
    for number, (_incident, ends) in about.items():
        assert mine[number] <= 1
        assert theirs.get(number, 0) <= 1
        if not ends:
            assert mine[number] + theirs.get(number, 0) >= 1, f"transition {number} was told by nobody"
    for teller in (mine, theirs):
        begun = {about[number][0] for number, count in teller.items() if count and not about[number][1]}
        over = {about[number][0] for number, count in teller.items() if count and about[number][1]}
        assert over == begun  # in the end all is over


# --- a machine that lies ---------------------------------------------------------------------------------------------


def offer(centre, token, name, tells, count=1):
    row = lambda number: [number, *incident()[1:3], f'{{"mount":"/{number}"}}', *incident()[4:]]  # noqa: E731
    moves = [[n, n, NOW, "opened", "critical", 0.98, ""] for n in range(1, count + 1)]
    what = {"incident": [row(n) for n in range(1, count + 1)], "transition": moves, "tell": tells}
    return centre.post(token, parcel.Parcel(head(name, rows=what), []))


def pending(centre):
    with database.reader(centre.data) as db:
        return [(one.host, one.transition) for one in handing.due(db)]


def test_a_machine_that_is_not_set_to_be_mailed_about_makes_the_centre_mail_nothing(centre):
    token = centre.add("one")

    answer = offer(centre, token, "one", [[1, NOW, "centre"]])

    assert (answer.json["rows"], answer.json["told"], pending(centre)) == ("", [], [])


def test_a_centre_with_nobody_to_tell_takes_nothing_over_and_the_machine_mails(centre):
    alone = Centre(centre.data, mail_to="")
    token = alone.add("one")
    with database.writer(alone.data) as db, database.transaction(db):
        wishes.set_mails(db, Scope(), "centre", "ada", NOW)

    assert (offer(alone, token, "one", [[1, NOW, "centre"]]).json["told"], pending(alone)) == ([], [])
    assert "so it takes none over" in alone.app.test_client().get("/fleet/thresholds?lang=en").text


def test_a_machine_makes_no_mail_about_another_nor_about_what_is_not_there(centre):
    tokens = {name: centre.add(name) for name in ("one", "two")}
    with database.writer(centre.data) as db, database.transaction(db):
        wishes.set_mails(db, Scope(), "centre", "ada", NOW)
    offer(centre, tokens["one"], "one", [])
    host = centre.member("one").host

    for number in (7, (host << 32) + 1, 2**33 + 1, 0):
        assert offer(centre, tokens["two"], "two", [[number, NOW, "centre"]]).json["told"] == []
    assert pending(centre) == []


def test_a_number_that_a_restored_machine_gives_a_second_time_is_left_to_the_machine(centre):
    token = centre.add("one")
    with database.writer(centre.data) as db, database.transaction(db):
        wishes.set_mails(db, Scope(), "centre", "ada", NOW)

    assert offer(centre, token, "one", [[1, NOW, "centre"]]).json["told"] == [1]
    assert offer(centre, token, "one", [[1, NOW + 600, "centre"]]).json["told"] == []
    assert offer(centre, token, "one", [[1, NOW, "centre"]]).json["told"] == [1]


@pytest.mark.parametrize(
    "row",
    [[1], [1, "centre"], ["1", NOW, "centre"], [1, NOW, 2], [-1, NOW, "centre"], [1, NOW, None], [1.5, NOW, "centre"]],
)
def test_a_row_that_is_none_is_refused(centre, row):
    assert offer(centre, centre.add("one"), "one", [row]).status_code == 400


def test_a_machine_in_a_storm_gives_its_centre_sixty_transitions_an_hour_and_mails_the_rest_itself(centre):
    token = centre.add("one")
    with database.writer(centre.data) as db, database.transaction(db):
        wishes.set_mails(db, Scope(), "centre", "ada", NOW)
    count = handing.MOST_AN_HOUR + 20

    first = offer(centre, token, "one", [[n, NOW, "centre"] for n in range(1, count + 1)], count)
    again = offer(centre, token, "one", [[n, NOW, "centre"] for n in range(1, count + 1)], count)

    assert len(first.json["told"]) == handing.MOST_AN_HOUR
    assert again.json["told"] == first.json["told"]
    assert len(pending(centre)) == handing.MOST_AN_HOUR


@pytest.mark.parametrize("labels", ["[", "[]", '{"mount":1}', "[" * 100_000])
def test_labels_that_are_none_are_refused_with_all_of_their_rows(centre, labels):
    token = centre.add("one")
    row = [*incident(1)[:3], labels, *incident(1)[4:]]
    said = centre.post(token, parcel.Parcel(head("one", rows={"incident": [row]}), []))

    assert "labels" in said.json["rows"]
    assert cycles.dump(centre.data, "incident") == {"incident": []}


def test_rows_that_cannot_be_told_hold_up_no_other_machines_mails(centre, capsys):
    tokens = {name: centre.add(name) for name in ("one", "two")}
    with database.writer(centre.data) as db, database.transaction(db):
        wishes.set_mails(db, Scope(), "centre", "ada", NOW)
    for name, token in tokens.items():
        assert offer(centre, token, name, [[1, NOW, "centre"]]).json["told"] == [1]
    with database.writer(centre.data) as db, database.transaction(db):
        db.execute("UPDATE incident SET labels='[' WHERE host=?", (centre.member("one").host,))  # as if it had got in
        assert tellers.tell(db, (), "", NOW + 200) == 1
    assert pending(centre) == []
    assert "cannot be mailed about" in capsys.readouterr().err


def test_a_machine_alone_has_no_row_of_all_this(machine, post):
    (port, _inbox), _ = post
    here = machine()
    config = Fleet.config(here.data, port, "m@example.org")
    for n in range(3):
        cycles.write(here.data, NOW + 60 * n, cycles.machine(NOW + 60 * n, disk=0.99))
        minute.run(config, NOW + 60 * n)
    with database.reader(here.data) as db:
        assert incidents.live(db, 1) != []
        assert handing.teller(db) == ""
        assert rows.collect(db, 1, NOW + 200, {}, 100)[0].keys() >= {"incident"}
    assert cycles.dump(here.data, "handed", "member_tell", "policy") == {"handed": [], "member_tell": [], "policy": []}


def test_a_machine_that_was_retired_is_told_of_under_the_sites_own_address(centre):
    token = centre.add("one")
    with database.writer(centre.data) as db, database.transaction(db):
        wishes.set_mails(db, Scope("host", "one"), "centre", "ada", NOW)
    offer(centre, token, "one", [[1, NOW, "centre"]])
    with database.writer(centre.data) as db, database.transaction(db):
        members.retire(db, "one", NOW)
        assert tellers.tell(db, (), "https://vigie.example.org", NOW + 200) == 1
        assert tellers.tell(db, (), "https://vigie.example.org", NOW + 260) == 0
