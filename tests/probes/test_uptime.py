import time

import psutil
import pytest

from tests.probes.probing import ok, refused, run


def test_the_figure_is_that_of_psutil():
    assert ok(run("uptime.py"))["uptime_seconds"] == pytest.approx(time.time() - psutil.boot_time(), abs=2)


def test_p22_an_uptime_of_another_form_is_refused(machine):
    (machine / "proc/uptime").write_text("up 3 days\n")
    refused(run("uptime.py", root=machine))
