"""The spool: a cycle's file is whole or it is set aside with its reason."""

import contextlib
import os
import resource

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archive import spool
from archive.spool import SpoolError, parse
from tests import cycles
from tests.conftest import NOW
from tests.cycles import Failed, spool_text

TEXT = spool_text(
    NOW, {"load": 'load_average{window="1m"} 0.25\n', "disk": Failed("timed out after 10 s"), "empty": ""}
)


def test_a_whole_file_is_read_as_it_was_written():
    cycle = parse(TEXT)

    assert (cycle.at, cycle.boot, cycle.uptime) == (NOW, cycles.BOOT, NOW - cycles.BOOTED)
    assert [(s.probe, s.status, s.reason, s.text) for s in cycle.sections] == [
        ("load", "ok", "", b'load_average{window="1m"} 0.25\n'),
        ("disk", "failed", "timed out after 10 s", b""),
        ("empty", "ok", "", b""),
    ]


def test_a_section_without_its_own_uptime_takes_the_cycles():
    body = b"# VIGIE probe=a status=ok seconds=0.1\na 1\n"
    mark = f"# VIGIE lines=2 bytes={len(body)} cycle=5 boot= uptime=7\n".encode()

    assert parse(body + mark).sections[0].uptime == 7


def test_a_cycle_in_which_no_probe_was_due_is_a_cycle():
    assert parse(spool_text(NOW, {})).sections == []


def test_p06_a_file_cut_at_any_byte_is_refused():
    for end in range(len(TEXT)):
        with pytest.raises(SpoolError):
            parse(TEXT[:end])


def test_p06_a_file_that_lacks_a_piece_in_the_middle_is_refused():
    for start in range(TEXT.index(b"# VIGIE lines=")):
        with pytest.raises(SpoolError):
            parse(TEXT[:start] + TEXT[start + 1 :])


def test_p06_a_cut_file_loads_nothing_at_any_byte(data):
    before = cycles.dump(data, "sample", "cycle", "metric", "fact")
    for end in range(0, len(TEXT), 3):
        with open(os.path.join(data, "spool", f"{NOW + end}.prom"), "wb") as file:
            file.write(TEXT[:end])

    assert cycles.load_all(data, NOW) == []

    assert cycles.dump(data, "sample", "cycle", "metric", "fact") == before
    assert os.listdir(os.path.join(data, "spool")) == []
    kept = os.listdir(os.path.join(data, "quarantine"))
    assert len([name for name in kept if name.endswith(".prom")]) == len(range(0, len(TEXT), 3))
    assert all(f"{name}.reason" in kept for name in kept if name.endswith(".prom"))


@settings(max_examples=400)
@given(st.binary(max_size=300))
def test_p07_any_bytes_are_a_cycle_or_an_error(raw):
    with contextlib.suppress(SpoolError):
        parse(raw)


@given(st.integers(0, len(TEXT) - 1), st.integers(0, 255))
def test_a_flipped_byte_is_a_cycle_or_an_error_never_a_traceback(place, byte):
    with contextlib.suppress(SpoolError):
        parse(TEXT[:place] + bytes([byte]) + TEXT[place + 1 :])


@pytest.mark.parametrize(
    "mark",
    [
        b"# VIGIE lines=" + b"9" * 5000 + b" bytes=0 cycle=1 boot=x uptime=1\n",
        b"# VIGIE lines=0 bytes=0 cycle=" + b"9" * 400 + b" boot=x uptime=1\n",
        b"# VIGIE lines=0 bytes=0 cycle=1 boot=x uptime=" + b"9" * 400 + b"\n",
        b"# VIGIE lines=0 bytes=0 cycle=1 boot=" + b"x" * 1000 + b" uptime=1\n",
        "# VIGIE lines=٠ bytes=٠ cycle=١ boot=x uptime=١\n".encode(),
        b"# VIGIE lines=0 bytes=0 cycle=-1 boot=x uptime=1\n",
        b"# VIGIE lines=-0 bytes=0 cycle=1 boot=x uptime=nan\n",
    ],
    ids=["lines", "cycle", "uptime", "boot", "arabic", "negative", "nan"],
)
def test_a_forged_end_mark_is_refused(mark):
    with pytest.raises(SpoolError):
        parse(mark)


@pytest.mark.parametrize(
    "head",
    [b"# VIGIE probe=a/b status=ok seconds=1\n", b"# VIGIE probe=a status=fine seconds=1\n", b"# VIGIE x\n",
     b"# VIGIE probe=a status=ok seconds=" + b"1" * 30 + b"\n", b"text before\n"],
)  # fmt: skip
def test_a_forged_head_is_refused(head):
    with pytest.raises(SpoolError):
        parse(head + f"# VIGIE lines=1 bytes={len(head)} cycle=1 boot=x uptime=1\n".encode())


def test_a_reason_is_kept_short():
    assert len(parse(spool_text(NOW, {"a": Failed("x" * 100_000)})).sections[0].reason) == 300


def test_waiting_is_oldest_first_also_across_a_change_of_length(tmp_path):
    (tmp_path / "spool").mkdir()
    for name in ("1000000001.prom", "999999999.prom", ".1.tmp", "note.txt", "1000000000.prom", ".2.prom"):
        (tmp_path / "spool" / name).touch()

    assert spool.waiting(str(tmp_path)) == ["999999999.prom", "1000000000.prom", "1000000001.prom"]


def test_no_spool_folder_is_nothing_waiting(tmp_path):
    assert spool.waiting(str(tmp_path)) == []


def test_p08_a_huge_file_is_refused_by_its_size(data):
    path = os.path.join(data, "spool", f"{NOW}.prom")
    with open(path, "wb") as file:
        file.truncate(1 << 30)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    cycles.load_all(data, NOW)

    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000
    with open(os.path.join(data, "quarantine", f"{NOW}.prom.reason"), encoding="utf-8") as file:
        assert f"has {1 << 30} bytes" in file.read()


@pytest.mark.parametrize("kind", ["link", "dangling", "pipe", "folder", "device"])
def test_p18_what_is_planted_in_the_spool_is_set_aside_and_never_followed(data, tmp_path, kind):
    path, target = os.path.join(data, "spool", f"{NOW}.prom"), tmp_path / "target"
    target.write_bytes(TEXT)
    {
        "link": lambda: os.symlink(target, path),
        "dangling": lambda: os.symlink(tmp_path / "nowhere", path),
        "pipe": lambda: os.mkfifo(path),
        "folder": lambda: os.mkdir(path),
        "device": lambda: os.symlink("/dev/zero", path),
    }[kind]()
    cycles.write(data, NOW + 60, {"load": "load_average 1\n"})

    loaded = cycles.load_all(data, NOW + 60)

    assert [cycle.at for cycle in loaded] == [NOW + 60]
    assert target.read_bytes() == TEXT
    assert os.path.lexists(os.path.join(data, "quarantine", f"{NOW}.prom"))
    assert os.listdir(os.path.join(data, "spool")) == []


def test_a_name_that_is_not_utf_8_stops_nobody(data):
    folder = os.fsencode(os.path.join(data, "spool"))
    with open(os.path.join(folder, b"\xff\n\x1b.prom"), "wb") as file:
        file.write(b"garbage")
    cycles.write(data, NOW, {"load": "load_average 1\n"})

    assert [cycle.at for cycle in cycles.load_all(data, NOW)] == [NOW]

    assert cycles.dump(data, "event")["event"][0][4] == "\\xff\\x0a\\x1b.prom"


def test_quarantine_is_bounded_and_keeps_the_newest(data):
    for number in range(1, spool.KEPT_FILES + 6):
        with open(os.path.join(data, "spool", f"{number}.prom"), "wb") as file:
            file.write(b"cut")
    cycles.load_all(data, NOW)

    kept = os.listdir(os.path.join(data, "quarantine"))
    assert len(kept) == 2 * spool.KEPT_FILES
    assert "205.prom" in kept
    assert "5.prom" not in kept
    assert "5.prom.reason" not in kept


def test_quarantine_is_bounded_in_bytes(data, monkeypatch):
    monkeypatch.setattr(spool, "KEPT_BYTES", 100_000)
    for number in (1, 2, 3):
        with open(os.path.join(data, "spool", f"{number}.prom"), "wb") as file:
            file.write(b"x" * 60_000)
    cycles.load_all(data, NOW)

    assert sorted(os.listdir(os.path.join(data, "quarantine"))) == ["3.prom", "3.prom.reason"]


def test_a_day_is_named_in_utc(monkeypatch):
    monkeypatch.setenv("TZ", "Europe/Paris")

    assert spool.day_name(NOW - NOW % 86_400 - 1) == "2026-11-20"  # in Paris it is the 21st, 00:59
    assert spool.day_name(NOW) == "2026-11-21"
