"""What an event says, in the reader's language: rows keep short English words, logs and probes give names. Pure."""

from alerts.words import N_, Words
from archive.text import clean

# As archive/timeline.py writes them: `upgrade linux-image-amd64, openssl (+12)`.
_PACKAGES = {
    "install": N_("%(names)s installed"),
    "upgrade": N_("%(names)s upgraded"),
    "remove": N_("%(names)s removed"),
    "downgrade": N_("%(names)s put back to an earlier version"),
}
_ACCOUNTS = {"new": N_("%(names)s, new"), "gone": N_("%(names)s, gone")}
_CHANGED = N_("%(names)s, changed: %(what)s")


def said(kind: str, subject: str, detail: str, words: Words) -> str:
    """One clean line; '' where the event's kind says it all. A row that is not understood is shown as it stands."""
    subject, detail = clean(subject), clean(detail)
    if kind == "package":
        action, _, names = subject.partition(" ")
        return words.gettext(_PACKAGES[action], names=names) if names and action in _PACKAGES else subject
    if kind == "account" and subject:
        before, _, what = detail.partition(": ")
        if detail in _ACCOUNTS:
            return words.gettext(_ACCOUNTS[detail], names=subject)
        if before == "changed" and what:
            return words.gettext(_CHANGED, names=subject, what=what)
    return f"{subject} {detail}".strip()
