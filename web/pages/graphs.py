"""Graphs of every metric of every probe, without code: the index, one metric's page, its graph alone. Figures for other
programs are in web/pages/data.py.

An address that cannot be used is a 400 with a sentence; a metric that is not there, a 404. Never a 500.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from flask import Blueprint, Response, render_template, request, url_for
from flask.typing import ResponseReturnValue

from alerts import chart, event_words
from alerts.chart import Forecast, Name
from alerts.chart_bars import sparkline
from alerts.chart_skin import POLICY
from alerts.forecast import Outlook
from alerts.words import DAY, N_, Words
from archive import read, thresholds
from archive.read import Metric, Sample, Series
from web import mistakes, periods, pictures
from web.periods import Period, PeriodError
from web.pictures import Material
from web.store import db, host_id, now
from web.svg import Own, picture
from web.words import _, words

bp = Blueprint("graphs", __name__)
MOST_GRAPHS = 4  # lines drawn at once; the others are links
MOST_EVENTS = 40
AHEAD = ("7d", "30d", "1y", "all")

GROUPS = {
    "cpu": N_("Processor"), "load": N_("Load"), "memory": N_("Memory"), "pressure": N_("Waiting"),
    "disk": N_("Disks"), "diskio": N_("Disk traffic"), "homes": N_("Homes"), "network": N_("Network"),
    "processes": N_("Users"), "users": N_("Log-ins"), "accounts": N_("Accounts"), "temperature": N_("Temperature"),
    "updates": N_("Updates"), "units": N_("Services"), "uptime": N_("Uptime"), "clock": N_("Clock"),
    "raid": N_("RAID"), "smart": N_("State of the disks"), "vigie": N_("Vigie itself"),
}  # fmt: skip


class Asked(NamedTuple):
    """A request, understood."""

    metric: Metric
    lines: tuple[Series, ...]  # all of them, the most telling first
    chosen: Series | None  # by `line=`
    period: Period
    first_at: int
    latest: dict[int, Sample]

    @property
    def drawn(self) -> tuple[Series, ...]:
        return (self.chosen,) if self.chosen else self.lines[:MOST_GRAPHS]


class Other(NamedTuple):
    """A line that is not drawn: a link."""

    name: str
    value: str
    url: str
    gone: bool


class Entry(NamedTuple):
    """A metric of the index."""

    title: str
    url: str
    lines: str
    value: str
    spark: Own | None


class Group(NamedTuple):
    title: str
    entries: tuple[Entry, ...]


class Happening(NamedTuple):
    at: int
    text: str
    subject: str


# --- pages -----------------------------------------------------------------------------------------------------------


@bp.route("/graphs/")
def page() -> str:
    """Every metric by probe, each with its last day as a small line."""
    return render_template("graphs/index.html", groups=groups())


def groups() -> list[Group]:
    told, newest = words(), read.latest(db(), host_id())
    lines: dict[str, list[Series]] = {}
    for line in read.series(db(), host_id()):
        lines.setdefault(line.metric.name, []).append(line)
    found: dict[str, list[Entry]] = {}
    for metric in read.metrics(db()):
        mine = lines.get(metric.name)
        if mine:
            found.setdefault(metric.probe, []).append(_entry(metric, ordered(mine, newest), newest, told))
    order = list(GROUPS)
    names = sorted(found, key=lambda name: (order.index(name) if name in order else len(order) - 1.5, name))
    return [Group(_(GROUPS[name]) if name in GROUPS else name, _apart(found[name])) for name in names]


def _apart(entries: list[Entry]) -> tuple[Entry, ...]:
    """Two metrics of one name, an amount and a share: the share says so."""
    titles = [one.title for one in entries]
    return tuple(
        one._replace(title=f"{one.title} (%)") if titles.count(one.title) > 1 and one.value.endswith("%") else one
        for one in entries
    )


def _entry(metric: Metric, lines: Sequence[Series], newest: dict[int, Sample], told: Words) -> Entry:
    first = lines[0]
    sample = newest.get(first.id)
    name = told.line_name(first, 40) if len(lines) > 1 else ""
    value = told.value(sample.value, metric.unit) if sample else ""
    count = told.ngettext("%(num)s line", "%(num)s lines", len(lines)) if len(lines) > 1 else ""
    small = None
    if sample:
        end = sample.at + 900 - sample.at % 900
        points = read.points(db(), host_id(), first, end - DAY, end, 900)
        every = pictures.every(db(), host_id(), first, points, 900)
        full = metric.unit == "ratio" and metric.kind == "gauge"
        svg = sparkline(points, told, end - DAY, end, 900, every=every, full_scale=full)
        small = picture(svg) if svg else None
    return Entry(
        told.metric_name(metric),
        url_for("graphs.one", name=metric.name),
        count,
        f"{name} : {value}"
        if name and value and told.language == "fr"
        else f"{name}: {value}"
        if name and value
        else value,
        small,
    )


@bp.route("/graphs/<name>")
def one(name: str) -> ResponseReturnValue:
    """One metric: a wide graph a line, in words, as a table, and as files."""
    try:
        asked = understood(name)
    except PeriodError as error:
        return refused(error)
    if asked is None:
        return missing()
    told, at, period = words(), now(), asked.period
    spoken = periods.label(period, at, told)
    dates = f"{told.moment(period.start, at)} → {told.moment(min(period.end, at), at)}"
    limits = thresholds.effective(db(), host_id())
    outlooks = [pictures.outlook_of(db(), host_id(), line, asked.latest.get(line.id)) for line in asked.drawn]
    made = [
        pictures.material(db(), host_id(), line, period, at, told, forecast=_forecast(asked, line, found), found=limits)
        for line, found in zip(asked.drawn, outlooks, strict=True)
    ]
    alone = len(asked.lines) == 1 or asked.chosen is not None
    figures = [
        pictures.figure(
            one_line,
            told,
            at,
            spoken,
            ident=f"line-{one_line.line.id}",
            # The page's own heading says the metric; a line without a name is told by its dates.
            title=told.line_name(one_line.line) or dates,
            heading="metric-title",
            rows=alone,
        )
        for one_line in made
    ]
    return render_template(
        "graphs/one.html",
        asked=asked,
        metric=asked.metric,
        title=told.metric_name(asked.metric),
        figures=[
            (figure, one_line, _value(one_line.line, asked, told), outlook)
            for figure, one_line, outlook in zip(figures, made, outlooks, strict=True)
        ],
        others=_others(asked, told),
        tabs=_tabs(asked, told),
        before=_link(asked, period.before(asked.first_at, told)),
        after=_link(asked, period.after(at, told)),
        from_local=f"{told.local(period.start):%Y-%m-%dT%H:%M}",
        to_local=f"{told.local(min(period.end, at)):%Y-%m-%dT%H:%M}",
        exports=_exports(asked),
        happened=_happened(made, told),
        all_url=_url("graphs.one", name, period.query()),
        step=told.duration(period.step),
        now=at,
    )


def _forecast(asked: Asked, line: Series, found: Outlook | None) -> Forecast | None:
    """Half a period ahead at most, on the periods of a week and more that end now."""
    newest = asked.latest.get(line.id)
    if newest is None or found is None or found.full_at is None or asked.period.key not in AHEAD:
        return None
    return pictures.foreseen(found, newest, min(found.full_at, newest.at + asked.period.seconds // 2))


def _title(line: Series, told: Words) -> str:
    return told.line_name(line) or told.metric_name(line.metric)


def _value(line: Series, asked: Asked, told: Words) -> tuple[str, int] | None:
    """The newest value and its time; None when there is none of the last day."""
    sample = asked.latest.get(line.id)
    return (told.value(sample.value, line.metric.unit), sample.at) if sample else None


def _others(asked: Asked, told: Words) -> list[Other]:
    drawn = {line.id for line in asked.drawn}
    found = []
    for line in asked.lines:
        if line.id not in drawn:
            value = _value(line, asked, told)
            url = _url("graphs.one", asked.metric.name, {**asked.period.query(), "line": str(line.id)})
            found.append(Other(_title(line, told), value[0] if value else "", url, value is None))
    return found


def _tabs(asked: Asked, told: Words) -> list[tuple[str, str, bool]]:
    """(label, address, here) of each named period."""
    return [
        (told.gettext(label), _address(asked, {"period": key}), key == asked.period.key)
        for key, label in periods.LABELS.items()
    ]


def _address(asked: Asked, query: dict[str, str], endpoint: str = "graphs.one") -> str:
    line = {"line": str(asked.chosen.id)} if asked.chosen else {}
    return _url(endpoint, asked.metric.name, query | line)


def _url(endpoint: str, name: str, query: dict[str, str]) -> str:
    values: dict[str, Any] = dict(query)  # "from" is no name of Python's
    return url_for(endpoint, name=name, **values)


def _link(asked: Asked, period: Period | None) -> str:
    return _address(asked, period.query()) if period else ""


def _exports(asked: Asked) -> list[tuple[str, str]]:
    query = asked.period.query()
    kinds = (("CSV", "samples.csv"), ("JSON", "samples.as_json"), ("SVG", "graphs.svg"))
    return [(label, _address(asked, query, endpoint)) for label, endpoint in kinds]


def _happened(made: Sequence[Material], told: Words) -> list[Happening]:
    """Events of the period, newest first; they are the machine's, the same under every line."""
    found = made[0].events if made else ()
    return [
        Happening(
            one.at, told.gettext(pictures.EVENT_WORDS[one.kind]), event_words.said(one.kind, one.subject, "", told)
        )
        for one in found[::-1][:MOST_EVENTS]
    ]


# --- files -----------------------------------------------------------------------------------------------------------


@bp.route("/graphs/<name>.svg")
def svg(name: str) -> ResponseReturnValue:
    """The first line's graph with its own colours, for a report; its policy allows its one style sheet and no more."""
    try:
        asked = understood(name)
    except PeriodError as error:
        return refused(error)
    if asked is None:
        return missing()
    told, at = words(), now()
    line = asked.drawn[0]
    made = pictures.material(db(), host_id(), line, asked.period, at, told)
    spoken = periods.label(asked.period, at, told)
    heading = " · ".join(part for part in (told.metric_name(asked.metric), told.line_name(line)) if part)
    note = pictures.sentence(made, told, at, spoken)
    drawn = chart.draw(made.graph, told, chart.WIDE, Name(), alone=(heading, note))
    if drawn is None:
        return mistakes.page(404, note)
    answer = Response(drawn.svg, content_type="image/svg+xml; charset=utf-8")
    answer.headers["Content-Security-Policy"] = POLICY
    return answer


# --- what was asked --------------------------------------------------------------------------------------------------


def understood(name: str) -> Asked | None:
    """None when there is no such metric. Raises PeriodError for a parameter that cannot be used."""
    asked = {key: periods.one(request.args.getlist(key), key) for key in ("period", "from", "to", "line")}
    metric = read.metric(db(), name)
    if metric is None or metric.kind == "info":
        return None
    newest = read.latest(db(), host_id())
    lines = ordered(read.series(db(), host_id(), name), newest)
    if not lines:
        return None
    first_at = min(line.first_at for line in lines)
    period = periods.parse(asked, now(), first_at, words())
    chosen = next((line for line in lines if str(line.id) == asked["line"]), None)
    if asked["line"] and chosen is None:
        raise PeriodError(N_("“%(value)s” is not a line of this metric."), value=asked["line"][:40])
    return Asked(metric, tuple(lines), chosen, period, first_at, newest)


def ordered(lines: Sequence[Series], newest: dict[int, Sample]) -> list[Series]:
    """The most telling first: measured lately, then the greatest."""

    def rank(line: Series) -> tuple[bool, float, str]:
        sample = newest.get(line.id)
        return (sample is None, -sample.value if sample else 0.0, line.labels)

    return sorted(lines, key=rank)


def refused(error: PeriodError) -> ResponseReturnValue:
    return mistakes.page(400, words().gettext(error.message, **error.values))


def missing() -> ResponseReturnValue:
    return mistakes.page(404, _("No probe has given a metric of this name. All that there are stand under “Graphs”."))
