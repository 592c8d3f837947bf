"""One publication against all inventories: the verdicts of groups are those of the ordinary judge, machine by machine."""

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archive import database
from archive.certfr import products, scope
from archive.certfr.decide import Decider
from archive.certfr.inventory import Inventory
from archive.certfr.publication import parse
from archive.fleet import deciding, inventories, members, parcel, rows, systems
from archive.fleet.inventories import Machine
from archive.fleet.systems import System
from tests.conftest import NOW
from tests.fleet.fleet import head
from tests.fleet.test_taking import texts

DAY = 86_400
DEBIAN = System("debian", "", "12", "bookworm", "Debian GNU/Linux 12 (bookworm)", "6.1.0-28-amd64")
SYSTEMS = (
    DEBIAN,
    DEBIAN._replace(running="6.1.0-40-amd64"),
    System("debian", "", "11", "bullseye", "Debian GNU/Linux 11 (bullseye)", ""),
    System("ubuntu", "debian", "22.04", "jammy", "Ubuntu 22.04", "5.15.0-100-generic"),
    System("rocky", "rhel centos fedora", "9.4", "", "Rocky Linux 9.4", ""),
)
# (name, versions, architecture of Debian's kind, source, origin): few, so that many machines share them.
PACKAGES = (
    ("openssl", ("3.0.11-1~deb12u2", "3.0.15-1~deb12u1", "1.1.1n-0+deb11u5"), "amd64", "openssl", "distribution"),
    ("libssl3", ("3.0.11-1~deb12u2", "3.0.15-1~deb12u1"), "amd64", "openssl", "distribution"),
    ("openssh-server", ("1:9.2p1-2+deb12u2", "1:9.2p1-2+deb12u7", "1:8.4p1-5+deb11u3"), "amd64", "openssh", "distribution"),
    ("openssh-client", ("1:9.2p1-2+deb12u2",), "amd64", "openssh", "distribution"),
    ("docker-ce", ("5:27.0.1-1~debian.12~bookworm", "5:27.5.1-1~debian.12~bookworm"), "amd64", "docker-ce", "third party"),
    ("linux-image-6.1.0-28-amd64", ("6.1.119-1",), "amd64", "linux", "distribution"),
    ("linux-image-6.1.0-40-amd64", ("6.1.153-1",), "amd64", "linux", "distribution"),
    ("kernel-core", ("0:5.14.0-427.el9", "0:5.14.0-503.el9"), "x86_64", "kernel", "distribution"),
    ("tzdata", ("2024a-0+deb12u1", "2026a-0+deb12u1"), "all", "tzdata", "distribution"),
    ("strange-tool", ("1.2-1",), "amd64", "strange-tool", "distribution"),
    ("libstrange", ("1.2-1",), "amd64", "strange-tool", "distribution"),
    ("bash", ("5.2.15-2+b7", "0:5.1.8-9.el9"), "amd64", "bash", "distribution"),
    ("exim4-base", ("4.96-15+deb12u4",), "amd64", "exim4", "distribution"),
    ("glibc", ("0:2.34-100.el9",), "x86_64", "glibc", "distribution"),
    ("noarch-words", ("0:1-1.el9",), "noarch", "noarch-words", "distribution"),
)  # fmt: skip


def affected(vendor, product, description):
    return {"description": description, "product": {"name": product, "vendor": {"name": vendor, "scada": False}}}


def publication(number, systems_of, cves=(), title="Vulnérabilité"):
    return {
        "reference": f"CERTFR-2026-AVI-{number:04}", "title": title, "summary": "x", "content": "x",
        "affected_systems": list(systems_of), "affected_systems_content": "", "cves": [{"name": cve} for cve in cves],
        "risks": [], "links": [], "vendor_advisories": [],
        "revisions": [{"revision_date": "2026-11-20T00:00:00", "description": "Version initiale"}],
    }  # fmt: skip


PUBLICATIONS = (
    publication(1, [affected("OpenSSL", "OpenSSL", "OpenSSL versions 3.0.x antérieures à 3.0.14")], ["CVE-2026-1"]),
    publication(2, [affected("OpenSSH", "OpenSSH", "OpenSSH versions antérieures à 9.8")]),
    publication(3, [affected("Docker", "Docker Engine", "Docker Engine versions 27.x antérieures à 27.1.1")]),
    publication(4, [affected("Debian", "N/A", "Debian bookworm versions antérieures à 6.1.140-1")]),
    publication(5, [affected("Debian", "N/A", "Debian bookworm versions antérieures à 4.96-15+deb12u6")]),
    publication(6, [affected("Red Hat", "N/A", "Red Hat Enterprise Linux for x86_64 9 x86_64")]),
    publication(7, [affected("Red Hat", "N/A", "Red Hat Enterprise Linux for ARM 64 9 aarch64")]),
    publication(8, [affected("Strange", "strange-tool", "strange-tool versions antérieures à 2")]),
    publication(9, [affected("Cisco", "IOS XE", "IOS XE versions antérieures à 17.3")]),
    publication(10, [], title="Vulnérabilité dans OpenSSH"),
    publication(11, [affected("Ubuntu", "N/A", "Ubuntu 22.04 LTS")]),
)


def inventory(chance, system):
    """Rows of `package` as a machine sends them: a third of the list, one build of each or (kernels) several."""
    found = {}
    for name, versions, arch, source, origin in PACKAGES:
        if chance.random() < 0.6:
            version = chance.choice(versions)
            found[name, version, arch] = [name, version, arch, source, version, origin]
            if chance.random() < 0.1:
                found[name, version, "i386"] = [name, version, "i386", source, version, origin]
    return [row for _, row in sorted(found.items())]


def added(centre, count, seed=1):
    """`count` machines with packages; returns {host: its system}."""
    chance = random.Random(seed)
    known = {}
    with database.writer(centre.data) as db, database.transaction(db):
        for number in range(count):
            members.add(db, f"m{number:04}", "test", NOW)
            host = members.named(db, f"m{number:04}").host
            db.execute("UPDATE member SET joined_at=?, fresh_at=? WHERE host=?", (NOW, NOW, host))
            system = chance.choice(SYSTEMS)
            rows.apply(db, host, {"system": [[*system, 0]], "package": inventory(chance, system)}, NOW)
            known[host] = system
    return known


def published(centre, bodies=PUBLICATIONS, day=NOW):
    with database.writer(centre.data) as db, database.transaction(db):
        for body in bodies:
            db.execute(
                "INSERT INTO advisory (reference, kind, title, status, last_at, url, digest, revision, announced, backlog,"
                " seen_at, read_at, again, tries, problem, summary, body)"
                " VALUES (?, 'avis', ?, 'unknown', ?, '', '', 1, 1, 0, ?, ?, 0, 0, '', '', ?)",
                (body["reference"], body["title"], day, day, day, json.dumps(body)),
            )


def kept(centre):
    with database.reader(centre.data) as db:
        return {
            (host, reference): (verdict, package, installed, json.loads(reason), json.loads(evidence))
            for host, reference, verdict, package, installed, reason, evidence in db.execute(
                "SELECT v.host, a.reference, v.verdict, v.package, v.installed, v.reason, v.evidence"
                " FROM member_verdict v JOIN advisory a ON a.id = v.advisory"
            )
        }


def by_the_ordinary_judge(centre, known):
    """Every publication against every machine's whole inventory, one by one."""
    found = {}
    with database.reader(centre.data) as db:
        for host, system in known.items():
            decider = Decider(Inventory(system.os_release, inventories.of_host(db, host, system), system.running))
            for body in PUBLICATIONS:
                verdict = decider.decide(parse(body))
                if verdict.verdict != "not_affected":
                    why = [verdict.reason.key, [list(pair) for pair in verdict.reason.arguments]]
                    found[host, body["reference"]] = (
                        verdict.verdict, verdict.package, verdict.installed, why, list(verdict.evidence),
                    )  # fmt: skip
    return found


def test_verdicts_of_groups_are_those_of_the_ordinary_judge_one_by_one(centre, monkeypatch):
    monkeypatch.setattr(inventories, "SLICE", 37)  # groups reach over slices
    known = added(centre, 150)
    published(centre)

    report = deciding.turn(centre.data, NOW)
    expected = by_the_ordinary_judge(centre, known)

    assert kept(centre) == expected
    assert (report.publications, report.machines, report.kept) == (len(PUBLICATIONS), 150, len(expected))
    assert len({reference for _, reference in expected}) >= 8  # nearly every kind of publication has something to say
    assert report.judged < 150 * len(PUBLICATIONS) * 0.6  # though chance makes these machines unlike each other


def test_what_machines_share_is_judged_once(centre):
    added(centre, 1, seed=3)
    with database.writer(centre.data) as db, database.transaction(db):
        same = [["openssl", "3.0.11-1~deb12u2", "amd64", "openssl", "3.0.11-1~deb12u2", "distribution"]]
        for number in range(200):
            members.add(db, f"same{number:03}", "test", NOW)
            host = members.named(db, f"same{number:03}").host
            db.execute("UPDATE member SET joined_at=? WHERE host=?", (NOW, host))
            # What else is installed differs from machine to machine.
            other = [f"tool-{number}", "1", "all", f"tool-{number}", "1", "distribution"]
            rows.apply(db, host, {"system": [[*DEBIAN, 0]], "package": [*same, other]}, NOW)
    published(centre, PUBLICATIONS[:1])

    report = deciding.turn(centre.data, NOW)

    assert report.machines == 201
    assert report.judged <= 2
    assert report.kept >= 200


def test_an_inventory_that_changes_is_decided_again_and_what_ended_is_corrected(centre):
    token = centre.add("one")
    old = [["docker-ce", "5:27.0.1-1~debian.12~bookworm", "amd64", "docker-ce", "5:27.0.1-1", "third party"]]
    new = [["docker-ce", "5:27.5.1-1~debian.12~bookworm", "amd64", "docker-ce", "5:27.5.1-1", "third party"]]
    published(centre, PUBLICATIONS[2:3])
    said = {"system": [[*DEBIAN, 0]], "package": old}
    assert centre.post(token, parcel.Parcel(head(rows=said), texts(1))).json["rows"] == ""
    deciding.turn(centre.data, NOW + 10)
    assert [row[0] for row in kept(centre).values()] == ["affected"]

    untouched = deciding.turn(centre.data, NOW + 20)
    centre.clock.now = NOW + 600
    centre.post(token, parcel.Parcel(head(now=NOW + 600, rows={"package": new}), texts(1, NOW + 600)))
    changed = deciding.turn(centre.data, NOW + 700)

    assert (untouched.judged, changed.judged) == (0, 1)
    with database.reader(centre.data) as db:
        assert db.execute("SELECT verdict, fixed_at FROM member_verdict").fetchall() == [("not_affected", NOW + 700)]


def test_a_machine_that_has_had_its_say_is_believed_and_not_the_centre(centre):
    token = centre.add("one")
    old = [["openssl", "3.0.11-1~deb12u2", "amd64", "openssl", "3.0.11-1~deb12u2", "distribution"]]
    published(centre, PUBLICATIONS[:1])
    reference = PUBLICATIONS[0]["reference"]

    def post(known_at, verdicts=()):
        said = {"system": [[*DEBIAN, known_at]], "package": old, "verdict": list(verdicts)}
        assert centre.post(token, parcel.Parcel(head(rows=said), texts(1))).json["rows"] == ""
        with database.reader(centre.data) as db:
            return db.execute("SELECT verdict, here FROM fleet_verdict").fetchall()

    post(0)
    deciding.turn(centre.data, NOW + 10)
    assert post(0) == [("to_check", 1)]
    # It has read the site after the centre did, and sends no verdict: it found in its changelogs that it is not concerned.
    assert post(NOW + 3600) == []
    deciding.turn(centre.data, NOW + 20)
    with database.reader(centre.data) as db:  # and what was decided for it goes
        assert db.execute("SELECT count(*) FROM member_verdict").fetchone()[0] == 0
    # Its own word, whichever it is, goes before.
    assert post(0, [[reference, "affected", "openssl", "3.0.11", '["later", []]', "[]", "", NOW, None, "", None]]) == [
        ("affected", 0)
    ]


def test_an_old_publication_is_decided_again_while_it_concerns_a_machine(centre):
    token = centre.add("one")
    old = [["docker-ce", "5:27.0.1-1", "amd64", "docker-ce", "5:27.0.1-1", "third party"]]
    new = [["docker-ce", "5:27.5.1-1", "amd64", "docker-ce", "5:27.5.1-1", "third party"]]
    published(centre, PUBLICATIONS[2:3])
    centre.post(token, parcel.Parcel(head(rows={"system": [[*DEBIAN, 0]], "package": old}), texts(1)))
    deciding.turn(centre.data, NOW + 10)
    later = NOW + 90 * DAY
    centre.clock.now = later
    centre.post(token, parcel.Parcel(head(now=later, rows={"package": new}), texts(1, later)))
    deciding.turn(centre.data, later + 10)

    assert [row[0] for row in kept(centre).values()] == ["not_affected"]


def test_a_revision_is_decided_anew_for_all(centre):
    added(centre, 10)
    published(centre, PUBLICATIONS[:1])
    deciding.turn(centre.data, NOW + 10)
    nothing = deciding.turn(centre.data, NOW + 60)
    with database.writer(centre.data) as db, database.transaction(db):
        db.execute("UPDATE advisory SET revision=2")
    revised = deciding.turn(centre.data, NOW + 120)

    assert (nothing.publications, revised.publications, revised.machines) == (0, 1, 10)
    with database.reader(centre.data) as db:
        assert db.execute("SELECT revision, since_at FROM member_decided").fetchall() == [(2, NOW + 120)]


@pytest.mark.parametrize("body", ["", "{", '{"reference": 1}', json.dumps(PUBLICATIONS[0])[:-5]])
def test_a_publication_that_is_none_stops_nothing(centre, body):
    added(centre, 3)
    published(centre, PUBLICATIONS[:2])
    with database.writer(centre.data) as db, database.transaction(db):
        db.execute("UPDATE advisory SET body=? WHERE reference=?", (body, PUBLICATIONS[0]["reference"]))

    assert deciding.turn(centre.data, NOW).publications == 1


class Held:
    """What `Judge` asks of the database, from rows in memory: for chance to try many inventories."""

    def __init__(self, monkeypatch, fleet):
        every = [(host, *row) for host, found in fleet.items() for row in found]
        monkeypatch.setattr(inventories, "names", lambda _db: sorted({row[1] for row in every}))
        monkeypatch.setattr(
            inventories, "of_sources", lambda _db, some: {row[1] for row in every if row[4] in set(some)}
        )
        monkeypatch.setattr(
            inventories,
            "of_upstreams",
            lambda _db, some: {row[1] for row in every if inventories.upstream_of(row[2]) & set(some)},
        )
        monkeypatch.setattr(inventories, "builds", lambda _db, asked, _first, _last: self.builds(every, set(asked)))
        monkeypatch.setattr(
            inventories, "processors", lambda *_: {h: frozenset(r[2] for r in rows) for h, rows in fleet.items()}
        )

    @staticmethod
    def builds(every, asked):
        found = {}
        for host, *row in sorted(every, key=lambda one: (one[1:4], one[0])):
            if row[0] in asked:
                found.setdefault(tuple(row), []).append(host)
        by_name = {}
        for row, hosts in found.items():
            by_name.setdefault(row[0], []).append(inventories.Build(*row, hosts))
        return by_name


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(range(len(PUBLICATIONS))))
def test_by_chance_the_scope_leaves_nothing_out(seed, number):
    chance = random.Random(seed)
    fleet, known = {}, {}
    for host in range(2, 14):
        known[host] = chance.choice(SYSTEMS)
        fleet[host] = inventory(chance, known[host])
    body = PUBLICATIONS[number]
    asked = deciding.Asked(1, 1, parse(body))
    with pytest.MonkeyPatch.context() as monkeypatch:
        Held(monkeypatch, fleet)
        judge = deciding.Judge(None, [asked], [Machine(host, known[host]) for host in fleet], lambda _codename: None)
        found = {host: verdict for _one, host, verdict in judge.verdicts()}
    for host, packages in fleet.items():
        whole = [inventories.Build(*row, []).package(known[host]) for row in packages]
        expected = Decider(Inventory(known[host].os_release, whole, known[host].running)).decide(parse(body))
        if expected.verdict == "not_affected":
            assert host not in found
        else:
            assert found[host] == expected


def test_every_product_of_the_table_is_matched_as_the_judge_matches_it():
    """One expression a product instead of several, one by one: the same names."""
    names = [name for name, *_ in PACKAGES] + ["libssl1.1", "openssl-libs", "openssl3", "xopenssl", "openssl|x", "ssh"]
    for product in products.load().products:
        every = [one for kinds in (product.packages, product.parts) for some in kinds.values() for one in some]
        if every:
            assert list(scope.matching(product, names)) == [n for n in names if any(one.fullmatch(n) for one in every)]


def test_a_machine_tells_what_it_is_and_up_to_when_it_has_decided(tmp_path, machine):
    one = machine("one")
    with database.writer(one.data) as db, database.transaction(db):
        assert systems.row(db, 1) == []
        systems.remember(db, 1, DEBIAN, NOW)
        systems.decided(db, 1, NOW)
        assert systems.row(db, 1) == [*DEBIAN, 0]
        db.execute(
            "INSERT INTO reading VALUES ('round', '', '', '', '', 0, ?, ?, ?, '', NULL, 0, NULL, NULL, 0, 0)",
            (NOW, NOW - 5, NOW - 5),
        )
        systems.decided(db, 1, NOW)
        assert systems.row(db, 1) == [*DEBIAN, NOW - 5]
        # One that is named and not read yet: what it says is not the last word.
        db.execute("UPDATE reading SET ok_at=?", (NOW + 3600,))
        db.execute(
            "INSERT INTO advisory (reference, kind, title, status, url, digest, revision, announced, backlog, seen_at, again,"
            " tries, problem, summary) VALUES ('CERTFR-2026-AVI-9', 'avis', '', 'unknown', '', '', 0, 0, 0, ?, 0, 0, '', '')",
            (NOW,),
        )
        systems.decided(db, 1, NOW)
        assert systems.row(db, 1) == [*DEBIAN, NOW - 5]


HOSTILE = (
    "",
    "garbage!!",
    "~",
    "1:",
    ":",
    "9" * 5000,
    "1." * 4000,
    "é",
    "\u202e1",
    "-",
    "0:-1",
    "1:1:1",
    "6.1.119-1\n2",
)


@pytest.mark.parametrize("version", HOSTILE)
def test_versions_that_no_package_manager_gives_stop_nothing_for_the_others(centre, version):
    published(centre)
    good, bad = centre.add("good"), centre.add("bad")
    old = [["docker-ce", "5:27.0.1-1", "amd64", "docker-ce", "5:27.0.1-1", "third party"]]
    odd = [[name, version, arch, source, version, origin] for name, _versions, arch, source, origin in PACKAGES]
    for token, name, packages in ((good, "good", old), (bad, "bad", odd)):
        said = {"system": [[*DEBIAN, 0]], "package": packages}
        assert centre.post(token, parcel.Parcel(head(name, rows=said), texts(1))).json["rows"] == ""
    deciding.turn(centre.data, NOW + 10)
    with database.reader(centre.data) as db:
        host = members.named(db, "good").host

    assert kept(centre)[host, PUBLICATIONS[2]["reference"]][0] == "affected"


def test_what_a_machine_says_of_itself_is_cut(centre):
    token = centre.add("one")
    said = {"system": [["x" * 5000] * 6 + [0]], "package": [["bash", "1", "all", "bash", "1", ""]]}
    centre.post(token, parcel.Parcel(head(rows=said), texts(1)))

    with database.reader(centre.data) as db:
        assert all(len(word) == 200 for word in inventories.machines(db)[0].system)


@pytest.mark.parametrize("row", [["debian"], [*DEBIAN, -1], [*DEBIAN, "0"], [*DEBIAN[:5], None, 0], [*DEBIAN, 0, 0]])
def test_a_row_of_another_shape_is_refused(centre, row):
    token = centre.add("one")
    answer = centre.post(token, parcel.Parcel(head(rows={"system": [row]}), texts(1)))

    assert answer.status_code == 400
    assert "system 0" in answer.json["error"]
