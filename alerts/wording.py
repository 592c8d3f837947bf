"""The words of a mail: what an incident is called, what happened to it, and the subject. Pure; English msgids."""

from typing import NamedTuple

from alerts.letter import Letter, Story, labels_of
from alerts.words import N_, Words
from archive.outbox import Told
from archive.text import clean

LONGEST_SUBJECT = 160
# Lines whose label alone says what is meant: "/ at 97 %" needs no "disk space used".
_SELF_EXPLAINED = ("disk_used_ratio",)
_LEVELS = {"critical": N_("CRITICAL"), "warning": N_("Warning")}
_TONES = {"critical": "critical", "warning": "warning"}


class Headline(NamedTuple):
    """`badge`: one word or two; `title`: what, in one line; `note`: in brackets after it in the subject, '' for none."""

    tone: str  # critical, warning, over
    badge: str
    title: str
    note: str


def name_of(story: Story, words: Words) -> str:
    """What the line is called: `/`, « Mémoire disponible », « Processeur par utilisateur, alice »."""
    told = story.first
    label = words.labels_name(told.labels, 60) if labels_of(told) else ""
    if told.metric in _SELF_EXPLAINED and label:
        return label
    name = words.metric_name(story.metric) if story.metric else told.metric.replace("_", " ")
    return f"{name}, {label}" if label else name


def value_of(story: Story, value: float | None, words: Words) -> str:
    """A value in the metric's unit; '' where there is none."""
    if value is None or story.metric is None:
        return ""
    return words.value(value, story.metric.unit)


def level_of(told: Told, words: Words) -> str:
    return words.gettext(_LEVELS.get(told.level, told.level))


def headline(story: Story, words: Words) -> Headline:
    """The incident in one line, as it stands with this mail."""
    found = _headline(story, words)
    return found._replace(title=f"{story.host} – {found.title}") if story.host else found


def _headline(story: Story, words: Words) -> Headline:
    if story.first.incident_kind == "silent":
        return _silent(story, words)
    if story.first.incident_kind == "forecast":
        return _forecast(story, words)
    if story.first.incident_kind == "advisory":
        return Headline(_TONES.get(story.last.level, "warning"), level_of(story.last, words), story.last.detail, "")
    return _over(story, words) if story.over else _begun(story, words)


def subject(letter: Letter, words: Words) -> str:
    """`[host] CRITIQUE : / à 97 % (seuil 97 %)`; several: `[host] 3 incidents : ...`. One clean line."""
    stories = letter.stories
    if not stories:
        return one_line(f"[{letter.host}] Vigie")
    lines = [headline(story, words) for story in stories]
    first = lines[0]
    if len(stories) == 1:
        note = f" ({first.note})" if first.note else ""
        return one_line(f"[{letter.host}] {labelled(first.badge, first.title, words)}{note}")
    count = len(stories) + len(letter.brief) + letter.uncounted
    shown = ", ".join(
        labelled(line.badge, line.title, words, inside=True) if line.tone == "critical" else line.title
        for line in lines[:3]
    )
    more = ", …" if count > 3 else ""
    told = words.ngettext("%(num)s incident", "%(num)s incidents", count)
    return one_line(f"[{letter.host}] {labelled(told, shown, words)}{more}")


def labelled(label: str, text: str, words: Words, *, inside: bool = False) -> str:
    """`label: text`, as each language writes the colon; inside a list, without it."""
    return f"{label} {text}" if inside else f"{label}{colon(words)} {text}"


def colon(words: Words) -> str:
    return "\u00a0:" if words.language == "fr" else ":"


def one_line(text: str, longest: int = LONGEST_SUBJECT) -> str:
    """Safe in a header: printable, one line, cut. No-break spaces stay."""
    kept = "".join(c if c.isprintable() or c in "\u00a0\u202f" else " " for c in clean(text))
    kept = " ".join(kept.split(" ")).strip()
    return kept if len(kept) <= longest else f"{kept[: longest - 1]}…"


def _begun(story: Story, words: Words) -> Headline:
    last = story.last
    name, value = name_of(story, words), value_of(story, last.value, words)
    title = words.gettext("%(name)s at %(value)s", name=name, value=value) if value else name
    badge = level_of(last, words)
    if last.kind == "reminded":
        span = words.duration(max(0, last.at - last.since_at), rough=True)
        badge = words.gettext("Still %(level)s for %(span)s", level=badge, span=span)
    elif last.kind == "returned":
        badge = words.gettext("%(level)s again", level=badge)
    return Headline(_TONES.get(last.level, "warning"), badge, title, _limit(story, words))


def _over(story: Story, words: Words) -> Headline:
    last = story.last
    name = name_of(story, words)
    badge = words.gettext("Over")
    ended = last.at
    peak = value_of(story, last.peak, words)
    if story.began:
        span = words.gettext(
            "from %(start)s to %(end)s", start=words.moment(last.since_at, ended), end=words.clock(ended)
        )
        title = words.gettext("%(name)s at %(value)s", name=name, value=peak) if peak else name
        return Headline("over", badge, f"{title}, {span}", "")
    if last.kind == "gone" or last.end_reason == "gone":
        title = words.gettext("%(name)s is no longer measured", name=name)
    elif last.end_reason == "disabled":
        title = words.gettext("%(name)s is no longer watched", name=name)
    else:
        value = value_of(story, last.value, words)
        title = words.gettext("%(name)s back at %(value)s", name=name, value=value) if value else name
    note = words.gettext(
        "after %(span)s, peak %(peak)s", span=words.duration(max(0, ended - last.since_at)), peak=peak
    ) if peak else words.duration(max(0, ended - last.since_at))  # fmt: skip
    return Headline("over", badge, title, note)


def _silent(story: Story, words: Words) -> Headline:
    last = story.last
    since = words.moment(last.since_at, last.at)
    if last.metric:
        if story.over:
            title = words.gettext("the probe %(name)s answers again", name=last.metric)
            return Headline("over", words.gettext("Over"), title, _after(last, words))
        title = words.gettext("the probe %(name)s says nothing since %(since)s", name=last.metric, since=since)
        return Headline(_TONES.get(last.level, "warning"), level_of(last, words), title, "")
    if story.over and not story.began:
        title = words.gettext("the machine is measured again")
        return Headline("over", words.gettext("Over"), title, _after(last, words))
    if story.over:
        span = words.gettext("from %(start)s to %(end)s", start=since, end=words.clock(last.at))
        title = words.gettext("nothing was measured") + f" {span}"
        rebooted = any(one.detail == "rebooted" for one in story.told)
        return Headline(
            "over", words.gettext("Over"), title, words.gettext("the machine restarted") if rebooted else ""
        )
    title = words.gettext("nothing measured since %(since)s", since=since)
    return Headline(_TONES.get(last.level, "warning"), level_of(last, words), title, "")


def _forecast(story: Story, words: Words) -> Headline:
    last = story.last
    name = labels_of(last).get("mount", "") or name_of(story, words)
    if story.over:
        title = words.gettext("%(name)s will not be full soon any more", name=name)
        return Headline("over", words.gettext("Over"), title, _after(last, words))
    if last.value is None:
        title = words.gettext("%(name)s will soon be full", name=name)
    else:
        title = words.gettext(
            "%(name)s full in %(span)s", name=name, span=words.duration(max(0.0, last.value), rough=True)
        )
    return Headline(_TONES.get(last.level, "warning"), level_of(last, words), title, "")


def _after(told: Told, words: Words) -> str:
    return words.gettext("after %(span)s", span=words.duration(max(0, told.at - told.since_at)))


def _limit(story: Story, words: Words) -> str:
    level = limit_of(story)
    return words.gettext("threshold %(level)s", level=value_of(story, level, words)) if level is not None else ""


def limit_of(story: Story) -> float | None:
    """The level that was crossed, in the metric's own unit."""
    threshold = story.threshold
    if threshold is None:
        return None
    if story.last.level == "critical" and threshold.critical is not None:
        return threshold.critical
    return threshold.warning if threshold.warning is not None else threshold.critical
