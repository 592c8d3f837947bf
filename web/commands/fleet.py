"""`./vigie fleet`: several machines. At the centre: add, list, tag, revoke, retire, decide. On a machine: join, status, leave, send."""

import argparse

from alerts.words import N_, Words
from archive import clock, database, read, settings
from archive.fleet import following, journal, members, parcel, send, state
from archive.fleet.members import Member
from archive.settings import Settings
from web import fleet
from web.commands import _terminal

HELP = N_(
    "several machines: at the centre add, list, tag, revoke, retire, decide; on a machine join, status, leave, send"
)


def run(argv: list[str]) -> int:
    """0 well; 1 nothing was done, with the reason; 2 the words of the call are off."""
    words = _terminal.words()
    asked = _parser(words).parse_args(argv)
    config = settings.load()
    doing = {
        "join": _join,
        "status": _status,
        "leave": _leave,
        "send": _send,
        "list": _list,
        "add": _add,
        "decide": _decide,
    }
    try:
        return doing.get(asked.what, _change)(config, asked, words)
    except members.MemberError as error:
        _terminal.complain(_terminal.shown(words.gettext(error.message, **error.values)))
    except (send.SendError, state.StateError) as error:
        _terminal.complain(_terminal.shown(str(error)))
    return 1


def _parser(words: Words) -> argparse.ArgumentParser:
    _ = words.gettext
    parser = argparse.ArgumentParser(prog="vigie fleet", description=_(HELP))
    doing = parser.add_subparsers(
        dest="what", required=True, metavar="add | list | tag | revoke | retire | decide | join | status | leave | send"
    )
    for what, told in (
        ("add", _("a new machine; prints the one line to paste there")),
        ("tag", _("its tags become these words (none: it has none)")),
        ("revoke", _("its token opens nothing any more; what it sent stays")),
        ("retire", _("it is gone for good: nobody waits for it")),
    ):
        one = doing.add_parser(what, help=told)
        one.add_argument("name", metavar="NAME")
        if what in ("add", "tag"):
            one.add_argument("tags", metavar="TAG", nargs="*")
    doing.add_parser("list", help=_("machines, when they were last heard, what is odd about them"))
    decide = doing.add_parser(
        "decide",
        help=_("which machines publications concern, from the packages that they sent (done after every reading)"),
    )
    decide.add_argument("references", metavar="REFERENCE", nargs="*")
    join = doing.add_parser("join", help=_("send to this centre from now on"))
    join.add_argument("url", metavar="URL")
    join.add_argument("token", metavar="TOKEN")
    join.add_argument("--all", action="store_true", help=_("and everything that the journal still holds"))
    doing.add_parser("status", help=_("where this machine sends, what waits, what went wrong"))
    leave = doing.add_parser("leave", help=_("send no more; nothing is removed here or there"))
    leave.add_argument(
        "--thresholds", action="store_true", help=_("and take out the thresholds that the centre set; else they stay")
    )
    doing.add_parser("send", help=_("send what waits, now"))
    return parser


# --- at the centre ---------------------------------------------------------------------------------------------------


def _add(config: Settings, asked: argparse.Namespace, words: Words) -> int:
    with database.writer(config.data) as db, database.transaction(db):
        token = members.add(db, asked.name, "", clock.now(), " ".join(asked.tags))
    if not config.url.startswith("https://"):
        _terminal.note(words.gettext("VIGIE_URL is %(url)s: other machines send by https:// only.", url=config.url))
    _terminal.note(words.gettext("Paste this on the machine, once. The token is shown here and never again."))
    # Alone on standard output, so that it can be taken by $(...).
    _terminal.say(f"./vigie fleet join {config.url} {token}")
    return 0


def _change(config: Settings, asked: argparse.Namespace, words: Words) -> int:
    with database.writer(config.data) as db, database.transaction(db):
        if asked.what == "tag":
            members.tag(db, asked.name, " ".join(asked.tags))
        elif asked.what == "revoke":
            members.revoke(db, asked.name, clock.now())
        else:
            members.retire(db, asked.name, clock.now())
    _terminal.say(words.gettext("Done: %(name)s.", name=_terminal.shown(asked.name)))
    return 0


def _list(config: Settings, _asked: argparse.Namespace, words: Words) -> int:
    now = clock.now()
    with database.reader(config.data) as db:
        found = members.every(db)
        like = members.likenesses(db, [one.host for one in found])
    for one in found:
        odd = fleet.doubts(one, like.get(one.host, members.Likeness()))
        _terminal.say(_terminal.shown(_line(one, odd, words, now)))
    if not found:
        _terminal.say(words.gettext("No machine sends here. Add one: ./vigie fleet add NAME"))
    return 0


def _line(one: Member, odd: list[fleet.Doubt], words: Words, now: int) -> str:
    parts = [one.name, fleet.condition_words(fleet.condition(one, now), words.gettext)]
    if one.seen_at is not None:
        parts.append(words.gettext("heard %(ago)s", ago=words.ago(one.seen_at, now)))
    if one.waiting:
        parts.append(words.ngettext("%(num)s cycle behind", "%(num)s cycles behind", one.waiting))
    parts += [words.gettext(doubt.message, **doubt.values) for doubt in odd]
    return " · ".join(parts)


def _decide(config: Settings, asked: argparse.Namespace, words: Words) -> int:
    """What waits for it; or these publications, whatever was decided before."""
    from archive.fleet import deciding

    now = clock.now()
    trackers = deciding.kept_tracker(config.data)
    if asked.references:
        with database.reader(config.data) as db:
            found = deciding.waiting(db, now, asked.references)
        if len(found) < len(set(asked.references)):
            known = {one.publication.reference for one in found}
            missing = [_terminal.shown(one) for one in asked.references if one not in known]
            _terminal.complain(
                words.gettext("Not among the publications that were read: %(names)s", names=", ".join(missing))
            )
            return 1
        report = deciding.decide(config.data, found, now, trackers)
    else:
        report = deciding.turn(config.data, now, trackers)
    _terminal.say(
        words.gettext(
            "Publications decided: %(count)s. Machines: %(machines)s. Verdicts to act on: %(kept)s.",
            count=words.number(report.publications), machines=words.number(report.machines), kept=words.number(report.kept),
        )
    )  # fmt: skip
    return 0


# --- on a machine ----------------------------------------------------------------------------------------------------


def _join(config: Settings, asked: argparse.Namespace, words: Words) -> int:
    url, now = state.checked_url(asked.url), clock.now()
    if len(asked.token) != members.LENGTH or not asked.token.startswith(members.PREFIX):
        raise state.StateError(
            words.gettext("This is no whole token: ./vigie fleet add NAME at the centre prints one.")
        )
    with database.reader(config.data) as db:
        host = read.host(db, send.HOST)
    since = 0 if asked.all else now - now % 86_400
    trial = state.Joined(url, asked.token, "", since)
    head = parcel.Head(host.uid, config.host_name, host.machine, now, send.version(), 0, {})
    post = send.Post(trial, config.fleet_ca_file)
    try:
        answer = post("/fleet/v1/join", parcel.pack(parcel.Parcel(head, [])))
    finally:
        post.close()
    if answer.status != 200:
        raise send.SendError(f"{url}: {answer.body.get('error', answer.status)}"[:300])
    if state.read(config.data, "centre") != url:
        state.forget(config.data)
        state.write(config.data, "centre", url)
    name = str(answer.body.get("name", ""))[:63]
    state.join(config.data, trial._replace(name=name))
    _terminal.say(
        words.gettext(
            "This machine sends to %(url)s as %(name)s from the next cycle on.", url=url, name=_terminal.shown(name)
        )
    )
    return 0


def _status(config: Settings, _asked: argparse.Namespace, words: Words) -> int:
    _ = words.gettext
    joined, now = state.joined(config.data), clock.now()
    if joined is None:
        _terminal.say(_("This machine sends nowhere. At the centre: ./vigie fleet add NAME"))
        return 0
    fate = state.fate(config.data)
    _terminal.say(_("Sends to %(url)s as %(name)s.", url=joined.url, name=_terminal.shown(joined.name)))
    if fate.sent_at is not None:
        _terminal.say(_("Last acknowledged: %(ago)s.", ago=words.ago(fate.sent_at, now)))
    _terminal.say(_("Waiting: %(count)s cycles.", count=journal.count(config.data, joined.since)))
    with database.reader(config.data) as db:
        followed, count = following.followed(db), len(following.centre_sets(db))
    if followed.tag:
        _terminal.say(
            words.ngettext("%(num)s threshold comes from there.", "%(num)s thresholds come from there.", count)
        )
        _terminal.say(_("Mails about this machine's incidents: %(who)s.", who=fleet.mails_words(followed.mails, words)))
    if followed.away:
        _terminal.say(
            _("The centre has not acknowledged anything for a quarter of an hour: this machine mails itself.")
        )
    if wrong := state.read(config.data, state.POLICY):
        _terminal.say(_terminal.shown(wrong))
    if fate.problem:
        _terminal.say(
            _(
                "%(count)s tries failed, the next one %(when)s: %(problem)s",
                count=fate.tries, when=words.moment(fate.next_at, now), problem=_terminal.shown(fate.problem),
            )
        )  # fmt: skip
    return 1 if fate.problem else 0


def _leave(config: Settings, asked: argparse.Namespace, words: Words) -> int:
    if state.leave(config.data):
        _terminal.say(words.gettext("This machine sends nowhere any more. At the centre: ./vigie fleet retire NAME"))
    else:
        _terminal.say(words.gettext("This machine sends nowhere. At the centre: ./vigie fleet add NAME"))
    with database.writer(config.data) as db, database.transaction(db):
        count = following.leave(db, clock.now(), forget=asked.thresholds)
    if count and asked.thresholds:
        _terminal.say(
            words.ngettext(
                "%(num)s threshold that the centre had set is gone.", "%(num)s thresholds that the centre had set are gone.",
                count,
            )
        )  # fmt: skip
    elif count:
        _terminal.say(
            words.ngettext(
                "%(num)s threshold that the centre had set stays; to take it out: ./vigie fleet leave --thresholds",
                "%(num)s thresholds that the centre had set stay; to take them out: ./vigie fleet leave --thresholds",
                count,
            )
        )
    return 0


def _send(config: Settings, _asked: argparse.Namespace, words: Words) -> int:
    count = send.run(config, clock.now(), at_once=True)
    _terminal.say(words.ngettext("%(num)s cycle was acknowledged.", "%(num)s cycles were acknowledged.", count))
    return 0
