"""A PostgreSQL of our own: Debian's programs, a cluster in a temporary folder, a Unix socket, gone when it is closed.

PostgreSQL refuses to run as root, so root starts it as the user `postgres` that Debian's package made.
"""

import glob
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence

FAST = (
    "fsync=off",
    "autovacuum=off",
    "full_page_writes=off",
    "synchronous_commit=off",
)  # tests of meaning; tests of loss do without


def programs() -> str:
    """The folder of initdb and pg_ctl, the newest version's; '' where Debian's postgresql is not installed."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/pg_ctl"), key=lambda path: int(path.split("/")[4]))
    return os.path.dirname(found[-1]) if found else ""


class Cluster:
    """`url(name)` is a database's address. `settings`: lines of postgresql.conf. `port`: listens on TCP, too, when given.
    `room`: bytes of a disk of its own (root)."""

    def __init__(self, settings: Sequence[str] = FAST, port: int = 0, listen: str = "127.0.0.1", room: int = 0) -> None:
        self.bin = programs()
        if not self.bin:
            raise FileNotFoundError("Debian's postgresql is missing: apt install postgresql")
        self.folder = tempfile.mkdtemp(prefix="vigie-pg-")
        self.data, self.port = os.path.join(self.folder, "data"), port or 5432
        self.as_owner = (
            ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"] if os.geteuid() == 0 else []
        )
        self.user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        if os.geteuid() == 0:
            shutil.chown(self.folder, "postgres")
        os.chmod(self.folder, 0o755)
        self.guard = self._guarded()
        self.mounted = bool(room)
        if room:
            os.mkdir(self.data)
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={room}", "tmpfs", self.data], check=True, timeout=60)
            shutil.chown(self.data, "postgres")
        small = ["--wal-segsize=1"] if room else []
        self.run(
            "initdb", "-D", self.data, "-U", self.user, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N", *small
        )
        lines = [f"listen_addresses='{listen if port else ''}'", f"unix_socket_directories='{self.folder}'", *settings]
        with open(os.path.join(self.data, "postgresql.conf"), "a", encoding="utf-8") as file:
            file.write("\n".join([f"port={self.port}", "max_connections=200", *lines, ""]))
        self.start()

    def _guarded(self) -> "subprocess.Popen[bytes]":
        """Whatever becomes of this process, Ctrl+C and kill -9 included, its server ends with it: the guard waits until the
        other end of its input is closed."""
        words = 'cat >/dev/null; "$@"; umount -l -- "$0/data"; rm -rf -- "$0"'
        stop = [*self.as_owner, os.path.join(self.bin, "pg_ctl"), "-D", self.data, "-m", "immediate", "-s", "stop"]
        return subprocess.Popen(
            ["sh", "-c", words, self.folder, *stop], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, cwd="/", start_new_session=True,
        )  # fmt: skip

    def run(self, program: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*self.as_owner, os.path.join(self.bin, program), *arguments], check=False, capture_output=True, text=True,
            cwd="/", timeout=120,
        )  # fmt: skip
        if check and done.returncode:
            raise RuntimeError(f"{program}: {done.stdout}{done.stderr}")
        return done

    def start(self) -> None:
        # Its output to the log, or the pipe of our reading would stay open as long as the server lives.
        log = os.path.join(self.folder, "log")
        self.run("pg_ctl", "-D", self.data, "-l", log, "-w", "-t", "60", "start")

    def stop(self, mode: str = "fast") -> None:
        self.run("pg_ctl", "-D", self.data, "-m", mode, "-w", "stop", check=False)

    def pid(self) -> int:
        with open(os.path.join(self.data, "postmaster.pid"), encoding="utf-8") as file:
            return int(file.readline())

    def sql(self, text: str, database: str = "postgres") -> str:
        """What psql prints, unaligned."""
        return self.run(
            "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", self.folder, "-p", str(self.port),
            "-U", self.user, "-d", database, "-c", text,
        ).stdout.strip()  # fmt: skip

    def url(self, database: str) -> str:
        return f"postgresql://{self.user}@/{database}?host={self.folder}&port={self.port}"

    def close(self) -> None:
        self.stop("immediate")
        if self.mounted:
            subprocess.run(["umount", "-l", self.data], check=False, timeout=60)
        self.guard.communicate(timeout=60)  # closes its input: it finds nothing to stop
        for _ in range(5):
            shutil.rmtree(self.folder, ignore_errors=True)
            if not os.path.exists(self.folder):
                return
            time.sleep(0.1)
