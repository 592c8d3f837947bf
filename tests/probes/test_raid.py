import pytest

from tests.probes.probing import ok, refused, run, unavailable


def test_without_an_array_there_is_nothing_to_ask(machine):
    (machine / "proc/mdstat").write_text("Personalities :\nunused devices: <none>\n")
    (machine / "proc/spl/kstat/zfs/tank/state").unlink()
    assert "no software RAID" in unavailable(run("raid.py", root=machine))


@pytest.mark.parametrize(("state", "degraded"), [("ONLINE", 0), ("DEGRADED", 1), ("SUSPENDED", 1)])
def test_a_pool_that_is_not_online_is_degraded(machine, state, degraded):
    (machine / "proc/spl/kstat/zfs/tank/state").write_text(f"{state}\n")
    assert ok(run("raid.py", root=machine))['raid_degraded{array="tank"}'] == degraded


def test_p22_a_state_that_zfs_does_not_have_is_refused(machine):
    (machine / "proc/spl/kstat/zfs/tank/state").write_text("fine\n")
    assert "tank" in refused(run("raid.py", root=machine))
