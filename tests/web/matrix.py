"""Every page of the site in every state of the machine, as an administrator, a reader and a stranger see it.

The pages are found in the application's own map of addresses: a new one is covered by being there, and one with a part
to fill in needs an example in EXAMPLES. A `View` is one page in one state, seen in one way; `pairs` chooses so that any
two of page, state, look and language meet, `everything` leaves none out. `visit` looks and says what is wrong.

tests/web/test_matrix.py visits the choice; tests/full/matrix.py everything, and writes down what it found.
"""

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from flask import Flask

from archive import database, incidents
from archive.fleet import deciding, parcel
from tests import cycles
from tests.fleet import test_deciding
from tests.fleet.fleet import Centre, centre_data, head
from tests.fleet.test_taking import incident
from tests.web import site, year
from tests.web.browsing import Served, Watched
from tests.web.site import NOW
from web import first

LOOKS = tuple((width, scheme) for scheme in ("light", "dark") for width in (1280, 390))
LOCALES = ("fr-FR", "en-GB")
STATES = ("year", "empty", "stale", "open")
ADMIN, READER, STRANGER = "admin", "lecteur", ""
# Values for the parts of an address; {incident} is the newest one of the state.
EXAMPLES = {
    "users.one": {"name": "{user}"},
    "incidents.one": {"number": "{incident}"},
    "security.one": {"reference": "CERTFR-2026-ALE-990"},
    "thresholds.one": {"metric": "disk_used_ratio"},
    "graphs.one": {"name": "cpu_busy_seconds_total"},
    "hosts.one": {"name": "nobody"},
}
# What is no page, or is shown below: files, figures for programs, the link that is used once.
NO_PAGE = ("static", "overview.fragment", "login.first_page")
MORE = (
    "/users?period=30d&sort=home",
    "/security?verdict=to_check",
    "/graphs/user_cpu_seconds_total?period=1y",
)
# Pages of mistakes, each with the status it must have.
WRONG = {
    "/nothing": 404,
    "/hosts/nobody": 404,
    "/graphs/cpu_busy_seconds_total?period=soon": 400,
    "/mails/retry": 405,
    "/broken": 500,
    "/first/an-old-link": 410,
}
# What differs for who is not logged in: no form, a way to the log-in, the log-in itself.
STRANGERS = (
    "/",
    "/login",
    "/incidents/{incident}",
    "/users/{user}",
    "/thresholds",
    "/thresholds/disk_used_ratio",
    "/windows",
)
NEW, AWAY, FLEET = "new", "away", "fleet"  # nobody has set a password yet; the database cannot be read; a centre
CONCERNING = "CERTFR-2026-AVI-0003"
# Of a centre: all its machines, and the pages of one of them.
MACHINES = ("/hosts", "/hosts?state=away", "/hosts/two/", "/hosts/two/incidents", "/hosts/two/graphs/", "/hosts/two/users",
            "/hosts/two/security", "/hosts/two/mails", "/hosts?tag=web", "/fleet/thresholds", "/fleet/thresholds?host=two",
            "/fleet/threshold?metric=disk_used_ratio&tag=web",
            "/hosts/users", "/hosts/security", "/users/user0", f"/security/{CONCERNING}")  # fmt: skip
DOCKER: list[list[object]] = [["docker-ce", "5:27.0.1-1", "amd64", "docker-ce", "5:27.0.1-1", "third party"]]


class View(NamedTuple):
    """One page in one state, seen in one way."""

    state: str
    reader: str
    address: str
    locale: str
    width: int
    scheme: str


class Found(NamedTuple):
    """What is wrong, and how much was looked at."""

    wrong: list[str]
    pages: int  # loaded
    views: int  # axe runs


class State(NamedTuple):
    served: Served
    pages: dict[str, tuple[str, ...]]  # reader -> addresses
    statuses: dict[str, int]  # address -> what it must answer, where that is not 200; of one reader: "lecteur /mails"


@contextmanager
def states(scratch: str, a_year: str) -> Iterator[dict[str, State]]:
    """Each state behind its own server, with what it is looked at for."""
    paths = {name: os.path.join(scratch, name) for name in ("open", "empty", NEW, AWAY)}
    site.filled(paths["open"], 40, cpu=0.97, home=3e9)
    for name in ("empty", NEW, AWAY):
        site.folder(paths[name])
    for name in ("open", "empty"):
        site.add_person(paths[name])
    site.add_person(paths["open"], READER, role="reader")
    link = first.first_link(site.config(paths[NEW]), NOW) or ""
    os.remove(os.path.join(paths[AWAY], database.NAME))
    started = {
        "year": serve(a_year, year.NOW + 20),
        "empty": serve(paths["empty"], NOW),
        "stale": serve(a_year, year.NOW + 3600),
        "open": serve(paths["open"], NOW),
        NEW: serve(paths[NEW], NOW),
        AWAY: serve(paths[AWAY], NOW),
        FLEET: serve(centre(os.path.join(scratch, FLEET)), NOW),
    }
    found = {name: _state(name, started[name]) for name in STATES}
    found["open"].pages[READER] = ("/mails", "/sessions")
    found["open"].statuses[f"{READER} /mails"] = 403
    found[NEW] = State(started[NEW], {STRANGER: (link[link.index("/first/") :], "/login", "/")}, {})
    found[FLEET] = State(started[FLEET], {ADMIN: MACHINES, STRANGER: MACHINES[:3]}, {})
    found[AWAY] = State(started[AWAY], {STRANGER: ("/", "/about")}, {"/": 503, "/about": 503})
    try:
        yield found
    finally:
        for one in started.values():
            one.close()
        for path in paths.values():
            shutil.rmtree(path, ignore_errors=True)


def centre(path: str) -> str:
    """A centre's data folder: one machine is well, one critical, one silent for an hour, one was never heard."""
    made = Centre(centre_data(path, "sqlite"))
    cycles.archive(path, NOW, cycles.machine(NOW))
    for name, tags in (("one", "web paris"), ("two", "web"), ("three", "")):
        token = made.add(name, tags)
        made.clock.now = NOW - 3600 if name == "three" else NOW
        told = [cycles.spool_text(made.clock.now - ago, cycles.machine(made.clock.now - ago)) for ago in (120, 60)]
        rows = {"incident": [incident()]} if name == "two" else {}
        rows |= {"system": [[*test_deciding.DEBIAN, 0]], "package": DOCKER}
        made.post(token, parcel.Parcel(head(name, now=made.clock.now, rows=rows), told))
    made.add("four")
    test_deciding.published(made)
    deciding.turn(path, NOW)
    site.add_person(path)
    return path


def serve(path: str, at: int) -> Served:
    app = site.site(path, lambda: at)
    app.add_url_rule("/broken", "graphs.broken", _broken)  # an endpoint that everybody may ask for
    return Served(path, app=app)


def _broken() -> str:
    raise RuntimeError("a mistake of ours, made on purpose")


def _state(name: str, one: Served) -> State:
    known = examples(one.path)
    strange = tuple(address.format(**known) for address in STRANGERS)
    there = name != "empty"
    return State(
        one,
        {ADMIN: tuple(pages(one.app, known)), STRANGER: strange},
        WRONG
        | ({} if name in ("year", "stale") else {"/security/CERTFR-2026-ALE-990": 404})
        | (
            {}
            if there
            else dict.fromkeys(
                (
                    *strange[2:4],
                    strange[5],
                    "/graphs/cpu_busy_seconds_total",
                    "/graphs/cpu_busy_seconds_total?period=soon",
                    MORE[2],
                ),
                404,
            )
        ),
    )


def examples(path: str) -> dict[str, str]:
    with database.reader(path) as db:
        newest = incidents.recent(db, 1, 1)
    return {"incident": str(newest[0].id if newest else 1), "user": "alice" if path.endswith("year") else "user0"}


def rules(app: Flask) -> Iterator[Any]:
    """What the map answers to a GET, but for files and figures for programs."""
    for rule in app.url_map.iter_rules():
        file = "." in rule.rule.rsplit("/", 1)[-1]
        if "GET" in (rule.methods or ()) and not file and rule.endpoint not in (*NO_PAGE, "graphs.broken"):
            yield rule


def lacking(app: Flask) -> list[str]:
    """Addresses with a part to fill in that have no example."""
    return [rule.rule for rule in rules(app) if rule.arguments - EXAMPLES.get(rule.endpoint, {}).keys()]


def pages(app: Flask, known: dict[str, str]) -> list[str]:
    """Every page's address, examples filled in; /metrics and /healthz are answers for programs."""
    with app.test_request_context():
        found = [
            app.url_for(
                rule.endpoint,
                **{name: value.format(**known) for name, value in EXAMPLES.get(rule.endpoint, {}).items()},
            )
            for rule in rules(app)
            if rule.rule not in ("/metrics", "/healthz", "/login")
            and rule.arguments <= EXAMPLES.get(rule.endpoint, {}).keys()
        ]
    return sorted({*found, *MORE, *WRONG})


def everything(states: dict[str, State]) -> list[View]:
    return [
        View(name, reader, address, locale, width, scheme)
        for name, one in states.items()
        for reader, addresses in one.pages.items()
        for address in addresses
        for locale in LOCALES
        for width, scheme in LOOKS
    ]


def pairs(states: dict[str, State], part: int = 0, of: int = 1) -> list[View]:
    """Each page once in each state; look and language turn with page and state, so that any two of the four meet.

    `of`: only one of so many of these, the `part`th; up to three, and each page is in one state at least still.
    """
    found = []
    for turn, (name, one) in enumerate(states.items()):
        for reader, addresses in one.pages.items():
            for place, address in enumerate(addresses):
                if (place + turn) % of == part:
                    width, scheme = LOOKS[(place + turn) % 4]
                    found.append(View(name, reader, address, LOCALES[(place + turn // 2) % 2], width, scheme))
    return found


def visit(browser: Any, states: dict[str, State], views: Iterable[View]) -> Found:
    """Each page with axe in each of its looks, its width at 320 pixels, its text without a script, and what the console says."""
    ways: dict[tuple[str, str, str], dict[str, list[tuple[int, str]]]] = {}
    for view in views:
        ways.setdefault((*view[:2], view.locale), {}).setdefault(view.address, []).append((view.width, view.scheme))
    wrong, loaded, seen = [], 0, 0
    for (name, reader, locale), plan in ways.items():
        one = states[name]
        watched, plain = Watched(browser, locale=locale), Watched(browser, locale=locale, java_script_enabled=False)
        for each in (watched, plain) if reader else ():
            each.log_in(one.served.url, reader)
        for address, looks in plan.items():
            where = f"{name} {reader or 'stranger'} {locale} {address}"
            status = one.statuses.get(f"{reader} {address}", one.statuses.get(address, 200))
            wrong += [f"{where}: {told}" for told in _seen(watched, plain, one, address, status, looks)]
            loaded, seen = loaded + 2, seen + len(looks)
        for each in (watched, plain):
            wrong += [f"{name} {locale}: {said}" for said in each.complaints() + each.outside]
            each.context.close()
    return Found(wrong, loaded, seen)


def _seen(
    watched: Watched, plain: Watched, one: State, address: str, status: int, looks: list[tuple[int, str]]
) -> Iterator[str]:
    for each in (watched, plain):
        each.look(1280, "light")
        answer = each.open(one.served.url + address)
        if answer.status != status:
            yield f"answers {answer.status}"
    texts = [_text(each) for each in (watched, plain)]
    # Each of the two readers sees which of the sessions is its own.
    if texts[0] != texts[1] and address != "/sessions":
        yield f"says something else without a script: {_differ(*texts)}"
    if len(texts[0]) < 30:
        yield "says next to nothing"
    for width, scheme in looks:
        watched.look(width, scheme)
        for found in watched.violations():
            yield f"{width} {scheme}: {found}"
        if watched.overflow() > 0:
            yield f"{watched.overflow()} pixels too wide at {width}"
    watched.look(320, "light")
    if watched.overflow() > 0:
        yield f"{watched.overflow()} pixels too wide at 320"


def _text(watched: Watched) -> str:
    """What the page says, but for the figures of this very second and the number of a mistake."""
    text: str = watched.page.inner_text("main")
    for changing in ("#live", ".empty p > code"):
        for part in watched.page.locator(changing).all():
            text = text.replace(part.inner_text(), "")
    return " ".join(text.split())


def _differ(one: str, other: str) -> str:
    at = next(
        (place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )
    return f"{one[max(0, at - 20) : at + 40]!r} and {other[max(0, at - 20) : at + 40]!r}"
