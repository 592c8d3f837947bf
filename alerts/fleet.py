"""A machine of the fleet that says nothing any more cannot say so itself: the centre does. `python -m alerts.fleet`.

1. Machines that missed three cycles by their own rhythm and the centre's clock: an incident each, at its own host, and
   one mail for all that fell silent at once. A cable that is cut is one mail, not five hundred.
2. Machines that send again, or are not waited for any more: the incident ends, one mail.
3. Where the centre itself was away, it has heard nobody: for five minutes nobody is called silent.
4. What machines leave to the centre to tell becomes its mails (alerts/tellers.py), and the sender is started.

Incidents, mails owed and what is known stand in one transaction: each silence is told once.
"""

import sqlite3
import sys

from alerts import outbox as sending
from alerts import owed, tellers
from alerts.words import Words
from archive import clock, database, incidents, outbox, recipients, settings
from archive.fleet import members
from archive.fleet.members import Member
from archive.incidents import Incident
from archive.settings import Settings

CENTRE = 1  # the centre's own machine: its name stands in the mails' Message-IDs
AWAY, GRACE = 300, 300  # seconds
SEEN, UNTIL = "fleet_watched_at", "fleet_patient_until"
NAMED = 50  # machines in one mail's text
LEVEL = "critical"
SENDING = 20.0  # seconds: what has not left by then leaves after the next cycle


def watch(db: sqlite3.Connection, config: Settings, now: int) -> tuple[int, int]:
    """One look, within the caller's transaction. Returns (how many fell silent, how many are back)."""
    last, patient = _number(db, SEEN), _number(db, UNTIL)
    _set(db, SEEN, now)
    if last and not 0 <= now - last <= AWAY:
        patient = now + GRACE
        _set(db, UNTIL, patient)
    silent = members.fallen_silent(db, now) if now >= patient or patient > now + GRACE else []
    back = members.heard_again(db, now)
    begun = [transition for one in silent for transition in _begin(db, one, now)]
    ended = [transition for one in back for transition in _end(db, one, now)]
    if silent:
        _owe(db, config, silent, begun, now, over=False)
    told = [one for one in back if one.retired_at is None and one.revoked_at is None]
    if told:
        _owe(db, config, told, ended, now, over=True)
    return len(silent), len(back)


def _begin(db: sqlite3.Connection, one: Member, now: int) -> list[int]:
    since = one.fresh_at if one.fresh_at is not None else one.joined_at or now
    missed = (now - since) / one.every
    incident = incidents.insert(
        db,
        Incident(
            0, one.host, "silent", "", "{}", None, "open", LEVEL, since, since, now, None, None, "", now, missed, missed,
            now, 0, None, "{}", None, None, "", "",
        ),
    )  # fmt: skip
    members.note_silence(db, one.host, since)
    return [incidents.add_transition(db, incident.id, now, "opened", LEVEL, missed)]


def _end(db: sqlite3.Connection, one: Member, now: int) -> list[int]:
    members.note_silence(db, one.host, None)
    away = one.retired_at is not None or one.revoked_at is not None
    found = []
    for live in incidents.live(db, one.host):
        # A machine's own incidents have numbers of its own; this one is the centre's.
        if live.kind == "silent" and live.metric == "" and live.id < 1 << 32:
            incidents.update(
                db, live._replace(state="resolved", ended_at=now, last_at=now, end_reason="gone" if away else "cleared")
            )
            found.append(incidents.add_transition(db, live.id, now, "gone" if away else "resolved", LEVEL, None))
    return found


def _owe(
    db: sqlite3.Connection, config: Settings, machines: list[Member], transitions: list[int], now: int, *, over: bool
) -> None:
    """One mail a language, to everybody who is told of incidents."""
    people = recipients.in_force(db, config)
    told = outbox.transitions(db, transitions)
    for language, whos in (recipients.by_language(people, config.language) or {config.language: []}).items():
        subject, text = words_of(machines, Words(language, config.timezone), config.url, now, over=over)
        mail = owed.owe_ready(db, CENTRE, "fleet", subject, text, "", whos, now)
        outbox.tell(db, mail, told)


def words_of(machines: list[Member], words: Words, url: str, now: int, *, over: bool) -> tuple[str, str]:
    """(subject, text) of a mail about machines that fell silent, or are back."""
    first = machines[0]
    if over:
        subject = words.ngettext("%(name)s sends again", "%(num)s machines send again", len(machines), name=first.name)
        lead = words.gettext("Cycles come in again from:")
    else:
        subject = words.ngettext("%(name)s is silent", "%(num)s machines are silent", len(machines), name=first.name)
        lead = words.gettext("Three cycles or more are missing from:")
    lines = []
    for one in machines[:NAMED]:
        since = one.silent_at if over else one.fresh_at if one.fresh_at is not None else one.joined_at
        lines.append(
            words.gettext("%(name)s, silent since %(when)s", name=one.name, when=words.moment(since or now, now))
        )
    if len(machines) > NAMED:
        lines.append(words.gettext("and %(count)s more", count=len(machines) - NAMED))
    text = [lead, "", *(f"- {line}" for line in lines), ""]
    if not over:
        text += [
            words.gettext(
                "The machine may be off, cut from the network, or its cron may be stopped. It keeps what it measures and"
                " sends it when it can."
            ),
            "",
        ]
    return f"[Vigie] {subject}", "\n".join([*text, f"{url}/hosts", ""])


def _number(db: sqlite3.Connection, name: str) -> int:
    from archive import read

    said = read.setting(db, name)
    return int(said) if said.isascii() and said.isdigit() and len(said) < 12 else 0


def _set(db: sqlite3.Connection, name: str, value: int) -> None:
    from archive import purge

    purge.remember(db, name, str(value), "fleet", value)


def main() -> int:
    try:
        config, now = settings.load(), clock.now()
        with database.writer(config.data, 30.0) as db, database.transaction(db):
            watch(db, config, now)
        with database.writer(config.data, 30.0) as db, database.transaction(db):
            mails = tellers.tell(db, recipients.in_force(db, config), config.url, now)
        if mails:
            sending.run(config, now, budget=SENDING)
    except database.Busy:
        return 0
    except (settings.SettingsError, database.DatabaseError, sqlite3.Error, OSError) as error:
        print(f"vigie: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
