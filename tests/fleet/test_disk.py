"""The disk of a centre's PostgreSQL fills, and room is made: whatever was acknowledged is there, nothing is lost or doubled."""

import os
import subprocess
import time

import pytest

from archive import database, engine, partitions, postgresql, read
from archive.fleet import journal, send
from tests import cycles, postgres
from tests.conftest import NOW
from tests.fleet.fleet import Centre, Machine, serving

pytestmark = [pytest.mark.ci, pytest.mark.needs_root]
ROOM = 96 << 20  # bytes: a fresh server takes some 45 MB of it
NAMES = ("one", "two", "three")


@pytest.fixture
def cluster():
    """A server whose disk has little room; its settings are those of a real one."""
    pytest.importorskip("psycopg", reason="psycopg is missing")
    try:
        made = postgres.Cluster(("max_wal_size=4MB", "min_wal_size=2MB"), room=ROOM)
    except subprocess.CalledProcessError:
        pytest.skip("tmpfs is not allowed here")
    yield made
    partitions.forget()
    for url in list(postgresql._idle):
        if made.folder in url:
            postgresql.forget(url)
    made.close()


def fill(folder):
    """All of the room, to the last byte."""
    with open(os.path.join(folder, "ballast"), "wb", buffering=0) as file:
        for size in (1 << 20, 4096):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                continue


def written_down(application, answers):
    """The same application; what it answers is kept: (status, headers)."""

    def asked(environ, start_response):
        def start(status, headers, *more):
            answers.append((int(status.split()[0]), dict(headers)))
            return start_response(status, headers, *more)

        return application(environ, start)

    return asked


def everything(data, host):
    """{(metric, labels, at): value} of all samples but those about the archiving itself."""
    with database.reader(data) as db:
        return {
            (line.metric.name, line.labels, sample.at): sample.value
            for line in read.series(db, host)
            if line.metric.name != "cycle_lag_seconds"
            for sample in read.samples(db, host, line, 0, 2**40)
        }


def live(machines, at):
    """One minute of every machine: archived there, then sent if the centre takes it. Which machines' were taken."""
    taken = []
    for one in machines:
        one.cycle(at)
        try:
            one.send(at)
        except send.SendError:
            continue
        taken.append(one.name)
    return taken


def test_a_full_disk_is_503_and_after_room_is_made_all_is_there_once(cluster, tmp_path):
    cluster.sql("CREATE DATABASE vigie")
    folder = str(tmp_path / "centre")
    for part in ("spool", "journal", "run", "log", "probes", "quarantine"):
        os.makedirs(os.path.join(folder, part), mode=0o700)
    engine.use(folder, cluster.url("vigie"))
    database.create(folder, "centre", "centre", "m", NOW)
    centre, answers = Centre(folder), []
    centre.app.wsgi_app = written_down(centre.app.wsgi_app, answers)
    with serving(centre):
        machines = [Machine(str(tmp_path / name), name) for name in NAMES]
        for one in machines:
            one.join(centre, centre.add(one.name))
        for number in range(5):
            centre.clock.now = at = NOW + number * 60
            assert live(machines, at) == list(NAMES)

        fill(cluster.data)
        acknowledged = {one.name: everything(one.data, 1) for one in machines}
        answers.clear()
        for number in range(5, 60):
            centre.clock.now = at = NOW + number * 60
            taken = live(machines, at)
            for one in machines:
                if one.name in taken:
                    acknowledged[one.name] = everything(one.data, 1)
        refused = [headers for status, headers in answers if status != 200]
        assert len(refused) > 30, "the disk was not full"
        assert {status for status, _headers in answers} <= {200, 503}
        assert all(int(headers["Retry-After"]) > 0 for headers in refused)

        os.unlink(os.path.join(cluster.data, "ballast"))
        if cluster.run("pg_isready", "-h", cluster.folder, check=False).returncode:
            cluster.start()  # it stops when it cannot write its log: Debian's service starts it again
        for one in machines:  # what was acknowledged was not lost with it
            there = everything(folder, centre.member(one.name).host)
            assert acknowledged[one.name].items() <= there.items()
        until = time.monotonic() + 120
        while any(journal.count(one.data, 0) for one in machines) and time.monotonic() < until:
            for one in machines:
                one.send(at)
        for one in machines:
            assert everything(folder, centre.member(one.name).host) == everything(one.data, 1)
            assert len(everything(one.data, 1)) > 60 * 40
    assert len(cycles.dump(folder, "cycle")["cycle"]) == len(NAMES) * 60
