"""The shapes of what other programs read, as JSON Schema (2020-12): /openapi.json holds them, tests hold answers to them.

Every object is closed: a field that is added in code and not here fails a test.
"""

from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number"}
INTEGER: Schema = {"type": "integer"}
BOOLEAN: Schema = {"type": "boolean"}
LABELS: Schema = {"type": "object", "additionalProperties": TEXT}
LEVEL: Schema = {"type": "string", "enum": ["warning", "critical"]}
UNIT: Schema = {
    "type": "string",
    "enum": ["ratio", "bytes", "seconds", "celsius", "count", "bytes_rate", "count_rate", ""],
    "description": "ratio: 0 to 1; ..._rate: per second; empty when nothing is known of the metric",
}


def an_object(**fields: Schema) -> Schema:
    """With exactly these fields."""
    return {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}


def a_list(of: Schema) -> Schema:
    return {"type": "array", "items": of}


def maybe(what: Schema) -> Schema:
    """Or null."""
    return {"anyOf": [what, {"type": "null"}]}


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def when(name: str, *, null: bool = True) -> dict[str, Schema]:
    """A time as both of its fields (web/exports.py)."""
    text: Schema = {"type": "string", "format": "date-time"}
    seconds: Schema = {"type": "integer", "description": "seconds since 1970, UTC"}
    return {f"{name}_time": maybe(text) if null else text, f"{name}_at": maybe(seconds) if null else seconds}


INCIDENT = an_object(
    id=INTEGER,
    title=TEXT,
    kind={"type": "string", "enum": ["threshold", "silent", "forecast", "advisory"]},
    metric=TEXT,
    labels=LABELS,
    unit=UNIT,
    state={"type": "string", "enum": ["pending", "open", "eased", "resolved"]},
    level=LEVEL,
    **when("since", null=False),
    **when("opened", null=False),
    **when("ended"),
    end_reason=TEXT,
    last_value=NUMBER,
    peak=NUMBER,
    **when("peak", null=False),
    cause=maybe({"type": "integer", "description": "the number of the incident that this one comes with"}),
    **when("acknowledged"),
)
POINT = {
    "type": "object",
    "properties": {
        "time": {"type": "string", "format": "date-time"},
        "at": INTEGER,
        "mean": NUMBER,
        "least": NUMBER,
        "greatest": NUMBER,
        "samples": INTEGER,
    },
    "required": ["time", "at", "mean", "least", "greatest", "samples"],
    "additionalProperties": False,
}
METRIC = an_object(
    name=TEXT, kind={"type": "string", "enum": ["gauge", "counter"]}, unit=UNIT, help=TEXT, help_fr=TEXT, probe=TEXT
)
PUBLICATION = an_object(
    reference=TEXT,
    kind={"type": "string", "enum": ["alerte", "avis"]},
    title=TEXT,
    status={"type": "string", "enum": ["open", "closed", "unknown"]},
    **when("last"),
    verdict={"type": "string", "enum": ["affected", "to_check", "not_affected", ""], "description": "empty: undecided"},
    package=TEXT,
    installed=TEXT,
    offered=TEXT,
    **when("fixed"),
    **when("dismissed"),
    url=TEXT,
)
STATUS = an_object(
    format={"type": "integer", "const": 1},
    host=TEXT,
    **when("now", null=False),
    state={
        "type": "string",
        "enum": ["ok", "warning", "critical", "unknown", "empty"],
        "description": "unknown: the newest figures are older than three rhythms; empty: there are none yet",
    },
    exit={"type": "integer", "enum": [0, 1, 2, 3], "description": "the exit status of ./vigie status"},
    **when("since"),
    **when("last"),
    rhythm_seconds=INTEGER,
    incidents=a_list({**INCIDENT, "properties": {**INCIDENT["properties"], "advice": TEXT},
                      "required": [*INCIDENT["required"], "advice"]}),
    figures=a_list(
        an_object(
            metric=TEXT,
            labels=LABELS,
            unit=UNIT,
            value=NUMBER,
            **when("value", null=False),
            state={"type": "string", "enum": ["ok", "warning", "critical", "unknown"]},
            **when("full"),
        )
    ),
    users=a_list(
        an_object(
            user=TEXT,
            logged_in=BOOLEAN,
            cpu_cores=maybe(NUMBER),
            memory_bytes=maybe(NUMBER),
            processes=maybe(NUMBER),
            home_bytes=maybe(NUMBER),
        )
    ),
    certfr=an_object(
        **when("read"),
        failed=BOOLEAN,
        to_check=INTEGER,
        concerning=a_list(
            an_object(reference=TEXT, title=TEXT, status=TEXT, package=TEXT, installed=TEXT, offered=TEXT)
        ),
    ),
    **when("mail_waits_since"),
)  # fmt: skip
HEALTH = an_object(
    status={
        "type": "string",
        "enum": ["fresh", "stale", "unknown"],
        "description": "fresh: figures come in; stale: none for three rhythms, or none ever; unknown: the database cannot be read",
    },
    age_seconds=maybe({"type": "integer", "description": "of the newest figures; null when there are none"}),
)
PROBLEM = {
    "type": "object",
    "properties": {"type": TEXT, "title": TEXT, "status": INTEGER, "detail": TEXT, "number": TEXT},
    "required": ["type", "title", "status", "detail"],
    "additionalProperties": False,
    "description": "RFC 9457. `number` stands in the dashboard's log.",
}
SAMPLES = an_object(
    metric=ref("Metric"),
    period={
        "type": "object",
        "properties": {"from": INTEGER, "to": INTEGER, "step": INTEGER},
        "required": ["from", "to", "step"],
        "additionalProperties": False,
        "description": "step: seconds a point; 0: every sample as it was archived",
    },
    lines=a_list(
        an_object(
            id=INTEGER,
            labels=LABELS,
            threshold=maybe(an_object(above=BOOLEAN, warning=maybe(NUMBER), critical=maybe(NUMBER))),
            incidents=a_list(
                {
                    "type": "object",
                    "properties": {"id": INTEGER, "level": LEVEL, "from": INTEGER, "to": maybe(INTEGER)},
                    "required": ["id", "level", "from", "to"],
                    "additionalProperties": False,
                }
            ),
            points=a_list(ref("Point")),
        )
    ),
)
METRICS = an_object(
    host=TEXT,
    metrics=a_list(
        an_object(
            **METRIC["properties"],
            lines=a_list(an_object(id=INTEGER, labels=LABELS, value=maybe(NUMBER), **when("value"))),
        )
    ),
)
INCIDENTS = an_object(host=TEXT, incidents=a_list(ref("Incident")))
PUBLICATIONS = an_object(host=TEXT, publications=a_list(ref("Publication")))
LIVE = an_object(
    at=TEXT,
    rows=a_list(an_object(name=TEXT, label=TEXT, share={"type": "number", "minimum": 0, "maximum": 1}, text=TEXT)),
)
TRIAL = an_object(errors={"type": "object", "additionalProperties": TEXT}, sentence=TEXT)

NAMED: dict[str, Schema] = {
    "Metric": METRIC,
    "Point": POINT,
    "Incident": INCIDENT,
    "Publication": PUBLICATION,
    "Status": STATUS,
    "Health": HEALTH,
    "Problem": PROBLEM,
    "Samples": SAMPLES,
    "Metrics": METRICS,
    "Incidents": INCIDENTS,
    "Publications": PUBLICATIONS,
    "Live": LIVE,
    "Trial": TRIAL,
}
