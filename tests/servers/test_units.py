"""The systemd units of docs/deployment.md: judged by systemd itself, and a cycle and the dashboard behind the same walls as far as
they can be put up without systemd."""

import http.client
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from archive import database
from tests.servers import document, place, tls

ANALYZE = shutil.which("systemd-analyze")
MOST = 2.0  # of 10, the exposure that systemd-analyze counts
pytestmark = [
    pytest.mark.ci,
    pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is missing (apt install systemd)"),
]


def units() -> dict[str, str]:
    """name -> text, of every block whose first line names it."""
    return {os.path.basename(text.split("\n")[0].lstrip("# ")): text for text in document.blocks("ini")}


def written(folder: Path) -> list[str]:
    """All of them as files. The programs that they name are not on this machine: `true` stands in."""
    (folder / "true").symlink_to("/bin/true")
    for name, text in units().items():
        (folder / name).write_text(re.sub(r"^(ExecStart=)\S+", rf"\1{folder}/true", text, flags=re.MULTILINE))
    return sorted(units())


def test_every_unit_is_there_and_systemd_understands_each_line(tmp_path: Path) -> None:
    names = written(tmp_path)
    assert names == [
        "vigie-cycle.service",
        "vigie-cycle.timer",
        "vigie-homes.service",
        "vigie-homes.timer",
        "vigie-web.service",
    ]
    done = subprocess.run(
        [str(ANALYZE), "verify", "--man=no", *[str(tmp_path / name) for name in names]],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    said = [line for line in done.stderr.splitlines() if str(tmp_path) in line or "vigie" in line]
    assert (done.returncode, said) == (0, [])


@pytest.mark.parametrize("name", ["vigie-cycle.service", "vigie-web.service", "vigie-homes.service"])
def test_w33_systemd_finds_each_service_closed(tmp_path: Path, name: str) -> None:
    written(tmp_path)
    done = subprocess.run(
        [str(ANALYZE), "security", "--offline=true", "--no-pager", str(tmp_path / name)],
        capture_output=True, text=True, check=True, timeout=60, env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    level = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert level, done.stdout
    assert float(level[1]) < MOST, done.stdout


# ProtectSystem=strict with its one ReadWritePaths, User, NoNewPrivileges, an empty CapabilityBoundingSet, a /tmp of its own...
WALLS = """
set -euo pipefail
data=$1 temporary=$2
shift 2
mount --make-rprivate /
mount --bind "$data" "$data"
mount --bind "$temporary" "$temporary"
mount -o remount,bind,ro /
exec setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all "$@"
"""
# ...and MemoryDenyWriteExecute: PR_SET_MDWE, which every child inherits.
DENY = (
    "import ctypes, os, sys; sys.exit(ctypes.CDLL(None).prctl(65, 1, 0, 0, 0) or os.execv(sys.argv[1], sys.argv[1:]))"
)


@pytest.mark.needs_root
def test_w33_a_cycle_and_the_dashboard_work_behind_the_services_walls(folder: str) -> None:
    place.need_the_system_s_python()
    root = place.install(folder)
    data, temporary, port = f"{root}/data", f"{folder}/tmp", tls.free_port()
    os.mkdir(temporary)
    with open(f"{data}/settings.env", "w", encoding="ascii") as file:
        file.write(
            f"VIGIE_WEB=0\nVIGIE_LISTEN=127.0.0.1:{port}\nVIGIE_CERTFR_URL=http://127.0.0.1:9\nVIGIE_LANGUAGE=en\n"
        )
    os.chmod(data, 0o700)
    subprocess.run(["chown", "-R", "65534:65534", data, temporary], check=True)
    walls = ["unshare", "--mount", "bash", "-c", WALLS, "walls", data, temporary, place.PYTHON, "-c", DENY]
    environ = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TMPDIR": temporary}
    outside = subprocess.run(
        [*walls, "/usr/bin/touch", f"{root}/planted"], capture_output=True, text=True, check=False, env=environ
    )
    assert "Read-only file system" in outside.stderr, outside.stderr
    done = subprocess.run(
        [*walls, f"{root}/run_all.sh"], capture_output=True, text=True, check=False, env=environ, timeout=300
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    with database.reader(data) as db:
        failed = db.execute("SELECT name, reason FROM probe WHERE state = 'failed'").fetchall()
        alarms = db.execute(
            "SELECT r.labels FROM sample s JOIN series r ON r.id = s.series JOIN metric m ON m.id = r.metric"
            " WHERE m.name = 'filesystem_readonly' AND s.value > 0"
        ).fetchall()
        assert db.execute("SELECT count(*) FROM cycle").fetchone()[0] >= 1
    assert (failed, alarms) == ([], [])
    log = f"{folder}/web.log"
    with open(log, "wb") as said:
        web = subprocess.Popen([*walls, f"{root}/vigie", "web"], stdout=said, stderr=said, env=environ)
    try:
        tls.listening(port, web, log)

        for path in ("/", "/login", "/graphs/memory_used_ratio.svg"):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            connection.request("GET", path)
            assert connection.getresponse().status == 200, path
            connection.close()
    finally:
        web.terminate()
        web.wait(20)
