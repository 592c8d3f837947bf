"""`./vigie status`: the first screen in a terminal, in colour, plain when piped; exit status as monitoring plugins have it."""

import argparse
import json
import time

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from alerts.words import N_, Words
from archive import clock, database, outbox, read, settings
from web import people, sentences, state
from web.commands import _terminal

HELP = N_("the first screen in a terminal; exit status 0 ok, 1 warning, 2 critical, 3 unknown")
EXIT = {"ok": 0, "warning": 1, "critical": 2, "unknown": 3, "empty": 3}
# Shape and word carry the state; colour only repeats it.
SHAPES = {"ok": "✓", "warning": "▲", "critical": "⬣", "unknown": "?", "empty": "…"}
COLOURS = {"ok": "green", "warning": "yellow", "critical": "bold red", "unknown": "magenta", "empty": "magenta"}
CARDS = ("cpu_busy_seconds_total", "memory_used_ratio", "swap_used_ratio", "disk_used_ratio", "disk_inodes_used_ratio")
RECENT = 600  # seconds: figures of users older than this are of someone who is gone
WATCH = 5  # seconds between two looks


def run(argv: list[str]) -> int:
    words = _terminal.words()
    _ = words.gettext
    parser = argparse.ArgumentParser(prog="vigie status", description=_(HELP))
    parser.add_argument("--json", action="store_true", help=_("one JSON object, for scripts"))
    parser.add_argument("--watch", action="store_true", help=_("look again every few seconds, until Ctrl+C"))
    asked = parser.parse_args(argv)
    config = settings.load()
    if asked.json:
        found = _json(config)
        print(json.dumps(found, ensure_ascii=False))
        return EXIT[str(found["state"])]
    console = Console(highlight=False)
    if not asked.watch:
        status, screen = _screen(config, words, clock.now())
        console.print(screen)
        return status
    with console.screen() as alternate:
        while True:
            status, screen = _screen(config, words, clock.now())
            alternate.update(screen)
            time.sleep(WATCH)


def _screen(config: settings.Settings, words: Words, now: int) -> tuple[int, Group]:
    """(exit status, what to print)."""
    _ = words.gettext
    with database.reader(config.data) as db:
        found = state.now_of(db, 1, now)
        metrics = {metric.name: metric for metric in read.metrics(db)}
        latest = read.latest(db, 1)
        lines = [line for name in CARDS for line in read.series(db, 1, name)]
        users = people.active(people.users(db, 1, max(RECENT, 3 * found.rhythm)))
        mails = outbox.summary(db)
        name = read.host(db, 1).name
    blocks: list[Text | Table] = [_banner(found, name, words, now)]
    for incident in found.open:
        story = sentences.story(incident, metrics.get(incident.metric), words)
        line = Text("  ")
        line.append(f"{SHAPES[incident.level]} {story.badge_words}", style=COLOURS[incident.level])
        line.append(f"  {_terminal.shown(story.title)}", style="bold")
        blocks += [line, Text(f"    {sentences.span(incident, now, words)} · {story.figures}", style="dim")]
        blocks.append(Text(f"    → {story.advice}"))
    if found.word != "empty":
        blocks += [Text(""), _figures(lines, latest, words, fresh=found.fresh)]
        if users:
            blocks += [Text(""), _users(users, words)]
    if mails.oldest_at is not None:
        blocks.append(
            Text(_("A mail has waited since %(when)s: ./vigie mails", when=words.moment(mails.oldest_at, now)))
        )
    return EXIT[found.word], Group(*blocks)


def _banner(found: state.State, name: str, words: Words, now: int) -> Text:
    _ = words.gettext
    if found.word == "empty":
        sentence = _("Waiting for the first figures: ./run_all.sh")
    elif found.word == "unknown":
        sentence = _("State unknown: no figures for %(span)s", span=words.duration(now - (found.last_at or now)))
    elif found.word == "ok":
        sentence = _("All is well on %(host)s", host=name)
    else:
        sentence = words.ngettext(
            "%(num)s open incident on %(host)s", "%(num)s open incidents on %(host)s", len(found.open), host=name
        )
    line = Text(f"{SHAPES[found.word]} {_terminal.shown(sentence)}", style=COLOURS[found.word])
    if found.last_at is not None:
        line.append("   " + _("figures of %(clock)s", clock=words.clock(found.last_at)), style="dim")
    return line


def _figures(lines: list[read.Series], latest: dict[int, read.Sample], words: Words, *, fresh: bool) -> Table:
    """One line a figure, with a bar of 20 characters; old figures say so."""
    table = Table(box=None, show_header=False, padding=(0, 1))
    for line in lines:
        sample = latest.get(line.id)
        if sample is None:
            continue
        label = words.metric_name(line.metric)
        where = words.line_name(line)
        full = round(min(1.0, sample.value) * 20)
        mark = "" if fresh else words.gettext("old")
        table.add_row(
            _terminal.shown(f"{label} {where}".strip()),
            "█" * full + "░" * (20 - full),
            Text(words.value(sample.value, line.metric.unit), justify="right"),
            mark,
        )
    return table


def _users(users: list[people.User], words: Words) -> Table:
    _ = words.gettext
    table = Table(box=None, padding=(0, 1), header_style="dim")
    table.add_column(_("User"))
    for title in (_("CPU"), _("RAM"), _("Processes"), _("Disk")):
        table.add_column(title, justify="right")
    table.add_column(_("Logged in"))
    for user in users[:15]:
        table.add_row(
            _terminal.shown(user.name),
            "—" if user.cpu is None else words.percent(user.cpu),
            "—" if user.memory is None else words.value(user.memory, "bytes"),
            "—" if user.processes is None else words.number(user.processes),
            "—" if user.home is None else words.value(user.home, "bytes"),
            _("yes") if user.sessions else "",
        )
    return table


def _json(config: settings.Settings) -> dict[str, object]:
    """The same for scripts: times in UTC seconds, values in the metric's own unit."""
    now = clock.now()
    with database.reader(config.data) as db:
        found = state.now_of(db, 1, now)
        latest = read.latest(db, 1)
        lines = [line for name in CARDS for line in read.series(db, 1, name)]
        users = people.active(people.users(db, 1, max(RECENT, 3 * found.rhythm)))
        name = read.host(db, 1).name
    return {
        "host": name,
        "state": found.word,
        "since": found.since,
        "last_at": found.last_at,
        "rhythm": found.rhythm,
        "incidents": [
            {
                "id": one.id,
                "kind": one.kind,
                "metric": one.metric,
                "labels": json.loads(one.labels),
                "level": one.level,
                "since_at": one.since_at,
                "value": one.last_value,
                "peak": one.peak,
            }
            for one in found.open
        ],
        "figures": [
            {"metric": line.metric.name, "labels": json.loads(line.labels), "at": at.at, "value": at.value}
            for line in lines
            if (at := latest.get(line.id))
        ],
        "users": [
            {"user": one.name, "cpu": one.cpu, "memory": one.memory, "processes": one.processes, "home": one.home}
            for one in users
        ],
    }
