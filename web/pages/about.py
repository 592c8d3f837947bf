"""About the system itself: version, the cycle, the database, backups, mails, and where anything goes out to."""

import contextlib
import os
import sqlite3
import statistics
from typing import NamedTuple
from urllib.parse import urlsplit

from flask import Blueprint, jsonify, render_template
from flask.typing import ResponseReturnValue

from alerts import sendmail
from archive import database, outbox, persons, read, recipients, thresholds
from archive.certfr import schedule
from web import logins, readings, state, store
from web.shell import present, version
from web.words import _, words

bp = Blueprint("about", __name__)


class Backup(NamedTuple):
    at: int | None  # of the last good one
    error: str  # of the last try


class Way(NamedTuple):
    """Where something leaves this machine for, and whether it is set."""

    what: str
    where: str


@bp.route("/about")
def page() -> str:
    db, host, now = store.db(), store.host_id(), store.now()
    found = present()
    last = read.last_cycle(db, host)
    latest = read.latest(db, host, 3600)
    cost = sum(latest[line.id].value for line in read.series(db, host, "probe_seconds") if line.id in latest)
    lags = [point.mean for line in read.series(db, host, "cycle_lag_seconds") for point in
            read.points(db, host, line, (found.last_at or now) - 3600, now + 1, 60)]  # fmt: skip
    certfr = schedule.source(db, schedule.ROUND)
    return render_template(
        "about.html",
        state=found,
        last=last,
        cost=cost,
        lag=statistics.median(lags) if lags else None,
        counts=read.counts(db),
        sizes=_sizes(store.settings().data),
        retention=thresholds.retention_days(db),
        backup=_backup(),
        mails=outbox.summary(db),
        certfr=certfr,
        failure=readings.problem(certfr.error, words()) if certfr else "",
        sources=schedule.sources(db),
        ways=_ways(),
        sqlite=sqlite3.sqlite_version,
        version=version(),
        now=now,
    )


@bp.route("/healthz")
def healthz() -> ResponseReturnValue:
    """For a machine that asks: 200 while figures come in, else 503. Tells nothing but that."""
    now = store.now()
    try:
        found = state.now_of(store.db(), store.host_id(), now)
    except database.DatabaseError:
        return jsonify(status="unknown", age_seconds=None), 503, {"Retry-After": "60"}
    age = None if found.last_at is None else now - found.last_at
    body = jsonify(status="fresh" if found.fresh else "stale", age_seconds=age)
    return (body, 200) if found.fresh else (body, 503, {"Retry-After": "60"})


def _sizes(data: str) -> int:
    """Bytes of the database and its log."""
    total = 0
    for suffix in ("", "-wal"):
        with contextlib.suppress(FileNotFoundError):
            total += os.path.getsize(os.path.join(data, database.NAME + suffix))
    return total


def _backup() -> Backup:
    """As the upkeep noted it."""
    at = read.setting(store.db(), "backup_at")
    return Backup(int(at) if at.isdigit() else None, read.setting(store.db(), "backup_error"))


def _ways() -> list[Way]:
    """Everything that can leave this machine. Nothing else does. Names of servers are the administrator's to see."""
    settings = store.settings()
    if not logins.is_administrator():
        told = {True: _("set"), False: _("not set")}
        return [
            Way(_("Reading CERT-FR, about once an hour"), told[True]),
            *(
                [Way(_("Reading Debian's security data, once a day"), told[True])]
                if settings.debian_tracker != "off"
                else []
            ),
            Way(_("Mails to the administrators"), told[bool(settings.smtp_host)]),
            Way(_("Mails to the person whose doing it is"), told[persons.rule(store.db()).on]),
            Way(_("Messages by Apprise"), told[bool(settings.notify_urls)]),
            Way(_("A sign of life after each cycle"), told[bool(settings.ping_url)]),
        ]
    db = store.db()
    ways = [Way(_("Reading CERT-FR, about once an hour"), urlsplit(settings.certfr_url).hostname or "")]
    if settings.debian_tracker != "off":
        host = urlsplit(settings.debian_tracker_url).hostname or ""
        ways.append(Way(_("Reading Debian's security data, once a day"), host))
    server = f"{settings.smtp_host}:{settings.smtp_port}" if settings.smtp_host else ""
    if not server and recipients.in_force(db, settings):
        server = sendmail.find()
    ways.append(Way(_("Mails to the administrators"), server or _("not set")))
    mailed = persons.rule(db).on and settings.users == "names"
    ways.append(Way(_("Mails to the person whose doing it is"), server if server and mailed else _("not set")))
    kinds = ", ".join(recipients.apprise_name(url).removeprefix(recipients.APPRISE) for url in settings.notify_urls)
    ways.append(Way(_("Messages by Apprise"), kinds or _("not set")))
    ping = urlsplit(settings.ping_url).hostname if settings.ping_url else ""
    ways.append(Way(_("A sign of life after each cycle"), ping or _("not set")))
    return ways
