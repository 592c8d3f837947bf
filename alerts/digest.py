"""The weekly digest: what the week was, also when it was nothing. Because it always comes, silence is suspicious.

On by default when mail is set; owed on Monday at 07:00, the machine's time, once. A digest that was missed (the machine
was off) is owed by the first run after it, once, about the week that ended.
"""

import sqlite3
from datetime import datetime, time, timedelta
from typing import NamedTuple

from alerts import forecast, wording
from alerts.findings import Table, cell
from alerts.letter import Story
from alerts.mail import TEMPLATES, environment
from alerts.owed import owe_ready
from alerts.sheet import Paragraph, outlook_text
from alerts.words import N_, Words
from archive import events, incidents, outbox, read, recipients, thresholds, week
from archive.fleet import members
from archive.settings import Settings

WEEK, DAY = 7 * 86_400, 86_400
HOUR_OF_DAY = 7
SWITCH = "digest"  # the setting in the database: `off` for none
MOST = 10
_PEAKS = ("cpu_busy_seconds_total", "memory_used_ratio", "swap_used_ratio", "disk_used_ratio")


class Digest(NamedTuple):
    """A digest laid out: both parts are made from this."""

    language: str
    subject: str
    host: str
    when: str
    title: str
    tone: str  # over: a calm week; warning: something was
    facts: tuple[tuple[str, str], ...]
    tables: tuple[Table, ...]
    paragraphs: tuple[Paragraph, ...]
    link: str
    footer: tuple[str, ...]


class Ready(NamedTuple):
    subject: str
    text: str
    html: str


def monday(now: int, words: Words) -> int:
    """The first Monday 07:00 after `now`, by the machine's clock; UTC seconds."""
    local = words.local(now)
    day = local.date() + timedelta(days=(7 - local.weekday()) % 7)
    at = datetime.combine(day, time(HOUR_OF_DAY), tzinfo=words.zone)
    if at.timestamp() <= now:
        at = datetime.combine(day + timedelta(days=7), time(HOUR_OF_DAY), tzinfo=words.zone)
    return int(at.timestamp())


def due(db: sqlite3.Connection, settings: Settings, now: int) -> bool:
    """Whether a digest is owed now: the day has come, mail is set, and nobody has switched it off."""
    planned = week.next_at(db)
    wanted = read.setting(db, SWITCH) != "off" and bool(readers(db, settings))
    return wanted and planned is not None and planned <= now


def readers(db: sqlite3.Connection, settings: Settings) -> dict[str, list[str]]:
    """{language: addresses} of those who get the digest."""
    wanting = [one for one in recipients.in_force(db, settings) if one.digest]
    return recipients.by_language(wanting, settings.language)


def owe_if_due(db: sqlite3.Connection, settings: Settings, now: int, host: int = 1) -> bool:
    """Within the caller's transaction: plan the next one, and owe this one where it is due. True when it was owed."""
    words = Words(settings.language, settings.timezone)
    owed = due(db, settings, now)
    planned = week.next_at(db)
    if owed:
        owe(db, settings, now, host)
    # A time further away than a week was planned by a clock that ran ahead.
    if planned is None or planned <= now or planned > now + WEEK + DAY:
        week.set_next_at(db, monday(now, words), now)
    return owed


def owe(db: sqlite3.Connection, settings: Settings, now: int, host: int = 1) -> int:
    """Owe the digest to those who get it, one mail a language. Returns how many people that is."""
    found = readers(db, settings)
    for language, who in found.items():
        ready = make(db, settings, Words(language, settings.timezone), now, host)
        owe_ready(db, host, "digest", ready.subject, ready.text, ready.html, who, now)
    if members.any_joined(db):
        from alerts import fleet_digest  # a machine alone never reads it

        fleet_digest.owe(db, settings, found, now)
    return sum(map(len, found.values()))


def make(db: sqlite3.Connection, settings: Settings, words: Words, now: int, host: int = 1) -> Ready:
    """The digest of the seven days before `now`."""
    laid = lay_out(db, settings, words, now, host)
    text, html = (
        environment(words.language, words.timezone, TEMPLATES, html=kind == "html")
        .get_template(f"mail/digest.{kind}")
        .render(sheet=laid)
        for kind in ("txt", "html")
    )
    return Ready(laid.subject, text, html)


def lay_out(db: sqlite3.Connection, settings: Settings, words: Words, now: int, host: int = 1) -> Digest:
    """What happened, as facts, tables and paragraphs."""
    start = now - WEEK
    known = read.host(db, host)
    opened = [
        one for one in incidents.recent(db, host, 500) if one.opened_at is not None and start <= one.opened_at < now
    ]
    going = [one for one in incidents.live(db, host) if one.state in ("open", "eased")]
    name = cell(known.name, 80)
    count = words.ngettext("%(num)s incident", "%(num)s incidents", len(opened))
    said = count if opened else words.gettext("nothing to report")
    if going:
        said += ", " + words.ngettext("%(num)s still open", "%(num)s still open", len(going))
    tables = [
        _incidents(db, opened, going, words, now),
        _peaks(db, host, words, start, now),
        _users(db, host, settings, words, start, now),
        _forecasts(db, host, words, now),
        _advisories(db, host, words, start, now),
    ]
    paragraphs = []
    if not opened and not going:
        paragraphs.append(
            Paragraph(
                words.gettext("Nothing else"),
                words.gettext(
                    "This mail comes every Monday, also after a calm week: if it does not come, something is wrong."
                ),
            )
        )
    first, last = words.date(start), words.date(now)
    return Digest(
        words.language,
        wording.one_line(f"[{known.name}] {wording.labelled(words.gettext('The week'), said, words)}"),
        name,
        words.full(now),
        _capital(said),
        "warning" if opened or going else "over",
        tuple(
            (label, text)
            for label, text in (
                (words.gettext("Period"), words.gettext("%(start)s to %(end)s", start=first, end=last)),
                (words.gettext("Measured"), _measured(db, host, words, start, now)),
                (words.gettext("Running for"), _uptime(db, host, words, start, now)),
                (words.gettext("Backups"), _backups(db, host, words, start, now)),
                (words.gettext("Mails"), _mails(db, words, now)),
            )
            if text
        ),
        tuple(table for table in tables if table),
        tuple(paragraphs),
        settings.url,
        (words.gettext("Sent by Vigie on %(host)s. Nobody reads answers to this mail.", host=name),),
    )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _measured(db: sqlite3.Connection, host: int, words: Words, start: int, now: int) -> str:
    """How many of the cycles that should have been were."""
    since = max(start, read.host(db, host).first_at)
    times = read.cycles(db, host, since, now)
    wanted = max(1, (now - since) // read.rhythm(db, host))
    done = words.ngettext("%(num)s cycle", "%(num)s cycles", len(times))
    return f"{done} ({words.percent(min(1.0, len(times) / wanted))})"


def _uptime(db: sqlite3.Connection, host: int, words: Words, start: int, now: int) -> str:
    last = read.last_cycle(db, host)
    if last is None:
        return ""
    boots = sum(event.kind == "boot" for event in events.between(db, host, start, now, 5000))
    text = words.duration(last.uptime)
    if boots:
        text += ", " + words.ngettext("%(num)s restart", "%(num)s restarts", boots)
    return text


def _backups(db: sqlite3.Connection, host: int, words: Words, start: int, now: int) -> str:
    found = week.backups(db, host, start, now)
    if found.error:
        return words.gettext("the last one failed: %(why)s", why=cell(found.error, 140))
    if found.newest_at is None:
        return words.gettext("no backup yet")
    made = words.ngettext("%(num)s made and compared", "%(num)s made and compared", found.made)
    return words.gettext("%(made)s, the last %(when)s", made=made, when=words.ago(found.newest_at, now))


def _mails(db: sqlite3.Connection, words: Words, now: int) -> str:
    found = outbox.summary(db)
    if found.oldest_at is None:
        return words.gettext("all of them left")
    waiting = words.ngettext("%(num)s waits", "%(num)s wait", found.queued + found.held)
    return words.gettext("%(waiting)s, the oldest %(ago)s", waiting=waiting, ago=words.ago(found.oldest_at, now))


def _incidents(
    db: sqlite3.Connection, opened: list[incidents.Incident], going: list[incidents.Incident], words: Words, now: int
) -> Table | None:
    shown = {one.id: one for one in [*going, *opened]}
    rows = []
    for one in sorted(shown.values(), key=lambda one: -(one.opened_at or 0))[:MOST]:
        name = name_of(db, one, words)
        span = words.duration(max(0, (one.ended_at or now) - one.since_at))
        length = span if one.ended_at else words.gettext("still open, %(span)s", span=span)
        rows.append((words.moment(one.opened_at or one.since_at, now), name, words.gettext(_LEVELS[one.level]), length))
    if not rows:
        return None
    more = len(shown) - len(rows)
    note = words.ngettext(
        "and %(num)s more, on the page of incidents", "and %(num)s more, on the page of incidents", more
    )
    return Table(words.gettext("Incidents"), tuple(rows), (False, False, False, True), note if more else "")


_LEVELS = {"warning": N_("Warning"), "critical": N_("CRITICAL")}


def name_of(db: sqlite3.Connection, one: incidents.Incident, words: Words) -> str:
    """What an incident is about, in the words of its mails."""
    told = outbox.Told(
        0, one.since_at, "opened", one.level, one.last_value, "", one.id, one.kind, one.metric, one.labels, one.series,
        one.since_at, one.opened_at, one.ended_at, one.end_reason, one.peak, one.peak_at, one.flaps, one.threshold,
    )  # fmt: skip
    story = Story((told,), one, thresholds.from_json("") or None, read.metric(db, one.metric))
    if one.kind == "silent":
        return (
            words.gettext("the probe %(name)s was silent", name=one.metric)
            if one.metric
            else words.gettext("nothing was measured")
        )
    label = words.labels_name(one.labels, 40)
    name = cell(wording.name_of(story, words), 60)
    if (
        one.kind == "threshold" and name == label and story.metric
    ):  # a mount alone says enough in a subject, not in a table
        name = cell(f"{words.metric_name(story.metric)}, {label}", 60)
    return words.gettext("%(name)s will soon be full", name=name) if one.kind == "forecast" else name


def _peaks(db: sqlite3.Connection, host: int, words: Words, start: int, now: int) -> Table | None:
    rows = []
    for metric in _PEAKS:
        lines = read.series(db, host, metric)
        best = [
            (max(points, key=lambda point: point.greatest), line)
            for line in lines
            if (points := read.points(db, host, line, start, now, 3600))
        ]
        for point, line in sorted(best, key=lambda pair: -pair[0].greatest)[: 2 if metric == "disk_used_ratio" else 1]:
            name = " · ".join(part for part in (words.metric_name(line.metric), words.line_name(line, 40)) if part)
            rows.append((cell(name, 60), words.value(point.greatest, line.metric.unit), words.moment(point.at, now)))
    return Table(words.gettext("Peaks"), tuple(rows), (False, True, True)) if rows else None


def _users(db: sqlite3.Connection, host: int, settings: Settings, words: Words, start: int, now: int) -> Table | None:
    """Who used what: hours of one core, the most memory, the home's size."""
    if settings.users == "off":
        return None
    hours: dict[str, float] = {}
    memory: dict[str, float] = {}
    for line in read.series(db, host, "user_cpu_seconds_total"):
        points = read.points(db, host, line, start, now, 3600)
        hours[line.label("user")] = sum(point.mean for point in points)
    for line in read.series(db, host, "user_memory_bytes"):
        points = read.points(db, host, line, start, now, 3600)
        memory[line.label("user")] = max((point.greatest for point in points), default=0.0)
    newest = read.latest(db, host)
    homes = {
        line.label("user"): newest[line.id].value
        for line in read.series(db, host, "user_home_bytes")
        if line.id in newest
    }
    names = sorted(set(hours) | set(memory), key=lambda user: (-hours.get(user, 0.0), -memory.get(user, 0.0), user))
    rows = [
        (
            cell(user, 32),
            words.duration(hours[user] * 3600) if user in hours else "–",
            words.size(memory.get(user, 0.0)),
            words.size(homes[user]) if user in homes else "–",
        )
        for user in names[:5]
    ]
    if not rows:
        return None
    note = words.gettext("Time of one core, most memory at once, size of the home directory.")
    return Table(words.gettext("Who used what"), tuple(rows), (False, True, True, True), note)


def _forecasts(db: sqlite3.Connection, host: int, words: Words, now: int) -> Table | None:
    alive = read.latest(db, host)
    rows = []
    for line in read.series(db, host, "disk_used_ratio"):
        if line.id in alive:
            used = words.percent(alive[line.id].value)
            rows.append(
                (cell(words.line_name(line), 40), used, outlook_text(forecast.of_line(db, host, line, now), words, now))
            )
    return Table(words.gettext("Disks"), tuple(rows[:MOST]), (False, True, False)) if rows else None


_VERDICTS = {
    "affected": N_("concerns this machine"), "to_check": N_("to check"), "not_affected": N_("not concerned"), "": "",
}  # fmt: skip


def _advisories(db: sqlite3.Connection, host: int, words: Words, start: int, now: int) -> Table | None:
    found = week.advisories(db, host, start, now, MOST)
    total = week.advisory_count(db, start, now)
    if not total:
        return None
    shown = [one for one in found if one.verdict in ("affected", "to_check") or one.kind == "alerte"]
    rows = [
        (cell(one.reference, 24), cell(one.title, 90), words.gettext(_VERDICTS[one.verdict]) if one.verdict else "")
        for one in shown
    ]
    note = words.ngettext("%(num)s publication in all this week.", "%(num)s publications in all this week.", total)
    return Table(words.gettext("CERT-FR"), tuple(rows), (False, False, False), note)
