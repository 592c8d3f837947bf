"""Debian's own security data, brought here: read from its tracker once a day where the administrator asked for it
(VIGIE_DEBIAN_TRACKER), or taken from a file.

The tracker's JSON is some 80 MB: it goes to a file as it comes, is read piece by piece, and only what concerns the
installed source packages in this machine's suite is kept, in `data/tracker.data`. The download is thrown away. What cannot
be read, or holds nothing of any installed package, changes nothing: what was known last stays, with its age.
"""

import hashlib
import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from archive import database
from archive.certfr import schedule

if TYPE_CHECKING:
    from archive.certfr.inventory import Inventory

OpenDb = Callable[[], AbstractContextManager[sqlite3.Connection]]
SETTING = "VIGIE_DEBIAN_TRACKER_URL"
SOURCE = "debian"  # its row in the table `reading`
KEPT = "tracker.data"
DAY = 85_000  # seconds: a day, less what an hourly rhythm would add to it
AGAIN = 4 * 3600  # after a failure; longer than any Retry-After that is believed
DEADLINE = 300.0  # seconds for the whole download
LIMITS = {"json": 150 << 20, "debsecan": 32 << 20}  # bytes, unpacked; the JSON had 79 MB in 2026


class Outcome(NamedTuple):
    """`reason`: why it was not asked; `error`: why nothing new was kept. `issues` in `packages` that are kept now."""

    asked: bool = False
    changed: bool = False
    reason: str = ""
    error: str = ""
    packages: int = 0
    issues: int = 0


def due(db: sqlite3.Connection, now: int) -> bool:
    """Whether the tracker may be asked: a day after it was last read, four hours after it failed. Standard library only."""
    row = schedule.source(db, SOURCE)
    if row is None or row.read_at is None:
        return True
    return not row.read_at <= now < row.read_at + (AGAIN if row.error else DAY)


def path_of(mode: str, suite: str) -> str:
    return "/tracker/data/json" if mode == "json" else f"/tracker/debsecan/release/1/{suite}"


def fetch(
    open_db: OpenDb,
    data: str,
    base_url: str,
    mode: str,
    inventory: "Inventory",
    now: int,
    *,
    force: bool = False,
    version: str = "0",
    contact: str = "monitor",
    ca_file: str = "",
    deadline: float = DEADLINE,
) -> Outcome:
    """Ask Debian's tracker now, if it is due (or `force`). Never raises for what the network does or sends."""
    from archive.certfr.http import Client, FetchError
    from archive.certfr.tracker import TrackerError

    if inventory.system != "debian" or not inventory.codename.isalpha():
        return Outcome(reason="this machine is not a Debian: the tracker says nothing of its packages")
    with open_db() as db, database.transaction(db):
        if not force and not due(db, now):
            return Outcome(reason="it was asked less than a day ago")
        before = schedule.source(db, SOURCE)
        # Taken before the network is: of two at once, the second finds it asked already.
        schedule.bad(db, SOURCE, base_url, now, "the reading that began then has not ended")
    path = path_of(mode, inventory.codename)
    wanted = signature(inventory)
    known = before if before and before.digest == wanted and before.url == base_url + path and kept(data) else None
    with download(data, now) as into:
        try:
            with Client(
                base_url,
                version=version,
                contact=contact,
                ca_file=ca_file,
                deadline=deadline,
                budget=deadline + 10,
                setting=SETTING,
            ) as client:
                answer = client.save(
                    path,
                    str(into),
                    limit=LIMITS[mode],
                    etag=known.etag if known else "",
                    last_modified=known.last_modified if known else "",
                )
            if answer.status == 304:
                with open_db() as db, database.transaction(db):
                    schedule.unchanged(db, SOURCE, now)
                return Outcome(asked=True)
            found = take(into, data, inventory, least=known.listed // 2 if known else 0)
        except (FetchError, TrackerError, OSError) as error:
            said = str(error).replace(str(into), base_url + path)
            with open_db() as db, database.transaction(db):
                schedule.bad(db, SOURCE, base_url + path, now, said)
            return Outcome(asked=True, error=said)
    with open_db() as db, database.transaction(db):
        schedule.good(
            db,
            SOURCE,
            base_url + path,
            now,
            etag=answer.etag,
            last_modified=answer.last_modified,
            digest=wanted,
            listed=found.issues,
        )
    return found._replace(asked=True)


def take(path: Path, data: str, inventory: "Inventory", *, least: int = 0) -> Outcome:
    """Keep from a file of Debian's what concerns this machine. `TrackerError` when it is not that, or names none of its
    packages, or fewer than `least` issues of them: nothing has changed then."""
    from archive.certfr import tracker

    found = tracker.read(path, inventory.codename, inventory.by_source.keys())
    issues = sum(len(each) for each in found.issues.values())
    if not issues:
        raise tracker.TrackerError(
            f"{path}: nothing in it concerns a package of this machine ({inventory.codename or inventory.title}); "
            "give the tracker's JSON, or debsecan's feed of this suite"
        )
    if issues < least:
        raise tracker.TrackerError(
            f"{path}: it names {issues} issues of this machine's packages, fewer than half of what was known: not believed"
        )
    tracker.write(found, kept_path(data))
    return Outcome(changed=True, packages=len(found.issues), issues=issues)


def signature(inventory: "Inventory") -> str:
    """What was kept depends on these: another suite, or one more source package, and the whole is to be read again."""
    return hashlib.sha256("\n".join((inventory.codename, *sorted(inventory.by_source))).encode()).hexdigest()


def kept_path(data: str) -> Path:
    return Path(data, KEPT)


def kept(data: str) -> bool:
    return kept_path(data).is_file()


@contextmanager
def download(data: str, now: int) -> Iterator[Path]:
    """A place for the download, beside what is kept, and gone afterwards; what a killed one left is swept first."""
    for left in Path(data).glob("tracker-*.part"):
        if left.stat().st_mtime < now - DAY:
            left.unlink(missing_ok=True)
    handle, name = tempfile.mkstemp(prefix="tracker-", suffix=".part", dir=data)
    os.close(handle)
    path = Path(name)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)
