"""A centre and five machines, each in a network of its own on this computer: cables are cut and slowed, the centre, its
database and the database's machine are killed. In the end every sample of every machine is at the centre, once."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from archive import database, engine, incidents, read
from archive.fleet import members, state
from tests import cycles, postgres
from tests.cycles import ROOT
from tests.fleet.fleet import Machine

pytestmark = [pytest.mark.ci, pytest.mark.needs_root]
CYCLES = 40
NAMES = [f"m{number}" for number in range(1, 6)]
# What a machine does: a minute every quarter of a second, archived, then sent; in the end until nothing waits.
LIFE = """
import os, sys, time
data, start, count, name = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
from archive import settings
from archive.fleet import journal, send, state
from tests import cycles
send.TIMEOUT = 2.0
config = settings.load({"VIGIE_DATA": data, "VIGIE_HOST_NAME": name})
def post():
    try:
        send.run(config, int(time.time()), at_once=True, seconds=5.0)
    except send.SendError as error:
        print(error, flush=True)
for number in range(count):
    at = start + number * 60
    cycles.archive(data, at, cycles.machine(at, disk=0.3 + number / 100))
    post()
    time.sleep(0.25)
until = time.monotonic() + 90
while journal.count(data, 0) and time.monotonic() < until:
    post()
    time.sleep(0.3)
sys.exit(1 if journal.count(data, 0) else 0)
"""


def sh(*command):
    subprocess.run(command, check=True, capture_output=True, text=True)


class Network:
    """A switch and six computers on it."""

    def __init__(self):
        self.mark = f"vg{os.getpid() % 10_000}"
        if shutil.which("ip") is None or shutil.which("tc") is None:
            pytest.skip("iproute2 is missing")
        self.made = []
        self.add("s")
        self.inside("s", "ip", "link", "add", "br0", "type", "bridge")
        self.inside("s", "ip", "link", "set", "br0", "up")
        for number, name in enumerate(["c", *NAMES], 1):
            self.add(name)
            sh("ip", "link", "add", f"{self.mark}{name}", "netns", self.name(name), "type", "veth", "peer", "name",
               f"p{name}", "netns", self.name("s"))  # fmt: skip
            self.inside("s", "ip", "link", "set", f"p{name}", "master", "br0", "up")
            self.inside(name, "ip", "addr", "add", f"10.77.0.{number}/24", "dev", f"{self.mark}{name}")
            self.inside(name, "ip", "link", "set", f"{self.mark}{name}", "up")
            self.inside(name, "ip", "link", "set", "lo", "up")

    def name(self, name):
        return f"{self.mark}-{name}"

    def add(self, name):
        sh("ip", "netns", "add", self.name(name))
        self.made.append(name)

    def inside(self, name, *command):
        sh("ip", "netns", "exec", self.name(name), *command)

    def start(self, name, *command, log, **environ):
        with open(log, "ab") as file:
            return subprocess.Popen(
                ["ip", "netns", "exec", self.name(name), sys.executable, *command],
                cwd=ROOT, stdout=file, stderr=file, env={"PATH": "/usr/sbin:/usr/bin:/bin", "PYTHONPATH": ROOT, **environ},
            )  # fmt: skip

    def cable(self, name, plugged):
        self.inside("s", "ip", "link", "set", f"p{name}", "up" if plugged else "down")

    def worsen(self, name):
        """Slow, out of order and lossy; where the kernel has no netem, so narrow that packets wait and are dropped."""
        device = ("tc", "qdisc", "add", "dev", f"p{name}", "root")
        try:
            self.inside("s", *device, "netem", "delay", "150ms", "50ms", "reorder", "25%", "loss", "8%")
        except subprocess.CalledProcessError:
            self.inside("s", *device, "tbf", "rate", "200kbit", "burst", "2kb", "latency", "300ms")

    def heal(self, name):
        self.inside("s", "tc", "qdisc", "del", "dev", f"p{name}", "root")

    def close(self):
        for name in self.made:
            subprocess.run(["ip", "netns", "del", self.name(name)], check=False, capture_output=True)


class Replica:
    """A streaming replica of a cluster, on the next port; synchronous: what is committed is on both."""

    def __init__(self, primary):
        self.primary, self.port = primary, primary.port + 1
        self.data = os.path.join(primary.folder, "replica")
        self.log = os.path.join(primary.folder, "replica.log")
        primary.run("pg_basebackup", "-h", primary.folder, "-p", str(primary.port), "-U", primary.user, "-D", self.data,
                    "-R", "-X", "stream", "-c", "fast")  # fmt: skip
        with open(os.path.join(self.data, "postgresql.conf"), "a", encoding="utf-8") as file:
            file.write(f"port={self.port}\nsynchronous_standby_names=''\n")
        primary.run("pg_ctl", "-D", self.data, "-l", self.log, "-w", "start")
        primary.sql("ALTER SYSTEM SET synchronous_standby_names = '*'")
        primary.sql("SELECT pg_reload_conf()")

    def promote(self):
        self.primary.run("pg_ctl", "-D", self.data, "-w", "promote")

    def close(self):
        self.primary.run("pg_ctl", "-D", self.data, "-m", "immediate", "-w", "stop", check=False)


class Site:
    """The centre's web server in its network, started and killed."""

    def __init__(self, network, folder, url):
        self.network, self.folder, self.url = network, folder, url
        self.process = None

    def start(self):
        self.process = self.network.start(
            "c", "-m", "web.serve", log=os.path.join(self.folder, "web.log"), VIGIE_DATA=self.folder,
            VIGIE_DATABASE_URL=self.url, VIGIE_LISTEN="10.77.0.1:8080", VIGIE_READ="login",
        )  # fmt: skip
        return self

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)


@pytest.fixture
def network():
    made = Network()
    yield made
    made.close()


def prepared(tmp_path, cluster, url):
    """The centre's tables, five members, five data folders that have joined."""
    pytest.importorskip("psycopg", reason="psycopg is missing")
    cluster.sql("CREATE DATABASE vigie")
    folder = str(tmp_path / "centre")
    for part in ("spool", "journal", "run", "log"):
        os.makedirs(os.path.join(folder, part), mode=0o700)
    engine.use(folder, url)
    now = int(time.time())
    database.create(folder, "centre", "centre", "m", now)
    machines = []
    for name in NAMES:
        with database.writer(folder) as db, database.transaction(db):
            token = members.add(db, name, "test", now)
        machines.append(Machine(str(tmp_path / name), name))
        state.join(machines[-1].data, state.Joined("http://10.77.0.1:8080", token, name, 0))
    return folder, machines


def living(network, tmp_path, machines, start):
    return [
        network.start(one.name, "-c", LIFE, one.data, str(start), str(CYCLES), one.name,
                      log=str(tmp_path / f"{one.name}.log"))
        for one in machines
    ]  # fmt: skip


def everything(data, host):
    """{(metric, labels, at): value} of all samples but those about the archiving itself."""
    with database.reader(data) as db:
        return {
            (line.metric.name, line.labels, sample.at): sample.value
            for line in read.series(db, host)
            if line.metric.name != "cycle_lag_seconds"
            for sample in read.samples(db, host, line, 0, 2**40)
        }


def check(folder, machines, lives, tmp_path):
    for life, one in zip(lives, machines, strict=True):
        assert life.wait(150) == 0, (tmp_path / f"{one.name}.log").read_text()[-2000:]
    for one in machines:
        with database.reader(folder) as db:
            member = members.named(db, one.name)
            host = member.host
            assert incidents.live(db, host) == []
        here, there = everything(one.data, 1), everything(folder, host)
        assert len(here) > CYCLES * 40
        assert there == here, f"{one.name}: {len(here)} samples here, {len(there)} there"
        assert (member.refused, member.doubt) == (0, "")
    rows = cycles.dump(folder, "cycle")["cycle"]
    assert len(rows) == len(NAMES) * CYCLES


def test_cables_are_cut_slowed_and_healed_the_centre_and_its_database_are_killed(network, tmp_path):
    cluster = postgres.Cluster(())
    site = None
    try:
        folder, machines = prepared(tmp_path, cluster, cluster.url("vigie"))
        site = Site(network, folder, cluster.url("vigie")).start()
        lives = living(network, tmp_path, machines, int(time.time()) - 7200)
        network.worsen("m3")
        time.sleep(3)
        network.cable("m1", False)
        network.cable("m2", False)
        site.kill()
        time.sleep(2)
        site.start()
        time.sleep(3)
        os.kill(cluster.pid(), signal.SIGKILL)  # in the middle of what it was writing
        time.sleep(1)
        cluster.stop("immediate")
        cluster.start()
        time.sleep(2)
        network.cable("c", False)
        time.sleep(2)
        network.cable("c", True)
        network.cable("m1", True)
        network.cable("m2", True)
        network.heal("m3")

        check(folder, machines, lives, tmp_path)
    finally:
        if site:
            site.kill()
        forget(cluster)


def test_the_databases_machine_dies_and_its_synchronous_replica_takes_over(network, tmp_path):
    cluster = postgres.Cluster(("wal_level=replica", "max_wal_senders=5"))
    site = replica = None
    try:
        url = f"postgresql://{cluster.user}@/vigie?host={cluster.folder},{cluster.folder}&port={cluster.port},{cluster.port + 1}"
        url += "&target_session_attrs=read-write"
        folder, machines = prepared(tmp_path, cluster, url)
        replica = Replica(cluster)
        site = Site(network, folder, url).start()
        lives = living(network, tmp_path, machines, int(time.time()) - 7200)
        time.sleep(6)
        os.kill(cluster.pid(), signal.SIGKILL)
        cluster.stop("immediate")
        with contextlib.suppress(OSError):
            shutil.rmtree(cluster.data)  # it does not come back
        time.sleep(2)
        replica.promote()

        check(folder, machines, lives, tmp_path)
    finally:
        if site:
            site.kill()
        if replica:
            replica.close()
        forget(cluster)


def forget(cluster):
    from archive import partitions, postgresql

    partitions.forget()
    for url in list(postgresql._idle):
        if cluster.folder in url:
            postgresql.forget(url)
    cluster.close()
