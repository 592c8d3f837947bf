"""What the minute runs is compiled once, by run_all.sh; where it is not, `./vigie doctor` says so."""

import os
import py_compile
import shutil
import stat
import subprocess
import sys
from importlib import util
from pathlib import Path

import pytest

from alerts.words import Words
from archive.settings import ROOT
from tests.faults.home import Home
from web import bytecode, rights

ENGLISH, FRENCH = Words("en", "Europe/Paris"), Words("fr", "Europe/Paris")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in bytecode.RUN:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(os.path.join(ROOT, name), tmp_path / name)
        py_compile.compile(str(tmp_path / name))
    return tmp_path


def test_what_is_compiled_is_said_to_be(root: Path) -> None:
    (found,) = bytecode.findings(str(root), ENGLISH)
    assert (found.level, found.fix) == ("ok", "")


def without(path: Path) -> None:
    os.unlink(util.cache_from_source(str(path)))


def another_python(path: Path) -> None:
    _write(path, 0, b"\0\0\r\n")


def older(path: Path) -> None:
    os.utime(path, (1, path.stat().st_mtime - 7))


def longer(path: Path) -> None:
    now = path.stat()
    path.write_text(path.read_text() + "#")
    os.utime(path, ns=(now.st_atime_ns, now.st_mtime_ns))


def cut(path: Path) -> None:
    os.truncate(util.cache_from_source(str(path)), 10)


def _write(path: Path, at: int, raw: bytes) -> None:
    with open(util.cache_from_source(str(path)), "r+b") as file:
        file.seek(at)
        file.write(raw)


@pytest.mark.parametrize("spoil", [without, another_python, older, longer, cut])
def test_what_python_would_compile_anew_is_said_with_what_to_type(root: Path, spoil: object) -> None:
    path = root / "alerts" / "still.py"
    assert not _is_written_by_importing(path)
    spoil(path)  # type: ignore[operator]
    (found,) = bytecode.findings(str(root), ENGLISH)
    assert (found.level, found.what) == ("mend", "the program is compiled anew at every cycle: alerts")
    assert (
        next(bytecode.findings(str(root), FRENCH)).what
        == "le programme est recompilé à chaque passage\N{NO-BREAK SPACE}: alerts"
    )
    (root / "web").mkdir()
    subprocess.run(["sh", "-c", found.fix], check=True)
    assert [one.level for one in bytecode.findings(str(root), ENGLISH)] == ["ok"]
    spoil(path)  # type: ignore[operator]
    assert _is_written_by_importing(path), "Python itself sees it as we do"


def _is_written_by_importing(path: Path) -> bool:
    """Whether Python compiled it when it was imported."""
    cache = Path(util.cache_from_source(str(path)))
    before = cache.stat().st_ino if cache.exists() else 0
    subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(path.parent)!r}); import still"],
        check=True,
    )
    return cache.stat().st_ino != before


def test_an_upgrade_is_compiled_once_for_its_readers_and_what_somebody_put_there_is_written_over(
    tmp_path: Path,
) -> None:
    home = Home(tmp_path)
    assert home.run() == (0, "", "")
    assert [one.level for one in bytecode.findings(str(home.root), ENGLISH)] == ["ok"]
    caches = [Path(path) for path in rights.compiled(str(home.root))]
    assert {path.parent.name for path in caches} >= {"probes", "archive", "alerts", "web"}
    mark, foreign = home.data / "run" / "compiled", caches[0] / "still"
    at = mark.stat().st_mtime_ns
    target = Path(util.cache_from_source(str(home.root / "alerts" / "still.py")))
    target.parent.chmod(0o775)
    raw = target.read_bytes()
    target.write_bytes(raw[:16] + b"not ours")
    target.chmod(0o666)
    foreign.symlink_to(home.root / "LICENSE")
    linked = Path(util.cache_from_source(str(home.root / "alerts" / "calm.py")))
    linked.rename(home.root / "evil.pyc")
    linked.symlink_to(home.root / "evil.pyc")
    mark.unlink()
    mark.symlink_to(home.root / "LICENSE")
    os.utime(home.root / "LICENSE", (1, 1))  # older than what it is the mark of
    assert home.run() == (0, "", "")
    assert target.read_bytes() == raw
    assert (home.root / "LICENSE").stat().st_size > 1000
    assert not any(path.is_symlink() for path in (mark, foreign, linked))
    assert linked.exists()
    assert mark.stat().st_mtime_ns > at
    for path in (*caches, target):
        assert stat.S_IMODE(path.stat().st_mode) & 0o022 == 0
        assert stat.S_IMODE(path.stat().st_mode) & 0o044 == 0o044, "its readers are the source's"
    at = mark.stat().st_mtime_ns
    assert home.run() == (0, "", "")
    assert mark.stat().st_mtime_ns == at, "once"


def test_a_folder_that_is_the_group_s_is_the_code_s_hole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the form of two users: what one made with umask 007 the other could write, and the first one runs it."""
    cache = tmp_path / "alerts" / "__pycache__"
    cache.mkdir(parents=True)
    cache.chmod(0o770)
    data = tmp_path / "data"
    data.mkdir()
    data.chmod(0o2770)
    monkeypatch.setattr(rights, "ROOT", str(tmp_path))
    said = [one.fix for one in rights._two(str(data), ENGLISH)]
    assert said == [f"sudo chmod -R g-w {cache}"]
    cache.chmod(0o755)
    assert list(rights._two(str(data), ENGLISH)) == []
