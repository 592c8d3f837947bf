"""Which of the centre's rules holds for a machine, and how that travels. Pure."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.fleet import policy
from archive.fleet.policy import MAILS, PolicyError, Rule, Scope
from archive.thresholds import Threshold

DISK = Threshold("disk_used_ratio", "{}", True, 0.9, 0.97, 0.85, 900)
KEY = ("disk_used_ratio", "{}")
KINDS = {"disk_used_ratio": "gauge", "memory_available_ratio": "gauge"}


def rule(scope, name="", threshold=DISK, mails="", **more):
    return Rule(Scope(scope, name), None if mails else threshold._replace(**more), mails)


@pytest.mark.parametrize(
    ("rules", "level"),
    [
        ([rule("all", warning=0.5)], 0.5),
        ([rule("all", warning=0.5), rule("tag", "web", warning=0.6)], 0.6),
        ([rule("host", "one", warning=0.8), rule("tag", "web", warning=0.6), rule("all", warning=0.5)], 0.8),
        ([rule("host", "two", warning=0.8), rule("tag", "db", warning=0.6), rule("all", warning=0.5)], 0.5),
    ],
)
def test_the_most_precise_rule_wins(rules, level):
    assert policy.applied(rules, "one", ["paris", "web"])[KEY].rule.threshold.warning == level


def test_nothing_that_is_set_for_others_holds_here():
    assert policy.applied([rule("host", "two"), rule("tag", "db"), rule("tag", "two")], "one", ["web"]) == {}


@pytest.mark.parametrize(
    ("web", "paris", "winner"),
    [
        ({"warning": 0.8}, {"warning": 0.7}, "paris"),
        ({"warning": 0.8, "enabled": False}, {"warning": 0.9}, "paris"),
        ({"warning": 0.8, "for_seconds": 60}, {"warning": 0.8, "for_seconds": 600}, "web"),
        ({"warning": None, "critical": 0.6}, {"warning": 0.7}, "web"),
        ({"above": False, "warning": 0.2, "critical": 0.1}, {"above": False, "warning": 0.1, "critical": 0.05}, "web"),
        ({"above": False, "warning": 0.2, "critical": 0.1}, {"warning": 0.7}, "paris"),  # cannot be compared: by name
    ],
)
def test_two_tags_that_disagree_give_the_stricter_and_say_so(web, paris, winner):
    found = policy.applied([rule("tag", "web", **web), rule("tag", "paris", **paris)], "one", ["web", "paris"])[KEY]

    assert found.rule.scope.name == winner
    assert found.disagree == tuple({"web", "paris"} - {winner})


def test_two_tags_that_agree_are_no_disagreement():
    found = policy.applied([rule("tag", "web"), rule("tag", "paris")], "one", ["web", "paris"])[KEY]

    assert (found.rule.scope.name, found.disagree) == ("paris", ())


def test_one_line_and_all_lines_are_two_rules():
    one = rule("all", labels='{"mount":"/"}', warning=0.5)

    assert len(policy.applied([one, rule("host", "one")], "one", [])) == 2


@pytest.mark.parametrize(
    ("rules", "mails"),
    [
        ([], "machine"),
        ([rule("all", mails="centre")], "centre"),
        ([rule("all", mails="centre"), rule("tag", "web", mails="machine")], "machine"),
        ([rule("tag", "web", mails="machine"), rule("tag", "paris", mails="centre")], "both"),  # nobody is left out
        ([rule("tag", "web", mails="machine"), rule("host", "one", mails="centre")], "centre"),
    ],
)
def test_who_mails_goes_by_the_same_precedence(rules, mails):
    assert policy.of_machine(policy.applied(rules, "one", ["web", "paris"]), KINDS).mails == mails


scopes = st.one_of(
    st.just(Scope()), st.builds(Scope, st.just("tag"), st.sampled_from("abc")), st.builds(Scope, st.just("host"), st.sampled_from(["one", "two"]))
)  # fmt: skip
rules = st.lists(
    st.builds(
        lambda scope, level, above, on, metric: Rule(
            scope, DISK._replace(metric=metric, warning=level, critical=None, clear=None, above=above, enabled=on)
        ),
        scopes, st.floats(0, 1), st.booleans(), st.booleans(), st.sampled_from(sorted(KINDS)),
    ),
    max_size=12, unique_by=lambda rule: (rule.scope, rule.key),
)  # fmt: skip


@given(rules, st.sets(st.sampled_from("abc")), st.randoms())
def test_what_holds_depends_on_nothing_but_the_rules(found, tags, chance):
    """Neither on their order nor on that of the tags; whatever holds is one of the rules, of the most precise scope there is."""
    shuffled = list(found)
    chance.shuffle(shuffled)
    here = policy.applied(found, "one", sorted(tags))

    assert policy.applied(shuffled, "one", sorted(tags, reverse=True)) == here
    for key, one in here.items():
        mine = [
            r
            for r in found
            if r.key == key
            and (r.scope.scope, r.scope.name) in {("all", ""), ("host", "one"), *(("tag", tag) for tag in tags)}
        ]
        assert one.rule in mine
        order = {"all": 0, "tag": 1, "host": 2}
        assert order[one.rule.scope.scope] == max(order[r.scope.scope] for r in mine)
        assert set(here) == {r.key for r in found if r.scope.scope == "all" or r.scope.name in {"one", *tags}}


@given(rules, st.sets(st.sampled_from("abc")))
def test_what_travels_is_read_back_as_it_was(found, tags):
    sent = policy.of_machine(policy.applied(found, "one", sorted(tags)), KINDS)

    assert policy.parse(policy.text(sent).encode()) == sent
    assert policy.tag(policy.text(sent)) == policy.tag(policy.text(policy.parse(policy.text(sent).encode())))


def test_a_metric_that_the_centre_does_not_know_does_not_travel():
    assert policy.of_machine(policy.applied([rule("all", metric="gone_ratio")], "one", []), KINDS).thresholds == ()


GOOD = json.loads(policy.text(policy.of_machine(policy.applied([rule("all")], "one", []), KINDS)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"format": 2}, {"mails": "nobody"}, {"mails": None}, {"kinds": {"disk_used_ratio": "info"}}, {"kinds": {"a b": "gauge"}},
        {"kinds": []}, {"thresholds": {}}, {"thresholds": [1]}, {"thresholds": [{}]}, {"thresholds": GOOD["thresholds"] * 2},
        {"thresholds": [GOOD["thresholds"][0] | {"host": 1}]}, {"thresholds": [GOOD["thresholds"][0] | {"above": 1}]},
        {"thresholds": [GOOD["thresholds"][0] | {"labels": 3}]}, {"thresholds": [GOOD["thresholds"][0] | {"metric": "a b"}]},
        {"thresholds": [GOOD["thresholds"][0] | {"second_metric": "'; DROP"}]},
        {"thresholds": [GOOD["thresholds"][0] | {"labels": "x" * 1001}]},
    ],
)  # fmt: skip
def test_what_is_no_policy_is_refused_with_the_reason(wrong):
    with pytest.raises(PolicyError, match=next(iter(wrong)).split("[")[0]):
        policy.parse(json.dumps(GOOD | wrong).encode())


@given(st.binary(max_size=200) | st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)).map(lambda x: json.dumps(x).encode()))  # fmt: skip
def test_whatever_comes_is_a_policy_or_a_policy_error(raw):
    with contextlib.suppress(PolicyError):
        policy.parse(raw)


def test_the_setting_of_who_mails_is_no_threshold():
    found = policy.applied([rule("all", mails="both"), rule("all")], "one", [])

    assert set(found) == {MAILS, KEY}
