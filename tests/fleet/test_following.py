"""A machine fetches what its centre sets, judges with it, and goes on while the centre is away. Centres on both engines."""

import json
import os

import pytest

from alerts.rules import Rules
from archive import changes, database, thresholds
from archive.fleet import following, handing, members, parcel, policy, rows, send, state, wishes
from archive.fleet.policy import Scope
from archive.refused import Refused
from archive.thresholds import Threshold
from tests import cycles
from tests.conftest import NOW
from tests.fleet.fleet import head

DISK = "disk_used_ratio"
SET = Threshold(DISK, "{}", True, 0.5, 0.6, 0.45, 300)
MOUNT = SET._replace(labels='{"mount":"/"}', warning=0.7, critical=0.75, clear=None)


def joined(served, machine, name="one", tags="web"):
    here = machine(name)
    cycles.archive(served.data, NOW, cycles.machine(NOW))  # the centre knows the metrics
    here.cycle(NOW)
    here.join(served, served.add(name, tags))
    return here


def set_for(centre, scope, threshold, at=NOW):
    with database.writer(centre.data) as db, database.transaction(db):
        wishes.save(db, scope, threshold, "ada", at)


def take_out(centre, scope, threshold, at=NOW):
    with database.writer(centre.data) as db, database.transaction(db):
        assert wishes.remove(db, scope, threshold.metric, threshold.labels, "ada", at)


def level(here, labels="{}"):
    """The warning level by which the machine judges a line."""
    with database.reader(here.data) as db:
        rule = Rules(db, 1).of(DISK, labels)
    return rule.threshold.warning if rule else None


def held(here):
    with database.reader(here.data) as db:
        return following.followed(db).tag


def test_what_is_set_for_all_a_tag_and_the_machine_arrives_and_is_judged_with(served, machine):
    here = joined(served, machine)
    shipped = level(here)
    assert shipped not in (None, 0.5, 0.6, 0.65)

    set_for(served, Scope(), SET)
    here.send(NOW + 1)
    assert level(here) == 0.5
    set_for(served, Scope("tag", "web"), SET._replace(warning=0.55))
    here.cycle(NOW + 60)
    here.send(NOW + 60)
    assert level(here) == 0.55
    set_for(served, Scope("host", "one"), SET._replace(warning=0.58))
    here.cycle(NOW + 120)
    here.send(NOW + 120)
    assert level(here) == 0.58
    take_out(served, Scope("host", "one"), SET)
    take_out(served, Scope("tag", "web"), SET)
    take_out(served, Scope(), SET)
    here.cycle(NOW + 180)
    here.send(NOW + 180)
    assert level(here) == shipped


def test_it_is_in_the_history_as_the_centres_doing_and_is_undone_there_alone(served, machine):
    here = joined(served, machine)
    set_for(served, Scope(), SET)
    here.send(NOW + 1)

    with database.reader(here.data) as db:
        (change,) = thresholds.changes(db)
    assert (change.by, change.metric, change.before, change.after.warning) == ("centre", DISK, None, 0.5)
    with database.writer(here.data) as db, pytest.raises(Refused, match="centre"):
        thresholds.undo(db, change.id, "eve", NOW + 2)
    assert level(here) == 0.5


def test_it_is_asked_for_only_when_it_has_changed(served, machine, monkeypatch):
    here = joined(served, machine)
    set_for(served, Scope(), SET)
    asked = []
    fetch = send.fetch
    monkeypatch.setattr(send, "fetch", lambda *given: asked.append(given[2]) or fetch(*given))
    for minute in range(5):
        here.cycle(NOW + 60 * (minute + 1))
        here.send(NOW + 60 * (minute + 1))
    assert len(asked) == 1
    set_for(served, Scope("tag", "db"), SET)  # of no concern here
    set_for(served, Scope("tag", "web"), SET)  # the same levels: nothing to fetch
    here.cycle(NOW + 600)
    here.send(NOW + 600)
    assert len(asked) == 1
    set_for(served, Scope("tag", "web"), SET._replace(warning=0.4, clear=None))
    here.cycle(NOW + 660)
    here.send(NOW + 660)
    assert len(asked) == 2
    assert served.member("one").policy == held(here) != asked[1]  # the centre knows which one is followed


def test_a_conditional_get_says_not_modified_and_a_token_reads_its_own_alone(served, machine):
    one, two = joined(served, machine), served.add("two", "db")
    set_for(served, Scope("tag", "db"), SET)
    set_for(served, Scope("host", "one"), MOUNT)
    client, token = served.app.test_client(), state.joined(one.data).token

    def get(token, tag=""):
        return client.get("/fleet/v1/policy", headers={"Authorization": f"Bearer {token}", "If-None-Match": tag})

    mine, other = get(token), get(two)
    assert [t.labels for t in policy.parse(mine.data).thresholds] == [MOUNT.labels]
    assert [t.labels for t in policy.parse(other.data).thresholds] == ["{}"]
    again = get(token, mine.headers["ETag"])
    assert (again.status_code, again.data) == (304, b"")
    assert get(token, other.headers["ETag"]).status_code == 200
    assert get("vigief_" + "x" * 43).status_code == 401
    assert client.post("/fleet/v1/policy", headers={"Authorization": f"Bearer {token}"}).status_code == 405
    with database.writer(served.data) as db, database.transaction(db):
        members.revoke(db, "one", NOW)
    assert get(token).status_code == 401


def test_while_the_centre_is_away_it_goes_on_judging_with_what_it_has(served, machine):
    here = joined(served, machine)
    set_for(served, Scope(), SET)
    here.send(NOW + 1)
    served.stop()
    for minute in range(1, 30):
        here.cycle(NOW + 60 * minute)
        with pytest.raises(send.SendError):
            here.send(NOW + 60 * minute)

    assert level(here) == 0.5


def test_what_is_saved_on_the_machine_wins_and_the_centre_learns_of_it(served, machine):
    here = joined(served, machine)
    set_for(served, Scope(), SET)
    here.send(NOW + 1)
    with database.writer(here.data) as db:
        thresholds.save(db, SET._replace(warning=0.3, clear=0.2), "eve", NOW + 10)
    set_for(served, Scope(), SET._replace(warning=0.52))
    here.cycle(NOW + 60)
    here.send(NOW + 60)
    host = served.member("one").host

    assert level(here) == 0.3
    here.cycle(NOW + 120)
    here.send(NOW + 120)
    with database.reader(served.data) as db:
        (said,) = [one for one in thresholds.effective(db, host) if one.metric == DISK]
        assert (said.warning, said.updated_by) == (0.3, "eve")
        assert next(one for one in thresholds.effective(db, 1) if one.metric == DISK).warning != 0.3
    with database.writer(here.data) as db:
        thresholds.delete(db, DISK, "{}", "eve", NOW + 130)
    assert level(here) == 0.52  # the centre's stood below it all along
    here.cycle(NOW + 180)
    here.send(NOW + 180)
    with database.reader(served.data) as db:
        (said,) = [one for one in thresholds.effective(db, host) if one.metric == DISK]
    assert (said.warning, said.updated_by) == (0.52, "centre")


def test_a_more_precise_line_of_the_centre_holds_for_that_line(served, machine):
    here = joined(served, machine)
    set_for(served, Scope(), MOUNT)
    here.send(NOW + 1)

    assert (level(here, '{"mount":"/"}'), level(here, '{"mount":"/srv"}')) == (0.7, level(here))


def test_leaving_keeps_the_values_and_may_forget_them(served, machine):
    here = joined(served, machine)
    set_for(served, Scope(), SET)
    here.send(NOW + 1)
    with database.writer(here.data) as db, database.transaction(db):
        assert following.leave(db, NOW + 2) == 1
    assert (level(here), held(here)) == (0.5, "")
    with database.writer(here.data) as db, database.transaction(db):
        following.leave(db, NOW + 3, forget=True)
    assert level(here) != 0.5


def answer_of(mails="machine", **wrong):
    one = {name: getattr(SET, name) for name in Threshold._fields if name not in ("host", "updated_at", "updated_by")}
    said = {"format": 1, "mails": mails, "kinds": {DISK: "gauge", "odd_ratio": "gauge"}, "thresholds": [one | wrong]}
    return json.dumps(said).encode()


@pytest.mark.parametrize(
    "wrong",
    [
        {"warning": 7.0}, {"warning": "0.5"}, {"warning": None, "critical": None}, {"critical": 0.1}, {"clear": 0.55},
        {"for_seconds": -1}, {"for_seconds": 10**9}, {"for_seconds": True}, {"labels": "[]"}, {"labels": "[" * 900},
        {"second_metric": DISK}, {"second_metric": "nothing_here", "second_level": 1.0}, {"second_for": "x"},
        {"metric": "nothing_here"},
    ],
)  # fmt: skip
def test_a_hostile_centre_sets_nothing_that_the_form_would_refuse(machine, wrong):
    here = machine()
    here.cycle(NOW)
    before = level(here)
    with database.writer(here.data) as db, database.transaction(db):
        refused = following.follow(db, policy.parse(answer_of(**wrong)), "t", NOW)

    assert len(refused) == 1
    assert level(here) == before
    assert cycles.dump(here.data, "threshold", "change") == {"threshold": [], "change": []}


def test_a_wrong_value_is_left_out_alone_and_what_stood_before_stays(machine):
    here = machine()
    here.cycle(NOW)
    with database.writer(here.data) as db, database.transaction(db):
        following.follow(db, policy.parse(answer_of()), "a", NOW)
        refused = following.follow(db, policy.parse(answer_of(warning=7.0)), "b", NOW)

    assert "out of range" in refused[0]
    assert (level(here), held(here)) == (0.5, "b")


def test_a_threshold_of_a_metric_that_is_not_measured_here_yet_waits_for_it(machine):
    here = machine()
    here.cycle(NOW)
    with database.writer(here.data) as db, database.transaction(db):
        assert following.follow(db, policy.parse(answer_of(metric="odd_ratio")), "t", NOW) == []
        assert [one.metric for one in thresholds.effective(db, 1) if one.updated_by == "centre"] == ["odd_ratio"]
        assert "odd_ratio" not in Rules(db, 1).metrics_watched()
        with pytest.raises(Refused):  # its range is known all the same
            thresholds.save(db, SET._replace(metric="odd_ratio", warning=7.0), "c", NOW, {"odd_ratio": "gauge"})


def test_what_makes_no_sense_is_said_once_and_nothing_is_lost(served, machine, monkeypatch, capsys):
    here = joined(served, machine)
    set_for(served, Scope(), SET)
    with monkeypatch.context() as patch:
        patch.setattr(wishes, "said", lambda *_: wishes.Said("machine", '{"format": 9}', "odd"))
        for minute in range(3):
            here.cycle(NOW + 60 * (minute + 1))
            assert here.send(NOW + 60 * (minute + 1)) >= 1
    assert capsys.readouterr().err.count("format") == 1
    assert "format" in state.read(here.data, state.POLICY)
    here.cycle(NOW + 600)
    here.send(NOW + 600)
    assert (level(here), state.read(here.data, state.POLICY)) == (0.5, "")


def test_killed_in_the_middle_all_of_it_is_kept_or_nothing(served, machine, monkeypatch):
    here = joined(served, machine)
    set_for(served, Scope(), SET)
    set_for(served, Scope(), MOUNT)
    with monkeypatch.context() as patch:
        patch.setattr(handing, "tidy", lambda _db: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            here.send(NOW + 1)
    assert (cycles.dump(here.data, "threshold"), held(here)) == ({"threshold": []}, "")
    here.send(NOW + 2, at_once=True)
    here.cycle(NOW + 60)
    here.send(NOW + 60)
    assert len(cycles.dump(here.data, "threshold")["threshold"]) == 2


def test_an_older_machine_and_an_older_centre_go_on_as_before(served, machine):
    here = joined(served, machine)
    set_for(served, Scope(), SET)
    old = parcel.pack(parcel.Parcel(head("two"), []))
    assert b"policy" in __import__("zlib").decompress(old)
    token = served.add("two")
    said = served.app.test_client().post(
        "/fleet/v1/cycles",
        data=__import__("zlib").compress(__import__("zlib").decompress(old).replace(b',"policy":""', b"")),
        headers={"Authorization": f"Bearer {token}"},
    )
    assert (said.status_code, served.member("two").policy) == (200, "")
    with database.reader(here.data) as db:  # a centre that sets nothing is sent no rows that it does not know
        assert {"threshold", "tell"}.isdisjoint(rows.collect(db, 1, NOW, {}, 100)[0])


HOSTILE = ["m", "{}", 1, 0.5, None, None, 0, 0, "", 0, None, "critical", 1, 0, "x"]


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (1, "[]"),
        (1, "{"),
        (1, "[" * 5000),
        (1, '{"a":1}'),
        (2, 2),
        (6, -1),
        (11, "x"),
        (12, 5),
        (3, "high"),
        (14, None),
    ],
)
def test_a_machine_that_says_nonsense_of_its_thresholds_loses_its_rows_alone(centre, place, value):
    token, other = centre.add("one"), centre.add("two")
    good = parcel.Parcel(head("two", rows={"threshold": [HOSTILE]}), [])
    assert centre.post(other, good).json["rows"] == ""
    row = [*HOSTILE[:place], value, *HOSTILE[place + 1 :]]
    text = cycles.spool_text(NOW, cycles.machine(NOW))

    said = centre.post(token, parcel.Parcel(head("one", rows={"threshold": [row]}), [text]))

    assert said.status_code == 400 or (said.json["rows"] != "" and said.json["loaded"] == 1)
    with database.reader(centre.data) as db:
        assert [one.warning for one in thresholds.effective(db, centre.member("two").host) if one.metric == "m"] == [
            0.5
        ]
        assert not [one for one in thresholds.effective(db, centre.member("one").host) if one.metric == "m"]


# --- what the administrator sets, at the centre ----------------------------------------------------------------------


def test_a_change_at_the_centre_is_in_its_history_and_can_be_undone(centre):
    cycles.archive(centre.data, NOW, cycles.machine(NOW))
    set_for(centre, Scope(), SET)
    set_for(centre, Scope(), SET._replace(warning=0.55))
    with database.writer(centre.data) as db, database.transaction(db):
        newest, first = changes.recent(db, 10)
        with pytest.raises(Refused, match="again since"):
            wishes.undo(db, first, "ada", NOW)
        wishes.undo(db, newest, "ada", NOW)
        (rule,) = wishes.every(db)
        assert rule.threshold.warning == 0.5
        scope, metric, before, after = wishes.from_change(newest)
        assert (scope, metric, before.threshold.warning, after.threshold.warning) == (Scope(), DISK, 0.5, 0.55)


@pytest.mark.parametrize(
    ("scope", "threshold", "field"),
    [
        (Scope("host", "nobody"), SET, "scope"), (Scope("tag", "a b"), SET, "scope"), (Scope("host", ""), SET, "scope"),
        (Scope("all", "x"), SET, "scope"), (Scope("every", ""), SET, "scope"), (Scope(), SET._replace(warning=3.0), "warning"),
        (Scope(), SET._replace(metric="nothing_here"), "metric"), (Scope(), SET._replace(labels='{"a":"%s"}' % ("x" * 2000)), "labels"),
    ],
)  # fmt: skip
def test_a_wish_that_cannot_be_is_refused_by_its_field(centre, scope, threshold, field):
    cycles.archive(centre.data, NOW, cycles.machine(NOW))
    with database.writer(centre.data) as db, pytest.raises(Refused) as refused:
        wishes.save(db, scope, threshold, "ada", NOW)

    assert refused.value.field == field
    assert cycles.dump(centre.data, "policy", "change") == {"policy": [], "change": []}


def test_there_are_not_more_of_one_scope_than_a_machine_takes(centre):
    cycles.archive(centre.data, NOW, cycles.machine(NOW))
    with database.writer(centre.data) as db, database.transaction(db):
        for number in range(policy.MOST):
            wishes.save(db, Scope(), SET._replace(labels=json.dumps({"mount": f"/{number}"})), "ada", NOW)
        with pytest.raises(Refused, match="take one out"):
            wishes.save(db, Scope(), SET, "ada", NOW)
        wishes.save(db, Scope(), SET._replace(labels='{"mount":"/7"}', warning=0.3, clear=None), "ada", NOW)
    assert os.path.exists(centre.data)
