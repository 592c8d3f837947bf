"""What the tests of mails start from: a database with a disk that fills, incidents, and settings for a local server."""

import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from archive import database, incidents, load, outbox, thresholds
from archive.recipients import Recipient
from archive.settings import Settings
from archive.settings import load as load_settings
from archive.thresholds import Threshold
from tests.engines import ON_POSTGRESQL

START = 1_795_221_000  # 2026-11-21 00:30 UTC
NOW = START + 6 * 3600
DISK = Threshold("disk_used_ratio", "{}", True, 0.9, 0.97, 0.85, 900)

_TEMPLATE: list[Path] = []


def settings(data: Path, **given: str) -> Settings:
    """Settings as the environment gives them; a local server in clear where only its port is given."""
    environ = {"VIGIE_DATA": str(data), "VIGIE_HOST_NAME": "srv-web-01", "VIGIE_MAIL_TO": "a@example.org",
               "VIGIE_TIMEZONE": "Europe/Paris"}  # fmt: skip
    if "smtp_port" in given:
        environ |= {"VIGIE_SMTP_HOST": "127.0.0.1", "VIGIE_SMTP_SECURITY": "none"}
    environ |= {f"VIGIE_{name.upper()}": value for name, value in given.items()}
    return load_settings(environ)


def people(*addresses: str) -> tuple[Recipient, ...]:
    """Recipients who hear of everything."""
    return tuple(Recipient(one) for one in addresses)


def make_archive(data: Path) -> Path:
    """A database with one host; copied from a first one, so that each test starts at once."""
    if not _TEMPLATE and not ON_POSTGRESQL:
        made = Path(tempfile.mkdtemp(prefix="vigie-test-"))
        database.create(str(made), "f00dfeedcafe", "srv-web-01", "machine", START)
        with writing(made) as db:  # no digest between the mails that a test counts
            db.execute("INSERT INTO setting VALUES ('digest', 'off', 0, 'test')")
        _TEMPLATE.append(made)
    data.mkdir(parents=True, exist_ok=True)
    (data / "spool").mkdir(exist_ok=True)
    if ON_POSTGRESQL:
        database.create(str(data), "f00dfeedcafe", "srv-web-01", "machine", START)
        with writing(data) as db:
            db.execute("INSERT INTO setting VALUES ('digest', 'off', 0, 'test')")
        return data
    for name in ("vigie.db", "installed"):
        shutil.copy(_TEMPLATE[0] / name, data / name)
    return data


def fill(data: Path, values: list[tuple[int, float]], text: str = "") -> None:
    """Load cycles: (time, disk used) each with a real spool file of a disk probe."""
    with database.writer(str(data)) as db:
        for at, used in values:
            probe = text or (
                "# HELP disk_used_ratio Disk space used\n# HELP.fr disk_used_ratio Espace disque utilisé\n"
                "# TYPE disk_used_ratio gauge\n# WARN disk_used_ratio > 0.9\n# CRIT disk_used_ratio > 0.97\n"
                "# CLEAR disk_used_ratio 0.85\n# FOR disk_used_ratio 15\n"
            )
            body = f'# VIGIE probe=disk status=ok seconds=0.010\n{probe}disk_used_ratio{{mount="/"}} {used:.4f}\n'
            mark = f"# VIGIE lines={body.count(chr(10))} bytes={len(body.encode())} cycle={at} boot=b uptime={at - START + 9}"
            (data / "spool" / f"{at}.prom").write_text(f"{body}{mark}\n")
        load.load(str(data), db, values[-1][0])


def filling(until: int = NOW, hours: int = 6, low: float = 0.62, high: float = 0.974) -> list[tuple[int, float]]:
    """A disk that fills, a value every five minutes."""
    count = hours * 12
    return [(until - (count - i) * 300, low + (high - low) * (i / count) ** 2) for i in range(count + 1)]


@contextmanager
def writing(data: Path) -> Iterator[sqlite3.Connection]:
    with database.writer(str(data)) as db, database.transaction(db):
        yield db


def incident(
    db: sqlite3.Connection,
    *,
    metric: str = "disk_used_ratio",
    labels: str = '{"mount":"/"}',
    kind: str = "threshold",
    level: str = "critical",
    state: str = "open",
    since: int = NOW - 1500,
    value: float = 0.974,
    ended: int | None = None,
) -> int:
    """A live (or ended) incident; its number."""
    row = incidents.Incident(
        0, 1, kind, metric, labels, None, state, level, since, since, since + 900, None, ended, "cleared" if ended else "",
        since + 1500, value, value, since + 1200, 0, None, thresholds.to_json(DISK._replace(metric=metric)), None, None, "", "",
    )  # fmt: skip
    return incidents.insert(db, row).id


def transition(
    db: sqlite3.Connection,
    number: int,
    kind: str = "opened",
    at: int = NOW,
    value: float | None = 0.974,
    level: str = "critical",
) -> int:
    return incidents.add_transition(db, number, at, kind, level, value)


def states(data: Path) -> list[tuple[str, str]]:
    """(recipient, state) of every delivery, by mail."""
    with database.reader(str(data)) as db:
        rows = db.execute("SELECT recipient, state FROM delivery ORDER BY notification, recipient").fetchall()
    return [(str(row[0]), str(row[1])) for row in rows]


def ledger(data: Path) -> list[outbox.Entry]:
    with database.reader(str(data)) as db:
        return outbox.ledger(db)


def evidence_body(**changed: object) -> str:
    """Evidence as it is kept, of a backup that fills the disk."""
    process = {"pid": 4312, "user": "alice", "unit": "session-4.scope", "command": "rsync", "arguments": "",
               "cores": 0.98, "memory": 61_000_000, "read": 52e6, "written": 51e6}  # fmt: skip
    body: dict[str, object] = {
        "at": NOW - 20,
        "cpu": [process, {**process, "pid": 901, "user": "postgres", "command": "postgres", "cores": 0.31, "unit": "postgresql.service"}],
        "memory": [{**process, "pid": 2200, "user": "bob", "command": "java", "memory": 6_100_000_000, "unit": "tomcat10.service"}],
        "disk": [process],
        "users": [{"user": "alice", "processes": 12, "cores": 1.02, "memory": 410_000_000, "read": 52e6, "written": 51e6}],
        "processes": 212, "unread": 7,
        "logins": [{"user": "alice", "tty": "pts/0", "origin": "10.20.0.14", "since": NOW - 5400}],
        "pressure": [{"resource": "io", "kind": "some", "share": 0.42}],
        "grown": [{"path": "/home/alice", "bytes": 41_000_000_000, "at": NOW - 80_000},
                  {"path": "/var/log", "bytes": 2_100_000_000, "at": NOW - 80_000}],
        "grown_kind": "folders", "grown_since": NOW - 80_000, "grown_whole": True, "unreadable": 2,
        "events": [{"at": NOW - 900, "kind": "package", "subject": "upgrade linux-image-amd64 (+3)", "detail": ""},
                   {"at": NOW - 5400, "kind": "login", "subject": "alice", "detail": "pts/0 10.20.0.14"}],
    }  # fmt: skip
    return json.dumps({**body, **changed})


def spool_is_empty(data: Path) -> bool:
    return not os.listdir(data / "spool")
