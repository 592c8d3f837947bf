"""Publications and the machines they concern: counted, the worst first; one line to paste a group; nothing hostile gets through."""

import json
import re
import shlex
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive import database
from archive.fleet import concerned, deciding, members, parcel
from archive.fleet.concerned import Group
from tests.conftest import NOW
from tests.fleet.fleet import head
from tests.fleet.test_deciding import DEBIAN, PUBLICATIONS, SYSTEMS, published
from tests.fleet.test_hosts import page
from tests.fleet.test_taking import texts
from web import concerned as words_of

ROCKY = SYSTEMS[4]
REFERENCE = PUBLICATIONS[2]["reference"]  # Docker Engine
OLD = [["docker-ce", "5:27.0.1-1", "amd64", "docker-ce", "5:27.0.1-1", "third party"]]
OLD_RPM = [["docker-ce", "3:27.0.1-1.el9", "x86_64", "docker-ce", "3:27.0.1-1.el9", "third party"]]
NEW = [["docker-ce", "5:27.5.1-1", "amd64", "docker-ce", "5:27.5.1-1", "third party"]]


@pytest.fixture
def fleet(centre):
    """deb1, deb2: concerned, by apt; rpm1: by dnf; deb3: concerned, corrected since; well: never concerned; mute: says nothing
    of what it is."""
    published(centre, [*PUBLICATIONS[:3], PUBLICATIONS[7]])
    tokens = {}
    for name, system, packages, tags in (
        ("deb1", DEBIAN, OLD, "web"), ("deb2", DEBIAN, OLD, "web paris"), ("deb3", DEBIAN, OLD, "web"),
        ("rpm1", ROCKY, OLD_RPM, "paris"), ("well", DEBIAN, NEW, ""), ("mute", None, [], ""),
    ):  # fmt: skip
        tokens[name] = centre.add(name, tags)
        rows = {"system": [[*system, 0]], "package": packages} if system else {}
        answer = centre.post(tokens[name], parcel.Parcel(head(name, rows=rows), texts(1)))
        assert answer.json["rows"] == "", answer.json
    deciding.turn(centre.data, NOW + 10)
    centre.clock.now = NOW + 600
    centre.post(tokens["deb3"], parcel.Parcel(head("deb3", now=NOW + 600, rows={"package": NEW}), texts(1, NOW + 600)))
    deciding.turn(centre.data, NOW + 700)
    return centre


def cells(html):
    """The rows of the page's table of machines or publications, as text."""
    rows = re.findall(r"<tr>(.*?)</tr>", html, re.DOTALL)
    return [" ".join(re.sub(r"<[^>]+>", " ", row).split()) for row in rows][1:]


def code(html):
    """What stands to be pasted, as a browser would copy it."""
    import html as entities

    return [
        entities.unescape(text) for text in re.findall(r"<pre tabindex=\"0\"><code>(.*?)</code></pre>", html, re.DOTALL)
    ]


def test_publications_are_counted_over_the_machines_and_the_worst_comes_first(fleet):
    status, html = page(fleet, "/hosts/security")

    assert status == 200
    assert re.findall(r'href="/security/(CERTFR[^"?#]+)" lang', html)[0] == REFERENCE
    assert "3 machines – 1 machine" in cells(html)[0]
    assert "Of 1 machine it is not known here what is installed." in html


@pytest.mark.parametrize(
    ("query", "found"),
    [("state=affected", 1), ("state=corrected", 1), ("state=to_check", 0), ("tag=paris", 1), ("tag=nothing", 0),
     ("text=2026-AVI-0003", 1), ("text=%25", 0)],
)  # fmt: skip
def test_the_list_keeps_what_is_asked(fleet, query, found):
    assert len(cells(page(fleet, f"/hosts/security?{query}")[1])) == found


def test_one_publication_lists_its_machines_with_package_and_version_and_whose_word_it_is(fleet):
    status, html = page(fleet, f"/security/{REFERENCE}")
    rows = cells(html)

    assert status == 200
    assert [row.split()[0] for row in rows] == ["deb1", "deb2", "rpm1", "deb3"]
    assert "docker-ce 5:27.0.1-1" in rows[0]
    assert "(decided at the centre)" in rows[0]
    assert "Corrected here" in rows[3]
    assert 'href="/hosts/deb1/security/' in html
    assert [row.split()[0] for row in cells(page(fleet, f"/security/{REFERENCE}?state=corrected")[1])] == ["deb3"]
    assert [row.split()[0] for row in cells(page(fleet, f"/security/{REFERENCE}?tag=paris")[1])] == ["deb2", "rpm1"]


def test_machines_that_want_the_same_are_one_line_to_paste(fleet):
    lines = code(page(fleet, f"/security/{REFERENCE}")[1])

    assert lines == [
        'for machine in deb1 deb2; do ssh -t -- "$machine" '
        "'sudo apt update && sudo apt install --only-upgrade docker-ce'; done",
        "ansible all -i deb1,deb2, -m ansible.builtin.shell -a 'sudo apt update && sudo apt install --only-upgrade docker-ce'",
        "for machine in rpm1; do ssh -t -- \"$machine\" 'sudo dnf upgrade docker-ce'; done",
        "ansible all -i rpm1, -m ansible.builtin.shell -a 'sudo dnf upgrade docker-ce'",
    ]
    assert "deb1" not in " ".join(code(page(fleet, f"/security/{REFERENCE}?tag=paris")[1]))


def test_the_line_does_what_it_says_in_a_shell(tmp_path):
    """With a stand-in for ssh that says what it was given."""
    (tmp_path / "ssh").write_text('#!/bin/sh\nprintf "%s|" "$@"; echo\n')
    (tmp_path / "ssh").chmod(0o755)
    told = words_of.todo([Group("docker-ce", "debian", "", 0, ["a-1", "b.2"])])
    done = subprocess.run(
        ["/bin/sh", "-c", told[0].pastes[0].ssh], capture_output=True, text=True, check=True,
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
    )  # fmt: skip

    command = "sudo apt update && sudo apt install --only-upgrade docker-ce"
    assert done.stdout.splitlines() == [f"-t|--|a-1|{command}|", f"-t|--|b.2|{command}|"]


HOSTILE = ("$(reboot)", "a;b", "x`id`", "-rf", "<script>alert(1)</script>", "a b", "'", "é", "")


@pytest.mark.parametrize("package", HOSTILE)
def test_a_package_of_a_hostile_name_gets_no_command(centre, package):
    published(centre, PUBLICATIONS[:1])
    token = centre.add("one")
    reference = PUBLICATIONS[0]["reference"]
    row = [reference, "affected", package, "<b>1</b>", '["later", []]', "[]", "", NOW, None, "", None]
    answer = centre.post(token, parcel.Parcel(head(rows={"verdict": [row], "system": [[*DEBIAN, 0]]}), texts(1)))
    assert answer.json["rows"] == ""
    status, html = page(centre, f"/security/{reference}")

    assert status == 200
    assert code(html) == []
    assert "no command is known" in html
    assert "<script>alert" not in html
    assert "<b>1</b>" not in html
    assert len(cells(html)) == 1


@given(
    st.lists(
        st.builds(
            Group, st.text(max_size=20), st.sampled_from([None, "debian", "rocky", "opensuse-leap", "nixos", "$(x)"]),
            st.text(max_size=20), st.integers(0, 1), st.lists(st.text(max_size=20), min_size=1, max_size=5),
        ),
        max_size=8,
    )
)  # fmt: skip
def test_by_chance_every_word_of_a_line_is_one_that_was_meant(groups):
    for one in words_of.todo(groups):
        named = 0
        for part in one.pastes:
            words = shlex.split(part.ssh)
            assert words[:3] == ["for", "machine", "in"]
            hosts = words[3 : words.index("do")]
            hosts[-1] = hosts[-1].removesuffix(";")
            assert all(members.SLUG.fullmatch(host) for host in hosts)
            assert one.command in [words[-2], words[-2].removesuffix(";")]
            assert shlex.split(part.ansible)[3] == ",".join(hosts) + ","
            named += len(hosts)
        assert named + one.left == one.machines
        if one.command:
            assert re.fullmatch(r"[A-Za-z0-9 &.+_-]+", one.command)


def test_many_machines_make_lines_of_two_hundred_and_the_rest_is_counted():
    names = [f"m{number:05}" for number in range(2_345)]
    (found,) = words_of.todo([Group("openssl", "debian", "", 0, names)])

    assert [len(part.ansible.split(" ")[3].strip(",").split(",")) for part in found.pastes] == [200] * 10
    assert (found.machines, found.left) == (2_345, 345)


def test_a_kernel_that_waits_for_a_restart_is_restarted_and_not_upgraded():
    (found,) = words_of.todo([Group("linux-image-6.1.0-28-amd64", "debian", "", 1, ["one"])])

    assert found.command == "sudo systemctl reboot"


def test_what_is_put_away_on_a_machine_does_not_count(fleet):
    with database.writer(fleet.data) as db, database.transaction(db):
        host = members.named(db, "deb1").host
        advisory = db.execute("SELECT id FROM advisory WHERE reference=?", (REFERENCE,)).fetchone()[0]
        db.execute(
            "INSERT INTO verdict (host, advisory, verdict, package, installed, reason, evidence, decided_at, revision,"
            " dismissed_at, dismissed_reason, offered) VALUES (?, ?, 'affected', 'docker-ce', '1', ?, '[]', ?, 1, ?, 'no', '')",
            (host, advisory, json.dumps(["bound", []]), NOW, NOW),
        )
    with database.reader(fleet.data) as db:
        assert concerned.counts(db, REFERENCE) == {"affected": 2, "corrected": 1, "put_away": 1}
        assert [group.machines for group in concerned.groups(db, REFERENCE)] == [["deb2"], ["rpm1"]]


def test_a_revoked_machine_does_not_count(fleet):
    with database.writer(fleet.data) as db, database.transaction(db):
        members.revoke(db, "deb1", NOW)
    with database.reader(fleet.data) as db:
        assert concerned.counts(db, REFERENCE)["affected"] == 2


def test_one_machines_page_shows_that_machine_alone(fleet):
    html = page(fleet, f"/hosts/deb1/security/{REFERENCE}")[1]

    assert "Machines of the fleet" not in html
