"""The description of the data cannot drift: every address is asked, and what it answers is held to what is written of it."""

import json

import pytest
from flask import Flask
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator, FormatChecker
from openapi_spec_validator import OpenAPIV31SpecValidator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from archive import database
from archive.certfr import document
from archive.certfr import store as publications
from tests import engines
from tests.web import site
from tests.web.site import NOW, Clock
from tests.web.test_access import VALUES, routes
from tests.web.test_data import publication
from tests.web.test_openmetrics import MODERN
from web import access, data_routes, mistakes
from web.access import Who
from web.data_routes import TABLE, Route

JSON_ROUTES = [
    (route, kind)
    for route in TABLE
    for kind, shape in route.answers.items()
    if shape is not None and kind == "application/json"
]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Incidents open and closed, users logged in, a publication: no list of an answer is empty."""
    path = site.filled(str(tmp_path_factory.mktemp("openapi") / "data"), 30, NOW - 40 * 60, disk=0.95, home=3e9)
    site.judged(path, 40, NOW, cpu=0.97, disk=0.40, home=3e9)
    with database.writer(path) as db, database.transaction(db):
        publications.put(db, document.from_json(publication(1, "alerte", "Un titre")), NOW)
    return path


@pytest.fixture(scope="module")
def app(data: str) -> Flask:
    return site.site(data)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture(scope="module")
def told(app: Flask) -> dict[str, object]:
    found: dict[str, object] = app.test_client().get("/openapi.json").get_json()
    return found


def validator(told: dict[str, object], schema: object) -> Draft202012Validator:
    whole = Resource(contents=told, specification=DRAFT202012)
    registry: Registry[object] = Registry().with_resource("urn:openapi", whole)
    placed = json.loads(json.dumps(schema).replace('"#/', '"urn:openapi#/'))
    return Draft202012Validator(placed, registry=registry, format_checker=FormatChecker())


def complaints(told: dict[str, object], schema: object, answer: object) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in validator(told, schema).iter_errors(answer)]


def test_the_document_is_valid(told: dict[str, object]) -> None:
    assert list(OpenAPIV31SpecValidator(told).iter_errors()) == []
    assert told["openapi"] == "3.1.0"


def test_every_answer_that_is_no_page_is_described(app: Flask) -> None:
    """Each address of the site is asked; what is neither a page nor a static file stands in the table, and the reverse."""
    client = app.test_client()
    described = {route.endpoint for route in TABLE}
    others = set()
    for endpoint, address, methods in list(routes(app)):
        if "GET" not in methods or endpoint == "static":
            continue
        page = client.get(address, headers={"Accept": "text/html"}, buffered=True)
        if page.status_code == 302 or endpoint == "overview.fragment":  # a part of a page, for its script
            continue
        if not (page.status_code == 200 and page.mimetype == "text/html") and page.status_code not in (405, 410):
            others.add(endpoint)
    missing = (
        others - described - {"users.one", "incidents.one", "security.one", "hosts.one"}
    )  # pages of what this archive may not hold
    assert missing == set(), "put them in web/data_routes.py"
    assert described <= {endpoint for endpoint, _address, _methods in routes(app)}


def test_the_walk_would_see_a_new_address(data: str) -> None:
    app = site.site(data)
    app.add_url_rule("/new.json", "new", lambda: {"a": 1})
    access.DOORS["new"] = access.READ
    try:
        with pytest.raises(AssertionError, match="data_routes"):
            test_every_answer_that_is_no_page_is_described(app)
    finally:
        del access.DOORS["new"]


def test_paths_and_parameters_are_those_of_the_router(app: Flask, told: dict[str, object]) -> None:
    rules = {rule.endpoint: rule.rule.replace("<", "{").replace(">", "}") for rule in app.url_map.iter_rules()}
    for route in TABLE:
        assert rules[route.endpoint] == route.path
        assert [p.name for p in route.parameters if p.place == "path"] == ["name"] * ("{name}" in route.path)
        names = [p.name for p in route.parameters]
        assert len(names) == len(set(names))
    paths = told["paths"]
    assert isinstance(paths, dict)
    assert set(paths) == {route.path for route in TABLE}


def test_who_may_is_told_as_the_table_of_doors_has_it(told: dict[str, object]) -> None:
    paths = told["paths"]
    assert isinstance(paths, dict)
    for route in TABLE:
        door = access.door(route.endpoint)
        assert door is not None
        security = paths[route.path]["get"]["security"]
        assert (security == []) == (door.look is Who.ANYONE), route
        assert ({"token": []} in security) == door.token, route


def address(route: Route) -> str:
    metric = {"thresholds.trial": "?metric=disk_used_ratio&key=warning&warning=90"}.get(route.endpoint, "")
    return route.path.replace("{name}", VALUES["name"]) + metric


@pytest.mark.parametrize("language", ["fr", "en"])
@pytest.mark.parametrize(("route", "kind"), JSON_ROUTES, ids=[route.endpoint for route, _kind in JSON_ROUTES])
def test_the_answer_has_the_shape_that_is_written(
    client: FlaskClient, told: dict[str, object], route: Route, kind: str, language: str
) -> None:
    answer = client.get(address(route), headers={"Accept-Language": language})
    assert answer.status_code == 200, answer.text
    assert answer.content_type == kind
    assert complaints(told, route.answers[kind], answer.get_json()) == []


def test_no_list_was_empty(client: FlaskClient) -> None:
    """What is held to a shape above must be there."""
    status = client.get("/status.json").get_json()
    assert status["incidents"]
    assert status["figures"]
    assert status["users"]
    assert {one["state"] for one in client.get("/incidents.json").get_json()["incidents"]} >= {"open", "resolved"}
    assert client.get("/security.json").get_json()["publications"]
    line = client.get("/graphs/disk_used_ratio.json").get_json()["lines"][0]
    assert line["points"]
    assert line["threshold"]


def test_a_field_too_many_or_too_few_would_be_seen(client: FlaskClient, told: dict[str, object]) -> None:
    status = client.get("/status.json").get_json()
    schema = {"$ref": "#/components/schemas/Status"}
    assert complaints(told, schema, status) == []
    assert complaints(told, schema, {**status, "more": 1})
    assert complaints(told, schema, {key: value for key, value in status.items() if key != "since_at"})
    assert complaints(told, schema, {**status, "now_time": "today"})


@pytest.mark.parametrize(
    "route", [one for one in TABLE if one.endpoint not in ("data.metrics",)], ids=lambda r: r.endpoint
)
def test_other_forms_have_the_content_type_that_is_written(client: FlaskClient, route: Route) -> None:
    assert [client.get(address(route), buffered=True).content_type] == list(route.answers)


def test_metrics_has_both_of_its_forms(client: FlaskClient) -> None:
    (route,) = [one for one in TABLE if one.endpoint == "data.metrics"]
    assert {client.get("/metrics").content_type, client.get("/metrics", headers=MODERN).content_type} == set(
        route.answers
    )


@pytest.mark.parametrize(
    ("path", "code"),
    [("/graphs/nothing.json", 404), ("/graphs/cpu_busy_seconds_total.csv?step=x", 400), ("/incidents.json?from=x", 400),
     ("/security.csv?kind=x", 400)],
)  # fmt: skip
def test_a_refusal_has_its_shape_and_is_written(
    client: FlaskClient, told: dict[str, object], path: str, code: int
) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.content_type) == (code, "application/problem+json")
    assert complaints(told, {"$ref": "#/components/schemas/Problem"}, answer.get_json()) == []
    plain = path.partition("?")[0].replace("nothing", "{name}").replace("cpu_busy_seconds_total", "{name}")
    paths = told["paths"]
    assert isinstance(paths, dict)
    assert str(code) in paths[plain]["get"]["responses"]


def test_a_failure_tells_a_program_its_number_and_no_more(data: str, told: dict[str, object]) -> None:
    app = site.site(data)

    def broken() -> str:
        raise RuntimeError("inner words")

    app.view_functions["data.status"] = broken
    answer = app.test_client().get("/status.json")
    assert answer.status_code == 500
    assert "inner words" not in answer.text
    assert complaints(told, {"$ref": "#/components/schemas/Problem"}, answer.get_json()) == []
    assert answer.get_json()["number"]
    assert mistakes.TITLES[500]


def test_healthz_is_200_while_fresh_and_503_when_old_or_empty_or_unreadable(
    data: str, tmp_path: object, told: dict[str, object]
) -> None:
    clock = Clock()
    client = site.site(data, clock).test_client()
    shape = {"$ref": "#/components/schemas/Health"}
    clock.at = NOW + 180
    fresh = client.get("/healthz")
    assert (fresh.status_code, fresh.get_json()) == (200, {"status": "fresh", "age_seconds": 180})
    clock.at = NOW + 181
    stale = client.get("/healthz")
    assert (stale.status_code, stale.get_json()) == (503, {"status": "stale", "age_seconds": 181})
    assert stale.headers["Retry-After"] == "60"
    empty = site.site(site.folder(f"{tmp_path}/empty")).test_client().get("/healthz")
    assert (empty.status_code, empty.get_json()) == (503, {"status": "stale", "age_seconds": None})
    path = site.folder(f"{tmp_path}/broken")
    client = site.site(path).test_client()
    with engines.unreadable(path):
        broken = client.get("/healthz")
    assert (broken.status_code, broken.get_json()) == (503, {"status": "unknown", "age_seconds": None})
    for answer in (fresh, stale, empty, broken):
        assert complaints(told, shape, answer.get_json()) == []


@pytest.mark.parametrize("language", ["fr", "en"])
def test_the_page_for_people_lists_every_address_with_examples_that_answer(client: FlaskClient, language: str) -> None:
    html = client.get("/data", headers={"Accept-Language": language}).text
    text = site.Page(html).text
    links = {link["href"] for link in site.Page(html).all("a")}
    for route in TABLE:
        if route.listed:
            assert route.path in text
            assert f"http://localhost{route.example}" in links
            assert client.get(route.example, buffered=True).status_code == 200, route.example
    assert "curl" in text


def test_the_page_shows_the_token_s_place_where_one_is_needed(data: str) -> None:
    site.add_person(data)
    client = site.site(data, VIGIE_READ="login").test_client()
    site.log_in(client)
    assert "Authorization: Bearer vigie_" in client.get("/data").text


def test_steps_of_the_table_are_those_of_the_code() -> None:
    (step,) = {one.schema["enum"][0]: one for route in TABLE for one in route.parameters if one.name == "step"}.values()
    assert tuple(step.schema["enum"]) == data_routes.STEPS
