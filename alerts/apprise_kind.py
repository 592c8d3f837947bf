"""An optional kind of delivery: Apprise URLs (Mattermost, Matrix, Telegram, ntfy, webhooks...).

Off until URLs are set, and only where the package `apprise` can be imported. A URL holds a secret, so the outbox knows
each by a name made from its kind and a hash: `apprise:ntfy:1f3a9c02`.
"""

import importlib.util
import threading
from collections.abc import Sequence
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from alerts.outcome import ACCEPTED, LATER, REFUSED, Outcome, one_line
from archive.recipients import apprise_name as name


def installed() -> bool:
    """Whether the package `apprise` is there."""
    return importlib.util.find_spec("apprise") is not None


INSTALL = ".venv/bin/pip install -r requirements-apprise.txt"


class Apprise:
    """A Courier: each recipient is one URL, by its name."""

    server = "apprise"
    alive = True

    def __init__(self, urls: Sequence[str], deadline: float = 60.0) -> None:
        self._deadline = deadline
        self._urls = {name(url): url for url in urls}

    def send(self, sender: str, recipients: Sequence[str], message: bytes) -> list[Outcome]:
        """The mail's subject and text part, to each URL."""
        mail = message_from_bytes(message, policy=policy.default)
        part = mail.get_body(("plain",)) if isinstance(mail, EmailMessage) else None
        text = part.get_content() if part else ""
        return [Outcome(one, *self._bounded(one, str(mail["Subject"]), text)) for one in recipients]

    def _bounded(self, recipient: str, subject: str, text: str) -> tuple[str, str]:
        """One URL, in bounded time: a service that drips holds up nothing but its own thread."""
        answers: list[tuple[str, str]] = []
        thread = threading.Thread(target=lambda: answers.append(self._one(recipient, subject, text)), daemon=True)
        thread.start()
        thread.join(self._deadline)
        return answers[0] if answers else (LATER, "took too long")

    def _one(self, recipient: str, subject: str, text: str) -> tuple[str, str]:
        url = self._urls.get(recipient)
        if url is None:
            return REFUSED, "this address is no longer set"
        if not installed():
            return LATER, f"the package apprise is not installed; type: {INSTALL}"
        try:
            import apprise  # type: ignore[import-not-found,unused-ignore]

            sender: Any = apprise.Apprise()
            if not sender.add(url):
                return REFUSED, "apprise does not know this kind of address"
            taken = sender.notify(title=subject, body=text, body_format="text")
        except Exception as error:  # a plugin may raise anything; one bad address stops nothing
            return LATER, one_line(f"{type(error).__name__}: {error}".replace(url, "(hidden)"))
        return (ACCEPTED, "taken") if taken else (LATER, "the service did not take it")

    def close(self) -> None:
        """Nothing stays open."""
