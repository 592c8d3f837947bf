"""The two forms of rights, for real: one user alone, then, by the very commands of docs/deployment.md, cron's user and the
dashboard's in one group. Neither user has a password entry: the kernel asks for numbers."""

import json
import os
import re
import stat
import subprocess
import time
from collections.abc import Iterator
from html import unescape
from typing import Any, NamedTuple

import pytest
import requests

from archive import database
from tests.servers import document, place, tls
from tests.web.site import NOW, PASSWORD

pytestmark = [pytest.mark.ci, pytest.mark.needs_root]
CRON, WEB, STRANGER, GROUP = 61001, 61002, 61003, 61000
PROBE = "#!/bin/bash\necho '# WARN beat > 90'\necho 'beat 1'\n"


class Machine(NamedTuple):
    root: str
    data: str

    def run(self, user: int, *argv: str, now: int = NOW, group: int = GROUP) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            argv, cwd="/", user=user, group=group, extra_groups=[], umask=0o022, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False, timeout=120,
            env={"PATH": "/usr/bin:/bin", "VIGIE_NOW": str(now), "HOME": "/nonexistent"},
        )  # fmt: skip

    def cycle(self, now: int) -> None:
        """As cron starts it; then until the steps that it left behind are done."""
        done = self.run(CRON, f"{self.root}/run_all.sh", now=now)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        end = time.monotonic() + 60
        while self.at_work() and time.monotonic() < end:
            time.sleep(0.05)

    def leave(self, now: int) -> None:
        """A cycle's text in the spool, and the mark that texts may wait, as run_all.sh leaves them while all is calm."""
        line = f"umask 007; VIGIE_PROBES={os.path.dirname(self.root)}/probes {self.root}/probes/run.py; : >|{self.data}/run/calm"
        done = self.run(CRON, "bash", "-c", line, now=now)
        assert (done.returncode, done.stderr) == (0, "")

    def at_work(self) -> list[str]:
        """Processes of cron's user."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                found += [pid] if os.stat(f"/proc/{pid}").st_uid == CRON else []
            except OSError:
                continue
        return found

    def tree(self) -> Iterator[tuple[str, os.stat_result]]:
        for path, _folders, names in os.walk(self.data):
            yield path, os.lstat(path)
            for name in names:
                if name != "settings.example.env":
                    yield os.path.join(path, name), os.lstat(os.path.join(path, name))

    def doctor(self, user: int) -> list[str]:
        """What it wants mended of the folder's rights, and which form it found."""
        done = self.run(user, f"{self.root}/vigie", "doctor", "--json")
        found = [json.loads(line) for line in done.stdout.splitlines()]
        words = ("data folder", "group", "others", "both users", "another user")
        return [
            f"{one['level']}: {one['what']} {one['fix']}" for one in found if any(word in one["what"] for word in words)
        ]


@pytest.fixture(scope="module")
def machine(folder: str) -> Machine:
    """Installed by root, its data given to cron's user, three cycles run: the default form."""
    place.need_the_system_s_python()
    root = place.install(folder)
    data, probes = f"{root}/data", f"{folder}/probes"
    os.mkdir(probes)
    with open(f"{probes}/beat.sh", "w", encoding="ascii") as file:
        file.write(PROBE)
    os.chmod(f"{probes}/beat.sh", 0o755)
    with open(f"{data}/settings.env", "w", encoding="ascii") as file:
        file.write(
            f"VIGIE_WEB=0\nVIGIE_LANGUAGE=en\nVIGIE_PROBES={probes}\nVIGIE_CERTFR_URL=http://127.0.0.1:9\n"
            f"VIGIE_LISTEN=127.0.0.1:{tls.free_port()}\n"
        )
    os.chmod(data, 0o700)
    subprocess.run(["chown", "-R", f"{CRON}:{GROUP}", data], check=True)
    os.chmod(f"{data}/settings.env", 0o600)
    made = Machine(root, data)
    for number in range(3):
        made.cycle(NOW + 60 * number)
    return made


def modes(machine: Machine) -> dict[str, str]:
    """Octal mode of every folder and file, by its path in the data folder."""
    return {os.path.relpath(path, machine.data): f"{stat.S_IMODE(found.st_mode):o}" for path, found in machine.tree()}


def test_w33_by_default_all_is_one_user_s_alone(machine: Machine) -> None:
    assert {found.st_uid for _path, found in machine.tree()} == {CRON}
    folders = {path for path, found in machine.tree() if stat.S_ISDIR(found.st_mode)}
    wrong = {
        path: mode
        for path, mode in modes(machine).items()
        if mode != ("700" if os.path.join(machine.data, path).removesuffix("/.") in folders else "600")
    }
    assert wrong == {}
    assert any(line.startswith("ok: the data folder") and "yours alone" in line for line in machine.doctor(CRON))
    assert machine.run(STRANGER, "ls", machine.data, group=STRANGER).returncode != 0
    assert machine.run(WEB, "ls", machine.data).returncode != 0  # of the same group, and that opens nothing


def test_w33_half_of_the_second_form_is_said_by_doctor(machine: Machine) -> None:
    os.chmod(machine.data, 0o770)
    said = machine.doctor(CRON)
    os.chmod(machine.data, 0o700)
    assert any("not set up for two users" in line and "chmod 700" in line for line in said)


@pytest.fixture(scope="module")
def shared(machine: Machine) -> Machine:
    """The document's own commands, from the first that touches the data on."""
    lines = [
        line for line in document.block("sh", "## Two users of one group").splitlines() if "/srv/vigie/data" in line
    ]
    assert len(lines) == 4
    for line in lines:
        told = line.replace("/srv/vigie/data", machine.data).replace("chgrp -R vigie", f"chgrp -R {GROUP}")
        subprocess.run(["sh", "-c", told], check=True)
    return machine


@pytest.fixture(scope="module")
def dashboard(shared: Machine) -> Iterator[str]:
    """Run by the other user; its address."""
    with open(f"{shared.data}/settings.env", encoding="ascii") as file:
        listen = re.search(r"VIGIE_LISTEN=(\S+)", file.read())
    assert listen
    log = os.path.join(os.path.dirname(shared.root), "web.log")
    with open(log, "wb") as said:
        process = subprocess.Popen(
            [f"{shared.root}/vigie", "web"], cwd="/", user=WEB, group=GROUP, extra_groups=[], umask=0o022, stdout=said,
            stderr=said, env={"PATH": "/usr/bin:/bin", "VIGIE_NOW": str(NOW + 600)},
        )  # fmt: skip
    try:
        tls.listening(int(listen[1].rpartition(":")[2]), process, log)
        yield f"http://{listen[1]}".replace("127.0.0.1", "localhost")
    finally:
        process.terminate()
        process.wait(20)


def field(page: Any) -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
    assert found, page.text
    return unescape(found[1])


def test_w33_two_users_of_one_group_share_the_data_and_nothing_else(shared: Machine, dashboard: str) -> None:
    """Cron's user makes the first link; the dashboard's takes it, sets a threshold, archives what waits; cron goes on."""
    link = shared.run(CRON, f"{shared.root}/vigie", "first-link", now=NOW + 600)
    address = re.search(r"http://\S+", link.stdout)
    assert address, link.stderr
    session = requests.Session()
    session.trust_env = False
    page = session.get(address[0], timeout=30)
    given = {"csrf_token": field(page), "name": "admin", "password": PASSWORD, "again": PASSWORD}
    assert session.post(address[0], given, timeout=30).status_code == 200
    assert session.get(f"{dashboard}/probes", timeout=30).status_code == 200
    for number in range(3, 12):
        if number % 2:
            shared.cycle(NOW + 60 * number)
        else:  # all is calm: cron leaves the text, and the one who looks archives it
            shared.leave(NOW + 60 * number)
            assert os.listdir(f"{shared.data}/spool") == [f"{NOW + 60 * number}.prom"]
        seen = session.get(f"{dashboard}/graphs/beat", timeout=30)
        assert seen.status_code == 200, (
            number,
            os.listdir(f"{shared.data}/spool"),
            shared.doctor(CRON),
            seen.text[:2000],
        )
        assert os.listdir(f"{shared.data}/spool") == []
    form = session.get(f"{dashboard}/thresholds/beat", timeout=30)
    typed = {"csrf_token": field(form), "on": "1", "direction": "above", "warning": "55", "minutes": "5"}
    assert session.post(f"{dashboard}/thresholds/beat", typed, timeout=30).status_code == 200
    shared.cycle(NOW + 60 * 12)
    for command in (["backups", "--now"], ["backups"], ["status"], ["privacy", "--days", "90"]):
        done = shared.run(CRON, f"{shared.root}/vigie", *command, now=NOW + 60 * 12)
        assert "denied" not in done.stdout + done.stderr, command
    done = shared.run(CRON, f"{shared.root}/.venv/bin/python", "-I", "-c", upkeep(shared), now=NOW + 60 * 12)
    assert (done.returncode, done.stderr) == (0, "")
    with database.reader(shared.data) as db:
        # Thirteen, and the very first cycle's second reading, a second after: rates want two.
        assert db.execute("SELECT count(*) FROM cycle").fetchone()[0] == 14
        assert db.execute("SELECT count(*) FROM threshold").fetchone()[0] == 1
    # Readers above are root's: what they touched is put back before it is looked at.
    owners = {found.st_uid for _path, found in shared.tree()}
    assert owners == {CRON, WEB}
    wrong = {}
    for path, found in shared.tree():
        mode = stat.S_IMODE(found.st_mode)
        if found.st_gid != GROUP or mode & 0o007 or (stat.S_ISDIR(found.st_mode) and mode != 0o2770):
            wrong[path] = f"{mode:o} {found.st_gid}"
        elif not stat.S_ISDIR(found.st_mode) and mode != (0o640 if path.endswith("settings.env") else 0o660):
            wrong[path] = f"{mode:o}"
    assert wrong == {}


def upkeep(machine: Machine) -> str:
    return f"import sys; sys.path.insert(0, {machine.root!r}); sys.argv.append('--now')\nfrom archive import upkeep\nsys.exit(upkeep.main())"


def test_w33_the_dashboard_s_user_changes_no_code_and_a_stranger_sees_nothing(shared: Machine, dashboard: str) -> None:
    for name in ("run_all.sh", "probes/cpu.py", "web/access.py", "templates/base.html", ".venv/bin/python"):
        assert os.path.exists(f"{shared.root}/{name}")
        assert shared.run(WEB, "test", "-w", f"{shared.root}/{name}").returncode == 1, name
    # What says which programs are probes: neither the settings nor what the runner remembers of them.
    evil = f"{os.path.dirname(shared.root)}/evil"
    os.mkdir(evil)
    with open(f"{evil}/evil.sh", "w", encoding="ascii") as file:
        file.write(f"#!/bin/bash\nid -u >{evil}/ran\necho 'evil 1'\n")
    os.chmod(f"{evil}/evil.sh", 0o755)
    os.chmod(evil, 0o777)
    with open(f"{shared.data}/settings.env", encoding="ascii") as file:
        settings = file.read()
    remembered = f"{evil}\n\nevil\n{evil}/evil.sh\n\nevil\t1\t10\t\t{evil}/evil.sh\nend\n"
    probes = re.search(r"VIGIE_PROBES=(\S+)", settings)
    assert probes
    planted = (
        ("run/probes", remembered.replace(evil + "\n", probes[1] + "\n", 1), False),
        ("settings.env", settings.replace(probes[1], evil), True),
    )
    for name, text, refused in planted:
        path = f"{shared.data}/{name}"
        written = shared.run(WEB, "sh", "-c", f"rm -f {path}; printf %s '{text}' >{path}; touch -d '+1 hour' {path}")
        assert (written.returncode, written.stderr) == (0, "")
        done = shared.run(CRON, f"{shared.root}/run_all.sh", now=NOW + 60 * 20)
        assert not os.path.exists(f"{evil}/ran"), name
        assert (done.returncode != 0) == refused, done.stderr
        if refused:
            assert "can be changed by another" in done.stderr or "peut être changé" in done.stderr
            assert "can be changed by another" in shared.run(CRON, f"{shared.root}/vigie", "status").stderr
    with open(f"{shared.data}/settings.env", "w", encoding="ascii") as file:
        file.write(settings)
    os.chown(f"{shared.data}/settings.env", CRON, GROUP)
    os.chmod(f"{shared.data}/settings.env", 0o640)
    os.unlink(f"{shared.data}/run/probes")
    for user, group in ((STRANGER, STRANGER), (65534, 65534)):
        assert "denied" in shared.run(user, "ls", shared.data, group=group).stderr


@pytest.mark.parametrize("user", [CRON, WEB])
def test_w33_doctor_knows_the_second_form_and_says_what_is_not_as_it_wants(shared: Machine, user: int) -> None:
    well = shared.doctor(user)
    assert [line.partition(":")[0] for line in well] == ["ok"], well
    assert f"two users of the group {GROUP}" in well[0]
    for path, mode, wanted in (
        ("vigie.db", 0o600, "chmod 660"), ("spool", 0o750, "chmod 2770"), ("settings.env", 0o644, "chmod o="),
    ):  # fmt: skip
        whole = f"{shared.data}/{path}"
        before = stat.S_IMODE(os.stat(whole).st_mode)
        os.chmod(whole, mode)
        said = shared.doctor(CRON)
        os.chmod(whole, before)
        assert any(line.startswith("mend:") and wanted in line and whole in line for line in said), (path, said)
    os.chown(f"{shared.root}/probes", 0, GROUP)
    os.chmod(f"{shared.root}/probes", 0o775)
    said = shared.doctor(user)
    os.chmod(f"{shared.root}/probes", 0o755)
    assert any("can change" in line and "chmod -R g-w" in line for line in said)
