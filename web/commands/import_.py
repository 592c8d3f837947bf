"""`./vigie import OLD.db`: takes over a database of the original system."""

import argparse

from alerts.words import N_
from archive import clock, database, events, original, settings
from web.commands import _terminal

HELP = N_("take over a database of the original system (anisdatabase.db)")


def run(argv: list[str]) -> int:
    words = _terminal.words()
    _ = words.gettext
    parser = argparse.ArgumentParser(prog="vigie import", description=_(HELP))
    parser.add_argument("file", metavar="OLD.db")
    parser.add_argument(
        "--retention",
        type=int,
        metavar="DAYS",
        help=_("keep samples for DAYS (1 to 3650), so that older rows are taken too; this sets the retention"),
    )
    asked = parser.parse_args(argv)
    if asked.retention is not None and not 1 <= asked.retention <= 3650:
        _terminal.complain(_("--retention takes 1 to 3650 days"))
        return 2
    config, now = settings.load(), clock.now()
    with database.writer(config.data, 60.0) as db, database.transaction(db):
        taken = original.store(db, 1, asked.file, now, asked.retention)
        alerts = original.store_alerts(db, taken.alerts, now)
        if taken.samples:
            events.add(db, 1, now, "import", "", str(taken.samples))
    for skip in taken.skipped:
        _terminal.say(
            _(
                "skipped: %(table)s, row %(line)d: %(reason)s",
                table=skip.table,
                line=skip.line,
                reason=_terminal.shown(skip.reason),
            )
        )
    _terminal.say(
        _(
            "dataBase: %(rows)d rows taken, %(new)d new samples, %(known)d known already, %(old)d rows older than the retention",
            rows=taken.rows,
            new=taken.samples,
            known=taken.known,
            old=taken.too_old,
        )
    )
    if taken.too_old:
        _terminal.say(_("Add --retention DAYS to take the older ones too."))
    _terminal.say(_("cert_alert: %(count)d references, %(new)d of them new", count=len(taken.alerts), new=alerts))
    if taken.levels:
        _terminal.say(
            _(
                "Seuil: %(levels)s. Its units are not written in the file, so nothing was set: see /thresholds.",
                levels=", ".join(f"{name}={value:g}" for name, value in taken.levels.items()),
            )
        )
    return 0
