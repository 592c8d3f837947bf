"""A fleet in words: how each machine is, and what is odd about who it is. Pure."""

from collections.abc import Callable
from typing import NamedTuple

from alerts.words import N_, Words
from archive.fleet import members
from archive.fleet.members import Likeness, Member
from archive.fleet.policy import Scope

WORDS = {
    "critical": N_("Critical"),
    "warning": N_("Warning"),
    "silent": N_("Silent"),
    "new": N_("Not joined yet"),
    "revoked": N_("Revoked"),
    "retired": N_("Retired"),
    "ok": N_("All is well"),
}

# What archive/fleet/ refuses, for the translators.
REFUSALS = (
    N_("A machine's name here has 1 to 63 letters, digits, dots, dashes and underscores, not %(name)s."),
    N_("There is a machine named %(name)s already: revoke its token first."),
    N_("This token belongs to another machine: add this one under a name of its own."),
    N_("This machine sends as %(name)s already: revoke that first."),
    N_("There is no machine named %(name)s: ./vigie fleet list"),
    N_("A tag has letters, digits, dots, dashes and underscores, not %(tag)s."),
    N_("This machine's token was revoked."),
)


# Who mails about a machine's incidents.
MAILS = {
    "machine": N_("the machine itself"),
    "centre": N_("the centre"),
    "both": N_("the machine and the centre"),
}
# What archive/fleet/wishes.py refuses, for the translators.
WISHES = (
    N_("A line's labels have at most %(most)s characters."),
    N_("There are %(count)s of these already; take one out first."),
    N_("Expected machine, centre or both, not %(value)s."),
    N_("There are no machines called %(value)s."),
    N_("This setting was changed again since: undo the newer change first."),
)


def mails_words(word: str, words: Words) -> str:
    return words.gettext(MAILS.get(word, word))


def of_scope(scope: Scope, words: Words) -> str:
    """For whom something is set."""
    if scope.scope == "tag":
        return words.gettext("tag %(tag)s", tag=scope.name)
    return scope.name if scope.scope == "host" else words.gettext("all machines")


class Doubt(NamedTuple):
    """What is odd about a machine: an English msgid for `values`."""

    message: str
    values: dict[str, object]


def condition(member: Member, now: int) -> str:
    """One word of WORDS. Silence comes before what it last said: old figures are never green."""
    if member.retired_at is not None:
        return "retired"
    if member.revoked_at is not None:
        return "revoked"
    if member.joined_at is None:
        return "new"
    if members.is_silent(member, now):
        return "silent"
    return ("ok", "warning", "critical")[member.worst]


def condition_words(word: str, gettext: Callable[[str], str]) -> str:
    return gettext(WORDS[word])


def doubts(member: Member, like: Likeness) -> list[Doubt]:
    """Each has an outcome of its own, and what to do about it."""
    found = []
    if member.doubt == "two_boots":
        found.append(
            Doubt(
                N_(
                    "two machines send under this token (a clone?): type ./vigie fleet leave on the copy, then join it"
                    " with a token of its own"
                ),
                {},
            )
        )
    if like.clones:
        found.append(
            Doubt(
                N_("has the machine-id of %(names)s (a clone?): make it a new one with systemd-machine-id-setup"),
                {"names": ", ".join(like.clones)},
            )
        )
    if like.namesakes:
        found.append(Doubt(N_("calls itself like %(names)s"), {"names": ", ".join(like.namesakes)}))
    if abs(member.skew) > members.SKEWED:
        ahead = N_("its clock is %(seconds)s s ahead: cycles of more than an hour ahead are refused")
        behind = N_("its clock is %(seconds)s s behind")
        found.append(Doubt(ahead if member.skew > 0 else behind, {"seconds": abs(member.skew)}))
    if member.refused:
        found.append(
            Doubt(N_("%(count)s cycles were refused: %(why)s"), {"count": member.refused, "why": member.refusal})
        )
    return found
