"""A machine sends to its centre: `python -m archive.fleet.send`, started by run_all.sh beside the cycle, never waited for.

1. Not joined, or too early after a failure: nothing.
2. Texts that the centre has not acknowledged, oldest first, as many as fit into a parcel, with rows that have changed;
   posted, acknowledged, the next ones, until none waits or the minute is over.
3. A failure: the next try after 1, 2, 4... minutes, at most 15, less a quarter at random, so that ten thousand machines
   do not come back at the same second. Nothing is lost: the texts are in the journal.
4. An answer says which transitions the centre tells, and by a tag what it sets for this machine: another one than this
   machine follows is asked for (archive/fleet/following.py). Where the centre is to mail and has not acknowledged for a
   quarter of an hour, this machine mails again.

TLS is verified always, by the system's certificates or by VIGIE_FLEET_CA_FILE; a redirect is not followed; an answer is
read to 64 KB (1 MB, of what it sets) and within 30 s.
"""

import http.client
import json
import os
import random
import socket
import sqlite3
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple
from urllib.parse import urlsplit

from archive import clock, database, pseudonyms, read, settings
from archive.fleet import following, handing, journal, parcel, policy, rows, state
from archive.fleet.journal import Waiting
from archive.settings import Settings

HOST = 1
SECONDS = 45.0  # of sending in one run
TIMEOUT = 30.0
TEXTS_BYTES = 4 << 20  # of texts in one parcel, before they are compressed
MOST_ROWS = 2_000
LONGEST = 900
ANSWER = 64 << 10
PATH, POLICY = "/fleet/v1/cycles", "/fleet/v1/policy"


class SendError(Exception):
    """Nothing was acknowledged: says why. `wait`: the centre's own wish, in seconds, or 0."""

    def __init__(self, words: str, wait: int = 0) -> None:
        super().__init__(words)
        self.wait = wait


class Answered(NamedTuple):
    status: int
    body: dict[str, object]
    retry_after: int
    raw: bytes = b""


class Settled(NamedTuple):
    """What came of a parcel."""

    texts: int  # from the first, settled
    wait: int  # seconds before the next; 0 for none
    tag: str  # of the policy that the centre has for this machine; '' from one that sets nothing


def run(config: Settings, now: int, *, at_once: bool = False, seconds: float = SECONDS) -> int:
    """Send what waits. Returns how many texts were acknowledged. Raises SendError, StateError, DatabaseError, OSError."""
    joined = state.joined(config.data)
    if joined is None:
        return 0
    fate = state.fate(config.data)
    _watch(config, fate.sent_at, now)
    if not at_once and now < fate.next_at <= now + LONGEST:
        return 0
    try:
        done = _send(config, joined, now, seconds)
    except SendError as error:
        wait = error.wait or back_off(fate.tries + 1, random.random())  # noqa: S311 spread, not a secret
        state.keep_fate(config.data, fate._replace(tries=fate.tries + 1, next_at=now + wait, problem=str(error)))
        raise
    state.keep_fate(config.data, state.Fate(0, 0, "", now))
    _watch(config, now, now)
    return done


def _watch(config: Settings, acknowledged_at: int | None, now: int) -> None:
    """Whoever is to mail must be there: this machine, while the centre is away."""
    with database.reader(config.data, settled=False) as db:
        away = following.watch(db, acknowledged_at, now)
    if away is not None:
        with database.writer(config.data) as db, database.transaction(db):
            following.set_away(db, now, away=away)


def back_off(tries: int, chance: float) -> int:
    """Seconds until the next try after so many failures; `chance` is 0 to 1."""
    return round(min(LONGEST, 60 << min(10, max(0, tries - 1))) * (1 - 0.25 * chance))


def _send(config: Settings, joined: state.Joined, now: int, seconds: float) -> int:
    until = time.monotonic() + seconds
    with database.reader(
        config.data, settled=False
    ) as db:  # the texts themselves are sent: they need not be rows for it
        covered = pseudonyms.kept(db) != "names"
        host = read.host(db, HOST)
    if covered:
        # With pseudonyms, names are taken out when a text is archived: it is not sent before.
        database.settle(config.data)
    total = 0
    found = journal.waiting(config.data, joined.since, spooled=not covered)
    post = Post(joined, config.fleet_ca_file)
    try:
        while True:
            texts = _some(found)
            with database.reader(config.data, settled=False) as db:
                tag = following.followed(db).tag
                changed, known = rows.collect(db, HOST, now, state.known_rows(config.data), MOST_ROWS, sets=bool(tag))
            if not texts and not changed:
                break
            left = journal.count(config.data, joined.since) - len(texts) if texts else 0
            head = parcel.Head(
                host.uid, config.host_name, host.machine, clock.now(), version(), max(0, left), changed, tag
            )
            done = _posted(config, post, parcel.Parcel(head, [one.raw for one in texts]), known, now)
            journal.acknowledged(config.data, texts[: done.texts])
            total += done.texts
            if done.tag and done.tag != tag:
                fetch(config, post, tag, now)
            if done.wait:
                raise SendError("the centre asks to wait: this machine has sent all that it may for now", done.wait)
            if not texts or time.monotonic() >= until:
                break
    finally:
        post.close()
    journal.tidy(config.data)
    return total


def _some(found: Iterator[Waiting]) -> list[Waiting]:
    """The next texts, as many as one parcel takes."""
    texts: list[Waiting] = []
    size = 0
    for one in found:
        texts.append(one)
        size += len(one.raw)
        if len(texts) >= parcel.MOST_TEXTS or size >= TEXTS_BYTES:
            break
    return texts


def fetch(config: Settings, post: "Post", tag: str, now: int) -> None:
    """Ask what the centre sets for this machine, and follow it. What cannot be followed is said once, in data/log/fleet.log
    and by `./vigie fleet status`; the machine goes on with what it has. Raises SendError."""
    answer = post(POLICY, known=tag)
    if answer.status == 304:
        return
    if answer.status != 200:
        raise SendError(f"the centre answered {answer.status} about its settings", answer.retry_after)
    try:
        found = policy.parse(answer.raw)
    except policy.PolicyError as error:
        _say(config, f"what the centre sets {error}")
        return
    with database.writer(config.data) as db, database.transaction(db):
        refused = following.follow(db, found, policy.tag(policy.text(found)), now)
    _say(config, f"what the centre sets is not followed here: {'; '.join(refused)}"[:2000] if refused else "")


def _say(config: Settings, problem: str) -> None:
    if problem == state.read(config.data, state.POLICY):
        return
    state.write(config.data, state.POLICY, problem)
    if problem:
        print(f"vigie: {problem}", file=sys.stderr)


def _posted(config: Settings, post: "Post", what: parcel.Parcel, known: rows.Known, now: int) -> Settled:
    """What the centre refused for good is said in data/log/fleet.log. What it tells is settled before its rows are known to be
    there: killed in between, they are offered again."""
    answer = post(PATH, parcel.pack(what))
    if answer.status not in (200, 429):
        raise SendError(
            f"the centre answered {answer.status}: {answer.body.get('error', '')}"[:300], answer.retry_after
        )
    taken = answer.body.get("taken", 0)
    if not isinstance(taken, int) or not 0 <= taken <= len(what.texts):
        raise SendError("the centre's answer makes no sense")
    told = answer.body.get("told", [])
    offered = {row[0] for row in what.head.rows.get("tell", [])}
    settled = [one for one in told if isinstance(one, int) and one in offered] if isinstance(told, list) else []
    if settled:
        with database.writer(config.data) as db, database.transaction(db):
            handing.settle(db, settled, now)
    if answer.status == 200:
        said = str(answer.body.get("rows", ""))
        unknown = answer.body.get("unknown", [])
        for reference in unknown if isinstance(unknown, list) else ():
            known.get("verdict", {}).pop(str(reference), None)  # sent again, once the centre has read of it
        if said:
            print(f"vigie: the centre: {said}", file=sys.stderr)
        else:
            state.keep_rows(config.data, known)
    refused = answer.body.get("refused", [])
    for one in refused if isinstance(refused, list) else ():
        print(f"vigie: the centre refused a cycle: {one}", file=sys.stderr)
    tag = answer.body.get("policy", "")
    tag = tag[:64] if isinstance(tag, str) else ""
    return Settled(taken, answer.retry_after if answer.status == 429 else 0, tag)


class Post:
    """One connection to the centre, kept for the parcels of a run."""

    def __init__(self, joined: state.Joined, ca_file: str) -> None:
        parts = urlsplit(joined.url)
        self.base, self.token = parts.path.rstrip("/"), joined.token
        self.where = joined.url
        host, port = parts.hostname or "", parts.port
        self.make: Callable[[], http.client.HTTPConnection]
        if parts.scheme == "https":
            try:
                context = ssl.create_default_context(cafile=ca_file or None)
            except (OSError, ssl.SSLError) as error:
                raise SendError(f"VIGIE_FLEET_CA_FILE={ca_file}: cannot be used: {error}") from error
            self.make = lambda: http.client.HTTPSConnection(host, port, timeout=TIMEOUT, context=context)
        else:
            self.make = lambda: http.client.HTTPConnection(host, port, timeout=TIMEOUT)
        self.connection: http.client.HTTPConnection | None = None

    def __call__(self, path: str, body: bytes | None = None, known: str = "") -> Answered:
        """POST a body; without one GET, unless it is `known` (a tag). Raises SendError when the centre could not be asked."""
        headers = {"Authorization": f"Bearer {self.token}", "User-Agent": "Vigie"}
        headers |= {"If-None-Match": f'"{known}"'} if body is None else {"Content-Type": "application/x-vigie-parcel"}
        most = policy.MOST_BYTES if path == POLICY else ANSWER
        deadline = time.monotonic() + TIMEOUT
        try:
            if self.connection is None:
                self.connection = self.make()
            self.connection.request("GET" if body is None else "POST", self.base + path, body, headers)
            answer = self.connection.getresponse()
            raw = b""
            while chunk := answer.read1(8192):
                raw += chunk
                if len(raw) > most or time.monotonic() > deadline:
                    raise SendError(f"{self.where}: answers without end")
            answer.close()  # read1 leaves it open at its end, and then the connection takes no further request
            retry = answer.headers.get("Retry-After", "")
        except ssl.SSLCertVerificationError as error:
            self.close()
            raise SendError(
                f"{self.where}: its certificate cannot be verified ({error.verify_message}); a CA of your own:"
                " VIGIE_FLEET_CA_FILE"
            ) from error
        except (OSError, http.client.HTTPException, socket.gaierror) as error:
            self.close()
            raise SendError(f"{self.where}: {error or type(error).__name__}") from error
        try:
            said = json.loads(raw)
        except (ValueError, RecursionError):
            said = {}
        wait = min(LONGEST, int(retry)) if retry.isascii() and retry.isdigit() and len(retry) < 6 else 0
        return Answered(answer.status, said if isinstance(said, dict) else {}, wait, raw)

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None


def version() -> str:
    """The first heading of CHANGELOG.md: one truth."""
    try:
        with open(os.path.join(settings.ROOT, "CHANGELOG.md"), encoding="utf-8") as file:
            return next((line.split()[1].lstrip("v") for line in file if line.startswith("## ")), "0")[:40]
    except OSError:
        return "0"


def main() -> int:
    """The problem is said once, not every minute: the log would fill while the cable is cut."""
    before = ""
    try:
        config, now = settings.load(), clock.now()
        before = state.fate(config.data).problem
        run(config, now, at_once="--now" in sys.argv[1:])
    except database.Busy:
        return 0
    except SendError as error:
        if str(error) != before:
            print(f"vigie: {error}", file=sys.stderr)
        return 1
    except (settings.SettingsError, state.StateError, database.DatabaseError, sqlite3.Error, OSError) as error:
        print(f"vigie: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
