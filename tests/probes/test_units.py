import pytest

from tests.probes.probing import ok, refused, run, stub, unavailable


@pytest.fixture
def systemd(machine, tools):
    (machine / "run/systemd/system").mkdir(parents=True)

    def given(script: str):
        stub(tools, "systemctl", script)
        return run("units.sh", root=machine, path=str(tools))

    return given


def test_failed_units_are_counted_and_named(systemd):
    said = (
        "nginx.service loaded failed failed A web server\nmnt-a\\x2db.mount not-found failed failed mnt-a\\x2db.mount"
    )
    found = ok(systemd(f"cat <<'E'\n{said}\nE"))
    assert found == {
        "units_failed": 2,
        'unit_failed_info{unit="nginx.service"}': 1,
        r'unit_failed_info{unit="mnt-a\\x2db.mount"}': 1,
    }


def test_no_failed_unit_is_0(systemd):
    assert ok(systemd("exit 0")) == {"units_failed": 0}


@pytest.mark.parametrize(
    "script", ["echo 'Failed to connect to bus'", "echo '<html>'; exit 0", "echo 'No such bus' >&2; exit 1"]
)
def test_p22_an_answer_of_another_form_is_refused(systemd, script):
    refused(systemd(script))


def test_p21_without_systemd_there_is_nothing_to_ask(machine, tools):
    assert "does not run systemd" in unavailable(run("units.sh", root=machine, path=str(tools)))
