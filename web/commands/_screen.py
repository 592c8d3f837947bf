"""The first screen in lines of a terminal: state first, since when, what to do; then incidents, CERT-FR, figures, users.

Shape and word carry a state; colour only repeats it. All text of the machine's is shown as one harmless line. Wide
enough terminals get longer bars; what does not fit is cut at its end, never wrapped through a table.
"""

import re

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from alerts.words import DAY, Words
from web import sentences
from web.commands._terminal import shown
from web.glance import Figure, Glance, Trouble
from web.people import User

SHAPES = {"ok": "✓", "warning": "▲", "critical": "◆", "unknown": "?", "empty": "…"}
COLOURS = {"ok": "green", "warning": "yellow", "critical": "bold red", "unknown": "magenta", "empty": "magenta"}
USERS, CONCERNING = 8, 3
TALL = 36  # lines, from which the whole advice has room
BAR = 20


def drawn(found: Glance, words: Words, width: int, height: int = 0) -> Group:
    """`height`: lines that there are room for; 0 for no limit. The users give way first, then CERT-FR."""
    head: list[RenderableType] = [*_banner(found, words, width), *_action(found, words)]
    if found.state.word == "empty":
        return Group(*head)
    # One incident is told with all that helps; of several, each with its first step.
    whole = len(found.troubles) == 1 and not 0 < height < TALL
    troubles = [line for one in found.troubles for line in _trouble(one, found, words, whole=whole)]
    certfr = _certfr(found, words)
    figures = [_figures(found, words, width)]
    # Every line of these is one of the terminal's, but for the advice that is wrapped: counted as it falls.
    used = sum(_lines(part, width) for part in [*head, *troubles, *certfr]) + len(found.figures) + 3
    room = height - used - 3 if height else USERS
    parts: list[RenderableType] = [*head]
    for block in (troubles, figures, certfr):
        if block:
            parts += [Text(""), *block]
    if found.users and room > 0:
        parts += [Text(""), _users(found, words, width, min(USERS, max(1, room - 1)))]
    if found.mail_waits_since is not None:
        told = words.gettext(
            "A mail has waited since %(when)s: ./vigie mails", when=words.moment(found.mail_waits_since, found.now)
        )
        parts += [Text(""), Text(f"▲ {told}", style="yellow")]
    return Group(*parts)


def failed(text: str, words: Words) -> Group:
    """Nothing could be read."""
    head = Text(f"{SHAPES['unknown']} {words.gettext('Unknown')}", style=COLOURS["unknown"])
    return Group(head, Text(f"  {text}"))


def foot(text: str) -> Text:
    return Text(f"\n{text}", style="dim")


def _lines(part: RenderableType, width: int) -> int:
    if isinstance(part, Padding) and isinstance(part.renderable, Text):
        inside = max(10, width - part.left)
        return -(-part.renderable.cell_len // inside)
    return 1


def _banner(found: Glance, words: Words, width: int) -> list[RenderableType]:
    """The sentence, and at the right how old the figures are; below, since when."""
    _, told = words.gettext, found.state
    since = ""
    if told.word == "empty":
        sentence = _("Waiting for the first figures")
    elif told.word == "unknown" and told.last_at is not None:
        sentence = _("State unknown: no figures for %(span)s", span=words.duration(found.now - told.last_at))
        since = _("Nothing has come in since %(when)s; what stands below is from then.",
                  when=words.moment(told.last_at, found.now))  # fmt: skip
    elif told.word == "ok":
        sentence = _("All is well on %(host)s", host=found.host)
        since = _("for %(span)s, every threshold kept",
                  span=words.duration(found.now - (told.since or found.now), rough=True))  # fmt: skip
    else:
        number = len(told.open)
        sentence = words.ngettext(
            "%(num)s open incident on %(host)s", "%(num)s open incidents on %(host)s", number, host=found.host
        )
        since = sentences.span(found.troubles[0].story.incident, found.now, words)
        if len(sentence) + len(since) < width - 22:
            sentence, since = f"{sentence} · {since}", ""
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(ratio=1, overflow="ellipsis", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    taken = ""
    if told.last_at is not None:
        taken = _("figures of %(clock)s", clock=words.clock(told.last_at))
        if words.local(told.last_at).date() != words.local(found.now).date():
            taken = _("figures: %(when)s", when=words.moment(told.last_at, found.now))
    style = COLOURS[told.word]
    table.add_row(Text(f"{SHAPES[told.word]} {shown(sentence)}", style=style), Text(taken, style="dim"))
    return [table, *([_inset(Text(shown(since)), 2)] if since else [])]


def _action(found: Glance, words: Words) -> list[RenderableType]:
    """What to do when no figures come."""
    if found.state.fresh:
        return []
    text = words.gettext("Cron starts a cycle every minute. In Vigie’s folder, type:")
    return [_inset(Text(f"→ {text}"), 2), _inset(Text("./run_all.sh ; ./vigie doctor", style="bold"), 4)]


def _inset(text: Text, by: int) -> Padding:
    return Padding(text, (0, 0, 0, by))


def _trouble(one: Trouble, found: Glance, words: Words, *, whole: bool) -> list[RenderableType]:
    """Title; since when and how much; what it comes with and who; what to do."""
    _, story = words.gettext, one.story
    fresh = found.state.fresh
    # Old figures tell what was, not what is.
    word = story.badge if fresh else "unknown"
    told = story.badge_words if fresh else _("Unknown")
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(f"{SHAPES[word]} {told}", style=COLOURS[word])
    line.append(f"  {shown(story.title)}", style="bold")
    parts = [sentences.span(story.incident, found.now, words), shown(story.figures)]
    if story.incident.acknowledged_at:
        parts.append(_("acknowledged"))
    out: list[RenderableType] = [line, _inset(Text(" · ".join(part for part in parts if part), style="dim"), 4)]
    why = [
        shown(part)
        for part in (_("It comes with another incident:") + f" {one.cause}" if one.cause else "", one.who)
        if part
    ]
    if why:
        out.append(_inset(Text(" · ".join(why)), 4))
    if story.advice and not one.cause:
        advice = shown(story.advice)
        out.append(_inset(Text(f"→ {advice if whole else first_sentence(advice)}"), 4))
    return out


def first_sentence(text: str) -> str:
    """Up to the first full stop that ends one: « Regardez d’abord ce qui a grossi. »"""
    found = re.search(r"[.!?](?=\s+[^\W\d_])", text)
    return text[: found.end()] if found else text


def _certfr(found: Glance, words: Words) -> list[RenderableType]:
    """What concerns this machine, or that nothing does, and how old that knowledge is."""
    _ = words.gettext
    head = Text("CERT-FR  ", style="bold", no_wrap=True, overflow="ellipsis")
    read = found.certfr_read_at
    old = read is None or found.now - read > 2 * DAY
    told = _("never read") if read is None else f"{_('read')} {words.ago(read, found.now)}"
    if found.concerning:
        count = words.ngettext(
            "%(num)s publication concerns this machine", "%(num)s publications concern this machine", len(found.concerning)
        )  # fmt: skip
        head.append(f"{SHAPES['critical']} {count}", style="red")
    elif old:
        head.append(f"{SHAPES['unknown']} {_('Unknown')}", style=COLOURS["unknown"])
    else:
        head.append(f"{SHAPES['ok']} {_('Nothing that is known concerns this machine.')}", style="green")
    if found.to_check:
        head.append("  " + words.ngettext("%(num)s to check", "%(num)s to check", found.to_check))
    head.append(f"  ({told}" + (f", {_('the last reading failed')})" if found.certfr_failed else ")"), style="dim")
    out: list[RenderableType] = [head]
    for one in found.concerning[:CONCERNING]:
        line = Text(f"    {one.reference}  {shown(one.title)}", no_wrap=True, overflow="ellipsis")
        out.append(line)
    more = len(found.concerning) - CONCERNING
    if more > 0:
        out.append(Text("    " + words.ngettext("and %(num)s more", "and %(num)s more", more), style="dim"))
    return out


def _figures(found: Glance, words: Words, width: int) -> Table:
    """One line a figure: shape, name, bar, value, and of a disk the day it will be full."""
    bar = BAR if width < 100 else BAR * 2
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(no_wrap=True, overflow="ellipsis", max_width=max(18, width // 3))
    table.add_column(no_wrap=True, min_width=bar)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    for one in found.figures:
        full = round(min(1.0, max(0.0, one.sample.value)) * bar)
        style = COLOURS[one.state]
        name = Text.assemble((SHAPES[one.state], style), " ", shown(one.title))
        fill = Text.assemble(("━" * full, style), ("╌" * (bar - full), "dim"))
        table.add_row(
            name,
            fill,
            words.value(one.sample.value, one.line.metric.unit),
            Text(_outlook(one, found, words), style="dim"),
        )
    return table


def _outlook(one: Figure, found: Glance, words: Words) -> str:
    _ = words.gettext
    if one.state == "unknown":
        return _("as of %(when)s", when=words.moment(one.sample.at, found.now))
    if one.outlook is None:
        return ""
    at = one.outlook.full_at
    if at is not None:
        when = words.moment(at, found.now) if at < found.now + 2 * DAY else words.day(at, found.now)
        return _("full %(when)s (%(ago)s)", when=when, ago=words.ago(at, found.now))
    return {
        "little": _("too few figures to say when full"),
        "deletion": _("space was freed lately"),
        "shrinking": _("does not grow"),
    }.get(one.outlook.reason, _("not full within a year"))


def _users(found: Glance, words: Words, width: int, most: int) -> Table:
    """Who uses what now: the busiest first."""
    _ = words.gettext
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    table.add_column(_("User"), no_wrap=True, overflow="ellipsis", max_width=24)
    for title in (_("CPU"), _("RAM"), _("Processes"), _("Disk")):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column(_("Logged in"), no_wrap=True)
    for user in found.users[:most]:
        table.add_row(*_user(user, words))
    more = len(found.users) - most
    if more > 0:
        table.add_row(Text(words.ngettext("and %(num)s more", "and %(num)s more", more), style="dim"))
    return table


def _user(user: User, words: Words) -> tuple[str, ...]:
    def told(value: float | None, unit: str) -> str:
        return "–" if value is None else words.value(value, unit)

    return (
        shown(user.name),
        told(user.cpu, "ratio"),
        told(user.memory, "bytes"),
        "–" if user.processes is None else words.number(user.processes),
        told(user.home, "bytes"),
        words.gettext("yes") if user.sessions else "",
    )
