"""Every address that answers programs: what it gives, by which parameters, in which shape. One table.

/openapi.json (web/openapi.py) and the page /data are made of it. tests/web/test_openapi.py walks the site's own map of
addresses, asks each, and fails on an answer that is no page and stands in no line here.
"""

from typing import NamedTuple

from alerts.words import N_
from web import exports, openmetrics
from web.schemas import Schema, ref

ATOM = "application/atom+xml; charset=utf-8"
SVG = "image/svg+xml; charset=utf-8"
STEPS = ("raw", "60", "300", "900", "3600", "86400")
STATES = ("open", "closed")


class Parameter(NamedTuple):
    name: str
    about: str
    schema: Schema
    place: str = "query"


class Route(NamedTuple):
    """`answers`: content type -> shape, None where it is no JSON. `example`: the address as one would type it."""

    endpoint: str
    path: str
    about: str  # msgid
    answers: dict[str, Schema | None]
    parameters: tuple[Parameter, ...] = ()
    example: str = ""
    errors: tuple[int, ...] = ()
    listed: bool = True  # on the page for people; False: only the site's own script asks for it


_TIME = "2026-11-23, 2026-11-23T18:40 (the reader's clock), or seconds since 1970"
_NAME = Parameter("name", "A metric's name, as /metrics.json lists them.", {"type": "string"}, "path")
_SPAN = (
    Parameter("from", f"From when: {_TIME}.", {"type": "string"}),
    Parameter("to", "Until when, likewise; now when left out.", {"type": "string"}),
)
_PERIOD = (
    Parameter("period", "How far back from now; or else from and to.",
              {"type": "string", "enum": ["1h", "24h", "7d", "30d", "1y", "all"], "default": "24h"}),
    *_SPAN,
    Parameter("line", "One line only, by its id.", {"type": "integer"}),
)  # fmt: skip
_STEP = Parameter(
    "step",
    "Seconds a point: least, greatest and mean of each span. raw: every sample as it was archived, packed days too."
    " Left out: as coarse as the page's graph.",
    {"type": "string", "enum": list(STEPS)},
)
_LANG = Parameter("lang", "Language of titles; else Accept-Language decides.", {"type": "string", "enum": ["fr", "en"]})
_INCIDENTS = (*_SPAN, Parameter("state", "Only these.", {"type": "string", "enum": list(STATES)}), _LANG)
_SECURITY = (
    Parameter("kind", "Alerts or advisories only.", {"type": "string", "enum": ["alerte", "avis"]}),
    Parameter("verdict", "Only those of this verdict.", {"type": "string", "enum": ["affected", "to_check", "not_affected"]}),
    Parameter("q", "Looked for in title and reference.", {"type": "string", "maxLength": 80}),
)  # fmt: skip

TABLE = (
    Route("about.healthz", "/healthz", N_("Whether figures come in: 200, or 503 when they are old. Open to anyone."),
          {exports.JSON: ref("Health")}, example="/healthz", errors=(503,)),
    Route("data.status", "/status.json", N_("The first screen: state, since when, open incidents, figures, users, CERT-FR."),
          {exports.JSON: ref("Status")}, (_LANG,), "/status.json"),
    Route("data.metrics", "/metrics", N_("The newest value of every line, for Prometheus (OpenMetrics or its older format)."),
          {openmetrics.OPENMETRICS: None, openmetrics.PLAIN: None}, example="/metrics"),
    Route("data.metrics_list", "/metrics.json", N_("Every metric with its unit, its lines and their newest values."),
          {exports.JSON: ref("Metrics")}, example="/metrics.json"),
    Route("samples.csv", "/graphs/{name}.csv", N_("The figures of one metric, a row a line and span."),
          {exports.CSV: None}, (_NAME, *_PERIOD, _STEP), "/graphs/disk_used_ratio.csv?period=7d&step=raw", (400, 404)),
    Route("samples.as_json", "/graphs/{name}.json", N_("The same with thresholds and incidents."),
          {exports.JSON: ref("Samples")}, (_NAME, *_PERIOD, _STEP), "/graphs/disk_used_ratio.json?period=24h", (400, 404)),
    Route("graphs.svg", "/graphs/{name}.svg", N_("The graph of one line, for a report."),
          {SVG: None}, (_NAME, *_PERIOD, _LANG), errors=(400, 404), listed=False),
    Route("data.incidents_csv", "/incidents.csv", N_("Every incident, the newest first."),
          {exports.CSV: None}, _INCIDENTS, "/incidents.csv?state=closed", (400,)),
    Route("data.incidents_json", "/incidents.json", N_("The same as JSON."),
          {exports.JSON: ref("Incidents")}, _INCIDENTS, "/incidents.json?from=2026-11-01", (400,)),
    Route("data.incidents_atom", "/incidents.atom", N_("The last incidents as a feed (Atom) for a reader of news."),
          {ATOM: None}, (_LANG,), "/incidents.atom"),
    Route("data.security_csv", "/security.csv", N_("Publications of CERT-FR with the verdict on this machine."),
          {exports.CSV: None}, _SECURITY, "/security.csv?verdict=affected", (400,)),
    Route("data.security_json", "/security.json", N_("The same as JSON."),
          {exports.JSON: ref("Publications")}, _SECURITY, "/security.json?kind=alerte", (400,)),
    Route("data.openapi_json", "/openapi.json", N_("All of this for programs, as OpenAPI 3.1 has it."),
          {exports.JSON: {"type": "object"}}, example="/openapi.json"),
    Route("overview.live_figures", "/live.json", N_("Figures of this second, for the first page’s script."),
          {exports.JSON: ref("Live")}, (_LANG,), listed=False),
    Route("thresholds.trial", "/trial.json", N_("What a level would have done in the last days, for the form’s script."),
          {exports.JSON: ref("Trial")}, (
              Parameter("metric", "The metric's name.", {"type": "string"}),
              Parameter("key", "Which of the page's fields.", {"type": "string"}),
              Parameter("line", "One line's labels as JSON.", {"type": "string"}),
              Parameter("warning", "As typed.", {"type": "string"}),
              Parameter("critical", "As typed.", {"type": "string"}),
              Parameter("minutes", "As typed.", {"type": "string"}),
          ), errors=(404,), listed=False),
)  # fmt: skip
