"""What one cycle writes: incident rows, their transitions, and the mail owed for what is worth telling.

1. every move becomes its row and its transitions;
2. a beginning is told, unless a cause that is not over holds it back (alerts/causes.py) or planned work postpones it;
   an end is told when its beginning was;
3. what was held back or postponed is told once that is over, if it is still so; what lasts is told again
   (alerts/reminders.py).

All of it is one transaction, the mail owed included: a mail without its incident, or an incident without its mail,
cannot be.
"""

import sqlite3
from typing import NamedTuple

from alerts import causes, judge, reminders
from archive import database, incidents, silences
from archive.incidents import Incident
from archive.recipients import Recipient
from archive.silences import Silence

JUDGED = ("threshold", "silent", "forecast")  # the kinds of incidents that the minute's step looks after
QUIET = "quiet"  # the detail of an escalation that was told a short while ago already
EVIDENCE_KEPT = 600  # seconds: evidence of a brief breach stands for the next one of the same line within this time


class Context(NamedTuple):
    """What does not change between the cycles of one run."""

    db: sqlite3.Connection
    host: int
    recipients: tuple[Recipient, ...]
    url: str
    timezone: str
    now: int  # of the clock; a cycle's own time is its `at`


class Move(NamedTuple):
    """One incident's step. `incident.id` is 0 for a new row; `kinds` are its transitions, with `detail`."""

    incident: Incident
    kinds: tuple[str, ...]
    detail: str = ""
    evidence_from: int = 0  # the row of the brief breach that turned out to be an incident that came back


class Telling:
    """One cycle's moves on their way into the database. `standing` are the live incidents that had opened before."""

    def __init__(self, context: Context, at: int, moves: list[Move], standing: list[Incident]) -> None:
        self.context, self.db, self.host = context, context.db, context.host
        self.at, self.moves, self.standing = at, moves, standing
        self.waiting = incidents.waiting(self.db, [one.id for one in standing])
        self.evidence: list[int] = []  # incidents of which evidence should be taken
        self.tell: list[int] = []
        self._silences: list[Silence] | None = None

    def write(self) -> None:
        if not self.moves and not any(self._follows(one) for one in self.standing):
            return
        with database.transaction(self.db):
            done = [self._keep(move) for move in self.moves]
            everyone = incidents.live(self.db, self.host)
            for incident, move in sorted(done, key=lambda pair: pair[0].id):
                everyone = self._tell(incident, move, everyone)
            for incident in incidents.live(self.db, self.host):
                self._follow_up(incident)
            if self.tell:
                from alerts import tellers

                context = self.context
                tellers.owe(self.db, context.host, self.tell, context.recipients, context.url, context.now)

    def _keep(self, move: Move) -> tuple[Incident, Move]:
        incident = move.incident
        if incident.id == 0:
            incident = incidents.insert(self.db, incident)
        else:
            incidents.update(self.db, incident)
        if move.evidence_from:
            incidents.move_evidence(self.db, move.evidence_from, incident.id)
        begins = incident.state in ("pending", "open") and incident.since_at == self.at
        if begins and move.incident.id:
            incidents.drop_evidence(self.db, incident.id, self.at - EVIDENCE_KEPT)
        if incident.kind in ("threshold", "forecast") and (begins or _confirms(move)):
            self.evidence.append(incident.id)
        return incident, move

    def _tell(self, incident: Incident, move: Move, everyone: list[Incident]) -> list[Incident]:
        """The transitions of one move, told, held back or postponed. Returns the live incidents as they are now."""
        if _confirms(move):
            incident = incident._replace(cause=causes.cause_of(incident, everyone))
            if incident.cause is not None:
                incidents.update(self.db, incident)
                everyone = [incident if one.id == incident.id else one for one in everyone]
        for kind in move.kinds:
            detail = "" if kind == "escalated" else move.detail or ("eased" if kind == "returned" else "")
            before = incidents.transitions(self.db, incident.id)
            told = [(one.at, one.level) for one in before if _is_mail(one)]
            worth = judge.worth_telling(kind, detail, incident.level, self.at, told)
            ident = incidents.add_transition(
                self.db, incident.id, self.at, kind, incident.level, incident.last_value,
                QUIET if kind == "escalated" and not worth else detail,
            )  # fmt: skip
            if not worth:
                continue
            if kind in ("resolved", "gone"):
                self._tell_end(incident, ident, before)
            elif incident.cause is None and incident.id not in self.waiting and not self._postponed(incident):
                self.tell.append(ident)
        return everyone

    def _tell_end(self, incident: Incident, ident: int, before: list[incidents.Transition]) -> None:
        """An end is told when its beginning was: not while it was held back or postponed from the first."""
        postponed = self.waiting.get(incident.id)
        begun_at = max((one.at for one in before if _begins(one)), default=self.at)
        if postponed is not None:
            incidents.set_detail(self.db, postponed.id, "over")
            if begun_at >= postponed.at:
                return
        if incident.cause is None:
            self.tell.append(ident)

    def _postponed(self, incident: Incident) -> bool:
        """Within planned work: noted once, to be told at its end if it is still so."""
        if not self._in_window(incident):
            return False
        ident = incidents.add_transition(
            self.db, incident.id, self.at, "postponed", incident.level, incident.last_value, "waiting"
        )  # fmt: skip
        self.waiting[incident.id] = incidents.Transition(
            ident, incident.id, self.at, "postponed", incident.level, incident.last_value, "waiting"
        )  # fmt: skip
        return True

    def _follows(self, incident: Incident) -> bool:
        """Whether a standing incident needs a look although its line did not move: held back, postponed, or to remind of."""
        due = incident.opened_at is not None and reminders.due(
            incident.opened_at, incident.reminded_at, incident.acknowledged_at, self.at
        )  # fmt: skip
        return incident.cause is not None or incident.id in self.waiting or due

    def _follow_up(self, incident: Incident) -> None:
        """Release what was held back or postponed, and remind. Only of what is still beyond its level."""
        if incident.state != "open" or incident.kind not in JUDGED or not self._follows(incident):
            return
        if incident.cause is not None:
            incident = self._without_cause(incident)
            if incident.cause is not None:
                return
            if incident.id not in self.waiting and not self._postponed(incident):
                self._release(incident, 0)
            return
        postponed = self.waiting.get(incident.id)
        if postponed is not None:
            if not self._in_window(incident):
                incidents.set_detail(self.db, postponed.id, "told")
                self._release(incident, postponed.at)
            return
        self._remind(incident)

    def _without_cause(self, incident: Incident) -> Incident:
        """The incident with the cause that holds it back now; None when nothing does any more."""
        cause = incidents.get(self.db, incident.cause or 0)
        others = incidents.live(self.db, self.host)
        present = causes.cause_of(incident, others)
        if present is None and cause is not None and cause.state == "resolved" and cause.opened_at is not None:
            speaks_alone = incident.level == judge.CRITICAL and cause.kind == "forecast"
            if not speaks_alone and cause.ended_at is not None and self.at - cause.ended_at < causes.GRACE_SECONDS:
                return incident
        if present != incident.cause:
            incident = incident._replace(cause=present)
            incidents.update(self.db, incident)
        return incident

    def _release(self, incident: Incident, since: int) -> None:
        """Tell how it began, now. From here on reminders count."""
        before = incidents.transitions(self.db, incident.id)
        begun = max((one.at for one in before if _begins(one)), default=0)
        since = max(since, 0) if since else begun
        found = [one.id for one in before if one.at >= since and _is_mail(one)]
        self.tell += [ident for ident in found if ident not in self.tell]
        incidents.update(self.db, incident._replace(reminded_at=self.at))

    def _remind(self, incident: Incident) -> None:
        before = incidents.transitions(self.db, incident.id)
        told_at = max((one.at for one in before if _is_mail(one)), default=0)
        if reminders.too_soon(told_at, self.at) or self._in_window(incident):
            return
        incidents.update(self.db, incident._replace(reminded_at=self.at))
        self.tell.append(
            incidents.add_transition(self.db, incident.id, self.at, "reminded", incident.level, incident.last_value)
        )

    def _in_window(self, incident: Incident) -> bool:
        context = self.context
        if self._silences is None:
            self._silences = silences.silences(self.db, context.host, self.at)
        if not self._silences:
            return False
        from alerts import windows

        return windows.active(self._silences, incident.metric, incident.labels, self.at, context.timezone) is not None


def _confirms(move: Move) -> bool:
    return "opened" in move.kinds or ("returned" in move.kinds and move.detail == "resolved")


def _begins(one: incidents.Transition) -> bool:
    return one.kind == "opened" or (one.kind == "returned" and one.detail == "resolved")


def _is_mail(one: incidents.Transition) -> bool:
    """A beginning or a worsening that was told, or will be once nothing holds it back."""
    return _begins(one) or (one.kind == "escalated" and one.detail != QUIET)
