"""`vigie welcome`: what run_all.sh tells a person at the end: where the page is, the first log-in, what to do next."""

from archive import clock, recipients, settings
from web import first
from web.commands import _terminal, cron

HELP = ""  # run_all.sh calls it


def run(argv: list[str]) -> int:
    del argv
    words = _terminal.words()
    _ = words.gettext
    config = settings.load()
    if config.web:
        _terminal.say(_("Dashboard: %(url)s", url=config.url))
        link = first.first_link(config, clock.now())
        if link:
            _terminal.say(_("First log-in (works once, for 24 hours): %(link)s", link=link))
        _terminal.say(_("Thresholds: %(url)s/thresholds", url=config.url))
    try:
        if not cron.installed():
            _terminal.say(_("Every minute by cron: ./vigie cron install"))
    except OSError as error:
        _terminal.say(str(error))
    if not recipients.addresses(config):
        _terminal.say(_("Mails: set VIGIE_MAIL_TO and VIGIE_SMTP_HOST in data/settings.env, then ./vigie mail-test"))
    return 0
