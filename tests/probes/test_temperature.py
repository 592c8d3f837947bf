import shutil

from tests.probes.probing import ok, run, unavailable


def test_two_chips_with_one_name_are_two_sensors(machine):
    shutil.copytree(machine / "sys/class/hwmon/hwmon0", machine / "sys/class/hwmon/hwmon2")
    found = ok(run("temperature.py", root=machine))
    assert {n.split('"')[1] for n in found} == {"coretemp Package id 0", "coretemp Package id 0 2", "nvme temp1"}


def test_a_sensor_without_a_value_is_left_out_and_frost_is_a_temperature(machine):
    folder = machine / "sys/class/hwmon/hwmon1"
    (folder / "temp1_input").write_text("-5500\n")
    (folder / "temp3_input").write_text("\n")
    (folder / "temp4_input").mkdir()
    found = ok(run("temperature.py", root=machine))
    assert found['temperature_celsius{sensor="nvme temp1"}'] == -5.5
    assert len(found) == 2


def test_thermal_zones_speak_where_there_is_no_other_sensor(machine):
    shutil.rmtree(machine / "sys/class/hwmon")
    assert ok(run("temperature.py", root=machine)) == {'temperature_celsius{sensor="acpitz"}': 27.8}
    shutil.rmtree(machine / "sys/class/thermal")
    assert "no temperature sensor" in unavailable(run("temperature.py", root=machine))
