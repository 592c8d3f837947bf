"""The first page: is anything wrong, since when, who or what, what do I do, will the disk be full?"""

import hashlib
from typing import NamedTuple

from flask import Blueprint, Response, current_app, jsonify, make_response, render_template, request, url_for

from alerts.words import Words
from archive import incidents, outbox, read, silences
from archive.certfr import machine, schedule
from archive.certfr import rows as publications
from archive.certfr.verdict import reason_text
from archive.incidents import Incident
from web import live, logins, machines, people, sentences, store, usage, works
from web.cards import Reading
from web.pages import security
from web.people import User
from web.sentences import Story
from web.shell import present
from web.state import State
from web.svg import Own, rendered
from web.words import _, _n, words

bp = Blueprint("overview", __name__)
USERS, CLOSED, ALERTS, CONCERNING = 10, 3, 4, 3


class Banner(NamedTuple):
    """One sentence, one more, and one thing to do."""

    word: str
    sentence: str
    more: str
    action: str
    url: str


class Parts(NamedTuple):
    """What changes from cycle to cycle, rendered."""

    sentence: str
    banner: Own
    rows: Own
    tag: str


@bp.route("/")
def page() -> str:
    """The whole page, with the figures of this second."""
    # Of this very second only this machine knows.
    now_figures = None if machines.name() else figures_now()
    return render_template("overview.html", now_figures=now_figures, parts=parts())


@bp.route("/fragment")
def fragment() -> Response:
    """What changes from cycle to cycle; 304 without a body when nothing did."""
    found = parts()
    answer = make_response(found.banner.markup + found.rows.markup)
    answer.set_etag(found.tag, weak=True)
    answer.make_conditional(request.environ)
    return answer


def parts() -> Parts:
    """Rendered once for all readers of a language, until a row or the minute changes."""
    key = (store.stamp(), store.now() // 60, present().fresh)
    who = (store.host_id(), words().language, logins.is_administrator(), request.script_root)
    kept: dict[object, tuple[object, Parts]] = current_app.extensions.setdefault("overview", {})
    known = kept.get(who)
    if known and known[0] == key:
        return known[1]
    values = told()
    banner_html = render_template("overview_banner.html", **values)
    rows_html = render_template("overview_rows.html", **values)
    tag = hashlib.sha256(f"{banner_html}{rows_html}".encode()).hexdigest()[:32]
    sentence = values["banner"].sentence if isinstance(values["banner"], Banner) else ""
    fresh = Parts(sentence, rendered(banner_html), rendered(rows_html), tag)
    kept[who] = (key, fresh)
    return fresh


@bp.route("/live.json")
def live_figures() -> Response:
    """The same figures for the script, in the reader's words."""
    return jsonify(figures_now())


def figures_now() -> dict[str, object]:
    """Figures of this second: shares 0 to 1, and each as it is read."""
    found, told = live.now(), words()
    rows: list[dict[str, object]] = [
        {"name": "cpu", "label": _("Processor"), "share": found.cpu, "text": told.percent(found.cpu, 0)},
        {"name": "memory", "label": _("Memory"), "share": found.memory, "text": told.percent(found.memory, 0)},
    ]
    if found.swap is not None:
        rows.append({"name": "swap", "label": _("Swap"), "share": found.swap, "text": told.percent(found.swap, 0)})
    rows.append(
        {
            "name": "load",
            "label": _("Load"),
            "share": min(1.0, found.load / found.cores),
            "text": told.number(found.load, 2),
        }
    )
    return {"at": told.clock(store.now(), seconds=True), "rows": rows}


def told() -> dict[str, object]:
    """Everything of the page that comes from the rows."""
    db, host, now, speak = store.db(), store.host_id(), store.now(), words()
    found = present()
    if found.word == "empty":
        return {"banner": banner(found, [], {}), "state": found, "now": now, "mails_late": mails_late(now)}
    metrics = {one.name: one for one in read.metrics(db)}
    open_stories = [sentences.story(one, metrics.get(one.metric), speak) for one in found.open]
    closed = recently_closed(now)[:CLOSED]
    closed_stories = [sentences.story(one, metrics.get(one.metric), speak) for one in closed]
    reading = Reading(db, host, speak, now, found.rhythm, fresh=found.fresh)
    concerning = security.current(machine.verdicts(db, host, "affected", 20))[:CONCERNING]
    shown = {one.reference for one in concerning}
    alerts = [one for one in publications.latest(db, "alerte", ALERTS + len(shown)) if one.reference not in shown][
        :ALERTS
    ]
    in_force = [one for one in alerts if one.status == "open"]
    everyone = people.users(db, host, reading.recent)
    known = any(one.account for one in everyone)
    # Services come after people: this is the page of a machine that people share.
    active = sorted(people.active(everyone), key=lambda one: usage.is_system(one, accounts_known=known))
    who = {one.id: mostly(one.incident, everyone, speak) for one in open_stories} if found.fresh else {}
    return {
        "state": found,
        "now": now,
        "banner": banner(found, open_stories, who),
        "mails_late": mails_late(now),
        "stories": open_stories,
        "who": who,
        "closed": closed_stories,
        "span": lambda incident: sentences.span(incident, now, speak),
        "alerts": in_force if in_force or concerning else alerts[:CLOSED],
        "in_force": in_force,
        "concerning": concerning,
        "why": lambda kept: reason_text(kept.as_verdict(), words().language),
        "verdict_counts": machine.counts(db, host),
        "alerts_read": schedule.source(db, schedule.ROUND),
        "cards": reading.cards(),
        "users": usage.of(db, host, active[:USERS], "now", reading.newest, speak),
        "users_more": len(everyone) - len(active[:USERS]),
        "people_in": sum(1 for one in everyone if one.sessions),
        "works": works.running(silences.silences(db, host, now), metrics, speak, now, store.settings().timezone),
        "levels": {name: _(word) for name, word in sentences.LEVELS.items()},
    }


def mails_late(now: int) -> outbox.Summary | None:
    """The outbox, where its oldest unsent mail has waited too long; None where mails leave."""
    found = outbox.summary(store.db())
    return found if found.oldest_at is not None and now - found.oldest_at > outbox.LATE else None


def recently_closed(now: int) -> list[Incident]:
    """Incidents that ended within two days, the newest first."""
    found = incidents.recent(store.db(), store.host_id(), 20)
    return [one for one in found if one.ended_at is not None and one.ended_at > now - 2 * 86_400]


def mostly(incident: Incident, everyone: list[User], speak: Words) -> str:
    """Who is behind it for the most part now: « surtout alice, 310 % »; '' where it is not a matter of one user's."""
    used = {"cpu_busy_seconds_total": "cpu", "memory_available_ratio": "memory", "memory_used_ratio": "memory"}
    name = used.get(incident.metric)
    shares = [(getattr(one, name) or 0.0, one.name) for one in everyone] if name else []
    most, who = max(shares, default=(0.0, ""))
    # Nobody in particular is no answer.
    if not most or 2 * most <= sum(share for share, _who in shares):
        return ""
    return _("mostly %(name)s, %(value)s", name=who, value=speak.value(most, "ratio" if name == "cpu" else "bytes"))


def banner(found: State, stories: list[Story], who: dict[int, str]) -> Banner:
    """The page in one sentence. `who`: by the incident's number, who is behind it."""
    told, now, host = words(), store.now(), read.host(store.db(), store.host_id()).name
    if found.word == "empty":
        return Banner("empty", _("Waiting for the first figures"), _("The first cycle takes a few seconds."), "", "")
    if found.word == "unknown" and found.last_at is not None:
        return Banner(
            "unknown",
            _("State unknown: no figures for %(span)s", span=told.duration(now - found.last_at)),
            _(
                "Nothing has come in since %(when)s; what stands below is from then.",
                when=told.moment(found.last_at, now),
            ),
            _("What to do?"),
            "#silent",
        )
    if found.word == "ok":
        since = told.duration(now - (found.since or now), rough=True)
        return Banner(
            "ok", _("All is well on %(host)s", host=host), _("for %(span)s, every threshold kept", span=since), "", ""
        )
    first = stories[0]
    sentence = _n("%(num)s open incident on %(host)s", "%(num)s open incidents on %(host)s", len(stories), host=host)
    more = _("%(title)s, %(span)s", title=first.title, span=sentences.span(first.incident, now, told))
    if who.get(first.id):
        more += f" · {who[first.id]}"
    rest = len(stories) - 1
    if rest:
        more += " · " + _n("and %(num)s more", "and %(num)s more", rest)
    return Banner(found.word, sentence, more, _("See what to do"), url_for("incidents.one", number=first.id))
