"""What a machine is, beside its packages: the distribution, the running kernel, and up to when it has decided by itself.

The machine keeps it when it reads its packages (archive/certfr/concern.py); it travels as one row; the centre decides
publications against it (deciding.py). `known_at`: the machine's last good reading of CERT-FR after which nothing was left to
decide. All times are UTC seconds.
"""

import json
import sqlite3
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:  # a machine sends every minute, and needs no more than its row
    from archive.certfr.inventory import Inventory

LONGEST = 200


class System(NamedTuple):
    """ID, ID_LIKE, VERSION_ID, VERSION_CODENAME and PRETTY_NAME of os-release; the running kernel's release."""

    system: str
    family: str
    version_id: str
    codename: str
    title: str
    running: str

    @property
    def os_release(self) -> dict[str, str]:
        return {
            "ID": self.system, "ID_LIKE": self.family, "VERSION_ID": self.version_id,
            "VERSION_CODENAME": self.codename, "PRETTY_NAME": self.title,
        }  # fmt: skip


def of(inventory: "Inventory") -> System:
    """What an inventory says of the machine itself."""
    return System(
        inventory.system, " ".join(inventory.like), inventory.version_id, inventory.codename, inventory.title,
        inventory.running,
    )  # fmt: skip


# --- the machine -----------------------------------------------------------------------------------------------------


def remember(db: sqlite3.Connection, host: int, system: System, now: int) -> None:
    """Within the caller's transaction."""
    _set(db, f"system.{host}", json.dumps(system, ensure_ascii=False), now)


def decided(db: sqlite3.Connection, host: int, now: int) -> None:
    """Nothing is left to decide. It counts up to the last good reading, and only once every publication that the site's lists
    named was read."""
    row = db.execute("SELECT ok_at FROM reading WHERE source = 'round'").fetchone()
    unread = db.execute(
        "SELECT 1 FROM advisory WHERE (read_at IS NULL OR again = 1) AND tries = 0 AND withdrawn_at IS NULL LIMIT 1"
    ).fetchone()
    if row and row[0] and not unread:
        _set(db, f"decided.{host}", str(row[0]), now)


def _set(db: sqlite3.Connection, name: str, value: str, now: int) -> None:
    db.execute(
        "INSERT INTO setting VALUES (?, ?, ?, 'certfr') ON CONFLICT (name)"
        " DO UPDATE SET value=excluded.value, updated_at=excluded.updated_at",
        (name, value, now),
    )


def row(db: sqlite3.Connection, host: int) -> list[object]:
    """As it travels: the six words and `known_at`; [] where the packages were never read."""
    said = dict(
        db.execute("SELECT name, value FROM setting WHERE name IN (?, ?)", (f"system.{host}", f"decided.{host}"))
    )
    try:
        found = json.loads(said.get(f"system.{host}", ""))
    except ValueError:
        return []
    until = said.get(f"decided.{host}", "0")
    return [*(str(part)[:LONGEST] for part in found), int(until) if until.isdigit() else 0]


# --- the centre ------------------------------------------------------------------------------------------------------


def keep(db: sqlite3.Connection, host: int, said: list[object], now: int) -> None:
    """A row as it came, checked already; words are cut. `changed_at` moves when the system is another one."""
    said = [part[:LONGEST] if isinstance(part, str) else part for part in said]
    before = db.execute(
        "SELECT system, family, version_id, codename, title, running FROM member_system WHERE host=?", (host,)
    ).fetchone()
    changed = before is None or tuple(before) != tuple(said[:6])
    db.execute(
        "INSERT INTO member_system VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (host) DO UPDATE SET"
        " system=excluded.system, family=excluded.family, version_id=excluded.version_id, codename=excluded.codename,"
        " title=excluded.title, running=excluded.running, known_at=excluded.known_at,"
        " changed_at=CASE WHEN ? = 1 THEN excluded.changed_at ELSE member_system.changed_at END",
        (host, *said, now, int(changed)),
    )


def touch(db: sqlite3.Connection, host: int, now: int) -> None:
    """Its packages have changed."""
    db.execute("UPDATE member_system SET changed_at=? WHERE host=?", (now, host))
