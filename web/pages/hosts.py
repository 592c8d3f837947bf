"""The machines of a fleet, the worst first: how each is, since when, three figures of the last hour, what is odd."""

from typing import NamedTuple

from flask import Blueprint, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from alerts.words import N_
from archive import incidents, read
from archive.fleet import groups, members
from archive.fleet.members import Member
from web import asking, fleet, sentences, store
from web.words import _, _n, words

bp = Blueprint("hosts", __name__)
PAGE = 50
OPEN = 30  # incidents of a group
STATES = ("", *members.RANKS)
STATE_WORDS = {"silent": N_("silent"), "critical": N_("in a critical state"), "warning": N_("with a warning"), "ok": N_("well"),
               "away": N_("not in service")}  # fmt: skip
BADGES = {"silent": "unknown", "new": "unknown", "revoked": "closed", "retired": "closed"}
FIGURES = (
    ("cpu_busy_seconds_total", N_("Processor")),
    ("memory_used_ratio", N_("Memory")),
    ("disk_used_ratio", N_("Fullest disk")),
)
WIDTH, HEIGHT = 60, 18


class Figure(NamedTuple):
    label: str
    text: str  # '' when it was not measured
    path: str  # of an SVG of WIDTH x HEIGHT; '' with less than two values


class Row(NamedTuple):
    member: Member
    badge: str
    word: str
    detail: str
    figures: list[Figure]
    odd: list[str]
    tags: list[str]


@bp.route("/hosts")
def page() -> ResponseReturnValue:
    """`?state=`, `?tag=`, `?text=`, `?advisory=` keep some of them, `?skip=` gives the next ones."""
    asked = members.Asked(
        asking.one("state", STATES, ""), asking.text("tag", 63), asking.text("text", 63), asking.text("advisory", 40)
    )
    skip = asking.number("skip", 10_000_000) or 0
    db, now = store.db(), store.now()
    found = members.listed(db, now, asked, PAGE + 1, skip)
    like = members.likenesses(db, [one.host for one in found[:PAGE]])
    worst = _worst(found[:PAGE])
    figures = members.figures(db, [one.host for one in found[:PAGE]])
    counts, tags = members.tally(db, now, asked.tag)
    return render_template(
        "hosts.html",
        rows=[
            _row(one, like.get(one.host, members.Likeness()), worst.get(one.host, ""), figures.get(one.host, {}))
            for one in found[:PAGE]
        ],
        counts=[(key, counts[key], _(word)) for key, word in STATE_WORDS.items() if counts[key]],
        total=sum(counts[key] for key in counts if key != "away"),
        tags=tags,
        asked={name: value for name, value in asked._asdict().items() if value},
        more=skip + PAGE if len(found) > PAGE else None,
        less=max(0, skip - PAGE) if skip else None,
        centre=read.host(db, 1).name,
        open=_open(asked.tag) if asked.tag and not skip else [],
        now=now,
    )


@bp.route("/hosts/<name>")
def one(name: str) -> ResponseReturnValue:
    """A machine's first page is /hosts/NAME/."""
    if members.named(store.db(), name) is None:
        abort(404)
    return redirect(request.path + "/", 302)


class Open(NamedTuple):
    """An incident of a group."""

    machine: str
    story: sentences.Story
    since: str


def _open(tag: str) -> list[Open]:
    """What is open on the machines of a group, the worst first."""
    metrics = {metric.name: metric for metric in read.metrics(store.db())}
    found = []
    for name, incident in groups.open_incidents(store.db(), tag, OPEN):
        told = sentences.story(incident, metrics.get(incident.metric), words())
        found.append(Open(name, told, sentences.span(incident, store.now(), words())))
    return found


def _worst(found: list[Member]) -> dict[int, str]:
    """The first words about each machine that has something open."""
    told: dict[int, str] = {}
    metrics = {metric.name: metric for metric in read.metrics(store.db())}
    for incident in incidents.open_on(store.db(), [one.host for one in found if one.opened]):
        if incident.host not in told:  # the gravest comes first
            told[incident.host] = sentences.story(incident, metrics.get(incident.metric), words()).title
    return told


def _row(member: Member, like: members.Likeness, worst: str, figures: members.Figures) -> Row:
    now, told = store.now(), words()
    word = fleet.condition(member, now)
    detail = worst
    if word == "silent":
        since = member.fresh_at if member.fresh_at is not None else member.joined_at or now
        detail = _("nothing since %(when)s", when=told.moment(since, now))
    elif word in ("warning", "critical") and member.opened > 1:
        detail += " · " + _n("and %(num)s more", "and %(num)s more", member.opened - 1)
    if member.waiting > 10 and word not in ("silent", "retired"):
        behind = _n("%(num)s cycle behind", "%(num)s cycles behind", member.waiting)
        detail = f"{detail} · {behind}" if detail else behind
    return Row(
        member,
        BADGES.get(word, word),
        fleet.condition_words(word, _),
        detail,
        [_figure(figures.get(metric, []), _(label)) for metric, label in FIGURES],
        [_(doubt.message, **doubt.values) for doubt in fleet.doubts(member, like)],
        member.tags.split(),
    )


def _figure(values: list[float | None], label: str) -> Figure:
    last = values[-1] if values else None
    return Figure(label, "" if last is None else words().percent(last, 0), path_of(values))


# Where the points of a line stand, the newest at the right edge: of each page's thousands, none is written twice.
_ACROSS = [f"{WIDTH - place * WIDTH / (members.POINTS - 1):.1f}" for place in range(members.POINTS - 1, -1, -1)]


def path_of(values: list[float | None]) -> str:
    """Shares of 0 to 1, the newest last, as a line over an hour; a missing one breaks it. Pure."""
    shown = values[-members.POINTS :]
    parts = []
    pen = "M"
    for x, value in zip(_ACROSS[len(_ACROSS) - len(shown) :], shown, strict=True):
        if value is None:
            pen = "M"
            continue
        share = 0.0 if value < 0 else 1.0 if value > 1 else value
        parts.append(f"{pen}{x} {HEIGHT - 1 - share * (HEIGHT - 2):.1f}")
        pen = "L"
    return " ".join(parts) if len(parts) > 1 else ""


def address(name: str) -> str:
    """A machine's own first page."""
    return url_for("hosts.one", name=name) + "/"


@bp.app_context_processor
def addresses() -> dict[str, object]:
    return {"address_of": address}
