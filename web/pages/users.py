"""The shared machine's page: who uses what, now and over a span, and each one's own history."""

from flask import Blueprint, abort, render_template

from alerts import chart_bars, evidence
from alerts.chart import Name
from alerts.chart_bars import Bar
from alerts.running import Process
from alerts.words import N_
from archive import evidence as evidence_rows
from archive import incidents, read
from archive.fleet import people as fleet_people
from archive.incidents import Incident
from web import asking, logins, machines, people, sentences, store, usage
from web.cards import Reading
from web.shell import present
from web.svg import picture
from web.usage import Usage
from web.words import _, words

bp = Blueprint("users", __name__)
LONGEST = 256
BARS = 12
STORIES, LOOKED_AT = 20, 200
PERIODS = {"now": N_("Now"), "1h": N_("1 hour"), "24h": N_("24 hours"), "7d": N_("7 days"), "30d": N_("30 days")}
TITLES = {
    people.CPU: N_("Processor"), people.MEMORY: N_("Memory"), people.PROCESSES: N_("Processes"), people.HOME: N_("Home"),
}  # fmt: skip
PAGE = 100
# Of a machine that knows the name, by members.RANKS: badge and word.
RANKS = {
    3: ("unknown", N_("Silent")), 2: ("critical", N_("Critical")), 1: ("warning", N_("Warning")), 0: ("ok", N_("All is well")),
    -1: ("closed", N_("Revoked")),
}  # fmt: skip


@bp.route("/users")
def page() -> str:
    """Every account and whoever runs something; sorted by `?sort=`, over `?period=`; a hundred at a time from `?skip=`."""
    skip = asking.number("skip", 1_000_000) or 0
    sort = asking.one("sort", usage.SORTS, "cpu")
    period = asking.one("period", tuple(PERIODS), "now")
    db, host, found, now = store.db(), store.host_id(), present(), store.now()
    newest = found.last_at or now
    watched = max(1, newest - read.host(db, host).first_at)
    everyone = people.users(db, host, 3 * found.rhythm + 60)
    known = any(one.account for one in everyone)
    # Who has not a single figure, no home and no log-in is named below, among the accounts that nobody uses.
    shown = [one for one in everyone if one.sessions or one.home is not None or one.at is not None]
    rows = usage.ordered(usage.of(db, host, shown, period, newest, words()), sort)
    system = [one for one in rows if usage.is_system(one.user, accounts_known=known)]
    rows = [one for one in rows if one not in system]
    return render_template(
        "users.html",
        rows=rows[skip : skip + PAGE],
        more=skip + PAGE if len(rows) > skip + PAGE else None,
        less=max(0, skip - PAGE) if skip else None,
        system=system,
        sort=sort,
        period=period,
        periods=[(key, _(label)) for key, label in PERIODS.items()],
        bars=_bars(rows),
        logged_in=sum(1 for one in everyone if one.sessions),
        unused=usage.unused(db, host, everyone, now) if watched >= usage.WATCHED else [],
        watched=watched if watched < usage.WATCHED else 0,
        growing=usage.growing(db, host, newest),
        accounts_known=known,
        now=now,
        state=found,
        picture=picture,
        words=words(),
    )


@bp.route("/users/<name>")
def one(name: str) -> str:
    """One user: the figures of now and of the last day, the sessions, the incidents that name them; at a centre, every
    machine that knows the name, `?skip=` so many."""
    if len(name) > LONGEST:
        abort(404)
    skip = asking.number("skip", 10_000_000) or 0
    db, host, found, now = store.db(), store.host_id(), present(), store.now()
    everyone = people.users(db, host, 3 * found.rhythm + 60)
    user = next((known for known in everyone if known.name == name), None)
    lines = [line for metric in people.METRICS for line in read.series(db, host, metric) if line.label("user") == name]
    elsewhere = fleet_people.total_of(db, name, now) if machines.any_here() and not machines.name() else None
    if user is None and not lines and elsewhere is None:
        abort(404)
    reading = Reading(db, host, words(), now, found.rhythm, fresh=found.fresh)
    if user and user.home is not None:
        # Homes are measured slowly: the newest figure is of now, however old.
        reading.latest |= {
            line.id: read.Sample(user.home_at or now, user.home) for line in lines if line.metric.name == people.HOME
        }
    metrics = {metric.name: metric for metric in read.metrics(db)}
    opened = incidents.recent(db, host, LOOKED_AT)
    theirs = [one for one in opened if f'"user":"{name}"' in one.labels]
    return render_template(
        "user.html",
        name=name,
        user=user,
        cards=[(card, _(TITLES[line.metric.name])) for line in lines if (card := reading.plain(line))],
        stories=[sentences.story(one, metrics.get(one.metric), words()) for one in theirs[:STORIES]],
        ran=[
            (sentences.story(one, metrics.get(one.metric), words()), running)
            for one, running in (_ran(name, opened) if logins.is_administrator() else [])
        ],
        span=lambda incident: sentences.span(incident, now, words()),
        now=now,
        state=found,
        picture=picture,
        here=user is not None or bool(lines),
        elsewhere=_elsewhere(elsewhere, skip) if elsewhere else None,
    )


def _elsewhere(found: fleet_people.Total, skip: int) -> dict[str, object]:
    """What templates/user_machines.html shows of one name: the machines, the worst first."""
    seen = fleet_people.of_one(store.db(), found.name, store.now(), PAGE + 1, skip)
    return {
        "all_of": found,
        "seen": seen[:PAGE],
        "ranks": RANKS,
        "pseudonym": fleet_people.is_pseudonym(found.name),
        "more": skip + PAGE if len(seen) > PAGE else None,
        "less": max(0, skip - PAGE) if skip else None,
    }


def _ran(name: str, opened: list[Incident]) -> list[tuple[Incident, list[Process]]]:
    """Of the newest incidents with evidence, those in which this user took the most: with their processes."""
    found = []
    for one in opened[:STORIES]:
        kept: dict[int, Process] = {}
        for row in evidence_rows.of_incident(store.db(), one.id):
            seen = evidence.from_json(row.body)
            for process in (*seen.cpu, *seen.memory, *seen.disk):
                if process.user == name:
                    kept.setdefault(process.pid, process)
        if kept:
            found.append((one, sorted(kept.values(), key=lambda process: -process.cores)[:5]))
    return found


def _bars(rows: list[Usage]) -> list[tuple[str, str, str]]:
    """(id, title, svg) of the bars: processor, memory, disk; each the largest first."""
    drawn = []
    for key, title, unit, second in (
        ("cpu", _("Processor, by user"), "ratio", False),
        ("memory", _("Memory, by user"), "bytes", False),
        ("home", _("Disk, by user"), "bytes", True),
    ):
        bars = [
            Bar(one.name, value, words().value(value, unit))
            for one in usage.ordered(rows, key)[:BARS]
            if (value := getattr(one, key)) is not None
        ]
        svg = chart_bars.bars(bars, Name(labelled_by=f"bars-{key}"), width=420, second=second)
        if svg:
            drawn.append((f"bars-{key}", title, svg))
    return drawn
