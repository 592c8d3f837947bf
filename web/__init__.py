"""The dashboard: a Flask application made by `create_app`. Nothing happens at import."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

from archive import clock
from archive.settings import ROOT, Settings

if TYPE_CHECKING:
    from flask import Flask

# What is set up for every answer, in this order.
FOUNDATIONS = (
    "machines",
    "hosts",
    "intake",
    "store",
    "words",
    "headers",
    "forms",
    "logins",
    "access",
    "mistakes",
    "shell",
)
# Every room of the site. A name here is a module of web.pages with a blueprint `bp`.
PAGES = (
    "overview",
    "graphs",
    "users",
    "incidents",
    "security",
    "thresholds",
    "windows",
    "probes",
    "mails",
    "recipients",
    "about",
    "samples",
    "data",
    "tokens",
    "login",
    "hosts",
    "fleet",
    "everywhere",
)


def create_app(settings: Settings, *, wsgi: bool = False, now: Callable[[], int] = clock.now) -> Flask:
    """The application for these settings. `wsgi`: run by another server, so that nothing is open without log-in."""
    from flask import Flask

    app = Flask("web", root_path=f"{ROOT}/web", template_folder="../templates", static_folder="../static")
    app.config.update(
        VIGIE=settings,
        VIGIE_WSGI=wsgi,
        VIGIE_CLOCK=now,
        VIGIE_REFRESH=10,  # seconds between two questions of the first page's script
        MAX_CONTENT_LENGTH=64 << 10,
        MAX_FORM_MEMORY_SIZE=64 << 10,
        MAX_FORM_PARTS=1000,
    )
    # Before anything makes the environment, and setting `debug` does.
    app.jinja_options = {"trim_blocks": True, "lstrip_blocks": True}
    app.debug = False  # whatever FLASK_DEBUG says
    for name in FOUNDATIONS:
        import_module(f"web.{name}").install(app)
    for name in PAGES:
        app.register_blueprint(import_module(f"web.pages.{name}").bp)
    return app
