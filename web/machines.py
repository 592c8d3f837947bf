"""Every page for one machine of a fleet: /hosts/NAME/graphs is /graphs of that machine.

The prefix becomes part of the script's name, so that every link of a page stays with its machine and no page knows.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any

from flask import Flask

PREFIX = re.compile(r"(/hosts/([A-Za-z0-9][A-Za-z0-9._-]{0,62}))(/.*)")
NAME = "vigie.machine"
Environ = dict[str, Any]
Start = Callable[..., Any]


class Machines:
    def __init__(self, site: Callable[[Environ, Start], Iterable[bytes]]) -> None:
        self.site = site

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        found = PREFIX.fullmatch(environ.get("PATH_INFO", ""))
        if found:
            environ["SCRIPT_NAME"] = environ.get("SCRIPT_NAME", "") + found[1]
            environ["PATH_INFO"] = found[3]
            environ[NAME] = found[2]
        return self.site(environ, start)


def install(app: Flask) -> None:
    app.wsgi_app = Machines(app.wsgi_app)  # type: ignore[method-assign,assignment]
