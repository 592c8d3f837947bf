"""The description of all data as OpenAPI 3.1, made of web/data_routes.py and web/schemas.py. Pure."""

from collections.abc import Callable, Iterable
from typing import Any

from web.data_routes import Parameter, Route
from web.schemas import NAMED, ref

ABOUT = (
    "Vigie watches one machine. Everything here reads; nothing can be changed by it. Times are UTC; a field that ends in"
    " _at holds seconds since 1970, one that ends in _time the same as ISO 8601. Values are in the metric's own unit (a"
    " ratio goes from 0 to 1). Where the dashboard asks for a log-in, send a token: Authorization: Bearer vigie_..."
)
ERRORS = {
    400: "A parameter cannot be used; `detail` says which and what was expected.",
    401: "A log-in or a token is asked for, or the token is not known.",
    404: "There is no such thing.",
    429: "Too many wrong tokens from this address; Retry-After says how long to wait, a minute at most.",
    503: "Old figures, or no database to read; Retry-After says when to ask again.",
}


def document(
    routes: Iterable[Route], version: str, server: str, opened_by: Callable[[str], tuple[bool, bool]]
) -> dict[str, Any]:
    """`opened_by(endpoint)`: (anyone may look, a token opens it), from the table of who may (web/access.py)."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "Vigie", "version": version, "description": ABOUT},
        "servers": [{"url": server}],
        "paths": {route.path: {"get": _operation(route, *opened_by(route.endpoint))} for route in routes},
        "components": {
            "schemas": NAMED,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "Made on the page /tokens."},
                "session": {"type": "apiKey", "in": "cookie", "name": "vigie", "description": "A person's log-in."},
            },
        },
    }


def _operation(route: Route, anyone: bool, token: bool) -> dict[str, Any]:
    answers: dict[str, Any] = {
        "200": {
            "description": "As asked.",
            "content": {kind: {"schema": shape or {"type": "string"}} for kind, shape in route.answers.items()},
        }
    }
    errors = {*route.errors} | ({401, 429} if token else set()) | ({503} if not anyone else set())
    for code in sorted(errors):
        answers[str(code)] = _error(route, code)
    found: dict[str, Any] = {
        "operationId": route.endpoint.replace(".", "_"),
        "summary": route.about,
        "responses": answers,
    }
    if route.parameters:
        found["parameters"] = [_parameter(one) for one in route.parameters]
    # {}: no log-in is needed where reading is open (VIGIE_READ).
    found["security"] = [] if anyone else [{}, {"session": []}, *([{"token": []}] if token else [])]
    return found


def _error(route: Route, code: int) -> dict[str, Any]:
    # A stale /healthz says so in its own shape.
    shape = (
        {"application/json": {"schema": ref("Health")}}
        if route.endpoint == "about.healthz"
        else {"application/problem+json": {"schema": ref("Problem")}}
    )
    return {"description": ERRORS[code], "content": shape}


def _parameter(one: Parameter) -> dict[str, Any]:
    return {
        "name": one.name,
        "in": one.place,
        "description": one.about,
        "required": one.place == "path",
        "schema": one.schema,
    }
