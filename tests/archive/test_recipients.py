"""Who is mailed, as rows: checked, adopted from the settings at the first change, taken off with what waits."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive import database, outbox, recipients
from archive.recipients import Recipient, RecipientError
from archive.settings import Settings, SettingsError
from tests.alerts import post
from tests.alerts.post import NOW

URL = "ntfys://user:canary@ntfy.example.org/vigie"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return post.make_archive(tmp_path / "data")


def in_force(data: Path, settings: Settings) -> list[Recipient]:
    with database.reader(str(data)) as db:
        return list(recipients.in_force(db, settings))


def keep(data: Path, *people: Recipient) -> None:
    with post.writing(data) as db:
        for one in people:
            recipients.save(db, one, "admin", NOW)


def test_without_rows_the_setting_holds_and_with_one_the_rows_do(data: Path) -> None:
    settings = post.settings(data, mail_to="a@example.org,b@example.org")
    assert in_force(data, settings) == [Recipient("a@example.org"), Recipient("b@example.org")]

    keep(data, Recipient("c@example.org", "critical", False, "en"))
    assert in_force(data, settings) == [Recipient("c@example.org", "critical", False, "en")]


def test_before_the_first_change_those_of_the_setting_are_adopted(data: Path) -> None:
    settings = post.settings(data, mail_to="a@example.org,b@example.org")
    for _ in range(2):
        with post.writing(data) as db:
            recipients.adopt(db, settings, "admin", NOW)
            recipients.save(db, Recipient("c@example.org"), "admin", NOW)
    assert [one.address for one in in_force(data, settings)] == ["a@example.org", "b@example.org", "c@example.org"]


def test_an_apprise_address_is_listed_by_name_without_a_digest_and_takes_wishes(data: Path) -> None:
    settings = post.settings(data, mail_to="a@example.org", notify_urls=URL)
    name = recipients.apprise_name(URL)
    assert "canary" not in name
    assert in_force(data, settings) == [Recipient("a@example.org"), Recipient(name, digest=False)]

    keep(data, Recipient(name, "critical", False))
    assert in_force(data, settings) == [Recipient("a@example.org"), Recipient(name, "critical", False)], (
        "a wish for Apprise takes nobody off VIGIE_MAIL_TO"
    )


def test_one_address_is_kept_once_whatever_its_case(data: Path) -> None:
    keep(data, Recipient("Alice@example.org"), Recipient("alice@EXAMPLE.org", "critical"))
    with database.reader(str(data)) as db:
        assert [row.recipient for row in recipients.rows(db)] == [Recipient("Alice@example.org", "critical")]


@pytest.mark.parametrize(
    ("given_", "field"),
    [
        (Recipient(""), "address"),
        (Recipient("nobody"), "address"),
        (Recipient("a@b, c@d"), "address"),
        (Recipient("a@b\nBcc: c@d"), "address"),
        (Recipient('"x" <a@b>'), "address"),
        (Recipient("a@-b.org"), "address"),
        (Recipient("a" * 250 + "@b.org"), "address"),
        (Recipient("a@b.org", "all"), "level"),
        (Recipient("a@b.org", language="de"), "language"),
    ],
)
def test_what_is_no_recipient_is_refused_by_its_field(data: Path, given_: Recipient, field: str) -> None:
    with pytest.raises(RecipientError) as caught:
        keep(data, given_)
    assert caught.value.field == field
    with database.reader(str(data)) as db:
        assert recipients.rows(db) == []


@given(st.text(max_size=60))
def test_an_address_that_passes_is_one_address(text: str) -> None:
    from email.headerregistry import AddressHeader
    from email.policy import default

    try:
        recipients.check_address(text)
    except RecipientError:
        return
    if text.isascii():
        header = default.header_factory("To", text)
        assert isinstance(header, AddressHeader)
        assert len(header.addresses) == 1


def test_taking_somebody_off_drops_what_waits_and_keeps_what_was_said(data: Path) -> None:
    keep(data, Recipient("gone@example.org"), Recipient("stays@example.org"))
    with post.writing(data) as db:
        number = outbox.add(db, 1, NOW, "incident", "", "<m@x>", "s", "{}")
        both = ["gone@example.org", "stays@example.org"]
        outbox.queue(db, number, both, NOW)
        outbox.mark(db, number, "gone@example.org", "held", 0, NOW, "mx", "550 no such user")
        accepted = outbox.add(db, 1, NOW, "incident", "", "<n@x>", "s", "{}")
        outbox.queue(db, accepted, both[:1], NOW)
        outbox.mark(db, accepted, "gone@example.org", "accepted", 0, NOW, "mx", "250 ok")
        assert recipients.remove(db, "GONE@example.org", NOW + 1)
        assert not recipients.remove(db, "gone@example.org", NOW + 1)
    assert post.states(data) == [
        ("gone@example.org", "dropped"), ("stays@example.org", "queued"), ("gone@example.org", "accepted"),
    ]  # fmt: skip
    assert post.ledger(data)[1].deliveries[0].reply == recipients.TAKEN_OFF


def test_where_the_database_cannot_be_read_the_settings_are_taken(tmp_path: Path) -> None:
    settings = post.settings(tmp_path / "nothing", mail_to="a@example.org", notify_urls=URL)
    assert recipients.addresses(settings) == ("a@example.org", recipients.apprise_name(URL))


# --- the setting ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bad", ["nonsense", "://x", "1x://y", "ntfy://", "json://h/?verify=no", "jsons://h?a=b&verify=False"]
)
def test_a_bad_notify_url_is_refused_and_never_shown(data: Path, bad: str) -> None:
    with pytest.raises(SettingsError, match="VIGIE_NOTIFY_URLS") as caught:
        post.settings(data, notify_urls=f"{URL} {bad}")
    assert "canary" not in str(caught.value)


def test_several_notify_urls_are_separated_by_spaces(data: Path) -> None:
    found = post.settings(data, notify_urls=f"{URL}   json://h/a,b?verify=yes")
    assert found.notify_urls == (URL, "json://h/a,b?verify=yes")
    assert "canary" not in repr(found)
