"""The daily look at how large each folder is, at idle priority, so that "what grew" has something to compare with.

`python -m alerts.baseline` (upkeep starts it about once a day). One file for each mount in `data/baseline/`.
"""

import contextlib
import hashlib
import json
import os
import sys

from alerts import growth
from alerts.growth import Baseline, Size
from archive import clock, database, read, rights
from archive.settings import Settings, SettingsError, load

FOLDER = "baseline"
LOCK = "baseline.lock"
SECONDS = 1200.0  # for one mount
EVERY = 22 * 3600  # younger than this it is not taken again
OLDEST = 9 * 86_400  # older than this it is not compared with


def path_of(data: str, mount: str) -> str:
    """Where the baseline of a mount is kept: a mount's name may hold anything, so the file has a hash for a name."""
    return os.path.join(data, FOLDER, hashlib.sha256(mount.encode()).hexdigest()[:16] + ".json")


def recall(data: str, mount: str, now: int) -> Baseline | None:
    """The baseline of this mount; None without one, with a damaged or with a very old one."""
    try:
        with open(path_of(data, mount), encoding="utf-8") as file:
            found = json.load(file)
        sizes = {str(key): Size(int(size[0]), int(size[1])) for key, size in found["sizes"].items()}
        known = Baseline(str(found["mount"]), int(found["at"]), bool(found["complete"]), sizes)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError):
        return None
    return known if known.mount == mount and 0 <= now - known.at <= OLDEST else None


def keep(data: str, known: Baseline) -> None:
    """Write it aside, then rename: a reader never sees half of it."""
    path = path_of(data, known.mount)
    folder = os.path.dirname(path)
    os.makedirs(folder, mode=rights.of_folder(folder), exist_ok=True)
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        json.dump(known._asdict(), file, ensure_ascii=True)
    os.rename(f"{path}.new", path)


def take(settings: Settings, now: int, seconds: float = SECONDS) -> list[str]:
    """Look at every mount that is watched and was not looked at today. Returns the mounts done."""
    done = []
    with database.reader(settings.data) as db:
        alive = read.latest(db, 1)
        mounts = [line.label("mount") for line in read.series(db, 1, "disk_used_ratio") if line.id in alive]
    for mount in mounts:
        known = recall(settings.data, mount, now)
        if known and now - known.at < EVERY:
            continue
        seen = growth.walk(mount, seconds, 2**62)
        keep(settings.data, Baseline(mount, now, seen.complete, seen.sizes))
        done.append(mount)
    return done


def be_quiet() -> None:
    """The lowest priority for the processor and for the disk."""
    with contextlib.suppress(OSError):
        os.nice(19)
    with contextlib.suppress(Exception):  # psutil raises its own kinds; without it, nice alone must do
        import psutil

        psutil.Process().ionice(psutil.IOPRIO_CLASS_IDLE)


def main() -> int:
    be_quiet()
    try:
        settings = load()
        rights.take(settings.data)
        with database.locked(settings.data, 0.0, LOCK):
            take(settings, clock.now())
    except database.Busy:
        return 0
    except (SettingsError, database.DatabaseError, OSError) as error:
        print(f"vigie: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
