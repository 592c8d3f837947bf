"""Pages across the machines of a fleet: users, and publications, each with the machines it is about."""

from flask import Blueprint, render_template

from alerts.words import N_
from archive import read
from archive.fleet import concerned, inventories, members, people
from web import asking, store
from web.words import _

bp = Blueprint("everywhere", __name__)
PAGE = 50
NAMED = 4  # machines named in one cell
SORTS = (
    ("user", N_("User"), False), ("machines", N_("Machines"), True), ("cpu", N_("CPU %%"), True), ("memory", N_("RAM"), True),
    ("home", N_("Disk"), True),
)  # fmt: skip
STATES = {"affected": N_("Affected"), "to_check": N_("To check"), "corrected": N_("Corrected")}


@bp.route("/hosts/users")
def users() -> str:
    """Every user name that any machine knows; `?sort=`, `?text=` (a part of the name), `?skip=`."""
    sort = asking.one("sort", people.SORTS, "cpu")
    text = asking.text("text", 63)
    skip = asking.number("skip", 10_000_000) or 0
    db, now = store.db(), store.now()
    found = people.totals(db, now, sort, text, PAGE + 1, skip)
    rows = found[:PAGE]
    return render_template(
        "hosts_users.html",
        rows=rows,
        where=people.logged_in(db, now, [one.name for one in rows if one.sessions]),
        named=NAMED,
        pseudonyms=any(people.is_pseudonym(one.name) for one in rows),
        sorts=[(key, _(label).replace("%%", "%"), right) for key, label, right in SORTS],
        sort=sort,
        text=text,
        asked={name: value for name, value in (("text", text), ("sort", sort if sort != "cpu" else "")) if value},
        more=skip + PAGE if len(found) > PAGE else None,
        less=max(0, skip - PAGE) if skip else None,
        any_machine=members.any_joined(db),
        centre=read.host(db, 1).name,
        now=now,
    )


@bp.route("/hosts/security")
def security() -> str:
    """Publications that concern a machine, the worst first; `?state=`, `?tag=`, `?text=`, `?skip=`."""
    chosen = {
        "state": asking.one("state", ("", *concerned.STATES), ""),
        "tag": asking.text("tag", 63),
        "text": asking.text("text", 80),
    }
    skip = asking.number("skip", 10_000_000) or 0
    db = store.db()
    found = concerned.publications(db, **chosen, most=PAGE + 1, skip=skip)
    return render_template(
        "hosts_security.html",
        rows=found[:PAGE],
        states=[(key, _(word)) for key, word in STATES.items()],
        tags=members.tags(db),
        unknown=inventories.unknown(db),
        asked={name: value for name, value in chosen.items() if value},
        more=skip + PAGE if len(found) > PAGE else None,
        less=max(0, skip - PAGE) if skip else None,
        now=store.now(),
    )
