"""Make or upgrade the database: run by run_all.sh when there is none, or when the schema is older than the code."""

import hashlib
import os
import stat
import sys

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from archive import backup, clock, database, rights, settings


def machine_hash(root: str) -> str:
    """A hash of the machine-id: tells a cloned machine from a renamed one without giving the id away."""
    for path in ("/etc/machine-id", "/var/lib/dbus/machine-id"):
        try:
            with open(root + path, encoding="ascii") as file:
                return hashlib.sha256(b"vigie" + file.read().strip().encode()).hexdigest()[:32]
        except (OSError, UnicodeDecodeError):
            continue
    return ""


def run(config: settings.Settings, now: int) -> None:
    """1. Close the data folder to others. 2. Back up before a migration. 3. Create or migrate."""
    os.makedirs(config.data, mode=0o700, exist_ok=True)
    mode = stat.S_IMODE(os.stat(config.data).st_mode)
    if mode & rights.OTHERS:
        os.chmod(config.data, mode & ~rights.OTHERS if mode & rights.GROUP == rights.GROUP else 0o700)
    rights.take(config.data)
    if os.path.exists(os.path.join(config.data, database.NAME)) and database.pending(config.data):
        backup.make(config.data, config.backup_dir, now)
    database.create(config.data, os.urandom(16).hex(), config.host_name, machine_hash(config.root), now)


def main() -> int:
    os.umask(0o077)
    try:
        run(settings.load(), clock.now())
    except (settings.SettingsError, database.DatabaseError, backup.BackupError, OSError) as error:
        print(f"vigie: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
