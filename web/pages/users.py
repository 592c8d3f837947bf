"""The shared machine's page: who uses what, and each one's own history."""

from flask import Blueprint, abort, render_template

from alerts import chart_bars
from alerts.chart import Name
from alerts.chart_bars import Bar
from archive import incidents, read
from web import asking, people, sentences, store
from web.cards import Reading
from web.people import User
from web.shell import present
from web.svg import picture
from web.words import _, words

bp = Blueprint("users", __name__)
LONGEST = 256
BARS = 12
PAGE = 100


@bp.route("/users")
def page() -> str:
    """Every account and whoever runs something; sorted by `?sort=`, a hundred at a time from `?skip=`."""
    sort = asking.one("sort", people.SORTS, "cpu")
    skip = asking.number("skip", 1_000_000) or 0
    found = present()
    everyone = people.users(store.db(), store.host_id(), 3 * found.rhythm + 60)
    seen = {fact.label("user") for fact in read.facts(store.db(), store.host_id(), "login_info", gone_since=0)}
    return render_template(
        "users.html",
        rows=people.ordered(everyone, sort)[skip : skip + PAGE],
        more=skip + PAGE if len(everyone) > skip + PAGE else None,
        less=max(0, skip - PAGE) if skip else None,
        sort=sort,
        bars=_bars(everyone),
        logged_in=[one for one in everyone if one.sessions],
        never=[one.name for one in everyone if one.account and one.name not in seen and not one.sessions],
        now=store.now(),
        state=found,
        picture=picture,
        words=words(),
    )


@bp.route("/users/<name>")
def one(name: str) -> str:
    """One user: the figures of now and of the last day, the sessions, the incidents that name them."""
    if len(name) > LONGEST:
        abort(404)
    db, host, found, now = store.db(), store.host_id(), present(), store.now()
    everyone = people.users(db, host, 3 * found.rhythm + 60)
    user = next((known for known in everyone if known.name == name), None)
    lines = [line for metric in people.METRICS for line in read.series(db, host, metric) if line.label("user") == name]
    if user is None and not lines:
        abort(404)
    reading = Reading(db, host, words(), now, found.rhythm, fresh=found.fresh)
    metrics = {metric.name: metric for metric in read.metrics(db)}
    theirs = [one for one in incidents.recent(db, host, 200) if f'"user":"{name}"' in one.labels]
    return render_template(
        "user.html",
        name=name,
        user=user,
        cards=[card for card in (reading.plain(line) for line in lines) if card],
        stories=[sentences.story(one, metrics.get(one.metric), words()) for one in theirs[:20]],
        span=lambda incident: sentences.span(incident, now, words()),
        now=now,
        state=found,
        picture=picture,
    )


def _bars(everyone: list[User]) -> list[tuple[str, str, str]]:
    """(id, title, svg) of the bars: processor, memory, disk; each the largest first."""
    drawn = []
    for key, title, unit, second in (
        ("cpu", _("Processor, by user"), "ratio", False),
        ("memory", _("Memory, by user"), "bytes", False),
        ("home", _("Disk, by user"), "bytes", True),
    ):
        rows = [
            Bar(one.name, value, words().value(value, unit))
            for one in people.ordered(everyone, key)[:BARS]
            if (value := getattr(one, key)) is not None
        ]
        svg = chart_bars.bars(rows, Name(labelled_by=f"bars-{key}"), width=420, second=second)
        if svg:
            drawn.append((f"bars-{key}", title, svg))
    return drawn
