"""Every shipped probe, found by discovery, on the real machine and on a fake one."""

import os
import re
import subprocess

import pytest

from tests.probes.probing import PROBES, ROOT, SHIPPED, SYSTEM, module, ok, plain_tools, run, series

GOLDEN = ROOT.parent / "golden"

TABLE = {
    "cpu.py": "cpu_busy_seconds_total cpu_seconds_total cpu_cores",
    "memory.py": "memory_available_ratio memory_used_ratio memory_available_bytes memory_used_bytes memory_size_bytes"
    " swap_used_ratio swap_used_bytes swap_size_bytes oom_kills_total",
    "disk.py": "disk_used_ratio disk_used_bytes disk_available_bytes disk_size_bytes disk_inodes_used_ratio"
    " filesystem_readonly",
    "processes.py": "user_cpu_seconds_total cpu_unattributed_seconds_total user_memory_bytes user_processes"
    " user_memory_ratio",
    "homes.py": "user_home_bytes homes_measured homes_known",
    "users.py": "",
    "accounts.py": "accounts account_info",
    "load.py": "load_average",
    "pressure.py": "pressure_waiting_seconds_total",
    "network.py": "network_receive_bytes_total network_transmit_bytes_total",
    "diskio.py": "diskio_read_bytes_total diskio_written_bytes_total diskio_busy_seconds_total",
    "uptime.py": "uptime_seconds",
    "updates.sh": "",
    "units.sh": "",
    "clock.sh": "",
    "raid.py": "raid_degraded",
    "smart.sh": "",
    "temperature.py": "temperature_celsius",
}

# What the runner reads into a process of its own.
LIGHT = sorted(name.removesuffix(".py") for name in SHIPPED if "\ndef text(" in (PROBES / name).read_text())


def test_the_shipped_probes_are_those_of_the_table():
    assert sorted(TABLE) == SHIPPED


@pytest.mark.parametrize("probe", SHIPPED)
def test_a_shipped_probe_speaks_well_of_this_machine(probe, lasting_state):
    state = lasting_state / probe
    state.mkdir(exist_ok=True)
    result = run(probe, state=state, VIGIE_NOW="1795221000")
    found = ok(result)
    assert found or "# UNAVAILABLE" in result.stdout


@pytest.mark.parametrize("probe", SHIPPED)
def test_a_shipped_probe_prints_the_golden_text_of_the_fake_machine(probe, tools):
    result = run(probe, root=ROOT, path=str(tools))
    found = ok(result)
    assert {name.partition("{")[0] for name in found} >= set(TABLE[probe].split())
    text = result.stdout
    if probe == "disk.py":  # the space is that of the disk the repository lies on
        text = re.sub(r"^((?:disk_)\S+) \S+$", r"\1 N", text, flags=re.M)
    if probe == "homes.py":
        text = re.sub(r"^(user_home_bytes\S+) \d+$", r"\1 N", text, flags=re.M)
    golden = GOLDEN / f"{probe}.prom"
    if os.environ.get("VIGIE_WRITE_GOLDEN"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(text)
    assert text == golden.read_text()


@pytest.mark.parametrize("probe", SHIPPED)
def test_every_and_limit_in_the_text_are_those_of_the_source(probe, tools):
    for word in ("EVERY", "LIMIT"):
        in_source = set(re.findall(rf"^# {word} (\d+)$", (PROBES / probe).read_text(), re.M))
        in_text = set(re.findall(rf"^# {word} (\d+)$", run(probe, root=ROOT, path=str(tools)).stdout, re.M))
        assert len(in_source) <= 1
        assert in_text <= in_source, "the archive would expect another rhythm than the runner's"
        assert word == "LIMIT" or in_text == in_source, (
            "the archive must know the rhythm, also when there is nothing to ask"
        )


@pytest.mark.parametrize("probe", [name for name in SHIPPED if name.endswith(".py")])
def test_a_python_probe_needs_the_bare_interpreter_only(probe, state):
    command = ["/usr/bin/python3", "-I", "-S", "-X", "importtime", PROBES / probe]
    env = {"PATH": SYSTEM, "VIGIE_ROOT": str(ROOT), "VIGIE_STATE": str(state)}
    result = subprocess.run(command, env=env, capture_output=True, encoding="utf-8", check=False)
    assert result.returncode == 0, result.stderr
    series(result.stdout)
    imported = {
        line.rpartition("|")[2].strip() for line in result.stderr.splitlines() if line.startswith("import time:")
    }
    assert not imported & {"psutil", "argparse", "json", "subprocess", "logging", "re", "typing", "socket"}


@pytest.mark.parametrize("probe", LIGHT)
def test_a_probe_that_the_runner_reads_imports_only_what_is_built_in(probe, state):
    """Also while it is read: an import is dearer than all that it does."""
    code = f"""
import sys
sys.path.insert(0, {str(PROBES)!r})
before = set(sys.modules)
import reading, {probe} as read
for root in ("", {str(ROOT)!r}):
    try:
        read.text(root, {str(state)!r}, False)
    except reading.AskError:
        pass
print(*sorted(set(sys.modules) - before - set(sys.builtin_module_names)))
"""
    command = ["/usr/bin/python3", "-I", "-S", "-c", code]
    result = subprocess.run(command, env={"PATH": SYSTEM}, capture_output=True, encoding="utf-8", check=False)
    assert (result.returncode, result.stderr) == (0, "")
    ours = {path.stem for path in PROBES.glob("*.py")} - {
        name.partition(".")[0] for name in SHIPPED if name != f"{probe}.py"
    }
    assert {"reading", probe} <= set(result.stdout.split()) <= ours


@pytest.mark.parametrize(
    "probe", [name for name in LIGHT if name not in {"processes", "homes"}]
)  # each reading is another
def test_a_probe_says_the_same_when_it_is_read_and_when_it_is_started(probe, tools, state):
    started = run(f"{probe}.py", root=ROOT, path=str(tools), state=state)
    read = module(probe).text(str(ROOT), str(state), True)
    assert _still(read) == _still(started.stdout)
    assert series(read).keys() == ok(started).keys()


@pytest.mark.parametrize("probe", [name for name in SHIPPED if name.endswith(".py")])
def test_a_python_probe_says_what_it_is_and_how_it_is_started(probe):
    text = (PROBES / probe).read_text()
    assert text.startswith('#!/usr/bin/env -S python3 -I -S\n"""')
    assert not re.search(r"\b(eval|exec|system|popen)\(|shell=True", text)


@pytest.mark.parametrize("probe", [name for name in SHIPPED if name.endswith(".sh")])
def test_a_bash_probe_is_strict(probe):
    text = (PROBES / probe).read_text()
    assert text.startswith("#!/usr/bin/env bash\n# ")
    assert "\nset -euo pipefail\nexport LC_ALL=C" in text
    assert not re.search(r"\beval\b|\$\(ls\b|\bls \|", text)


@pytest.mark.parametrize("probe", [name for name in SHIPPED if name not in {"homes.py", "processes.py"}])
def test_p19_a_probe_says_the_same_from_crons_empty_environment(probe, tools):
    by_hand = run(
        probe, root=ROOT, path=str(tools), HOME="/root", LANG="fr_FR.UTF-8", TERM="xterm", PYTHONPATH="/nowhere"
    )
    env = {"PATH": str(tools), "VIGIE_ROOT": str(ROOT)}
    from_cron = subprocess.run([PROBES / probe], env=env, cwd="/", capture_output=True, encoding="utf-8", check=False)
    assert _still(from_cron.stdout) == _still(by_hand.stdout)
    assert from_cron.returncode == by_hand.returncode == 0


@pytest.fixture(scope="module")
def locales(tmp_path_factory):
    folder = tmp_path_factory.mktemp("locales")
    for name in ("fr_FR", "tr_TR"):
        try:
            subprocess.run(
                ["localedef", "-i", name, "-f", "UTF-8", folder / f"{name}.UTF-8"], capture_output=True, check=True
            )
        except (FileNotFoundError, subprocess.CalledProcessError):
            pytest.skip("localedef cannot make the French and Turkish locales here")
    return folder


@pytest.mark.parametrize("locale", ["fr_FR.UTF-8", "tr_TR.UTF-8"])
def test_p20_a_french_or_turkish_locale_changes_no_byte(locale, locales, tools):
    shown = subprocess.run(
        ["bash", "-c", "printf '%.1f' 1,5"],
        env={"PATH": SYSTEM, "LOCPATH": str(locales), "LC_ALL": locale},
        capture_output=True,
        check=False,
    )
    assert shown.stdout == b"1,5", "the locale is not in force: the test would prove nothing"
    for probe in set(SHIPPED) - {"homes.py"}:
        plain = run(probe, root=ROOT, path=str(tools))
        local = run(probe, root=ROOT, path=str(tools), LC_ALL=locale, LANG=locale, LOCPATH=str(locales))
        assert _still(local.stdout) == _still(plain.stdout), probe


@pytest.mark.parametrize("probe", SHIPPED)
def test_p21_a_missing_tool_is_said_to_be_missing_and_never_0(probe, tmp_path, state):
    result = run(probe, path=str(plain_tools(tmp_path / "few")), state=state)
    found = ok(result)
    if probe in {"users.py", "units.sh", "clock.sh", "smart.sh", "updates.sh"}:
        assert not found
        assert "# UNAVAILABLE" in result.stdout


@pytest.mark.parametrize("probe", SHIPPED)
def test_p23_without_proc_a_probe_fails_clearly_or_has_nothing_to_ask(probe, tmp_path, tools):
    result = run(probe, root=tmp_path / "empty", path=str(tools))
    if result.returncode == 0:
        assert series(result.stdout) == {}
        assert "# UNAVAILABLE" in result.stdout
    else:
        assert "proc" in result.stderr or "etc" in result.stderr
        assert "Traceback" not in result.stderr.splitlines()[0]


def _still(text: str) -> str:
    """Without what moves from one second to the next on the disk under the fake machine."""
    return re.sub(r"^(disk_\S+) \S+$", r"\1", text, flags=re.M)
