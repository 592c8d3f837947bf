"""The probes: what each said last, when, how long it took. Their texts are the administrator's alone to read."""

import os
from typing import NamedTuple

from flask import Blueprint, render_template

from alerts import reasons
from archive import pseudonyms, read, text
from web import store
from web.shell import present
from web.words import words

bp = Blueprint("probes", __name__)
LONGEST = 20_000  # characters of a text that are shown


class Told(NamedTuple):
    probe: read.Probe
    badge: str
    reason: str  # in the reader's words, where it is one that is known
    text: str


@bp.route("/probes")
def page() -> str:
    found = present()
    told = [
        Told(one, _badge(one, found.rhythm, found.last_at or 0), reasons.told(one.reason, words()), _text(one.name))
        for one in _probes()
    ]
    told.sort(key=lambda one: (one.badge not in ("critical", "unknown"), one.probe.name))
    return render_template("probes.html", probes=told, state=found, now=store.now())


def _probes() -> list[read.Probe]:
    return read.probes(store.db(), store.host_id())


def _badge(probe: read.Probe, rhythm: int, newest: int) -> str:
    if not present().fresh or newest - probe.at > 3 * rhythm * probe.every + 60:
        return "unknown"
    return {"ok": "ok", "failed": "critical", "unavailable": "closed"}[probe.state]


def _text(name: str) -> str:
    """The latest text as the runner kept it. The name comes from the database, and is a bare file name or nothing."""
    if not name or name != os.path.basename(name) or name.startswith("."):
        return ""
    path = os.path.join(store.settings().data, "probes", f"{name}.prom")
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ""
    with open(fd, "rb") as file:
        raw = file.read(text.MAX_BYTES + 1)
    people = pseudonyms.of(store.db())
    said = (pseudonyms.section(raw, people) if people else raw).decode("utf-8", "replace")
    return said if len(said) <= LONGEST else f"{said[:LONGEST]}\n…"
