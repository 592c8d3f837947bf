"""`./vigie token add NAME | list | revoke NAME`: tokens by which other programs read figures."""

import argparse

from alerts.words import N_
from archive import clock, logins, settings, tokens
from web.commands import _terminal

HELP = N_("tokens by which other programs read figures: add, list, revoke")


def run(argv: list[str]) -> int:
    words = _terminal.words()
    _ = words.gettext
    parser = argparse.ArgumentParser(prog="vigie token", description=_(HELP))
    doing = parser.add_subparsers(dest="what", required=True, metavar="add | list | revoke")
    for what, told in (("add", _("make one; it is shown once")), ("revoke", _("it opens nothing from then on"))):
        doing.add_parser(what, help=told).add_argument("name", metavar="NAME")
    doing.add_parser("list", help=_("names, when made, when last used"))
    asked = parser.parse_args(argv)
    data = settings.load().data
    if asked.what == "list":
        return _list(data)
    try:
        with logins.writing(data) as db:
            if asked.what == "add":
                # Alone on standard output, so that it can be taken by $(...).
                token = tokens.make(db, asked.name, "", clock.now())
            elif not tokens.revoke(db, asked.name):
                _terminal.complain(_("there is no token named %(name)s", name=_terminal.shown(asked.name)))
                return 1
    except tokens.TokenError as error:
        _terminal.complain(_terminal.shown(_(error.message, **error.values)))
        return 1
    if asked.what == "add":
        _terminal.note(_("Copy it now: only a fingerprint of it is kept, so it cannot be shown again."))
        _terminal.say(token)
    else:
        _terminal.say(_("The token %(name)s opens nothing any more.", name=_terminal.shown(asked.name)))
    return 0


def _list(data: str) -> int:
    words, now = _terminal.words(), clock.now()
    _ = words.gettext
    with logins.reading(data) as db:
        found = tokens.every(db)
    for one in found:
        used = words.ago(one.used_at, now) if one.used_at is not None else _("never yet")
        _terminal.say(
            _(
                "%(name)s: made %(made)s by %(by)s, last used: %(used)s",
                name=_terminal.shown(one.name),
                made=words.moment(one.made_at, now),
                by=_terminal.shown(one.made_by) or _("command line"),
                used=used,
            )
        )
    if not found:
        _terminal.say(_("There is none. Make one: ./vigie token add NAME"))
    return 0
