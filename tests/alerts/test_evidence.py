"""What was running when it crossed: from a stand-in /proc, from this machine, and from real folders."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts import baseline, evidence, growth, running
from alerts.evidence import Evidence
from alerts.growth import Baseline, Size
from alerts.running import Process
from archive import database, events, load, timeline
from archive import evidence as rows
from tests.alerts import post
from tests.alerts.post import NOW

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return post.make_archive(tmp_path / "data")


def proc(
    root: Path, pid: int, *, name: str = "work", ticks: int = 0, started: int = 5, uid: int = 1000, memory: int = 1000,
    io: tuple[int, int] | None = (0, 0), cgroup: str = "0::/user.slice/user-1000.slice/session-4.scope", cmdline: str = "",
) -> None:  # fmt: skip
    folder = root / "proc" / str(pid)
    folder.mkdir(parents=True, exist_ok=True)
    tail = f"S 1 1 1 0 -1 4194304 0 0 0 0 {ticks} 0 0 0 20 0 1 0 {started} 0 0"
    (folder / "stat").write_text(f"{pid} ({name}) {tail}\n")
    (folder / "status").write_text(f"Name:\t{name}\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\nRssAnon:\t{memory} kB\n")
    (folder / "cgroup").write_text(f"{cgroup}\n")
    (folder / "cmdline").write_bytes(cmdline.replace(" ", "\0").encode())
    if io:
        (folder / "io").write_text(f"rchar: 9\nread_bytes: {io[0]}\nwrite_bytes: {io[1]}\n")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "root"
    (made / "etc").mkdir(parents=True)
    (made / "etc" / "passwd").write_text("alice:x:1000:1000::/home/alice:/bin/sh\nbob:x:1001:1001::/home/bob:/bin/sh\n")
    (made / "proc" / "pressure").mkdir(parents=True)
    (made / "proc" / "pressure" / "io").write_text(
        "some avg10=42.50 avg60=1 avg300=0 total=1\nfull avg10=8.00 avg60=0 avg300=0 total=1\n"
    )
    return made


def test_two_readings_make_shares_of_a_core(root: Path) -> None:
    proc(root, 10, name="busy (x) y", ticks=1000, memory=5000, io=(0, 0))
    proc(root, 11, uid=1001, ticks=50, io=None)

    def pause(_: float) -> None:
        time.sleep(0.2)
        proc(
            root,
            10,
            name="busy (x) y",
            ticks=1000 + round(0.2 * os.sysconf("SC_CLK_TCK")),
            memory=5000,
            io=(4_000_000, 0),
        )
        proc(root, 12, uid=1001, name="new", ticks=2)

    found = running.look(str(root), pause=pause)
    busy = found.cpu[0]
    assert (busy.pid, busy.user, busy.command, busy.unit, busy.arguments) == (
        10,
        "alice",
        "busy (x) y",
        "session-4.scope",
        "",
    )
    assert 0.6 < busy.cores < 1.1
    assert busy.memory == 5000 * 1024
    assert busy.read is not None
    assert busy.read > 1e7
    assert found.unread == 1
    assert [(total.user, total.processes) for total in found.users] == [("alice", 1), ("bob", 2)]


def test_a_pid_that_was_given_away_again_is_another_process(root: Path) -> None:
    proc(root, 10, ticks=100_000, started=5)

    def pause(_: float) -> None:
        proc(root, 10, ticks=1, started=900)

    assert all(process.cores < 1 for process in running.look(str(root), pause=pause).cpu)


def test_arguments_are_kept_only_when_asked_for(root: Path) -> None:
    proc(root, 10, ticks=0, memory=9000, cmdline="mysql -pcanary")
    assert "canary" not in repr(running.look(str(root), seconds=0))
    assert "canary" in repr(running.look(str(root), seconds=0, arguments=True))


def test_a_process_that_ends_in_between_and_garbage_are_left_out(root: Path) -> None:
    proc(root, 10)
    proc(root, 11)
    (root / "proc" / "11" / "stat").write_text("garbage")
    (root / "proc" / "12").mkdir()
    found = running.look(str(root), pause=lambda _: (root / "proc" / "10" / "stat").unlink())
    assert found.processes == 0


@given(st.text(max_size=200))
def test_a_stat_line_is_parsed_or_left_out(text: str) -> None:
    found = running.parse_stat(text)
    assert found is None or len(found) == 3


@pytest.mark.parametrize(
    ("cgroup", "unit"),
    [
        ("0::/system.slice/nginx.service", "nginx.service"),
        ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/firefox.service", "firefox.service"),
        ("0::/system.slice/docker-abc.scope", "docker-abc.scope"),
        ("12:pids:/lxc/web\n0::/", "web"),
        ("0::/", ""),
        ("", ""),
    ],
)
def test_the_unit_is_read_from_the_cgroup(cgroup: str, unit: str) -> None:
    assert running.unit_of(cgroup) == unit


def test_the_real_machine_names_the_one_that_burns() -> None:
    """By what the kernel gave it in that very time, also where other work leaves it little."""

    def spent() -> float:
        fields = Path(f"/proc/{burner.pid}/stat").read_text().rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    burner = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        time.sleep(0.2)
        before, began = spent(), time.monotonic()
        found = running.look("", seconds=1.0)
        used, elapsed = spent() - before, time.monotonic() - began
    finally:
        burner.kill()
        burner.wait()
    (mine,) = [process for process in found.cpu if process.pid == burner.pid]
    assert 0 < mine.cores <= 1.1
    # The reading lies within that time: a tenth of a core for its two ends, and the clock's own ticks.
    assert mine.cores * 1.0 <= used + 0.1
    assert mine.cores >= (used - 0.1) / elapsed - 0.15


def test_pressure_is_read_as_shares(root: Path) -> None:
    assert evidence.pressures(str(root)) == [
        evidence.Pressure("io", "some", 0.425),
        evidence.Pressure("io", "full", 0.08),
    ]


def take(data: Path, root: Path, incidents: list[int], now: int = NOW, **given: str) -> list[int]:
    return evidence.take(post.settings(data, **given)._replace(root=str(root)), incidents, now)


def kept(data: Path, incident: int) -> list[Evidence]:
    with database.reader(str(data)) as db:
        return [evidence.from_json(row.body) for row in rows.of_incident(db, incident)]


def test_evidence_is_kept_with_its_incident_once_in_ten_minutes_a_line(data: Path, root: Path) -> None:
    proc(root, 10, name="rsync", memory=50_000)
    with post.writing(data) as db:
        first = post.incident(db, metric="cpu_busy_ratio", labels="{}", state="pending")
    assert take(data, root, [first]) == [first]
    assert take(data, root, [first], NOW + 599) == []
    assert take(data, root, [first], NOW + 600) == [first]
    assert take(data, root, [first], NOW - 86_400) == [first]  # the clock was set back
    found = kept(data, first)
    assert len(found) == 3
    assert found[0].memory[0].command == "rsync"
    assert found[0].pressure[0].resource == "io"


def test_one_look_serves_several_incidents_and_unknown_ones_are_left_out(data: Path, root: Path) -> None:
    with post.writing(data) as db:
        numbers = [post.incident(db, metric="cpu", labels=f'{{"user":"u{i}"}}') for i in range(3)]
    start = time.monotonic()
    assert take(data, root, [*numbers, 999]) == numbers
    assert time.monotonic() - start < 3
    assert take(data, root, [999]) == []


def test_who_was_logged_in_and_what_happened(data: Path, root: Path) -> None:
    body = (
        "# VIGIE probe=users status=ok seconds=0.010\n# HELP login_info who\n"
        f'login_info{{user="alice",tty="pts/0",from="10.0.0.9",since="{NOW - 3600}"}} 1\n'
    )
    mark = f"# VIGIE lines={body.count(chr(10))} bytes={len(body)} cycle={NOW - 60} boot=b uptime=100"
    (data / "spool" / f"{NOW - 60}.prom").write_text(f"{body}{mark}\n")
    with database.writer(str(data)) as db:
        load.load(str(data), db, NOW)
    with post.writing(data) as db:
        number = post.incident(db, metric="cpu", labels="{}")
        events.add(db, 1, NOW - 500, "package", "upgrade linux-image-amd64", "")
        events.add(db, 1, NOW - 400, "setting", "retention", "")
    take(data, root, [number])
    found = kept(data, number)[0]
    assert found.logins == (evidence.Login("alice", "pts/0", "10.0.0.9", NOW - 3600),)
    assert [(one.kind, one.subject) for one in found.events] == [
        ("package", "upgrade linux-image-amd64"),
        ("login", "alice"),
    ]


@pytest.mark.parametrize("users", ["pseudonyms", "off"])
def test_names_are_hidden_when_the_administrator_says_so(data: Path, root: Path, users: str) -> None:
    proc(root, 10, memory=50_000)
    with post.writing(data) as db:
        number = post.incident(db, metric="cpu", labels="{}")
    take(data, root, [number], users=users)
    with database.reader(str(data)) as db:
        assert "alice" not in rows.of_incident(db, number)[0].body
    assert kept(data, number)[0].memory[0].user.startswith("user-" if users == "pseudonyms" else "")


def test_what_was_kept_comes_back_as_it_was() -> None:
    found = Evidence(
        at=5, cpu=(Process(1, "a", "u", "c", "", 0.5, 10, None, 2.0),), grown=(growth.Growth("/x", 5, 6),), grown_kind="files",
        grown_whole=False, logins=(evidence.Login("a", "t", "o", 3),),
    )  # fmt: skip
    assert evidence.from_json(evidence.to_json(found)) == found


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda x: st.lists(x) | st.dictionaries(st.sampled_from([*Evidence._fields, "pid"]), x),
    )
)
def test_a_damaged_row_is_read_as_nothing_and_never_raises(body: object) -> None:
    assert isinstance(evidence.from_json(json.dumps(body)), Evidence)
    evidence.from_json(str(body))


# --- what grew -------------------------------------------------------------------------------------------------------


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    made = tmp_path / "disk"
    for name, size in (
        ("home/alice/deep/er/big", 900_000),
        ("home/bob/small", 5_000),
        ("var/log/syslog", 40_000),
        ("top", 9_000),
    ):
        path = made / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * size)
    return made


def test_folders_two_levels_deep_are_measured_without_overlap(disk: Path) -> None:
    found = growth.walk(str(disk), 10, 0)
    assert found.complete
    assert set(found.sizes) == {"", "home", "var", "home/alice", "home/bob", "var/log"}
    assert found.sizes["home/alice"].bytes >= 900_000
    assert found.sizes["home"] == Size(0, 0)
    assert sum(size.files for size in found.sizes.values()) == 4
    total = int(
        subprocess.run(
            ["du", "-s", "--block-size=1", str(disk)], capture_output=True, text=True, check=True
        ).stdout.split()[0]
    )
    folders = sum(path.stat().st_blocks * 512 for path in [disk, *disk.rglob("*")] if path.is_dir())
    assert sum(size.bytes for size in found.sizes.values()) == total - folders


def test_links_are_not_followed_and_hard_links_count_once(disk: Path) -> None:
    os.link(disk / "top", disk / "home" / "bob" / "again")
    (disk / "home" / "loop").symlink_to(disk)
    found = growth.walk(str(disk), 10, 0)
    assert sum(size.files for size in found.sizes.values()) == 4 + 1  # the symbolic link itself


def test_what_grew_since_the_baseline_comes_largest_first(disk: Path, data: Path) -> None:
    before = growth.walk(str(disk), 10, 2**62)
    baseline.keep(str(data), Baseline(str(disk), NOW - 70_000, before.complete, before.sizes))
    (disk / "home" / "bob" / "movie").write_bytes(b"x" * 3_000_000)
    (disk / "srv" / "new").mkdir(parents=True)
    (disk / "srv" / "new" / "f").write_bytes(b"x" * 700_000)
    (disk / "home" / "alice" / "deep" / "er" / "big").unlink()
    found = evidence.with_growth(str(data), Evidence(), str(disk), NOW)
    assert (found.grown_kind, found.grown_since, found.grown_whole) == ("folders", NOW - 70_000, True)
    assert [one.path for one in found.grown] == [f"{disk}/home/bob", f"{disk}/srv/new"]
    assert found.grown[0].bytes >= 3_000_000


def test_without_a_baseline_the_largest_files_of_the_day_are_named(disk: Path, data: Path) -> None:
    os.utime(disk / "home/alice/deep/er/big", (NOW - 90_000, NOW - 90_000))
    os.utime(disk / "var/log/syslog", (NOW - 60, NOW - 60))
    os.utime(disk / "top", (NOW - 90_000, NOW - 90_000))
    os.utime(disk / "home/bob/small", (NOW - 90_000, NOW - 90_000))
    found = evidence.with_growth(str(data), Evidence(), str(disk), NOW)
    assert found.grown_kind == "files"
    assert [(one.path, one.at) for one in found.grown] == [(f"{disk}/var/log/syslog", NOW - 60)]


def test_the_look_at_a_disk_ends_in_time_and_says_that_it_did_not_see_all(disk: Path) -> None:
    for i in range(300):
        (disk / f"d{i}" / "e").mkdir(parents=True)
    found = growth.walk(str(disk), 0.0, 0)
    assert not found.complete


def test_a_mount_that_is_not_there_is_said(data: Path) -> None:
    found = evidence.with_growth(str(data), Evidence(), "/does/not/exist", NOW)
    assert (found.grown, found.grown_whole, found.unreadable) == ((), False, 1)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"mount": "/"}', '{"mount":"/","at":1,"complete":1,"sizes":{"a":[1]}}']
)
def test_a_damaged_baseline_is_none(data: Path, text: str) -> None:
    path = Path(baseline.path_of(str(data), "/"))
    path.parent.mkdir()
    path.write_text(text)
    assert baseline.recall(str(data), "/", NOW) is None


def test_the_baseline_is_taken_once_a_day_for_each_mount_that_is_watched(data: Path, disk: Path) -> None:
    post.fill(data, [(NOW, 0.5)])
    with post.writing(data) as db:
        db.execute("UPDATE series SET labels=? WHERE labels LIKE '%mount%'", (json.dumps({"mount": str(disk)}),))
    config = post.settings(data)
    assert baseline.take(config, NOW) == [str(disk)]
    assert baseline.take(config, NOW + 3600) == []
    assert baseline.take(config, NOW + 86_400) == [str(disk)]
    known = baseline.recall(str(data), str(disk), NOW + 90_000)
    assert known is not None
    assert known.sizes["home/alice"].files == 1


# --- the timeline ----------------------------------------------------------------------------------------------------

DPKG = """2026-11-20 10:11:12 startup archives unpack
2026-11-20 10:11:13 upgrade openssl:amd64 3.0.1 3.0.2
2026-11-20 10:11:14 status half-configured openssl:amd64 3.0.1
2026-11-20 10:11:15 upgrade linux-image-amd64:amd64 6.1.1 6.1.2
2026-11-20 10:11:16 install libfoo:amd64 <none> 1.0
2026-11-20 12:00:00 remove telnet:amd64 0.17 <none>
"""


def update(data: Path, root: Path, now: int = NOW) -> int:
    with database.writer(str(data)) as db:
        return timeline.update(db, 1, str(root), "Europe/Paris", now)


def packages(data: Path) -> list[events.Event]:
    with database.reader(str(data)) as db:
        return [event for event in events.between(db, 1, 0, 2**40) if event.kind == "package"]


def test_package_changes_become_events_in_utc_one_an_upgrade(data: Path, root: Path) -> None:
    log = root / "var" / "log" / "dpkg.log"
    log.parent.mkdir(parents=True)
    log.write_text(DPKG)
    update(data, root)
    first, second = packages(data)
    assert first.subject == "upgrade linux-image-amd64, openssl, libfoo"
    assert first.at == 1_795_165_873  # 09:11:13 UTC
    assert (
        first.detail == "upgrade openssl 3.0.1 -> 3.0.2; upgrade linux-image-amd64 6.1.1 -> 6.1.2; install libfoo 1.0"
    )
    assert second.subject == "remove telnet"
    update(data, root)
    assert len(packages(data)) == 2


def test_the_log_is_read_on_where_it_ended_also_over_a_rotation_and_a_torn_line(data: Path, root: Path) -> None:
    log = root / "var" / "log" / "dpkg.log"
    log.parent.mkdir(parents=True)
    log.write_text(DPKG)
    update(data, root)
    with log.open("a") as file:
        file.write("2026-11-20 13:00:00 upgrade curl:amd64 1 2\n2026-11-20 14:00:00 upgr")
    update(data, root)
    assert packages(data)[-1].subject == "upgrade curl"
    with log.open("a") as file:
        file.write("ade wget:amd64 1 2\n")
    log.rename(root / "var" / "log" / "dpkg.log.1")
    log.write_text("2026-11-20 15:00:00 upgrade vim:amd64 1 2\n")
    update(data, root)
    assert [event.subject for event in packages(data)][-2:] == ["upgrade wget", "upgrade vim"]
    log.write_text("")  # emptied in place
    update(data, root)
    assert len(packages(data)) == 5


def test_dnf_writes_its_own_log(data: Path, root: Path) -> None:
    log = root / "var" / "log" / "dnf.rpm.log"
    log.parent.mkdir(parents=True)
    log.write_text(
        "2026-11-20T10:11:12+0000 SUBDEBUG Upgrade: openssl-libs-1:3.1.1-4.fc39.x86_64\n"
        "2026-11-20T10:11:13+0000 SUBDEBUG Upgraded: openssl-libs-1:3.1.1-3.fc39.x86_64\n"
        "2026-11-20T10:11:14+0000 INFO --- logging initialized ---\n"
        "2026-11-20T10:11:20+0000 SUBDEBUG Installed: kernel-core-6.5.6-300.fc39.x86_64\n"
    )
    update(data, root)
    (event,) = packages(data)
    assert event.subject == "upgrade kernel-core, openssl-libs"
    assert "install kernel-core 6.5.6-300.fc39" in event.detail


@given(st.text(max_size=300))
def test_hostile_log_lines_are_changes_or_nothing(line: str) -> None:
    from zoneinfo import ZoneInfo

    for parse in (timeline.dpkg, timeline.dnf):
        found = parse(line, ZoneInfo("Europe/Paris"))
        assert found is None or found.action in ("install", "upgrade", "remove", "downgrade")


def test_new_accounts_and_log_ins_are_events_and_the_first_accounts_are_not(data: Path, root: Path) -> None:
    def cycle(at: int, users: list[str]) -> None:
        facts = "".join(f'account_info{{user="{user}",uid="1",home="/",shell="/bin/sh"}} 1\n' for user in users)
        body = f"# VIGIE probe=accounts status=ok seconds=0.010\n{facts}"
        mark = f"# VIGIE lines={body.count(chr(10))} bytes={len(body)} cycle={at} boot=b uptime={at - NOW + 9000}"
        (data / "spool" / f"{at}.prom").write_text(f"{body}{mark}\n")
        with database.writer(str(data)) as db:
            load.load(str(data), db, at)

    cycle(NOW - 300, ["root", "alice"])
    cycle(NOW - 200, ["root", "alice", "eve"])
    cycle(NOW - 100, ["root", "eve"])
    update(data, root)
    update(data, root)
    with database.reader(str(data)) as db:
        found = [(event.subject, event.detail) for event in events.between(db, 1, 0, NOW) if event.kind == "account"]
    assert found == [("eve", "new"), ("alice", "gone")]


def test_a_changed_account_is_one_event_that_says_what_changed(data: Path, root: Path) -> None:
    def cycle(at: int, *shells: tuple[str, str]) -> None:
        facts = "".join(
            f'account_info{{user="{user}",uid="1000",home="/h",shell="{shell}"}} 1\n' for user, shell in shells
        )
        body = f"# VIGIE probe=accounts status=ok seconds=0.010\n{facts}"
        mark = f"# VIGIE lines={body.count(chr(10))} bytes={len(body)} cycle={at} boot=b uptime={at - NOW + 9000}"
        (data / "spool" / f"{at}.prom").write_text(f"{body}{mark}\n")
        with database.writer(str(data)) as db:
            load.load(str(data), db, at)

    cycle(NOW - 300, ("alice", "/bin/sh"), ("bob", "/bin/sh"))
    cycle(NOW - 200, ("alice", "/bin/bash"), ("bob", "/bin/sh"))
    cycle(NOW - 100, ("alice", "/bin/bash"))
    update(data, root)
    update(data, root)
    with database.reader(str(data)) as db:
        found = [(one.at, one.subject, one.detail) for one in events.between(db, 1, 0, NOW) if one.kind == "account"]
    assert found == [
        (NOW - 200, "alice", "changed: shell /bin/sh -> /bin/bash"),
        (NOW - 100, "bob", "gone"),
    ]


def test_the_step_runs_as_a_program(data: Path, root: Path) -> None:
    proc(root, 10, name="rsync", memory=50_000)
    with post.writing(data) as db:
        number = post.incident(db, metric="cpu", labels="{}")
    environ = {**os.environ, "VIGIE_DATA": str(data), "VIGIE_ROOT": str(root), "VIGIE_NOW": str(NOW)}
    done = subprocess.run(
        [sys.executable, "-m", "alerts.evidence", "--incident", str(number)],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert kept(data, number)[0].memory[0].command == "rsync"
    done = subprocess.run(
        [sys.executable, "-m", "alerts.evidence", "--incident", "x"], cwd=ROOT, capture_output=True, check=False
    )
    assert done.returncode == 2
