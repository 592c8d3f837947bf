"""What was running, as tables: a part of them in a mail, all of them on the incident's page. Pure; English msgids."""

from collections.abc import Iterable
from typing import NamedTuple

from alerts import event_words
from alerts.evidence import Evidence
from alerts.running import Process
from alerts.words import N_, Words
from archive.text import clean


class Table(NamedTuple):
    """`right`: the columns whose figures stand on the right. Cells are clean text, cut."""

    title: str
    rows: tuple[tuple[str, ...], ...]
    right: tuple[bool, ...]
    note: str = ""


_RESOURCES = {"cpu": N_("processor"), "memory": N_("memory"), "io": N_("disk")}
_EVENTS = {
    "boot": N_("started"), "login": N_("log-in"), "account": N_("account"), "package": N_("packages"),
    "backup": N_("backup"), "purge": N_("purge"), "restore": N_("restore"),
}  # fmt: skip


def cell(text: str, longest: int = 60) -> str:
    """One clean line, cut."""
    kept = " ".join("".join(c if c.isprintable() or c in "\u00a0\u202f" else " " for c in clean(text)).split(" "))
    return kept if len(kept) <= longest else f"{kept[: longest - 1]}…"


def evidence_tables(found: Evidence, words: Words, now: int, most: int) -> Iterable[tuple[str, Table]]:
    """(key, table) of everything that was seen: for the mail (a part of it) and for the incident's page (all)."""
    when = words.moment(found.at, now)

    def title(text: str) -> str:
        return words.gettext("%(what)s (%(when)s)", what=text, when=when)

    def percent(cores: float) -> str:
        return words.percent(cores)

    if found.grown_kind:
        yield "grown", _grown(found, words, now, most)
    if found.cpu:
        rows = [_process(one, percent(one.cores)) for one in found.cpu[:most]]
        note = words.gettext("One core wholly busy counts as %(full)s.", full=words.percent(1.0))
        yield "cpu", Table(title(words.gettext("Processor")), tuple(rows), _PROCESS, note)
    if found.memory:
        rows = [_process(one, words.size(one.memory)) for one in found.memory[:most]]
        yield "memory", Table(title(words.gettext("Memory")), tuple(rows), _PROCESS)
    if found.disk or found.unread:
        rows = [_process(one, _traffic(one, words)) for one in found.disk[:most]]
        note = (
            words.ngettext(
                "The traffic of %(num)s process may not be read.",
                "The traffic of %(num)s processes may not be read.",
                found.unread,
            )
            if found.unread
            else ""
        )
        if rows or note:
            yield "disk", Table(title(words.gettext("Disk traffic")), tuple(rows), _PROCESS, note)
    if found.users:
        users = [
            (
                cell(one.user, 32),
                percent(one.cores),
                words.size(one.memory),
                words.ngettext("%(num)s process", "%(num)s processes", one.processes),
            )
            for one in found.users[:most]
        ]
        yield "users", Table(title(words.gettext("Per user")), tuple(users), (False, True, True, True))
    if found.pressure:
        waits = [
            (words.gettext(_RESOURCES[one.resource]), percent(one.share))
            for one in found.pressure
            if one.kind == "some" and one.resource in _RESOURCES
        ]
        yield (
            "pressure",
            Table(words.gettext("Tasks that waited, in the last ten seconds"), tuple(waits), (False, True)),
        )
    if found.logins:
        yield "logins", _logins(found, words, now, most)
    if found.events:
        happened = [
            (
                words.moment(one.at, now),
                words.gettext(_EVENTS.get(one.kind, one.kind)),
                cell(event_words.said(one.kind, one.subject, one.detail, words), 70),
            )
            for one in found.events[:most]
        ]
        yield "events", Table(words.gettext("What happened before"), tuple(happened), (False, False, False))


_PROCESS = (True, False, False, False)


def _process(one: Process, value: str) -> tuple[str, ...]:
    return (
        value,
        cell(one.arguments or one.command, 60),
        cell(one.user, 32),
        cell(f"{one.unit} (pid {one.pid})".strip(), 48),
    )


def _traffic(one: Process, words: Words) -> str:
    return words.size((one.read or 0) + (one.written or 0), "/s")


def _grown(found: Evidence, words: Words, now: int, most: int) -> Table:
    since = words.moment(found.grown_since, now)
    notes = []
    if not found.grown_whole:
        notes.append(words.gettext("Ten seconds were not enough to see everything."))
    if found.unreadable:
        notes.append(
            words.ngettext("%(num)s folder may not be read.", "%(num)s folders may not be read.", found.unreadable)
        )
    if found.grown_kind == "folders":
        rows = [(f"+{words.size(one.bytes)}", cell(one.path, 80)) for one in found.grown[:most]]
        title = words.gettext("What grew since %(when)s", when=since)
        return Table(title, tuple(rows), (True, False), " ".join(notes))
    files = [(words.size(one.bytes), cell(one.path, 80), words.moment(one.at, now)) for one in found.grown[:most]]
    title = words.gettext("The largest files that changed since %(when)s", when=since)
    if not files:
        notes.insert(0, words.gettext("None was seen."))
    return Table(title, tuple(files), (True, False, False), " ".join(notes))


def _logins(found: Evidence, words: Words, now: int, most: int) -> Table:
    rows = [
        (
            cell(one.user, 32),
            cell(one.tty, 16),
            words.gettext("from %(where)s", where=cell(one.origin, 45)) if one.origin else "",
            words.gettext("since %(when)s", when=words.moment(one.since, now)),
        )
        for one in found.logins[:most]
    ]
    return Table(words.gettext("Logged in"), tuple(rows), (False, False, False, False))
