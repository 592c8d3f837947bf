import os
import pty
import subprocess
import time

import psutil
import pytest

from tests.probes.probing import PROBES, SYSTEM, ok, refused, run


def cpu(**more) -> dict[str, float]:
    return ok(run("cpu.py", **more))


def test_the_modes_of_a_second_add_up_to_a_second():
    # Each reading lies somewhere within the probe's run: the truth is between the shortest and the longest span.
    first_began = time.monotonic()
    before = cpu()
    first_ended = time.monotonic()
    time.sleep(1)
    second_began = time.monotonic()
    after = cpu()
    second_ended = time.monotonic()
    counted = sum(after[name] - before[name] for name in after if name.startswith("cpu_seconds_total"))
    assert (second_began - first_ended) * 0.95 - 0.05 <= counted <= (second_ended - first_began) * 1.05 + 0.05
    assert after["cpu_cores"] == os.cpu_count()


def test_busy_agrees_with_an_independent_reading():
    def busy() -> float:
        return sum(getattr(psutil.cpu_times(), name) for name in ("user", "nice", "system", "irq", "softirq"))

    # The probe reads somewhere between the two readings around it.
    before, first, after = busy(), cpu(), busy()
    deadline = time.monotonic() + 0.5
    while time.monotonic() < deadline:
        pass
    before_second, second, after_second = busy(), cpu(), busy()
    measured = (second["cpu_busy_seconds_total"] - first["cpu_busy_seconds_total"]) * os.cpu_count()
    assert before_second - after - 0.06 <= measured <= after_second - before + 0.06


def test_waiting_for_a_disk_and_stolen_time_are_not_busy_and_guests_not_twice(machine):
    (machine / "proc/stat").write_text("cpu  100 0 0 0 500 0 0 700 100 0\ncpu0 100 0 0 0 500 0 0 700 100 0\n")
    found = cpu(root=machine)
    assert found["cpu_busy_seconds_total"] == 1
    assert found['cpu_seconds_total{mode="iowait"}'] == 5
    assert found['cpu_seconds_total{mode="steal"}'] == 7


def test_p23_4096_processors(machine):
    row = " 409600 0 0 409600 0 0 0 0 0 0\n"
    cores = "".join(f"cpu{i} 100 0 0 100 0 0 0 0 0 0\n" for i in range(4096))
    (machine / "proc/stat").write_text(f"cpu {row}{cores}intr 1\n")
    found = cpu(root=machine)
    assert (found["cpu_cores"], found["cpu_busy_seconds_total"]) == (4096, 1)


@pytest.mark.parametrize("text", ["", "cpu  1 2 3\n", "cpu  a b c d e f g h\n", "<html>502</html>\n"])
def test_p22_a_stat_of_another_form_is_refused(machine, text):
    (machine / "proc/stat").write_text(text)
    assert "/proc/stat" in refused(run("cpu.py", root=machine))


def test_at_a_terminal_it_says_the_percentage():
    outside, inside = pty.openpty()
    result = subprocess.run(
        [PROBES / "cpu.py"],
        env={"PATH": SYSTEM},
        stdout=inside,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        timeout=10,
        check=False,
    )
    os.close(inside)
    assert b"cpu_busy_seconds_total" in os.read(outside, 4096)
    os.close(outside)
    assert result.stderr.startswith("CPU in use over one second: ")
    assert result.stderr.endswith(" %\n")
