import ctypes
import os
import resource
import select
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.probes.probing import ROOT, module, near, ok, refused, run, series

HOSTILE = {
    r"/a\040b": "/a b",
    r"/new\012line": r"/new\nline",
    r"/tab\011": r"/tab\\x09",
    r"/back\134slash": r"/back\\slash",
    '/"quoted"': r"/\"quoted\"",
    "/<script>alert(1)</script>": "/<script>alert(1)</script>",
    "/;rm -rf $(id)`id`".replace(" ", r"\040"): "/;rm -rf $(id)`id`",
    "/\x1b[31mred": r"/\\x1b[31mred",
    "/\u202egnp.exe": "/\u202egnp.exe",
    "/é": "/é",
}


def mountinfo(*lines: str) -> str:
    return "".join(f"{line}\n" for line in lines)


def test_the_figures_are_those_of_df():
    found = ok(run("disk.py"))
    mounts = [name.split('"')[1] for name in found if name.startswith("disk_size_bytes")]
    assert mounts
    for mount in mounts:
        answer = subprocess.run(
            ["df", "-B1", "--output=size,used,avail,pcent", mount], capture_output=True, encoding="utf-8", check=True
        )
        size, used, available, share = answer.stdout.splitlines()[1].replace("%", "").split()
        assert near(found[f'disk_size_bytes{{mount="{mount}"}}'], int(size))
        assert near(found[f'disk_used_bytes{{mount="{mount}"}}'], int(used))
        assert near(found[f'disk_available_bytes{{mount="{mount}"}}'], int(available))
        assert found[f'disk_used_ratio{{mount="{mount}"}}'] * 100 == pytest.approx(int(share), abs=1)


def test_each_file_system_once_at_its_shortest_mount_point_and_no_memory_or_loop():
    found = ok(run("disk.py", root=ROOT))
    mounts = [name.split('"')[1] for name in found if name.startswith("disk_size_bytes")]
    assert mounts == ["/", "/home", "/srv/data", "/mnt/usb"]


@pytest.mark.parametrize(
    ("own", "whole", "fstab", "gone"),
    [
        ("rw", "rw", "defaults", 0),
        ("rw", "ro", "defaults", 1),  # the kernel did it, after an error
        ("rw", "ro", None, 1),
        ("ro", "ro", "defaults", 1),  # it was never made writable, or was remounted by hand against fstab
        ("ro", "ro", "ro,noauto", 0),
        ("ro", "ro", None, 0),  # mounted so by hand, a write-protected card
        ("ro", "rw", None, 0),  # a read-only bind mount
        ("rw", "rw,emergency_ro", "defaults", 1),  # ext4 since Linux 6.14
    ],
)
def test_gone_readonly_is_read_only_though_nobody_asked_for_it(machine, own, whole, fstab, gone):
    line = f"30 28 8:2 / /srv/data {own},relatime shared:5 - ext4 /dev/sda2 {whole},errors=remount-ro"
    (machine / "proc/self/mountinfo").write_text(mountinfo(line))
    (machine / "etc/fstab").write_text(f"UUID=3 /srv/data ext4 {fstab} 0 2\n" if fstab else "")
    assert ok(run("disk.py", root=machine))['filesystem_readonly{mount="/srv/data"}'] == gone


def test_p10_a_hostile_mount_point_is_text(machine):
    lines = []
    for number, (written, _) in enumerate(HOSTILE.items()):
        lines.append(f"{50 + number} 1 9:{number} / {written} rw - ext4 /dev/sd{number} rw")
        point = (
            os.fsencode(str(machine))
            + written.replace(r"\040", " ")
            .replace(r"\012", "\n")
            .replace(r"\011", "\t")
            .replace(r"\134", "\\")
            .encode()
        )
        os.makedirs(point)
    (machine / "proc/self/mountinfo").write_text(mountinfo(*lines))
    found = ok(run("disk.py", root=machine))
    assert {name for name in found if name.startswith("disk_size_bytes")} == {
        f'disk_size_bytes{{mount="{shown}"}}' for shown in HOSTILE.values()
    }


def test_p10_bytes_that_are_no_utf8_and_a_name_of_10_kb_do_not_spoil_the_text(machine):
    long = "/" + "/".join(["n" * 200] * 50)
    lines = [b"50 1 9:1 / /\xff\xfe rw - ext4 /dev/sda1 rw", f"51 1 9:2 / {long} rw - ext4 /dev/sda2 rw".encode()]
    (machine / "proc/self/mountinfo").write_bytes(b"\n".join(lines))
    os.makedirs(os.fsencode(machine) + b"/\xff\xfe")
    found = ok(run("disk.py", root=machine))
    assert r'disk_size_bytes{mount="/\\xff\\xfe"}' in found
    assert [len(name) for name in found if name.startswith("mount_unreachable_info")] == [
        len('mount_unreachable_info{mount=""}') + 400
    ]


@pytest.mark.needs_root
def test_p10_a_real_mount_with_a_newline_in_its_name(tmp_path):
    point = tmp_path / "a\nb<script>"
    point.mkdir()
    image = tmp_path / "image"
    with open(image, "wb") as file:
        file.truncate(4 << 20)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, point], check=True)
    try:
        # Loop devices are skipped, so the name is looked for in the kernel's own list under another device.
        text = Path("/proc/self/mountinfo").read_text().replace(" /dev/loop", " /dev/sdz")
        (tmp_path / "root/proc/self").mkdir(parents=True)
        (tmp_path / "root/proc/self/mountinfo").write_text(text)
        shown = str(point).replace("\n", "\\n")
        result = run("disk.py", root=tmp_path / "root")
        assert f'mount_unreachable_info{{mount="{shown}"}}' in ok(result), "there, but not under this root"
    finally:
        subprocess.run(["umount", point], check=True)


def test_p23_300_mounts(machine):
    """All are told, and 300 cost less than 60 times 3: of processor, in one run."""

    def cost(many):
        mounts = range(100, 100 + many)
        (machine / "proc/self/mountinfo").write_text(
            mountinfo(*(f"{i} 1 9:{i} / /srv/data/{i} rw - nfs server:/{i} rw" for i in mounts))
        )
        for i in mounts:
            (machine / f"srv/data/{i}").mkdir(exist_ok=True)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        found = ok(run("disk.py", root=machine))
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert len([name for name in found if name.startswith("disk_size_bytes")]) == many
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    few = min(cost(3) for _ in range(3))
    assert cost(300) < 60 * max(few, 0.01)


def test_what_is_mounted_on_demand_is_not_kept_mounted_by_asking(machine):
    lines = [
        "35 28 0:50 / /auto rw - autofs systemd-1 rw,fd=40,timeout=300,direct",
        "36 35 0:51 / /srv/data rw - nfs4 server:/far rw",
        "37 28 0:52 / /always rw - autofs systemd-1 rw,fd=41,timeout=0,direct",
        "38 37 0:53 / /home rw - nfs4 server:/near rw",
    ]
    (machine / "proc/self/mountinfo").write_text(mountinfo(*lines))
    found = ok(run("disk.py", root=machine))
    assert [name for name in found if name.startswith("disk_size_bytes")] == ['disk_size_bytes{mount="/home"}']


def test_the_runner_itself_asks_no_server(machine):
    disk, ask = module("disk"), module("reading").AskError
    (machine / "proc/self/mountinfo").write_text(mountinfo("36 35 0:51 / /srv/data rw - nfs4 server:/far rw"))
    with pytest.raises(ask):
        disk.text(str(machine), "", False)
    (machine / "proc/self/mountinfo").write_text(mountinfo("36 35 8:1 / /srv/data rw - xfs /dev/sda1 rw"))
    assert series(disk.text(str(machine), "", False))['disk_size_bytes{mount="/srv/data"}'] > 0


def test_a_file_of_the_host_that_is_mounted_alone_is_no_disk(machine):
    lines = ["30 1 8:1 / /etc/fstab rw - ext4 /dev/sda1 rw", "31 1 8:2 / /home rw - ext4 /dev/sda2 rw"]
    (machine / "proc/self/mountinfo").write_text(mountinfo(*lines))
    assert {name.split('"')[1] for name in ok(run("disk.py", root=machine))} == {"/home"}


number = st.integers(0, 2**64 - 1)


@given(st.tuples(number, number, number, number, number, number))
def test_p10_whatever_a_server_says_of_its_room_the_text_stands(room):
    found = series(module("disk").HEAD + module("disk").told('{mount="/far"}', room))
    assert found.keys() >= {f'disk_{name}_bytes{{mount="/far"}}' for name in ("used", "available", "size")}


def test_a_user_s_room_below_nothing_is_a_full_disk():
    found = series(module("disk").HEAD + module("disk").told('{mount="/"}', (4096, 100, 5, 2**64 - 5, 10, 5)))
    assert found['disk_used_ratio{mount="/"}'] == 1
    assert found['disk_available_bytes{mount="/"}'] == 0


@given(st.binary(max_size=40).filter(lambda name: b"\0" not in name))
def test_a_name_is_read_as_the_kernel_writes_it(name):
    written = b"".join(b"\\%03o" % byte if byte in b" \t\n\\#" else bytes([byte]) for byte in name)
    shown = module("disk").unescape(written.decode("utf-8", "surrogateescape"))
    assert os.fsencode(shown) == name


@pytest.fixture
def dead(public):
    """A real file system that never answers: mounted by FUSE, with nobody on the other side."""
    point = public / "dead"
    point.mkdir()
    try:
        device = os.open("/dev/fuse", os.O_RDWR)
    except OSError:
        pytest.skip("no FUSE here")
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"nobody", os.fsencode(point), b"fuse", 0, options):
        pytest.skip(f"no FUSE here: {os.strerror(ctypes.get_errno())}")
    yield point
    libc.umount2(os.fsencode(point), 2)
    os.close(device)


@pytest.mark.needs_root
def test_p11_a_dead_server_hides_only_itself(dead):
    began = time.monotonic()
    found = ok(run("disk.py"))
    assert 2.9 < time.monotonic() - began < 4.5
    assert f'mount_unreachable_info{{mount="{dead}"}}' in found
    assert f'disk_size_bytes{{mount="{dead}"}}' not in found
    assert found['disk_size_bytes{mount="/"}'] > 0


@pytest.mark.needs_root
def test_p11_who_asked_a_dead_server_is_remembered_and_does_not_stay_when_it_can_be_killed(dead, state):
    ok(run("disk.py", state=state))
    process, _, point = (state / "stuck").read_text().split(" ", 2)
    assert point == f"{dead}\0"
    try:
        fd = os.pidfd_open(int(process))
    except ProcessLookupError:
        return  # it has ended already
    with os.fdopen(fd):
        assert select.select([fd], [], [], 10)[0], "it still asks"


@pytest.mark.needs_root
def test_p11_a_process_that_asks_a_dead_server_and_cannot_be_killed_is_the_only_one(dead, state):
    # SIGKILL does end a process that waits for FUSE, so the one of an earlier cycle is played by another.
    stuck = subprocess.Popen(["sleep", "30"])
    try:
        start = Path(f"/proc/{stuck.pid}/stat").read_text().rpartition(") ")[2].split()[19]
        (state / "stuck").write_text(f"{stuck.pid} {start} {dead}\0")
        began = time.monotonic()
        assert f'mount_unreachable_info{{mount="{dead}"}}' in ok(run("disk.py", state=state))
        assert time.monotonic() - began < 2, "nobody is sent after it"
    finally:
        stuck.kill()
        stuck.wait()
    began = time.monotonic()
    ok(run("disk.py", state=state))
    assert time.monotonic() - began > 2.9, "it has ended: the server is asked again"


def test_p22_a_mountinfo_of_another_form_is_refused_or_nothing(machine):
    (machine / "proc/self/mountinfo").write_text("1 2 3 - \n")
    refused(run("disk.py", root=machine))
    (machine / "proc/self/mountinfo").write_text("")
    result = run("disk.py", root=machine)
    assert ok(result) == {}
    assert result.stdout.startswith("# UNAVAILABLE")
