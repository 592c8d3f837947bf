"""`./vigie fleet`: one line from the centre, pasted on the machine; each mistake in words."""

import json
import os

import pytest

from archive import database, engine
from archive.fleet import journal, state, wishes
from archive.fleet.policy import Scope
from archive.thresholds import Threshold
from tests import cycles
from tests.conftest import NOW
from tests.fleet import test_deciding
from web.commands import certfr, fleet


@pytest.fixture
def command(monkeypatch, capsys):
    """Runs it as a person would, on a data folder. Returns (status, out, err)."""

    def run(data, *arguments, **settings):
        monkeypatch.setenv("VIGIE_DATA", data)
        monkeypatch.setenv("VIGIE_NOW", str(NOW))
        monkeypatch.setenv("VIGIE_LANGUAGE", "en")
        monkeypatch.setenv("VIGIE_DATABASE_URL", engine.url_of(data))
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        status = fleet.run(list(arguments))
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


def test_the_line_that_add_prints_joins_the_machine_and_its_cycles_arrive(served, machine, command):
    status, line, told = command(served.data, "add", "one", "web", VIGIE_URL=served.url)
    assert (status, line.split()[:4]) == (0, ["./vigie", "fleet", "join", served.url])
    assert "never again" in told
    here = machine()
    here.cycle(NOW)

    assert command(here.data, *line.split()[2:])[:2] == (
        0, f"This machine sends to {served.url} as one from the next cycle on.\n"
    )  # fmt: skip
    assert os.stat(os.path.join(here.data, "fleet", "joined")).st_mode & 0o777 == 0o600
    assert command(here.data, "send")[1] == "1 cycle was acknowledged.\n"
    assert "Waiting: 0 cycles." in command(here.data, "status")[1]
    assert command(served.data, "list")[1] == "one · All is well · heard just now\n"


def test_the_same_line_on_a_second_machine_is_refused(served, machine, command):
    line = command(served.data, "add", "one", VIGIE_URL=served.url)[1].split()[2:]
    assert command(machine("one").data, *line)[0] == 0

    status, _, told = command(machine("two").data, *line)

    assert status == 1
    assert "another machine" in told
    assert state.joined(machine("three").data) is None


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("add", "two words"), "1 to 63"),
        (("add", "one", "a/b"), "A tag has"),
        (("revoke", "none"), "no machine named none"),
        (("join", "http://centre.example.org", "vigief_" + "x" * 43), "https://"),
        (("join", "https://127.0.0.1:1", "x"), "no whole token"),
        (("join", "https://127.0.0.1:1", "vigief_" + "x" * 43), "127.0.0.1:1"),
    ],
)
def test_each_mistake_is_said_in_words_and_nothing_is_changed(served, command, arguments, why):
    status, _, told = command(served.data, *arguments)

    assert status == 1
    assert why in told
    assert "Traceback" not in told


def test_a_machine_that_leaves_sends_no_more_and_one_that_joins_again_sends_nothing_twice(served, machine, command):
    line = command(served.data, "add", "one", VIGIE_URL=served.url)[1].split()[2:]
    here = machine()
    here.cycle(NOW)
    command(here.data, *line)
    command(here.data, "send")
    command(here.data, "leave")
    here.cycle(NOW + 60)

    assert here.send(NOW + 60) == 0
    command(here.data, *line)
    assert journal.count(here.data, 0) == 1
    assert here.send(NOW + 60) == 1


def test_revoked_it_is_listed_as_such_and_can_be_added_again_under_its_name(served, machine, command):
    command(served.data, "add", "one", VIGIE_URL=served.url)
    command(served.data, "revoke", "one")
    assert "one · Revoked" in command(served.data, "list")[1]

    assert command(served.data, "add", "one", VIGIE_URL=served.url)[0] == 0
    assert "Not joined yet" in command(served.data, "list")[1]
    command(served.data, "retire", "one")
    assert "Retired" in command(served.data, "list")[1]


def test_status_says_what_comes_from_the_centre_and_leaving_says_that_it_stays(served, machine, command):
    cycles.archive(served.data, NOW, cycles.machine(NOW))
    line = command(served.data, "add", "one", VIGIE_URL=served.url)[1].split()[2:]
    with database.writer(served.data) as db, database.transaction(db):
        wishes.save(db, Scope(), Threshold("disk_used_ratio", "{}", True, 0.5, 0.6, None, 300), "ada", NOW)
        wishes.set_mails(db, Scope(), "centre", "ada", NOW)
    here = machine()
    here.cycle(NOW)
    command(here.data, *line)
    command(here.data, "send")

    said = command(here.data, "status")[1]
    assert "1 threshold comes from there." in said
    assert "Mails about this machine's incidents: the centre." in said
    assert "stays; to take it out: ./vigie fleet leave --thresholds" in command(here.data, "leave")[1]
    assert "1 threshold that the centre had set is gone." in command(here.data, "leave", "--thresholds")[1]
    assert "centre had set" not in command(here.data, "leave")[1]


def test_decide_says_what_it_did_and_names_what_it_does_not_know(centre, command):
    test_deciding.added(centre, 5)
    test_deciding.published(centre)
    reference = test_deciding.PUBLICATIONS[1]["reference"]

    assert command(centre.data, "decide", reference)[:2] == (
        0, "Publications decided: 1. Machines: 5. Verdicts to act on: 5.\n"
    )  # fmt: skip
    assert {where for _, where in test_deciding.kept(centre)} == {reference}
    assert command(centre.data, "decide")[1].startswith("Publications decided: 11. Machines: 5.")
    status, out, err = command(centre.data, "decide", reference, "CERTFR-2026-AVI-7777")
    assert (status, out) == (1, "")
    assert "CERTFR-2026-AVI-7777" in err
    assert reference not in err


def test_publications_that_come_in_are_decided_for_the_machines_at_once(centre, command, tmp_path, capsys):
    test_deciding.added(centre, 5)
    command(centre.data, "list")
    path = tmp_path / "publication.json"
    path.write_text(json.dumps(test_deciding.PUBLICATIONS[1]))

    assert certfr.run(["import", str(path)]) == 0
    assert len(test_deciding.kept(centre)) == 5
