"""What stands around every page: the bar with its counts, the mark in the tab, when the figures were taken."""

import sqlite3
from functools import cache
from typing import NamedTuple, cast
from urllib.parse import urlencode

from flask import Flask, g, request, url_for

from alerts.words import N_
from archive import database
from web import access, logins, machines, state, store
from web.access import Who
from web.words import LANGUAGES, _, _n, words


class Item(NamedTuple):
    """A place in the bar."""

    label: str
    url: str
    here: bool
    open: int = 0  # a number beside the word
    open_words: str = ""


class Shell(NamedTuple):
    host: str
    favicon: str  # ok, warning, critical, unknown
    items: list[Item]
    other_language: str
    other_url: str  # this page in that language, with all that was asked of it
    person: str
    taken: str
    version: str


ROOMS = (
    (N_("Overview"), "overview.page"),
    (N_("Graphs"), "graphs.page"),
    (N_("Users"), "users.page"),
    (N_("Incidents"), "incidents.page"),
    (N_("Security"), "security.page"),
    (N_("Thresholds"), "thresholds.page"),
    (N_("System"), "about.page"),
)
# The tabs of the last room.
SYSTEM = (
    (N_("System"), "about.page"),
    (N_("Probes"), "probes.page"),
    (N_("Mails"), "mails.page"),
    (N_("Recipients"), "recipients.page"),
    (N_("Planned work"), "windows.page"),
    (N_("Data"), "data.page"),
    (N_("Tokens"), "tokens.page"),
)

# The tabs of the list of machines.
FLEET = (
    (N_("Machines"), "hosts.page"),
    (N_("Users"), "everywhere.users"),
    (N_("Security"), "everywhere.security"),
    (N_("Thresholds"), "fleet.page"),
)


def shell() -> Shell:
    """Never fails, and tells a stranger nothing: on an error page there may be no database, and nobody logged in."""
    told = None
    host = _("this machine")
    person = ""
    fleet = False
    if not g.get("stranger"):
        try:
            found = logins.current()
            person = found.person if found else ""
            if access.allowed(Who.READING):
                host = _rows().host
                told = present()
                fleet = machines.any_here()
        except (database.DatabaseError, sqlite3.Error, OSError):
            pass
    other = next(one for one in LANGUAGES if one != words().language) if request.endpoint != "login.first_page" else ""
    return Shell(host, _favicon(told), _items(told, fleet=fleet), other, _in(other), person, _taken(told), version())


def _in(language: str) -> str:
    asked = [(name, value) for name, value in request.args.items(multi=True) if name != "lang"]
    return f"?{urlencode([*asked, ('lang', language)])}"


def present() -> state.State:
    """The machine's state, once a request."""
    if "state" not in g:
        g.state = state.of_rows(_rows(), store.now())
    return cast(state.State, g.state)


def _rows() -> state.Rows:
    """A page that shows what is kept, and no more, does not even open the database."""
    return store.kept("state", lambda: state.rows(store.db(), store.host_id()))


def _favicon(told: state.State | None) -> str:
    return told.word if told is not None and told.fresh else "unknown"


def _items(told: state.State | None, *, fleet: bool) -> list[Item]:
    here = (request.endpoint or "").partition(".")[0]
    here = "about" if here in {endpoint.partition(".")[0] for _label, endpoint in SYSTEM} else here
    items = []
    if fleet:
        # The list is the centre's, whichever machine's page this is.
        items.append(Item(_("Machines"), machines.outside() + "/hosts", here in ("hosts", "fleet", "everywhere")))
    for label, endpoint in ROOMS:
        if machines.name() and endpoint.partition(".")[0] not in machines.ROOMS:
            continue
        count = len(told.open) if told and endpoint == "incidents.page" else 0
        words_of = _n("%(num)s open", "%(num)s open", count) if count else ""
        items.append(Item(_(label), url_for(endpoint), endpoint.partition(".")[0] == here, count, words_of))
    if machines.name():
        items.append(Item(_("Thresholds"), url_for("thresholds.page"), False))
        if logins.is_administrator():
            items.append(Item(_("Mails"), url_for("mails.page"), request.endpoint == "mails.page"))
    return items


def _taken(told: state.State | None) -> str:
    if told is None:
        return ""
    if told.last_at is None:
        return _("No figures yet")
    return _("Figures taken %(when)s", when=words().moment(told.last_at, store.now()))


@cache
def version() -> str:
    """The version is the first heading of CHANGELOG.md: one truth."""
    from web.__main__ import version as of_changelog

    try:
        return of_changelog()
    except OSError:
        return "0"


def install(app: Flask) -> None:
    app.context_processor(lambda: {"shell": shell, "system_tabs": SYSTEM, "hosts_tabs": FLEET})
