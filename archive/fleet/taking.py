"""The centre takes a parcel: texts become rows as they do on the machine itself, in one transaction, or nothing does.

1. Who: the token's machine; another that shows the same token is refused.
2. Each text, oldest first: whole, not from the future nor past keeping, within the machine's budget. One that is none of
   that is refused alone, counted and said on /hosts. A text that is here already changes nothing.
3. The rows that came with them, all or none, so that a machine that contradicts itself loses its rows, not its samples.
4. Which transitions it leaves to the centre to tell (archive/fleet/handing.py).
5. What the list of machines shows: when it was heard, its clock, its worst incident, the last hour of three figures.

Acknowledged means committed. Machines never wait for each other: each has its own lock (archive/postgresql.py).
"""

import sqlite3
from typing import NamedTuple

from archive import database, engine, partitions, purge, recipients, rollup, spool, text
from archive.fleet import handing, members, people, rows, wishes
from archive.fleet.members import Member
from archive.fleet.parcel import Parcel, ParcelError
from archive.loading import Known, Loaded, Loading
from archive.settings import Settings

DAY = 86_400
MOST_METRICS, MOST_SERIES = 1_000, 5_000  # of one machine
DRAWN = ("cpu_busy_seconds_total", "memory_used_ratio", "disk_used_ratio")
_metrics: dict[str, dict[str, Known]] = {}  # of each centre: the metrics that are committed
_stale: set[str] = set()


class Answer(NamedTuple):
    """`taken`: so many of the texts, from the first, are settled: archived, here already, or refused for good."""

    taken: int
    refused: list[tuple[int, str]]  # (place of the text, why)
    loaded: int  # cycles that were new
    samples: int
    rows: str  # '' when the rows were kept, else why not
    unknown: list[str]  # references of publications that the centre does not know yet
    wait: int  # seconds until it may send the rest; 0 when all is settled
    told: list[int]  # the machine's numbers of the transitions that the centre tells
    policy: str  # the tag of what the centre sets for it: asked for by the machine when it follows another


class Taking(Loading):
    """One cycle of another machine. Its metrics are shared with all others: the first words about one stay."""

    def people_of(self) -> None:
        return None  # a machine takes names out before it sends

    def recall(self) -> None:
        url = getattr(self.db, "url", "")
        if not url:
            super().recall()
            return
        kept = _metrics.get(url)
        if kept is None or url in _stale:
            self.metrics.clear()
            self.recall_metrics()
            _metrics[url] = dict(self.metrics)
            _stale.discard(url)
        else:
            self.metrics = dict(kept)
        self.recall_series()
        self.recall_counters()

    def metric(self, metric: text.Metric) -> Known:
        known = self.metrics.get(metric.name)
        if known is None:
            _stale.add(getattr(self.db, "url", ""))
            known = super().metric(metric)
        return known

    def check(self, metric: text.Metric) -> None:
        super().check(metric)
        if metric.name not in self.metrics and len({ident for ident, _ in self.series}) >= MOST_METRICS:
            raise text.TextError(f"{metric.name}: this machine has {MOST_METRICS} metrics already")

    def series_id(self, known: Known, labels: str) -> int | None:
        if (known.id, labels) not in self.series and len(self.series) >= MOST_SERIES:
            return None
        return super().series_id(known, labels)


def take(data: str, member: Member, parcel: Parcel, now: int, config: Settings | None = None) -> Answer:
    """`config`: the centre's, for whom it mails; without it no transition is taken over.

    Raises members.MemberError (another machine's token), ParcelError (rows), database.DatabaseError, sqlite3.Error.
    """
    rows.checked(parcel.head.rows)
    try:
        return _take(data, member.host, parcel, now, config)
    except database.DatabaseError as error:  # worded by the writer
        if not engine.url_of(data) or not isinstance(error.__cause__, sqlite3.IntegrityError):
            raise
        # A day's partition was dropped, or never committed, since this process last looked.
        partitions.forget()
        _metrics.clear()
        return _take(data, member.host, parcel, now, config)


def _take(data: str, host: int, parcel: Parcel, now: int, config: Settings | None) -> Answer:
    with database.writer(data, lock=host) as db, database.transaction(db):
        member = members.get(db, host)
        if member is None or member.revoked_at is not None or member.retired_at is not None:
            raise members.MemberError("This machine's token was revoked.")
        head = parcel.head
        members.join(db, member, head.uid, head.name, head.machine, head.version, now)
        return _Visit(db, member, now, head.now - now, config).whole(parcel)


class _Visit:
    """One parcel on its way in, within the transaction."""

    def __init__(self, db: sqlite3.Connection, member: Member, now: int, skew: int, config: Settings | None) -> None:
        self.db, self.member, self.now, self.skew, self.config = db, member, now, skew, config
        self.budget = members.budget(member, now)
        self.oldest = now - purge.retention_days(db) * DAY
        self.last: Loaded | None = None
        self.loaded = self.samples = 0
        self.refused: list[tuple[int, str]] = []
        self.boots = (member.boot, member.boot_before)
        self.doubt = ""
        self.every = member.every
        self.cycle_at = member.cycle_at
        self.drawn = members.figures(db, [member.host]).get(member.host, {})
        self.homes: dict[tuple[str, str], float] = {}  # a text in fifteen has them

    def whole(self, parcel: Parcel) -> Answer:
        taken = wait = 0
        for place, raw in enumerate(parcel.texts):
            if raw.count(b"\n") > max(self.budget, 1.0):
                wait = max(5, min(60, round(60 * raw.count(b"\n") / members.BUDGET_PER_MINUTE)))
                break
            self.text(place, raw)
            taken += 1
        sets = wishes.said(self.db, self.member)
        said, unknown, told = self.rows(parcel.head.rows, sets.mails)
        self.remember(parcel, len(parcel.texts) - taken)
        return Answer(taken, self.refused, self.loaded, self.samples, said, unknown, wait, told, sets.tag)

    def text(self, place: int, raw: bytes) -> None:
        self.budget -= raw.count(b"\n")
        try:
            cycle = spool.parse(raw)
        except spool.SpoolError as error:
            self.refused.append((place, str(error)[:200]))
            return
        if cycle.at > self.now + spool.FUTURE:
            self.refused.append((place, f"its time is {cycle.at - self.now} seconds ahead of the centre's clock"))
            return
        if cycle.at < self.oldest:
            self.refused.append((place, "it is older than what is kept"))
            return
        done = Taking(self.db, self.member.host, cycle, max(self.now, cycle.at)).run()
        if done is None:
            return
        rollup.mark_late(self.db, self.member.host, done.at, self.now)
        self.loaded += 1
        self.samples += done.samples
        self.met(done)

    def met(self, done: Loaded) -> None:
        """A new cycle: which boot, which rhythm, which figures."""
        boot, before = self.boots
        if done.boot != boot:
            if done.boot == before and boot:
                self.doubt = "two_boots"  # A, B, then A again: a machine does not return to an older boot
            self.boots = (done.boot, boot)
        if self.cycle_at is not None and done.at > self.cycle_at:
            gap = done.at - self.cycle_at
            if 20 <= gap <= 3600 and done.boot == boot:
                # Slowly towards longer, at once towards shorter: a missed cycle is no new rhythm.
                self.every = max(60, gap if gap < self.every else self.every + (gap - self.every) // 8)
        if self.cycle_at is None or done.at > self.cycle_at:
            self.cycle_at, self.last = done.at, done
            self.homes |= {line: value for line, value in done.values.items() if line[0] == people.HOME}
            for metric in DRAWN:
                found = [value for (name, _), value in done.values.items() if name == metric]
                line = self.drawn.setdefault(metric, [])
                line.append(round(max(found), 4) if found else None)
                del line[: -members.POINTS]

    def rows(self, found: rows.Rows, mails: str) -> tuple[str, list[str], list[int]]:
        if not found:
            return "", [], []
        self.db.execute("SAVEPOINT rows")
        try:
            unknown = rows.apply(self.db, self.member.host, found, self.now)
            told = self.told(found.get("tell", []), mails)
        except (sqlite3.IntegrityError, ParcelError) as error:
            self.db.execute("ROLLBACK TO rows")
            return f"the rows were not kept: {error}"[:300], [], []
        self.db.execute("RELEASE rows")
        return "", unknown, told

    def told(self, offers: list[list[object]], mails: str) -> list[int]:
        """What is offered is taken over by a centre that has somebody to tell it to; else the machine tells it."""
        if not offers or self.config is None or not recipients.in_force(self.db, self.config):
            return []
        return handing.take(self.db, self.member.host, offers, mails, self.now)

    def remember(self, parcel: Parcel, left: int) -> None:
        member, head = self.member, parcel.head
        worst, opened = member.worst, member.opened
        if "incident" in head.rows:
            found = self.db.execute(
                "SELECT level, count(*) FROM incident WHERE host=? AND state <> 'resolved' AND opened_at IS NOT NULL"
                " AND NOT (kind = 'silent' AND metric = '') GROUP BY level",
                (member.host,),
            ).fetchall()
            opened = sum(count for _, count in found)
            worst = max((2 if level == "critical" else 1 for level, _ in found), default=0)
        self.db.execute(
            "UPDATE member SET version=?, seen_at=?, fresh_at=?, cycle_at=?, every=?, boot=?, boot_before=?, skew=?,"
            " waiting=?, refused=?, refusal=?, doubt=?, doubt_at=?, budget=?, budget_at=?, worst=?, opened=?,"
            " policy=? WHERE host=?",
            (
                head.version, self.now, self.now if self.loaded else member.fresh_at, self.cycle_at, self.every,
                *self.boots, self.skew, head.waiting + left, member.refused + len(self.refused),
                self.refused[-1][1] if self.refused else member.refusal, self.doubt or member.doubt,
                self.now if self.doubt else member.doubt_at, self.budget, self.now, worst, opened, head.policy,
                member.host,
            ),
        )  # fmt: skip
        if self.last is not None:
            members.keep_figures(self.db, member.host, self.drawn)
            if self.homes or people.due(self.db, member.host, self.now):
                values = {**self.last.values, **self.homes}
                people.keep(self.db, member.host, self.last.at, values, self.last.facts, self.now)
        if (head.name, head.machine) != self.db.execute(
            "SELECT name, machine FROM host WHERE id=?", (member.host,)
        ).fetchone():
            self.renamed(head.name, head.machine)

    def renamed(self, name: str, machine: str) -> None:
        """The machine calls itself otherwise, or has another machine-id: kept, and said among its events."""
        from archive import events

        before = self.db.execute("SELECT name FROM host WHERE id=?", (self.member.host,)).fetchone()[0]
        self.db.execute("UPDATE host SET name=?, machine=? WHERE id=?", (name, machine, self.member.host))
        events.add(self.db, self.member.host, self.now, "renamed", name, before)
