"""Updates, from stand-ins that speak as apt-get and dnf do, and once from the real apt."""

import os
import re
import shutil
import subprocess

import pytest

from tests.probes.probing import ok, refused, run, stub, unavailable

APT = """Reading package lists...
The following packages will be upgraded:
  bash libssl3 tzdata
Inst bash [5.2.15-2+b7] (5.2.15-2+b8 Debian:12.9/stable [amd64])
Inst libssl3 [3.0.11-1] (3.0.15-1~deb12u1 Debian-Security:12/stable-security [amd64])
Inst linux-image-6.1.0-28-amd64 (6.1.119-1 Debian-Security:12/stable-security [amd64])
Inst tzdata [2024a-0] (2024b-0 Ubuntu:24.04/noble-updates, Ubuntu:24.04/noble-security [all])
Conf bash (5.2.15-2+b8 Debian:12.9/stable [amd64])
3 upgraded, 1 newly installed, 0 to remove and 0 not upgraded.
"""


@pytest.fixture
def debian(machine, tools):
    (machine / "var/lib/dpkg").mkdir(parents=True)
    (machine / "var/lib/dpkg/status").touch()
    (machine / "var/lib/apt/lists").mkdir(parents=True)
    (machine / "var/lib/apt/lists/deb.example_main_binary-amd64_Packages").touch()

    def given(said: str = APT, status: int = 0, **more):
        (machine / "said").write_text(said)
        stub(tools, "apt-get", f"echo asked >>'{machine}/asked'; cat '{machine}/said'; exit {status}")
        return run("updates.sh", root=machine, path=str(tools), **more)

    given.machine = machine
    return given


def test_updates_are_counted_and_new_packages_are_not(debian):
    assert ok(debian()) == {"updates_pending": 3, "updates_security_pending": 2}


def test_apt_is_asked_again_only_when_packages_or_lists_have_changed(debian, state):
    def asked() -> int:
        return (debian.machine / "asked").read_text().count("asked")

    first = ok(debian(state=state))
    assert ok(debian("nonsense", state=state)) == first
    assert asked() == 1
    (debian.machine / "var/lib/apt/lists/new_Packages").touch()
    refused(debian("nonsense", state=state))
    assert ok(debian(state=state)) == first, "and the nonsense was not kept"
    assert asked() == 3
    later = (debian.machine / "var/lib/dpkg/status").stat().st_mtime + 5
    os.utime(debian.machine / "var/lib/dpkg/status", (later, later))
    ok(debian(state=state))
    assert asked() == 4


@pytest.mark.parametrize("said", ["", "E: something\n", "<html>\n", APT.rsplit("3 upgraded", maxsplit=1)[0]])
def test_p22_an_answer_without_its_summary_is_refused(debian, said):
    refused(debian(said))


def test_p22_a_failure_of_apt_is_a_failure(debian):
    refused(debian(status=100))


def test_without_lists_it_is_not_known_and_not_0(debian):
    (debian.machine / "var/lib/apt/lists/deb.example_main_binary-amd64_Packages").unlink()
    assert "no package lists" in unavailable(debian())


DNF = "\nbash.x86_64    5.2.26-3.fc40     updates\nopenssl-libs.x86_64  1:3.2.1-2.fc40   updates\n"


@pytest.fixture
def fedora(machine, tools):
    def given(script: str):
        stub(tools, "dnf", script)
        return run("updates.sh", root=machine, path=str(tools))

    return given


def test_dnf_says_all_and_security_apart(fedora):
    script = f"case \"$*\" in *--security*) echo 'bash.x86_64 5.2.26-3.fc40 updates' ;; *) cat <<'E'\n{DNF}\nObsoleting Packages\nx y z\nE\n;; esac; exit 100"
    assert ok(fedora(script)) == {"updates_pending": 2, "updates_security_pending": 1}
    assert ok(fedora("exit 0")) == {"updates_pending": 0, "updates_security_pending": 0}


def test_dnf_without_a_cache_is_not_known_and_not_0(fedora):
    assert "Cache-only" in unavailable(
        fedora("echo \"Error: Cache-only enabled but no cache for 'fedora'\" >&2; exit 1")
    )


@pytest.mark.parametrize("script", ["echo rubbish; exit 100", "exit 100", "echo '<html> a b c d</html>'; exit 100"])
def test_p22_an_answer_of_dnf_of_another_form_is_refused(fedora, script):
    refused(fedora(script))


def test_p21_without_both_there_is_nothing_to_ask(machine, tools):
    assert "neither apt nor dnf" in unavailable(run("updates.sh", root=machine, path=str(tools)))


def test_a_restart_is_needed_when_a_newer_kernel_waits_or_the_distribution_says_so(debian):
    assert "reboot_required" not in ok(debian()), "nothing tells: no line, not 0"
    boot = debian.machine / "boot"
    boot.mkdir()
    for name, at in (("6.1.0-test", 1000), ("6.1.0-older", 900), ("0-rescue-abc", 5000)):
        (boot / f"vmlinuz-{name}").touch()
        os.utime(boot / f"vmlinuz-{name}", (at, at))
    assert ok(debian())["reboot_required"] == 0
    (boot / "vmlinuz-6.1.1").touch()
    assert ok(debian())["reboot_required"] == 1
    shutil.rmtree(boot)
    (debian.machine / "run").mkdir(exist_ok=True)
    (debian.machine / "run/reboot-required").touch()
    assert ok(debian())["reboot_required"] == 1


def test_the_count_is_that_of_apt_list(lasting_state):
    if not shutil.which("apt"):
        pytest.skip("no apt here")
    listed = subprocess.run(
        ["apt", "list", "--upgradable"],
        capture_output=True,
        encoding="utf-8",
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
        check=False,
    )
    (lasting_state / "updates.sh").mkdir(exist_ok=True)
    result = run("updates.sh", state=lasting_state / "updates.sh")
    if "UNAVAILABLE" in result.stdout:
        pytest.skip("apt has no lists here")
    # apt list also names what is held back or phased, hence not less.
    assert 0 <= ok(result)["updates_pending"] <= len(re.findall("upgradable from", listed.stdout))
