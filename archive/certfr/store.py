"""The tables `advisory` and `advisory_revision`: one row a reference for ever, and what changed in it.

Every function takes a connection and leaves the transaction to its caller. All times are UTC seconds.

1. a list names publications (catalogue.py): rows that are to be read, nothing more;
2. each is read (`put`): its text, its state; the text before is kept; the same text twice changes nothing;
3. what could not be read (`fail`) is tried again later, and what the site no longer has is closed, never deleted.

Telling: a row is owed a word while `revision > announced` (`rows.unannounced`). What was there before the first complete
reading is the backlog, and is marked as announced from the start.
"""

import hashlib
import json
import sqlite3
from typing import NamedTuple

from archive.certfr.dates import plausible_seconds
from archive.certfr.document import Document
from archive.certfr.index import url_of
from archive.certfr.publication import Publication, PublicationError, canonical, parse
from archive.certfr.rows import DAY, Row, row
from archive.certfr.safe import SITE
from archive.certfr.safe import title as one_line
from archive.certfr.schedule import ROUND, source

RETRY = 3600  # seconds before a publication that failed is asked again; an hour more each time, then a day
MAX_SUMMARY = 100_000


class Change(NamedTuple):
    """What a reading did: kind is new, revised, closed, reopened, withdrawn, older (a file older than the row) or same."""

    reference: str
    kind: str
    changed: tuple[str, ...] = ()


def announce(db: sqlite3.Connection, reference: str) -> None:
    """Its present revision has been told, or found not worth telling."""
    db.execute("UPDATE advisory SET announced = revision WHERE reference = :r", {"r": reference})


def put(db: sqlite3.Connection, document: Document, now: int, *, base_url: str = SITE, told: bool = False) -> Change:
    """Keep what was read. `told`: a new one is not to be announced (an import of an old collection)."""
    publication = document.publication
    reference = publication.reference
    known = row(db, reference)
    if known is None:
        insert(db, reference, publication.kind, now, url=url_of(base_url, reference))
        known = row(db, reference)
        if known is None:
            raise sqlite3.DatabaseError(f"advisory {reference} was not kept")
    if known.revision == 0:
        _write(
            db,
            known,
            document,
            now,
            revision=1,
            announced=int(told or _of_backlog(db, known, publication, now)),
        )
        return Change(reference, "new")
    last_at = plausible_seconds(publication.last_at, now)
    newer = last_at is not None and (known.last_at is None or last_at > known.last_at)
    if document.origin == "file" and _older(known, publication, last_at):
        return Change(reference, "older")
    if document.origin == "page" and known.origin != "page" and not newer and publication.closed_at is None:
        _seen(db, known, now)  # a page says less than the JSON did: what is known stays
        return Change(reference, "same")
    before, text = _canonical_of(known.body), canonical(publication)
    status = _status(publication, document.origin, known.status)
    # A page that the JSON follows is the same text from the better source, unless its day or its state has moved.
    moved = known.status not in (status, "unknown")
    better = known.origin == "page" and document.origin != "page" and not newer and not moved
    if text == before or better:
        _write(db, known, document, now, revision=known.revision, announced=known.announced)
        return Change(reference, _move(known.status, status, ()))
    changed = _changed(before, text)
    _keep_past(db, known, before, changed, now)
    _write(db, known, document, now, revision=known.revision + 1, announced=known.announced)
    return Change(reference, _move(known.status, status, changed), changed)


def fail(db: sqlite3.Connection, reference: str, now: int, problem: str, *, gone: bool) -> Change:
    """It could not be read: tried again later. `gone`: the site answers that it has no such publication.

    Closed as withdrawn only when the complete list does not name it either: one server's 404 proves nothing.
    """
    db.execute(
        """UPDATE advisory SET tries = tries + 1, problem = :problem,
             retry_at = :now + CASE WHEN tries > 4 THEN :day ELSE :retry * (tries + 1) END
           WHERE reference = :r""",
        {"problem": problem[:1000], "now": now, "day": DAY, "retry": RETRY, "r": reference},
    )
    known = row(db, reference)
    if not gone or known is None or known.unlisted_at is None or known.withdrawn_at is not None:
        return Change(reference, "same")
    db.execute(
        """UPDATE advisory SET withdrawn_at = :now, again = 0,
             closed_at = CASE WHEN kind = 'alerte' THEN COALESCE(closed_at, :now) END,
             status = CASE WHEN kind = 'alerte' THEN 'closed' ELSE status END
           WHERE reference = :r""",
        {"now": now, "r": reference},
    )
    return Change(reference, "withdrawn")


def insert(
    db: sqlite3.Connection,
    reference: str,
    kind: str,
    now: int,
    *,
    url: str,
    title: str = "",
    status: str = "unknown",
    closed_at: int | None = None,
    listed_at: int | None = None,
    backlog: bool = False,
) -> None:
    """A row for a publication that is not read yet."""
    db.execute(
        """INSERT INTO advisory (reference, kind, title, status, closed_at, url, summary, digest, revision, announced,
             backlog, seen_at, listed_at, again, tries, problem)
           VALUES (:reference, :kind, :title, :status, :closed_at, :url, '', '', 0, 0, :backlog, :now, :listed_at, 0, 0, '')
           ON CONFLICT (reference) DO NOTHING""",
        {
            "reference": reference,
            "kind": kind,
            "title": title,
            "status": status,
            "closed_at": closed_at,
            "url": url,
            "backlog": int(backlog),
            "now": now,
            "listed_at": listed_at,
        },
    )


def _move(before: str, after: str, changed: tuple[str, ...]) -> str:
    """The word for a change, from the state before and after and the fields that differ."""
    if after == "closed" and (before == "open" or "closed_at" in changed):
        return "closed"
    if after == "open" and before == "closed":
        return "reopened"
    return "revised" if changed else "same"


def _of_backlog(db: sqlite3.Connection, known: Row, publication: Publication, now: int) -> bool:
    """There before the first reading: listed then, and not first published on a later day."""
    if not known.backlog:
        return False
    began = source(db, ROUND)
    first_at = plausible_seconds(publication.first_at, now)
    return not (began and began.first_ok_at and first_at and first_at > began.first_ok_at)


def _status(publication: Publication, origin: str, known: str) -> str:
    """A page that does not tell its closing may be closed all the same: what is known stays."""
    if publication.kind != "alerte":
        return "unknown"
    if publication.closed_at is not None:
        return "closed"
    return known if origin == "page" else "open"


def _older(known: Row, publication: Publication, last_at: int | None) -> bool:
    if known.last_at is not None and (last_at is None or last_at < known.last_at):
        return True
    return known.status == "closed" and publication.closed_at is None and last_at == known.last_at


def _canonical_of(body: str | None) -> str:
    """The canonical text of what is kept, by today's parser: a new one must not make a revision of every row."""
    try:
        return canonical(parse(json.loads(body or "")))
    except (ValueError, RecursionError, PublicationError):
        return ""


def _changed(before: str, after: str) -> tuple[str, ...]:
    if not before:
        return ("text",)
    old, new = json.loads(before), json.loads(after)
    return tuple(sorted(name for name in new if old.get(name) != new[name]))


def _keep_past(db: sqlite3.Connection, known: Row, before: str, changed: tuple[str, ...], now: int) -> None:
    db.execute(
        """INSERT INTO advisory_revision (advisory, revision, replaced_at, title, status, last_at, closed_at, digest,
             canonical, changed)
           VALUES (:id, :revision, :now, :title, :status, :last_at, :closed_at, :digest, :canonical, :changed)""",
        {
            "id": known.id,
            "revision": known.revision,
            "now": now,
            "title": known.title,
            "status": known.status,
            "last_at": known.last_at,
            "closed_at": known.closed_at,
            "digest": known.digest,
            "canonical": before,
            "changed": json.dumps(changed),
        },
    )


def _write(db: sqlite3.Connection, known: Row, document: Document, now: int, *, revision: int, announced: int) -> None:
    publication = document.publication
    status = _status(publication, document.origin, known.status)
    closed_at = plausible_seconds(publication.closed_at, now)
    text = canonical(publication)
    db.execute(
        """UPDATE advisory SET title = :title, status = :status, first_at = :first_at, last_at = :last_at,
             closed_at = :closed_at, withdrawn_at = NULL, summary = :summary, body = :body, origin = :origin,
             digest = :digest, revision = :revision, announced = :announced, read_at = :now,
             read_listed_at = listed_at, again = 0, tries = 0, retry_at = NULL, problem = ''
           WHERE id = :id""",
        {
            "id": known.id,
            "title": one_line(publication.title),
            "status": status,
            "first_at": plausible_seconds(publication.first_at, now),
            "last_at": plausible_seconds(publication.last_at, now),
            "closed_at": closed_at if status == "closed" and closed_at is not None else _kept_end(known, status),
            "summary": publication.summary[:MAX_SUMMARY],
            "body": document.body,
            "origin": document.origin,
            "digest": hashlib.sha256(text.encode("utf-8", "replace")).hexdigest(),
            "revision": revision,
            "announced": announced,
            "now": now,
        },
    )


def _kept_end(known: Row, status: str) -> int | None:
    return known.closed_at if status == "closed" else None


def _seen(db: sqlite3.Connection, known: Row, now: int) -> None:
    db.execute(
        """UPDATE advisory SET read_at = :now, read_listed_at = listed_at, again = 0, tries = 0, retry_at = NULL,
             problem = '' WHERE id = :id""",
        {"now": now, "id": known.id},
    )
