"""data/probes/: the newest texts, renamed into place, and only where they changed."""

import os
from pathlib import Path

from tests import cycles
from tests.conftest import NOW


def files(data):
    folder = os.path.join(data, "probes")
    return {name: Path(folder, name).read_bytes() for name in sorted(os.listdir(folder))}


def test_the_newest_good_text_of_each_probe_is_shown(data):
    cycles.write(data, NOW, {"a": "a 1\n", "b": "b 1\n"})
    cycles.write(data, NOW + 60, {"a": "a 2\n", "b": cycles.Failed("no")})
    cycles.load_all(data, NOW + 60)

    assert files(data) == {"a.prom": b"a 2\n", "b.prom": b"b 1\n"}


def test_a_text_that_has_not_changed_is_not_written_again(data):
    cycles.archive(data, NOW, {"a": "a 1\n", "b": "b 1\n"})
    before = {name: os.stat(os.path.join(data, "probes", name)).st_ino for name in files(data)}
    cycles.archive(data, NOW + 60, {"a": "a 1\n", "b": "b 2\n"})
    after = {name: os.stat(os.path.join(data, "probes", name)).st_ino for name in files(data)}

    assert before["a.prom"] == after["a.prom"]
    assert files(data)["b.prom"] == b"b 2\n"


def test_a_link_in_its_place_is_not_followed(data, tmp_path):
    aim = tmp_path / "aim"
    aim.write_text("untouched")
    os.symlink(aim, os.path.join(data, "probes", "a.prom"))
    os.symlink(aim, os.path.join(data, "probes", "a.prom.new"))
    cycles.archive(data, NOW, {"a": "a 1\n"})

    assert aim.read_text() == "untouched"
    assert files(data) == {"a.prom": b"a 1\n"}


def test_a_folder_that_is_a_link_is_left_alone_and_the_cycle_is_archived(data, tmp_path):
    aim = tmp_path / "aim"
    aim.mkdir()
    os.rmdir(os.path.join(data, "probes"))
    os.symlink(aim, os.path.join(data, "probes"))

    assert len(cycles.archive(data, NOW, {"a": "a 1\n"})) == 1
    assert os.listdir(aim) == []
