"""Why CERT-FR could not be read, in the reader's language. The reading keeps one English sentence; the known ones are said
again in words of the catalogue, anything else is shown as it is. Pure.
"""

import re

from alerts.words import N_, Words

# The sentences of archive/certfr/round.py and http.py, the most precise first.
KNOWN = (
    (
        re.compile(r"(?P<num>\d+) failures in a row: given up until the next round"),
        N_("%(num)s failures in a row: given up until the next round"),
    ),
    (
        re.compile(r"(?P<url>\S+): no whole answer within (?P<span>[\d.]+) s, given up; tried again later"),
        N_("%(url)s: no whole answer within %(span)s s, given up; tried again later"),
    ),
    (
        re.compile(r"(?P<url>\S+): status (?P<status>\d+).*; tried again later", re.DOTALL),
        N_("%(url)s: the site answered with status %(status)s; tried again later"),
    ),
    (
        re.compile(
            r"(?P<url>\S+): redirects to (?P<place>.{1,200}?) \(status \d+\), which is not followed.*", re.DOTALL
        ),
        N_("%(url)s: redirects to %(place)s, which is not followed"),
    ),
    (
        re.compile(r"(?P<url>\S+): the fetching process ended \((?P<why>.*)\); tried again later", re.DOTALL),
        N_("%(url)s: the fetching process ended (%(why)s); tried again later"),
    ),
    (
        re.compile(r"(?P<url>https?:\S+): (?P<why>.*); tried again later", re.DOTALL),
        N_("%(url)s: no connection (%(why)s); tried again later"),
    ),
)


def problem(error: str, words: Words) -> str:
    """The sentence that `reading.error` holds, for a person; '' for none."""
    for pattern, message in KNOWN:
        found = pattern.fullmatch(error)
        if found:
            return words.gettext(message, **found.groupdict())
    return error
