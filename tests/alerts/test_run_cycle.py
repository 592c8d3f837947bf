"""The minute's process between the shell that starts it and the archive: who comes second leaves, and no end is silent."""

import fcntl

import pytest

from tests.faults.home import Home


@pytest.fixture
def home(tmp_path):
    made = Home(tmp_path)
    assert made.run() == (0, "", "")
    return made


def texts(home: Home) -> int:
    return len(list((home.data / "spool").glob("*.prom")))


def test_a_cycle_that_finds_another_one_running_takes_no_text_and_says_nothing(home):
    before = home.cycles(), texts(home)
    with open(home.data / "run_all.lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert home.run() == (0, "", "")
    assert (home.cycles(), texts(home)) == before


def test_a_mistake_of_ours_is_one_line_and_a_status_and_the_text_is_kept(home):
    step = home.root / "alerts/cycle.py"
    good = step.read_text()
    step.write_text(good.replace("def step() -> str:\n", "def step() -> str:\n    raise KeyError('no\\nwhere')\n"))
    status, out, err = home.run(VIGIE_WAIT="0")
    assert (status, out) == (1, "")
    assert err.splitlines() == ["probes/run.py: KeyError: 'no\\nwhere'"]
    assert texts(home) == 1
    step.write_text(good)
    assert home.run(VIGIE_WAIT="0") == (0, "", "")
    assert texts(home) == 0, "the text that was kept is archived with the next one"


def test_a_probes_folder_that_is_missing_is_said_and_the_others_are_archived(home):
    status, _, err = home.run(VIGIE_PROBES=f"{home.probes}:/nowhere", VIGIE_WAIT="0")
    assert (status, err) == (1, "probes/run.py: VIGIE_PROBES: there is no folder /nowhere\n")
    assert texts(home) == 0
    assert len(home.cycles()) >= 2


def test_only_run_all_goes_on_after_a_cycle(home):
    for word in ("--after", "--failed"):
        status, _, err = home.run(word)
        assert status == 2
        assert "--flush" in err
