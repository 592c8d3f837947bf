"""The opt-in mail to the person who fills the disk or holds the processor: courteous, in both languages, once a day at most.

1. Only where the administrator switched it on, names are kept (VIGIE_USERS=names), and an incident is open that nothing
   holds back.
2. Who it is: the line's own user; else, from what was running, the one who takes most of the processor or whose home
   grew most. Only accounts of real people; where it is nobody's doing, nobody is written to.
3. The mail tells what, since when, how to look, whom to write to. It names this person alone, and lists nothing but
   their own processes and files.

Owed by the step that takes evidence, beside the minute's path; it leaves through the same outbox and ledger.
"""

import json
import shlex
import sqlite3
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from alerts import evidence as seen
from alerts import wording
from alerts.evidence import Evidence
from alerts.findings import Table, cell
from alerts.growth import Growth
from alerts.mail import TEMPLATES, environment
from alerts.owed import owe_ready
from alerts.running import Process
from alerts.words import Words
from archive import database, incidents, persons, read, recipients
from archive import evidence as evidence_rows
from archive.incidents import Incident
from archive.persons import Account, Rule
from archive.settings import Settings

HALF = 0.5  # of what all take together: less than that is not one person's doing
LEAST_GROWTH = 100_000_000
LEAST_CORES = 0.5
MOST = 5
_OWN = {
    "user_cpu_seconds_total": "cpu", "user_memory_ratio": "memory", "user_memory_bytes": "memory",
    "user_home_bytes": "home",
}  # fmt: skip


class Burden(NamedTuple):
    """What one person takes. `value`: cores, a share of the memory (0 to 1) or bytes."""

    account: Account
    kind: str  # cpu, memory, home, disk
    value: float
    since: int
    mount: str = ""  # of a disk
    processes: tuple[Process, ...] = ()
    grown: tuple[Growth, ...] = ()


class Half(NamedTuple):
    """The mail in one language."""

    language: str
    title: str
    paragraphs: tuple[str, ...]
    table: Table | None
    how: str
    commands: tuple[str, ...]
    closing: str


class Sheet(NamedTuple):
    """What both parts are made of."""

    language: str
    subject: str
    host: str
    when: str
    halves: tuple[Half, ...]
    footer: tuple[str, ...]


def owe(settings: Settings, numbers: Iterable[int], now: int) -> list[str]:
    """Owe what these incidents give reason for. Returns who is written to."""
    if settings.users != "names":
        return []
    with database.reader(settings.data) as db:
        if not persons.rule(db).on:
            return []
    told = []
    with database.writer(settings.data, 30.0) as db, database.transaction(db):
        rule = persons.rule(db)
        for number in numbers:
            incident = incidents.get(db, number)
            if incident and (user := _owe(db, settings, rule, incident, now)):
                told.append(user)
    return told


def _owe(db: sqlite3.Connection, settings: Settings, rule: Rule, incident: Incident, now: int) -> str:
    if incident.state != "open" or incident.opened_at is None or incident.cause is not None:
        return ""
    if incident.id in incidents.waiting(db, [incident.id]):
        return ""  # planned work: told to nobody yet
    rows = evidence_rows.of_incident(db, incident.id, 1)
    found = burden(incident, seen.from_json(rows[0].body) if rows else Evidence(), persons.accounts(db, incident.host))
    if found is None or persons.told_lately(db, incident.host, found.account.user, now):
        return ""
    address = rule.address_of(found.account.user)
    if not address:
        return ""
    host = read.host(db, incident.host).name
    contact = rule.contact or next(
        (one.address for one in recipients.in_force(db, settings) if not one.address.startswith(recipients.APPRISE)), ""
    )
    subject, text, html = compose(found, host, contact, settings, now)
    owe_ready(db, incident.host, "person", subject, text, html, [address], now, reply_to=contact)
    persons.note_told(db, incident.host, found.account.user, incident.id, now)
    return found.account.user


def burden(incident: Incident, found: Evidence, accounts: Mapping[str, Account]) -> Burden | None:
    """Whose doing an incident is, and what they take; None where it is nobody's in particular. Pure."""
    if incident.kind not in ("threshold", "forecast"):
        return None
    labels = _labels(incident.labels)
    if incident.metric in _OWN:
        kind = _OWN[incident.metric]
        account = accounts.get(labels.get("user", ""))
        # A memory level in bytes is told in bytes; the text asks the unit of the value, so both are of kind memory.
        return _of(account, kind, incident, incident.last_value, found) if account else None
    if incident.metric == "cpu_busy_seconds_total":
        everyone = sum(total.cores for total in found.users)
        top = max(found.users, key=lambda total: total.cores, default=None)
        if top is None or top.user not in accounts or top.cores < max(LEAST_CORES, HALF * everyone):
            return None
        return _of(accounts[top.user], "cpu", incident, top.cores, found)
    if incident.metric == "disk_used_ratio" and labels.get("mount"):
        return _filler(incident, labels["mount"], found, accounts)
    return None


def _of(account: Account, kind: str, incident: Incident, value: float, found: Evidence) -> Burden:
    rows = found.memory if kind == "memory" else found.cpu if kind == "cpu" else ()
    mine = tuple(one for one in rows if one.user == account.user)[:MOST]
    grown = tuple(one for one in found.grown if _is_in(one.path, account.home))[:MOST] if kind == "home" else ()
    return Burden(account, kind, value, incident.since_at, processes=mine, grown=grown)


def _filler(incident: Incident, mount: str, found: Evidence, accounts: Mapping[str, Account]) -> Burden | None:
    mine: dict[str, list[Growth]] = {}
    for growth in found.grown:
        owner = next((one for one in accounts.values() if _is_in(growth.path, one.home)), None)
        if owner:
            mine.setdefault(owner.user, []).append(growth)
    everything = sum(growth.bytes for growth in found.grown)
    sums = {user: sum(growth.bytes for growth in those) for user, those in mine.items()}
    user = max(sums, key=lambda one: (sums[one], one), default="")
    if not user or sums[user] < max(LEAST_GROWTH, HALF * everything):
        return None
    return Burden(
        accounts[user],
        "disk",
        float(sums[user]),
        found.grown_since or incident.since_at,
        mount,
        grown=tuple(mine[user][:MOST]),
    )


def _is_in(path: str, home: str) -> bool:
    """Whether a path is a home or below it. `/` and `/home` are nobody's."""
    return home.count("/") >= 2 and (path == home or path.startswith(home.rstrip("/") + "/"))


def _labels(text: str) -> dict[str, str]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def compose(found: Burden, host: str, contact: str, settings: Settings, now: int) -> tuple[str, str, str]:
    """(subject, text part, HTML part): the setting's language first, then the other."""
    first = settings.language
    languages = (first, "en" if first == "fr" else "fr")
    halves = tuple(_half(found, host, contact, Words(one, settings.timezone), now) for one in languages)
    words = Words(first, settings.timezone)
    sheet = Sheet(
        first,
        wording.one_line(f"[{host}] {halves[0].title}"),
        cell(host, 80),
        words.full(now),
        halves,
        tuple(
            Words(one, settings.timezone).gettext(
                "Sent automatically by Vigie, to you alone and at most once a day; the administrators switched this on."
            )
            for one in languages
        ),
    )
    text, html = (
        environment(first, settings.timezone, TEMPLATES, html=kind == "html")
        .get_template(f"mail/person.{kind}")
        .render(sheet=sheet)
        for kind in ("txt", "html")
    )
    return sheet.subject, text, html


def _half(found: Burden, host: str, contact: str, words: Words, now: int) -> Half:
    _ = words.gettext
    user = cell(found.account.user, 64)
    since, span = words.moment(found.since, now), words.duration(max(0, now - found.since), rough=True)
    title, said = _said(found, words)
    paragraphs = (
        _("Hello %(user)s,", user=user),
        _("On %(host)s, a machine that you share with others, %(said)s (since %(since)s, %(span)s).",
          host=cell(host, 80), said=said, since=since, span=span),
        _("If this is meant, there is nothing to do. If it is not, or can wait, the others will thank you for a look."),
    )  # fmt: skip
    asked = (
        _("A question, or a special need? Write to %(contact)s.", contact=contact)
        if contact
        else _("A question, or a special need? Ask the administrators of this machine.")
    )
    return Half(words.language, title, paragraphs, _table(found, words), *_commands(found, words), asked)


def _said(found: Burden, words: Words) -> tuple[str, str]:
    """(the title, the same within a sentence)."""
    _ = words.gettext
    if found.kind == "cpu":
        value = words.percent(found.value, 0)
        return (
            _("Your programs take %(value)s of a core", value=value),
            _("your programs take %(value)s of a core", value=value),
        )
    if found.kind == "memory":
        value = words.percent(found.value, 0) if found.value <= 1 else words.size(found.value)
        return _("Your programs hold %(value)s of the memory", value=value), _(
            "your programs hold %(value)s of the memory", value=value
        )
    value = words.size(found.value)
    if found.kind == "home":
        return _("Your home directory takes %(value)s", value=value), _(
            "your home directory takes %(value)s", value=value
        )
    mount = cell(found.mount, 60)
    return _("Your files fill the disk %(mount)s", mount=mount), _(
        "the disk %(mount)s is nearly full, and your files grew by %(value)s", mount=mount, value=value
    )


def _table(found: Burden, words: Words) -> Table | None:
    rows: list[tuple[str, ...]] = []
    for one in found.processes:
        value = words.size(one.memory) if found.kind == "memory" else words.percent(one.cores)
        rows.append((cell(one.command, 40), f"pid {one.pid}", value))
    rows += [(cell(one.path, 60), words.size(one.bytes)) for one in found.grown]
    if not rows:
        return None
    title = words.gettext("What takes most of it") if found.processes else words.gettext("What grew most")
    right = (False, False, True) if found.processes else (False, True)
    return Table(title, tuple(rows), right)


def _commands(found: Burden, words: Words) -> tuple[str, tuple[str, ...]]:
    """(a sentence, the commands that show it). They read; the one that changes something is named as such."""
    user = shlex.quote(found.account.user)
    if found.kind == "cpu":
        how = words.gettext("To look; the last one lets a long computation give way to the others:")
        return how, (
            f"top -u {user}",
            f"ps -u {user} -o pid,etime,pcpu,comm --sort=-pcpu | head",
            f"renice -n 10 -u {user}",
        )
    if found.kind == "memory":
        return words.gettext("To look:"), (f"ps -u {user} -o pid,etime,rss,comm --sort=-rss | head",)
    home = shlex.quote(found.account.home) if found.account.home else "~"
    return words.gettext("To look:"), (f"du -xh --max-depth=2 {home} | sort -h | tail -n 20",)
