"""The rule of the mail to a person: off at first, checked by field, at most once a day."""

from pathlib import Path

import pytest

from archive import database, persons
from archive.persons import Rule
from archive.recipients import RecipientError
from tests.alerts import post
from tests.alerts.post import NOW

FULL = Rule(True, "example.org", "help@example.org", (("bob", "b.martin@lab.example"), ("eve", "")))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return post.make_archive(tmp_path / "data")


def save(data: Path, rule: Rule) -> None:
    with post.writing(data) as db:
        persons.save(db, rule, "admin", NOW)


def read(data: Path) -> Rule:
    with database.reader(str(data)) as db:
        return persons.rule(db)


def test_it_is_off_until_somebody_switches_it_on(data: Path) -> None:
    assert read(data) == Rule()
    assert not read(data).on


def test_a_rule_is_read_back_as_it_was_kept(data: Path) -> None:
    save(data, FULL)
    assert read(data) == FULL
    save(data, Rule())
    assert read(data) == Rule()


@pytest.mark.parametrize(
    ("user", "address"),
    [
        ("alice", "alice@example.org"),
        ("bob", "b.martin@lab.example"),
        ("eve", ""),
        ("with space", ""),
        ("a@b", ""),
        ("x\nBcc: y", ""),
    ],
)
def test_an_address_is_the_persons_own_or_the_domains_or_none(user: str, address: str) -> None:
    assert FULL.address_of(user) == address


def test_without_a_domain_only_those_listed_are_written_to() -> None:
    assert Rule(True, "", "", (("bob", "b@x.org"),)).address_of("alice") == ""


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        (Rule(True, "no domain"), "domain"),
        (Rule(True, "a@b"), "domain"),
        (Rule(True), "domain"),
        (Rule(True, "x.org", "two@x.org, a@x.org"), "contact"),
        (Rule(True, "x.org", "", (("bob", "nowhere"),)), "addresses"),
        (Rule(True, "x.org", "", tuple((f"u{i}", "") for i in range(501))), "addresses"),
    ],
)
def test_a_bad_rule_names_its_field_and_nothing_is_kept(data: Path, rule: Rule, field: str) -> None:
    save(data, FULL)
    with pytest.raises(RecipientError) as caught:
        save(data, rule)
    assert caught.value.field == field
    assert read(data) == FULL


@pytest.mark.parametrize("text", ["alice", "= a@b.org", "two words = a@b.org", "a = x@y.org\na = z@y.org"])
def test_a_bad_line_of_addresses_is_named(text: str) -> None:
    with pytest.raises(RecipientError, match=r"Line [12]:"):
        persons.parse_addresses(text)


def test_lines_of_addresses_are_parsed() -> None:
    assert persons.parse_addresses("\nbob = b@x.org\r\n  alice=\n") == (("alice", ""), ("bob", "b@x.org"))


@pytest.mark.parametrize(
    ("later", "told"), [(0, True), (86_399, True), (86_400, False), (-3600, True), (-86_400, False)]
)
def test_a_person_is_told_once_a_day_also_when_the_clock_was_set_back(data: Path, later: int, told: bool) -> None:
    with post.writing(data) as db:
        persons.note_told(db, 1, "alice", 7, NOW)
        assert persons.told_lately(db, 1, "alice", NOW + later) is told
        assert not persons.told_lately(db, 1, "bob", NOW)
