"""Subjects of mails that have not left yet, in the reader's words."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts import owed
from alerts.words import Words
from archive import database, outbox, read
from tests.web import site
from tests.web.site import plain
from web import ledger

FRENCH, ENGLISH = Words("fr", "Europe/Paris"), Words("en", "Europe/Paris")


def test_a_mail_that_waits_is_called_by_what_it_tells(tmp_path: object) -> None:
    """The subject is the one that the minute's step itself wrote, and the page shows it in the reader's language."""
    path = site.filled(f"{tmp_path}/data", 40, cpu=0.97)
    site.add_person(path)
    client = site.site(path).test_client()
    site.log_in(client)
    with database.reader(path) as db:
        written = outbox.ledger(db)[-1].notification.subject
        metrics = {one.name: one for one in read.metrics(db)}
    assert written == "[machine] opened warning: cpu_busy_seconds_total"
    assert plain(ledger.subject(written, metrics, FRENCH)) == "[machine] Ouvert (attention) : Processeur"
    assert ledger.subject(written, metrics, ENGLISH) == "[machine] Opened (warning): CPU of the machine"
    page = plain(client.get("/mails").text)
    assert "[machine] Ouvert (attention) : Processeur" in page
    assert "opened warning" not in page
    assert "[machine] Ouvert (attention)" in plain(client.get("/incidents/1").text)


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("[a] escalated critical: x_ratio /home (+2)", "[a] Devenu critique (critique) : x_ratio /home (+2)"),
        ("[a] opened warning: units", "[a] Ouvert (attention) : units"),
        ("[a] Processeur à 97 %", "[a] Processeur à 97 %"),
        ("Bilan de la semaine", "Bilan de la semaine"),
        ("", ""),
    ],
)
def test_what_was_made_for_a_reader_is_left_alone(written: str, shown: str) -> None:
    assert plain(ledger.subject(written, {}, FRENCH)) == shown


@given(st.sampled_from(sorted(ledger.TRANSITIONS)), st.text(max_size=40), st.integers(1, 3))
def test_whatever_the_minute_writes_is_known_again(kind: str, label: str, count: int) -> None:
    told = outbox.Told(1, 0, kind, "warning", 0.0, "", 1, "threshold", "x_ratio", json.dumps({"a": label}), None, 0, None,
                       None, "", 0.0, 0, 0, "{}")  # fmt: skip
    written = owed._plain_subject("host", [told] * count)
    assert ledger.subject(written, {}, ENGLISH).startswith(
        f"[host] {ENGLISH.gettext(ledger.TRANSITIONS[kind])} (warning): x_ratio"
    )
