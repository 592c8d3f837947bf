import psutil

from tests.probes.probing import near, ok, refused, run, unavailable


def test_the_figures_are_those_of_psutil():
    result = run("diskio.py")
    found, counters = ok(result), psutil.disk_io_counters(perdisk=True)
    for name, value in found.items():
        other = counters[name.split('"')[1]]
        if "busy" in name:
            assert near(value, other.busy_time / 1000)
        else:
            assert near(value, other.read_bytes if "read" in name else other.write_bytes)


def test_p22_a_line_of_another_form_is_refused(machine):
    (machine / "proc/diskstats").write_text("   8 0 sda what is this\n")
    refused(run("diskio.py", root=machine))


def test_without_a_disk_there_is_nothing_to_ask(machine):
    (machine / "proc/diskstats").write_text("")
    assert "no disk" in unavailable(run("diskio.py", root=machine))
