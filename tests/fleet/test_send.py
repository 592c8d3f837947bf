"""A machine sends what its journal holds: once, in order, whatever the network, the clock and the centre do."""

import os
import socket
import ssl
import subprocess
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive import database, privacy, pseudonyms, purge, read
from archive.fleet import journal, send, state
from tests import cycles
from tests.conftest import NOW
from tests.fleet.fleet import settings_of

MINUTE = 60


def times(centre, name="one"):
    """Times of the cycles that the centre has of a machine."""
    with database.reader(centre.data) as db:
        return read.cycles(db, centre.member(name).host, 0, 2**40)


def joined(served, machine, name="one"):
    here = machine(name)
    here.join(served, served.add(name))
    return here


def test_what_is_archived_and_what_waits_in_the_spool_arrives_in_order(served, machine):
    here = joined(served, machine)
    for n in range(3):
        here.cycle(NOW + n * MINUTE)
    here.cycle(NOW + 3 * MINUTE, archived=False)

    assert here.send(NOW + 200) == 4
    assert times(served) == [NOW + n * MINUTE for n in range(4)]
    cycles.load_all(here.data, NOW + 200)
    assert here.send(NOW + 201) == 0  # renamed into the journal since: it is the same text


def test_a_text_that_waits_is_sent_and_goes_on_waiting_unless_names_must_be_taken_out_first(served, machine):
    here = joined(served, machine)
    here.cycle(NOW)
    here.cycle(NOW + MINUTE, archived=False)
    calm = f"{here.data}/run/{database.CALM}"
    with open(calm, "w") as file:
        file.write("calm")
    assert here.send(NOW + MINUTE) == 2
    assert os.listdir(f"{here.data}/spool") == [f"{NOW + MINUTE}.prom"]

    with database.writer(here.data) as db:
        privacy.settle(db, here.data, "pseudonyms", NOW)
    here.cycle(NOW + 2 * MINUTE, archived=False)
    with open(calm, "w") as file:
        file.write("calm")
    assert here.send(NOW + 2 * MINUTE) == 1
    assert os.listdir(f"{here.data}/spool") == []


def test_a_machine_that_joined_nothing_sends_nothing(machine):
    here = machine()
    here.cycle(NOW)

    assert here.send(NOW) == 0
    assert not os.path.exists(os.path.join(here.data, "fleet"))


def test_killed_before_the_acknowledgement_was_kept_it_is_sent_again_and_changes_nothing(served, machine, monkeypatch):
    here = joined(served, machine)
    here.cycle(NOW)
    with monkeypatch.context() as patch:
        patch.setattr(journal, "acknowledged", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            here.send(NOW)
    before = cycles.dump(served.data, "sample", "cycle")

    assert here.send(NOW + 1) == 1
    assert cycles.dump(served.data, "sample", "cycle") == before


def test_d30_a_centre_that_is_away_costs_nothing_and_is_asked_ever_less_often(served, machine):
    here = joined(served, machine)
    served.stop()
    here.cycle(NOW)
    asked = []
    for minute in range(120):
        try:
            here.send(NOW + minute * MINUTE, at_once=False)
        except send.SendError:
            asked.append(minute)

    assert asked[:3] == [0, 1, 2] or asked[:2] == [0, 1]
    assert 8 <= len(asked) <= 14
    assert state.fate(here.data).tries == len(asked)
    served.start()
    assert here.send(NOW + 8000) == 1
    assert times(served) == [NOW]
    assert state.fate(here.data) == state.Fate(0, 0, "", NOW + 8000)


@given(st.integers(1, 60), st.floats(0, 1))
def test_the_back_off_grows_to_fifteen_minutes_and_is_spread(tries, chance):
    wait = send.back_off(tries, chance)
    most = min(900, 60 * 2 ** (tries - 1))

    assert 0.75 * most - 1 <= wait <= most


def test_days_that_were_compressed_meanwhile_arrive_from_the_journal_alone(served, machine):
    here = joined(served, machine)
    served.clock.now = NOW + 2 * 86_400
    for n in range(5):
        here.cycle(NOW + n * MINUTE)
    here.cycle(NOW + 2 * 86_400)
    purge.journal(here.data, NOW + 2 * 86_400)
    assert os.listdir(os.path.join(here.data, "journal")).count("2026-11-21.txt.xz") == 1

    assert here.send(NOW + 2 * 86_400) == 6
    assert times(served) == [*(NOW + n * MINUTE for n in range(5)), NOW + 2 * 86_400]
    assert here.send(NOW + 2 * 86_400 + 60) == 0
    assert state.read(here.data, "sent/2026-11-21.done").strip() == "1"
    assert here.send(NOW + 2 * 86_400 + 120) == 0


def test_a_clock_that_was_put_back_makes_texts_that_are_sent_too(served, machine):
    here = joined(served, machine)
    here.cycle(NOW + 600)
    here.send(NOW + 600)
    cycles.write(here.data, NOW, cycles.machine(NOW), uptime=99_999.0)
    cycles.load_all(here.data, NOW)

    assert here.send(NOW) == 1
    assert times(served) == [NOW, NOW + 600]


def test_two_texts_of_one_second_are_two(served, machine):
    here = joined(served, machine)
    for uptime in (1000.0, 2000.0):
        cycles.write(here.data, NOW, cycles.machine(NOW), uptime=uptime)
        cycles.load_all(here.data, NOW)

    assert here.send(NOW) == 2
    assert times(served) == [NOW, NOW + 1]
    assert here.send(NOW) == 0


def test_only_what_is_since_the_joining_is_sent(served, machine):
    here = machine()
    here.cycle(NOW)
    here.cycle(NOW + 60)
    here.join(served, served.add("one"), since=NOW + 60)

    assert here.send(NOW + 60) == 1
    assert times(served) == [NOW + 60]


def test_a_backlog_goes_in_many_parcels_of_one_run(served, machine, monkeypatch):
    monkeypatch.setattr(send.parcel, "MOST_TEXTS", 7)
    here = joined(served, machine)
    for n in range(20):
        cycles.write(here.data, NOW + n * MINUTE, cycles.machine(NOW + n * MINUTE))
    cycles.load_all(here.data, NOW + 20 * MINUTE)
    assert journal.count(here.data, 0) == 20

    assert here.send(NOW + 20 * MINUTE) == 20
    assert times(served) == [NOW + n * MINUTE for n in range(20)]
    assert served.member("one").waiting == 0


def test_incidents_and_packages_travel_once_and_again_when_they_change(served, machine):
    here = joined(served, machine)
    with database.writer(here.data) as db, database.transaction(db):
        db.execute(
            "INSERT INTO package VALUES (1, 'openssl', '3.0', 'amd64', ?, 'openssl', '3.0', 'Debian', ?, NULL)",
            (NOW, NOW),
        )
        db.execute(
            "INSERT INTO incident VALUES (5, 1, 'threshold', 'load_average', '{}', NULL, 'open', 'warning', ?, NULL, ?, NULL,"
            " NULL, '', ?, 9, 9, ?, 0, NULL, '{}', NULL, NULL, '', '')", (NOW, NOW, NOW, NOW),
        )  # fmt: skip
    here.cycle(NOW)
    here.send(NOW)
    member = served.member("one")
    assert (member.worst, member.opened) == (1, 1)
    assert [row[1] for row in cycles.dump(served.data, "package")["package"]] == ["openssl"]
    assert here.send(NOW) == 0
    seen = served.member("one").seen_at
    served.clock.now += 60
    here.send(NOW + 60)
    assert served.member("one").seen_at == seen  # nothing to say: nothing was said

    with database.writer(here.data) as db:
        db.execute("UPDATE incident SET state='resolved', ended_at=?, end_reason='cleared' WHERE id=5", (NOW + 60,))
    here.send(NOW + 60)

    assert (served.member("one").worst, served.member("one").opened) == (0, 0)


def test_with_pseudonyms_no_text_leaves_before_the_names_are_out_of_it(served, machine):
    here = joined(served, machine)
    with database.writer(here.data) as db, database.transaction(db):
        purge.remember(db, pseudonyms.MODE, "off", "test", NOW)
    here.cycle(NOW, archived=False)

    assert here.send(NOW) == 0
    cycles.load_all(here.data, NOW)
    assert here.send(NOW) == 1
    assert "user0" not in str(cycles.dump(served.data, "series", "fact", "counter"))


def test_what_the_centre_refuses_for_good_does_not_hold_the_rest_up(served, machine, capsys):
    here = joined(served, machine)
    here.cycle(NOW + 5 * 3600)
    here.cycle(NOW)

    assert here.send(NOW + 5 * 3600) == 2
    assert times(served) == [NOW]
    assert "ahead of the centre's clock" in capsys.readouterr().err


def test_a_revoked_token_is_said_in_the_centres_words(served, machine):
    here = joined(served, machine)
    here.cycle(NOW)
    state.join(here.data, state.Joined(served.url, "vigief_" + "x" * 43, "one", 0))

    with pytest.raises(send.SendError, match=r"401.*opens nothing"):
        here.send(NOW)


@pytest.mark.parametrize(
    "url", ["http://centre.example.org", "ftp://x", "centre", "https://", "https://a@b", "https://b?x=1"]
)
def test_an_address_that_would_send_in_clear_or_is_none_is_refused(url):
    with pytest.raises(state.StateError, match=r"expected the centre's address|https:// only"):
        state.checked_url(url)


def _request(connection):
    """A whole request: an answer before its last byte would be a reset."""
    raw = b""
    while b"\r\n\r\n" not in raw:
        raw += connection.recv(65536)
    head, _, body = raw.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(65536)
    return head


@pytest.fixture
def certificates(tmp_path):
    """A certificate for 127.0.0.1 of an authority of our own."""
    key, cert = str(tmp_path / "key.pem"), str(tmp_path / "cert.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key,
         "-out", cert, "-days", "3650", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    return key, cert


def test_d30_tls_is_verified_always_by_a_ca_of_ones_own_where_it_is_set(machine, certificates):
    """A real TLS server; it answers as a centre that takes everything."""
    key, cert = certificates
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    listening = socket.create_server(("127.0.0.1", 0))
    asked = []

    def serve():
        while True:
            try:
                raw, _ = listening.accept()
            except OSError:
                return
            try:
                with context.wrap_socket(raw, server_side=True) as one:
                    asked.append(_request(one))
                    one.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{"taken": 1}')
            except (ssl.SSLError, OSError):
                pass

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    here = machine()
    here.cycle(NOW)
    port = listening.getsockname()[1]
    state.join(here.data, state.Joined(f"https://127.0.0.1:{port}", "t", "one", 0))
    try:
        with pytest.raises(send.SendError, match="cannot be verified"):
            here.send(NOW)
        assert asked == []
        here.settings = settings_of(here.data, VIGIE_FLEET_CA_FILE=cert)
        assert here.send(NOW) == 1
        assert b"Bearer t" in asked[0]
    finally:
        listening.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
        b'HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{"taken": -1}',
        b'HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{"taken": 99}',
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + b"x" * 200_000,
    ],
)
def test_an_answer_that_is_none_acknowledges_nothing(machine, answer):
    listening = socket.create_server(("127.0.0.1", 0))

    def serve():
        one, _ = listening.accept()
        with one:
            _request(one)
            one.sendall(answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    here = machine()
    here.cycle(NOW)
    state.join(here.data, state.Joined(f"http://127.0.0.1:{listening.getsockname()[1]}", "t", "one", 0))
    try:
        try:
            count = here.send(NOW)
        except send.SendError:
            count = 0
    finally:
        thread.join(10)
        listening.close()

    assert count == 0
    assert journal.count(here.data, 0) == 1
