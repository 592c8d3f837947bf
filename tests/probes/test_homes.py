import fcntl
import os
import posix
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.probes.probing import PROBES, SYSTEM, module, ok, run, series, stub, unavailable

NOW = 1795221000


@pytest.fixture
def people(public):
    """A machine with homes, in a folder that other users can reach."""
    root = public / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc/shells").write_text("/bin/sh\n")
    rows = []
    for user in ("anne", "bernard", "chloé"):
        home = root / "home" / user
        (home / "deep/er").mkdir(parents=True)
        (home / "deep/er/file").write_bytes(b"x" * 50_000)
        rows.append(f"{user}:x:1:1::/home/{user}:/bin/sh\n")
    (root / "etc/passwd").write_text(
        "".join(rows) + "d:x:1:1::/:/bin/sh\ne:x:1:1::/home/anne:/bin/sh\nf:x:1:1::/gone:/bin/sh\n"
    )
    return root


def size(path: Path) -> int:
    return int(
        subprocess.run(
            ["du", "-sx", "--block-size=1", path], capture_output=True, encoding="utf-8", check=True
        ).stdout.split()[0]
    )


def kept(state: Path) -> bool:
    """Wait for the background measurement."""
    for _ in range(200):
        if (state / "homes").exists():
            return True
        time.sleep(0.02)
    return False


def test_a_home_is_what_du_says(people):
    anne = people / "home/anne"
    os.link(anne / "deep/er/file", anne / "the same again")
    (anne / "to bernard").symlink_to("../bernard")
    (anne / "sparse").touch()
    os.truncate(anne / "sparse", 1 << 30)
    result = run("homes.py", root=people)
    found = ok(result)
    for user in ("anne", "bernard", "chloé"):
        assert found[f'user_home_bytes{{user="{user}"}}'] == size(people / "home" / user)
    assert (found["homes_measured"], found["homes_known"]) == (3, 3), "/, a shared home and a missing one do not count"
    assert "1/4 anne /home/anne: 0.00 GB" in result.stderr


def test_a_home_inside_another_counts_for_its_own_user(people):
    with open(people / "etc/passwd", "a") as file:
        file.write("zoe:x:1:1::/home/anne/deep:/bin/sh\n")
    found = ok(run("homes.py", root=people))
    whole, inner = size(people / "home/anne"), size(people / "home/anne/deep")
    assert found['user_home_bytes{user="zoe"}'] == inner
    assert found['user_home_bytes{user="anne"}'] == whole - inner


def ordinary(people: Path) -> int | None:
    """A user id that may be refused something: root is refused nothing."""
    if os.geteuid():
        return None
    for path in [people, *people.rglob("*")]:
        os.chown(path, 65534, 65534, follow_symlinks=False)
    return 65534


def test_what_cannot_be_read_is_not_measured_and_never_0(people):
    user = ordinary(people)
    (people / "home/anne").chmod(0)
    (people / "home/bernard/deep/er").chmod(0o311)
    try:
        found = ok(run("homes.py", root=people, user=user))
    finally:
        (people / "home/anne").chmod(0o755)
        (people / "home/bernard/deep/er").chmod(0o755)
    assert found.keys() == {
        'user_home_bytes{user="chloé"}',
        'home_unreadable_info{user="anne",reason="denied"}',
        'home_unreadable_info{user="bernard",reason="partial"}',
        "homes_measured",
        "homes_known",
    }
    assert (found["homes_measured"], found["homes_known"]) == (1, 3)


def test_a_tree_deeper_than_files_can_be_open_is_not_measured(people):
    fd = os.open(people / "home/anne", os.O_RDONLY)
    for _ in range(600):
        os.mkdir("d", dir_fd=fd)
        inner = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(fd)
    found = ok(run("homes.py", root=people))
    assert 'home_unreadable_info{user="anne",reason="partial"}' in found
    subprocess.run(["rm", "-rf", people / "home/anne"], check=True)


def test_the_cycle_never_waits_and_the_next_one_has_the_figures(people, state):
    began = time.monotonic()
    assert "being measured" in unavailable(run("homes.py", root=people, state=state, VIGIE_NOW=str(NOW)))
    assert time.monotonic() - began < 1
    assert kept(state)
    found = ok(run("homes.py", root=people, state=state, VIGIE_NOW=str(NOW + 300)))
    assert found['user_home_bytes{user="anne"}'] == size(people / "home/anne")


def test_it_measures_again_after_55_minutes_and_an_old_figure_is_not_shown_for_ever(people, state):
    text = f'# measured at={NOW}\nuser_home_bytes{{user="anne"}} 7\nhomes_measured 1\nhomes_known 1\n# end\n'
    (state / "homes").write_text(text)
    assert (
        ok(run("homes.py", root=people, state=state, VIGIE_NOW=str(NOW + 54 * 60)))['user_home_bytes{user="anne"}'] == 7
    )
    time.sleep(0.3)
    assert (state / "homes").read_text() == text, "not yet"
    assert (
        ok(run("homes.py", root=people, state=state, VIGIE_NOW=str(NOW + 56 * 60)))['user_home_bytes{user="anne"}'] == 7
    )
    for _ in range(200):
        if (state / "homes").read_text() != text:
            break
        time.sleep(0.02)
    assert f"at={NOW + 56 * 60}\n" in (state / "homes").read_text()
    (state / "homes").write_text(text)
    assert unavailable(run("homes.py", root=people, state=state, VIGIE_NOW=str(NOW + 9 * 3600)))


@pytest.fixture
def read(people, state, monkeypatch):
    """The probe as the runner reads it, at so many seconds after NOW."""

    def reading(seconds: int, handed: str = "/nowhere/homes.prom") -> str:
        monkeypatch.setitem(posix.environ, b"VIGIE_NOW", str(NOW + seconds).encode())
        monkeypatch.setitem(posix.environ, b"VIGIE_HOMES_TEXT", handed.encode())
        return module("homes").text(str(people), str(state), False)

    return reading


def test_read_by_the_runner_it_says_what_is_kept_and_never_measures(people, state, read):
    ask = module("reading").AskError
    with pytest.raises(ask):
        read(0)
    (state / "homes").write_text(f'# measured at={NOW}\nuser_home_bytes{{user="é"}} 7\nhomes_measured 1\n# end\n')
    assert series(read(54 * 60)) == {'user_home_bytes{user="é"}': 7, "homes_measured": 1}
    assert read(60) == run("homes.py", root=people, state=state, VIGIE_NOW=str(NOW + 60)).stdout
    for seconds in (-1, 55 * 60, 9 * 3600):
        with pytest.raises(ask):
            read(seconds)
    (state / "homes").write_bytes(b'# measured at=1\nuser_home_bytes{user="\xff"} 7\n# end\n')
    with pytest.raises(ask):
        read(0)
    assert os.listdir(state) == ["homes"]


def test_what_the_runner_reads_imports_nothing_that_measuring_needs(state):
    (state / "homes").write_text(f"# measured at={NOW}\nhomes_measured 1\n# end\n")
    code = (
        f"import sys; sys.path.insert(0, {str(PROBES)!r}); before = set(sys.modules); import homes; "
        f"homes.text('', {str(state)!r}, False); print(*sorted(set(sys.modules) - before - set(sys.builtin_module_names)))"
    )
    env = {"VIGIE_NOW": str(NOW), "VIGIE_HOMES_TEXT": "/nowhere/homes.prom"}
    command = [sys.executable, "-I", "-S", "-c", code]
    assert subprocess.run(command, env=env, capture_output=True, check=True).stdout == b"homes reading\n"


def test_two_measurements_never_overlap(people, state):
    with open(state / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        run("homes.py", root=people, state=state, VIGIE_NOW=str(NOW))
        time.sleep(0.4)
        assert not (state / "homes").exists()


def test_the_measuring_process_is_idle_and_alone_and_holds_nothing_of_the_runner(people, state, tools):
    stub(tools, "ionice", f'echo "$@" >\'{state}/asked\'; sleep 1; exec /usr/bin/ionice "$@"')
    reader, writer = os.pipe()
    env = {"PATH": str(tools), "VIGIE_ROOT": str(people), "VIGIE_STATE": str(state), "VIGIE_NOW": str(NOW)}
    subprocess.run([PROBES / "homes.py"], env=env, stdout=subprocess.PIPE, pass_fds=[writer], check=True)
    os.close(writer)
    assert os.read(reader, 1) == b"", "the pipe is closed: nobody has inherited it"
    os.close(reader)
    while not (state / "asked").exists() or not (state / "asked").read_text():
        time.sleep(0.01)
    words = (state / "asked").read_text().split()
    assert words[:5] == ["-t", "-c", "3", "-p", words[-1]]
    fields = Path(f"/proc/{words[-1]}/stat").read_text().rpartition(") ")[2].split()
    assert fields[3] != str(os.getsid(0)), "its own session"
    assert fields[16] == "19", "nice"
    assert {os.readlink(f"/proc/{words[-1]}/fd/{fd}") for fd in (0, 1, 2)} == {"/dev/null"}
    assert kept(state)


@pytest.fixture
def handed(tmp_path):
    path = tmp_path / "handed.prom"
    path.write_text(
        f'# measured at={NOW}\nuser_home_bytes{{user="anne"}} 12345\nhomes_measured 1\nhomes_known 1\n# end\n'
    )
    path.chmod(0o644)
    return path


def test_the_text_of_a_privileged_run_is_used(people, state, handed):
    found = ok(run("homes.py", root=people, state=state, VIGIE_NOW=str(NOW + 3600), VIGIE_HOMES_TEXT=str(handed)))
    assert found == {'user_home_bytes{user="anne"}': 12345, "homes_measured": 1, "homes_known": 1}
    assert not (state / "lock").exists(), "nothing else is measured"


def test_the_runner_too_takes_the_text_of_a_privileged_run_or_what_is_kept(read, state, handed):
    assert series(read(3600, str(handed)))['user_home_bytes{user="anne"}'] == 12345
    (state / "homes").write_text(f'# measured at={NOW}\nuser_home_bytes{{user="anne"}} 7\n# end\n')
    handed.chmod(0o666)
    assert series(read(0, str(handed))) == {'user_home_bytes{user="anne"}': 7}


@pytest.mark.parametrize("fault", ["old", "future", "writable", "link", "cut", "foreign", "forged", "folder"])
def test_a_handed_text_that_cannot_be_trusted_is_said_and_not_used(people, state, handed, fault):
    now, text = NOW, handed.read_text()
    if fault == "old":
        now += 3 * 3600 + 60
    elif fault == "future":
        now -= 3600
    elif fault == "writable":
        handed.chmod(0o666)
    elif fault == "link":
        handed.rename(handed.with_suffix(".real"))
        handed.symlink_to(handed.with_suffix(".real"))
    elif fault == "cut":
        handed.write_text(text.removesuffix("# end\n"))
    elif fault == "foreign":
        handed.write_text(text.replace("homes_measured 1", "cpu_cores 99"))
    elif fault == "forged":
        handed.write_text(text.replace('"anne"', '"a",b="c"d"'))
    else:
        handed.unlink()
        handed.mkdir()
    result = run("homes.py", root=people, state=state, VIGIE_NOW=str(now), VIGIE_HOMES_TEXT=str(handed))
    assert unavailable(result)
    assert f"homes.py: {handed} is not used: " in result.stderr
    kept(state)


@pytest.mark.needs_root
def test_a_handed_text_of_another_user_is_not_used(people, state, handed):
    os.chown(handed, 65534, 65534)
    result = run("homes.py", root=people, state=state, VIGIE_NOW=str(NOW), VIGIE_HOMES_TEXT=str(handed))
    assert "must be a plain file of root" in result.stderr
    kept(state)


def test_measure_prints_what_the_probe_takes(people, tmp_path, state):
    env = {"PATH": SYSTEM, "VIGIE_ROOT": str(people), "VIGIE_NOW": str(NOW)}
    result = subprocess.run(
        [PROBES / "homes.py", "--measure"], env=env, capture_output=True, encoding="utf-8", check=True
    )
    path = tmp_path / "new.prom"
    path.write_text(result.stdout)
    path.chmod(0o644)
    found = ok(run("homes.py", root=people, state=state, VIGIE_NOW=str(NOW), VIGIE_HOMES_TEXT=str(path)))
    assert found['user_home_bytes{user="chloé"}'] == size(people / "home/chloé")
    # A copy of the measuring module alone is what root runs (docs/deployment.md).
    copy = tmp_path / "vigie-homes.py"
    copy.write_bytes((PROBES / "measuring.py").read_bytes())
    command = ["/usr/bin/python3", "-I", "-S", copy]
    assert subprocess.run(command, env=env, capture_output=True, encoding="utf-8", check=True).stdout == result.stdout
    for words in ([PROBES / "homes.py"], command):
        said = subprocess.run([*words, "--other"], env=env, capture_output=True, encoding="utf-8", check=False)
        assert (said.returncode, said.stderr) == (1, f"usage: {words[-1].name} [--measure]\n")
