"""A mail laid out, before it is text or HTML: both parts are made from this, so that they say the same. Pure."""

from collections.abc import Iterable
from typing import NamedTuple

from alerts import chart_data, reasons, wording
from alerts.advice import advice
from alerts.findings import Table, cell, evidence_tables
from alerts.forecast import Forecast
from alerts.letter import Letter, Story
from alerts.spark import spark
from alerts.words import N_, Words

ROWS = 5


class Paragraph(NamedTuple):
    heading: str
    text: str


class Spark(NamedTuple):
    left: str  # the time at its left end
    blocks: str
    right: str
    scale: str  # « de 41 % à 97 % »


class Piece(NamedTuple):
    """One incident of the mail."""

    tone: str  # critical, warning, over
    badge: str
    title: str
    facts: tuple[tuple[str, str], ...]
    spark: Spark | None
    picture: bool  # whether a graph may be drawn
    paragraphs: tuple[Paragraph, ...]
    tables: tuple[Table, ...]
    link: str


class Sheet(NamedTuple):
    language: str
    subject: str
    host: str
    when: str
    intro: str
    pieces: tuple[Piece, ...]
    brief: tuple[str, ...]
    more: str
    footer: tuple[str, ...]


def lay_out(letter: Letter, words: Words, now: int) -> Sheet:
    """The whole mail."""
    many = len(letter.stories) > 1
    intro = ""
    if letter.kind == "summary" and many:
        oldest = min(story.first.at for story in letter.stories)
        intro = words.gettext(
            "Told together, because mails could not leave one by one: what happened since %(since)s, oldest first.",
            since=words.moment(oldest, now),
        )
    elif now - letter.at > 900:
        intro = words.gettext("This mail was due %(ago)s and could not leave earlier.", ago=words.ago(letter.at, now))
    more = ""
    if letter.uncounted:
        more = words.ngettext(
            "and %(num)s more, on the page of incidents", "and %(num)s more, on the page of incidents", letter.uncounted
        )
    return Sheet(
        words.language,
        wording.subject(letter, words),
        cell(letter.host, 80),
        words.full(now),
        intro,
        tuple(_piece(story, letter.url, words, now) for story in letter.stories),
        tuple(_line(story, words, now) for story in letter.brief),
        more,
        _footer(letter, words),
    )


def _line(story: Story, words: Words, now: int) -> str:
    head = wording.headline(story, words)
    return cell(f"{words.moment(story.last.at, now)} {wording.labelled(head.badge, head.title, words)}", 160)


def _footer(letter: Letter, words: Words) -> tuple[str, ...]:
    return (
        words.gettext(
            "Sent by Vigie on %(host)s. Nobody reads answers to this mail.", host=cell(letter.sender or letter.host, 80)
        ),
        words.gettext("Thresholds and recipients are set there: %(url)s", url=letter.url) if letter.url else "",
    )


def _piece(story: Story, url: str, words: Words, now: int) -> Piece:
    head = wording.headline(story, words)
    return Piece(
        head.tone,
        head.badge,
        _capital(cell(head.title, 140)),
        tuple((label, cell(value, 160)) for label, value in _facts(story, words, now) if value),
        _spark(story, words),
        bool(story.points),
        tuple(_paragraphs(story, words, now)),
        tuple(_tables(story, words, now)),
        f"{story.url or url}/incidents/{story.first.incident}" if url else "",
    )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _facts(story: Story, words: Words, now: int) -> Iterable[tuple[str, str]]:
    last = story.last
    name = words.metric_name(story.metric) if story.metric else ""
    label = words.labels_name(last.labels, 80)
    if last.incident_kind != "silent":
        yield words.gettext("What"), f"{name} · {label}" if name and label else name or label
    since = words.moment(last.since_at, now)
    if story.over:
        span = words.duration(max(0, last.at - last.since_at))
        yield (
            words.gettext("When"),
            words.gettext("from %(start)s to %(end)s", start=since, end=words.moment(last.at, now)) + f" ({span})",
        )
        yield words.gettext("Why it is over"), _end(story, words)
    else:
        yield words.gettext("Since"), f"{since} ({words.duration(max(0, now - last.since_at))})"
    if last.incident_kind == "threshold":
        if not story.over:
            yield words.gettext("Value"), wording.value_of(story, last.value, words)
        yield words.gettext("Threshold"), _threshold(story, words)
        if last.peak_at:
            peak = wording.value_of(story, last.peak, words)
            at = words.moment(last.peak_at, now)
            yield words.gettext("Worst"), words.gettext("%(value)s, %(moment)s", value=peak, moment=at) if peak else ""
    if story.reason:
        yield words.gettext("What it said"), reasons.told(story.reason, words)
    if last.flaps:
        yield (
            words.gettext("Came back"),
            words.ngettext("%(num)s time", "%(num)s times", last.flaps),
        )
    incident = story.incident
    if incident and incident.acknowledged_at:
        yield (
            words.gettext("Taken care of"),
            words.gettext("by %(who)s: %(why)s", who=incident.acknowledged_by, why=incident.acknowledged_reason),
        )
    if story.consequences:
        names = [
            " ".join(filter(None, (words.metric_name(one.metric), words.labels_name(one.labels, 40))))
            for one in story.consequences[:5]
            if one.metric
        ]
        yield words.gettext("Follows from it"), ", ".join(names)


def _end(story: Story, words: Words) -> str:
    last = story.last
    if last.kind == "gone" or last.end_reason == "gone":
        return words.gettext("it is no longer measured")
    if last.end_reason == "disabled":
        return words.gettext("the threshold was switched off or changed")
    if last.incident_kind == "silent":
        return ""
    threshold = story.threshold
    value = wording.value_of(story, last.value, words)
    if threshold is None or not value:
        return value
    level = threshold.clear
    if level is None:
        level = threshold.warning if threshold.warning is not None else threshold.critical
    clear = wording.value_of(story, level, words)
    if threshold.above:
        return words.gettext("%(value)s, below %(level)s", value=value, level=clear)
    return words.gettext("%(value)s, above %(level)s", value=value, level=clear)


def _threshold(story: Story, words: Words) -> str:
    threshold, level = story.threshold, wording.limit_of(story)
    if threshold is None or level is None:
        return ""
    shown = wording.value_of(story, level, words)
    text = (
        words.gettext("above %(level)s", level=shown)
        if threshold.above
        else words.gettext("below %(level)s", level=shown)
    )
    if threshold.for_seconds:
        text += " " + words.gettext("for %(span)s", span=words.duration(threshold.for_seconds))
    return text


def _spark(story: Story, words: Words) -> Spark | None:
    points = [(point.at, point.greatest if _above(story) else point.least) for point in story.points]
    least = 0.05 if story.metric and story.metric.unit == "ratio" else 0.0
    blocks = spark(points, story.start, story.end, 32, above=_above(story), least=least)
    if not blocks:
        return None
    low, high = min(value for _, value in points), max(value for _, value in points)
    scale = words.gettext(
        "from %(low)s to %(high)s", low=wording.value_of(story, low, words), high=wording.value_of(story, high, words)
    )
    return Spark(words.moment(story.start, story.end), blocks, words.clock(story.end), scale)


def _above(story: Story) -> bool:
    return story.threshold.above if story.threshold else True


def _paragraphs(story: Story, words: Words, now: int) -> Iterable[Paragraph]:
    if story.forecast:
        yield Paragraph(words.gettext("Forecast"), outlook_text(story.forecast, words, now))
    first = story.first
    # The machine's silence is told when it is over: only then is somebody there to look for why.
    unexplained = first.incident_kind == "silent" and not first.metric and story.began
    unexplained = unexplained and not any(one.detail == "rebooted" for one in story.told)
    if not story.over or unexplained:
        yield Paragraph(words.gettext("What to do"), advice(story.first.incident_kind, story.first.metric, words))


def outlook_text(found: Forecast, words: Words, now: int) -> str:
    """When the disk will be full, as a date with its range, or why that cannot be said."""
    best = found.best
    if best.full_at is None:
        return words.gettext(_REASONS.get(best.reason, _REASONS["little"]))
    when = {"ago": words.ago(best.full_at, now), "moment": words.moment(best.full_at, now)}
    if best.early is None or best.late is None:
        return words.gettext("Full %(ago)s (%(moment)s) if it goes on like this.", **when)
    return words.gettext(
        "Full %(ago)s (%(moment)s, between %(early)s and %(late)s) if it goes on like this.",
        early=words.moment(best.early, now),
        late=words.moment(best.late, now),
        **when,
    )


_REASONS = {
    "little": N_("Not foreseeable yet: too little was measured."),
    "deletion": N_("Not foreseeable: much was deleted a short while ago."),
    "shrinking": N_("It is emptying, not filling."),
    "steady": N_("It does not grow."),
    "far": N_("Not full within a year at this pace."),
}


# --- evidence --------------------------------------------------------------------------------------------------------


def _tables(story: Story, words: Words, now: int) -> Iterable[Table]:
    found = story.evidence
    if found is None:
        return
    tables = list(evidence_tables(found, words, now, ROWS))
    wanted = _WANTED.get(_subject(story.first.metric), ("cpu", "memory", "users", "logins", "events"))
    by_key = dict(tables)
    for key in wanted:
        if key in by_key:
            yield by_key[key]


_WANTED = {
    "cpu": ("cpu", "users", "pressure", "logins", "events"),
    "memory": ("memory", "users", "logins", "events"),
    "disk": ("grown", "disk", "logins", "events"),
    "pressure": ("pressure", "cpu", "memory", "disk", "users", "logins", "events"),
}


def _subject(metric: str) -> str:
    if metric.startswith(("disk", "filesystem", "user_home")):
        return "disk"
    if "memory" in metric or "swap" in metric or metric.startswith("oom"):
        return "memory"
    if "pressure" in metric:
        return "pressure"
    return "cpu" if "cpu" in metric or metric.startswith("load") else ""


def graph_of(story: Story, words: Words, now: int) -> chart_data.Graph | None:
    """The incident's graph; None where nothing was measured."""
    if not story.points or story.metric is None:
        return None
    levels = []
    threshold = story.threshold
    if threshold:
        for level, kind in ((threshold.warning, "warning"), (threshold.critical, "critical")):
            if level is not None:
                # One label: two levels that lie close together would be written over one another.
                crossed = level == wording.limit_of(story)
                label = words.gettext("threshold %(level)s", level=wording.value_of(story, level, words))
                label = label if crossed else ""
                levels.append(chart_data.Level(level, kind, label))
    last = story.last
    band = chart_data.Band(last.since_at, last.at if story.over else story.end, last.level)
    return chart_data.Graph(
        unit=story.metric.unit,
        start=story.start,
        end=story.end,
        step=story.step,
        lines=(chart_data.Line("", story.points),),
        now=now,
        every=story.every,
        known_from=story.series.first_at if story.series else 0,
        levels=levels,
        incidents=(band,),
        events=[chart_data.Mark(event.at, event.kind) for event in story.events],
    )
