import pytest

from tests.probes.probing import ok, refused, run, stub, unavailable

CHRONY = "D5F2C9A1,213.242.201.161,2,1795421730.1,0.000012,0.000003,0.00001,-1.2,0.01,0.03,0.02,0.001,64.2,"


@pytest.mark.parametrize(("answer", "value"), [("yes", 1), ("no", 0)])
def test_timedatectl_knows(tools, answer, value):
    stub(tools, "timedatectl", f"echo {answer}")
    assert ok(run("clock.sh", path=str(tools))) == {"clock_synchronised": value}


@pytest.mark.parametrize(("answer", "value"), [("Normal", 1), ("Insert second", 1), ("Not synchronised", 0)])
def test_chrony_knows_where_timedatectl_does_not_answer(tools, answer, value):
    stub(tools, "timedatectl", "echo 'System has not been booted with systemd' >&2; exit 1")
    stub(tools, "chronyc", f"echo '{CHRONY}{answer}'")
    assert ok(run("clock.sh", path=str(tools))) == {"clock_synchronised": value}


@pytest.mark.parametrize("tool", ["timedatectl", "chronyc"])
@pytest.mark.parametrize("answer", ["", "1", "506 Cannot talk to daemon"])
def test_p22_an_answer_of_another_form_is_refused(tools, tool, answer):
    stub(tools, tool, f"echo '{answer}'")
    refused(run("clock.sh", path=str(tools)))


def test_p21_without_both_there_is_nothing_to_ask(tools):
    assert "neither" in unavailable(run("clock.sh", path=str(tools)))
