"""Sending what is owed. `python -m alerts.outbox` (alerts/run.sh) runs it after each cycle that owes something.

1. One sender at a time (`data/send.lock`), and a lease on each row besides: two at once never send the same mail.
2. Nothing due: leave. Else open one conversation with the mail server; no answer puts off what is due.
3. Until nothing is left: choose what leaves (alerts/parcels.py) and lease it, under the database's lock; make the mail
   and talk to the server, without it; write down what was said of each recipient, under it again.
4. A mail that cannot be made leaves plain; one that still cannot is held. The others go on.

Killed anywhere, a mail is sent once or twice with the same Message-ID, never zero times: a lease simply runs out.
"""

import random
import signal
import sqlite3
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from alerts import apprise_kind, digest, mail, parcels, sendmail, smtp
from alerts.outcome import ACCEPTED, LATER, REFUSED, Courier, LoginRefused, Outcome, Unreachable, one_line
from archive import clock, database, leaving, outbox, read, recipients, rights
from archive import evidence as evidence_rows
from archive.leaving import Waiting
from archive.outbox import Notification
from archive.settings import Settings, SettingsError, load

SEND_LOCK = "send.lock"
LEASE = 300  # seconds: longer than one mail can take
LOGIN_PAUSE = 900  # seconds between two tries of a log-in that is refused
BUDGET = 300.0  # seconds for one run; the rest waits for the next cycle
FRESH = 30  # seconds: an opening this young may wait for its evidence
PATIENCE = 14.0  # seconds: evidence of a disk takes ten
NO_SERVER = "no mail server is set (VIGIE_SMTP_HOST) and no sendmail is installed"
NEVER_TOLD = "its beginning was never accepted here"

Mine = Callable[[str], bool]


class Sent(NamedTuple):
    """What a run did, by deliveries."""

    accepted: int
    later: int
    refused: int
    reason: str  # why nothing could be sent, '' otherwise


class Taken(NamedTuple):
    """A mail that this run holds the lease of."""

    notification: Notification
    recipients: list[str]
    to: list[str]  # everybody it is addressed to, for its header


def sender(settings: Settings) -> str:
    """VIGIE_MAIL_FROM, or vigie@ this machine."""
    if settings.mail_from:
        return settings.mail_from
    name = "".join(c for c in settings.host_name.lower() if c.isascii() and (c.isalnum() or c in "-.")).strip("-.")
    return f"vigie@{name or 'localhost'}"


def run(
    settings: Settings,
    now: int,
    *,
    budget: float = BUDGET,
    patience: float = 0.0,
    spread: Callable[[], float] = random.random,
) -> Sent:
    """Send what is due. Returns at once where another sender is at work or nothing is due.

    `patience`: seconds that a fresh opening may wait for its evidence.
    """
    try:
        with database.locked(settings.data, 0.0, SEND_LOCK):
            return _Run(settings, now, budget, spread).all(patience)
    except database.Busy as busy:
        return Sent(0, 0, 0, str(busy))


def courier(settings: Settings) -> Courier:
    """The open way out for mail addresses. Raises Unreachable or LoginRefused."""
    if settings.smtp_host:
        return smtp.connect(settings)
    program = sendmail.find()
    if not program:
        raise Unreachable(NO_SERVER)
    return sendmail.Sendmail(program)


class _Run:
    """One run of the sender. `now` moves on with the time it takes."""

    def __init__(self, settings: Settings, now: int, budget: float, spread: Callable[[], float]) -> None:
        self.settings, self.start, self.budget, self.spread = settings, now, budget, spread
        self.began = time.monotonic()
        self.tried: set[tuple[int, str]] = set()
        self.accepted = self.later = self.refused = 0
        self.reason = ""

    @property
    def now(self) -> int:
        return self.start + int(self.elapsed)

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self.began

    def all(self, patience: float) -> Sent:
        with database.reader(self.settings.data) as db:
            if not outbox.due(db, self.now, parcels.LONGEST):
                return Sent(0, 0, 0, "")
        with database.writer(self.settings.data) as db, database.transaction(db):
            digest.owe_if_due(db, self.settings, self.now)
            leaving.nearer(db, self.now, parcels.LONGEST)
        wait_for_evidence(self.settings.data, self.now, patience)
        self.kind(lambda: courier(self.settings), lambda who: not who.startswith(recipients.APPRISE))
        urls = self.settings.notify_urls
        self.kind(lambda: apprise_kind.Apprise(urls), lambda who: who.startswith(recipients.APPRISE))
        return Sent(self.accepted, self.later, self.refused, self.reason)

    def kind(self, open_courier: Callable[[], Courier], mine: Mine) -> None:
        """Everything that is due for one kind of recipient."""
        talk: Courier | None = None
        try:
            while self.elapsed < self.budget:
                if talk is None or not talk.alive:
                    if talk:
                        talk.close()
                        talk = None
                    if not self.worth_opening(mine):
                        break
                    talk = open_courier()
                taken = self.take(mine)
                if taken is None:
                    break
                self.send(talk, taken)
        except LoginRefused as refused:
            self.reason = str(refused)
            self.hold(self.waiting(mine), self.now + LOGIN_PAUSE, self.reason)
        except Unreachable as problem:
            self.reason = str(problem)
            self.put_off(mine, self.reason)
        finally:
            if talk:
                talk.close()

    def waiting(self, mine: Mine) -> list[Waiting]:
        with database.reader(self.settings.data) as db:
            return [item for item in leaving.waiting(db) if mine(item.recipient)]

    def worth_opening(self, mine: Mine) -> bool:
        """Whether something would leave; and whether the log-in, if it was refused, may be tried again."""
        found = self.waiting(mine)
        blocked = max((item.next_at for item in found if item.state == "held"), default=0)
        if blocked > self.now:
            self.hold(
                [item for item in found if item.state == "queued"], blocked, "waits for the log-in to be put right"
            )
            return False
        with database.reader(self.settings.data) as db:
            plan = self.plan(db, found, reached=False)
        return bool(plan.parcels or plan.drops)

    def plan(self, db: sqlite3.Connection, waiting: Sequence[Waiting], *, reached: bool) -> parcels.Plan:
        return parcels.plan(
            waiting,
            leaving.sent_since(db, self.now - parcels.HOUR, self.now),
            outbox.heard(db, {incident for item in waiting for incident in item.ends}),
            self.now,
            reached=reached,
            tried=frozenset(self.tried),
        )

    def take(self, mine: Mine) -> Taken | None:
        """The next mail, leased, merged where several become one; None when nothing is left."""
        with database.writer(self.settings.data) as db, database.transaction(db):
            plan = self.plan(db, [item for item in leaving.waiting(db) if mine(item.recipient)], reached=True)
            for number, who in plan.drops:
                outbox.drop(db, number, [who], NEVER_TOLD, self.now)
            for parcel in plan.parcels:
                number = parcel.notifications[0]
                if len(parcel.notifications) > 1:
                    host = outbox.notification(db, number).host
                    ident = outbox.new_message_id(read.host(db, host).name, "summary", self.now)
                    number = leaving.merge(db, parcel.notifications, parcel.recipients, ident, self.now)
                leaving.free(db, number, parcel.recipients, self.now)
                got = leaving.lease(db, number, parcel.recipients, self.now, self.now + LEASE)
                self.tried.update((number, who) for who in parcel.recipients)
                if got:
                    return Taken(outbox.notification(db, number), got, leaving.addressed(db, number))
        return None

    def send(self, talk: Courier, taken: Taken) -> None:
        try:
            made = mail.make(self.settings, taken.notification, taken.to, sender(self.settings), self.now)
        except (OSError, sqlite3.OperationalError, database.DatabaseError) as error:
            # The disk, or the database, at this moment: not the mail's fault, so it is tried again.
            words = one_line(f"this mail cannot be made now: {type(error).__name__}: {error}")
            print(f"vigie: {words}", file=sys.stderr)
            self.write(taken, "", [Outcome(who, LATER, words) for who in taken.recipients], "")
            return
        except Exception as error:  # one poisoned mail is held; the queue goes on
            words = one_line(f"this mail cannot be made: {type(error).__name__}: {error}")
            self.write(taken, "", [Outcome(who, REFUSED, words) for who in taken.recipients], "")
            return
        outcomes = talk.send(sender(self.settings), taken.recipients, made.data)
        self.write(taken, talk.server, outcomes, made.subject)

    def write(self, taken: Taken, server: str, outcomes: Sequence[Outcome], subject: str) -> None:
        """What was said of each recipient. Refused for all is held in red; for one among others it is that one's."""
        number = taken.notification.id
        word = "held" if all(outcome.state == REFUSED for outcome in outcomes) else "refused"
        with database.writer(self.settings.data) as db, database.transaction(db):
            if subject:
                leaving.set_subject(db, number, subject)
            tries = {item.recipient: item.tries for item in leaving.waiting(db) if item.notification == number}
            for who, state, reply in outcomes:
                if state == ACCEPTED:
                    outbox.mark(db, number, who, "accepted", 0, self.now, server, reply)
                    self.accepted += 1
                elif state == REFUSED:
                    outbox.mark(db, number, who, word, outbox.HELD_FOR_GOOD, self.now, server, reply)
                    self.refused += 1
                else:
                    self.again(db, number, taken.notification.at, who, tries.get(who, 1), server, reply)

    def put_off(self, mine: Mine, words: str) -> None:
        """No conversation came about: everything due is tried again later."""
        with database.writer(self.settings.data) as db, database.transaction(db):
            for item in leaving.waiting(db):
                due = mine(item.recipient) and item.next_at <= self.now
                if due and leaving.lease(db, item.notification, [item.recipient], self.now, self.now + LEASE):
                    self.again(db, item.notification, item.at, item.recipient, item.tries + 1, "", words)

    def again(
        self, db: sqlite3.Connection, number: int, at: int, who: str, tries: int, server: str, reply: str
    ) -> None:
        self.later += 1
        if parcels.given_up(at, tries, self.now):
            words = f"given up after 5 days: {reply}"
            outbox.mark(db, number, who, "held", outbox.HELD_FOR_GOOD, self.now, server, words)
        else:
            next_at = self.now + parcels.pause(tries, self.spread())
            outbox.mark(db, number, who, "queued", next_at, None, server, reply)

    def hold(self, items: Iterable[Waiting], until: int, words: str) -> None:
        """Shown in red; tried again by itself at `until`."""
        with database.writer(self.settings.data) as db, database.transaction(db):
            for item in items:
                outbox.mark(db, item.notification, item.recipient, "held", until, self.now, "", words)
                self.later += 1


def wait_for_evidence(data: str, now: int, patience: float) -> None:
    """Let the evidence of a fresh opening arrive first: it belongs into the mail. Never longer than `patience`."""
    until = time.monotonic() + patience
    while time.monotonic() < until:
        with database.reader(data) as db:
            fresh = leaving.fresh_openings(db, now - FRESH)
            if all(evidence_rows.of_incident(db, incident, 1) for incident in fresh):
                return
        time.sleep(0.5)


def main() -> int:
    """The step: settings, one run, one line on standard error where nothing can be sent."""
    # Belt and braces: whatever hangs, this process ends, and its leases run out.
    signal.alarm(int(BUDGET) + 300)
    try:
        settings = load()
        rights.take(settings.data)
        sent = run(settings, clock.now(), patience=PATIENCE)
    except (SettingsError, database.DatabaseError) as error:
        print(f"vigie: {error}", file=sys.stderr)
        return 1
    if sent.reason and sent.later:
        print(f"vigie: mail: {sent.reason}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
