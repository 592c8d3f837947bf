"""What an event says, in both languages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts import event_words
from alerts.words import Words
from archive import timeline
from archive.timeline import Change

FRENCH, ENGLISH = Words("fr", "Europe/Paris"), Words("en", "Europe/Paris")


@pytest.mark.parametrize(
    ("kind", "subject", "detail", "french", "english"),
    [
        ("package", "upgrade openssl (+3)", "", "mise à jour de openssl (+3)", "openssl (+3) upgraded"),
        ("package", "remove nginx, php", "", "suppression de nginx, php", "nginx, php removed"),
        ("package", "openssl", "3.0.1 → 3.0.2", "openssl", "openssl"),  # of the inventory: the name alone
        ("account", "bob", "new", "bob, nouveau", "bob, new"),
        ("account", "bob", "gone", "bob, disparu", "bob, gone"),
        ("account", "bob", "changed: shell /bin/sh -> /bin/bash", "bob, modifié : shell /bin/sh -> /bin/bash",
         "bob, changed: shell /bin/sh -> /bin/bash"),
        ("account", "bob", "", "bob", "bob"),
        ("login", "alice", "pts/0 10.20.0.14", "alice pts/0 10.20.0.14", "alice pts/0 10.20.0.14"),
        ("boot", "", "", "", ""),
    ],
)  # fmt: skip
def test_an_event_is_said_in_the_readers_language(
    kind: str, subject: str, detail: str, french: str, english: str
) -> None:
    assert event_words.said(kind, subject, detail, FRENCH) == french
    assert event_words.said(kind, subject, detail, ENGLISH) == english


@pytest.mark.parametrize("action", ["install", "upgrade", "downgrade", "remove"])
def test_every_action_that_the_timeline_writes_has_its_words(action: str) -> None:
    subject = timeline.subject([Change(0, action, "openssl", "")])
    assert subject == f"{action} openssl"
    assert not event_words.said("package", subject, "", FRENCH).startswith(f"{action} ")


@given(st.sampled_from(["package", "account", "login", "odd"]), st.text(max_size=40), st.text(max_size=40))
def test_whatever_a_row_holds_it_is_one_line_and_no_error(kind: str, subject: str, detail: str) -> None:
    assert "\n" not in event_words.said(kind, subject, detail, FRENCH)
