"""What can be wrong with this Vigie, looked at one by one: each finding is well, or says what to type.

Changes nothing, sends nothing. Every check stands alone: one that fails to look says so and the others go on.
"""

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from typing import NamedTuple

from alerts import apprise_kind, reasons
from alerts.words import N_, Words
from archive import backup, database, engine, events, outbox, purge, read, recipients, spool
from archive.settings import LOOPBACK, ROOT, Settings
from archive.text import clean
from web import locks, readings

# The WAL-reset bug: in 3.7.0 to 3.51.2, mended in 3.51.3 and the backports 3.50.7 and 3.44.6.
WAL_BUG_MENDED = ((3, 44, 6), (3, 50, 7), (3, 51, 3))
# What archive/purge.py says, to be translated here.
REASONS = (
    N_("there is no sample yet"),
    N_("the clock is ahead of the newest sample"),
    N_("the machine has not been up for 24 hours yet"),
    N_("the clock was set during the last 24 hours"),
)
LEAST_FREE = 500 << 20  # bytes for Vigie itself


class Finding(NamedTuple):
    level: str  # ok, note (nothing to do now), mend
    what: str
    fix: str  # what to type or set, '' when there is nothing to do


Check = Callable[[Settings, Words, int], Iterator[Finding]]


def findings(config: Settings, words: Words, now: int) -> Iterator[Finding]:
    """All checks, in the order in which a person would look."""
    for check in CHECKS:
        try:
            yield from check(config, words, now)
        except (OSError, database.DatabaseError, sqlite3.Error) as error:
            yield Finding("mend", clean(str(error)), "")


def _folder(config: Settings, words: Words, now: int) -> Iterator[Finding]:
    del now
    _ = words.gettext
    from web import rights

    yield from rights.findings(config, words)
    free = shutil.disk_usage(config.data).free
    room = words.value(free, "bytes")
    if free < LEAST_FREE:
        yield Finding(
            "mend", _("only %(room)s are free for Vigie's own data", room=room), f"du -sh {_quoted(config.data)}/*"
        )
    else:
        yield Finding("ok", _("%(room)s are free for Vigie's own data", room=room), "")


def _locks(config: Settings, words: Words, now: int) -> Iterator[Finding]:
    del now
    _ = words.gettext
    found = locks.look(config.data)
    for path in found.open:
        yield Finding("mend", _("others may open the lock %(path)s", path=path), f"chmod o= {_quoted(path)}")
    for path in found.held:
        yield Finding("mend", _("the lock %(path)s is held for very long", path=path), f"fuser -v {_quoted(path)}")
    if not found.open and not found.held:
        yield Finding("ok", _("no step holds its lock for too long"), "")


def _database(config: Settings, words: Words, now: int) -> Iterator[Finding]:
    del now
    _ = words.gettext
    if url := engine.url_of(config.data):
        from archive import postgresql

        try:
            with database.reader(config.data) as db:
                told = postgresql.server(db)
        except database.DatabaseError as error:
            yield Finding("mend", reasons.told(str(error), words), "systemctl status postgresql")
            return
        yield Finding("ok", _("PostgreSQL %(version)s answers at %(where)s", version=told, where=engine.shown(url)), "")
        return
    version = tuple(int(part) for part in sqlite3.sqlite_version.split("."))
    mended = (
        any(version[:2] == good[:2] and version >= good for good in WAL_BUG_MENDED) or version >= WAL_BUG_MENDED[-1]
    )
    if mended:
        yield Finding("ok", _("SQLite %(version)s", version=sqlite3.sqlite_version), "")
    else:
        yield Finding(
            "note",
            _(
                "SQLite %(version)s has the WAL-reset bug; Vigie's one writer at a time keeps clear of it",
                version=sqlite3.sqlite_version,
            ),
            "",
        )
    try:
        with database.reader(config.data) as db:
            verdict = database.quick_check(db)
            if verdict == "ok":
                yield Finding("ok", _("the database is sound"), "")
            else:
                yield Finding(
                    "mend", _("the database is damaged: %(verdict)s", verdict=clean(verdict)), "./vigie restore"
                )
    except database.DatabaseError as error:
        yield Finding("mend", str(error), "./vigie restore")
        return
    wal = os.path.join(config.data, f"{database.NAME}-wal")
    if os.path.exists(wal) and os.path.getsize(wal) > 64 << 20:
        yield Finding(
            "mend",
            _("the write-ahead log has grown to %(size)s", size=words.value(os.path.getsize(wal), "bytes")),
            ".venv/bin/python -m archive.upkeep --now",
        )
    kind = _filesystem(config.data)
    if kind.startswith(("nfs", "cifs", "smb", "fuse.sshfs")):
        yield Finding(
            "mend",
            _("the database stands on %(kind)s, where SQLite's locks cannot be trusted", kind=kind),
            _("put VIGIE_DATA on a local disk"),
        )


def _freshness(config: Settings, words: Words, now: int) -> Iterator[Finding]:
    _ = words.gettext
    with database.reader(config.data) as db:
        last, rhythm = read.last_cycle(db, 1), read.rhythm(db, 1)
        lost = events.last_of_kind(db, 1, "loss").get("")
        if lost is not None and (lost < now - 14 * purge.DAY or read.has_cycle(db, 1, lost)):
            lost = None
    waiting = spool.waiting(config.data)
    if last is None:
        yield Finding("mend", _("no cycle was archived yet"), "./run_all.sh")
    elif now - last.at > 3 * rhythm:
        yield Finding("mend", _("no data for %(span)s", span=words.duration(now - last.at)), "./run_all.sh")
    else:
        yield Finding(
            "ok",
            _("last cycle %(ago)s, every %(rhythm)s", ago=words.ago(last.at, now), rhythm=words.duration(rhythm)),
            "",
        )
    if lost is not None:
        yield Finding(
            "mend",
            _(
                "cycles that were archived are missing from the database, the last one of %(when)s",
                when=words.full(lost),
            ),
            "./vigie rebuild",
        )
    oldest = min((int(name[:-5]) for name in waiting if name[:-5].isdigit()), default=now)
    if len(waiting) > 5 or now - oldest > 900:
        yield Finding(
            "mend",
            _(
                "%(count)d texts wait in the spool, the oldest for %(span)s",
                count=len(waiting),
                span=words.duration(max(0, now - oldest)),
            ),
            "./run_all.sh --flush",
        )
    kept = os.path.join(config.data, "quarantine")
    refused = [name for name in (os.listdir(kept) if os.path.isdir(kept) else []) if name.endswith(".reason")]
    if refused:
        yield Finding(
            "note",
            words.ngettext(
                "%(num)s text was set aside as unreadable", "%(num)s texts were set aside as unreadable", len(refused)
            ),
            f"head {_quoted(kept)}/*.reason",
        )


def _probes(config: Settings, words: Words, now: int) -> Iterator[Finding]:
    del now
    _ = words.gettext
    with database.reader(config.data) as db:
        found = read.probes(db, 1)
    failed = [probe for probe in found if probe.state == "failed"]
    for probe in failed:
        yield Finding(
            "mend",
            _("the probe %(name)s fails: %(reason)s", name=probe.name, reason=clean(reasons.told(probe.reason, words))),
            f"probes/{probe.name}.*",
        )
    for probe in found:
        if probe.state == "unavailable":
            yield Finding(
                "note",
                _(
                    "%(name)s: nothing to ask here (%(reason)s)",
                    name=probe.name,
                    reason=clean(reasons.told(probe.reason, words)),
                ),
                "",
            )
    if found and not failed:
        yield Finding("ok", words.ngettext("%(num)s probe answers", "%(num)s probes answer", len(found)), "")
    if os.geteuid() != 0 and any(read_fact for read_fact in _unreadable_homes(config)):
        yield Finding(
            "note",
            _("homes of others are not measured without rights"),
            _("see docs/deployment.md, “Homes of everyone”"),
        )


def _unreadable_homes(config: Settings) -> list[read.Fact]:
    with database.reader(config.data) as db:
        return read.facts(db, 1, "home_unreadable_info")


def _cron(config: Settings, words: Words, now: int) -> Iterator[Finding]:
    del config, now
    from web.commands import cron

    _ = words.gettext
    if not shutil.which("crontab"):
        yield Finding(
            "note", _("crontab is not installed: another scheduler must run run_all.sh"), _("see docs/deployment.md")
        )
        return
    if cron.installed():
        yield Finding("ok", _("the crontab holds the line of this folder"), "")
    else:
        yield Finding("mend", _("the crontab holds no line of this folder"), "./vigie cron install")
    if not _running("cron", "crond"):
        yield Finding("mend", _("the cron daemon does not run"), "sudo systemctl enable --now cron")


def _backups(config: Settings, words: Words, now: int) -> Iterator[Finding]:
    _ = words.gettext
    if engine.url_of(config.data):
        yield Finding("note", _("PostgreSQL's own tools make the backups"), _("see docs/fleet.md, “Back-ups”"))
        return
    paths = backup.names(config.backup_dir)
    if not paths:
        yield Finding("note", _("no backup yet (the first one comes tonight)"), "./vigie backups --now")
        return
    try:
        backup.verify(paths[-1])
    except backup.BackupError as error:
        yield Finding("mend", clean(str(error)), "./vigie backups --now")
        return
    age = now - backup.at(paths[-1])
    if age > 2 * purge.DAY:
        yield Finding("mend", _("the newest backup is %(span)s old", span=words.duration(age)), "./vigie backups --now")
    else:
        yield Finding(
            "ok",
            _(
                "the newest of %(count)d backups is sound, made %(ago)s",
                count=len(paths),
                ago=words.ago(backup.at(paths[-1]), now),
            ),
            "",
        )


def _clock(config: Settings, words: Words, now: int) -> Iterator[Finding]:
    _ = words.gettext
    with database.reader(config.data) as db:
        reason = purge.distrust(db, 1, now)
        last = read.last_cycle(db, 1)
    if last is not None and last.at > now + 60:
        yield Finding(
            "mend", _("the clock is %(span)s behind the newest data", span=words.duration(last.at - now)), "timedatectl"
        )
    elif reason:
        yield Finding("note", _("purging waits: %(reason)s", reason=_(reason)), "")
    else:
        yield Finding("ok", _("the clock agrees with the uptime"), "")
    yield Finding("ok", _("times are shown in the zone %(zone)s", zone=config.timezone), "")


def _mail(config: Settings, words: Words, now: int) -> Iterator[Finding]:
    del now
    _ = words.gettext
    with database.reader(config.data) as db:
        everybody = [one.address for one in recipients.in_force(db, config)]
    if config.notify_urls and not apprise_kind.installed():
        yield Finding("mend", _("VIGIE_NOTIFY_URLS is set, and the packages for it are missing"), "./run_all.sh")
    mails = [one for one in everybody if not one.startswith(recipients.APPRISE)]
    if not everybody:
        yield Finding(
            "mend",
            _("nobody is mailed: there is no recipient"),
            "./vigie recipients add name@example.org",
        )
        return
    if mails and not config.smtp_host and not shutil.which("sendmail", path="/usr/sbin:/usr/lib:/usr/bin"):
        yield Finding(
            "mend",
            _("no mail server: VIGIE_SMTP_HOST is empty and there is no sendmail"),
            _("set it in %(path)s", path=os.path.join(config.data, "settings.env")),
        )
        return
    if mails and not config.mail_from:
        yield Finding("note", _("VIGIE_MAIL_FROM is empty: strict servers refuse a sender without a domain"), "")
    if config.smtp_security == "relay":
        yield Finding(
            "note",
            _("mails go to %(host)s in clear (relay): only on the site's own network", host=config.smtp_host),
            "",
        )
    yield Finding(
        "ok",
        _(
            "mails go to %(to)s by %(host)s (./vigie mail-test sends one)",
            to=", ".join(everybody),
            host=", ".join(_ways(config, mails)),
        ),
        "",
    )
    with database.reader(config.data) as db:
        left = outbox.summary(db)
    if left.held:
        yield Finding(
            "mend", words.ngettext("%(num)s mail is held", "%(num)s mails are held", left.held), "./vigie mails --retry"
        )
    if left.oldest_at is not None:
        yield Finding("note", _("a mail has waited since %(when)s", when=words.full(left.oldest_at)), "./vigie mails")


def _ways(config: Settings, mails: list[str]) -> Iterator[str]:
    if mails:
        yield config.smtp_host or "sendmail"
    if config.notify_urls:
        yield "Apprise"


def _certfr(config: Settings, words: Words, now: int) -> Iterator[Finding]:
    _ = words.gettext
    from archive.certfr import schedule

    with database.reader(config.data) as db:
        state = schedule.source(db, "round")
    if state is None or state.ok_at is None:
        why = (
            clean(readings.problem(state.error, words))
            if state and state.error
            else _("the first reading comes with the next cycles")
        )
        yield Finding("note", _("CERT-FR was never read: %(why)s", why=why), "./vigie certfr refresh")
    elif now - state.ok_at > 2 * purge.DAY:
        yield Finding(
            "mend",
            _("CERT-FR was last read %(ago)s: %(why)s", ago=words.ago(state.ok_at, now), why=clean(state.error)),
            "./vigie certfr refresh",
        )
    else:
        yield Finding("ok", _("CERT-FR was read %(ago)s", ago=words.ago(state.ok_at, now)), "")


def _dashboard(config: Settings, words: Words, now: int) -> Iterator[Finding]:
    del now
    import socket

    _ = words.gettext
    host, port = config.listen
    where = f"{host}:{port}"
    if host not in LOOPBACK:
        yield Finding(
            "note",
            _(
                "the dashboard listens on %(where)s: beyond this machine, log-in is required for everything",
                where=where,
            ),
            "",
        )
    try:
        with socket.create_connection((host if host not in ("0.0.0.0", "::") else "127.0.0.1", port), timeout=3):  # noqa: S104
            yield Finding("ok", _("the dashboard listens on %(where)s", where=where), "")
    except OSError:
        if config.web:
            yield Finding("mend", _("the dashboard does not answer on %(where)s", where=where), "./run_all.sh start")
        else:
            yield Finding("note", _("the dashboard is left to another server (VIGIE_WEB=0)"), "")


def _privacy(config: Settings, words: Words, now: int) -> Iterator[Finding]:
    """Said before it is done: the next cycle asks nobody."""
    del now
    from archive import people, pseudonyms
    from web.commands.privacy import announced

    with database.reader(config.data) as db:
        mode, names = pseudonyms.kept(db), people.known(db)
    if mode != config.users:
        said = words.gettext("From the next cycle on: VIGIE_USERS=%(mode)s", mode=config.users)
        yield Finding("note", f"{said}. {announced(words, mode, config.users, len(names))}", "./vigie privacy")


def _program(config: Settings, words: Words, now: int) -> Iterator[Finding]:
    del config, now
    from web import bytecode

    yield from bytecode.findings(ROOT, words)


CHECKS: tuple[Check, ...] = (
    _folder,
    _program,
    _locks,
    _database,
    _freshness,
    _probes,
    _cron,
    _backups,
    _clock,
    _mail,
    _certfr,
    _dashboard,
    _privacy,
)


def _filesystem(path: str) -> str:
    """The type of the file system under a path, from /proc/self/mountinfo; '' when it cannot be told."""
    best, kind = "", ""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
        for line in file:
            before, _, after = line.partition(" - ")
            mount = before.split(" ")[4]
            if (path == mount or path.startswith(mount.rstrip("/") + "/")) and len(mount) >= len(best):
                best, kind = mount, after.split(" ")[0]
    return kind


def _running(*names: str) -> bool:
    """Whether a process of one of these names lives."""
    for pid in os.listdir("/proc"):
        if pid.isdigit():
            try:
                with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
                    if file.read().strip() in names:
                        return True
            except OSError:
                continue
    return False


def _quoted(path: str) -> str:
    import shlex

    return shlex.quote(path)
