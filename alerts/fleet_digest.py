"""The weekly digest of a fleet, beside the centre's own: machines, what opened and ended on them, the disks to look at, publications
that concern some of them, mails that did not leave. Owed with the other one (alerts/digest.py), to the same people.
"""

import sqlite3

from alerts import forecast, wording
from alerts.digest import MOST, WEEK, Digest, Ready
from alerts.findings import Table, cell
from alerts.mail import TEMPLATES, environment
from alerts.owed import owe_ready
from alerts.sheet import Paragraph, outlook_text
from alerts.words import N_, Words
from archive import read
from archive.fleet import concerned, members, week
from archive.fleet.week import DISK, Troubled
from archive.settings import Settings

NAMED, DISKS = 6, 5  # machines in one line, and in the table of disks
_CRITICAL, _WARNING, _WELL = N_("%(count)s in a critical state"), N_("%(count)s with a warning"), N_("%(count)s well")
_WORST = {2: N_("CRITICAL"), 1: N_("Warning")}


def wanted(db: sqlite3.Connection, start: int, end: int) -> bool:
    """Whether there is a fleet to tell of: machines in service, or that were until this week."""
    counts = members.counted(db, end)
    return any(counts[state] for state in counts if state != "away") or bool(week.retired(db, start, end))


def owe(db: sqlite3.Connection, settings: Settings, readers: dict[str, list[str]], now: int) -> None:
    """Within the caller's transaction: one mail a language, where there is a fleet."""
    if not wanted(db, now - WEEK, now):
        return
    for language, who in readers.items():
        ready = make(db, settings, Words(language, settings.timezone), now)
        owe_ready(db, 1, "digest", ready.subject, ready.text, ready.html, who, now)


def make(db: sqlite3.Connection, settings: Settings, words: Words, now: int) -> Ready:
    """The digest of the seven days before `now`, in the reader's language."""
    laid = lay_out(db, settings, words, now)
    text, html = (
        environment(words.language, words.timezone, TEMPLATES, html=kind == "html")
        .get_template(f"mail/digest.{kind}")
        .render(sheet=laid)
        for kind in ("txt", "html")
    )
    return Ready(laid.subject, text, html)


def lay_out(db: sqlite3.Connection, settings: Settings, words: Words, now: int) -> Digest:
    """What happened, as facts, tables and paragraphs."""
    start = now - WEEK
    centre = read.host(db, 1)
    counts = members.counted(db, now)
    total = sum(number for state, number in counts.items() if state != "away")
    troubled = week.troubled(db, start, now)
    unsent = week.unsent(db, start, now)
    silent = [one.name for one in members.listed(db, now, members.Asked(state="silent"), MOST * 100, 0)]
    publications = concerned.publications(db, most=MOST)
    concerning = [one for one in publications if one.affected]
    calm = not (troubled or silent or unsent or concerning)
    said = _said(words, troubled, len(silent), len(concerning))
    tables = [
        _incidents(words, troubled),
        _disks(db, words, now),
        _advisories(db, words, publications),
        _unsent(words, unsent, now),
    ]
    paragraphs = []
    if calm:
        told = words.gettext("No incident, no machine silent, no publication that concerns one, every mail left.")
        paragraphs.append(Paragraph(words.gettext("Nothing else"), told))
    name = cell(centre.name, 80)
    return Digest(
        words.language,
        wording.one_line(f"[{centre.name}] {wording.labelled(words.gettext('The week of the fleet'), said, words)}"),
        name,
        words.full(now),
        said[:1].upper() + said[1:],
        "over" if calm else "warning",
        tuple(
            (label, text)
            for label, text in (
                (words.gettext("Period"),
                 words.gettext("%(start)s to %(end)s", start=words.date(start), end=words.date(now))),
                (words.gettext("Machines"), _machines(words, counts, total)),
                (words.gettext("Silent"), _names(words, silent)),
                (words.gettext("Joined"), _names(words, week.joined(db, start, now))),
                (words.gettext("Left"), _names(words, week.retired(db, start, now))),
            )
            if text
        ),
        tuple(table for table in tables if table),
        tuple(paragraphs),
        f"{settings.url}/hosts",
        (words.gettext("Sent by Vigie on %(host)s. Nobody reads answers to this mail.", host=name),),
    )  # fmt: skip


def _said(words: Words, troubled: list[Troubled], silent: int, concerning: int) -> str:
    """The mail in half a line."""
    opened = sum(one.opened for one in troubled)
    parts = []
    if opened:
        parts.append(words.ngettext("%(num)s incident", "%(num)s incidents", opened))
    if going := sum(one.going for one in troubled):
        parts.append(words.ngettext("%(num)s still open", "%(num)s still open", going))
    if silent:
        parts.append(words.ngettext("%(num)s silent machine", "%(num)s silent machines", silent))
    if concerning:
        parts.append(words.ngettext("%(num)s publication to act on", "%(num)s publications to act on", concerning))
    return ", ".join(parts) or words.gettext("nothing to report")


def _machines(words: Words, counts: dict[str, int], total: int) -> str:
    parts = ((counts["critical"], _CRITICAL), (counts["warning"], _WARNING), (counts["ok"], _WELL))
    told = ", ".join(words.gettext(text, count=words.number(number)) for number, text in parts if number)
    return words.number(total) + (f" ({told})" if told else "")


def _names(words: Words, names: list[str]) -> str:
    """A few names, and how many more."""
    if not names:
        return ""
    shown = ", ".join(cell(name, 63) for name in names[:NAMED])
    more = len(names) - NAMED
    return shown if more <= 0 else f"{shown} {words.gettext('and %(count)s more', count=words.number(more))}"


def _incidents(words: Words, troubled: list[Troubled]) -> Table | None:
    rows = []
    for one in troubled[:MOST]:
        parts = [
            (one.opened, words.ngettext("%(num)s opened", "%(num)s opened", one.opened)),
            (one.ended, words.ngettext("%(num)s ended", "%(num)s ended", one.ended)),
            (one.going, words.ngettext("%(num)s still open", "%(num)s still open", one.going)),
        ]
        told = ", ".join(text for number, text in parts if number)
        rows.append((cell(one.name, 40), told, words.gettext(_WORST[one.worst]) if one.worst else ""))
    if not rows:
        return None
    more = len(troubled) - len(rows)
    note = words.ngettext("and on %(num)s more machine", "and on %(num)s more machines", more) if more else ""
    return Table(words.gettext("Incidents by machine"), tuple(rows), (False, False, True), note)


def _disks(db: sqlite3.Connection, words: Words, now: int) -> Table | None:
    """The fullest disk of each of the machines to look at, and when it will be full."""
    rows = []
    for one in week.disks(db, DISKS):
        alive = read.latest(db, one.host)
        lines = [line for line in read.series(db, one.host, DISK) if line.id in alive]
        if not lines:
            rows.append((cell(one.name, 40), words.percent(one.used), ""))
            continue
        fullest = max(lines, key=lambda line: alive[line.id].value)
        where = f"{cell(one.name, 40)} {cell(words.line_name(fullest), 40)}"
        when = outlook_text(forecast.of_line(db, one.host, fullest, now), words, now)
        rows.append((where, words.percent(alive[fullest.id].value), when))
    return Table(words.gettext("Fullest disks"), tuple(rows), (False, True, False)) if rows else None


def _advisories(db: sqlite3.Connection, words: Words, found: list[concerned.Publication]) -> Table | None:
    rows = []
    for one in found:
        parts = [
            (one.affected, words.ngettext("%(num)s concerned", "%(num)s concerned", one.affected)),
            (one.to_check, words.ngettext("%(num)s to check", "%(num)s to check", one.to_check)),
            (one.corrected, words.ngettext("%(num)s corrected", "%(num)s corrected", one.corrected)),
        ]
        told = ", ".join(text for number, text in parts if number)
        tags = week.tags_of(db, one.reference) if one.affected else {}
        by_tag = [f"{cell(tag, 30)}\u00a0{words.number(count)}" for tag, count in list(tags.items())[:NAMED] if tag]
        detail = f"{told} ({', '.join(by_tag)})" if by_tag else told
        rows.append((cell(one.reference, 24), cell(one.title, 90), detail))
    if not rows:
        return None
    note = words.gettext("Machines by publication; in brackets those concerned, by tag.")
    return Table(words.gettext("CERT-FR"), tuple(rows), (False, False, False), note)


def _unsent(words: Words, found: list[week.Unsent], now: int) -> Table | None:
    rows = []
    for one in found[:MOST]:
        mails = words.ngettext("%(num)s mail", "%(num)s mails", one.mails)
        since = words.gettext("since %(when)s", when=words.moment(one.oldest_at, now))
        rows.append((cell(one.name, 40), f"{mails}, {since}", cell(one.reply, 80)))
    return Table(words.gettext("Mails that did not leave"), tuple(rows), (False, False, False)) if rows else None
