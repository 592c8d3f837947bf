import psutil
import pytest

from tests.probes.probing import near, ok, refused, run, unavailable


def test_the_figures_are_those_of_psutil():
    found, counters = ok(run("network.py")), psutil.net_io_counters(pernic=True)
    for name, value in found.items():
        device = name.split('"')[1]
        other = counters[device].bytes_recv if "receive" in name else counters[device].bytes_sent
        assert near(value, other)


def test_the_ends_of_containers_cables_are_left_out_and_odd_names_are_tame(machine):
    head = "Inter-|\n face |\n"
    row = " 1 0 0 0 0 0 0 0 2 0 0 0 0 0 0 0\n"
    (machine / "proc/net/dev").write_text(
        head + "".join(f"{n}:{row}" for n in ("lo", "veth0a", "eth0", 'a"b\\c{}', "wg0"))
    )
    found = ok(run("network.py", root=machine))
    assert {name.split('"')[1] for name in found} == {"eth0", "a_b_c__", "wg0"}


def test_with_the_loopback_alone_there_is_nothing_to_ask(machine):
    text = (machine / "proc/net/dev").read_text().splitlines()[:3]
    (machine / "proc/net/dev").write_text("\n".join(text) + "\n")
    assert "no network device" in unavailable(run("network.py", root=machine))


@pytest.mark.parametrize("line", ["eth0: many 0 0 0 0 0 0 0 2 0\n", "Error: 1\n", "eth0 1 2 3\n"])
def test_p22_a_line_of_another_form_is_refused(machine, line):
    with open(machine / "proc/net/dev", "a") as file:
        file.write(line)
    refused(run("network.py", root=machine))
