import os

import pytest

from tests.probes.probing import ok, refused, run, stub, unavailable


@pytest.fixture
def disk(machine, tools):
    (machine / "dev").mkdir()
    (machine / "dev/sda").touch()

    def given(script: str):
        stub(tools, "smartctl", script)
        return run("smart.sh", root=machine, path=str(tools))

    given.machine = machine
    return given


@pytest.mark.parametrize(
    ("said", "status", "value"),
    [
        ("SMART overall-health self-assessment test result: PASSED", 0, 0),
        ("SMART overall-health self-assessment test result: PASSED", 64, 0),  # errors in its log, long ago
        ("SMART overall-health self-assessment test result: FAILED!", 8, 1),
        ("SMART Health Status: OK", 0, 0),
        ("SMART Health Status: FAILURE PREDICTION THRESHOLD EXCEEDED", 8, 1),
    ],
)
def test_what_the_disk_says_of_itself(disk, said, status, value):
    assert ok(disk(f"echo '{said}'; exit {status}")) == {'disk_health_failing{device="sda"}': value}


def test_a_disk_that_sleeps_is_not_woken_and_not_0(disk):
    assert "no disk" in unavailable(disk("echo 'Device is in STANDBY mode, exit(2)'; exit 2"))


def test_without_the_right_to_read_it_says_so(disk):
    if os.geteuid() == 0:
        (disk.machine / "dev/sda").unlink()  # what root cannot read is not there
    else:
        (disk.machine / "dev/sda").chmod(0)
    assert "no right to read /dev/sda" in unavailable(disk("exit 2"))


@pytest.mark.parametrize("script", ["echo 'something else'", "exit 0", "echo 'SMART is a nice thing'; exit 4"])
def test_p22_an_answer_of_another_form_is_refused(disk, script):
    assert "health of sda" in refused(disk(script))


def test_p21_without_smartctl_it_says_which_package(machine, tools):
    assert "smartmontools" in unavailable(run("smart.sh", root=machine, path=str(tools)))
