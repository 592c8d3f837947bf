"""What came of trying to hand a mail over: the words that every kind of delivery (SMTP, sendmail, Apprise) speaks."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

ACCEPTED, LATER, REFUSED = "accepted", "later", "refused"


class Outcome(NamedTuple):
    """One recipient's result. `reply` is the server's own words, or ours where it said none; one line."""

    recipient: str
    state: str  # accepted; later: try again; refused: for good
    reply: str


class Unreachable(Exception):
    """No conversation came about (no answer, no trust, a broken talk): all of it is tried again later."""


class LoginRefused(Exception):
    """The server does not take our name and password: held, and tried again at most every 15 minutes."""


class Courier(Protocol):
    """Somebody who takes mails. `server` names it for the ledger."""

    server: str

    def send(self, sender: str, recipients: Sequence[str], message: bytes) -> list[Outcome]:
        """Hand one mail over; never raises for what the other side does."""

    @property
    def alive(self) -> bool:
        """Whether another mail may be tried in the same conversation."""

    def close(self) -> None:
        """Take leave."""


def one_line(text: str, longest: int = 300) -> str:
    """A server's words as the ledger keeps them: printable, on one line, cut."""
    kept = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return kept if len(kept) <= longest else f"{kept[: longest - 1]}…"
