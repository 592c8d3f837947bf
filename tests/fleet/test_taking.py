"""The centre takes what a machine sends once, whole, and harms nobody by it. On both engines."""

import os

import pytest

from archive import database, incidents, read, spool
from archive.fleet import members, parcel
from tests import cycles
from tests.conftest import NOW
from tests.fleet.fleet import head

MINUTE = 60


def texts(count, start=NOW, boot=cycles.BOOT, **levels):
    return [
        cycles.spool_text(start + n * MINUTE, cycles.machine(start + n * MINUTE, **levels), boot) for n in range(count)
    ]


def samples(centre, host, name="memory_used_ratio"):
    with database.reader(centre.data) as db:
        return [
            tuple(sample) for line in read.series(db, host, name) for sample in read.samples(db, host, line, 0, 2**40)
        ]


def test_cycles_become_rows_of_that_machine_alone(centre):
    token = centre.add("one")
    host = centre.member("one").host

    answer = centre.post(token, parcel.Parcel(head(), texts(3)))

    assert (answer.status_code, answer.json["taken"], answer.json["loaded"]) == (200, 3, 3)
    assert samples(centre, host) == [(NOW, 0.5), (NOW + 60, 0.5), (NOW + 120, 0.5)]
    assert samples(centre, 1) == []
    found = centre.member("one")
    assert (found.joined_at, found.seen_at, found.cycle_at, found.waiting) == (NOW, NOW, NOW + 120, 0)
    with database.reader(centre.data) as db:
        assert members.figures(db, [host])[host]["memory_used_ratio"] == [0.5, 0.5, 0.5]


def test_the_same_parcel_again_changes_nothing_and_is_settled(centre):
    token = centre.add("one")
    centre.post(token, parcel.Parcel(head(), texts(3)))
    before = cycles.dump(centre.data, "sample", "cycle", "series", "counter", "fact")

    answer = centre.post(token, parcel.Parcel(head(), texts(3)))

    assert (answer.status_code, answer.json["taken"], answer.json["loaded"]) == (200, 3, 0)
    assert cycles.dump(centre.data, "sample", "cycle", "series", "counter", "fact") == before


def test_counters_become_the_same_rates_as_on_the_machine(centre, machine):
    token = centre.add("one")
    here = machine()
    for n in range(3):
        here.cycle(NOW + n * MINUTE)
    centre.post(token, parcel.Parcel(head(), texts(3)))

    with database.reader(here.data) as db:
        (line,) = read.series(db, 1, "cpu_busy_seconds_total")
        local = [tuple(sample) for sample in read.samples(db, 1, line, 0, 2**40)]
    assert len(local) == 2
    assert samples(centre, centre.member("one").host, "cpu_busy_seconds_total") == local


def test_another_machine_with_the_same_token_is_refused_and_writes_nothing(centre):
    token = centre.add("one")
    centre.post(token, parcel.Parcel(head("one"), texts(1)))

    answer = centre.post(token, parcel.Parcel(head("two"), texts(1, NOW + 60)))

    assert answer.status_code == 409
    assert "another machine" in answer.json["error"]
    assert len(samples(centre, centre.member("one").host)) == 1


@pytest.mark.parametrize("token", ["", "vigief_" + "x" * 43, "vigie_" + "x" * 43, "x" * 1000])
def test_a_wrong_token_opens_nothing(centre, token):
    centre.add("one")

    answer = centre.post(token, parcel.Parcel(head(), texts(1)))

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert cycles.dump(centre.data, "sample") == {"sample": []}


def test_a_revoked_and_a_retired_machine_send_no_more(centre):
    for name, end in (("one", members.revoke), ("two", members.retire)):
        token = centre.add(name)
        assert centre.post(token, parcel.Parcel(head(name), texts(1))).status_code == 200
        with database.writer(centre.data) as db, database.transaction(db):
            end(db, name, NOW)
        assert centre.post(token, parcel.Parcel(head(name), texts(1, NOW + 60))).status_code == 401


def test_d31_a_cycle_from_the_future_is_refused_alone_counted_and_said(centre):
    token = centre.add("one")
    good, ahead = texts(1)[0], texts(1, NOW + 3 * 3600)[0]

    answer = centre.post(token, parcel.Parcel(head(now=NOW + 3 * 3600), [good, ahead]))

    assert (answer.json["taken"], answer.json["loaded"]) == (2, 1)
    assert "ahead of the centre's clock" in answer.json["refused"][0]
    found = centre.member("one")
    assert (found.skew, found.refused) == (3 * 3600, 1)
    assert "ahead" in found.refusal


def test_a_cut_text_and_one_older_than_what_is_kept_are_refused_alone(centre):
    token = centre.add("one")
    cut = texts(1)[0][:-40]
    old = texts(1, NOW - 500 * 86_400)[0]

    answer = centre.post(token, parcel.Parcel(head(), [cut, old, *texts(1)]))

    assert (answer.json["taken"], answer.json["loaded"], len(answer.json["refused"])) == (3, 1, 2)


def test_d31_a_million_rows_are_stopped_by_the_machines_own_budget(centre):
    token, other = centre.add("one"), centre.add("two")
    lines = 1900  # of one probe; a text may hold several probes
    sections = {f"p{p}": "".join(f'm{p}{{n="{n}"}} 1\n' for n in range(lines)) for p in range(10)}
    flood = [cycles.spool_text(NOW + n * MINUTE, sections) for n in range(12)]

    answers = [centre.post(token, parcel.Parcel(head("one"), flood[n : n + 4])) for n in (0, 4, 8)]

    taken = sum(answer.json["taken"] for answer in answers)
    assert taken == members.BUDGET // (10 * lines + 11)
    assert answers[-1].status_code == 429
    assert 5 <= int(answers[-1].headers["Retry-After"]) <= 60
    assert len(cycles.dump(centre.data, "series")["series"]) <= 5_000
    assert centre.post(other, parcel.Parcel(head("two"), texts(1))).json["loaded"] == 1


def test_a_body_that_is_too_large_or_no_parcel_is_refused_in_words(centre):
    token = centre.add("one")
    client = centre.app.test_client()
    auth = {"Authorization": f"Bearer {token}"}

    big = client.post("/fleet/v1/cycles", data=b"x" * (parcel.MOST_BYTES + 1), headers=auth)
    bad = client.post("/fleet/v1/cycles", data=b"x", headers=auth)

    assert (big.status_code, bad.status_code) == (413, 400)
    assert "at most" in big.json["error"]
    assert client.get("/fleet/v1/cycles").status_code == 405
    assert client.post("/fleet/v1/other").status_code == 404


def incident(number=7, state="open", metric="disk_used_ratio", labels='{"mount":"/"}'):
    return [number, "threshold", metric, labels, state, "critical", NOW, NOW, NOW, None, None, "", NOW, 0.99, 0.99, NOW,
            0, "{}", None, None, "", ""]  # fmt: skip


def test_incidents_travel_under_numbers_that_no_other_machine_can_have(centre):
    one, two = centre.add("one"), centre.add("two")
    rows = {"incident": [incident()], "transition": [[3, 7, NOW, "opened", "critical", 0.99, ""]]}
    for name, token in (("one", one), ("two", two)):
        answer = centre.post(token, parcel.Parcel(head(name, rows=rows), texts(1, disk=0.99)))
        assert (answer.status_code, answer.json["rows"]) == (200, "")

    with database.reader(centre.data) as db:
        for name in ("one", "two"):
            member = members.named(db, name)
            (found,) = incidents.live(db, member.host)
            assert found.id == (member.host << 32) + 7
            assert found.series == incidents.series_id(db, member.host, "disk_used_ratio", '{"mount":"/"}')
            assert [t.kind for t in incidents.transitions(db, found.id)] == ["opened"]
            assert (member.worst, member.opened) == (2, 1)


def test_an_incident_that_ended_is_over_at_the_centre_too(centre):
    token = centre.add("one")
    centre.post(token, parcel.Parcel(head(rows={"incident": [incident()]}), texts(1)))
    over = incident(state="resolved")
    over[10], over[11] = NOW + 60, "cleared"

    centre.post(token, parcel.Parcel(head(rows={"incident": [over]}), texts(1, NOW + 60)))

    found = centre.member("one")
    assert (found.worst, found.opened) == (0, 0)
    with database.reader(centre.data) as db:
        assert incidents.get(db, (found.host << 32) + 7).end_reason == "cleared"


@pytest.mark.parametrize("number", [0, -1, 1 << 32, (5 << 32) + 7])
def test_d31_a_number_of_another_machines_is_refused_and_the_samples_are_kept(centre, number):
    token = centre.add("one")
    if number < 0:
        answer = centre.post(token, parcel.Parcel(head(rows={"incident": [incident(number)]}), texts(1)))
        assert answer.status_code == 400
        return

    answer = centre.post(token, parcel.Parcel(head(rows={"incident": [incident(number)]}), texts(1)))

    assert answer.json["loaded"] == 1
    assert "not kept" in answer.json["rows"]
    assert cycles.dump(centre.data, "incident") == {"incident": []}


def test_rows_that_contradict_each_other_lose_the_rows_not_the_samples(centre):
    token = centre.add("one")

    answer = centre.post(token, parcel.Parcel(head(rows={"incident": [incident(7), incident(8)]}), texts(1)))

    assert (answer.status_code, answer.json["loaded"]) == (200, 1)
    assert "not kept" in answer.json["rows"]
    assert cycles.dump(centre.data, "incident") == {"incident": []}


def test_packages_are_what_is_installed_now(centre):
    token = centre.add("one")
    libc, ssl = ["libc6", "2.36", "amd64", "glibc", "2.36", "Debian"], ["openssl", "3.0", "amd64", "openssl", "3.0", ""]
    centre.post(token, parcel.Parcel(head(rows={"package": [libc, ssl]}), []))
    newer = ["openssl", "3.1", "amd64", "openssl", "3.1", ""]
    centre.clock.now = NOW + 60

    centre.post(token, parcel.Parcel(head(rows={"package": [libc, newer]}), []))

    rows = cycles.dump(centre.data, "package")["package"]
    assert sorted((row[1], row[2], row[-1]) for row in rows) == [
        ("libc6", "2.36", None), ("openssl", "3.0", NOW + 60), ("openssl", "3.1", None)
    ]  # fmt: skip


def test_a_verdict_of_a_publication_that_the_centre_does_not_know_is_asked_for_again(centre):
    token = centre.add("one")
    row = ["CERTFR-2026-ALE-001", "affected", "openssl", "3.0", '["x", []]', "[]", "", NOW, None, "3.1", None]

    answer = centre.post(token, parcel.Parcel(head(rows={"verdict": [row]}), []))

    assert answer.json["unknown"] == ["CERTFR-2026-ALE-001"]
    assert cycles.dump(centre.data, "verdict", "advisory") == {"verdict": [], "advisory": []}


def test_p30_two_machines_of_one_name_stay_two(centre):
    for name, uid in (("one", "u1"), ("two", "u2")):
        centre.post(centre.add(name), parcel.Parcel(head("srv", uid=uid), texts(1)))

    assert [len(samples(centre, centre.member(name).host)) for name in ("one", "two")] == [1, 1]


def test_a_cloned_machine_that_sends_as_its_original_is_doubted(centre):
    token = centre.add("one")
    for n, boot in enumerate(["a", "b", "a"]):
        centre.post(token, parcel.Parcel(head(), texts(1, NOW + n * MINUTE, boot=boot)))

    assert centre.member("one").doubt == "two_boots"


def test_a_reboot_is_no_doubt(centre):
    token = centre.add("one")
    for n, boot in enumerate(["a", "a", "b", "b", "c"]):
        centre.post(token, parcel.Parcel(head(), texts(1, NOW + n * MINUTE, boot=boot)))

    assert centre.member("one").doubt == ""


def test_a_machine_that_was_renamed_keeps_its_rows_and_the_new_name_is_an_event(centre):
    token = centre.add("one")
    centre.post(token, parcel.Parcel(head(), texts(1)))
    centre.post(token, parcel.Parcel(head(name="other", uid="uid-of-one"), texts(1, NOW + 60)))

    member = centre.member("one")
    with database.reader(centre.data) as db:
        assert read.host(db, member.host).name == "other"
    assert len(samples(centre, member.host)) == 2
    events = [row[1:] for row in cycles.dump(centre.data, "event")["event"]]
    assert [event[-2:] for event in events if event[-3] == "renamed"] == [("other", "one")]


def test_what_is_archived_by_the_centre_itself_goes_on_beside(centre):
    cycles.archive(centre.data, NOW, cycles.machine(NOW))
    token = centre.add("one")
    centre.post(token, parcel.Parcel(head(), texts(1)))

    assert len(samples(centre, 1)) == len(samples(centre, centre.member("one").host)) == 1
    assert os.listdir(os.path.join(centre.data, "spool")) == []
    assert spool.waiting(centre.data) == []
