import os

import pytest

from tests.probes.probing import ok, refused, run


def test_the_figures_are_those_of_the_kernel():
    found = ok(run("load.py"))
    assert list(found.values()) == pytest.approx(os.getloadavg(), abs=0.3)


@pytest.mark.parametrize(("online", "cores"), [("0", 1), ("0-3", 4), ("0-2,5", 4), ("0-4095", 4096)])
def test_the_shipped_level_follows_the_cores(machine, online, cores):
    (machine / "sys/devices/system/cpu/online").write_text(f"{online}\n")
    text = run("load.py", root=machine).stdout
    assert f"# WARN load_average > {2 * cores}\n" in text
    assert "# OFF load_average\n" in text


def test_p22_a_loadavg_of_another_form_is_refused(machine):
    (machine / "proc/loadavg").write_text("0,42 1,50 2,75 2/345 6789\n")
    assert "/proc/loadavg" in refused(run("load.py", root=machine))
