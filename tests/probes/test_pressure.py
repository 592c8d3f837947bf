from tests.probes.probing import refused, run, unavailable


def test_p21_a_kernel_without_pressure_has_nothing_to_ask(machine):
    (machine / "proc/pressure/cpu").unlink()
    assert "does not measure pressure" in unavailable(run("pressure.py", root=machine))


def test_p22_a_pressure_of_another_form_is_refused(machine):
    (machine / "proc/pressure/io").write_text("some avg10=0.00 total=5\n")
    assert "pressure/io" in refused(run("pressure.py", root=machine))
