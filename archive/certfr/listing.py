"""Discovery: ask the site's lists what there is, by the first source that can be read, and keep what they name.

The JSON index; when it fails the feed; when that fails the list pages. Conditional where the site gives validators, and
a text that is the same as the last one is not parsed again.
"""

import hashlib
import sqlite3
from collections.abc import Callable, Iterable

from archive.certfr import catalogue, rows, schedule
from archive.certfr.http import INDEX_LIMIT, PAGE_LIMIT, Answer, FetchError
from archive.certfr.index import KINDS, Listing, ListingError, parse_html, parse_json, parse_rss
from archive.certfr.round import Problem, Progress, Round

LISTS = f"{KINDS[0]}/list"
LIST_EVERY = 85_000  # a day, less what an hourly rhythm would add to it
MAX_PAGES = 10  # list pages of ten that one round asks for


def list_kind(work: Round, kind: str) -> bool:
    """One kind's list, by the first source that can be read."""
    for name, path, limit, parse in (
        (f"{kind}/json", f"/{kind}/json/", INDEX_LIMIT, parse_json),
        (f"{kind}/feed", f"/{kind}/feed/", PAGE_LIMIT, parse_rss),
    ):
        if _source(work, kind, name, path, limit, parse):
            return True
    return list_pages(work, kind, fallback=True)


def _source(
    work: Round, kind: str, name: str, path: str, limit: int, parse: Callable[[bytes, str, str], Listing]
) -> bool:
    """Ask for one source, unless it has not changed; keep what it names. False when it could not be read."""
    work.tell(Progress("list", name, 0, 0))
    url = work.client.base_url + path
    before = work.write(lambda db: _validators(db, kind, name, url))
    try:
        answer = _conditional(work, path, limit, before)
        digest = hashlib.sha256(answer.body).hexdigest()
        if before is not None and (answer.status == 304 or digest == before.digest):
            work.write(lambda db: schedule.unchanged(db, name, work.at()))
            _listed(work, name, before.listed)
            return True
        listing = parse(answer.body, kind, work.client.base_url)
    except (FetchError, ListingError) as error:
        _failed(work, name, url, error)
        return False
    complete = name.endswith("/json")
    work.write(lambda db: _keep(work, db, kind, name, answer, digest, listing, complete=complete))
    _listed(work, name, len(listing.entries))
    return True


def _conditional(work: Round, path: str, limit: int, before: schedule.Source | None) -> Answer:
    """A 304 that was not asked for is some cache's mistake: asked again, and nobody's cache may answer."""
    etag, last_modified = (before.etag, before.last_modified) if before else ("", "")
    try:
        return work.client.get(path, limit=limit, etag=etag, last_modified=last_modified)
    except FetchError as error:
        if error.status != 304:
            raise
        return work.client.get(path, limit=limit, fresh=True)


def _keep(
    work: Round,
    db: sqlite3.Connection,
    kind: str,
    name: str,
    answer: Answer,
    digest: str,
    listing: Listing,
    *,
    complete: bool,
) -> None:
    """The entries and the validators, in one transaction."""
    taken = catalogue.take(
        db, kind, listing.entries, work.at(), complete=complete, backlog=_first(db, kind, name, work.now)
    )
    for reference in taken.closed:
        work.changes[reference] = "closed"
    for doubt in filter(None, (listing.doubt, taken.doubt)):
        work.errors.append(Problem(name, doubt))
    schedule.good(
        db,
        name,
        answer.url,
        work.at(),
        etag=answer.etag,
        last_modified=answer.last_modified,
        digest=digest,
        listed=len(listing.entries),
    )


def _first(db: sqlite3.Connection, kind: str, name: str, began: int) -> bool:
    """Whether what this list adds was there before us: no index was read in an earlier round, or never this very list.

    So is everything when no row is left: whoever lost them does not want a mail for each.
    """
    if not _kept(db, kind):
        return True
    index, itself = schedule.source(db, f"{kind}/json"), schedule.source(db, name)
    if index is None or index.first_ok_at is None or index.first_ok_at >= began:
        return True
    return name == LISTS and (itself is None or itself.first_ok_at is None)


def list_pages(work: Round, kind: str, *, fallback: bool) -> bool:
    """List pages, ten publications each: while all are in force, or (as a fallback) while one is not known yet."""
    name, read = f"{kind}/list", 0
    for number in range(1, MAX_PAGES + 1):
        path = f"/{kind}/" if number == 1 else f"/{kind}/page/{number}/"
        work.tell(Progress("list", name, read, 0))
        try:
            answer = work.client.get(path)
            listing = parse_html(answer.body, kind, work.client.base_url, answer.content_type)
        except (FetchError, ListingError) as error:
            _failed(work, name, work.client.base_url + path, error)
            break
        known = work.write(lambda db: _known(db, (entry.reference for entry in listing.entries)))  # noqa: B023
        work.write(lambda db: _keep(work, db, kind, name, answer, "", listing, complete=False))  # noqa: B023
        read += len(listing.entries)
        open_only = all(entry.status == "open" for entry in listing.entries)
        if not open_only and not (fallback and known < len(listing.entries)):
            break
    if read:
        _listed(work, name, read)
    return read > 0


def list_open(work: Round) -> None:
    """Once a day, the page that names every alert in force."""
    if f"{KINDS[0]}/list" in work.sources:
        return
    row = work.write(lambda db: schedule.source(db, LISTS))
    if row is None or row.ok_at is None or not row.ok_at <= work.at() < row.ok_at + LIST_EVERY:
        list_pages(work, KINDS[0], fallback=False)


def _listed(work: Round, name: str, count: int) -> None:
    work.sources.append(name)
    work.listed += count
    work.failures = 0


def _failed(work: Round, name: str, url: str, error: FetchError | ListingError) -> None:
    work.write(lambda db: schedule.bad(db, name, url, work.at(), str(error)))
    work.count(name, error, str(error))


def _validators(db: sqlite3.Connection, kind: str, name: str, url: str) -> schedule.Source | None:
    """What the source said last, if it was this address and what it named is still there; else it is asked anew."""
    row = schedule.source(db, name)
    return row if row is not None and row.ok_at is not None and row.url == url and _kept(db, kind) else None


def _kept(db: sqlite3.Connection, kind: str) -> bool:
    return db.execute("SELECT 1 FROM advisory WHERE kind = :kind LIMIT 1", {"kind": kind}).fetchone() is not None


def _known(db: sqlite3.Connection, references: Iterable[str]) -> int:
    return sum(rows.row(db, reference) is not None for reference in references)
