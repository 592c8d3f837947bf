"""The figures of one metric for other programs: CSV and JSON, by period and step, down to every sample that was archived."""

import json
from collections.abc import Iterator

from flask import Blueprint, request
from flask.typing import ResponseReturnValue

from alerts.words import N_
from archive import incidents, read, thresholds
from archive.read import Point, Series
from web import data_routes, exports, files, periods, pictures
from web.exports import Object
from web.pages import graphs
from web.pages.graphs import Asked
from web.periods import PeriodError
from web.store import db, host_id, now

bp = Blueprint("samples", __name__)
CHUNK = 1440  # spans read at once


@bp.route("/graphs/<name>.csv")
def csv(name: str) -> ResponseReturnValue:
    """Every line of the period: a row a span, or a row a sample (`step=raw`)."""
    try:
        asked, step = graphs.understood(name), _step()
    except PeriodError as error:
        return graphs.refused(error)
    if asked is None:
        return graphs.missing()
    rows = exports.csv_rows((line, _points(line, asked, step)) for line in _chosen(asked))
    return files.sent(rows, exports.CSV, _name(asked, step), "csv")


@bp.route("/graphs/<name>.json")
def as_json(name: str) -> ResponseReturnValue:
    """The same as JSON, with thresholds and incidents."""
    try:
        asked, step = graphs.understood(name), _step()
    except PeriodError as error:
        return graphs.refused(error)
    if asked is None:
        return graphs.missing()
    limits = thresholds.effective(db(), host_id())
    head = {
        "metric": exports.metric(asked.metric),
        "period": {
            "from": asked.period.start,
            "to": asked.period.end,
            "step": asked.period.step if step is None else step,
        },
    }
    lines = (
        exports.json_list(
            _line_head(line, asked, pictures.threshold(limits, line)),
            "points",
            exports.json_points(_points(line, asked, step)),
        )
        for line in _chosen(asked)
    )
    return files.sent(exports.json_list(head, "lines", lines), exports.JSON, _name(asked, step), "json")


def _step() -> int | None:
    """Seconds a point as asked for; 0 for every sample, None for the page's own. Raises PeriodError."""
    given = periods.one(request.args.getlist("step"), "step")
    if given and given not in data_routes.STEPS:
        raise PeriodError(
            N_("“%(value)s” is not a step: expected %(known)s."), value=given[:40], known=", ".join(data_routes.STEPS)
        )
    return None if not given else 0 if given == "raw" else int(given)


def _chosen(asked: Asked) -> tuple[Series, ...]:
    return (asked.chosen,) if asked.chosen else asked.lines


def _points(line: Series, asked: Asked, step: int | None) -> Iterator[Point]:
    """The period's spans; some at a time, so that a year of minutes needs no memory."""
    wide = asked.period.step if step is None else step
    start, end = max(asked.period.start, line.first_at), min(asked.period.end, now() + 1)
    start -= start % (wide or 60)
    length = CHUNK * (wide or 60)
    for first in range(start, end, length):
        last = min(first + length, end)
        if wide:
            yield from read.points(db(), host_id(), line, first, last, wide)
        else:
            for sample in read.samples(db(), host_id(), line, max(first, asked.period.start), last - 1):
                yield Point(sample.at, sample.value, sample.value, sample.value, 1)


def _line_head(line: Series, asked: Asked, found: thresholds.Threshold | None) -> Object:
    return {
        "id": line.id,
        "labels": json.loads(line.labels),
        "threshold": {"above": found.above, "warning": found.warning, "critical": found.critical} if found else None,
        "incidents": [
            {"id": one.id, "level": one.level, "from": one.since_at, "to": one.ended_at}
            for one in incidents.of_span(
                db(), host_id(), line.metric.name, line.labels, pictures.JUDGED, asked.period.start, asked.period.end
            )
        ],
    }


def _name(asked: Asked, step: int | None) -> str:
    period = asked.period
    ending = period.key or f"{period.start}-{period.end}"
    fine = "" if step is None else f"-{step or 'raw'}"
    return f"{asked.metric.name.replace(':', '_')}-{ending}{fine}"
