import subprocess

import psutil
import pytest

from tests.probes.probing import near, ok, refused, run


def test_the_figures_are_those_of_free():
    for _ in range(5):  # other programs come and go between the two
        found = ok(run("memory.py"))
        lines = subprocess.run(["free", "-b"], capture_output=True, encoding="utf-8", check=True).stdout.splitlines()
        total, available = (int(lines[1].split()[i]) for i in (1, 6))
        if near(found["memory_available_bytes"], available):
            break
    assert near(found["memory_size_bytes"], total)
    assert near(found["memory_available_bytes"], available)
    assert found["memory_used_bytes"] == found["memory_size_bytes"] - found["memory_available_bytes"]
    assert found["memory_available_ratio"] + found["memory_used_ratio"] == pytest.approx(1, abs=2e-6)


def test_swap_is_that_of_psutil_and_absent_without_swap():
    found = ok(run("memory.py"))
    swap = psutil.swap_memory()
    assert found.get("swap_size_bytes", 0) == swap.total


def test_without_swap_nothing_is_said_of_it(machine):
    text = (machine / "proc/meminfo").read_text()
    text = text.replace("2000000 kB", "0 kB").replace("1500000 kB", "0 kB")
    (machine / "proc/meminfo").write_text(text)
    result = run("memory.py", root=machine)
    assert not [name for name in ok(result) if "swap" in name]
    assert "swap_used_ratio" not in result.stdout


def test_a_kernel_that_does_not_count_its_kills_gives_no_line(machine):
    (machine / "proc/vmstat").write_text("nr_free_pages 1\nnr_oom_kill 7\n")
    assert "oom_kills_total" not in ok(run("memory.py", root=machine))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "MemTotal: many kB\n",
        "MemTotal: 10 kB\nMemFree: 1 kB\n",
        "MemTotal: 0 kB\nMemAvailable: 0 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n",
    ],
)
def test_p22_a_meminfo_of_another_form_is_refused(machine, text):
    (machine / "proc/meminfo").write_text(text)
    assert "/proc/meminfo" in refused(run("memory.py", root=machine))
