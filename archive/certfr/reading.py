"""Read the publications that are owed a reading: each by its JSON, else by its page, one at a time."""

import sqlite3

from archive.certfr import rows, schedule, store
from archive.certfr.document import Document, DocumentError, from_json, from_page
from archive.certfr.http import Answer, FetchError
from archive.certfr.round import Progress, Round, Stop


def publications(work: Round) -> None:
    """Read what is owed, one at a time, until the time is over."""
    work.failures = 0
    queue = work.write(lambda db: rows.owed(db, work.at()))
    work.owed = len(queue)
    for wanted in queue:
        work.tried += 1
        work.tell(Progress("publication", wanted.reference, work.read, work.owed))
        document, problems = _document(work, wanted)
        if document is None:
            _unread(work, wanted.reference, problems)
            continue
        change = work.write(lambda db: _put(work, db, document))  # noqa: B023
        work.failures = 0
        if change.kind != "same":
            work.changes[change.reference] = change.kind


def _put(work: Round, db: sqlite3.Connection, document: Document) -> store.Change:
    change = store.put(db, document, work.at(), base_url=work.client.base_url)
    work.read += 1
    schedule.progress(db, work.read, work.owed)
    return change


def _document(work: Round, wanted: rows.Owed) -> tuple[Document | None, list[Exception]]:
    """Its JSON, else its page; else the reasons why neither could be had."""
    path = f"/{wanted.kind}/{wanted.reference}/"
    problems: list[Exception] = []
    for address, read in ((f"{path}json/", _read_json), (path, _read_page)):
        try:
            return read(work.client.get(address), wanted.reference), problems
        except (FetchError, DocumentError) as error:
            problems.append(error)
            if isinstance(error, FetchError) and (error.kind in ("network", "spent") or error.retry_after is not None):
                break
    return None, problems


def _unread(work: Round, reference: str, problems: list[Exception]) -> None:
    last = problems[-1]
    if isinstance(last, FetchError) and last.kind == "spent":
        work.tried -= 1
        raise Stop
    gone = len(problems) == 2 and all(
        isinstance(problem, FetchError) and problem.status in (404, 410) for problem in problems
    )
    said = "; ".join(str(problem) for problem in problems)
    change = work.write(lambda db: store.fail(db, reference, work.at(), said, gone=gone))
    if change.kind == "withdrawn":
        work.changes[reference] = change.kind
    work.count(reference, last, said)


def _read_json(answer: Answer, reference: str) -> Document:
    return from_json(answer.body, reference)


def _read_page(answer: Answer, reference: str) -> Document:
    return from_page(answer.body, reference, answer.content_type)
